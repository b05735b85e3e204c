"""Metrics the slow way, one partner, one day and one metric at a time. Shares no code with the engine.

Source: program-language, section 3.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from decimal import Decimal
from fractions import Fraction
from typing import Any

from crmsync.programs import program as tree
from crmsync.programs.program import Metric, RollsUp, Unit
from tests.levelling.oracle_cells import LOST, UNKNOWN, Lower, condition, number, rounded, value
from tests.levelling.oracle_rows import Asked, aggregated, groups, has_rows, split_values
from tests.levelling.oracle_scores import part_points, sum_points
from tests.levelling.oracle_world import NO_VALUE, Seen, View, World, plain

BEST_OF = (RollsUp.BEST, RollsUp.FAMILY_BEST, RollsUp.INHERIT)


@dataclass(frozen=True)
class Credit:
    """What an override adds to a metric of one partner; `category` None: everywhere."""

    partner: str
    category: str | None
    metric: str
    value: Decimal


@dataclass
class Metrics(World):
    """The metrics of every partner. `stood` and `held` are what previous standings tell: see `oracle_places`."""

    credits: Sequence[Credit] = ()
    places: Any = None  # oracle_places.Places, which looks at others and at tiers
    _open: set[Any] = field(default_factory=set)

    def metric(self, partner: str, key: str, seen: Seen) -> Any:
        """A known value, None (unknown) or a lower bound."""
        if seen.split == NO_VALUE:
            if self.split_inputs(key):
                return None
            seen = replace(seen, split=None)
        where = (partner, key, seen)
        if where not in self.known:
            assert where not in self._open, f"circle at {where}"
            self._open.add(where)
            self.known[where] = self._finished(self.program.metrics[key], partner, seen)
            self._open.discard(where)
        return self.known[where]

    def _finished(self, metric: Metric, partner: str, seen: Seen) -> Any:
        """Own value, roll-up, what unknown means, then what an override adds."""
        found = self._filled(metric, self._rolled(metric, partner, seen))
        if seen.shifts or seen.split is not None:
            return found
        for credit in self.credits:
            if credit.partner == partner and credit.metric == metric.key and credit.category in (None, seen.category):
                found = _plus(found, rounded(Fraction(credit.value), 2 if metric.unit is Unit.MONEY else 9))
        return found

    def _filled(self, metric: Metric, found: Any) -> Any:
        missing = found is None or (isinstance(found, Lower) and found.value is None)
        if not missing or metric.when_missing is not tree.WhenMissing.ZERO:
            return None if missing else found
        zero = False if metric.unit is Unit.YES_NO else Fraction(0)
        return Lower(zero) if isinstance(found, Lower) else zero

    # --- roll-up

    def scope(self, metric: Metric, partner: str) -> list[str]:
        """The accounts whose records or values come together for a partner."""
        where = metric.rolls_up_where
        if metric.rolls_up in (RollsUp.FAMILY, RollsUp.FAMILY_BEST):
            top = self.top(partner)
            if not self.reaches(partner, top, where):
                return [partner]
            return [one for one in self.subtree[top] if self.reaches(one, top, where)]
        if metric.rolls_up is RollsUp.INHERIT:
            return [above for above in self.ancestors(partner) if self.reaches(partner, above, where)]
        if metric.rolls_up in (RollsUp.SUM, RollsUp.BEST):
            return [one for one in self.subtree[partner] if self.reaches(one, partner, where)]
        return [partner]

    def head(self, metric: Metric, partner: str) -> str:
        """Whose dates a window depends on: of the whole family those of its top."""
        top = self.top(partner)
        of_family = metric.rolls_up is RollsUp.FAMILY and self.reaches(partner, top, metric.rolls_up_where)
        return top if of_family else partner

    def _rolled(self, metric: Metric, partner: str, seen: Seen) -> Any:
        if metric.rolls_up not in BEST_OF:
            return self._computed(metric, partner, seen)
        lower = metric.lower_is_better or isinstance(metric.source, tree.FromRank)
        found = [self._own(metric, one, seen) for one in self.scope(metric, partner)]
        found = [one for one in found if one is not None and not (isinstance(one, Lower) and one.value is None)]
        if lower and len(self.scope(metric, partner)) > 1:
            known = [one for one in found if not isinstance(one, Lower)]
            return min(known) if known else None
        values = [one.value if isinstance(one, Lower) else one for one in found]
        if not values:
            return None
        best = min(values) if lower else max(values)
        return Lower(best) if any(isinstance(one, Lower) for one in found) else best

    def _own(self, metric: Metric, partner: str, seen: Seen) -> Any:
        where = (partner, metric.key, seen, "own")
        if where not in self.known:
            self.known[where] = self._computed(metric, partner, seen)
        return self.known[where]

    # --- sources

    def _computed(self, metric: Metric, partner: str, seen: Seen) -> Any:
        match metric.source:
            case tree.FromRows():
                scope = [partner] if metric.rolls_up in BEST_OF else self.scope(metric, partner)
                return aggregated(self, asked_of(metric), self.head(metric, partner), scope, seen)
            case tree.FromField(column=column, of_hundred=of_hundred):
                return self._field(metric, partner, column, of_hundred)
            case tree.FromFormula(formula=formula):
                reader = condition if metric.unit is Unit.YES_NO else value
                found = reader(formula.tree, Account(self, partner, seen))
                if found in (UNKNOWN, LOST) or isinstance(found, Lower):
                    return None
                return in_unit(metric, found)
            case tree.FromPast() as source:
                return self._past(metric, source, partner, seen)
            case tree.FromGroups() as source:
                return groups(self, source, partner, seen)
            case tree.FromPart() as source:
                return part_points(self, source, partner, seen)
            case tree.FromParts() as source:
                return sum_points(self, source, partner, seen)
            case tree.FromRank() as source:
                return self.places.rank(metric, source, partner, seen)
            case tree.FromTier() as source:
                return self.places.tier(source, partner, seen)
            case tree.FromHeld() as source:
                return self.places.held(metric, source, partner, seen)

    def _field(self, metric: Metric, partner: str, column: str, of_hundred: bool) -> Any:
        scope = [partner] if metric.rolls_up in BEST_OF else self.scope(metric, partner)
        cells = [self.partners[one].get(column) for one in scope]
        if metric.unit in (Unit.TEXT, Unit.YES_NO):
            return cells[0]
        known = [in_unit(metric, number(one) / (100 if of_hundred else 1)) for one in cells if one is not None]
        return sum(known, Fraction(0)) if known else None

    def _past(self, metric: Metric, source: tree.FromPast, partner: str, seen: Seen) -> Any:
        now = self.metric(partner, source.metric, seen)
        base = self.metric(partner, source.metric, replace(seen, shifts=(*seen.shifts, source.shift)))
        if any(one is None or isinstance(one, Lower) for one in (now, base)):
            return None
        if not source.relative:
            return in_unit(metric, now - base)
        if rounded(base, 9) == 0:
            return None if source.when_base_is_zero is None else Fraction(source.when_base_is_zero)
        return None if base < 0 else (now - base) / base

    # --- split values

    def splits(self, key: str) -> list[str]:
        """The values for which a metric is computed besides its total: of all partners."""
        found: set[str] = set()
        for one in self.split_inputs(key):
            if ("splits", one) not in self.known:
                self.known["splits", one] = split_values(self, asked_of(self.program.metrics[one]))
            found |= self.known["splits", one]
        return sorted(found)

    def split_inputs(self, key: str) -> list[str]:
        """The metrics with `split_by` that a metric is, or is built on; days are remembered of totals alone."""
        metric = self.program.metrics[key]
        if isinstance(metric.source, tree.FromHeld):
            return []
        found = [key] if metric.split_by is not None else []
        return found + [one for other in inputs(metric) for one in self.split_inputs(other)]

    def has(self, partner: str, key: str, split: str) -> bool:
        """Whether a record of a split value counts for the partner today."""
        found = False
        for one in self.split_inputs(key):
            metric = self.program.metrics[one]
            scope = [partner] if metric.rolls_up in BEST_OF else self.scope(metric, partner)
            found = found or has_rows(self, asked_of(metric), self.head(metric, partner), scope, split)
        return found


def asked_of(metric: Metric) -> Asked:
    assert isinstance(metric.source, tree.FromRows)
    return Asked(metric.source, metric.unit, metric.where, metric.during, metric.dated_by, metric.split_by)


def in_unit(metric: Metric, found: Any) -> Any:
    return rounded(found, 2) if metric.unit is Unit.MONEY and found is not None else found


def inputs(metric: Metric) -> list[str]:
    """The metrics that one is built on."""
    match metric.source:
        case tree.FromFormula(formula=formula):
            return sorted(formula.metrics)
        case tree.FromPast(metric=other):
            return [other]
        case tree.FromParts(parts=parts):
            return list(parts) + _numbers(metric.source.max)
        case tree.FromPart() as source:
            found = list(source.earning.metrics) if isinstance(source.earning, tree.BestOf) else [str(source.of)]
            found += sorted(source.needs.metrics) if source.needs is not None else []
            numbers: list[Any] = [source.max]
            match source.earning:
                case tree.Linear(worth=worth, full_at=full_at):
                    numbers += [worth, full_at]
                case tree.PerUnit(points=points, per=per):
                    numbers += [points, per]
                case tree.Bands(steps=steps):
                    numbers += [points for _, points in steps]
            return found + [one for each in numbers for one in _numbers(each)]
        case tree.FromRank(metric=other, where=where):
            return [other, *sorted(where.metrics if where is not None else ())]
        case tree.FromHeld(criterion=tree.Criterion() as criterion):
            return [criterion.metric, *_numbers(criterion.value)]
    return []


def _numbers(points: Any) -> list[str]:
    if isinstance(points, tree.OtherMetric):
        return [points.key]
    if isinstance(points, tree.ByAttribute):
        return [one for each in (*points.cases.values(), points.default) for one in _numbers(each)]
    return []


def _plus(found: Any, added: Fraction) -> Any:
    if found is None:
        return None
    return Lower(found.value + added) if isinstance(found, Lower) else found + added


@dataclass(frozen=True)
class Account:
    """A partner as a formula sees it."""

    world: Metrics
    partner: str
    seen: Seen

    def cell(self, table: str, column: str) -> Any:
        if table == "clock":
            return self.seen.view.day
        if table == "metric":
            found = self.world.metric(self.partner, column, self.seen)
            return UNKNOWN if found is None else found
        return plain(self.world.partners[self.partner].get(column))


__all__ = ["Account", "Credit", "Metrics", "Seen", "View", "date", "in_unit", "inputs"]
