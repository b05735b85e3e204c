"""A ledger of its own for every test; those that ask for `ledger` run on both databases."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from crmsync.ledger.ledger import Ledger
from tests.databases import Place

NewState = Callable[[], Path]


@pytest.fixture(scope="session")
def new_state(template: Path, tmp_path_factory: pytest.TempPathFactory) -> NewState:
    """Makes another state folder with an empty ledger."""

    def make() -> Path:
        return Path(shutil.copytree(template, tmp_path_factory.mktemp("copy") / "state"))

    return make


@pytest.fixture
def ledger(place: Place) -> Iterator[Ledger]:
    """An open, empty ledger, once on each database."""
    with place.open() as opened:
        yield opened
