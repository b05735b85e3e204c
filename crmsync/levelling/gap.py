"""Gap: what is missing towards the next tier, on which path, and how far the partner has come.

Every requirement is first turned so that no part is negated; its criteria become leaves with value, required, missing
and share. Where a group leaves a choice, the shortest path is the one of least effort.

Source: program-language, section 9.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal

from crmsync.levelling import sql
from crmsync.levelling.criteria import Criteria
from crmsync.levelling.sql import Sql
from crmsync.levelling.values import COUNT, MONEY, NUMBER, Value, as_double, show
from crmsync.programs.program import (
    NEEDS,
    Comparison,
    Criterion,
    FromRank,
    FromTier,
    Group,
    Junction,
    Metric,
    Requirement,
    Unit,
)

OF_TIERS = {
    Comparison.GE: ("", " or higher"),
    Comparison.GT: ("higher than ", ""),
    Comparison.LE: ("", " or lower"),
    Comparison.LT: ("lower than ", ""),
    Comparison.EQ: ("exactly ", ""),
}
"""The same before and after the name of a tier."""

ENTRY = "STRUCT<metric TEXT, value TEXT, required TEXT, missing TEXT, met BOOLEAN, path TEXT, exhausted BOOLEAN>"


@dataclass(frozen=True)
class Leaf:
    """One criterion of a requirement; `turned`: it must not hold. `path` counts from 1 through the groups."""

    criterion: Criterion
    turned: bool
    path: str


@dataclass(frozen=True)
class Choice:
    """Parts of which `count` must be met, those in `including` among them; all of them where count is their number."""

    parts: tuple[Leaf | Choice, ...]
    count: int
    including: tuple[int, ...] = ()

    @property
    def is_free(self) -> bool:
        """Whether there is anything to choose."""
        return self.count < len(self.parts)


Node = Leaf | Choice


def paths_of(requirement: Requirement, prefix: str = "", turned: bool = False) -> Node:
    """A requirement without negated groups, each criterion with its path in the file."""
    if isinstance(requirement, Criterion):
        return Leaf(requirement, turned, prefix)
    junction, parts = requirement.junction, requirement.parts
    inner = turned != (junction is Junction.NONE)
    below = tuple(
        paths_of(part, f"{prefix}/{junction.value}/{at}".lstrip("/"), inner) for at, part in enumerate(parts, 1)
    )
    if junction is Junction.AT_LEAST:
        return _at_least(requirement, below, turned)
    needs_all = (junction is Junction.ALL) != turned if junction is not Junction.NONE else not turned
    return Choice(below, len(below) if needs_all else 1)


def _at_least(group: Group, below: tuple[Node, ...], turned: bool) -> Choice:
    if not turned:
        return Choice(below, group.at_least, group.including)
    few = Choice(below, len(below) - group.at_least + 1)
    missed = tuple(below[i] for i in group.including)
    return Choice((few, *missed), 1) if missed else few


def leaves_of(node: Node) -> list[Leaf]:
    """All criteria below a node, in file order; one that stands below twice is named once."""
    if isinstance(node, Leaf):
        return [node]
    found: dict[str, Leaf] = {}
    for part in node.parts:
        for leaf in leaves_of(part):
            found.setdefault(leaf.path, leaf)
    return list(found.values())


@dataclass(frozen=True)
class LeafColumns:
    """SQL of one criterion: what it has, what it needs, and how far it is."""

    value: Value
    required: Value
    missing: Value | None  # None for text and yes/no
    met: Sql
    share: Sql
    effort: Sql


class Layers:
    """Columns in layers, each of which reads those below it by name."""

    def __init__(self) -> None:
        self.all: list[dict[str, Sql]] = []

    def keep(self, at: int, name: str, value: Sql) -> Sql:
        """A value as a column of one of the layers, so that it stands once however often it is read."""
        while len(self.all) <= at:
            self.all.append({})
        self.all[at][name] = value
        return sql.col(name)


def measured(criteria: Criteria, leaf: Leaf) -> LeafColumns:
    """The measures of one criterion by itself."""
    holds = criteria.as_turned(leaf.turned).criterion(leaf.criterion)
    met = sql.coalesce(sql.not_(holds) if leaf.turned else holds, sql.false())
    return measures(criteria, leaf, criteria.required(leaf.criterion), met)


def measures(criteria: Criteria, leaf: Leaf, required: Value, met: Sql) -> LeafColumns:
    """The measures of a criterion from what it asks and whether it is met."""
    criterion, efforts = leaf.criterion, criteria.program.effort
    value = criteria.value(criterion)
    unmet = sql.case([(met, sql.double(0))], sql.double(1))
    if value.kind not in (MONEY, NUMBER, COUNT) or required.kind not in (MONEY, NUMBER, COUNT):
        share = sql.case([(met, sql.double(1))], sql.double(0))
        return LeafColumns(value, required, None, met, share, _effort(efforts, criterion, unmet, met))
    upwards = (criterion.comparison in (Comparison.GE, Comparison.GT)) != leaf.turned
    missing = _missing(value, required, met, upwards, criterion.comparison)
    share = sql.case([(met, sql.double(1))], _share(value, required, upwards, criterion.comparison))
    distance = unmet
    if criterion.metric in efforts:  # an unknown value counts as the whole way
        distance = sql.coalesce(sql.cast(missing.sql, sql.DOUBLE), sql.cast(required.sql, sql.DOUBLE))
    # of a rank the others decide as well: no distance says what to do
    by_others = isinstance(criteria.program.metrics[criterion.metric].source, FromRank)
    said = None if by_others else missing
    return LeafColumns(value, required, said, met, share, _effort(efforts, criterion, distance, met))


def _effort(efforts: Mapping[str, Decimal], criterion: Criterion, distance: Sql, met: Sql) -> Sql:
    rate = efforts.get(criterion.metric)
    cost = sql.double(1) if rate is None else sql.mul(sql.abs_(distance), sql.double(rate))
    return sql.case([(met, sql.double(0))], cost)


def _missing(value: Value, required: Value, met: Sql, upwards: bool, comparison: Comparison) -> Value:
    left, right = (required, value) if upwards else (value, required)
    money = MONEY in (value.kind, required.kind)
    if money:
        distance, zero = sql.sub(sql.cast(left.sql, sql.MONEY), sql.cast(right.sql, sql.MONEY)), sql.number(0)
    else:
        distance, zero = sql.sub(sql.cast(left.sql, sql.DOUBLE), sql.cast(right.sql, sql.DOUBLE)), sql.double(0)
    if comparison is Comparison.EQ:
        distance = sql.abs_(distance)
    kind = MONEY if money else NUMBER
    # beyond a `>` by nothing is still missing, however little: a negative distance never shows
    positive = sql.case([(met, zero), (sql.lt(distance, zero), zero)], distance)
    return Value(positive, kind, whole=value.kind == COUNT and required.whole)


def _share(value: Value, required: Value, upwards: bool, comparison: Comparison) -> Sql:
    if comparison is Comparison.EQ:
        return sql.double(0)
    has, needs = sql.cast(value.sql, sql.DOUBLE), sql.cast(required.sql, sql.DOUBLE)
    part, whole = (has, needs) if upwards else (needs, has)
    # neither holds for an unknown, which has come no part of the way
    both = sql.and_(sql.gt(part, sql.double(0)), sql.gt(whole, sql.double(0)))
    return sql.case([(both, sql.least_known(sql.div(part, whole), sql.double(1)))], sql.double(0))


def entry(leaf: Leaf, columns: LeafColumns, exhausted: Sql, path: Sql | None = None) -> Sql:
    """One entry of the gap list. `exhausted`: nothing that it is made of can give more; `path`: else the leaf's."""
    return sql.struct(
        {
            "metric": sql.text(leaf.criterion.metric),
            "value": show(columns.value),
            "required": show(columns.required),
            "missing": show(columns.missing) if columns.missing else sql.null(sql.TEXT),
            "met": columns.met,
            "path": sql.text(leaf.path) if path is None else path,
            "exhausted": exhausted,
        }
    )


