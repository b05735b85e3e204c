"""Checked formulas turned into SQL with the language's own logic.

Cells: an empty cell equals nothing (comparisons do not hold, `<>` and `not in` hold, `not` turns the answer round).
Unknown metrics, arithmetic over empty cells, references without a row and money without a rate are unknown:
three-valued, decided where the known side suffices. Both meet here: every comparison is closed over empty cells and
left open (NULL) over unknowns.

Source: program-language, sections 0, 2 and 3 (unknown).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from types import MappingProxyType

from sqlglot import exp

from crmsync.levelling import sql
from crmsync.levelling.arithmetic import (
    Names,
    Reader,
    arithmetic,
    bound_taken,
    date_literal,
    interval,
    literal,
    same_kind,
)
from crmsync.levelling.comparisons import COMPARISONS, closed, compared
from crmsync.levelling.sql import Sql
from crmsync.levelling.values import (
    COUNT,
    DAY,
    LIST,
    LITERAL,
    MONEY,
    NOTHING,
    NUMBER,
    WORDS,
    YES_NO,
    Value,
    as_double,
    as_exact,
    comparable,
    merged,
    rounded,
)
from crmsync.programs.program import Formula


def value_of(formula: Formula, names: Names, file: str) -> Value:
    """The formula as a value; its NULL means empty or unknown."""
    return _value(formula.tree, Reader(names, formula, file))


def condition_of(formula: Formula, names: Names, file: str) -> Sql:
    """The formula as a condition: true, false, or NULL where an unknown decides."""
    return _condition(formula.tree, Reader(names, formula, file))


def found_of(formula: Formula, names: Names) -> tuple[Sql, ...]:
    """What must hold for every reference and money column of the formula to be known."""
    seen: dict[str, Sql] = {}
    for column in formula.tree.find_all(exp.Column):
        if column.table != "clock":
            for condition in names.value(column.table, column.name).found:
                seen.setdefault(condition.sql(), condition)
    return tuple(seen.values())


# --- conditions


def _condition(node: Sql, reader: Reader) -> Sql:
    maker = _CONDITIONS.get(type(node))
    if maker is not None:
        return maker(node, reader)
    if isinstance(node, COMPARISONS):
        return _comparison(node, reader)
    value = _value(node, reader)
    if value.kind not in (YES_NO, NOTHING):
        raise reader.refuse(f"`{node.sql()}` is a {value.kind}, where a condition is needed")
    return closed(value.sql, sql.false(), (value,))


def _comparison(node: Sql, reader: Reader) -> Sql:
    return compared(type(node), _value(node.this, reader), _value(node.expression, reader))


def _in(node: Sql, reader: Reader) -> Sql:
    value = _value(node.this, reader)
    members = [_value(member, reader) for member in node.expressions]
    sides = [comparable(value, member) for member in members]
    first = sides[0][0] if sides else value
    answer = sql.in_(first.sql, [member.sql for _, member in sides])
    lost = [] if value.lower_bound is None else [(value.lower_bound, sql.null(sql.BOOLEAN))]
    return sql.case(lost, closed(answer, sql.false(), (value, *members)))


def _between(node: Sql, reader: Reader) -> Sql:
    low = exp.GTE(this=node.this.copy(), expression=node.args["low"].copy())
    high = exp.LTE(this=node.this.copy(), expression=node.args["high"].copy())
    return sql.and_(_comparison(low, reader), _comparison(high, reader))


def _like(node: Sql, reader: Reader) -> Sql:
    value, pattern = _value(node.this, reader), _value(node.expression, reader)
    return closed(sql.like(value.sql, pattern.sql), sql.false(), (value, pattern))


def _is(node: Sql, reader: Reader) -> Sql:
    if not isinstance(node.expression, exp.Null):
        raise reader.refuse("`is` is followed by `null` or `not null`")
    return sql.is_null(_value(node.this, reader).sql)


def _has(node: Sql, reader: Reader) -> Sql:
    values, member = (_value(part, reader) for part in node.expressions)
    if values.kind not in (LIST, NOTHING):
        raise reader.refuse("has(list, value) needs a list column first")
    return closed(sql.list_contains(values.sql, member.sql), sql.false(), (values, member))


def _case_condition(node: Sql, reader: Reader) -> Sql:
    default = node.args.get("default")
    branches = [(when, _condition(then, reader)) for when, then in _branches(node, reader)]
    return sql.case(branches, _condition(default, reader) if default is not None else sql.null(sql.BOOLEAN))


def _coalesce_condition(node: Sql, reader: Reader) -> Sql:
    parts = [_open_condition(part, reader) for part in (node.this, *node.expressions)]
    return sql.coalesce(parts[0], *parts[1:])


def _open_condition(node: Sql, reader: Reader) -> Sql:
    """Inside coalesce an empty yes/no cell stays empty, so that its default can take over."""
    return _value(node, reader).sql if isinstance(node, exp.Column) else _condition(node, reader)


_CONDITIONS: Mapping[type[Sql], Callable[[Sql, Reader], Sql]] = MappingProxyType(
    {
        exp.And: lambda node, reader: sql.and_(_condition(node.this, reader), _condition(node.expression, reader)),
        exp.Or: lambda node, reader: sql.or_(_condition(node.this, reader), _condition(node.expression, reader)),
        exp.Not: lambda node, reader: sql.not_(_condition(node.this, reader)),
        exp.Paren: lambda node, reader: _condition(node.this, reader),
        exp.In: _in,
        exp.Between: _between,
        exp.Like: _like,
        exp.Is: _is,
        exp.Anonymous: _has,
        exp.Case: _case_condition,
        exp.Coalesce: _coalesce_condition,
        exp.Boolean: lambda node, _reader: sql.true() if node.this else sql.false(),
        exp.Null: lambda _node, _reader: sql.null(sql.BOOLEAN),
    }
)


def _branches(node: Sql, reader: Reader) -> list[tuple[Sql, Sql]]:
    """WHEN conditions and the nodes after THEN, for both forms of case."""
    subject = node.this
    whens = []
    for branch in node.args["ifs"]:
        when = exp.EQ(this=subject.copy(), expression=branch.this.copy()) if subject is not None else branch.this
        whens.append((_condition(when, reader), branch.args["true"]))
    return whens


# --- values


def _value(node: Sql, reader: Reader) -> Value:
    maker = _VALUES.get(type(node))
    if maker is not None:
        return maker(node, reader)
    if type(node) in _CONDITIONS or isinstance(node, COMPARISONS):
        # a condition used as a value already carries what it does not know as NULL
        return Value(_condition(node, reader), YES_NO, unknown=True)
    raise reader.refuse(f"`{node.sql()}` is not part of the language")


def _column(node: Sql, reader: Reader) -> Value:
    assert isinstance(node, exp.Column)
    if node.table == "clock":
        return Value(reader.names.as_of(), DAY)
    return reader.names.value(node.table, node.name)


def _arithmetic(node: Sql, reader: Reader) -> Value:
    return arithmetic(node, _value(node.this, reader), _value(node.expression, reader), reader)


def _unknown_over_empty(maker: Callable[[Sql, Reader], Value]) -> Callable[[Sql, Reader], Value]:
    """Arithmetic, least and greatest over an empty cell are unknown, not empty, as is division by zero."""

    def made(node: Sql, reader: Reader) -> Value:
        value = maker(node, reader)
        return value if value.number is not None else replace(value, unknown=True)

    return made


def _chosen(maker: Callable[..., Sql]) -> Callable[[Sql, Reader], Value]:
    def chosen(node: Sql, reader: Reader) -> Value:
        parts = [_value(part, reader) for part in (node.this, *node.expressions)]
        values, kind = same_kind(parts, reader, node)
        return merged(maker(*(value.sql for value in values)), kind, *values, computed=kind in (NUMBER, MONEY))

    return chosen


def _coalesce(node: Sql, reader: Reader) -> Value:
    parts = [_value(part, reader) for part in (node.this, *node.expressions)]
    values, kind = same_kind(parts, reader, node)
    result = sql.coalesce(values[0].sql, *(value.sql for value in values[1:]))
    last = parts[-1]  # a known default makes the whole known, but no lower bound exact
    if last.kind == LITERAL or not (last.unknown or last.found):
        return Value(result, kind, lower_bound=bound_taken(values), computed=kind in (NUMBER, MONEY))
    return merged(result, kind, *values, computed=kind in (NUMBER, MONEY))


def _nullif(node: Sql, reader: Reader) -> Value:
    (left, right), kind = same_kind([_value(node.this, reader), _value(node.expression, reader)], reader, node)
    return merged(sql.nullif(left.sql, right.sql), kind, left, right, computed=kind in (NUMBER, MONEY))


def _case_value(node: Sql, reader: Reader) -> Value:
    branches = _branches(node, reader)
    default = node.args.get("default")
    thens = [_value(then, reader) for _, then in branches]
    if default is not None:
        thens.append(_value(default, reader))
    if all(then.kind in (YES_NO, NOTHING) for then in thens):
        return Value(_case_condition(node, reader), YES_NO, unknown=True)
    thens = [then if then.lower_bound is None else merged(then.sql, then.kind, then) for then in thens]
    values, kind = same_kind(thens, reader, node)
    otherwise = values[len(branches)].sql if default is not None else None
    whens = [(when, value.sql) for (when, _), value in zip(branches, values, strict=False)]
    found = {condition.sql(): condition for value in values for condition in value.found}
    found.update({c.sql(): c for c in found_of(reader.formula, reader.names)})
    unknown = any(value.unknown for value in values) or bool(reader.formula.metrics)
    return Value(sql.case(whens, otherwise), kind, tuple(found.values()), unknown, computed=kind in (NUMBER, MONEY))


def _number_call(maker: Callable[[Sql], Sql]) -> Callable[[Sql, Reader], Value]:
    def call(node: Sql, reader: Reader) -> Value:
        value = _value(node.this, reader)
        if value.kind == MONEY:
            return merged(maker(value.sql), MONEY, value, computed=True)
        number = sql.cast(maker(as_double(rounded(value)).sql), sql.DOUBLE)  # FLOOR gives a whole number on Spark
        return merged(number, NUMBER, value, computed=True)

    return call


def _round(node: Sql, reader: Reader) -> Value:
    value = _value(node.this, reader)
    digits = int(node.args["decimals"].this) if node.args.get("decimals") is not None else 0
    exact = sql.round_(as_exact(value) if value.kind == MONEY else sql.exact(as_double(value).sql), digits)
    if value.kind == MONEY:
        return merged(exact, MONEY, value, computed=True)
    return merged(sql.cast(exact, sql.DOUBLE), NUMBER, value)


def _word_call(maker: Callable[[Sql], Sql], kind: str) -> Callable[[Sql, Reader], Value]:
    def call(node: Sql, reader: Reader) -> Value:
        value = _value(node.this, reader)
        return merged(sql.cast(maker(value.sql), sql.BIGINT) if kind == COUNT else maker(value.sql), kind, value)

    return call


def _negative(node: Sql, reader: Reader) -> Value:
    value = _value(node.this, reader)
    if value.number is not None:
        return Value(sql.double(-value.number), LITERAL, number=-value.number)
    return merged(exp.Neg(this=sql.paren(value.sql)), value.kind, value, computed=value.computed)


_VALUES: Mapping[type[Sql], Callable[[Sql, Reader], Value]] = MappingProxyType(
    {
        exp.Column: _column,
        exp.Literal: literal,
        exp.Cast: date_literal,
        exp.Interval: interval,
        exp.Null: lambda _node, _reader: Value(sql.null(), NOTHING),
        exp.Boolean: lambda node, _reader: Value(sql.true() if node.this else sql.false(), YES_NO),
        exp.Paren: lambda node, reader: _value(node.this, reader),
        exp.Neg: _unknown_over_empty(_negative),
        exp.Add: _unknown_over_empty(_arithmetic),
        exp.Sub: _unknown_over_empty(_arithmetic),
        exp.Mul: _unknown_over_empty(_arithmetic),
        exp.Div: _unknown_over_empty(_arithmetic),
        exp.Case: _case_value,
        exp.Coalesce: _coalesce,
        exp.Nullif: _nullif,
        exp.Least: _unknown_over_empty(_chosen(sql.least)),
        exp.Greatest: _unknown_over_empty(_chosen(sql.greatest)),
        exp.Abs: _number_call(sql.abs_),
        exp.Floor: _number_call(sql.floor),
        exp.Ceil: _number_call(sql.ceil),
        exp.Round: _round,
        exp.Lower: _word_call(sql.lower, WORDS),
        exp.Upper: _word_call(sql.upper, WORDS),
        exp.Length: _word_call(sql.length, COUNT),
        exp.Year: _word_call(sql.year, COUNT),
        exp.Quarter: _word_call(sql.quarter, COUNT),
        exp.Month: _word_call(sql.month, COUNT),
    }
)
