"""Ranks, tiers as numbers, and days held: what they may look at, and the circles that are refused."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest

from crmsync.errors import ConfigError
from crmsync.programs.program import Comparison, Criterion, FromHeld, FromRank, FromTier, Group, Metric
from tests.programs.texts import HEAD, LADDER, loaded

LADDERS = """\
ladders:
  main:
    tiers: [registered, {key: gold, requires: {revenue: 500000}}]
  service:
    tiers: [base, {key: silver, requires: {people: 5}}, {key: gold, requires: {people: 9}}]
categories:
  reseller: {ladder: main}
  msp: {ladder: service, member: people >= 1}
"""


def metric(folder: Path, entry: str, ladders: str = LADDERS) -> Metric:
    return loaded(folder, f"{HEAD}  it: {entry}\n{ladders}").metrics["it"]


def refused(folder: Path, entry: str, ladders: str = LADDERS) -> str:
    with pytest.raises(ConfigError) as caught:
        metric(folder, entry, ladders)
    assert caught.value.line == 9
    return caught.value.message


def other(folder: Path, key: str, metrics: str = "  other: {count: opportunities}\n", more: str = "") -> None:
    ladders = "ladders:\n  one:\n    tiers: [base, {key: top, requires: {other: 1}}]\n"
    text = f"program: {key}\nmetrics:\n{metrics}{ladders}"
    (folder / f"{key}.yaml").write_text(text + more, encoding="utf-8")


def test_ranks_within_columns_and_category(tmp_path: Path) -> None:
    assert metric(tmp_path, "{rank_of: revenue}").source == FromRank("revenue", False)
    found = metric(tmp_path, "{rank_of: revenue, within: [region, partners.segment, category], better: lower}")
    assert found.source == FromRank("revenue", False, ("region", "segment"), True)
    assert found.lower_is_better
    assert metric(tmp_path, "{rank_of: revenue, within: category}").source == FromRank("revenue", False, (), True)
    source = metric(tmp_path, "{unit: percent, percentile_of: revenue, within: region, where: people >= 2}").source
    assert isinstance(source, FromRank)
    assert (source.percentile, source.within) == (True, ("region",))
    assert source.where is not None
    assert source.where.metrics == {"people"}


def test_tiers_as_numbers(tmp_path: Path) -> None:
    names = ("base", "silver", "gold")
    assert metric(tmp_path, "{tier_of: {ladder: service}}").source == FromTier(ladder="service", names=names)
    assert metric(tmp_path, "{tier_of: {category: msp}}").source == FromTier(category="msp", names=names)
    other(tmp_path, "training")
    names = ("base", "top")
    assert metric(tmp_path, "{tier_of: {program: training}}").source == FromTier(program="training", names=names)
    found = metric(tmp_path, "{tier_of: {program: training, category: all}}").source
    assert found == FromTier(program="training", category="all", names=names)


def test_positions_that_versions_call_differently_have_no_name(tmp_path: Path) -> None:
    other(tmp_path, "training")
    newer = (tmp_path / "training.yaml").read_text(encoding="utf-8").replace("key: top", "key: top, label: Summit")
    (tmp_path / "training2.yaml").write_text(f"{newer}effective_from: 2027-01-01\n", encoding="utf-8")
    source = metric(tmp_path, "{tier_of: {program: training}}").source
    assert isinstance(source, FromTier)
    assert source.names == ("base", None)


@pytest.mark.parametrize(
    ("tier_of", "key", "place"),
    [
        ("{ladder: service}", "gold", 3),
        ("{category: msp}", "silver", 2),
        ("{program: training}", "top", 2),
        ("{ladder: service}", "2", 2),
    ],
)
def test_a_criterion_may_name_the_tier(tmp_path: Path, tier_of: str, key: str, place: int) -> None:
    other(tmp_path, "training")
    ladders = LADDERS.replace("{revenue: 500000}", f"{{revenue: 500000, it: {key}}}")
    asked = loaded(tmp_path, f"{HEAD}  it: {{tier_of: {tier_of}}}\n{ladders}").ladders["main"].tiers[1].requires
    assert isinstance(asked, Group)
    assert isinstance(asked.parts[1], Criterion)
    assert (asked.parts[1].comparison, asked.parts[1].value) == (Comparison.GE, Decimal(place))


def test_days_held(tmp_path: Path) -> None:
    assert metric(tmp_path, "{unit: days, held_for: {tier: silver}}").source == FromHeld(tier="silver")
    found = metric(tmp_path, "{unit: days, held_for: {revenue: '> 5'}}").source
    assert found == FromHeld(criterion=Criterion("revenue", Comparison.GT, Decimal(5), 9))
    found = metric(tmp_path, "{unit: days, held_for: {plan: yes}}").source
    assert found == FromHeld(criterion=Criterion("plan", Comparison.EQ, True, 9))


@pytest.mark.parametrize(
    ("entry", "fragment"),
    [
        ("{rank_of: revenues}", "did you mean `revenue`?"),
        ("{rank_of: level}", "`rank_of` needs a number, but the unit of `level` is text"),
        ("{unit: money, rank_of: revenue}", "`rank_of` gives a place, but the unit is money; write number"),
        ("{unit: points, percentile_of: revenue}", "gives a fraction, but the unit is points"),
        ("{rank_of: revenue, within: regoin}", "did you mean `region`?"),
        ("{rank_of: revenue, within: people}", "`people` is a metric"),
        ("{rank_of: revenue, within: declared_categories}", "is a list"),
        ("{rank_of: revenue, within: [region, region]}", "`region` stands twice"),
        ("{rank_of: revenue, within: [category, category]}", "`category` stands twice"),
        ("{rank_of: revenue, within: []}", "`within:` names no column"),
        ("{rank_of: revenue, where: people}", "gives a number, but a condition"),
        ("{rank_of: revenue, during: ever}", "unknown key `during`"),
        ("{rank_of: revenue, rolls_up: sum}", "`rank_of` cannot be added up"),
        ("{rank_of: it}", "metrics in a circle: it -> it"),
        ("{tier_of: {ladder: mian}}", "unknown ladder `mian`; did you mean `main`?"),
        ("{tier_of: {category: msps}}", "unknown category `msps`; did you mean `msp`?"),
        ("{tier_of: {}}", "one of ladder, category, program"),
        ("{tier_of: {ladder: main, category: msp}}", "`ladder` and `category` do not go together"),
        ("{tier_of: {tier: gold}}", "unknown key `tier`"),
        ("{tier_of: {program: resellers}}", "is this program itself"),
        ("{tier_of: {program: trainings}}", "no program `trainings` stands in this folder; did you mean `training`?"),
        ("{tier_of: {program: training, category: msp}}", "unknown category `msp`; known: `all`"),
        ("{unit: points, tier_of: {ladder: main}}", "gives the position of a tier, but the unit is points"),
        ("{unit: days, held_for: {tier: glod}}", "unknown tier `glod`; did you mean `gold`?"),
        ("{unit: days, held_for: {tire: gold}}", "unknown metric `tire`; did you mean `tier`?"),
        ("{unit: days, held_for: {revenue: lots}}", "`lots` is neither a number nor a metric"),
        ("{unit: days, held_for: {revenue: 5, people: 1}}", "names one tier or one metric"),
        ("{unit: days, held_for: {revenue: from thresholds}}", "it cannot stand here"),
        ("{unit: days, held_for: {it: 5}}", "metrics in a circle"),
        ("{unit: percent, held_for: {tier: gold}}", "`held_for` gives days, but the unit is percent"),
        ("{growth_of: held, versus: 1 year earlier}\n  held: {held_for: {tier: gold}}", "no value at an earlier day"),
    ],
)
def test_mistakes(tmp_path: Path, entry: str, fragment: str) -> None:
    other(tmp_path, "training")
    assert fragment in refused(tmp_path, entry)


@pytest.mark.parametrize(
    ("entry", "old", "new", "path"),
    [
        ("{tier_of: {ladder: main}}", "{revenue: 500000}", "{it: 1}", "it -> ladder main -> it"),
        ("{tier_of: {ladder: main}}", "{revenue: 500000}", "{revenue: it}", "it -> ladder main -> it"),
        ("{tier_of: {category: msp}}", "people >= 1", "it >= 1", "it -> category msp -> membership msp -> it"),
        ("{rank_of: revenue, within: category}", "people >= 1", "it <= 9", "it -> membership msp -> it"),
    ],
)
def test_a_result_that_is_decided_by_the_metric_is_refused(
    tmp_path: Path, entry: str, old: str, new: str, path: str
) -> None:
    assert f"`it` needs a result that is decided by it: {path};" in refused(tmp_path, entry, LADDERS.replace(old, new))


def test_a_tier_of_another_ladder_or_category_is_no_circle(tmp_path: Path) -> None:
    metric(tmp_path, "{tier_of: {ladder: service}}", LADDERS.replace("{revenue: 500000}", "{it: silver}"))
    metric(tmp_path, "{tier_of: {category: reseller}}", LADDERS.replace("people >= 1", "it >= 1"))
    metric(tmp_path, "{held_for: {tier: gold}}", LADDERS.replace("{revenue: 500000}", "{revenue: 5, it: 30}"))


def test_programs_that_read_each_other_are_refused(tmp_path: Path) -> None:
    other(tmp_path, "training", "  other: {tier_of: {program: support}}\n")
    other(tmp_path, "support", "  other: {tier_of: {program: resellers}}\n")
    message = refused(tmp_path, "{tier_of: {program: training}}")
    assert message == "programs in a circle: resellers -> training -> support -> resellers"


def test_a_program_without_categories_has_the_category_all(tmp_path: Path) -> None:
    assert metric(tmp_path, "{tier_of: {category: all}}", LADDER).source == FromTier(
        category="all", names=("registered", "gold")
    )
    with pytest.raises(ConfigError, match="unknown category `msp`"):
        metric(tmp_path, "{tier_of: {category: msp}}", LADDER)
