"""A rehearsal of setting up: from an org that knows nothing of crmsync, in words of its own, to its first two runs.

    python -m tests.acceptance.rehearsal

types what docs/setup.md says, prints every command with its output, and tells how long it took. What a person does by
hand between the commands (a look at marked lines, four words of the program) stands in `EDITS`.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import requests

from crmsync.sandbox.process import Org, start_org
from tests.acceptance.other_words import TODAY, write_org

ADMIN = "admin@crmsync.example"
CONFIG = "config"
EDITS: Sequence[tuple[str, str, str]] = (
    ("crmsync.yaml", "  activities: salesforce\n", ""),
    ("programs/reseller.yaml", "status = 'Active'", "status = 'Aktiv'"),
    ("programs/reseller.yaml", "role = 'reseller'", "role = 'Fachhandel'"),
    ("programs/reseller.yaml", "LATAM", "Amerika"),
    ("programs/reseller.yaml", "APAC", "Sued"),
)
"""File, what stands there, what is written instead: everywhere in the file."""


@dataclass(frozen=True)
class Step:
    """One command as it was typed, how it ended, and what it printed."""

    command: str
    code: int
    out: str
    seconds: float


Run = Callable[[Sequence[str], Path, Mapping[str, str]], tuple[int, str, str]]
"""Runs crmsync with arguments, in a folder, with these settings: exit code, standard output, standard error."""


def run_apart(arguments: Sequence[str], folder: Path, settings: Mapping[str, str]) -> tuple[int, str, str]:
    """As a person does: a process of its own."""
    others = {name: value for name, value in os.environ.items() if not name.startswith("CRMSYNC_")}
    path = f"{Path(sys.executable).parent}:{others.get('PATH', '')}"
    done = subprocess.run(
        [sys.executable, "-m", "crmsync", *arguments], cwd=folder, env={**others, **settings, "PATH": path}, text=True,
        capture_output=True, check=False,
    )  # fmt: skip
    return done.returncode, done.stdout, done.stderr


class Rehearsal:
    """One admin, with an empty folder and the address of an org."""

    def __init__(self, folder: Path, org: Org, run: Run = run_apart, tell: Callable[[str], None] | None = None) -> None:
        self.folder = folder
        self.org = org
        self.steps: list[Step] = []
        self._run = run
        self._tell = tell
        self._settings = {"CRMSYNC_SALESFORCE__INSTANCE_URL": org.instance_url}

    def types(self, *arguments: str, ends: Sequence[int] = (0,)) -> Step:
        """Type one command. Errors: RuntimeError where it does not end as it should."""
        began = time.monotonic()
        code, out, err = self._run(arguments, self.folder, self._settings)
        step = Step(f"crmsync {' '.join(arguments)}", code, out, time.monotonic() - began)
        self.steps.append(step)
        if self._tell is not None:
            self._tell(f"$ {step.command}\n{step.out}")
        if step.code not in ends:
            raise RuntimeError(f"`{step.command}` ended with {step.code}, not {ends}:\n{out}{err}")
        return step

    def logs_in(self, **settings: str) -> None:
        """Use another login from now on."""
        for name in ("ACCESS_TOKEN", "CLIENT_ID", "CLIENT_SECRET_FILE"):
            self._settings.pop(f"CRMSYNC_SALESFORCE__{name}", None)
        self._settings |= {f"CRMSYNC_SALESFORCE__{name}": value for name, value in settings.items()}

    def edits(self, edits: Sequence[tuple[str, str, str]]) -> None:
        """What a person changes in the files."""
        for name, old, new in edits:
            path = self.folder / CONFIG / name
            text = path.read_text(encoding="utf-8")
            if old not in text:
                raise RuntimeError(f"{name} does not hold `{old}`")
            path.write_text(text.replace(old, new), encoding="utf-8")

    def admin_token(self) -> str:
        """What `sf org display --json` shows an admin of a real org."""
        answer = requests.put(f"{self.org.instance_url}/__sandbox/login", json={"username": ADMIN}, timeout=30)
        return str(answer.json()["access_token"])

    def secret_file(self) -> str:
        """The consumer secret, where only its owner reads it."""
        path = self.folder / "secret"
        path.write_text(self.org.client_secret, encoding="utf-8")
        path.chmod(0o600)
        return str(path)


def rehearse(one: Rehearsal) -> Mapping[str, Step]:
    """From nothing to the second run. Returns the steps by what they are for."""
    at = ("--config", CONFIG)
    done = {
        "init": one.types("init", "--org", "salesforce", "--template", "reseller", "--login", "client_credentials",
                          "--instance-url", one.org.instance_url, "--to", CONFIG),
    }  # fmt: skip
    one.logs_in(ACCESS_TOKEN=one.admin_token())
    done["discover"] = one.types("discover", *at, "--to", CONFIG)
    done["check"] = one.types("check", *at, ends=(4,))
    one.edits(EDITS)
    done["check again"] = one.types("check", *at, ends=(4,))
    done["deploy plan"] = one.types("deploy", "plan", *at, ends=(2,))
    done["deploy apply"] = one.types("deploy", "apply", *at, "--assign", one.org.username)
    one.logs_in(CLIENT_ID=one.org.client_id, CLIENT_SECRET_FILE=one.secret_file())
    done["check at last"] = one.types("check", *at)
    done["run"] = one.types("run", *at, "--as-of", TODAY.isoformat(), ends=(0, 3))
    done["run again"] = one.types("run", *at, "--as-of", TODAY.isoformat(), ends=(0, 3))
    return done


def main() -> None:
    """Print the rehearsal and its time."""
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        data = write_org(Path(folder) / "org")
        (Path(folder) / "admin").mkdir()
        with start_org(["--data", str(data), "--today", TODAY.isoformat(), "--least-privilege"]) as org:
            one = Rehearsal(Path(folder) / "admin", org, tell=print)
            rehearse(one)
    commands = sum(step.seconds for step in one.steps)
    typed = sum(len(step.command) for step in one.steps) + sum(len(old) + len(new) for _, old, new in EDITS)
    print(f"{len(one.steps)} commands, {typed} letters typed; {commands:.0f} s of commands, "
          f"{time.monotonic() - began:.0f} s in all")  # fmt: skip


if __name__ == "__main__":
    main()
