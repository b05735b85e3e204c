"""`make bench`: prints what the belt and the engine take on this machine. Measures, asserts no times."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from bench.base import Size, partner_base
from bench.belt import Measured, measure_belt
from bench.children import figures_of
from bench.equality import differing
from bench.machine import load_line, machine_line, versions_line

BELT = Size(2_000, 100_000, 20_000)
ASSESS = Size(100_000, 2_000_000, 500_000)
REPEATS = 3

NONE = float("nan")
Line = tuple[str, str, float, float, float]


def main() -> None:
    """Measure and print one table."""
    lines = [*belt_lines(BELT), *assess_lines(ASSESS)]
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


def assess_lines(size: Size) -> Iterable[Line]:
    """Assess alone, ours and by hand, one after the other in turn; the quickest of each."""
    snapshot = partner_base(size)
    with tempfile.TemporaryDirectory(prefix="crmsync-bench-") as scratch:
        outs = {way: Path(scratch) / f"{way}.parquet" for way in ("ours", "by-hand")}
        taken: dict[str, list[dict[str, Any]]] = {way: [] for way in outs}
        for _ in range(REPEATS):
            for way, out in outs.items():
                taken[way].append(figures_of("bench.levelling", way, snapshot.folder, out))
        unequal = differing(outs["ours"], outs["by-hand"])
    start = min(run["start"] for run in taken["ours"])
    what = _words(size)
    yield what, "start-up: imports, program, connection", start, NONE, NONE
    best = {
        way: tuple(min(run[figure] for run in runs) for figure in ("seconds", "cpu")) for way, runs in taken.items()
    }
    peaks = {way: max(run["peak_mb"] for run in runs) for way, runs in taken.items()}
    yield what, "assess", *best["ours"], peaks["ours"]
    yield what, "the same by hand-written SQL", *best["by-hand"], peaks["by-hand"]
    ratios = (ours / by_hand for ours, by_hand in zip(best["ours"], best["by-hand"], strict=True))
    yield what, f"assess / by hand; {_equality(unequal)}", *ratios, NONE


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
