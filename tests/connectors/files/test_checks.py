"""Checks across tables: each key once, known partners, shares, validities; bad rows named and taken out."""

from __future__ import annotations

import tempfile
from collections import Counter
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crmsync.connectors.checks import ChecksReport, check_rows
from crmsync.errors import DataError
from crmsync.snapshots import RecordOrigin, Staging, TableFile, write_table
from crmsync.tables import ColumnType
from tests.connectors.files.folders import PARTNERS, Read, read


def checked(folder: Path, **files: str) -> tuple[Read, ChecksReport]:
    found = read(folder, {"partners": PARTNERS, **files})
    return found, check_rows(found.staging)


def faults(report: ChecksReport) -> list[tuple[int | None, str, str]]:
    return [(bad.line, bad.column, bad.value) for bad in report.rejected]


def test_the_second_row_with_a_key_is_rejected_naming_the_first(tmp_path: Path) -> None:
    found, report = checked(tmp_path, partners='partner_id,name\n1,"a\nb"\n2,c\n1,d\n1,e\n')
    assert faults(report) == [(5, "partner_id", "1"), (6, "partner_id", "1")]
    assert report.rejected[0].reason == "repeats the partner_id of line 2"
    assert found.column("partners", "name") == ["a\nb", "c"]


def test_an_opportunity_may_stand_once_per_partner_and_role(tmp_path: Path) -> None:
    rows = "a,1,resell,0.5\na,1,advise,0.5\na,2,resell,0\na,1,resell,0.1\nb,1,,\nb,1,,\n"
    found, report = checked(tmp_path, opportunities="opportunity_id,partner_id,role,share\n" + rows)
    assert faults(report) == [(5, "opportunity_id", "a"), (7, "opportunity_id", "b")]
    assert report.rejected[0].reason == "repeats the opportunity_id, partner_id and role of line 2"
    assert found.staging.tables["opportunities"].rows == 4
    assert found.staging.tables["opportunities"].unique == frozenset()


def test_a_key_that_never_repeats_is_noted_as_unique(tmp_path: Path) -> None:
    found, report = checked(tmp_path, opportunities="opportunity_id,partner_id\na,1\nb,1\n")
    assert report.unique == {"partners": {"partner_id"}, "opportunities": {"opportunity_id"}}
    assert found.staging.tables["opportunities"].unique == {"opportunity_id"}


def test_an_unknown_partner_is_rejected_and_an_unknown_parent_is_not(tmp_path: Path) -> None:
    text = "opportunity_id,partner_id\na,1\nb,9\n"
    _, report = checked(tmp_path, partners="partner_id,parent_id\n1,77\n", opportunities=text)
    assert faults(report) == [(3, "partner_id", "9")]


def test_the_line_is_true_after_rows_were_left_out_before(tmp_path: Path) -> None:
    """Bad cells, rows of nobody and blank lines stand between."""
    rows = '1,1,5\n\n2,,5\n3,1,x\n4,1,"5\n"\n5,"1\n",5\n6,9,5\n7,1\n8,9,5\n'
    _, report = checked(tmp_path, opportunities="opportunity_id,partner_id,amount\n" + rows)
    assert faults(report) == [(8, "partner_id", "1\n"), (10, "partner_id", "9"), (12, "partner_id", "9")]


def test_an_empty_share_is_an_error_only_where_an_opportunity_has_several_rows(tmp_path: Path) -> None:
    rows = "a,1,0.5\na,2,\nb,1,\nc,1,\nc,,\nd,1,\nd,1,\n"
    found, report = checked(tmp_path, opportunities="opportunity_id,partner_id,share\n" + rows)
    assert faults(report) == [(3, "share", ""), (8, "opportunity_id", "d")]
    assert found.column("opportunities", "opportunity_id") == ["a", "b", "c", "d"]


def test_without_a_share_column_several_rows_of_an_opportunity_are_errors(tmp_path: Path) -> None:
    _, report = checked(tmp_path, opportunities="opportunity_id,partner_id\na,1\na,2\nb,1\n")
    assert faults(report) == [(2, "share", ""), (3, "share", "")]


@pytest.mark.parametrize("share", ["1.01", "-0.1", "50"])
def test_a_share_lies_between_0_and_1(tmp_path: Path, share: str) -> None:
    _, report = checked(tmp_path, opportunities=f"opportunity_id,partner_id,share\na,1,{share}\nb,1,1\nc,1,0\n")
    assert [(line, column) for line, column, _ in faults(report)] == [(2, "share")]


def test_a_validity_does_not_end_before_it_begins(tmp_path: Path) -> None:
    rows = "a,1,2026-01-02,2026-01-01\nb,1,2026-01-01,2026-01-01\nc,1,2026-01-01,\n"
    _, report = checked(tmp_path, certifications="certification_id,partner_id,issued_on,expires_on\n" + rows)
    assert faults(report) == [(2, "expires_on", "2026-01-01")]


