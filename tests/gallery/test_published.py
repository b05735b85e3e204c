"""Nothing that was published is left out: every worked example and every timeline is a case of the gallery.

The examples are read from shared/programs/published.json; a case counts for one of them if it has the same program,
inputs, tier and figures. Whether the cases pass is asked in test_gallery.py.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from datetime import date
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from crmsync.errors import ConfigError
from crmsync.strict_yaml import Node, read_yaml
from tests.conftest import PROJECT
from tests.gallery.published import PUBLISHED, Ours

FOLDER = PROJECT / "config" / "programs" / "gallery"
SOURCE = PROJECT.parent / "shared" / "programs" / "published.json"
EXAMPLES, TIMELINES = 59, 6

Value = Decimal | str


def published(path: Path = SOURCE) -> list[dict[str, Any]]:
    """The program versions; none where the shared folder is not there (a test of its own says so)."""
    if not path.is_file():
        return []
    found: list[dict[str, Any]] = json.loads(path.read_text(encoding="utf-8"), parse_float=Decimal)
    return found


def each(kind: str) -> list[Any]:
    return [
        pytest.param(version["key"], example, id=f"{version['key']}-{place}")
        for version in published()
        for place, example in enumerate(version.get(kind, ()), 1)
    ]


@cache
def cases_of(file: str) -> tuple[Mapping[str, Node], ...]:
    return tuple(case.mapping() for case in read_yaml(FOLDER / file).mapping()["cases"].sequence())


def value_of(node: Node) -> Value:
    """A value as a case has it: numbers as numbers, 8% as 0.08."""
    try:
        return node.decimal()
    except ConfigError:
        return node.text()


def values_of(node: Node | None) -> dict[str, Value]:
    return {key: value_of(inner) for key, inner in node.mapping().items()} if node else {}


def ours(names: Ours, key: str, value: Any) -> Value:
    """A published input as a case writes it."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, str):
        return names.values.get(value, value)
    return Decimal(value) / 100 if key in names.hundredths else Decimal(value)


def months_between(first: date, last: date) -> int:
    assert first.day == last.day
    return (last.year - first.year) * 12 + last.month - first.month


def shows(case: Mapping[str, Node], names: Ours, example: Mapping[str, Any]) -> bool:
    """Whether a case is this example."""
    inputs: Mapping[str, Any] = example["inputs"]
    first, last = case, case
    if names.months_met in inputs:
        if "on" not in case:
            return False
        first, *_, last = (step.mapping() for step in case["on"].sequence())
        if months_between(first["date"].date(), last["date"].date()) != inputs[names.months_met]:
            return False
    if "expect" not in last or set(last) & {"tables", "previous"}:
        return False
    expected = last["expect"].mapping()
    metrics = {names.metrics[key]: ours(names, key, value) for key, value in inputs.items() if key in names.metrics}
    columns = {names.columns[key]: ours(names, key, value) for key, value in inputs.items() if key in names.columns}
    figures = {names.figures[key]: Decimal(value) for key, value in example.get("expected_derived", {}).items()}
    return (
        values_of(first.get("metrics")) == metrics
        and values_of(case.get("partner")) == columns
        and expected["tier"].text() == names.tiers[example["expected_tier"]]
        and figures.items() <= values_of(expected.get("metrics")).items()
    )


def test_the_published_versions_are_all_there(shared: Path) -> None:
    versions = published(shared / "programs" / "published.json")
    assert {version["key"] for version in versions} == set(PUBLISHED)
    assert sum(len(version["examples"]) for version in versions) == EXAMPLES
    assert sum(len(version.get("timeline_examples", ())) for version in versions) == TIMELINES
    for version in versions:
        names = PUBLISHED[version["key"]]
        assert set(names.tiers) == {tier["name"] for tier in version["tiers"]}
        known = {*names.metrics, *names.columns, names.months_met}
        assert {key for example in version["examples"] for key in example["inputs"]} <= known


@pytest.mark.parametrize(("version", "example"), each("examples"))
def test_every_example_is_a_case(version: str, example: Mapping[str, Any]) -> None:
    names = PUBLISHED[version]
    found = [case for case in cases_of(names.file) if shows(case, names, example)]
    assert len(found) == 1, f"{len(found)} cases of {names.file} show {example['note']}"


