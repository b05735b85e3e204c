"""Numbers as the language rounds and shows them, in nodes that every engine computes alike."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from sqlglot import exp

from crmsync.levelling.sql.functions import abs_, floor, round_
from crmsync.levelling.sql.terms import (
    AMOUNT,
    BIGINT,
    DOUBLE,
    EXACT,
    MONEY,
    RATE,
    TEXT,
    Sql,
    and_,
    case,
    cast,
    div,
    double,
    eq,
    ge,
    gt,
    lt,
    mul,
    not_,
    number,
    or_,
    sub,
    text,
)


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
