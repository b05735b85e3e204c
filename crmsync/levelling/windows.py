"""Windows: which stretch of days a window means on a given day.

All bounds are computed here in plain Python and given to the engine as literals or as a table: no engine
arithmetic on dates decides a rule. Both ends are inclusive dates. Source: program-language, section 3.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from types import MappingProxyType

from crmsync.levelling.dates import (
    CALENDAR_YEAR,
    MONTHS_IN,
    MonthAndDay,
    after,
    before,
    days_before,
    first_day,
    last_day,
    months_before,
    next_day,
    period_on,
)
from crmsync.programs.program import (
    CalendarPeriod,
    Ever,
    FirstMonths,
    Horizon,
    InForce,
    Last,
    LastComplete,
    Shift,
    SinceJoining,
    ThisAndBefore,
    Window,
)

JOINED_ON = "joined_on"
NOBODY: Mapping[str, date] = MappingProxyType({})
Shifts = tuple[Shift, ...]


@dataclass(frozen=True)
class Bounds:
    """First and last day (inclusive); `start` None: no beginning. `undated`: rows without a date count too.

    For a window in force: `end` is the day on which validity is asked, and what expires on `start` or before has ended.
    """

    start: date | None
    end: date
    undated: bool = False


def partner_dates(window: Window) -> tuple[str, ...]:
    """The columns of partners that a window depends on; it means nothing for a partner who lacks one."""
    joined = (JOINED_ON,) if isinstance(window, SinceJoining | FirstMonths) else ()
    until = (window.until,) if window.until is not None else ()
    return tuple(dict.fromkeys(joined + until))


def shifted(day: date, shifts: Shifts) -> date:
    """The day a chain of shifts leads to."""
    for shift in shifts:
        day = before(day, shift.count, shift.period)
    return day


def bounds(
    window: Window, on: date, shifts: Shifts = (), year_starts: MonthAndDay = CALENDAR_YEAR,
    partner: Mapping[str, date] = NOBODY,
) -> Bounds:  # fmt: skip
    """The days of a window as seen on `on`, moved by its own shift and then by `shifts`.

    `year_starts`: first day of the fiscal year. `partner`: the dates named by `partner_dates`; with `until` the window
    is seen on that day instead of `on`.
    """
    shifts = ((window.shift,) if window.shift else ()) + shifts
    on = partner[window.until] if window.until is not None else on
    match window:
        case LastComplete() | CalendarPeriod(previous=True):
            return _whole_periods(window, on, shifts, year_starts)
    end = shifted(on, shifts)
    match window:
        case Last(count=count, period=period):
            return Bounds(next_day(before(end, count, period)), end)
        case ThisAndBefore(count=count, period=period):
            return Bounds(first_day(period_on(end, period) - count, period), end)
        case CalendarPeriod(period=period, fiscal=fiscal):
            year = year_starts if fiscal else CALENDAR_YEAR
            return Bounds(first_day(period_on(end, period, year), period, year), end)
        case SinceJoining():
            return Bounds(partner[JOINED_ON], end)
        case FirstMonths(count=count):
            last = days_before(months_before(partner[JOINED_ON], -count), 1)
            return Bounds(partner[JOINED_ON], min(last, end))
        case InForce(tail=tail):
            return Bounds(_last_that_has_ended(end, tail), end)
        case Ever():
            return Bounds(None, end, undated=True)
    raise TypeError(f"window {window!r} has no bounds")


def _whole_periods(window: LastComplete | CalendarPeriod, on: date, shifts: Shifts, year_starts: MonthAndDay) -> Bounds:
    """Complete periods, moved by whole periods where the shift is whole periods, else seen from the day before."""
    period = window.period
    months = sum(shift.count * MONTHS_IN[shift.period] for shift in shifts)
    whole = months % MONTHS_IN[period] == 0
    on = on if whole else shifted(on, shifts)
    moved = months // MONTHS_IN[period] if whole else 0
    if isinstance(window, LastComplete):
        last = period_on(next_day(on), period) - 1 - moved
        return Bounds(first_day(last - window.count + 1, period), last_day(last, period))
    year = year_starts if window.fiscal else CALENDAR_YEAR
    last = period_on(on, period, year) - 1 - moved
    return Bounds(first_day(last, period, year), last_day(last, period, year))


def _last_that_has_ended(on: date, tail: Horizon | None) -> date:
    """The last day of expiry that, with the tail added, is not after `on`."""
    if tail is None:
        return on
    found = before(on, tail.count, tail.period)
    while after(next_day(found), tail) <= on:  # 28 and 29 February may both lead to the same day
        found = next_day(found)
    return found
