"""The gallery's programs beside the published rules themselves: equal on random inputs near every threshold.

The rules of shared/programs/published.json are evaluated here in plain Python (fractions, no engine, no program); the
gallery's program gets the same inputs as cases of its own. Rules that are only a calendar have no inputs.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator, Mapping
from decimal import ROUND_HALF_UP, Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from crmsync.studies.cases import run_cases
from tests.gallery.published import PUBLISHED, Ours
from tests.gallery.test_published import FOLDER, published

CASES, WITH_TIME, TRIES = 60, 16, 2000  # cases over two days take longer; each tier gets its share of the cases
TIMES = (Decimal(0), Decimal("0.25"), Decimal("0.5"), *[Decimal(1)] * 5, Decimal(2))
LONG_ENOUGH = 7  # months; what was met for fewer was met since today

Inputs = Mapping[str, Any]
Known = Fraction | bool | str | None
"""None: unknown."""


# --- the published rules


class Rules:
    """One published version: derived values and the highest tier whose rule holds."""

    def __init__(self, version: Mapping[str, Any]) -> None:
        self.derived = {one["id"]: one for one in version["derived"]}
        self.tiers = version["tiers"]

    def tier(self, inputs: Inputs) -> str:
        held: list[str] = [tier["name"] for tier in self.tiers if self.holds(tier["rule"], inputs)]
        return held[-1]

    def holds(self, rule: Mapping[str, Any], inputs: Inputs) -> bool:
        if "always" in rule:
            return True
        if "all" in rule:
            return all(self.holds(one, inputs) for one in rule["all"])
        if "any" in rule:
            return any(self.holds(one, inputs) for one in rule["any"])
        value = self.value(rule["m"], inputs)
        ((sign, wanted),) = ((key, inner) for key, inner in rule.items() if key != "m")
        if isinstance(wanted, dict):
            wanted = self.wanted(wanted, inputs)
        if value is None or wanted is None:
            return False
        if sign == "eq":
            return bool(value == wanted)
        assert isinstance(value, Fraction)
        bound = Fraction(wanted)
        return {"ge": value >= bound, "gt": value > bound, "le": value <= bound, "lt": value < bound}[sign]

    def wanted(self, wanted: Mapping[str, Any], inputs: Inputs) -> Any:
        if "m" in wanted:
            return self.value(wanted["m"], inputs)
        return wanted["values"].get(inputs.get(wanted["by"]), wanted.get("default"))

    def value(self, key: str, inputs: Inputs) -> Known:
        if key not in self.derived:
            value = inputs.get(key)
            return value if value is None or isinstance(value, bool | str) else Fraction(value)
        rule = self.derived[key]
        match rule["kind"]:
            case "gated":
                chosen = rule["then"] if self.holds(rule["if"], inputs) else rule["else"]
                return self.number(chosen, inputs) if isinstance(chosen, str) else Fraction(chosen)
            case "sum":
                return capped(rule, sum((self.number(one, inputs) for one in rule["of"]), Fraction(0)))
            case "per_unit":
                points = self.number(rule["of"], inputs) * Fraction(rule["points"]) / Fraction(rule.get("per", 1))
                return capped(rule, points)
            case "linear":
                share = min(self.number(rule["of"], inputs) / Fraction(rule["full_at"]), Fraction(1))
                return share * Fraction(rule["max"])
            case "ratio":
                top, bottom = self.value(rule["num"], inputs), self.value(rule["den"], inputs)
                if not isinstance(top, Fraction) or not isinstance(bottom, Fraction) or bottom == 0:
                    return None
                return top / bottom
        raise AssertionError(f"unknown kind {rule['kind']}")

    def number(self, key: str, inputs: Inputs) -> Fraction:
        """A value in a sum: unknown adds nothing."""
        value = self.value(key, inputs)
        return value if isinstance(value, Fraction) else Fraction(0)


def capped(rule: Mapping[str, Any], points: Fraction) -> Fraction:
    if "floor" in rule:
        points = max(points, Fraction(rule["floor"]))
    return min(points, Fraction(rule["cap"])) if "cap" in rule else points


# --- random inputs


def numbers_in(rule: Any) -> Iterator[Decimal]:
    """Every number that stands in a rule."""
    if isinstance(rule, int | Decimal) and not isinstance(rule, bool):
        yield Decimal(rule)
    for inner in rule.values() if isinstance(rule, dict) else rule if isinstance(rule, list) else ():
        yield from numbers_in(inner)


def thresholds(version: Mapping[str, Any], key: str) -> list[Decimal]:
    """Numbers near which a value of this input decides."""
    found = set(numbers_in([one for one in criteria(version) if one["m"] == key]))
    for one in version["derived"]:
        if one.get("of") == key and one["kind"] == "per_unit":  # what gives the points of the cap, or of a tier
            points = [one["cap"]] if "cap" in one else numbers_in(version["tiers"])
            found |= {Decimal(number) * one.get("per", 1) / Decimal(one["points"]) for number in points}
    return sorted(found or set(numbers_in(version["tiers"])))


def criteria(rule: Any) -> Iterator[Mapping[str, Any]]:
    """Every comparison in a rule."""
    if isinstance(rule, dict) and "m" in rule and len(rule) > 1:
        yield rule
    for inner in rule.values() if isinstance(rule, dict) else rule if isinstance(rule, list) else ():
        yield from criteria(inner)


def drawn(source: random.Random, version: Mapping[str, Any], metric: Mapping[str, Any]) -> Any:
    """A value of an input: near a threshold, or near parts and multiples of it."""
    unit = metric["unit"]
    if unit == "bool":
        return source.random() < 0.85
    if unit.startswith("enum "):
        return source.choice(unit.removeprefix("enum ").split("|"))
    if source.random() < 0.05:
        return None
    at = source.choice(thresholds(version, metric["id"]))
    whole = not unit.startswith(("USD", "percent", "points"))
    step = Decimal(1) if whole else Decimal("0.01")
    value = at * source.choice(TIMES) + step * source.choice((0, 0, 0, -1, 1))
    value = max(value, Decimal(0))
    return value.to_integral_value() if whole else value.quantize(Decimal("0.01"))


def inputs_of(source: random.Random, version: Mapping[str, Any]) -> dict[str, Any]:
    """One input of a published version; those that are unknown are left out."""
    found = {metric["id"]: drawn(source, version, metric) for metric in version["metrics"]}
    months = PUBLISHED[version["key"]].months_met
    if months:
        found[months] = source.choice((0, LONG_ENOUGH, LONG_ENOUGH))
    if source.random() < 0.5:  # the numbers of one example, of which one is changed
        example = source.choice(version["examples"])["inputs"]
        changed = source.choice([key for key in example if key != months])
        found = {**example, changed: found[changed], **{key: found[key] for key in example if key == months}}
    return {key: value for key, value in found.items() if value is not None}


# --- as cases


def written(names: Ours, key: str, value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, str):
        return names.values.get(value, value)
    return f"{Decimal(value):f}" + "%" * (key in names.hundredths)


def figures_of(names: Ours, rules: Rules, inputs: Inputs) -> dict[str, str]:
    """The figures in between as the standings show them, where every input is known."""
    known = all(metric in inputs for metric in [*names.metrics, *names.columns])
    values = {figure: rules.value(key, inputs) for key, figure in names.figures.items()} if known else {}
    return {figure: shown(value) for figure, value in values.items() if isinstance(value, Fraction)}


def shown(value: Fraction) -> str:
    number = (Decimal(value.numerator) / Decimal(value.denominator)).quantize(Decimal("1e-9"), ROUND_HALF_UP)
    return f"{number.normalize():f}"


def case_text(names: Ours, name: str, inputs: Inputs, tier: str, figures: Mapping[str, str]) -> str:
    metrics = ", ".join(f"{names.metrics[k]}: {written(names, k, v)}" for k, v in inputs.items() if k in names.metrics)
    columns = ", ".join(f"{names.columns[k]}: {written(names, k, v)}" for k, v in inputs.items() if k in names.columns)
    between = ", ".join(f"{key}: {value}" for key, value in figures.items())
    expect = f"expect: {{tier: {names.tiers[tier]}{f', metrics: {{{between}}}' * bool(figures)}}}"
    lines = [f"  - name: {name}", *([f"    partner: {{{columns}}}"] if columns else [])]
    if months := int(inputs.get(names.months_met, 0)):
        first, last = f"{{date: 2026-01-01, metrics: {{{metrics}}}}}", f"{{date: 2026-{months + 1:02}-01, {expect}}}"
        return "\n".join([*lines, "    on:", f"      - {first}", f"      - {last}"])
    return "\n".join([*lines, f"    metrics: {{{metrics}}}", f"    {expect}"])


@pytest.mark.parametrize("version", [key for key, names in PUBLISHED.items() if names.metrics])
def test_the_same_tiers_as_the_published_rules(version: str, shared: Path, tmp_path: Path) -> None:
    (source,) = (one for one in published(shared / "programs" / "published.json") if one["key"] == version)
    names, rules, chance = PUBLISHED[version], Rules(source), random.Random(version)
    for example in source["examples"]:
        assert rules.tier(example["inputs"]) == example["expected_tier"], example["note"]
    wanted = (WITH_TIME if names.months_met else CASES) // len(names.tiers)
    counts, cases = Counter[str](), []
    for number in range(TRIES):
        inputs = inputs_of(chance, source)
        tier = rules.tier(inputs)
        counts[tier] += 1
        if counts[tier] <= wanted:
            figures = figures_of(names, rules, inputs)
            cases.append(case_text(names, f"random {number}", inputs, tier, figures))
    assert all(counts[tier] >= wanted for tier in names.tiers), counts
    text = (FOLDER / names.file).read_text(encoding="utf-8").split("\ncases:\n")[0]
    path = tmp_path / names.file
    path.write_text("\n".join([text, "cases:", *cases, ""]), encoding="utf-8")
    results = run_cases(path)
    assert len(results) == len(cases)
    assert {result.name: result.differences for result in results if not result.passed} == {}
