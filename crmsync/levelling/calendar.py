"""The days up to the risk horizon and what moves in or out of each window on them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta

import pyarrow as pa

from crmsync.levelling import sql
from crmsync.levelling.atoms import Atom, Days, bounds_of
from crmsync.levelling.dates import days_before, next_day
from crmsync.levelling.engine import Engine
from crmsync.levelling.scans import BoundsOf
from crmsync.levelling.sql import Sql


class Calendar:
    """The days up to the horizon, and for each window its bounds on each of them."""

    def __init__(self, days: Days, atoms: Sequence[Atom]) -> None:
        count = (days.horizon - days.as_of).days
        self.all_days = [days.as_of + timedelta(days=i) for i in range(count + 1)]
        self.windows: dict[tuple[object, ...], int] = {}
        self.bounds: list[list[tuple[date | None, date]]] = []
        for atom in atoms:
            key = (atom.window, atom.shifts)
            if key not in self.windows:
                self.windows[key] = len(self.bounds)
                found = [bounds_of(atom, day, days) for day in self.all_days]
                self.bounds.append([(one.start, one.end) for one in found])

    def number(self, atom: Atom) -> int:
        return self.windows[(atom.window, atom.shifts)]

    def table(self) -> pa.Table:
        """One row per day after as_of; per window its bounds that day and the day before."""
        columns: dict[str, pa.Array] = {"day": pa.array(self.all_days[1:], pa.date32())}
        for number, bounds in enumerate(self.bounds):
            for name, part in (("start", 0), ("end", 1)):
                values = [limits[part] for limits in bounds]
                columns[f"{name}_{number}"] = pa.array(values[1:], pa.date32())
                columns[f"{name}_{number}_before"] = pa.array(values[:-1], pa.date32())
        return pa.table(columns)

    def limits(self) -> BoundsOf:
        """Bounds as columns of the calendar (alias f, where the rows were joined to it)."""

        def of(atom: Atom) -> tuple[Sql | None, Sql]:
            number = self.number(atom)
            start = sql.col(f"start_{number}", "f") if self.bounds[number][0][0] is not None else None
            return start, sql.col(f"end_{number}", "f")

        return of

    def today(self) -> BoundsOf:
        """Bounds of as_of as date literals."""

        def of(atom: Atom) -> tuple[Sql | None, Sql]:
            start, end = self.bounds[self.number(atom)][0]
            return (sql.day(start) if start is not None else None), sql.day(end)

        return of

    def stretches(self, number: int) -> list[tuple[date, date]]:
        """The dates (first and last) that leave or enter a window before the horizon."""
        bounds = self.bounds[number]
        (start, end), (last_start, last_end) = bounds[0], bounds[-1]
        found = [(end + timedelta(days=1), last_end)] if last_end > end else []
        if start is not None and last_start is not None and last_start > start:
            found.append((start, last_start - timedelta(days=1)))
        return found

    def moves(self, number: int, leaving: bool) -> pa.Table:
        """Which dates leave (or enter) a window on which day. Shape: one row per date, columns moved, day."""
        moved: list[date] = []
        days: list[date] = []
        bounds = self.bounds[number]
        for at in range(1, len(bounds)):
            gone, come = _differences(bounds[at - 1], bounds[at])
            for one in gone if leaving else come:
                moved.append(one)
                days.append(self.all_days[at])
        return pa.table({"moved": pa.array(moved, pa.date32()), "day": pa.array(days, pa.date32())})

    def end_moves(self, number: int) -> bool:
        """Whether dates enter a window at all."""
        return self.bounds[number][0][1] != self.bounds[number][-1][1]


@dataclass(frozen=True)
class Moves:
    """The dates that move in or out of the windows of a calendar, as tables (moved, day) made when first asked for."""

    engine: Engine
    calendar: Calendar
    _made: dict[tuple[int, bool], str | None] = field(default_factory=dict)

    def of(self, number: int, leaving: bool) -> Sql | None:
        """The table of a window (alias g); None where no date moves."""
        key = (number, leaving)
        if key not in self._made:
            moves = self.calendar.moves(number, leaving)
            self._made[key] = f"moves_{number}_{'out' if leaving else 'in'}" if moves.num_rows else None
            if moves.num_rows:
                self.engine.register(f"moves_{number}_{'out' if leaving else 'in'}", moves)
        name = self._made[key]
        return sql.table(name, "g") if name is not None else None


def _differences(before: tuple[date | None, date], now: tuple[date | None, date]) -> tuple[list[date], list[date]]:
    """The dates that leave and those that enter when a window moves on; its ends never go back."""
    (start_before, end_before), (start, end) = before, now
    gone = [] if start is None or start_before is None else _dates(start_before, min(end_before, days_before(start, 1)))
    first = next_day(end_before) if start is None else max(start, next_day(end_before))
    return gone, _dates(first, end)


def _dates(first: date, last: date) -> list[date]:
    return [first + timedelta(days=i) for i in range((last - first).days + 1)]
