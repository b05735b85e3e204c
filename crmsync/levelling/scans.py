"""What is read of each row of a table: its condition, value and dates per metric, and whether it counts for an atom."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date

from crmsync.errors import ConfigError
from crmsync.levelling import sql
from crmsync.levelling.atoms import Atom, Days, bounds_of
from crmsync.levelling.conditions import condition_of, found_of, value_of
from crmsync.levelling.rows import Rows
from crmsync.levelling.sql import Sql
from crmsync.levelling.values import MONEY, Value, as_double
from crmsync.programs.program import Aggregate, Ever, InForce, Last, Unit

CREDIT_COLUMNS = frozenset({("opportunities", "share"), ("opportunities", "credited_amount")})
ROWS_ID = "opportunity_id"


@dataclass(frozen=True)
class MetricColumns:
    """Row expressions of one metric; `lost` is None where no record of it can be lost."""

    condition: Sql | None
    value: Sql | None
    lost: Sql | None
    day: Sql
    expires: Sql


BoundsOf = Callable[[Atom], tuple[Sql | None, Sql]]
"""Gives the first (None: no beginning) and last day of an atom as SQL."""


def fixed_bounds(days: Days) -> BoundsOf:
    """Bounds as date literals, seen from the day of the atom's view."""

    def of(atom: Atom) -> tuple[Sql | None, Sql]:
        limits = bounds_of(atom, days.seen_from(atom.view), days)
        return (sql.day(limits.start) if limits.start else None), sql.day(limits.end)

    return of


def row_columns(rows: Rows, atom: Atom, file: str) -> MetricColumns:
    """The row expressions of an atom's metric."""
    metric, source = atom.metric, atom.source
    if metric.dated_by is None and rows.main_date() is None and not _undated(atom):
        raise ConfigError(
            f"metric {metric.key}: table {source.table} has no main date; name one with `dated_by`",
            file=file,
            line=metric.line,
        )
    rows.money_unit = False
    # a window that ends today leaves out what closes later: such a row need not be shown as open
    rows.closed_in_window = (
        isinstance(atom.window, Last)
        and rows.table == "opportunities"
        and (metric.dated_by or rows.main_date()) == "closed_on"
    )
    condition = condition_of(metric.where, rows, file) if metric.where else None
    rows.money_unit = metric.unit is Unit.MONEY
    value = value_of(source.value, rows, file) if source.value else None
    found = found_of(metric.where, rows) if metric.where else ()
    lost = [sql.and_(sql.is_null(condition), sql.not_(sql.and_(*found)))] if condition is not None and found else []
    typed = _typed(value, source.aggregate, metric.unit) if value is not None else None
    if value is not None and value.found:
        unknown = sql.and_(sql.is_null(value.sql), sql.not_(sql.and_(*value.found)))
        lost.append(sql.and_(condition, unknown) if condition is not None else unknown)
    return MetricColumns(
        condition,
        typed,
        sql.or_(*lost) if lost else None,
        rows.dated(metric.dated_by),
        rows.cell("expires_on") if rows.has_validity else sql.null(sql.DATE),
    )


def _undated(atom: Atom) -> bool:
    return isinstance(atom.window, Ever) and atom.window.shift is None and not atom.shifts


def _typed(value: Value, aggregate: Aggregate, unit: Unit) -> Sql:
    if aggregate is Aggregate.COUNT_DISTINCT:
        return sql.cast(value.sql, sql.TEXT)
    if unit is Unit.TEXT:
        return sql.cast(value.sql, sql.TEXT)
    if unit is Unit.MONEY:
        if value.kind != MONEY:
            return sql.cents(value.sql)
        return sql.cast(sql.round_(value.sql, 2), sql.MONEY) if value.computed else value.sql
    return as_double(value).sql


