"""One day of one program: everything it remembers registered, its metrics measured, its standings computed.

Pure but for the engine: no clock, no files of its own. Rows are never looped over in Python.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import date

import pyarrow as pa

from crmsync.levelling import previous, sql, versions
from crmsync.levelling.aside import Aside
from crmsync.levelling.categories import Standing
from crmsync.levelling.criteria import LIMITS
from crmsync.levelling.engine import Engine
from crmsync.levelling.family import account_above
from crmsync.levelling.lapses import what_lapses, with_lapses
from crmsync.levelling.levelling import Levelling
from crmsync.levelling.loss import first_days_of_loss
from crmsync.levelling.loss_daily import Look, Looking
from crmsync.levelling.measures import Measures, with_alias
from crmsync.levelling.measuring import MEASURES, compute_measures, wanted_metrics
from crmsync.levelling.ordering import in_order
from crmsync.levelling.override_entries import without_measured
from crmsync.levelling.overrides import MEASURED, Overrides
from crmsync.levelling.per_values import per_values
from crmsync.levelling.preparing import prepare
from crmsync.levelling.previous import Previous
from crmsync.levelling.remembered import Remembered, partner_dates, register_remembered
from crmsync.levelling.shown import metrics_struct, with_names
from crmsync.levelling.spots import HORIZON, NOW, PACE
from crmsync.levelling.sql import Sql
from crmsync.levelling.summary import light_query, standings_query, with_losses
from crmsync.levelling.tier_of import other_standings, programs_read
from crmsync.programs.program import Horizon, Period, Program
from crmsync.snapshots import Snapshot


@dataclass(frozen=True)
class Other:
    """Another program on the same day: its version and its calculated tiers (partner_id, category, calculated_tier)."""

    program: Program
    tiers: pa.Table

    @staticmethod
    def of(program: Program, standings: pa.Table) -> Other:
        """What other programs may ask of these standings."""
        return Other(program, standings.select(["partner_id", "category", "calculated_tier"]))


@dataclass(frozen=True)
class Spine:
    """One snapshot on one engine, on which day after day can be assessed."""

    snapshot: Snapshot
    engine: Engine

    others: Mapping[str, Other] = field(default_factory=dict)  # programs assessed on the same day, by key

    def opened(self, version: Program, before: Previous, as_of: date, without: Sequence[str] = ()) -> Day:
        """One day, with everything that it remembers registered and measured."""
        floor = self._version_before(version, before, as_of)
        levelling, overrides = prepare(version, self.snapshot, as_of, self.engine, without)
        register_remembered(levelling, Remembered(before, overrides, floor))
        self._register_others(levelling)

        @contextmanager
        def looking(within: pa.Table | None) -> Iterator[Look]:
            engine = Aside(self.engine, within)
            aside = Spine(self.snapshot, engine, self.others)

            def look(day: date) -> pa.Table:
                ahead = replace(version.risk, horizon=Horizon((day - as_of).days, Period.DAYS))
                return aside.opened(replace(version, risk=ahead), before, as_of, without).fallen()

            yield look
            engine.close()

        return Day(levelling, before, overrides, looking)

    def turned(self, version: Program, before: Previous, day: date) -> pa.Table:
        """What each row is after a day: columns of `StandingRow.light`, in no order."""
        return self.opened(version, before, day).turned()

    def beside(self, others: Mapping[str, Other]) -> Spine:
        """The same, with what other programs gave on the day."""
        return replace(self, others=others)

    def _register_others(self, levelling: Levelling) -> None:
        for key in programs_read(levelling.program):
            if key in self.others:
                other = self.others[key]
                levelling.others[key] = other.program
                self.engine.register(other_standings(key), other.tiers)

    def partner_dates(self, column: str) -> Sequence[date]:
        """The dates that partners have in a column; none where it was not delivered."""
        if column not in self.snapshot.tables["partners"].columns:
            return ()
        self.engine.register("t_partners", self.snapshot.tables["partners"].path)
        return partner_dates(self.engine, column)

    def _version_before(self, version: Program, before: Previous, as_of: date) -> pa.Table | None:
        """What the version before would give, in today's tier keys, while the migration keeps it."""
        if versions.before_floor(version, as_of) is None:
            return None
        assert version.before is not None
        rows = self.turned(version.before, previous.in_version_before(before), as_of)
        return versions.floor_of(rows, version)

    def tiers_without(self, day: Day) -> pa.Table | None:
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
    looking: Looking  # at days ahead
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
        self.levelling.engine.drop([MEASURES])
        query = light_query(self.levelling.program, self.levelling.days)
        return in_order(self.levelling.engine.read(query), filled="movement")

    def whole(self, keep_measures: bool = False) -> pa.Table:
        """The standings; their overrides are still to be filled in."""
        self.measure()
        return compute_standings(self.levelling, self.names, self.before, self.looking, keep_measures)

    def fallen(self) -> pa.Table:
        """(partner_id, category) of those who will have lost their tier at the horizon."""
        self.measure()
        parts = standing_parts(self.levelling, self.names, outlook=True)
        rows = sql.subquery(sql.union_all([_brief(part) for part in parts]), "standing")
        query = sql.select([sql.col("partner_id"), sql.col("category")], rows, where=sql.col("lost_ahead"))
        return self.levelling.engine.read(query)

    def measure(self, light: bool = False) -> None:
        """Compute the table of measures."""
        self.names = compute_measures(self.levelling, wanted_metrics(self.levelling, light))

    def _parts(self, light: bool) -> list[Sql]:
        return standing_parts(self.levelling, self.names, light)


def _brief(part: Sql) -> Sql:
    """The columns that every part has, whatever else was computed."""
    columns = [sql.col(name) for name in ("partner_id", "category", "lost_ahead")]
    return sql.select(columns, sql.subquery(part, "part"))


def standing_parts(
    levelling: Levelling, names: Mapping[str, Measures], light: bool = False, outlook: bool = False
) -> list[Sql]:
    """The rows of each category, computed into a table of its own."""
    engine = levelling.engine
    views = (NOW,) if light else (NOW, HORIZON, PACE)
    waiting = [
        Standing(
            levelling.program, category, order, names, levelling.limits, levelling.days, levelling.file,
            levelling.partner_columns, levelling.remembers, light=light, outlook=outlook,
            values=per_values(levelling, category.key, views, light), above=account_above(levelling, category.key),
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
    levelling: Levelling, names: Mapping[str, Measures], before: Previous, looking: Looking, keep_measures: bool = False
) -> pa.Table:
    """The standings table from the measures, all categories together; the measures are freed unless kept."""
    engine, program = levelling.engine, levelling.program
    engine.define("standing", sql.union_all(standing_parts(levelling, names)))
    losses = first_days_of_loss(levelling, looking)
    lapses = what_lapses(levelling) if losses is not None else None
    if not before.stands and not keep_measures:
        engine.drop([MEASURES])
    first = next(iter(program.categories))  # of partners that are gone every value is null, whatever the category
    metrics = metrics_struct(with_alias(names[NOW], "m").at(category=first))
    query = standings_query(program, levelling.days, metrics, before.stands)
    standings = with_names(in_order(engine.read(query)), names[NOW])
    if losses is not None:
        standings = with_losses(standings, losses)
    return with_lapses(standings, lapses) if lapses is not None else standings
