"""What is read of each row of a table: its condition, value and dates per metric, and whether it counts for an atom."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from types import MappingProxyType

from crmsync.errors import ConfigError
from crmsync.levelling import sql
from crmsync.levelling.atoms import Atom, Days, bounds_of, is_by_date
from crmsync.levelling.conditions import condition_of, found_of, value_of
from crmsync.levelling.rows import TIE, Rows
from crmsync.levelling.spans import Join, Span, Spans
from crmsync.levelling.sql import Sql
from crmsync.levelling.values import MONEY, WORDS, Value, as_double, show
from crmsync.levelling.windows import partner_dates
from crmsync.programs.program import Aggregate, Ever, InForce, Metric, Unit

CREDIT_COLUMNS = frozenset({("opportunities", "share"), ("opportunities", "credited_amount")})
ROWS_ID = "opportunity_id"
ADDING = frozenset({Aggregate.SUM, Aggregate.COUNT, Aggregate.AVERAGE, Aggregate.MINIMUM, Aggregate.MAXIMUM})
NOTHING_MORE: Mapping[str, Sql] = MappingProxyType({})


@dataclass(frozen=True)
class MetricColumns:
    """Row expressions of one metric; `lost` is None where no record of it can be lost."""

    condition: Sql | None
    value: Sql | None
    lost: Sql | None
    day: Sql
    expires: Sql
    span: tuple[Sql | None, Sql] | None = None  # first and last day, where they depend on the partner


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
    # a window that asks for the close leaves out what closes later: such a row need not be shown as open
    rows.closed_in_window = (
        not isinstance(atom.window, Ever | InForce)
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
    found_columns = MetricColumns(
        condition,
        typed,
        sql.or_(*lost) if lost else None,
        rows.dated(metric.dated_by),
        rows.cell("expires_on") if rows.has_validity else sql.null(sql.DATE),
    )
    return found_columns if atom.spot.split is None else _of_split(found_columns, rows, metric, atom.spot.split)


def _of_split(columns: MetricColumns, rows: Rows, metric: Metric, split: str) -> MetricColumns:
    """The same for rows of one split value."""
    same = sql.eq(split_words(rows, metric), sql.text(split))
    condition = same if columns.condition is None else sql.and_(same, columns.condition)
    return replace(
        columns, condition=condition, lost=sql.and_(same, columns.lost) if columns.lost is not None else None
    )


def split_words(rows: Rows, metric: Metric) -> Sql:
    """The column that a metric is split by, as text."""
    table, _, column = (metric.split_by or "").rpartition(".")
    return as_words(rows.value(table or rows.table, column))


def as_words(value: Value) -> Sql:
    """A cell as the text that a split or a group is known by."""
    return value.sql if value.kind == WORDS else show(value)


def _undated(atom: Atom) -> bool:
    return isinstance(atom.window, Ever) and not partner_dates(atom.window) and not (atom.window.shift or atom.shifts)


def _typed(value: Value, aggregate: Aggregate, unit: Unit) -> Sql:
    if aggregate is Aggregate.COUNT_DISTINCT:
        return sql.cast(value.sql, sql.TEXT)
    if unit is Unit.TEXT:
        return sql.cast(value.sql, sql.TEXT)
    if unit is Unit.YES_NO:
        return value.sql
    if unit is Unit.MONEY:
        if value.kind != MONEY:
            return sql.cents(value.sql)
        return sql.cast(sql.round_(value.sql, 2), sql.MONEY) if value.computed else value.sql
    return as_double(value).sql


def in_window(atom: Atom, columns: MetricColumns, limits: BoundsOf, last_day: bool, as_of: date) -> Sql:
    """Whether a row counts for an atom."""
    start, end = columns.span if columns.span is not None else limits(atom)
    day = columns.day
    conditions = [] if columns.condition is None else [columns.condition]
    if isinstance(atom.window, InForce):
        today = sql.day(as_of)
        moved = columns.span is not None or atom.shifts or atom.window.shift
        issued = sql.le(day, sql.least(end, today) if moved else today)
        ended = start if start is not None else end
        expired = sql.ge(columns.expires, ended) if last_day else sql.gt(columns.expires, ended)
        conditions += [sql.or_(sql.is_null(day), issued), sql.or_(sql.is_null(columns.expires), expired)]
    elif start is None:
        conditions.append(sql.or_(sql.is_null(day), sql.le(day, end)))
    else:
        conditions.append(sql.and_(sql.ge(day, start), sql.le(day, end)))
    return sql.and_(*conditions)


def is_plain(atom: Atom, rows: Rows) -> bool:
    """Whether an atom adds up (or takes the extreme) over rows as they are."""
    return atom.source.aggregate in ADDING and takes_each_row(atom, rows)


def takes_each_row(atom: Atom, rows: Rows) -> bool:
    """Whether no reduction to one row per opportunity is needed."""
    if atom.source.table != "opportunities" or rows.file is None or ROWS_ID in rows.file.unique:
        return True
    formulas = [formula for formula in (atom.metric.where, atom.source.value) if formula is not None]
    return any(formula.columns & CREDIT_COLUMNS for formula in formulas)


def lost_in_window(atom: Atom, columns: MetricColumns, limits: BoundsOf, last_day: bool, as_of: date) -> Sql:
    """Whether a row was lost to an atom, its day being in the window."""
    anywhere = replace(columns, condition=None, value=None, lost=None)
    return sql.and_(columns.lost or sql.false(), in_window(atom, anywhere, limits, last_day, as_of))


# --- where the rows of a pass come from


@dataclass(frozen=True)
class RowSource:
    """Where the rows of a pass come from (alias f, with partner_id), and the row expressions of each atom."""

    relation: Sql
    columns: Mapping[str, MetricColumns]  # by atom column
    spans: Mapping[str, Span]  # by atom column, where the window depends on the partner


def row_expressions(rows: Rows, atoms: Sequence[Atom], days: Days, file: str) -> dict[str, MetricColumns]:
    """The row expressions of each atom, over the table as alias f."""
    columns = {}
    for atom in atoms:
        rows.on = sql.day(days.seen_from(atom.view))  # `as_of` inside a condition means the day of the view
        columns[atom.column] = row_columns(rows, atom, file)
    return columns


class KeptColumns:
    """Row expressions as named columns of alias f; equal ones share a column. `values`: the columns by name."""

    def __init__(self, values: Mapping[str, Sql]) -> None:
        self.values = dict(values)
        self._names = {value.sql(): name for name, value in reversed(list(values.items()))}

    def of(self, columns: MetricColumns) -> MetricColumns:
        """The row expressions of one metric, read by name."""
        span = columns.span
        return MetricColumns(
            self._some(columns.condition),
            self._some(columns.value),
            self._some(columns.lost),
            self._column(columns.day),
            self._column(columns.expires),
            (self._some(span[0]), self._column(span[1])) if span is not None else None,
        )

    def _some(self, value: Sql | None) -> Sql | None:
        return self._column(value) if value is not None else None

    def _column(self, value: Sql) -> Sql:
        name = self._names.setdefault(value.sql(), f"c{len(self.values)}")
        self.values.setdefault(name, value)
        return sql.col(name, "f")


def source_of(
    rows: Rows, atoms: Sequence[Atom], days: Days, file: str, limits: BoundsOf, spans: Spans,
    *, pairs: str | None = None, more: Mapping[str, Sql] = NOTHING_MORE, only: Sql | None = None,
) -> RowSource:  # fmt: skip
    """The visible rows of a table of the snapshot, no further back than the earliest window.

    `pairs`: a table (ancestor, member); each row then stands once for every ancestor, as its partner_id, and windows
    are those of the ancestor. `more`: further columns of the rows; `only`: which rows are taken at all.
    """
    expressions = row_expressions(rows, atoms, days, file)
    account = sql.col("partner_id", "f") if pairs is None else sql.col("ancestor", "c")
    found = {atom.column: span for atom in atoms if (span := spans.of(atom)) is not None}
    expressions |= {column: replace(expressions[column], span=span.bounds) for column, span in found.items()}
    values = {**row_values(rows), **more, "partner_id": account}
    if any(is_by_date(atom) for atom in atoms):
        values[TIE] = rows.identity()
    kept = KeptColumns(values)
    columns = {column: kept.of(known) for column, known in expressions.items()}
    conditions = [one for one in (rows.visible(), only, _earliest(atoms, expressions, limits)) if one is not None]
    where = sql.and_(*conditions) if conditions else None
    joins = [] if pairs is None else [("inner", sql.table(pairs, "c"), _is_member())]
    joins += [*rows.joins(), *_span_joins(found, account)]
    query = sql.select(sql.columns(kept.values), rows.source(), joins, where)
    return RowSource(sql.subquery(query, "f"), columns, found)


def _is_member() -> Sql:
    return sql.eq(sql.col("member", "c"), sql.col("partner_id", "f"))


def _span_joins(spans: Mapping[str, Span], account: Sql) -> list[Join]:
    if not spans:
        return []
    partner: Join = ("left", sql.table("t_partners", "sp"), sql.eq(sql.col("partner_id", "sp"), account))
    return [partner, *(span.join("sp") for span in {span.table: span for span in spans.values()}.values())]


def row_values(rows: Rows) -> dict[str, Sql]:
    """The columns that every pass needs: whose row it is and, of opportunities, which."""
    values = {"partner_id": sql.col("partner_id", "f")}
    if ROWS_ID in rows.columns:
        values[ROWS_ID] = sql.col(ROWS_ID, "f")
    return values


def _earliest(atoms: Sequence[Atom], columns: Mapping[str, MetricColumns], limits: BoundsOf) -> Sql | None:
    """No row before the first day of any window is needed, where all windows ask the same date."""
    if len({columns[atom.column].day.sql() for atom in atoms}) != 1:
        return None
    if any(isinstance(atom.window, InForce) or columns[atom.column].span is not None for atom in atoms):
        return None
    starts = [start for start in (limits(atom)[0] for atom in atoms) if start is not None]
    if len(starts) < len(atoms):
        return None
    return sql.ge(columns[atoms[0].column].day, min(starts, key=lambda start: str(start.this.this)))
