"""Parts of an assessment alone, in a process of its own: `python -m bench.parts FOLDER` (a small base).

Loading the program's file, writing its statements, and the tree of a million accounts in several shapes.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa

from bench.base import AS_OF, account_ids, parents_of
from bench.children import peak_mb
from bench.levelling import CHANNEL, WithoutPandas
from crmsync.levelling.assess import assess
from crmsync.levelling.engine import DuckDbEngine
from crmsync.levelling.hierarchy import build_hierarchy
from crmsync.levelling.sql import Sql
from crmsync.programs.loading import load_program
from crmsync.snapshots import open_snapshot

ACCOUNTS = 1_000_000
STAR = 100_000
REPEATS = 5


class WritingEngine(DuckDbEngine):
    """DuckDB that keeps how much of the calling thread's time went into rows that were read, not into writing."""

    reading = 0.0

    def read(self, query: Sql) -> pa.Table:
        started = time.thread_time()
        found = super().read(query)
        self.reading += time.thread_time() - started
        return found


def loading() -> Callable[[], float]:
    """Seconds to read and check the program's file."""

    def load() -> float:
        started = time.perf_counter()
        load_program(CHANNEL)
        return time.perf_counter() - started

    return load


def writing(folder: Path, light: bool) -> Callable[[], float]:
    """CPU seconds of the thread that writes the statements; the engine runs them in another."""
    program, snapshot = load_program(CHANNEL), open_snapshot(folder)

    def write() -> float:
        engine = WritingEngine(rows=0)
        started = time.thread_time()
        assess(program, snapshot, AS_OF, engine=engine, light=light)
        seconds = time.thread_time() - started - engine.reading
        engine.close()
        return seconds

    return write


def closing(parent: np.ndarray) -> Callable[[], float]:
    """Seconds from two columns of ids to the pairs (ancestor, member)."""
    ids = account_ids(len(parent))
    partner_ids = pa.chunked_array([ids])
    parent_ids = pa.chunked_array([ids.take(pa.array(parent, mask=parent < 0))])

    def close() -> float:
        started = time.perf_counter()
        tree = build_hierarchy(partner_ids, parent_ids)
        len(tree.families)
        len(tree.alone)
        return time.perf_counter() - started

    return close


def families() -> np.ndarray:
    """Four in ten have a parent."""
    return parents_of(np.random.default_rng(7), ACCOUNTS)


def star() -> np.ndarray:
    """The same, and a tenth of all below one account."""
    parent = families()
    parent[:STAR] = -1
    parent[1:STAR] = 0
    return parent


def chain() -> np.ndarray:
    """Everybody below the one before: a fault in the data, cut off after 64 levels."""
    return np.arange(-1, ACCOUNTS - 1)


def main(folder: Path) -> None:
    """Print for each part the seconds of the first time and of the quickest of several, and its peak memory."""
    sys.meta_path.insert(0, WithoutPandas())
    parts = {
        "load the program's file": loading(),
        "write the statements, metrics and tiers": writing(folder, light=True),
        "write the statements, whole table": writing(folder, light=False),
        f"closure of {ACCOUNTS:,} accounts in families": closing(families()),
        f"closure with a star of {STAR:,}": closing(star()),
        f"a chain of {ACCOUNTS:,}, cut as a fault": closing(chain()),
    }
    figures = {}
    for name, part in parts.items():
        first = part()
        figures[name] = {"first": first, "best": min(part() for _ in range(REPEATS)), "peak_mb": peak_mb()}
    print(json.dumps(figures))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
