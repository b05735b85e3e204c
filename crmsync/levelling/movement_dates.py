"""Dates on which a standing may change: days of the year and the yearly return of a partner's own date.

All of them are computed here in plain Python; the engine only compares dates. Source: program-language, section 7.
"""

from __future__ import annotations

from calendar import isleap
from collections.abc import Iterable
from datetime import date

import pyarrow as pa

from crmsync.levelling.dates import after, months_before
from crmsync.programs.program import Effective, Horizon, Lag, ReviewDates


def in_year(month: int, day: int, year: int) -> date:
    """A day of the year in one year; 29 February is the 28th where there is no 29th."""
    return date(year, month, 28 if (month, day) == (2, 29) and not isleap(year) else day)


def falls_on(dates: ReviewDates, day: date) -> bool:
    """Whether a calendar date falls on `day`; any day and anniversaries are no calendar."""
    return any(in_year(month, number, day.year) == day for month, number in dates.days)


def between(dates: ReviewDates, first: date, last: date) -> Iterable[date]:
    """The calendar dates after `first` and before `last`, in no order."""
    for year in range(first.year, last.year + 1):
        for month, number in dates.days:
            if first < (found := in_year(month, number, year)) < last:
                yield found


def next_after(dates: ReviewDates, day: date) -> date | None:
    """The first calendar date after `day`; None without a calendar."""
    found = [in_year(month, number, year) for year in (day.year, day.year + 1) for month, number in dates.days]
    return min((one for one in found if one > day), default=None)


def returns(first: date, year: int) -> date:
    """The day on which a date returns in a year."""
    return in_year(first.month, first.day, year)


def returning_between(first: date, after_day: date, last: date) -> Iterable[date]:
    """The days after `after_day` and before `last` on which a date returns; the date itself is no return."""
    for year in range(max(after_day.year, first.year + 1), last.year + 1):
        if after_day < (found := returns(first, year)) < last:
            yield found


def anniversaries(dates: Iterable[date], as_of: date) -> pa.Table:
    """When dates return, seen from as_of. Shape: one row per date, columns day, today, next_on."""
    rows = sorted(set(dates))
    todays = [one.year < as_of.year and returns(one, as_of.year) == as_of for one in rows]
    return pa.table(
        {
            "day": pa.array(rows, pa.date32()),
            "today": pa.array(todays, pa.bool_()),
            "next_on": pa.array([_next_return(one, as_of) for one in rows], pa.date32()),
        }
    )


def _next_return(first: date, as_of: date) -> date:
    year = max(as_of.year, first.year + 1)
    found = returns(first, year)
    return found if found > as_of else returns(first, year + 1)


def in_force_on(effective: Effective, decided: date) -> date:
    """The day on which a change decided on a day comes into force."""
    match effective.lag:
        case Lag.NEXT_MONTH:
            return months_before(decided.replace(day=1), -1)
        case Lag.AFTER:
            assert effective.after is not None
            return after(decided, effective.after)
        case _:
            return decided


def reassessed_on(member_since: date, every: Horizon, as_of: date) -> date:
    """The first day after as_of that lies whole intervals after the day a membership began."""
    count = 1
    while (found := after(member_since, Horizon(every.count * count, every.period))) <= as_of:
        count += 1
    return found
