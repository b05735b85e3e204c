"""CSV files become typed tables: types seen from cells, bad cells reported, good rows go on."""

from __future__ import annotations

import datetime as dt
from decimal import ROUND_HALF_UP, Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crmsync.connectors import files_csv
from crmsync.connectors.files import FilesConnector, FilesMapping, tables_of
from crmsync.connectors.files_records import read_blocks
from crmsync.errors import ConfigError, CrmsyncError, DataError
from crmsync.snapshots import Staging
from crmsync.tables import ColumnType
from tests.connectors.files.folders import PARTNERS, read

DEALS = "opportunity_id,partner_id,amount,closed_on,is_won\n"


def test_a_file_as_excel_saves_it_is_read(tmp_path: Path) -> None:
    """Byte order mark, semicolons, CR LF, decimal commas, capital TRUE, quoted line breaks."""
    text = 'opportunity_id;partner_id;name;amount;is_won\r\n"a";012;"Two\r\nlines; one";1234,5;TRUE\r\nb;13;;7;no\r\n'
    found = read(tmp_path, {"opportunities": "\ufeff" + text})
    assert found.rows("opportunities") == [
        {
            "opportunity_id": "a", "partner_id": "012", "name": "Two\r\nlines; one", "amount": Decimal("1234.50"),
            "is_won": True,
        },
        {"opportunity_id": "b", "partner_id": "13", "name": None, "amount": Decimal("7.00"), "is_won": False},
    ]  # fmt: skip
    assert found.report.rejected == ()


def test_excels_own_separator_line_names_the_delimiter(tmp_path: Path) -> None:
    assert read(tmp_path, {"partners": "sep=|\r\npartner_id|name\r\n1|a,b;c\r\n"}).rows("partners") == [
        {"partner_id": "1", "name": "a,b;c"}
    ]


def test_canonical_headings_are_known_in_any_capitals(tmp_path: Path) -> None:
    assert read(tmp_path, {"partners": "Partner_ID, Name \n1,x\n"}).rows("partners") == [
        {"partner_id": "1", "name": "x"}
    ]


def test_an_extra_column_gets_the_type_that_all_its_cells_have(tmp_path: Path) -> None:
    text = "partner_id,flag,day,number,zeros,words,empty,digits\n"
    text += "1,true,2026-01-31,1.5,012,a,,1234567890123456\n2,FALSE,,-0,1,1,,1\n"
    kinds = read(tmp_path, {"partners": text}).staging.tables["partners"].columns
    assert {name: kind.value for name, kind in kinds.items()} == {
        "partner_id": "text", "flag": "yes_no", "day": "date", "number": "number", "zeros": "text", "words": "text",
        "empty": "text", "digits": "text",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("last", "kind"),
    [
        ("012", "text"),
        ("x", "text"),
        ("true", "text"),
        ("2", "number"),
        ("", "number"),
        ("1e5", "text"),
        ("+2", "text"),
    ],
)
def test_a_late_cell_decides_the_type_of_an_extra_column(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, last: str, kind: str
) -> None:
    """The type is that of all cells, however far down the one that differs stands."""
    monkeypatch.setattr(files_csv, "read_blocks", lambda shape: read_blocks(shape, 16))
    found = read(tmp_path, {"partners": "partner_id,seats\n" + "1,5\n" * 50 + f"2,{last}\n"})
    assert found.staging.tables["partners"].columns["seats"].value == kind
    assert str(found.column("partners", "seats")[0]).rstrip("0").rstrip(".") == "5"


def test_a_column_that_is_empty_at_first_gets_its_type_from_later_cells(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files_csv, "read_blocks", lambda shape: read_blocks(shape, 16))
    found = read(tmp_path, {"partners": "partner_id,since\n" + "1,\n" * 50 + "2,2026-01-31\n"})
    assert found.column("partners", "since")[-1] == dt.date(2026, 1, 31)


def test_money_that_the_program_names_is_money(tmp_path: Path) -> None:
    files = {"partners": "partner_id,mrr\n1,1.005\n"}
    assert read(tmp_path, files, money=frozenset({("partners", "mrr")})).column("partners", "mrr") == [Decimal("1.01")]


