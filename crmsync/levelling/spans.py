"""Spans: windows that depend on a date of the partner, such as `since joining` or `until partners.left_on`.

Their bounds are made here in Python, one row per distinct date of the partners, and joined by that date: no engine
arithmetic on dates. A partner without the date has no span, and what is counted in it is unknown.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

import pyarrow as pa

from crmsync.levelling import sql
from crmsync.levelling.atoms import Atom, Days, bounds_of
from crmsync.levelling.engine import Engine
from crmsync.levelling.sql import Sql
from crmsync.levelling.windows import partner_dates
from crmsync.programs.program import Ever
from crmsync.snapshots import TableFile

Join = tuple[str, Sql, Sql]


@dataclass(frozen=True)
class Span:
    """A registered table of bounds: columns on_0, on_1 … (the partner's dates `columns`), first, last."""

    table: str
    columns: tuple[str, ...]
    delivered: bool  # whether partners have those columns at all
    has_start: bool

    def join(self, partner: str) -> Join:
        """The join to the partner's row, of alias `partner`; the span has its own name as alias."""
        matches = [
            sql.eq(sql.col(f"on_{i}", self.table), sql.col(column, partner)) for i, column in enumerate(self.columns)
        ]
        return ("left", sql.table(self.table), sql.and_(*matches) if self.delivered else sql.false())

    @property
    def bounds(self) -> tuple[Sql | None, Sql]:
        """First (None: no beginning) and last day."""
        return sql.col("first", self.table) if self.has_start else None, self.last

    @property
    def last(self) -> Sql:
        """The last day; NULL for a partner without a span."""
        return sql.col("last", self.table)


class Spans:
    """The spans of one assessment, each registered when it is first asked for."""

    def __init__(self, engine: Engine, partners: TableFile, days: Days) -> None:
        self._engine, self._partners, self._days = engine, partners, days
        self._made: dict[tuple[object, ...], Span] = {}
        self._dates: dict[tuple[str, ...], list[tuple[date, ...]]] = {}

    def of(self, atom: Atom) -> Span | None:
        """The span of an atom's window; None where it is the same for all partners."""
        columns = partner_dates(atom.window)
        if not columns:
            return None
        on = self._days.seen_from(atom.view)
        key = (atom.window, atom.shifts, on)
        if key not in self._made:
            self._made[key] = self._register(atom, on, columns)
        return self._made[key]

    def _register(self, atom: Atom, on: date, columns: tuple[str, ...]) -> Span:
        dates = self._partner_dates(columns)
        found = [bounds_of(atom, on, self._days, dict(zip(columns, one, strict=True))) for one in dates]
        days: dict[str, list[date | None]] = {f"on_{i}": [one[i] for one in dates] for i in range(len(columns))}
        days |= {"first": [one.start for one in found], "last": [one.end for one in found]}
        name = f"span_{len(self._made)}"
        self._engine.register(name, pa.table({key: pa.array(values, pa.date32()) for key, values in days.items()}))
        return Span(name, columns, self._delivered(columns), not isinstance(atom.window, Ever))

    def _delivered(self, columns: tuple[str, ...]) -> bool:
        return all(column in self._partners.columns for column in columns)

    def _partner_dates(self, columns: tuple[str, ...]) -> list[tuple[date, ...]]:
        if not self._delivered(columns):
            return []
        if columns not in self._dates:
            cells = [sql.col(column) for column in columns]
            known = sql.and_(*(sql.not_null(cell) for cell in cells))
            table = self._engine.read(sql.distinct(cells, sql.table("t_partners"), known))
            self._dates[columns] = list(zip(*(column.to_pylist() for column in table.columns), strict=True))
        return self._dates[columns]
