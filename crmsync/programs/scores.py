"""`score:`: points in parts and groups, each a metric of its own (`score.part`).

Source: program-language, section 4.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal

from crmsync.programs.expressions import parse_formula
from crmsync.programs.names import PARTNERS, Kind, kind_of_unit, read_label
from crmsync.programs.program import (
    Bands,
    BestOf,
    ByAttribute,
    Earning,
    Formula,
    FromPart,
    FromParts,
    Linear,
    Metric,
    OtherMetric,
    PerUnit,
    Points,
    Unit,
)
from crmsync.programs.vocabulary import Vocabulary, column_kind, no_default
from crmsync.strict_yaml import Node, decimal_of, nearest

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*")
_EACH = re.compile(r"(\S+)(?: per (\S+))?")
_WAYS = ("worth", "each", "bands", "best")
_BELONGS = {"full_at": "worth", "whole_units": "each"}
_PART = ("of", *_WAYS, *_BELONGS, "max", "needs", "allow_negative", "label")
_YES_NO = {"yes": "true", "true": "true", "no": "false", "false": "false"}


def part_units(key: str, entry: Node) -> dict[str, Unit]:
    """The parts and groups of a score as metrics, before they are read; nothing where the shape is wrong."""
    found: dict[str, Unit] = {}
    for place in ("parts", "groups"):
        score = entry.mapping().get("score")
        names = score.mapping().get(place) if score is not None and score.is_mapping else None
        for name in names.mapping() if names is not None and names.is_mapping else ():
            if names is not None and f"{key}.{name}" in found:
                raise names.fail_at_key(name, f"`{name}` is a part of `{key}` already; give the group another name")
            found[f"{key}.{name}"] = Unit.POINTS
    return found


@dataclass(frozen=True)
class _Score:
    """A score while it is read. `own`: names of its parts and groups."""

    key: str
    words: Vocabulary
    own: frozenset[str]

    def name(self, part: str) -> str:
        return f"{self.key}.{part}"


def read_score(key: str, node: Node, words: Vocabulary) -> tuple[list[Metric], FromParts]:
    """The parts and groups as metrics, and what the score itself adds up. Errors: ConfigError."""
    top = node.mapping(required=("parts",), optional=("groups", "max"))
    parts, groups = top["parts"].mapping(), top["groups"].mapping() if "groups" in top else {}
    if not parts:
        raise top["parts"].fail("`parts:` names no part")
    score = _Score(key, words, frozenset({*parts, *groups}))
    found = [_part(score, name, top["parts"], item) for name, item in parts.items()]
    fed = _fed(found)
    grouped: dict[str, str] = {}
    for name, item in groups.items():
        found.append(_group(score, name, top["groups"], item, parts, fed, grouped))
    added = [one.key for one in found if one.key not in fed and one.key not in grouped]
    if not added:
        raise top["parts"].fail(f"nothing of `{key}` is added up: every part only feeds a `best:`")
    return found, FromParts(key, tuple(added), _most(top, words))


def _fed(parts: Iterable[Metric]) -> frozenset[str]:
    """The metrics that count through a `best:` of some part."""
    return frozenset(
        each
        for part in parts
        if isinstance(part.source, FromPart) and isinstance(part.source.earning, BestOf)
        for each in part.source.earning.metrics
    )


def _check_name(node: Node, name: str) -> None:
    if not _NAME.fullmatch(name):
        raise node.fail_at_key(name, f"`{name}` cannot name a part; use letters, digits and `_`, first a letter")


def _part(score: _Score, name: str, node: Node, item: Node) -> Metric:
    _check_name(node, name)
    keys = item.mapping(optional=_PART)
    ways = [key for key in keys if key in _WAYS]
    if len(ways) != 1:
        given = f"not {' and '.join(f'`{way}`' for way in ways)}" if ways else "none stands here"
        raise item.fail(f"part `{name}` earns its points in one way: worth, each, bands or best ({given})")
    for key, owner in _BELONGS.items():
        if key in keys and owner != ways[0]:
            raise item.fail_at_key(key, f"`{key}` belongs to `{owner}`, not to `{ways[0]}`")
    of = _of(name, item, keys, ways[0], score.words)
    allow_negative = "allow_negative" in keys and keys["allow_negative"].yes_no()
    earning = _earning(score, name, ways[0], keys, of)
    _check_signs(keys[ways[0]], name, earning, allow_negative)
    full = score.name(name)
    source = FromPart(
        score.key,
        of,
        earning,
        _most(keys, score.words),
        _needs(keys.get("needs"), score.words),
        allow_negative,
    )
    return Metric(full, node.key_lines[name], Unit.POINTS, source, read_label(keys, full))


def _of(name: str, item: Node, keys: Mapping[str, Node], way: str, words: Vocabulary) -> str | None:
    """The metric that a part looks at, which must fit the way in which it earns."""
    if way == "best":
        if "of" in keys:
            raise keys["of"].fail(f"part `{name}`: `best:` names what it looks at; leave `of` out")
        return None
    if "of" not in keys:
        raise item.fail(f"part `{name}` needs `of:` with the metric it looks at")
    node = keys["of"]
    kind, unit = kind_of_unit(words.unit_of(node)), words.unit_of(node)
    if kind is Kind.TEXT:
        raise node.fail(f"`{node.text()}` is a text and earns no points")
    if kind is Kind.CONDITION and (way != "worth" or "full_at" in keys):
        raise node.fail(f"`{node.text()}` is yes or no; write `worth:` alone")
    if kind is Kind.NUMBER and way == "worth" and "full_at" not in keys:
        raise keys["worth"].fail(
            f"`{node.text()}` is a number (its unit is {unit}); `worth` needs `full_at:` beside it"
        )
    return node.text()


def _earning(score: _Score, name: str, way: str, keys: Mapping[str, Node], of: str | None) -> Earning:
    node, words = keys[way], score.words
    if way == "best":
        return BestOf(_best(score, name, node))
    assert of is not None
    if way == "bands":
        return _bands(node, of, words)
    if way == "each":
        return _each(node, of, words, "whole_units" in keys and keys["whole_units"].yes_no())
    full_at = _scaled(keys["full_at"], of, words) if "full_at" in keys else None
    return Linear(read_points(node, words), full_at)


def _best(score: _Score, name: str, node: Node) -> tuple[str, ...]:
    found: list[str] = []
    for item in node.sequence():
        text = item.text()
        key = score.name(text) if text in score.own else text
        if key == score.name(name):
            raise item.fail(f"part `{name}` is the best of itself; name other parts")
        if key not in score.words.units:
            known = [*score.own, *(one for one in score.words.units if "." not in one)]
            raise item.fail(f"unknown part or metric `{text}`{nearest(text, known)}")
        if kind_of_unit(score.words.units[key]) is not Kind.NUMBER:
            raise item.fail(f"`{text}` is no number (its unit is {score.words.units[key]}); `best:` compares points")
        if key in found:
            raise item.fail(f"`{text}` stands twice in `best:`")
        found.append(key)
    if len(found) < 2:
        raise node.fail("`best:` needs at least two parts or metrics")
    return tuple(found)


def _each(node: Node, of: str, words: Vocabulary, whole_units: bool) -> PerUnit:
    """`each: 4` | `each: 1 per 10` | `each: {by: region, …}` (per 1)."""
    if node.is_mapping:
        return PerUnit(read_points(node, words), Decimal(1), whole_units)
    found = _EACH.fullmatch(" ".join(node.text().split()))
    if not found:
        raise node.fail(f"`{node.text()}` is not `points` or `points per amount`, like `4` or `1 per 10`")
    points = _number(node, found[1], words, None)
    return PerUnit(points, Decimal(1) if found[2] is None else _above_zero(node, found[2], of, words), whole_units)


def _bands(node: Node, of: str, words: Vocabulary) -> Bands:
    steps: dict[Decimal, Points] = {}
    for text, value in node.mapping().items():
        start = decimal_of(text)
        if start is None:
            raise node.fail_at_key(text, f"`{text}` is not a number; a band starts at one, like `10: 5`")
        problem = _percent_problem(text, start, of, words)
        if problem:
            raise node.fail_at_key(text, problem)
        if start in steps:
            raise node.fail_at_key(text, f"the band from {text} stands twice")
        steps[start] = read_points(value, words)
    if not steps:
        raise node.fail("`bands:` names no band")
    return Bands(tuple(sorted(steps.items(), key=lambda step: step[0])))


def _scaled(node: Node, of: str, words: Vocabulary) -> Points:
    """A number on the scale of metric `of` that must be above 0, or a table of such."""
    if node.is_mapping:
        return _by(node, of, words)
    return _above_zero(node, node.text().strip(), of, words)


def _above_zero(node: Node, text: str, of: str, words: Vocabulary) -> Decimal | OtherMetric:
    found = _number(node, text, words, of)
    if isinstance(found, Decimal) and found <= 0:
        raise node.fail(f"`{text}` is not above 0; points cannot be shared out over it")
    return found


def _most(keys: Mapping[str, Node], words: Vocabulary) -> Points | None:
    if "max" not in keys:
        return None
    found = read_points(keys["max"], words)
    below = [each for each in _literals(found) if each < 0]
    if below:
        raise keys["max"].fail(f"`max: {below[0]}` is below 0")
    return found


def _literals(points: Points) -> list[Decimal]:
    """The numbers that stand in a number of points or its table."""
    if isinstance(points, ByAttribute):
        return [each for leaf in (*points.cases.values(), points.default) for each in _literals(_as_points(leaf))]
    return [points] if isinstance(points, Decimal) else []


def _as_points(leaf: object) -> Points:
    assert isinstance(leaf, Decimal | OtherMetric | ByAttribute)
    return leaf


def read_points(node: Node, words: Vocabulary) -> Points:
    """A number of points: literal, metric, or a table by an attribute of the partner. Errors: ConfigError."""
    return _by(node, None, words) if node.is_mapping else _number(node, node.text().strip(), words, None)


def _number(node: Node, text: str, words: Vocabulary, of: str | None) -> Decimal | OtherMetric:
    """A literal or a metric. `of`: the metric on whose scale the number is; None: points."""
    if text in words.units:
        if kind_of_unit(words.units[text]) is not Kind.NUMBER:
            raise node.fail(f"`{text}` is no number (its unit is {words.units[text]})")
        return OtherMetric(text)
    number = decimal_of(text)
    if number is None:
        raise node.fail(f"`{text}` is neither a number nor a metric{nearest(text, words.units)}")
    problem = _percent_problem(text, number, of, words)
    if problem:
        raise node.fail(problem)
    return number


def _percent_problem(text: str, number: Decimal, of: str | None, words: Vocabulary) -> str | None:
    """Source: program-language, section 0: a percent is a fraction wherever it is computed."""
    if of is None:
        return f"`{text}`: points are plain numbers, without %" if text.endswith("%") else None
    unit = words.units[of]
    if text.endswith("%") and unit not in (Unit.PERCENT, Unit.NUMBER):
        return f"`{text}`: `{of}` is no percent (its unit is {unit})"
    if unit is Unit.PERCENT and not text.endswith("%") and abs(number) > 1:
        return f"`{of}` is a percent, kept as a fraction: write {text}% instead of {text}"
    return None


def _by(node: Node, of: str | None, words: Vocabulary) -> ByAttribute:
    """`{by: region, default: 5, EMEA: 4}`, nested as deep as it takes; `of` as in `_number`."""
    parts = node.mapping()
    if "by" not in parts:
        raise node.fail("a number, or a table that starts with `by:` and has a `default:`, is needed here")
    column = parts["by"].text().removeprefix(f"{PARTNERS}.")
    kind = column_kind(parts["by"], column, words.tables)
    if kind is Kind.LIST:
        raise parts["by"].fail(f"`{column}` is a list; `by:` needs a column with one value")
    if "default" not in parts:
        raise no_default(node, column)
    leaves = {
        key: read_points(value, words) if of is None else _scaled(value, of, words)
        for key, value in parts.items()
        if key != "by"
    }
    default = leaves.pop("default")
    return ByAttribute(
        column,
        {_YES_NO.get(key, key) if kind is Kind.CONDITION else key: leaf for key, leaf in leaves.items()},
        default,
    )


def _needs(node: Node | None, words: Vocabulary) -> Formula | None:
    if node is None:
        return None
    return parse_formula(node.text(), node.line, node.file, words.partner(), Kind.CONDITION)


def _check_signs(node: Node, name: str, earning: Earning, allow_negative: bool) -> None:
    """Errors: ConfigError for points that are below 0 for certain, where a negative part gives 0."""
    points: tuple[Points, ...] = ()
    if isinstance(earning, Linear):
        points = (earning.worth,)
    elif isinstance(earning, PerUnit):
        points = (earning.points,)
    elif isinstance(earning, Bands):
        points = tuple(each for _, each in earning.steps)
    if not allow_negative and any(number < 0 for each in points for number in _literals(each)):
        raise node.fail(f"part `{name}` gives points below 0, which count as 0; say `allow_negative: yes`")


def _group(
    score: _Score,
    name: str,
    node: Node,
    item: Node,
    parts: Mapping[str, Node],
    fed: frozenset[str],
    grouped: dict[str, str],
) -> Metric:
    """A group of parts. `grouped`: part -> group, of the groups before and of this one."""
    _check_name(node, name)
    keys = item.mapping(required=("parts",), optional=("max", "label"))
    for one in keys["parts"].sequence():
        part = score.name(one.text())
        if one.text() not in parts:
            raise one.fail(f"unknown part `{one.text()}` of `{score.key}`{nearest(one.text(), parts)}")
        if part in grouped:
            raise one.fail(f"part `{one.text()}` is in group `{grouped[part]}` already; a part may be in one group")
        if part in fed:
            raise one.fail(f"part `{one.text()}` counts through a `best:`; in a group it would count twice")
        grouped[part] = name
    members = tuple(part for part, group in grouped.items() if group == name)
    if not members:
        raise keys["parts"].fail(f"group `{name}` has no part")
    full = score.name(name)
    source = FromParts(score.key, members, _most(keys, score.words))
    return Metric(full, node.key_lines[name], Unit.POINTS, source, read_label(keys, full))
