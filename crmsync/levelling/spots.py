"""Spots: from where a metric is looked at. One program needs the same metric from several of them.

A view says on which day (today, at the risk horizon, at the recent pace), shifts how much earlier, a split for which
value of the split column, a category for whose row. A metric that is not split is the same for every split value, and
one that no category touches the same for every category: `Spots.at` leaves out what does not matter, so that each
number is computed once.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from crmsync.programs.dependence import inputs, ladder_metrics
from crmsync.programs.program import (
    FromHeld,
    FromPast,
    FromRank,
    FromTier,
    Metric,
    Program,
    Shift,
)

NOW, HORIZON, PACE, RECENT = "now", "horizon", "pace", "recent"
"""Views: today; nothing more happens until the horizon; business goes on as lately; the stretch of that pace."""

Shifts = tuple[Shift, ...]


@dataclass(frozen=True)
class Spot:
    """Where a metric is seen from. `split` None: its total; `category` None: the same in every category."""

    view: str
    shifts: Shifts = ()
    split: str | None = None
    category: str | None = None

    def earlier(self, shifts: Shifts) -> Spot:
        """The same, further back."""
        return replace(self, shifts=self.shifts + shifts) if shifts else self

    def seen(self, view: str) -> Spot:
        """The same in another view."""
        return replace(self, view=view)


def column_of(metric: str, spot: Spot) -> str:
    """Name of the column that holds a metric at a spot: `metric@view@1years[EMEA]~category`."""
    shifts = (f"{shift.count}{shift.period.value}" for shift in spot.shifts)
    column = "@".join([metric, spot.view, *shifts])
    column += "" if spot.split is None else f"[{apart(spot.split)}]"
    return column if spot.category is None else f"{column}~{spot.category}"


def presence_of(metric: str, split: str) -> str:
    """Name of the column that says whether some record of a split value counts for a partner today."""
    return f"{column_of(metric, Spot(NOW, split=split))}#"


def apart(value: str) -> str:
    """A split value that stays apart from others where the engine takes EMEA and emea for one name."""
    capitals = sum(1 << at for at, letter in enumerate(value) if letter != letter.lower())
    return f"{value}^{capitals:x}" if capitals else value


@dataclass(frozen=True)
class Spots:
    """Which metrics are computed per split value too, and which differ from category to category."""

    program: Program
    split: frozenset[str] = frozenset()
    bound: frozenset[str] = frozenset()

    def at(self, metric: str, spot: Spot) -> Spot:
        """The spot without what does not matter to this metric."""
        if spot.split is not None and metric not in self.split:
            spot = replace(spot, split=None)
        if spot.category is not None and metric not in self.bound:
            spot = replace(spot, category=None)
        return spot

    def column(self, metric: str, spot: Spot) -> str:
        """Name of the column that holds a metric as seen from a spot."""
        return column_of(metric, self.at(metric, spot))

    def inputs(self, metric: Metric, spot: Spot) -> list[tuple[str, Spot]]:
        """The metrics that a metric at a spot is built on, each at the spot where it is taken."""
        views = _seen(metric, spot)
        taken = [(key, one.earlier(shifts)) for key, shifts in _inputs(self.program, metric) for one in views]
        if isinstance(metric.source, FromRank):
            taken += [(key, spot) for key in _population(self.program, metric.source, spot)]
        return list(dict.fromkeys((key, self.at(key, one)) for key, one in taken))


def _seen(metric: Metric, spot: Spot) -> list[Spot]:
    """From where a metric looks at what it is built on."""
    match metric.source:
        case FromTier(category=str() as category):
            return [replace(spot, split=None, category=category)]
        case FromTier():
            return [replace(spot, split=None)]
        case FromHeld():
            # it has held since a day only if it holds today, whatever the view
            return list(dict.fromkeys([replace(spot, split=None), replace(spot, view=NOW, split=None)]))
    return [spot]


def _population(program: Program, source: FromRank, spot: Spot) -> set[str]:
    """The metrics that decide who is ranked."""
    formulas = [program.takes_part]
    if source.within_category and spot.category is not None:
        formulas.append(program.categories[spot.category].member)
    return {key for formula in formulas if formula is not None for key in formula.metrics}


def spots_of(program: Program, bound: frozenset[str] = frozenset()) -> Spots:
    """The spots of a program; `bound`: see `category_bound`."""
    return Spots(program, split_metrics(program), bound)


def split_metrics(program: Program) -> frozenset[str]:
    """Metrics that are split, and those that are built on one; a position on a ladder and days served are one each."""
    whole = frozenset(key for key, metric in program.metrics.items() if isinstance(metric.source, FromTier | FromHeld))
    return _reached(program, (key for key, metric in program.metrics.items() if metric.split_by is not None), whole)


def category_bound(program: Program, credited: Iterable[str] = ()) -> frozenset[str]:
    """Metrics whose value depends on the category, and those built on one. `credited`: those with an override `credit`
    that names a category."""
    bound = [*(key for key, one in program.metrics.items() if _names_category(one)), *credited]
    fixed = frozenset(key for key, one in program.metrics.items() if _has_category(one))
    return _reached(program, bound, fixed)


def _names_category(metric: Metric) -> bool:
    match metric.source:
        case FromRank(within_category=bound):
            return bound
        case FromHeld(tier=tier):
            return tier is not None
    return False


def _has_category(metric: Metric) -> bool:
    """Whether a metric looks at one category, whatever the row it stands in."""
    return isinstance(metric.source, FromTier) and metric.source.ladder is None


def _reached(program: Program, start: Iterable[str], never: frozenset[str]) -> frozenset[str]:
    """The metrics to start from and those built on one, but for those that never are."""
    found = set(start)
    size = -1
    while found and size != len(found):
        size = len(found)
        for key, metric in program.metrics.items():
            if key not in found | never and not found.isdisjoint(inputs_of(program, metric)):
                found.add(key)
    return frozenset(found)


def inputs_of(program: Program, metric: Metric) -> list[str]:
    """Keys of the metrics that a metric is built on, each once."""
    return list(dict.fromkeys(key for key, _ in _inputs(program, metric)))


def _inputs(program: Program, metric: Metric) -> Iterator[tuple[str, Shifts]]:
    match metric.source:
        case FromPast(metric=other, shift=shift):
            yield other, ()
            yield other, (shift,)
        case FromTier() as source:
            yield from ((key, ()) for key in _of_tier(program, source))
        case _:
            yield from ((key, ()) for key in inputs(metric))


def _of_tier(program: Program, source: FromTier) -> Iterator[str]:
    """What the position on a ladder of this program depends on."""
    if source.program is not None:
        return
    category = program.categories.get(source.category) if source.category is not None else None
    for formula in (program.takes_part, category.member) if category is not None else ():
        yield from sorted(formula.metrics if formula is not None else ())
    ladder = category.ladder if category is not None else source.ladder
    yield from sorted(ladder_metrics(program.ladders[ladder]) if ladder is not None else ())
