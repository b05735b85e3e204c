"""Verifying the audit: the chain of hashes, the triggers that keep it append-only, and what was anchored outside."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from json.encoder import encode_basestring
from typing import Any

from sqlalchemy import Connection, select, text

from crmsync.ledger import tables as t
from crmsync.ledger.agreement import disagreements
from crmsync.ledger.audit import FIRST
from crmsync.ledger.canon import instant
from crmsync.ledger.ledger import Ledger
from crmsync.ledger.upsert import changed

ROWS_AT_ONCE = 10_000
SHORTEST_ANCHOR = 12
SHOWN_DAMAGE = 5
CLOSED = "the audit is append-only"
OF_SQLITE = text("SELECT name, sql FROM sqlite_master WHERE type = 'trigger' AND tbl_name = 'audit'")
OF_POSTGRESQL = text(
    "SELECT g.tgname, g.tgtype, g.tgenabled, g.tgqual IS NULL AND g.tgattr = '' AS of_all, p.prosrc FROM pg_trigger g "
    "JOIN pg_proc p ON p.oid = g.tgfoid WHERE g.tgrelid = 'audit'::regclass AND NOT g.tgisinternal"
)
SQLITE_TRIGGERS = {
    f"audit_no_{verb.lower()}": f"CREATE TRIGGER audit_no_{verb.lower()} BEFORE {verb} ON audit "
    f"BEGIN SELECT RAISE(ABORT, '{CLOSED}'); END"
    for verb in ("UPDATE", "DELETE")
}
BEFORE, EACH_ROW = 2, 1
POSTGRESQL_TRIGGERS = {
    "audit_no_update": BEFORE | EACH_ROW | 16,
    "audit_no_delete": BEFORE | EACH_ROW | 8,
    "audit_no_truncate": BEFORE | 32,
}
POSTGRESQL_REFUSAL = f"BEGIN RAISE EXCEPTION '{CLOSED}'; END"
"""As migration 0003 makes them; one that was made anew in other words may let something through."""


@dataclass(frozen=True)
class Anchor:
    """The newest hash of the audit, as it is told outside of the ledger."""

    sequence: int
    hash: str

    def __str__(self) -> str:
        """As it stands in the log line and the footer of a notice: `123:ab12…`."""
        return f"{self.sequence}:{self.hash}"


@dataclass(frozen=True)
class Verified:
    """What a verification found. `faults`: what is wrong, in order; empty: all is well."""

    events: int
    head: Anchor | None
    anchors: int
    faults: tuple[str, ...]


def head_of(connection: Connection) -> Anchor | None:
    """The newest event; None before the first."""
    a = t.audit
    row = connection.execute(select(a.c.sequence, a.c.hash).order_by(a.c.sequence.desc()).limit(1)).one_or_none()
    return None if row is None else Anchor(row.sequence, row.hash)


def anchor(ledger: Ledger, place: str) -> Anchor | None:
    """Note that the newest hash is told at `place` (log, notice, crm) now, and return it; None before the first."""
    with ledger.writing() as connection:
        head = head_of(connection)
        if head is not None:
            row = {"sequence": head.sequence, "place": place, "hash": head.hash, "at": instant()}
            connection.execute(changed(t.audit_anchor, row))
    return head


def verify_chain(ledger: Ledger, told: tuple[str, ...] = ()) -> Verified:
    """Walk the whole audit. `told`: anchors from outside, as `SEQUENCE:HASH`; the first digits of a hash suffice."""
    with ledger.reading() as connection:
        kept = connection.execute(select(t.audit_anchor)).all()
        wanted: dict[int, list[tuple[str, str]]] = {}
        faults = []
        for row in kept:
            wanted.setdefault(row.sequence, []).append((row.hash, f"the ledger's own anchor ({row.place}, {row.at})"))
        for one in told:
            sequence, _, digits = one.partition(":")
            if not sequence.isdecimal() or int(sequence) < 1 or len(digits) < SHORTEST_ANCHOR:
                faults.append(
                    f"anchor {one!r}: give SEQUENCE:HASH as the log line has it, {SHORTEST_ANCHOR} digits or more"
                )
            else:
                wanted.setdefault(int(sequence), []).append((digits, f"the anchor that was told ({one})"))
        events, previous, faults_of_chain = _walked(connection, wanted)
        faults += faults_of_chain
        faults += [*_triggers(connection), *_pages(connection)]
        faults += [] if faults_of_chain else disagreements(connection)
    if not faults_of_chain:  # else nothing is known of what stands behind the break
        ahead = sorted(at for at in wanted if at > events)
        faults += [
            f"{place} is of event {at}, but the audit ends with {events}" for at in ahead for _, place in wanted[at]
        ]
    head = Anchor(events, previous) if events else None
    return Verified(events, head, len(kept) + len(told), tuple(faults))


def _walked(connection: Connection, wanted: dict[int, list[tuple[str, str]]]) -> tuple[int, str, list[str]]:
    """Events in order, the last hash, and the first fault of the chain with the anchors that do not fit."""
    expected, previous = 0, FIRST
    faults: list[str] = []
    sha256, quoted = hashlib.sha256, encode_basestring
    for sequence, at, actor, event, content, claimed, digest in _rows(connection):
        expected += 1
        # As `audit.hash_of`, written out: a call per event would double the time of a million of them.
        said = (
            f'{claimed}{{"actor":{quoted(actor)},"at":{quoted(at)},"content":{content},'
            f'"event":{quoted(event)},"sequence":{sequence}}}'
        )
        fits = sequence == expected and claimed == previous
        if not fits or sha256(said.encode("utf-8", "surrogatepass")).hexdigest() != digest:
            faults.append(_break(expected, sequence, claimed == previous, at, event))
            return expected, digest, faults
        previous = digest
        if expected in wanted:
            faults += [
                f"event {expected}: {place} has {hash_[:16]}…, the audit {digest[:16]}…: what stands before it was "
                "written anew"
                for hash_, place in wanted[expected]
                if not digest.startswith(hash_)
            ]
    return expected, previous, faults


def _break(expected: int, found: int, follows: bool, at: str, event: str) -> str:
    if found != expected:
        return f"event {expected} is missing: after {expected - 1} comes {found} ({event}, {at})"
    if not follows:
        return f"event {found} ({event}, {at}) does not follow from event {found - 1}: one of them was changed"
    return f"event {found} ({event}, {at}): its content or its hash was changed"


def _rows(connection: Connection) -> Iterator[tuple[Any, ...]]:
    """Straight from the driver: a million rows of SQLAlchemy take as long as their hashes."""
    a = t.audit
    query = select(a.c.sequence, a.c.at, a.c.actor, a.c.event, a.c.content, a.c.previous_hash, a.c.hash)
    statement = str(query.order_by(a.c.sequence).compile(dialect=connection.dialect))
    driver: Any = connection.connection.driver_connection
    cursor = driver.cursor(name="audit") if connection.dialect.name == "postgresql" else driver.cursor()
    try:
        cursor.execute(statement)
        while rows := cursor.fetchmany(ROWS_AT_ONCE):
            yield from rows
    finally:
        cursor.close()


def _triggers(connection: Connection) -> list[str]:
    """What keeps the audit append-only, as far as it is missing, switched off, or not as it was made."""
    if connection.dialect.name == "postgresql":
        wanted = set(POSTGRESQL_TRIGGERS)
        found = {
            row.tgname
            for row in connection.execute(OF_POSTGRESQL)
            if row.tgenabled in ("O", "A") and row.of_all and row.prosrc == POSTGRESQL_REFUSAL
            and row.tgtype == POSTGRESQL_TRIGGERS.get(row.tgname)
        }  # fmt: skip
    else:
        wanted = set(SQLITE_TRIGGERS)
        found = {name for name, said in connection.execute(OF_SQLITE) if said == SQLITE_TRIGGERS.get(name)}
    missing = sorted(wanted - found)
    return [
        f"trigger {name} is missing, switched off or not as it was made: the audit could be changed unseen"
        for name in missing
    ]


def _pages(connection: Connection) -> list[str]:
    """Damage of a file, in tables and indexes: a start looks only at small ones. A server sees to its own pages."""
    if connection.dialect.name != "sqlite":
        return []
    found = connection.exec_driver_sql(f"PRAGMA integrity_check({SHOWN_DAMAGE})").scalars().all()
    return [f"the file is damaged: {one}; restore a copy of it (folder `backups`)" for one in found if one != "ok"]