def progress(total: Sql, size: Sql) -> Sql:
    """Mean share along the shortest path x 100, rounded down to one decimal, at most 99.9 (the tier is not met)."""
    mean = sql.div(total, sql.nullif(size, sql.double(0)))
    # nine digits first: 0.57 x 1000 is 569.999... in a DOUBLE
    tenths = sql.floor(sql.round_(sql.mul(mean, sql.double(1000)), 6))
    shown_tenths = sql.least_known(sql.div(sql.cast(tenths, sql.DOUBLE), sql.double(10)), sql.double("99.9"))
    return sql.cast(shown_tenths, "DECIMAL(4, 1)")


def said(metric: Metric, value: Value) -> Sql:
    """A value as a text says it: percents in hundredths, cut to two decimals so that 34.999 never reads as 35.

    A position on a ladder is the tier of that position.
    """
    names = tiers_of(metric)
    if names:
        positions = [(at, name) for at, name in enumerate(("none", *names)) if name is not None]
        is_at = [(sql.eq(as_double(value).sql, sql.double(at)), sql.text(name)) for at, name in positions]
        return sql.case(is_at, show(value))
    if metric.unit is Unit.YES_NO:
        return sql.case([(value.sql, sql.text("yes")), (sql.not_(value.sql), sql.text("no"))], sql.null(sql.TEXT))
    if metric.unit is not Unit.PERCENT or value.kind not in (NUMBER, COUNT):
        return show(value)
    number = sql.cast(value.sql, sql.DOUBLE)
    cut = sql.floor(sql.round_(sql.mul(number, sql.double(10_000)), 5))
    hundredths = sql.div(sql.cast(cut, sql.DOUBLE), sql.double(100))
    small, plain = (sql.cast(sql.cast(hundredths, kind), sql.TEXT) for kind in ("DECIMAL(18, 2)", sql.MONEY))
    shown = sql.case([(sql.lt(sql.abs_(number), sql.double(10**12)), small)], plain)  # 64 bits are quicker than 128
    return sql.concat(sql.without_zeros(shown), sql.text(" %"))