@given(st.decimals(min_value=-(10**16), max_value=10**16, allow_nan=False, allow_infinity=False, places=None))
def test_money_is_rounded_half_away_from_zero_to_cents(
    tmp_path_factory: pytest.TempPathFactory, amount: Decimal
) -> None:
    text = f"{amount:f}"
    if len(text) > 50:
        return
    folder = tmp_path_factory.mktemp("money")
    found = read(folder, {"opportunities": f"opportunity_id,partner_id,amount\n1,1,{text}\n"})
    assert found.column("opportunities", "amount") == [amount.quantize(Decimal("0.01"), ROUND_HALF_UP)]


def test_numbers_keep_all_their_digits(tmp_path: Path) -> None:
    found = read(tmp_path, {"partners": "partner_id,x\n1,0.1234567890123456\n2,0.30000000000000004\n"})
    assert found.column("partners", "x") == [0.1234567890123456, 0.30000000000000004]


def test_a_measured_value_is_money_only_in_a_row_with_a_currency(tmp_path: Path) -> None:
    """1.00499999996 is 1.00 in cents; rounding it to nine places first would give 1.01."""
    text = "activity_id,partner_id,value,currency\n1,1,1.00499999996,EUR\n2,1,1.0049999999649,\n"
    assert read(tmp_path, {"activities": text}).column("activities", "value") == [
        Decimal("1.00"),
        Decimal("1.005000000"),
    ]


def test_lists_are_split_and_trimmed(tmp_path: Path) -> None:
    found = read(tmp_path, {"partners": 'partner_id,declared_categories\n1,A; B;\n2,;\n3,"C"\n'})
    assert found.column("partners", "declared_categories") == [["A", "B"], None, ["C"]]


def test_a_date_time_is_the_day_of_the_time_zone(tmp_path: Path) -> None:
    text = "opportunity_id,partner_id,closed_on\n1,1,2026-01-31T23:30:00Z\n2,1,2026-01-31 23:30\n3,1,2026-02-01\n"
    found = read(tmp_path, {"opportunities": text}, FilesMapping("Europe/Berlin"))
    assert [day.isoformat() for day in found.column("opportunities", "closed_on")] == [
        "2026-02-01", "2026-01-31", "2026-02-01",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("cells", "expected"),
    [
        (["1,5", "2"], ["1.50", "2.00"]),
        (["1.5", "2"], ["1.50", "2.00"]),
        (["1.234", "2,50"], [None, "2.50"]),
        (["1.234", "2.50"], ["1.23", "2.50"]),
        (["1,234", "2,50"], ["1.23", "2.50"]),
        (["1.234", "7"], [None, "7.00"]),
        (["0.125", "7"], ["0.13", "7.00"]),
        (["1.234,56", "7"], [None, "7.00"]),
    ],
)
def test_a_decimal_comma_is_read_where_the_file_leaves_no_doubt(
    tmp_path: Path, cells: list[str], expected: list[str | None]
) -> None:
    """In files with semicolons the unmistakable numbers tell the decimal mark; 1.234 alone stays refused."""
    rows = "".join(f"{place};1;{cell}\n" for place, cell in enumerate(cells))
    found = read(tmp_path, {"opportunities": "opportunity_id;partner_id;amount\n" + rows})
    good = iter(found.column("opportunities", "amount"))
    bad = {value for _, _, value in found.faults}
    assert [None if cell in bad else str(next(good)) for cell in cells] == expected


@pytest.mark.parametrize(
    ("cell", "reason"),
    [
        ("12%", "write 30% as 0.3"), ("€5", "currency"), ("5 EUR", "currency"), ("USD 5", "currency"),
        ('"1,234.50"', "thousands"), ("1 234.50", "thousands"), ("1'234", "thousands"), ('"12,5"', "decimal mark"),
        ("1E+05", "spreadsheet"), ("(5)", "minus"), ("5-", "minus"), ("−5", "minus"), ("five", "not a number"),
        ("nan", "not a number"), ("0x1F", "not a number"), ("1" * 18, "too large"), ("1" * 60, "longer"),
        ("99999999999999999.995", "too large"), ("-", "not a number"), (".", "not a number"), ("١٢", "not a number"),
    ],
)  # fmt: skip
def test_a_number_in_another_form_is_refused_with_its_reason(tmp_path: Path, cell: str, reason: str) -> None:
    found = read(tmp_path, {"opportunities": f"{DEALS}1,1,{cell},,\n2,1,5,,\n"})
    (bad,) = found.report.rejected
    assert (bad.file, bad.line, bad.column, bad.value) == ("opportunities.csv", 2, "amount", cell.strip('"'))
    assert reason in bad.reason
    assert found.column("opportunities", "opportunity_id") == ["2"]


