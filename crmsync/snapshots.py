"""Sealed snapshots: one folder of typed Parquet files with a manifest, or nothing.

A snapshot is staged, counted and sealed in one rename; a half-written one is never opened.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from crmsync.errors import DataError, Rejected, StoreError
from crmsync.tables import ARROW_TYPES, CANONICAL, EXTRA_MAIN_DATE, ColumnType

MANIFEST = "snapshot.json"


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
    """A sealed folder. `digest` covers the bytes of every table; `checked`: keys and partner ids were verified."""

    folder: Path
    tables: Mapping[str, TableFile]
    digest: str
    checked: bool = True
    counts: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))


class Staging:
    """A snapshot in the making, in a folder of its own beside the final place."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.final = folder
        self.tables: dict[str, TableFile] = {}
        self.rejected: list[Rejected] = []
        self.folder = folder.with_name(f".{folder.name}.staging")
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True)

    def path(self, table: str) -> Path:
        """Where the Parquet file of `table` goes."""
        return self.folder / f"{table}.parquet"

    def add(self, table: TableFile) -> None:
        """Take a table whose file was written to `path(table.name)`."""
        if table.name in self.tables:
            raise DataError(f"table {table.name} was delivered twice; a table comes from one connector")
        self.tables[table.name] = table

    def discard(self) -> None:
        """Throw the staging away; nothing was sealed."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def seal(self, counts: Mapping[str, Any] | None = None) -> Snapshot:
        """Write the manifest and move the folder to its final place; returns the opened snapshot."""
        manifest = {
            "format": 1,
            "checked": True,
            "counts": dict(counts or {}),
            "tables": {name: _describe(table) for name, table in sorted(self.tables.items())},
        }
        manifest["digest"] = _digest(manifest["tables"].values())
        try:
            (self.folder / MANIFEST).write_text(json.dumps(manifest, indent=1, sort_keys=True), encoding="utf-8")
            shutil.rmtree(self.final, ignore_errors=True)
            os.replace(self.folder, self.final)
        except OSError as error:
            raise StoreError(f"{self.final}: the snapshot cannot be sealed: {error}") from error
        return open_snapshot(self.final)


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


def _digest(tables: Iterable[Mapping[str, Any]]) -> str:
    return hashlib.sha256("".join(str(table["sha256"]) for table in tables).encode()).hexdigest()


def open_snapshot(folder: Path) -> Snapshot:
    """The sealed snapshot in `folder`. Errors: DataError when it is not sealed or a file is missing."""
    try:
        manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(f"{folder}: not a sealed snapshot ({error})") from error
    tables = {}
    for name, entry in manifest["tables"].items():
        path = folder / f"{name}.parquet"
        if not path.is_file():
            raise DataError(f"{path}: the snapshot names this table, but its file is missing")
        columns = {column: ColumnType(kind) for column, kind in entry["columns"].items()}
        tables[name] = TableFile(
            name, path, entry["rows"], MappingProxyType(columns), entry["main_date"],
            entry["expires_on_is_last_day"], frozenset(entry["unique"]),
        )  # fmt: skip
    return Snapshot(folder, MappingProxyType(tables), manifest["digest"], manifest["checked"], manifest["counts"])


def main_date_of(table: str, mapped: str | None, columns: Mapping[str, ColumnType]) -> str | None:
    """The main date of a table: the mapped one, the canonical one, or `happened_on` where a further table has it."""
    if mapped is not None:
        return mapped
    if table in CANONICAL:
        return CANONICAL[table].main_date
    return EXTRA_MAIN_DATE if EXTRA_MAIN_DATE in columns else None


def write_table(path: Path, rows: pa.Table | Iterable[pa.RecordBatch], columns: Mapping[str, ColumnType]) -> int:
    """Write rows with exactly `columns` to a Parquet file in bounded memory; returns the number of rows."""
    schema = pa.schema([(name, ARROW_TYPES[kind]) for name, kind in columns.items()])
    batches = rows.to_batches() if isinstance(rows, pa.Table) else rows
    written = 0
    with pq.ParquetWriter(path, schema, compression="zstd") as writer:
        for batch in batches:
            writer.write_batch(batch)
            written += batch.num_rows
    return written
