"""Windows in plain words: the first and last day of each, as one partner sees them. Shares no code with the engine.

Source: program-language, section 3 (during).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from crmsync.programs import program as tree
from crmsync.programs.program import Shift, Window
from tests.levelling.oracle_cells import before

ONE = timedelta(days=1)
MONTHS = {"months": 1, "quarters": 3, "years": 12}


@dataclass(frozen=True)
class Stretch:
    """First and last day; `valid_on`: the day on which validity is asked instead, with `tail` added to the end."""

    first: date | None
    last: date
    valid_on: date | None = None
    tail: tree.Horizon | None = None


def stretch(
    window: Window, day: date, shifts: tuple[Shift, ...], partner: Mapping[str, Any], fiscal: tuple[int, int]
) -> Stretch | None:
    """The days of a window; None: it depends on a date that the partner does not have."""
    if window.until is not None:
        ends = partner.get(window.until)
        if ends is None:
            return None
        day = ends
    shifts = (*((window.shift,) if window.shift else ()), *shifts)
    if isinstance(window, tree.LastComplete) or (isinstance(window, tree.CalendarPeriod) and window.previous):
        return _whole(window, day, shifts, fiscal)
    for shift in shifts:
        day = before(day, shift.count, shift.period.value)
    match window:
        case tree.Ever():
            return Stretch(None, day)
        case tree.InForce(tail=tail):
            return Stretch(None, day, day, tail)
        case tree.Last(count=count, period=period):
            return Stretch(before(day, count, period.value) + ONE, day)
        case tree.ThisAndBefore(count=count, period=period):
            start = _begins(day, MONTHS[period.value], (1, 1))
            return Stretch(before(start, count, period.value), day)
        case tree.CalendarPeriod(period=period, fiscal=is_fiscal):
            return Stretch(_begins(day, MONTHS[period.value], fiscal if is_fiscal else (1, 1)), day)
    joined = partner.get("joined_on")
    if joined is None:
        return None
    if isinstance(window, tree.FirstMonths):
        return Stretch(joined, min(day, before(joined, -window.count, "months") - ONE))
    return Stretch(joined, day)


def _begins(day: date, months: int, year: tuple[int, int]) -> date:
    """The first day of the period of so many months that holds a day; years begin on (month, day)."""
    start = date(day.year - 1, *year) if months > 1 else day.replace(day=1)
    while before(start, -months, "months") <= day:
        start = before(start, -months, "months")
    return start


def _whole(
    window: tree.LastComplete | tree.CalendarPeriod, day: date, shifts: tuple[Shift, ...], fiscal: tuple[int, int]
) -> Stretch:
    """Complete periods, moved by whole ones; by a day where the shift is not one of whole periods."""
    months = MONTHS[window.period.value]
    moved = sum(shift.count * MONTHS[shift.period.value] for shift in shifts)
    if moved % months:
        for shift in shifts:
            day = before(day, shift.count, shift.period.value)
        moved = 0
    year = fiscal if isinstance(window, tree.CalendarPeriod) and window.fiscal else (1, 1)
    count = window.count if isinstance(window, tree.LastComplete) else 1
    complete_today = isinstance(window, tree.LastComplete)
    ends = _begins(day + ONE if complete_today else day, months, year)  # the first day that is not complete
    ends = before(ends, moved, "months")
    return Stretch(before(ends, count * months, "months"), ends - ONE)
