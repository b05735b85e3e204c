"""`ladders:`: tiers, lowest first, and what each asks for. Source: program-language, section 5."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from crmsync.programs.benefits import Offer, check_benefits, read_benefits
from crmsync.programs.dependence import inputs
from crmsync.programs.durings import read_horizon
from crmsync.programs.expressions import parse_formula
from crmsync.programs.keys import read_key
from crmsync.programs.movement import Calendar, read_movement
from crmsync.programs.names import PARTNERS, Kind, read_label
from crmsync.programs.program import (
    Criterion,
    Family,
    Group,
    Ladder,
    Metric,
    OtherMetric,
    Per,
    Requirement,
    Take,
    Tier,
)
from crmsync.programs.requirements import read_requirement
from crmsync.programs.threshold_table import RULES, ThresholdTable, TierCells
from crmsync.programs.vocabulary import Vocabulary
from crmsync.strict_yaml import Node, nearest

LADDER_KEYS = ("label", "means", "climb", "per", "take", "family")
TIER_KEYS = ("label", "means", "requires", "keeps", "sustained", "rank", "benefits", "movement")
FAMILY_KEYS = ("from", "where")


@dataclass(frozen=True)
class Setting:
    """What ladders are read with."""

    offer: Offer
    calendar: Calendar
    table: ThresholdTable | None = None

    @property
    def words(self) -> Vocabulary:
        """What criteria may name."""
        return self.offer.words


def read_ladders(node: Node, setting: Setting) -> dict[str, Ladder]:
    """The ladders of a program, in file order. Errors: ConfigError."""
    found = {}
    for key, entry in node.mapping().items():
        found[read_key(node, key)] = _ladder(key, node.key_lines[key], entry, setting)
    if not found:
        raise node.fail("`ladders:` names no ladder")
    if setting.table is not None:
        setting.table.check_all_asked()
    return found


def _ladder(key: str, line: int, entry: Node, setting: Setting) -> Ladder:
    parts = entry.mapping(required=("tiers",), optional=LADDER_KEYS)
    tiers = _tiers(parts["tiers"], key, setting)
    return Ladder(
        key,
        line,
        tiers,
        read_label(parts, key),
        "climb" in parts and _climb(parts["climb"]) == "steps",
        _per(entry, parts),
        read_family(parts.get("family"), setting.words),
        parts["means"].text() if "means" in parts else "",
    )


def _climb(node: Node) -> str:
    text = node.text()
    if text not in ("highest", "steps"):
        raise node.fail(f"`{text}` is not a way to climb; write highest or steps")
    return text


def _per(entry: Node, parts: Mapping[str, Node]) -> Per | None:
    if "per" not in parts:
        if "take" in parts:
            raise entry.fail_at_key("take", "`take:` belongs to `per:`, which is missing here")
        return None
    column = parts["per"].text().removeprefix(f"{PARTNERS}.")
    take, count = _take(parts["take"]) if "take" in parts else (Take.BEST, 0)
    return Per(column, take, count)


def _take(node: Node) -> tuple[Take, int]:
    if node.is_mapping:
        count = node.mapping(required=("at_least",))["at_least"]
        if count.integer() < 1:
            raise count.fail(f"`at_least: {count.text()}`: write 1 or more")
        return Take.AT_LEAST, count.integer()
    known = (str(Take.BEST), str(Take.ALL), str(Take.EACH))
    if node.text() not in known:
        raise node.fail(f"`{node.text()}` is not one of {', '.join(known)} or {{at_least: n}}")
    return Take(node.text()), 0


def check_splits(node: Node, ladders: Mapping[str, Ladder], metrics: Mapping[str, Metric]) -> None:
    """Errors: ConfigError for a ladder `per:` a column by which none of its metrics is split."""
    for key, ladder in ladders.items():
        if ladder.per is None:
            continue
        splits = {metrics[one].split_by or "" for one in _with_inputs(ladder, metrics)} - {""}
        columns = {split.removeprefix(f"{PARTNERS}.") for split in splits}
        if ladder.per.column not in columns:
            per = node.mapping()[key].mapping()["per"]
            raise per.fail(
                f"no metric that ladder `{key}` reads is split by `{ladder.per.column}`"
                + (nearest(ladder.per.column, columns) or f"; write `split_by: {ladder.per.column}` at one")
            )


def _with_inputs(ladder: Ladder, metrics: Mapping[str, Metric]) -> set[str]:
    """The metrics of a ladder's criteria and all they are computed from."""
    waiting = [key for tier in ladder.tiers for group in (tier.requires, tier.keeps) for key in _read_by(group)]
    found: set[str] = set()
    while waiting:
        key = waiting.pop()
        if key not in found and key in metrics:
            found.add(key)
            waiting.extend(inputs(metrics[key]))
    return found


