"""Backtest: date after date over the same tables, each on the standings of the date before.

Nothing moves but the calendar. Tables are read once. Without an output file only tiers and movement are computed
(light), unless the program has costs.
Source: program-language, sections 7 (state), 10 (costs) and 11 (versions).
"""

from __future__ import annotations

import re
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from crmsync.connectors.base import Progress, no_progress
from crmsync.connectors.files import tables_of
from crmsync.errors import ConfigError, Rejected
from crmsync.levelling.assess import assess_programs, opened_engine
from crmsync.levelling.dates import months_before
from crmsync.levelling.engine import Engine
from crmsync.levelling.standings import check_ending
from crmsync.programs.loading import load_programs, money_columns
from crmsync.programs.program import Program
from crmsync.programs.versions import all_in_force
from crmsync.snapshots import Snapshot
from crmsync.studies.costs import costs_of
from crmsync.studies.standings_file import StandingsFile

PERIODS = {"day": (0, 1), "week": (0, 7), "month": (1, 0), "quarter": (3, 0), "year": (12, 0)}
"""Months and days of each word that `--every` takes."""

REPLAY = (
    "nothing but the calendar moves: at each date only rows created by then exist and windows end on it; every other "
    "column is as the tables hold it today"
)
_SPAN = re.compile(r"([1-9][0-9]{0,3}) (day|week|month|quarter|year)s?")
_MOST_DATES = 4_000
OUTSIDE = ""
"""No tier: not there before, or gone."""


@dataclass(frozen=True)
class Moves:
    """The movement of one category between two dates. `matrix`: (from tier, to tier) -> standings; OUTSIDE: none."""

    program: str
    version: str
    category: str
    tiers: tuple[tuple[str, str], ...]  # key and label, highest first
    matrix: Mapping[tuple[str, str], int]
    words: Mapping[str, int]
    costs: Mapping[str, Decimal]

    @property
    def standings(self) -> int:
        """How many standings there are at the end."""
        return sum(count for (_, to), count in self.matrix.items() if to != OUTSIDE)


@dataclass(frozen=True)
class PeriodMoves:
    """What happened up to one date since the date before (None: the first)."""

    since: date | None
    on: date
    categories: tuple[Moves, ...]


@dataclass(frozen=True)
class Backtest:
    """All periods, where the standings were written, and what was left out."""

    periods: tuple[PeriodMoves, ...]
    out: Path | None
    rows: int
    rejected: tuple[Rejected, ...]
    notes: tuple[str, ...]


def dates_of(start: date, end: date, every: str) -> list[date]:
    """The dates of a backtest: from `start` on in equal steps, and always `end`. Errors: ConfigError."""
    months, days = _step(every)
    if start > end:
        raise ConfigError(f"--from {start} is after --to {end}")
    found, count = [start], 0
    while found[-1] < end:
        count += 1
        # always counted from the first date, so that 31 January is followed by 28 February and 31 March
        found.append(min(months_before(start, -months * count) + timedelta(days=days * count), end))
        if len(found) > _MOST_DATES:
            raise ConfigError(f"--every {every} gives more than {_MOST_DATES:,} dates from {start} to {end}")
    return found


def _step(every: str) -> tuple[int, int]:
    word = every.strip()
    if word in PERIODS:
        return PERIODS[word]
    span = _SPAN.fullmatch(word)
    if span is None:
        raise ConfigError(f"--every {every}: write {', '.join(PERIODS)}, or a stretch like `30 days`")
    months, days = PERIODS[span[2]]
    return months * int(span[1]), days * int(span[1])


