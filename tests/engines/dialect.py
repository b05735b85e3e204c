"""Expressions that SQL dialects read differently, each over a few rows: (name, rows, expression).

`v` and `w` are the columns of the rows. What stands here comes out the same on DuckDB, Sail and Apache Spark.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from decimal import Decimal
from typing import Any

import pyarrow as pa

from crmsync.levelling import sql
from crmsync.levelling.sql import Sql

V, W = sql.col("v"), sql.col("w")
ORDER = "row"

NOTED = random.Random(4)  # the same in every run
DOUBLES = [
    0.0, 0.1, 0.5, -0.5, 2.5, -2.5, 0.005, 1.005, 2.675, 10.005, 1e-9, 5e-10, 2.0000000005, 123.4567891235, None,
    69912.7800000005, 3999999.9999999995, 4e6, 4000000.123456789, 1234567890.005, 5e11 + 0.005, 1e12, 123456789012345.6,
    2.0**53, 2.0**53 + 2, 1e16, 1e17, 9e18, 1 / 3, 100 / 3, 0.1 + 0.2, 1e-300, 62948.675000000505,
    *(NOTED.uniform(-10, 10) for _ in range(20)),
    *(round(NOTED.uniform(0, 1e5), 3) + 5e-10 for _ in range(40)),
    *(NOTED.uniform(0, 1e12) for _ in range(20)),
]  # fmt: skip
AMOUNTS = [
    "0.00", "0.01", "-0.01", "0.05", "-1.25", "99999999.99", "100000000.00", "100000001.11", "9007199254740993.01",
    "99999999999999999.99", "-99999999999999999.99", "12.30", None,
]  # fmt: skip
RATES = [
    "1", "0.125", "1.011111111111", "0.999999999999", "1.255", "3.000000000001", "100.5", "0.333333333333",
    "999999.999999999999", "0.1", "1", "0.000000000001", "1",
]  # fmt: skip
TEXTS = [
    "", "a", "A", "ä", "Ä", "z", "Z", "ß", "a_b", "a%b", "a\\b", "a\\", "a\\_b", "'", "''", "\n", "x\ty", "日本", "😀",
    "Å", "\u212b", "e\u0301", "é", " a", "a ", "İ", "ΑΣ", "${x}", None,
]  # fmt: skip
LISTS = [[], None, ["a"], ["a", None], [None], ["ä", "Reseller"]]
DAYS = [
    date(2024, 2, 29), date(2023, 2, 28), date(2026, 1, 31), date(1969, 12, 31), date(1900, 3, 1), date(2026, 11, 21),
    None,
]  # fmt: skip


def _table(v: pa.Array, w: pa.Array | None = None) -> pa.Table:
    columns = {"v": v, ORDER: pa.array(range(len(v)))}
    return pa.table(columns if w is None else {**columns, "w": w})


def _decimals(values: Sequence[str | None], kind: pa.DataType) -> pa.Array:
    return pa.array([None if one is None else Decimal(one) for one in values], kind)


def _with_truth() -> pa.Table:
    of = (True, False, None)
    return _table(pa.array([one for one in of for _ in of]), pa.array([*of, *of, *of]))


def _below(ceiling: int, value: Sql) -> Sql:
    return sql.case([(sql.lt(sql.abs_(V), sql.double(ceiling)), value)])


DOUBLE: Mapping[str, Sql] = {
    "nine digits": sql.nine_digits(V),
    "cents": sql.cents(V),
    "exact": sql.exact(V),
    "exact as a rate": _below(1_000_000, sql.exact(V, sql.RATE)),
    "as text": sql.number_text(V),
    "floor": _below(10**18, sql.cast(sql.floor(V), sql.DOUBLE)),
    "floor of a half": _below(10**18, sql.cast(sql.floor(sql.add(V, sql.double("0.5"))), sql.DOUBLE)),
    "a third": sql.div(V, sql.double(3)),
    "nullif zero": sql.div(sql.double(1), sql.nullif(V, sql.double(0))),
}
MONEY: Mapping[str, Sql] = {
    "money times rate": sql.money_times_rate(V, W),
    "product, exact": sql.cast(sql.mul(sql.cast(V, sql.AMOUNT), sql.cast(W, sql.RATE)), sql.EXACT),
    "half cents": sql.money(sql.cast(W, sql.EXACT)),
    "as text": sql.cast(sql.cast(V, sql.MONEY), sql.TEXT),
    "as long text": sql.cast(W, sql.TEXT),
    "as a double": sql.cast(V, sql.DOUBLE),
    "difference": sql.sub(sql.cast(V, sql.MONEY), sql.cast(W, sql.MONEY)),
    "at least a decimal": sql.ge(sql.cast(V, sql.MONEY), sql.decimal(Decimal("0.05"))),
    "least": sql.least(V, W),
    "greatest": sql.greatest(V, W),
    "a case of money and a number": sql.case([(sql.gt(V, sql.number(1)), V)], sql.number(0)),
    "sum in cents": sql.sub(sql.number(0), V),
}
TEXT: Mapping[str, Sql] = {
    "lower": sql.lower(V),
    "upper": sql.upper(V),
    "length": sql.cast(sql.length(V), sql.BIGINT),
    "like any one": sql.like(V, sql.text("a_b")),
    "like any": sql.like(V, sql.text("%b")),
    "like a backslash": sql.like(V, sql.text("a\\_b")),
    "like a backslash at the end": sql.like(V, sql.text("a\\")),
    "like itself": sql.like(V, V),
    "a literal with a backslash": sql.eq(V, sql.text("a\\b")),
    "a literal with a quote": sql.eq(V, sql.text("'")),
    "a literal with a line end": sql.eq(V, sql.text("\n")),
    "a literal like a variable": sql.eq(V, sql.text("${x}")),
    "every sign": sql.concat(sql.text("\\'\"`\n\t${x} -- /* % 日 😀"), sql.coalesce(V, sql.text("-"))),
    "order": sql.lt(V, sql.text("b")),
    "order beyond ascii": sql.lt(V, sql.text("é")),
    "empty is not null": sql.coalesce(V, sql.text("none")),
    "concat": sql.concat(V, sql.text("-"), V),
    "in": sql.in_(V, [sql.text("a"), sql.text("ä"), sql.text("")]),
    "joined": sql.joined([V, sql.null(sql.TEXT), V], "; "),
    "nothing joined": sql.joined([sql.null(sql.TEXT)], "; "),
    "without nulls": sql.without_nulls(sql.array([V, sql.null(sql.TEXT)])),
    "an empty list": sql.empty_array(sql.TEXT),
    "least": sql.least(V, sql.text("b")),
    "names of fields": sql.struct({"a.b": V, "c[EMEA]": V, "select": sql.null(sql.TEXT), "a`b": V}),
    "trailing zeros": sql.without_zeros(sql.text("100.500")),
}
LIST: Mapping[str, Sql] = {
    "has": sql.list_contains(V, sql.text("a")),
    "has not": sql.not_(sql.list_contains(V, sql.text("Reseller"))),
}
DAY: Mapping[str, Sql] = {
    "year": sql.cast(sql.year(V), sql.BIGINT),
    "quarter": sql.cast(sql.quarter(V), sql.BIGINT),
    "month": sql.cast(sql.month(V), sql.BIGINT),
    "days between": sql.cast(sql.days_between(V, W), sql.BIGINT),
    "plus a month": sql.plus_interval(V, 1, "MONTH"),
    "minus a year": sql.plus_interval(V, -12, "MONTH"),
    "plus a day": sql.plus_interval(V, 1, "DAY"),
    "as text": sql.cast(V, sql.TEXT),
    "up to the leap day": sql.le(V, sql.day(date(2024, 2, 29))),
}
TRUTH: Mapping[str, Sql] = {
    "and": sql.and_(V, W),
    "or": sql.or_(V, W),
    "not": sql.not_(V),
    "is null": sql.is_null(sql.and_(V, W)),
    "case": sql.case([(V, sql.text("yes")), (W, sql.text("other"))]),
    "as text": sql.cast(V, sql.TEXT),
}
WINDOWS: Mapping[str, Sql] = {
    "rank, the largest first": sql.rank_over([W], V, True),
    "rank, the smallest first": sql.rank_over([], sql.length(V), False),
    "row number": sql.row_number([W], [(V, False)]),
    "row number, nulls last": sql.row_number([], [(sql.length(V), True), (V, False)]),
    "the first of each": sql.first_of(V, [W], [(sql.is_null(V), False), (V, True)]),
    "rows of each": sql.count_over([W]),
    "known of each": sql.known_within(V, [W]),
    "the largest of each": sql.max_over(V, [W]),
    "the smallest of each": sql.min_over(V, [W]),
    "sum of each": sql.sum_over(sql.double("0.5"), [W]),
    "running sum": sql.running_sum(sql.double(1), [W], V),
    "starts with": sql.starts_with(V, sql.text("a")),
}

ROWS: Mapping[str, tuple[pa.Table, Mapping[str, Sql]]] = {
    "double": (_table(pa.array(DOUBLES, pa.float64())), DOUBLE),
    "money": (
        _table(_decimals(AMOUNTS, pa.decimal128(19, 2)), _decimals(RATES, pa.decimal128(18, 12))),
        MONEY,
    ),
    "text": (_table(pa.array(TEXTS)), TEXT),
    "window": (_table(pa.array(TEXTS), pa.array([number % 3 or None for number in range(len(TEXTS))])), WINDOWS),
    "list": (_table(pa.array(LISTS, pa.list_(pa.string()))), LIST),
    "date": (_table(pa.array(DAYS, pa.date32()), pa.array(DAYS[::-1], pa.date32())), DAY),
    "truth": (_with_truth(), TRUTH),
}

_SIGN = sql.case(
    [(sql.gt(V, sql.number(0)), sql.number(4)), (sql.lt(V, sql.number(0)), sql.number(1))], sql.null(sql.INT)
)

AGGREGATES: Mapping[str, Sql] = {
    "sum beyond 2^53 cents": sql.cast(sql.sum_(V), sql.MONEY),
    "sum of nothing": sql.cast(sql.sum_(V, sql.is_null(V)), sql.MONEY),
    "count": sql.count(),
    "count of some": sql.count(sql.gt(V, sql.number(0))),
    "count of known": sql.count_of(V),
    "smallest": sql.min_(V),
    "largest of some": sql.max_(V, sql.lt(V, sql.number(0))),
    "any": sql.any_true(sql.gt(V, sql.number(0))),
    "bits": sql.cast(sql.how_many_bits(sql.bits_of(_SIGN)), sql.BIGINT),
    "bits of some": sql.cast(sql.how_many_bits(sql.bits_of(_SIGN, sql.gt(V, sql.number(0)))), sql.BIGINT),
    "bits of nothing": sql.cast(sql.how_many_bits(sql.bits_of(_SIGN, sql.is_null(V))), sql.BIGINT),
    "any of nothing": sql.any_true(sql.gt(V, sql.number(0)), sql.is_null(V)),
}


def expressions() -> Iterator[tuple[str, pa.Table, Mapping[str, Sql]]]:
    """Kind of rows, rows, and the expressions by name."""
    for kind, (rows, named) in ROWS.items():
        yield kind, rows, named


def values(engine: Any, rows: pa.Table, named: Mapping[str, Sql]) -> dict[str, list[Any]]:
    """What each expression gives on an engine, in the order of the rows."""
    engine.register("dialect", rows)
    query = sql.select([sql.col(ORDER), *sql.columns(named)], sql.table("dialect"))
    found = engine.read(query).sort_by(ORDER)
    return {name: found.column(name).to_pylist() for name in named}


def totals(engine: Any) -> dict[str, Any]:
    """What the aggregates give on an engine."""
    engine.register("dialect", ROWS["money"][0])
    row: dict[str, Any] = engine.read(sql.select(sql.columns(AGGREGATES), sql.table("dialect"))).to_pylist()[0]
    return row
