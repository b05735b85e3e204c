"""One mistake per file: the message names file and line, and says what is wrong or what would be right."""

from __future__ import annotations

from pathlib import Path

import pytest

from crmsync.errors import ConfigError
from tests.connectors.files.folders import read

FOLDER = Path(__file__).parent.parent.parent / "bad_config" / "tables"

UNUSABLE = {
    "partners.no-id": (1, "has no column `partner_id`, which partners need"),
    "partners.doubled-heading": (1, "column `name` stands there 2 times"),
    "partners.doubled-in-capitals": (1, "column `name` stands there 2 times (capitals do not tell names apart)"),
    "partners.utf-16": (1, "is UTF-16 text, not UTF-8; save it as UTF-8 (in Excel: Save as, `CSV UTF-8`)"),
    "partners.latin-1": (3, "byte FC is not UTF-8 text (in Windows-1252 it is `ü`); save it as UTF-8"),
    "partners.workbook": (1, "is a workbook, not a CSV file"),
    "partners.empty": (1, "is empty; the first line must name the columns"),
    "partners.only-blank-lines": (4, "is empty"),
    "partners.open-quote": (3, "a quote is opened here and never closed; was the file cut off?"),
    "partners.open-heading": (1, "a quote is opened among the headings and never closed"),
    "partners.two-delimiters": (1, "comma and semicolon are equally frequent; name the `delimiter:` in files.yaml"),
    "opportunities.pipes": (1, "has no column `opportunity_id`"),
    "opportunities.no-partner": (1, "has no column `partner_id`"),
    "opportunities.cut-in-quotes": (3, "never closed"),
    "rates.no-rate": (1, "has no column `rate`"),
    "overrides.no-partner": (1, "has no column `partner_id`"),
    "certifications.windows": (3, "byte 96 is not UTF-8 text (in Windows-1252 it is `–`)"),
}
BAD_ROW = {
    "partners.empty-id": ("partner_id", "", "is empty; every row of partners needs one"),
    "partners.too-few": ("", "2,Two", "too few cells: 2 here, but the first line names 3 columns"),
    "partners.too-many": ("", "2,Two,APAC,x", "too many cells: 4 here, but the first line names 3 columns"),
    "partners.stray-quote": ("", '2,5" Two,APAC', "a quote in the middle of a cell; put the whole cell in quotes"),
    "partners.nul": ("", "2,T\0wo,APAC", "a NUL character"),
    "opportunities.no-number": ("amount", "twenty", "is not a number; write it like 1234.56"),
    "opportunities.percent": ("amount", "20%", "has a percent sign; write 30% as 0.3"),
    "opportunities.decimal-comma": ("amount", "20,5", "has another decimal mark than the rest of the file"),
    "opportunities.no-day": ("closed_on", "2026-02-29", "is not a day of the calendar"),
    "opportunities.german-date": ("closed_on", "28.02.2026", "is not a date; write it like 2026-01-31"),
    "opportunities.no-yes-no": ("is_won", "maybe", "is not yes or no; write true or false"),
    "opportunities.empty-id": ("opportunity_id", "", "is empty; every row of opportunities needs one"),
}


def table_of(case: str) -> tuple[str, bytes]:
    return case.split(".")[0], (FOLDER / f"{case}.csv").read_bytes()


@pytest.mark.parametrize("case", UNUSABLE)
def test_a_file_that_cannot_be_used_is_refused_with_file_and_line(case: str, tmp_path: Path) -> None:
    table, content = table_of(case)
    line, fragment = UNUSABLE[case]
    with pytest.raises(ConfigError) as caught:
        read(tmp_path, {table: content})
    assert str(caught.value).startswith(f"{tmp_path / 'tables' / table}.csv:{line}: ")
    assert fragment in caught.value.message
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("case", BAD_ROW)
def test_a_bad_row_is_left_out_with_file_line_column_value_and_reason(case: str, tmp_path: Path) -> None:
    table, content = table_of(case)
    found = read(tmp_path, {table: content})
    (bad,) = found.report.rejected
    assert (bad.file, bad.line, bad.column, bad.value) == (f"{table}.csv", 3, *BAD_ROW[case][:2])
    assert bad.reason.startswith(BAD_ROW[case][2])
    assert found.report.rows == {table: 1}


def test_every_file_has_its_expectation() -> None:
    assert {path.stem for path in FOLDER.glob("*.csv")} == {*UNUSABLE, *BAD_ROW}
