"""Ledgers on both databases: a test that asks for `place` or `ledger` runs once on each."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from crmsync.ledger.ledger import Ledger
from tests.databases import Place


@pytest.fixture
def ledger(place: Place) -> Iterator[Ledger]:
    """An open, empty ledger."""
    with place.open() as opened:
        yield opened
