"""The value that was written last onto a field, for fields that no intent writes."""

from __future__ import annotations

from sqlalchemy import Connection, select

from crmsync.ledger import tables as t
from crmsync.ledger.canon import instant
from crmsync.ledger.ledger import Ledger
from crmsync.ledger.upsert import key_of, upsert


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
