"""Compiled values: an SQL expression with its kind, and what has to hold for it to be known.

Money stays decimal, other numbers are DOUBLE; both are rounded only where they are compared, stored or shown.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from types import MappingProxyType

from crmsync.levelling import sql
from crmsync.levelling.sql import Sql
from crmsync.programs.program import Unit
from crmsync.tables import ColumnType

MONEY, NUMBER, COUNT, WORDS, DAY, LIST, YES_NO, LITERAL, SPAN, NOTHING = (
    "money", "number", "count", "text", "date", "list", "yes_no", "literal", "span", "nothing",
)  # fmt: skip

KIND_OF_COLUMN: Mapping[ColumnType, str] = MappingProxyType(
    {
        ColumnType.TEXT: WORDS,
        ColumnType.LIST: LIST,
        ColumnType.DATE: DAY,
        ColumnType.NUMBER: NUMBER,
        ColumnType.MONEY: MONEY,
        ColumnType.MEASURE: NUMBER,
        ColumnType.YES_NO: YES_NO,
    }
)

KIND_OF_UNIT: Mapping[Unit, str] = MappingProxyType({Unit.MONEY: MONEY, Unit.TEXT: WORDS, Unit.YES_NO: YES_NO})


@dataclass(frozen=True)
class Value:
    """A compiled value. `found`: what must hold for it to be known (a reference row, a rate). `unknown`: it contains a
    metric, so NULL means unknown. `lower_bound`: flag that the value is only a lower bound (a bare metric)."""

    sql: Sql
    kind: str
    found: tuple[Sql, ...] = ()
    unknown: bool = False
    lower_bound: Sql | None = None
    computed: bool = False  # not yet rounded: a DOUBLE to nine digits, money to cents
    number: Decimal | None = None  # of a literal
    span: tuple[int, str] | None = None  # of an interval
    shown: Sql | None = None  # the value as standings show it, where a column holds that already
    sure: bool = False  # never empty: a threshold
    whole: bool = False  # a DOUBLE without decimals


def merged(result: Sql, kind: str, *sides: Value, computed: bool = False) -> Value:
    """A value computed from others: known where all are; what is built on a lower bound is simply unknown."""
    found = {condition.sql(): condition for side in sides for condition in side.found}
    unknown = any(side.unknown for side in sides)
    lost = [side.lower_bound for side in sides if side.lower_bound is not None]
    if lost:
        result = sql.case([(sql.or_(*lost), sql.null())], result)
    return Value(result, kind, tuple(found.values()), unknown, computed=computed)


def exact(value: Value) -> Value:
    """The value, unknown where it is only a lower bound."""
    return value if value.lower_bound is None else merged(value.sql, value.kind, value, computed=value.computed)


def product(left: Value, right: Value) -> Value:
    """Left times right; money stays exact as long as the factor is below a million."""
    if left.number is not None and right.number is not None:
        return Value(sql.double(left.number * right.number), LITERAL, number=left.number * right.number)
    if left.kind == MONEY and right.kind == MONEY:
        return merged(sql.mul(as_double(left).sql, as_double(right).sql), NUMBER, left, right, computed=True)
    if MONEY not in (left.kind, right.kind):
        return merged(sql.mul(as_double(left).sql, as_double(right).sql), NUMBER, left, right, computed=True)
    money, factor = (left, right) if left.kind == MONEY else (right, left)
    if factor.number is not None:
        exact = sql.mul(sql.cast(money.sql, sql.AMOUNT), sql.decimal(factor.number, sql.RATE))
        if abs(factor.number) < 1_000_000 and -int(factor.number.as_tuple().exponent) <= 12:
            return merged(sql.cast(exact, sql.EXACT), MONEY, left, right, computed=True)
    else:
        exact = sql.mul(sql.cast(money.sql, sql.AMOUNT), sql.exact(as_double(factor).sql, sql.RATE))
    double = sql.mul(as_double(money).sql, as_double(factor).sql)
    small = sql.lt(sql.abs_(as_double(factor).sql), sql.double(1_000_000))
    product = sql.case([(small, sql.cast(exact, sql.EXACT))], sql.cast(double, sql.EXACT))
    return merged(product, MONEY, left, right, computed=True)


def as_double(value: Value) -> Value:
    """The value as a DOUBLE."""
    if value.kind == LITERAL or (value.kind == NUMBER):
        return value
    return replace(value, sql=sql.cast(value.sql, sql.DOUBLE))


def as_exact(value: Value) -> Sql:
    """The value as an exact decimal."""
    if value.number is not None:
        return sql.decimal(value.number)
    if value.kind == MONEY:
        return value.sql
    return sql.exact(value.sql) if value.kind == NUMBER else sql.cast(value.sql, sql.EXACT)


def comparable(left: Value, right: Value) -> tuple[Value, Value]:
    """Both sides as the language compares them: money exactly, other numbers after rounding to nine digits."""
    if MONEY in (left.kind, right.kind):
        return replace(left, sql=as_exact(left)), replace(right, sql=as_exact(right))
    return rounded(left), rounded(right)


def rounded(value: Value) -> Value:
    """A computed DOUBLE rounded to nine digits; anything else as it is."""
    if value.kind != NUMBER or not value.computed:
        return value
    return replace(value, sql=sql.nine_digits(value.sql), computed=False)


def show(value: Value) -> Sql:
    """A value as the text that standings show: money with 2 decimals, others without trailing zeros."""
    if value.shown is not None:
        return value.shown
    if value.kind == MONEY:
        return sql.money_text(value.sql)
    if value.whole:
        return sql.cast(sql.cast(value.sql, sql.BIGINT), sql.TEXT)
    if value.kind in (NUMBER, LITERAL):
        return sql.number_text(value.sql)
    return sql.cast(value.sql, sql.TEXT)
