"""Text cells of an answer (CSV or JSON) typed into Arrow, a block of rows at a time; a bad cell rejects its row.

Whole columns are cast at once. Only a block in which a cast fails is looked at cell by cell, so that the finding names
the record, the column and the value.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import ROUND_HALF_UP, Decimal, InvalidOperation
from typing import Any
from zoneinfo import ZoneInfo

import pyarrow as pa
import pyarrow.compute as pc

from crmsync.errors import Rejected
from crmsync.tables import ARROW_TYPES, ColumnType

REPEATING = frozenset({"picklist", "multipicklist", "boolean", "reference", "date"})
"""Types of fields that hold the same texts again and again."""

WIDE = pa.decimal128(38, 10)
ID = "Id"
_ID_SIGNS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ012345"
_SHORT_ID = re.compile(r"[a-zA-Z0-9]{15}")
_BREAKS = re.compile("\r\n|[\n\r\x0b\x0c\x85\u2028\u2029]")
_PLAIN_NUMBER = re.compile(r"-?\d+(\.\d+)?([eE][+-]?\d+)?")


@dataclass(frozen=True)
class ReadColumn:
    """One column to read: our name, the path in the answer, our type, Salesforce's type."""

    name: str
    path: str
    kind: ColumnType
    source: str
    is_id: bool = False
    hundredths: bool = False  # a percent field that holds 50 for 0.5


@dataclass(frozen=True)
class Block:
    """Typed rows, and the rows that were left out (`left_out`: what of them could be read)."""

    rows: pa.Table
    rejected: tuple[Rejected, ...]
    kept: pa.Array | None  # mask over the delivered rows; None: all
    left_out: pa.Table | None = None


def typed_block(texts: Mapping[str, pa.Array], columns: Sequence[ReadColumn], time_zone: str, sobject: str) -> Block:
    """The typed columns of one block. `texts`: text arrays by path, null where empty; it always holds `Id`.

    A dictionary is typed text by text, not row by row.
    """
    arrays, rejected = {}, []
    kept: pa.Array | None = None
    for column in columns:
        array, bad = _typed_rows(texts[column.path], column, time_zone)
        arrays[column.name] = array
        if bad is not None:
            rejected += _rejected(texts, column, bad, sobject)
            kept = pc.invert(bad) if kept is None else pc.and_(kept, pc.invert(bad))
    rows = pa.table(arrays)
    if kept is None:
        return Block(rows, (), None)
    return Block(rows.filter(kept), tuple(rejected), kept, rows.filter(pc.invert(kept)))


def _rejected(texts: Mapping[str, pa.Array], column: ReadColumn, bad: pa.Array, sobject: str) -> list[Rejected]:
    ids, cells = texts[ID].filter(bad).to_pylist(), texts[column.path].filter(bad).to_pylist()
    reason = _REASONS.get(column.kind, "cannot be read")
    return [
        Rejected(f"{sobject} {record_id or 'without Id'}", None, column.name, str(cell)[:200], reason)
        for record_id, cell in zip(ids, cells, strict=True)
    ]


_REASONS: Mapping[ColumnType, str] = {
    ColumnType.DATE: "not a date (2026-01-31) or date-time",
    ColumnType.NUMBER: "not a number",
    ColumnType.MONEY: "not an amount that fits 17 digits before the point",
    ColumnType.MEASURE: "not a number that fits 19 digits before the point",
    ColumnType.YES_NO: "not true or false",
}


def _typed_rows(text: pa.Array, column: ReadColumn, time_zone: str) -> tuple[pa.Array, pa.Array | None]:
    if not pa.types.is_dictionary(text.type):
        return _typed(text, column, time_zone)
    values, bad = _typed(text.dictionary, column, time_zone)
    mask = None if bad is None else pc.fill_null(bad.take(text.indices), fill_value=False)
    return values.take(text.indices), mask if mask is not None and pc.any(mask).as_py() else None


def _typed(text: pa.Array, column: ReadColumn, time_zone: str) -> tuple[pa.Array, pa.Array | None]:
    if column.kind is ColumnType.TEXT:
        return _text(text, column), None
    if column.kind is ColumnType.LIST:
        return pc.split_pattern(pc.replace_substring_regex(text, r"\s*;\s*", ";"), ";"), None
    cast, cell = _casts(column, time_zone)
    try:
        return cast(text), None
    except pa.ArrowInvalid:
        return _cell_by_cell(text, cell, ARROW_TYPES[column.kind])


Cell = Callable[[str], Any]


def _casts(column: ReadColumn, time_zone: str) -> tuple[Callable[[pa.Array], pa.Array], Cell]:
    """How a whole column is cast, and how one cell is read where that fails."""
    if column.kind is ColumnType.DATE and column.source == "datetime":
        return lambda text: _local_date(text, time_zone), lambda cell: _local_date_of(cell, time_zone)
    if column.kind is ColumnType.DATE:
        return lambda text: pc.cast(text, pa.date32()), date.fromisoformat
    if column.kind is ColumnType.NUMBER:
        return lambda text: _number(text, column.hundredths), lambda cell: _number_of(cell, column.hundredths)
    if column.kind is ColumnType.YES_NO:
        return _yes_no, _yes_no_of
    target = ARROW_TYPES[column.kind]
    return lambda text: _decimal(text, target), lambda cell: _decimal_of(cell, target)


