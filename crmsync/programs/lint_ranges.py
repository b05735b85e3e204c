"""Between which numbers a metric can lie at all, as far as the program alone tells."""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation

from sqlglot import exp
from sqlglot.expressions import Expression

from crmsync.programs.lint_findings import leaves
from crmsync.programs.program import (
    Aggregate,
    Bands,
    BestOf,
    FromFormula,
    FromGroups,
    FromHeld,
    FromPart,
    FromParts,
    FromPast,
    FromRank,
    FromRows,
    FromTier,
    Linear,
    Metric,
    OtherMetric,
    PerUnit,
    Points,
    Program,
    WhenMissing,
)

ZERO, ONE = Decimal(0), Decimal(1)
_COUNTS = frozenset({Aggregate.COUNT, Aggregate.COUNT_DISTINCT})


@dataclass(frozen=True)
class Range:
    """The lowest and the highest possible value, both included; None: no bound is known."""

    low: Decimal | None = None
    high: Decimal | None = None


ANY = Range()
NOT_NEGATIVE = Range(ZERO)


def added(*parts: Range) -> Range:
    """The range of a sum."""
    low = None if any(part.low is None for part in parts) else sum((part.low or ZERO for part in parts), ZERO)
    high = None if any(part.high is None for part in parts) else sum((part.high or ZERO for part in parts), ZERO)
    return Range(low, high)


def united(*parts: Range) -> Range:
    """The range of a value that lies in one of these."""
    low = None if any(part.low is None for part in parts) else min(part.low for part in parts if part.low is not None)
    high = (
        None if any(part.high is None for part in parts) else max(part.high for part in parts if part.high is not None)
    )
    return Range(low, high)


def capped(part: Range, most: Range) -> Range:
    """The range of a value cut off at `most`."""
    highs = [one for one in (part.high, most.high) if one is not None]
    low = part.low
    if low is not None and most.low is not None:
        low = min(low, most.low)
    return Range(low, min(highs) if highs else None)


