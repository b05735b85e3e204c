"""Every column of the tables that a program reads, with the type that its use asks for where that tells one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass
from pathlib import Path

from sqlglot import exp
from sqlglot.expressions import Expression

from crmsync.programs.program import (
    Aggregate,
    ByAttribute,
    Formula,
    FromField,
    FromGroups,
    FromRank,
    FromRows,
    InForce,
    Metric,
    Program,
    ReviewDates,
    StartsFrom,
    ThresholdRow,
    Unit,
)
from crmsync.tables import CANONICAL, ColumnType

Read = tuple[str, str, ColumnType | None, int]
"""Table, column, type that its use asks for (None: nothing tells), line of the file (0: unknown)."""

_ARITHMETIC = (exp.Add, exp.Sub, exp.Mul, exp.Div, exp.Neg, exp.Abs, exp.Floor, exp.Ceil, exp.Round)
_COMPARISONS = (exp.EQ, exp.NEQ, exp.LT, exp.LTE, exp.GT, exp.GTE, exp.Between, exp.In)
_CONDITIONS = (exp.And, exp.Or, exp.Not)
_CHOICES = (exp.Coalesce, exp.Nullif, exp.Least, exp.Greatest)
_DATES = (exp.Year, exp.Quarter, exp.Month)
_TEXTS = (exp.Lower, exp.Upper, exp.Length, exp.Like)
_NOT_TABLES = frozenset({"metric", "clock", "benefit"})
_NUMBERS = frozenset({Aggregate.SUM, Aggregate.AVERAGE, Aggregate.MEDIAN})
_PICKED = frozenset({Aggregate.MINIMUM, Aggregate.MAXIMUM, Aggregate.FIRST, Aggregate.LAST})
_NOT_COLUMNS = frozenset({"category", "tier"})  # `by: category`, `by: tier` of benefits and commission


def columns_read(program: Program) -> dict[tuple[str, str], ColumnType | None]:
    """(table, column) -> the type that its use asks for; None where nothing tells. Versions before are left out."""
    found: dict[tuple[str, str], ColumnType | None] = {}
    for table, column, kind, _ in reads_of(program):
        found[table, column] = found.get((table, column)) or kind
    return found


def reads_of(program: Program) -> Iterator[Read]:
    """Every place where the program reads a column; references are followed to the columns they are looked up by."""
    for metric in program.metrics.values():
        yield from _of_metric(program, metric)
    if program.declared and program.has_categories:
        yield "partners", program.declared.removeprefix("partners."), ColumnType.LIST, 0
    for condition in (
        program.takes_part,
        *(one for c in program.categories.values() for one in (c.member, c.observed)),
    ):
        if condition is not None:
            yield from _alone(condition, ColumnType.YES_NO)
    others = (program.ladders, program.categories, program.takes_part, program.starts_from, program.movement)
    for part in (*others, program.commission, program.costs, program.family):
        yield from _walk(program, part, "partners", 0)


def _of_metric(program: Program, metric: Metric) -> Iterator[Read]:
    source = metric.source
    table = source.table if isinstance(source, FromRows) else "partners"
    if isinstance(source, FromGroups):
        for condition in source.having:
            yield condition.source.table, source.of, None, condition.line
            yield from _dated(condition.source.table, condition.dated_by, condition.line)
            yield from _valid(condition.source.table, condition.during, condition.line)
            yield from _walk(program, condition, condition.source.table, condition.line)
        yield from _until(metric.during, metric.line)
        return
    if isinstance(source, FromField):
        yield "partners", source.column, _of_unit(metric.unit), metric.line
    if isinstance(source, FromRows):
        yield from _of_rows(source, metric.unit)
        yield from _valid(table, metric.during, metric.line)
    if isinstance(source, FromRank):
        yield from (("partners", column, ColumnType.TEXT, metric.line) for column in source.within)
    if metric.where is not None:
        yield from _alone(metric.where, ColumnType.YES_NO)
    yield from _dated(table, metric.dated_by, metric.line)
    if metric.split_by:
        prefix, _, column = metric.split_by.rpartition(".")
        yield prefix or table, column, ColumnType.TEXT, metric.line
    yield from _walk(program, metric, table, metric.line)


def _of_rows(source: FromRows, unit: Unit) -> Iterator[Read]:
    """A column that is added or picked is what the metric is."""
    if source.value is not None and source.aggregate in _NUMBERS:
        yield from _alone(source.value, ColumnType.NUMBER)
    if source.value is not None and source.aggregate in _PICKED:
        yield from _alone(source.value, _of_unit(unit))


def _valid(table: str, window: object, line: int) -> Iterator[Read]:
    """`in force` reads both ends of the validity."""
    if isinstance(window, InForce):
        yield table, "issued_on", ColumnType.DATE, line
        yield table, "expires_on", ColumnType.DATE, line


def _dated(table: str, column: str | None, line: int) -> Iterator[Read]:
    if column:
        yield table, column.rpartition(".")[2], ColumnType.DATE, line


def _until(window: object, line: int) -> Iterator[Read]:
    until = getattr(window, "until", None)
    if isinstance(until, str):  # of a freeze it is a date
        yield "partners", until, ColumnType.DATE, line


def _of_unit(unit: Unit) -> ColumnType:
    return {Unit.YES_NO: ColumnType.YES_NO, Unit.TEXT: ColumnType.TEXT}.get(unit, ColumnType.NUMBER)


def _alone(formula: Formula, kind: ColumnType) -> Iterator[Read]:
    """A column that stands for itself, as in `sum: lines.mrr`."""
    if isinstance(formula.tree, exp.Column) and formula.tree.table not in _NOT_TABLES:
        yield formula.tree.table, formula.tree.name, kind, formula.line


def _walk(program: Program, part: object, table: str, line: int) -> Iterator[Read]:
    """The reads of any part of the tree; `table`: whose rows it looks at."""
    line = getattr(part, "line", 0) or line
    match part:
        case Formula():
            yield from _of_formula(program, part, table)
            return
        case ByAttribute(column=column) if column not in _NOT_COLUMNS:
            yield "partners", column, ColumnType.TEXT, line
        case StartsFrom(column=column):
            yield "partners", column, ColumnType.TEXT, line
        case ThresholdRow(attributes=attributes):
            yield from (("partners", column, ColumnType.TEXT, line) for column in attributes)
        case ReviewDates(anniversary=column) if column:
            yield "partners", column, ColumnType.DATE, line
    if isinstance(part, Mapping):
        for inner in part.values():
            yield from _walk(program, inner, table, line)
    elif isinstance(part, tuple | list):
        for inner in part:
            yield from _walk(program, inner, table, line)
    elif is_dataclass(part) and not isinstance(part, type):
        yield from _until(part, line)
        for one in fields(part):
            inner = getattr(part, one.name)
            if not isinstance(inner, str | int | Path | Expression):
                yield from _walk(program, inner, table, line)


def _of_formula(program: Program, formula: Formula, table: str) -> Iterator[Read]:
    for node in formula.tree.find_all(exp.Column):
        name = node.table
        if name in program.references:
            yield from _lookup(program, name, table, formula.line)
        elif name == "parent":
            yield "partners", node.name, _use(node), formula.line
        elif name not in _NOT_TABLES:
            yield name or table, node.name, _use(node), formula.line


def _lookup(program: Program, name: str, table: str, line: int) -> Iterator[Read]:
    """The columns of a record by which a reference is looked up."""
    reference = program.references[name]
    sources = [source for _, source in reference.key]
    for source in sources:
        prefix, _, column = source.rpartition(".")
        if prefix in program.references:
            yield from _lookup(program, prefix, table, line)
        else:
            yield prefix or table, column, None, line
    if reference.dated_by:
        yield from _dated(table, reference.dated_by, line)


def _use(column: exp.Column) -> ColumnType | None:
    """What the use of a column in its expression asks it to be."""
    canonical = CANONICAL.get(column.table)
    if canonical and column.name in canonical.columns:
        return canonical.columns[column.name]
    above = column.parent
    while isinstance(above, exp.Paren):
        above = above.parent
    if above is None or isinstance(above, _CONDITIONS):
        return ColumnType.YES_NO if above is not None else None
    if isinstance(above, exp.If) and above.this is column:
        return ColumnType.YES_NO
    if isinstance(above, _DATES):
        return ColumnType.DATE
    if isinstance(above, _TEXTS):
        return ColumnType.TEXT
    if isinstance(above, exp.Anonymous):
        return ColumnType.LIST
    if isinstance(above, (*_COMPARISONS, *_ARITHMETIC, *_CHOICES)):
        beside = [_literal_kind(node) for node in above.iter_expressions()]  # of a bare further column: None
        known = [kind for kind in beside if kind is not None]
        if known:
            return known[0]
    return ColumnType.NUMBER if isinstance(above, _ARITHMETIC) else None


def _literal_kind(node: Expression) -> ColumnType | None:
    if isinstance(node, exp.Literal):
        return ColumnType.TEXT if node.is_string else ColumnType.NUMBER
    if isinstance(node, exp.Boolean):
        return ColumnType.YES_NO
    if isinstance(node, exp.Cast | exp.Interval) or (isinstance(node, exp.Column) and node.name == "as_of"):
        return ColumnType.DATE
    if isinstance(node, exp.Neg):
        return _literal_kind(node.this)
    if isinstance(node, exp.Column):
        canonical = CANONICAL.get(node.table)
        return canonical.columns.get(node.name) if canonical else None
    return ColumnType.NUMBER if isinstance(node, _ARITHMETIC) else None
