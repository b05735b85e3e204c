"""What is built on other metrics: pace, fields, formulas, growth, scores, places in a population.

Each gives the columns of one metric at one spot: helper columns first, in layers that later ones read by name, then the
value and, where it can be only a lower bound, the flag that says so.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta

from crmsync.levelling import sql
from crmsync.levelling.atoms import is_flow, window_of
from crmsync.levelling.computed import computed_value
from crmsync.levelling.conditions import condition_of, value_of
from crmsync.levelling.held_for import before_column, days_since, since, since_column
from crmsync.levelling.levelling import Levelling
from crmsync.levelling.measures import COUNTED, Measures, partner_column
from crmsync.levelling.populations import place, ranked, yardstick
from crmsync.levelling.scores import part_value, sum_value
from crmsync.levelling.spots import HORIZON, NOW, RECENT, Spot
from crmsync.levelling.sql import Sql
from crmsync.levelling.standing_before import held_column, member_column, stood_column
from crmsync.levelling.tier_of import TierPosition, criteria_of, other_column
from crmsync.levelling.values import MONEY, NUMBER, Value, as_double, exact, rounded
from crmsync.levelling.windows import Bounds, bounds
from crmsync.programs.program import (
    Computed,
    FromField,
    FromFormula,
    FromGroups,
    FromHeld,
    FromPart,
    FromParts,
    FromPast,
    FromRank,
    FromRows,
    FromTier,
    Metric,
    Unit,
    WhenMissing,
)


@dataclass(frozen=True)
class Derived:
    """The columns of one metric at one spot. `helpers`: layers of columns that the value reads by name."""

    value: Sql
    lost: Sql | None = None
    helpers: list[dict[str, Sql]] = field(default_factory=list)


@dataclass
class Derivations:
    """Compiles derived metrics. `own`: name of the column that holds a metric's own value at a spot; `names`: the
    measures as seen from a spot."""

    levelling: Levelling
    names: Callable[[Spot], Measures]
    own: Callable[[Metric, Spot], str]
    lossy: set[str]
    base: Mapping[str, Sql]  # columns that are there before anything is built on them
    validity: Mapping[str, bool]

    def of(self, metric: Metric, spot: Spot) -> Derived:
        """The value of a metric that is not read from the rows of a table directly."""
        names, file = self.names(spot), self.levelling.file
        match metric.source:
            case FromRows() as source:
                return self._at_pace(metric, source, spot)
            case FromGroups():
                stays = self.own(metric, spot.seen(HORIZON))
                return Derived(sql.col(stays), sql.col(f"{stays}!") if stays in self.lossy else None)
            case FromField() as source:
                return self._field(metric, source, spot)
            case FromFormula(formula=formula):
                if metric.unit is Unit.YES_NO:
                    return Derived(condition_of(formula, names, file))
                return Derived(typed_value(metric, value_of(formula, names, file)))
            case FromPast() as source:
                return Derived(self._from_past(metric, source, spot))
            case FromPart() as source:
                return _of_score(metric, part_value(source, names, file))
            case FromParts() as source:
                return _of_score(metric, sum_value(source, self.levelling.program.metrics, names))
            case Computed() as source:
                return _bounded(computed_value(source, metric, names))
            case FromRank() as source:
                return self._rank(metric, source, spot)
            case FromTier() as source:
                return self._tier(metric, source, spot)
            case FromHeld() as source:
                return self._held(metric, source, spot)
        raise TypeError(f"metric {metric.key}: {type(metric.source).__name__} is not derived")

    # --- fields and flows

    def _field(self, metric: Metric, source: FromField, spot: Spot) -> Derived:
        names, rolled = self.names(spot), f"rolled.{metric.key}"
        if rolled in self.base:
            kind = sql.MONEY if metric.unit is Unit.MONEY else sql.DOUBLE
            lost = sql.col(f"{rolled}!") if f"{rolled}!" in self.base else None
            return Derived(sql.cast(sql.col(rolled), kind), lost)
        return Derived(typed_value(metric, names.value("partners", source.column), source.of_hundred))

    def _at_pace(self, metric: Metric, source: FromRows, spot: Spot) -> Derived:
        stays, recently = (self.own(metric, spot.seen(view)) for view in (HORIZON, RECENT))
        lost = sql.col(f"{stays}!") if stays in self.lossy else None
        window = window_of(metric, self.validity[source.table])
        if not is_flow(metric, window, spot.shifts):
            value: Sql = sql.col(stays)
            return Derived(sql.cast(value, sql.DOUBLE) if source.aggregate in COUNTED else value, lost)
        days = self.levelling.days
        limits: Bounds = bounds(window, days.horizon)
        before = limits.start - timedelta(days=1) if limits.start else days.as_of
        ahead = (days.horizon - max(days.as_of, before)).days  # a short window holds its own days only
        if lost is not None:
            lost = sql.or_(lost, sql.col(f"{recently}!"))
        # exact where it decides: days x recent first, one division at the end
        recent = sql.cast(sql.col(recently), sql.DOUBLE)
        added = sql.div(sql.mul(recent, sql.double(ahead)), sql.double(days.pace_days))
        if metric.unit is Unit.MONEY:
            return Derived(sql.cast(sql.add(sql.col(stays), sql.cents(added)), sql.MONEY), lost)
        return Derived(sql.add(sql.cast(sql.col(stays), sql.DOUBLE), added), lost)

    # --- against the past

    def _from_past(self, metric: Metric, source: FromPast, spot: Spot) -> Sql:
        now = exact(self.names(spot).metric(source.metric))
        base = exact(self.names(spot.earlier((source.shift,))).metric(source.metric))
        if not source.relative:
            return typed_value(metric, _difference(now, base))
        growth = sql.div(as_double(_difference(now, base)).sql, as_double(base).sql)
        zero = sql.double(source.when_base_is_zero) if source.when_base_is_zero is not None else sql.null(sql.DOUBLE)
        branches = [
            (sql.or_(sql.is_null(now.sql), sql.is_null(base.sql)), sql.null(sql.DOUBLE)),
            (sql.eq(rounded(base).sql, sql.number(0)), zero),
            (sql.lt(base.sql, sql.number(0)), sql.null(sql.DOUBLE)),
        ]
        return sql.case(branches, growth)

    # --- places in a population

    def _rank(self, metric: Metric, source: FromRank, spot: Spot) -> Derived:
        names, program, file = self.names(spot), self.levelling.program, self.levelling.file
        if source.within_category and spot.category is None:
            return Derived(sql.null(sql.DOUBLE))  # outside of a category there is no such population
        asked = [source.where] if source.within_category else [program.takes_part, source.where]
        conditions = [condition_of(formula, names, file) for formula in asked if formula is not None]
        if source.within_category and spot.category is not None:
            conditions.append(self._belongs(spot.category, names))
        within = [sql.col(partner_column(column)) for column in source.within]
        value = names.metric(source.metric)
        flag, measure = (f"{self.own(metric, spot)}?{what}" for what in ("ranked", "measure"))
        lower = metric.lower_is_better or program.metrics[source.metric].lower_is_better
        helpers = [{flag: ranked(value, conditions, within), measure: yardstick(value)}]
        return Derived(place(source, sql.col(measure), sql.col(flag), within, lower), helpers=helpers)

    # --- tiers, and how long

    def _tier(self, metric: Metric, source: FromTier, spot: Spot) -> Derived:
        if source.program is not None:
            return Derived(sql.cast(sql.col(other_column(metric.key)), sql.DOUBLE))
        one = TierPosition(self.levelling, source, self.own(metric, spot))
        seen = self.names(replace(spot, split=None, category=source.category or spot.category))
        helpers, position = one.layers(seen)
        if source.category is not None:
            member = self._belongs(source.category, seen)
            position = sql.case([(sql.coalesce(member, sql.false()), position)], sql.number(0))
        return Derived(sql.cast(position, sql.DOUBLE), helpers=helpers)

    def _belongs(self, category: str, names: Measures) -> Sql:
        """Whether a partner belongs to a category: unknown keeps the standing, where there is one."""
        program, file, stood = self.levelling.program, self.levelling.file, sql.col(stood_column(category))
        takes_part = condition_of(program.takes_part, names, file) if program.takes_part is not None else sql.true()
        member = program.categories[category].member
        belongs = condition_of(member, names, file) if member is not None else sql.true()
        if "category_in" in self.levelling.filled:
            belongs = sql.coalesce(sql.col(member_column(category)), belongs)
        return sql.and_(*(one if one == sql.true() else sql.coalesce(one, stood) for one in (takes_part, belongs)))

    def _held(self, metric: Metric, source: FromHeld, spot: Spot) -> Derived:
        day = self.names(spot).as_of()
        if source.criterion is None:
            if spot.category is None:
                return Derived(sql.null(sql.DOUBLE))  # outside of a category nothing is granted
            return Derived(days_since(day, sql.col(held_column(spot.category, metric.key))))
        holds = criteria_of(self.levelling, self.names(spot)).criterion(source.criterion)
        first = since_column(metric.key, spot)
        if spot.view != NOW:
            served = sql.and_(sql.coalesce(holds, sql.false()), sql.not_null(sql.col(first)))
            return Derived(sql.case([(served, days_since(day, sql.col(first)))], sql.double(0)))
        before = sql.col(before_column(metric.key, spot.category))
        return Derived(days_since(day, sql.col(first)), helpers=[{first: since(holds, before, day)}])


def _of_score(metric: Metric, value: Value) -> Derived:
    """What is unknown leaves no rest to be a lower bound: as zero it is exact."""
    if metric.when_missing is WhenMissing.ZERO and value.lower_bound is not None:
        value = replace(value, lower_bound=sql.and_(value.lower_bound, sql.not_null(value.sql)))
    return _bounded(value)


def _bounded(value: Value) -> Derived:
    return Derived(value.sql, value.lower_bound)


def _difference(now: Value, base: Value) -> Value:
    if now.kind == MONEY and base.kind == MONEY:
        return Value(sql.sub(now.sql, base.sql), MONEY, unknown=True)
    return Value(sql.sub(as_double(now).sql, as_double(base).sql), NUMBER, unknown=True, computed=True)


def typed_value(metric: Metric, value: Value, of_hundred: bool = False) -> Sql:
    """A value with the type that the metric's unit asks for; what is built on a lower bound is unknown."""
    value = exact(value)
    if metric.unit is Unit.MONEY:
        return sql.money(value.sql) if value.kind == MONEY else sql.cents(as_double(value).sql)
    if metric.unit is Unit.TEXT:
        return sql.cast(value.sql, sql.TEXT)
    if metric.unit is Unit.YES_NO:
        return value.sql
    number = as_double(value).sql
    return sql.div(number, sql.double(100)) if of_hundred else number
