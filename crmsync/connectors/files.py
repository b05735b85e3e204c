"""A folder of CSV and Parquet files as a source of tables, one file per table, and as a target of write-back."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from crmsync.connectors.base import ExtractReport, Into, JobState, Progress, Write, Written, no_progress
from crmsync.connectors.checks import CURRENT_VALUES, ChecksReport, check_rows
from crmsync.connectors.files_csv import Order, TableRead, csv_headings, read_csv_table
from crmsync.connectors.files_mapping import FilesMapping, TableMapping, read_files_mapping
from crmsync.connectors.files_parquet import parquet_headings, read_parquet_table
from crmsync.connectors.files_writeback import BESIDE, KEY, OURS, PARTNER, RECORD_ID, Writeback
from crmsync.connectors.mapping_writes import STANDING
from crmsync.errors import ConfigError
from crmsync.snapshots import MANIFEST, Snapshot, Staging, TableFile, main_date_of, open_snapshot, write_table
from crmsync.tables import CANONICAL, ColumnType

__all__ = ["FilesConnector", "FilesMapping", "read_files_mapping", "read_tables", "tables_of"]

BULK_FROM = 20
"""From how many writes on the write-back file is replaced once for all, rather than once for each."""

_KINDS = (".csv", ".parquet")
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
    found = files_of(folder, mapping, notes)
    for table in mapping.tables:
        _require_file(folder, mapping, table, found)
    orders = [Order(table, path, mapping.of(table), money, mapping.time_zone) for table, path in found.items()]
    return stage_files([order for order in orders if _is_table(order, notes)], staging, progress, notes)


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
    passed_over: list[str] = []
    if not folder.is_dir():
        raise ConfigError("is not a folder; it must hold one CSV or Parquet file per table", file=str(folder))
    named = {entry.file: table for table, entry in mapping.tables.items() if entry.file}
    found: dict[str, Path] = {}
    for path in sorted(folder.iterdir()):
        if path.name not in named and _is_of_another_kind(path):
            passed_over.append(path.name)
        table = named.get(path.name) or _table_name(path)
        if table is None or mapping.of(table).file not in (None, path.name):
            continue
        if not _TABLE_NAME.fullmatch(table):
            notes.append(f"{path.name} is not read: `{table}` is not a name for a table (letters, digits, _)")
            continue
        if table in found:
            raise ConfigError(
                f"table {table} stands in {found[table].name} and in {path.name}; keep one", file=str(folder)
            )
        found[table] = path
    if passed_over:
        notes.append(f"{', '.join(passed_over)} passed over: only .csv and .parquet are read; save it as CSV UTF-8")
    return found


def _is_of_another_kind(path: Path) -> bool:
    """Whether a file may have been meant as a table, but is not of a kind that is read."""
    return path.is_file() and not path.name.startswith((".", "~")) and path.suffix.lower() not in _KINDS


def _require_file(folder: Path, mapping: FilesMapping, table: str, found: Mapping[str, Path]) -> None:
    named = mapping.of(table).file
    if table not in found and named:
        raise ConfigError(f"has no file {named}, which the mapping of {table} names", file=str(folder))
    if table not in found:
        raise ConfigError(f"has no {table}.csv or {table}.parquet", file=str(folder))


def _is_table(order: Order, notes: list[str]) -> bool:
    """Whether a file is a table: a canonical or mapped one, or one whose rows belong to partners."""
    if order.table in CANONICAL or order.mapping != TableMapping():
        return True
    is_csv = order.path.suffix.lower() == ".csv"
    headings = csv_headings(order) if is_csv else parquet_headings(order)
    if any(heading.lower() == "partner_id" for heading in headings):
        return True
    notes.append(f"{order.path.name} is not read: it has no column partner_id")
    return False


def _table_name(path: Path) -> str | None:
    if path.name.startswith((".", "~")) or not path.is_file():
        return None
    if path.suffix.lower() not in _KINDS or path.name.lower() in OURS:
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
        staging.rejected_partners.update(read.rejected_partners)
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


class FilesConnector:
    """A folder as Source and Target. The record of a partner is its partner_id; values go to `writeback.csv`."""

    bulk_from: int | None = BULK_FROM

    def __init__(
        self,
        folder: Path,
        mapping: FilesMapping | None = None,
        money: frozenset[tuple[str, str]] = frozenset(),
    ) -> None:
        self._folder = folder
        self._mapping = mapping or FilesMapping()
        self._money = money
        self._writeback = Writeback(folder)

    # --- source

    def extract(self, tables: Sequence[str], staging: Staging, progress: Progress = no_progress) -> ExtractReport:
        """Write one typed Parquet per table into `staging`; `current_values` is what the write-back file holds.

        Errors: ConfigError naming folder, file and line.
        """
        notes: list[str] = []
        found = files_of(self._folder, self._mapping, notes)
        told = () if set(tables) == {CURRENT_VALUES} else notes
        report = stage_files(self._orders(tables, found), staging, progress, told)
        return self._with_current_values(report, staging) if CURRENT_VALUES in tables else report

    def _orders(self, tables: Sequence[str], found: Mapping[str, Path]) -> Iterator[Order]:
        for table in tables:
            if table == CURRENT_VALUES:
                continue
            _require_file(self._folder, self._mapping, table, found)
            yield Order(table, found[table], self._mapping.of(table), self._money, self._mapping.time_zone)

    def _with_current_values(self, report: ExtractReport, staging: Staging) -> ExtractReport:
        held, fields = self._writeback.records(), self._writeback.fields()
        partners = staging.tables.get("partners")
        ids = list(held)
        if partners is not None:
            ids = pq.read_table(partners.path, columns=["partner_id"])["partner_id"].unique().to_pylist()
        columns = (RECORD_ID, "partner_id", *fields)
        values = {name: [held.get(one, {}).get(name) for one in ids] for name in fields}
        rows = pa.table({RECORD_ID: ids, "partner_id": ids, **values}, pa.schema(dict.fromkeys(columns, pa.string())))
        _add_texts(staging, CURRENT_VALUES, rows)
        standings = _held_beside(Writeback(self._folder, BESIDE["standings"]))  # a change of tier is written once
        _add_texts(staging, f"{CURRENT_VALUES}.standings", standings)
        return replace(report, rows={**report.rows, CURRENT_VALUES: len(ids)})

    # --- target

    def into(self, into: Into) -> RecordsOfFile:
        """The target of what stands beside the partners."""
        return RecordsOfFile(self._folder, into.object)

    def identity(self) -> str:
        """The folder's full path."""
        return f"files:{self._folder.resolve()}"

    def read(self, record_ids: Sequence[str], fields: Sequence[str]) -> Mapping[str, Mapping[str, str | None]]:
        """Current values by record id. Any partner may be written, so one that was not yet holds empty values."""
        held = self._writeback.records()
        return {one: {name: held.get(one, {}).get(name) for name in fields} for one in record_ids}

    def write_one(self, write: Write) -> Written:
        """Write one record only if it still holds `write.expected`."""
        return self._writeback.write([write])[0]

    def create_job(self) -> str:
        """Open a job; changes no record."""
        return self._writeback.create_job()

    def upload_job(self, job_id: str, writes: Sequence[Write]) -> None:
        """Keep the writes of a job; changes no record."""
        self._writeback.upload_job(job_id, writes)

    def start_job(self, job_id: str) -> None:
        """Write the records of a job, all in one replacement of the file."""
        self._writeback.start_job(job_id)

    def job_state(self, job_id: str) -> JobState:
        """Whether a job is open, done or unknown."""
        return self._writeback.job_state(job_id)

    def job_results(self, job_id: str) -> Iterator[Written]:
        """Outcome per record of a finished job."""
        return self._writeback.job_results(job_id)


