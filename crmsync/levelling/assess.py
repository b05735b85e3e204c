"""Assess: the spine of levelling, from a sealed snapshot and a program to the standings of one day.

Pure but for the engine: no clock, no files of its own. Rows are never looped over in Python.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from crmsync.errors import Rejected
from crmsync.levelling import previous, sql, versions
from crmsync.levelling.aside import Aside
from crmsync.levelling.categories import Standing
from crmsync.levelling.criteria import LIMITS
from crmsync.levelling.engine import DuckDbEngine, Engine
from crmsync.levelling.family import account_above
from crmsync.levelling.levelling import Levelling
from crmsync.levelling.loss import first_days_of_loss
from crmsync.levelling.loss_daily import Look
from crmsync.levelling.measures import Measures, with_alias
from crmsync.levelling.measuring import MEASURES, compute_measures, wanted_metrics
from crmsync.levelling.notes import NOTED, notes_of
from crmsync.levelling.override_entries import with_entries, without_measured
from crmsync.levelling.overrides import MEASURED, Overrides
from crmsync.levelling.per_values import per_values
from crmsync.levelling.preparing import prepare
from crmsync.levelling.previous import Previous
from crmsync.levelling.remembered import Remembered, partner_dates, register_remembered
from crmsync.levelling.review_days import reviewed
from crmsync.levelling.shown import metrics_struct, with_names
from crmsync.levelling.spots import HORIZON, NOW, PACE
from crmsync.levelling.sql import Sql
from crmsync.levelling.summary import light_query, standings_query, with_losses
from crmsync.programs.program import Horizon, Period, Program
from crmsync.snapshots import Snapshot


@dataclass(frozen=True)
class Assessment:
    """The standings of one day, ordered by partner_id and category, and what was not as it should be."""

    standings: pa.Table
    notes: tuple[str, ...] = ()
    rejected: tuple[Rejected, ...] = ()


def assess(
    program: Program,
    snapshot: Snapshot,
    as_of: date,
    previous_file: Path | pa.Table | None = None,
    engine: Engine | None = None,
    *,
    light: bool = False,
) -> Assessment:
    """Standings of `program` at `as_of`. Shape: one row per partner and category, columns of `standings.COLUMNS`.

    `previous_file`: standings of an earlier day, a file or what `assess` gave. `light`: tiers and movement alone; gap,
    risk, metrics and benefits are empty. Errors: ConfigError (a name that the tables do not have, previous standings
    that do not fit), DataError, StoreError.
    """
    own = engine is None
    engine = engine or DuckDbEngine(rows=sum(table.rows for table in snapshot.tables.values()))
    try:
        spine = Spine(snapshot, engine)
        before = previous.previous_standings(program, previous_file, as_of, snapshot.rejected_partners)
        return spine.assessed(program, before, as_of, light)
    finally:
        if own:
            engine.close()


@dataclass(frozen=True)
class Spine:
    """One snapshot on one engine, on which day after day can be assessed."""

    snapshot: Snapshot
    engine: Engine

    def assessed(self, program: Program, before: Previous, as_of: date, light: bool = False) -> Assessment:
        """The standings of a day, after the review days between what was before and it."""
        day = self.today(program, before, as_of)
        standings = day.light() if light else day.whole()
        carried = [
            f"partner {one}: its row was rejected; its standing stays as it was"
            for one in previous.unread_partners(before)[:NOTED]
        ]
        notes = (*notes_of(day.levelling), *carried)
        standings = with_entries(standings, day.overrides, self._tiers_without(day))
        return Assessment(standings, notes, day.overrides.rejected)

    def today(self, program: Program, before: Previous, as_of: date) -> Day:
        """The day of as_of, opened after the review days on the way to it."""
        before = reviewed(program, before, as_of, self._turned, self._partner_dates)
        return self.opened(versions.on_day(program, as_of), before, as_of)

    def opened(self, version: Program, before: Previous, as_of: date, without: Sequence[str] = ()) -> Day:
        """One day, with everything that it remembers registered and measured."""
        floor = self._version_before(version, before, as_of)
        levelling, overrides = prepare(version, self.snapshot, as_of, self.engine, without)
        register_remembered(levelling, Remembered(before, overrides, floor))

        def look(day: date) -> pa.Table:
            ahead = replace(version.risk, horizon=Horizon((day - as_of).days, Period.DAYS))
            aside = Spine(self.snapshot, Aside(self.engine))
            return aside.opened(replace(version, risk=ahead), before, as_of, without).fallen()

        return Day(levelling, before, overrides, look)

    def _turned(self, version: Program, before: Previous, day: date) -> pa.Table:
        return self.opened(version, before, day).turned()

    def _partner_dates(self, column: str) -> Sequence[date]:
        if column not in self.snapshot.tables["partners"].columns:
            return ()
        self.engine.register("t_partners", self.snapshot.tables["partners"].path)
        return partner_dates(self.engine, column)

    def _version_before(self, version: Program, before: Previous, as_of: date) -> pa.Table | None:
        """What the version before would give, in today's tier keys, while the migration keeps it."""
        if versions.before_floor(version, as_of) is None:
            return None
        assert version.before is not None
        rows = self._turned(version.before, previous.in_version_before(before), as_of)
        return versions.floor_of(rows, version)

    def _tiers_without(self, day: Day) -> pa.Table | None:
        """The calculated tiers without exempt, credit and category; None where nobody has such an override."""
        if not any(entry.kind in MEASURED for entry in day.overrides.entries):
            return None
        version, as_of = day.levelling.program, day.levelling.days.as_of
        return without_measured(self.opened(version, day.before, as_of, without=MEASURED).turned())


