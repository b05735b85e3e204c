"""The audit: an order of events that cannot be changed afterwards."""

from __future__ import annotations

import hashlib
import json

import pytest
from sqlalchemy import select, text
from sqlalchemy.exc import DBAPIError

from crmsync.errors import StoreError
from crmsync.ledger import tables as t
from crmsync.ledger.audit import FIRST, record_event
from crmsync.ledger.ledger import Ledger


def record(ledger: Ledger, event: str, actor: str = "worker", **content: object) -> None:
    with ledger.writing() as connection:
        record_event(connection, event, content, actor)


def test_each_event_carries_the_hash_of_the_one_before_over_its_canonical_text(ledger: Ledger):
    record(ledger, "plan_drafted", digest="ab", changes=3)
    record(ledger, "plan_approved", 'Ann "Ex" Ämple\n', digest="ab")
    with ledger.reading() as connection:
        rows = connection.execute(select(t.audit).order_by(t.audit.c.sequence)).all()
    previous = FIRST
    for number, row in enumerate(rows, 1):
        whole = {"actor": row.actor, "at": row.at, "content": json.loads(row.content), "event": row.event}
        said = json.dumps({**whole, "sequence": number}, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        assert (row.sequence, row.previous_hash) == (number, previous)
        assert row.hash == hashlib.sha256((previous + said).encode()).hexdigest()
        previous = row.hash
    assert len(rows) == 2


def test_an_event_stands_or_falls_with_its_transaction(ledger: Ledger):
    def half() -> None:
        with ledger.writing() as connection:
            record_event(connection, "half", {})
            raise ValueError("stopped")

    with pytest.raises(ValueError, match="stopped"):
        half()
    with ledger.reading() as connection:
        assert connection.execute(select(t.audit).where(t.audit.c.event == "half")).all() == []


@pytest.mark.parametrize("statement", ["UPDATE audit SET event = 'other'", "DELETE FROM audit"])
def test_the_database_refuses_to_change_or_remove_an_event(ledger: Ledger, statement: str):
    record(ledger, "plan_drafted")
    with pytest.raises((DBAPIError, StoreError), match="append-only"), ledger.writing() as connection:
        connection.execute(text(statement))
