"""Aggregates the slow way: every record of every account looked at. Shares no code with the engine.

Source: program-language, section 3 (sources, unknown, groups, split_by).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from fractions import Fraction
from typing import Any

from crmsync.programs import program as tree
from crmsync.programs.program import Aggregate, Formula, FromRows, Unit, Window
from tests.levelling.oracle_cells import LOST, UNKNOWN, Lower, before, compared, condition, rounded, value
from tests.levelling.oracle_windows import Stretch, stretch
from tests.levelling.oracle_world import Row, Seen, View, World

CREDITS = {("opportunities", "share"), ("opportunities", "credited_amount")}
IDS = {"opportunities": "opportunity_id", "certifications": "certification_id", "activities": "activity_id"}
COUNTS = (Aggregate.COUNT, Aggregate.COUNT_DISTINCT)
FLOWS = (Aggregate.SUM, *COUNTS)


@dataclass(frozen=True)
class Asked:
    """What is aggregated: the source with its filter and window; `split_by` for one value; `group` of a column."""

    source: FromRows
    unit: Unit
    where: Formula | None
    during: Window | None
    dated_by: str | None
    split_by: str | None = None
    group: tuple[str, str] | None = None

    def window(self, world: World) -> Window:
        if self.during is not None:
            return self.during
        return tree.InForce() if world.has_validity(self.source.table) else tree.Ever()


def aggregated(world: World, asked: Asked, partner: str, scope: Sequence[str], seen: Seen) -> Any:
    """The value, None (unknown) or a lower bound, over the records of the accounts in `scope`."""
    stays = _value(world, asked, scope, seen.view.day, seen, _stretch(world, asked, partner, seen))
    window = asked.window(world)
    plain_last = isinstance(window, tree.Last) and window.shift is None and window.until is None and not seen.shifts
    if not seen.view.pace or asked.source.aggregate not in FLOWS or not isinstance(window, tree.Last) or not plain_last:
        return stays
    pace = world.program.risk.pace
    start = before(world.as_of, pace.count, pace.period.value)
    lately = _value(world, asked, scope, world.as_of, seen, Stretch(_next(start), world.as_of))
    days = (seen.view.day - max(world.as_of, before(seen.view.day, window.count, window.period.value))).days
    parts = [one.value if isinstance(one, Lower) else one for one in (stays, lately)]
    if None in parts:
        return None
    added = parts[1] * days / (world.as_of - start).days
    total = parts[0] + (rounded(added, 2) if asked.unit is Unit.MONEY else added)
    return Lower(total) if isinstance(stays, Lower) or isinstance(lately, Lower) else total


def _next(day: date) -> date:
    return date.fromordinal(day.toordinal() + 1)


def _stretch(world: World, asked: Asked, partner: str, seen: Seen) -> Stretch | None:
    return stretch(asked.window(world), seen.view.day, seen.shifts, world.partners[partner], world.program.fiscal_start)


def has_rows(world: World, asked: Asked, partner: str, scope: Sequence[str], split: str) -> bool:
    """Whether some record of a split value counts today."""
    seen = Seen(View(world.as_of), (), split)
    span = _stretch(world, asked, partner, seen)
    return span is not None and any(
        holds is not False for _, _, holds in _counting(world, asked, scope, world.as_of, seen, span)
    )


def split_values(world: World, asked: Asked) -> set[str]:
    """Every value of the split column in the records that `where` lets through."""
    found = set()
    for given in world.rows(asked.source.table):
        row = Row(world, asked.source.table, given, world.as_of, asked.unit is Unit.MONEY)
        words = row.words(asked.split_by or "")
        if words is not None and (asked.where is None or condition(asked.where.tree, row) is not False):
            found.add(words)
    return found


# --- records


def _counting(
    world: World, asked: Asked, scope: Sequence[str], day: date, seen: Seen, span: Stretch
) -> Iterator[tuple[int, Row, Any]]:
    """The records inside the window and whether `where` holds: True or LOST."""
    within = set(scope)
    for place, given in enumerate(world.rows(asked.source.table)):
        if given["partner_id"] not in within:
            continue
        row = Row(world, asked.source.table, given, day, asked.unit is Unit.MONEY)
        if asked.split_by is not None and seen.split is not None and row.words(asked.split_by) != seen.split:
            continue
        if asked.group is not None and row.words(asked.group[0]) != asked.group[1]:
            continue
        if not _inside(world, asked, row, span):
            continue
        holds = True if asked.where is None else condition(asked.where.tree, row)
        if holds is True or holds is LOST:
            yield place, row, holds


def _inside(world: World, asked: Asked, row: Row, span: Stretch) -> bool:
    last = min(span.last, world.as_of)
    if span.valid_on is not None:
        issued, expires = row.own.get("issued_on"), row.own.get("expires_on")
        if expires is not None and world.facts.last_day:
            expires = _next(expires)  # the first day on which it is no longer valid
        if expires is not None and span.tail is not None:
            expires = before(expires, -span.tail.count, span.tail.period.value)
        ends_later = expires is None or expires > span.valid_on
        return (issued is None or issued <= last) and ends_later
    day = row.own.get(asked.dated_by) if asked.dated_by else row.main_date
    if span.first is None:
        return day is None or day <= last
    return day is not None and span.first <= day <= last


def _value(world: World, asked: Asked, scope: Sequence[str], day: date, seen: Seen, span: Stretch | None) -> Any:
    if span is None:
        return None
    formulas = [one for one in (asked.where, asked.source.value) if one is not None]
    once = asked.source.table == "opportunities" and not any(one.columns & CREDITS for one in formulas)
    lost = False
    counted: dict[Any, list[tuple[Any, Row]]] = {}
    for place, row, holds in _counting(world, asked, scope, day, seen, span):
        lost = lost or holds is LOST
        if holds is LOST:
            continue
        cell = None if asked.source.value is None else value(asked.source.value.tree, row)
        lost = lost or cell is LOST
        known = [] if cell in (None, UNKNOWN, LOST) else [(_typed(asked, cell), row)]
        counted.setdefault(row.own["opportunity_id"] if once else place, []).extend(known)
    return _of_records(asked, counted, lost)


def _typed(asked: Asked, cell: Any) -> Any:
    return rounded(cell, 2) if asked.unit is Unit.MONEY and isinstance(cell, Fraction) else cell


def _of_records(asked: Asked, counted: Mapping[Any, list[tuple[Any, Row]]], lost: bool) -> Any:
    aggregate = asked.source.aggregate
    if aggregate is Aggregate.COUNT:
        total: Any = Fraction(len(counted))
    elif aggregate is Aggregate.COUNT_DISTINCT:
        total = Fraction(len({one for values in counted.values() for one, _ in values}))
    elif aggregate in (Aggregate.FIRST, Aggregate.LAST):
        total = None if lost else _by_date(asked, counted)
    else:
        # the rows of one opportunity agree on what is its own; where they differ the largest counts
        values = [max(value for value, _ in found) for found in counted.values() if found]
        total = _of_values(asked, values)
        unsure = aggregate in (Aggregate.AVERAGE, Aggregate.MINIMUM, Aggregate.MEDIAN)
        unsure = unsure or (aggregate is Aggregate.SUM and any(one < 0 for one in values))
        if lost and unsure:
            total = None
    return Lower(total) if lost else total


def _of_values(asked: Asked, values: list[Any]) -> Any:
    aggregate = asked.source.aggregate
    if aggregate is Aggregate.SUM:
        return sum(values, Fraction(0))
    if not values:
        return None
    if aggregate in (Aggregate.MINIMUM, Aggregate.MAXIMUM):
        return min(values) if aggregate is Aggregate.MINIMUM else max(values)
    if aggregate is Aggregate.AVERAGE:
        found = sum(values, Fraction(0)) / len(values)
    else:
        ordered = sorted(values)
        found = Fraction(ordered[(len(values) - 1) // 2] + ordered[len(values) // 2]) / 2
    return rounded(found, 2) if asked.unit is Unit.MONEY else found


def _by_date(asked: Asked, counted: Mapping[Any, list[tuple[Any, Row]]]) -> Any:
    """The first or last by date; ties by the table's id, the larger is last; of one opportunity the largest value."""
    table, first = asked.source.table, asked.source.aggregate is Aggregate.FIRST
    found = []
    for values in counted.values():
        dated = [(one, row) for one, row in values if _date_of(asked, row) is not None]
        if dated:
            best = max(one for one, _ in dated)
            row = dated[0][1]
            found.append(((_date_of(asked, row), str(row.own[IDS[table]])), best))
    if not found:
        return None
    ends = min(key for key, _ in found) if first else max(key for key, _ in found)
    ties = [one for key, one in found if key == ends]  # several credit rows of one opportunity
    return min(ties) if first else max(ties)


