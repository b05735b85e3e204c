"""An INSERT that may meet a row with the same key; one statement for SQLite and for PostgreSQL.

Both write `ON CONFLICT (key) DO …` in the same way. PostgreSQL must be told the key where the row is changed:
`upsert(table).values(row).on_conflict_do_update(index_elements=key_of(table), set_=…)`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Table
from sqlalchemy.dialects.postgresql import Insert, insert


def upsert(table: Table) -> Insert:
    """An INSERT into `table` with `on_conflict_do_nothing` and `on_conflict_do_update`."""
    return insert(table)


def changed(table: Table, row: Mapping[str, Any]) -> Insert:
    """Insert `row`, or change the row that has its primary key."""
    return insert(table).values(row).on_conflict_do_update(index_elements=key_of(table), set_=dict(row))


def key_of(table: Table) -> list[str]:
    """The columns of the primary key, in order."""
    return [column.name for column in table.primary_key]
