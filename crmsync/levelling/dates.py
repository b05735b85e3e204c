"""Days and calendar periods: the same day of another month, and which month, quarter or year a day lies in.

A period is known by a whole number that grows by one from each to the next, so that moving by periods is addition.
"""

from __future__ import annotations

from calendar import monthrange
from datetime import date

from crmsync.programs.program import Horizon, Period

MonthAndDay = tuple[int, int]
CALENDAR_YEAR: MonthAndDay = (1, 1)
MONTHS_IN = {Period.MONTHS: 1, Period.QUARTERS: 3, Period.YEARS: 12}


def months_before(day: date, months: int) -> date:
    """The same day `months` before (negative: after); in a shorter month its last day. Ends where dates end."""
    index = day.year * 12 + day.month - 1 - months
    year, month = divmod(index, 12)
    if not date.min.year <= year <= date.max.year:
        return date.min if year < date.min.year else date.max
    return date(year, month + 1, min(day.day, monthrange(year, month + 1)[1]))


def days_before(day: date, days: int) -> date:
    """The day `days` before (negative: after). Ends where dates end."""
    ordinal = day.toordinal() - days
    return date.fromordinal(min(max(ordinal, date.min.toordinal()), date.max.toordinal()))


def before(day: date, count: int, period: Period) -> date:
    """The same day `count` units before (negative: after)."""
    if period in MONTHS_IN:
        return months_before(day, count * MONTHS_IN[period])
    return days_before(day, count * (7 if period is Period.WEEKS else 1))


def after(day: date, horizon: Horizon) -> date:
    """The day a horizon ends on."""
    return before(day, -horizon.count, horizon.period)


def next_day(day: date) -> date:
    """The day after."""
    return days_before(day, -1)


def period_on(day: date, period: Period, year_starts: MonthAndDay = CALENDAR_YEAR) -> int:
    """The number of the month, quarter or year that holds a day; quarters and years begin with `year_starts`."""
    if period is Period.MONTHS:
        return day.year * 12 + day.month - 1
    per_year = 12 // MONTHS_IN[period]
    number = day.year * per_year + (day.month - year_starts[0]) // MONTHS_IN[period]
    while first_day(number, period, year_starts) > day:
        number -= 1
    while first_day(number + 1, period, year_starts) <= day:
        number += 1
    return number


def first_day(number: int, period: Period, year_starts: MonthAndDay = CALENDAR_YEAR) -> date:
    """The first day of a period; 29 February is the 28th where there is no 29th."""
    if period is Period.MONTHS:
        return _clamped(number // 12, number % 12 + 1, 1)
    year, part = divmod(number, 12 // MONTHS_IN[period])
    month, day = year_starts
    return months_before(_clamped(year, month, day), -part * MONTHS_IN[period])


def last_day(number: int, period: Period, year_starts: MonthAndDay = CALENDAR_YEAR) -> date:
    """The last day of a period."""
    return days_before(first_day(number + 1, period, year_starts), 1)


def _clamped(year: int, month: int, day: int) -> date:
    if not date.min.year <= year <= date.max.year:
        return date.min if year < date.min.year else date.max
    return date(year, month, min(day, monthrange(year, month)[1]))
