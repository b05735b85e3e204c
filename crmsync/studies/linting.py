"""Lint of program files, alone or beside a folder of tables."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path

import pyarrow.parquet as pq

from crmsync.connectors.base import Progress, no_progress
from crmsync.connectors.files import tables_of
from crmsync.errors import ConfigError
from crmsync.programs.lint import Delivered, Finding, lint
from crmsync.programs.lint_tables import MOST_VALUES
from crmsync.programs.loading import load_programs, money_columns
from crmsync.snapshots import Snapshot, TableFile
from crmsync.tables import ColumnType

_WORDS = frozenset({ColumnType.TEXT, ColumnType.LIST})


def lint_programs(path: Path, tables: Path | None = None, progress: Progress = no_progress) -> list[Finding]:
    """The findings of a program file, or of all programs of a folder. Errors: ConfigError for what does not load."""
    programs = [one for one in load_programs(path) if path.is_dir() or one.file == path]
    delivered = _delivered(path, tables, progress) if tables is not None else None
    return [finding for program in programs for finding in lint(program, delivered)]


def _delivered(path: Path, folder: Path, progress: Progress) -> Delivered:
    if not folder.is_dir():
        raise ConfigError("this folder does not exist; --tables names a folder with partners.csv", file=str(folder))
    with tempfile.TemporaryDirectory(prefix="crmsync-") as scratch:
        snapshot, _ = tables_of(folder, Path(scratch), money_columns(path), progress=progress)
        return Delivered({name: dict(table.columns) for name, table in snapshot.tables.items()}, _texts(snapshot))


def _texts(snapshot: Snapshot) -> Mapping[tuple[str, str], frozenset[str]]:
    """The different texts of every column that has few of them."""
    found: dict[tuple[str, str], frozenset[str]] = {}
    for name, table in snapshot.tables.items():
        for column, kind in table.columns.items():
            if kind in _WORDS and (texts := _different(table, column, kind)) is not None:
                found[name, column] = texts
    return found


def _different(table: TableFile, column: str, kind: ColumnType) -> frozenset[str] | None:
    """The texts of a column, batch by batch; None where there are too many."""
    found: set[str] = set()
    with pq.ParquetFile(table.path) as file:
        for batch in file.iter_batches(columns=[column]):
            values = batch.column(0).flatten() if kind is ColumnType.LIST else batch.column(0)
            found.update(text for text in values.unique().to_pylist() if text is not None)
            if len(found) > MOST_VALUES:
                return None
    return frozenset(found)
