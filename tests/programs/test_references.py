"""References: CSV files looked up by key columns, with chains, dates, and a row for everybody else."""

from __future__ import annotations

from pathlib import Path

import pytest

from crmsync.errors import ConfigError
from crmsync.programs.program import Program, Reference
from tests.programs.texts import HEAD, LADDER, loaded

MARKETS = "country,factor,zone,strategic,opened\nDE,1.5,07,true,2020-01-01\nFR,2,09,FALSE,2021-01-01\n*,1,01,,\n"


def program(folder: Path, references: str, **files: str) -> Program:
    for name, text in {"markets": MARKETS, **files}.items():
        (folder / f"{name}.csv").write_text(text, encoding="utf-8")
    metric = "  extra: {unit: points, sum: opportunities.amount * markets.factor}\n"
    return loaded(folder, HEAD + metric + LADDER + f"references:\n  {references}\n")


def markets(folder: Path, references: str, **files: str) -> Reference:
    return program(folder, references, **files).references["markets"]


def test_columns_are_typed_by_their_cells_and_keys_stay_text(tmp_path: Path) -> None:
    found = markets(tmp_path, "markets: {file: markets.csv, key: {country: partners.country}}")
    assert found.key == (("country", "partners.country"),)
    assert found.columns == {
        "country": "text",
        "factor": "number",
        "zone": "text",
        "strategic": "yes_no",
        "opened": "date",
    }
    assert found.rows[0] == {
        "country": "DE",
        "factor": "1.5",
        "zone": "07",
        "strategic": "true",
        "opened": "2020-01-01",
    }
    assert not found.effective_from


def test_key_with_equal_names_and_composite_keys(tmp_path: Path) -> None:
    text = "stage,type,factor\nwon,new,1\nwon,renewal,2\n"
    found = markets(tmp_path, "markets: {file: markets.csv, key: [stage, type]}", markets=text)
    assert found.key == (("stage", "stage"), ("type", "type"))
    found = markets(tmp_path, "markets: {file: markets.csv, key: stage}", markets="stage,factor\nwon,1\n")
    assert found.key == (("stage", "stage"),)


def test_a_spreadsheets_csv_is_read(tmp_path: Path) -> None:
    text = '\ufeffcountry;factor\r\nDE; 1.5 \r\n"FR";2\r\n\r\n'
    found = markets(tmp_path, "markets: {file: markets.csv, key: {country: partners.country}}", markets=text)
    assert found.rows == ({"country": "DE", "factor": "1.5"}, {"country": "FR", "factor": "2"})


def test_rows_of_different_dates_are_kept_and_dated_by_names_the_date(tmp_path: Path) -> None:
    text = "country,effective_from,factor\nDE,,1\nDE,2026-01-01,2\n"
    entry = "markets: {file: markets.csv, key: {country: partners.country}, dated_by: created_on}"
    found = markets(tmp_path, entry, markets=text)
    assert found.effective_from
    assert found.dated_by == "created_on"
    assert found.columns["effective_from"] == "date"


def test_a_key_may_come_from_another_reference(tmp_path: Path) -> None:
    entry = """regions: {file: regions.csv, key: {country: partners.country}}
  markets: {file: markets.csv, key: {zone: regions.zone}}"""
    found = program(tmp_path, entry, regions="country,zone\nDE,07\n", markets="zone,factor\n07,2\n")
    assert found.references["markets"].key == (("zone", "regions.zone"),)


@pytest.mark.parametrize(
    ("entry", "text", "message"),
    [
        ("{country: partners.country}", "country,factor\nDE,1\nDE,2\n", "markets.csv:3: the key `DE` stands twice"),
        ("{country: partners.country}", "country,factor\nDE,1,2\n", "markets.csv:2: 3 cells, but 2 columns"),
        ("{country: partners.country}", "country,country\nDE,1\n", "markets.csv:1: column `country` stands twice"),
        ("{country: partners.country}", "country,\nDE,1\n", "markets.csv:1: column 2 has no name"),
        ("{country: partners.country}", "", "markets.csv:1: is empty"),
        ("{land: partners.country}", MARKETS, "markets.csv:1: column `land` is missing"),
        ("{country: partner.country}", MARKETS, "unknown reference `partner` in the key; did you mean `partners`?"),
        ("{country: markets.zone}", MARKETS, "references in a circle: markets -> markets"),
        ("{country: partners.land}", MARKETS, "`partners` has no column `land`"),
        ("{country: country}", MARKETS, "`markets` is looked up by `country`, but `opportunities` has no column"),
        ("{country: partners.declared_categories}", MARKETS, "cannot be looked up by the list"),
        ("{country: a.b.c}", MARKETS, "is not a column"),
        ("{}", MARKETS, "names no column"),
        (
            "{country: partners.country}",
            "country,effective_from,factor\nDE,01.02.2026,1\n",
            "markets.csv:2: `01.02.2026` in `effective_from` is not a date",
        ),
    ],
)
def test_mistakes_name_file_and_line(tmp_path: Path, entry: str, text: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        program(tmp_path, f"markets: {{file: markets.csv, key: {entry}}}", markets=text)
    assert message in str(caught.value)


def test_a_quoted_line_break_does_not_shift_line_numbers(tmp_path: Path) -> None:
    text = 'country,factor,note\nDE,1,"two\nlines"\nFR,1,x\nFR,2,y\n'
    with pytest.raises(ConfigError, match=r"markets.csv:5: the key `FR` stands twice \(first on line 4\)"):
        program(tmp_path, "markets: {file: markets.csv, key: {country: partners.country}}", markets=text)


def test_a_reference_is_read_row_by_row_only(tmp_path: Path) -> None:
    text = HEAD + "  x: {formula: markets.factor + 1}\n" + LADDER
    text += "references: {markets: {file: markets.csv, key: {country: partners.country}}}\n"
    (tmp_path / "markets.csv").write_text(MARKETS, encoding="utf-8")
    with pytest.raises(ConfigError, match="is looked up for the rows of a table"):
        loaded(tmp_path, text)
