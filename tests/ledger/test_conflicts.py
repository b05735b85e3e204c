"""Edits by hand in the ledger: each is kept once, closed once, and comes back when somebody makes it again."""

from __future__ import annotations

from dataclasses import replace

from sqlalchemy import select

from crmsync.ledger import tables as t
from crmsync.ledger.conflicts import ConflictRow, open_conflicts, record_conflicts, record_told, untold_conflicts
from crmsync.ledger.ledger import Ledger

FOUND = ConflictRow(
    "c1", "001", "P1", "Account", "Tier__c", "Silver", "Gold", "restore", "open", "r1", "2026-01-01"
)  # fmt: skip


def events(ledger: Ledger) -> list[str]:
    with ledger.reading() as connection:
        return list(connection.execute(select(t.audit.c.event).order_by(t.audit.c.sequence)).scalars())


def test_an_edit_that_is_found_again_is_kept_and_told_of_once(ledger: Ledger) -> None:
    record_conflicts(ledger, [FOUND])
    record_told(ledger, ["c1"])
    record_conflicts(ledger, [replace(FOUND, run_id="r2")])
    assert [(row.state, row.run_id) for row in open_conflicts(ledger)] == [("told", "r1")]
    assert events(ledger) == ["conflict_found"]


def test_an_edit_that_was_taken_back_and_is_made_again_waits_and_is_told_anew(ledger: Ledger) -> None:
    record_conflicts(ledger, [FOUND])
    record_told(ledger, ["c1"])
    record_conflicts(ledger, [], ["c1"])
    assert open_conflicts(ledger) == []
    record_conflicts(ledger, [replace(FOUND, run_id="r3", since="2026-03-01", until="2026-06-01")])
    (row,) = open_conflicts(ledger)
    assert (row.state, row.run_id, row.since, row.until) == ("open", "r3", "2026-03-01", "2026-06-01")
    assert untold_conflicts(ledger) == [row]
    assert events(ledger) == ["conflict_found", "conflict_resolved", "conflict_found"]
