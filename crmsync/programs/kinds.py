"""What each part of an expression gives, and the refusal of parts that cannot be right.

The second gate of expressions: an allow-list of tree nodes. A kind that nothing tells is None and fits everywhere.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType

from sqlglot import exp
from sqlglot.expressions import Expression

from crmsync.programs.names import Kind

Kinds = Mapping[tuple[str, str], Kind | None]
"""(table, column) -> what it holds."""

FUNCTIONS = frozenset(
    {
        "coalesce",
        "nullif",
        "least",
        "greatest",
        "abs",
        "floor",
        "ceil",
        "round",
        "lower",
        "upper",
        "length",
        "has",
        "year",
        "quarter",
        "month",
    }
)


class WrongUseError(Exception):
    """A part that cannot be right. `start`: where its word starts in the expression, where known."""

    def __init__(self, message: str, start: int | None = None) -> None:
        super().__init__(message)
        self.start = start


def kind_of(node: Expression, kinds: Kinds) -> Kind | None:
    """What the expression gives; None where nothing tells. Errors: WrongUseError."""
    judge = _JUDGES.get(type(node))
    if judge is None:
        raise WrongUseError(f"`{_shown(node)}` is not part of the language of expressions", _start(node))
    return judge(node, kinds)


def _shown(node: Expression) -> str:
    text = node.sql(dialect="duckdb").replace('"', "").replace("metric.", "").replace("clock.", "")
    return text if len(text) <= 60 else text[:57] + "..."


def _start(node: Expression) -> int | None:
    """Where the first word of the node starts."""
    starts = [part.meta["start"] for part in node.walk() if "start" in part.meta]
    return min(starts, default=None)


def _need(node: Expression, wanted: Kind, kinds: Kinds, use: str) -> None:
    _check(node, kind_of(node, kinds), wanted, use)


def _check(node: Expression, kind: Kind | None, wanted: Kind, use: str) -> None:
    if kind is not None and kind is not wanted:
        raise WrongUseError(
            f"`{_shown(node)}` is a {kind}, but {use} needs a {wanted}{_hint(node, wanted)}", _start(node)
        )


def _hint(node: Expression, wanted: Kind) -> str:
    if wanted is Kind.DATE and isinstance(node, exp.Literal):
        return f"; write date '{node.this}'"
    return ""


def _same(nodes: Iterable[Expression | None], kinds: Kinds, use: str) -> Kind | None:
    """The one kind of several values. Errors: WrongUseError where they differ."""
    common: Kind | None = None
    first: Expression | None = None
    for node in nodes:
        if node is None:
            continue
        kind = kind_of(node, kinds)
        if kind is None:
            continue
        if common is not None and kind is not common:
            pair = f"`{_shown(first or node)}` (a {common}) and `{_shown(node)}` (a {kind})"
            literal = {common, kind} == {Kind.DATE, Kind.TEXT} and "; a date is written date '2026-01-31'"
            raise WrongUseError(f"{pair} do not go together in {use}{literal or ''}", _start(node))
        common, first = kind, first or node
    return common


def _literal(node: Expression, _: Kinds) -> Kind | None:
    return Kind.TEXT if node.is_string else Kind.NUMBER


def _column(node: Expression, kinds: Kinds) -> Kind | None:
    assert isinstance(node, exp.Column)
    return kinds.get((node.table, node.name))


def _date(node: Expression, kinds: Kinds) -> Kind | None:
    assert isinstance(node, exp.Cast)
    if not (node.is_type("date") and isinstance(node.this, exp.Literal) and node.this.is_string):
        return _refuse(node, kinds)
    return Kind.DATE


def _span(node: Expression, kinds: Kinds) -> Kind | None:
    unit = node.args.get("unit")
    if not isinstance(unit, exp.Var) or not isinstance(node.this, exp.Literal):
        return _refuse(node, kinds)
    return Kind.SPAN


def _refuse(node: Expression, _: Kinds) -> Kind | None:
    raise WrongUseError(f"`{_shown(node)}` is not part of the language of expressions", _start(node))


def _paren(node: Expression, kinds: Kinds) -> Kind | None:
    return kind_of(node.this, kinds)


def _logic(node: Expression, kinds: Kinds) -> Kind | None:
    word = "and" if isinstance(node, exp.And) else "or"
    # A long chain leans left: walked in a loop, so that its length costs no recursion.
    parts: list[Expression] = []
    left: Expression = node
    while isinstance(left, exp.And | exp.Or):
        parts.append(left.expression)
        left = left.this
    for part in (left, *reversed(parts)):
        _need(part, Kind.CONDITION, kinds, f"`{word}`")
    return Kind.CONDITION


def _not(node: Expression, kinds: Kinds) -> Kind | None:
    _need(node.this, Kind.CONDITION, kinds, "`not`")
    return Kind.CONDITION


def _no_null(*nodes: Expression) -> None:
    if any(isinstance(node, exp.Null) for node in nodes):
        raise WrongUseError("nothing equals null; write `is null` or `is not null`")


def _compared(node: Expression, kinds: Kinds) -> Kind | None:
    _no_null(node.this, node.expression)
    common = _same((node.this, node.expression), kinds, "a comparison")
    if common in (Kind.LIST, Kind.SPAN):
        hint = "; ask a list by has(list, 'value')" if common is Kind.LIST else ""
        raise WrongUseError(f"`{_shown(node)}`: {common}s cannot be compared{hint}", _start(node))
    if common is Kind.CONDITION and not isinstance(node, exp.EQ | exp.NEQ):
        raise WrongUseError(f"`{_shown(node)}`: yes and no have no order", _start(node))
    return Kind.CONDITION


def _between(node: Expression, kinds: Kinds) -> Kind | None:
    low, high = node.args["low"], node.args["high"]
    if node.args.get("symmetric"):
        return _refuse(node, kinds)
    _no_null(node.this, low, high)
    if _same((node.this, low, high), kinds, "`between`") in (Kind.CONDITION, Kind.LIST, Kind.SPAN):
        raise WrongUseError(f"`{_shown(node)}`: `between` needs numbers, dates or texts", _start(node))
    return Kind.CONDITION


def _in(node: Expression, kinds: Kinds) -> Kind | None:
    values = node.expressions
    if not values or any(node.args.get(part) for part in ("query", "unnest", "field", "is_global")):
        raise WrongUseError(
            f"`{_shown(node)}`: `in` needs a list of values in brackets, like in ('a', 'b')", _start(node)
        )
    _no_null(node.this, *values)
    if _same((node.this, *values), kinds, "`in`") is Kind.LIST:
        raise WrongUseError(f"`{_shown(node)}`: ask a list by has(list, 'value')", _start(node))
    return Kind.CONDITION


def _like(node: Expression, kinds: Kinds) -> Kind | None:
    for part in (node.this, node.expression):
        _need(part, Kind.TEXT, kinds, "`like`")
    return Kind.CONDITION


def _is(node: Expression, kinds: Kinds) -> Kind | None:
    if not isinstance(node.expression, exp.Null):
        raise WrongUseError(
            f"`{_shown(node)}`: only `is null` and `is not null` are part of the language", _start(node)
        )
    kind_of(node.this, kinds)
    return Kind.CONDITION


def _sum(node: Expression, kinds: Kinds) -> Kind | None:
    """Numbers; a date and an interval; a date minus a date in days."""
    minus = isinstance(node, exp.Sub)
    left, right = kind_of(node.this, kinds), kind_of(node.expression, kinds)
    if Kind.SPAN in (left, right):
        return _shifted(node, left, right, minus)
    if Kind.DATE in (left, right):
        if minus and {left, right} <= {Kind.DATE, None}:
            return Kind.NUMBER if left is right else None
        raise WrongUseError(
            f"`{_shown(node)}`: to a date add an interval, like closed_on + interval '30 days'", _start(node)
        )
    for part, kind in ((node.this, left), (node.expression, right)):
        _check(part, kind, Kind.NUMBER, "a calculation")
    return Kind.NUMBER


def _shifted(node: Expression, left: Kind | None, right: Kind | None, minus: bool) -> Kind | None:
    pair = (left, right) if right is Kind.SPAN else (right, left)
    if pair[1] is not Kind.SPAN or pair[0] not in (Kind.DATE, None) or (minus and right is not Kind.SPAN):
        raise WrongUseError(f"`{_shown(node)}`: an interval is added to a date or taken from one", _start(node))
    return Kind.DATE


def _calculated(node: Expression, kinds: Kinds) -> Kind | None:
    for part in (node.this, node.expression):
        _need(part, Kind.NUMBER, kinds, "a calculation")
    return Kind.NUMBER


def _negative(node: Expression, kinds: Kinds) -> Kind | None:
    _need(node.this, Kind.NUMBER, kinds, "`-`")
    return Kind.NUMBER


def _case(node: Expression, kinds: Kinds) -> Kind | None:
    subject = node.args.get("this")
    branches = node.args.get("ifs") or []
    if not branches:
        return _refuse(node, kinds)
    for branch in branches:
        if subject is None:
            _need(branch.this, Kind.CONDITION, kinds, "`when`")
        else:
            _no_null(branch.this)
    if subject is not None:
        _same((subject, *(branch.this for branch in branches)), kinds, "`case`")
    return _same((*(branch.args["true"] for branch in branches), node.args.get("default")), kinds, "`case`")


def _coalesce(node: Expression, kinds: Kinds) -> Kind | None:
    return _same((node.this, *node.expressions), kinds, f"`{node.key}`")


def _nullif(node: Expression, kinds: Kinds) -> Kind | None:
    return _same((node.this, node.expression), kinds, "`nullif`")


def _extreme(node: Expression, kinds: Kinds) -> Kind | None:
    kind = _coalesce(node, kinds)
    if kind in (Kind.CONDITION, Kind.LIST, Kind.SPAN):
        raise WrongUseError(f"`{_shown(node)}`: `{node.key}` needs numbers, dates or texts", _start(node))
    return kind


def _function(wanted: Kind, given: Kind) -> Callable[[Expression, Kinds], Kind | None]:
    def judge(node: Expression, kinds: Kinds) -> Kind | None:
        if not isinstance(node.this, Expression) or any(node.args.get(more) for more in ("decimals", "to", "truncate")):
            raise WrongUseError(f"`{_shown(node)}`: `{node.key}` takes one value", _start(node))
        _need(node.this, wanted, kinds, f"`{node.key}`")
        return given

    return judge


def _round(node: Expression, kinds: Kinds) -> Kind | None:
    digits = node.args.get("decimals")
    if node.args.get("truncate") or not isinstance(node.this, Expression):
        return _refuse(node, kinds)
    if digits is not None and not (isinstance(digits, exp.Literal) and str(digits.this) in "0123456789"):
        raise WrongUseError(f"`{_shown(node)}`: `round` takes a number of decimals from 0 to 9", _start(node))
    _need(node.this, Kind.NUMBER, kinds, "`round`")
    return Kind.NUMBER


def _has(node: Expression, kinds: Kinds) -> Kind | None:
    parts = node.expressions
    if node.name != "HAS" or len(parts) != 2:
        raise WrongUseError(f"`{_shown(node)}`: write has(list, 'value')", _start(node))
    _need(parts[0], Kind.LIST, kinds, "`has`")
    _need(parts[1], Kind.TEXT, kinds, "`has`")
    return Kind.CONDITION


def _constant(kind: Kind | None) -> Callable[[Expression, Kinds], Kind | None]:
    return lambda _node, _kinds: kind


_NUMBERS = _function(Kind.NUMBER, Kind.NUMBER)
_TEXTS = _function(Kind.TEXT, Kind.TEXT)
_DATES = _function(Kind.DATE, Kind.NUMBER)

_JUDGES: Mapping[type[Expression], Callable[[Expression, Kinds], Kind | None]] = MappingProxyType(
    {
        exp.Literal: _literal,
        exp.Boolean: _constant(Kind.CONDITION),
        exp.Null: _constant(None),
        exp.Column: _column,
        exp.Cast: _date,
        exp.Interval: _span,
        exp.Paren: _paren,
        exp.And: _logic,
        exp.Or: _logic,
        exp.Not: _not,
        **dict.fromkeys((exp.EQ, exp.NEQ, exp.LT, exp.LTE, exp.GT, exp.GTE), _compared),
        exp.Between: _between,
        exp.In: _in,
        exp.Like: _like,
        exp.Is: _is,
        exp.Add: _sum,
        exp.Sub: _sum,
        exp.Mul: _calculated,
        exp.Div: _calculated,
        exp.Neg: _negative,
        exp.Case: _case,
        exp.Coalesce: _coalesce,
        exp.Nullif: _nullif,
        exp.Least: _extreme,
        exp.Greatest: _extreme,
        exp.Abs: _NUMBERS,
        exp.Floor: _NUMBERS,
        exp.Ceil: _NUMBERS,
        exp.Round: _round,
        exp.Lower: _TEXTS,
        exp.Upper: _TEXTS,
        exp.Length: _function(Kind.TEXT, Kind.NUMBER),
        exp.Anonymous: _has,
        exp.Year: _DATES,
        exp.Quarter: _DATES,
        exp.Month: _DATES,
    }
)
