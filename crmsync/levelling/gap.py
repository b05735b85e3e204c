"""Gap: what is missing towards the next tier, on which path, and how far the partner has come.

Every requirement is first turned so that no part is negated; its criteria become leaves with value, required, missing
and share. Where a group leaves a choice, the shortest path is the one of least effort.

Source: program-language, section 9.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal

from crmsync.levelling import sql
from crmsync.levelling.criteria import Criteria
from crmsync.levelling.sql import Sql
from crmsync.levelling.values import COUNT, MONEY, NUMBER, Value, show
from crmsync.programs.program import Comparison, Criterion, FromRank, Group, Junction, Metric, Requirement, Unit

NEEDS = {
    Comparison.GE: "",
    Comparison.GT: "more than ",
    Comparison.LE: "at most ",
    Comparison.LT: "less than ",
    Comparison.EQ: "exactly ",
}
"""How a text names a comparison; `at least` goes without saying."""

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


@dataclass
class GapQuery:
    """Builds the columns of the gap of one requirement, in layers that later layers read by name."""

    criteria: Criteria
    tag: str
    efforts: Mapping[str, Decimal]
    applies: Sql  # whose next tier this is
    layers: list[dict[str, Sql]] = field(default_factory=list)

    def leaf(self, leaf: Leaf) -> LeafColumns:
        """The measures of one criterion, as columns that `layers[0]` computes."""
        made = self.measured(leaf)
        if not self.layers:
            self.layers.append({})
        names = {what: f"{self.tag}|{leaf.path}|{what}" for what in ("met", "share", "effort", "missing")}
        self.layers[0] |= {names[what]: getattr(made, what) for what in ("met", "share", "effort")}
        missing = made.missing
        if missing is not None:
            # texts are made for those accounts alone that have this gap
            distance = f"{names['missing']} as number"
            self.layers[0][distance] = missing.sql
            missing = replace(missing, sql=sql.col(distance))
            self._layer(1)[names["missing"]] = sql.case([(self.applies, show(missing))], sql.null(sql.TEXT))
            missing = replace(missing, shown=sql.col(names["missing"]))
        met, share, effort = (sql.col(names[what]) for what in ("met", "share", "effort"))
        return LeafColumns(made.value, made.required, missing, met, share, effort)

    def measured(self, leaf: Leaf) -> LeafColumns:
        """The measures of one criterion."""
        criterion = leaf.criterion
        value, required = self.criteria.value(criterion), self.criteria.required(criterion)
        holds = self.criteria.as_turned(leaf.turned).criterion(criterion)
        met = sql.coalesce(sql.not_(holds) if leaf.turned else holds, sql.false())
        unmet = sql.case([(met, sql.double(0))], sql.double(1))
        if value.kind not in (MONEY, NUMBER, COUNT) or required.kind not in (MONEY, NUMBER, COUNT):
            share = sql.case([(met, sql.double(1))], sql.double(0))
            return LeafColumns(value, required, None, met, share, self._effort(criterion, unmet, met))
        upwards = (criterion.comparison in (Comparison.GE, Comparison.GT)) != leaf.turned
        missing = _missing(value, required, met, upwards, criterion.comparison)
        share = sql.case([(met, sql.double(1))], _share(value, required, upwards, criterion.comparison))
        distance = unmet
        if criterion.metric in self.efforts:  # an unknown value counts as the whole way
            distance = sql.coalesce(sql.cast(missing.sql, sql.DOUBLE), sql.cast(required.sql, sql.DOUBLE))
        # of a rank the others decide as well: no distance says what to do
        by_others = isinstance(self.criteria.program.metrics[criterion.metric].source, FromRank)
        said = None if by_others else missing
        return LeafColumns(value, required, said, met, share, self._effort(criterion, distance, met))

    def _effort(self, criterion: Criterion, distance: Sql, met: Sql) -> Sql:
        rate = self.efforts.get(criterion.metric)
        cost = sql.double(1) if rate is None else sql.mul(sql.abs_(distance), sql.double(rate))
        return sql.case([(met, sql.double(0))], cost)

    def kept(self, at: int, what: str, value: Sql) -> Sql:
        """A value as a column of one of the layers, so that it stands once however often it is read."""
        column = f"{self.tag}|{what}"
        self._layer(at)[column] = value
        return sql.col(column)

    def kept_value(self, at: int, what: str, value: Value) -> Value:
        """The same for a value."""
        return replace(value, sql=self.kept(at, what, value.sql))

    def lowest(self, shares: Sequence[Sql]) -> Sql:
        """The lowest of the shares, as a column of a layer above all others."""
        column = f"{self.tag}|lowest"
        self.layers.append({column: sql.least_known(*shares)})
        return sql.col(column)

    # --- the shortest path

    def on_path(self, node: Node) -> dict[str, Sql]:
        """For each criterion's path, whether it is on the shortest path (NULL-free)."""
        self._cost(node)
        chosen: dict[str, list[Sql]] = {}
        self._mark(node, [], chosen)
        return {path: sql.or_(*ways) for path, ways in chosen.items()}

    def _mark(self, node: Node, conditions: list[Sql], chosen: dict[str, list[Sql]]) -> None:
        if isinstance(node, Leaf):
            chosen.setdefault(node.path, []).append(sql.and_(*conditions))
            return
        for at, part in enumerate(node.parts):
            flag = [sql.col(self._name(node, f"takes{at}"))] if node.is_free else []
            self._mark(part, [*conditions, *flag], chosen)

    def _name(self, node: Node, what: str) -> str:
        first = leaves_of(node)[0].path
        depth = 0 if isinstance(node, Leaf) else _height(node)
        return f"{self.tag}|{first}^{depth}|{what}"

    def _cost(self, node: Node) -> tuple[Sql, Sql, Sql]:
        """Effort, mean share and number of criteria of a node's shortest path, as columns."""
        if isinstance(node, Leaf):
            columns = self.leaf(node)
            return columns.effort, columns.share, sql.double(1)
        parts = [self._cost(part) for part in node.parts]
        takes = self._takes(node, parts)
        at = _height(node) * 2
        self._layer(at).update(
            {
                self._name(node, "effort"): _total(takes, [effort for effort, _, _ in parts]),
                self._name(node, "share"): _total(takes, [sql.mul(share, size) for _, share, size in parts]),
                self._name(node, "size"): _total(takes, [size for _, _, size in parts]),
            }
        )
        size = sql.col(self._name(node, "size"))
        mean = sql.div(sql.col(self._name(node, "share")), sql.nullif(size, sql.double(0)))
        return sql.col(self._name(node, "effort")), sql.coalesce(mean, sql.double(1)), size

    def _takes(self, node: Choice, parts: Sequence[tuple[Sql, Sql, Sql]]) -> list[Sql]:
        if not node.is_free:
            return [sql.true()] * len(parts)
        must = set(node.including)
        left = node.count - len(must)
        layer = self._layer(_height(node) * 2 - 1)
        for at in range(len(parts)):
            others = [other for other in range(len(parts)) if other != at and other not in must]
            ahead = _count([_shorter(parts[other], parts[at], other < at) for other in others])
            flag = sql.true() if at in must else sql.lt(ahead, sql.number(left))
            layer[self._name(node, f"takes{at}")] = flag
        return [sql.col(self._name(node, f"takes{at}")) for at in range(len(parts))]

    def _layer(self, at: int) -> dict[str, Sql]:
        while len(self.layers) <= at:
            self.layers.append({})
        return self.layers[at]


