"""Foreign clients as they are installed: each in an environment and a process of its own, with nothing of it changed.

`make clients` installs them and says where in FOREIGN_CLIENTS; without it these tests are skipped.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.clients.certificates import Certificates
from tests.conftest import PROJECT

HERE = Path(__file__).parent
INSTALLED = os.environ.get("FOREIGN_CLIENTS")
LONGEST_S = 240.0
OUTSIDE = ("PATH", "LANG", "TMPDIR")
"""All that a client sees of the machine: no login, proxy or setting of the developer's."""

needs_clients = pytest.mark.skipif(INSTALLED is None, reason="needs the foreign clients: run `make clients`")


def group(name: str) -> list[pytest.MarkDecorator]:
    """The marks of a module of tests: one org, so one process; a slow client on a busy machine."""
    return [needs_clients, pytest.mark.xdist_group(name), pytest.mark.timeout(400)]


def program(environment: str, name: str) -> Path:
    """A program of an installed environment. Errors: AssertionError when it is not there."""
    assert INSTALLED is not None
    folder = PROJECT / INSTALLED / environment
    path = folder / ("node_modules/.bin" if environment == "node" else "bin") / name
    assert path.exists(), f"{path} is not there; `make clients` installs it"
    return path


def machine(home: Path, more: Mapping[str, str] | None = None) -> dict[str, str]:
    """The environment variables of a client whose home is a scratch folder."""
    seen = {name: os.environ[name] for name in OUTSIDE if name in os.environ}
    return seen | {"HOME": str(home), "PYTHONUNBUFFERED": "1"} | dict(more or {})


def through(tunnel: str, certificates: Certificates) -> dict[str, str]:
    """What a user would export so that *.salesforce.com is the sandbox org; no other https host can be reached."""
    trusted = str(certificates.authority)
    names = ("REQUESTS_CA_BUNDLE", "SSL_CERT_FILE", "NODE_EXTRA_CA_CERTS")
    return dict.fromkeys(names, trusted) | dict.fromkeys(("HTTPS_PROXY", "https_proxy"), tunnel)


def run(
    command: list[str | Path], environment: Mapping[str, str], folder: Path, expected: int = 0, typed: str | None = None
) -> str:
    """What the client printed. Errors: AssertionError with all that it said when it ends otherwise than expected."""
    done = subprocess.run(
        [str(part) for part in command], env=dict(environment), cwd=folder, input=typed, capture_output=True,
        encoding="utf-8", timeout=LONGEST_S, check=False,
    )  # fmt: skip
    said = f"{command[0]} {command[1:]} ended with {done.returncode}:\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
    assert done.returncode == expected, said
    return done.stdout
