"""Amounts and numbers as people read them, the same in every text that is written: `512,000 EUR`, `34.99 %`."""

from __future__ import annotations

import re
from decimal import ROUND_DOWN, Decimal

CENTS = 2
LONG = 5
"""A whole number of four digits may be a year; from five on it is grouped."""
_NUMBER = re.compile(r"(?<![\w.,:/#-])-?\d+(?:\.(\d+))?(?![\w:/-]|[.,]\d)")

_CENTS = re.compile(r"(?<![\w.,:/#-])-?\d+\.\d\d(?![\w:/.-])")


def money_said(number: Decimal) -> str:
    """Money with its cents, or without where there are none: `7,595.63`, `350,000`."""
    return f"{number:,.2f}".removesuffix(".00")


def number_said(number: Decimal) -> str:
    """At most two decimals, cut and not rounded: 34.999 of 35 must not read as 35."""
    exact = number if number == number.to_integral_value() else number.quantize(Decimal("0.01"), ROUND_DOWN)
    text = f"{exact:,f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def grouped(text: str) -> str:
    """A sentence of the assessment with its numbers as people read them; dates, ids and years stay as they are."""
    return _NUMBER.sub(_said, text)


def money_in(text: str, currency: str | None) -> str:
    """A sentence about money alone, with the currency behind each amount: `0.00 (needs 40000.00)`."""
    return grouped(_CENTS.sub(rf"\g<0> {currency}", text) if currency else text)


def _said(found: re.Match[str]) -> str:
    decimals = found[1]
    number = Decimal(found[0])
    if decimals is None:
        return number_said(number) if len(found[0].lstrip("-")) >= LONG else found[0]
    said = money_said(number) if len(decimals) == CENTS else number_said(number)
    return said if number == 0 or said.strip("-0.") else found[0]  # 0.001 is not nothing
