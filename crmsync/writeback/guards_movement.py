"""How much tiers move: the figures, and the guards that look at them. Pure: standings in, verdicts out.

Counted is against the last accepted standings, per partner, once however many categories move. A partner who vanished
from the standings with a tier counts as fallen; one who is there for the first time does not count (`entered`).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Any

from crmsync.configuration_guards import GuardLimits, Movement
from crmsync.programs.program import Program
from crmsync.writeback.verdicts import GuardResult, percent

Row = Mapping[str, Any]
Ranks = Mapping[str, Mapping[str, int]]
"""Category -> tier -> how high it stands."""

APPROVE = "look at the movers; if they are right, approve this plan's digest"


@dataclass(frozen=True)
class Moves:
    """What moves between two sets of standings. `partners`: known in one of them; `top`, `removed`: category -> (who
    loses its highest tier, or leaves it; who had that before)."""

    partners: int = 0
    changed: int = 0
    demoted: int = 0
    top: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    removed: Mapping[str, tuple[int, int]] = field(default_factory=dict)


@dataclass(frozen=True)
class Preview:
    """What a change of the rules does by itself: today's data under the new program beside the same under the old.

    `moves` None: the old program could not be tried again, as `why` says; `program`: digest of the old one."""

    program: str
    moves: Moves | None
    why: str = ""


def ranks_of(program: Program) -> Ranks:
    """How high each tier of each category stands, from 0 at the bottom."""
    return {key: {tier.key: at for at, tier in enumerate(program.ladder_of(key).tiers)} for key in program.categories}


def moves_of(rows: Iterable[Row], previous: Iterable[Row] | None, ranks: Ranks) -> Moves:
    """What moves from `previous` to `rows`; None: nothing stood before, and nobody counts.

    Shape: rows with partner_id, category, granted_tier, movement and (where a tier was renamed since) previous_tier.
    """
    now = {(row["partner_id"], row["category"]): row for row in rows}
    everybody = {partner for partner, _ in now}
    if previous is None:
        return Moves(len(everybody))
    known: set[str] = set()
    count = _Count(ranks)
    for before in previous:
        partner, category, tier = before["partner_id"], before["category"], before["granted_tier"]
        known.add(partner)
        if tier:
            count.step(partner, category, tier, now.pop((partner, category), None))
    # what is left had no tier before
    count.changed |= {partner for (partner, _), row in now.items() if row["granted_tier"] and partner in known}
    partners = len(known | everybody)
    return Moves(partners, len(count.changed), len(count.demoted), count.of(count.top), count.of(count.removed))


def falls_between(rows: Iterable[Row], previous: Iterable[Row], ranks: Ranks) -> frozenset[str]:
    """Partners who are there in both and have a lower tier now, or none, in some category."""
    now = {(row["partner_id"], row["category"]): row for row in rows}
    there = {partner for partner, _ in now}
    count = _Count(ranks)
    for row in previous:
        partner, category, tier = row["partner_id"], row["category"], row["granted_tier"]
        if tier and partner in there:
            count.step(partner, category, tier, now.get((partner, category)))
    return frozenset(count.demoted)


class _Count:
    """Partners that moved, category by category."""

    def __init__(self, ranks: Ranks) -> None:
        self.ranks = ranks
        self.changed: set[str] = set()
        self.demoted: set[str] = set()
        self.top: dict[str, list[int]] = defaultdict(lambda: [0, 0])
        self.removed: dict[str, list[int]] = defaultdict(lambda: [0, 0])
        self.highest: dict[str, str | None] = {}  # of a category, as it comes

    def step(self, partner: str, category: str, tier: str, row: Row | None) -> None:
        """One standing that had a tier before."""
        if category not in self.highest:
            self.highest[category] = _highest(self._ladder(category))
        granted = row["granted_tier"] if row is not None else None
        if granted != tier and row is not None and tier not in self._ladder(category):
            tier = row.get("previous_tier") or tier  # it may have another name in this version
        self.removed[category][1] += 1
        if tier == self.highest[category]:
            self.top[category][1] += 1
        if granted == tier:
            return
        self.removed[category][0] += granted is None
        if tier == self.highest[category]:
            self.top[category][0] += 1
        self.changed.add(partner)
        ladder = self._ladder(category)
        if granted is None or tier not in ladder or ladder.get(granted, -1) < ladder[tier]:
            self.demoted.add(partner)

    def _ladder(self, category: str) -> Mapping[str, int]:
        return self.ranks.get(category.partition("/")[0], {})

    @staticmethod
    def of(counted: Mapping[str, list[int]]) -> dict[str, tuple[int, int]]:
        """Category -> (how many lose, of how many)."""
        return {category: (lost, held) for category, (lost, held) in sorted(counted.items())}


def _highest(ladder: Mapping[str, int]) -> str | None:
    return max(ladder, key=lambda tier: ladder[tier]) if len(ladder) > 1 else None


def movement_guards(moves: Moves, limits: GuardLimits) -> Iterator[GuardResult]:
    """Any change, demotions, the highest tier of a category, who leaves a category."""
    small = moves.partners < limits.small_program
    yield _counted(
        "tier_changes", f"{moves.changed} of {moves.partners} partners change tier", moves.changed, moves.partners,
        limits.tier_changes, small,
    )  # fmt: skip
    yield _counted(
        "demotions", f"{moves.demoted} of {moves.partners} partners fall to a lower tier or out of one",
        moves.demoted, moves.partners, limits.demotions, small,
    )  # fmt: skip
    yield _worst("top_tier", "of its highest tier's {held} partners {lost} lose it", moves.top, limits.top_tier, small)
    yield _worst("removals", "of {held} partners {lost} leave", moves.removed, limits.removals, small)


def allowed(limit: Movement, of: int, small: bool) -> int:
    """How many may move without a person."""
    return limit.at_least if small else max(limit.at_least, int(of * limit.share))


def _counted(guard: str, value: str, moved: int, of: int, limit: Movement, small: bool) -> GuardResult:
    return GuardResult(guard, value, _said(limit, of, small), moved > allowed(limit, of, small), APPROVE)


def _said(limit: Movement, of: int, small: bool) -> str:
    if small:
        return f"{limit.at_least} (a small program: no share)"
    return f"{allowed(limit, of, small)} (the larger of {limit.at_least} and {percent(limit.share)})"


def _worst(guard: str, said: str, counted: Mapping[str, tuple[int, int]], limit: Movement, small: bool) -> GuardResult:
    """The category that loses the largest part, and all that lose too much."""
    tripped = {one: n for one, n in counted.items() if n[0] > allowed(limit, n[1], small)}
    losing = {one: n for one, n in counted.items() if n[0]}
    shown = tripped or dict([max(losing.items(), key=lambda n: (n[1][0] / n[1][1], n[1][0]))] if losing else ())
    value = "; ".join(f"{one}: {said.format(lost=lost, held=held)}" for one, (lost, held) in shown.items())
    held = max((held for _, held in shown.values()), default=0)
    return GuardResult(guard, value or "none", _said(limit, held, small), bool(tripped), APPROVE)


def preview_guard(preview: Preview | None, limits: GuardLimits) -> GuardResult:
    """What the change of the program does by itself must keep within the limits of demotions and changes."""
    guard, unlimited = "program_change", "demotions and tier changes as above, of what the rules change by themselves"
    if preview is None:
        return GuardResult(guard, "the program is that of the last accepted run", unlimited, False, APPROVE)
    name = preview.program[:12]
    if preview.moves is None:
        value = f"the program was changed since {name}, and what that does cannot be told: {preview.why}"
        return GuardResult(guard, value, unlimited, True, APPROVE)
    moves = preview.moves
    small = moves.partners < limits.small_program
    tripped = [
        moves.demoted > allowed(limits.demotions, moves.partners, small),
        moves.changed > allowed(limits.tier_changes, moves.partners, small),
    ]
    value = (
        f"the program was changed since {name}: with the same data {moves.changed} of {moves.partners} partners have "
        f"another tier than under the old rules, {moves.demoted} of them a lower one"
    )
    limit = (
        f"{_said(limits.demotions, moves.partners, small)} lower, "
        f"{_said(limits.tier_changes, moves.partners, small)} in all"
    )
    return GuardResult(guard, value, limit, any(tripped), "compare the two program files; if it is meant, approve")


def period_guard(ends: date | None, writes: int, asked: bool) -> GuardResult:
    """A review date since the last accepted run: what is decided on it is large by nature, and a person may look."""
    value = f"{ends.isoformat()} is a review date, {writes} records would be written" if ends else "no review date"
    limit = "a person approves every review date" if asked else "not asked (guards: period_end)"
    return GuardResult("period_end", value, limit, bool(asked and ends and writes), APPROVE)


def first_fill_guard(hand_kept: Moves | None, writes: int, asked: bool) -> GuardResult:
    """The first fill: nothing was accepted before, so no other guard of movement has anything to count from."""
    value, limit = "not the first fill", "not asked (guards: first_fill)"
    if hand_kept is not None:
        value = (
            f"the first fill: {writes} records would be written; {hand_kept.demoted} of {hand_kept.partners} partners "
            "stand below the tier that was kept by hand"
        )
    if asked:
        limit = "a person approves the first fill"
    way = "compare with `crmsync plan --shadow`; if it is right, approve this plan's digest"
    return GuardResult("first_fill", value, limit, bool(asked and hand_kept is not None and writes), way)


def hand_kept_moves(rows: Iterable[Row], ranks: Ranks) -> Moves:
    """What a first fill does to the tiers that people kept by hand (`starts_from`)."""
    rows = list(rows)
    kept = [{**row, "granted_tier": row["previous_tier"]} for row in rows if row.get("previous_tier")]
    return moves_of(rows, kept, ranks)
