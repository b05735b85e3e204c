"""Points, part by part. Shares no code with the engine. Source: program-language, section 4."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction
from typing import Any

from crmsync.programs import program as tree
from crmsync.programs.program import Points
from tests.levelling.oracle_cells import UNKNOWN, Lower, condition, rounded
from tests.levelling.oracle_world import Seen


def part_points(world: Any, source: tree.FromPart, partner: str, seen: Seen) -> Any:
    """Gate, earning, not below 0 unless allowed, cap."""
    from tests.levelling.oracle_metrics import Account

    gate = True if source.needs is None else condition(source.needs.tree, Account(world, partner, seen))
    if gate is False:
        return Fraction(0)
    if gate is not True:
        return None
    found = _Part(world, partner, seen).earned(source)
    if found is None:
        return None
    points, bound = (found.value, True) if isinstance(found, Lower) else (found, False)
    if points < 0 and not source.allow_negative:
        points = Fraction(0)
    return capped(world, points, bound, source.max, partner, seen)


def sum_points(world: Any, source: tree.FromParts, partner: str, seen: Seen) -> Any:
    """The sum of the parts; what is not known leaves the rest as a lower bound."""
    found = {key: world.metric(partner, key, seen) for key in source.parts}
    if all(one is None for one in found.values()):
        return None
    if any(one is None and _may_lose(world, key) for key, one in found.items()):
        return None
    known = [one.value if isinstance(one, Lower) else one for one in found.values() if one is not None]
    unsure = any(one is None or isinstance(one, Lower) for one in found.values())
    return capped(world, sum(known, Fraction(0)), unsure, source.max, partner, seen)


def _may_lose(world: Any, key: str) -> bool:
    source = world.program.metrics[key].source
    if isinstance(source, tree.FromPart):
        return source.allow_negative
    return any(_may_lose(world, one) for one in source.parts)


def capped(world: Any, points: Fraction, bound: bool, cap: Points | None, partner: str, seen: Seen) -> Any:
    """At most the cap, which is exact once reached."""
    if cap is not None:
        most = points_of(world, cap, partner, seen)
        if most is None:
            return None
        if points >= most:
            return most
    return Lower(points) if bound else points


def points_of(world: Any, points: Points | None, partner: str, seen: Seen) -> Fraction | None:
    """A number of a score."""
    if isinstance(points, tree.OtherMetric):
        found = world.metric(partner, points.key, seen)
        return None if isinstance(found, Lower) else found
    if isinstance(points, tree.ByAttribute):
        cell = world.partners[partner].get(points.column)
        chosen = points.default if cell is None else points.cases.get(str(cell), points.default)
        return points_of(world, chosen, partner, seen)  # type: ignore[arg-type]
    return None if points is None else Fraction(points)


class _Part:
    def __init__(self, world: Any, partner: str, seen: Seen) -> None:
        self.world, self.partner, self.seen = world, partner, seen

    def number(self, points: Points | None) -> Fraction | None:
        return points_of(self.world, points, self.partner, self.seen)

    def above_zero(self, points: Points) -> Fraction | None:
        found = self.number(points)
        return found if found is not None and found > 0 else None

    def earned(self, source: tree.FromPart) -> Any:
        if isinstance(source.earning, tree.BestOf):
            return self._best(source.earning)
        found = self.world.metric(self.partner, source.of, self.seen)
        if found is None:
            return None
        has, bound = (found.value, True) if isinstance(found, Lower) else (found, False)
        match source.earning:
            case tree.Linear() as linear:
                points, rises, full = self._linear(linear, has)
            case tree.PerUnit() as per_unit:
                points, rises, full = self._per_unit(per_unit, has)
            case tree.Bands() as bands:
                points, rises, full = self._bands(bands, has)
        if points is None or not bound or full:
            return points
        return Lower(points) if rises else None  # more of what is missing could earn less

    def _best(self, earning: tree.BestOf) -> Any:
        found = [self.world.metric(self.partner, key, self.seen) for key in earning.metrics]
        known = [one.value if isinstance(one, Lower) else one for one in found if one is not None]
        if not known:
            return None
        unsure = any(one is None or isinstance(one, Lower) for one in found)
        return Lower(max(known)) if unsure else max(known)

    def _linear(self, linear: tree.Linear, has: Any) -> tuple[Fraction | None, bool, bool]:
        worth = self.number(linear.worth)
        if worth is None:
            return None, False, False
        if isinstance(has, bool):
            return worth * has, worth >= 0, False
        if linear.full_at is None:
            return worth * has, worth >= 0, False
        full = self.above_zero(linear.full_at)
        if full is None:
            return None, False, False
        return worth * min(has / full, Fraction(1)), worth >= 0, has >= full

    def _per_unit(self, earning: tree.PerUnit, has: Fraction) -> tuple[Fraction | None, bool, bool]:
        points, per = self.number(earning.points), self.above_zero(earning.per)
        if points is None or per is None:
            return None, False, False
        units = Fraction((rounded(has, 9) / per).__floor__()) if earning.whole_units else has / per
        return points * units, points >= 0, False

    def _bands(self, bands: tree.Bands, has: Fraction) -> tuple[Fraction | None, bool, bool]:
        reached = [at for at, (start, _) in enumerate(bands.steps) if rounded(has, 9) >= Fraction(start)]
        numbers = [points for _, points in bands.steps]
        literal = [one for one in numbers if isinstance(one, Decimal)]
        rises = len(literal) == len(numbers) and literal == sorted(literal) and literal[0] >= 0
        points = self.number(numbers[max(reached)]) if reached else Fraction(0)
        return points, rises, bool(reached) and max(reached) == len(numbers) - 1


__all__ = ["UNKNOWN", "capped", "part_points", "points_of", "sum_points"]
