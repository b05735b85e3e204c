"""Tiers that nobody can reach: a score that cannot give the points, criteria that contradict each other."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal

from sqlglot import exp
from sqlglot.expressions import Expression

from crmsync.programs.lint_findings import (
    Finding,
    Leaf,
    asks,
    attributes_of,
    conjuncts,
    for_whom,
    found,
    name,
    number,
    shown,
    value_for,
)
from crmsync.programs.lint_ranges import Range, Ranges
from crmsync.programs.program import (
    Aggregate,
    Comparison,
    Criterion,
    FromFormula,
    FromParts,
    FromRows,
    Junction,
    Metric,
    OtherMetric,
    Program,
    Requirement,
    Tier,
    Unit,
)

UNREACHABLE = "unreachable"
_ONE = Decimal(1)


def unreachable(program: Program, ranges: Ranges) -> Iterator[Finding]:
    """A finding for each tier that no numbers can give, and each cap that its parts cannot fill."""
    for ladder in program.ladders.values():
        blocked: Tier | None = None
        for tier in ladder.tiers:
            reasons = list(_why_never(program, ranges, tier.requires))
            for line, why in reasons:
                yield found(program, UNREACHABLE, line, f"{name(tier)} cannot be reached: {why}")
            if blocked is not None and not reasons and ladder.climb_steps:
                why = f"`climb: steps` stops below {name(blocked)}, which cannot be reached"
                yield found(program, UNREACHABLE, tier.line, f"{name(tier)} cannot be reached: {why}")
            blocked = blocked or (tier if reasons else None)
            if tier.keeps is not None:
                for line, why in _why_never(program, ranges, tier.keeps):
                    yield found(program, UNREACHABLE, line, f"`keeps` of {name(tier)} cannot hold it: {why}")
    yield from _caps(program, ranges)


def _why_never(program: Program, ranges: Ranges, part: Requirement | None) -> Iterator[tuple[int, str]]:
    """Why a requirement can never be met; nothing where it can."""
    if part is None:
        return
    yield from _contradictions(program, list(conjuncts(part)))
    if isinstance(part, Criterion):
        why = _criterion_never(program, ranges, part)
        if why is not None:
            yield part.line, why
        return
    inner = [list(_why_never(program, ranges, one)) for one in part.parts]
    match part.junction:
        case Junction.ALL:
            yield from (why for reasons in inner for why in reasons)
        case Junction.ANY if all(inner):
            yield from (why for reasons in inner for why in reasons)
        case Junction.AT_LEAST:
            possible = sum(not reasons for reasons in inner)
            must = [why for place in part.including for why in inner[place]]
            if must:
                yield from must
            elif possible < part.at_least:
                told = [why for reasons in inner for why in reasons]
                why = f"only {possible} of the {len(part.parts)} can be met, {part.at_least} are asked for"
                yield part.line, f"{why}: {told[0][1]}"


def _criterion_never(program: Program, ranges: Ranges, criterion: Criterion) -> str | None:
    """Why no value of the metric meets a criterion, for everybody or for some attributes."""
    metric = program.metrics[criterion.metric]
    if metric.unit in (Unit.TEXT, Unit.YES_NO):
        return None
    bounds = ranges.of(metric.key)
    never = [
        (attributes, leaf)
        for attributes in attributes_of(criterion.value)
        if (leaf := value_for(criterion.value, attributes)) is not None
        and not _possible(criterion.comparison, bounds, _bounds_of(leaf, ranges))
    ]
    if never:
        attributes, leaf = never[0]
        whom = for_whom(attributes)
        return f"{asks(program, criterion, leaf)}{whom}, but {_limits(metric, bounds)}"
    return _hardly(program, criterion, metric)


def _bounds_of(leaf: Leaf, ranges: Ranges) -> Range:
    if isinstance(leaf, OtherMetric):
        return ranges.of(leaf.key)
    return Range(leaf, leaf) if isinstance(leaf, Decimal) else Range()


def _possible(comparison: Comparison, metric: Range, wanted: Range) -> bool:
    """Whether some value of the metric can meet some value that is wanted."""
    high, low = metric.high, metric.low
    match comparison:
        case Comparison.GE:
            return high is None or wanted.low is None or high >= wanted.low
        case Comparison.GT:
            return high is None or wanted.low is None or high > wanted.low
        case Comparison.LE:
            return low is None or wanted.high is None or low <= wanted.high
        case Comparison.LT:
            return low is None or wanted.high is None or low < wanted.high
        case _:
            over = high is not None and wanted.low is not None and high < wanted.low
            under = low is not None and wanted.high is not None and low > wanted.high
            return not over and not under


def _limits(metric: Metric, bounds: Range) -> str:
    parts = []
    if bounds.high is not None:
        parts.append(f"at most {shown(bounds.high, metric.unit)}")
    if bounds.low is not None:
        parts.append(f"at least {shown(bounds.low, metric.unit)}")
    return f"{metric.key} is {' and '.join(parts)}"


def _hardly(program: Program, criterion: Criterion, metric: Metric) -> str | None:
    """More than 100 % of a share: both sides of the division count the same rows."""
    if metric.unit is not Unit.PERCENT or criterion.comparison not in (Comparison.GE, Comparison.GT):
        return None
    over = [leaf for attributes in attributes_of(criterion.value)
            if isinstance(leaf := value_for(criterion.value, attributes), Decimal) and leaf > _ONE]  # fmt: skip
    if over and isinstance(metric.source, FromFormula) and _is_share(program, metric.source):
        return f"{asks(program, criterion, over[0])}, but {metric.key} is a share of a whole, which ends at 100%"
    return None


def _is_share(program: Program, source: FromFormula) -> bool:
    """Whether a formula divides a count of some rows by the count of more of them."""
    tree = source.formula.tree
    if tree.key != "div" or len(source.formula.metrics) != 2:
        return False
    above, below = (program.metrics.get(side.name) for side in (tree.this, tree.expression))
    if above is None or below is None or not isinstance(below.source, FromRows):
        return False
    same = above.source == below.source and above.during == below.during and above.rolls_up == below.rolls_up
    counts = below.source.aggregate in (Aggregate.COUNT, Aggregate.COUNT_DISTINCT)
    return same and counts and _asked(below) <= _asked(above)


def _asked(metric: Metric) -> set[str]:
    """The conditions that a row of the metric meets, and what follows from them: a deal that is won is closed."""
    if metric.where is None:
        return set()
    parts = {part.sql(dialect="duckdb").lower() for part in _conditions(metric.where.tree)}
    closed = {part.replace("is_won", "is_closed") for part in parts if re.fullmatch(r'[\w".]*\bis_won\b"?', part)}
    return parts | closed


def _conditions(tree: Expression) -> Iterator[Expression]:
    if isinstance(tree, exp.And | exp.Paren):
        for part in tree.iter_expressions():
            yield from _conditions(part)
    else:
        yield tree


# --- contradictions


@dataclass
class _Window:
    """What the criteria on one metric leave open, for one kind of partner."""

    low: Decimal | None = None
    low_open: bool = False
    high: Decimal | None = None
    high_open: bool = False

    def narrow(self, comparison: Comparison, value: Decimal) -> None:
        if comparison in (Comparison.GE, Comparison.GT, Comparison.EQ) and (self.low is None or value >= self.low):
            self.low_open = comparison is Comparison.GT or (self.low_open and value == self.low)
            self.low = value
        if comparison in (Comparison.LE, Comparison.LT, Comparison.EQ) and (self.high is None or value <= self.high):
            self.high_open = comparison is Comparison.LT or (self.high_open and value == self.high)
            self.high = value

    @property
    def empty(self) -> bool:
        if self.low is None or self.high is None:
            return False
        return self.low > self.high or (self.low == self.high and (self.low_open or self.high_open))


def _contradictions(program: Program, criteria: Sequence[Criterion]) -> Iterator[tuple[int, str]]:
    """Criteria on one metric of which the value can meet only one."""
    by_metric: dict[str, list[Criterion]] = {}
    for criterion in criteria:
        by_metric.setdefault(criterion.metric, []).append(criterion)
    for some in by_metric.values():
        if len(some) < 2:
            continue
        for attributes in attributes_of(*(one.value for one in some)):
            leaves = [value_for(one.value, attributes) for one in some]
            if _clash(some, leaves):
                told = " and ".join(asks(program, one, leaf) for one, leaf in zip(some, leaves, strict=True))
                yield some[-1].line, f"{told}{for_whom(attributes)} contradict each other"
                break


def _clash(some: Sequence[Criterion], leaves: Sequence[Leaf | None]) -> bool:
    window, exact = _Window(), set[object]()
    for criterion, leaf in zip(some, leaves, strict=True):
        if isinstance(leaf, Decimal) and not isinstance(leaf, bool):
            window.narrow(criterion.comparison, leaf)
        elif isinstance(leaf, str | bool):
            exact.add(leaf)
    return window.empty or len(exact) > 1


# --- caps


def _caps(program: Program, ranges: Ranges) -> Iterator[Finding]:
    """A score or group whose `max` is more than its parts can give: whoever wrote it meant another number."""
    for metric in program.metrics.values():
        source = metric.source
        if not isinstance(source, FromParts) or not isinstance(source.max, Decimal):
            continue
        whole = sum((ranges.of(part).high or Decimal(0) for part in source.parts), Decimal(0))
        if all(ranges.of(part).high is not None for part in source.parts) and whole < source.max:
            message = (
                f"`max: {number(source.max)}` of {metric.key} is never reached: its parts give at most {number(whole)}"
            )
            yield found(program, "cap", metric.line, message)
