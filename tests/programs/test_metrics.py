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


@pytest.mark.parametrize("aggregate", [one for one in Aggregate if one is not Aggregate.COUNT])
def test_every_aggregate_reads_an_expression(tmp_path: Path, aggregate: Aggregate) -> None:
    found = metric(tmp_path, f"{{{aggregate}: opportunities.amount * share}}").source
    assert isinstance(found, FromRows)
    assert found.aggregate is aggregate
    assert found.value is not None
    assert found.value.columns == {("opportunities", "amount"), ("opportunities", "share")}


def test_first_and_last_may_be_texts_and_yes_or_no(tmp_path: Path) -> None:
    metric(tmp_path, "{unit: text, last: certifications.level}")
    metric(tmp_path, "{unit: yes_no, first: activities.verified}")
    assert "gives a text, but a number is needed" in refused(tmp_path, "{last: certifications.level}")
    assert "`median` gives a number, but the unit is text" in refused(tmp_path, "{unit: text, median: activities.kind}")


@pytest.mark.parametrize(
    ("column", "found"),
    [
        ("product_line", "product_line"),
        ("opportunities.product_line", "product_line"),
        ("region", "partners.region"),
        ("partners.region", "partners.region"),
        ("partner_id", "partner_id"),
        ("partners.has_plan", "partners.has_plan"),
    ],
)
def test_a_split_is_looked_up_in_the_table_first_then_in_partners(tmp_path: Path, column: str, found: str) -> None:
    assert metric(tmp_path, f"{{sum: opportunities.amount, split_by: {column}}}").split_by == found


@pytest.mark.parametrize("way", list(RollsUp))
def test_rows_roll_up_in_every_way(tmp_path: Path, way: RollsUp) -> None:
    assert metric(tmp_path, f"{{count: opportunities, rolls_up: {way}}}").rolls_up is way


def test_rolls_up_where_compares_the_asked_account_with_the_receiving_one(tmp_path: Path) -> None:
    entry = "{count: opportunities, rolls_up: sum, rolls_up_where: region = parent.region and not has_plan}"
    where = metric(tmp_path, entry).rolls_up_where
    assert where is not None
    assert where.columns == {("partners", "region"), ("parent", "region"), ("partners", "has_plan")}


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
        ("{count: opportunities, split_by: regoin}", "neither `opportunities` nor `partners` has a column `regoin`"),
        ("{count: opportunities, split_by: declared_categories}", "is a list; `split_by:` needs"),
        ("{count: opportunities, split_by: lines.plan}", "write one of `opportunities`, or partners.column"),
        ("{formula: revenue, split_by: region}", "unknown key `split_by`"),
        ("{formula: revenue, rolls_up: family}", "put `rolls_up: family` on the metrics it reads"),
        ("{unit: text, field: partners.segment, rolls_up: best}", "a text cannot be added up or ranked; only own"),
        ("{count: opportunities, rolls_up: familiy best}", "did you mean `family best`?"),
        ("{count: opportunities, rolls_up_where: region = parent.region}", "needs a `rolls_up` other than own"),
        (
            "{count: opportunities, rolls_up: sum, rolls_up_where: region = parent.regoin}",
            "`partners` has no column `regoin`; did you mean `region`?",
        ),
        ("{count: opportunities, where: parent.region = 'x'}", "it stands in `rolls_up_where` and `family`"),
        ("{count: opportunities, during: last 12 months until partners.region}", "is a text, not a date"),
        ("{count: opportunities, during: ever until partners.left_on}", "`partners` has no column `left_on`"),
        ("{growth_of: rated, versus: 1 year earlier}", "unknown metric `rated`; did you mean `rate`?"),
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
