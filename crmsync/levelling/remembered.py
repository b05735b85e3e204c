"""What an assessment remembers and is told by people, made readable for the engine.

A table that holds nothing becomes one row of nulls: put beside every partner without a join, which would lose their
order.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

import pyarrow as pa
import pyarrow.compute as pc

from crmsync.levelling import sql
from crmsync.levelling.belonging import REASSESSMENTS, VERSION_BEFORE, anniversary_table
from crmsync.levelling.credits import CREDITS
from crmsync.levelling.engine import Engine
from crmsync.levelling.levelling import FILLED, Levelling
from crmsync.levelling.movement_dates import anniversaries, reassessed_on
from crmsync.levelling.overrides import OVERRIDES, Overrides
from crmsync.levelling.previous import PREVIOUS, Previous, asked_columns
from crmsync.levelling.rules import anniversary_columns


@dataclass(frozen=True)
class Remembered:
    """What stood before, what people decided, and what the version before would give (partner_id, category, tier)."""

    before: Previous
    overrides: Overrides
    version_before: pa.Table | None = None


def register_remembered(levelling: Levelling, remembered: Remembered) -> None:
    """Make everything readable and note which tables and columns hold anything."""
    engine, before, overrides = levelling.engine, remembered.before, remembered.overrides
    filled = set(before.filled)
    table = before.table.select(asked_columns(before.table.column_names, filled, levelling.program))
    engine.register(PREVIOUS, table if before.stands else _nothing(table.schema))
    levelling.remembers[PREVIOUS] = before.stands
    if overrides.table.num_rows:
        engine.register(OVERRIDES, overrides.table)
        levelling.remembers[OVERRIDES] = True
        filled |= overrides.filled
    if overrides.credits.num_rows:
        engine.register(CREDITS, overrides.credits)
    if remembered.version_before is not None:
        engine.register(VERSION_BEFORE, remembered.version_before)
        filled.add("keep_from")
    levelling.remembers.update({f"{FILLED}{name}": True for name in filled})
    _register_anniversaries(levelling)
    _register_reassessments(levelling, before.table)


def _nothing(schema: pa.Schema) -> pa.Table:
    return pa.table([pa.nulls(1, field.type) for field in schema], schema=schema)


def _register_anniversaries(levelling: Levelling) -> None:
    for column in anniversary_columns(levelling.program):
        there = column in levelling.snapshot.tables["partners"].columns
        dates = partner_dates(levelling.engine, column) if there else []
        levelling.engine.register(anniversary_table(column), anniversaries(dates, levelling.days.as_of))


def partner_dates(engine: Engine, column: str) -> list[date]:
    """The dates that partners have in a column."""
    query = sql.distinct([sql.col(column)], sql.table("t_partners"), sql.not_null(sql.col(column)))
    found: list[date] = engine.read(query).column(0).to_pylist()
    return found


def _register_reassessments(levelling: Levelling, before: pa.Table) -> None:
    every = levelling.program.reassess
    if every is None or "member_since" not in before.column_names:
        return
    days = pc.drop_null(before.column("member_since").unique()).to_pylist()
    again = [reassessed_on(day, every, levelling.days.as_of) for day in days]
    table = pa.table({"day": pa.array(days, pa.date32()), "reassessed_on": pa.array(again, pa.date32())})
    levelling.engine.register(REASSESSMENTS, table)
