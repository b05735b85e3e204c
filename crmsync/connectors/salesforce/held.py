"""Records as the org gave them, kept in the sealed snapshot, so that the next read need only ask for what changed.

One Parquet file per query: text columns by path, one row per record, in the order of the record ids. A finished table
is typed from these alone; whether they came whole or in increments, the same records give the same bytes.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from crmsync.connectors.salesforce.rows import ID, long_ids
from crmsync.errors import DataError, StoreError
from crmsync.snapshots import Staging, fsynced

BATCH_ROWS = 16_384
GROUP_ROWS = 49_152
_MEMORY = "128MB"


@dataclass(frozen=True)
class HeldPart:
    """The records of one query. `digest`: of the query and the types of its fields; `seen`: the latest SystemModstamp
    that the server had told when the query ran, by the server's own clock."""

    key: str
    path: Path
    rows: int
    digest: str
    seen: str | None
    sha256: str = ""

    def entry(self) -> dict[str, Any]:
        """What the manifest says of it."""
        return {"rows": self.rows, "digest": self.digest, "seen": self.seen, "sha256": self.sha256}


@dataclass(frozen=True)
class Held:
    """All held records of one sealed snapshot. `objects`: whose descriptions were needed;
    `increments`: those that were not read whole."""

    org: str
    parts: Mapping[str, HeldPart]
    objects: tuple[str, ...] = ()
    increments: tuple[str, ...] = ()

    def manifest(self) -> dict[str, Any]:
        """What the sealed snapshot says of them."""
        parts = {key: part.entry() for key, part in sorted(self.parts.items())}
        return {"org": self.org, "objects": list(self.objects), "increments": list(self.increments), "parts": parts}


def opened_held(folder: Path, manifest: Mapping[str, Any]) -> Held | None:
    """The held records of a sealed snapshot; None where it has none that can be built on."""
    try:
        parts = {
            key: HeldPart(key, folder / f"{key}.parquet", int(one["rows"]), one["digest"], one["seen"], one["sha256"])
            for key, one in manifest["parts"].items()
        }
        return Held(str(manifest["org"]), parts, tuple(manifest["objects"]))
    except (KeyError, TypeError, AttributeError, ValueError):
        return None


def sound(part: HeldPart) -> bool:
    """Whether the file of a part still is as it was sealed."""
    try:
        return sha256_of(part.path) == part.sha256
    except OSError:
        return False


