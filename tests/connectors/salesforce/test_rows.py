"""Cells become typed values; the whole-column way and the cell-by-cell way agree."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import ROUND_HALF_UP, Decimal
from zoneinfo import ZoneInfo

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from crmsync.connectors.salesforce.rows import (
    Block,
    ReadColumn,
    canonical,
    canonical_number,
    long_id,
    typed_block,
)
from crmsync.tables import ColumnType


def typed(kind: ColumnType, source: str, *cells: str | None, time_zone: str = "UTC", **more: bool) -> Block:
    """One typed column, named `value`."""
    ids = pa.array([f"a0X{number:012d}AAA" for number in range(len(cells))], pa.string())
    column = ReadColumn("value", "Value__c", kind, source, **more)
    return typed_block({"Id": ids, "Value__c": pa.array(cells, pa.string())}, [column], time_zone, "Deal__c")


def values(block: Block) -> list[object]:
    """The typed values."""
    return block.rows.column("value").to_pylist()


BAD = "?"  # as a further cell it forces the cell-by-cell way


@given(st.decimals(min_value=-(10**15), max_value=10**15, allow_nan=False, allow_infinity=False, places=4))
def test_money_is_rounded_half_away_from_zero_either_way(amount: Decimal) -> None:
    cell = format(amount, "f")
    exact = amount.quantize(Decimal("0.01"), ROUND_HALF_UP)
    assert values(typed(ColumnType.MONEY, "currency", cell)) == [exact]
    assert values(typed(ColumnType.MONEY, "currency", cell, BAD)) == [exact]


@given(
    st.datetimes(datetime(1990, 1, 1), datetime(2037, 1, 1)),
    st.sampled_from(["UTC", "Europe/Berlin", "America/Los_Angeles"]),
)
def test_a_date_time_becomes_the_date_in_its_zone_either_way(moment: datetime, zone: str) -> None:
    aware = moment.replace(tzinfo=UTC, microsecond=moment.microsecond // 1000 * 1000)
    expected = aware.astimezone(ZoneInfo(zone)).date()
    stamp = aware.strftime("%Y-%m-%dT%H:%M:%S.") + f"{aware.microsecond // 1000:03d}"
    for cell in (f"{stamp}Z", f"{stamp}+0000", f"{stamp}+00:00"):
        assert values(typed(ColumnType.DATE, "datetime", cell, time_zone=zone)) == [expected]
        assert values(typed(ColumnType.DATE, "datetime", cell, BAD, time_zone=zone)) == [expected]


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_a_number_is_the_same_either_way(number: float) -> None:
    assert values(typed(ColumnType.NUMBER, "double", repr(number))) == [number]
    assert values(typed(ColumnType.NUMBER, "double", repr(number), BAD)) == [number]


@pytest.mark.parametrize(
    ("kind", "source", "bad"),
    [
        (ColumnType.MONEY, "currency", "1,000"),
        (ColumnType.MONEY, "currency", "€ 5"),
        (ColumnType.MONEY, "currency", "1e40"),
        (ColumnType.MONEY, "currency", "100000000000000000000"),
        (ColumnType.MONEY, "currency", "NaN"),
        (ColumnType.MONEY, "currency", "0x10"),
        (ColumnType.MONEY, "currency", " 5"),
        (ColumnType.MEASURE, "double", "Infinity"),
        (ColumnType.NUMBER, "double", "nan"),
        (ColumnType.NUMBER, "double", "inf"),
        (ColumnType.NUMBER, "double", "12abc"),
        (ColumnType.DATE, "date", "2026-02-30"),
        (ColumnType.DATE, "date", "01/31/2026"),
        (ColumnType.DATE, "datetime", "2026-01-31"),
        (ColumnType.DATE, "datetime", "2026-01-31T25:00:00.000Z"),
        (ColumnType.YES_NO, "boolean", "maybe"),
        (ColumnType.YES_NO, "boolean", "2"),
    ],
)
def test_a_bad_cell_rejects_its_row_only(kind: ColumnType, source: str, bad: str) -> None:
    block = typed(kind, source, None, bad, None)
    assert len(values(block)) == 2
    (rejected,) = block.rejected
    assert (rejected.file, rejected.column, rejected.value) == ("Deal__c a0X000000000001AAA", "value", bad)
    assert rejected.reason.startswith("not ")


def test_a_percent_field_holds_hundredths_of_a_share() -> None:
    assert values(typed(ColumnType.NUMBER, "percent", "50", "33.3", None, hundredths=True)) == [0.5, 0.333, None]


def test_a_multi_select_is_a_list() -> None:
    assert values(typed(ColumnType.LIST, "multipicklist", "Resale;MSP", "One", None)) == [
        ["Resale", "MSP"],
        ["One"],
        None,
    ]


def test_numbers_that_we_call_text_lose_their_trailing_zeros() -> None:
    assert values(typed(ColumnType.TEXT, "double", "3.0", "2.50", None)) == ["3", "2.5", None]


def test_dates_stay_dates_and_yes_no_is_read() -> None:
    assert values(typed(ColumnType.DATE, "date", "2026-01-31", None)) == [date(2026, 1, 31), None]
    assert values(typed(ColumnType.YES_NO, "boolean", "true", "false", None)) == [True, False, None]


def test_short_ids_get_their_three_last_signs() -> None:
    assert values(typed(ColumnType.TEXT, "reference", "001Da00000xnAk6", None, is_id=True)) == [
        "001Da00000xnAk6IAE",
        None,
    ]


@pytest.mark.parametrize("known", ["001Da00000xnAk6IAE", "01254000001upcKAAQ", "012000000000000AAA"])
def test_ids_known_from_the_field_are_completed_right(known: str) -> None:
    assert long_id(known[:15]) == known
    assert long_id(known) == known


@pytest.mark.parametrize("other", ["", "ACME-4711", "001Da00000xnAk6IAE-x", "001Da00000xnAk", "ümlaut_15_signs"])
def test_what_is_no_id_stays_as_it_is(other: str) -> None:
    assert long_id(other) == other


@given(st.decimals(allow_nan=False, allow_infinity=False, places=6, min_value=-(10**12), max_value=10**12))
def test_a_canonical_number_has_one_form(number: Decimal) -> None:
    plain = canonical_number(str(number))
    assert Decimal(plain) == number
    assert canonical_number(plain) == plain
    assert "e" not in plain.lower()
    assert plain == canonical_number(format(number, "f") + ("" if "." not in format(number, "f") else "000"))


@pytest.mark.parametrize(
    ("text", "source", "expected"),
    [
        ("85.0", "double", "85"),
        ("1.50E2", "currency", "150"),
        ("-0.0", "double", "0"),
        ("100", "int", "100"),
        ("TRUE", "boolean", "true"),
        ("B;A; C", "multipicklist", "A;B;C"),
        (" two\r\nlines ", "textarea", "two lines"),
        ("", "string", None),
        (None, "double", None),
        ("2026-01-31", "date", "2026-01-31"),
    ],
)
def test_values_are_compared_in_one_form(text: str | None, source: str, expected: str | None) -> None:
    assert canonical(text, source) == expected


@given(st.text(), st.sampled_from(["string", "textarea", "multipicklist", "double", "boolean", "date", "picklist"]))
def test_the_canonical_form_of_a_canonical_form_is_itself(text: str, source: str) -> None:
    once = canonical(text, source)
    assert canonical(once, source) == once
