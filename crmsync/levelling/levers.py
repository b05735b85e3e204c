"""Levers: what moves a metric that is built on others, for the gap of a criterion on it.

A ratio has two: more above, or less below. A growth has one: more now. A score names the parts that are at their most
and the gates that are closed. Source: program-language, section 9.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from sqlglot import exp

from crmsync.levelling import sql
from crmsync.levelling.conditions import condition_of, value_of
from crmsync.levelling.measures import Measures
from crmsync.levelling.scores import number_of
from crmsync.levelling.sql import Sql
from crmsync.levelling.values import COUNT, MONEY, NUMBER, Value, as_double, rounded
from crmsync.programs.program import (
    Bands,
    Comparison,
    Formula,
    FromFormula,
    FromPart,
    FromParts,
    FromPast,
    Linear,
    Metric,
    Points,
    Program,
    Unit,
)

UPWARDS = (Comparison.GE, Comparison.GT)


@dataclass(frozen=True)
class Lever:
    """One thing that would close a gap. `name`: a metric, or the formula's own words; `more` or less of it.

    `distance`: how much, as a DOUBLE that may be below 0 or unknown.
    """

    name: str
    more: bool
    value: Value
    distance: Sql

    @property
    def word(self) -> str:
        """The end of the lever's path."""
        return "more" if self.more else "less"

    def label(self, program: Program) -> str:
        """What it is called."""
        metric = program.metrics.get(self.name)
        return metric.label if metric is not None else self.name

    def target(self, missing: Value) -> Value:
        """What there would be."""
        maker = sql.add if self.more else sql.sub
        kind = MONEY if MONEY in (self.value.kind, missing.kind) else NUMBER
        whole = self.value.kind == COUNT and missing.whole
        return Value(maker(_as(self.value, kind), _as(missing, kind)), kind, whole=whole)


def gap_entry(
    metric: str, value: Sql, required: Sql, missing: Sql, met: Sql, path: Sql, exhausted: Sql | None = None
) -> Sql:
    """One entry of the gap list. Shape: `gap.ENTRY`."""
    return sql.struct(
        {
            "metric": sql.text(metric), "value": value, "required": required, "missing": missing, "met": met,
            "path": path, "exhausted": sql.false() if exhausted is None else exhausted,
        }
    )  # fmt: skip


def levers_of(program: Program, key: str, comparison: Comparison, required: Value, names: Measures) -> list[Lever]:
    """The levers of a metric that must reach `required`; none for one that is no ratio and no growth."""
    if comparison not in UPWARDS:
        return []
    match program.metrics[key].source:
        case FromFormula(formula=formula):
            return _of_ratio(program, formula, required, names)
        case FromPast() as past:
            return _of_past(past, required, names)
    return []


def _of_past(past: FromPast, required: Value, names: Measures) -> list[Lever]:
    """More of the metric now, where what it was is known."""
    base = replace(names, spot=names.spot.earlier((past.shift,)), shown=False).metric(past.metric)
    now = names.metric(past.metric)
    target = as_double(required).sql
    if past.relative:
        target = sql.mul(as_double(base).sql, sql.add(sql.double(1), target))
    else:
        target = sql.add(as_double(base).sql, target)
    return [Lever(past.metric, True, now, sql.sub(target, as_double(now).sql))]


def _of_ratio(program: Program, formula: Formula, required: Value, names: Measures) -> list[Lever]:
    """Above and below the bar of a formula that is one division."""
    division = _plain(formula.tree)
    if not isinstance(division, exp.Div):
        return []
    above, below = _plain(division.this), _plain(division.expression)
    terms, others = _terms(above), _terms(below)
    rest = [one for one in others if one.sql() not in {term.sql() for term in terms}]
    inside = len(rest) == len(others) - len(terms)
    ratio = as_double(required).sql
    part, whole = (_evaluated(formula, node, names, program) for node in (above, below))
    levers = [Lever(_name(above), True, part, _more(part, whole, ratio, inside))] if _moves(above) else []
    if not inside and _moves(below):
        levers.append(Lever(_name(below), False, whole, _less(part, whole, ratio)))
    elif inside and any(_moves(one) for one in rest):
        left = _sum(rest)
        value = _evaluated(formula, left, names, program)
        total = sql.add(as_double(part).sql, as_double(value).sql)
        both = Value(total, NUMBER)
        levers.append(Lever(_name(left), False, value, _less(part, both, ratio)))
    return levers


def lowering(metric: Metric) -> frozenset[str]:
    """The metrics of which more makes a ratio smaller: those that stand below its bar alone."""
    if not isinstance(metric.source, FromFormula):
        return frozenset()
    division = _plain(metric.source.formula.tree)
    if not isinstance(division, exp.Div):
        return frozenset()
    above, below = ({one.name for one in side.find_all(exp.Column)} for side in (division.this, division.expression))
    return frozenset(below - above)


def _moves(node: Sql) -> bool:
    """Whether anything could change it: a bare number is no lever."""
    return node.find(exp.Column) is not None


