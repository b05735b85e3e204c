"""The review days between the previous standings and this assessment: promotion and demotion dates, ends of grace, days
on which something pending comes into force. Each is assessed as of its day, in order.

On a calendar date everybody in the category is reviewed; on an anniversary, at the end of a grace or on a day when
something comes into force only that partner is. Source: program-language, section 7 (state).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import date

import pyarrow.compute as pc

from crmsync.levelling import movement_dates, versions
from crmsync.levelling.previous import Previous
from crmsync.levelling.rules import anniversary_columns, movements_of
from crmsync.programs.program import Program, ReviewDates

Anniversaries = Callable[[str], Iterable[date]]
"""The dates that partners have in a column."""


def next_day(program: Program, before: Previous, as_of: date, returning: Iterable[date]) -> date | None:
    """The first review day after what stands and before as_of. `returning`: see `returning_days`."""
    if before.as_of is None or not before.stands:
        return None
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


def returning_days(program: Program, before: Previous, as_of: date, partner_dates: Anniversaries) -> list[date]:
    """The days on the way on which a date of some partner returns that is a date of its movement."""
    if before.as_of is None or not before.stands:
        return []
    found: set[date] = set()
    for version in versions.chain(program):
        for column in anniversary_columns(version):
            for day in partner_dates(column):
                returns = movement_dates.returning_between(day, before.as_of, as_of)
                found.update(one for one in returns if versions.on_day(program, one) is version)
    return sorted(found)


def _dates(program: Program) -> set[ReviewDates]:
    """The calendars of all changes."""
    changes = [change for one in movements_of(program) for change in (one.promote, one.demote)]
    return {change.on for change in changes if change.on is not None and change.on.days}
