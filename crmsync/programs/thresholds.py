"""The right-hand side of a criterion: a number, money, percent, yes/no, text, another metric, or a table by attribute.

Source: program-language, sections 0 (percent) and 5.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Protocol

from crmsync.errors import ConfigError
from crmsync.programs.ecb import FROM_ECB, currencies
from crmsync.programs.names import PARTNERS, Kind, kind_of_unit
from crmsync.programs.program import ByAttribute, Comparison, FromSheet, MoneyValue, OtherMetric, RateRow, Unit, Value
from crmsync.programs.vocabulary import Vocabulary, column_kind, no_default
from crmsync.strict_yaml import Node, decimal_of, nearest

_COMPARED = re.compile(r"(>=|<=|>|<|=)\s*(.*)", re.DOTALL)
_MONEY = re.compile(r"(-?[0-9.]+) ([A-Z]{3})")
_QUOTED = re.compile(r"'((?:[^']|'')*)'")
_YES_NO = {"yes": True, "true": True, "no": False, "false": False}
FROM_TABLE = "from thresholds"
_FRACTIONS = (Unit.PERCENT, Unit.NUMBER)


@dataclass(frozen=True)
class Conversion:
    """What a threshold in another currency needs. `rated`: currencies with a rate on effective_from, where known."""

    currency: str | None
    has_rates: bool
    is_dated: bool
    rated: frozenset[str] | None
    listed: frozenset[str] | None = None  # currencies with a rate on any day, where known

    @classmethod
    def of(cls, currency: str | None, rates: str | tuple[RateRow, ...] | None, effective: date | None) -> Conversion:
        """What the head of the program allows."""
        if rates == FROM_ECB:
            return cls(currency, True, effective is not None, currencies() if effective else frozenset())
        if not isinstance(rates, tuple):
            return cls(currency, rates is not None, effective is not None, None)
        rated = frozenset(row.currency for row in rates if _holds(row, effective))
        return cls(currency, True, effective is not None, rated, frozenset(row.currency for row in rates))


def _holds(row: RateRow, effective: date | None) -> bool:
    return row.effective_from is None or (effective is not None and row.effective_from <= effective)


@dataclass(frozen=True)
class Threshold:
    """A comparison (None: not written, so the default) and its value."""

    comparison: Comparison | None
    value: Value


class Cells(Protocol):
    """Where the values written `from thresholds` are found."""

    def of(self, node: Node, metric: str) -> FromSheet:
        """The rows for a criterion on a metric. Errors: ConfigError."""
        ...


def read_threshold(
    node: Node, metric: str, words: Vocabulary, conversion: Conversion, cells: Cells | None = None
) -> Threshold:
    """What a criterion asks of a metric. `cells`: for `from thresholds`, where it may stand. Errors: ConfigError."""
    if node.is_sequence:
        raise node.fail(f"`{metric}` needs one value, not a list")
    if node.is_mapping:
        return _by_attribute(node, metric, words, conversion)
    text = node.text().strip()
    found = _COMPARED.fullmatch(text)
    comparison, rest = (Comparison(found[1]), found[2].strip()) if found else (None, text)
    if not rest:
        raise node.fail(f"`{text}` compares with nothing")
    if rest[0] in "<>=":
        raise node.fail(f"`{text}` is no comparison; write one of >=, >, <=, <, = before the value")
    if " ".join(rest.split()) == FROM_TABLE:
        return Threshold(comparison, _from_table(node, comparison, metric, words, cells))
    return Threshold(comparison, _value(node, rest, comparison, metric, words, conversion))


def _from_table(
    node: Node, comparison: Comparison | None, metric: str, words: Vocabulary, cells: Cells | None
) -> FromSheet:
    if cells is None:
        raise node.fail(f"`{FROM_TABLE}` is the whole value of a criterion of a tier; it cannot stand here")
    kind = kind_of_unit(words.units[metric])
    if kind is Kind.TEXT and comparison is not Comparison.EQ:
        raise node.fail(f'`{metric}` is a text: write "= {FROM_TABLE}"')
    if kind is Kind.CONDITION and comparison not in (None, Comparison.EQ):
        raise node.fail(f"`{metric}` is yes or no; write `{metric}: {FROM_TABLE}`")
    return cells.of(node, metric)


def read_cell(value: Node, currency: Node | None, metric: str, words: Vocabulary, conversion: Conversion) -> Value:
    """The value in a row of a threshold table: what fits the metric, and no other metric. Errors: ConfigError."""
    text, kind = value.text(), kind_of_unit(words.units[metric])
    if currency is not None:
        return _money(value, text, _currency(currency), metric, words.units[metric], conversion)
    if kind is Kind.TEXT:
        return text
    if kind is Kind.CONDITION:
        return _yes_no(value, text, None, metric)
    if text in words.units:
        raise value.fail(f"`{text}` is a metric; a threshold table holds values")
    if decimal_of(text) is None and not _MONEY.fullmatch(text) and metric not in words.positions:
        raise value.fail(f"`{text}` is not a number; write it like 100000, 12.5 or 30%, without separators")
    return _number(value, text, metric, words, conversion)


def _currency(node: Node) -> str:
    if not re.fullmatch("[A-Z]{3}", node.text()):
        raise node.fail(f"`{node.text()}` is not a currency; write its three capital letters, like EUR")
    return node.text()


def _value(
    node: Node, text: str, comparison: Comparison | None, metric: str, words: Vocabulary, conversion: Conversion
) -> Value:
    unit = words.units[metric]
    kind = kind_of_unit(unit)
    if text in words.units and kind_of_unit(words.units[text]) is kind:
        return _other(node, text, comparison, metric, kind)
    if kind is Kind.TEXT:
        return _text(node, text, comparison, metric)
    if kind is Kind.CONDITION:
        return _yes_no(node, text, comparison, metric)
    return _number(node, text, metric, words, conversion)


def _other(node: Node, text: str, comparison: Comparison | None, metric: str, kind: Kind) -> OtherMetric:
    if text == metric:
        raise node.fail(f"`{metric}` is compared with itself")
    if kind is not Kind.NUMBER and comparison is not Comparison.EQ:
        raise node.fail(f'`{metric}` is a {kind}: write "= {text}"')
    return OtherMetric(text)


def _text(node: Node, text: str, comparison: Comparison | None, metric: str) -> str:
    if comparison is not Comparison.EQ:
        raise node.fail(f'`{metric}` is a text: write "= {text}"')
    quoted = _QUOTED.fullmatch(text)
    return quoted[1].replace("''", "'") if quoted else text


def _yes_no(node: Node, text: str, comparison: Comparison | None, metric: str) -> bool:
    if text not in _YES_NO:
        raise node.fail(f"`{metric}` is yes or no, and `{text}` is neither")
    if comparison not in (None, Comparison.EQ):
        raise node.fail(f"`{metric}` is yes or no; write `{metric}: {text}`")
    return _YES_NO[text]


def _number(node: Node, text: str, metric: str, words: Vocabulary, conversion: Conversion) -> Value:
    unit, number, money = words.units[metric], decimal_of(text), _MONEY.fullmatch(text)
    if text in words.positions.get(metric, {}):
        return Decimal(words.positions[metric][text])
    if money:
        return _money(node, money[1], money[2], metric, unit, conversion)
    if number is None:
        raise _no_number(node, text, metric, words)
    if text.endswith("%") and unit not in _FRACTIONS:
        raise node.fail(f"`{text}`: `{metric}` is no percent (its unit is {unit})")
    if unit is Unit.PERCENT and not text.endswith("%") and abs(number) > 1:
        raise node.fail(
            f"`{metric}` is a percent, kept as a fraction: write {text}% instead of {text}"
            f" (a `field` that holds 70 for 70 % says `of_hundred: yes`)"
        )
    return number


def _no_number(node: Node, text: str, metric: str, words: Vocabulary) -> ConfigError:
    unit = words.units[metric]
    if text in _YES_NO:
        return node.fail(f"`{metric}` is a number (its unit is {unit}), and `{text}` is none; say `unit: yes_no`?")
    if metric in words.positions:
        known = words.positions[metric]
        return node.fail(f"`{text}` is no tier of `{metric}`{nearest(text, known)}")
    if text in words.units:
        return node.fail(f"`{metric}` (unit {unit}) cannot be compared with `{text}` (unit {words.units[text]})")
    if re.fullmatch(r"-?[0-9][0-9,_' .]*%?", text):
        return node.fail(f"`{text}` is not a number; write it like 100000, 12.5 or 30%, without separators")
    right = "; write it like 100000, 12.5, 30%, or money like 400000 EUR" if text[:1].isdigit() else None
    return node.fail(f"`{text}` is neither a number nor a metric{right or nearest(text, words.units)}")


def _money(node: Node, text: str, currency: str, metric: str, unit: Unit, conversion: Conversion) -> Value:
    amount = decimal_of(text)
    if amount is None:
        raise node.fail(f"`{text}` is not a number; write money like `400000 EUR`")
    if unit is not Unit.MONEY:
        raise node.fail(f"`{text} {currency}`: `{metric}` is no money (its unit is {unit})")
    if currency == conversion.currency:
        return amount
    return convertible(node, amount, currency, conversion)


def convertible(node: Node, amount: Decimal, currency: str, conversion: Conversion) -> MoneyValue:
    """An amount in another currency than the program's. Errors: ConfigError where no rate converts it."""
    text = f"{amount:f} {currency}"
    if not conversion.has_rates:
        raise node.fail(f"`{text}` needs `rates:` to become {conversion.currency}")
    if conversion.rated is not None and {currency, conversion.currency} <= conversion.rated:
        return MoneyValue(amount, currency)
    if conversion.listed is not None and currency not in conversion.listed:
        raise node.fail(f"`{text}`: the rates have no {currency}{nearest(currency, conversion.listed)}")
    if not conversion.is_dated:
        raise node.fail(f"`{text}` is converted at the rate on `effective_from:`, which the program lacks")
    if conversion.rated is not None:
        raise node.fail(f"`{text}`: the rates have no {currency} on the day of `effective_from:`")
    return MoneyValue(amount, currency)


