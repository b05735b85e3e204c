"""A partner whose own row was rejected is remembered: a bad cell is not a partner who is gone."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from crmsync.connectors.checks import check_rows
from crmsync.connectors.files import tables_of
from crmsync.connectors.matching import match_partners
from tests.connectors.files.folders import read

PARTNERS = "partner_id,name,code,joined_on\n1,One,A-1,2020-01-31\n2,Two,A-2,2020-01-99\n"
DEALS = "opportunity_id,partner_id\na,1\nb,2\nc,9\n"


def test_its_id_is_sealed_into_the_snapshot(tmp_path: Path) -> None:
    found = read(tmp_path, {"partners": PARTNERS})
    check_rows(found.staging)
    assert found.staging.seal().rejected_partners == ("2",)


def test_its_deals_are_left_out_for_its_own_row(tmp_path: Path) -> None:
    found = read(tmp_path, {"partners": PARTNERS, "opportunities": DEALS})
    report = check_rows(found.staging)
    assert [(bad.line, bad.value, bad.reason) for bad in report.rejected] == [
        (3, "2", "is a partner whose own row was rejected (partners.csv:3)"),
        (4, "9", "is not a partner_id of the table partners"),
    ]


def test_rows_matched_by_another_number_say_so_too(tmp_path: Path) -> None:
    certificates = "certification_id,partner_id\na,A-1\nb,A-2\nc,A-9\n"
    found = read(tmp_path, {"partners": PARTNERS, "certifications": certificates})
    rejected = match_partners(found.staging, "certifications", "code")
    assert [bad.reason for bad in rejected] == [
        "matches by partners.code a partner whose own row was rejected (partners.csv:3)",
        "matches no partner by partners.code",
    ]


@pytest.mark.parametrize("row", ["2,Two, Ltd,A-2,2020-01-31", "2,Two", '2,Tw"o,A-2,2020-01-31'])
def test_a_row_that_cannot_be_cut_into_its_cells_is_known_by_its_first_cells(tmp_path: Path, row: str) -> None:
    found = read(tmp_path, {"partners": f"partner_id,name,code,joined_on\n1,One,A-1,\n{row}\n", "opportunities": DEALS})
    report = check_rows(found.staging)
    assert list(found.staging.rejected_partners) == ["2"]
    assert report.rejected[0].reason == "is a partner whose own row was rejected (partners.csv:3)"


def test_a_partner_with_another_good_row_is_not_a_rejected_one(tmp_path: Path) -> None:
    """Neither where the bad row is the second one, nor where a good row repeats."""
    rows = "1,One,,2020-01-99\n1,One,,2020-01-31\n2,Two,,\n2,Two again,,\n"
    found = read(tmp_path, {"partners": f"partner_id,name,code,joined_on\n{rows}", "opportunities": DEALS})
    report = check_rows(found.staging)
    assert [bad.value for bad in report.rejected] == ["2", "9"]
    assert found.staging.rejected_partners == {}


def test_a_row_without_an_id_names_nobody(tmp_path: Path) -> None:
    found = read(tmp_path, {"partners": PARTNERS + ",Three,A-3,2020-01-99\n"})
    assert list(found.staging.rejected_partners) == ["2"]


def test_a_row_of_a_parquet_file_is_named_by_its_number(tmp_path: Path) -> None:
    folder = tmp_path / "tables"
    folder.mkdir()
    rows = {"partner_id": ["1", "2"], "joined_on": ["2020-01-31", "2020-01-99"]}
    pq.write_table(pa.table(rows), folder / "partners.parquet")
    (folder / "opportunities.csv").write_text(DEALS, encoding="utf-8")
    snapshot, report = tables_of(folder, tmp_path)
    assert snapshot.rejected_partners == ("2",)
    assert report.rejected[1].reason == "is a partner whose own row was rejected (partners.parquet:2)"
