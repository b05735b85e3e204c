"""A folder of CSV and Parquet files as a source of tables, one file per table, and as a target of write-back."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from crmsync.connectors.base import ExtractReport, Progress, no_progress
from crmsync.connectors.checks import ChecksReport, check_rows
from crmsync.connectors.files_csv import Order, TableRead, read_csv_table
from crmsync.connectors.files_mapping import FilesMapping
from crmsync.connectors.files_parquet import read_parquet_table
from crmsync.errors import ConfigError
from crmsync.snapshots import MANIFEST, Snapshot, Staging, TableFile, main_date_of, open_snapshot
from crmsync.tables import CANONICAL

WRITEBACK = "writeback"
_TABLE_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*")


def read_tables(
    folder: Path,
    staging: Staging,
    *,
    mapping: FilesMapping | None = None,
    money: frozenset[tuple[str, str]] = frozenset(),
    progress: Progress = no_progress,
) -> ExtractReport:
    """Stage every CSV and Parquet file of a folder as a table named like the file.

    `money` names further columns that are money, as (table, column). Errors: ConfigError naming file and line when a
    file as a whole cannot be used; StoreError when the staging cannot be written.
    """
    mapping = mapping or FilesMapping()
    notes: list[str] = []
    orders = [
        Order(table, path, mapping.of(table), money, mapping.time_zone)
        for table, path in files_of(folder, mapping, notes).items()
    ]
    return stage_files(orders, staging, progress, notes)


def tables_of(
    folder: Path,
    staging_root: Path,
    money: frozenset[tuple[str, str]] = frozenset(),
    *,
    mapping: FilesMapping | None = None,
    progress: Progress = no_progress,
) -> tuple[Snapshot, ExtractReport]:
    """The tables of a folder as a checked snapshot, and what was left out of it.

    A folder that is a sealed snapshot is used as it is; another one is read, checked and sealed under `staging_root`.
    """
    if (folder / MANIFEST).is_file():
        snapshot = open_snapshot(folder)
        return snapshot, ExtractReport({name: table.rows for name, table in snapshot.tables.items()})
    staging = Staging(staging_root / "tables")
    try:
        report = read_tables(folder, staging, mapping=mapping, money=money, progress=progress)
        if "partners" not in staging.tables:
            raise ConfigError(
                "has no partners.csv or partners.parquet; without partners nobody is levelled", file=str(folder)
            )
        report = _checked(report, staging, check_rows(staging))
        return staging.seal(), report
    finally:
        staging.discard()


def _checked(report: ExtractReport, staging: Staging, checks: ChecksReport) -> ExtractReport:
    direct = {
        table: report.direct.get(table, 0) + checks.direct.get(table, 0) for table in {*report.direct, *checks.direct}
    }
    return replace(
        report,
        rows={name: table.rows for name, table in staging.tables.items()},
        rejected=(*report.rejected, *checks.rejected),
        direct=direct,
    )


def files_of(folder: Path, mapping: FilesMapping, notes: list[str]) -> dict[str, Path]:
    """The file of each table of a folder, by table name. Files that are no tables are named in `notes`."""
    if not folder.is_dir():
        raise ConfigError("is not a folder; it must hold one CSV or Parquet file per table", file=str(folder))
    named = {entry.file: table for table, entry in mapping.tables.items() if entry.file}
    found: dict[str, Path] = {}
    for path in sorted(folder.iterdir()):
        table = named.get(path.name) or _table_name(path)
        if table is None:
            continue
        if not _TABLE_NAME.fullmatch(table):
            notes.append(f"{path.name} is not read: `{table}` is not a name for a table (letters, digits, _)")
            continue
        if table in found:
            raise ConfigError(
                f"table {table} stands in {found[table].name} and in {path.name}; keep one", file=str(folder)
            )
        found[table] = path
    for name, table in named.items():
        if table not in found:
            raise ConfigError(f"has no file {name}, which the mapping of {table} names", file=str(folder))
    return found


def _table_name(path: Path) -> str | None:
    if path.name.startswith((".", "~")) or not path.is_file():
        return None
    if path.suffix.lower() not in (".csv", ".parquet") or path.stem.lower() == WRITEBACK:
        return None
    lower = path.stem.lower()
    return lower if lower in CANONICAL else path.stem


def stage_files(orders: Iterable[Order], staging: Staging, progress: Progress, notes: Sequence[str]) -> ExtractReport:
    """Stage the files that are asked for, and report what was read."""
    report = ExtractReport({}, notes=tuple(notes))
    for order in orders:
        is_csv = order.path.suffix.lower() == ".csv"
        read = (read_csv_table if is_csv else read_parquet_table)(order, staging.path(order.table), progress)
        staging.add(_table_file(order, staging.path(order.table), read))
        staging.origins[order.table] = read.origin
        report = _with(report, order, read)
    return report


def _table_file(order: Order, path: Path, read: TableRead) -> TableFile:
    mapped = order.mapping.main_date
    if mapped is not None and mapped not in read.columns:
        raise ConfigError(f"has no column `{mapped}`, which the mapping names as main date", file=str(order.path))
    return TableFile(
        order.table,
        path,
        read.rows,
        read.columns,
        main_date_of(order.table, mapped, read.columns),
        order.mapping.expires_on_is_last_day,
    )


def _with(report: ExtractReport, order: Order, read: TableRead) -> ExtractReport:
    return replace(
        report,
        rows={**report.rows, order.table: read.rows},
        rejected=(*report.rejected, *read.rejected),
        direct={**report.direct, order.table: read.direct} if read.direct else report.direct,
        notes=(*report.notes, *read.notes),
    )
