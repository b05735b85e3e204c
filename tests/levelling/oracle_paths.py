"""Criteria, groups and the shortest path to a tier, one partner at a time. Shares no code with the engine."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from crmsync.programs.program import (
    ByAttribute,
    Comparison,
    Criterion,
    FromRank,
    FromSheet,
    Group,
    Junction,
    MoneyValue,
    OtherMetric,
    Requirement,
    Unit,
    WhenMissing,
)
from tests.levelling.oracle_cells import UNKNOWN, Lower, both, compared, decimal_text, either, number, rounded, turned
from tests.levelling.oracle_metrics import Metrics
from tests.levelling.oracle_world import Seen

UPWARDS = (Comparison.GE, Comparison.GT)


@dataclass(frozen=True)
class Judge:
    """Criteria of one partner as seen from somewhere; `near` asks for more than required. `acting`: its overrides."""

    world: Metrics
    partner: str
    seen: Seen
    near: Fraction | None = None
    acting: Any = None

    def value(self, criterion: Criterion) -> Any:
        found = self.world.metric(self.partner, criterion.metric, self.seen)
        return UNKNOWN if found is None else found

    def required(self, criterion: Criterion) -> Any:
        return self._required(criterion.value, criterion)

    def _required(self, wanted: Any, criterion: Criterion) -> Any:
        if isinstance(wanted, ByAttribute):
            cell = self.world.partners[self.partner].get(wanted.column)
            return self._required(wanted.cases.get(str(cell), wanted.default) if cell is not None else wanted.default,
                                  criterion)  # fmt: skip
        if isinstance(wanted, OtherMetric):
            found = self.world.metric(self.partner, wanted.key, self.seen)
            return UNKNOWN if found is None else found
        if isinstance(wanted, MoneyValue):
            day = self.world.program.effective_from or self.world.as_of
            factor = self.world.factor(wanted.currency, day)
            assert factor is not None
            return rounded(number(wanted.amount) * factor, 2)
        if isinstance(wanted, FromSheet):
            return self._from_sheet(wanted, criterion)
        return wanted if isinstance(wanted, bool | str) else Fraction(wanted)

    def _from_sheet(self, sheet: FromSheet, criterion: Criterion) -> Any:
        """The row that fits with the most filled cells; none, or two such: unknown."""
        cells = self.world.partners[self.partner]
        fitting = [
            row for row in sheet.rows if all(str(cells.get(name)) == text for name, text in row.attributes.items())
        ]
        most = max((len(row.attributes) for row in fitting), default=0)
        best = [row for row in fitting if len(row.attributes) == most]
        return self._required(best[0].value, criterion) if len(best) == 1 else UNKNOWN

    def is_exempt(self, metric: str) -> bool:
        """Whether an override that lasts until the day looked at makes the criteria of a metric met."""
        until = self.acting.exempt.get(metric) if self.acting is not None else None
        return until is not None and self.seen.view.day <= until

    def holds(self, criterion: Criterion, inside_none: bool = False) -> Any:
        if self.is_exempt(criterion.metric):
            return not inside_none
        metric = self.world.program.metrics[criterion.metric]
        required = self.required(criterion)
        if self.near is not None and criterion.comparison is not Comparison.EQ and not isinstance(required, bool | str):
            required = self._farther(criterion, required, metric.unit is Unit.MONEY, inside_none)
        answer = compared(self.value(criterion), criterion.comparison.value, required)
        return False if answer is UNKNOWN and metric.when_missing is WhenMissing.FAIL else answer

    def _farther(self, criterion: Criterion, required: Any, money: bool, inside_none: bool) -> Any:
        assert self.near is not None
        if not isinstance(required, Fraction):
            return required
        part = abs(required) * self.near
        part = rounded(part, 2) if money else part
        return required + part if (criterion.comparison in UPWARDS) != inside_none else required - part

    def meets(self, requirement: Requirement | None, inside_none: bool = False) -> Any:
        """True, False or UNKNOWN."""
        if requirement is None:
            return True
        if isinstance(requirement, Criterion):
            return self.holds(requirement, inside_none)
        inner = inside_none != (requirement.junction is Junction.NONE)
        parts = [self.meets(part, inner) for part in requirement.parts]
        match requirement.junction:
            case Junction.ALL:
                return both(parts)
            case Junction.ANY:
                return either(parts)
            case Junction.NONE:
                return turned(either(parts))
        sure, possible = parts.count(True), len(parts) - parts.count(False)
        enough = True if sure >= requirement.at_least else False if possible < requirement.at_least else UNKNOWN
        return both([enough, *(parts[i] for i in requirement.including)])


@dataclass(frozen=True)
class Leaf:
    """One criterion of a gap."""

    path: str
    entry: dict[str, Any]
    met: bool
    share: Fraction
    effort: Fraction


@dataclass(frozen=True)
class Way:
    """A way to meet a requirement: its leaves, what it costs and how far it has come."""

    leaves: tuple[Leaf, ...]

    @property
    def effort(self) -> Fraction:
        return rounded(sum((leaf.effort for leaf in self.leaves), Fraction(0)), 9)

    @property
    def share(self) -> Fraction:
        return rounded(sum((leaf.share for leaf in self.leaves), Fraction(0)) / len(self.leaves), 9)


def leaves(judge: Judge, requirement: Requirement, path: str = "", is_turned: bool = False) -> Iterator[Leaf]:
    """Every criterion in file order; inside `none` its opposite is asked for."""
    if isinstance(requirement, Criterion):
        yield _leaf(judge, requirement, path, is_turned)
        return
    inner = is_turned != (requirement.junction is Junction.NONE)
    for at, part in enumerate(requirement.parts, 1):
        yield from leaves(judge, part, f"{path}/{requirement.junction.value}/{at}".lstrip("/"), inner)


def _leaf(judge: Judge, criterion: Criterion, path: str, is_turned: bool) -> Leaf:
    metric = judge.world.program.metrics[criterion.metric]
    held, has, needs = judge.holds(criterion, is_turned), judge.value(criterion), judge.required(criterion)
    met = (turned(held) if is_turned else held) is True
    has, needs = (one.value if isinstance(one, Lower) else one for one in (has, needs))
    missing, share = None, Fraction(int(met))
    numeric = metric.unit not in (Unit.TEXT, Unit.YES_NO)
    if numeric:
        upwards = (criterion.comparison in UPWARDS) != is_turned
        missing = _missing(has, needs, met, upwards, criterion.comparison)
        share = Fraction(1) if met else _share(has, needs, upwards, criterion.comparison)
    # of a place in a ranking the others decide as well: no distance says what to do
    said = None if isinstance(metric.source, FromRank) else missing
    entry = {
        "metric": criterion.metric, "value": text(has, metric.unit), "required": text(needs, metric.unit),
        "missing": text(said, metric.unit), "met": met, "path": path, "exhausted": False,
    }  # fmt: skip
    return Leaf(path, entry, met, share, _effort(judge, criterion, met, missing, needs, numeric))


def _missing(has: Any, needs: Any, met: bool, upwards: bool, comparison: Comparison) -> Fraction | None:
    if met:
        return Fraction(0)
    if UNKNOWN in (has, needs):
        return None
    distance: Fraction = needs - has if upwards else has - needs
    return abs(distance) if comparison is Comparison.EQ else max(distance, Fraction(0))


def _share(has: Any, needs: Any, upwards: bool, comparison: Comparison) -> Fraction:
    if UNKNOWN in (has, needs) or comparison is Comparison.EQ:
        return Fraction(0)
    part, whole = (has, needs) if upwards else (needs, has)
    return Fraction(0) if whole <= 0 or part <= 0 else min(Fraction(part / whole), Fraction(1))


def _effort(judge: Judge, criterion: Criterion, met: bool, missing: Any, needs: Any, numeric: bool) -> Fraction:
    rate = judge.world.program.effort.get(criterion.metric)
    if met:
        return Fraction(0)
    if rate is None:
        return Fraction(1)
    distance = missing if missing is not None else needs if numeric and isinstance(needs, Fraction) else Fraction(1)
    return abs(distance) * Fraction(rate)


def text(found: Any, unit: Unit) -> str | None:
    """A value as standings show it."""
    if found is None or found is UNKNOWN:
        return None
    if isinstance(found, bool):
        return "true" if found else "false"
    if isinstance(found, str):
        return found
    if unit is Unit.MONEY:
        return decimal_text(found, 2)
    whole = decimal_text(rounded(found, 9), 9).rstrip("0").rstrip(".")
    return "0" if whole == "-0" else whole


def shortest(judge: Judge, requirement: Requirement, path: str = "", is_turned: bool = False) -> Way:
    """The way of least effort, then of the highest share, then the first in the file."""
    if isinstance(requirement, Criterion):
        return Way((_leaf(judge, requirement, path, is_turned),))
    inner = is_turned != (requirement.junction is Junction.NONE)
    ways = [
        shortest(judge, part, f"{path}/{requirement.junction.value}/{at}".lstrip("/"), inner)
        for at, part in enumerate(requirement.parts, 1)
    ]
    if requirement.junction is Junction.AT_LEAST:
        return _counted(requirement, ways, is_turned)
    every = requirement.junction is Junction.ALL and not is_turned
    every = every or (requirement.junction is Junction.ANY and is_turned)
    every = every or (requirement.junction is Junction.NONE and not is_turned)
    return _joined(ways if every else _best(ways, 1))


def _counted(group: Group, ways: list[Way], is_turned: bool) -> Way:
    if not is_turned:
        must = [ways[i] for i in group.including]
        others = [way for i, way in enumerate(ways) if i not in group.including]
        return _joined([*must, *_best(others, group.at_least - len(must))])
    too_few = _joined(_best(ways, len(ways) - group.at_least + 1))
    return _best([too_few, *(ways[i] for i in group.including)], 1)[0]


def _best(ways: list[Way], count: int) -> list[Way]:
    return sorted(ways, key=lambda way: (way.effort, -way.share))[:count]


def _joined(ways: list[Way]) -> Way:
    return Way(tuple(leaf for way in ways for leaf in way.leaves))


def progress(way: Way) -> Fraction:
    """Mean share x 100, rounded down to one decimal, at most 99.9."""
    return min(Fraction((way.share * 1000).__floor__(), 10), Fraction(999, 10))


def blocker(way: Way, found: list[Leaf]) -> str | None:
    """The metric on the way that has come the smallest share, the first in the file of several."""
    paths = {leaf.path for leaf in way.leaves}
    missed = [leaf for leaf in found if leaf.path in paths and not leaf.met]
    return str(min(missed, key=lambda leaf: leaf.share).entry["metric"]) if missed else None
