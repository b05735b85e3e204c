"""A block of CSV records becomes columns of text; records that cannot be split into their cells are left out."""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.csv

from crmsync.connectors.files_headings import Shape
from crmsync.connectors.files_quotes import Positions
from crmsync.connectors.files_records import Block, refuse_encoding
from crmsync.errors import DataError

_SHOWN = 200
_LOOKED_AT = 10_000


@dataclass(frozen=True)
class RecordFault:
    """A record that was left out as a whole: its place in the block, its text and why.

    `cells`: its text cut at the delimiters, as far as that can be trusted: the first cells rather than the last.
    """

    record: int
    value: str
    reason: str
    cells: tuple[str, ...] = ()


@dataclass(frozen=True)
class Cells:
    """The text cells of a block, one column per heading. `kept`: the record of each row; None: every record."""

    table: pa.Table
    block: Block
    records: int
    kept: Positions | None
    faults: tuple[RecordFault, ...]

    def records_of(self, rows: Positions) -> Positions:
        """The places in the block of some rows."""
        return rows if self.kept is None else self.kept[rows]

    def lines_of_records(self, records: Positions) -> Positions:
        """The line on which each of some records starts."""
        return self.block.index.lines[records]


def split(block: Block, shape: Shape) -> Cells:
    """The cells of a block. Errors: ConfigError when it is not UTF-8."""
    refuse_encoding(block, shape.path)
    if not block.damage:
        table, uneven = _parse(block.data, block, shape)
        if not uneven and table.num_rows == _record_count(block, table.num_rows):
            return Cells(table, block, table.num_rows, None, ())
    return _split_with_faults(block, shape)


def _split_with_faults(block: Block, shape: Shape) -> Cells:
    index = block.index
    good = np.ones(len(index.starts), np.bool_)
    faults = [_fault(block, shape, int(np.searchsorted(index.starts, one.start)), one.reason) for one in block.damage]
    good[[one.record for one in faults]] = False
    counts = _cell_counts(block, ord(shape.delimiter))
    for record in np.flatnonzero(good & (counts != len(shape.headings))):
        good[record] = False
        faults.append(_fault(block, shape, int(record), _count_reason(int(counts[record]), len(shape.headings))))
    kept = np.flatnonzero(good)
    table, uneven = _parse(_pieces(block, kept), block, shape)
    if uneven or table.num_rows != len(kept):
        raise DataError(
            f"{shape.path}:{block.first_line}: {len(kept)} records begin in this stretch, but {table.num_rows} could "
            "be read; the file is not used"
        )
    faults.sort(key=lambda one: one.record)
    return Cells(table, block, len(good), kept, tuple(faults))


def _record_count(block: Block, read: int) -> int:
    """How many records the block has; blank lines and quotes need a closer look than counting line ends."""
    ends = block.data.count(b"\n") + (not block.data.endswith(b"\n"))
    return read if not len(block.quotes) and ends == read else len(block.index.starts)


def _fault(block: Block, shape: Shape, record: int, reason: str) -> RecordFault:
    text = block.text(record)
    cells = next(csv.reader(io.StringIO(text[:_LOOKED_AT], newline=""), delimiter=shape.delimiter), [])
    return RecordFault(record, text[:_SHOWN], reason, tuple(cells))


def _count_reason(found: int, named: int) -> str:
    much = "too many" if found > named else "too few"
    hint = "; a cell with the delimiter in it needs quotes" if found > named else ""
    return f"{much} cells: {found} here, but the first line names {named} columns{hint}"


def _cell_counts(block: Block, delimiter: int) -> Positions:
    raw = np.frombuffer(block.data, np.uint8)
    marks = np.flatnonzero(raw == delimiter)
    marks = marks[~block.quoted(marks)]
    index = block.index
    return np.searchsorted(marks, index.ends) - np.searchsorted(marks, index.starts) + 1


def _pieces(block: Block, records: Positions) -> bytes:
    if not len(records):
        return b""
    index = block.index
    jumps = np.flatnonzero(np.diff(records) != 1)
    first = records[np.concatenate(([0], jumps + 1))]
    last = records[np.concatenate((jumps, [len(records) - 1]))]
    return b"".join(block.data[start:end] for start, end in zip(index.starts[first], index.ends[last], strict=True))


def _parse(data: bytes, block: Block, shape: Shape) -> tuple[pa.Table, bool]:
    names = [str(place) for place in range(len(shape.headings))]
    uneven: list[object] = []

    def skip(row: object) -> str:
        uneven.append(row)
        return "skip"

    if not data.strip(b"\r\n"):
        return pa.table({name: pa.nulls(0, pa.string()) for name in names}), False
    try:
        table = pa.csv.read_csv(
            pa.BufferReader(data),
            read_options=pa.csv.ReadOptions(column_names=names, block_size=max(len(data) + 1, 1024)),
            parse_options=pa.csv.ParseOptions(
                delimiter=shape.delimiter,
                newlines_in_values=True,
                invalid_row_handler=skip,
            ),
            convert_options=pa.csv.ConvertOptions(
                column_types=dict.fromkeys(names, pa.string()),
                null_values=[""],
                strings_can_be_null=True,
                quoted_strings_can_be_null=True,
                check_utf8=False,
            ),
        )
    except pa.ArrowInvalid as error:
        raise DataError(f"{shape.path}:{block.first_line}: cannot be split into cells: {error}") from error
    return table, bool(uneven)
