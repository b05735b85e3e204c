"""A clock that is set, and a state folder whose ledger is made already: to migrate it takes longer than most tests."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.worker.facts import MarkedWork, SetClock


@pytest.fixture
def state(template: Path, tmp_path: Path) -> Path:
    """A state folder with an empty ledger."""
    return Path(shutil.copytree(template, tmp_path / "state"))


@pytest.fixture
def clock() -> SetClock:
    return SetClock()


@pytest.fixture
def work(state: Path) -> MarkedWork:
    return MarkedWork(state)
