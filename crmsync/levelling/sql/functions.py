"""Functions of values: numbers, texts, dates, lists and structs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from sqlglot import exp

from crmsync.levelling.sql.terms import DATE, Sql, add, case, cast, is_null, number, or_, paren, sub, text


def _known(values: Sequence[Sql], result: Sql) -> Sql:
    return case([(or_(*(is_null(value) for value in values)), exp.Null())], result)


def least(*values: Sql) -> Sql:
    """The smallest; unknown when any is (engines skip nulls differently)."""
    return values[0] if len(values) == 1 else _known(values, exp.Least(this=values[0], expressions=list(values[1:])))


def greatest(*values: Sql) -> Sql:
    """The largest; unknown when any is."""
    return values[0] if len(values) == 1 else _known(values, exp.Greatest(this=values[0], expressions=list(values[1:])))


def least_known(*values: Sql) -> Sql:
    """The smallest of values that are never null."""
    if len(values) == 1:
        return values[0]
    return exp.Least(this=values[0], expressions=list(values[1:]), ignore_nulls=True)


def greatest_known(*values: Sql) -> Sql:
    """The largest of values that are never null."""
    if len(values) == 1:
        return values[0]
    return exp.Greatest(this=values[0], expressions=list(values[1:]), ignore_nulls=True)


def abs_(value: Sql) -> Sql:
    return exp.Abs(this=value)


def floor(value: Sql) -> Sql:
    return exp.Floor(this=value)


def ceil(value: Sql) -> Sql:
    return exp.Ceil(this=value)


def round_(value: Sql, digits: int) -> Sql:
    return exp.Round(this=value, decimals=number(digits))


def lower(value: Sql) -> Sql:
    return exp.Lower(this=value)


def upper(value: Sql) -> Sql:
    return exp.Upper(this=value)


def length(value: Sql) -> Sql:
    return exp.Length(this=value)


def year(value: Sql) -> Sql:
    return exp.Year(this=value)


def quarter(value: Sql) -> Sql:
    return exp.Quarter(this=value)


def month(value: Sql) -> Sql:
    return exp.Month(this=value)


def days_between(later: Sql, earlier: Sql) -> Sql:
    return exp.DateDiff(this=later, expression=earlier, unit=exp.Var(this="DAY"))


def plus_interval(value: Sql, count: int, unit: str) -> Sql:
    """A date plus whole days or months, as a date on every engine."""
    interval = exp.Interval(this=text(str(abs(count))), unit=exp.Var(this=unit))
    shifted = sub(value, interval) if count < 0 else add(value, interval)
    return cast(shifted, DATE)


def list_contains(values: Sql, member: Sql) -> Sql:
    return exp.ArrayContains(this=values, expression=member)


def array(values: Sequence[Sql]) -> Sql:
    return exp.Array(expressions=list(values))


def empty_array(kind: str) -> Sql:
    return cast(exp.Array(expressions=[]), f"ARRAY<{kind}>")


def starts_with(value: Sql, beginning: Sql) -> Sql:
    """Whether a text begins with another."""
    return exp.StartsWith(this=value, expression=beginning)


def joined(values: Sequence[Sql], separator: str) -> Sql:
    """Texts joined with a separator, none of them empty; nulls are left out, and all of them give null."""
    return exp.ArrayToString(this=array(values), expression=text(separator))


def struct(fields: Mapping[str, Sql]) -> Sql:
    return exp.Struct(
        expressions=[
            exp.PropertyEQ(this=exp.to_identifier(key, quoted=True), expression=value) for key, value in fields.items()
        ]
    )


def concat(*parts: Sql) -> Sql:
    """Texts joined; null when any part is null."""
    result = parts[0]
    for part in parts[1:]:
        result = exp.DPipe(this=result, expression=paren(part))
    return exp.Paren(this=result)


def how_many_bits(value: Sql) -> Sql:
    """How many bits a value has."""
    return exp.BitwiseCount(this=value)


def without_nulls(values: Sql) -> Sql:
    """A list without its nulls."""
    return exp.ArrayCompact(this=values)
