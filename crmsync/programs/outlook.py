"""`effort:` and `risk:`: what a gap costs, how far risk looks. Source: program-language, section 9."""

from __future__ import annotations

import re
from decimal import Decimal

from crmsync.programs.durings import read_horizon
from crmsync.programs.names import Kind, kind_of_unit
from crmsync.programs.program import Risk, Unit
from crmsync.programs.vocabulary import Vocabulary
from crmsync.strict_yaml import Node, decimal_of

_EFFORT = re.compile(r"(\S+)(?: per (\S+))?")


def read_effort(node: Node | None, words: Vocabulary) -> dict[str, Decimal]:
    """Metric -> effort for one unit of it. Errors: ConfigError."""
    found = {}
    for key, value in node.mapping().items() if node else ():
        assert node is not None
        if key not in words.units:
            words.unit_named(Node(node.file, node.key_lines[key], key), key)
        found[key] = _effort(value, key, words.units[key])
    return found


def _effort(node: Node, metric: str, unit: Unit) -> Decimal:
    if kind_of_unit(unit) is Kind.TEXT:
        raise node.fail(f"`{metric}` is a text; effort is per unit of a number, or for a yes")
    found = _EFFORT.fullmatch(" ".join(node.text().split()))
    effort = decimal_of(found[1]) if found else None
    per = decimal_of(found[2]) if found and found[2] else Decimal(1)
    if effort is None or per is None or effort <= 0 or per <= 0:
        raise node.fail(f"`{node.text()}` is not an effort; write a number above 0, like 40 or `1 per 1000`")
    return effort / per


def read_risk(node: Node | None) -> Risk:
    """How far ahead risk looks; the defaults where the file does not say. Errors: ConfigError."""
    default = Risk()
    if node is None:
        return default
    parts = node.mapping(optional=("horizon", "pace", "near"))
    return Risk(
        read_horizon(parts["horizon"]) if "horizon" in parts else default.horizon,
        read_horizon(parts["pace"]) if "pace" in parts else default.pace,
        _near(parts["near"]) if "near" in parts else default.near,
    )


def _near(node: Node) -> Decimal:
    near = node.decimal()
    if not 0 <= near <= 1:
        raise node.fail(f"`{node.text()}` is not a share; write 0% to 100%")
    return near
