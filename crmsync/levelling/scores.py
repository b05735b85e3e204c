"""Scores: how a part earns its points, and how parts and groups add up to a score.

Every part, group and score is a metric of its own. A part without a known value leaves the rest as a lower bound; one
that has reached its cap is exact whatever is missing. Points are DOUBLE and are rounded where they are compared or
shown, never in between: 5/14 x 42 is 15.

Source: program-language, sections 3 (unknown) and 4.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from decimal import Decimal

from sqlglot import exp

from crmsync.levelling import sql
from crmsync.levelling.arithmetic import Names
from crmsync.levelling.comparisons import compared
from crmsync.levelling.conditions import condition_of
from crmsync.levelling.sql import Sql
from crmsync.levelling.values import LITERAL, NUMBER, WORDS, YES_NO, Value, as_double, exact, rounded
from crmsync.programs.program import (
    Bands,
    BestOf,
    ByAttribute,
    FromPart,
    FromParts,
    FromSheet,
    Linear,
    Metric,
    OtherMetric,
    PerUnit,
    Points,
)

NO_VALUE = sql.double("-1" + "0" * 30)
"""Below everything that can be counted: stands for an unknown where the largest known value is sought."""


def attributes_of(value: object) -> set[str]:
    """Partner columns that a number of a score, or a threshold, depends on."""
    if isinstance(value, FromSheet):
        return {column for row in value.rows for column in row.attributes}
    if not isinstance(value, ByAttribute):
        return set()
    return {value.column}.union(*(attributes_of(one) for one in (*value.cases.values(), value.default)))


def numbers_of(source: FromPart | FromParts) -> list[Points]:
    """All numbers that a part, group or score is written with."""
    found: list[Points] = [source.max] if source.max is not None else []
    if isinstance(source, FromParts):
        return found
    match source.earning:
        case Linear(worth=worth, full_at=full_at):
            found += [worth, *([full_at] if full_at is not None else [])]
        case PerUnit(points=points, per=per):
            found += [points, per]
        case Bands(steps=steps):
            found += [points for _, points in steps]
        case BestOf():
            pass
    return found


def may_be_negative(key: str, metrics: Mapping[str, Metric]) -> bool:
    """Whether a part, group or score can be below 0."""
    match metrics[key].source:
        case FromPart(allow_negative=allowed):
            return allowed
        case FromParts(parts=parts):
            return any(may_be_negative(part, metrics) for part in parts)
        case _:
            return True


# --- one part


def part_value(source: FromPart, names: Names, file: str) -> Value:
    """The points of a part: gate, earning, no less than 0 unless allowed, cap."""
    earned = _earned(source, names)
    if not source.allow_negative:
        below = sql.lt(earned.sql, sql.double(0))
        earned = replace(earned, sql=sql.case([(below, sql.double(0))], earned.sql))
    capped = _capped(earned, source.max, names)
    if source.needs is None:
        return capped
    gate = condition_of(source.needs, names, file)
    return _gated(capped, gate)


def _gated(value: Value, gate: Sql) -> Value:
    points = sql.case([(gate, value.sql), (sql.not_(gate), sql.double(0))], sql.null(sql.DOUBLE))
    lost = value.lower_bound
    if lost is not None:
        lost = sql.and_(sql.coalesce(gate, sql.false()), lost)
    return replace(value, sql=points, lower_bound=lost)


def _earned(source: FromPart, names: Names) -> Value:
    if isinstance(source.earning, BestOf):
        return _best([names.value("metric", key) for key in source.earning.metrics])
    assert source.of is not None
    of = names.value("metric", source.of)
    match source.earning:
        case Linear() as linear:
            return _linear(linear, of, names)
        case PerUnit() as per_unit:
            return _per_unit(per_unit, of, names)
        case bands:
            return _bands(bands, of, names)


def _linear(linear: Linear, of: Value, names: Names) -> Value:
    worth = number_of(linear.worth, names)
    rises = _not_negative(linear.worth, worth)
    if of.kind == YES_NO:
        points = sql.case([(of.sql, worth.sql), (sql.not_(of.sql), sql.double(0))], sql.null(sql.DOUBLE))
        return _of_bound(points, of, rises, None)
    if linear.full_at is None:
        return _of_bound(sql.mul(worth.sql, as_double(of).sql), of, rises, None)
    full = _above_zero(linear.full_at, names)
    has = as_double(of).sql
    reached = sql.ge(has, full)
    points = sql.mul(worth.sql, sql.case([(reached, sql.double(1))], sql.div(has, full)))
    return _of_bound(points, of, rises, reached)


def _per_unit(earning: PerUnit, of: Value, names: Names) -> Value:
    points, per = number_of(earning.points, names), _above_zero(earning.per, names)
    rises = _not_negative(earning.points, points)
    has = as_double(of).sql
    if earning.whole_units:
        return _of_bound(sql.mul(points.sql, _whole_units(as_double(rounded(of)).sql, per)), of, rises, None)
    return _of_bound(sql.div(sql.mul(points.sql, has), per), of, rises, None)


def _whole_units(has: Sql, per: Sql) -> Sql:
    """How often `per` goes into what there is: the nearest whole number, one less where that is more than there is.

    The quotient alone would not do: 0.3 / 0.1 is 2.9999999999999996 in a DOUBLE.
    """
    nearest = sql.cast(sql.floor(sql.add(sql.div(has, per), sql.double("0.5"))), sql.DOUBLE)
    too_many = sql.gt(sql.nine_digits(sql.mul(nearest, per)), sql.nine_digits(has))
    return sql.case([(too_many, sql.sub(nearest, sql.double(1)))], nearest)


def _bands(bands: Bands, of: Value, names: Names) -> Value:
    steps = [(start, number_of(points, names)) for start, points in bands.steps]
    plain = replace(of, lower_bound=None)
    reached = [compared(exp.GTE, plain, Value(sql.double(start), LITERAL, number=start)) for start, _ in steps]
    # from the highest down; an unknown value reaches none and is unknown
    branches = [(sql.is_null(of.sql), sql.null(sql.DOUBLE))]
    branches += [(met, points.sql) for met, (_, points) in reversed(list(zip(reached, steps, strict=True)))]
    rising = [points for _, points in bands.steps]
    literal = [points for points in rising if isinstance(points, Decimal)]
    rises = sql.true() if literal == rising == sorted(literal) and literal[0] >= 0 else sql.false()
    return _of_bound(sql.case(branches, sql.double(0)), of, rises, reached[-1])


def _best(values: Sequence[Value]) -> Value:
    """The largest known of several; a lower bound where one of them is unknown or a lower bound itself."""
    sides = [as_double(value).sql for value in values]
    none = sql.and_(*(sql.is_null(side) for side in sides))
    largest = sql.greatest_known(*(sql.coalesce(side, NO_VALUE.copy()) for side in sides))
    unsure = [sql.is_null(side) for side in sides]
    unsure += [value.lower_bound for value in values if value.lower_bound is not None]
    return _points(sql.case([(none, sql.null(sql.DOUBLE))], largest), sql.or_(*unsure))


def _of_bound(points: Sql, of: Value, rises: Sql, full: Sql | None) -> Value:
    """Points for a value that may be a lower bound: a lower bound where more of it never earns less, else unknown.

    `full`: the value earns all there is, so that more would change nothing.
    """
    if of.lower_bound is None:
        return _points(points, None)
    lost = of.lower_bound
    if full is not None:
        lost = sql.and_(lost, sql.not_(sql.coalesce(full, sql.false())))
    if rises == sql.true():
        return _points(points, lost)
    falls = sql.and_(lost, sql.not_(sql.coalesce(rises, sql.false())))
    return _points(sql.case([(falls, sql.null(sql.DOUBLE))], points), lost)


# --- groups and scores


def sum_value(source: FromParts, metrics: Mapping[str, Metric], names: Names) -> Value:
    """The sum of parts and groups, capped; unknown where no part is known or an unknown one could be negative."""
    parts = {key: names.value("metric", key) for key in source.parts}
    total: Sql | None = None
    for part in parts.values():
        known = sql.coalesce(as_double(part).sql, sql.double(0))
        total = known if total is None else sql.add(total, known)
    missing = {key: sql.is_null(part.sql) for key, part in parts.items()}
    unknown = [sql.and_(*missing.values()), *(m for key, m in missing.items() if may_be_negative(key, metrics))]
    points = sql.case([(sql.or_(*unknown), sql.null(sql.DOUBLE))], total)
    unsure = [*missing.values(), *(part.lower_bound for part in parts.values() if part.lower_bound is not None)]
    return _capped(_points(points, sql.or_(*unsure)), source.max, names)


def _capped(value: Value, cap: Points | None, names: Names) -> Value:
    """No more than the cap; what has reached it is exact."""
    if cap is None:
        return value
    most = number_of(cap, names)
    over = sql.ge(value.sql, most.sql)
    branches = [(over, most.sql)]
    if most.unknown:
        branches.insert(0, (sql.is_null(most.sql), sql.null(sql.DOUBLE)))
    lost = value.lower_bound
    if lost is not None:
        lost = sql.and_(lost, sql.not_(sql.coalesce(over, sql.false())))
    return replace(value, sql=sql.case(branches, value.sql), lower_bound=lost)


# --- numbers of a score


def number_of(points: Points, names: Names) -> Value:
    """A number of a score as a DOUBLE: literal, another metric (unknown where it is a lower bound), or by attribute."""
    if isinstance(points, OtherMetric):
        return as_double(exact(names.value("metric", points.key)))
    if isinstance(points, ByAttribute):
        return _by_attribute(points, names)
    return Value(sql.double(points), LITERAL, number=points)


def _by_attribute(points: ByAttribute, names: Names) -> Value:
    cell = names.value("partners", points.column)
    text = cell.sql if cell.kind == WORDS else sql.cast(cell.sql, sql.TEXT)
    cases = {key: number_of(_as_points(value), names) for key, value in points.cases.items()}
    otherwise = number_of(_as_points(points.default), names)
    branches = [(sql.eq(text, sql.text(key)), value.sql) for key, value in cases.items()]
    unknown = otherwise.unknown or any(value.unknown for value in cases.values())
    return Value(sql.case(branches, otherwise.sql), NUMBER, unknown=unknown, computed=True)


def _as_points(value: object) -> Points:
    assert isinstance(value, Decimal | OtherMetric | ByAttribute), f"{value!r} is no number of a score"
    return value


def _leaves(points: Points) -> list[Decimal | OtherMetric]:
    if not isinstance(points, ByAttribute):
        return [points]
    return [leaf for one in (*points.cases.values(), points.default) for leaf in _leaves(_as_points(one))]


def _not_negative(points: Points, number: Value) -> Sql:
    """Whether a number is 0 or more: decided at once for literals."""
    leaves = _leaves(points)
    if all(isinstance(leaf, Decimal) for leaf in leaves):
        return sql.true() if all(isinstance(leaf, Decimal) and leaf >= 0 for leaf in leaves) else sql.false()
    return sql.ge(number.sql, sql.double(0))


def _above_zero(points: Points, names: Names) -> Sql:
    """A number that something is divided by: unknown unless it is above 0."""
    number = number_of(points, names)
    if all(isinstance(leaf, Decimal) and leaf > 0 for leaf in _leaves(points)):
        return number.sql
    return sql.case([(sql.gt(number.sql, sql.double(0)), number.sql)], sql.null(sql.DOUBLE))


def _points(points: Sql, lost: Sql | None) -> Value:
    return Value(points, NUMBER, unknown=True, lower_bound=lost, computed=True)
