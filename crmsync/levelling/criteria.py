"""Criteria and the groups they stand in, as three-valued conditions over the measures.

Thresholds are cells of a one-row table that is joined, never literals: a changed threshold needs no new text.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import date
from decimal import Decimal
from types import MappingProxyType

import pyarrow as pa
from sqlglot import exp

from crmsync.errors import ConfigError
from crmsync.levelling import sql
from crmsync.levelling.comparisons import compared
from crmsync.levelling.measures import Measures, partner_column
from crmsync.levelling.money import Money, threshold_factor
from crmsync.levelling.sheets import choices
from crmsync.levelling.spots import HORIZON, PACE
from crmsync.levelling.sql import Sql
from crmsync.levelling.values import MONEY, NUMBER, WORDS, YES_NO, Value, rounded, show
from crmsync.programs.program import (
    ByAttribute,
    Comparison,
    Criterion,
    FromSheet,
    Group,
    Junction,
    MoneyValue,
    OtherMetric,
    Program,
    Requirement,
    Tier,
    Unit,
    WhenMissing,
)
from crmsync.programs.program import Value as Required

LIMITS = "limits"

WHOLE = 10**15
"""Whole numbers below this are exact as a DOUBLE and as text."""

COMPARISONS: Mapping[Comparison, type[Sql]] = MappingProxyType(
    {
        Comparison.GE: exp.GTE,
        Comparison.GT: exp.GT,
        Comparison.LE: exp.LTE,
        Comparison.LT: exp.LT,
        Comparison.EQ: exp.EQ,
    }
)


def exempt_column(metric: str, view: str) -> str:
    """Name of the column that says whether a partner is exempt from a metric's criteria in a view."""
    return f"exempt:{metric}@{view}"


@dataclass
class Limits:
    """The thresholds of a program, collected while criteria are compiled: one column each."""

    money: Money
    effective_from: date | None
    as_of: date
    file: str
    columns: dict[str, pa.Array] = field(default_factory=dict)
    _known: dict[tuple[object, ...], str] = field(default_factory=dict)

    def number(self, value: Decimal) -> Value:
        """A threshold that is a number."""
        plain = f"{value.normalize():f}"
        return self._cell(NUMBER, value, pa.array([float(value)], pa.float64()), plain)

    def amount(self, value: Decimal) -> Value:
        """A threshold that is money in the program's currency."""
        cents = value.quantize(Decimal("0.01"), "ROUND_HALF_UP")
        return self._cell(MONEY, value, pa.array([cents], pa.decimal128(28, 2)), f"{cents:f}")

    def converted(self, value: MoneyValue, line: int) -> Value:
        """A threshold in another currency, at the rate on the version's effective_from (as_of where it has none)."""
        factor = threshold_factor(self.money, value.currency, self.effective_from or self.as_of)
        if not isinstance(factor, Decimal):
            raise ConfigError(
                f"there is no rate for the threshold {value.amount} {value.currency}", file=self.file, line=line
            )
        return self.amount(value.amount * factor)

    def table(self) -> pa.Table:
        """The one-row table of all thresholds."""
        return pa.table(self.columns or {"none": pa.array([True])})

    def _cell(self, kind: str, key: Decimal, value: pa.Array, shown: str) -> Value:
        column = self._known.setdefault((kind, key), f"limit_{len(self._known)}")
        self.columns.setdefault(column, value)
        self.columns.setdefault(f"{column}_text", pa.array([shown]))
        whole = kind == NUMBER and key == key.to_integral_value() and abs(key) < WHOLE
        return Value(sql.col(column), kind, shown=sql.col(f"{column}_text"), sure=True, whole=whole)


