"""The only constructors of SQLGlot nodes that levelling uses.

SQLGlot ignores arguments it does not know and renames them between minor releases (measured), so nodes are built here
and nowhere else, and the tests run the text they become. Nothing here concatenates SQL text.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
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


# --- aggregates


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


def how_many_bits(value: Sql) -> Sql:
    """How many bits a value has."""
    return exp.BitwiseCount(this=value)


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


# --- relations


def named(value: Sql, alias: str) -> Sql:
    return exp.Alias(this=value, alias=name(alias))


def columns(values: Mapping[str, Sql]) -> list[Sql]:
    return [named(value, alias) for alias, value in values.items()]


def star(table: str | None = None) -> Sql:
    return exp.Column(this=exp.Star(), table=name(table)) if table else exp.Star()


def table(relation: str, alias: str | None = None) -> Sql:
    return exp.Table(this=name(relation), alias=exp.TableAlias(this=name(alias)) if alias else None)


def with_prefix(query: Sql, prefix: str) -> Sql:
    """The query over tables whose names begin with a prefix; what reads them by their name still does."""
    renamed = query.copy()
    for found in list(renamed.find_all(exp.Table)):
        if not found.alias:
            found.set("alias", exp.TableAlias(this=name(found.name)))
        found.set("this", name(f"{prefix}{found.name}"))
    return renamed


def subquery(query: Sql, alias: str) -> Sql:
    return exp.Subquery(this=query, alias=exp.TableAlias(this=name(alias)))


def select(
    values: Sequence[Sql],
    source: Sql,
    joins: Sequence[tuple[str, Sql, Sql]] = (),
    where: Sql | None = None,
    group: Sequence[Sql] = (),
    order: Sequence[Sql] = (),
) -> exp.Select:
    """SELECT values FROM source, with joins of (kind `left`|`inner`|`cross`, relation, condition)."""
    # the builders would copy every tree they are given; the generator copies the whole once
    query = exp.Select(expressions=list(values)).from_(source, copy=False)
    for kind, relation, condition in joins:
        query = query.join(relation, on=None if kind == "cross" else condition, join_type=kind, copy=False)
    if where is not None:
        query = query.where(where, copy=False)
    if group:
        query = query.group_by(*group, copy=False)
    return query.order_by(*order, copy=False) if order else query


def some_rows(query: Sql, count: int) -> Sql:
    """At most so many of the rows, whichever come first."""
    return select([star()], subquery(query, "some")).limit(count, copy=False)


def in_order_of(query: Sql, column: str) -> Sql:
    """The same rows, ordered by one column."""
    return select([star()], subquery(query, "unordered"), order=[col(column)])


def union_all(queries: Sequence[Sql]) -> Sql:
    result: Sql = queries[0]
    for query in queries[1:]:
        result = exp.Union(this=result, expression=query, distinct=False)
    return result


def distinct(values: Sequence[Sql], source: Sql, where: Sql | None = None) -> exp.Select:
    query = exp.Select(expressions=list(values)).from_(source, copy=False).distinct(copy=False)
    return query.where(where, copy=False) if where is not None else query


# --- numbers


def cents(value: Sql) -> Sql:
    """A DOUBLE rounded half away from zero to cents, as MONEY.

    It goes through nine decimals first, so that 10.01 / 2 is 5.005 and becomes 5.01 on every engine.
    """
    return money(exact(value))


def money(value: Sql) -> Sql:
    """A decimal rounded half away from zero to cents, as MONEY."""
    return cast(round_(value, 2), MONEY)


def exact(value: Sql, kind: str = EXACT) -> Sql:
    """A DOUBLE as EXACT or RATE, rounded half away from zero to its last digit, or to the last that a DOUBLE has.

    The cast alone rounds what is stored on one engine and what is shown on the other.
    """
    digits = _DIGITS[kind]
    steps = [(_LAST_DIGIT, places) for places in (digits, digits - 3, digits - 6)]
    return _stepped(value, steps, lambda number: cast(number, kind))


_DIGITS = {EXACT: 9, RATE: 12}
_LAST_DIGIT = 4  # below 4 x 10^(15 - n) neighbouring DOUBLEs differ by less than 10^-n


def _stepped(value: Sql, steps: Sequence[tuple[int, int]], made: Callable[[Sql], Sql]) -> Sql:
    """What is made of a DOUBLE as a decimal. `steps` of (m, n): below m x 10^(15 - n) it has n digits.

    Scaled up to a whole number and down again it is the same decimal on every engine; so is a whole one below 2^63.
    The value is repeated for each step: give it a column first where it is more than a few operators.
    """
    size = abs_(value)
    branches = []
    for ceiling, digits in steps:
        decimal_kind = f"DECIMAL(18, {digits})"  # 64 bits are enough, and cost a quarter of 128
        branches.append(
            (lt(size, double(ceiling * 10 ** (15 - digits))), made(cast(_scaled(value, digits), decimal_kind)))
        )
    whole = cast(cast(round_(value, 0), BIGINT), "DECIMAL(38, 1)")
    return case([*branches, (lt(size, double(9 * 10**18)), made(whole))], made(cast(value, "DECIMAL(38, 1)")))


def _scaled(value: Sql, digits: int) -> Sql:
    """A DOUBLE rounded half away from zero to digits that it has; without a decimal, whose cast engines round apart."""
    scale = double(10**digits)
    return div(round_(mul(value, scale), 0), scale)


def money_times_rate(amount: Sql, rate: Sql) -> Sql:
    """The only place where money meets a rate: DECIMAL(19,2) x DECIMAL(18,12), rounded to cents.

    Rounding a product of 128 bits is dear. The product of the two as DOUBLE is off by less than 10^-4 cents below a
    billion, so where it is further than that from half a cent it rounds to the same cents.
    """
    exact_product = money(mul(cast(amount, AMOUNT), cast(rate, RATE)))
    if not (isinstance(amount, exp.Column) and isinstance(rate, exp.Column)):  # they are repeated: columns alone
        return exact_product
    near = mul(cast(amount, DOUBLE), cast(rate, DOUBLE))
    hundredths = mul(near, double(100))
    from_half = abs_(sub(sub(hundredths, floor(hundredths)), double("0.5")))
    sure = and_(gt(from_half, double("0.001")), lt(abs_(near), double(10**9)))
    return case([(sure, cast(near, MONEY))], exact_product)


def nine_digits(value: Sql) -> Sql:
    """A DOUBLE rounded half away from zero to 9 decimals; beyond 4 million a DOUBLE has no ninth decimal to round."""
    return case([(lt(abs_(value), double(4_000_000)), _scaled(value, 9))], value)


def without_zeros(value: Sql) -> Sql:
    """The text of a decimal that has a point, without trailing zeros and without a trailing point."""
    return exp.Anonymous(this="REGEXP_REPLACE", expressions=[value, text("[.]?0+$"), text("")])


def number_text(value: Sql) -> Sql:
    """A DOUBLE as decimal text without exponent or trailing zeros, at most 9 decimals and 15 significant digits."""
    size, rounded = abs_(value), round_(value, 0)
    is_whole = or_(ge(size, double(10**12)), eq(value, rounded))
    places = [
        (lt(size, double(ceiling)), cast(cast(_scaled(value, digits), f"DECIMAL(18, {digits})"), TEXT))
        for ceiling, digits in ((10**6, 9), (10**9, 6), (10**12, 3))
    ]
    branches = [
        (not_(lt(size, double(9 * 10**18))), without_zeros(cast(cast(value, "DECIMAL(38, 1)"), TEXT))),
        (is_whole, cast(cast(rounded, BIGINT), TEXT)),
    ]
    return case(branches, without_zeros(case(places[:-1], places[-1][1])))


def money_text(value: Sql) -> Sql:
    """A decimal as text with two decimals. It is repeated: give it a column first where it is more than that."""
    plain = cast(cast(value, MONEY), TEXT)
    small = cast(cast(value, "DECIMAL(18, 2)"), TEXT)  # the text of 128 bits costs four times that of 64
    return case([(lt(abs_(value), number(10**15)), small)], plain) if isinstance(value, exp.Column) else plain


def without_nulls(values: Sql) -> Sql:
    """A list without its nulls."""
    return exp.ArrayCompact(this=values)