def in_window(atom: Atom, columns: MetricColumns, limits: BoundsOf, last_day: bool, as_of: date) -> Sql:
    """Whether a row counts for an atom."""
    start, end = limits(atom)
    day = columns.day
    conditions = [] if columns.condition is None else [columns.condition]
    if isinstance(atom.window, InForce):
        issued = sql.le(day, sql.least(end, sql.day(as_of)) if atom.shifts or atom.window.shift else sql.day(as_of))
        expired = sql.ge(columns.expires, end) if last_day else sql.gt(columns.expires, end)
        conditions += [sql.or_(sql.is_null(day), issued), sql.or_(sql.is_null(columns.expires), expired)]
    elif start is None:
        conditions.append(sql.or_(sql.is_null(day), sql.le(day, end)))
    else:
        conditions.append(sql.and_(sql.ge(day, start), sql.le(day, end)))
    return sql.and_(*conditions)


def is_plain(atom: Atom, rows: Rows) -> bool:
    """Whether an atom adds up (or takes the extreme) over rows as they are."""
    return atom.source.aggregate is not Aggregate.COUNT_DISTINCT and takes_each_row(atom, rows)


def takes_each_row(atom: Atom, rows: Rows) -> bool:
    """Whether no reduction to one row per opportunity is needed."""
    if atom.source.table != "opportunities" or rows.file is None or ROWS_ID in rows.file.unique:
        return True
    formulas = [formula for formula in (atom.metric.where, atom.source.value) if formula is not None]
    return any(formula.columns & CREDIT_COLUMNS for formula in formulas)


@dataclass(frozen=True)
class RowSource:
    """Where the rows of a pass come from (alias f, with partner_id), and the row expressions of each atom."""

    relation: Sql
    columns: Mapping[str, MetricColumns]  # by atom column


def row_expressions(rows: Rows, atoms: Sequence[Atom], days: Days, file: str) -> dict[str, MetricColumns]:
    """The row expressions of each atom, over the table as alias f."""
    columns = {}
    for atom in atoms:
        rows.on = sql.day(days.seen_from(atom.view))  # `as_of` inside a condition means the day of the view
        columns[atom.column] = row_columns(rows, atom, file)
    return columns


def kept(columns: MetricColumns, values: dict[str, Sql]) -> MetricColumns:
    """The row expressions as named columns of alias f, added to `values`; equal ones share a column."""

    def keep(value: Sql) -> Sql:
        text = value.sql()
        name = next((name for name, known in values.items() if known.sql() == text), None)
        if name is None:
            name = f"c{len(values)}"
            values[name] = value
        return sql.col(name, "f")

    return MetricColumns(
        keep(columns.condition) if columns.condition is not None else None,
        keep(columns.value) if columns.value is not None else None,
        keep(columns.lost) if columns.lost is not None else None,
        keep(columns.day),
        keep(columns.expires),
    )


def source_of(rows: Rows, atoms: Sequence[Atom], days: Days, file: str, limits: BoundsOf) -> RowSource:
    """The visible rows of a table of the snapshot, no further back than the earliest window."""
    expressions = row_expressions(rows, atoms, days, file)
    values = row_values(rows)
    columns = {column: kept(known, values) for column, known in expressions.items()}
    conditions = [one for one in (rows.visible(), _earliest(atoms, expressions, limits)) if one is not None]
    where = sql.and_(*conditions) if conditions else None
    query = sql.select(sql.columns(values), rows.source(), rows.joins(), where)
    return RowSource(sql.subquery(query, "f"), columns)


def row_values(rows: Rows) -> dict[str, Sql]:
    """The columns that every pass needs: whose row it is and, of opportunities, which."""
    values = {"partner_id": sql.col("partner_id", "f")}
    if ROWS_ID in rows.columns:
        values[ROWS_ID] = sql.col(ROWS_ID, "f")
    return values


def _earliest(atoms: Sequence[Atom], columns: Mapping[str, MetricColumns], limits: BoundsOf) -> Sql | None:
    days = {columns[atom.column].day.sql() for atom in atoms}
    starts = [limits(atom)[0] for atom in atoms]
    if len(days) != 1 or any(start is None for start in starts) or any(isinstance(a.window, InForce) for a in atoms):
        return None
    first = min((start for start in starts if start is not None), key=lambda start: str(start.this.this))
    return sql.ge(columns[atoms[0].column].day, first)