def _height(node: Node) -> int:
    return 0 if isinstance(node, Leaf) else 1 + max(_height(part) for part in node.parts)


def _total(takes: Sequence[Sql], values: Sequence[Sql]) -> Sql:
    total: Sql = sql.double(0)
    for flag, value in zip(takes, values, strict=True):
        total = sql.add(total, sql.case([(flag, value)], sql.double(0)))
    return total


def _count(flags: Sequence[Sql]) -> Sql:
    total: Sql = sql.number(0)
    for flag in flags:
        total = sql.add(total, sql.case([(flag, sql.number(1))], sql.number(0)))
    return total


def _shorter(one: tuple[Sql, Sql, Sql], other: tuple[Sql, Sql, Sql], earlier: bool) -> Sql:
    """Whether `one` is chosen before `other`: less effort, then the higher share, then the earlier in the file."""
    less = sql.lt(one[0], other[0])
    same = sql.eq(one[0], other[0])
    closer = sql.ge(one[1], other[1]) if earlier else sql.gt(one[1], other[1])
    return sql.or_(less, sql.and_(same, closer))


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
    return Value(positive, kind)


def _share(value: Value, required: Value, upwards: bool, comparison: Comparison) -> Sql:
    if comparison is Comparison.EQ:
        return sql.double(0)
    has, needs = sql.cast(value.sql, sql.DOUBLE), sql.cast(required.sql, sql.DOUBLE)
    part, whole = (has, needs) if upwards else (needs, has)
    # neither holds for an unknown, which has come no part of the way
    both = sql.and_(sql.gt(part, sql.double(0)), sql.gt(whole, sql.double(0)))
    return sql.case([(both, sql.least_known(sql.div(part, whole), sql.double(1)))], sql.double(0))


