"""Threshold tables: CSV or YAML, read row by row, every row asked for and every question answered."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest

from crmsync.errors import ConfigError
from crmsync.programs.program import Comparison, Criterion, FromSheet, MoneyValue, Program
from tests.programs.texts import COLUMNS, HEAD, LADDER, loaded

ASKING = LADDER.replace("{revenue: 500000}", "{revenue: from thresholds}")
HEADER = "ladder,tier,metric,value,region,country\n"
ROWS = HEADER + "main,gold,revenue,500000,,\nmain,gold,revenue,400000,EMEA,\nmain,gold,revenue,150000,APAC,IN\n"


def program(folder: Path, sheet: str = ROWS, text: str = ASKING, more: str = "", columns: object = COLUMNS) -> Program:
    (folder / "thresholds.csv").write_text(sheet, encoding="utf-8")
    return loaded(folder, HEAD + text + "thresholds: thresholds.csv\n" + more, columns)  # type: ignore[arg-type]


def criterion(found: Program, rule: str = "requires") -> Criterion:
    group = getattr(found.ladders["main"].tiers[1], rule)
    (one,) = group.parts
    assert isinstance(one, Criterion)
    return one


def rows(found: Program, rule: str = "requires") -> list[tuple[dict[str, str], object, int]]:
    sheet = criterion(found, rule).value
    assert isinstance(sheet, FromSheet)
    return [(dict(row.attributes), row.value, row.line) for row in sheet.rows]


def test_rows_stand_with_the_most_attributes_first(tmp_path: Path) -> None:
    found = program(tmp_path)
    assert criterion(found).comparison is Comparison.GE
    assert rows(found) == [
        ({"region": "APAC", "country": "IN"}, Decimal(150000), 4),
        ({"region": "EMEA"}, Decimal(400000), 3),
        ({}, Decimal(500000), 2),
    ]


def test_the_comparison_stands_at_the_criterion(tmp_path: Path) -> None:
    found = program(tmp_path, text=ASKING.replace("from thresholds", '"> from thresholds"'))
    assert criterion(found).comparison is Comparison.GT


def test_a_table_may_stand_in_the_program_or_in_another_yaml_file(tmp_path: Path) -> None:
    listed = (
        "- {ladder: main, tier: gold, metric: revenue, value: 500000}\n"
        "- {ladder: main, tier: gold, metric: revenue, value: 400000, region: EMEA}\n"
    )
    inline = loaded(tmp_path, HEAD + ASKING + "thresholds:\n" + listed)
    (tmp_path / "table.yaml").write_text(listed, encoding="utf-8")
    beside = loaded(tmp_path, HEAD + ASKING + "thresholds: table.yaml\n")
    assert [row[:2] for row in rows(inline)] == [({"region": "EMEA"}, Decimal(400000)), ({}, Decimal(500000))]
    assert [row[2] for row in rows(inline)] == [16, 15]
    assert [row[2] for row in rows(beside)] == [2, 1]


def test_rules_currencies_and_units(tmp_path: Path) -> None:
    text = LADDER.replace(
        "{revenue: 500000}",
        "{rate: from thresholds, plan: from thresholds}, keeps: {revenue: from thresholds}",
    )
    sheet = (
        "ladder;tier;rule;metric;value;currency\nmain;gold;;rate;30%;\nmain;gold;requires;plan;yes;\n"
        "main;gold;keeps;revenue;5000;USD\n"
    )
    (tmp_path / "rates.csv").write_text("currency,rate\nEUR,1\nUSD,1.1\n", encoding="utf-8")
    found = program(tmp_path, sheet, text, "rates: rates.csv\n")
    assert rows(found, "keeps") == [({}, MoneyValue(Decimal(5000), "USD"), 4)]
    requires = found.ladders["main"].tiers[1].requires
    assert requires is not None
    values = [
        one.value.rows[0].value
        for one in requires.parts
        if isinstance(one, Criterion)
        if isinstance(one.value, FromSheet)
    ]
    assert values == [Decimal("0.3"), True]


def test_yes_and_no_of_an_attribute_are_what_the_column_holds(tmp_path: Path) -> None:
    found = program(tmp_path, "ladder,tier,metric,value,has_plan\nmain,gold,revenue,1,yes\n")
    assert rows(found)[0][0] == {"has_plan": "true"}


def test_the_table_is_part_of_the_programs_digest(tmp_path: Path) -> None:
    first = program(tmp_path).digest
    assert program(tmp_path, ROWS.replace("150000", "160000")).digest != first


def test_where_the_tables_are_not_known_a_further_column_may_be_one_of_partners(tmp_path: Path) -> None:
    found = program(tmp_path, ROWS.replace("country", "programme"), columns=None)
    assert rows(found)[0][0] == {"region": "APAC", "programme": "IN"}


@pytest.mark.parametrize(
    ("old", "new", "line", "problem"),
    [
        ("main,gold,revenue,400000", "mian,gold,revenue,400000", 3, "unknown ladder `mian`; did you mean `main`?"),
        ("gold,revenue,400000", "god,revenue,400000", 3, "unknown tier `god`; did you mean `gold`?"),
        ("revenue,400000", "revenu,400000", 3, "unknown metric `revenu`; did you mean `revenue`?"),
        ("400000", "400k", 3, "`400k` is not a number"),
        ("400000", "people", 3, "`people` is a metric; a threshold table holds values"),
        ("400000", "", 3, "`value` is empty"),
        ("EMEA,", ",", 3, "two rows for main gold requires revenue with no attributes (the first on line 2)"),
        ("revenue,400000", "people,4", 3, "no criterion asks for this row: write `people: from thresholds`"),
        ("region", "regoin", 1, "`regoin` is neither a column of the table nor of `partners`; did you mean `region`?"),
        ("country", "declared_categories", 1, "`declared_categories` is a list"),
        ("value,", "values,", 1, "column `value` is missing; did you mean `values`?"),
    ],
)
def test_mistakes_in_the_table(tmp_path: Path, old: str, new: str, line: int, problem: str) -> None:
    with pytest.raises(ConfigError) as caught:
        program(tmp_path, ROWS.replace(old, new))
    assert problem in caught.value.message
    assert (caught.value.file, caught.value.line) == (str(tmp_path / "thresholds.csv"), line)


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ("revenue,5", "revenue,keep,5", "unknown rule `keep`; did you mean `keeps`?"),
        ("revenue,5", "revenue,keeps,5", "no criterion asks for this row"),
    ],
)
def test_mistakes_in_the_rule(tmp_path: Path, old: str, new: str, problem: str) -> None:
    sheet = "ladder,tier,metric,rule,value\nmain,gold,revenue,requires,4\nmain,gold,revenue,5\n".replace(old, new)
    with pytest.raises(ConfigError) as caught:
        program(tmp_path, sheet)
    assert problem in caught.value.message
    assert caught.value.line == 3


def test_every_question_has_a_row(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"no row with ladder `main`, tier `gold`, metric `people`") as caught:
        program(tmp_path, text=ASKING.replace("{revenue:", "{people: from thresholds, revenue:"))
    assert caught.value.line == 13


def test_it_is_the_whole_value_of_a_criterion(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="it cannot stand here") as caught:
        program(tmp_path, text=ASKING.replace("from thresholds", "{by: region, default: from thresholds}"))
    assert caught.value.line == 13
