"""The guards of a plan: what must look right before anything is written. Pure: figures in, verdicts out.

How tier changes are counted: against the last accepted standings, per partner, once however many categories move. A
partner who vanished from the standings with a tier counts; one who is there for the first time does not (`entered`). On
the first fill nobody counts: what it does to hand-kept tiers is shown beforehand by the shadow comparison.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any


@dataclass(frozen=True)
class Limits:
    """How much may move without a person: more than max(`tier_changes_at_least`, share of the partners) blocks."""

    tier_changes_at_least: int = 10
    tier_changes_share: Decimal = Decimal("0.05")


@dataclass(frozen=True)
class Tripwires:
    """The figures the guards look at.

    `counts`: table -> {read, before, after}, the last two being the CRM's own COUNT; `table_rows` and `previous_rows`:
    rows per table of this snapshot and of the last accepted one; `changed`: partners whose granted tier changes.
    """

    partners: int
    changed: int
    counts: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    table_rows: Mapping[str, int] = field(default_factory=dict)
    previous_rows: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class GuardResult:
    """One verdict as the plan shows it: what was found, what is allowed, and what to do when it tripped."""

    guard: str
    value: str
    limit: str
    tripped: bool
    way_out: str


def evaluate_guards(tripwires: Tripwires, limits: Limits = Limits()) -> tuple[GuardResult, ...]:
    """Every guard with its verdict, in the order an operator should look at them."""
    return (
        _counts_equal(tripwires.counts),
        _no_table_emptied(tripwires.table_rows, tripwires.previous_rows),
        _few_tier_changes(tripwires, limits),
    )


def _counts_equal(counts: Mapping[str, Mapping[str, int]]) -> GuardResult:
    different = [
        f"{table}: read {count['read']}, the CRM counted {_both(count)}"
        for table, count in sorted(counts.items())
        if any(count.get(when, count["read"]) != count["read"] for when in ("before", "after"))
    ]
    counted = sum(1 for count in counts.values() if "before" in count or "after" in count)
    return GuardResult(
        "counts_equal",
        "; ".join(different) or f"{counted} tables counted, all equal",
        "rows read = the CRM's count before and after",
        bool(different),
        "plan again: rows were changed or lost while reading; if it stays, check what the CRM user may see",
    )


def _both(count: Mapping[str, int]) -> str:
    return f"{count.get('before', 'nothing')} before and {count.get('after', 'nothing')} after"


def _no_table_emptied(now: Mapping[str, int], before: Mapping[str, int]) -> GuardResult:
    emptied = [
        f"{table}: 0 rows, {rows} before" for table, rows in sorted(before.items()) if rows and not now.get(table)
    ]
    return GuardResult(
        "no_table_emptied",
        "; ".join(emptied) or "no table lost all its rows",
        "a table that had rows in the last accepted snapshot has some",
        bool(emptied),
        "check the source of that table and the rights of the CRM user; missing input must not blank a field",
    )


def _few_tier_changes(tripwires: Tripwires, limits: Limits) -> GuardResult:
    share = limits.tier_changes_share
    allowed = max(limits.tier_changes_at_least, int(tripwires.partners * share))
    return GuardResult(
        "tier_changes",
        f"{tripwires.changed} of {tripwires.partners} partners change tier",
        f"{allowed} (the larger of {limits.tier_changes_at_least} and {share * 100:f} %)".replace(".00 %", " %"),
        tripwires.changed > allowed,
        "look at the movers; if they are right, approve this plan's digest",
    )


def changed_partners(rows: Iterable[Mapping[str, Any]], previous: Iterable[Mapping[str, Any]] | None) -> frozenset[str]:
    """Partners whose granted tier differs from the last accepted standings (see the module text).

    Shape: rows with partner_id, category, granted_tier, movement; `previous` the same, None at the first fill.
    """
    if previous is None:
        return frozenset()
    now = {(row["partner_id"], row["category"]): row["granted_tier"] for row in rows}
    before = {(row["partner_id"], row["category"]): row["granted_tier"] for row in previous}
    known = {partner for partner, _ in before}
    moved = {key[0] for key, tier in before.items() if tier != now.get(key)}
    added = {key[0] for key, tier in now.items() if tier and key not in before and key[0] in known}
    return frozenset(moved | added)
