"""`movement:`, `effort:` and `risk:`: when tiers change, what a gap costs, how far risk looks.

Built now: changes on any day, without grace, hold or approval. Source: program-language, sections 7 and 9.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from decimal import Decimal

from crmsync.programs import unbuilt
from crmsync.programs.durings import read_horizon
from crmsync.programs.metrics import Vocabulary
from crmsync.programs.names import Kind, kind_of_unit
from crmsync.programs.program import Risk, Unit
from crmsync.strict_yaml import Node, decimal_of

_EFFORT = re.compile(r"(\S+)(?: per (\S+))?")


def check_movement(node: Node | None) -> None:
    """Errors: ConfigError for what is not `any day`, the one kind of movement that is built."""
    if node is None:
        return
    unbuilt.refuse(node, unbuilt.MOVEMENT)
    parts = node.mapping(optional=("promote", "demote", "effective", "qualifies"))
    for name, value in parts.items():
        if name == "effective":
            _only(value, name, ("immediately",))
        elif name == "qualifies":
            _only(value, name, ("today",))
        else:
            _check_change(value, name)


def _check_change(node: Node, name: str) -> None:
    if not node.is_mapping:
        _only(node, name, ("any day",))
        return
    known = ("on", "effective", "approval", *(("grace", "steps") if name == "demote" else ()))
    for key, value in node.mapping(optional=known).items():
        if key in unbuilt.CHANGE:
            raise node.fail_at_key(key, f"`{key}` is not built yet")
        allowed = {"on": ("any day",), "effective": ("immediately",), "approval": ("no", "false")}
        _only(value, key, allowed[key])


def _only(node: Node, name: str, allowed: Collection[str]) -> None:
    if node.is_text and node.text() in allowed:
        return
    shown = node.text() if node.is_text else "[…]"
    raise node.fail(f"`{name}: {shown}` is not built yet; for now only `{next(iter(allowed))}`")


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
