"""The value that was written last onto a field, for fields that no intent writes; and which fields are looked after."""

from __future__ import annotations

from collections.abc import Collection

from sqlalchemy import Connection, select

from crmsync.ledger import tables as t
from crmsync.ledger.canon import instant
from crmsync.ledger.ledger import Ledger
from crmsync.ledger.upsert import key_of, upsert

ALL_RECORDS = ""
"""In the place of a record: the row says that the field itself is looked after, on every record that was written."""


def watched_fields(ledger: Ledger) -> frozenset[str]:
    """The fields that the plans which were accepted so far looked after."""
    query = select(t.field_state.c.field).where(t.field_state.c.record_id == ALL_RECORDS)
    with ledger.reading() as connection:
        return frozenset(connection.execute(query).scalars())


def keep_watched(ledger: Ledger, names: Collection[str]) -> None:
    """Note that these fields are looked after from now on. Nothing is written where that is known."""
    if new := sorted(frozenset(names) - watched_fields(ledger)):
        with ledger.writing() as connection:
            for name in new:
                keep_value(connection, ALL_RECORDS, name, None)


def held_values(ledger: Ledger, field: str) -> dict[str, str | None]:
    """What this worker wrote last onto one field, by record id."""
    query = select(t.field_state.c.record_id, t.field_state.c.value).where(t.field_state.c.field == field)
    with ledger.reading() as connection:
        return {row.record_id: row.value for row in connection.execute(query)}


def keep_value(connection: Connection, record_id: str, field: str, value: str | None) -> None:
    """Note in the caller's transaction what a field holds now by our own doing."""
    row = {"record_id": record_id, "field": field, "value": value, "token": "", "written_at": instant()}
    kept = upsert(t.field_state).values(row)
    connection.execute(kept.on_conflict_do_update(index_elements=key_of(t.field_state), set_=row))
