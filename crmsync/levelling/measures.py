"""The table of measures as formulas, criteria and standings see it: a row per partner, a column per metric and spot."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from crmsync.levelling import sql
from crmsync.levelling.scores import attributes_of, numbers_of
from crmsync.levelling.spots import HORIZON, NOW, PACE, Spot, Spots, column_of, inputs_of, presence_of
from crmsync.levelling.sql import Sql
from crmsync.levelling.values import COUNT, KIND_OF_UNIT, NUMBER, Value
from crmsync.programs.program import (
    Aggregate,
    Criterion,
    Formula,
    FromField,
    FromFormula,
    FromHeld,
    FromPart,
    FromParts,
    FromRank,
    FromRows,
    Metric,
    Program,
    Unit,
)

COUNTED = frozenset({Aggregate.COUNT, Aggregate.COUNT_DISTINCT})
VIEWS = (NOW, HORIZON, PACE)


def text_column(metric: str, split: str | None = None) -> str:
    """Name of the column that holds a metric's value of today as standings show it."""
    return f"{metric}@text" if split is None else column_of(f"{metric}@text", Spot(NOW, split=split))


def partner_column(column: str) -> str:
    """Name of a partner column in the table of measures."""
    return f"partners.{column}"


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
    credited: frozenset[str] = frozenset()  # metrics that an override adds to: their counts need not be whole
    splits: Mapping[str, tuple[str, ...]] = field(default_factory=dict)  # split metric -> the values of its column

    def as_of(self) -> Sql:
        return self.as_of_sql

    def value(self, table: str, column: str) -> Value:
        if table == "metric":
            return self.metric(column)
        return Value(sql.col(partner_column(column), self.alias), self.kinds[column])

    def metric(self, key: str) -> Value:
        """A metric as seen from this spot."""
        metric, spot = self.spots.program.metrics[key], self.spots.at(key, self.spot)
        column = column_of(key, spot)
        lower_bound = sql.col(f"{column}!", self.alias) if column in self.lossy else None
        kind = kind_of(metric, spot.view)
        if kind == COUNT and key in self.credited and takes_credit(spot):
            kind = NUMBER
        text = text_column(key, spot.split)
        shown = sql.col(text, self.alias) if self.shown and metric.unit is not Unit.YES_NO else None
        number = kind == NUMBER
        return Value(
            sql.col(column, self.alias), kind, unknown=True, lower_bound=lower_bound, computed=number, shown=shown
        )

    def has_value(self, keys: Iterable[str]) -> Sql:
        """Whether some record of this split value counts, today, for one of the metrics or what it is built on."""
        rows: dict[str, None] = {}
        waiting = list(keys)
        while waiting:
            metric = self.spots.program.metrics[waiting.pop()]
            if metric.split_by is not None:
                rows[metric.key] = None
            waiting += [key for key in inputs_of(self.spots.program, metric) if key in self.spots.split]
        columns = (sql.col(presence_of(key, self.spot.split or ""), self.alias) for key in sorted(rows))
        return sql.or_(*(sql.coalesce(column, sql.false()) for column in columns))

    def at(self, split: str | None = None, category: str | None = None) -> Measures:
        """The same measures for one split value, or for the row of one category."""
        spot = replace(self.spot, split=split or self.spot.split, category=category or self.spot.category)
        return replace(self, spot=spot)


def takes_credit(spot: Spot) -> bool:
    """Whether an override adds to metrics as seen from here: their totals of today and ahead."""
    return spot.view in VIEWS and not spot.shifts and spot.split is None


def kind_of(metric: Metric, view: str) -> str:
    """Kind of a metric's value: money, number, count, text or yes_no."""
    if metric.unit in KIND_OF_UNIT:
        return KIND_OF_UNIT[metric.unit]
    if isinstance(metric.source, FromRows) and metric.source.aggregate in COUNTED and view != PACE:
        return COUNT
    return NUMBER


def partner_columns_used(program: Program) -> set[str]:
    """Columns of partners that formulas, fields, scores, populations and starting tiers read."""
    used = {column for formula in formulas_of(program) for table, column in formula.columns if table == "partners"}
    for metric in program.metrics.values():
        used |= _columns_of(metric)
    starts = [program.starts_from, *(category.starts_from for category in program.categories.values())]
    return used | {start.column for start in starts if start is not None}


def _columns_of(metric: Metric) -> set[str]:
    match metric.source:
        case FromField(column=column):
            split = {metric.split_by.removeprefix("partners.")} if metric.split_by else set()
            return {column} | split
        case FromRank(within=within):
            return set(within)
        case FromPart() | FromParts() as part:
            return {column for points in numbers_of(part) for column in attributes_of(points)}
        case FromHeld(criterion=Criterion(value=value)):
            return attributes_of(value)
    return set()


def formulas_of(program: Program) -> list[Formula]:
    """Formulas that are read per partner (not per row)."""
    of_metrics = [formula for metric in program.metrics.values() for formula in _formulas_in(metric)]
    of_categories = [f for c in program.categories.values() for f in (c.member, c.observed) if f is not None]
    return [*of_metrics, *of_categories, *([program.takes_part] if program.takes_part else [])]


def _formulas_in(metric: Metric) -> list[Formula]:
    match metric.source:
        case FromFormula(formula=formula):
            return [formula]
        case FromPart(needs=Formula() as needs):
            return [needs]
        case FromRank(where=Formula() as where):
            return [where]
    return []


def with_alias(names: Measures, alias: str | None) -> Measures:
    """The same names, read from a relation of another alias."""
    return replace(names, alias=alias)


def with_shown(names: Measures, shown: bool) -> Measures:
    """The same names, with or without columns that hold the texts of the metrics."""
    return replace(names, shown=shown)
