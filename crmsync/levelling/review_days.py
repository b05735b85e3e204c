"""The review days between the previous standings and this assessment: promotion and demotion dates, ends of grace, days
on which something pending comes into force. Each is assessed as of its day, in order.

On a calendar date everybody in the category is reviewed; on an anniversary, at the end of a grace or on a day when
something comes into force only that partner is. Source: program-language, section 7 (state).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import date

import pyarrow as pa
import pyarrow.compute as pc

from crmsync.levelling import movement_dates, versions
from crmsync.levelling.previous import Previous, after_review_day, in_version
from crmsync.levelling.rules import movements_of
from crmsync.programs.program import Program, ReviewDates

Turned = Callable[[Program, Previous, date], pa.Table]
"""Assesses one day: the rows of what was before as they are after it, with a column `acts`."""

Anniversaries = Callable[[str], Iterable[date]]
"""The dates that partners have in a column."""


def reviewed(program: Program, before: Previous, as_of: date, turned: Turned, partner_dates: Anniversaries) -> Previous:
    """What stands before as_of, after all review days on the way."""
    if before.as_of is None or not before.stands:
        return in_version(before, versions.on_day(program, as_of))
    returning = _returning(program, before.as_of, as_of, partner_dates)
    while (day := _next_day(program, before, as_of, returning)) is not None:
        version = versions.on_day(program, day)
        before = in_version(before, version)
        rows = turned(version, before, day)
        before = after_review_day(before, rows.filter(rows.column("acts")), day)
    return in_version(before, versions.on_day(program, as_of))


def _next_day(program: Program, before: Previous, as_of: date, returning: list[date]) -> date | None:
    assert before.as_of is not None
    last = before.as_of
    found = [day for day in returning if day > last]
    for version in versions.chain(program):
        for dates in _dates(version):
            days = movement_dates.between(dates, last, as_of)
            found += [day for day in days if versions.on_day(program, day) is version]
    for column in ("grace_until", "pending_on"):
        days = before.table.column(column)
        later = days.filter(pc.and_(pc.greater(days, last), pc.less(days, as_of)))
        found += [pc.min(later).as_py()] if len(later) else []
    return min(found, default=None)


def _dates(program: Program) -> set[ReviewDates]:
    """The calendars of all changes."""
    changes = [change for one in movements_of(program) for change in (one.promote, one.demote)]
    return {change.on for change in changes if change.on is not None and change.on.days}


def _returning(program: Program, first: date, last: date, partner_dates: Anniversaries) -> list[date]:
    """The days between on which a date of some partner returns that is a date of its movement."""
    found: set[date] = set()
    for version in versions.chain(program):
        for column in _columns(version):
            for day in partner_dates(column):
                returns = movement_dates.returning_between(day, first, last)
                found.update(one for one in returns if versions.on_day(program, one) is version)
    return sorted(found)


def _columns(program: Program) -> set[str]:
    changes = [change for one in movements_of(program) for change in (one.promote, one.demote)]
    return {change.on.anniversary for change in changes if change.on is not None and change.on.anniversary is not None}
