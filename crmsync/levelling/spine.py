"""One day of one program: everything it remembers registered, its metrics measured, its standings computed.

Pure but for the engine: no clock, no files of its own. Rows are never looped over in Python.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import date

import pyarrow as pa

from crmsync.levelling import previous, sql, versions
from crmsync.levelling.aside import Aside
from crmsync.levelling.engine import Engine
from crmsync.levelling.falling import register_falling
from crmsync.levelling.held_ahead import lost_places
from crmsync.levelling.kept import Kept, Parts
from crmsync.levelling.lapses import told_of
from crmsync.levelling.levelling import Levelling
from crmsync.levelling.loss import first_days_of_loss
from crmsync.levelling.loss_daily import Look, Looking
from crmsync.levelling.measures import Measures, with_alias
from crmsync.levelling.measuring import MEASURES, compute_measures, wanted_metrics
from crmsync.levelling.ordering import in_order
from crmsync.levelling.override_entries import without_measured
from crmsync.levelling.overrides import MEASURED, Overrides
from crmsync.levelling.preparing import prepare
from crmsync.levelling.previous import Previous
from crmsync.levelling.remembered import Remembered, partner_dates, register_remembered
from crmsync.levelling.shown import metrics_struct, with_names
from crmsync.levelling.spots import NOW
from crmsync.levelling.summary import ONE, light_query, rows_query, same_columns, vanished_query
from crmsync.levelling.tier_of import other_standings, programs_read
from crmsync.levelling.turns import STANDING, Filled, Merged, fallen_query, measures_of_fallen, rows_in_turn
from crmsync.programs.program import Horizon, Period, Program
from crmsync.snapshots import Snapshot


@dataclass(frozen=True)
class Other:
    """Another program on the same day: its version and its calculated tiers (partner_id, category, calculated_tier)."""

    program: Program
    tiers: pa.Table

    @staticmethod
    def of(program: Program, standings: Iterable[pa.Table]) -> Other:
        """What other programs may ask of these standings."""
        asked = ["partner_id", "category", "calculated_tier"]
        return Other(program, pa.concat_tables(rows.select(asked) for rows in standings))


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
        def looking(within: pa.Table | None, falling: pa.Table | None) -> Iterator[Look]:
            engine = Aside(self.engine, within)
            aside = Spine(self.snapshot, engine, self.others)
            if falling is not None:
                register_falling(engine, falling)

            def look(day: date) -> pa.Table:
                ahead = replace(version.risk, horizon=Horizon((day - as_of).days, Period.DAYS))
                opened = aside.opened(replace(version, risk=ahead), before, as_of, without)
                return opened.fallen() if falling is None else lost_places(opened.levelling)

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
        everything = sql.select([sql.star()], sql.table(STANDING))
        return pa.concat_tables(rows for (rows,) in rows_in_turn(self.levelling, self.names, [everything], light=True))

    def light(self) -> Parts:
        """The standings without gap, risk, metrics and benefits."""
        self.measure(light=True)
        filled, query = self._filled(light=True), light_query(self.levelling.program)
        gone = _vanished(self.levelling, None, self.before.reviewed) if self.before.stands else None
        kept = Kept()
        merged: Merged | None = None
        for found in rows_in_turn(self.levelling, self.names, [query], light=True):
            rows = in_order(found.pop(), filled="movement")
            if merged is None:  # they have the same columns as the others here
                merged = Merged(None if gone is None else gone.select(rows.column_names).cast(rows.schema))
            kept.add(merged.with_those_before(rows))
        for rows in merged.rest() if merged is not None else ():
            kept.add(rows)
        return Parts(kept, filled.whole)

    def whole(self, keep_measures: bool = False) -> Parts:
        """The standings; their overrides are still to be filled in."""
        self.measure()
        return compute_standings(self.levelling, self.names, self.before, self.looking, self._filled(), keep_measures)

    def fallen(self) -> pa.Table:
        """(partner_id, category) of those who will have lost their tier at the horizon."""
        self.measure()
        both = [sql.col("partner_id"), sql.col("category")]
        query = sql.select(both, sql.table(STANDING), where=sql.col("lost_ahead"))
        return pa.concat_tables(rows for (rows,) in rows_in_turn(self.levelling, self.names, [query], outlook=True))

    def _filled(self, light: bool = False) -> Filled:
        self.levelling.engine.register(ONE, pa.table({"one": pa.array([1], pa.int32())}))
        return Filled(self.levelling.engine.read(same_columns(self.levelling.program, self.levelling.days, light)))

    def measure(self, light: bool = False) -> None:
        """Compute the table of measures."""
        self.names = compute_measures(self.levelling, wanted_metrics(self.levelling, light))


def compute_standings(
    levelling: Levelling, names: Mapping[str, Measures], before: Previous, looking: Looking, filled: Filled,
    keep_measures: bool = False,
) -> Parts:  # fmt: skip
    """The standings from the measures, all categories together; the measures are freed unless kept."""
    engine, program = levelling.engine, levelling.program
    merged = Merged(_vanished(levelling, names[NOW], before.reviewed) if before.stands else None)
    kept, measured, fallen = Kept(), Kept(), []
    reads = [rows_query(program, levelling.days), fallen_query(), measures_of_fallen()]
    for found in rows_in_turn(levelling, names, reads, keep=keep_measures):
        measured.add(found.pop())
        fallen.append(found.pop())
        kept.add(merged.with_those_before(in_order(found.pop())))  # nothing else holds them while they are put in order
    for rows in merged.rest():
        kept.add(rows)
    engine.register(STANDING, pa.concat_tables(fallen))
    if not keep_measures:
        engine.register(MEASURES, pa.concat_tables(measured.taken()))
    del measured
    losses = first_days_of_loss(levelling, looking)
    if not keep_measures:
        engine.drop([MEASURES])
    parts = Parts(kept, lambda rows: filled.whole(with_names(rows, names[NOW])))
    return parts if losses is None else parts.then(told_of(levelling, losses).into)


def _vanished(levelling: Levelling, names: Measures | None, reviewed: bool) -> pa.Table:
    """The last rows of partners that are no longer there. `names` None: without their metrics."""
    first = next(iter(levelling.program.categories))  # every value is null, whatever the category
    metrics = sql.null(sql.TEXT) if names is None else metrics_struct(with_alias(names, "m").at(category=first))
    return in_order(levelling.engine.read(vanished_query(levelling.program, levelling.days, metrics, reviewed)))
