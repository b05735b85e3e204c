"""`benefits` of tiers, `commission:` and `costs:`: what a tier gives and what that costs.

Source: program-language, section 10.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal

from crmsync.programs.expressions import parse_formula
from crmsync.programs.keys import read_key
from crmsync.programs.names import PARTNERS, Found, Kind, Scope, UnknownNameError, kind_of_unit
from crmsync.programs.program import Benefit, ByAttribute, Commission, Formula, Ladder, MoneyValue, Unit, Value
from crmsync.programs.thresholds import Conversion, attribute_text, convertible
from crmsync.programs.vocabulary import Vocabulary, column_kind, no_default
from crmsync.strict_yaml import Node, decimal_of, nearest

BENEFIT = "benefit"
COMMISSION = "commission"
CATEGORY, TIER = "category", "tier"
NOTHING = "none"

_MONEY = re.compile(r"(-?[0-9][0-9.]*) ([A-Z]{3})")
_SEPARATED = re.compile(r"[0-9]{1,3}(?:[,' ][0-9]{3})+(?:\.[0-9]+)?%?(?: [A-Z]{3})?")


@dataclass(frozen=True)
class Offer:
    """What benefits are read with."""

    words: Vocabulary
    conversion: Conversion


def read_benefits(node: Node | None, offer: Offer) -> dict[str, Benefit]:
    """What one tier gives, by the benefit's key. Errors: ConfigError."""
    found: dict[str, Benefit] = {}
    for key, value in node.mapping().items() if node else ():
        assert node is not None
        read_key(node, key)
        if key in offer.words.units or key == COMMISSION:
            what = "is a metric too" if key in offer.words.units else "is the name of `commission:` among the benefits"
            raise node.fail_at_key(key, f"benefit `{key}` {what}; rename it")
        found[key] = _benefit(key, value, offer)
    return found


def _benefit(key: str, node: Node, offer: Offer) -> Benefit:
    if node.is_sequence:
        raise node.fail(f"benefit `{key}` needs one value, not a list")
    if node.is_mapping:
        value, unit = _by(node, key, offer)
        return Benefit(value, unit, node.line)
    if node.text() == NOTHING:
        return Benefit(None, Unit.TEXT, node.line)
    leaf, unit = _leaf(node, offer.conversion)
    return Benefit(leaf, unit, node.line)


def _leaf(node: Node, conversion: Conversion) -> tuple[Decimal | MoneyValue | str, Unit]:
    """A percent, money, number, or else a text (a number in quotes is one too)."""
    text = node.text().strip()
    if not text:
        raise node.fail("an empty text; write `none` for what a tier does not give")
    number, money = decimal_of(text), _MONEY.fullmatch(text)
    if number is not None and not node.quoted:
        return number, Unit.PERCENT if text.endswith("%") else Unit.NUMBER
    if money and decimal_of(money[1]) is not None and not node.quoted:
        return _amount(node, Decimal(money[1]), money[2], conversion), Unit.MONEY
    if _SEPARATED.fullmatch(text) and not node.quoted:
        raise node.fail(f"`{text}` is not a number; write it without separators, or in quotes as a text")
    return text, Unit.TEXT


def _amount(node: Node, amount: Decimal, currency: str, conversion: Conversion) -> Decimal | MoneyValue:
    if conversion.currency is None:
        raise node.fail(f"`{node.text()}` is money: the program needs `currency:`")
    return amount if currency == conversion.currency else convertible(node, amount, currency, conversion)


def _by(node: Node, key: str, offer: Offer) -> tuple[ByAttribute, Unit]:
    column, kind = _column(node, key, offer, (CATEGORY,))
    parts = {name: value for name, value in node.mapping().items() if name != "by"}
    found = {name: _inner(value, key, offer) for name, value in parts.items()}
    unit = found["default"][1]
    for name, (_, other) in found.items():
        if other is not unit:
            raise node.fail_at_key(name, f"`{name}` is {_unit(other)}, but `default` is {_unit(unit)}; one for all")
    values = {attribute_text(name, kind): value for name, (value, _) in found.items() if name != "default"}
    return ByAttribute(column, values, found["default"][0]), unit


def _inner(node: Node, key: str, offer: Offer) -> tuple[Value, Unit]:
    if node.is_mapping:
        return _by(node, key, offer)
    if node.text() == NOTHING:
        raise node.fail(
            f"`none` takes a whole benefit away; inside a table by attribute write a value, like 0%, for `{key}`"
        )
    return _leaf(node, offer.conversion)


def _column(node: Node, key: str, offer: Offer, words: Collection[str]) -> tuple[str, Kind | None]:
    """The column of a table by attribute; `category` and `tier` are words of the program, not columns."""
    parts = node.mapping()
    if "by" not in parts:
        raise node.fail(f"`{key}` needs one value, or a table that starts with `by:` and has a `default:`")
    column = parts["by"].text().removeprefix(f"{PARTNERS}.")
    if "default" not in parts:
        raise no_default(node, column)
    if column in words:
        tiers = offer.words.tiers
        known = list(tiers.categories) if column == CATEGORY else sorted(tiers.tiers())
        for name in parts:
            if name not in (*known, "by", "default"):
                raise node.fail_at_key(name, f"unknown {column} `{name}`{nearest(name, known)}")
        return column, None
    kind = column_kind(parts["by"], column, offer.words.tables)
    if kind is Kind.LIST:
        raise parts["by"].fail(f"`{column}` is a list; `by:` needs a column with one value")
    return column, kind


def _unit(unit: Unit) -> str:
    return f"a {unit}" if unit is not Unit.MONEY else "money"


TierBenefits = tuple[str, Mapping[str, Benefit], Node | None]
"""Key of a tier, its benefits, and where they are written."""