def _more(part: Value, whole: Value, ratio: Sql, inside: bool) -> Sql:
    """x with (part + x) / whole = ratio; where the part is inside the whole, both grow."""
    short = sql.sub(sql.mul(ratio, as_double(whole).sql), as_double(part).sql)
    if not inside:
        return short
    left = sql.sub(sql.double(1), ratio)
    return sql.case([(sql.gt(left, sql.double(0)), sql.div(short, left))], sql.null(sql.DOUBLE))


def _less(part: Value, whole: Value, ratio: Sql) -> Sql:
    """y with part / (whole - y) = ratio; unknown where nothing would be left below the bar."""
    enough = sql.div(as_double(part).sql, sql.nullif(ratio, sql.double(0)))
    left = sql.floor(sql.nine_digits(enough)) if whole.kind == COUNT else enough
    return sql.case([(sql.gt(left, sql.double(0)), sql.sub(as_double(whole).sql, enough))], sql.null(sql.DOUBLE))


def in_unit(missing: Sql, of: Value) -> Value:
    """A distance in the unit of what it is of: counts whole, money in cents; never below 0."""
    missing = sql.case([(sql.lt(missing, sql.double(0)), sql.double(0))], missing)
    if of.kind == COUNT:
        return Value(sql.cast(sql.ceil(sql.nine_digits(missing)), sql.DOUBLE), NUMBER, whole=True)
    if of.kind == MONEY:
        return Value(sql.cents(missing), MONEY)
    return rounded(Value(missing, NUMBER, computed=True))


def _as(value: Value, kind: str) -> Sql:
    return sql.cast(value.sql, sql.MONEY) if kind == MONEY else as_double(value).sql


def _plain(node: Sql) -> Sql:
    while isinstance(node, exp.Paren) or (isinstance(node, exp.Nullif) and _is_zero(node.expression)):
        node = node.this
    return node


def _is_zero(node: Sql) -> bool:
    return isinstance(node, exp.Literal) and node.this.strip("0.") == ""


def _terms(node: Sql) -> list[Sql]:
    node = _plain(node)
    return [*_terms(node.this), *_terms(node.expression)] if isinstance(node, exp.Add) else [node]


def _sum(terms: Sequence[Sql]) -> Sql:
    total = terms[0].copy()
    for term in terms[1:]:
        total = exp.Add(this=total, expression=term.copy())
    return total


def _name(node: Sql) -> str:
    if isinstance(node, exp.Column):
        return node.name
    return node.sql().replace("metric.", "")


def _evaluated(formula: Formula, node: Sql, names: Measures, program: Program) -> Value:
    part = Formula(formula.text, formula.line, node, formula.columns, formula.metrics)
    return replace(value_of(part, names, str(program.file)), shown=None)


# --- scores


@dataclass(frozen=True)
class PartState:
    """A part of a score: whether it is at its most (and how much that is), whether its gate is closed."""

    key: str
    full: Sql
    most: Value | None
    closed: Sql | None
    needs: str


def parts_of(program: Program, key: str, names: Measures) -> list[PartState]:
    """The parts of a score or group, through its groups; none for any other metric."""
    source = program.metrics[key].source
    if not isinstance(source, FromParts):
        return []
    found: list[PartState] = []
    for part in source.parts:
        inner = program.metrics[part].source
        if isinstance(inner, FromParts):
            capped = _reached(inner.max, names, part)
            found += [_also_full(one, capped) for one in parts_of(program, part, names)]
        elif isinstance(inner, FromPart):
            found.append(_part(program, part, inner, names))
    return found


def _also_full(part: PartState, capped: Sql | None) -> PartState:
    return part if capped is None else replace(part, full=sql.or_(part.full, capped))


def _reached(cap: Points | None, names: Measures, key: str) -> Sql | None:
    """Whether a part or group has reached its cap."""
    if cap is None:
        return None
    value, most = rounded(names.metric(key)), number_of(cap, names)
    return sql.coalesce(sql.ge(as_double(value).sql, rounded(most).sql), sql.false())


def _part(program: Program, key: str, source: FromPart, names: Measures) -> PartState:
    caps = [cap for cap in (source.max, _top(source, program)) if cap is not None]
    ways = [way for cap in caps if (way := _reached(cap, names, key)) is not None]
    closed = None
    if source.needs is not None:
        gate = condition_of(source.needs, names, str(program.file))
        closed = sql.not_(sql.coalesce(gate, sql.false()))
    most = number_of(caps[0], names) if caps else None
    return PartState(key, sql.or_(*ways), most, closed, source.needs.text if source.needs is not None else "")


def _top(source: FromPart, program: Program) -> Points | None:
    """What a part earns at most by itself."""
    match source.earning:
        case Linear(worth=worth, full_at=full_at) if full_at is not None or _is_yes_no(source, program):
            return worth
        case Bands(steps=steps):
            return steps[-1][1]
    return None


def _is_yes_no(source: FromPart, program: Program) -> bool:
    return source.of is not None and program.metrics[source.of].unit is Unit.YES_NO
