"""The sentences of write-back: amounts as people read them, why a partner has its tier, what decided a move."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from decimal import Decimal, InvalidOperation
from typing import Any, NamedTuple

from crmsync.programs.program import (
    NEEDS,
    ByAttribute,
    Comparison,
    Criterion,
    Junction,
    MoneyValue,
    OtherMetric,
    Program,
    Requirement,
    Tier,
    Unit,
    Value,
    criteria_of,
)
from crmsync.writeback.amounts import money_said, number_said

Standing = Mapping[str, Any]
"""One row of the standings table, with nested values as Python lists and dicts."""

Attributes = Mapping[str, str | None]
"""Columns of the partner that thresholds ask for, as text."""


def shown(program: Program, metric: str, value: object) -> str:
    """A metric's value as people read it: `512,000 EUR`, `30 %`, `yes`, `unknown`."""
    if value is None:
        return "unknown"
    if isinstance(value, bool) or value in ("true", "false"):
        return "yes" if value in (True, "true") else "no"
    found = program.metrics.get(metric.partition("[")[0])  # a value of a split (`revenue[EMEA]`) has the metric's unit
    unit = found.unit if found else Unit.NUMBER
    number = _number(value)
    return str(value) if number is None or unit is Unit.TEXT else _with_unit(number, unit, program.currency)


def _number(value: object) -> Decimal | None:
    try:
        number = Decimal(str(value))
    except InvalidOperation:
        return None
    return number if number.is_finite() else None


def _with_unit(number: Decimal, unit: Unit, currency: str | None) -> str:
    if unit is Unit.PERCENT:
        return f"{number_said(number * 100)} %"
    if unit is Unit.MONEY:
        return f"{money_said(number)} {currency or ''}".rstrip()
    return number_said(number)


def label_of_metric(program: Program, metric: str) -> str:
    """The metric's label; parts and splits (`score.part`, `revenue[EMEA]`) keep their own name."""
    found = program.metrics.get(metric)
    return found.label if found else metric


def tier_of(program: Program, category: str, key: str | None) -> Tier | None:
    """The tier of that key on the ladder of a category (`reseller/EMEA` is on the ladder of `reseller`)."""
    found = program.categories.get(category.partition("/")[0])
    if key is None or found is None:
        return None
    return next((tier for tier in program.ladders[found.ladder].tiers if tier.key == key), None)


def label_of_tier(program: Program, category: str, key: str | None) -> str | None:
    """The tier's label; a key that the program does not know is shown as it is."""
    tier = tier_of(program, category, key)
    return tier.label if tier else key


def label_of_category(program: Program, category: str) -> str:
    """The category's label, with the value of a ladder that stands once per value."""
    key, _, value = category.partition("/")
    found = program.categories.get(key)
    label = found.label if found else key
    return f"{label} {value}" if value else label


# --- criteria


def columns_asked(program: Program) -> frozenset[str]:
    """Partner columns that thresholds of this program depend on."""
    tiers = (tier for ladder in program.ladders.values() for tier in ladder.tiers)
    criteria = (c for tier in tiers for group in (tier.requires, tier.keeps) for c in criteria_of(group))
    return frozenset(column for criterion in criteria for column in _columns(criterion.value))


def _columns(value: Value) -> Iterator[str]:
    if isinstance(value, ByAttribute):
        yield value.column
        for case in (*value.cases.values(), value.default):
            yield from _columns(case)


def _required(program: Program, criterion: Criterion, attributes: Attributes) -> str:
    value = criterion.value
    while isinstance(value, ByAttribute):
        value = value.cases.get(attributes.get(value.column) or "", value.default)
    if isinstance(value, MoneyValue):
        return NEEDS[criterion.comparison] + f"{money_said(value.amount)} {value.currency}"
    if isinstance(value, OtherMetric):
        return NEEDS[criterion.comparison] + label_of_metric(program, value.key)
    return NEEDS[criterion.comparison] + shown(program, criterion.metric, value)


def measured(program: Program, standing: Standing, tier: Tier, attributes: Attributes) -> str:
    """The criteria of a tier beside what the partner has: `Revenue 512,000 EUR (needs 500,000 EUR), …`."""
    metrics = standing.get("metrics") or {}
    entered = standing.get("movement") in ("entered", "promoted")  # what they met to get in
    holds = standing.get("granted_tier") == tier.key and tier.keeps is not None and not entered
    criteria = criteria_of(tier.keeps if holds else tier.requires)
    return ", ".join(
        f"{label_of_metric(program, asked.metric)} {shown(program, asked.metric, metrics.get(asked.metric))}"
        f" (needs {_required(program, asked, attributes)})"
        for asked in criteria
    )


Telling = Callable[[Program, Mapping[str, Any]], str]
"""How one entry of a gap is told; empty where it is not."""


class Joins(NamedTuple):
    """The words between the entries of a gap: `A and B`, `1 of: A or B`."""

    both: str = "and"
    either: str = "or"
    several: str = "of"


