"""`rolls_up` and `rolls_up_where`: what a parent gets from its children. Source: program-language, section 3."""

from __future__ import annotations

from collections.abc import Mapping

from crmsync.programs.aggregates import AGGREGATES
from crmsync.programs.expressions import parse_formula
from crmsync.programs.names import Kind, kind_of_unit
from crmsync.programs.program import Formula, RollsUp, Unit
from crmsync.programs.vocabulary import Vocabulary
from crmsync.strict_yaml import Node, nearest

_ADDING = (RollsUp.SUM, RollsUp.FAMILY)
_OF_RESULTS = "own, best, family best or inherit"


def read_rolls_up(parts: Mapping[str, Node], source: str, unit: Unit) -> RollsUp:
    """How a metric with this source rolls up; `own` where nothing is said. Errors: ConfigError."""
    if "rolls_up" not in parts:
        return RollsUp.OWN
    node = parts["rolls_up"]
    found = _value(node)
    if found is RollsUp.OWN:
        return found
    if kind_of_unit(unit) is Kind.TEXT:
        raise node.fail(f"`rolls_up: {found}`: a text cannot be added up or ranked; only own")
    if found in _ADDING:
        _check_adding(node, found, source, unit)
    return found


def _value(node: Node) -> RollsUp:
    known = [str(one) for one in RollsUp]
    text = " ".join(node.text().split())
    if text not in known:
        raise node.fail(f"`{text}` is not one of {', '.join(known)}{_near(text, known)}")
    return RollsUp(text)


def _near(text: str, known: list[str]) -> str:
    close = nearest(text, known)
    return close if close.startswith("; did you mean") else ""


def _check_adding(node: Node, found: RollsUp, source: str, unit: Unit) -> None:
    if source == "groups":
        raise node.fail(f"`groups` are counted per partner; `rolls_up: {found}` is not for them, only {_OF_RESULTS}")
    if source in ("tier_of", "held_for", "rank_of", "percentile_of"):
        raise node.fail(f"`{source}` cannot be added up over accounts; write {_OF_RESULTS}")
    if source not in AGGREGATES and source != "field":
        raise node.fail(
            f"`{source}` is computed from rolled-up inputs; put `rolls_up: {found}` on the metrics it reads,"
            f" or write {_OF_RESULTS}"
        )
    if source == "field" and kind_of_unit(unit) is not Kind.NUMBER:
        raise node.fail(f"a field of unit {unit} cannot be added up")


def read_rolls_up_where(parts: Mapping[str, Node], rolls_up: RollsUp, words: Vocabulary) -> Formula | None:
    """Which accounts below are asked; `parent.column` is the account that receives. Errors: ConfigError."""
    if "rolls_up_where" not in parts:
        return None
    node = parts["rolls_up_where"]
    if rolls_up is RollsUp.OWN:
        raise node.fail("`rolls_up_where` needs a `rolls_up` other than own, like `rolls_up: sum`")
    return parse_formula(node.text(), node.line, node.file, words.accounts(), Kind.CONDITION)
