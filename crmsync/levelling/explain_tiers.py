"""What every tier asks of one partner: its requirement as the tree of the file, each part with what it has and needs.

`why not`: every path to a tier, with what is missing on it. Source: program-language, sections 5 and 9.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from itertools import combinations, islice, product
from typing import Any

from crmsync.errors import ConfigError
from crmsync.levelling import gap, sql
from crmsync.levelling.before import sustained_id
from crmsync.levelling.criteria import Criteria
from crmsync.levelling.explain_metrics import of_partner
from crmsync.levelling.levelling import Levelling
from crmsync.levelling.measures import Measures
from crmsync.levelling.state import HELD
from crmsync.levelling.sustained import entered_on
from crmsync.programs.guide_words import stretch
from crmsync.programs.program import Group, Ladder, Take, Tier

MOST_PATHS = 64
"""A requirement may have very many paths; these are told."""

Tree = dict[str, Any]
"""A criterion (`entry` of the gap list and `path`), or a group: `junction`, `count`, `including`, `held`, `parts`."""


def told_tiers(levelling: Levelling, names: Measures, row: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Each tier of the row's ladder with its rule (requires, keeps), whether it holds, its criteria and their tree."""
    category, split = category_of(levelling, row)
    seen = names.at(split=split, category=category)
    criteria = Criteria(levelling.program, seen, levelling.limits)
    exempt = {one["value"] for one in row["overrides"] or () if one["kind"] == "exempt"}
    unknown = levelling.spots.split if value_lacking(levelling, row) else frozenset()
    tiers = []
    for tier in levelling.program.ladder_of(category).tiers:
        for rule, requirement in (("requires", tier.requires), ("keeps", tier.keeps)):
            if requirement is None and rule == "keeps":
                continue
            told = _told(levelling, criteria, requirement, row["partner_id"], exempt, unknown)
            waits = _waits(levelling, tier, rule, told["held"], row)
            tiers.append({"tier": tier.key, "label": tier.label, "rule": rule, **told, "sustained": waits})
    return tiers


def category_of(levelling: Levelling, row: Mapping[str, Any]) -> tuple[str, str | None]:
    """The category of a standing and the value that its numbers are of (None: the total)."""
    key, _, value = row["category"].partition("/")
    per = levelling.program.ladder_of(key).per
    if per is None:
        return key, None
    return key, value or None if per.take is Take.EACH else row["per_value"]


def value_lacking(levelling: Levelling, row: Mapping[str, Any]) -> str | None:
    """The column for whose values the ladder is climbed, where the partner has none: what is split is unknown."""
    key, split = category_of(levelling, row)
    per = levelling.program.ladder_of(key).per
    return per.column if per is not None and split is None else None


def _waits(
    levelling: Levelling, tier: Tier, rule: str, held: bool | None, row: Mapping[str, Any]
) -> dict[str, Any] | None:
    """Since when a sustained tier's `requires` holds, for how long it must, and the day on which it then is entered;
    None where nothing waits."""
    keys = [one.key for one in levelling.program.ladder_of(category_of(levelling, row)[0]).tiers]
    earned = keys.index(row["earned_tier"]) if row["earned_tier"] else -1
    if tier.sustained is None or rule != "requires" or not held or keys.index(tier.key) <= earned:
        return None
    state = row["state"] or {}
    state = json.loads(state) if isinstance(state, str) else state
    text = (state.get(HELD) or {}).get(sustained_id(tier.key))
    since = date.fromisoformat(str(text)) if text else levelling.days.as_of
    until = entered_on(since, tier.sustained)
    return None if until <= levelling.days.as_of else {"since": since, "for": stretch(tier.sustained), "until": until}


def _told(
    levelling: Levelling,
    criteria: Criteria,
    requirement: Group | None,
    partner_id: str,
    exempt: set[str],
    unknown: frozenset[str],
) -> dict[str, Any]:
    """`exempt`: metrics whose criteria count as met; `unknown`: those without a value for this partner."""
    if requirement is None:
        return {"held": True, "criteria": [], "tree": None}
    leaves = gap.leaves_of(gap.paths_of(requirement))
    entries = sql.array([gap.entry(leaf, gap.measured(criteria, leaf), sql.false()) for leaf in leaves])
    values = {"criteria": entries}
    values |= {f"known {at}": criteria.criterion(leaf.criterion) for at, leaf in enumerate(leaves)}
    found = of_partner(levelling, values, partner_id)
    listed = found["criteria"] or []
    for at, entry in enumerate(listed):
        criterion = leaves[at].criterion
        entry |= {"undecided": found[f"known {at}"] is None, "comparison": criterion.comparison.value}
        entry["turned"] = leaves[at].turned
        if criterion.metric in unknown:
            entry |= {"value": None, "missing": None, "met": False, "undecided": True}
        if entry["metric"] in exempt and not leaves[at].turned:
            entry |= {"met": True, "undecided": False, "exempt": True}
    by_path = {entry["path"]: entry for entry in listed}
    tree = _tree(requirement, by_path, "")
    return {"held": tree["held"], "criteria": listed, "tree": tree}


