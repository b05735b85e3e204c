"""One file for the standings of many dates, written date by date so that memory holds one of them."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from types import TracebackType

import pyarrow as pa
import pyarrow.parquet as pq

from crmsync.errors import StoreError
from crmsync.levelling.standings import write_standings


class StandingsFile:
    """Standings appended to one .csv, .jsonl or .parquet; without a path nothing is kept.

    The file appears in one move when the block ends well. Errors: StoreError.
    """

    def __init__(self, out: Path | None) -> None:
        self.out, self.rows = out, 0
        self._parts: list[Path] = []
        self._scratch: Path | None = None

    @property
    def wanted(self) -> bool:
        """Whether standings are kept at all."""
        return self.out is not None

    def __enter__(self) -> StandingsFile:
        if self.out is not None:
            self._scratch = Path(tempfile.mkdtemp(prefix="crmsync-"))
        return self

    def __exit__(self, kind: type[BaseException] | None, _: BaseException | None, __: TracebackType | None) -> None:
        try:
            if kind is None and self.out is not None:
                self._write(self.out)
        finally:
            if self._scratch is not None:
                shutil.rmtree(self._scratch, ignore_errors=True)

    def add(self, standings: pa.Table) -> None:
        """Append the standings of one date."""
        if self.out is None or self._scratch is None:
            return
        part = self._scratch / f"{len(self._parts):05}{self.out.suffix}"
        write_standings(standings, part)
        self._parts.append(part)
        self.rows += standings.num_rows

    def _write(self, out: Path) -> None:
        partial = out.with_name(f".{out.name}.partial")
        try:
            (_join_parquet if out.suffix == ".parquet" else _join_text)(self._parts, partial)
            partial.replace(out)
        except OSError as error:
            partial.unlink(missing_ok=True)
            raise StoreError(f"{out}: cannot be written: {error.strerror or error}") from error


def _join_text(parts: list[Path], out: Path) -> None:
    """CSV with one line of headings, or JSON lines."""
    with out.open("wb") as stream:
        for place, part in enumerate(parts):
            with part.open("rb") as source:
                if place and out.name.endswith(".csv.partial"):
                    source.readline()
                shutil.copyfileobj(source, stream)


def _join_parquet(parts: list[Path], out: Path) -> None:
    """One row group or more for each date, under a schema that holds what any of them has."""
    schema = pa.unify_schemas([pq.read_schema(part) for part in parts], promote_options="permissive")
    with pq.ParquetWriter(out, schema, compression="zstd") as writer:
        for part in parts:
            writer.write_table(
                pa.concat_tables([schema.empty_table(), pq.read_table(part)], promote_options="permissive")
            )
