"""A slow and plain reading of the program language: every decided column of the standings, one partner at a time.

It shares no code with the engine. Risk dates are found by assessing every day up to the horizon.
Source: program-language, sections 0 to 9, as far as they are built.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Any

from crmsync.programs.program import Category, Group, Headline, Ladder, Program, Tier
from tests.levelling.facts import Facts
from tests.levelling.oracle_cells import UNKNOWN, Lower, before, condition
from tests.levelling.oracle_metrics import Account, View, World
from tests.levelling.oracle_paths import Judge, leaves, progress, shortest, text

COLUMNS = (
    "calculated_tier", "earned_tier", "granted_tier", "previous_tier", "projected_tier", "pace_tier", "movement",
    "metrics", "next_tier", "gap", "progress", "risk", "risk_on", "headline_tier", "primary_category", "category_check",
    "provisional", "tier_since", "overrides",
)  # fmt: skip

Row = dict[str, Any]


def standings(
    program: Program, facts: Facts, as_of: date, previous: Sequence[Mapping[str, Any]] = ()
) -> dict[tuple[str, str], Row]:
    """The decided columns of every row, by (partner, category)."""
    world = World(program, facts, as_of)
    stood = {(row["partner_id"], row["category"]): row for row in previous if row["movement"] not in (None, "left")}
    found: dict[tuple[str, str], Row] = {}
    for partner in sorted(world.partners):
        rows = [
            Standing(world, partner, one, stood.get((partner, one.key))).row() for one in program.categories.values()
        ]
        shown = [row for row in rows if row is not None]
        for row in _with_headline(program, world, partner, shown):
            found[partner, row.pop("category")] = row
    for key, row in stood.items():
        if key[0] not in world.partners:
            found[key] = _vanished(program, row)
    return found


def _vanished(program: Program, row: Mapping[str, Any]) -> Row:
    return {
        **dict.fromkeys(COLUMNS), "movement": "left", "previous_tier": row["granted_tier"], "gap": [], "overrides": [],
        "provisional": False, "metrics": dict.fromkeys(program.metrics),
    }  # fmt: skip


def _with_headline(program: Program, world: World, partner: str, rows: list[Row]) -> list[Row]:
    order = {key: at for at, key in enumerate(program.categories)}
    known = []
    for row in rows:
        metric = program.primary.get(row["category"])
        value = world.metric(partner, metric, View(world.as_of)) if metric and row["belongs"] else None
        value = value.value if isinstance(value, Lower) else value
        known += [(-value, order[row["category"]], row)] if value is not None else []
    first = min(known, key=lambda one: one[:2])[2] if known else None
    tiered = [(row["rank"], order[row["category"]], row["granted_tier"]) for row in rows if row["granted_tier"]]
    headline = None
    match program.headline:
        case Headline.HIGHEST if tiered:
            headline = min(tiered, key=lambda one: (-one[0], one[1]))[2]
        case Headline.LOWEST if tiered:
            headline = min(tiered)[2]
        case Headline.PRIMARY if first is not None:
            headline = first["granted_tier"]
    account = {"headline_tier": headline, "primary_category": first["category"] if first is not None else None}
    return [{name: value for name, value in (row | account).items() if name not in ("belongs", "rank")} for row in rows]


@dataclass
class Standing:
    """One partner in one category."""

    world: World
    partner: str
    category: Category
    previous: Mapping[str, Any] | None

    @property
    def program(self) -> Program:
        return self.world.program

    @property
    def ladder(self) -> Ladder:
        return self.program.ladders[self.category.ladder]

    @property
    def today(self) -> View:
        return View(self.world.as_of)

    # --- who belongs

    def _asked(self, formula: Any) -> Any:
        return condition(formula.tree, Account(self.world, self.partner, self.today))

    def _declared(self) -> bool:
        cell = self.world.partners[self.partner].get(self.program.declared or "declared_categories")
        names = {self.category.key, self.category.label}
        return bool(names & set(cell if isinstance(cell, list) else [cell])) and self.program.has_categories

    def row(self) -> Row | None:
        stood = self.previous is not None
        takes_part = self._asked(self.program.takes_part) if self.program.takes_part else True
        member = self._asked(self.category.member) if self.category.member else True
        takes_part, member = (stood if one is UNKNOWN else one for one in (takes_part, member))
        observed = self._asked(self.category.observed) if self.category.observed and takes_part else False
        declared = self._declared() if takes_part else False
        if not (takes_part and member) and not stood and not declared and observed is not True:
            return None
        row: Row = {
            **dict.fromkeys(COLUMNS), "category": self.category.key, "belongs": takes_part and member, "rank": 0,
            "gap": [], "overrides": [], "provisional": False, "category_check": self._check(declared, observed),
            "metrics": self._metrics(),
        }  # fmt: skip
        if not row["belongs"]:
            return row | {"movement": "left", "previous_tier": self.previous["granted_tier"]} if self.previous else row
        return row | self._standing()

    def _check(self, declared: bool, observed: Any) -> str | None:
        if self.category.observed is None:
            return None
        if observed is UNKNOWN:
            return "unknown"
        return {(True, True): "confirmed", (True, False): "over_declared", (False, True): "undeclared"}.get(
            (declared, observed)
        )

    def _metrics(self) -> Row:
        found = {}
        for key, metric in self.program.metrics.items():
            value = self.world.metric(self.partner, key, self.today)
            value = value.value if isinstance(value, Lower) else value
            found[key] = value if isinstance(value, bool) else text(value, metric.unit)
        return found

    # --- tiers as positions: 0 is no tier

    def _position(self, tier: str | None) -> int:
        keys = [one.key for one in self.ladder.tiers]
        return keys.index(tier) + 1 if tier in keys else 0

    def _key(self, position: int) -> str | None:
        return self.ladder.tiers[position - 1].key if position > 0 else None

    def _climbed(self, judge: Judge, kept: int, unknown_holds: bool = False) -> int:
        """The tier that holds: up to the position `kept` by keeps, above by requires."""
        highest = 0
        for at, tier in enumerate(self.ladder.tiers, 1):
            met = judge.meets(_asked_of(tier, at <= kept))
            if met is True or (met is UNKNOWN and unknown_holds):
                highest = at
            elif self.ladder.climb_steps:
                return highest
        return highest

    def _started(self) -> int | None:
        start = self.category.starts_from or self.program.starts_from
        cell = self.world.partners[self.partner].get(start.column) if start else None
        if start is None or cell is None:
            return None
        names = {tier.label: tier.key for tier in self.ladder.tiers} | {
            tier.key: tier.key for tier in self.ladder.tiers
        }
        return self._position((names | dict(start.values)).get(cell)) or None

    def _pin(self) -> Mapping[str, Any] | None:
        names = {self.category.key, self.category.label}
        rows = []
        for row in self.world.facts.rows.get("overrides", []):
            bounds = (row.get("starts_on") or date.min) <= self.world.as_of <= (row.get("ends_on") or date.max)
            signed = row.get("reason") and row.get("approved_by")
            mine = row["partner_id"] == self.partner and (not row.get("category") or row["category"] in names)
            if mine and bounds and signed and row["kind"] == "pin" and self._knows(row):
                rows.append(row)
        return max(rows, key=_turn) if rows else None

    def _knows(self, row: Mapping[str, Any]) -> bool:
        """Whether the tier is known; a pin for all categories must be known in all of them."""
        categories = [self.category] if row.get("category") else list(self.program.categories.values())
        ladders = [self.program.ladders[one.ladder] for one in categories]
        return all(any(row["tier"] in (tier.key, tier.label) for tier in ladder.tiers) for ladder in ladders)

    def _pinned(self, row: Mapping[str, Any]) -> int:
        keys = [tier.key for tier in self.ladder.tiers if row["tier"] in (tier.key, tier.label)]
        return self._position(keys[0]) if keys else 0

    # --- the standing

    def _standing(self) -> Row:
        stood, started = self.previous is not None, self._started()
        was = self._position(self.previous["earned_tier"]) if self.previous else started
        was_granted = self._position(self.previous["granted_tier"]) if self.previous else started
        judge = Judge(self.world, self.partner, self.today)
        calculated = self._climbed(judge, was or 0)
        possible = self._climbed(judge, was or 0, unknown_holds=True)
        earned = calculated if was is None or calculated >= was else min(was, max(calculated, possible))
        pin = self._pin()
        granted = self._pinned(pin) if pin else earned
        since = self.previous["tier_since"] if self.previous else self.world.as_of - timedelta(days=1)
        kept_since = since if was_granted == granted and since else self.world.as_of
        overridden = bool(self.previous and self.previous["overrides"])
        return {
            "calculated_tier": self._key(calculated),
            "earned_tier": self._key(earned),
            "granted_tier": self._key(granted),
            "rank": self._rank(granted),
            "previous_tier": self._key(was_granted or 0),
            "movement": _word(was, earned, bool(pin), overridden and stood),
            "provisional": earned > calculated or self.partner in self._circles(),
            "tier_since": kept_since if granted else None,
            "overrides": [self._override(pin, earned)] if pin else [],
            **self._gap(judge, calculated, earned),
            **self._risk(granted),
        }

    def _circles(self) -> set[str]:
        """Those in a cycle or too deep, where something rolls up."""
        if not any(metric.rolls_up.value == "sum" for metric in self.program.metrics.values()):
            return set()
        deep = {one for one in self.world.partners if len(self.world.ancestors(one)) > 65}
        return {*self.world.in_circles, *deep} if self.world.parents else deep

    def _rank(self, position: int) -> int:
        tier = self.ladder.tiers[position - 1] if position else None
        return 0 if tier is None else position if tier.rank is None else tier.rank

    def _override(self, pin: Mapping[str, Any], earned: int) -> Row:
        ends = pin.get("ends_on")
        return {"kind": "pin", "value": self._key(self._pinned(pin)), "ends_on": ends.isoformat() if ends else None,
                "reason": pin["reason"], "tier_without": self._key(earned)}  # fmt: skip

    def _gap(self, judge: Judge, calculated: int, earned: int) -> Row:
        if calculated == len(self.ladder.tiers):
            return {"next_tier": None}
        tier = self.ladder.tiers[calculated]
        requirement = _asked_of(tier, calculated + 1 <= earned)
        assert requirement is not None
        way = shortest(judge, requirement)
        done = progress(way)
        return {
            "next_tier": tier.key,
            "gap": [leaf.entry for leaf in leaves(judge, requirement)],
            "progress": Decimal(done.numerator) / Decimal(done.denominator),
        }

    # --- risk

    def _risk(self, granted: int) -> Row:
        risk, today = self.program.risk, self.world.as_of
        horizon = before(today, -risk.horizon.count, risk.horizon.period.value)

        def at(view: View) -> int:
            return self._climbed(Judge(self.world, self.partner, view), granted)

        projected, paced = at(View(horizon)), at(View(horizon, pace=True))
        found: Row = {"projected_tier": self._key(projected), "pace_tier": self._key(paced), "risk": "none"}
        if granted <= 1:
            return found
        if at(self.today) < granted:
            return found | {"risk": "high", "risk_on": today}
        if paced >= granted and projected >= granted:
            near = Judge(self.world, self.partner, self.today, Fraction(risk.near))
            thin = near.meets(_asked_of(self.ladder.tiers[granted - 1], True)) is not True
            return found | {"risk": "low" if thin else "none"}
        found["risk"] = "high" if paced < granted else "medium"
        if projected < granted:
            days = (today + timedelta(days=n) for n in range(1, (horizon - today).days + 1))
            found["risk_on"] = next(day for day in days if at(View(day)) < granted)
        return found


def _asked_of(tier: Tier, by_keeps: bool) -> Group | None:
    return tier.keeps if by_keeps and tier.keeps is not None else tier.requires


def _turn(row: Mapping[str, Any]) -> tuple[Any, ...]:
    """The pin that started last acts; of those the one that ends last; of those the last by its texts."""
    texts = [str(row.get(column) or "") for column in ("tier", "reason", "approved_by", "category")]
    return (row.get("starts_on") or date.min, row.get("ends_on") or date.max, *texts)


def _word(was: int | None, earned: int, pinned: bool, overridden: bool) -> str:
    if was is None:
        return "entered"
    if pinned:
        return "pinned"
    if overridden:
        return "override_ended"
    return "promoted" if earned > was else "demoted" if earned < was else "unchanged"
