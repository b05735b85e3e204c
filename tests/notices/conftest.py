"""Receivers on loopback, templates that are opened once, and an outbox of its own for every test."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from crmsync.configuration import packaged_folder
from crmsync.ledger.ledger import Ledger
from crmsync.notices.templates import Templates, open_templates
from tests.notices.servers import Hook, Hooks, Mailbox, Post


@pytest.fixture
def mailbox() -> Iterator[Mailbox]:
    with Post() as opened:
        yield opened


@pytest.fixture
def hook() -> Iterator[Hook]:
    with Hooks() as opened:
        yield opened


@pytest.fixture(scope="session")
def templates(tmp_path_factory: pytest.TempPathFactory) -> Templates:
    """The templates that come with the package."""
    return open_templates(tmp_path_factory.mktemp("own"), packaged_folder() / "notices")


@pytest.fixture
def state(template: Path, tmp_path: Path) -> Path:
    """A state folder with an empty ledger."""
    return Path(shutil.copytree(template, tmp_path / "state"))


@pytest.fixture
def ledger(state: Path) -> Iterator[Ledger]:
    with Ledger.open(state) as opened:
        yield opened