ENGLISH = Joins()


def unmet(program: Program, standing: Standing, tell: Telling | None = None, joins: Joins = ENGLISH) -> str:
    """What is missing towards the next tier: `Certified people 4 (needs 5)`. Groups that are met are left out; of
    several ways that would each do, all are named. `tell`, `joins`: other words for an entry, and between them."""
    tier = tier_of(program, standing["category"], standing.get("next_tier"))
    if tier is None:
        return ""
    entries = {entry["path"]: entry for entry in standing.get("gap") or ()}
    requirement = tier.keeps if tier.keeps is not None and _is_way_back(program, standing, tier) else tier.requires
    if requirement is None:
        return ""
    return ", ".join(_open(program, requirement, "", entries, tell or _missing, joins))


def _is_way_back(program: Program, standing: Standing, tier: Tier) -> bool:
    """Whether the next tier is the earned one or below it: then `keeps` is what it asks."""
    keys = [
        each.key for each in program.ladders[program.categories[standing["category"].partition("/")[0]].ladder].tiers
    ]
    earned = standing.get("earned_tier")
    return earned in keys and keys.index(earned) >= keys.index(tier.key)


def _open(
    program: Program,
    part: Requirement,
    path: str,
    entries: Mapping[str, Mapping[str, Any]],
    tell: Telling,
    joins: Joins,
) -> list[str]:
    """Phrases for what is missing of one part of a requirement; none when it is met."""
    if isinstance(part, Criterion):
        entry = entries.get(path)
        told = "" if entry is None or entry.get("met") else tell(program, entry)
        return [told] if told else []
    inner = [
        _open(program, each, f"{path}/{part.junction.value}/{at}".lstrip("/"), entries, tell, joins)
        for at, each in enumerate(part.parts, 1)
    ]
    missing = [f" {joins.both} ".join(phrases) for phrases in inner if phrases]
    needed = {Junction.ANY: 1, Junction.AT_LEAST: part.at_least}.get(part.junction, len(inner))
    still = needed - (len(inner) - len(missing))
    must = [phrase for at in part.including for phrase in inner[at]]
    if still <= 0 and not must:
        return []
    if still == len(missing):
        return missing
    either = f" {joins.either} ".join(missing)
    return [f"{still} {joins.several}: {either}" if still > 0 else ", ".join(must)]


def _missing(program: Program, entry: Mapping[str, Any]) -> str:
    metric = entry["metric"]
    has, needs = shown(program, metric, entry.get("value")), shown(program, metric, entry.get("required"))
    return f"{label_of_metric(program, metric)} {has} (needs {needs})"


# --- sentences


def why_tier(program: Program, standing: Standing, attributes: Attributes, others: Sequence[Standing] = ()) -> str:
    """Short account of why the partner has its tier: metrics against requirements, what is missing, overrides.

    `others`: the partner's standings in further categories, of which only the tiers are named.
    """
    category = standing["category"]
    sentences = [*_granted(program, standing, attributes)]
    next_label = label_of_tier(program, category, standing.get("next_tier"))
    if next_label and (missing := unmet(program, standing)):
        sentences.append(f"Missing for {next_label}: {missing}.")
    sentences.extend(f"{said}." for said in overrides_said(program, standing))
    if reasons := said_all(standing.get("provisional_reasons")):
        sentences.append(f"Provisional: {reasons}.")
    if also := [_held(program, other) for other in others if other.get("granted_tier")]:
        sentences.append(f"Also {', '.join(also)}.")
    return " ".join(sentences)


def _held(program: Program, standing: Standing) -> str:
    category = standing["category"]
    return f"{label_of_tier(program, category, standing.get('granted_tier'))} as {label_of_category(program, category)}"


def _granted(program: Program, standing: Standing, attributes: Attributes) -> Iterator[str]:
    category, key = standing["category"], standing.get("granted_tier")
    tier = tier_of(program, category, key)
    facts = measured(program, standing, tier, attributes) if tier else ""
    label = label_of_tier(program, category, key) or "No tier"
    who = f"{label} as {label_of_category(program, category)}" if program.has_categories else label
    if key == standing.get("calculated_tier"):
        yield f"{who}: {facts}." if facts else f"{who}."
        return
    calculated = label_of_tier(program, category, standing.get("calculated_tier")) or "no tier"
    until = f" until {standing['grace_until']}" if standing.get("grace_until") else ""
    yield f"{who}; the numbers say {calculated} ({(standing.get('movement') or '').replace('_', ' ')}{until})."
    if facts:
        yield f"For {label}: {facts}."


def overrides_said(program: Program, standing: Standing) -> Iterator[str]:
    """One phrase per override in force: `Override pin Gold until 2027-03-31: strategic account`."""
    for override in standing.get("overrides") or ():
        if not isinstance(override, Mapping):
            continue
        given = override.get("value")
        value = "" if given is None else f" {label_of_tier(program, standing['category'], str(given))}"
        until = f" until {override['ends_on']}" if override.get("ends_on") else ""
        yield f"Override {override.get('kind')}{value}{until}: {override.get('reason') or 'no reason given'}"


