"""Verifying the audit: every changed, missing or added event is found, and triggers and anchors are looked at.

`SOAK_FLIPS` (make soak) says how many bytes are flipped.
"""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import text

from crmsync.ledger.audit import record_event
from crmsync.ledger.chain import anchor, verify_chain
from crmsync.ledger.ledger import Ledger
from tests.databases import Place

EVENTS = 60
FLIPS = int(os.environ.get("SOAK_FLIPS", "120"))
COLUMNS = ("at", "actor", "event", "content", "previous_hash", "hash")
OPENED = {
    "sqlite": ("DROP TRIGGER audit_no_update", "DROP TRIGGER audit_no_delete"),
    "postgresql": ("ALTER TABLE audit DISABLE TRIGGER USER",),
}


@pytest.fixture
def full(ledger: Ledger) -> Ledger:
    """A ledger with some events, their texts full of what JSON has to escape."""
    with ledger.writing() as connection:
        for number in range(EVENTS):
            record_event(
                connection, "person_came", {"n": number, "said": f'"\\\n\u2028é{number}'}, f"shell:Ann {number}"
            )
    return ledger


@pytest.fixture
def opened(full: Ledger, place: Place) -> Iterator[Ledger]:
    """The same with its triggers gone, as whoever owns the database can do."""
    with full.writing() as connection:
        for statement in OPENED[place.kind]:
            connection.execute(text(statement))
    yield full
    if place.kind == "postgresql":  # the tests share this database
        with full.writing() as connection:
            connection.execute(text("ALTER TABLE audit ENABLE TRIGGER USER"))


def test_an_untouched_audit_holds(full: Ledger) -> None:
    told = anchor(full, "log")
    assert told is not None
    found = verify_chain(full, (str(told),))
    assert (found.events, found.head, found.anchors, found.faults) == (EVENTS, told, 2, ())


def test_missing_triggers_are_told(opened: Ledger) -> None:
    faults = verify_chain(opened).faults
    assert faults
    assert all("the audit could be changed unseen" in fault for fault in faults)


WEAKENED = {
    "sqlite": (
        "DROP TRIGGER audit_no_update",
        "CREATE TRIGGER audit_no_update BEFORE UPDATE ON audit WHEN 0 "
        "BEGIN SELECT RAISE(ABORT, 'the audit is append-only'); END",
    ),
    "postgresql": (
        "CREATE OR REPLACE FUNCTION audit_closed() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'",
    ),
    "postgresql, of one column": (
        "DROP TRIGGER audit_no_update ON audit",
        "CREATE TRIGGER audit_no_update BEFORE UPDATE OF actor ON audit FOR EACH ROW EXECUTE FUNCTION audit_closed()",
    ),
}


