"""What the standings table tells of one standing: words, gap, risk and the rest. Shares no code with the engine.

Source: program-language, sections 6 to 9.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from crmsync.programs.program import Ladder, Take
from tests.levelling.oracle_benefits import benefits
from tests.levelling.oracle_cells import UNKNOWN, Lower, before
from tests.levelling.oracle_movement import next_date
from tests.levelling.oracle_overrides import BOUNDS, MEASURED
from tests.levelling.oracle_paths import blocker, leaves, progress, shortest, text
from tests.levelling.oracle_remembered import state_of
from tests.levelling.oracle_standing import Standing, asked_of
from tests.levelling.oracle_world import NO_VALUE, View

if TYPE_CHECKING:
    from tests.levelling.oracle_day import Day

Row = dict[str, Any]


@dataclass
class Told(Standing):
    """One partner in one category, as a row."""

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
        return (self.was, self.was_granted)

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
            "tier_since": self.tier_since,
            "overrides": self._overrides(bare),
            "state": self._told(),
            "benefits": benefits(self),
            **self._outlook(),
        }

    def _told(self) -> dict[str, Any]:
        found = self.state()
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
            "program_changed": self.stood is not None and self.stood.renamed and moved.earned > 0,
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
        requirement = asked_of(tier, above <= self.moved.earned)
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
                return self.come_to(view, granted)
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
        return near.meets(asked_of(self.ladder.tiers[self.granted - 1], True)) is True


def taken_enough(ladder: Ladder, holds: Sequence[bool]) -> bool:
    """Whether something holds for as many of the values as the ladder takes."""
    assert ladder.per is not None
    needed = {Take.ALL: len(holds), Take.AT_LEAST: ladder.per.at_least}.get(ladder.per.take, 1)
    return sum(holds) >= needed


COLUMNS_OF_DAY = (
    "calculated_tier", "earned_tier", "granted_tier", "previous_tier", "pending_tier", "pending_on", "projected_tier",
    "pace_tier", "movement", "metrics", "next_tier", "gap", "progress", "risk", "risk_on", "category_check",
    "provisional", "tier_since", "grace_until", "next_review", "reassess_on", "overrides", "state", "per_value",
    "main_blocker", "benefits",
)  # fmt: skip


def _texts(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: one.isoformat() for key, one in value.items()}
    return value.isoformat() if isinstance(value, date) else value