@dataclass
class Day:
    """One opened day. The standings are computed when they are asked for."""

    levelling: Levelling
    before: Previous
    overrides: Overrides
    look: Look  # who has lost a tier on a day ahead
    names: Mapping[str, Measures] = field(default_factory=dict)

    def turned(self) -> pa.Table:
        """What each row is after the day: columns of `StandingRow.light`, in no order."""
        self.measure(light=True)
        parts = self._parts(light=True)
        self.levelling.engine.drop([MEASURES])
        return self.levelling.engine.read(sql.union_all(parts))

    def light(self) -> pa.Table:
        """The standings without gap, risk, metrics and benefits."""
        self.measure(light=True)
        self.levelling.engine.define("standing", sql.union_all(self._parts(light=True)))
        query = light_query(self.levelling.program, self.levelling.days)
        return in_order(self.levelling.engine.read(query))

    def whole(self, keep_measures: bool = False) -> pa.Table:
        """The standings; their overrides are still to be filled in."""
        self.measure()
        return compute_standings(self.levelling, self.names, self.before, self.look, keep_measures)

    def fallen(self) -> pa.Table:
        """(partner_id, category) of those who will have lost their tier at the horizon."""
        self.measure()
        rows = sql.subquery(sql.union_all(self._parts(light=False)), "standing")
        query = sql.select([sql.col("partner_id"), sql.col("category")], rows, where=sql.col("lost_ahead"))
        return self.levelling.engine.read(query)

    def measure(self, light: bool = False) -> None:
        """Compute the table of measures."""
        self.names = compute_measures(self.levelling, wanted_metrics(self.levelling, light))

    def _parts(self, light: bool) -> list[Sql]:
        return standing_parts(self.levelling, self.names, light)


def standing_parts(levelling: Levelling, names: Mapping[str, Measures], light: bool = False) -> list[Sql]:
    """The rows of each category, computed into a table of its own."""
    engine = levelling.engine
    views = (NOW,) if light else (NOW, HORIZON, PACE)
    waiting = [
        Standing(
            levelling.program, category, order, names, levelling.limits, levelling.days, levelling.file,
            levelling.partner_columns, levelling.remembers, light=light,
            values=per_values(levelling, category.key, views), above=account_above(levelling, category.key),
        ).statements(MEASURES)
        for order, category in enumerate(levelling.program.categories.values())
    ]  # fmt: skip
    engine.register(LIMITS, levelling.limits.table())  # compiling the statements has collected the thresholds
    parts: list[Sql] = []
    while waiting:  # one at a time, each let go: planning all categories at once would cost the memory of all
        made = [engine.run(name, query) for name, query in waiting.pop(0)]
        parts.append(sql.select([sql.star()], sql.table(made[-1])))
        engine.drop(made[:-1])
    return parts


def compute_standings(
    levelling: Levelling, names: Mapping[str, Measures], before: Previous, look: Look, keep_measures: bool = False
) -> pa.Table:
    """The standings table from the measures, all categories together; the measures are freed unless kept."""
    engine, program = levelling.engine, levelling.program
    engine.define("standing", sql.union_all(standing_parts(levelling, names)))
    losses = first_days_of_loss(levelling, look)
    if not before.stands and not keep_measures:
        engine.drop([MEASURES])
    first = next(iter(program.categories))  # of partners that are gone every value is null, whatever the category
    metrics = metrics_struct(with_alias(names[NOW], "m").at(category=first))
    rows = engine.read(standings_query(program, levelling.days, metrics, before.stands))
    standings = with_names(in_order(rows), names[NOW])
    return with_losses(standings, losses) if losses is not None else standings


def in_order(standings: pa.Table) -> pa.Table:
    """Ordered by partner_id and category.

    Sorting keys alone is much cheaper than wide nested rows in the engine; measures are made in order, so that with
    one category nothing is left to sort.
    """
    order = pc.sort_indices(standings, [("partner_id", "ascending"), ("category", "ascending")])
    in_order_already = pc.all(pc.equal(order, pa.array(np.arange(len(order), dtype=np.uint64)))).as_py()
    return standings if in_order_already is not False else standings.take(order)
