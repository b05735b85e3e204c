"""Whole runs of the command line: over a folder of files (fast), and over the embedded org (the real thing)."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import structlog

from crmsync.cli import main
from crmsync.configuration import packaged_folder

PROGRAM = """\
program: resellers
currency: EUR
metrics:
  revenue: {unit: money, sum: opportunities.amount, where: is_won, during: last 12 months}
ladders:
  main:
    tiers:
      - {key: basic, label: Basic}
      - {key: silver, label: Silver, requires: {revenue: 1000}}
      - {key: gold, label: Gold, requires: {revenue: 5000}}
"""
CONFIG = """\
org: files
program: programs/resellers.yaml
files: {folder: data}
tables: {partners: files, opportunities: files}
guards: {tier_changes: {at_least: 2, share: 5%}}
"""
AS_OF = "2026-11-22"
LEFT_OUT = ("org:", "sandbox:", "  activities:", "  overrides:")


@dataclass(frozen=True)
class Ended:
    """How one command ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> dict[str, Any]:
        """What a command printed with --json."""
        content: dict[str, Any] = json.loads(self.out)
        return content


Crmsync = Callable[..., Ended]


@pytest.fixture
def crmsync(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], tmp_path: Path) -> Iterator[Crmsync]:
    """Run one command in an empty folder; state goes to `state` in it."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CRMSYNC_STATE_DIR", "state")
    before = signal.getsignal(signal.SIGTERM)

    def call(*arguments: str) -> Ended:
        monkeypatch.setattr(sys, "argv", ["crmsync", *arguments])
        capfd.readouterr()
        with pytest.raises(SystemExit) as ended:
            main()
        assert isinstance(ended.value.code, int)
        out, err = capfd.readouterr()
        assert "Traceback" not in out + err
        return Ended(ended.value.code, out, err)

    yield call
    signal.signal(signal.SIGTERM, before)
    structlog.reset_defaults()
    structlog.contextvars.clear_contextvars()


class Folder:
    """A configuration over CSV files, whose deals a test can change between runs."""

    def __init__(self, root: Path, partners: int = 6) -> None:
        self.config = root / "config"
        self.data = self.config / "data"
        self.data.mkdir(parents=True)
        (self.config / "programs").mkdir()
        self.write("crmsync.yaml", CONFIG)
        self.write("programs/resellers.yaml", PROGRAM)
        names = "".join(f"P{number},Partner {number}\n" for number in range(1, partners + 1))
        self.write("data/partners.csv", f"partner_id,name\n{names}")
        self.deals({})

    def write(self, name: str, text: str) -> None:
        """Write one file of the configuration."""
        (self.config / name).write_text(text, encoding="utf-8")

    def change(self, name: str, old: str, new: str) -> None:
        """Replace one token of a file."""
        text = (self.config / name).read_text(encoding="utf-8")
        assert old in text
        self.write(name, text.replace(old, new, 1))

    def deals(self, amounts: dict[str, int], *further: str) -> None:
        """One won deal per partner, and further lines as they are."""
        lines = [f"O-{partner},{partner},true,true,{amount},2026-05-01" for partner, amount in amounts.items()]
        heading = "opportunity_id,partner_id,is_closed,is_won,amount,closed_on"
        self.write("data/opportunities.csv", "\n".join([heading, *lines, *further, ""]))

    @property
    def written(self) -> str:
        """What was written back so far."""
        file = self.data / "writeback.csv"
        return file.read_text(encoding="utf-8") if file.exists() else ""


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path)


@pytest.fixture
def embedded(tmp_path: Path) -> Path:
    """The configuration that ships, with a small embedded company."""
    config = Path(shutil.copytree(packaged_folder(), tmp_path / "embedded"))
    file = config / "crmsync.yaml"
    file.write_text(file.read_text(encoding="utf-8").replace("sample: 2000", "sample: 60"), encoding="utf-8")
    return config


def state_files(root: Path) -> list[str]:
    """Everything below the state folder, to see that nothing was made."""
    return sorted(str(Path(base, name)) for base, _, names in os.walk(root / "state") for name in names)


def use_own_org(config: Path) -> None:
    """Turn a configuration of the embedded org into one for an org that the settings name, with four tables."""
    file = config / "crmsync.yaml"
    lines = file.read_text(encoding="utf-8").splitlines()
    kept = [line for line in lines if not line.startswith(LEFT_OUT)]
    file.write_text("\n".join(["org: salesforce", *kept, ""]), encoding="utf-8")