def said_all(reasons: Sequence[Any] | None) -> str:
    """Reasons as one text, parted by semicolons."""
    return "; ".join(_said(reason) for reason in reasons or ())


def _said(reason: Any) -> str:
    if isinstance(reason, Mapping):
        return ", ".join(f"{key} {value}" for key, value in reason.items() if value is not None)
    return str(reason)


def movement_said(movement: str | None) -> str | None:
    """What happened to a standing, in words: `in grace`."""
    return movement.replace("_", " ") if movement else None


FALLS = frozenset({"demoted", "capped", "override_ended", "program_changed"})
BY_OVERRIDE = frozenset({"pinned", "floored", "capped"})


def deciding(program: Program, standing: Standing, attributes: Attributes) -> str:
    """The criterion or decision that made this standing differ from the one before."""
    movement = standing.get("movement") or ""
    if standing.get("granted_tier") is None:
        return "does not belong any more"
    if movement in BY_OVERRIDE and (said := "; ".join(overrides_said(program, standing))):
        return said
    if movement == "promoted" and (earned := _earned_before(program, standing)):
        return earned
    meets, misses = what_it_meets(program, standing, attributes), what_it_misses(program, standing, attributes)
    first, second = (misses, meets) if movement in FALLS else (meets, misses)
    return first or second or movement.replace("_", " ") or "no criterion"


def _earned_before(program: Program, standing: Standing) -> str:
    """Of a tier that was earned on an earlier day and outlasts the numbers of today; empty where today's suffice."""
    category, granted, calculated = standing["category"], standing.get("granted_tier"), standing.get("calculated_tier")
    if not _below(program, category, calculated, granted):
        return ""
    numbers = label_of_tier(program, category, calculated) or "no tier"
    since = standing.get("tier_since")
    earned = f"earned on {since}" if since else "earned before"
    return f"{earned} and kept; the numbers of today say {numbers}"


def _below(program: Program, category: str, lower: str | None, upper: str | None) -> bool:
    """Whether one tier stands below the other on the ladder of a category; below all of them is none."""
    found = program.categories.get(category.partition("/")[0])
    keys = [None, *(tier.key for tier in program.ladders[found.ladder].tiers)] if found else []
    return lower in keys and upper in keys and keys.index(lower) < keys.index(upper)


def what_it_meets(program: Program, standing: Standing, attributes: Attributes) -> str:
    """`meets Gold: Revenue 512,000 EUR (needs 500,000 EUR)`; empty where the calculated tier asks for nothing."""
    calculated = tier_of(program, standing["category"], standing.get("calculated_tier"))
    facts = measured(program, standing, calculated, attributes) if calculated else ""
    return f"meets {calculated.label}: {facts}" if calculated and facts else ""


def what_it_misses(program: Program, standing: Standing, attributes: Attributes) -> str:
    """`misses Gold: Certified people 4 (needs 5)`; the main blocker where no gap is known, empty without either.

    Of a fall it is what would have kept the tier before, which may be less than what its entry asks.
    """
    lost = tier_of(program, standing["category"], standing.get("previous_tier"))
    if standing.get("movement") in FALLS and lost is not None:
        phrases = [
            f"{label_of_metric(program, asked.metric)} {shown(program, asked.metric, value)}"
            f" (needs {_required(program, asked, attributes)})"
            for asked in criteria_of(lost.keeps or lost.requires)
            if not _meets(asked, value := (standing.get("metrics") or {}).get(asked.metric), attributes)
        ]
        if phrases:
            return f"misses {lost.label}: {', '.join(phrases)}"
    if missing := unmet(program, standing):
        return f"misses {label_of_tier(program, standing['category'], standing.get('next_tier'))}: {missing}"
    return label_of_metric(program, standing.get("main_blocker") or "")


COMPARES: Mapping[Comparison, Callable[[Decimal, Decimal], bool]] = {
    Comparison.GE: Decimal.__ge__,
    Comparison.GT: Decimal.__gt__,
    Comparison.LE: Decimal.__le__,
    Comparison.LT: Decimal.__lt__,
    Comparison.EQ: Decimal.__eq__,
}


def _meets(asked: Criterion, value: object, attributes: Attributes) -> bool:
    """Whether a shown value meets a criterion; where that cannot be told from the standing, no."""
    required = asked.value
    while isinstance(required, ByAttribute):
        required = required.cases.get(attributes.get(required.column) or "", required.default)
    if isinstance(required, bool | str):
        return str(value).lower() == str(required).lower()
    number = _number(value)
    return isinstance(required, Decimal) and number is not None and COMPARES[asked.comparison](number, required)


def number_entry(entry: Mapping[str, Any]) -> bool:
    """Whether both sides of a gap entry are plain numbers, so that nothing else can stand in its text."""
    return all(_number(entry.get(which)) is not None for which in ("value", "required"))
