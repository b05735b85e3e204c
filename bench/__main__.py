"""`make bench`: prints what the belt and the engine take on this machine. Measures, asserts no times.

Bounded: up to 100,000 partners every figure is the best of three runs, at a million it is one run, and a run is stopped
after a quarter of an hour. The tables of the engine need about six minutes on two idle cores, half a minute of them for
making the largest base the first time; a busy machine needs many times that.

`python -m bench --only assess --partners 1000 10000` measures a part of it.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from types import MappingProxyType

from bench.audit import audit_tables
from bench.base import Size, partner_base
from bench.belt import Measured, measure_belt
from bench.children import figures_of
from bench.growth import FAILED, GROWTH, growth_tables
from bench.guards import guard_tables
from bench.machine import load_line, machine_line, versions_line
from bench.safety import safety_tables
from bench.salesforce import salesforce_tables
from bench.tables import Cell, Table

BELT = Size(2_000, 100_000, 20_000)
SMALL = Size(1_000, 20_000, 5_000)
"""The base whose statements are written: their size does not hang on it."""

AIMS = (
    ("write the statements", 0.1),
    ("closure", 0.3),
)
"""Seconds aimed at, by what the name of a part begins with."""


def belt_tables(_sizes: Sequence[int]) -> Iterator[Table]:
    """Seconds and peak MB per stage of a first and a second run over the sandbox."""
    measured: Measured = measure_belt(BELT)
    rows: list[list[Cell]] = []
    for name, run in (("first", measured.first), ("second", measured.second)):
        outside = run.seconds - sum(stage["seconds"] for stage in run.stages)
        rows.append([name, "start-up, login, end", outside, None])
        rows += [[name, stage["stage"], float(stage["seconds"]), round(stage["peak_mb"])] for stage in run.stages]
        rows.append([name, f"all, {run.writes} write calls", run.seconds, round(run.peak_mb)])
    org = measured.org_peak_mb
    rows.append(["both", "the sandbox org itself", None, None if org is None else round(org)])
    note = (
        f"`crmsync run` over the sandbox: {BELT.partners:,} partners, {BELT.opportunities:,} opportunities, "
        f"{BELT.certifications:,} certifications. Aim: 20 s and 400 MB."
    )
    yield Table("Belt", ("run", "stage", "seconds", "peak MB"), rows, note)


def part_tables(_sizes: Sequence[int]) -> Iterator[Table]:
    """Parts alone: the first time, and the best of several."""
    rows: list[list[Cell]] = []
    for part, figures in figures_of("bench.parts", partner_base(SMALL).folder).items():
        aim = next((seconds for begin, seconds in AIMS if part.startswith(begin)), None)
        rows.append([part, float(figures["first"]), float(figures["best"]), aim, round(figures["peak_mb"])])
    note = "Statements: CPU seconds of the thread that writes them. Peak MB: of the process so far."
    yield Table("Parts alone", ("part", "first time s", "again s", "aim s", "peak MB"), rows, note)


PARTS: Mapping[str, Callable[[Sequence[int]], Iterator[Table]]] = MappingProxyType(
    {
        "belt": belt_tables,
        "parts": part_tables,
        "assess": growth_tables,
        "salesforce": salesforce_tables,
        "safety": safety_tables,
        "guards": guard_tables,
        "audit": audit_tables,
    }
)


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, and print each table when it is whole."""
    asked = _arguments().parse_args(arguments)
    print(f"{machine_line()}; {load_line()}")
    print(versions_line())
    failed = False
    for name in asked.only:
        for table in PARTS[name](asked.partners):
            table.print()
            failed |= any(FAILED in row for row in table.rows)
    if failed:
        sys.exit(1)


def _arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m bench", description="What the belt and the engine take.")
    parser.add_argument("--only", nargs="+", choices=tuple(PARTS), default=tuple(PARTS), help="what to measure")
    parser.add_argument("--partners", nargs="+", type=int, default=GROWTH, help="sizes of the base for `assess`")
    return parser


if __name__ == "__main__":
    main()