def _tree(part: Any, entries: Mapping[str, Mapping[str, Any]], path: str, turned: bool = False) -> Tree:
    """The requirement as it stands in the file; `held` is None where it is undecided.

    Inside `none` an entry is met where its criterion does not hold.
    """
    if not isinstance(part, Group):
        entry = entries[path]
        held = None if entry["undecided"] else entry["met"] != turned
        return {"path": path, "held": held, "entry": entry}
    word = part.junction.value
    parts = [
        _tree(one, entries, f"{path}/{word}/{at}".lstrip("/"), turned != (word == "none"))
        for at, one in enumerate(part.parts, 1)
    ]
    count = part.at_least if word == "at_least" else None
    held = _held(word, [one["held"] for one in parts], part.at_least, part.including)
    must = [parts[at]["path"] for at in part.including]
    return {"path": path, "junction": word, "count": count, "held": held, "including": must, "parts": parts}


def _held(word: str, parts: Sequence[bool | None], count: int, including: Sequence[int]) -> bool | None:
    sure, possible = parts.count(True), len(parts) - parts.count(False)
    if word == "none":
        return False if sure else None if possible else True
    needed = {"all": len(parts), "any": 1}.get(word, count)
    must = [parts[at] for at in including]
    if possible < needed or False in must:
        return False
    return True if sure >= needed and None not in must else None


# --- why not


def why_not(levelling: Levelling, row: Mapping[str, Any], wanted: str) -> dict[str, Any]:
    """What is missing on every path to a tier. Errors: ConfigError for a tier that the ladder does not have."""
    ladder = levelling.program.ladder_of(category_of(levelling, row)[0])
    tier = _tier(ladder, wanted, row["category"])
    place = [one.key for one in ladder.tiers].index(tier.key)
    earned = [one.key for one in ladder.tiers].index(row["earned_tier"]) if row["earned_tier"] else -1
    rule = "keeps" if tier.keeps is not None and place <= earned else "requires"
    told = next(one for one in row["tiers"] if one["tier"] == tier.key and one["rule"] == rule)
    requirement = tier.keeps if rule == "keeps" else tier.requires
    entries = {entry["path"]: entry for entry in told["criteria"]}
    paths = [_path(entries, one) for one in _paths(requirement)] if requirement is not None else []
    return {
        "tier": tier.key,
        "label": tier.label,
        "rule": rule,
        "held": told["held"],
        "paths": sorted(paths, key=lambda path: len(path["missing"])),
        "besides": list(_besides(row, tier, place, ladder)),
    }


def _tier(ladder: Ladder, wanted: str, category: str) -> Tier:
    for tier in ladder.tiers:
        if wanted in (tier.key, tier.label):
            return tier
    raise ConfigError(
        f"--why-not {wanted}: no such tier in category {category}; there are {', '.join(t.key for t in ladder.tiers)}"
    )


def _paths(requirement: Group) -> list[tuple[str, ...]]:
    """Sets of criteria (their paths) each of which would be enough."""
    return list(islice(dict.fromkeys(_ways(gap.paths_of(requirement))), MOST_PATHS))


def _ways(node: gap.Node) -> Iterator[tuple[str, ...]]:
    if isinstance(node, gap.Leaf):
        yield (node.path,)
        return
    for chosen in _choices(node):
        for ways in product(*(list(islice(_ways(part), MOST_PATHS)) for part in chosen)):
            yield tuple(dict.fromkeys(path for way in ways for path in way))


def _choices(node: gap.Choice) -> Iterator[Sequence[gap.Node]]:
    must = [node.parts[at] for at in node.including]
    others = [part for at, part in enumerate(node.parts) if at not in node.including]
    for some in combinations(others, max(node.count - len(must), 0)):
        yield [*must, *some]


def _path(entries: Mapping[str, Mapping[str, Any]], paths: Sequence[str]) -> dict[str, Any]:
    asked = [entries[path] for path in paths]
    return {"asks": asked, "missing": [entry for entry in asked if not entry["met"]]}


def _besides(row: Mapping[str, Any], tier: Tier, place: int, ladder: Ladder) -> Iterator[str]:
    """What stands between the numbers and the granted tier."""
    keys = [one.key for one in ladder.tiers]
    calculated = keys.index(row["calculated_tier"]) if row["calculated_tier"] else -1
    granted = keys.index(row["granted_tier"]) if row["granted_tier"] else -1
    if granted >= place:
        yield f"it is granted {tier.label} or higher already"
        return
    if ladder.climb_steps and calculated < place - 1:
        yield f"the ladder is climbed step by step, so that {ladder.tiers[calculated + 1].label} must hold first"
    if row["pending_tier"]:
        day = f" from {row['pending_on']} on" if row["pending_on"] else ", waiting for an approval"
        yield f"{row['pending_tier']} is decided{day}"
    waits = next(one["sustained"] for one in row["tiers"] if one["tier"] == tier.key and one["rule"] == "requires")
    if waits and calculated < place:
        yield f"its numbers hold {waiting_words(waits)}"
    if calculated >= place:
        yield f"the numbers give {row['calculated_tier']}, which has not come into force: {row['movement']}"
    for one in row["overrides"] or ():
        if one["kind"] in ("pin", "ceiling"):
            yield f"an override ({one['kind']} {one['value']}) stands until {one['ends_on'] or 'it is ended'}"


def waiting_words(waits: Mapping[str, Any]) -> str:
    """What a sustained tier still waits for."""
    return f"since {waits['since']}: entered after {waits['for']}, on {waits['until']} at the earliest"