@dataclass(frozen=True)
class Criteria:
    """Compiles requirements against one view of the measures."""

    program: Program
    names: Measures
    limits: Limits
    spare: Decimal | None = None  # ask for this fraction more than required (risk: near)
    slots: Slots | None = None  # columns that hold what was computed once for all tiers
    exempt: frozenset[str] = frozenset()  # columns that say who is exempt from a metric's criteria
    exempt_in: str = ""  # what the names of these columns begin with
    turned: bool = False  # inside `none`: what counts for the partner is that a criterion is not met

    def tier_holds(self, requirement: Group | None) -> Sql:
        """Whether a tier's requirement holds: true, false or NULL (undecided)."""
        return sql.true() if requirement is None else self.holds(requirement)

    def holds(self, requirement: Requirement) -> Sql:
        """A criterion or group as a three-valued condition."""
        if isinstance(requirement, Criterion):
            return self.criterion(requirement)
        inner = self if requirement.junction is not Junction.NONE else self._turned()
        parts = [inner.holds(part) for part in requirement.parts]
        match requirement.junction:
            case Junction.ALL:
                return sql.and_(*parts)
            case Junction.ANY:
                return sql.or_(*parts)
            case Junction.NONE:
                return sql.not_(sql.or_(*parts))
            case _:
                return _at_least(parts, requirement.at_least, [parts[i] for i in requirement.including])

    def _turned(self) -> Criteria:
        # inside `none` a criterion is spared by missing it more widely
        return replace(self, spare=-self.spare if self.spare is not None else None, turned=not self.turned)

    def as_turned(self, turned: bool) -> Criteria:
        """The same criteria, asked for whether they hold, or for whether they do not."""
        return self if turned == self.turned else self._turned()

    def criterion(self, criterion: Criterion) -> Sql:
        """One comparison; a metric with `when_missing: fail` is unmet where it is unknown."""
        if self.slots is not None:
            return self.slots.met(criterion, self)
        return self.computed(criterion)

    def computed(self, criterion: Criterion) -> Sql:
        """The comparison itself, where `criterion` may be a column that holds it."""
        return self.against(criterion, self.asked(criterion, self.required(criterion)))

    def asked(self, criterion: Criterion, required: Value) -> Value:
        """What is asked of a criterion that requires this much."""
        return required if self.spare is None else self._with_spare(criterion, required)

    def against(self, criterion: Criterion, required: Value) -> Sql:
        """Whether the metric of a criterion reaches what is asked."""
        value = self.value(criterion)
        if self.slots is not None and required.kind != MONEY:
            value = self.slots.rounded(value)
        answer = compared(COMPARISONS[criterion.comparison], value, required)
        if self.program.metrics[criterion.metric].when_missing is WhenMissing.FAIL:
            answer = sql.coalesce(answer, sql.false())
        exempt = self.exempt_column(criterion)
        if exempt is None:
            return answer
        is_exempt = sql.coalesce(sql.col(self.exempt_in + exempt), sql.false())
        return sql.case([(is_exempt, sql.false() if self.turned else sql.true())], answer)

    def exempt_column(self, criterion: Criterion) -> str | None:
        """Name of the column that says who is exempt from a criterion in this view; None where nobody is."""
        view = self.names.spot.view
        column = exempt_column(criterion.metric, HORIZON if view == PACE else view)
        return column if column in self.exempt else None

    def _with_spare(self, criterion: Criterion, required: Value) -> Value:
        if required.kind not in (MONEY, NUMBER) or criterion.comparison is Comparison.EQ or self.spare is None:
            return required
        upwards = criterion.comparison in (Comparison.GE, Comparison.GT)
        part = sql.mul(sql.abs_(sql.cast(required.sql, sql.DOUBLE)), sql.double(self.spare if upwards else -self.spare))
        if required.kind == MONEY:
            return replace(required, sql=sql.add(required.sql, sql.cents(part)), shown=None, whole=False)
        return replace(required, sql=sql.add(required.sql, part), computed=True, shown=None, whole=False)

    def value(self, criterion: Criterion) -> Value:
        """The metric's value in this view."""
        return self.names.metric(criterion.metric)

    def required(self, criterion: Criterion) -> Value:
        """What the criterion compares with."""
        required = self._required(criterion.value, criterion)
        return self.slots.required(criterion, required) if self.slots is not None else required

    def _required(self, value: Required, criterion: Criterion) -> Value:
        if isinstance(value, OtherMetric):
            return self.names.metric(value.key)
        if isinstance(value, ByAttribute):
            return self._by_attribute(value, criterion)
        if isinstance(value, FromSheet):
            return self._from_sheet(value, criterion)
        if isinstance(value, bool):
            return Value(sql.true() if value else sql.false(), YES_NO)
        if isinstance(value, str):
            return Value(sql.text(value), WORDS)
        if isinstance(value, MoneyValue):
            return self.limits.converted(value, criterion.line)
        if self.program.metrics[criterion.metric].unit is Unit.MONEY:
            return self.limits.amount(value)
        return self.limits.number(value)

    def _by_attribute(self, value: ByAttribute, criterion: Criterion) -> Value:
        cell = sql.cast(sql.col(partner_column(value.column), self.names.alias), sql.TEXT)
        otherwise = self._required(value.default, criterion)
        branches = [(sql.eq(cell, sql.text(key)), self._required(case, criterion)) for key, case in value.cases.items()]
        chosen = sql.case([(when, then.sql) for when, then in branches], otherwise.sql)
        sides = [then for _, then in branches] + [otherwise]
        shown = sql.case([(when, show(then)) for when, then in branches], show(otherwise))
        unknown, sure = any(side.unknown for side in sides), all(side.sure for side in sides)
        whole = all(side.whole for side in sides)
        return Value(chosen, otherwise.kind, unknown=unknown, shown=shown, sure=sure, whole=whole)

    def _from_sheet(self, sheet: FromSheet, criterion: Criterion) -> Value:
        """The row of a threshold sheet that fits best; unknown where none fits, or two fit equally well."""
        values = [self._required(row.value, criterion) for row in sheet.rows]
        chosen, shown = [], []
        for place, condition in choices(sheet, self.names.alias):
            known = values[place] if place is not None else None
            chosen.append((condition, known.sql if known is not None else sql.null()))
            shown.append((condition, show(known) if known is not None else sql.null(sql.TEXT)))
        return Value(sql.case(chosen), values[0].kind, unknown=True, shown=sql.case(shown))


