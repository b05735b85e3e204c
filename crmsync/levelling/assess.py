"""Assess: the spine of levelling, from a sealed snapshot and a program to the standings of one day.

Pure but for the engine: no clock, no files of its own. Rows are never looped over in Python.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from crmsync.errors import ConfigError, Rejected
from crmsync.levelling import previous, sql
from crmsync.levelling.atoms import days_of
from crmsync.levelling.categories import Standing, metrics_struct
from crmsync.levelling.criteria import LIMITS, Limits, attributes_used
from crmsync.levelling.engine import DuckDbEngine, Engine
from crmsync.levelling.fields import compute_rolled_fields
from crmsync.levelling.hierarchy import Hierarchy, build_hierarchy
from crmsync.levelling.levelling import Levelling, tables_used
from crmsync.levelling.loss import LOSSES, first_days_of_loss
from crmsync.levelling.measures import Measures, partner_columns_used, with_alias
from crmsync.levelling.measuring import MEASURES, compute_measures, wanted_metrics
from crmsync.levelling.money import money_of
from crmsync.levelling.overrides import PINS, overrides_in_force
from crmsync.levelling.references import register_references
from crmsync.levelling.spots import NOW, category_bound, spots_of
from crmsync.levelling.sql import Sql
from crmsync.levelling.summary import standings_query, with_losses
from crmsync.programs.program import FromRows, Program, RollsUp
from crmsync.snapshots import Snapshot
from crmsync.tables import CANONICAL, ColumnType

NOTED = 20
"""How many partners are named, at most, of those that have the same fault."""


@dataclass(frozen=True)
class Assessment:
    """The standings of one day, ordered by partner_id and category, and what was not as it should be."""

    standings: pa.Table
    notes: tuple[str, ...] = ()
    rejected: tuple[Rejected, ...] = ()


def assess(
    program: Program, snapshot: Snapshot, as_of: date, previous_file: Path | None = None, engine: Engine | None = None
) -> Assessment:
    """Standings of `program` at `as_of`. Shape: one row per partner and category, columns of `standings.COLUMNS`.

    Errors: ConfigError (a name that the tables do not have, previous standings that do not fit), DataError, StoreError.
    """
    own = engine is None
    engine = engine or DuckDbEngine(rows=sum(table.rows for table in snapshot.tables.values()))
    try:
        return _assess(program, snapshot, as_of, previous_file, engine)
    finally:
        if own:
            engine.close()


def _assess(
    program: Program, snapshot: Snapshot, as_of: date, previous_file: Path | None, engine: Engine
) -> Assessment:
    before = previous.previous_standings(program, previous_file, as_of, snapshot.rejected_partners)
    levelling = prepare(program, snapshot, as_of, engine)
    overrides = overrides_in_force(program, snapshot, as_of, engine)
    register_memory(engine, overrides.pins, before)
    levelling.remembers.update({PINS: overrides.pins.num_rows > 0, previous.PREVIOUS: before.num_rows > 0})
    names = compute_measures(levelling, wanted_metrics(program))
    standings = compute_standings(levelling, names, before)
    carried = [f"partner {one}: its row was rejected; its standing stays as it was" for one in _unread(before)]
    return Assessment(standings, (*notes_of(levelling), *carried), overrides.rejected)


def register_memory(engine: Engine, pins: pa.Table, before: pa.Table) -> None:
    """Register what is remembered of each partner and category.

    An empty table becomes one row of nulls: put beside every partner without a join, which would lose their order.
    """
    for name, table in ((PINS, pins), (previous.PREVIOUS, before)):
        nothing = pa.table([pa.nulls(1, field.type) for field in table.schema], schema=table.schema)
        engine.register(name, table if table.num_rows else nothing)


def _unread(before: pa.Table) -> list[str]:
    return previous.unread_partners(before)[:NOTED]


def prepare(program: Program, snapshot: Snapshot, as_of: date, engine: Engine) -> Levelling:
    """Register the tables and compute what all metrics share. Errors: ConfigError."""
    _check_tables(program, snapshot)
    for name, table in snapshot.tables.items():
        engine.register(f"t_{name}", table.path)
    days = days_of(program, as_of)
    money = money_of(program, snapshot, engine)
    columns = partner_columns_used(program) | attributes_used(program)
    declared = program.declared or "declared_categories"
    if program.has_categories and declared in snapshot.tables["partners"].columns:
        columns |= {declared}
    limits = Limits(money, program.effective_from, as_of, str(program.file))
    hierarchy = _hierarchy(program, snapshot, engine)
    references = register_references(program, engine)
    spots = spots_of(program, category_bound(program))
    made = Levelling(
        program, spots, snapshot, days, engine, money, references, hierarchy, limits, frozenset(columns)
    )  # fmt: skip
    compute_rolled_fields(made)
    return made


def _check_tables(program: Program, snapshot: Snapshot) -> None:
    file = str(program.file)
    if "partners" not in snapshot.tables:
        raise ConfigError("the tables hold no partners: nobody can be levelled", file=str(snapshot.folder))
    for metric in program.metrics.values():
        table = metric.source.table if isinstance(metric.source, FromRows) else "partners"
        if table not in snapshot.tables and table not in CANONICAL:
            there = ", ".join(sorted(set(snapshot.tables) | set(CANONICAL)))
            raise ConfigError(
                f"metric {metric.key}: there is no table {table}; there are {there}", file=file, line=metric.line
            )


def _hierarchy(program: Program, snapshot: Snapshot, engine: Engine) -> Hierarchy | None:
    rolls = any(metric.rolls_up is not RollsUp.OWN for metric in program.metrics.values())
    if not rolls or "parent_id" not in snapshot.tables["partners"].columns:
        return None
    wanted = [sql.col("partner_id"), sql.col("parent_id")]
    table = engine.read(sql.select(wanted, sql.table("t_partners"), order=[sql.col("partner_id")]))
    hierarchy = build_hierarchy(table.column("partner_id"), table.column("parent_id"))
    if not hierarchy.flat:
        engine.register("closure", hierarchy.closure)
    return hierarchy


def compute_standings(
    levelling: Levelling, names: Mapping[str, Measures], before: pa.Table, keep_measures: bool = False
) -> pa.Table:
    """The standings table from the measures, all categories together; the measures are freed unless kept."""
    engine, program = levelling.engine, levelling.program
    queries = standing_queries(levelling, names)
    engine.register(LIMITS, levelling.limits.table())
    parts: list[Sql] = []
    while queries:  # one at a time, each let go: planning all categories at once would cost the memory of all
        part = engine.run(f"standing_{len(parts)}", queries.pop(0))
        parts.append(sql.select([sql.star()], sql.table(part)))
    engine.define("standing", sql.union_all(parts))
    losses = None
    if first_days_of_loss(levelling):
        losses = engine.read(sql.select([sql.star()], sql.table(LOSSES)))
    if before.num_rows == 0 and not keep_measures:
        engine.drop([MEASURES])
    metrics = metrics_struct(program, with_alias(names[NOW], "m"))
    standings = in_order(engine.read(standings_query(program, levelling.days, metrics, before.num_rows > 0)))
    return with_losses(standings, losses) if losses is not None else standings


def in_order(standings: pa.Table) -> pa.Table:
    """Ordered by partner_id and category.

    Sorting keys alone is much cheaper than wide nested rows in the engine; measures are made in order, so that with
    one category nothing is left to sort.
    """
    order = pc.sort_indices(standings, [("partner_id", "ascending"), ("category", "ascending")])
    in_order_already = pc.all(pc.equal(order, pa.array(np.arange(len(order), dtype=np.uint64)))).as_py()
    return standings if in_order_already is not False else standings.take(order)


def standing_queries(levelling: Levelling, names: Mapping[str, Measures]) -> list[Sql]:
    """One query per category; compiling them collects the thresholds."""
    return [
        Standing(
            levelling.program, category, order, names, levelling.limits, levelling.days, levelling.file,
            levelling.partner_columns, levelling.remembers,
        ).query(MEASURES)
        for order, category in enumerate(levelling.program.categories.values())
    ]  # fmt: skip


def notes_of(levelling: Levelling) -> Iterable[str]:
    """What the program reads and nobody delivered, and faults of the hierarchy; each said once."""
    snapshot, starts = levelling.snapshot, levelling.program.effective_from
    if starts is not None and starts > levelling.days.as_of:
        yield f"program {levelling.program.key} is in force from {starts} on; it was asked for {levelling.days.as_of}"
    for table in tables_used(levelling.program):
        if table not in snapshot.tables:
            yield f"table {table} was not delivered: it is empty"
    for table, column in sorted(_columns_read(levelling.program)):
        listed: Mapping[str, ColumnType] = CANONICAL[table].columns if table in CANONICAL else {}
        file = snapshot.tables.get(table)
        if file is not None and column in listed and column not in file.columns and column not in COMPUTED:
            yield f"column {table}.{column} was not delivered: it is empty"
    for metric, (number, example) in levelling.lost.items():
        line = levelling.program.metrics[metric].line
        lost = f"1 record ({example})" if number == 1 else f"{number} records ({example} among them)"
        yield (
            f"{levelling.program.file}:{line}: metric {metric} lost {lost} for want of an exchange rate or a reference "
            "row; it keeps the rest as a lower bound"
        )
    if levelling.hierarchy is not None:
        for partner, parent in levelling.hierarchy.orphans[:NOTED]:
            why = "names a row that was rejected" if parent in snapshot.rejected_partners else "is not a partner"
            yield f"partner {partner}: its parent_id {parent} {why}; it stands at the top of its tree"
        for partner in levelling.hierarchy.cyclic[:NOTED]:
            yield f"partner {partner}: parent_id runs in a circle or is deeper than 64 levels; it is provisional"


COMPUTED = frozenset({"credited_amount", "share", "role"})


def _columns_read(program: Program) -> set[tuple[str, str]]:
    read: set[tuple[str, str]] = set()
    for metric in program.metrics.values():
        formulas = [metric.where, metric.source.value if isinstance(metric.source, FromRows) else None]
        for formula in formulas:
            read |= set(formula.columns) if formula is not None else set()
    return read
