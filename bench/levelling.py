"""Assess alone on a large base, ours or by hand, in a process of its own: `python -m bench.levelling WAY FOLDER OUT`.

Start-up is imports, the program's file and the connection; what follows it up to the standings in memory is measured.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa

HERE = Path(__file__).parent
PROGRAM = HERE / "program" / "levels.yaml"
RATES = HERE / "program" / "rates.csv"
Work = Callable[[], pa.Table]


def prepared_engine(folder: Path) -> Work:
    """Our own assess, ready to run."""
    import duckdb  # noqa: F401  # imported by the engine when it connects; an import is start-up

    from bench.base import AS_OF
    from crmsync.levelling.assess import assess
    from crmsync.programs.loading import load_program
    from crmsync.snapshots import open_snapshot

    program = load_program(PROGRAM)
    snapshot = open_snapshot(folder)
    return lambda: assess(program, snapshot, AS_OF).standings


def prepared_by_hand(folder: Path) -> Work:
    """The same standings by hand-written SQL, ready to run."""
    import duckdb

    connection = duckdb.connect()
    for table in ("partners", "opportunities", "certifications"):
        connection.execute(f"CREATE VIEW {table} AS SELECT * FROM read_parquet('{folder / table}.parquet')")
    kinds = "{'rate': 'DECIMAL(18, 6)'}"
    connection.execute(f"CREATE VIEW rates AS SELECT * FROM read_csv('{RATES}', types = {kinds})")
    text = (HERE / "by_hand.sql").read_text(encoding="utf-8")
    return lambda: connection.sql(text).to_arrow_table()


WAYS = {"ours": prepared_engine, "by-hand": prepared_by_hand}


def main(way: str, folder: Path, out: Path) -> None:
    """Run one way and print its figures; the standings go to `out` after the measurement."""
    started = time.perf_counter()
    work = WAYS[way](folder)
    ready, ready_cpu = time.perf_counter(), time.process_time()
    standings = work()
    seconds, cpu = time.perf_counter() - ready, time.process_time() - ready_cpu

    import pyarrow.parquet as pq

    from bench.children import peak_mb

    figures = {"start": ready - started, "seconds": seconds, "cpu": cpu, "peak_mb": peak_mb()}
    pq.write_table(standings, out)
    print(json.dumps(figures))


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]))
