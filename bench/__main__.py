"""`make bench`: prints what the belt and the engine take on this machine. Measures, asserts no times.

Bounded: up to 100,000 partners every figure is the best of three runs, at a million it is one run. Two idle cores
should need about six minutes, half a minute of them for making the largest base the first time; a busy machine needs
many times that.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.base import Size, partner_base
from bench.belt import Measured, measure_belt
from bench.children import figures_of
from bench.equality import EVERYTHING, TIERS, WHOLE, differing
from bench.machine import load_line, machine_line, versions_line

BELT = Size(2_000, 100_000, 20_000)
GROWTH = (1_000, 10_000, 100_000, 1_000_000)
ONCE = 1_000_000
"""Partners from which on one run has to do."""
REPEATS = 3

NONE = float("nan")
Line = tuple[str, str, float, float, float]


@dataclass(frozen=True)
class Pair:
    """Something that is measured: ours, and by hand where there is hand-written SQL of it."""

    what: str
    ours: str
    by_hand: str | None = None
    columns: tuple[str, ...] = ()
    sizes: tuple[int, ...] = GROWTH


PAIRS = (
    Pair("metrics and granted tiers", "channel-light", "channel-light-by-hand", TIERS),
    Pair("whole table, gap and both risks", "channel", "channel-by-hand", EVERYTHING),
    Pair("whole table of the program with one ladder", "levels", "levels-by-hand", WHOLE, (100_000, 1_000_000)),
)


def main() -> None:
    """Measure and print one table."""
    lines = [*belt_lines(BELT), *part_lines(_size(GROWTH[0])), *growth_lines()]
    print(f"{machine_line()}; {load_line()}")
    print(versions_line())
    print()
    print_table(lines)


def belt_lines(size: Size) -> Iterable[Line]:
    """Seconds and peak MB per stage of a first and a second run over the sandbox."""
    measured: Measured = measure_belt(size)
    what = _words(size)
    for name, run in (("first run", measured.first), ("second run", measured.second)):
        outside = run.seconds - sum(stage["seconds"] for stage in run.stages)
        yield what, f"{name}: start-up, login, end", outside, NONE, NONE
        for stage in run.stages:
            yield what, f"{name}: {stage['stage']}", stage["seconds"], NONE, stage["peak_mb"]
        yield what, f"{name}: all, {run.writes} write calls", run.seconds, NONE, run.peak_mb
    yield what, "the sandbox org itself", NONE, NONE, measured.org_peak_mb


def part_lines(size: Size) -> Iterable[Line]:
    """Parts alone: the first time, and the best of several."""
    for part, figures in figures_of("bench.parts", partner_base(size).folder).items():
        yield "parts alone", f"{part}: first time", figures["first"], NONE, figures["peak_mb"]
        yield "parts alone", f"{part}: again", figures["best"], NONE, NONE


def growth_lines() -> Iterable[Line]:
    """Each way at each size, and how it grew from the size before."""
    before: dict[str, Figures] = {}
    for partners in GROWTH:
        size = _size(partners)
        what = _words(size)
        for pair in PAIRS:
            if partners not in pair.sizes:
                continue
            ours, by_hand, unequal = measured_pair(pair, size)
            if pair is PAIRS[0]:
                yield what, "start-up: imports, program, connection", ours.start, NONE, NONE
            yield what, pair.what, ours.seconds, ours.cpu, ours.peak_mb
            if by_hand is not None:
                yield what, "the same by hand-written SQL", by_hand.seconds, by_hand.cpu, by_hand.peak_mb
                ratios = (ours.seconds / by_hand.seconds, ours.cpu / by_hand.cpu)
                yield what, f"ours / by hand; {_equality(unequal)}", *ratios, NONE
            if pair.ours in before:
                grown = before[pair.ours]
                yield what, "ours / ours at the size before", ours.seconds / grown.seconds, ours.cpu / grown.cpu, NONE
            before[pair.ours] = ours


@dataclass(frozen=True)
class Figures:
    """Seconds of start-up, seconds and CPU seconds beyond it, peak MB."""

    start: float
    seconds: float
    cpu: float
    peak_mb: float

    @classmethod
    def best_of(cls, runs: Sequence[dict[str, Any]]) -> Figures:
        """The quickest of several runs, and the most memory of any."""
        start, seconds, cpu = (min(run[figure] for run in runs) for figure in ("start", "seconds", "cpu"))
        return cls(start, seconds, cpu, max(run["peak_mb"] for run in runs))


def measured_pair(pair: Pair, size: Size) -> tuple[Figures, Figures | None, dict[str, int]]:
    """Ours and by hand, in turn, each in a process of its own; and the rows that differ, by column."""
    folder = partner_base(size).folder
    ways = [pair.ours] if pair.by_hand is None else [pair.ours, pair.by_hand]
    taken: dict[str, list[dict[str, Any]]] = {way: [] for way in ways}
    with tempfile.TemporaryDirectory(prefix="crmsync-bench-") as scratch:
        outs = {way: Path(scratch) / f"{way}.parquet" for way in ways}
        for _ in range(1 if size.partners >= ONCE else REPEATS):
            for way in ways:
                taken[way].append(figures_of("bench.levelling", way, folder, outs[way]))
        if pair.by_hand is None:
            return Figures.best_of(taken[pair.ours]), None, {}
        unequal = differing(outs[pair.ours], outs[pair.by_hand], pair.columns)
    return Figures.best_of(taken[pair.ours]), Figures.best_of(taken[pair.by_hand]), unequal


def _size(partners: int) -> Size:
    return Size(partners, 20 * partners, 5 * partners)


def _equality(unequal: dict[str, int]) -> str:
    if not unequal:
        return "all standings equal"
    return "standings that differ: " + ", ".join(f"{column} {count}" for column, count in unequal.items())


def _words(size: Size) -> str:
    return f"{size.partners:,} partners, {size.opportunities:,} opportunities, {size.certifications:,} certifications"


def print_table(lines: Sequence[Line]) -> None:
    """Print lines as a table that Markdown reads; the size is named once."""
    rows = []
    last = ""
    for what, stage, seconds, cpu, peak in lines:
        figures = (_figure(seconds, 2), _figure(cpu, 2), _figure(peak, 0))
        rows.append(("" if what == last else what, stage, *figures))
        last = what
    head = ("size", "what", "seconds", "CPU s", "peak MB")
    widths = [max(len(row[at]) for row in (head, *rows)) for at in range(5)]
    for row in (head, tuple("-" * width for width in widths), *rows):
        left = [cell.ljust(width) for cell, width in zip(row[:2], widths[:2], strict=True)]
        right = [cell.rjust(width) for cell, width in zip(row[2:], widths[2:], strict=True)]
        print("| " + " | ".join(left + right) + " |")


def _figure(value: float, places: int) -> str:
    return "" if value != value else f"{value:,.{places}f}"


if __name__ == "__main__":
    main()