@dataclass
class Ranges:
    """Ranges of the metrics of one program, each found once."""

    program: Program
    _found: dict[str, Range] = field(default_factory=dict)

    def of(self, key: str) -> Range:
        """The range of a metric."""
        if key not in self._found:
            self._found[key] = ANY  # while it is looked for: a circle tells nothing
            metric = self.program.metrics.get(key)
            self._found[key] = self._of(metric) if metric else ANY
        return self._found[key]

    def _of(self, metric: Metric) -> Range:
        bounds = self._of_source(metric)
        return united(bounds, Range(ZERO, ZERO)) if metric.when_missing is WhenMissing.ZERO else bounds

    def _of_source(self, metric: Metric) -> Range:
        match metric.source:
            case FromRows(aggregate=aggregate):
                return NOT_NEGATIVE if aggregate in _COUNTS else ANY
            case FromGroups(share=share):
                return Range(ZERO, ONE) if share else NOT_NEGATIVE
            case FromRank(percentile=percentile):
                return Range(ZERO, ONE) if percentile else Range(ONE)
            case FromTier() as source:
                return Range(ZERO, self._tiers(source))
            case FromHeld():
                return NOT_NEGATIVE
            case FromPast(metric=base, relative=True):
                low = self.of(base).low
                return Range(-ONE) if low is not None and low >= 0 else ANY
            case FromPart() as part:
                return self._part(part)
            case FromParts(parts=parts, max=most):
                whole = added(*(self.of(part) for part in parts))
                return capped(whole, self.points(most)) if most is not None else whole
            case FromFormula(formula=formula):
                return self.expression(formula.tree)
            case _:
                return ANY

    def _tiers(self, source: FromTier) -> Decimal | None:
        ladder = source.ladder
        if source.program is not None:
            return None
        if source.category is not None:
            ladder = (
                self.program.categories[source.category].ladder if source.category in self.program.categories else None
            )
        found = self.program.ladders.get(ladder or "")
        return Decimal(len(found.tiers)) if found is not None else None

    # --- scores

    def points(self, points: Points) -> Range:
        """The range of a number of a score, which may be another metric or a table."""
        ranges = []
        for leaf in leaves(points):
            if isinstance(leaf, OtherMetric):
                ranges.append(self.of(leaf.key))
            elif isinstance(leaf, Decimal):
                ranges.append(Range(leaf, leaf))
        return united(*ranges) if ranges else ANY

    def _part(self, part: FromPart) -> Range:
        earned = self._earned(part)
        if part.needs is not None:
            earned = united(earned, Range(ZERO, ZERO))
        if not part.allow_negative and not isinstance(part.earning, BestOf):
            earned = Range(ZERO if earned.low is None else max(earned.low, ZERO), earned.high)
        return capped(earned, self.points(part.max)) if part.max is not None else earned

    def _earned(self, part: FromPart) -> Range:
        match part.earning:
            case Linear(worth=worth):
                return Range(None if part.allow_negative else ZERO, self.points(worth).high)
            case Bands(steps=steps):
                return united(Range(ZERO, ZERO), *(self.points(points) for _, points in steps))
            case BestOf(metrics=metrics):
                lows = [self.of(key).low for key in metrics]
                highs = [self.of(key).high for key in metrics]
                known = [low for low in lows if low is not None]
                return Range(max(known) if known else None, _largest(highs))
            case PerUnit(points=points, per=per):
                return self._per_unit(part, self.points(points), self.points(per))
        return ANY

    def _per_unit(self, part: FromPart, points: Range, per: Range) -> Range:
        """Points for each unit: bounded where the metric is."""
        most = self.of(part.of).high if part.of else None
        if most is None or points.high is None or per.low is None or per.low <= 0:
            return ANY
        return Range(None, max(most, ZERO) / per.low * points.high)

    # --- formulas

    def expression(self, node: Expression) -> Range:
        """The range of a formula; any where nothing tells."""
        match node:
            case exp.Literal() if not node.is_string:
                value = Decimal(str(node.this))
                return Range(value, value)
            case exp.Paren():
                return self.expression(node.this)
            case exp.Column() if node.table == "metric":
                return self.of(node.name)
            case exp.Add():
                return added(self.expression(node.this), self.expression(node.expression))
            case exp.Neg():
                return _negative(self.expression(node.this))
            case exp.Sub():
                return added(self.expression(node.this), _negative(self.expression(node.expression)))
            case exp.Mul():
                return _product(self.expression(node.this), self.expression(node.expression))
            case exp.Div():
                return self._quotient(node)
            case exp.Least():
                parts = [self.expression(one) for one in (node.this, *node.expressions)]
                return Range(_smallest([one.low for one in parts]), _least_known([one.high for one in parts]))
            case exp.Greatest():
                parts = [self.expression(one) for one in (node.this, *node.expressions)]
                return Range(_most_known([one.low for one in parts]), _largest([one.high for one in parts]))
            case exp.Coalesce():
                return united(*(self.expression(one) for one in (node.this, *node.expressions)))
            case exp.Case():
                values = [one.args["true"] for one in node.args["ifs"]]
                other = node.args.get("default")
                return united(*(self.expression(one) for one in (*values, *([other] if other is not None else []))))
            case exp.Abs():
                return NOT_NEGATIVE
            case _:
                return ANY

    def _quotient(self, node: Expression) -> Range:
        above, below = self.expression(node.this), self.expression(node.expression)
        if above.low is None or above.low < 0 or below.low is None or below.low < 0:
            return ANY
        if self._is_part_of(node.this, node.expression):
            return Range(ZERO, ONE)
        if above.high is not None and below.low > 0:
            return Range(ZERO, _divided(above.high, below.low))
        return NOT_NEGATIVE

    def _is_part_of(self, part: Expression, whole: Expression) -> bool:
        """Whether the whole is a sum of numbers that are not negative, the part among them."""
        addends = list(_addends(whole))
        low = [self.expression(one).low for one in addends]
        return len(addends) > 1 and all(one is not None and one >= 0 for one in low) and any(
            one == _bare(part) for one in addends
        )  # fmt: skip


def _bare(node: Expression) -> Expression:
    return _bare(node.this) if isinstance(node, exp.Paren) else node


def _addends(node: Expression) -> list[Expression]:
    bare = _bare(node)
    if isinstance(bare, exp.Add):
        return [*_addends(bare.this), *_addends(bare.expression)]
    return [bare]


def _negative(one: Range) -> Range:
    return Range(None if one.high is None else -one.high, None if one.low is None else -one.low)


def _product(left: Range, right: Range) -> Range:
    if left.low is None or left.low < 0 or right.low is None or right.low < 0:
        return ANY
    high = left.high * right.high if left.high is not None and right.high is not None else None
    return Range(left.low * right.low, high)


def _divided(above: Decimal, below: Decimal) -> Decimal | None:
    try:
        return above / below
    except InvalidOperation:
        return None


def _largest(values: list[Decimal | None]) -> Decimal | None:
    return None if None in values else max((one for one in values if one is not None), default=None)


def _smallest(values: list[Decimal | None]) -> Decimal | None:
    return None if None in values else min((one for one in values if one is not None), default=None)


def _least_known(values: list[Decimal | None]) -> Decimal | None:
    return min((one for one in values if one is not None), default=None)


def _most_known(values: list[Decimal | None]) -> Decimal | None:
    return max((one for one in values if one is not None), default=None)
