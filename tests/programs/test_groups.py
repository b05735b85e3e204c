"""`groups:`: conditions per value of a column, each an aggregate with its own table, filter and window."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest

from crmsync.errors import ConfigError
from crmsync.programs.program import Aggregate, FromGroups, FromRows, Last, Period, RollsUp
from tests.programs.texts import HEAD, LADDER, loaded

LARGE = "{sum: opportunities.amount, where: is_won, during: last 12 months, at_least: 1000}"
PEOPLE = "{count: certifications, where: level = 'expert', at_least: 2}"


def groups(folder: Path, entry: str, more: str = "") -> FromGroups:
    source = loaded(folder, f"{HEAD}  it: {{groups: {entry}{more}}}\n{LADDER}").metrics["it"].source
    assert isinstance(source, FromGroups)
    return source


def refused(folder: Path, entry: str, more: str = "") -> str:
    with pytest.raises(ConfigError) as caught:
        groups(folder, entry, more)
    assert caught.value.line == 9
    return caught.value.message


def test_each_condition_has_a_table_a_filter_a_window_and_a_limit(tmp_path: Path) -> None:
    few = "{count: lines, dated_by: happened_on, at_most: 3}"
    found = groups(tmp_path, f"{{of: partner_id, having: [{LARGE}, {few}]}}")
    first, second = found.having
    assert (found.of, found.share) == ("partner_id", False)
    assert isinstance(first.source, FromRows)
    assert first.source.aggregate is Aggregate.SUM
    assert first.where is not None
    assert (first.during, first.at_most, first.limit, first.money) == (
        Last(12, Period.MONTHS),
        False,
        Decimal(1000),
        True,
    )
    assert (second.source, second.at_most) == (FromRows(Aggregate.COUNT, "lines", None), True)
    assert (second.dated_by, second.limit, second.money) == ("happened_on", Decimal(3), False)


def test_a_single_condition_needs_no_list(tmp_path: Path) -> None:
    assert len(groups(tmp_path, f"{{of: customer_id, having: {LARGE}}}").having) == 1


def test_a_share_is_a_percent_or_a_number(tmp_path: Path) -> None:
    assert groups(tmp_path, f"{{of: customer_id, having: [{LARGE}, {LARGE}], share: yes}}", ", unit: percent").share


@pytest.mark.parametrize("way", [RollsUp.OWN, RollsUp.BEST, RollsUp.FAMILY_BEST, RollsUp.INHERIT])
def test_their_result_rolls_up(tmp_path: Path, way: RollsUp) -> None:
    groups(tmp_path, f"{{of: customer_id, having: {LARGE}}}", f", rolls_up: {way}")


@pytest.mark.parametrize(
    ("entry", "more", "fragment"),
    [
        (f"{{having: {LARGE}}}", "", "`of:` is missing"),
        ("{of: customer_id}", "", "`having:` is missing"),
        ("{of: customer_id, having: []}", "", "`having:` names no condition"),
        (f"{{of: opportunities.customer_id, having: {LARGE}}}", "", "write its name alone"),
        (f"{{of: custommer_id, having: {LARGE}}}", "", "no column `custommer_id`; did you mean `customer_id`?"),
        (f"{{of: customer_id, having: [{LARGE}, {PEOPLE}]}}", "", "`certifications` (read on line 9) has no column"),
        ("{of: declared_categories, having: {count: partners, at_least: 1}}", "", "is a list"),
        ("{of: customer_id, having: {count: opportunities}}", "", "a condition needs one limit: at_least, at_most"),
        ("{of: customer_id, having: {at_least: 1}}", "", "a condition needs one source: sum, count"),
        ("{of: customer_id, having: {count: opportunities, at_least: 1, at_most: 2}}", "", "two limits"),
        (
            "{of: customer_id, having: {count: opportunities, sum: opportunities.amount, at_least: 1}}",
            "",
            "two sources",
        ),
        ("{of: customer_id, having: {count: opportunities, at_least: some}}", "", "`some` is not a number"),
        ("{of: customer_id, having: {count: oportunities, at_least: 1}}", "", "did you mean `opportunities`?"),
        ("{of: customer_id, having: {count: opportunities, atleast: 1}}", "", "did you mean `at_least`?"),
        ("{of: customer_id, having: {count: opportunities, during: last year, at_least: 1}}", "", "is not a window"),
        ("{of: customer_id, having: {count: opportunities, where: won, at_least: 1}}", "", "did you mean `is_won`?"),
        (f"{{of: customer_id, having: [{LARGE}], share: yes}}", "", "name a second one"),
        (f"{{of: customer_id, having: {LARGE}}}", ", unit: percent", "say `share: yes` for a percent"),
        (f"{{of: customer_id, having: [{LARGE}, {LARGE}], share: yes}}", ", unit: points", "write `unit: percent`"),
        (f"{{of: customer_id, having: {LARGE}}}", ", rolls_up: sum", "`groups` are counted per partner"),
        (f"{{of: customer_id, having: {LARGE}}}", ", during: last 12 months", "unknown key `during`"),
        (f"{{of: customer_id, having: {LARGE}, share: maybe}}", "", "`maybe` is not yes or no"),
    ],
)
def test_mistakes(tmp_path: Path, entry: str, more: str, fragment: str) -> None:
    assert fragment in refused(tmp_path, entry, more)