def test_an_override_needs_a_partner(tmp_path: Path) -> None:
    found, report = checked(tmp_path, overrides="partner_id,kind\n1,pin\n,pin\n9,pin\n")
    assert [bad.line for bad in (*found.report.rejected, *report.rejected)] == [3, 4]


BLANKS = " \t\u00a0"


def test_a_key_of_blanks_only_is_an_empty_key(tmp_path: Path) -> None:
    """Rejected where a row needs one, nobody's where it names a partner; further blanks belong to a key."""
    deals = f"opportunity_id,partner_id\na,{BLANKS}\n{BLANKS},1\nb, 1\nc,1\n"
    partners = f"partner_id,name\n1,One\n{BLANKS},Two\n 1,Three\n"
    found, report = checked(tmp_path, partners=partners, opportunities=deals)
    reasons = [(bad.file, bad.line, bad.column, bad.reason.split(";")[0]) for bad in report.rejected]
    assert reasons == [
        ("partners.csv", 3, "partner_id", "is empty"),
        ("opportunities.csv", 3, "opportunity_id", "is empty"),
    ]
    assert report.direct == {"opportunities": 1}
    assert found.column("opportunities", "partner_id") == [" 1", "1"]
    assert found.staging.rejected_partners == {}


def staged_records(folder: Path, ids: list[str | None], partners: list[str | None]) -> Staging:
    staging = Staging(folder / "snapshot")
    for name, columns in (
        ("partners", {"partner_id": ["p1"]}),
        ("opportunities", {"opportunity_id": ids, "partner_id": partners}),
    ):
        kinds = dict.fromkeys(columns, ColumnType.TEXT)
        path = staging.path(name)
        schema = pa.schema([(column, pa.string()) for column in columns])
        staging.add(TableFile(name, path, write_table(path, pa.table(columns, schema), kinds), kinds))
    staging.origins["opportunities"] = RecordOrigin("Opportunity")
    return staging


CREDIT = st.tuples(st.sampled_from("abc"), st.sampled_from(["1", "2", "9", ""]), st.sampled_from(["", "r"]))
SHARES = st.sampled_from(["", "0.5", "2"])


def expected_rejections(credits: list[tuple[tuple[str, str, str], str]]) -> list[tuple[int, str]]:
    """Row and column of each rejection, by a plain walk over the rows."""
    seen: set[tuple[str, str, str]] = set()
    repeated = {row for row, (key, _) in enumerate(credits) if key[1] and (key in seen or seen.add(key))}
    rows = Counter(key[0] for row, (key, _) in enumerate(credits) if key[1] and row not in repeated)
    found = []
    for row, ((deal, partner, _), share) in enumerate(credits):
        if not partner:
            continue
        if row in repeated:
            found.append((row, "opportunity_id"))
        elif (not share and rows[deal] > 1) or share == "2":
            found.append((row, "share"))
        elif partner == "9":
            found.append((row, "partner_id"))
    return found


@given(credits=st.lists(st.tuples(CREDIT, SHARES), max_size=9))
@settings(max_examples=25)
def test_any_credits_are_judged_as_by_a_plain_walk(credits: list[tuple[tuple[str, str, str], str]]) -> None:
    lines = "".join(f"{deal},{partner},{role},{share}\n" for (deal, partner, role), share in credits)
    with tempfile.TemporaryDirectory() as folder:
        found, report = checked(Path(folder), opportunities="opportunity_id,partner_id,role,share\n" + lines)
        rejected = [((bad.line or 0) - 2, bad.column) for bad in report.rejected]
        assert rejected == expected_rejections(credits)
        people = sum(1 for (_, partner, _), _ in credits if partner)
        assert found.staging.tables["opportunities"].rows == people - len(rejected)


def test_a_record_of_a_crm_is_named_by_object_and_id(tmp_path: Path) -> None:
    report = check_rows(staged_records(tmp_path, ["006A", "006B", "006C"], ["p1", "p9", None]))
    assert [(bad.file, bad.line, bad.value) for bad in report.rejected] == [("Opportunity 006B", None, "p9")]
    assert report.direct == {"opportunities": 1}


def test_when_nearly_everything_is_bad_the_table_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("crmsync.connectors.checks.REJECTED_LIMIT", 2)
    with pytest.raises(DataError, match=r"opportunities\.partner_id: 3 rows are bad.*`p9`"):
        check_rows(staged_records(tmp_path, ["a", "b", "c"], ["p9", "p9", "p9"]))


def test_a_sealed_snapshot_holds_nothing_but_tables(tmp_path: Path) -> None:
    staging = staged_records(tmp_path, ["a", "b"], ["p1", "p9"])
    check_rows(staging)
    folder = staging.seal().folder
    assert sorted(path.name for path in folder.iterdir()) == [
        "opportunities.parquet",
        "partners.parquet",
        "snapshot.json",
    ]
    assert [path.name for path in tmp_path.iterdir()] == ["snapshot"]
