"""Criteria: comparisons, units, tables by attribute, other metrics, and groups that nest."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest

from crmsync.errors import ConfigError
from crmsync.programs.program import ByAttribute, Comparison, Criterion, Group, Junction, OtherMetric
from tests.programs.texts import asking


def group(folder: Path, requires: str) -> Group:
    found = asking(folder, requires).ladders["main"].tiers[1].requires
    assert found is not None
    return found


def criterion(folder: Path, requires: str) -> Criterion:
    (part,) = group(folder, requires).parts
    assert isinstance(part, Criterion)
    return part


def refused(folder: Path, requires: str) -> str:
    with pytest.raises(ConfigError) as caught:
        asking(folder, requires)
    assert caught.value.line == 14
    return caught.value.message


@pytest.mark.parametrize(
    ("text", "metric", "comparison", "value"),
    [
        ("{revenue: 100000}", "revenue", ">=", Decimal(100000)),
        ("{revenue: 100000.50}", "revenue", ">=", Decimal("100000.50")),
        ('{people: "> 4"}', "people", ">", Decimal(4)),
        ('{people: "<=4"}', "people", "<=", Decimal(4)),
        ('{people: "< 4"}', "people", "<", Decimal(4)),
        ('{people: "= 4"}', "people", "=", Decimal(4)),
        ("{rate: 30%}", "rate", ">=", Decimal("0.3")),
        ('{rate: "<= -2.5%"}', "rate", "<=", Decimal("-0.025")),
        ("{rate: 0.3}", "rate", ">=", Decimal("0.3")),
        ("{plan: yes}", "plan", "=", True),
        ("{plan: false}", "plan", "=", False),
        ('{level: "= strategic"}', "level", "=", "strategic"),
        ("{level: \"= 'it''s, this'\"}", "level", "=", "it's, this"),
        ("{revenue: people}", "revenue", ">=", OtherMetric("people")),
        ('{revenue: "> people"}', "revenue", ">", OtherMetric("people")),
    ],
)
def test_a_criterion(tmp_path: Path, text: str, metric: str, comparison: str, value: object) -> None:
    assert criterion(tmp_path, text) == Criterion(metric, Comparison(comparison), value, 14)  # type: ignore[arg-type]


def test_a_table_by_attribute_nests(tmp_path: Path) -> None:
    found = criterion(
        tmp_path, "{revenue: {by: region, default: 5, NO: 4, APAC: {by: partners.country, default: 3, IN: 1}}}"
    )
    inner = ByAttribute("country", {"IN": Decimal(1)}, Decimal(3))
    assert found.value == ByAttribute("region", {"NO": Decimal(4), "APAC": inner}, Decimal(5))
    assert found.comparison is Comparison.GE


def test_a_table_by_attribute_has_one_comparison(tmp_path: Path) -> None:
    found = criterion(tmp_path, '{rate: {by: has_plan, default: "<= 30%", yes: "<= 20%"}}')
    assert found.comparison is Comparison.LE
    assert found.value == ByAttribute("has_plan", {"true": Decimal("0.2")}, Decimal("0.3"))
    assert "one for all" in refused(tmp_path, '{rate: {by: region, default: "<= 30%", EMEA: 20%}}')


def test_a_mapping_or_a_list_means_all(tmp_path: Path) -> None:
    for text in ("{revenue: 1, people: 2}", "[{revenue: 1}, {people: 2}]", "{all: [{revenue: 1}, {people: 2}]}"):
        found = group(tmp_path, text)
        assert found.junction is Junction.ALL
        assert [part.metric for part in found.parts if isinstance(part, Criterion)] == ["revenue", "people"]


def test_groups_nest_freely(tmp_path: Path) -> None:
    found = group(tmp_path, "{revenue: 1, any: [{people: 2}, {none: {plan: yes, rate: 1%}}, {people: 1, plan: no}]}")
    assert found.junction is Junction.ALL
    _, either = found.parts
    assert isinstance(either, Group)
    assert [type(part) for part in either.parts] == [Criterion, Group, Group]
    assert [part.junction for part in either.parts if isinstance(part, Group)] == [Junction.NONE, Junction.ALL]


def test_at_least_counts_parts(tmp_path: Path) -> None:
    found = group(tmp_path, "{at_least: 2, of: [{revenue: 1}, {people: 2}, {plan: yes}], including: [people]}")
    assert (found.junction, found.at_least, found.including) == (Junction.AT_LEAST, 2, (1,))
    assert len(found.parts) == 3


def test_including_may_repeat_a_part_or_bring_one(tmp_path: Path) -> None:
    found = group(tmp_path, "{at_least: 2, of: [{revenue: 1}, {people: 2}], including: [{people: 2}]}")
    assert (len(found.parts), found.including) == (2, (1,))
    found = group(tmp_path, "{at_least: 2, of: [{revenue: 1}, {people: 2}], including: [{plan: yes}]}")
    assert (len(found.parts), found.including) == (3, (2,))


@pytest.mark.parametrize(
    ("text", "fragment"),
    [
        ("revenue", "is no criterion"),
        ("[revenue]", "is no criterion"),
        ("[]", "an empty group"),
        ("{any: []}", "an empty group"),
        ("{revenu: 1}", "unknown metric `revenu`; did you mean `revenue`?"),
        ("{revenue: [1]}", "needs one value, not a list"),
        ("{revenue: 1.000.000}", "without separators"),
        ("{revenue: 1k}", "neither a number nor a metric; write it like 100000"),
        ("{revenue: peoples}", "did you mean `people`?"),
        ("{revenue: level}", "cannot be compared with `level`"),
        ("{revenue: revenue}", "is compared with itself"),
        ('{revenue: ">"}', "compares with nothing"),
        ('{revenue: "=> 4"}', "write one of >="),
        ("{revenue: 30%}", "is no percent"),
        ("{rate: 30}", "write 30% instead of 30"),
        ('{rate: "<= 1.01"}', "write 1.01% instead of 1.01"),
        ("{plan: 1}", "`plan` is yes or no, and `1` is neither"),
        ('{plan: "> yes"}', "write `plan: yes`"),
        ("{revenue: yes}", "is a number"),
        ("{level: strategic}", 'write "= strategic"'),
        ("{people: 5 EUR}", "is no money"),
        ("{revenue: {default: 1, EMEA: 2}}", "starts with `by:`"),
        ("{revenue: {by: region, EMEA: 2}}", "needs a `default:`"),
        ("{revenue: {by: declared_categories, default: 2}}", "is a list"),
        ("{revenue: {by: regio, default: 2}}", "did you mean `region`?"),
        ("{revenue: {by: region, default: 1, EMEA: x}}", "neither a number nor a metric"),
        ("{of: [{revenue: 1}]}", "belongs to `at_least:`"),
        ("{at_least: 1}", "needs `of:`"),
        ("{at_least: two, of: [{revenue: 1}]}", "is not a whole number"),
        ("{at_least: 2, of: [{revenue: 1}]}", "of 1 parts"),
        ("{at_least: 1, of: [{revenue: 1}, {people: 1}], including: [revenue, people]}", "more than `at_least: 1`"),
        ("{revenue: from thresholds}", "`from thresholds` needs `thresholds:`"),
    ],
)
def test_mistakes(tmp_path: Path, text: str, fragment: str) -> None:
    assert fragment in refused(tmp_path, text)