class RecordsOfFile(FilesConnector):
    """The records of one kind beside the partners, by their key. One that is not there yet is absent."""

    def __init__(self, folder: Path, name: str) -> None:
        super().__init__(folder)
        self._writeback = Writeback(folder, name)

    def read(self, record_ids: Sequence[str], fields: Sequence[str]) -> Mapping[str, Mapping[str, str | None]]:
        """Current values by key."""
        held = self._writeback.records()
        return {one: {name: held[one].get(name) for name in fields} for one in record_ids if one in held}


def _held_beside(writeback: Writeback) -> pa.Table:
    """What the file of standings holds, with the columns that a draft asks for; one that no record has yet is empty."""
    held = writeback.records()
    fields = [name for name in dict.fromkeys((*STANDING, *writeback.fields())) if name != PARTNER]
    columns: dict[str, list[str | None]] = {
        RECORD_ID: list(held), KEY: list(held), "account": [one.get(PARTNER) for one in held.values()],
        **{name: [one.get(name) for one in held.values()] for name in fields},
    }  # fmt: skip
    return pa.table(columns, pa.schema(dict.fromkeys(columns, pa.string())))


def _add_texts(staging: Staging, name: str, rows: pa.Table) -> None:
    columns = dict.fromkeys(rows.column_names, ColumnType.TEXT)
    path = staging.path(name)
    staging.add(TableFile(name, path, write_table(path, rows, columns), columns))
