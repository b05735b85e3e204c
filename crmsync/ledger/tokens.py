"""Write tokens: the marks that our writes leave on accounts, and whether this ledger knows them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from sqlalchemy import select

from crmsync.ledger import tables as t
from crmsync.ledger.audit import record_event
from crmsync.ledger.canon import instant
from crmsync.ledger.ledger import Ledger
from crmsync.ledger.upsert import key_of, upsert

ADOPTED = 1_000
"""Records per statement."""


def unknown_tokens(ledger: Ledger, tokens: Iterable[str]) -> set[str]:
    """Those of the tokens that no write of this ledger has left."""
    unknown = set(tokens)
    if not unknown:
        return unknown
    with ledger.reading() as connection:
        for column in (t.field_state.c.token, t.intent.c.token):  # every write ever is looked through only for the rest
            if unknown:
                unknown.difference_update(connection.execute(select(column).distinct()).scalars())
    return unknown


def adopt_values(ledger: Ledger, held: Mapping[str, Mapping[str, str | None]], token_field: str, run_id: str) -> int:
    """Take what stands on these records, by record id, as last written by us; returns how many fields."""
    now = instant()
    rows = [
        {"record_id": record, "field": name, "value": value, "token": values[token_field], "written_at": now}
        for record, values in held.items()
        for name, value in values.items()
    ]
    kept = upsert(t.field_state)
    new = {name: kept.excluded[name] for name in ("value", "token", "written_at")}
    with ledger.writing() as connection:
        for start in range(0, len(rows), ADOPTED):
            statement = kept.on_conflict_do_update(index_elements=key_of(t.field_state), set_=new)
            connection.execute(statement, rows[start : start + ADOPTED])
        record_event(connection, "org_adopted", {"run_id": run_id, "records": len(held), "fields": len(rows)})
    return len(rows)