def sha256_of(path: Path) -> str:
    """Digest of a file."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def batches(
    path: Path, columns: Sequence[str] | None = None, repeating: Sequence[str] = ()
) -> Iterator[pa.RecordBatch]:
    """The held rows, a bounded number at a time; the columns `repeating` as dictionaries, each text once."""
    with pq.ParquetFile(path, read_dictionary=list(repeating)) as file:
        yield from file.iter_batches(BATCH_ROWS, columns=None if columns is None else list(columns), use_threads=False)


def write_records(
    path: Path, rows: Iterable[pa.RecordBatch], columns: Sequence[str], repeating: Sequence[str] = ()
) -> int:
    """Write text columns to a file in bounded memory; returns the number of rows. Errors: StoreError.

    `repeating`: columns in which the same texts come again and again. Nobody searches these files by value, so they
    carry no statistics.
    """
    schema = pa.schema([(column, pa.string()) for column in columns])
    written = 0
    try:
        with pq.ParquetWriter(
            path, schema, compression="zstd", compression_level=1, use_dictionary=list(repeating),
            write_statistics=False,
        ) as writer:  # fmt: skip
            for group in _gathered(rows):
                table = pa.Table.from_batches(group, schema)
                writer.write_table(table, row_group_size=max(1, table.num_rows))
                written += table.num_rows
                pa.default_memory_pool().release_unused()
    except OSError as error:
        raise StoreError(f"{path}: cannot be written: {error}") from error
    return written


def _gathered(rows: Iterable[pa.RecordBatch]) -> Iterator[list[pa.RecordBatch]]:
    """Batches by the row group: not joined into one, which would copy them all."""
    waiting: list[pa.RecordBatch] = []
    count = 0
    for batch in rows:
        waiting.append(batch)
        count += batch.num_rows
        if count >= GROUP_ROWS:
            yield waiting
            waiting, count = [], 0
    if waiting:
        yield waiting


class Keeper:
    """Writes the records of one whole read, put into the order of their ids."""

    def __init__(
        self, staging: Staging, key: str, paths: Sequence[str], sobject: str, repeating: Sequence[str] = ()
    ) -> None:
        self.path = staging.held_path(key)
        self._paths = list(paths)
        self._repeating = repeating
        self._object = sobject
        self._last: str | None = None
        self._ascending = True

    def keep(self, blocks: Iterable[Mapping[str, pa.Array]]) -> int:
        """Write the blocks; returns the number of rows. Errors: DataError where one record came twice."""
        rows = write_records(self.path, self._normal(blocks), self._paths, self._repeating)
        if not self._ascending:
            self._sort()
        return rows

    def _normal(self, blocks: Iterable[Mapping[str, pa.Array]]) -> Iterator[pa.RecordBatch]:
        for block in blocks:
            ids = long_ids(block[ID])
            if self._ascending and len(ids):
                self._ascending = self._follows(ids)
            arrays = [ids if path == ID else block[path] for path in self._paths]
            yield pa.RecordBatch.from_arrays(arrays, names=self._paths)

    def _follows(self, ids: pa.Array) -> bool:
        if self._last is not None and not ids[0].as_py() > self._last:
            return False
        self._last = ids[-1].as_py()
        return len(ids) < 2 or bool(pc.all(pc.less(ids[:-1], ids[1:])).as_py())

    def _sort(self) -> None:
        arrived = self.path.with_suffix(".arrived")
        os.replace(self.path, arrived)
        write_records(self.path, _in_order(arrived, self.path.parent, self._object), self._paths, self._repeating)
        arrived.unlink()


def _in_order(path: Path, spill: Path, sobject: str) -> Iterator[pa.RecordBatch]:
    config: dict[str, str | bool | int | float | list[str]] = {
        "memory_limit": _MEMORY,
        "temp_directory": str(spill / ".spill"),
        "threads": 1,
    }
    last: str | None = None
    try:
        with duckdb.connect(config=config) as session:
            found = session.read_parquet(str(path)).order(f'"{ID}"')
            for batch in found.to_arrow_reader(BATCH_ROWS):
                ids = batch.column(ID)
                same = pc.equal(ids[:-1], ids[1:])
                if ids[0].as_py() == last or pc.any(same).as_py():
                    twice = last if ids[0].as_py() == last else ids[:-1].filter(same)[0].as_py()
                    raise DataError(f"{sobject} {twice}: came twice in one read; nothing was kept")
                last = ids[-1].as_py()
                yield batch
    except duckdb.Error as error:
        raise StoreError(f"{path}: cannot be put in order: {str(error)[:300]}") from error


def merged(before: Path, gone: pa.Array, new: pa.Table, paths: Sequence[str]) -> Iterator[pa.RecordBatch]:
    """The held rows without the records `gone`, with `new` ones in their places (sorted by id, each once)."""
    waiting, known = new.select(list(paths)), pa.array(gone, pa.string())
    for batch in batches(before, paths):
        kept = batch.filter(pc.invert(pc.is_in(batch.column(ID), value_set=known))) if len(known) else batch
        upto = batch.column(ID)[-1]
        here = int(pc.sum(pc.less_equal(waiting.column(ID), upto)).as_py() or 0)
        if here:
            together = pa.concat_tables([pa.Table.from_batches([kept]), waiting.slice(0, here)])
            yield from together.sort_by(ID).to_batches()
            waiting = waiting.slice(here)
        else:
            yield kept
    yield from waiting.to_batches()


def linked(part: HeldPart, path: Path) -> None:
    """The same file at another place; a copy where the file system takes no second name."""
    try:
        os.link(part.path, path)
    except OSError:
        shutil.copyfile(part.path, path)
        fsynced(path)
