"""Every metric of every partner: plain aggregates joined to the partners, and what is built on them, layer by layer."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta

from crmsync.levelling import sql
from crmsync.levelling.atoms import Atom, Days, is_flow, window_of
from crmsync.levelling.conditions import condition_of, value_of
from crmsync.levelling.rows import Rows
from crmsync.levelling.spots import HORIZON, NOW, PACE, RECENT, Spot, Spots, column_of
from crmsync.levelling.sql import Sql
from crmsync.levelling.values import COUNT, KIND_OF_UNIT, MONEY, NUMBER, Value, as_double, merged
from crmsync.levelling.windows import Bounds, bounds
from crmsync.programs.program import (
    Aggregate,
    Formula,
    FromField,
    FromFormula,
    FromPast,
    FromRows,
    Metric,
    Program,
    Unit,
    WhenMissing,
)

COUNTED = frozenset({Aggregate.COUNT, Aggregate.COUNT_DISTINCT})
ZERO_WITHOUT_ROWS = COUNTED | {Aggregate.SUM}


def text_column(metric: str) -> str:
    """Name of the column that holds a metric's value of today as standings show it."""
    return f"{metric}@text"


def partner_column(column: str) -> str:
    """Name of a partner column in the table of measures."""
    return f"partners.{column}"


def rolled_column(metric: str) -> str:
    """Name of a field's sum over the subtree in the table of measures."""
    return f"rolled.{metric}"


@dataclass(frozen=True)
class Measures:
    """The table of measures as formulas see it from one spot: one row per partner (and day), a column per metric."""

    spots: Spots
    spot: Spot
    as_of_sql: Sql
    kinds: Mapping[str, str]  # partner column -> kind
    lossy: frozenset[str]  # columns that have a lost flag
    alias: str | None = None
    shown: bool = False  # whether columns hold the texts of the metrics

    def as_of(self) -> Sql:
        return self.as_of_sql

    def value(self, table: str, column: str) -> Value:
        if table == "metric":
            return self.metric(column)
        return Value(sql.col(partner_column(column), self.alias), self.kinds[column])

    def metric(self, key: str) -> Value:
        """A metric in this view."""
        metric = self.spots.program.metrics[key]
        column = self.spots.column(key, self.spot)
        lower_bound = sql.col(f"{column}!", self.alias) if column in self.lossy else None
        kind = kind_of(metric, self.spot.view)
        shown = sql.col(text_column(key), self.alias) if self.shown and metric.unit is not Unit.YES_NO else None
        number = kind == NUMBER
        return Value(
            sql.col(column, self.alias), kind, unknown=True, lower_bound=lower_bound, computed=number, shown=shown
        )


def kind_of(metric: Metric, view: str) -> str:
    """Kind of a metric's value: money, number, count, text or yes_no."""
    if metric.unit in KIND_OF_UNIT:
        return KIND_OF_UNIT[metric.unit]
    if isinstance(metric.source, FromRows) and metric.source.aggregate in COUNTED and view != PACE:
        return COUNT
    return NUMBER


def partner_columns_used(program: Program) -> set[str]:
    """Columns of partners that formulas, fields, attributes and starting tiers read."""
    used = {column for formula in formulas_of(program) for table, column in formula.columns if table == "partners"}
    used |= {metric.source.column for metric in program.metrics.values() if isinstance(metric.source, FromField)}
    starts = [program.starts_from, *(category.starts_from for category in program.categories.values())]
    return used | {start.column for start in starts if start is not None}


def formulas_of(program: Program) -> list[Formula]:
    """Formulas that are read per partner (not per row)."""
    of_metrics = [m.source.formula for m in program.metrics.values() if isinstance(m.source, FromFormula)]
    of_categories = [f for c in program.categories.values() for f in (c.member, c.observed) if f is not None]
    return [*of_metrics, *of_categories, *([program.takes_part] if program.takes_part else [])]


