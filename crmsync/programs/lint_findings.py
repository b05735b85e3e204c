"""A finding of lint: a place, a kind, and plain words; and how values are written in them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from itertools import product

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
    Scalar,
    Tier,
    Unit,
    Value,
    criteria_of,
)

OTHERS = ""
"""An attribute's value that no table lists."""

Attributes = Mapping[str, str]
"""Column of partners -> value; OTHERS for any that is not listed."""

Leaf = Scalar | MoneyValue | OtherMetric
_MOST = 2_000  # combinations of attributes that are looked at


@dataclass(frozen=True)
class Finding:
    """Something of a program that is allowed, but hardly meant. `kind`: a short word of the list in docs/lint.md."""

    kind: str
    file: str
    line: int
    message: str

    @property
    def text(self) -> str:
        """One line for people."""
        return f"{self.file}:{self.line}: {self.kind}: {self.message}"


def found(program: Program, kind: str, line: int, message: str) -> Finding:
    """A finding in the file of a program."""
    return Finding(kind, str(program.file), line, message)


# --- criteria


def conjuncts(part: Requirement | None) -> Iterator[Criterion]:
    """The criteria that must all be met, those inside nested `all` too."""
    if isinstance(part, Criterion):
        yield part
    elif isinstance(part, Group) and part.junction is Junction.ALL:
        for one in part.parts:
            yield from conjuncts(one)


def metrics_asked(part: Requirement | None) -> set[str]:
    """The metrics that a requirement names."""
    asked = {criterion.metric for criterion in criteria_of(part)}
    return asked | {leaf.key for c in criteria_of(part) for leaf in leaves(c.value) if isinstance(leaf, OtherMetric)}


def leaves(value: Value) -> Iterator[Leaf]:
    """Every value that a threshold can take."""
    if isinstance(value, ByAttribute):
        for one in (*value.cases.values(), value.default):
            yield from leaves(one)
    elif isinstance(value, FromSheet):
        for row in value.rows:
            yield from leaves(row.value)
    else:
        yield value


def attributes_of(*values: Value) -> list[Attributes]:
    """Every combination of attributes that makes a difference to these values."""
    listed: dict[str, dict[str, None]] = {}
    for value in values:
        _list_attributes(value, listed)
    sizes = 1
    for cases in listed.values():
        sizes *= len(cases) + 1
    if sizes > _MOST:
        return [{}]
    columns = list(listed)
    return [dict(zip(columns, one, strict=True)) for one in product(*((*listed[c], OTHERS) for c in columns))]


def _list_attributes(value: Value, listed: dict[str, dict[str, None]]) -> None:
    if isinstance(value, ByAttribute):
        listed.setdefault(value.column, {}).update(dict.fromkeys(value.cases))
        for one in (*value.cases.values(), value.default):
            _list_attributes(one, listed)
    elif isinstance(value, FromSheet):
        for row in value.rows:
            for column, cell in row.attributes.items():
                listed.setdefault(column, {})[cell] = None
            _list_attributes(row.value, listed)


def value_for(value: Value, attributes: Attributes) -> Leaf | None:
    """What a threshold is for a partner with these attributes; None where a table has no row for it."""
    if isinstance(value, ByAttribute):
        return value_for(value.cases.get(attributes.get(value.column, OTHERS), value.default), attributes)
    if isinstance(value, FromSheet):
        for row in value.rows:
            if all(attributes.get(column) == cell for column, cell in row.attributes.items()):
                return value_for(row.value, attributes)
        return None
    return value


# --- words


def for_whom(attributes: Attributes) -> str:
    """` for region EMEA`; nothing where no attribute is listed."""
    named = [f"{column} {value}" for column, value in attributes.items() if value != OTHERS]
    return f" for {', '.join(named)}" if named else ""


def shown(value: Leaf | None, unit: Unit | None = None) -> str:
    """A value as the file writes it."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Decimal):
        return number(value * 100) + "%" if unit is Unit.PERCENT else number(value)
    if isinstance(value, MoneyValue):
        return f"{number(value.amount)} {value.currency}"
    if isinstance(value, OtherMetric):
        return f"metric {value.key}"
    return "nothing" if value is None else value


def number(value: Decimal) -> str:
    """Without exponent and without trailing zeros."""
    return f"{value.normalize():f}"


def asks(program: Program, criterion: Criterion, leaf: Leaf | None = None) -> str:
    """`revenue >= 500000`."""
    unit = program.metrics[criterion.metric].unit
    value = shown(leaf if leaf is not None else next(leaves(criterion.value)), unit)
    return f"{criterion.metric} {criterion.comparison.value} {value}"


def name(tier: Tier) -> str:
    """A tier as findings call it."""
    return f"tier {tier.key}"


def rising(comparison: Comparison) -> bool | None:
    """Whether a larger threshold is harder (True), easier (False), or neither (None: `=`)."""
    if comparison in (Comparison.GE, Comparison.GT):
        return True
    return False if comparison in (Comparison.LE, Comparison.LT) else None
