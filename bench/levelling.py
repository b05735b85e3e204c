"""Assess alone on a large base, ours or by hand, in a process of its own: `python -m bench.levelling WAY FOLDER OUT`.

Start-up is imports, the program's file and the connection; what follows it up to the standings in Parquet is measured.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from importlib.abc import MetaPathFinder
from pathlib import Path
from types import MappingProxyType

import pyarrow as pa

HERE = Path(__file__).parent
LEVELS = HERE / "program" / "levels.yaml"
CHANNEL = HERE / "program" / "channel.yaml"
RATES = HERE / "program" / "rates.csv"
PIECE = 200_000
"""Rows that the hand-written side hands out at a time."""
Work = Callable[[], Iterable[pa.Table]]
"""Gives standings, some partners after the others."""


@dataclass(frozen=True)
class Ours:
    """Our own assess of a program; `light`: metrics and tiers alone."""

    program: Path
    light: bool = False

    def prepared(self, folder: Path) -> Work:
        """Ready to run."""
        import duckdb  # noqa: F401  # imported by the engine when it connects; an import is start-up

        from bench.base import AS_OF
        from crmsync.levelling.assess import assess
        from crmsync.programs.loading import load_program
        from crmsync.snapshots import open_snapshot

        program = load_program(self.program)
        snapshot = open_snapshot(folder)
        return lambda: assess(program, snapshot, AS_OF, light=self.light).parts


@dataclass(frozen=True)
class ByHand:
    """The same standings by hand-written SQL."""

    file: Path

    def prepared(self, folder: Path) -> Work:
        """Ready to run."""
        import duckdb

        connection = duckdb.connect()
        for table in ("partners", "opportunities", "certifications"):
            connection.execute(f"CREATE VIEW {table} AS SELECT * FROM read_parquet('{folder / table}.parquet')")
        kinds = "{'rate': 'DECIMAL(18, 6)'}"
        connection.execute(f"CREATE VIEW rates AS SELECT * FROM read_csv('{RATES}', types = {kinds})")
        text = self.file.read_text(encoding="utf-8")
        return lambda: _tables(connection.sql(text).to_arrow_reader(PIECE))


WAYS: Mapping[str, Ours | ByHand] = MappingProxyType(
    {
        "levels": Ours(LEVELS),
        "levels-by-hand": ByHand(HERE / "by_hand.sql"),
        "channel": Ours(CHANNEL),
        "channel-by-hand": ByHand(HERE / "by_hand_channel_whole.sql"),
        "channel-light": Ours(CHANNEL, light=True),
        "channel-light-by-hand": ByHand(HERE / "by_hand_channel.sql"),
    }
)


def _tables(reader: pa.RecordBatchReader) -> Iterator[pa.Table]:
    """The rows of a reader, as they come."""
    return (pa.Table.from_batches([batch]) for batch in reader)


class WithoutPandas(MetaPathFinder):
    """Pandas comes with the tools of development alone; Arrow would import it in the middle of a measurement."""

    def find_spec(self, fullname: str, _path: object, _target: object = None) -> None:
        """Errors: ImportError for pandas."""
        if fullname.partition(".")[0] == "pandas":
            raise ImportError(f"{fullname} is not part of what is measured")


def main(way: str, folder: Path, out: Path) -> None:
    """Run one way and print its figures; the standings are written to `out`."""
    started = time.perf_counter()
    sys.meta_path.insert(0, WithoutPandas())
    from bench.children import peak_mb
    from crmsync.levelling.standings import write_standings

    work = WAYS[way].prepared(folder)
    ready, ready_cpu = time.perf_counter(), time.process_time()
    rows = 0

    def counted() -> Iterator[pa.Table]:
        nonlocal rows
        for part in work():
            rows += part.num_rows
            yield part

    write_standings(counted(), out)
    seconds, cpu = time.perf_counter() - ready, time.process_time() - ready_cpu
    figures = {"start": ready - started, "seconds": seconds, "cpu": cpu, "peak_mb": peak_mb(), "rows": rows}
    print(json.dumps(figures))


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]))