def run_backtest(
    program: Path, tables: Path, dates: Sequence[date], out: Path | None = None, progress: Progress = no_progress
) -> Backtest:
    """Assess a folder of tables date after date. `out`: all standings of all dates, as .csv, .jsonl or .parquet.

    Errors: ConfigError for the program, the tables or the ending of `out`; DataError, StoreError.
    """
    if out is not None:
        check_ending(out, "--out")
        if not out.parent.is_dir():
            raise ConfigError(f"--out {out}: the folder {out.parent} does not exist")
    load_programs(program)  # a mistake in the program is told before the tables are read
    if not tables.is_dir():
        raise ConfigError("this folder does not exist; --tables names a folder with partners.csv", file=str(tables))
    with tempfile.TemporaryDirectory(prefix="crmsync-") as scratch:
        snapshot, report = tables_of(tables, Path(scratch), money_columns(program), progress=progress)
        columns = {name: dict(table.columns) for name, table in snapshot.tables.items()}
        programs = load_programs(program, columns)
        with StandingsFile(out) as written, opened_engine(snapshot) as engine:
            run = _Run(programs, snapshot, engine, written)
            periods = []
            for place, day in enumerate(dates):
                progress("backtest", place, len(dates))
                periods.append(run.period(day))
            progress("backtest", len(dates), len(dates))
        notes = (*report.notes, *run.notes, REPLAY)
        return Backtest(tuple(periods), out, written.rows, (*report.rejected, *run.rejected), notes)


class _Run:
    """The programs on their way through the dates, with what is carried from one to the next."""

    def __init__(self, programs: Sequence[Program], snapshot: Snapshot, engine: Engine, written: StandingsFile) -> None:
        self.programs, self.snapshot, self.engine, self.written = programs, snapshot, engine, written
        self.before: pa.Table | None = None
        self.since: date | None = None
        self.notes: dict[str, None] = {}
        self.rejected: dict[Rejected, None] = {}

    def period(self, day: date) -> PeriodMoves:
        """Assess one date and carry its standings on."""
        versions = {one.key: one for one in all_in_force(self.programs, day)}
        light = not self.written.wanted and not any(one.costs for one in versions.values())
        found = assess_programs(self.programs, self.snapshot, day, self.before, self.engine, light=light)
        for one in found:
            self.notes.update(dict.fromkeys(one.notes))
            self.rejected.update(dict.fromkeys(one.rejected))
        moves = [
            move
            for version, one in zip(versions.values(), found, strict=True)
            for move in _moves(version, one.standings, costs_of(version, one.standings, self.snapshot, self.engine))
        ]
        self.before = pa.concat_tables([one.standings for one in found], promote_options="permissive")
        self.written.add(self.before)
        since, self.since = self.since, day
        return PeriodMoves(since, day, tuple(moves))


def _moves(program: Program, standings: pa.Table, costs: Mapping[str, Mapping[str, Decimal]]) -> Iterator[Moves]:
    """The movement of each category, in the order of the program."""
    rows = standings.select(["category", "previous_tier", "granted_tier", "movement"])
    rows = rows.filter(pc.is_valid(rows.column("movement")))
    counted = rows.group_by(rows.column_names).aggregate([([], "count_all")]).to_pylist()
    matrix: dict[str, Counter[tuple[str, str]]] = {}
    words: dict[str, Counter[str]] = {}
    for row in counted:
        pair = (row["previous_tier"] or OUTSIDE, row["granted_tier"] or OUTSIDE)
        matrix.setdefault(row["category"], Counter())[pair] += row["count_all"]
        words.setdefault(row["category"], Counter())[row["movement"]] += row["count_all"]
    for category in sorted(matrix, key=lambda one: _place(program, one)):
        tiers = tuple((tier.key, tier.label) for tier in reversed(program.ladder_of(category.partition("/")[0]).tiers))
        yield Moves(
            program.key, program.version, category, tiers, matrix[category], words[category], costs.get(category, {})
        )


def _place(program: Program, category: str) -> tuple[int, str]:
    keys = list(program.categories)
    key = category.partition("/")[0]
    return (keys.index(key) if key in keys else len(keys), category)


__all__ = ["Backtest", "Moves", "PeriodMoves", "dates_of", "run_backtest"]
