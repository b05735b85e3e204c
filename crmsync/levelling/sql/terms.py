"""Names, types, literals, comparisons and conditions."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date
from decimal import Decimal
from functools import lru_cache
from typing import Any

from sqlglot import exp

Sql = exp.Expression

MONEY = "DECIMAL(28, 2)"
AMOUNT = "DECIMAL(19, 2)"  # one delivered amount: the left half of the only safe product pair
RATE = "DECIMAL(18, 12)"  # its right half
EXACT = "DECIMAL(38, 9)"
DOUBLE = "DOUBLE"
BIGINT = "BIGINT"
INT = "INT"
TEXT = "TEXT"
DATE = "DATE"
BOOLEAN = "BOOLEAN"


def name(text: str) -> exp.Identifier:
    return exp.Identifier(this=text, quoted=True)


def col(column: str, table: str | None = None) -> Sql:
    return exp.Column(this=name(column), table=name(table) if table else None)


def text(value: str) -> Sql:
    return exp.Literal.string(value)


def number(value: int | Decimal | str) -> Sql:
    """A plain number literal; negative ones are parenthesised by the generator."""
    plain = f"{value:f}" if isinstance(value, Decimal) else str(value)
    literal = exp.Literal(this=plain.lstrip("-"), is_string=False)
    return exp.Neg(this=literal) if plain.startswith("-") else literal


@lru_cache(maxsize=64)
def _type(kind: str) -> exp.DataType:
    """The type as a node, which stands in many trees: no writer changes it, and what changes a tree copies it first."""
    return exp.DataType.build(kind)


def cast(value: Sql, kind: str) -> Sql:
    return exp.Cast(this=value, to=_type(kind))


def decimal(value: Decimal, kind: str = EXACT) -> Sql:
    return cast(text(f"{value:f}"), kind)


def double(value: Decimal | int | str) -> Sql:
    """A DOUBLE literal: the exponent makes it one on every engine, where `0.3` would be a decimal."""
    plain = f"{value:f}" if isinstance(value, Decimal) else str(value)
    literal = exp.Literal(this=f"{plain.lstrip('-')}e0", is_string=False)
    return exp.Neg(this=literal) if plain.startswith("-") else literal


def day(value: date) -> Sql:
    return cast(text(value.isoformat()), DATE)


def null(kind: str | None = None) -> Sql:
    return cast(exp.Null(), kind) if kind else exp.Null()


def true() -> Sql:
    return exp.Boolean(this=True)


def false() -> Sql:
    return exp.Boolean(this=False)


def paren(value: Sql) -> Sql:
    # SQLGlot counts `and` and `or` among its functions, so binaries are ruled out by name
    atomic = exp.Column | exp.Literal | exp.Func | exp.Paren | exp.Boolean | exp.Null | exp.Case
    return value if isinstance(value, atomic) and not isinstance(value, exp.Binary) else exp.Paren(this=value)


def _binary(kind: type[exp.Binary], left: Sql, right: Sql) -> Sql:
    node: Any = kind(this=paren(left), expression=paren(right))
    result: Sql = node
    return result


def eq(left: Sql, right: Sql) -> Sql:
    return _binary(exp.EQ, left, right)


def ne(left: Sql, right: Sql) -> Sql:
    return _binary(exp.NEQ, left, right)


def lt(left: Sql, right: Sql) -> Sql:
    return _binary(exp.LT, left, right)


def le(left: Sql, right: Sql) -> Sql:
    return _binary(exp.LTE, left, right)


def gt(left: Sql, right: Sql) -> Sql:
    return _binary(exp.GT, left, right)


def ge(left: Sql, right: Sql) -> Sql:
    return _binary(exp.GTE, left, right)


def add(left: Sql, right: Sql) -> Sql:
    return _binary(exp.Add, left, right)


def sub(left: Sql, right: Sql) -> Sql:
    return _binary(exp.Sub, left, right)


def mul(left: Sql, right: Sql) -> Sql:
    return _binary(exp.Mul, left, right)


def div(left: Sql, right: Sql) -> Sql:
    """Division of two DOUBLEs; the caller casts both and guards against zero."""
    return _binary(exp.Div, left, right)


def and_(*parts: Sql) -> Sql:
    return _chain(exp.And, parts, true())


def or_(*parts: Sql) -> Sql:
    return _chain(exp.Or, parts, false())


def _chain(kind: type[exp.Binary], parts: Sequence[Sql], empty: Sql) -> Sql:
    parts = [part for part in parts if part != empty]  # `true and x` is x
    if not parts:
        return empty
    # a balanced tree: a long chain would nest past the parser's depth
    if len(parts) == 1:
        return parts[0]
    middle = len(parts) // 2
    return _binary(kind, _chain(kind, parts[:middle], empty), _chain(kind, parts[middle:], empty))


def not_(value: Sql) -> Sql:
    return exp.Not(this=paren(value))


def is_null(value: Sql) -> Sql:
    return exp.Is(this=paren(value), expression=exp.Null())


def not_null(value: Sql) -> Sql:
    return not_(is_null(value))


def in_(value: Sql, members: Sequence[Sql]) -> Sql:
    return exp.In(this=paren(value), expressions=list(members))


def like(value: Sql, pattern: Sql) -> Sql:
    return exp.Like(this=paren(value), expression=pattern)


def case(branches: Iterable[tuple[Sql, Sql]], otherwise: Sql | None = None) -> Sql:
    branches = list(branches)
    if branches and branches[0][0] == true():
        return branches[0][1]
    if not branches:
        return otherwise if otherwise is not None else exp.Null()
    ifs = [exp.If(this=condition, true=value) for condition, value in branches]
    return exp.Case(ifs=ifs, default=otherwise)


def coalesce(first: Sql, *others: Sql) -> Sql:
    return exp.Coalesce(this=first, expressions=list(others))


def nullif(value: Sql, other: Sql) -> Sql:
    return exp.Nullif(this=value, expression=other)
