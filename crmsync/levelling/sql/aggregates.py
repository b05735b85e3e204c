"""What many rows come to, per group or over a window."""

from __future__ import annotations

from collections.abc import Sequence

from sqlglot import exp

from crmsync.levelling.sql.terms import Sql


def _filtered(aggregate: Sql, where: Sql | None) -> Sql:
    return aggregate if where is None else exp.Filter(this=aggregate, expression=exp.Where(this=where))


def sum_(value: Sql, where: Sql | None = None) -> Sql:
    return _filtered(exp.Sum(this=value), where)


def count(where: Sql | None = None) -> Sql:
    return _filtered(exp.Count(this=exp.Star()), where)


def count_of(value: Sql, where: Sql | None = None) -> Sql:
    return _filtered(exp.Count(this=value), where)


def min_(value: Sql, where: Sql | None = None) -> Sql:
    return _filtered(exp.Min(this=value), where)


def max_(value: Sql, where: Sql | None = None) -> Sql:
    return _filtered(exp.Max(this=value), where)


def any_true(value: Sql, where: Sql | None = None) -> Sql:
    return _filtered(exp.LogicalOr(this=value), where)


def bits_of(value: Sql, where: Sql | None = None) -> Sql:
    """All bits that some value has."""
    return _filtered(exp.BitwiseOrAgg(this=value), where)


def first_of(value: Sql, over: Sequence[Sql], order: Sequence[tuple[Sql, bool]]) -> Sql:
    """The value of the first row per `over`, by `order` (expression, descending)."""
    ordered = exp.Order(expressions=[exp.Ordered(this=e, desc=desc, nulls_first=False) for e, desc in order])
    return exp.Window(this=exp.FirstValue(this=value), partition_by=list(over), order=ordered)


def rank_over(over: Sequence[Sql], order: Sql, descending: bool) -> Sql:
    """Place of a row per `over`, from 1; rows that are equal share the better place."""
    ordered = exp.Order(expressions=[exp.Ordered(this=order, desc=descending, nulls_first=False)])
    return exp.Window(this=exp.Rank(), partition_by=list(over), order=ordered)


def count_over(over: Sequence[Sql]) -> Sql:
    """How many rows there are per `over`."""
    return exp.Window(this=exp.Count(this=exp.Star()), partition_by=list(over))


def row_number(over: Sequence[Sql], order: Sequence[tuple[Sql, bool]]) -> Sql:
    """The place of a row within `over`, from 1, by `order` (expression, descending); nulls come last."""
    ordered = exp.Order(expressions=[exp.Ordered(this=e, desc=desc, nulls_first=False) for e, desc in order])
    return exp.Window(this=exp.RowNumber(), partition_by=list(over), order=ordered)


def known_within(value: Sql, over: Sequence[Sql]) -> Sql:
    """How many rows within `over` have the value."""
    return exp.Window(this=exp.Count(this=value), partition_by=list(over))


def max_over(value: Sql, over: Sequence[Sql]) -> Sql:
    """The largest of the rows that have the same `over`."""
    return exp.Window(this=exp.Max(this=value), partition_by=list(over))


def min_over(value: Sql, over: Sequence[Sql]) -> Sql:
    """The smallest of the rows that have the same `over`."""
    return exp.Window(this=exp.Min(this=value), partition_by=list(over))


def sum_over(value: Sql, over: Sequence[Sql]) -> Sql:
    """The sum of the rows that have the same `over`."""
    return exp.Window(this=exp.Sum(this=value), partition_by=list(over))


def running_sum(value: Sql, over: Sequence[Sql], order: Sql) -> Sql:
    """The sum of a value from the first row to this one."""
    return exp.Window(
        this=exp.Sum(this=value),
        partition_by=list(over),
        order=exp.Order(expressions=[exp.Ordered(this=order, desc=False, nulls_first=False)]),
        spec=exp.WindowSpec(kind="ROWS", start="UNBOUNDED", start_side="PRECEDING", end="CURRENT ROW"),
    )
