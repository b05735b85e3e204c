"""Reasons and gaps as people read them: names instead of record ids, amounts with separators."""

from __future__ import annotations

from datetime import date
from typing import Any

import pyarrow as pa
import pytest

from crmsync.snapshots import Snapshot, Staging, TableFile, write_table
from crmsync.tables import ColumnType
from crmsync.writeback.amounts import grouped
from crmsync.writeback.naming import readable_rows
from tests.writeback.facts import a_program

TABLES: dict[str, list[dict[str, Any]]] = {
    "opportunities": [
        {"opportunity_id": "006A", "name": "Roll-out 2026 (120000 seats)"}, {"opportunity_id": "006B", "name": None},
    ],
    "certifications": [
        {"certification_id": "C1", "credential": "Cloud Pro", "person_name": "Ada Lovelace"},
        {"certification_id": "C2", "credential": "Storage", "person_name": None},
    ],
    "activities": [{"activity_id": "A1", "kind": "webinar", "happened_on": date(2026, 2, 1)}],
}  # fmt: skip


@pytest.fixture(scope="module")
def snapshot(tmp_path_factory: pytest.TempPathFactory) -> Snapshot:
    staging = Staging(tmp_path_factory.mktemp("names"))
    for name, rows in TABLES.items():
        kinds = {column: ColumnType.DATE if column.endswith("_on") else ColumnType.TEXT for column in rows[0]}
        written = write_table(staging.path(name), pa.Table.from_pylist(rows), kinds)
        staging.add(TableFile(name, staging.path(name), written, kinds))
    return staging.seal()


@pytest.mark.parametrize(
    ("reason", "said"),
    [
        ("Revenue: opportunity 006A of 80000.00 leaves its window on 2026-11-25",
         "Revenue: opportunity “Roll-out 2026 (120000 seats)” of 80,000 EUR leaves its window on 2026-11-25"),
        ("Revenue: opportunity 006A leaves its window on 2026-11-25, and 12 more",
         "Revenue: opportunity “Roll-out 2026 (120000 seats)” leaves its window on 2026-11-25, and 12 more"),
        ("Revenue: opportunity 006B of 1234567.80 leaves its window on 2026-11-25",
         "Revenue: opportunity 006B of 1,234,567.80 EUR leaves its window on 2026-11-25"),
        ("Certified people: certificate C1 ends on 2027-01-02",
         "Certified people: certificate Cloud Pro of Ada Lovelace ends on 2027-01-02"),
        ("Certified people: certificate C2 ends on or before 2027-01-02",
         "Certified people: certificate Storage ends on or before 2027-01-02"),
        ("Revenue: activity A1 leaves its window on 2026-12-01",
         "Revenue: activity webinar of 2026-02-01 leaves its window on 2026-12-01"),
        ("Revenue: row of leads 100234 leaves its window on 2026-12-01",
         "Revenue: row of leads 100234 leaves its window on 2026-12-01"),
        ("Revenue now: 0.00 (needs more than 1000.50)", "Revenue now: 0 EUR (needs more than 1,000.50 EUR)"),
        ("Certified people now: 1.50 (needs 2)", "Certified people now: 1.50 (needs 2)"),
        ("Revenue at the current pace: 4978.26087 (needs 50000.00)",
         "Revenue at the current pace: 4,978.26 (needs 50,000 EUR)"),
    ],
)  # fmt: skip
def test_what_lapses_is_named(snapshot: Snapshot, reason: str, said: str) -> None:
    (row,) = readable_rows(a_program(), [{"risk_reasons": [reason], "gap_summary": None}], snapshot)
    assert row["risk_reasons"] == [said]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("Revenue: 130811.88 of 350000.00 EUR, 219188.12 missing",
         "Revenue: 130,811.88 of 350,000 EUR, 219,188.12 missing"),
        ("Win rate: 33.33 % of 35 %, 1.66 % missing", "Win rate: 33.33 % of 35 %, 1.66 % missing"),
        ("Points: 34.999 of 35 points, 0.001 missing", "Points: 34.99 of 35 points, 0.001 missing"),
        ("FY 2026: 1500 of 20000 people, -10000 more", "FY 2026: 1500 of 20,000 people, -10,000 more"),
        ("26-11-25 (006A012345, D-100234, 12:30:00, 10,000.5)", "26-11-25 (006A012345, D-100234, 12:30:00, 10,000.5)"),
    ],
)  # fmt: skip
def test_numbers_of_a_sentence_are_grouped(text: str, said: str) -> None:
    assert grouped(text) == said
    assert grouped(said) == said


def test_a_row_without_texts_is_as_it_was(snapshot: Snapshot) -> None:
    row: dict[str, Any] = {"partner_id": "A", "gap_summary": None, "risk_reasons": []}
    assert readable_rows(a_program(), [row], snapshot) == [row]
