"""One CSV file becomes one typed table of a snapshot: streamed, bad rows left out with file, line and reason."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from zoneinfo import ZoneInfo

import pyarrow as pa

from crmsync.connectors.base import Progress
from crmsync.connectors.files_cells import (
    Decimals,
    Spelling,
    Typed,
    cents_where_currency,
    typed_column,
    why_unreadable,
)
from crmsync.connectors.files_columns import Column, Findings, Layout, Traits, findings, layout
from crmsync.connectors.files_headings import Shape, read_shape
from crmsync.connectors.files_intake import Intake
from crmsync.connectors.files_mapping import TableMapping
from crmsync.connectors.files_origin import CsvOrigin
from crmsync.connectors.files_records import read_blocks
from crmsync.connectors.files_split import split
from crmsync.errors import Rejected
from crmsync.snapshots import Origin, RejectedPartner, write_table
from crmsync.tables import ColumnType


@dataclass(frozen=True)
class TableRead:
    """What became of one file: rows that went on, rows left out, and where each row that went on came from."""

    rows: int
    columns: Mapping[str, ColumnType]
    origin: Origin
    rejected: tuple[Rejected, ...] = ()
    direct: int = 0
    notes: tuple[str, ...] = ()
    rejected_partners: Mapping[str, RejectedPartner] = field(default_factory=dict)


@dataclass(frozen=True)
class Order:
    """What to read: which file as which table, and how."""

    table: str
    path: Path
    mapping: TableMapping
    money: frozenset[tuple[str, str]]
    time_zone: str = "UTC"


class Contradicted(Exception):  # noqa: N818
    """A later cell does not fit the type that the first block suggested; it does not leave this module."""


class _TextTyping:
    """Types for text cells. Where the type was only seen from the first block, each later block is looked at too."""

    def __init__(self, plan: Layout, seen: Findings, spelling: Spelling) -> None:
        self._seen = seen
        self._spelling = spelling
        self._traits = {one.name: Traits(None) for one in plan.columns if one.kind is None}

    def typed(self, column: Column, cells: Mapping[str, pa.Array]) -> Typed:
        """The typed cells of one column."""
        kind = self._seen.kinds[column.name]
        if column.kind is None:
            self._check(column.name, cells[column.name], kind)
        typed = typed_column(cells[column.name], kind, self._spelling)
        if kind is ColumnType.MEASURE and "currency" in cells:
            money = typed_column(cells[column.name], ColumnType.MONEY, self._spelling)
            return cents_where_currency(typed, money, cells["currency"])
        return typed

    def why(self, cell: str, kind: ColumnType) -> str:
        """Why a cell is not of its type."""
        return why_unreadable(cell, kind, self._spelling)

    def _check(self, name: str, cells: pa.Array, kind: ColumnType) -> None:
        traits = self._traits[name]
        if kind is ColumnType.TEXT and (traits.filled or name not in self._seen.unfilled):
            return
        traits.look(cells)
        if traits.filled and traits.kind(self._spelling.decimals) is not kind:
            raise Contradicted


def csv_headings(order: Order) -> tuple[str, ...]:
    """The headings of a CSV file. Errors: as read_csv_table."""
    return read_shape(order.path, order.mapping.delimiter).headings


def read_csv_table(order: Order, target: Path, progress: Progress) -> TableRead:
    """Write the rows of a CSV file to a Parquet file at `target`.

    Errors: ConfigError naming file and line when the file as a whole cannot be used; StoreError when `target` cannot.
    """
    shape = read_shape(order.path, order.mapping.delimiter)
    plan = layout(order.table, shape.headings, order.mapping, order.money, str(order.path), shape.heading_line)
    decimals = order.mapping.decimals or (Decimals.POINT if shape.delimiter == "," else None)
    seen = _first_look(shape, plan, decimals) if decimals else _survey(shape, plan, decimals)
    try:
        return _read(order, shape, plan, seen, target, progress)
    except Contradicted:
        return _read(order, shape, plan, _survey(shape, plan, decimals), target, progress)


def _first_look(shape: Shape, plan: Layout, decimals: Decimals) -> Findings:
    """What the first block shows; a later one may contradict it."""
    return _look(shape, plan, decimals, only_first=True)


def _survey(shape: Shape, plan: Layout, decimals: Decimals | None) -> Findings:
    """What all the cells of the file show."""
    found = _look(shape, plan, decimals, only_first=False)
    return Findings(found.kinds, found.decimals)


def _look(shape: Shape, plan: Layout, decimals: Decimals | None, *, only_first: bool) -> Findings:
    traits = {column.name: Traits(column.kind) for column in plan.columns}
    for block in read_blocks(shape):
        cells = split(block, shape).table
        for column in plan.columns:
            if column.kind is None or decimals is None:
                traits[column.name].look(_whole(cells, column.place))
        if only_first:
            break
    return findings(plan, traits, decimals)


def _whole(cells: pa.Table, place: int) -> pa.Array:
    return cells.column(place).combine_chunks()


def _read(order: Order, shape: Shape, plan: Layout, seen: Findings, target: Path, progress: Progress) -> TableRead:
    spelling = Spelling(
        seen.decimals, order.mapping.date_format, ZoneInfo(order.time_zone), order.mapping.list_separator
    )
    intake = Intake(order.path, plan, seen.kinds, _TextTyping(plan, seen, spelling))
    rows = write_table(target, _batches(shape, intake, progress), seen.kinds)
    return TableRead(
        rows,
        seen.kinds,
        CsvOrigin(order.path.name, shape, intake.records_left_out()),
        tuple(sorted(intake.rejected, key=lambda one: one.line or 0)),
        intake.direct,
        tuple(intake.notes),
        intake.rejected_partners,
    )


def _batches(shape: Shape, intake: Intake, progress: Progress) -> Iterator[pa.RecordBatch]:
    size, name = shape.path.stat().st_size, shape.path.name
    for block in read_blocks(shape):
        yield intake.good_rows(split(block, shape))
        if block.last and not block.data.endswith((b"\n", b"\r")):
            intake.notes.append(
                f"{name}: the last line has no line end; if the file was cut off, its last cell may be incomplete"
            )
        progress(name, block.offset + len(block.data), size)
