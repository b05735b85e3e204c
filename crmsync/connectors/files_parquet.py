"""One Parquet file becomes one typed table of a snapshot; a file that already fits is copied as it is."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from types import MappingProxyType
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pyarrow.types as pt

from crmsync.connectors.base import Progress
from crmsync.connectors.files_cells import (
    Flags,
    Spelling,
    Typed,
    cents_where_currency,
    flags,
    rounded,
    typed_column,
    why_unreadable,
)
from crmsync.connectors.files_columns import Column, Layout, layout
from crmsync.connectors.files_csv import Order, TableRead
from crmsync.connectors.files_intake import Intake
from crmsync.connectors.files_origin import RowOrigin
from crmsync.connectors.files_quotes import Positions
from crmsync.connectors.files_split import RecordFault
from crmsync.errors import ConfigError, StoreError
from crmsync.snapshots import write_table
from crmsync.tables import ARROW_TYPES, ColumnType

BATCH_ROWS = 65_536
_COPIED = frozenset({"partners", "opportunities", "certifications"})
"""Tables whose keys are checked again after staging, so that a fitting file need not be looked through here."""


@dataclass(frozen=True)
class _Rows:
    """A batch of a Parquet file; `first`: the number of its first row, counted from 1."""

    table: pa.Table
    first: int
    faults: tuple[RecordFault, ...] = ()

    @property
    def records(self) -> int:
        """How many rows the batch has."""
        return int(self.table.num_rows)

    def records_of(self, rows: Positions) -> Positions:
        """Every row is a record."""
        return rows

    def lines_of_records(self, records: Positions) -> Positions:
        """The number of each row."""
        return records + self.first


def read_parquet_table(order: Order, target: Path, progress: Progress) -> TableRead:
    """Write the rows of a Parquet file to `target`; rejected rows are named by their number, counted from 1.

    Errors: ConfigError when the file cannot be read or a column has a type that cannot be used.
    """
    with _opened(order.path) as file:
        return _read(order, file, target, progress)


def parquet_headings(order: Order) -> tuple[str, ...]:
    """The column names of a Parquet file. Errors: as read_parquet_table."""
    with _opened(order.path) as file:
        return tuple(file.schema_arrow.names)


@contextmanager
def _opened(path: Path) -> Iterator[pq.ParquetFile]:
    try:
        with pq.ParquetFile(path, pre_buffer=False) as file:
            yield file
    except (OSError, pa.ArrowException) as error:
        raise ConfigError(f"is not a Parquet file that can be read: {error}", file=str(path)) from error


def _read(order: Order, file: pq.ParquetFile, target: Path, progress: Progress) -> TableRead:
    schema = file.schema_arrow
    plan = layout(order.table, schema.names, order.mapping, order.money, str(order.path), 1)
    kinds = {one.name: one.kind or _kind(schema.field(one.place).type, one, order.path) for one in plan.columns}
    if order.table in _COPIED and _fits(file, plan, kinds):
        _copy(order.path, target)
        return TableRead(file.metadata.num_rows, kinds, RowOrigin(order.path.name, np.empty(0, np.int64)))
    typing = _ArrowTyping(order.path, kinds, Spelling(zone=ZoneInfo(order.time_zone)))
    intake = Intake(order.path, plan, kinds, typing)
    rows = write_table(target, _batches(order, file, intake, progress), kinds)
    rejected = tuple(sorted(intake.rejected, key=lambda one: one.line or 0))
    origin = RowOrigin(order.path.name, intake.records_left_out())
    return TableRead(rows, kinds, origin, rejected, intake.direct, tuple(intake.notes), intake.rejected_partners)


def _batches(order: Order, file: pq.ParquetFile, intake: Intake, progress: Progress) -> Iterator[pa.RecordBatch]:
    done, total = 0, file.metadata.num_rows
    for batch in file.iter_batches(BATCH_ROWS):
        yield intake.good_rows(_Rows(pa.Table.from_batches([batch]), done + 1))
        done += batch.num_rows
        progress(order.path.name, done, total)


def _copy(source: Path, target: Path) -> None:
    # A copy, not a link: a source that is rewritten in place must not change a sealed snapshot.
    try:
        shutil.copyfile(source, target)
    except OSError as error:
        raise StoreError(f"{target}: cannot be written: {error.strerror or error}") from error


def _fits(file: pq.ParquetFile, plan: Layout, kinds: Mapping[str, ColumnType]) -> bool:
    """Whether the file holds exactly what would be written: types, names, no empty texts, no numbers that are none."""
    for column in plan.columns:
        kind = kinds[column.name]
        if column.name != column.heading or file.schema_arrow.field(column.place).type != ARROW_TYPES[kind]:
            return False
        if kind is ColumnType.TEXT and not _without_empty_text(file, column):
            return False
        if kind is ColumnType.NUMBER and not _all_finite(file, column):
            return False
    return not plan.nameless


def _without_empty_text(file: pq.ParquetFile, column: Column) -> bool:
    """Empty text would be the smallest text of its row group."""
    for group in range(file.metadata.num_row_groups):
        path = next(
            one
            for place in range(file.metadata.num_columns)
            if (one := file.metadata.row_group(group).column(place)).path_in_schema == column.heading
        )
        known = path.statistics
        if known is None or (not known.has_min_max and known.null_count != path.num_values) or known.min == "":
            return False
    return True


def _all_finite(file: pq.ParquetFile, column: Column) -> bool:
    batches = file.iter_batches(columns=[column.heading])
    return all(pc.all(pc.is_finite(batch.column(0))).as_py() is not False for batch in batches)


# --- types


def _kind(arrow: pa.DataType, column: Column, path: Path) -> ColumnType:
    """What a further column holds, by its type in the file."""
    if pt.is_dictionary(arrow):
        arrow = arrow.value_type
    for fits, kind in _KINDS:
        if fits(arrow):
            return kind
    raise ConfigError(f"column `{column.heading}` is of type {arrow}, which no table column holds", file=str(path))


def _is_text(arrow: pa.DataType) -> bool:
    return bool(pt.is_string(arrow) or pt.is_large_string(arrow) or pt.is_string_view(arrow) or pt.is_null(arrow))


def _is_list_of_text(arrow: pa.DataType) -> bool:
    return bool((pt.is_list(arrow) or pt.is_large_list(arrow)) and _is_text(arrow.value_type))


def _is_day(arrow: pa.DataType) -> bool:
    return bool(pt.is_date(arrow) or pt.is_timestamp(arrow))


def _is_number(arrow: pa.DataType) -> bool:
    return bool(pt.is_integer(arrow) or pt.is_floating(arrow) or pt.is_decimal(arrow))


_KINDS: tuple[tuple[Callable[[pa.DataType], bool], ColumnType], ...] = (
    (_is_text, ColumnType.TEXT),
    (pt.is_boolean, ColumnType.YES_NO),
    (_is_day, ColumnType.DATE),
    (_is_number, ColumnType.NUMBER),
    (_is_list_of_text, ColumnType.LIST),
)


class _ArrowTyping:
    """Types for the columns of a Parquet file: cast where that is exact, else read from their text."""

    def __init__(self, path: Path, kinds: Mapping[str, ColumnType], spelling: Spelling) -> None:
        self._path = path
        self._kinds = kinds
        self._spelling = spelling

    def typed(self, column: Column, cells: Mapping[str, pa.Array]) -> Typed:
        """The typed cells of one column. Errors: ConfigError when no value of its type can be used."""
        kind = self._kinds[column.name]
        values = self._typed(cells[column.name], kind, column.heading)
        if kind is ColumnType.MEASURE and "currency" in cells:
            money = self._typed(cells[column.name], ColumnType.MONEY, column.heading)
            currency = self._typed(cells["currency"], ColumnType.TEXT, "currency")
            return cents_where_currency(values, money, currency.values)
        return values

    def why(self, cell: str, kind: ColumnType) -> str:
        """Why a value is not of its type."""
        return why_unreadable(cell, kind, self._spelling)

    def _typed(self, cells: pa.Array, kind: ColumnType, heading: str) -> Typed:
        if pt.is_dictionary(cells.type):
            cells = cells.dictionary_decode()
        if _is_text(cells.type):
            texts = cells.cast(pa.string())
            return typed_column(pc.if_else(pc.equal(texts, ""), None, texts), kind, self._spelling)
        convert = _CONVERSIONS[kind]
        found = convert(cells, self._spelling)
        if found is None:
            raise ConfigError(
                f"column `{heading}` is of type {cells.type}, but it must hold {_WANTED[kind]}", file=str(self._path)
            )
        return found


def _as_text(cells: pa.Array, spelling: Spelling) -> Typed | None:  # noqa: ARG001
    if pt.is_integer(cells.type):
        return Typed(cells.cast(pa.string()))
    if not (pt.is_floating(cells.type) or pt.is_decimal(cells.type)):
        return None
    # Ids that passed through a spreadsheet or data frame with gaps are whole numbers such as 12.0.
    if pt.is_floating(cells.type):
        cells = pc.if_else(pc.less(pc.abs(cells), 2.0**53), cells, float("nan"))
        texts = pc.if_else(pc.equal(cells, pc.floor(cells)), cells, None).cast(pa.int64(), safe=False).cast(pa.string())
    else:
        texts = pc.replace_substring_regex(cells.cast(pa.string()), r"\.0*$", "")
        texts = pc.if_else(pc.match_substring_regex(texts, "^-?[0-9]+$"), texts, None)
    return _flagged(texts, pc.and_(cells.is_valid(), texts.is_null()))


def _as_days(cells: pa.Array, spelling: Spelling) -> Typed | None:
    if not _is_day(cells.type):
        return None
    if pt.is_timestamp(cells.type) and cells.type.tz is not None:
        cells = pc.local_timestamp(cells.cast(pa.timestamp(cells.type.unit, str(spelling.zone))))
    return Typed(cells.cast(pa.date32(), safe=False))


def _as_number(cells: pa.Array, spelling: Spelling) -> Typed | None:  # noqa: ARG001
    if not _is_number(cells.type):
        return None
    numbers = cells.cast(pa.float64(), safe=False)
    finite = pc.is_finite(numbers)
    return _flagged(pc.if_else(finite, numbers, None), pc.invert(finite).fill_null(False))


def _as_decimal(kind: ColumnType) -> Callable[[pa.Array, Spelling], Typed | None]:
    digits, target = (2, ARROW_TYPES[kind]) if kind is ColumnType.MONEY else (9, ARROW_TYPES[kind])

    def convert(cells: pa.Array, spelling: Spelling) -> Typed | None:
        if not _is_number(cells.type):
            return None
        if not pt.is_floating(cells.type):
            try:
                return Typed(
                    rounded(cells.cast(pa.decimal128(38, 0)) if pt.is_integer(cells.type) else cells, digits, target)
                )
            except pa.ArrowInvalid:
                pass  # some value is too large: the texts tell which
        return typed_column(_plain_texts(cells), kind, spelling)

    return convert


def _plain_texts(cells: pa.Array) -> pa.Array:
    """Numbers as the shortest text that gives the same number again, without exponent."""
    texts = cells.cast(pa.string())
    shortened = pc.match_substring(texts, "e", ignore_case=True)
    if not pc.any(shortened).as_py():
        return texts
    long = [None if one is None else format(Decimal(one), "f") for one in texts.to_pylist()]
    return pa.array(long, pa.string())


def _as_yes_no(cells: pa.Array, spelling: Spelling) -> Typed | None:
    if pt.is_boolean(cells.type):
        return Typed(cells)
    return typed_column(cells.cast(pa.string()), ColumnType.YES_NO, spelling) if _is_number(cells.type) else None


def _as_list(cells: pa.Array, spelling: Spelling) -> Typed | None:  # noqa: ARG001
    return Typed(cells.cast(ARROW_TYPES[ColumnType.LIST])) if _is_list_of_text(cells.type) else None


def _flagged(values: pa.Array, bad: pa.Array) -> Typed:
    found: Flags = flags(bad)
    return Typed(values, found if found.any() else None)


_CONVERSIONS: Mapping[ColumnType, Callable[[pa.Array, Spelling], Typed | None]] = MappingProxyType(
    {
        ColumnType.TEXT: _as_text,
        ColumnType.DATE: _as_days,
        ColumnType.NUMBER: _as_number,
        ColumnType.MONEY: _as_decimal(ColumnType.MONEY),
        ColumnType.MEASURE: _as_decimal(ColumnType.MEASURE),
        ColumnType.YES_NO: _as_yes_no,
        ColumnType.LIST: _as_list,
    }
)
_WANTED = MappingProxyType(
    {
        ColumnType.TEXT: "text or whole numbers",
        ColumnType.DATE: "dates or date-times",
        ColumnType.NUMBER: "numbers",
        ColumnType.MONEY: "numbers",
        ColumnType.MEASURE: "numbers",
        ColumnType.YES_NO: "true or false",
        ColumnType.LIST: "lists of text",
    }
)
