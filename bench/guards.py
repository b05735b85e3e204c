"""What the guards cost: trend figures of a table of a million rows, and the moves of as many standings."""

from __future__ import annotations

import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa

from bench.tables import Cell, Table
from crmsync.snapshots import Snapshot, Staging, TableFile, write_table
from crmsync.tables import CANONICAL, ColumnType
from crmsync.writeback.figures import edits_between, figures_of
from crmsync.writeback.guards_movement import moves_of

ROWS = 1_000_000
TIERS = ("registered", "silver", "gold", "platinum")
RANKS = {"all": {tier: at for at, tier in enumerate(TIERS)}}


def guard_tables(_sizes: Sequence[int]) -> Iterator[Table]:
    """CPU seconds and peak memory of each part, in a process of its own."""
    rows: list[list[Cell]] = []
    for part in ("figures", "edits", "moves"):
        command = [sys.executable, "-m", "bench.guards", part]
        told = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()
        rows.append([PARTS[part], float(told[0]), round(float(told[1])), round(float(told[2]))])
    note = (
        "CPU seconds of the process, all threads. The figures are taken in every run, the edits only where the sum of "
        "closed months fell, the moves in every run after the first."
    )
    yield Table(f"Guards, {ROWS:,} rows", ("part", "CPU s", "peak MB", "of it before"), rows, note)


PARTS = {
    "figures": "trend figures of the opportunities",
    "edits": "which records explain a fall of closed amounts",
    "moves": "tier moves between two sets of standings",
}


def opportunities(folder: Path, rows: int) -> Snapshot:
    """A sealed snapshot with that many opportunities, made from a seed."""
    chance = np.random.default_rng(7)
    columns = CANONICAL["opportunities"].columns
    found: dict[str, pa.Array] = {}
    for name, kind in columns.items():
        if kind is ColumnType.DATE:
            found[name] = pa.array(chance.integers(18_000, 20_700, ROWS).astype("int32"), pa.int32()).cast(pa.date32())
        elif kind is ColumnType.MONEY:
            amounts = pa.array(chance.integers(100, 10_000_000, ROWS))
            found[name] = amounts.cast(pa.decimal128(21, 2)).cast(pa.decimal128(19, 2))
        elif kind is ColumnType.YES_NO:
            found[name] = pa.array(chance.random(ROWS) < 0.5)
        elif kind is ColumnType.NUMBER:
            found[name] = pa.array(chance.random(ROWS))
        elif name == "opportunity_id":
            found[name] = pa.array([f"006{number:015d}" for number in range(ROWS)])
        else:
            few = {"currency": 3, "partner_id": 20_000}.get(name, 8)
            found[name] = pa.array(np.array([f"{name}{n}" for n in range(few)])[chance.integers(0, few, ROWS)])
    staging = Staging(folder)
    path = staging.path("opportunities")
    written = write_table(path, pa.table(found).slice(0, rows), columns)
    staging.add(TableFile("opportunities", path, written, columns))
    return staging.seal()


def _peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main(part: str) -> None:
    """Print CPU seconds, peak MB, and the MB before."""
    with tempfile.TemporaryDirectory(prefix="crmsync-bench-") as scratch:
        if part == "moves":
            now = [{"partner_id": f"001{n:015d}", "category": "all", "granted_tier": TIERS[n % 4]} for n in range(ROWS)]
            before = [row if n % 50 else {**row, "granted_tier": "platinum"} for n, row in enumerate(now)]
            held, started = _peak_mb(), time.process_time()
            assert moves_of(now, before, RANKS).partners == ROWS
        else:
            made = [sys.executable, "-m", "bench.guards", "make", f"{scratch}/a", str(ROWS)]
            subprocess.run(made, check=True)
            subprocess.run([*made[:-2], f"{scratch}/b", str(ROWS - 20_000)], check=True)
            from crmsync.snapshots import open_snapshot

            first, second = (open_snapshot(Path(scratch) / name) for name in ("a", "b"))
            held, started = _peak_mb(), time.process_time()
            if part == "figures":
                assert figures_of(first)["opportunities"].rows == ROWS
            else:
                currency = "currency1"
                tables = first.tables["opportunities"], second.tables["opportunities"]
                assert edits_between(*tables, "amount", currency, "2026-11").gone
        print(time.process_time() - started, _peak_mb(), held)


if __name__ == "__main__":
    if sys.argv[1] == "make":
        opportunities(Path(sys.argv[2]), int(sys.argv[3]))
    else:
        main(sys.argv[1])
