"""Windows: which days they hold, at month ends and in leap years."""

from __future__ import annotations

from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crmsync.levelling.dates import after, before, months_before
from crmsync.levelling.windows import Bounds, bounds
from crmsync.programs.program import Ever, Horizon, InForce, Last, Period, Shift

DAYS = st.dates(date(1900, 1, 1), date(2200, 1, 1))


@pytest.mark.parametrize(
    ("day", "months", "earlier"),
    [
        (date(2026, 3, 31), 1, date(2026, 2, 28)),
        (date(2024, 3, 31), 1, date(2024, 2, 29)),
        (date(2024, 2, 29), 12, date(2023, 2, 28)),
        (date(2026, 1, 15), 1, date(2025, 12, 15)),
        (date(2026, 11, 21), 0, date(2026, 11, 21)),
        (date(2026, 10, 31), -4, date(2027, 2, 28)),
    ],
)
def test_the_same_day_of_a_shorter_month_is_its_last(day: date, months: int, earlier: date) -> None:
    assert months_before(day, months) == earlier


@given(DAYS, st.integers(1, 40), st.sampled_from(list(Period)))
def test_a_window_ends_with_its_day_and_starts_after_the_day_before_it(day: date, count: int, unit: Period) -> None:
    found = bounds(Last(count, unit), day)
    assert found == Bounds(before(day, count, unit) + timedelta(days=1), day)
    assert found.start is not None
    assert found.start <= day


@given(DAYS, st.integers(1, 40), st.integers(1, 40))
def test_windows_that_follow_each_other_share_no_day(day: date, count: int, unit: int) -> None:
    """The window of N months, and that of the same day N months earlier: from the 1st to the 28th, side by side."""
    day = day.replace(day=min(day.day, 28))
    now = bounds(Last(count, Period.MONTHS), day)
    then = bounds(Last(unit, Period.MONTHS, Shift(count, Period.MONTHS)), day)
    assert now.start is not None
    assert then.end == now.start - timedelta(days=1)


def test_ever_has_no_beginning_and_takes_rows_without_a_date() -> None:
    assert bounds(Ever(), date(2026, 11, 21)) == Bounds(None, date(2026, 11, 21), undated=True)


def test_in_force_asks_for_one_day() -> None:
    found = bounds(InForce(Shift(1, Period.YEARS)), date(2024, 2, 29))
    assert (found.start, found.end) == (date(2023, 2, 28), date(2023, 2, 28))


def test_a_window_is_moved_by_its_own_shift_and_then_by_those_of_growth() -> None:
    window = Last(1, Period.MONTHS, Shift(1, Period.MONTHS))
    found = bounds(window, date(2026, 3, 31), (Shift(1, Period.YEARS),))
    assert found == Bounds(date(2025, 1, 29), date(2025, 2, 28))


def test_a_horizon_of_months_ends_on_the_same_day() -> None:
    assert after(date(2026, 11, 30), Horizon(3, Period.MONTHS)) == date(2027, 2, 28)
    assert after(date(2026, 11, 21), Horizon(90, Period.DAYS)) == date(2027, 2, 19)
