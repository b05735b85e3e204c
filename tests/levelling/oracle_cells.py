"""What an expression is worth, evaluated one row at a time over its tree with exact fractions.

Shares no code with the engine. `None` is an empty cell; UNKNOWN is an unknown value, LOST one that hangs on a missing
reference row or rate; `Lower` is a metric that lost a record and keeps the rest.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import ROUND_HALF_UP, Decimal, localcontext
from enum import Enum
from fractions import Fraction
from typing import Any, Protocol

from sqlglot import exp


class Gone(Enum):
    """A value that is not there."""

    UNKNOWN = 1
    LOST = 2


UNKNOWN, LOST = Gone.UNKNOWN, Gone.LOST


@dataclass(frozen=True)
class Lower:
    """A lower bound: some record was lost."""

    value: Any


class Names(Protocol):
    def cell(self, table: str, column: str) -> Any: ...


def number(value: Any) -> Fraction:
    """A number by its shortest decimal text."""
    return Fraction(Decimal(repr(value)) if isinstance(value, float) else Decimal(value))


def rounded(value: Fraction, digits: int) -> Fraction:
    """Half away from zero."""
    scaled = abs(value) * 10**digits
    whole = (2 * scaled.numerator + scaled.denominator) // (2 * scaled.denominator)
    return Fraction(whole if value >= 0 else -whole, 10**digits)


def decimal_text(value: Fraction, digits: int) -> str:
    """A fraction of at most `digits` decimals as text."""
    with localcontext() as context:
        context.prec = 80
        exact = Decimal(value.numerator) / Decimal(value.denominator)
        return format(exact.quantize(Decimal(1).scaleb(-digits), ROUND_HALF_UP), "f")


def before(day: date, count: int, unit: str) -> date:
    """The same day `count` units before; in a shorter month its last day."""
    unit = unit.rstrip("s")
    if unit in ("day", "week"):
        return day - timedelta(days=count * (7 if unit == "week" else 1))
    months = day.year * 12 + day.month - 1 - count * {"month": 1, "quarter": 3, "year": 12}[unit]
    for number_of_day in range(day.day, 27, -1):
        try:
            return date(months // 12, months % 12 + 1, number_of_day)
        except ValueError:
            continue
    return date(months // 12, months % 12 + 1, day.day)


# --- conditions: True, False, UNKNOWN or LOST


def both(parts: list[Any]) -> Any:
    if any(part is False for part in parts):
        return False
    return next((gone for gone in (LOST, UNKNOWN) if gone in parts), True)


def either(parts: list[Any]) -> Any:
    if any(part is True for part in parts):
        return True
    return next((gone for gone in (LOST, UNKNOWN) if gone in parts), False)


def turned(value: Any) -> Any:
    return value if isinstance(value, Gone) else not value


_SIGNS = {exp.EQ: "=", exp.NEQ: "<>", exp.LT: "<", exp.LTE: "<=", exp.GT: ">", exp.GTE: ">="}
_FLIPPED = {"<": ">", "<=": ">=", ">": "<", ">=": "<=", "=": "=", "<>": "<>"}
_HOLDS: Mapping[str, Callable[[Any, Any], bool]] = {
    "=": lambda a, b: a == b,
    "<>": lambda a, b: a != b,
    "<": lambda a, b: a < b,
    "<=": lambda a, b: a <= b,
    ">": lambda a, b: a > b,
    ">=": lambda a, b: a >= b,
}


def compared(left: Any, sign: str, right: Any) -> Any:
    """One comparison; a lower bound decides only a >= or > that it reaches."""
    if isinstance(right, Lower) and not isinstance(left, Lower):
        return compared(right, _FLIPPED[sign], left)
    if isinstance(left, Lower):
        if isinstance(right, Lower):
            return UNKNOWN
        reached = compared(left.value, sign, right)
        return True if sign in (">", ">=") and reached is True else reached if reached is LOST else UNKNOWN
    gone = [side for side in (left, right) if isinstance(side, Gone)]
    if gone:
        return LOST if LOST in gone else UNKNOWN
    if left is None or right is None:
        return sign == "<>"
    if isinstance(left, Fraction):
        left, right = rounded(left, 9), rounded(right, 9)
    return _HOLDS[sign](left, right)


def condition(node: exp.Expression, names: Names) -> Any:
    """A tree as a condition."""
    match node:
        case exp.And():
            return both([condition(node.this, names), condition(node.expression, names)])
        case exp.Or():
            return either([condition(node.this, names), condition(node.expression, names)])
        case exp.Not():
            return turned(condition(node.this, names))
        case exp.Paren():
            return condition(node.this, names)
        case exp.EQ() | exp.NEQ() | exp.LT() | exp.LTE() | exp.GT() | exp.GTE():
            return compared(value(node.this, names), _SIGNS[type(node)], value(node.expression, names))
        case exp.In():
            left = value(node.this, names)
            found = either([compared(left, "=", value(one, names)) for one in node.expressions])
            return found if left is not None else False
        case exp.Between():
            left = value(node.this, names)
            low, high = value(node.args["low"], names), value(node.args["high"], names)
            return both([compared(left, ">=", low), compared(left, "<=", high)])
        case exp.Like():
            return _like(value(node.this, names), value(node.expression, names))
        case exp.Is():
            return _plain(value(node.this, names)) is None
        case exp.Anonymous():
            return _has(*(value(one, names) for one in node.expressions))
        case exp.Case():
            return _case(node, names, condition, UNKNOWN)
        case exp.Coalesce():
            parts = [_open(one, names) for one in (node.this, *node.expressions)]
            known = [one for one in parts if isinstance(one, bool)]
            return known[0] if known else UNKNOWN
        case exp.Null():
            return UNKNOWN
    found = value(node, names)
    return False if found is None else found


def _open(node: exp.Expression, names: Names) -> Any:
    return value(node, names) if isinstance(node, exp.Column) else condition(node, names)


def _plain(found: Any) -> Any:
    return None if isinstance(found, Gone) else found


def _like(text: Any, pattern: Any) -> Any:
    if isinstance(text, Gone) or isinstance(pattern, Gone):
        return LOST if LOST in (text, pattern) else UNKNOWN
    if text is None or pattern is None:
        return False
    parts = [".*" if one == "%" else "." if one == "_" else re.escape(one) for one in pattern]
    return re.fullmatch("".join(parts), text, re.DOTALL) is not None


def _has(values: Any, member: Any) -> Any:
    if isinstance(values, Gone) or isinstance(member, Gone):
        return LOST if LOST in (values, member) else UNKNOWN
    return values is not None and member is not None and member in values


def _case(node: exp.Expression, names: Names, reader: Callable[[Any, Names], Any], otherwise: Any) -> Any:
    for branch in node.args["ifs"]:
        when = branch.this if node.this is None else exp.EQ(this=node.this.copy(), expression=branch.this.copy())
        if condition(when, names) is True:
            return reader(branch.args["true"], names)
    default = node.args.get("default")
    return otherwise if default is None else reader(default, names)


# --- values: None, UNKNOWN, LOST, Lower, Fraction, text, yes/no, date or list


def value(node: exp.Expression, names: Names) -> Any:
    """A tree as a value."""
    match node:
        case exp.Column():
            return names.cell(node.table, node.name)
        case exp.Literal():
            return node.this if node.is_string else Fraction(Decimal(node.this))
        case exp.Boolean():
            return bool(node.this)
        case exp.Null():
            return None
        case exp.Paren():
            return value(node.this, names)
        case exp.Cast():
            return date.fromisoformat(node.this.this)
        case exp.Interval():
            return int(node.this.this), str(node.args["unit"].this).lower()
        case exp.Case():
            return _case(node, names, value, None)
        case exp.Coalesce():
            parts = [value(one, names) for one in (node.this, *node.expressions)]
            known = [one for one in parts if one is not None and not isinstance(one, Gone)]
            return known[0] if known else LOST if LOST in parts else UNKNOWN if UNKNOWN in parts else None
    operator = _OPERATORS.get(type(node))
    if operator is None:
        return condition(node, names)
    parts = [node.this, *([node.expression] if node.args.get("expression") is not None else node.expressions)]
    return _computed(operator, [value(one, names) for one in parts], node)


def _computed(operator: Callable[..., Any], parts: list[Any], node: exp.Expression) -> Any:
    if LOST in parts:
        return LOST
    if any(isinstance(one, Lower) for one in parts) or UNKNOWN in parts:
        return UNKNOWN
    if None in parts:
        # a function of one empty cell is empty; arithmetic over one is unknown
        return None if isinstance(node, _OF_CELLS) else UNKNOWN
    if isinstance(node, exp.Round) and node.args.get("decimals") is not None:
        parts.append(int(node.args["decimals"].this))
    return operator(*parts)


def _added(left: Any, right: Any) -> Any:
    if isinstance(left, tuple):
        left, right = right, left
    return before(left, -right[0], right[1]) if isinstance(right, tuple) else left + right


def _taken(left: Any, right: Any) -> Any:
    if isinstance(right, tuple):
        return before(left, right[0], right[1])
    return Fraction((left - right).days) if isinstance(left, date) else left - right


_OF_CELLS = (
    exp.Abs,
    exp.Floor,
    exp.Ceil,
    exp.Round,
    exp.Lower,
    exp.Upper,
    exp.Length,
    exp.Nullif,
    exp.Year,
    exp.Month,
    exp.Quarter,
)
_OPERATORS: Mapping[type, Callable[..., Any]] = {
    exp.Add: _added,
    exp.Sub: _taken,
    exp.Mul: lambda a, b: a * b,
    exp.Div: lambda a, b: a / b if b else UNKNOWN,
    exp.Neg: lambda a: -a,
    exp.Nullif: lambda a, b: None if a == b else a,
    exp.Least: lambda *all_of: min(all_of),
    exp.Greatest: lambda *all_of: max(all_of),
    exp.Abs: abs,
    exp.Floor: lambda a: Fraction(rounded(a, 9).__floor__()),
    exp.Ceil: lambda a: Fraction(rounded(a, 9).__ceil__()),
    exp.Round: lambda a, digits=0: rounded(a, digits),
    exp.Lower: lambda a: a.lower(),
    exp.Upper: lambda a: a.upper(),
    exp.Length: lambda a: Fraction(len(a)),
    exp.Year: lambda a: Fraction(a.year),
    exp.Month: lambda a: Fraction(a.month),
    exp.Quarter: lambda a: Fraction((a.month + 2) // 3),
}