@pytest.mark.parametrize("cell", [" 5 ", "+5", "5.", "05", "5.000", "5.0000000000000000000000001"])
def test_unmistakable_spellings_of_a_number_are_read(tmp_path: Path, cell: str) -> None:
    assert read(tmp_path, {"opportunities": f"{DEALS}1,1,{cell},,\n"}).column("opportunities", "amount") == [
        Decimal("5.00")
    ]


@pytest.mark.parametrize(
    ("cell", "reason"),
    [
        ("31.01.2026", "date_format"), ("01/31/2026", "date_format"), ("2026-02-30", "calendar"), ("46053", "not a da"),
        ("0000-01-01", "calendar"), ("2026-1-5", "not a da"), ("2026-01-31T25:00", "calendar"), ("today", "not a da"),
    ],
)  # fmt: skip
def test_a_date_in_another_form_is_refused_with_its_reason(tmp_path: Path, cell: str, reason: str) -> None:
    found = read(tmp_path, {"opportunities": f"{DEALS}1,1,5,{cell},\n2,1,5,2026-01-31,\n"})
    assert found.faults == [(2, "closed_on", cell)]
    assert reason in found.report.rejected[0].reason
    assert found.column("opportunities", "closed_on") == [dt.date(2026, 1, 31)]


def test_yes_and_no_have_six_spellings(tmp_path: Path) -> None:
    words = ["true", "YES", "1", "False", "no", "0", "", "WAHR"]
    rows = "".join(f"{place},1,,,{word}\n" for place, word in enumerate(words))
    found = read(tmp_path, {"opportunities": DEALS + rows})
    assert found.column("opportunities", "is_won") == [True, True, True, False, False, False, None]
    assert found.faults == [(9, "is_won", "WAHR")]


def test_every_bad_cell_of_a_row_is_reported_and_the_row_left_out_once(tmp_path: Path) -> None:
    found = read(tmp_path, {"opportunities": f"{DEALS}1,1,x,y,z\n2,1,5,,\n"})
    assert [column for _, column, _ in found.faults] == ["amount", "closed_on", "is_won"]
    assert found.report.rows == {"opportunities": 1}


def test_the_line_of_a_bad_cell_counts_line_breaks_inside_quotes(tmp_path: Path) -> None:
    text = 'opportunity_id,partner_id,name,amount\n1,1,"a\n\nb",1\n\n2,1,c,x\n3,1\n4,1,d"e,5\n'
    assert [line for line, _, _ in read(tmp_path, {"opportunities": text}).faults] == [6, 7, 8]


def test_a_row_of_nobody_is_counted_and_not_rejected(tmp_path: Path) -> None:
    found = read(tmp_path, {"opportunities": f"{DEALS}1,,5,,\n2,1,5,,\n"})
    assert found.report.direct == {"opportunities": 1}
    assert found.report.rejected == ()
    assert found.column("opportunities", "opportunity_id") == ["2"]


def test_rows_that_a_spreadsheet_left_empty_are_passed_over(tmp_path: Path) -> None:
    found = read(tmp_path, {"partners": "partner_id,name\n1,x\n,\n,\n"})
    assert found.rows("partners") == [{"partner_id": "1", "name": "x"}]
    assert found.report.rejected == ()


def test_columns_without_heading_must_be_empty(tmp_path: Path) -> None:
    found = read(tmp_path, {"partners": "partner_id,name,,\n1,x,,\n2,y,,z\n"})
    assert found.rows("partners") == [{"partner_id": "1", "name": "x"}]
    assert found.faults == [(3, "", "z")]