def _by_attribute(node: Node, metric: str, words: Vocabulary, conversion: Conversion) -> Threshold:
    parts = node.mapping()
    if "by" not in parts:
        raise node.fail(f"`{metric}` needs one value, or a table that starts with `by:` and has a `default:`")
    column = parts["by"].text().removeprefix(f"{PARTNERS}.")
    kind = column_kind(parts["by"], column, words.tables)
    if kind is Kind.LIST:
        raise parts["by"].fail(f"`{column}` is a list; `by:` needs a column with one value")
    if "default" not in parts:
        raise no_default(node, column)
    leaves = {key: read_threshold(value, metric, words, conversion) for key, value in parts.items() if key != "by"}
    comparison = _common_comparison(node, leaves)
    values = {attribute_text(key, kind): leaf.value for key, leaf in leaves.items() if key != "default"}
    return Threshold(comparison, ByAttribute(column, values, leaves["default"].value))


def _common_comparison(node: Node, leaves: Mapping[str, Threshold]) -> Comparison | None:
    first = leaves["default"].comparison
    for key, leaf in leaves.items():
        if leaf.comparison is not first:
            wanted, given = first or Comparison.GE, leaf.comparison or Comparison.GE
            raise node.fail_at_key(key, f"`{key}` compares by {given}, but `default` by {wanted}; one for all")
    return first


def attribute_text(key: str, kind: Kind | None) -> str:
    """The text that the column's value has: `yes` of a yes/no column is `true`."""
    return str(_YES_NO[key]).lower() if kind is Kind.CONDITION and key in _YES_NO else key
