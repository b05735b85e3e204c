"""What a case expects beside what came out: differences, each with its place in the file."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from decimal import Decimal
from typing import Any

from crmsync.programs.program import Program
from crmsync.strict_yaml import Node, decimal_of
from crmsync.studies.case_files import NONE, TIERS, UNKNOWN, Expected

Row = Mapping[str, Any]

_NESTED = frozenset({"overrides", "gap", "risk_reasons", "provisional_reasons", "metrics", "benefits", "state"})
_OF_THE_ACCOUNT = frozenset({"headline_tier", "primary_category"})  # the same on each of its rows
_SHORT = {column: word for word, column in reversed(TIERS.items())}


def plain_rows(standings: Any) -> list[dict[str, Any]]:
    """Standings as Python values; nested columns as mappings and lists, whatever form the engine gives them."""
    rows: list[dict[str, Any]] = standings.to_pylist()
    for row in rows:
        for name in _NESTED:
            row[name] = _nested(row[name])
    return rows


def _nested(value: Any) -> Any:
    if isinstance(value, str):
        return json.loads(value)
    if isinstance(value, list) and value and all(isinstance(one, tuple) for one in value):
        return dict(value)
    return value


def differences(program: Program, expected: Expected, rows: Sequence[Row]) -> Iterator[str]:
    """What differs; `rows` are the standings of the case's partner."""
    row = _row_of(expected, rows)
    if isinstance(row, str):
        nothing = all(node.is_text and node.text() == NONE for node in expected.columns.values())
        if not (nothing and expected.category):
            first = next(iter(expected.columns.values()), None)
            yield f"{_place(first)}{row}" if first is not None else row
        return
    for column, node in expected.columns.items():
        if column == "metrics":
            yield from _metrics(row["metrics"] or {}, node)
        elif column == "gap":
            yield from _gap(row["gap"] or [], node)
        else:
            yield from _column(program, column, row[column], node)


def _row_of(expected: Expected, rows: Sequence[Row]) -> Row | str:
    if expected.category is not None:
        found = [row for row in rows if row["category"] == expected.category]
        if not found:
            there = ", ".join(row["category"] for row in rows)
            got = f"only in {there}" if there else "the partner takes no part, or belongs to no category"
            return f"category {expected.category}: expected a standing, got none ({got})"
        return found[0]
    if len(rows) == 1:
        return rows[0]
    members = [row for row in rows if row["movement"]]
    if len(members) == 1 or (members and expected.columns.keys() <= _OF_THE_ACCOUNT):
        return members[0]
    if not members:
        return "expected a standing, got none: the partner takes no part, or belongs to no category"
    return (
        f"the partner has standings in {', '.join(row['category'] for row in members)}; say which one is meant: "
        "`category:` in the case"
    )


def _place(node: Node | None) -> str:
    return f"{node.file}:{node.line}: " if node is not None else ""


def _told(node: Node, what: str, expected: str, got: str) -> str:
    return f"{_place(node)}{what}: expected {expected}, got {got}"


# --- single columns


def _column(program: Program, column: str, value: Any, node: Node) -> Iterator[str]:
    word = _SHORT.get(column, column)
    if column in TIERS.values() or column == "next_tier":
        wanted = _tier_key(program, node.text())
        if value != wanted:
            yield _told(node, word, wanted or NONE, value or NONE)
    elif not fits(value, node):
        yield _told(node, word, shown_node(node), shown(value))


def _tier_key(program: Program, text: str) -> str | None:
    if text == NONE:
        return None
    tiers = [tier for ladder in program.ladders.values() for tier in ladder.tiers]
    keys = {tier.key for tier in tiers}
    return text if text in keys else next((tier.key for tier in tiers if tier.label == text), text)


def fits(value: Any, node: Node) -> bool:
    """Whether a value is what the node says: numbers as exact decimals, a mapping if each key it names fits, a list if
    each of its items is found."""
    if isinstance(node.value, dict):
        known = value if isinstance(value, Mapping) else {}
        return all(fits(known.get(key), one) for key, one in node.value.items())
    if isinstance(node.value, list):
        items = value if isinstance(value, list) else []
        return (bool(node.value) or not items) and all(any(_found(item, one) for item in items) for one in node.value)
    return _fits_text(value, node)


def _found(item: Any, node: Node) -> bool:
    """Whether an item is the one that is meant; of a text a part suffices."""
    return fits(item, node) or (isinstance(item, str) and node.is_text and node.text() in item)


def _fits_text(value: Any, node: Node) -> bool:
    text = node.text()
    if value is None:
        return not node.quoted and text in (NONE, UNKNOWN)
    if isinstance(value, bool):
        return not node.quoted and text in (("yes", "true") if value else ("no", "false"))
    if isinstance(value, date):
        return value.isoformat() == text
    number = decimal_of(text)
    found = _number(value)
    if number is not None and found is not None:
        return number == found
    return str(value) == text


def _number(value: Any) -> Decimal | None:
    if isinstance(value, Decimal):
        return value
    if isinstance(value, int | float):
        return Decimal(str(value))
    return decimal_of(value) if isinstance(value, str) else None


# --- metrics and gap


def _metrics(metrics: Mapping[str, Any], node: Node) -> Iterator[str]:
    for key, wanted in node.mapping().items():
        if wanted.is_mapping:
            for value, inner in wanted.mapping().items():
                yield from _metric(metrics, f"{key}[{value}]", inner)
        else:
            yield from _metric(metrics, key, wanted)


def _metric(metrics: Mapping[str, Any], key: str, node: Node) -> Iterator[str]:
    if key not in metrics and node.text() not in (NONE, UNKNOWN):
        yield _told(node, f"metrics.{key}", shown_node(node), "no such value")
    elif not fits(metrics.get(key), node):
        yield _told(node, f"metrics.{key}", shown_node(node), shown(metrics[key], UNKNOWN))


def _gap(entries: Sequence[Row], node: Node) -> Iterator[str]:
    for key, wanted in node.mapping().items():
        found = [entry for entry in entries if entry["metric"] == key]
        if not found:
            if not (wanted.is_text and wanted.text() == NONE):
                yield _told(wanted, f"gap.{key}", shown_node(wanted), "no gap of this metric")
        elif not any(_entry_fits(entry, wanted) for entry in found):
            told = [{**entry} if wanted.is_mapping else entry["missing"] for entry in found]
            yield _told(wanted, f"gap.{key}", shown_node(wanted), ", ".join(shown(one, UNKNOWN) for one in told))


def _entry_fits(entry: Row, node: Node) -> bool:
    return fits(entry, node) if node.is_mapping else fits(entry["missing"], node)


def shown(value: Any, nothing: str = NONE) -> str:
    """A value as a case would write it."""
    if value is None:
        return nothing
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Mapping | list):
        return json.dumps(value, ensure_ascii=False, default=str)
    return str(value)


def shown_node(node: Node) -> str:
    """What the case wrote, on one line."""
    if isinstance(node.value, dict):
        return "{" + ", ".join(f"{key}: {shown_node(one)}" for key, one in node.value.items()) + "}"
    if isinstance(node.value, list):
        return "[" + ", ".join(map(shown_node, node.value)) + "]"
    return node.value