def entry(leaf: Leaf, columns: LeafColumns, exhausted: Sql) -> Sql:
    """One entry of the gap list. `exhausted`: nothing that it is made of can give more."""
    return sql.struct(
        {
            "metric": sql.text(leaf.criterion.metric),
            "value": show(columns.value),
            "required": show(columns.required),
            "missing": show(columns.missing) if columns.missing else sql.null(sql.TEXT),
            "met": columns.met,
            "path": sql.text(leaf.path),
            "exhausted": exhausted,
        }
    )


def progress(shares: Sequence[Sql], on_path: Sequence[Sql]) -> Sql:
    """Mean share along the shortest path x 100, rounded down to one decimal, at most 99.9 (the tier is not met)."""
    total, size = _total(on_path, shares), _total(on_path, [sql.double(1)] * len(shares))
    mean = sql.div(total, sql.nullif(size, sql.double(0)))
    # nine digits first: 0.57 x 1000 is 569.999... in a DOUBLE
    tenths = sql.floor(sql.round_(sql.mul(mean, sql.double(1000)), 6))
    shown_tenths = sql.least_known(sql.div(sql.cast(tenths, sql.DOUBLE), sql.double(10)), sql.double("99.9"))
    return sql.cast(shown_tenths, "DECIMAL(4, 1)")


def said(metric: Metric, value: Value) -> Sql:
    """A value as a text says it: percents in hundredths, cut to two decimals so that 34.999 never reads as 35."""
    if metric.unit is Unit.YES_NO:
        return sql.case([(value.sql, sql.text("yes")), (sql.not_(value.sql), sql.text("no"))], sql.null(sql.TEXT))
    if metric.unit is not Unit.PERCENT or value.kind not in (NUMBER, COUNT):
        return show(value)
    cut = sql.floor(sql.round_(sql.mul(sql.cast(value.sql, sql.DOUBLE), sql.double(10_000)), 5))
    hundredths = sql.cast(sql.div(sql.cast(cut, sql.DOUBLE), sql.double(100)), sql.MONEY)
    return sql.concat(sql.without_zeros(sql.cast(hundredths, sql.TEXT)), sql.text(" %"))


def sentence(leaf: Leaf, metric: Metric, currency: str | None, columns: LeafColumns) -> Sql:
    """One line of the summary: what it has, what it needs, what is missing."""
    suffix = {Unit.MONEY: f" {currency}", Unit.PEOPLE: " people", Unit.POINTS: " points", Unit.DAYS: " days"}
    has = sql.coalesce(said(metric, columns.value), sql.text("unknown"))
    needs = sql.coalesce(said(metric, columns.required), sql.text("unknown"))
    word = ("not " if leaf.turned else "") + NEEDS[leaf.criterion.comparison]
    unit = sql.text(suffix.get(metric.unit, ""))
    plain = sql.concat(sql.text(f"{metric.label}: "), has, sql.text(f" of {word}"), needs, unit)
    if columns.missing is None:
        return plain
    missing = sql.concat(sql.text(", "), said(metric, columns.missing), sql.text(" missing"))
    return sql.concat(plain, sql.coalesce(missing, sql.text("")))
