"""files.yaml says how files become tables; every mistake in it names its line."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from pathlib import Path

import pytest

from crmsync.connectors.files import FilesMapping, read_files_mapping
from crmsync.errors import ConfigError
from tests.connectors.files.folders import read

EXPORT = "Account Number;Completed;Fee;Skills\r\n012;31.1.2026;1.234;a|b\r\n013;2026-02-28;5;\r\n"
MAPPING = """\
time_zone: Europe/Berlin
tables:
  certifications:
    file: LMS export.csv
    columns: {partner_id: Account Number, issued_on: Completed}
    date_format: DD.MM.YYYY
    expires_on: last day
    delimiter: semicolon
    decimals: comma
    list_separator: "|"
    money: [Fee]
"""


def mapping(folder: Path, text: str) -> FilesMapping:
    path = folder / "files.yaml"
    path.write_text(text)
    return read_files_mapping(path)


def test_every_key_has_its_effect(tmp_path: Path) -> None:
    found = read(tmp_path, {"LMS export.csv": EXPORT.replace("1.234", "1,239")}, mapping(tmp_path, MAPPING))
    assert found.rows("certifications") == [
        {"partner_id": "012", "issued_on": dt.date(2026, 1, 31), "Fee": Decimal("1.24"), "Skills": "a|b"},
        {"partner_id": "013", "issued_on": dt.date(2026, 2, 28), "Fee": Decimal("5.00"), "Skills": None},
    ]
    assert found.staging.tables["certifications"].expires_on_is_last_day


def test_the_decimal_mark_of_the_mapping_is_the_only_one(tmp_path: Path) -> None:
    found = read(tmp_path, {"LMS export.csv": EXPORT}, mapping(tmp_path, MAPPING))
    assert found.faults == [(2, "Fee", "1.234")]


def test_a_main_date_that_is_mapped_counts(tmp_path: Path) -> None:
    text = "tables: {lines: {main_date: started_on}}\n"
    found = read(tmp_path, {"lines": "partner_id,started_on\n1,2026-01-31\n"}, mapping(tmp_path, text))
    assert found.staging.tables["lines"].main_date == "started_on"


def test_without_a_file_there_is_the_plain_mapping(tmp_path: Path) -> None:
    assert read_files_mapping(tmp_path / "none.yaml") == FilesMapping()


def test_the_packaged_mapping_is_the_plain_one(project: Path) -> None:
    assert read_files_mapping(project / "config" / "connectors" / "files.yaml") == FilesMapping()


@pytest.mark.parametrize(
    ("old", "new", "line", "words"),
    [
        ("Europe/Berlin", "Europe/Brelin", 1, "`Europe/Brelin` is not a time zone"),
        ("date_format", "dateformat", 6, "unknown key `dateformat`; did you mean `date_format`?"),
        ("DD.MM.YYYY", "DD.MM.YY", 6, "`DD.MM.YY` is not a date format; write YYYY, MM and DD once each"),
        ("last day", "lastday", 7, "`lastday` is not a way to end a validity; did you mean `last day`?"),
        ("semicolon", "pipe", 8, "`pipe` is not a delimiter; write comma, semicolon or tab"),
        ("comma", "komma", 9, "`komma` is not a decimal mark; write point or comma"),
        ('"|"', '"||"', 10, "`||` is not a separator of lists"),
        ("LMS export.csv", "../export.csv", 4, "is not the name of a .csv or .parquet file in the folder"),
        ("LMS export.csv", "export.xlsx", 4, "is not the name of a .csv or .parquet file in the folder"),
        ("issued_on: Completed", "issued_on: Account Number", 5, "heading `Account Number` is used for two columns"),
    ],
)
def test_a_mistake_names_its_line(tmp_path: Path, old: str, new: str, line: int, words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        mapping(tmp_path, MAPPING.replace(old, new))
    assert str(caught.value).startswith(f"{tmp_path / 'files.yaml'}:{line}: ")
    assert words in caught.value.message


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("tables: {lines: {columns: {partner_id: Accuont}}}", "has no heading `Accuont`, which the mapping of lines"),
        ("tables: {lines: {main_date: begun_on}}", "has no column `begun_on`, which the mapping names as main date"),
        ("tables: {lines: {file: gone.csv}}", r"has no file gone\.csv, which the mapping of lines names"),
        ("tables: {lines: {columns: {happened_on: Account}}}", "headings `Account` and `happened_on` both give"),
    ],
)
def test_a_mapping_that_does_not_fit_the_file_is_refused(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        read(tmp_path, {"lines": "partner_id,Account,happened_on\n1,x,2026-01-31\n"}, mapping(tmp_path, text))
