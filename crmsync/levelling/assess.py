"""Assess: the spine of levelling, from a sealed snapshot and programs to the standings of one day.

Pure but for the engine: no clock, no files of its own. Rows are never looped over in Python.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from functools import cached_property

import pyarrow as pa

from crmsync.errors import Rejected
from crmsync.levelling.engine import DuckDbEngine, Engine
from crmsync.levelling.kept import Parts
from crmsync.levelling.notes import NOTED, notes_of
from crmsync.levelling.override_entries import with_entries
from crmsync.levelling.previous import Previous, unread_partners
from crmsync.levelling.spine import Day, Spine
from crmsync.levelling.timeline import Standing, Timeline
from crmsync.programs.program import Program
from crmsync.snapshots import Snapshot


@dataclass(frozen=True)
class Assessment:
    """The standings of one day, ordered by partner_id and category, and what was not as it should be."""

    parts: Parts
    """Some partners after the others, so that a large base need not be held in memory."""
    notes: tuple[str, ...] = ()
    rejected: tuple[Rejected, ...] = ()

    @cached_property
    def standings(self) -> pa.Table:
        """All in one table, which is held from then on."""
        return self.parts.table()


def assess(
    program: Program,
    snapshot: Snapshot,
    as_of: date,
    previous_file: Standing = None,
    engine: Engine | None = None,
    *,
    light: bool = False,
) -> Assessment:
    """Standings of `program` at `as_of`. Shape: one row per partner and category, columns of `standings.COLUMNS`.

    `previous_file`: standings of an earlier day: a file, what `assess` gave, or what `reviewed` did. `light`: tiers and
    movement alone; gap, risk, metrics and benefits are empty. Errors: ConfigError (a name that the tables do not have,
    previous standings that do not fit), DataError, StoreError.
    """
    return assess_programs([program], snapshot, as_of, previous_file, engine, light=light)[0]


def assess_programs(
    programs: Sequence[Program],
    snapshot: Snapshot,
    as_of: date,
    previous_file: Standing = None,
    engine: Engine | None = None,
    *,
    light: bool = False,
) -> list[Assessment]:
    """Standings of each of the programs, in the version of the day; the versions of one program count as one.

    Programs that others read are assessed first; the result is in the order of the programs. Errors: as `assess`.
    """
    with opened_engine(snapshot, engine) as running:
        timeline = Timeline(Spine(snapshot, running), programs, as_of, previous_file)
        found = {}
        for key in timeline.order:
            day = timeline.day(key)
            standings = day.light() if light else day.whole()
            if len(timeline.order) > 1:
                timeline.told(key, standings)
            found[key] = _assessment(timeline.spine, day, standings)
        return [found[key] for key in timeline.keys]


def reviewed(
    programs: Sequence[Program], snapshot: Snapshot, as_of: date, previous: Standing = None
) -> Mapping[str, Previous]:
    """What stands on the eve of as_of, after the review days since the previous standings, by program.

    For those who know other tables for as_of than for the days on the way to it. Errors: as `assess`.
    """
    with opened_engine(snapshot) as engine:
        return Timeline(Spine(snapshot, engine), programs, as_of, previous).befores


@contextmanager
def opened_engine(snapshot: Snapshot, engine: Engine | None = None) -> Iterator[Engine]:
    """The engine that was given, or one of its own for as long as the block lasts."""
    if engine is not None:
        yield engine
        return
    own = DuckDbEngine(rows=sum(table.rows for table in snapshot.tables.values()))
    try:
        yield own
    finally:
        own.close()


def _assessment(spine: Spine, day: Day, standings: Parts) -> Assessment:
    carried = [
        f"partner {one}: its row was rejected; its standing stays as it was"
        for one in unread_partners(day.before)[:NOTED]
    ]
    notes = (*notes_of(day.levelling), *carried)
    if day.overrides.entries:
        standings = standings.then(with_entries(day.overrides, spine.tiers_without(day)))
    return Assessment(standings, notes, day.overrides.rejected)
