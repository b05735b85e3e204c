"""The way to an assessment: the review days of all programs since the previous standings, one after the other.

A program that others read is assessed before them, on every day on which one of them is. Source: program-language,
sections 3 (tier_of), 7 (state) and 11.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import TypeAlias

import pyarrow as pa
import pyarrow.compute as pc

from crmsync.levelling import versions
from crmsync.levelling.previous import (
    Previous,
    after_review_day,
    in_version,
    nothing_before,
    previous_standings,
    read_previous,
)
from crmsync.levelling.review_days import next_day, returning_days
from crmsync.levelling.spine import Day, Other, Spine
from crmsync.levelling.tier_of import programs_read
from crmsync.programs.program import Program
from crmsync.programs.versions import by_key

Standing: TypeAlias = Path | pa.Table | Mapping[str, Previous] | None
"""Previous standings: a file, what an assessment gave, or by program what stands on the way (`Timeline.befores`)."""


class Timeline:
    """Programs on their way from the previous standings to as_of."""

    def __init__(self, spine: Spine, programs: Sequence[Program], as_of: date, previous: Standing = None) -> None:
        """Walks all review days before as_of. Errors: ConfigError, DataError, StoreError."""
        self.spine, self.as_of = spine, as_of
        self.programs = {key: found[-1] for key, found in by_key(programs).items()}
        self.keys = list(self.programs)
        self.order = _in_order(self.programs)
        self._befores: dict[str, Previous] = dict(previous) if isinstance(previous, Mapping) else self._read(previous)
        self._others: dict[str, Other] = {}
        self._walk()

    @property
    def befores(self) -> Mapping[str, Previous]:
        """What stands on the eve of as_of, after the review days on the way, by program."""
        return self._befores

    def day(self, key: str) -> Day:
        """The day of as_of for one program; those it reads must have been told before."""
        version = versions.on_day(self.programs[key], self.as_of)
        before = in_version(self._befores[key], version)
        return self.spine.beside(self._others).opened(version, before, self.as_of)

    def opened(self, key: str) -> Day:
        """The day of as_of for one program, after those that it reads."""
        for other in self.read_first(key):
            self.told(other, self.day(other).light())
        return self.day(key)

    def told(self, key: str, standings: Iterable[pa.Table]) -> None:
        """Tell the programs that read this one what it gave at as_of."""
        self._others[key] = Other.of(versions.on_day(self.programs[key], self.as_of), standings)

    def read_first(self, key: str) -> list[str]:
        """The programs that have to be told before one, in order."""
        wanted = _needed(self.programs, {key}) - {key}
        return [one for one in self.order if one in wanted]

    # --- the previous standings

    def _read(self, previous: Path | pa.Table | None) -> dict[str, Previous]:
        if isinstance(previous, Path) and len(self.programs) > 1:
            previous, file = read_previous(previous), str(previous)
        else:
            file = None
        rejected = self.spine.snapshot.rejected_partners
        found = {}
        for key, program in self.programs.items():
            if len(self.programs) > 1 and previous is not None and self._is_new(key, previous):
                found[key] = nothing_before(program)
            else:
                found[key] = previous_standings(program, previous, self.as_of, rejected, file)
        return found

    def _is_new(self, key: str, previous: pa.Table) -> bool:
        """Whether the previous standings are of the other programs alone."""
        there = set(pc.unique(previous.column("program")).to_pylist())
        return key not in there and not there.isdisjoint(self.programs)

    # --- the days on the way

    def _walk(self) -> None:
        returning = {
            key: returning_days(program, self._befores[key], self.as_of, self.spine.partner_dates)
            for key, program in self.programs.items()
        }
        while True:
            days = {
                key: next_day(program, self._befores[key], self.as_of, returning[key])
                for key, program in self.programs.items()
            }
            day = min((one for one in days.values() if one is not None), default=None)
            if day is None:
                return
            self._assess(day, {key for key, one in days.items() if one == day})

    def _assess(self, day: date, reviewed: set[str]) -> None:
        wanted = _needed(self.programs, reviewed)
        others: dict[str, Other] = {}
        for key in self.order:
            if key not in wanted:
                continue
            version = versions.on_day(self.programs[key], day)
            before = in_version(self._befores[key], version)
            rows = self.spine.beside(others).turned(version, before, day)
            others[key] = Other.of(version, [rows])
            if key in reviewed:
                self._befores[key] = after_review_day(before, rows.filter(rows.column("acts")), day)


def _needed(programs: dict[str, Program], keys: set[str]) -> set[str]:
    """The programs and all that they read."""
    found: set[str] = set()
    waiting = list(keys)
    while waiting:
        key = waiting.pop()
        if key in found or key not in programs:
            continue
        found.add(key)
        waiting += _read_by(programs[key])
    return found


def _read_by(program: Program) -> list[str]:
    return [key for version in versions.chain(program) for key in programs_read(version)]


def _in_order(programs: dict[str, Program]) -> list[str]:
    """What others read first; circles are refused when programs are loaded."""
    found: dict[str, None] = {}
    under_way: set[str] = set()

    def visit(key: str) -> None:
        if key in found or key in under_way or key not in programs:
            return
        under_way.add(key)
        for other in _read_by(programs[key]):
            visit(other)
        found[key] = None

    for key in programs:
        visit(key)
    return list(found)
