"""Cells as text become typed columns: dates, numbers, money, yes/no and lists, and the reason why a cell cannot.

Whole columns are converted at once. Only cells that are not in the usual form are looked at one by one, each distinct
text once. A cell is never guessed: what can be read in two ways is refused with the reason.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, tzinfo
from decimal import ROUND_HALF_UP, Context, Decimal
from enum import StrEnum
from functools import lru_cache
from math import isfinite
from types import MappingProxyType

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from crmsync.tables import ARROW_TYPES, ColumnType

Flags = npt.NDArray[np.bool_]

_EXACT = Context(prec=60)
_CENT, _NINE = Decimal("0.01"), Decimal("1e-9")
_MONEY_LIMIT, _MEASURE_LIMIT = Decimal(10) ** 17, Decimal(10) ** 19
_WIDE = pa.decimal128(38, 18)
_LONGEST_NUMBER = 50

_PLAIN = {".": re.compile(r"[+-]?(?:\d+(?:\.\d*)?|\.\d+)", re.A), ",": re.compile(r"[+-]?(?:\d+(?:,\d*)?|,\d+)", re.A)}
_TWO_READINGS = r"[+-]?[1-9][0-9]{0,2}[.,][0-9]{3}"
_GROUPED = re.compile(r"[+-]?\d{1,3}(?:[.,'’\s]\d{3})+(?:[.,]\d*)?")
_EXPONENT = re.compile(r"[+-]?\d+(?:[.,]\d+)?[eE][+-]?\d+")
_FAST = MappingProxyType({"number": (15, 15), "cents": (16, 2), "wide": (16, 18)})  # digits before and after the point
_ISO_TIME = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(?::\d\d(?:\.\d{1,9})?)?(?:Z|[+-]\d\d:?\d\d)?", re.A)
_ISO_DATE = re.compile(r"\d{4}-\d\d-\d\d", re.A)
_YES_NO = MappingProxyType({"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False})
_DATE_PARTS = MappingProxyType({"YYYY": r"(?P<year>\d{4})", "MM": r"(?P<month>\d{1,2})", "DD": r"(?P<day>\d{1,2})"})


class Decimals(StrEnum):
    """How a file writes decimals. `UNCLEAR`: either way, as long as a cell can be read in one way only."""

    POINT = "point"
    COMMA = "comma"
    UNCLEAR = "unclear"


@dataclass(frozen=True)
class Spelling:
    """How the cells of one file are written. `date_format`: like DD.MM.YYYY, accepted besides ISO dates."""

    decimals: Decimals = Decimals.POINT
    date_format: str | None = None
    zone: tzinfo = UTC
    list_separator: str = ";"


@dataclass(frozen=True)
class Typed:
    """A typed column. `bad` marks cells that could not be read (null in `values`); None when all could."""

    values: pa.Array
    bad: Flags | None = None


class Unreadable(ValueError):  # noqa: N818
    """Why one cell cannot be read; it does not leave the files connector."""


def typed_column(cells: pa.Array, kind: ColumnType, spelling: Spelling) -> Typed:
    """The typed values of a text column; an empty cell is null.

    Units: money is rounded half away from zero to cents, measures to 9 decimals; numbers keep all digits.
    """
    if kind is ColumnType.TEXT:
        return Typed(cells)
    if cells.null_count == len(cells):
        return Typed(pa.nulls(len(cells), ARROW_TYPES[kind]))
    if kind is ColumnType.DATE and (days := _iso_days(cells)) is not None:
        return Typed(days)
    if kind in _TIERS:
        return _numeric(cells, kind, spelling)
    return _by_distinct_text(cells, kind, spelling)


def why_unreadable(cell: str, kind: ColumnType, spelling: Spelling) -> str:
    """The reason why a cell is not of a type, and what would be right."""
    try:
        _CELL[kind](cell, spelling)
    except Unreadable as reason:
        return str(reason)
    return f"cannot be read as {kind.value}"


def flags(values: pa.Array) -> Flags:
    """A column of yes/no without empty cells, as NumPy."""
    found: Flags = values.to_numpy(zero_copy_only=False)
    return found


def cents_where_currency(measure: Typed, money: Typed, currency: pa.Array) -> Typed:
    """A measure in a row with a currency is money: rounded to cents straight from what was delivered."""
    is_money = currency.is_valid()
    values = pc.if_else(is_money, money.values.cast(_MEASURE), measure.values)
    if measure.bad is None and money.bad is None:
        return Typed(values)
    none = np.zeros(len(values), np.bool_)
    as_money, as_number = (none if one.bad is None else one.bad for one in (money, measure))
    return Typed(values, np.where(flags(is_money), as_money, as_number))


def rounded(values: pa.Array, digits: int, kind: pa.DataType) -> pa.Array:
    """Decimals rounded half away from zero to `digits` places."""
    return pc.round(values, ndigits=digits, round_mode="half_towards_infinity").cast(kind)


def pattern_of_dates(date_format: str) -> re.Pattern[str] | None:
    """What dates of a format such as DD.MM.YYYY look like; None when the format lacks day, month or year."""
    pattern, rest = "", date_format
    while rest:
        part = next((one for one in _DATE_PARTS if rest.startswith(one)), None)
        pattern += _DATE_PARTS[part] if part else re.escape(rest[0])
        rest = rest[len(part or "x") :]
    if any(date_format.count(part) != 1 for part in _DATE_PARTS) or re.search(
        r"[A-Z]", re.sub("YYYY|MM|DD", "", date_format)
    ):
        return None
    return re.compile(pattern, re.A)


# --- whole columns


def _iso_days(cells: pa.Array) -> pa.Array | None:
    try:
        days = cells.cast(pa.date32())
    except pa.ArrowInvalid:
        return None
    # Day numbers before the year 1 are not dates of Python and of most engines.
    lowest = pc.min(days.cast(pa.int32())).as_py()
    return days if lowest is None or lowest > -date(1970, 1, 1).toordinal() else None


def _numeric(cells: pa.Array, kind: ColumnType, spelling: Spelling) -> Typed:
    """Cells in the usual forms at once, tier by tier; what is left, text by text."""
    typed, rest = pa.nulls(len(cells), ARROW_TYPES[kind]), cells
    for form, convert in _TIERS[kind]:
        usual = _usual(rest, form, spelling)
        if pc.all(usual).as_py():
            return Typed(pc.coalesce(convert(_with_point(rest, spelling)), typed))
        usual = usual.fill_null(False)
        part = _with_point(pc.if_else(usual, rest, None), spelling)
        typed = pc.coalesce(convert(part), typed)
        rest = pc.if_else(usual, None, rest)
    left = _by_distinct_text(rest, kind, spelling)
    return Typed(pc.coalesce(typed, left.values), left.bad)


def _usual(cells: pa.Array, form: str, spelling: Spelling) -> pa.Array:
    before, after = _FAST[form]
    mark = "," if spelling.decimals is Decimals.COMMA else r"\."
    usual = pc.match_substring_regex(cells, rf"^-?[0-9]{{1,{before}}}(?:{mark}[0-9]{{1,{after}}})?$")
    if spelling.decimals is Decimals.UNCLEAR:
        usual = pc.and_not(usual, pc.match_substring_regex(cells, f"^{_TWO_READINGS}$"))
    return usual


def _with_point(cells: pa.Array, spelling: Spelling) -> pa.Array:
    return pc.replace_substring(cells, ",", ".") if spelling.decimals is Decimals.COMMA else cells


_MONEY, _MEASURE = ARROW_TYPES[ColumnType.MONEY], ARROW_TYPES[ColumnType.MEASURE]
_Convert = Callable[[pa.Array], pa.Array]
_TIERS: Mapping[ColumnType, tuple[tuple[str, _Convert], ...]] = MappingProxyType(
    {
        ColumnType.NUMBER: (("number", lambda cells: cells.cast(pa.float64())),),
        ColumnType.MONEY: (
            ("cents", lambda cells: cells.cast(_MONEY)),
            ("wide", lambda cells: rounded(cells.cast(_WIDE), 2, _MONEY)),
        ),
        ColumnType.MEASURE: (("wide", lambda cells: rounded(cells.cast(_WIDE), 9, _MEASURE)),),
    }
)


def _by_distinct_text(cells: pa.Array, kind: ColumnType, spelling: Spelling) -> Typed:
    encoded = cells.dictionary_encode()
    texts = encoded.dictionary.to_pylist()
    read, values, bad = _CELL[kind], [], np.zeros(len(texts) + 1, np.bool_)
    for place, text in enumerate(texts):
        try:
            values.append(read(text, spelling))
        except Unreadable:
            values.append(None)
            bad[place] = True
    typed = pa.array(values, ARROW_TYPES[kind]).take(encoded.indices)
    if not bad.any():
        return Typed(typed)
    return Typed(typed, bad[encoded.indices.fill_null(len(texts)).to_numpy()])


# --- single cells


def _text(cell: str, spelling: Spelling) -> str:  # noqa: ARG001
    return cell


def _list(cell: str, spelling: Spelling) -> list[str] | None:
    parts = [part.strip() for part in cell.split(spelling.list_separator)]
    return [part for part in parts if part] or None


def _yes_no(cell: str, spelling: Spelling) -> bool | None:  # noqa: ARG001
    word = cell.strip().lower()
    if word and word not in _YES_NO:
        raise Unreadable("is not yes or no; write true or false, yes or no, 1 or 0")
    return _YES_NO.get(word)


def _date(cell: str, spelling: Spelling) -> date | None:
    text = cell.strip()
    if not text:
        return None
    try:
        if _ISO_DATE.fullmatch(text):
            return date.fromisoformat(text)
        if _ISO_TIME.fullmatch(text):
            moment = datetime.fromisoformat(text)
            return (moment if moment.tzinfo is None else moment.astimezone(spelling.zone)).date()
        if spelling.date_format and (found := _date_pattern(spelling.date_format).fullmatch(text)):
            return date(int(found["year"]), int(found["month"]), int(found["day"]))
    except (ValueError, OverflowError):
        raise Unreadable("is not a day of the calendar") from None
    also = f" or, as the mapping says, {spelling.date_format}" if spelling.date_format else ""
    hint = "" if also else "; another form needs `date_format:` in files.yaml, like DD.MM.YYYY"
    raise Unreadable(f"is not a date; write it like 2026-01-31{also}{hint}")


@lru_cache
def _date_pattern(date_format: str) -> re.Pattern[str]:
    pattern = pattern_of_dates(date_format)
    assert pattern is not None, "the mapping was checked"
    return pattern


def _decimal(cell: str, spelling: Spelling) -> Decimal | None:
    text = cell.strip()
    if not text:
        return None
    if spelling.decimals is Decimals.UNCLEAR and re.fullmatch(_TWO_READINGS, text):
        two = f"{text.replace(',', '.')} or {text.replace(',', '').replace('.', '')}"
        raise Unreadable(f"can mean {two}; say `decimals: point` or `decimals: comma` in files.yaml")
    marks = {Decimals.POINT: ".", Decimals.COMMA: ",", Decimals.UNCLEAR: ".,"}[spelling.decimals]
    if len(text) <= _LONGEST_NUMBER and any(_PLAIN[mark].fullmatch(text) for mark in marks):
        return Decimal(text.replace(",", "."))
    raise Unreadable(_why_no_number(text, spelling))


def _why_no_number(text: str, spelling: Spelling) -> str:
    example = "1234,56" if spelling.decimals is Decimals.COMMA else "1234.56"
    if len(text) > _LONGEST_NUMBER:
        return f"is longer than {_LONGEST_NUMBER} characters"
    if "%" in text:
        return "has a percent sign; write 30% as 0.3"
    if _EXPONENT.fullmatch(text):
        return f"is a number shortened by a spreadsheet; format the column as a number, like {example}"
    if re.search(r"[$€£¥]|^[A-Z]{3}\s?[\d+-]|\d\s?[A-Z]{3}$", text):
        return f"has a currency in it; write the number alone, like {example}, and the currency in its own column"
    if _GROUPED.fullmatch(text) or re.search(r"\d[\s'’]\d", text):
        return f"has thousands separators; write it like {example}"
    if re.search(r"\d", text) and (text.startswith(("−", "–", "(")) or text.endswith("-")):
        return "writes minus in a way of its own; write it like -1234.56"
    if re.fullmatch(r"[+-]?\d*[.,]\d*", text) and text.strip("+-,."):
        return f"has another decimal mark than the rest of the file; write it like {example}"
    return f"is not a number; write it like {example}"


def _number(cell: str, spelling: Spelling) -> float | None:
    exact = _decimal(cell, spelling)
    number = None if exact is None else float(exact)
    if number is not None and not isfinite(number):
        raise Unreadable("is too large a number")
    return number


def _money(cell: str, spelling: Spelling) -> Decimal | None:
    return half_away(_decimal(cell, spelling), _CENT, _MONEY_LIMIT)


def _measure(cell: str, spelling: Spelling) -> Decimal | None:
    return half_away(_decimal(cell, spelling), _NINE, _MEASURE_LIMIT)


def half_away(exact: Decimal | None, step: Decimal, limit: Decimal) -> Decimal | None:
    """A decimal rounded half away from zero to multiples of `step`. Errors: Unreadable from `limit` on."""
    if exact is None:
        return None
    if abs(exact) >= limit:
        raise Unreadable(f"is too large; amounts stay below 10^{limit.adjusted()}")
    near = exact.quantize(step, ROUND_HALF_UP, _EXACT)
    if abs(near) >= limit:
        raise Unreadable(f"is too large; amounts stay below 10^{limit.adjusted()}")
    return near


_CELL: Mapping[ColumnType, Callable[[str, Spelling], object]] = MappingProxyType(
    {
        ColumnType.TEXT: _text,
        ColumnType.LIST: _list,
        ColumnType.DATE: _date,
        ColumnType.NUMBER: _number,
        ColumnType.MONEY: _money,
        ColumnType.MEASURE: _measure,
        ColumnType.YES_NO: _yes_no,
    }
)
