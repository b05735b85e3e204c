"""A ledger of its own for every test, copied from one that was migrated once, which takes longer than most tests."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from crmsync.ledger.ledger import Ledger

NewState = Callable[[], Path]


@pytest.fixture(scope="session")
def new_state(tmp_path_factory: pytest.TempPathFactory) -> NewState:
    """Makes another state folder with an empty ledger."""
    template = tmp_path_factory.mktemp("template") / "state"
    Ledger.open(template).close()

    def make() -> Path:
        return Path(shutil.copytree(template, tmp_path_factory.mktemp("copy") / "state"))

    return make


@pytest.fixture
def ledger(new_state: NewState) -> Iterator[Ledger]:
    """An open, empty ledger."""
    with Ledger.open(new_state()) as opened:
        yield opened
