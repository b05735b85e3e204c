"""The standings of one day, one partner at a time. Shares no code with the engine.

Source: program-language, sections 5 to 9.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from decimal import Decimal
from fractions import Fraction
from functools import cached_property
from typing import Any

from crmsync.programs.program import Category, FromHeld, Group, Ladder, Program, RollsUp, Take, Tier
from tests.levelling.facts import Facts
from tests.levelling.oracle_cells import UNKNOWN, Lower, before, condition
from tests.levelling.oracle_metrics import Account, Metrics
from tests.levelling.oracle_movement import Moved, Numbers, Turn, next_date
from tests.levelling.oracle_overrides import BOUNDS, MEASURED, Acting, Exceptions
from tests.levelling.oracle_paths import Judge, blocker, leaves, progress, shortest, text
from tests.levelling.oracle_places import Places, Stood, split_keys, taken
from tests.levelling.oracle_remembered import state_of
from tests.levelling.oracle_world import NO_VALUE, Pair, Seen, View

Row = dict[str, Any]


class Day:
    """One day of a program on its tables. `stood`: by (partner, category); `without`: overrides that are left out."""

    def __init__(
        self, program: Program, facts: Facts, as_of: date, stood: Mapping[tuple[str, str], Stood], without: bool = False
    ) -> None:
        self.program, self.as_of, self.stood = program, as_of, stood
        rows = facts.rows.get("overrides", [])
        exceptions = Exceptions(program, rows, as_of, MEASURED if without else ())
        self.world = Metrics(program, facts, as_of, credits=exceptions.credits)
        self.places = self.world.places = Places(self.world, exceptions, stood)
        self._standings: dict[tuple[str, str], Standing] = {}

    def of_partner(self, partner: str) -> list[Standing]:
        """All rows that a partner could have, in the order of the categories."""
        return [one for category in self.program.categories.values() for one in self._of_category(partner, category)]

    def _of_category(self, partner: str, category: Category) -> list[Standing]:
        per = self.program.ladder_of(category.key).per
        if per is None or per.take is not Take.EACH:
            return [self.standing(partner, category)]
        has = values_of(self.world, self.program.ladder_of(category.key), partner)
        prefix = f"{category.key}/"
        stood = {key[1].removeprefix(prefix) for key in self.stood if key[0] == partner and key[1].startswith(prefix)}
        found = [self.standing(partner, category, one) for one in sorted({*has, *stood})]
        if not has or (partner, category.key) in self.stood:
            found.append(self.standing(partner, category))
        return found

    def standing(self, partner: str, category: Category, value: str | None = None) -> Standing:
        key = f"{category.key}/{value}" if value is not None else category.key
        if (partner, key) not in self._standings:
            self._standings[partner, key] = Standing(self, partner, category, key, value)
        return self._standings[partner, key]

    @cached_property
    def circles(self) -> set[str]:
        """Those in a cycle or too deep, where something passes along the tree."""
        program, world = self.program, self.world
        rolls = any(metric.rolls_up is not RollsUp.OWN for metric in program.metrics.values())
        families = any(program.family_of(one) is not None for one in program.ladders.values())
        if not rolls and not families:
            return set()
        deep = {one for one in world.partners if len(world.ancestors(one)) > 65}
        return {*world.in_circles, *deep} if world.parents else deep


def values_of(world: Metrics, ladder: Ladder, partner: str) -> list[str]:
    """The values that any split metric of a ladder has for a partner."""
    keys = split_keys(world, ladder)
    return sorted({one for key in keys for one in world.splits(key) if world.has(partner, key, one)})


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

    def _asked(self, formula: Any) -> Any:
        return condition(formula.tree, Account(self.day.world, self.partner, self.seen()))

    @cached_property
    def takes_part(self) -> bool:
        found = True if self.program.takes_part is None else self._asked(self.program.takes_part)
        return self.has_stood if found is UNKNOWN else bool(found)

    @cached_property
    def belongs(self) -> bool:
        found: Any = True if self.category.member is None else self._asked(self.category.member)
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
        return self._asked(self.category.observed) if self.category.observed and self.takes_part else False

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
        holds = [judge.meets(_asked_of(tier, at <= kept)) for at, tier in enumerate(self.ladder.tiers, 1)]
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
    def numbers(self) -> Numbers:
        if not self.belongs:
            self._held_today(0)
            return Numbers(False, self.takes_part, -1, -1)
        holds = self._held_today(self.kept)
        found = [self._highest(holds, unknown) for unknown in (False, True)]
        if self.is_each and self.value is None:
            found = [1, 1]
        return Numbers(True, self.takes_part, *found)

    def _held_today(self, kept: int) -> list[Any]:
        """Which tiers hold, with what is sustained and what was met on any day; fills `remembered`."""
        per = self.ladder.per
        if per is not None and not self.is_each:
            return self._held_together(kept)
        judge = self.judge(split=self.split)
        return [self._holds(judge, at, tier, kept) for at, tier in enumerate(self.ladder.tiers, 1)]

    def _holds(self, judge: Judge, at: int, tier: Tier, kept: int) -> Any:
        holds = judge.meets(_asked_of(tier, at <= kept))
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

        def come_to(up_to: int, unknown_holds: bool) -> int:
            return self._come_to(View(self.day.as_of), up_to, unknown_holds)

        sure, possible, required = come_to(kept, False), come_to(kept, True), come_to(0, False)
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

    def _come_to(self, view: View, up_to: int, unknown_holds: bool = False) -> int:
        """What the tiers of all values come to together."""
        found = [self.climbed(self.judge(view, one), up_to, unknown_holds) for one in self.values]
        return 1 if self.values == [NO_VALUE] else taken(self.ladder, found)

    # --- movement

    @cached_property
    def moved(self) -> Moved:
        stood = self.stood

        def meant(freeze: Any) -> bool:
            return freeze.where is None or self._asked(freeze.where) is True

        return Turn(
            self.program, self.category.key, self.day.as_of, self.cells, stood, self.was, self.numbers, self.acting, meant
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
        state = self._state()
        first = stood.first if stood is not None and stood.first is not None else None
        if first is None:
            first = (self.was if self.stood is None or self.has_stood else None, self._was_granted)
            stood_first = stood is not None
        else:
            stood_first = stood.stood_first if stood is not None else False
        return Stood(
            earned=max(moved.earned, 0), granted=max(self.granted, 0), since=self._tier_since, grace_until=moved.grace,
            pending=moved.pending, pending_on=moved.pending_on, promoted_on=state.get("promoted_on"),
            decided_on=moved.decided_on, declined=moved.declined, member_since=state.get("member_since"),
            held=state.get("held", {}), met=state.get("met", {}), kinds=stood.kinds if stood is not None else frozenset(),
            first=first, stood_first=stood_first, events=moved.events, gone=not moved.stands,
        )  # fmt: skip

    @property
    def _was_granted(self) -> int | None:
        return self.stood.granted if self.has_stood and self.stood is not None else self.was

    @property
    def _tier_since(self) -> date | None:
        if self.granted <= 0:
            return None
        today = self.day.as_of
        since = self.stood.since if self.has_stood and self.stood is not None else today - timedelta(days=1)
        if self._was_granted == self.granted:
            return since or today
        if self.moved.came and self.granted == self.moved.start and self.stood is not None:
            return self.stood.pending_on
        return today

    def _state(self) -> dict[str, Any]:
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

    # --- the row

    def row(self, bare: Day | None = None) -> Row | None:
        shown = self.belongs or self.stood is not None or self.declared or self.observed is True
        if not shown:
            return None
        stands = self.moved.stands
        row: Row = {
            **dict.fromkeys(COLUMNS_OF_DAY), "category": self.key, "stands": stands, "rank": 0, "gap": [],
            "overrides": [], "provisional": False, "category_check": self._check(), "metrics": self._metrics(),
            "reassess_on": self._reassess_on() if self.belongs else None,
        }  # fmt: skip
        stood_first = self.stood is not None and (self.stood.first is None or self.stood.stood_first)
        if not stands:
            return row | {"movement": "left", "previous_tier": self._key(self._first[1])} if stood_first else row
        return row | self._standing(bare)

    @property
    def _first(self) -> tuple[int | None, int | None]:
        """Earned and granted before the review days on the way."""
        if self.stood is not None and self.stood.first is not None:
            return self.stood.first
        if self.stood is not None and self.stood.gone:
            return (None, None)
        return (self.was, self._was_granted)

    def _check(self) -> str | None:
        if self.category.observed is None:
            return None
        if self.observed is UNKNOWN:
            return "unknown"
        return {(True, True): "confirmed", (True, False): "over_declared", (False, True): "undeclared"}.get(
            (self.declared, self.observed)
        )

    def _metrics(self) -> Row:
        found = {}
        world = self.day.world
        for key, metric in self.program.metrics.items():
            for split in (None, *(one for one in world.splits(key) if world.has(self.partner, key, one))):
                value = world.metric(self.partner, key, self.seen(split=split))
                value = value.value if isinstance(value, Lower) else value
                shown = value if isinstance(value, bool) else text(value, metric.unit)
                if split is None:
                    found[key] = shown
                elif shown is not None:
                    found[f"{key}[{split}]"] = shown
        return found

    def _key(self, position: int | None) -> str | None:
        return self.ladder.tiers[position - 1].key if position is not None and position > 0 else None

    def _rank(self, position: int) -> int:
        tier = self.ladder.tiers[position - 1] if position > 0 else None
        return 0 if tier is None else position if tier.rank is None else tier.rank

    def _standing(self, bare: Day | None) -> Row:
        moved, numbers, granted = self.moved, self.numbers, self.granted
        stopped = numbers.belongs and numbers.calculated < moved.earned <= numbers.possible
        pending = None if moved.pending is None else self._key(moved.pending) or "none"
        return {
            "calculated_tier": self._key(numbers.calculated),
            "earned_tier": self._key(moved.earned),
            "granted_tier": self._key(granted),
            "rank": self._rank(granted),
            "previous_tier": self._key(self._first[1]),
            "movement": self._word(),
            "pending_tier": pending,
            "pending_on": moved.pending_on,
            "grace_until": moved.grace,
            "next_review": self._next_review(),
            "provisional": stopped or self.partner in self.day.circles,
            "tier_since": self._tier_since,
            "overrides": self._overrides(bare),
            "state": self._told(),
            **self._outlook(),
        }

    def _told(self) -> dict[str, Any]:
        found = self._state()
        if self.moved.declined is not None:
            found["declined"] = self._key(self.moved.declined) or "none"
        return state_of({"state": {k: _texts(v) for k, v in found.items()}})

    def _next_review(self) -> date | None:
        movement = self.program.movement_of(self.category.key)
        if self.moved.earned > 0:
            movement = self.program.movement_of(self.category.key, self.ladder.tiers[self.moved.earned - 1])
        day = next_date(movement.demote.on, self.day.as_of, self.cells)
        return min((one for one in (day, self.moved.grace) if one is not None), default=None)

    def _reassess_on(self) -> date | None:
        every, today = self.program.reassess, self.day.as_of
        if every is None:
            return None
        start = (self.stood.member_since if self.has_stood and self.stood is not None else None) or today
        count = 1
        while (found := before(start, -every.count * count, every.period.value)) <= today:
            count += 1
        return found

    def _overrides(self, bare: Day | None) -> list[Row]:
        found = []
        for one in self.acting.entries:
            without = self._key(self.moved.earned) if one["kind"] in BOUNDS else None
            if one["kind"] in MEASURED and bare is not None:
                other = bare.standing(self.partner, self.category, self.value)
                without = other._key(other.numbers.calculated) if other.moved.stands else None
            found.append({key: value for key, value in one.items() if key != "_key"} | {"tier_without": without})
        return found

    def _word(self) -> str:
        moved, granted, acting, first = self.moved, self.granted, self.acting, self._first[0]
        ended = (self.stood.kinds if self.stood is not None else frozenset()) - acting.kinds
        capped = acting.bounds.get("ceiling")
        words = {
            "entered": first is None,
            "pinned": "pin" in acting.bounds,
            "floored": granted > moved.earned and granted == acting.bounds.get("floor"),
            "capped": granted == capped and self.uncapped > granted,
            "inherited": granted > moved.earned,
            "override_ended": bool(ended),
            "promoted": first is not None and moved.earned > first,
            "demoted": first is not None and moved.earned < first,
            "pending": moved.pending_on is not None,
            "awaiting_approval": moved.pending is not None,
            "frozen": "frozen" in moved.events,
            "held": "held" in moved.events,
            "cured": "cured" in moved.events and moved.grace is None,
            "in_grace": moved.grace is not None,
        }
        return next((word for word, applies in words.items() if applies), "unchanged")

    # --- gap and risk

    def _outlook(self) -> Row:
        per = self.ladder.per
        if per is None or self.is_each:
            shown = {} if per is None else {"per_value": self.value}
            return {**self._gap(self.split), **self._risk([self.split]), **shown}
        nearest = min(self.values, key=self._distance)
        gap = self._gap(nearest)
        return {**gap, **self._risk(self.values), "per_value": None if nearest == NO_VALUE else nearest}

    def _distance(self, value: str) -> tuple[Any, ...]:
        """How near a value is to the next tier: those that are there already come last."""
        own = self.climbed(self.judge(split=value), self.kept)
        own = 1 if value == NO_VALUE else own
        done = self._gap(value).get("progress")
        return (self._next is not None and own >= self._next, -(done if done is not None else Decimal(-1)), value)

    @property
    def _next(self) -> int | None:
        above = self.numbers.calculated + 1
        stops = above > self.acting.bounds.get("ceiling", above) or above > len(self.ladder.tiers)
        return None if stops or not self.belongs else above

    def _gap(self, split: str | None) -> Row:
        above = self._next
        if above is None:
            return {"next_tier": None}
        judge = self.judge(split=split)
        tier = self.ladder.tiers[above - 1]
        requirement = _asked_of(tier, above <= self.moved.earned)
        if requirement is None:
            return {"next_tier": tier.key}
        way = shortest(judge, requirement)
        done = progress(way)
        found = list(leaves(judge, requirement))
        return {
            "next_tier": tier.key,
            "gap": [leaf.entry for leaf in found],
            "progress": Decimal(done.numerator) / Decimal(done.denominator),
            "main_blocker": blocker(way, found),
        }

    def _risk(self, values: Sequence[str | None]) -> Row:
        risk, today, granted = self.program.risk, self.day.as_of, self.granted
        horizon = before(today, -risk.horizon.count, risk.horizon.period.value)

        together = self.ladder.per is not None and not self.is_each

        def at(view: View) -> int:
            if together:
                return self._come_to(view, granted)
            return 1 if values[0] == NO_VALUE else self.climbed(self.judge(view, values[0]), granted)

        projected, paced = at(View(horizon)), at(View(horizon, pace=True))
        found: Row = {"projected_tier": self._key(projected), "pace_tier": self._key(paced), "risk": "none"}
        if granted <= 1:
            return found
        if at(View(today)) < granted:
            return found | {"risk": "high", "risk_on": today}
        if paced >= granted and projected >= granted:
            spare = [self._has_spare(value) for value in values]
            enough = taken_enough(self.ladder, spare) if together else spare[0]
            return found | {"risk": "none" if enough else "low"}
        found["risk"] = "high" if paced < granted else "medium"
        if projected < granted:
            days = (today + timedelta(days=n) for n in range(1, (horizon - today).days + 1))
            found["risk_on"] = next(day for day in days if at(View(day)) < granted)
        return found

    def _has_spare(self, value: str | None) -> bool:
        """Whether the granted tier would hold if each threshold were further by `near`."""
        near = self.judge(None, value, Fraction(self.program.risk.near))
        return near.meets(_asked_of(self.ladder.tiers[self.granted - 1], True)) is True


def taken_enough(ladder: Ladder, holds: Sequence[bool]) -> bool:
    """Whether something holds for as many of the values as the ladder takes."""
    assert ladder.per is not None
    needed = {Take.ALL: len(holds), Take.AT_LEAST: ladder.per.at_least}.get(ladder.per.take, 1)
    return sum(holds) >= needed


COLUMNS_OF_DAY = (
    "calculated_tier", "earned_tier", "granted_tier", "previous_tier", "pending_tier", "pending_on", "projected_tier",
    "pace_tier", "movement", "metrics", "next_tier", "gap", "progress", "risk", "risk_on", "category_check",
    "provisional", "tier_since", "grace_until", "next_review", "reassess_on", "overrides", "state", "per_value",
    "main_blocker",
)  # fmt: skip


def _asked_of(tier: Tier, by_keeps: bool) -> Group | None:
    return tier.keeps if by_keeps and tier.keeps is not None else tier.requires


def _texts(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: one.isoformat() for key, one in value.items()}
    return value.isoformat() if isinstance(value, date) else value
