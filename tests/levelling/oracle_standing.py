"""One standing: who belongs, which tiers hold, how it moves and what is granted. Shares no code with the engine.

Source: program-language, sections 5 to 8.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta
from fractions import Fraction
from functools import cached_property
from typing import TYPE_CHECKING, Any

from crmsync.programs.program import Category, FromHeld, Group, Ladder, Program, Take, Tier
from tests.levelling.oracle_cells import UNKNOWN, before, condition
from tests.levelling.oracle_metrics import Account
from tests.levelling.oracle_movement import Moved, Numbers, Turn
from tests.levelling.oracle_overrides import Acting
from tests.levelling.oracle_paths import Judge
from tests.levelling.oracle_places import Stood, taken, values_of
from tests.levelling.oracle_world import NO_VALUE, Pair, Seen, View

if TYPE_CHECKING:
    from tests.levelling.oracle_day import Day


@dataclass
class Standing:
    """One partner in one category; with `take: each` for one value of its ladder."""

    day: Day
    partner: str
    category: Category
    key: str
    value: str | None = None
    remembered: dict[str, Any] = field(default_factory=dict)  # held and met after today

    @property
    def program(self) -> Program:
        return self.day.program

    @property
    def ladder(self) -> Ladder:
        return self.program.ladders[self.category.ladder]

    @property
    def stood(self) -> Stood | None:
        return self.day.stood.get((self.partner, self.key))

    @property
    def has_stood(self) -> bool:
        return self.stood is not None and not self.stood.gone

    @property
    def acting(self) -> Acting:
        return self.day.places.acting(self.partner, self.category.key)

    @property
    def cells(self) -> Mapping[str, Any]:
        return self.day.world.partners[self.partner]

    @property
    def is_each(self) -> bool:
        return self.ladder.per is not None and self.ladder.per.take is Take.EACH

    @property
    def split(self) -> str | None:
        """For which split value the row's own criteria are asked."""
        return self.value if self.value is not None else NO_VALUE if self.is_each else None

    def seen(self, view: View | None = None, split: str | None = None) -> Seen:
        return Seen(view or View(self.day.as_of), (), split, self.category.key)

    def judge(self, view: View | None = None, split: str | None = None, near: Fraction | None = None) -> Judge:
        return Judge(self.day.world, self.partner, self.seen(view, split), near, self.acting)

    # --- who belongs

    def asks(self, formula: Any) -> Any:
        return condition(formula.tree, Account(self.day.world, self.partner, self.seen()))

    @cached_property
    def takes_part(self) -> bool:
        found = True if self.program.takes_part is None else self.asks(self.program.takes_part)
        return self.has_stood if found is UNKNOWN else bool(found)

    @cached_property
    def belongs(self) -> bool:
        found: Any = True if self.category.member is None else self.asks(self.category.member)
        if self.acting.category_in is not None:
            found = self.acting.category_in
        member = self.has_stood if found is UNKNOWN else bool(found)
        if self.is_each:
            has = values_of(self.day.world, self.ladder, self.partner)
            member = member and (self.value in has if self.value is not None else not has)
        return self.takes_part and member

    @cached_property
    def declared(self) -> bool:
        cell = self.cells.get(self.program.declared or "declared_categories")
        names = {self.category.key, self.category.label}
        hit = bool(names & set(cell if isinstance(cell, list) else [cell])) and self.program.has_categories
        return hit and self.takes_part

    @cached_property
    def observed(self) -> Any:
        return self.asks(self.category.observed) if self.category.observed and self.takes_part else False

    # --- what the numbers say

    @cached_property
    def was(self) -> int | None:
        """The earned tier before."""
        if self.has_stood and self.stood is not None:
            return self.stood.earned
        return self.day.places.started(self.category.key, self.partner)

    @cached_property
    def kept(self) -> int:
        """Up to which position `keeps` decides: the earned tier the day begins with."""
        stood = self.stood if self.has_stood else None
        if stood is not None and stood.pending_on is not None and stood.pending_on <= self.day.as_of:
            return stood.pending or 0
        return self.was or 0

    def climbed(self, judge: Judge, kept: int, unknown_holds: bool = False) -> int:
        """The tier that holds: up to the position `kept` by keeps, above by requires."""
        holds = [judge.meets(asked_of(tier, at <= kept)) for at, tier in enumerate(self.ladder.tiers, 1)]
        return self._highest(holds, unknown_holds)

    def _highest(self, holds: list[Any], unknown_holds: bool) -> int:
        highest = 0
        for at, met in enumerate(holds, 1):
            if met is True or (met is UNKNOWN and unknown_holds):
                highest = at
            elif self.ladder.climb_steps:
                return highest
        return highest

    @cached_property
    def keep_from(self) -> int | None:
        """What the version before gives today, below which nobody falls for now."""
        return self.day.given_before(self.partner, self.category.key, self.key)

    @cached_property
    def numbers(self) -> Numbers:
        if not self.belongs:
            self._held_today(self.kept)
            return Numbers(False, self.takes_part, -1, -1, self.keep_from)
        holds = self._held_today(self.kept)
        found = [self._highest(holds, unknown) for unknown in (False, True)]
        if self.is_each and self.value is None:
            found = [1, 1]
        return Numbers(True, self.takes_part, found[0], found[1], self.keep_from)

    def _held_today(self, kept: int) -> list[Any]:
        """Which tiers hold, with what is sustained and what was met on any day; fills `remembered`."""
        per = self.ladder.per
        if per is not None and not self.is_each:
            return self._held_together(kept)
        judge = self.judge(split=self.split)
        return [self._holds(judge, at, tier, kept) for at, tier in enumerate(self.ladder.tiers, 1)]

    def _holds(self, judge: Judge, at: int, tier: Tier, kept: int) -> Any:
        holds = judge.meets(asked_of(tier, at <= kept))
        if tier.sustained is not None and tier.sustained.count:
            required = judge.meets(tier.requires) is True
            entering = self._sustained(tier, required)
            holds = holds if at <= kept else entering
        return self._on_any_day(tier, holds)

    def _sustained(self, tier: Tier, required: bool) -> bool:
        """Whether `requires` has held long enough without a break on the assessed days."""
        assert tier.sustained is not None
        key = f"requires:{tier.key}"
        stood = self.stood if self.stood is not None else Stood()
        since = (stood.held.get(key) or self.day.as_of) if required else None
        self.remembered.setdefault("held", {})[key] = since
        start = before(self.day.as_of, tier.sustained.count, tier.sustained.period.value)
        return since is not None and since <= start

    def _on_any_day(self, tier: Tier, holds: Any) -> Any:
        if self.program.movement_of(self.category.key, tier).qualifies is None:
            return holds
        stood = self.stood if self.stood is not None else Stood()
        recent = self.day.places.qualifies(self.category.key, tier, stood, self.day.as_of)
        last = self.day.as_of if holds is True else stood.met.get(tier.key) if recent else None
        self.remembered.setdefault("met", {})[tier.key] = last
        return True if recent else holds

    def _held_together(self, kept: int) -> list[Any]:
        """A ladder climbed once per value: what the values come to, as if each tier up to it held."""

        def all_come_to(up_to: int, unknown_holds: bool) -> int:
            return self.come_to(View(self.day.as_of), up_to, unknown_holds)

        sure, possible, required = all_come_to(kept, False), all_come_to(kept, True), all_come_to(0, False)
        holds: list[Any] = []
        for at, tier in enumerate(self.ladder.tiers, 1):
            met: Any = True if at <= sure else UNKNOWN if at <= possible else False
            if tier.sustained is not None and tier.sustained.count:
                entering = self._sustained(tier, at <= required)
                met = met if at <= kept else entering
            holds.append(self._on_any_day(tier, met))
        return holds

    @cached_property
    def values(self) -> list[str]:
        """The values for which the ladder is climbed; for a partner who has none a single one without records."""
        return values_of(self.day.world, self.ladder, self.partner) or [NO_VALUE]

    def come_to(self, view: View, up_to: int, unknown_holds: bool = False) -> int:
        """What the tiers of all values come to together."""
        found = [self.climbed(self.judge(view, one), up_to, unknown_holds) for one in self.values]
        return 1 if self.values == [NO_VALUE] else taken(self.ladder, found)

    # --- movement

    @cached_property
    def moved(self) -> Moved:
        stood = self.stood

        def meant(freeze: Any) -> bool:
            return freeze.where is None or self.asks(freeze.where) is True

        return Turn(
            self.program,
            self.category.key,
            self.day.as_of,
            self.cells,
            stood,
            self.was,
            self.numbers,
            self.acting,
            meant,
        ).turned()

    @cached_property
    def uncapped(self) -> int:
        """The earned tier with family and floor."""
        return max(self.moved.earned, self.inherited, self.acting.bounds.get("floor", -1))

    @cached_property
    def inherited(self) -> int:
        """The earned tier of the account above, where the ladder lets it reach down."""
        family = self.program.family_of(self.ladder)
        world = self.day.world
        if family is None:
            return -1
        above = world.top(self.partner) if family.from_top else world.parents[self.partner]
        if above is None or above == self.partner:
            return -1
        if family.where is not None and condition(family.where.tree, Pair(world, self.partner, above)) is not True:
            return -1
        if self.is_each:
            found = [one for one in self.day.of_partner(above) if one.key == self.key]
            return found[0].moved.earned if found and found[0].moved.stands else -1
        other = self.day.standing(above, self.category)
        return other.moved.earned if other.moved.stands else -1

    @cached_property
    def granted(self) -> int:
        bounds = self.acting.bounds
        return bounds.get("pin", min(self.uncapped, bounds.get("ceiling", self.uncapped)))

    # --- what is left for the next day

    def left(self) -> Stood | None:
        """What this review day leaves behind; None: nothing stands and nothing stood."""
        if not self.moved.stands and self.stood is None:
            return None
        moved, stood = self.moved, self.stood
        state = self.state()
        first = stood.first if stood is not None and stood.first is not None else None
        if first is None:
            first = (self.was if self.stood is None or self.has_stood else None, self.was_granted)
            stood_first = stood is not None
        else:
            stood_first = stood.stood_first if stood is not None else False
        return Stood(
            earned=max(moved.earned, 0), granted=max(self.granted, 0), since=self.tier_since, grace_until=moved.grace,
            pending=moved.pending, pending_on=moved.pending_on, promoted_on=state.get("promoted_on"),
            decided_on=moved.decided_on, declined=moved.declined, member_since=state.get("member_since"),
            held=state.get("held", {}), met=state.get("met", {}),
            kinds=stood.kinds if stood is not None else frozenset(),
            first=first, stood_first=stood_first, events=moved.events, gone=not moved.stands,
        )  # fmt: skip

    @property
    def was_granted(self) -> int | None:
        return self.stood.granted if self.has_stood and self.stood is not None else self.was

    @property
    def tier_since(self) -> date | None:
        if self.granted <= 0:
            return None
        today = self.day.as_of
        since = self.stood.since if self.has_stood and self.stood is not None else today - timedelta(days=1)
        if self.was_granted == self.granted:
            return since or today
        if self.moved.came and self.granted == self.moved.start and self.stood is not None:
            return self.stood.pending_on
        return today

    def state(self) -> dict[str, Any]:
        """What no other column holds."""
        stood = self.stood if self.stood is not None else Stood()
        today, found = self.day.as_of, dict[str, Any]()
        _ = self.numbers
        movements = [self.program.movement_of(self.category.key)]
        movements += [self.program.movement_of(self.category.key, tier) for tier in self.ladder.tiers]
        if any(one.after_promotion and one.after_promotion.count for one in movements):
            up = self.was is not None and self.moved.earned > self.was
            found["promoted_on"] = today if up else stood.promoted_on
        found["decided_on"] = self.moved.decided_on
        if self.program.reassess is not None:
            since = stood.member_since if self.has_stood else None
            found["member_since"] = (since or today) if self.belongs else since
        held = dict(self.remembered.get("held", {}))
        for key, metric in self.program.metrics.items():
            if isinstance(metric.source, FromHeld):
                held[key] = self._held_since(key, metric.source)
        found["held"] = {key: day for key, day in held.items() if day is not None}
        found["met"] = {key: day for key, day in self.remembered.get("met", {}).items() if day is not None}
        return {key: value for key, value in found.items() if value not in (None, {})}

    def _held_since(self, key: str, source: FromHeld) -> date | None:
        since = self.day.places.since(key, source, self.partner, self.seen())
        if source.criterion is not None:
            return since
        tiers = [tier.key for tier in self.ladder.tiers]
        if source.tier not in tiers or self.granted < tiers.index(source.tier) + 1:
            return None
        return since or self.day.as_of


def asked_of(tier: Tier, by_keeps: bool) -> Group | None:
    return tier.keeps if by_keeps and tier.keeps is not None else tier.requires
