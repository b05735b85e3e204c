"""What the granted tier gives, and the commission: program-language, section 10. Shares no code with the engine."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction
from typing import Any

from crmsync.programs.program import ByAttribute, MoneyValue, Unit
from tests.levelling.oracle_cells import Lower, number, rounded
from tests.levelling.oracle_paths import text
from tests.levelling.oracle_standing import Standing


def benefits(standing: Standing) -> dict[str, str] | None:
    """Each benefit that the granted tier has, as text; None: the program has none at all."""
    program = standing.program
    names = [name for one in program.ladders.values() for tier in one.tiers for name in tier.benefits]
    if not names and program.commission is None:
        return None
    given: dict[str, Any] = {}
    for tier in standing.ladder.tiers[: max(standing.granted, 0)]:
        given |= tier.benefits
    found = {name: _shown(standing, one.value, one.unit) for name, one in given.items() if one.value is not None}
    if program.commission is not None:
        found["commission"] = text(_commission(standing), Unit.PERCENT)
    return {name: value for name, value in found.items() if value is not None}


def _chosen(standing: Standing, value: Any) -> Any:
    """What stands for this partner in a table by an attribute, its category or its tier."""
    while isinstance(value, ByAttribute):
        cell: Any = standing.cells.get(value.column)
        if value.column == "category":
            cell = standing.category.key
        elif value.column == "tier":
            cell = standing.ladder.tiers[standing.granted - 1].key if standing.granted > 0 else None
        value = value.cases.get(str(cell), value.default) if cell is not None else value.default
    return value


def _shown(standing: Standing, value: Any, unit: Unit) -> str | None:
    value = _chosen(standing, value)
    if isinstance(value, MoneyValue):
        world = standing.day.world
        factor = world.factor(value.currency, standing.program.effective_from or standing.day.as_of)
        assert factor is not None
        value = number(value.amount) * factor
    if isinstance(value, str):
        return value
    value = number(value) if isinstance(value, Decimal) else value
    return text(rounded(value, 2) if unit is Unit.MONEY else value, unit)


def _commission(standing: Standing) -> Fraction:
    """The rate of the highest band reached; unknown gives the lowest, below the lowest there is none."""
    commission = standing.program.commission
    assert commission is not None
    found = standing.day.world.metric(standing.partner, commission.of, standing.seen())
    found = found.value if isinstance(found, Lower) else found
    rate = Fraction(commission.bands[0][1])
    if found is not None:
        reached = [rate for start, rate in commission.bands if rounded(found, 9) >= Fraction(start)]
        rate = Fraction(reached[-1]) if reached else Fraction(0)
    return rate if commission.max is None else min(rate, Fraction(_chosen(standing, commission.max)))