def tiers_of(metric: Metric) -> tuple[str | None, ...]:
    """What the positions are called that a metric has as its values, from the lowest."""
    return metric.source.names if isinstance(metric.source, FromTier) else ()


def asked_words(leaf: Leaf, metric: Metric, required: Value) -> Sql:
    """What a criterion asks: `more than 5`, `Advanced or higher`."""
    comparison, word = leaf.criterion.comparison, "not " if leaf.turned else ""
    needs = sql.coalesce(said(metric, required), sql.text("unknown"))
    before, after = OF_TIERS[comparison] if tiers_of(metric) else (NEEDS[comparison], "")
    return sql.concat(sql.text(f"{word}{before}"), needs, *([sql.text(after)] if after else []))


def sentence(leaf: Leaf, metric: Metric, currency: str | None, columns: LeafColumns) -> Sql:
    """One line of the summary: what it has, what it needs, what is missing."""
    suffix = {Unit.MONEY: f" {currency}", Unit.PEOPLE: " people", Unit.POINTS: " points", Unit.DAYS: " days"}
    has = sql.coalesce(said(metric, columns.value), sql.text("unknown"))
    needs = asked_words(leaf, metric, columns.required)
    if tiers_of(metric):
        return sql.concat(sql.text(f"{metric.label}: "), has, sql.text(", needs "), needs)
    unit = sql.text(suffix.get(metric.unit, ""))
    plain = sql.concat(sql.text(f"{metric.label}: "), has, sql.text(" of "), needs, unit)
    if columns.missing is None:
        return plain
    missing = sql.concat(sql.text(", "), said(metric, columns.missing), sql.text(" missing"))
    return sql.concat(plain, sql.coalesce(missing, sql.text("")))
