"""Partial aggregates: what is kept of a group of rows so that groups can be put together, and the value in the end."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from sqlglot import exp

from crmsync.levelling import sql
from crmsync.levelling.atoms import Atom
from crmsync.levelling.sql import Sql
from crmsync.programs.program import Aggregate, Unit


def once(values: Mapping[str, Sql]) -> tuple[dict[str, Sql], dict[str, str]]:
    """Equal aggregates computed once: those to compute, and for each other name the one that holds it."""
    kept_by_text: dict[str, str] = {}
    same: dict[str, str] = {}
    for name, value in values.items():
        first = kept_by_text.setdefault(value.sql() + name.rpartition("?")[2], name)
        if first != name:
            same[name] = first
    return {name: value for name, value in values.items() if name not in same}, same


def renamed(value: Sql, same: Mapping[str, str]) -> Sql:
    """The value with columns read from those that hold the same."""
    for column in list(value.find_all(exp.Column)):
        if column.name in same:
            column.set("this", sql.name(same[column.name]))
    return value


def combining(partial: str) -> Callable[[Sql], Sql]:
    """How a partial column of several groups becomes that of all of them."""
    ending = partial.rpartition("?")[2]
    flags = dict.fromkeys(("lost", "negative", "some"), sql.any_true)
    return {**flags, "min": sql.min_, "max": sql.max_, "bits": sql.bits_of}.get(ending, sql.sum_)


def bit_of(thing: Sql, values: Sequence[str]) -> Sql:
    """A bit of its own for each of a few texts that a thing can be."""
    bits = [(sql.eq(thing, sql.text(value)), sql.number(1 << place)) for place, value in enumerate(values)]
    return sql.case(bits, sql.null(sql.INT))


def aggregate_parts(atom: Atom, value: Sql | None, counts: Sql) -> dict[str, Sql]:
    """The partial aggregates of an atom: parts that add up (or take the extreme) over groups of rows."""
    column = atom.column
    match atom.source.aggregate:
        case Aggregate.COUNT:
            return {f"{column}?n": sql.count(counts)}
        case Aggregate.SUM:
            return {f"{column}?sum": sql.sum_(value or sql.null(), counts)}
        case Aggregate.AVERAGE:
            return {
                f"{column}?sum": sql.sum_(value or sql.null(), counts),
                f"{column}?n": sql.count_of(value or sql.null(), counts),
            }
        case Aggregate.MINIMUM:
            return {f"{column}?min": sql.min_(value or sql.null(), counts)}
        case _:
            return {f"{column}?max": sql.max_(value or sql.null(), counts)}


def finished(atom: Atom, can_lose: bool, by_bits: bool = False) -> Sql:
    """The value of an atom from its partial aggregates, with the type its metric declares.

    `by_bits`: distinct things were counted as bits.
    """
    column, money, kind = atom.column, atom.metric.unit is Unit.MONEY, atom.kind
    lost = sql.coalesce(sql.col(f"{column}?lost"), sql.false())
    match atom.source.aggregate:
        case Aggregate.COUNT:
            return sql.cast(sql.col(f"{column}?n"), sql.BIGINT)
        case Aggregate.COUNT_DISTINCT if by_bits:
            return sql.cast(sql.coalesce(sql.how_many_bits(sql.col(f"{column}?bits")), sql.number(0)), sql.BIGINT)
        case Aggregate.COUNT_DISTINCT:
            return sql.cast(sql.col(column), sql.BIGINT)
        case Aggregate.SUM:
            total = sql.cast(sql.coalesce(sql.col(f"{column}?sum"), sql.number(0)), kind)
            if not can_lose:
                return total
            negative = sql.coalesce(sql.col(f"{column}?negative"), sql.false())
            return sql.case([(sql.and_(lost, negative), sql.null(kind))], total)
        case Aggregate.AVERAGE:
            count = sql.nullif(sql.cast(sql.col(f"{column}?n"), sql.DOUBLE), sql.double(0))
            mean = sql.div(sql.cast(sql.col(f"{column}?sum"), sql.DOUBLE), count)
            mean = sql.cents(mean) if money else mean
            return sql.case([(lost, sql.null(kind))], mean) if can_lose else mean
        case Aggregate.MINIMUM:
            lowest = sql.cast(sql.col(f"{column}?min"), kind)
            return sql.case([(lost, sql.null(kind))], lowest) if can_lose else lowest
        case _:
            return sql.cast(sql.col(f"{column}?max"), kind)
