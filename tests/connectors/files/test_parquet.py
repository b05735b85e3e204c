"""Parquet files become typed tables: copied where they fit, cast where that is exact, else refused with the row."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from crmsync.connectors.files import FilesMapping
from crmsync.errors import ConfigError
from tests.connectors.files.folders import Read, read

DAY = dt.date(2026, 1, 31)


def read_parquet(folder: Path, table: str, mapping: FilesMapping | None = None, **columns: Any) -> Read:
    (folder / "tables").mkdir(exist_ok=True)
    pq.write_table(pa.table(columns), folder / "tables" / f"{table}.parquet")
    return read(folder, {}, mapping)


def deals(folder: Path, mapping: FilesMapping | None = None, **columns: Any) -> Read:
    count = len(next(iter(columns.values())))
    ids = [str(place) for place in range(count)]
    return read_parquet(folder, "opportunities", mapping, opportunity_id=ids, partner_id=["1"] * count, **columns)


def test_a_file_that_fits_is_copied_byte_for_byte(tmp_path: Path) -> None:
    amounts = pa.array([Decimal("1.00"), None], pa.decimal128(19, 2))
    found = deals(tmp_path, amount=amounts, closed_on=pa.array([DAY, None]))
    staged = found.staging.tables["opportunities"].path
    assert staged.read_bytes() == (tmp_path / "tables" / "opportunities.parquet").read_bytes()


def test_a_file_with_empty_texts_is_not_copied_but_cleaned(tmp_path: Path) -> None:
    assert deals(tmp_path, stage=["", "Won"]).column("opportunities", "stage") == [None, "Won"]


@pytest.mark.parametrize(
    ("cells", "expected"),
    [
        (pa.array([12, None], pa.int64()), ["12", None]),
        (pa.array([12.0, None]), ["12", None]),
        (pa.array([Decimal("12"), None]), ["12", None]),
        (pa.array([Decimal("-12.00"), None]), ["-12", None]),
        (pa.array(["012", ""], pa.large_string()), ["012", None]),
        (pa.array(["a", None]).dictionary_encode(), ["a", None]),
    ],
    ids=lambda cells: str(getattr(cells, "type", "")),
)
def test_ids_of_every_kind_become_text(tmp_path: Path, cells: pa.Array, expected: list[str | None]) -> None:
    assert deals(tmp_path, customer_id=cells).column("opportunities", "customer_id") == expected


@pytest.mark.parametrize(
    ("cells", "expected"),
    [
        (pa.array([1.005, 1e16, 1e-7]), ["1.01", "10000000000000000.00", "0.00"]),
        (pa.array([Decimal("1.005"), Decimal("-1.005"), None]), ["1.01", "-1.01", "None"]),
        (pa.array([7, -1, None], pa.int32()), ["7.00", "-1.00", "None"]),
        (pa.array(["1.005", "7", ""]), ["1.01", "7.00", "None"]),
    ],
    ids=lambda cells: str(getattr(cells, "type", "")),
)
def test_amounts_of_every_kind_become_cents(tmp_path: Path, cells: pa.Array, expected: list[str]) -> None:
    assert [str(cell) for cell in deals(tmp_path, amount=cells).column("opportunities", "amount")] == expected


@pytest.mark.parametrize(
    "cells",
    [
        pa.array([dt.datetime(2026, 1, 30, 23, 30, tzinfo=dt.UTC)], pa.timestamp("us", "UTC")),
        pa.array([dt.datetime(2026, 1, 31, 23, 59)], pa.timestamp("ns")),
        pa.array([DAY], pa.date64()),
        pa.array(["2026-01-31"]),
    ],
    ids=lambda cells: str(cells.type),
)
def test_dates_of_every_kind_become_days_of_the_time_zone(tmp_path: Path, cells: pa.Array) -> None:
    assert deals(tmp_path, FilesMapping("Europe/Berlin"), closed_on=cells).column("opportunities", "closed_on") == [DAY]


def test_a_row_that_cannot_be_used_is_named_by_its_number(tmp_path: Path) -> None:
    found = deals(tmp_path, amount=pa.array([1.0, float("nan"), 1e17]), customer_id=pa.array([1.0, 2.0, 0.5]))
    assert sorted(found.faults) == [(2, "amount", "nan"), (3, "amount", "1e+17"), (3, "customer_id", "0.5")]
    assert found.report.rows == {"opportunities": 1}


def test_a_column_of_an_impossible_type_is_refused_as_a_whole(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"column `closed_on` is of type bool, but it must hold dates"):
        deals(tmp_path, closed_on=[True])


def test_further_columns_keep_the_type_of_the_file(tmp_path: Path) -> None:
    found = read_parquet(tmp_path, "partners", partner_id=["1"], seats=[5], vip=[True], since=[DAY], tags=[["a"]])
    kinds = found.staging.tables["partners"].columns
    assert {name: kind.value for name, kind in kinds.items()} == {
        "partner_id": "text", "seats": "number", "vip": "yes_no", "since": "date", "tags": "list",
    }  # fmt: skip


def test_a_file_that_is_no_parquet_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"partners\.parquet: is not a Parquet file that can be read"):
        read(tmp_path, {"partners.parquet": b"PAR1 and then nothing"})


def test_a_parquet_file_without_key_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"has no column `partner_id`"):
        read_parquet(tmp_path, "partners", name=["x"])
