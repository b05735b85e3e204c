"""Days of loss by looking at one day after the other, where what moves cannot be followed row by row.

Ranks, the best of a tree, groups, medians of a family and their like depend on many accounts at once. For each day on
which anything moves the whole program is asked what it would give if nothing happened until then. Exact, and slower
than `loss.py`; only asked where somebody falls.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from datetime import date

import numpy as np
import pyarrow as pa

from crmsync.levelling import sql
from crmsync.levelling.atoms import Atom
from crmsync.levelling.calendar import Calendar
from crmsync.levelling.dates import days_before, next_day
from crmsync.levelling.falling import place_of
from crmsync.levelling.levelling import Levelling
from crmsync.levelling.overrides import OVERRIDES
from crmsync.levelling.reach import heads
from crmsync.levelling.rows import Rows
from crmsync.levelling.sql import Sql
from crmsync.levelling.windows import partner_dates
from crmsync.programs.program import FromHeld, FromRank, InForce

Look = Callable[[date], pa.Table]
"""Who will have lost the granted tier on a day ahead: (place) of the falling, or (partner_id, category)."""

Looking = Callable[[pa.Table | None, pa.Table | None], AbstractContextManager[Look]]
"""Looks at days ahead, within the given partners (partner_id) only or, with None, at all of them.

The second: the falling (partner_id, category, granted) where measures say whether their tier is lost, else None.
"""

WITHIN = "within_ahead"
SCHEMA = pa.schema([("place", pa.int64()), ("lost_on", pa.date32())])


def losses_by_day(falling: pa.Table, days: Iterable[date], look: Look) -> pa.Table:
    """(place, lost_on) for each of `falling` (partner_id, category), from the days in order."""
    found: list[pa.Table] = []
    left = np.ones(falling.num_rows, dtype=bool)
    for day in days:
        fallen = look(day)
        rows = fallen.column("place") if "place" in fallen.column_names else place_of(falling, fallen).drop_null()
        places = np.unique(rows.to_numpy())
        places = places[left[places]]
        if len(places):
            lost_on = pa.array([day] * len(places), pa.date32())
            found.append(pa.table({"place": places, "lost_on": lost_on}).cast(SCHEMA))
        left[places] = False
        if not left.any():
            break
    return pa.concat_tables([SCHEMA.empty_table(), *found])


def whose_numbers_count(levelling: Levelling, falling: pa.Table) -> pa.Table | None:
    """(partner_id) of those whom the numbers of the falling can hang on: their whole trees; None: everybody.

    A place in a ranking hangs on everybody. Where the tree was cut, a part of it could be cut elsewhere.
    """
    ranked = any(isinstance(metric.source, FromRank) for metric in levelling.program.metrics.values())
    if ranked or (levelling.hierarchy is not None and levelling.hierarchy.cyclic):
        return None
    partners = falling.select(["partner_id"]).group_by("partner_id").aggregate([])
    if levelling.flat:
        return partners
    levelling.engine.register("falling_ahead", partners)
    tops = heads(levelling)
    falls = sql.eq(sql.col("partner_id", "a"), sql.col("member", "t"))
    top = sql.col("ancestor", "t")
    trees = sql.select([top], sql.table(tops, "t"), [("inner", sql.table("falling_ahead", "a"), falls)], group=[top])
    match = sql.eq(sql.col("ancestor", "m"), sql.col("ancestor", "top"))
    members = sql.named(sql.col("member", "m"), "partner_id")
    joins = [("inner", sql.subquery(trees, "top"), match)]
    return levelling.engine.read(sql.select([members], sql.table(tops, "m"), joins))


def days_of_change(levelling: Levelling, atoms: Sequence[Atom], steady: bool, within: pa.Table | None) -> list[date]:
    """The days up to the horizon on which some number can differ from that of the day before.

    `steady`: nothing but windows and validities depends on the day. `within`: whose records are looked at.
    """
    if within is not None:
        levelling.engine.register(WITHIN, within)
    calendar = Calendar(levelling.days, [atom for atom in atoms if not partner_dates(atom.window)])
    ahead = calendar.all_days[1:]
    served = any(isinstance(metric.source, FromHeld) for metric in levelling.program.metrics.values())
    if not steady or served or any(moves_by_partner(atom) for atom in atoms):
        return ahead
    found = set(_ends_of_overrides(levelling))
    for atom in atoms:
        if not partner_dates(atom.window) and atom.source.table in levelling.snapshot.tables:
            found |= _changes(levelling, atom, calendar, within is not None)
    return [day for day in ahead if day in found]


def moves_by_partner(atom: Atom) -> bool:
    """Whether a window of the partner's own dates moves on: with a shift it ends on another day each day."""
    shifted = bool(atom.shifts) or atom.window.shift is not None
    return bool(partner_dates(atom.window)) and atom.window.until is None and shifted


def _ends_of_overrides(levelling: Levelling) -> list[date]:
    """The days on which an override no longer holds."""
    if not levelling.remembers.get(OVERRIDES) and not levelling.credits:
        return []
    if "overrides" not in levelling.snapshot.tables or "ends_on" not in levelling.snapshot.tables["overrides"].columns:
        return []
    ends = sql.col("ends_on")
    last = levelling.engine.read(sql.distinct([ends], sql.table("t_overrides"), sql.not_null(ends)))
    return [next_day(day) for day in last.column(0).to_pylist()]


def _changes(levelling: Levelling, atom: Atom, calendar: Calendar, within: bool) -> set[date]:
    """The days on which a row leaves or enters the window of an atom."""
    rows, number = levelling.rows(atom.source.table), calendar.number(atom)
    if isinstance(atom.window, InForce):
        return _validity_changes(levelling, rows, atom, calendar, within)
    dates = _dates(levelling, rows, rows.dated(atom.metric.dated_by), calendar.stretches(number), within)
    moved: set[date] = set()
    for leaving in (True, False):
        moves = calendar.moves(number, leaving)
        pairs = zip(moves.column("moved").to_pylist(), moves.column("day").to_pylist(), strict=True)
        moved |= {day for one, day in pairs if one in dates}
    return moved


def _validity_changes(levelling: Levelling, rows: Rows, atom: Atom, calendar: Calendar, within: bool) -> set[date]:
    """Days on which a record begins or ceases to be in force; either reading of expires_on is covered."""
    bounds = calendar.bounds[calendar.number(atom)]
    (start, end), (last_start, last_end) = bounds[0], bounds[-1]
    assert start is not None
    assert last_start is not None
    ended = _dates(levelling, rows, rows.cell("expires_on"), [(start, next_day(last_start))], within)
    begun = _dates(levelling, rows, rows.dated(atom.metric.dated_by), [(next_day(end), last_end)], within)
    found = set()
    for day, (first, last) in zip(calendar.all_days[1:], bounds[1:], strict=True):
        assert first is not None
        if {first, days_before(first, 1)} & ended or last in begun:
            found.add(day)
    return found


def _dates(
    levelling: Levelling, rows: Rows, day: Sql, stretches: Sequence[tuple[date, date]], within: bool
) -> set[date]:
    """The dates within the stretches that some row has."""
    if not stretches:
        return set()
    moving = sql.or_(*(sql.and_(sql.ge(day, sql.day(a)), sql.le(day, sql.day(b))) for a, b in stretches))
    mine = sql.eq(sql.col("partner_id", "w"), sql.col("partner_id", "f"))
    joins = [("inner", sql.table(WITHIN, "w"), mine)] if within else []
    query = sql.select([sql.named(day, "day")], rows.source(), joins, moving, group=[day])
    return set(levelling.engine.read(query).column(0).to_pylist())