def _date_of(asked: Asked, row: Row) -> date | None:
    found = row.own.get(asked.dated_by) if asked.dated_by else row.main_date
    return found if found is None else date.fromordinal(found.toordinal())


# --- groups


def groups(world: World, source: tree.FromGroups, partner: str, seen: Seen) -> Any:
    """How many values of a column meet every condition, or their share."""
    conditions = [
        Asked(one.source, Unit.MONEY if one.money else Unit.NUMBER, one.where, one.during, one.dated_by)
        for one in source.having
    ]
    if any(_stretch(world, one, partner, seen) is None for one in conditions):
        return None
    met, first, unsure, unsure_first = 0, 0, False, False
    for words in sorted(_words(world, source, partner)):
        answers = []
        for asked, one in zip(conditions, source.having, strict=True):
            grouped = Asked(
                asked.source, asked.unit, asked.where, asked.during, asked.dated_by, None, (source.of, words)
            )
            # a group's condition goes on as it stands: the pace is one of whole metrics
            found = aggregated(world, grouped, partner, [partner], _not_at_pace(seen))
            answers.append(_answer(found, one))
        unsure_first = unsure_first or answers[0] is UNKNOWN
        first += answers[0] is True
        if False not in answers:
            unsure = unsure or UNKNOWN in answers
            met += UNKNOWN not in answers
    if not source.share:
        return Lower(Fraction(met)) if unsure else Fraction(met)
    if unsure or unsure_first:
        return Lower(None)
    return Fraction(met, first) if first else None


def _not_at_pace(seen: Seen) -> Seen:
    return Seen(View(seen.view.day), seen.shifts, None, seen.category)


def _answer(found: Any, one: tree.GroupCondition) -> Any:
    if found is None:
        return False  # nothing to average
    if isinstance(found, Lower) and found.value is None:
        return UNKNOWN
    return compared(found, "<=" if one.at_most else ">=", Fraction(one.limit))


def _words(world: World, source: tree.FromGroups, partner: str) -> set[str]:
    """Every value of the column in any record of the partner in the tables of the conditions."""
    found = set()
    for table in {one.source.table for one in source.having}:
        for given in world.rows(table):
            if given["partner_id"] == partner:
                words = Row(world, table, given, world.as_of, False).words(source.of)
                found |= set() if words is None else {words}
    return found