@pytest.mark.parametrize("how", WEAKENED)
def test_a_trigger_that_lets_something_through_is_told(
    how: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    url = None if how == "sqlite" else request.getfixturevalue("postgresql").fresh()
    with Ledger.open(tmp_path, url=url) as ledger:
        assert verify_chain(ledger).faults == ()
        with ledger.writing() as connection:
            for statement in WEAKENED[how]:
                connection.execute(text(statement))
        faults = verify_chain(ledger).faults
    assert any("trigger audit_no_update is missing, switched off or not as it was made" in fault for fault in faults)


def test_every_flipped_byte_is_found(opened: Ledger) -> None:
    chance = random.Random(7)
    expected = len(verify_chain(opened).faults)
    with opened.reading() as connection:
        rows = {row.sequence: row for row in connection.execute(text("SELECT * FROM audit"))}
    for _ in range(FLIPS):
        sequence, column = chance.randint(1, EVENTS), chance.choice(COLUMNS)
        value = getattr(rows[sequence], column)
        at = chance.randrange(len(value))
        flipped = value[:at] + chr(ord(value[at]) ^ 1) + value[at + 1 :]
        _set(opened, sequence, column, flipped)
        found = verify_chain(opened).faults
        assert len(found) == expected + 1, (sequence, column, at)
        assert any(f"event {number} " in found[0] for number in (sequence, sequence + 1)), found
        _set(opened, sequence, column, value)
    assert len(verify_chain(opened).faults) == expected


def _set(ledger: Ledger, sequence: int, column: str, value: str) -> None:
    assert column in COLUMNS
    with ledger.writing() as connection:
        connection.execute(text(f"UPDATE audit SET {column} = :v WHERE sequence = :s"), {"v": value, "s": sequence})


@pytest.mark.parametrize("sequence", [1, 2, EVENTS // 2])
def test_a_missing_event_is_named(opened: Ledger, sequence: int) -> None:
    _run(opened, "DELETE FROM audit WHERE sequence = :s", sequence)
    assert f"event {sequence} is missing: after {sequence - 1} comes {sequence + 1}" in verify_chain(opened).faults[0]


def test_a_tail_that_was_cut_off_is_found_by_an_anchor_alone(opened: Ledger) -> None:
    anchor(opened, "notice")
    _run(opened, "DELETE FROM audit WHERE sequence > :s", EVENTS - 3)
    (fault,) = [fault for fault in verify_chain(opened).faults if "ends with" in fault]
    assert f"is of event {EVENTS}, but the audit ends with {EVENTS - 3}" in fault


def test_an_anchor_behind_a_break_is_not_said_to_be_cut_off(opened: Ledger) -> None:
    anchor(opened, "notice")
    _set(opened, 5, "actor", "shell:Bob")
    faults = verify_chain(opened).faults
    assert "event 5 " in faults[0]
    assert not [fault for fault in faults if "ends with" in fault]


def test_a_history_that_was_written_anew_does_not_fit_the_anchor(full: Ledger, place: Place) -> None:
    told = anchor(full, "log")
    with full.writing() as connection:
        for statement in OPENED[place.kind]:
            connection.execute(text(statement))
        connection.execute(text("DELETE FROM audit"))
        connection.execute(text("DELETE FROM audit_anchor"))
        for number in range(EVENTS):
            record_event(connection, "person_came", {"n": number, "forged": True})
    faults = verify_chain(full, (str(told),)).faults
    assert any("written anew" in fault for fault in faults)
    assert not [fault for fault in verify_chain(full).faults if "event" in fault], "only who has the anchor can tell"
    if place.kind == "postgresql":
        with full.writing() as connection:
            connection.execute(text("ALTER TABLE audit ENABLE TRIGGER USER"))


@pytest.mark.parametrize("told", ["", "12", "x:0123456789abcdef", "12:abc", "0:0123456789abcdef"])
def test_an_anchor_that_says_nothing_is_refused(full: Ledger, told: str) -> None:
    (fault,) = verify_chain(full, (told,)).faults
    assert "give SEQUENCE:HASH" in fault


def _run(ledger: Ledger, statement: str, sequence: int) -> None:
    with ledger.writing() as connection:
        connection.execute(text(statement), {"s": sequence})


def test_a_damaged_index_of_a_large_file_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("crmsync.ledger.sqlite_store.QUICK_CHECK_BELOW", 0)  # as of a file that is not looked through
    with Ledger.open(tmp_path) as ledger:
        with ledger.writing() as connection:
            record_event(connection, "person_came", {})
            connection.execute(
                text("INSERT INTO meta WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 900) "
                     "SELECT 'key-' || i, 'value' FROM n")
            )  # fmt: skip
            connection.execute(text("UPDATE meta SET value = 'changed' WHERE key = 'key-1'"))
        assert verify_chain(ledger).faults == ()
        with ledger.reading() as connection:
            root = connection.scalar(text("SELECT rootpage FROM sqlite_master WHERE name = 'sqlite_autoindex_meta_1'"))
            size = connection.scalar(text("PRAGMA page_size"))
    path = tmp_path / "ledger.sqlite"
    content = bytearray(path.read_bytes())
    at = content.index(b"key-45", (root - 1) * size)
    content[at : at + 6] = b"key-99"
    path.write_bytes(bytes(content))
    with Ledger.open(tmp_path) as ledger:
        faults = verify_chain(ledger).faults
    assert faults
    assert all("the file is damaged" in fault and "`backups`" in fault for fault in faults)
