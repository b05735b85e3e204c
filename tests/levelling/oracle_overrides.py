"""Exceptions in force, for one partner in one category. Shares no code with the engine.

Source: program-language, section 8.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal, InvalidOperation
from typing import Any

from crmsync.programs.program import Program, Unit
from tests.levelling.oracle_metrics import Credit

BOUNDS = ("pin", "floor", "ceiling")
DECISIONS = ("approve", "decline")
LASTING = (*BOUNDS, "exempt", "credit", "category")
MEASURED = ("exempt", "credit", "category")


@dataclass
class Acting:
    """What acts on one standing. Tiers are positions; `approve`, `decline`: the newest day by position (0: no tier)."""

    bounds: dict[str, int] = field(default_factory=dict)
    approve: dict[int, date] = field(default_factory=dict)
    decline: dict[int, date] = field(default_factory=dict)
    exempt: dict[str, date] = field(default_factory=dict)  # metric -> the last day
    grace_to: date | None = None
    category_in: bool | None = None
    kinds: set[str] = field(default_factory=set)
    entries: list[dict[str, Any]] = field(default_factory=list)


class Exceptions:
    """All overrides in force on a day, but for the kinds in `without`."""

    def __init__(
        self, program: Program, rows: Sequence[Mapping[str, Any]], as_of: date, without: Sequence[str] = ()
    ) -> None:
        self.program = program
        self.credits: list[Credit] = []
        self.found: dict[tuple[str, str], Acting] = {}
        for row in sorted(rows, key=_turn):
            in_force = (row.get("starts_on") or date.min) <= as_of <= (row.get("ends_on") or date.max)
            if in_force and row["kind"] not in without and self._is_right(row):
                self._add(row)

    def of(self, partner: str, category: str) -> Acting:
        return self.found.get((partner, category), Acting())

    @property
    def measured(self) -> bool:
        """Whether somebody has one that changes the calculated tier."""
        return any(set(MEASURED) & one.kinds for one in self.found.values())

    # --- what is right with one

    def _categories(self, row: Mapping[str, Any]) -> list[str]:
        named = row.get("category")
        return [key for key, one in self.program.categories.items() if not named or named in (key, one.label)]

    def _position(self, category: str, row: Mapping[str, Any]) -> int | None:
        if row["tier"] == "none" and row["kind"] in DECISIONS:
            return 0
        tiers = self.program.ladder_of(category).tiers
        return next((at for at, tier in enumerate(tiers, 1) if row["tier"] in (tier.key, tier.label)), None)

    def _is_right(self, row: Mapping[str, Any]) -> bool:
        kind, categories = row["kind"], self._categories(row)
        if not row.get("reason") or not row.get("approved_by") or not categories:
            return False
        if kind in (*BOUNDS, *DECISIONS):
            known = any(self._position(one, row) is not None for one in categories)
            return known and (kind in BOUNDS or row.get("starts_on") is not None)
        if kind in ("exempt", "credit"):
            metric = self.program.metrics.get(row["metric"])
            if kind == "exempt" or metric is None:
                return metric is not None
            return metric.unit not in (Unit.YES_NO, Unit.TEXT) and _number(row["value"]) is not None
        if kind == "category":
            return str(row["value"]).strip().lower() in ("in", "out")
        return kind == "grace" and row.get("ends_on") is not None

    # --- what it does

    def _add(self, row: Mapping[str, Any]) -> None:
        kind, partner = row["kind"], row["partner_id"]
        if kind == "credit":
            category = self._categories(row)[0] if row.get("category") else None
            amount = _number(row["value"])
            assert amount is not None
            self.credits.append(Credit(partner, category, row["metric"], amount))
        for category in self._categories(row):
            acting = self.found.setdefault((partner, category), Acting())
            at = self._position(category, row) if kind in (*BOUNDS, *DECISIONS) else None
            if kind in (*BOUNDS, *DECISIONS) and at is None:
                continue  # without a category it acts where the ladder knows the tier
            self._act(acting, row, at)
            if kind in LASTING:
                acting.kinds.add(kind)
            self._list(acting, category, row, at)

    def _act(self, acting: Acting, row: Mapping[str, Any], at: int | None) -> None:
        kind, ends = row["kind"], row.get("ends_on")
        if at is not None and kind in BOUNDS:
            acting.bounds[kind] = at
        elif at is not None:
            days = acting.approve if kind == "approve" else acting.decline
            days[at] = max(row["starts_on"], days.get(at, date.min))
        elif kind == "exempt":
            acting.exempt[row["metric"]] = max(ends or date.max, acting.exempt.get(row["metric"], date.min))
        elif kind == "grace":
            acting.grace_to = max(ends, acting.grace_to or date.min)
        elif kind == "category":
            acting.category_in = row["value"].strip().lower() == "in"

    def _list(self, acting: Acting, category: str, row: Mapping[str, Any], at: int | None) -> None:
        kind, value = row["kind"], None
        tiers = self.program.ladder_of(category).tiers
        if at is not None:
            value = tiers[at - 1].key if at else "none"
        elif kind == "exempt":
            value = row["metric"]
        elif kind == "credit":
            value = f"{row['metric']} {row['value']}"
        elif kind == "category":
            value = row["value"].strip().lower()
        own = () if kind in (*BOUNDS, "category") else (row.get("metric"), row.get("tier"), row.get("value"))
        ends = row.get("ends_on")
        entry = {"kind": kind, "value": value, "ends_on": ends.isoformat() if ends else None, "reason": row["reason"]}
        acting.entries = [one for one in acting.entries if one["_key"] != (kind, *own)]
        acting.entries.append({**entry, "_key": (kind, *own)})


def _turn(row: Mapping[str, Any]) -> tuple[Any, ...]:
    """By start, then by end, then by texts: of those that replace each other the last acts."""
    texts = [str(row.get(column) or "") for column in ("tier", "value", "reason", "approved_by", "category")]
    return (row.get("starts_on") or date.min, row.get("ends_on") or date.max, *texts)


def _number(text: Any) -> Decimal | None:
    try:
        found = Decimal(str(text))
    except InvalidOperation:
        return None
    return found if abs(found) < 10**15 else None
