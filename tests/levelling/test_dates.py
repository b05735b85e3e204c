"""Days and periods: the same day of another month, and which month, quarter or year a day lies in."""

from __future__ import annotations

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crmsync.levelling.dates import after, before, first_day, last_day, months_before, next_day, period_on
from crmsync.programs.program import Horizon, Period

DAYS = st.dates(date(1900, 1, 1), date(2200, 1, 1))
STARTS = st.tuples(st.integers(1, 12), st.integers(1, 28))
PERIODS = st.sampled_from([Period.MONTHS, Period.QUARTERS, Period.YEARS])


@pytest.mark.parametrize(
    ("day", "months", "earlier"),
    [
        (date(2026, 3, 31), 1, date(2026, 2, 28)),
        (date(2024, 3, 31), 1, date(2024, 2, 29)),
        (date(2024, 2, 29), 12, date(2023, 2, 28)),
        (date(2026, 1, 15), 1, date(2025, 12, 15)),
        (date(2026, 11, 21), 0, date(2026, 11, 21)),
        (date(2026, 10, 31), -4, date(2027, 2, 28)),
        (date(9999, 12, 31), -1, date.max),
        (date(1, 1, 31), 2, date.min),
    ],
)
def test_the_same_day_of_a_shorter_month_is_its_last(day: date, months: int, earlier: date) -> None:
    assert months_before(day, months) == earlier


def test_a_horizon_of_months_ends_on_the_same_day() -> None:
    assert after(date(2026, 11, 30), Horizon(3, Period.MONTHS)) == date(2027, 2, 28)
    assert after(date(2026, 11, 21), Horizon(90, Period.DAYS)) == date(2027, 2, 19)
    assert before(date(2026, 11, 21), 2, Period.WEEKS) == date(2026, 11, 7)
    assert before(date.min, 1, Period.DAYS) == date.min


@given(DAYS, PERIODS, STARTS)
def test_every_day_is_in_exactly_one_period(day: date, period: Period, starts: tuple[int, int]) -> None:
    number = period_on(day, period, starts)
    assert first_day(number, period, starts) <= day <= last_day(number, period, starts)
    assert next_day(last_day(number, period, starts)) == first_day(number + 1, period, starts)


@given(DAYS, STARTS)
def test_four_quarters_make_a_year_and_twelve_months_four_quarters(day: date, starts: tuple[int, int]) -> None:
    year = period_on(day, Period.YEARS, starts)
    first = period_on(first_day(year, Period.YEARS, starts), Period.QUARTERS, starts)
    assert first_day(first + 4, Period.QUARTERS, starts) == first_day(year + 1, Period.YEARS, starts)
    assert first <= period_on(day, Period.QUARTERS, starts) < first + 4
    assert first_day(period_on(day, Period.QUARTERS) + 1, Period.QUARTERS) == first_day(
        period_on(first_day(period_on(day, Period.QUARTERS), Period.QUARTERS), Period.MONTHS) + 3, Period.MONTHS
    )


def test_a_fiscal_year_is_named_by_the_day_it_begins() -> None:
    year = period_on(date(2026, 1, 31), Period.YEARS, (2, 1))
    assert first_day(year, Period.YEARS, (2, 1)) == date(2025, 2, 1)
    quarter = period_on(date(2026, 1, 31), Period.QUARTERS, (2, 1))
    assert first_day(quarter, Period.QUARTERS, (2, 1)) == date(2025, 11, 1)
