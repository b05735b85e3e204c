"""Windows: which days they hold, at month ends and in leap years."""

from __future__ import annotations

from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crmsync.levelling.dates import after, before, next_day
from crmsync.levelling.windows import JOINED_ON, Bounds, bounds, partner_dates
from crmsync.programs.program import (
    CalendarPeriod,
    Ever,
    FirstMonths,
    Horizon,
    InForce,
    Last,
    LastComplete,
    Period,
    Shift,
    SinceJoining,
    ThisAndBefore,
    Window,
)

DAYS = st.dates(date(1900, 1, 1), date(2200, 1, 1))
AS_OF = date(2026, 11, 21)
YEAR_EARLIER, MONTH_EARLIER = Shift(1, Period.YEARS), Shift(1, Period.MONTHS)
A_MONTH_A_YEAR_AGO = CalendarPeriod(False, Period.MONTHS, shift=YEAR_EARLIER)


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


@given(DAYS, st.integers(1, 8), st.integers(1, 12))
def test_complete_months_moved_by_months_are_the_whole_months_before(day: date, count: int, moved: int) -> None:
    """Whatever the day is called: the months that end where the others begin, if as many are moved as are counted."""
    now = bounds(LastComplete(count, Period.MONTHS), day)
    then = bounds(LastComplete(count, Period.MONTHS, Shift(count, Period.MONTHS)), day)
    assert now.start == next_day(then.end)
    earlier = bounds(LastComplete(count, Period.MONTHS), day, (Shift(moved, Period.MONTHS),))
    assert earlier.start is not None
    assert earlier.start.day == next_day(earlier.end).day == 1


def test_ever_has_no_beginning_and_takes_rows_without_a_date() -> None:
    assert bounds(Ever(), AS_OF) == Bounds(None, AS_OF, undated=True)


def test_in_force_asks_for_one_day() -> None:
    found = bounds(InForce(YEAR_EARLIER), date(2024, 2, 29))
    assert (found.start, found.end) == (date(2023, 2, 28), date(2023, 2, 28))


@given(DAYS, st.integers(1, 400), st.sampled_from(list(Period)))
def test_a_tail_holds_exactly_what_has_not_ended_with_it(day: date, count: int, unit: Period) -> None:
    tail = Horizon(min(count, 50) if unit is Period.YEARS else count, unit)
    last_ended = bounds(InForce(tail=tail), day).start
    assert last_ended is not None
    assert after(last_ended, tail) <= day < after(next_day(last_ended), tail)


def test_a_window_is_moved_by_its_own_shift_and_then_by_those_of_growth() -> None:
    window = Last(1, Period.MONTHS, Shift(1, Period.MONTHS))
    found = bounds(window, date(2026, 3, 31), (YEAR_EARLIER,))
    assert found == Bounds(date(2025, 1, 29), date(2025, 2, 28))


@pytest.mark.parametrize(
    ("window", "day", "first", "last"),
    [
        (CalendarPeriod(False, Period.QUARTERS), AS_OF, date(2026, 10, 1), AS_OF),
        (CalendarPeriod(True, Period.YEARS), AS_OF, date(2025, 1, 1), date(2025, 12, 31)),
        (CalendarPeriod(True, Period.MONTHS), date(2026, 10, 31), date(2026, 9, 1), date(2026, 9, 30)),
        (CalendarPeriod(False, Period.YEARS, True), date(2026, 1, 31), date(2025, 2, 1), date(2026, 1, 31)),
        (CalendarPeriod(True, Period.QUARTERS, True), date(2026, 2, 1), date(2025, 11, 1), date(2026, 1, 31)),
        (A_MONTH_A_YEAR_AGO, date(2024, 2, 29), date(2023, 2, 1), date(2023, 2, 28)),
        (LastComplete(1, Period.MONTHS), date(2026, 10, 31), date(2026, 10, 1), date(2026, 10, 31)),
        (LastComplete(1, Period.MONTHS), date(2026, 10, 30), date(2026, 9, 1), date(2026, 9, 30)),
        (LastComplete(1, Period.MONTHS, YEAR_EARLIER), date(2025, 2, 28), date(2024, 2, 1), date(2024, 2, 29)),
        (LastComplete(2, Period.QUARTERS, MONTH_EARLIER), date(2026, 4, 15), date(2025, 7, 1), date(2025, 12, 31)),
        (LastComplete(2, Period.YEARS), date(2026, 12, 31), date(2025, 1, 1), date(2026, 12, 31)),
        (ThisAndBefore(2, Period.QUARTERS), AS_OF, date(2026, 4, 1), AS_OF),
        (ThisAndBefore(5, Period.MONTHS), date(2026, 1, 31), date(2025, 8, 1), date(2026, 1, 31)),
    ],
)  # fmt: skip
def test_calendar_windows(window: Window, day: date, first: date, last: date) -> None:
    assert bounds(window, day, (), (2, 1)) == Bounds(first, last)


def test_windows_of_a_partners_own_dates() -> None:
    dates = {JOINED_ON: date(2024, 2, 29), "left_on": date(2026, 1, 31)}
    assert bounds(SinceJoining(), AS_OF, partner=dates) == Bounds(date(2024, 2, 29), AS_OF)
    assert bounds(FirstMonths(12), AS_OF, partner=dates) == Bounds(date(2024, 2, 29), date(2025, 2, 27))
    assert bounds(FirstMonths(12), date(2024, 5, 1), partner=dates).end == date(2024, 5, 1)
    until = Last(1, Period.MONTHS, until="left_on")
    assert bounds(until, AS_OF, partner=dates) == Bounds(date(2026, 1, 1), date(2026, 1, 31))
    assert bounds(until, AS_OF, (YEAR_EARLIER,), partner=dates) == Bounds(date(2025, 1, 1), date(2025, 1, 31))
    assert partner_dates(SinceJoining(until="left_on")) == (JOINED_ON, "left_on")
    assert partner_dates(FirstMonths(3, until=JOINED_ON)) == (JOINED_ON,)
    assert partner_dates(Last(1, Period.DAYS)) == ()
