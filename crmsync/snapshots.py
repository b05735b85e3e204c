"""Sealed snapshots: one folder of typed Parquet files with a manifest, or nothing.

A snapshot is staged, counted and sealed in one rename; a half-written one is never opened.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
import time
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any, Protocol

import pyarrow as pa
import pyarrow.parquet as pq

from crmsync.errors import DataError, Rejected, StoreError
from crmsync.tables import ARROW_TYPES, CANONICAL, EXTRA_MAIN_DATE, ColumnType

MANIFEST = "snapshot.json"
HELD = "held"
FORMAT = 1
KEPT = 10
HELD_KEPT = 2
_UNSEALED = (".staging", ".old")
_LEFT_BEHIND_S = 24 * 3600


@dataclass(frozen=True)
class TableFile:
    """One typed table of a snapshot.

    `delivered` are the columns the source had; canonical columns that were not delivered are absent from the file.
    `unique` are columns whose non-empty values were proven to differ in every row.
    """

    name: str
    path: Path
    rows: int
    columns: Mapping[str, ColumnType]
    main_date: str | None = None
    expires_on_is_last_day: bool = False
    unique: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Snapshot:
    """A sealed folder. `digest` covers bytes and types of every table, and the rejected partners.

    `checked`: keys and partners were verified. `rejected_partners`: ids of partners that are there, but whose row could
    not be read; in order.
    """

    folder: Path
    tables: Mapping[str, TableFile]
    digest: str
    checked: bool = True
    counts: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))
    rejected_partners: tuple[str, ...] = ()
    held: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))

    @property
    def held_folder(self) -> Path:
        """Where the source's own records stand that the tables were made of; `held` says which."""
        return self.folder / HELD


@dataclass(frozen=True)
class RejectedPartner:
    """A partner whose own row was rejected. `place`: file and line, or object and record; `values`: what of its texts
    and numbers could be read, by column."""

    place: str
    values: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))


Place = tuple[str, int | None]
"""File and line of a row, or CRM object with record id and None."""


class Origin(Protocol):
    """Where the rows of a staged table came from. Rows are counted from 0, as they stand in the staged file."""

    def places(self, rows: Sequence[int], ids: Sequence[str]) -> list[Place]:
        """The place of each row; `ids` are the ids of these rows (empty text where the table has none)."""
        ...

    def without(self, rows: Sequence[int]) -> Origin:
        """The origin of the table after `rows` were taken out."""
        ...


@dataclass(frozen=True)
class RecordOrigin:
    """Rows that are records of a CRM object."""

    object_name: str

    def places(self, rows: Sequence[int], ids: Sequence[str]) -> list[Place]:  # noqa: ARG002
        """Object and record id of each row."""
        return [(f"{self.object_name} {one}".strip(), None) for one in ids]

    def without(self, rows: Sequence[int]) -> Origin:  # noqa: ARG002
        """The same: a record does not move."""
        return self


