"""What a formula computes with: literals, dates and intervals, arithmetic, and values brought to one kind."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal
from typing import Protocol

from sqlglot import exp

from crmsync.errors import ConfigError
from crmsync.levelling import sql
from crmsync.levelling.sql import Sql
from crmsync.levelling.values import (
    COUNT,
    DAY,
    LITERAL,
    MONEY,
    NOTHING,
    NUMBER,
    SPAN,
    WORDS,
    Value,
    as_double,
    as_exact,
    merged,
    product,
)
from crmsync.programs.program import Formula


class Names(Protocol):
    """Where a formula's names come from."""

    def value(self, table: str, column: str) -> Value:
        """The column of a table or reference, or the metric (table `metric`)."""
        ...

    def as_of(self) -> Sql:
        """The day of the evaluation."""
        ...


@dataclass(frozen=True)
class Reader:
    """One formula on its way to SQL: where its names come from, and how to refuse it."""

    names: Names
    formula: Formula
    file: str

    def refuse(self, why: str) -> ConfigError:
        """The error that names the formula and its line."""
        return ConfigError(f"`{self.formula.text}`: {why}", file=self.file, line=self.formula.line)


def literal(node: Sql, _reader: Reader) -> Value:
    """A text or a number."""
    if node.is_string:
        return Value(sql.text(node.this), WORDS)
    return Value(sql.double(node.this), LITERAL, number=Decimal(node.this))


def date_literal(node: Sql, reader: Reader) -> Value:
    """`date '2026-01-31'`."""
    try:
        return Value(sql.day(date.fromisoformat(node.this.this)), DAY)
    except ValueError as error:
        raise reader.refuse(f"{node.this.this!r} is not a date") from error


def interval(node: Sql, reader: Reader) -> Value:
    """`interval '12 months'` as whole months or days."""
    unit = str(node.args["unit"].this).upper().rstrip("S")
    count = int(Decimal(node.this.this))
    months = {"MONTH": 1, "QUARTER": 3, "YEAR": 12}.get(unit)
    days = {"DAY": 1, "WEEK": 7}.get(unit)
    if months is None and days is None:
        raise reader.refuse(f"an interval is given in days, weeks, months, quarters or years, not {unit.lower()}")
    return Value(sql.null(), SPAN, span=(count * months, "MONTH") if months else (count * (days or 1), "DAY"))


def arithmetic(node: Sql, left: Value, right: Value, reader: Reader) -> Value:
    """`left + - * / right`; money stays exact, a date takes an interval."""
    if DAY in (left.kind, right.kind) or SPAN in (left.kind, right.kind):
        return _date_arithmetic(node, left, right, reader)
    for side in (left, right):
        if side.kind not in (MONEY, NUMBER, COUNT, LITERAL, NOTHING):
            raise reader.refuse(f"`{node.sql()}` computes with a {side.kind}")
    if isinstance(node, exp.Mul):
        return product(left, right)
    if isinstance(node, exp.Div):
        divisor = sql.nullif(as_double(right).sql, sql.double(0))
        return merged(sql.div(as_double(left).sql, divisor), NUMBER, left, right, computed=True)
    maker = sql.add if isinstance(node, exp.Add) else sql.sub
    if MONEY in (left.kind, right.kind):
        exact_left, exact_right = as_exact(left), as_exact(right)
        return merged(maker(exact_left, exact_right), MONEY, left, right, computed=True)
    if left.number is not None and right.number is not None:
        total = left.number + right.number if isinstance(node, exp.Add) else left.number - right.number
        return Value(sql.double(total), LITERAL, number=total)
    return merged(maker(as_double(left).sql, as_double(right).sql), NUMBER, left, right, computed=True)


def _date_arithmetic(node: Sql, left: Value, right: Value, reader: Reader) -> Value:
    if left.kind == right.kind == DAY and isinstance(node, exp.Sub):
        return merged(sql.cast(sql.days_between(left.sql, right.sql), sql.BIGINT), COUNT, left, right)
    if isinstance(node, exp.Add) and left.kind == SPAN:
        left, right = right, left
    if left.kind != DAY or right.span is None or not isinstance(node, exp.Add | exp.Sub):
        raise reader.refuse(f"`{node.sql()}`: a date takes an interval (date - interval '3 months') or another date")
    count, unit = right.span
    return merged(sql.plus_interval(left.sql, count if isinstance(node, exp.Add) else -count, unit), DAY, left)


def same_kind(values: list[Value], reader: Reader, node: Sql) -> tuple[list[Value], str]:
    """The values as one kind, and that kind. Errors: ConfigError where they do not go together."""
    kinds = {value.kind for value in values if value.kind not in (NOTHING, LITERAL)}
    if MONEY in kinds:
        return [replace(value, sql=as_exact(value), kind=MONEY) for value in values], MONEY
    if kinds <= {NUMBER, COUNT}:
        return [as_double(value) if value.kind != NOTHING else value for value in values], NUMBER
    if len(kinds) > 1:
        raise reader.refuse(f"`{node.sql()}` mixes {' and '.join(sorted(kinds))}")
    return values, next(iter(kinds))


def bound_taken(values: list[Value]) -> Sql | None:
    """Whether the first known of the values is only a lower bound."""
    taken = [
        sql.and_(value.lower_bound, sql.not_null(value.sql), *(sql.is_null(earlier.sql) for earlier in values[:at]))
        for at, value in enumerate(values)
        if value.lower_bound is not None
    ]
    return sql.or_(*taken) if taken else None