@dataclass
class MeasureQuery:
    """Builds the query of measures; `made` are tables of atoms with their value columns."""

    spots: Spots
    days: Days
    partners: Rows
    validity: Mapping[str, bool]
    file: str
    as_of_sql: Mapping[str, Sql]  # view -> the day it looks from
    lossy: set[str] = field(default_factory=set)
    kinds: dict[str, str] = field(default_factory=dict)

    def build(
        self,
        wanted: Iterable[tuple[str, Spot]],
        atoms: Mapping[str, Atom],
        made: Sequence[tuple[str, list[str]]],
        lossy_atoms: Iterable[str],
        columns: Iterable[str],
        keys: Mapping[str, Sql],
        source: Sql,
        joins: Sequence[tuple[str, Sql, Sql]] = (),
    ) -> Sql:
        """SELECT of keys, partner columns and wanted metrics from `source` (alias f) joined to the tables of atoms."""
        self.lossy |= set(lossy_atoms)
        values: dict[str, Sql] = dict(keys)
        values |= self._partner_values(columns)
        tables = {column: (f"a{i}", name) for i, (name, value_columns) in enumerate(made) for column in value_columns}
        key = keys["partner_id"]
        for column, atom in atoms.items():
            values |= self._atom_values(column, atom, tables.get(column))
        aliases = dict(tables.values())
        atom_joins = [
            ("left", sql.table(name, alias), sql.eq(sql.col("partner_id", alias), key))
            for alias, name in aliases.items()
        ]
        query = sql.select(sql.columns(values), source, [*joins, *self.partners.joins(), *atom_joins])
        for number, layer in enumerate(self._layers(wanted, set(values))):
            query = sql.select([sql.star(), *sql.columns(layer)], sql.subquery(query, f"layer{number}"))
        return query

    def _partner_values(self, columns: Iterable[str]) -> dict[str, Sql]:
        values = {}
        for column in sorted(columns):
            value = self.partners.value("partners", column)
            self.kinds[column] = value.kind
            values[partner_column(column)] = value.sql
        return values | {rolled_column(key): self.partners.rolled(key) for key in sorted(self.partners.rolled_fields)}

    def _atom_values(self, column: str, atom: Atom, where: tuple[str, str] | None) -> dict[str, Sql]:
        zero = atom.source.aggregate in ZERO_WITHOUT_ROWS
        kind = (
            sql.MONEY
            if atom.metric.unit is Unit.MONEY
            else sql.BIGINT
            if atom.source.aggregate in COUNTED
            else sql.DOUBLE
        )
        if atom.metric.unit is Unit.TEXT:
            kind = sql.TEXT
        if where is None:
            value: Sql = sql.cast(sql.number(0), kind) if zero else sql.null(kind)
        else:
            found = sql.col(column, where[0])
            # a partner without rows has 0; one whose sum is unknown has NULL in a row of its own
            none = sql.is_null(sql.col("partner_id", where[0]))
            value = sql.case([(none, sql.cast(sql.number(0), kind))], found) if zero else found
        values = {column: _when_missing(atom.metric, value)}
        if column in self.lossy and where is not None:
            values[atom.lost] = sql.coalesce(sql.col(atom.lost, where[0]), sql.false())
        elif column in self.lossy:
            values[atom.lost] = sql.false()
        return values

    # --- what is built on atoms

    def _layers(self, wanted: Iterable[tuple[str, Spot]], present: set[str]) -> list[dict[str, Sql]]:
        layers: list[dict[str, Sql]] = []
        level: dict[str, int] = {}

        def visit(key: str, spot: Spot) -> int:
            column = column_of(key, spot)
            if column in level:
                return level[column]
            metric = self.spots.program.metrics[key]
            below = [visit(other, there) for other, there in self.spots.inputs(metric, spot)]
            if column in present:
                level[column] = 0
                return 0
            at = max(below, default=0) + 1
            level[column] = at
            while len(layers) < at:
                layers.append({})
            layers[at - 1] |= self._derived(metric, spot)
            return at

        for key, spot in wanted:
            visit(key, self.spots.at(key, spot))
        return layers

    def _names(self, spot: Spot) -> Measures:
        return Measures(self.spots, spot, self.as_of_sql[spot.view], self.kinds, frozenset(self.lossy))

    def _derived(self, metric: Metric, spot: Spot) -> dict[str, Sql]:
        column = column_of(metric.key, spot)
        match metric.source:
            case FromRows() as source:
                return self._at_pace(metric, source, spot)
            case FromField(column=name, of_hundred=of_hundred):
                if metric.key in self.partners.rolled_fields:
                    money = metric.unit is Unit.MONEY
                    typed = sql.cast(sql.col(rolled_column(metric.key)), sql.MONEY if money else sql.DOUBLE)
                else:
                    value = Value(sql.col(partner_column(name)), self.kinds[name])
                    typed = typed_value(metric, value, of_hundred)
            case FromFormula(formula=formula):
                names = self._names(spot)
                if metric.unit is Unit.YES_NO:
                    typed = condition_of(formula, names, self.file)
                else:
                    typed = typed_value(metric, value_of(formula, names, self.file))
            case FromPast():
                typed = self._from_past(metric, metric.source, spot)
        return {column: _when_missing(metric, typed)}

    def _at_pace(self, metric: Metric, source: FromRows, spot: Spot) -> dict[str, Sql]:
        column, lost = column_of(metric.key, spot), column_of(metric.key, spot.seen(HORIZON))
        recently = column_of(metric.key, spot.seen(RECENT))
        stays = sql.col(lost)
        flags = {}
        if lost in self.lossy:
            flags[f"{column}!"] = sql.col(f"{lost}!")
            self.lossy.add(column)
        window = window_of(metric, self.validity[source.table])
        if not is_flow(metric, window, spot.shifts):
            value = stays if source.aggregate not in COUNTED else sql.cast(stays, sql.DOUBLE)
            return {column: value, **flags}
        recent = sql.col(recently)
        limits: Bounds = bounds(window, self.days.horizon)
        before = limits.start - timedelta(days=1) if limits.start else self.days.as_of
        ahead = (self.days.horizon - max(self.days.as_of, before)).days  # a short window holds its own days only
        if flags:
            flags[f"{column}!"] = sql.or_(flags[f"{column}!"], sql.col(f"{recently}!"))
        # exact where it decides: days x recent first, one division at the end
        added = sql.div(sql.mul(sql.cast(recent, sql.DOUBLE), sql.double(ahead)), sql.double(self.days.pace_days))
        if metric.unit is Unit.MONEY:
            return {column: sql.cast(sql.add(stays, sql.cents(added)), sql.MONEY), **flags}
        return {column: sql.add(sql.cast(stays, sql.DOUBLE), added), **flags}

    def _from_past(self, metric: Metric, source: FromPast, spot: Spot) -> Sql:
        now = self._names(spot).metric(source.metric)
        base = self._names(spot.earlier((source.shift,))).metric(source.metric)
        if not source.relative:
            return typed_value(metric, _difference(now, base))
        growth = sql.div(as_double(_difference(now, base)).sql, as_double(base).sql)
        zero = sql.double(source.when_base_is_zero) if source.when_base_is_zero is not None else sql.null(sql.DOUBLE)
        unknown = [side.lower_bound for side in (now, base) if side.lower_bound is not None]
        branches = [(sql.or_(*unknown), sql.null(sql.DOUBLE))] if unknown else []
        branches += [
            (sql.or_(sql.is_null(now.sql), sql.is_null(base.sql)), sql.null(sql.DOUBLE)),
            (sql.eq(base.sql, sql.number(0)), zero),
            (sql.lt(base.sql, sql.number(0)), sql.null(sql.DOUBLE)),
        ]
        return sql.case(branches, growth)