def is_cell(criterion: Criterion, required: Value) -> bool:
    """Whether what a criterion compares with is a threshold of the program, not another metric."""
    return not required.unknown or isinstance(criterion.value, FromSheet)


class Slots:
    """Columns for what many tiers ask alike: the required value of a criterion, and whether it is met in a view.

    The `met_columns` read the others.
    """

    def __init__(self) -> None:
        self.required_columns: dict[str, Sql] = {}
        self.rounded_columns: dict[str, Sql] = {}
        self.met_columns: dict[str, Sql] = {}
        self._numbers: dict[str, int] = {}

    def _number(self, criterion: Criterion) -> int:
        key = f"{criterion.metric} {criterion.comparison} {criterion.value!r}"
        return self._numbers.setdefault(key, len(self._numbers))

    def required(self, criterion: Criterion, required: Value) -> Value:
        """The required value as a column; one that is another metric differs by view and stays as it is."""
        if not is_cell(criterion, required):
            return required
        name = f"required_{self._number(criterion)}"
        self.required_columns.setdefault(name, required.sql)
        self.required_columns.setdefault(f"{name}_text", show(required))
        return replace(required, sql=sql.col(name), shown=sql.col(f"{name}_text"))

    def rounded(self, value: Value) -> Value:
        """A number as it is compared, rounded once for all tiers."""
        if value.kind != NUMBER or not value.computed or not isinstance(value.sql, exp.Column):
            return value
        name = f"{value.sql.name}|rounded"
        self.rounded_columns.setdefault(name, rounded(value).sql)
        return replace(value, sql=sql.col(name), computed=False)

    def met(self, criterion: Criterion, criteria: Criteria) -> Sql:
        """Whether the criterion is met, as a column."""
        spare = "" if criteria.spare is None else f"{criteria.spare:+f}"
        turned = "!" if criteria.turned and criteria.exempt_column(criterion) is not None else ""
        name = f"met_{self._number(criterion)}@{criteria.names.spot.view}{spare}{turned}"
        if name not in self.met_columns:
            self.met_columns[name] = criteria.computed(criterion)
        return sql.col(name)


def _at_least(parts: list[Sql], count: int, including: list[Sql]) -> Sql:
    met = _total([sql.coalesce(part, sql.false()) for part in parts])
    possible = _total([sql.coalesce(part, sql.true()) for part in parts])
    enough = sql.case(
        [(sql.ge(met, sql.number(count)), sql.true()), (sql.lt(possible, sql.number(count)), sql.false())],
        sql.null(sql.BOOLEAN),
    )
    return sql.and_(enough, *including)


def _total(flags: list[Sql]) -> Sql:
    total: Sql = sql.number(0)
    for flag in flags:
        total = sql.add(total, sql.case([(flag, sql.number(1))], sql.number(0)))
    return total


def attributes_used(program: Program) -> set[str]:
    """Partner columns that thresholds depend on."""
    found: set[str] = set()

    def visit_value(value: Required) -> None:
        if isinstance(value, ByAttribute):
            found.add(value.column)
            for inner in (*value.cases.values(), value.default):
                visit_value(inner)
        if isinstance(value, FromSheet):
            found.update(column for row in value.rows for column in row.attributes)

    def visit(requirement: Requirement) -> None:
        if isinstance(requirement, Criterion):
            visit_value(requirement.value)
        else:
            for part in requirement.parts:
                visit(part)

    for tier in tiers_of(program):
        for requirement in (tier.requires, tier.keeps):
            if requirement is not None:
                visit(requirement)
    return found


def tiers_of(program: Program) -> list[Tier]:
    """Every tier of every ladder."""
    return [tier for ladder in program.ladders.values() for tier in ladder.tiers]
