"""Overrides in force: exceptions that people made, with a reason and a name.

Built now: `pin`. Any other kind is reported as not applied, never silently ignored.
Source: program-language, section 8.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

import pyarrow as pa

from crmsync.errors import Rejected
from crmsync.levelling import sql
from crmsync.levelling.engine import Engine
from crmsync.programs.program import Program
from crmsync.snapshots import Snapshot

PINS = "pins"
KINDS = ("pin", "floor", "ceiling", "approve", "decline", "exempt", "credit", "grace", "category")
SHAPE = pa.schema(
    [
        ("partner_id", pa.string()),
        ("category", pa.string()),
        ("tier", pa.string()),
        ("ends_on", pa.date32()),
        ("reason", pa.string()),
    ]
)


@dataclass(frozen=True)
class Overrides:
    """Pins in force, one per partner and category, and the rows that were not applied."""

    pins: pa.Table
    rejected: tuple[Rejected, ...]


def overrides_in_force(program: Program, snapshot: Snapshot, as_of: date, engine: Engine) -> Overrides:
    """The overrides that act at as_of. Of several pins of one partner and category one acts, see `_turn`."""
    if "overrides" not in snapshot.tables:
        return Overrides(SHAPE.empty_table(), ())
    rows = engine.read(sql.select([sql.star()], sql.table("t_overrides"))).to_pylist()
    chosen: dict[tuple[str, str], Mapping[str, Any]] = {}
    rejected: list[Rejected] = []
    for row in sorted(_in_force(rows, as_of), key=_turn):
        fault = _fault(program, row)
        if fault is not None:
            rejected.append(fault)
            continue
        for category in _categories(program, row):
            chosen[(row["partner_id"], category)] = row
    pins = [
        {
            "partner_id": partner,
            "category": category,
            "tier": _tier_key(program, category, row.get("tier")),
            "ends_on": row.get("ends_on"),
            "reason": row.get("reason"),
        }
        for (partner, category), row in chosen.items()
    ]
    return Overrides(pa.Table.from_pylist(pins, SHAPE), tuple(rejected))


def _turn(row: Mapping[str, Any]) -> tuple[object, ...]:
    """The order in which overrides replace each other: by start, then by end, then by their texts; the last acts."""
    texts = tuple(row.get(column) or "" for column in ("tier", "reason", "approved_by", "category"))
    return (row.get("starts_on") or date.min, row.get("ends_on") or date.max, *texts)


def _in_force(rows: Iterable[Mapping[str, Any]], as_of: date) -> Iterable[Mapping[str, Any]]:
    for row in rows:
        starts, ends = row.get("starts_on"), row.get("ends_on")
        if (starts is None or starts <= as_of) and (ends is None or as_of <= ends):
            yield row


def _fault(program: Program, row: Mapping[str, Any]) -> Rejected | None:
    kind = row.get("kind")
    where = f"override of {row.get('partner_id')}"
    if kind not in KINDS:
        return Rejected(where, None, "kind", str(kind or ""), f"not an override; there are {', '.join(KINDS)}")
    if kind != "pin":
        return Rejected(where, None, "kind", kind, f"`{kind}` is not built yet; it was not applied")
    for column in ("reason", "approved_by"):
        if not row.get(column):
            return Rejected(where, None, column, "", f"an override without {column} is not applied")
    if row.get("category") and not _categories(program, row):
        return Rejected(where, None, "category", str(row["category"]), _known("category", program.categories))
    if not all(_tier_key(program, category, row.get("tier")) for category in _categories(program, row)):
        tiers = [tier.key for category in _categories(program, row) for tier in program.ladder_of(category).tiers]
        return Rejected(where, None, "tier", str(row.get("tier") or ""), _known("tier", dict.fromkeys(tiers)))
    return None


def _known(what: str, names: Iterable[str]) -> str:
    return f"no such {what}; there are {', '.join(names)}"


def _categories(program: Program, row: Mapping[str, Any]) -> list[str]:
    wanted = row.get("category")
    return [key for key, category in program.categories.items() if not wanted or wanted in (key, category.label)]


def _tier_key(program: Program, category: str, tier: object) -> str | None:
    for known in program.ladder_of(category).tiers:
        if tier in (known.key, known.label):
            return known.key
    return None
