"""`ladders:`: tiers, lowest first, and what each asks for. Source: program-language, section 5."""

from __future__ import annotations

import re
from collections.abc import Mapping

from crmsync.programs import unbuilt
from crmsync.programs.metrics import Vocabulary
from crmsync.programs.movement import Calendar, read_movement
from crmsync.programs.names import read_label
from crmsync.programs.program import Ladder, Tier
from crmsync.programs.requirements import read_requirement
from crmsync.programs.thresholds import Conversion
from crmsync.strict_yaml import Node

_KEY = re.compile(r"[A-Za-z][A-Za-z0-9_]*")


def read_key(node: Node, line_key: str | None = None) -> str:
    """A key of the program: letters, digits, `_`, first a letter. `line_key`: the key of the mapping that is meant."""
    text = line_key if line_key is not None else node.text()
    if not _KEY.fullmatch(text):
        problem = f"`{text}` cannot be a key; use letters, digits and `_`, first a letter"
        raise node.fail(problem) if line_key is None else node.fail_at_key(line_key, problem)
    return text


def read_ladders(node: Node, words: Vocabulary, conversion: Conversion, calendar: Calendar) -> dict[str, Ladder]:
    """The ladders of a program, in file order. Errors: ConfigError."""
    found = {}
    for key, entry in node.mapping().items():
        found[read_key(node, key)] = _ladder(key, node.key_lines[key], entry, words, conversion, calendar)
    if not found:
        raise node.fail("`ladders:` names no ladder")
    return found


def _ladder(key: str, line: int, entry: Node, words: Vocabulary, conversion: Conversion, calendar: Calendar) -> Ladder:
    unbuilt.refuse(entry, unbuilt.LADDER)
    parts = entry.mapping(required=("tiers",), optional=("label", "climb"))
    tiers = _tiers(parts["tiers"], words, conversion, calendar)
    return Ladder(key, line, tiers, read_label(parts, key), "climb" in parts and _climb(parts["climb"]) == "steps")


def _climb(node: Node) -> str:
    text = node.text()
    if text not in ("highest", "steps"):
        raise node.fail(f"`{text}` is not a way to climb; write highest or steps")
    return text


def _tiers(node: Node, words: Vocabulary, conversion: Conversion, calendar: Calendar) -> tuple[Tier, ...]:
    tiers: list[Tier] = []
    names: dict[str, int] = {}
    for place, item in enumerate(node.sequence()):
        tier = _tier(item, place == 0, words, conversion, calendar)
        for name in {tier.key, tier.label}:
            if name in names:
                raise item.fail(f"two tiers are called `{name}` (the first on line {names[name]})")
            names[name] = tier.line
        tiers.append(tier)
    if not tiers:
        raise node.fail("a ladder needs at least one tier")
    return tuple(tiers)


def _tier(item: Node, is_first: bool, words: Vocabulary, conversion: Conversion, calendar: Calendar) -> Tier:
    if item.is_text:
        parts: Mapping[str, Node] = {"key": item}
    else:
        unbuilt.refuse(item, unbuilt.TIER)
        parts = item.mapping(required=("key",), optional=("label", "means", "requires", "keeps", "rank", "movement"))
    key = read_key(parts["key"])
    label = read_label(parts, key)
    for name in (key, label):
        if name.lower() == "none":
            raise item.fail("a tier may not be called `none`: that is the word for no tier")
    if not is_first and "requires" not in parts:
        raise item.fail(f"tier `{key}` needs `requires:`; only the lowest tier may go without")
    if "keeps" in parts and "requires" not in parts:
        raise parts["keeps"].fail(f"tier `{key}` has `keeps:` without `requires:`")
    return Tier(
        key,
        label,
        item.line,
        read_requirement(parts["requires"], words, conversion) if "requires" in parts else None,
        read_requirement(parts["keeps"], words, conversion) if "keeps" in parts else None,
        parts["rank"].integer() if "rank" in parts else None,
        parts["means"].text() if "means" in parts else "",
        movement=read_movement(parts.get("movement"), calendar),
    )