def _cell_by_cell(text: pa.Array, read: Cell, target: pa.DataType) -> tuple[pa.Array, pa.Array]:
    values, bad = [], []
    for cell in text.to_pylist():
        try:
            values.append(None if cell is None else read(cell))
            bad.append(False)
        except (ValueError, ArithmeticError):
            values.append(None)
            bad.append(True)
    mask = pa.array(bad, pa.bool_())
    return pa.array(values, target), (mask if any(bad) else None)


def _text(text: pa.Array, column: ReadColumn) -> pa.Array:
    if column.is_id:
        return long_ids(text)
    if column.source in ("double", "currency", "percent", "int", "long"):
        return distinct(text, canonical_number)
    return text


def _decimal(text: pa.Array, target: pa.DataType) -> pa.Array:
    wide = pc.cast(text, WIDE)
    return pc.cast(pc.round(wide, target.scale, round_mode="half_towards_infinity"), target)


def _decimal_of(cell: str, target: pa.DataType) -> Decimal:
    if not _PLAIN_NUMBER.fullmatch(cell):
        raise ValueError(cell)
    value = Decimal(cell).quantize(Decimal(1).scaleb(-target.scale), ROUND_HALF_UP)
    if value.adjusted() >= target.precision - target.scale:
        raise InvalidOperation(cell)
    return value


def _number(text: pa.Array, hundredths: bool) -> pa.Array:
    numbers = pc.cast(_of_hundred(text) if hundredths else text, pa.float64())
    if not pc.all(pc.is_finite(numbers)).as_py() and numbers.null_count < len(numbers):
        raise pa.ArrowInvalid("not finite")
    return numbers


def _of_hundred(text: pa.Array) -> pa.Array:
    """Percent as a fraction, moved by the point: dividing a float would leave 0.33299999999999996 of 33.3."""
    try:
        return distinct(text, lambda cell: str(Decimal(cell).scaleb(-2)))
    except InvalidOperation as error:
        raise pa.ArrowInvalid("not a number") from error


def _number_of(cell: str, hundredths: bool) -> float:
    if not _PLAIN_NUMBER.fullmatch(cell):
        raise ValueError(cell)
    return float(Decimal(cell).scaleb(-2)) if hundredths else float(cell)


def _yes_no(text: pa.Array) -> pa.Array:
    return pc.cast(text, pa.bool_())


def _yes_no_of(cell: str) -> bool:
    known = {"true": True, "false": False}
    if cell.lower() not in known:
        raise ValueError(cell)
    return known[cell.lower()]


def _local_date(text: pa.Array, time_zone: str) -> pa.Array:
    moments = pc.cast(pc.cast(text, pa.timestamp("ms", "UTC")), pa.timestamp("ms", time_zone))
    return pc.cast(pc.local_timestamp(moments), pa.timestamp("ms")).cast(pa.date32(), safe=False)


def _local_date_of(cell: str, time_zone: str) -> date:
    moment = datetime.fromisoformat(cell)
    if moment.tzinfo is None:
        raise ValueError(cell)
    return moment.astimezone(ZoneInfo(time_zone)).date()


# --- ids and canonical texts


def long_id(short: str) -> str:
    """The 18-character form of a record id; anything that is not a 15-character id stays as it is."""
    if len(short) != 15 or not _SHORT_ID.fullmatch(short):
        return short
    signs = ""
    for start in (0, 5, 10):
        bits = sum(1 << place for place, sign in enumerate(short[start : start + 5]) if "A" <= sign <= "Z")
        signs += _ID_SIGNS[bits]
    return short + signs


def long_ids(text: pa.Array) -> pa.Array:
    """Record ids in their 18-character form; other texts stay as they are."""
    if not pc.any(pc.equal(pc.binary_length(text), 15)).as_py():
        return text
    return distinct(text, long_id)


def distinct(text: pa.Array, convert: Callable[[str], str | None]) -> pa.Array:
    """`convert` applied once to each distinct text."""
    encoded = text.dictionary_encode()
    converted = pa.array([convert(one) for one in encoded.dictionary.to_pylist()], pa.string())
    return converted.take(encoded.indices)


def canonical_number(text: str) -> str:
    """A plain decimal without exponent and trailing zeros; anything else as it is."""
    if not _PLAIN_NUMBER.fullmatch(text):
        return text
    plain = format(Decimal(text), "f")
    if "." in plain:
        plain = plain.rstrip("0").rstrip(".")
    return "0" if plain in ("-0", "") else plain


def one_line(text: str) -> str:
    """A text without line breaks, as a bulk cell must be; each break is one blank."""
    if text.isprintable():  # no line break is, and this costs a fraction of looking for each
        return text.strip()
    return _BREAKS.sub(" ", text).strip()


def canonical(text: str | None, source: str) -> str | None:
    """How write-back compares values: plain decimals, true/false, sorted `A;B`, one-line texts; empty is None."""
    if text is None or text == "":
        return None
    if source in ("double", "currency", "percent", "int", "long"):
        return canonical_number(text)
    if source == "boolean":
        return text.lower()
    if source == "multipicklist":
        return ";".join(sorted(part.strip() for part in text.split(";") if part.strip())) or None
    return one_line(text) or None
