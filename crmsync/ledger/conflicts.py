"""Edits by hand of what the worker owns, as rows: found, told, closed. `writeback/hand_edits.py` judges them.

States: open → told → restored (written again) | gone (taken back, or edited once more) → open (the same edit again).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Connection, select, update

from crmsync.ledger import tables as t
from crmsync.ledger.audit import record_event
from crmsync.ledger.canon import instant
from crmsync.ledger.ledger import Ledger
from crmsync.ledger.upsert import key_of, upsert

OPEN = ("open", "told")
CHUNK = 500


@dataclass(frozen=True)
class ConflictRow:
    """One edited field. `since`: as_of of the run that found it; `until`, `category`, `tier`: of an adopted one."""

    conflict_id: str
    record_id: str
    partner_id: str
    object: str
    field: str
    ours: str | None
    found: str | None
    policy: str
    state: str
    run_id: str
    since: str
    until: str | None = None
    category: str | None = None
    tier: str | None = None


def last_written(ledger: Ledger, records: Collection[str]) -> dict[str, dict[str, tuple[str | None, str]]]:
    """What the worker wrote last onto these records: record -> CRM field -> value and token of the write."""
    ids = sorted(set(records))
    found: dict[str, dict[str, tuple[str | None, str]]] = defaultdict(dict)
    with ledger.reading() as connection:
        for start in range(0, len(ids), CHUNK):
            query = select(t.field_state).where(t.field_state.c.record_id.in_(ids[start : start + CHUNK]))
            for row in connection.execute(query):
                found[row.record_id][row.field] = (row.value, row.token)
    return found


def open_conflicts(ledger: Ledger) -> list[ConflictRow]:
    """Conflicts that are not closed, oldest first."""
    return _rows(ledger, t.conflict.c.state.in_(OPEN))


def adopted_conflicts(ledger: Ledger) -> list[ConflictRow]:
    """Tiers set by hand that were ever adopted as overrides, oldest first."""
    return _rows(ledger, (t.conflict.c.policy == "adopt") & t.conflict.c.tier.is_not(None))


def _rows(ledger: Ledger, chosen: ColumnElement[bool]) -> list[ConflictRow]:
    query = select(t.conflict).where(chosen).order_by(t.conflict.c.found_at, t.conflict.c.conflict_id)
    with ledger.reading() as connection:
        rows = connection.execute(query).all()
    return [ConflictRow(**{name: getattr(row, name) for name in ConflictRow.__dataclass_fields__}) for row in rows]


def record_conflicts(ledger: Ledger, found: Sequence[ConflictRow], gone: Sequence[str] = ()) -> None:
    """Keep conflicts, each once, and close those (by id) that are gone."""
    if not found and not gone:
        return
    with ledger.writing() as connection:
        for row in found:
            _record(connection, row)
        _close(connection, gone, "gone")


def _record(connection: Connection, row: ConflictRow) -> None:
    """Keep a conflict that is new, or that was taken back and is there once more: it waits and is told anew."""
    now = instant()
    values: dict[str, Any] = {**vars(row), "found_at": now, "changed_at": now}
    kept = upsert(t.conflict).values(values)
    anew = {name: kept.excluded[name] for name in values if name != "conflict_id"}
    statement = kept.on_conflict_do_update(
        index_elements=key_of(t.conflict), set_=anew, where=t.conflict.c.state == "gone"
    ).returning(t.conflict.c.conflict_id)  # an INSERT tells no row count on PostgreSQL
    if connection.execute(statement).first() is not None:
        said = {name: values[name] for name in ("conflict_id", "record_id", "object", "field", "policy", "run_id")}
        record_event(connection, "conflict_found", said)


def close_written(ledger: Ledger, digest: str, run_id: str, conflicts: Sequence[ConflictRow]) -> None:
    """Close conflicts whose record this plan has written; where it could not be written they stay open."""
    of_plan = (t.intent.c.digest == digest) & (t.intent.c.run_id == run_id)
    with ledger.writing() as connection:
        applied = select(t.intent.c.record_id).where(of_plan, t.intent.c.state == "applied")
        written = set(connection.execute(applied).scalars())
        _close(connection, [row.conflict_id for row in conflicts if row.record_id in written], "restored")


def _close(connection: Connection, conflicts: Iterable[str], state: str) -> None:
    for conflict_id in conflicts:
        chosen = (t.conflict.c.conflict_id == conflict_id) & t.conflict.c.state.in_(OPEN)
        if connection.execute(update(t.conflict).where(chosen).values(state=state, changed_at=instant())).rowcount:
            record_event(connection, "conflict_resolved", {"conflict_id": conflict_id, "state": state})


def untold_conflicts(ledger: Ledger) -> list[ConflictRow]:
    """Conflicts that nobody was told of yet, oldest first."""
    return _rows(ledger, t.conflict.c.state == "open")


def record_told(ledger: Ledger, conflicts: Sequence[str]) -> None:
    """Note that people know of these conflicts (by id); one that is closed meanwhile stays closed."""
    if not conflicts:
        return
    with ledger.writing() as connection:
        for start in range(0, len(conflicts), CHUNK):
            some = t.conflict.c.conflict_id.in_(conflicts[start : start + CHUNK]) & (t.conflict.c.state == "open")
            connection.execute(update(t.conflict).where(some).values(state="told", changed_at=instant()))