def test_other_files_of_the_folder_are_no_tables(tmp_path: Path) -> None:
    files = {"partners": PARTNERS, "standings.csv.rejected.csv": "a\n", "notes.txt": "x", "writeback": "record_id\n"}
    found = read(tmp_path, files)
    assert set(found.staging.tables) == {"partners"}


def test_files_of_other_kinds_are_passed_over_by_name(tmp_path: Path) -> None:
    """Hidden files and what an open spreadsheet leaves behind are nobody's business."""
    others = {"opportunities.xlsx": "PK", "data.json": "{}", ".hidden.txt": "x", "~$deals.xlsx": "x"}
    found = read(tmp_path, {"partners": PARTNERS, **others})
    told = "data.json, opportunities.xlsx passed over: only .csv and .parquet are read; save it as CSV UTF-8"
    assert found.report.notes == (told,)


def test_a_table_asked_for_that_stands_there_as_a_workbook_is_told_with_the_tables(tmp_path: Path) -> None:
    (tmp_path / "partners.csv").write_text(PARTNERS, encoding="utf-8")
    (tmp_path / "deals.xls").write_bytes(b"")
    connector = FilesConnector(tmp_path)
    staging = Staging(tmp_path / "snapshots" / "s")
    assert connector.extract(["partners"], staging).notes[0].startswith("deals.xls passed over")
    assert connector.extract(["current_values"], staging).notes == ()


def test_a_further_table_takes_its_name_from_the_file(tmp_path: Path) -> None:
    found = read(tmp_path, {"lines": "partner_id,happened_on,mrr\n1,2026-01-31,5\n"})
    table = found.staging.tables["lines"]
    assert table.main_date == "happened_on"
    assert dict(table.columns) == {
        "partner_id": ColumnType.TEXT, "happened_on": ColumnType.DATE, "mrr": ColumnType.NUMBER,
    }  # fmt: skip


def test_a_file_without_partners_is_no_table_and_is_said_so(tmp_path: Path) -> None:
    found = read(tmp_path, {"partners": PARTNERS, "products": "product,price\nA,1\n"})
    assert set(found.staging.tables) == {"partners"}
    assert found.report.notes == ("products.csv is not read: it has no column partner_id",)


def test_one_table_in_two_files_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"partners stands in Partners\.csv and in partners\.csv"):
        read(tmp_path, {"partners": PARTNERS, "Partners": PARTNERS})


def test_a_folder_without_partners_is_refused(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    with pytest.raises(ConfigError, match=r"has no partners\.csv"):
        tables_of(tmp_path / "in", tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["in"]


def test_too_many_bad_cells_mean_that_the_file_is_wrong(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("crmsync.connectors.files_intake.REJECTED_LIMIT", 3)
    with pytest.raises(DataError, match=r"opportunities\.csv:4: 3 bad cells"):
        read(tmp_path, {"opportunities": DEALS + "1,1,x,,\n" * 5})


def test_a_folder_that_is_a_snapshot_is_used_as_it_is(tmp_path: Path) -> None:
    source = tmp_path / "in"
    source.mkdir()
    (source / "partners.csv").write_text("partner_id,name\n1,a\n1,b\n,c\n")
    sealed, report = tables_of(source, tmp_path)
    assert [(bad.line, bad.column) for bad in report.rejected] == [(4, "partner_id"), (3, "partner_id")]
    again, nothing = tables_of(sealed.folder, tmp_path)
    assert again == sealed
    assert nothing.rows == {"partners": 1}


CUT = 'opportunity_id,partner_id,amount,name\r\na1,p1,12.50,"x, ""y""\nz"\r\na2,p2,300,plain ü\r\na3,,7.25,last\r\n'


def test_a_file_that_was_cut_off_never_gives_wrong_rows_unnoticed(tmp_path: Path) -> None:
    """Cut at every byte: an error, or the first rows as they were; a cut inside the last cell is said in a note."""
    whole = read(tmp_path, {"opportunities": CUT.encode()}).rows("opportunities")
    for end in range(len(CUT.encode())):
        try:
            found = read(tmp_path, {"opportunities": CUT.encode()[:end]})
        except CrmsyncError:
            continue
        rows = found.rows("opportunities")
        if rows != whole[: len(rows)]:
            assert any("no line end" in note for note in found.report.notes)
            assert rows[:-1] == whole[: len(rows) - 1]
