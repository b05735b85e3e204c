"""Conditions and formulas in words, for people who never saw an expression."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from types import MappingProxyType

from sqlglot import exp
from sqlglot.expressions import Expression

from crmsync.programs.guide_words import Words, day, joined, money, percent, words_of
from crmsync.programs.program import Formula, FromTier, Unit
from crmsync.strict_yaml import date_of, decimal_of

_SIGNS: Mapping[type[Expression], str] = MappingProxyType(
    {exp.GTE: "at least", exp.GT: "more than", exp.LTE: "at most", exp.LT: "less than", exp.EQ: "", exp.NEQ: "not"}
)
_TURNED: Mapping[type[Expression], type[Expression]] = MappingProxyType(
    {exp.GTE: exp.LTE, exp.GT: exp.LT, exp.LTE: exp.GTE, exp.LT: exp.GT, exp.EQ: exp.EQ, exp.NEQ: exp.NEQ}
)
_DATE_SIGNS: Mapping[type[Expression], str] = MappingProxyType(
    {
        exp.GTE: "on or after",
        exp.GT: "after",
        exp.LTE: "on or before",
        exp.LT: "before",
        exp.EQ: "on",
        exp.NEQ: "not on",
    }
)
_ARITHMETIC: Mapping[type[Expression], str] = MappingProxyType({exp.Add: "+", exp.Sub: "−", exp.Mul: "×", exp.Div: "÷"})
_CALLS: Mapping[type[Expression], str] = MappingProxyType(
    {
        exp.Floor: "rounded down", exp.Ceil: "rounded up", exp.Round: "rounded", exp.Abs: "without its sign",
        exp.Lower: "in small letters", exp.Upper: "in capitals", exp.Length: "its length",
    }
)  # fmt: skip
_YES_NO_PREFIXES = ("is_", "has_")


def condition_words(words: Words, formula: Formula | None) -> str:
    """A condition as part of a sentence: `role is reseller and type is not renewal`."""
    return _Speaker(words).condition(formula.tree) if formula is not None else ""


def formula_words(words: Words, formula: Formula) -> str:
    """A formula over named numbers: `Deals won ÷ (Deals won + Deals lost)`."""
    return _Speaker(words).value(formula.tree)


class _Speaker:
    """Says expressions in the words of one program."""

    def __init__(self, words: Words) -> None:
        self.words = words

    # --- conditions

    def condition(self, node: Expression, inside: bool = False) -> str:
        match node:
            case exp.Paren():
                return self.condition(node.this, inside)
            case exp.And() | exp.Or():
                return self._junction(node, inside)
            case exp.Not():
                return self._negated(node.this)
            case exp.Boolean():
                return "always" if node.this else "never"
            case exp.Column():
                return self._yes(node)
            case exp.Is():
                return f"{self.value(node.this)} is empty"
            case exp.In():
                options = [self._literal(one, node.this) for one in node.expressions]
                return f"{self.value(node.this)} is {joined(options, 'or')}"
            case exp.Between():
                low, high = (self._literal(node.args[side], node.this) for side in ("low", "high"))
                return f"{self.value(node.this)} lies between {low} and {high}"
            case exp.Like():
                return f"{self.value(node.this)} looks like {self.value(node.expression)}"
            case exp.Anonymous():
                return f"{self.value(node.expressions[0])} include {self.value(node.expressions[1])}"
            case exp.Coalesce():
                return self.condition(node.this, inside)
            case exp.Case():
                return self.value(node)
        return self._comparison(node)

    def _junction(self, node: Expression, inside: bool) -> str:
        parts = [self.condition(one, True) for one in _flat(node, type(node))]
        text = joined(parts, "and" if isinstance(node, exp.And) else "or")
        return f"({text})" if inside else text

    def _negated(self, node: Expression) -> str:
        inner = node.this if isinstance(node, exp.Paren) else node
        match inner:
            case exp.Column():
                return f"not {self._yes(inner)}"
            case exp.Is():
                return f"{self.value(inner.this)} is filled in"
            case exp.In():
                options = [self._literal(one, inner.this) for one in inner.expressions]
                return f"{self.value(inner.this)} is not {joined(options, 'or')}"
            case exp.Anonymous():
                return f"{self.value(inner.expressions[0])} do not include {self.value(inner.expressions[1])}"
            case exp.Coalesce():
                return self._negated(inner.this)
        return f"not ({self.condition(inner)})"

    def _yes(self, node: Expression) -> str:
        name = self.value(node)
        return next(
            (name.removeprefix(words_of(one)) for one in _YES_NO_PREFIXES if name.startswith(words_of(one))), name
        )

    def _comparison(self, node: Expression) -> str:
        if type(node) not in _SIGNS:
            return self.value(node)
        left, right, kind = node.this, node.expression, type(node)
        if isinstance(left, exp.Literal | exp.Boolean) and not isinstance(right, exp.Literal | exp.Boolean):
            left, right, kind = right, left, _TURNED[kind]
        if isinstance(right, exp.Boolean):
            positive = bool(right.this) == (kind is exp.EQ)
            return self._yes(left) if positive else f"not {self._yes(left)}"
        dated = _is_day(right) or _is_day(left)
        sign = (_DATE_SIGNS if dated else _SIGNS)[kind]
        return " ".join(one for one in (self.value(left), "is", sign, self._literal(right, left)) if one)

    # --- values

    def value(self, node: Expression, inside: bool = False) -> str:
        match node:
            case exp.Paren():
                return self.value(node.this, inside)
            case exp.Literal():
                return self._plain(node)
            case exp.Boolean():
                return "yes" if node.this else "no"
            case exp.Null():
                return "nothing"
            case exp.Column():
                return self._column(node)
            case exp.Cast():
                found = date_of(str(node.this.this))
                return day(found) if found else str(node.this.this)
            case exp.Interval():
                return str(node.this.this) + f" {str(node.args['unit']).lower()}"
            case exp.Neg():
                return f"−{self.value(node.this, True)}"
            case exp.Add() | exp.Sub() | exp.Mul() | exp.Div():
                return self._arithmetic(node, inside)
            case exp.Case():
                return self._case(node)
            case exp.Coalesce():
                parts = [self.value(one) for one in (node.this, *node.expressions)]
                return joined(parts, "or, where it is missing,")
            case exp.Nullif():
                return self.value(node.this, inside)
            case exp.Least() | exp.Greatest():
                parts = [self.value(one) for one in (node.this, *node.expressions)]
                return f"the {'smallest' if isinstance(node, exp.Least) else 'largest'} of {joined(parts)}"
            case exp.Year() | exp.Quarter() | exp.Month():
                return f"the {node.key} of {self.value(node.this)}"
        if type(node) in _CALLS:
            return f"{self.value(node.this, True)} ({_CALLS[type(node)]})"
        return self.condition(node, True) if type(node) in (*_SIGNS, exp.And, exp.Or, exp.Not, exp.In, exp.Is) else "…"

    def _arithmetic(self, node: Expression, inside: bool) -> str:
        sign = _ARITHMETIC[type(node)]
        left = self.value(node.this, not isinstance(node.this, type(node)))
        text = f"{left} {sign} {self.value(node.expression, True)}"
        return f"({text})" if inside else text

    def _case(self, node: Expression) -> str:
        subject = node.args.get("this")
        parts = []
        for branch in node.args["ifs"]:
            when = (
                f"{self.value(subject)} is {self.value(branch.this)}"
                if subject is not None
                else self.condition(branch.this)
            )
            parts.append(f"{self.value(branch.args['true'])} if {when}")
        other = node.args.get("default")
        return ", ".join([*parts, *([f"otherwise {self.value(other)}"] if other is not None else [])])

    def _column(self, node: Expression) -> str:
        assert isinstance(node, exp.Column)
        if node.table == "metric":
            return self.words.metric(node.name)
        if node.name == "as_of":
            return "the day of the review"
        if node.table == "parent":
            return f"the parent's {words_of(node.name)}"
        return words_of(node.name)

    def _literal(self, node: Expression, beside: Expression) -> str:
        """A literal in the unit of the metric it is compared with."""
        metric = self.words.program.metrics.get(beside.name) if _is_metric(beside) else None
        number = decimal_of(str(node.this)) if isinstance(node, exp.Literal) and not node.is_string else None
        if metric is None or number is None:
            return self.value(node)
        if isinstance(metric.source, FromTier):
            return self.words.threshold(metric, number)
        if metric.unit is Unit.PERCENT:
            return percent(number)
        return money(number, self.words.program.currency) if metric.unit is Unit.MONEY else self.value(node)

    def _plain(self, node: Expression) -> str:
        number = decimal_of(str(node.this)) if not node.is_string else None
        return f"{number:,}" if isinstance(number, Decimal) else f"“{node.this}”"


def _is_metric(node: Expression) -> bool:
    return isinstance(node, exp.Column) and node.table == "metric"


def _is_day(node: Expression) -> bool:
    return isinstance(node, exp.Cast) or (isinstance(node, exp.Column) and node.name == "as_of")


def _flat(node: Expression, kind: type[Expression]) -> list[Expression]:
    """The parts of a chain of `and` or `or`."""
    bare = node.this if isinstance(node, exp.Paren) and isinstance(node.this, kind) else node
    if isinstance(bare, kind):
        return [*_flat(bare.this, kind), *_flat(bare.expression, kind)]
    return [bare]
