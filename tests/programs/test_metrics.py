"""Metrics: one source each, checked against the tables and the unit."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest

from crmsync.errors import ConfigError
from crmsync.programs.program import (
    Aggregate,
    FromField,
    FromFormula,
    FromPast,
    FromRows,
    Last,
    Metric,
    Period,
    RollsUp,
    Shift,
    Unit,
    WhenMissing,
)
from tests.programs.texts import HEAD, LADDER, loaded


def metric(folder: Path, entry: str) -> Metric:
    return loaded(folder, f"{HEAD}  it: {entry}\n{LADDER}").metrics["it"]


def refused(folder: Path, entry: str) -> str:
    with pytest.raises(ConfigError) as caught:
        metric(folder, entry)
    assert caught.value.line == 9
    return caught.value.message


def test_defaults(tmp_path: Path) -> None:
    found = metric(tmp_path, "{count: opportunities}")
    assert found == Metric(
        key="it", line=9, unit=Unit.NUMBER, source=FromRows(Aggregate.COUNT, "opportunities", None), label="it"
    )


def test_every_key_is_read(tmp_path: Path) -> None:
    found = metric(
        tmp_path,
        "{label: It, means: what it is, unit: money, sum: opportunities.amount, where: is_won, kind: lagging, "
        "during: last 2 quarters, dated_by: registered_on, rolls_up: sum, when_missing: zero, better: lower}",
    )
    assert (found.label, found.means, found.unit) == ("It", "what it is", Unit.MONEY)
    assert found.where is not None
    assert found.where.text == "is_won"
    assert found.during == Last(2, Period.QUARTERS)
    assert (found.dated_by, found.rolls_up, found.when_missing) == ("registered_on", RollsUp.SUM, WhenMissing.ZERO)
    assert found.kind == "lagging"
    assert found.lower_is_better


@pytest.mark.parametrize("aggregate", ["sum", "average", "minimum", "maximum", "count_distinct"])
def test_aggregates_read_an_expression_over_the_rows(tmp_path: Path, aggregate: str) -> None:
    source = metric(tmp_path, f"{{{aggregate}: opportunities.amount * share / 2}}").source
    assert isinstance(source, FromRows)
    assert (source.aggregate, source.table) == (Aggregate(aggregate), "opportunities")
    assert source.value is not None
    assert source.value.columns == {("opportunities", "amount"), ("opportunities", "share")}


def test_fields_formulas_and_the_past(tmp_path: Path) -> None:
    assert metric(tmp_path, "{unit: percent, field: partners.churn_pct, of_hundred: yes}").source == FromField(
        "churn_pct", of_hundred=True
    )
    source = metric(tmp_path, "{unit: yes_no, formula: revenue > 5 and plan}").source
    assert isinstance(source, FromFormula)
    assert source.formula.metrics == {"revenue", "plan"}
    entry = "{unit: percent, growth_of: revenue, versus: 1 year earlier, when_base_is_zero: 100%}"
    assert metric(tmp_path, entry).source == FromPast("revenue", Shift(1, Period.YEARS), True, Decimal(1))
    entry = "{change_of: revenue, versus: 6 months earlier}"
    assert metric(tmp_path, entry).source == FromPast("revenue", Shift(6, Period.MONTHS), False, None)


def test_extremes_may_be_texts_and_yes_or_no(tmp_path: Path) -> None:
    metric(tmp_path, "{unit: text, maximum: certifications.level}")
    metric(tmp_path, "{unit: yes_no, maximum: activities.verified}")
    assert "gives a text, but a number is needed" in refused(tmp_path, "{maximum: certifications.level}")


def test_a_metric_may_bear_the_name_of_the_partner_column_it_reads(tmp_path: Path) -> None:
    text = f"{HEAD}  churn_pct: {{field: partners.churn_pct}}\n{LADDER}"
    assert loaded(tmp_path, text).metrics["churn_pct"].source == FromField("churn_pct")


@pytest.mark.parametrize(
    "name", ["median", "first", "last", "groups", "score", "rank_of", "percentile_of", "tier_of", "held_for"]
)
def test_sources_that_are_not_built_are_refused_by_name(tmp_path: Path, name: str) -> None:
    assert refused(tmp_path, f"{{{name}: opportunities.amount}}") == f"`{name}` is not built yet"


@pytest.mark.parametrize("name", ["split_by", "rolls_up_where", "within"])
def test_options_that_are_not_built_are_refused_by_name(tmp_path: Path, name: str) -> None:
    assert refused(tmp_path, f"{{count: opportunities, {name}: x}}") == f"`{name}` is not built yet"


@pytest.mark.parametrize("name", ["family", "best", "family best", "inherit"])
def test_roll_ups_that_are_not_built_are_refused_by_name(tmp_path: Path, name: str) -> None:
    assert refused(tmp_path, f"{{count: opportunities, rolls_up: {name}}}") == f"`rolls_up: {name}` is not built yet"


@pytest.mark.parametrize(
    ("entry", "fragment"),
    [
        ("{unit: number}", "a metric needs one source"),
        ("{conut: opportunities}", "unknown key `conut`; did you mean `count`?"),
        ("{count: opportunities, sum: opportunities.amount}", "two sources"),
        ("{count: opportunity}", "unknown table `opportunity`; did you mean `opportunities`?"),
        ("{count: rates}", "unknown table `rates`"),
        ("{sum: amount}", "write table.column"),
        ("{sum: 'coalesce(opportunities.amount, 0)'}", "write table.column"),
        ("{sum: opportunities.is_won}", "gives a condition, but a number is needed"),
        ("{unit: yes_no, count: opportunities}", "gives a number, but the unit is yes_no"),
        ("{unit: money, count_distinct: opportunities.amount}", "the unit is money"),
        ("{count: opportunities, of_hundred: yes}", "unknown key `of_hundred`"),
        ("{count: opportunities, dated_by: stage}", "`stage` is a text, not a date"),
        ("{count: opportunities, dated_by: closed}", "did you mean `closed_on`?"),
        ("{count: certifications, during: in force, dated_by: issued_on}", "`in force` asks for"),
        ("{count: lines, during: in force}", "`lines` has not both"),
        ("{formula: revenue, during: ever}", "unknown key `during`"),
        ("{formula: revenue + it}", "metrics in a circle: it -> it"),
        ("{unit: yes_no, formula: revenue}", "gives a number, but a condition"),
        ("{field: partners.joined_on}", "is a date, but the unit is number; write days as `formula: as_of - partners"),
        ("{field: churn_pct}", "write partners.column"),
        ("{unit: yes_no, field: partners.has_plan, rolls_up: sum}", "cannot be added up"),
        ("{unit: text, field: partners.segment, when_missing: zero}", "a text cannot be zero"),
        ("{growth_of: revenues, versus: 1 year earlier}", "unknown metric `revenues`; did you mean `revenue`?"),
        ("{growth_of: it, versus: 1 year earlier}", "metrics in a circle"),
        ("{change_of: revenue, versus: 1 year earlier, when_base_is_zero: 0}", "unknown key `when_base_is_zero`"),
        ("{count: opportunities, label: ''}", "an empty label"),
    ],
)
def test_mistakes(tmp_path: Path, entry: str, fragment: str) -> None:
    assert fragment in refused(tmp_path, entry)


def test_a_circle_of_several_metrics_is_named(tmp_path: Path) -> None:
    circle = "  a: {formula: b + 1}\n  b: {formula: c}\n  c: {change_of: a, versus: 1 year earlier}\n"
    with pytest.raises(ConfigError, match="metrics in a circle: a -> b -> c -> a"):
        loaded(tmp_path, HEAD + circle + LADDER)


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ("  Revenue: {count: opportunities}\n", "`Revenue` and `revenue` differ in case alone"),
        (
            "  Region: {count: opportunities}\n",
            "rename it .that is `partners.region`",
        ),
        ("  NONE: {count: opportunities}\n", "cannot name a metric"),
    ],
)
def test_names_are_told_apart_without_their_case(tmp_path: Path, entry: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        loaded(tmp_path, HEAD + entry + LADDER)
