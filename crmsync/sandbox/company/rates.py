"""Currencies of the sample company and their monthly exchange rates."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import date
from random import Random

CORPORATE = "EUR"
MONTHS = 48
NO_CENTS = frozenset({"JPY", "CLP"})

TYPICAL_RATES: Mapping[str, float] = {
    "EUR": 1.0, "USD": 1.09, "GBP": 0.86, "PLN": 4.31, "SEK": 11.3, "NOK": 11.6, "CAD": 1.49, "BRL": 5.9,
    "MXN": 20.1, "CLP": 1020.0, "INR": 91.5, "JPY": 163.0, "AUD": 1.66, "SGD": 1.46,
}  # fmt: skip
"""Units of the currency for 1 EUR, about as they were."""

CURRENCY_COLUMNS = ("IsoCode", "ConversionRate", "DecimalPlaces", "IsActive", "IsCorporate")
RATE_COLUMNS = ("IsoCode", "StartDate", "ConversionRate")


def months_until(today: date) -> list[date]:
    """The first day of each month with a rate, the oldest first."""
    last = today.year * 12 + today.month - 1
    return [date(month // 12, month % 12 + 1, 1) for month in range(last - MONTHS, last + 1)]


def monthly_rates(today: date, random: Random) -> list[tuple[str, date, str]]:
    """(currency, first day, rate) per currency and month: a walk of about 1.2 % a month around the typical rate."""
    rows = []
    for currency, typical in TYPICAL_RATES.items():
        drift = 1.0
        for month in months_until(today):
            drift *= 1 if currency == CORPORATE else 1 + random.gauss((1 - drift) * 0.05, 0.012)
            rows.append((currency, month, f"{typical * drift:.6f}"))
    return rows


def currency_rows(rates: list[tuple[str, date, str]]) -> Iterator[tuple[str | None, ...]]:
    """CurrencyType: the currencies with the rate of today."""
    newest = {currency: rate for currency, _, rate in rates}
    for currency, rate in newest.items():
        places = "0" if currency in NO_CENTS else "2"
        yield currency, rate, places, "true", "true" if currency == CORPORATE else "false"


def rate_rows(rates: list[tuple[str, date, str]]) -> Iterator[tuple[str | None, ...]]:
    """DatedConversionRate: one row per currency and month."""
    for currency, month, rate in rates:
        yield currency, month.isoformat(), rate
