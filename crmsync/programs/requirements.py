"""`requires` and `keeps`: criteria in groups of all, any, none and at_least. Source: program-language, section 5."""

from __future__ import annotations

from dataclasses import dataclass, replace

from crmsync.programs.names import Kind, kind_of_unit
from crmsync.programs.program import Comparison, Criterion, Group, Junction, Requirement
from crmsync.programs.thresholds import Cells, Conversion, read_threshold
from crmsync.programs.vocabulary import Vocabulary
from crmsync.strict_yaml import Node, nearest

_GROUPS = (Junction.ALL, Junction.ANY, Junction.NONE)
_COUNTED = ("at_least", "of", "including")


@dataclass(frozen=True)
class Terms:
    """What criteria are read with."""

    words: Vocabulary
    conversion: Conversion
    cells: Cells | None = None


def read_requirement(node: Node, words: Vocabulary, conversion: Conversion, cells: Cells | None = None) -> Group:
    """The group that a tier asks for; a plain mapping or list means all. Errors: ConfigError."""
    terms = Terms(words, conversion, cells)
    parts = _parts(node, terms)
    if len(parts) == 1 and isinstance(parts[0], Group):
        return parts[0]
    return Group(Junction.ALL, tuple(parts), node.line)


def _parts(node: Node, terms: Terms) -> list[Requirement]:
    """The parts of a list (one each) or of a mapping (one for each key)."""
    if node.is_text:
        raise node.fail(f"`{node.text()}` is no criterion; write `metric: value`")
    found = [_one(item, terms) for item in node.sequence()] if node.is_sequence else _keys(node, terms)
    if not found:
        raise node.fail("an empty group; write at least one criterion")
    return found


def _one(item: Node, terms: Terms) -> Requirement:
    if item.is_text:
        raise item.fail(f"`{item.text()}` is no criterion; write `metric: value`")
    parts = _parts(item, terms)
    return parts[0] if len(parts) == 1 else Group(Junction.ALL, tuple(parts), item.line)


def _keys(node: Node, terms: Terms) -> list[Requirement]:
    found: list[Requirement] = []
    keys = node.mapping()
    for key, value in keys.items():
        line = node.key_lines[key]
        if key in _GROUPS:
            found.append(Group(Junction(key), tuple(_parts(value, terms)), line))
        elif key == "at_least":
            found.append(_at_least(node, terms))
        elif key in _COUNTED:
            if "at_least" not in keys:
                raise node.fail_at_key(key, f"`{key}:` belongs to `at_least:`, which is missing here")
        else:
            found.append(_criterion(node, key, value, terms))
    return found


def _criterion(node: Node, metric: str, value: Node, terms: Terms) -> Criterion:
    words = terms.words
    if metric not in words.units:
        known = (*words.units, *_GROUPS, "at_least")
        raise node.fail_at_key(metric, f"unknown metric `{metric}`{nearest(metric, known)}")
    found = read_threshold(value, metric, words, terms.conversion, terms.cells)
    is_number = kind_of_unit(words.units[metric]) is Kind.NUMBER
    default = Comparison.GE if is_number else Comparison.EQ
    return Criterion(metric, found.comparison or default, found.value, node.key_lines[metric])


def _at_least(node: Node, terms: Terms) -> Group:
    keys, line = node.mapping(), node.key_lines["at_least"]
    count = keys["at_least"].integer()
    if "of" not in keys:
        raise node.fail_at_key("at_least", "`at_least:` needs `of:` with the parts it counts")
    parts = _parts(keys["of"], terms)
    including = _including(keys["including"], parts, terms) if "including" in keys else ()
    if not 1 <= count <= len(parts):
        raise keys["at_least"].fail(f"`at_least: {count}` of {len(parts)} parts; write 1 to {len(parts)}")
    if len(including) > count:
        raise keys["including"].fail(f"`including` names {len(including)} parts, more than `at_least: {count}`")
    return Group(Junction.AT_LEAST, tuple(parts), line, count, including)


def _including(node: Node, parts: list[Requirement], terms: Terms) -> tuple[int, ...]:
    """Places in `parts` of those that must be met; one that `of` does not have joins the parts."""
    if node.is_sequence and all(item.is_text for item in node.sequence()):
        return tuple(_place_of_metric(item, parts) for item in node.sequence())
    shapes = [_without_lines(part) for part in parts]
    places = []
    for wanted in _parts(node, terms):
        if _without_lines(wanted) not in shapes:
            parts.append(wanted)
            shapes.append(_without_lines(wanted))
        places.append(shapes.index(_without_lines(wanted)))
    return tuple(sorted(set(places)))


def _place_of_metric(item: Node, parts: list[Requirement]) -> int:
    places = [place for place, part in enumerate(parts) if isinstance(part, Criterion) and part.metric == item.text()]
    if len(places) != 1:
        known = [part.metric for part in parts if isinstance(part, Criterion)]
        raise item.fail(f"`{item.text()}` is not one criterion under `of`{nearest(item.text(), known)}")
    return places[0]


def _without_lines(part: Requirement) -> Requirement:
    if isinstance(part, Criterion):
        return replace(part, line=0)
    return replace(part, line=0, parts=tuple(_without_lines(one) for one in part.parts))
