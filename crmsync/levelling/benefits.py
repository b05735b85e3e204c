"""Benefits: what the granted tier gives, the commission rate that joins them, and what they cost.

Source: program-language, section 10. A tier has what it names and, of what it does not name, what the tier below has.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from crmsync.errors import ConfigError
from crmsync.levelling import sql
from crmsync.levelling.conditions import value_of
from crmsync.levelling.measures import Measures, partner_column
from crmsync.levelling.money import Money, threshold_factor
from crmsync.levelling.sql import Sql
from crmsync.levelling.tiers import key_at
from crmsync.levelling.values import MONEY, NUMBER, WORDS, Value, as_double, rounded
from crmsync.programs.program import Benefit, ByAttribute, Ladder, MoneyValue, Program, Unit
from crmsync.programs.program import Value as Written

COMMISSION = "commission"
CATEGORY, TIER = "category", "tier"
"""Words that `by:` of a benefit or of the commission's `max` may name beside columns of the partner."""


_Writer = Callable[[Written], Sql]


def benefit_names(program: Program) -> list[str]:
    """The benefits of all ladders in file order, then `commission` where the program has one."""
    names = dict.fromkeys(
        name for ladder in program.ladders.values() for tier in ladder.tiers for name in tier.benefits
    )
    return [*names, *([COMMISSION] if program.commission else [])]


def benefits_type(program: Program) -> str:
    """The type of the column `benefits`: a text per name; plain text, always null, where the program has none."""
    names = benefit_names(program)
    return f"STRUCT<{', '.join(f'{name} TEXT' for name in names)}>" if names else sql.TEXT


def benefit_columns(program: Program) -> set[str]:
    """Columns of partners that benefits and the commission depend on."""
    written = [b.value for ladder in program.ladders.values() for tier in ladder.tiers for b in tier.benefits.values()]
    if program.commission is not None:
        written.append(program.commission.max)
    of_values = {column for value in written for column in _columns(value)}
    of_costs = {column for one in program.costs.values() for table, column in one.columns if table == "partners"}
    return of_values | of_costs


def _columns(value: Written | None) -> set[str]:
    if not isinstance(value, ByAttribute):
        return set()
    own = set() if value.column in (CATEGORY, TIER) else {value.column}
    return own.union(*(_columns(one) for one in (*value.cases.values(), value.default)))


@dataclass(frozen=True)
class Benefits:
    """Benefits of one category over the rows of its standings. `granted`: the column with the granted position."""

    program: Program
    category: str
    names: Measures
    money: Money
    on: date  # the day whose rate converts an amount in another currency
    granted: str = "granted"

    @property
    def ladder(self) -> Ladder:
        return self.program.ladder_of(self.category)

    def struct(self) -> Sql:
        """Every benefit as exact decimal text or text, null where the tier has none. Shape: `benefits_type`."""
        names = benefit_names(self.program)
        if not names:
            return sql.null(benefits_type(self.program))
        return sql.struct({name: self._shown(self.value(name)) for name in names})

    def costs(self) -> dict[str, Sql]:
        """Each cost of the program in money, rounded to cents; NULL where it is unknown."""
        return {
            key: sql.cents(as_double(value_of(formula, _CostNames(self), str(self.program.file))).sql)
            for key, formula in self.program.costs.items()
        }

    def value(self, name: str) -> Value:
        """One benefit of the granted tier as a value."""
        if name == COMMISSION and self.program.commission is not None:
            return self._commission()
        of_tiers = [one.get(name) for one in self.ladder.benefits()]
        unit = next((one.unit for one in of_tiers if one is not None), Unit.TEXT)
        granted = sql.col(self.granted)
        branches = [
            (sql.eq(granted, sql.number(position)), self._written(one.value, one))
            for position, one in enumerate(of_tiers, 1)
            if one is not None and one.value is not None
        ]
        return Value(sql.case(branches, sql.null(_TYPES[_KINDS[unit]])), _KINDS[unit], unknown=True)

    def _written(self, value: Written, benefit: Benefit) -> Sql:
        match value:
            case ByAttribute():
                return self._chosen(value, lambda one: self._written(one, benefit))
            case MoneyValue(amount=amount, currency=currency):
                factor = threshold_factor(self.money, currency, self.on)
                if not isinstance(factor, Decimal):
                    raise ConfigError(
                        f"there is no rate for the benefit {amount} {currency}",
                        file=str(self.program.file), line=benefit.line,
                    )  # fmt: skip
                return _literal(amount * factor, Unit.MONEY)
            case Decimal() | str():
                return _literal(value, benefit.unit)
            case _:
                raise ConfigError(
                    f"`{value}` is not a benefit: write a percent, money, a number or a text",
                    file=str(self.program.file), line=benefit.line,
                )  # fmt: skip

    def _chosen(self, value: ByAttribute, written: _Writer) -> Sql:
        if value.column == CATEGORY:
            return written(value.cases.get(self.category, value.default))
        if value.column == TIER:
            cell = key_at(self.ladder, sql.col(self.granted))
        else:
            cell = sql.cast(sql.col(partner_column(value.column), self.names.alias), sql.TEXT)
        branches = [(sql.eq(cell, sql.text(key)), written(one)) for key, one in value.cases.items()]
        return sql.case(branches, written(value.default))

    def _commission(self) -> Value:
        """The rate of the highest band reached; unknown gives the lowest band, below the lowest there is none (0)."""
        commission = self.program.commission
        assert commission is not None
        of = self.names.metric(commission.of)
        reached = as_double(rounded(of)).sql
        bands = [(sql.ge(reached, sql.double(start)), sql.double(rate)) for start, rate in reversed(commission.bands)]
        lowest = sql.double(commission.bands[0][1])
        rate = sql.case([(sql.is_null(of.sql), lowest), *bands], sql.double(0))
        if commission.max is not None:
            rate = sql.least_known(rate, self._most(commission.max))
        return Value(rate, NUMBER, computed=True)

    def _most(self, value: Written) -> Sql:
        if isinstance(value, ByAttribute):
            return self._chosen(value, self._most)
        assert isinstance(value, Decimal)
        return sql.double(value)

    def _shown(self, value: Value) -> Sql:
        if value.kind == NUMBER:
            return sql.number_text(value.sql)
        return sql.cast(value.sql, sql.TEXT)


_KINDS = {Unit.PERCENT: NUMBER, Unit.NUMBER: NUMBER, Unit.MONEY: MONEY, Unit.TEXT: WORDS}
_TYPES = {NUMBER: sql.DOUBLE, MONEY: sql.MONEY, WORDS: sql.TEXT}


def _literal(value: Decimal | str, unit: Unit) -> Sql:
    if isinstance(value, str):
        return sql.text(value)
    if unit is Unit.MONEY:
        return sql.decimal(value.quantize(Decimal("0.01"), "ROUND_HALF_UP"), sql.MONEY)
    return sql.double(value)


class _CostNames:
    """What a cost names: benefits as table `benefit`, metrics, and columns of the partner."""

    def __init__(self, benefits: Benefits) -> None:
        self._benefits = benefits

    def value(self, table: str, column: str) -> Value:
        if table == "benefit":
            return self._benefits.value(column)
        return self._benefits.names.value(table, column)

    def as_of(self) -> Sql:
        return self._benefits.names.as_of()
