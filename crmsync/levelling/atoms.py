"""Atoms: the plain aggregates that metrics are made of, each a metric seen from one day through one window.

One program needs a metric several times: today, at the risk horizon, at the recent pace, and a year earlier for growth.
Each of these is an atom with a column of its own; all atoms of a table are computed in one pass over its rows.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import date
from types import MappingProxyType

from crmsync.errors import ConfigError
from crmsync.levelling import sql
from crmsync.levelling.dates import CALENDAR_YEAR, MonthAndDay, after, before, next_day
from crmsync.levelling.spots import HORIZON, NOW, PACE, RECENT, Shifts, Spot, Spots, column_of, presence_of
from crmsync.levelling.sql import Sql
from crmsync.levelling.windows import NOBODY, Bounds, bounds
from crmsync.programs.program import (
    Aggregate,
    Ever,
    FromGroups,
    FromRows,
    InForce,
    Last,
    Metric,
    Program,
    Unit,
    Window,
)

ORDERED = frozenset({Aggregate.MEDIAN, Aggregate.FIRST, Aggregate.LAST})
HAVING = ".having"
"""Between the key of a metric of groups and the number of one of its conditions."""
COUNTED = frozenset({Aggregate.COUNT, Aggregate.COUNT_DISTINCT})
_KINDS = MappingProxyType({Unit.MONEY: sql.MONEY, Unit.TEXT: sql.TEXT, Unit.YES_NO: sql.BOOLEAN})


@dataclass(frozen=True)
class Atom:
    """One aggregate column. `window` is resolved (the table's default filled in)."""

    metric: Metric
    source: FromRows
    window: Window
    spot: Spot

    @property
    def view(self) -> str:
        return self.spot.view

    @property
    def shifts(self) -> Shifts:
        return self.spot.shifts

    @property
    def column(self) -> str:
        return column_of(self.metric.key, self.spot)

    @property
    def lost(self) -> str:
        """Name of the flag column: some record was lost to it."""
        return f"{self.column}!"

    @property
    def presence(self) -> str | None:
        """Name of the flag column: some record of the split value counts today."""
        seen = self.spot
        if seen.split is None or seen.view != NOW or seen.shifts:
            return None
        return presence_of(self.metric.key, seen.split)

    @property
    def kind(self) -> str:
        """The SQL type of the column."""
        if self.source.aggregate in COUNTED:
            return sql.BIGINT
        return _KINDS.get(self.metric.unit, sql.DOUBLE)

    @property
    def counts_from_zero(self) -> bool:
        """Whether no rows are 0 and not unknown."""
        return self.source.aggregate in COUNTED or self.source.aggregate is Aggregate.SUM

    def without_rows(self) -> Sql:
        """What a partner has for whom no row counts."""
        return sql.cast(sql.number(0), self.kind) if self.counts_from_zero else sql.null(self.kind)


@dataclass(frozen=True)
class GroupsAtom:
    """How many values of a column meet conditions: each condition is an atom that is asked per value."""

    metric: Metric
    source: FromGroups
    spot: Spot
    conditions: tuple[Atom, ...]
    presence: None = None

    @property
    def column(self) -> str:
        return column_of(self.metric.key, self.spot)

    @property
    def lost(self) -> str:
        """Name of the flag column: some record was lost to a condition."""
        return f"{self.column}!"

    @property
    def kind(self) -> str:
        """The SQL type of the column."""
        return sql.DOUBLE

    @property
    def counts_from_zero(self) -> bool:
        """Whether no value is 0 values; a share of none is unknown."""
        return not self.source.share

    def without_rows(self) -> Sql:
        """What a partner has without any row."""
        return sql.double(0) if self.counts_from_zero else sql.null(sql.DOUBLE)

    @property
    def tables(self) -> list[str]:
        """The tables that conditions ask."""
        return list(dict.fromkeys(one.source.table for one in self.conditions))


AnyAtom = Atom | GroupsAtom


def is_ordered(atom: Atom) -> bool:
    """Whether an atom needs its rows in order."""
    return atom.source.aggregate in ORDERED


def is_by_date(atom: Atom) -> bool:
    """Whether an atom is the first or last of its rows, so that ties are settled by their id."""
    return atom.source.aggregate in (Aggregate.FIRST, Aggregate.LAST)


@dataclass(frozen=True)
class Days:
    """The days of one assessment."""

    as_of: date
    horizon: date
    pace_start: date
    year_starts: MonthAndDay = CALENDAR_YEAR  # of the fiscal year

    @property
    def pace_days(self) -> int:
        """Days in the stretch the pace is taken from."""
        return (self.as_of - self.pace_start).days + 1

    def seen_from(self, view: str) -> date:
        """The day a view looks from."""
        return self.horizon if view in (HORIZON, PACE) else self.as_of


def days_of(program: Program, as_of: date) -> Days:
    """The days that an assessment of `program` at `as_of` looks at."""
    pace = program.risk.pace
    start = next_day(before(as_of, pace.count, pace.period))
    return Days(as_of, after(as_of, program.risk.horizon), start, program.fiscal_start)


def bounds_of(atom: Atom, on: date, days: Days, partner: Mapping[str, date] = NOBODY) -> Bounds:
    """The days whose rows an atom counts, seen from `on`; nothing dated after as_of is in a window.

    `partner`: the partner's dates, all of `partner_dates(atom.window)`.
    """
    if atom.view == RECENT:
        return Bounds(days.pace_start, days.as_of)
    limits = bounds(atom.window, on, atom.shifts, days.year_starts, partner)
    if isinstance(atom.window, InForce):
        return limits
    return Bounds(limits.start, min(limits.end, days.as_of), limits.undated)


def is_flow(metric: Metric, window: Window, shifts: Shifts) -> bool:
    """Whether a metric keeps flowing: a sum or count with a `last …` window that ends today."""
    counted = (Aggregate.SUM, Aggregate.COUNT, Aggregate.COUNT_DISTINCT)
    return (
        isinstance(metric.source, FromRows)
        and metric.source.aggregate in counted
        and isinstance(window, Last)
        and window.shift is None
        and window.until is None
        and not shifts
    )


def window_of(metric: Metric, has_validity: bool) -> Window:
    """The window of a metric with its table's default filled in."""
    if metric.during is not None:
        return metric.during
    return InForce() if has_validity else Ever()


def atoms_needed(spots: Spots, wanted: Iterable[tuple[str, Spot]], validity: Mapping[str, bool]) -> dict[str, AnyAtom]:
    """All atoms that the wanted metrics are built on, by column."""
    found: dict[str, AnyAtom] = {}
    seen: set[tuple[str, Spot]] = set()

    def visit(key: str, spot: Spot) -> None:
        if (key, spot) in seen:
            return
        seen.add((key, spot))
        metric = spots.program.metrics[key]
        if isinstance(metric.source, FromRows):
            for atom in _atoms_of(metric, metric.source, replace(spot, category=None), validity):
                found.setdefault(atom.column, atom)
        elif isinstance(metric.source, FromGroups):
            groups = _groups_of(metric, metric.source, spot, validity)
            found.setdefault(groups.column, groups)
        for other, there in spots.inputs(metric, spot):
            visit(other, there)

    for key, spot in wanted:
        visit(key, spots.at(key, spot))
    return found


def _atoms_of(metric: Metric, source: FromRows, spot: Spot, validity: Mapping[str, bool]) -> Iterator[Atom]:
    window = _checked_window(metric, source, validity)
    if spot.view != PACE:
        yield Atom(metric, source, window, spot)
        return
    yield Atom(metric, source, window, spot.seen(HORIZON))
    if is_flow(metric, window, spot.shifts):
        yield Atom(metric, source, window, spot.seen(RECENT))


def _checked_window(metric: Metric, source: FromRows, validity: Mapping[str, bool]) -> Window:
    window = window_of(metric, validity[source.table])
    if isinstance(window, InForce) and not validity[source.table]:
        raise ConfigError(
            f"metric {metric.key}: table {source.table} has no issued_on and expires_on, so nothing is in force"
        )
    return window


def _groups_of(metric: Metric, source: FromGroups, spot: Spot, validity: Mapping[str, bool]) -> GroupsAtom:
    """The atoms of the conditions, each as if it were a metric; at the recent pace groups stay as at the horizon."""
    spot = replace(spot, category=None, view=HORIZON if spot.view == PACE else spot.view)
    conditions = []
    for number, condition in enumerate(source.having):
        one = Metric(
            f"{metric.key}{HAVING}{number}", condition.line, Unit.MONEY if condition.money else Unit.NUMBER,
            condition.source, label="", where=condition.where, during=condition.during, dated_by=condition.dated_by,
        )  # fmt: skip
        conditions.append(Atom(one, condition.source, _checked_window(one, condition.source, validity), spot))
    return GroupsAtom(metric, source, spot, tuple(conditions))