def check_benefits(tiers: Sequence[TierBenefits]) -> None:
    """Errors: ConfigError for a benefit that is one thing in one tier of a ladder and another in the next, and for one
    that is taken away though no tier gives it."""
    first: dict[str, tuple[str, Benefit]] = {}
    for tier, benefits, node in tiers:
        for key, benefit in benefits.items():
            if benefit.value is None or benefit.value == 0:
                continue
            before, other = first.setdefault(key, (tier, benefit))
            if other.unit is not benefit.unit and node is not None:
                raise node.fail_at_key(
                    key,
                    f"`{key}` is {_unit(benefit.unit)} here, but {_unit(other.unit)} in tier `{before}` "
                    f"(line {other.line}); one for all, a text in quotes",
                )
    _check_taken_away(tiers)


def _check_taken_away(tiers: Sequence[TierBenefits]) -> None:
    given = {key for _, benefits, _ in tiers for key, benefit in benefits.items() if benefit.value is not None}
    for _, benefits, node in tiers:
        for key, benefit in benefits.items():
            if benefit.value is None and key not in given and node is not None:
                problem = f"`{key}: none` takes away what no tier of the ladder gives{nearest(key, given)}"
                raise node.fail_at_key(key, problem)


# --- commission and costs


def read_commission(node: Node | None, offer: Offer) -> Commission | None:
    """The commission rate: of which metric, in which bands, at most how much. Errors: ConfigError."""
    if node is None:
        return None
    parts = node.mapping(required=("of", "bands"), optional=("max",))
    of = parts["of"]
    if kind_of_unit(offer.words.unit_of(of)) is not Kind.NUMBER:
        raise of.fail(f"`{of.text()}` is no number; a commission rate depends on one")
    bands = _bands(parts["bands"], offer.words.units[of.text()])
    return Commission(of.text(), bands, _max(parts.get("max"), offer), node.line)


def _bands(node: Node, unit: Unit) -> tuple[tuple[Decimal, Decimal], ...]:
    found: list[tuple[Decimal, Decimal]] = []
    for key, value in node.mapping().items():
        start = decimal_of(key)
        if start is None:
            raise node.fail_at_key(key, f"`{key}` is not a number; a band starts at one, like `50%: 10%`")
        if unit is Unit.PERCENT and not key.endswith("%") and start > 1:
            raise node.fail_at_key(key, f"`{key}`: the metric is a percent, kept as a fraction: write {key}%")
        if found and start <= found[-1][0]:
            raise node.fail_at_key(key, f"`{key}` does not rise; write the bands from the lowest up")
        found.append((start, _rate(value)))
    if not found:
        raise node.fail("`bands:` names no band")
    return tuple(found)


def _rate(node: Node) -> Decimal:
    rate = node.decimal()
    if rate > 1:
        raise node.fail(
            f"`{node.text()}` is a rate above 100%; a commission of {node.text()} percent is {node.text()}%"
        )
    if rate < 0:
        raise node.fail(f"`{node.text()}`: a commission rate is 0% or more")
    return rate


def _max(node: Node | None, offer: Offer) -> Decimal | ByAttribute | None:
    if node is None:
        return None
    if node.is_text:
        return _rate(node)
    column, kind = _column(node, "max", offer, (TIER, CATEGORY))
    parts = node.mapping()
    values = {
        attribute_text(key, kind): _inner_max(value, offer)
        for key, value in parts.items()
        if key not in ("by", "default")
    }
    return ByAttribute(column, values, _inner_max(parts["default"], offer))


def _inner_max(node: Node, offer: Offer) -> Decimal | ByAttribute:
    found = _max(node, offer)
    assert found is not None
    return found


@dataclass(frozen=True)
class CostScope(Scope):
    """What the formula of a cost sees: benefits, then metrics, then partner columns."""

    benefits: Mapping[str, Kind] = field(default_factory=dict)

    def is_known(self, word: str) -> bool:
        """Whether an unqualified word surely is a name here."""
        return word in self.benefits or super().is_known(word)

    def resolve(self, prefix: str | None, name: str) -> Found:
        """The benefit, metric or column that a name means. Errors: UnknownNameError."""
        if prefix is None and name in self.benefits:
            return Found(BENEFIT, name, self.benefits[name])
        try:
            return super().resolve(prefix, name)
        except UnknownNameError:
            if prefix is not None:
                raise
            near = nearest(name, (*self.benefits, *self.metrics))
            raise UnknownNameError(f"unknown benefit, metric or partner column `{name}`{near}") from None


def read_costs(
    node: Node | None, words: Vocabulary, ladders: Iterable[Ladder], commission: Commission | None
) -> dict[str, Formula]:
    """Costs by name: formulas over benefits and metrics that give a number. Errors: ConfigError."""
    if node is None:
        return {}
    scope = CostScope(words.tables, None, words.references, words.units, benefits=_kinds(ladders, commission))
    found = {}
    for key, value in node.mapping().items():
        read_key(node, key)
        found[key] = parse_formula(value.text(), value.line, value.file, scope, Kind.NUMBER)
    if not found:
        raise node.fail("`costs:` names no cost")
    return found


def _kinds(ladders: Iterable[Ladder], commission: Commission | None) -> dict[str, Kind]:
    """What each benefit is; one that is a text anywhere is a text."""
    kinds: dict[str, Kind] = {COMMISSION: Kind.NUMBER} if commission else {}
    for ladder in ladders:
        for tier in ladder.tiers:
            for key, benefit in tier.benefits.items():
                if benefit.value is not None and kinds.get(key) is not Kind.TEXT:
                    kinds[key] = kind_of_unit(benefit.unit)
    return kinds
