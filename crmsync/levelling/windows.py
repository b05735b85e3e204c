"""Windows and dates: which stretch of days a window means on a given day.

All bounds are computed here in plain Python and given to the engine as literals or as a table: no engine
arithmetic on dates decides a rule. Both ends are inclusive dates.
"""

from __future__ import annotations

from calendar import monthrange
from dataclasses import dataclass
from datetime import date, timedelta

from crmsync.programs.program import Ever, Horizon, InForce, Last, Period, Shift, Window

MONTHS_IN = {Period.MONTHS: 1, Period.QUARTERS: 3, Period.YEARS: 12}


def months_before(day: date, months: int) -> date:
    """The same day `months` before (negative: after); in a shorter month its last day."""
    index = day.year * 12 + day.month - 1 - months
    year, month = divmod(index, 12)
    return date(year, month + 1, min(day.day, monthrange(year, month + 1)[1]))


def before(day: date, count: int, period: Period) -> date:
    """The same day `count` units before."""
    if period in MONTHS_IN:
        return months_before(day, count * MONTHS_IN[period])
    return day - timedelta(days=count * (7 if period is Period.WEEKS else 1))


def after(day: date, horizon: Horizon) -> date:
    """The day a horizon ends on."""
    return before(day, -horizon.count, horizon.period)


@dataclass(frozen=True)
class Bounds:
    """First and last day (inclusive); `start` None: no beginning. `undated`: rows without a date count too."""

    start: date | None
    end: date
    undated: bool = False


def shifted(day: date, shifts: tuple[Shift, ...]) -> date:
    """The day a chain of shifts leads to."""
    for shift in shifts:
        day = before(day, shift.count, shift.period)
    return day


def bounds(window: Window, on: date, shifts: tuple[Shift, ...] = ()) -> Bounds:
    """The days of a window as seen on `on`, moved by its own shift and then by `shifts`.

    For InForce both bounds are the day on which validity is asked.
    """
    own = (window.shift,) if window.shift else ()
    end = shifted(on, own + shifts)
    if isinstance(window, Last):
        return Bounds(before(end, window.count, window.period) + timedelta(days=1), end)
    if isinstance(window, Ever):
        return Bounds(None, end, undated=True)
    if isinstance(window, InForce):
        return Bounds(end, end)
    raise TypeError(f"window {window!r} has no bounds")