def _difference(now: Value, base: Value) -> Value:
    if now.kind == MONEY and base.kind == MONEY:
        result = sql.sub(now.sql, base.sql)
        kind = MONEY
    else:
        result, kind = sql.sub(as_double(now).sql, as_double(base).sql), NUMBER
    lost = [side.lower_bound for side in (now, base) if side.lower_bound is not None]
    if lost:
        result = sql.case([(sql.or_(*lost), sql.null())], result)
    return Value(result, kind, unknown=True, computed=kind == NUMBER)


def typed_value(metric: Metric, value: Value, of_hundred: bool = False) -> Sql:
    """A value with the type that the metric's unit asks for; what is built on a lower bound is unknown."""
    if value.lower_bound is not None:
        value = merged(value.sql, value.kind, value)
    if metric.unit is Unit.MONEY:
        exact = value.sql if value.kind == MONEY else as_double(value).sql
        return sql.cents(exact)
    if metric.unit is Unit.TEXT:
        return sql.cast(value.sql, sql.TEXT)
    if metric.unit is Unit.YES_NO:
        return value.sql
    number = as_double(value).sql
    return sql.div(number, sql.double(100)) if of_hundred else number


def _when_missing(metric: Metric, value: Sql) -> Sql:
    if metric.when_missing is not WhenMissing.ZERO:
        return value
    zero = {Unit.YES_NO: sql.false(), Unit.TEXT: sql.text("")}.get(metric.unit, sql.number(0))
    return sql.coalesce(value, zero)


def with_alias(names: Measures, alias: str | None) -> Measures:
    """The same names, read from a relation of another alias."""
    return replace(names, alias=alias)


def with_shown(names: Measures, shown: bool) -> Measures:
    """The same names, with or without columns that hold the texts of the metrics."""
    return replace(names, shown=shown)


VIEWS = (NOW, HORIZON, PACE)