class Staging:
    """A snapshot in the making, in a folder of its own beside the final place.

    `origins` tells where the rows of a table came from; a table without one is named by table and record id.
    `rejected_partners`: by partner_id, so that a bad cell is not taken for a partner who is gone.
    `since`: an earlier sealed snapshot whose held records may be built upon, `overlap_s`: how far before its end
    changes are looked for again; `held`: what is kept for the next.
    """

    def __init__(self, folder: Path, since: Snapshot | None = None, overlap_s: float = 0.0) -> None:
        self.final = folder
        self.since = since
        self.overlap_s = overlap_s
        self.held: dict[str, Any] = {}
        self.tables: dict[str, TableFile] = {}
        self.rejected: list[Rejected] = []
        self.origins: dict[str, Origin] = {}
        self.rejected_partners: dict[str, RejectedPartner] = {}
        try:
            folder.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            # A name of its own: two runs that stage the same snapshot never share a folder.
            self.folder = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", suffix=".staging", dir=folder.parent))
        except OSError as error:
            raise StoreError(f"{folder}: a snapshot cannot be staged here: {error.strerror or error}") from error

    def path(self, table: str) -> Path:
        """Where the Parquet file of `table` goes."""
        return self.folder / f"{table}.parquet"

    def held_path(self, key: str) -> Path:
        """Where the source's own records of `key` go."""
        folder = self.folder / HELD
        folder.mkdir(exist_ok=True)
        return folder / f"{key}.parquet"

    def add(self, table: TableFile) -> None:
        """Take a table whose file was written to `path(table.name)`."""
        if table.name in self.tables:
            raise DataError(f"table {table.name} was delivered twice; a table comes from one connector")
        self.tables[table.name] = table

    def discard(self) -> None:
        """Throw the staging away; nothing was sealed."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def seal(self, counts: Mapping[str, Any] | None = None) -> Snapshot:
        """Write the manifest and move the folder to its final place; returns the opened snapshot.

        Errors: StoreError when the disk is full or the place cannot be written; nothing is sealed then.
        """
        try:
            tables = {name: _describe(table) for name, table in sorted(self.tables.items())}
            rejected = sorted(self.rejected_partners)
            manifest = {
                "format": FORMAT,
                "checked": True,
                "counts": dict(counts or {}),
                "tables": tables,
                "rejected_partners": rejected,
                "digest": _digest(tables, rejected),
                "held": self.held,  # beside the digest: how far a source was read is not what was read
            }
            self._keep_only(tables)
            _write_durably(self.folder / MANIFEST, json.dumps(manifest, indent=1))
            _move(self.folder, self.final)
        except OSError as error:
            raise StoreError(f"{self.final}: the snapshot cannot be sealed: {error.strerror or error}") from error
        return open_snapshot(self.final)

    def _keep_only(self, tables: Mapping[str, Any]) -> None:
        """Remove what is no table, and see the tables themselves safely on disk."""
        for path in self.folder.iterdir():
            if path.suffix == ".parquet" and path.stem in tables:
                fsynced(path)
            elif path.is_dir() and path.name == HELD and self.held:
                for held in path.iterdir():
                    fsynced(held)
            elif path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink()


def fsynced(path: Path) -> None:
    """See a file safely on disk."""
    with path.open("rb") as stream:
        os.fsync(stream.fileno())


def _write_durably(path: Path, text: str) -> None:
    with path.open("w", encoding="utf-8") as stream:
        stream.write(text)
        stream.flush()
        os.fsync(stream.fileno())


def _move(staged: Path, final: Path) -> None:
    """Put a staged folder in its place. An older snapshot there is set aside first, so that no mixture is ever seen."""
    old = staged.with_suffix(".old")
    if final.exists():
        os.rename(final, old)
    os.rename(staged, final)
    shutil.rmtree(old, ignore_errors=True)
    handle = os.open(final.parent, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _describe(table: TableFile) -> dict[str, Any]:
    return {
        "rows": table.rows,
        "sha256": _sha256(table.path),
        "columns": {name: kind.value for name, kind in table.columns.items()},
        "main_date": table.main_date,
        "expires_on_is_last_day": table.expires_on_is_last_day,
        "unique": sorted(table.unique),
    }


def _sha256(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _digest(tables: Mapping[str, Mapping[str, Any]], rejected_partners: Sequence[str]) -> str:
    # Without rejected partners the digest is that of the tables alone, as snapshots that know none have it.
    content = {"tables": tables, "rejected_partners": rejected_partners} if rejected_partners else tables
    text = json.dumps(content, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def open_snapshot(folder: Path, *, verify: bool = False) -> Snapshot:
    """The sealed snapshot in `folder`. `verify`: read every table and compare it with its digest.

    Errors: DataError when it is not sealed, a file is missing or cut off, or something is not as it was sealed.
    """
    manifest = _manifest(folder)
    try:
        tables = {name: _table_file(folder, name, entry) for name, entry in manifest["tables"].items()}
        snapshot = Snapshot(
            folder, MappingProxyType(tables), manifest["digest"], manifest["checked"], manifest["counts"],
            tuple(manifest.get("rejected_partners", ())), MappingProxyType(manifest.get("held") or {}),
        )  # fmt: skip
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise DataError(f"{folder / MANIFEST}: is not the manifest of a snapshot ({error!r})") from error
    if verify:
        for name, table in snapshot.tables.items():
            if _sha256(table.path) != manifest["tables"][name]["sha256"]:
                raise DataError(f"{table.path}: is not as it was sealed; extract again")
    return snapshot


def _manifest(folder: Path) -> dict[str, Any]:
    try:
        manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(f"{folder}: not a sealed snapshot ({error})") from error
    if not isinstance(manifest, dict) or manifest.get("format") != FORMAT:
        raise DataError(f"{folder / MANIFEST}: is not the manifest of a snapshot of format {FORMAT}")
    if manifest.get("digest") != _digest(manifest.get("tables", {}), manifest.get("rejected_partners", ())):
        raise DataError(f"{folder / MANIFEST}: is not as it was sealed; extract again")
    return manifest


def _table_file(folder: Path, name: str, entry: Mapping[str, Any]) -> TableFile:
    path = folder / f"{name}.parquet"
    if not path.is_file():
        raise DataError(f"{path}: the snapshot names this table, but its file is missing")
    try:
        rows = pq.read_metadata(path).num_rows
    except (OSError, pa.ArrowException) as error:
        raise DataError(f"{path}: cannot be read: {error}") from error
    if rows != entry["rows"]:
        raise DataError(f"{path}: holds {rows} rows, but {entry['rows']} were sealed; extract again")
    columns = {column: ColumnType(kind) for column, kind in entry["columns"].items()}
    return TableFile(
        name,
        path,
        entry["rows"],
        MappingProxyType(columns),
        entry["main_date"],
        entry["expires_on_is_last_day"],
        frozenset(entry["unique"]),
    )


def sealed_under(root: Path) -> list[Path]:
    """The manifests of the sealed snapshots, oldest first. One that was killed before it came to its place is none."""
    found = [one for one in root.glob(f"*/{MANIFEST}") if one.parent.suffix not in _UNSEALED]
    return sorted(found, key=lambda one: (one.stat().st_mtime_ns, one.parent.name))


def retain_snapshots(root: Path, *, keep: int = KEPT, always: Collection[str] = ()) -> tuple[Path, ...]:
    """Remove the older snapshots under `root`, and stagings that a killed run left more than a day ago.

    The last `keep` sealed ones stay, and those whose folder is named in `always` (review dates). Returns what was
    removed. Errors: StoreError when something cannot be removed.
    """
    if not root.is_dir():
        return ()
    try:
        sealed = sealed_under(root)
        old = [one.parent for one in sealed[: max(len(sealed) - keep, 0)] if one.parent.name not in always]
        for one in sealed[:-HELD_KEPT]:
            shutil.rmtree(one.parent / HELD, ignore_errors=True)  # only the next read builds on it
        before = time.time() - _LEFT_BEHIND_S
        old += [one for one in root.glob(".*") if one.suffix in _UNSEALED and one.stat().st_mtime < before]
        for folder in old:
            (folder / MANIFEST).unlink(missing_ok=True)  # first, so that a half-removed one is never opened
            shutil.rmtree(folder)
    except OSError as error:
        raise StoreError(f"{root}: old snapshots cannot be removed: {error.strerror or error}") from error
    return tuple(old)


def main_date_of(table: str, mapped: str | None, columns: Mapping[str, ColumnType]) -> str | None:
    """The main date of a table: the mapped one, the canonical one, or `happened_on` where a further table has it."""
    if mapped is not None:
        return mapped
    if table in CANONICAL:
        return CANONICAL[table].main_date
    return EXTRA_MAIN_DATE if EXTRA_MAIN_DATE in columns else None


ROW_GROUP = 122_880
"""Rows per Parquet row group: what DuckDB hands to one thread."""


def write_table(path: Path, rows: pa.Table | Iterable[pa.RecordBatch], columns: Mapping[str, ColumnType]) -> int:
    """Write rows with exactly `columns` to a Parquet file in bounded memory; returns the number of rows.

    Errors: StoreError when the disk is full or the folder cannot be written.
    """
    schema = pa.schema([(name, ARROW_TYPES[kind]) for name, kind in columns.items()])
    batches = rows.to_batches() if isinstance(rows, pa.Table) else rows
    written = 0
    try:
        with pq.ParquetWriter(path, schema, compression="zstd", compression_level=1) as writer:
            for group in row_groups(batches, schema):
                writer.write_table(group, row_group_size=ROW_GROUP)
                written += group.num_rows
    except OSError as error:
        raise StoreError(f"{path}: cannot be written: {error}") from error
    return written


def row_groups(batches: Iterable[pa.RecordBatch], schema: pa.Schema, rows: int = ROW_GROUP) -> Iterator[pa.Table]:
    """Batches gathered into row groups, so that many small ones do not make a slow file."""
    waiting: list[pa.RecordBatch] = []
    count = 0
    for batch in batches:
        waiting.append(batch)
        count += batch.num_rows
        if count >= rows:
            table = pa.Table.from_batches(waiting, schema).combine_chunks()  # the same bytes, however they came
            whole = count - count % rows
            yield table.slice(0, whole)
            waiting, count = table.slice(whole).to_batches(), count - whole
    if count:
        yield pa.Table.from_batches(waiting, schema).combine_chunks()
