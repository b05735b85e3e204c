"""Metrics that look at others, at tiers or at the past: rank, tier_of, held_for. Shares no code with the engine.

Source: program-language, section 3.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from fractions import Fraction
from typing import Any

from crmsync.programs import program as tree
from crmsync.programs.program import Category, Criterion, Ladder, Metric, Take
from tests.levelling.oracle_cells import UNKNOWN, Lower, before, condition, rounded
from tests.levelling.oracle_metrics import Account, Metrics
from tests.levelling.oracle_overrides import Acting, Exceptions
from tests.levelling.oracle_paths import Judge
from tests.levelling.oracle_windows import stretch
from tests.levelling.oracle_world import Seen, View


@dataclass(frozen=True)
class Stood:
    """One standing as it was left by the assessment before. Tiers are positions: 0 is no tier, None nothing known."""

    earned: int | None = None
    granted: int | None = None
    since: date | None = None
    grace_until: date | None = None
    pending: int | None = None
    pending_on: date | None = None
    promoted_on: date | None = None
    decided_on: date | None = None
    declined: int | None = None
    member_since: date | None = None
    held: Mapping[str, date] = field(default_factory=dict)
    met: Mapping[str, date] = field(default_factory=dict)
    kinds: frozenset[str] = frozenset()  # of the overrides that were in force
    first: tuple[int | None, int | None] | None = None  # earned and granted before the first review day on the way
    stood_first: bool = True
    events: frozenset[str] = frozenset()  # frozen, held, cured on the way
    renamed: bool = False  # the earned tier before had another name
    was_called: str | None = None  # the tier before, of a category that the version of today does not have
    gone: bool = False  # left on a review day


@dataclass
class Places:
    """What metrics ask of everybody: who takes part, who belongs, what tiers they hold, what stood before."""

    world: Metrics
    exceptions: Exceptions
    stood: Mapping[tuple[str, str], Stood]

    def acting(self, partner: str, category: str | None) -> Acting:
        return self.exceptions.of(partner, category) if category is not None else Acting()

    # --- who belongs

    def asks(self, formula: Any, partner: str, seen: Seen) -> Any:
        return True if formula is None else condition(formula.tree, Account(self.world, partner, seen))

    def takes_part(self, partner: str, category: str, seen: Seen) -> bool:
        found = self.asks(self.world.program.takes_part, partner, seen)
        return self.stands(partner, category) if found is UNKNOWN else bool(found)

    def stands(self, partner: str, category: str) -> bool:
        """Whether there is a standing in a category, whatever the value."""
        there = self.stood.get((partner, category))
        return there is not None and not there.gone

    def is_member(self, partner: str, category: str, seen: Seen) -> bool:
        """Unknown membership keeps the standing, and gives none; an override decides first."""
        by_hand = self.acting(partner, category).category_in
        if by_hand is not None:
            return by_hand
        found = self.asks(self.world.program.categories[category].member, partner, seen)
        return self.stands(partner, category) if found is UNKNOWN else bool(found)

    def belongs(self, partner: str, category: str, seen: Seen) -> bool:
        return self.takes_part(partner, category, seen) and self.is_member(partner, category, seen)

    # --- rank and percentile

    def rank(self, metric: Metric, source: tree.FromRank, partner: str, seen: Seen) -> Any:
        if source.within_category and seen.category is None:
            return None
        values = {one: value for one in self.world.partners if (value := self._ranked(source, one, seen)) is not None}
        if partner not in values:
            return None
        mine = {one: value for one, value in values.items() if self._alike(source, one) == self._alike(source, partner)}
        lower = metric.lower_is_better or self.world.program.metrics[source.metric].lower_is_better
        better = [one for one in mine.values() if (one < mine[partner] if lower else one > mine[partner])]
        place = Fraction(len(better) + 1)
        return place / len(mine) if source.percentile else place

    def _ranked(self, source: tree.FromRank, partner: str, seen: Seen) -> Fraction | None:
        """What somebody is ranked by; None: not ranked."""
        where = (source, partner, seen, "ranked")
        if where not in self.world.known:
            self.world.known[where] = self._measure(source, partner, seen)
        return self.world.known[where]

    def _measure(self, source: tree.FromRank, partner: str, seen: Seen) -> Fraction | None:
        if source.within_category:
            if not self.belongs(partner, str(seen.category), seen):
                return None
        elif self.asks(self.world.program.takes_part, partner, seen) is not True:
            return None
        if self.asks(source.where, partner, seen) is not True or None in self._alike(source, partner):
            return None
        found = self.world.metric(partner, source.metric, seen)
        return None if found is None or isinstance(found, Lower) else rounded(found, 9)

    def _alike(self, source: tree.FromRank, partner: str) -> tuple[Any, ...]:
        return tuple(self.world.partners[partner].get(column) for column in source.within)

    # --- tiers as metrics

    def tier(self, source: tree.FromTier, partner: str, seen: Seen) -> Any:
        program = self.world.program
        assert source.program is None, "the oracle assesses one program"
        category = source.category
        ladder = program.ladders[source.ladder] if source.ladder else program.ladder_of(str(category))
        if category is None:
            climbing = [key for key, one in program.categories.items() if one.ladder == ladder.key]
            category = climbing[0] if len(climbing) == 1 else None
        seen = replace(seen, split=None, category=source.category or seen.category)
        if source.category is not None and not self.belongs(partner, source.category, seen):
            return Fraction(0)
        if ladder.per is None:
            return Fraction(self._position(ladder, category, partner, seen))
        keys = split_keys(self.world, ladder)
        values = sorted({one for key in keys for one in self.world.splits(key) if self.world.has(partner, key, one)})
        if not values:
            return Fraction(1)
        found = [self._position(ladder, category, partner, replace(seen, split=one)) for one in values]
        return Fraction(taken(ladder, found))

    def _position(self, ladder: Ladder, category: str | None, partner: str, seen: Seen) -> int:
        judge = Judge(self.world, partner, seen, acting=self.acting(partner, category))
        stood = self.stood.get((partner, category)) if category is not None else None
        earned = (stood.earned if stood is not None else self.started(category, partner)) or 0
        highest = 0
        for at, tier in enumerate(ladder.tiers, 1):
            met = judge.meets(tier.requires)
            if category is not None and at <= earned:
                met = judge.meets(tier.keeps if tier.keeps is not None else tier.requires)
            elif category is not None and tier.sustained is not None and tier.sustained.count:
                since = stood.held.get(f"requires:{tier.key}") if stood is not None else None
                start = before(self.world.as_of, tier.sustained.count, tier.sustained.period.value)
                met = met is True and since is not None and since <= start
            if category is not None and self.qualifies(category, tier, stood, self.world.as_of):
                met = True
            if met is True:
                highest = at
            elif ladder.climb_steps:
                break
        return highest

    def qualifies(self, category: str, tier: tree.Tier, stood: Stood | None, as_of: date) -> bool:
        """Whether a tier was met on an assessed day of `any day of …`."""
        window = self.world.program.movement_of(category, tier).qualifies
        last = stood.met.get(tier.key) if stood is not None else None
        if window is None or last is None:
            return False
        span = stretch(window, as_of, (), {}, self.world.program.fiscal_start)
        return span is not None and (span.first is None or span.first <= last)

    def started(self, category: str | None, partner: str) -> int | None:
        """The hand-kept tier of a first run."""
        if category is None:
            return None
        found: Category = self.world.program.categories[category]
        start = found.starts_from or self.world.program.starts_from
        cell = self.world.partners[partner].get(start.column) if start else None
        if start is None or cell is None:
            return None
        tiers = self.world.program.ladder_of(category).tiers
        names = {tier.label: tier.key for tier in tiers} | {tier.key: tier.key for tier in tiers} | dict(start.values)
        return next((at for at, tier in enumerate(tiers, 1) if tier.key == names.get(cell)), None)

    # --- how long

    def held(self, metric: Metric, source: tree.FromHeld, partner: str, seen: Seen) -> Any:
        seen = replace(seen, split=None)
        since = self.since(metric.key, source, partner, seen)
        if source.criterion is None and seen.category is None:
            return None
        if since is None:
            return Fraction(0)
        if source.criterion is not None and not self._holds(source.criterion, partner, seen):
            return Fraction(0)
        return Fraction((seen.view.day - since).days)

    def since(self, key: str, source: tree.FromHeld, partner: str, seen: Seen) -> date | None:
        """The day since when it holds at as_of."""
        if source.criterion is not None:
            now = replace(seen, view=View(self.world.as_of))
            if not self._holds(source.criterion, partner, now):
                return None
            of = self.world.program.categories if seen.category is None or not self.bound(key) else [seen.category]
            days = [self.stood[partner, one].held.get(key) for one in of if (partner, one) in self.stood]
            return min((one for one in days if one is not None), default=self.world.as_of)
        stood = self.stood.get((partner, str(seen.category)))
        if stood is None or stood.gone:  # a hand-kept tier counts as granted the day before
            started = self.started(seen.category, partner)
            stood = Stood(granted=started, since=self.world.as_of - timedelta(days=1))
        if seen.category is None or source.tier is None:
            return None
        tiers = [tier.key for tier in self.world.program.ladder_of(seen.category).tiers]
        if source.tier not in tiers or (stood.granted or 0) < tiers.index(source.tier) + 1:
            return None
        return stood.held.get(key) or stood.since

    def _holds(self, criterion: Criterion, partner: str, seen: Seen) -> bool:
        return Judge(self.world, partner, seen).holds(criterion) is True

    def bound(self, key: str) -> bool:
        """Whether a metric differs from category to category."""
        from tests.levelling.oracle_metrics import inputs

        metric = self.world.program.metrics[key]
        source = metric.source
        mine = (isinstance(source, tree.FromRank) and source.within_category) or (
            isinstance(source, tree.FromHeld) and source.tier is not None
        )
        mine = mine or any(one.metric == key and one.category is not None for one in self.exceptions.credits)
        return mine or any(self.bound(one) for one in inputs(metric))


def split_keys(world: Metrics, ladder: Ladder) -> list[str]:
    """The split metrics that the criteria of a ladder read."""
    found: set[str] = set()
    for tier in ladder.tiers:
        for one in (tier.requires, tier.keeps):
            found |= criteria_metrics(one)
    return sorted(key for key in found if world.split_inputs(key))


def criteria_metrics(requirement: Any) -> set[str]:
    if requirement is None:
        return set()
    if isinstance(requirement, Criterion):
        found = {requirement.metric}
        return found | ({requirement.value.key} if isinstance(requirement.value, tree.OtherMetric) else set())
    return {one for part in requirement.parts for one in criteria_metrics(part)}


def taken(ladder: Ladder, positions: list[int]) -> int:
    """What the positions of several values come to together."""
    assert ladder.per is not None
    ordered = sorted(positions, reverse=True)
    if ladder.per.take is Take.ALL:
        return ordered[-1]
    if ladder.per.take is not Take.AT_LEAST:
        return ordered[0]
    # too few values for any tier leave the lowest one that asks for nothing
    lowest = 1 if ladder.tiers[0].requires is None else 0
    return max(lowest, ordered[ladder.per.at_least - 1] if ladder.per.at_least <= len(ordered) else 0)


def values_of(world: Metrics, ladder: Ladder, partner: str) -> list[str]:
    """The values that any split metric of a ladder has for a partner."""
    keys = split_keys(world, ladder)
    return sorted({one for key in keys for one in world.splits(key) if world.has(partner, key, one)})
