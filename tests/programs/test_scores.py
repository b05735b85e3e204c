"""Scores: parts and groups are metrics of their own, and every way of earning points is read and checked."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest

from crmsync.errors import ConfigError
from crmsync.programs.program import (
    Bands,
    BestOf,
    ByAttribute,
    FromFormula,
    FromPart,
    FromParts,
    Group,
    Linear,
    Metric,
    OtherMetric,
    PerUnit,
    Unit,
)
from tests.programs.texts import HEAD, LADDER, loaded

SCORE = """\
  score:
    unit: points
    score:
      max: 100
      parts:
        net:      {of: people, full_at: 5, worth: 20}
        training: {of: people, each: 4, max: 40, needs: people >= 2 and plan, label: Training}
        deals:    {of: revenue, bands: {25: 20, 1: 5, 10: 10}}
        plan:     {of: plan, worth: 10}
        cloud:    {of: revenue, each: 1 per 10, whole_units: yes, allow_negative: yes}
        growth:   {of: rate, each: 1 per 1%, max: {by: region, default: 20, EMEA: people}}
        usage:    {best: [cloud, net, revenue]}
      groups:
        capability: {parts: [training, plan], max: 45}
"""


def score(folder: Path, text: str = SCORE) -> dict[str, Metric]:
    return dict(loaded(folder, HEAD + text + LADDER).metrics)


def part(folder: Path, entry: str) -> FromPart:
    text = f"  score:\n    unit: points\n    score: {{parts: {{other: {{of: people, each: 1}}, it: {entry}}}}}\n"
    source = score(folder, text)["score.it"].source
    assert isinstance(source, FromPart)
    return source


def refused(folder: Path, text: str) -> str:
    with pytest.raises(ConfigError) as caught:
        score(folder, text)
    assert caught.value.line is not None
    return caught.value.message


def test_parts_and_groups_stand_before_their_score(tmp_path: Path) -> None:
    found = score(tmp_path)
    parts = ["net", "training", "deals", "plan", "cloud", "growth", "usage", "capability"]
    assert list(found)[5:] == [*(f"score.{name}" for name in parts), "score"]
    assert {found[f"score.{name}"].unit for name in parts} == {Unit.POINTS}
    assert found["score.training"].label == "Training"
    assert found["score.net"].label == "score.net"
    assert found["score.deals"].line == 16


def test_every_way_to_earn_points(tmp_path: Path) -> None:
    found = {key: metric.source for key, metric in score(tmp_path).items()}
    earnings = {key: source.earning for key, source in found.items() if isinstance(source, FromPart)}
    assert earnings == {
        "score.net": Linear(Decimal(20), Decimal(5)),
        "score.training": PerUnit(Decimal(4), Decimal(1)),
        "score.deals": Bands(((Decimal(1), Decimal(5)), (Decimal(10), Decimal(10)), (Decimal(25), Decimal(20)))),
        "score.plan": Linear(Decimal(10), None),
        "score.cloud": PerUnit(Decimal(1), Decimal(10), True),
        "score.growth": PerUnit(Decimal(1), Decimal("0.01")),
        "score.usage": BestOf(("score.cloud", "score.net", "revenue")),
    }
    training, growth, cloud = found["score.training"], found["score.growth"], found["score.cloud"]
    assert isinstance(training, FromPart)
    assert training.max == Decimal(40)
    assert training.needs is not None
    assert training.needs.metrics == {"people", "plan"}
    assert isinstance(growth, FromPart)
    assert growth.max == ByAttribute("region", {"EMEA": OtherMetric("people")}, Decimal(20))
    assert isinstance(cloud, FromPart)
    assert cloud.allow_negative


def test_what_feeds_a_best_or_a_group_is_not_added_again(tmp_path: Path) -> None:
    found = score(tmp_path)
    assert found["score.capability"].source == FromParts("score", ("score.training", "score.plan"), Decimal(45))
    added = ("score.deals", "score.growth", "score.usage", "score.capability")
    assert found["score"].source == FromParts("score", added, Decimal(100))


def test_the_better_of_two_groups_may_count(tmp_path: Path) -> None:
    parts = "a: {of: people, each: 1}, b: {of: plan, worth: 5}, c: {of: revenue, each: 1}, top: {best: [one, two]}"
    groups = "one: {parts: [a, b], max: 9}, two: {parts: [c]}"
    found = score(tmp_path, f"  s: {{score: {{parts: {{{parts}}}, groups: {{{groups}}}}}}}\n")
    assert found["s"].source == FromParts("s", ("s.top",), None)


def test_numbers_may_depend_on_the_partner(tmp_path: Path) -> None:
    by = "{by: partners.has_plan, default: 5, yes: 4}"
    assert part(tmp_path, f"{{of: people, full_at: {by}, worth: 20}}").earning == Linear(
        Decimal(20), ByAttribute("has_plan", {"true": Decimal(4)}, Decimal(5))
    )
    assert part(tmp_path, "{of: people, each: revenue per people}").earning == PerUnit(
        OtherMetric("revenue"), OtherMetric("people")
    )
    assert part(tmp_path, f"{{of: people, each: {by}}}").earning == PerUnit(
        ByAttribute("has_plan", {"true": Decimal(4)}, Decimal(5)), Decimal(1)
    )


def test_a_part_is_named_in_formulas_and_criteria(tmp_path: Path) -> None:
    found = score(tmp_path, SCORE + "  f: {formula: score.training * 2 + score}\n")
    source = found["f"].source
    assert isinstance(source, FromFormula)
    assert source.formula.metrics == {"score.training", "score"}
    text = (HEAD + SCORE + LADDER).replace("{revenue: 500000}", "{score.training: 10, score: score.net}")
    requires = loaded(tmp_path, text).ladders["main"].tiers[1].requires
    assert isinstance(requires, Group)
    assert [one.metric for one in requires.parts] == ["score.training", "score"]  # type: ignore[union-attr]
    assert requires.parts[1].value == OtherMetric("score.net")  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("entry", "fragment"),
    [
        ("{each: 1}", "part `it` needs `of:`"),
        ("{of: people}", "one way: worth, each, bands or best (none stands here)"),
        ("{of: people, each: 1, worth: 5}", "not `each` and `worth`"),
        ("{of: poeple, each: 1}", "unknown metric `poeple`; did you mean `people`?"),
        ("{of: level, each: 1}", "`level` is a text and earns no points"),
        ("{of: plan, each: 1}", "`plan` is yes or no; write `worth:` alone"),
        ("{of: plan, worth: 1, full_at: 2}", "`plan` is yes or no; write `worth:` alone"),
        ("{of: people, worth: 10}", "`worth` needs `full_at:` beside it"),
        ("{of: people, worth: 10, full_at: 0}", "`0` is not above 0"),
        ("{of: people, worth: 10, full_at: -5}", "`-5` is not above 0"),
        ("{of: people, each: 1 per 0}", "`0` is not above 0"),
        ("{of: people, each: 1 for 10}", "like `4` or `1 per 10`"),
        ("{of: people, each: 1 per 1%}", "`people` is no percent"),
        ("{of: people, each: 10%}", "points are plain numbers, without %"),
        ("{of: people, each: many}", "`many` is neither a number nor a metric"),
        ("{of: people, each: plan}", "`plan` is no number (its unit is yes_no)"),
        ("{of: people, each: -5}", "say `allow_negative: yes`"),
        ("{of: rate, full_at: 30, worth: 5}", "write 30% instead of 30"),
        ("{of: rate, bands: {10: 5}}", "write 10% instead of 10"),
        ("{of: people, bands: {a few: 5}}", "`a few` is not a number; a band starts at one"),
        ("{of: people, bands: {1: 5, 1.0: 6}}", "the band from 1.0 stands twice"),
        ("{of: people, each: 1, full_at: 5}", "`full_at` belongs to `worth`, not to `each`"),
        ("{of: people, bands: {1: 5}, whole_units: yes}", "`whole_units` belongs to `each`"),
        ("{of: people, each: 1, max: -1}", "`max: -1` is below 0"),
        ("{of: people, each: {by: region, default: 1, EMEA: -1}}", "say `allow_negative: yes`"),
        ("{of: people, each: 1, max: {by: region, default: 1, EMEA: -1}}", "`max: -1` is below 0"),
        ("{of: people, each: 1, needs: people}", "gives a number, but a condition"),
        ("{of: people, each: 1, needs: poeple > 1}", "did you mean `people`?"),
        ("{of: people, each: 1, need: plan}", "unknown key `need`; did you mean `needs`?"),
        ("{of: people, each: {by: region, EMEA: 1}}", "needs a `default:`"),
        ("{of: people, each: {by: regoin, default: 1}}", "no column `regoin`"),
        ("{of: people, each: {by: declared_categories, default: 1}}", "is a list"),
        ("{of: people, each: {default: 1}}", "starts with `by:`"),
        ("{best: [other]}", "at least two"),
        ("{best: [other, other]}", "`other` stands twice"),
        ("{best: [other, it]}", "is the best of itself"),
        ("{best: [other, anther]}", "unknown part or metric `anther`; did you mean `other`?"),
        ("{best: [other, plan]}", "`plan` is no number"),
        ("{of: people, best: [other, people]}", "leave `of` out"),
        ("{of: score, each: 1}", "metrics in a circle: score -> score.it -> score"),
    ],
)
def test_mistakes_in_a_part(tmp_path: Path, entry: str, fragment: str) -> None:
    text = f"  score:\n    unit: points\n    score: {{parts: {{other: {{of: people, each: 1}}, it: {entry}}}}}\n"
    message = refused(tmp_path, text)
    if "circle" in fragment:
        assert "metrics in a circle" in message
    else:
        assert fragment in message


@pytest.mark.parametrize(
    ("entry", "fragment"),
    [
        ("{parts: {}}", "`parts:` names no part"),
        ("{max: 5}", "`parts:` is missing"),
        ("{parts: {a: {of: people, each: 1}}, groups: {a: {parts: [a]}}}", "`a` is a part of `s` already"),
        ("{parts: {a: {of: people, each: 1}}, groups: {g: {parts: [b]}}}", "unknown part `b` of `s`"),
        ("{parts: {a: {of: people, each: 1}}, groups: {g: {parts: []}}}", "group `g` has no part"),
        (
            "{parts: {a: {of: people, each: 1}}, groups: {g: {parts: [a]}, h: {parts: [a]}}}",
            "part `a` is in group `g` already",
        ),
        (
            "{parts: {a: {of: people, each: 1}, b: {best: [a, people]}}, groups: {g: {parts: [a]}}}",
            "part `a` counts through a `best:`",
        ),
        ("{parts: {a-b: {of: people, each: 1}}}", "`a-b` cannot name a part"),
        ("{parts: {a: {of: people, each: 1}}, maximum: 5}", "unknown key `maximum`"),
        ("{parts: {a: {of: people, each: 1}}, max: lots}", "`lots` is neither a number nor a metric"),
        ("{parts: {a: 5}}", "a mapping"),
        ("[a]", "a mapping"),
    ],
)
def test_mistakes_in_a_score(tmp_path: Path, entry: str, fragment: str) -> None:
    assert fragment in refused(tmp_path, f"  s:\n    unit: points\n    score: {entry}\n")


@pytest.mark.parametrize(
    ("text", "fragment"),
    [
        (
            "  s: {unit: money, score: {parts: {a: {of: people, each: 1}}}}\n",
            "`score` gives points, but the unit is money",
        ),
        ("  f: {formula: score.trainning}\n", "unknown part `score.trainning`; did you mean `score.training`?"),
        ("  f: {formula: people.training}\n", "metric `people` has no parts"),
        ("  f: {formula: scores.training}\n", "unknown table or reference `scores`; did you mean `score`?"),
    ],
)
def test_mistakes_around_a_score(tmp_path: Path, text: str, fragment: str) -> None:
    assert fragment in refused(tmp_path, SCORE + text)
