"""Rates: the last one on or before the day, factors of twelve digits."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crmsync.errors import DataError
from crmsync.levelling.rates import factors_by_day, rate_table
from crmsync.programs.program import RateRow

FIRST = date(2026, 1, 1)
ROWS = [
    RateRow("EUR", FIRST, Decimal(1)),
    RateRow("USD", FIRST, Decimal("1.25")),
    RateRow("USD", FIRST + timedelta(days=10), Decimal("1.6")),
    RateRow("CHF", None, Decimal("0.93")),
]


def test_the_last_rate_on_or_before_the_day_counts() -> None:
    table = rate_table(ROWS)
    assert table.factor("USD", "EUR", FIRST + timedelta(days=9)) == Decimal("0.8")
    assert table.factor("USD", "EUR", FIRST + timedelta(days=10)) == Decimal("0.625")


def test_before_the_first_rate_there_is_none() -> None:
    assert rate_table(ROWS).factor("USD", "EUR", FIRST - timedelta(days=1)) is None


def test_the_base_currency_has_rate_1_on_every_day() -> None:
    assert rate_table(ROWS).factor("CHF", "EUR", date(1999, 1, 1)) == Decimal("1.075268817204")


def test_a_currency_without_a_rate_has_no_factor() -> None:
    assert rate_table(ROWS).factor("XXX", "EUR", FIRST) is None
    assert rate_table(ROWS).factor("XXX", "XXX", FIRST) == 1


@pytest.mark.parametrize("rate", ["0", "-1"])
def test_a_rate_that_is_not_above_zero_is_refused(rate: str) -> None:
    with pytest.raises(DataError, match="not above 0"):
        rate_table([RateRow("USD", None, Decimal(rate))])


def test_two_rates_for_one_day_are_refused() -> None:
    with pytest.raises(DataError, match="USD has two rates"):
        rate_table([RateRow("USD", FIRST, Decimal(1)), RateRow("USD", FIRST, Decimal(2))])


@given(st.integers(-20, 20), st.integers(0, 40))
def test_the_factors_of_a_span_are_those_of_its_days(start: int, length: int) -> None:
    table = rate_table(ROWS)
    first = FIRST + timedelta(days=start)
    days = [first + timedelta(days=n) for n in range(length + 1)]
    found, missing = factors_by_day([("USD", days[0], days[-1])], table, "EUR")
    wanted = {day: factor for day in days if (factor := table.factor("USD", "EUR", day)) is not None}
    assert dict(zip(found["day"].to_pylist(), found["factor"].to_pylist(), strict=True)) == wanted
    assert missing == (len(wanted) < len(days))


def test_without_rates_every_day_is_missing() -> None:
    found, missing = factors_by_day([("USD", FIRST, FIRST)], None, "EUR")
    assert (found.num_rows, missing) == (0, True)
