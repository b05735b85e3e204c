"""The names of tiers, ladders and categories, read before anything else so that `tier_of` and `held_for` may use them.

Only looks: what is wrong with a ladder or a category is said where it is read. Source: program-language, section 3.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import zip_longest
from pathlib import Path

from crmsync.errors import ConfigError
from crmsync.strict_yaml import Node, nearest, read_text, read_yaml

ALONE = "all"  # the category of a program that names none

_PROGRAM = re.compile(r"^program:[ ]*[\"']?([A-Za-z][A-Za-z0-9_-]*)", re.MULTILINE)


@dataclass(frozen=True)
class TierNames:
    """`ladders`: tier keys of each, lowest first; `labels`: their labels. `categories`: the ladder of each, None where
    none is known."""

    ladders: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    labels: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    categories: Mapping[str, str | None] = field(default_factory=dict)

    def tiers(self) -> frozenset[str]:
        """Every tier key."""
        return frozenset(key for keys in self.ladders.values() for key in keys)

    def of_category(self, category: str) -> tuple[str, ...]:
        """The tier keys that a category climbs."""
        return self.ladders.get(self.categories.get(category) or "", ())

    def labels_of_category(self, category: str) -> tuple[str, ...]:
        """The labels of the tiers that a category climbs."""
        return self.labels.get(self.categories.get(category) or "", ())


def read_tier_names(top: Mapping[str, Node]) -> TierNames:
    """The names in the top level of a program."""
    tiers = {key: list(_tiers(entry)) for key, entry in _entries(top.get("ladders")).items()}
    ladders = {key: tuple(one for one, _ in of) for key, of in tiers.items()}
    labels = {key: tuple(label for _, label in of) for key, of in tiers.items()}
    usual = usual_ladder(list(ladders), set(_ladders_read(top)))
    if "categories" not in top:
        return TierNames(ladders, labels, {ALONE: usual})
    categories = {key: _ladder(entry) or usual for key, entry in _entries(top["categories"]).items()}
    return TierNames(ladders, labels, categories)


def usual_ladder(ladders: Sequence[str], read: Collection[str]) -> str | None:
    """The ladder that a category climbs which names none: the only one, or the only one that no `tier_of` reads."""
    if set(ladders[1:]) <= set(read):
        return next(iter(ladders), None)
    unread = [key for key in ladders if key not in read]
    return unread[0] if len(unread) == 1 else None


def _ladders_read(top: Mapping[str, Node]) -> Iterable[str]:
    for metric in _entries(top.get("metrics")).values():
        node = _entries(_entries(metric).get("tier_of")).get("ladder")
        if node is not None and node.is_text:
            yield node.text()


def _entries(node: Node | None) -> Mapping[str, Node]:
    return node.mapping() if node is not None and node.is_mapping else {}


def _tiers(ladder: Node) -> Iterable[tuple[str, str]]:
    """Key and label of each tier."""
    tiers = _entries(ladder).get("tiers")
    for item in tiers.sequence() if tiers is not None and tiers.is_sequence else ():
        parts = _entries(item)
        key = parts.get("key", item)
        label = parts.get("label", key)
        if key.is_text:
            yield key.text(), label.text() if label.is_text else key.text()


def _ladder(category: Node) -> str | None:
    ladder = _entries(category).get("ladder")
    return ladder.text() if ladder is not None and ladder.is_text else None


def positions(keys: Iterable[str]) -> dict[str, int]:
    """Tier key -> position, lowest 1."""
    return {key: place for place, key in enumerate(keys, 1)}


def same_positions(ladders: Iterable[tuple[str, ...]]) -> dict[str, int]:
    """Tier key -> position, for keys that have one position in all of several ladders."""
    found: dict[str, int] = {}
    differing: set[str] = set()
    for ladder in ladders:
        for key, place in positions(ladder).items():
            if found.setdefault(key, place) != place:
                differing.add(key)
    return {key: place for key, place in found.items() if key not in differing}


def same_names(ladders: Iterable[tuple[str, ...]]) -> tuple[str | None, ...]:
    """What the positions are called, lowest first; None where several ladders call them differently."""
    called = [set(names) - {None} for names in zip_longest(*ladders)]
    return tuple(names.pop() if len(names) == 1 else None for names in called)


def own_key(top: Mapping[str, Node]) -> str | None:
    """The key of the program itself, where it is one word."""
    node = top.get("program")
    return node.text() if node is not None and node.is_text else None


def other_program(node: Node, key: str) -> list[Mapping[str, Node]]:
    """The top level of each version of another program of the same folder. Errors: ConfigError where there is none."""
    files = _programs_beside(Path(node.file))
    if key not in files:
        raise node.fail(f"no program `{key}` stands in this folder{nearest(key, files)}")
    return [read_yaml(file).mapping() for file in files[key]]


def _programs_beside(file: Path) -> dict[str, list[Path]]:
    found: dict[str, list[Path]] = {}
    for one in sorted(file.parent.iterdir()) if file.parent.is_dir() else ():
        if one.suffix not in (".yaml", ".yml") or not one.is_file():
            continue
        try:
            named = _PROGRAM.search(read_text(one))
        except ConfigError:  # unreadable: said when that program itself is read
            continue
        if named:
            found.setdefault(named[1], []).append(one)
    return found


def programs_read(top: Mapping[str, Node]) -> Iterable[tuple[Node, str]]:
    """The other programs whose tiers the metrics of a program read: (place, key)."""
    for metric in _entries(top.get("metrics")).values():
        node = _entries(_entries(metric).get("tier_of")).get("program")
        if node is not None and node.is_text:
            yield node, node.text()