def _read_by(part: Requirement | None) -> Iterator[str]:
    if isinstance(part, Criterion):
        yield part.metric
        if isinstance(part.value, OtherMetric):
            yield part.value.key
    elif isinstance(part, Group):
        for one in part.parts:
            yield from _read_by(one)


def read_family(node: Node | None, words: Vocabulary) -> Family | None:
    """`family: {tier: floor, from: parent|top, where: …}`. Errors: ConfigError."""
    if node is None:
        return None
    parts = node.mapping(required=("tier",), optional=FAMILY_KEYS)
    if parts["tier"].text() != "floor":
        raise parts["tier"].fail(f"`tier: {parts['tier'].text()}`: a family gives a floor; write `tier: floor`")
    source = parts["from"].text() if "from" in parts else "parent"
    if source not in ("parent", "top"):
        raise parts["from"].fail(f"`from: {source}` is neither parent nor top")
    where = parts.get("where")
    formula = parse_formula(where.text(), where.line, where.file, words.accounts(), Kind.CONDITION) if where else None
    return Family(node.line, source == "top", formula)


def _tiers(node: Node, ladder: str, setting: Setting) -> tuple[Tier, ...]:
    tiers: list[Tier] = []
    names: dict[str, int] = {}
    for place, item in enumerate(node.sequence()):
        tier = _tier(item, place == 0, ladder, setting)
        for name in {tier.key, tier.label}:
            if name in names:
                raise item.fail(f"two tiers are called `{name}` (the first on line {names[name]})")
            names[name] = tier.line
        tiers.append(tier)
    if not tiers:
        raise node.fail("a ladder needs at least one tier")
    nodes = [item.mapping().get("benefits") if item.is_mapping else None for item in node.sequence()]
    check_benefits([(tier.key, tier.benefits, one) for tier, one in zip(tiers, nodes, strict=True)])
    return tuple(tiers)


def _tier(item: Node, is_first: bool, ladder: str, setting: Setting) -> Tier:
    parts = {"key": item} if item.is_text else item.mapping(required=("key",), optional=TIER_KEYS)
    key = read_key(parts["key"])
    label = read_label(parts, key)
    for name in (key, label):
        if name.lower() == "none":
            raise item.fail("a tier may not be called `none`: that is the word for no tier")
    if not is_first and "requires" not in parts:
        raise item.fail(f"tier `{key}` needs `requires:`; only the lowest tier may go without")
    for word in ("keeps", "sustained"):
        if word in parts and "requires" not in parts:
            raise parts[word].fail(f"tier `{key}` has `{word}:` without `requires:`")
    cells = TierCells(setting.table, ladder, key)
    return Tier(
        key,
        label,
        item.line,
        _requirement(parts.get("requires"), cells, setting),
        _requirement(parts.get("keeps"), replace(cells, rule=RULES[1]), setting),
        parts["rank"].integer() if "rank" in parts else None,
        parts["means"].text() if "means" in parts else "",
        read_horizon(parts["sustained"]) if "sustained" in parts else None,
        read_benefits(parts.get("benefits"), setting.offer),
        read_movement(parts.get("movement"), setting.calendar),
    )


def _requirement(node: Node | None, cells: TierCells, setting: Setting) -> Group | None:
    return None if node is None else read_requirement(node, setting.words, setting.offer.conversion, cells)
