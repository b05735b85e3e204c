"""Sources that look at the population, at tiers, and back: `rank_of`, `percentile_of`, `tier_of`, `held_for`.

Source: program-language, section 3.
"""

from __future__ import annotations

from collections.abc import Mapping

from crmsync.programs.expressions import parse_formula
from crmsync.programs.names import PARTNERS, Kind, kind_of_unit
from crmsync.programs.program import Criterion, FromHeld, FromRank, FromTier
from crmsync.programs.requirements import read_requirement
from crmsync.programs.thresholds import Conversion
from crmsync.programs.tier_names import (
    TierNames,
    other_program,
    own_key,
    positions,
    programs_read,
    read_tier_names,
    same_names,
    same_positions,
)
from crmsync.programs.vocabulary import Vocabulary, column_kind
from crmsync.strict_yaml import Node, nearest

CATEGORY = "category"
TIER = "tier"


def read_rank(kind: str, parts: Mapping[str, Node], words: Vocabulary) -> FromRank:
    """`rank_of:` or `percentile_of:` a metric, `within:` columns or category, `where:`. Errors: ConfigError."""
    node = parts[kind]
    if kind_of_unit(words.unit_of(node)) is not Kind.NUMBER:
        raise node.fail(f"`{kind}` needs a number, but the unit of `{node.text()}` is {words.unit_of(node)}")
    columns, within_category = _within(parts.get("within"), words)
    where = parts.get("where")
    condition = parse_formula(where.text(), where.line, where.file, words.partner(), Kind.CONDITION) if where else None
    return FromRank(node.text(), kind == "percentile_of", columns, within_category, condition)


def _within(node: Node | None, words: Vocabulary) -> tuple[tuple[str, ...], bool]:
    """Columns of partners, and whether the word `category` stands among them."""
    if node is None:
        return (), False
    columns: list[str] = []
    within_category = False
    for item in node.sequence() if node.is_sequence else (node,):
        text = item.text().strip()
        name = text.removeprefix(f"{PARTNERS}.")
        if (text == CATEGORY and within_category) or name in columns:
            raise item.fail(f"`{text}` stands twice in `within:`")
        if text == CATEGORY:
            within_category = True
            continue
        if text in words.units and name not in words.tables.columns(PARTNERS):
            raise item.fail(f"`{text}` is a metric; `within:` needs columns of partners or `{CATEGORY}`")
        if column_kind(item, name, words.tables) is Kind.LIST:
            raise item.fail(f"`{text}` is a list; `within:` needs columns with one value")
        columns.append(name)
    if not columns and not within_category:
        raise node.fail("`within:` names no column; leave it out to rank everybody")
    return tuple(columns), within_category


def read_tier_of(node: Node, tiers: TierNames) -> FromTier:
    """`tier_of: {ladder|category: key}` or `{program: key, category: key}`. Errors: ConfigError."""
    parts = node.mapping(optional=("ladder", "category", "program"))
    if "ladder" in parts and len(parts) > 1:
        other = next(key for key in parts if key != "ladder")
        raise node.fail_at_key(other, f"`ladder` and `{other}` do not go together; name one")
    if "program" in parts:
        return _of_program(parts)
    if "ladder" in parts:
        ladder = _known(parts["ladder"], "ladder", tiers.ladders)
        return FromTier(ladder=ladder, names=tiers.labels[ladder])
    if "category" in parts:
        category = _known(parts["category"], "category", tiers.categories)
        return FromTier(category=category, names=tiers.labels_of_category(category))
    raise node.fail("`tier_of` needs one of ladder, category, program")


def _known(node: Node, what: str, names: Mapping[str, object]) -> str:
    if node.text() not in names:
        raise node.fail(f"unknown {what} `{node.text()}`{nearest(node.text(), names)}")
    return node.text()


def _of_program(parts: Mapping[str, Node]) -> FromTier:
    """Another program of the folder; its categories are known by their names. Circles: `check_programs`."""
    node, key = parts["program"], parts["program"].text()
    versions = [read_tier_names(top) for top in other_program(node, key)]
    if "category" not in parts:
        return FromTier(program=key, names=same_names(one for all_ in versions for one in all_.labels.values()))
    known = {name: None for version in versions for name in version.categories}
    category = _known(parts["category"], "category", known)
    names = same_names(version.labels_of_category(category) for version in versions)
    return FromTier(program=key, category=category, names=names)


def check_programs(top: Mapping[str, Node]) -> None:
    """Errors: ConfigError for a program that reads the tiers of another one which reads its own."""
    start = own_key(top)
    for node, key in programs_read(top):
        if key == start:
            raise node.fail(f"`{key}` is this program itself; write `ladder:` or `category:`")
        path = _way_back(node, key, start, ())
        if path:
            raise node.fail(f"programs in a circle: {' -> '.join((start or '', *path))}")


def _way_back(node: Node, key: str, start: str | None, path: tuple[str, ...]) -> tuple[str, ...]:
    if key == start or key in path:
        return (*path, key) if key == start else ()
    for top in other_program(node, key):
        for place, other in programs_read(top):
            found = _way_back(place, other, start, (*path, key))
            if found:
                return found
    return ()


def read_positions(metrics: Node, tiers: TierNames) -> dict[str, Mapping[str, int]]:
    """For each metric that is a `tier_of`, the tier keys it may be compared with, and where they stand."""
    found: dict[str, Mapping[str, int]] = {}
    for key, entry in metrics.mapping().items():
        node = entry.mapping().get("tier_of") if entry.is_mapping else None
        if node is not None and node.is_mapping:
            found[key] = _positions(read_tier_of(node, tiers), node, tiers)
    return found


def _positions(source: FromTier, node: Node, tiers: TierNames) -> dict[str, int]:
    if source.ladder is not None:
        return positions(tiers.ladders[source.ladder])
    if source.program is None:
        return positions(tiers.of_category(source.category or ""))
    versions = [read_tier_names(top) for top in other_program(node, source.program)]
    if source.category is not None:
        return same_positions(version.of_category(source.category) for version in versions)
    return same_positions(ladder for version in versions for ladder in version.ladders.values())


def read_held_for(node: Node, words: Vocabulary, conversion: Conversion) -> FromHeld:
    """`held_for: {tier: key}` or `{metric: criterion}`. Errors: ConfigError."""
    parts = node.mapping()
    if len(parts) != 1:
        raise node.fail("`held_for` names one tier or one metric with its criterion, like {tier: gold}")
    key, value = next(iter(parts.items()))
    if key == TIER:
        known = words.tiers.tiers()
        if value.text() not in known:
            raise value.fail(f"unknown tier `{value.text()}`{nearest(value.text(), known)}")
        return FromHeld(tier=value.text())
    if key not in words.units:
        raise node.fail_at_key(key, f"unknown metric `{key}`{nearest(key, [*words.units, TIER])}")
    criterion = read_requirement(node, words, conversion).parts[0]
    assert isinstance(criterion, Criterion)
    return FromHeld(criterion=criterion)