@pytest.mark.parametrize("version", PUBLISHED)
def test_tiers_stand_in_the_published_order(version: str, shared: Path) -> None:
    (source,) = (one for one in published(shared / "programs" / "published.json") if one["key"] == version)
    names = PUBLISHED[version]
    (ladder,) = read_yaml(FOLDER / names.file).mapping()["ladders"].mapping().values()
    tiers = [tier.mapping()["key"].text() for tier in ladder.mapping()["tiers"].sequence()]
    assert tiers == [names.tiers[tier["name"]] for tier in source["tiers"]]


# --- timelines


Steps = Sequence[tuple[date, Mapping[str, str]]]


def steps_of(case: Mapping[str, Node]) -> list[tuple[date, dict[str, str]]]:
    found = []
    for step in case["on"].sequence() if "on" in case else ():
        parts = step.mapping()
        expected = parts["expect"].mapping().items()
        found.append((parts["date"].date(), {key: node.text() for key, node in expected if node.is_text}))
    return found


def on(steps: Steps, day: date) -> Mapping[str, str]:
    """What is expected on that very day."""
    return dict(steps).get(day, {})


def after(steps: Steps, day: date) -> Mapping[str, str]:
    """What is expected on the day after."""
    return dict(steps).get(date.fromordinal(day.toordinal() + 1), {})


def by_calendar(names: Ours, example: Mapping[str, Any]) -> Callable[[Mapping[str, Node]], bool]:
    """Whether a case starts from the tier, gives what each review qualifies for, and has the tier after each."""

    def shown(case: Mapping[str, Node]) -> bool:
        if "previous" not in case or case["previous"].mapping()["tier"].text() != names.tiers[example["start_tier"]]:
            return False
        steps = steps_of(case)
        reviews = {date.fromisoformat(review.get("date") or review["quarter_end"]): review["qualifies"]
                   for review in example["evaluations"]}  # fmt: skip
        if any(on(steps, day).get("tier") != names.tiers[tier] for day, tier in reviews.items()):
            return False
        return all(outcome(steps, wanted, max(reviews)) for wanted in example["expected"])

    def outcome(steps: Steps, wanted: Mapping[str, str], last: date) -> bool:
        if "on" in wanted:
            return on(steps, date.fromisoformat(wanted["on"])).get("granted") == names.tiers[wanted["tier"]]
        if wanted["after"] == "next 1 Mar":  # the tier that the last day of the program year qualifies for
            first = date(last.year + 1, 3, 1)
            return on(steps, first).get("granted") == on(steps, date(first.year, 2, 28)).get("tier")
        day = last if wanted["after"].endswith("review") else date.fromisoformat(wanted["after"])
        return after(steps, day).get("granted") == names.tiers[wanted["tier"]]

    return shown


def by_regions(names: Ours, example: Mapping[str, Any]) -> Callable[[Mapping[str, Node]], bool]:
    """Whether a case gives the scores of these regions as facts."""
    wanted = {
        region: (Decimal(facts["score"]), "yes" if facts["has_acv"] else "no", Decimal(facts["certified"]))
        for region, facts in example["regions"].items()
    }

    def shown(case: Mapping[str, Node]) -> bool:
        if "tables" not in case or "region_scores" not in case["tables"].mapping():
            return False
        rows = [values_of(row) for row in case["tables"].mapping()["region_scores"].sequence()]
        given = {row["region"]: (row["score"], row["has_contract_value"], row["certified_people"]) for row in rows}
        return given == wanted and case["expect"].mapping()["tier"].text() == names.tiers[example["expected_tier"]]

    return shown


@pytest.mark.parametrize(("version", "example"), each("timeline_examples"))
def test_every_timeline_is_a_case(version: str, example: Mapping[str, Any]) -> None:
    names = PUBLISHED[version]
    shown = by_regions(names, example) if "regions" in example else by_calendar(names, example)
    assert len([case for case in cases_of(names.file) if shown(case)]) == 1
