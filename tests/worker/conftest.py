"""A state folder whose ledger is made already: to migrate it takes longer than most of these tests."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest


@pytest.fixture
def state(template: Path, tmp_path: Path) -> Path:
    """A state folder with an empty ledger."""
    return Path(shutil.copytree(template, tmp_path / "state"))
