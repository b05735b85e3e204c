"""The guards of a plan: what must look right before anything is written. Pure: figures in, verdicts out.

The order is that in which an operator should look: is all that the CRM has here, is it as much as last time, and does
what follows from it move more than a person should have seen. On the first fill nothing stood before, so nothing is
compared; what it does to hand-kept tiers is shown beforehand by the shadow comparison.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date

from crmsync.configuration_guards import GuardLimits
from crmsync.writeback.guards_movement import (
    Moves,
    Preview,
    first_fill_guard,
    movement_guards,
    period_guard,
    preview_guard,
)
from crmsync.writeback.guards_trends import Snapshots, trend_guards
from crmsync.writeback.verdicts import GuardResult

__all__ = ["GuardResult", "Rejections", "Tripwires", "canary_size", "evaluate_guards"]


@dataclass(frozen=True)
class Rejections:
    """Rows that could not be read: in this run, and in the last accepted one. `new`: those of now that were not among
    those of then."""

    now: int
    before: int
    new: int


@dataclass(frozen=True)
class Tripwires:
    """The figures the guards look at.

    `counts`: table -> {read, before, after}, the last two being the CRM's own COUNT; `review`: a review date since the
    last accepted run; `hand_kept`: what the first fill does to tiers that were kept by hand (None: no first fill);
    `writes`: records that the plan would write; `rejected`: None where no accepted run is there to compare with.
    """

    moves: Moves = field(default_factory=Moves)
    counts: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    snapshots: Snapshots = field(default_factory=Snapshots)
    preview: Preview | None = None
    review: date | None = None
    hand_kept: Moves | None = None
    writes: int = 0
    rejected: Rejections | None = None


def evaluate_guards(tripwires: Tripwires, limits: GuardLimits | None = None) -> tuple[GuardResult, ...]:
    """Every guard with its verdict."""
    limits = limits or GuardLimits()
    hand_kept, writes = tripwires.hand_kept, tripwires.writes
    return (
        _counts_equal(tripwires.counts),
        *trend_guards(tripwires.snapshots, limits.trends),
        _none_falls_by_bad_rows(tripwires.rejected, tripwires.moves),
        *movement_guards(tripwires.moves, limits),
        preview_guard(tripwires.preview, limits),
        period_guard(tripwires.review, writes, limits.period_end),
        first_fill_guard(hand_kept, writes, limits.first_fill),
    )


def canary_size(accounts: int, tripwires: Tripwires, limits: GuardLimits, tripped: bool) -> int:
    """How many accounts are written and read back before the rest: on a first fill, on a review date, and where a
    person had to open the plan; 0: all at once."""
    asked = tripwires.hand_kept is not None or tripwires.review is not None or tripped
    size = limits.canary.size(accounts) if limits.canary is not None and asked else 0
    return size if size < accounts else 0


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


def _none_falls_by_bad_rows(rejected: Rejections | None, moves: Moves) -> GuardResult:
    """A row with a bad cell counts for nothing, so a partner may fall because a cell was mistyped."""
    new = rejected is not None and rejected.new > 0
    value = (
        f"{rejected.now} rows rejected, {rejected.new} of them new, {rejected.before} in the last accepted run; "
        f"{moves.demoted} partners fall"
        if rejected is not None
        else "nothing to compare with: no accepted run yet"
    )
    return GuardResult(
        "rejected_rows",
        value,
        "nobody falls while rows are rejected that were not in the last accepted run",
        new and moves.demoted > 0,
        "mend the rejected rows (the run lists them) and run again; if who falls does so rightly, approve this plan",
    )


def _both(count: Mapping[str, int]) -> str:
    return f"{count.get('before', 'nothing')} before and {count.get('after', 'nothing')} after"
