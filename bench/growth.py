"""Assess alone from a thousand partners to a million, ours and by hand: how it grows, and whether both say the same."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.base import Size, partner_base
from bench.children import OvertimeError, figures_of
from bench.equality import EVERYTHING, TIERS, WHOLE, differing
from bench.tables import Cell, Table

GROWTH = (1_000, 10_000, 100_000, 1_000_000)
ONCE = 1_000_000
"""Partners from which on one run has to do."""
REPEATS = 3
LIMIT = 900
"""Seconds after which a run is stopped, so that the measurement comes to an end on any machine."""

FAILED = "failed"
"""What stands for the seconds of a run that ended with an error, which is printed beside the tables."""

HEAD = (
    "partners", "start-up s", "seconds", "CPU s", "peak MB", "by hand: s", "CPU s", "peak MB", "ours / by hand (CPU)",
    "grown (CPU)", "standings that differ",
)  # fmt: skip
NOTE = (
    "Seconds beyond start-up (imports, program, connection), Parquet to Parquet; per partner 20 opportunities and 5 "
    "certificates. Grown: against the size before."
)


@dataclass(frozen=True)
class Pair:
    """Something that is measured, by us and by hand-written SQL, and the columns in which both must agree."""

    title: str
    ours: str
    by_hand: str
    columns: tuple[str, ...]
    sizes: tuple[int, ...] = GROWTH
    aim: str = ""


PAIRS = (
    Pair(
        "Assess: metrics and granted tiers of three categories", "channel-light", "channel-light-by-hand", TIERS,
        aim="Aims: at 1,000,000 partners 12 s, 1,200 MB and 1.6 times by hand; at 10,000 partners 0.5 s.",
    ),
    Pair(
        "Assess: the whole table of three categories, with gap and both risks",
        "channel", "channel-by-hand", EVERYTHING,
        aim="Aims: at 1,000,000 partners 25 s, 2,000 MB and 1.6 times by hand; at 10,000 partners 0.5 s.",
    ),
    Pair(
        "Assess: the whole table of a program with one ladder", "levels", "levels-by-hand", WHOLE, GROWTH[:-1],
        aim="By hand without levers, reasons and what lapses.",
    ),
)  # fmt: skip


def growth_tables(sizes: Sequence[int]) -> Iterator[Table]:
    """One table per pair: each of `sizes` (partners) that it is measured at."""
    for pair in PAIRS:
        rows: list[list[Cell]] = []
        before: Figures | None = None
        for partners in (one for one in sizes if one in pair.sizes or one not in GROWTH):
            print(f"measuring {pair.ours}, {partners:,} partners", file=sys.stderr, flush=True)
            taken = measured(pair, Size(partners, 20 * partners, 5 * partners))
            rows.append([partners, *_row(taken, before)])
            before = taken.ours if isinstance(taken.ours, Figures) else None
        if rows:
            yield Table(pair.title, HEAD, rows, f"{NOTE} {pair.aim}")


@dataclass(frozen=True)
class Figures:
    """Seconds of start-up, seconds and CPU seconds beyond it, peak MB."""

    start: float
    seconds: float
    cpu: float
    peak_mb: float

    @classmethod
    def best_of(cls, runs: Sequence[Mapping[str, Any]]) -> Figures:
        """The quickest of several runs, and the most memory of any."""
        start, seconds, cpu = (min(run[figure] for run in runs) for figure in ("start", "seconds", "cpu"))
        return cls(start, seconds, cpu, max(run["peak_mb"] for run in runs))


@dataclass(frozen=True)
class Taken:
    """What a pair took; a text instead for a side that was stopped or failed.

    `unequal`: rows that differ, by column; None: unknown.
    """

    ours: Figures | str
    by_hand: Figures | str
    unequal: Mapping[str, int] | None


def measured(pair: Pair, size: Size) -> Taken:
    """Ours and by hand, in turn, each in a process of its own; and the rows that differ."""
    folder = partner_base(size).folder
    runs: dict[str, list[dict[str, Any]]] = {pair.ours: [], pair.by_hand: []}
    broken: dict[str, str] = {}
    with tempfile.TemporaryDirectory(prefix="crmsync-bench-") as scratch:
        outs = {way: Path(scratch) / f"{way}.parquet" for way in runs}
        for _ in range(1 if size.partners >= ONCE else REPEATS):
            for way in (one for one in runs if one not in broken):
                try:
                    runs[way].append(figures_of("bench.levelling", way, folder, outs[way], limit=LIMIT))
                except OvertimeError:
                    broken[way] = f"stopped after {LIMIT}"
                except RuntimeError as error:  # the other rows are worth having
                    print(error, file=sys.stderr, flush=True)
                    broken[way] = FAILED
        ours, by_hand = (broken.get(way) or Figures.best_of(runs[way]) for way in runs)
        unequal = None if broken else differing(outs[pair.ours], outs[pair.by_hand], pair.columns)
    return Taken(ours, by_hand, unequal)


def _row(taken: Taken, before: Figures | None) -> list[Cell]:
    ours, by_hand = taken.ours, taken.by_hand
    ratio = ours.cpu / by_hand.cpu if isinstance(ours, Figures) and isinstance(by_hand, Figures) else None
    grown = ours.cpu / before.cpu if isinstance(ours, Figures) and before else None
    start = ours.start if isinstance(ours, Figures) else None
    return [start, *_side(ours), *_side(by_hand), ratio, grown, _equality(taken.unequal)]


def _side(figures: Figures | str) -> list[Cell]:
    if isinstance(figures, str):
        return [figures, None, None]
    return [figures.seconds, figures.cpu, round(figures.peak_mb)]


def _equality(unequal: Mapping[str, int] | None) -> str:
    if unequal is None:
        return "not compared"
    return ", ".join(f"{column} {count:,}" for column, count in unequal.items()) or "none"
