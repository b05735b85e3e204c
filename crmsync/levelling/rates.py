"""Exchange rates: which factor turns a record's money into the program's currency.

Rates are units of a currency for 1 of the base currency. The last rate on or before the record's main date counts.
Factors are computed here as exact decimals, 12 digits, and joined by (currency, day).
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import ROUND_HALF_UP, Decimal, localcontext

import pyarrow as pa

from crmsync.errors import DataError
from crmsync.programs.program import RateRow

TWELVE_DIGITS = Decimal(1).scaleb(-12)
NUMBER_COLUMN = pa.decimal128(18, 12)


@dataclass(frozen=True)
class RateTable:
    """Rates by currency, each a sorted list of first days and the rates from then on."""

    days: Mapping[str, Sequence[date]]
    rates: Mapping[str, Sequence[Decimal]]

    def factor(self, record: str, program: str, on: date) -> Decimal | None:
        """What one unit of `record` is worth in `program` on that day, 12 digits; None without a rate."""
        if record == program:
            return Decimal(1)
        of_record, of_program = self._rate(record, on), self._rate(program, on)
        if of_record is None or of_program is None:
            return None
        with localcontext() as context:
            context.prec = 60
            return (of_program / of_record).quantize(TWELVE_DIGITS, ROUND_HALF_UP)

    def _rate(self, currency: str, on: date) -> Decimal | None:
        at = bisect_right(self.days.get(currency, ()), on)
        return self.rates[currency][at - 1] if at else None


def rate_table(rows: Iterable[RateRow]) -> RateTable:
    """Rates sorted for lookup; the base currency has rate 1 by its own rows.

    Errors: DataError on a rate of 0 or less, or two for one day.
    """
    sorted_rows: dict[str, dict[date, Decimal]] = {}
    for row in rows:
        if row.rate <= 0:
            raise DataError(f"rates: {row.currency} from {row.effective_from or 'always'}: {row.rate} is not above 0")
        by_day = sorted_rows.setdefault(row.currency, {})
        first = row.effective_from or date.min
        if first in by_day:
            raise DataError(f"rates: {row.currency} has two rates from {row.effective_from or 'always'}")
        by_day[first] = row.rate
    for by_day in sorted_rows.values():
        if set(by_day.values()) == {Decimal(1)}:
            by_day[date.min] = Decimal(1)
    days = {currency: sorted(by_day) for currency, by_day in sorted_rows.items()}
    rates = {currency: [by_day[day] for day in days[currency]] for currency, by_day in sorted_rows.items()}
    return RateTable(days, rates)


def rows_of_table(table: pa.Table) -> list[RateRow]:
    """The canonical table `rates` as rows; a DOUBLE is taken by its shortest decimal text."""
    names = set(table.column_names)
    starts = table.column("effective_from").to_pylist() if "effective_from" in names else [None] * table.num_rows
    currencies = table.column("currency").to_pylist()
    values = table.column("rate").to_pylist()
    return [
        RateRow(currency, start, Decimal(repr(value)))
        for currency, start, value in zip(currencies, starts, values, strict=True)
        if currency is not None and value is not None
    ]


def factors_by_day(
    spans: Iterable[tuple[str, date, date]], rates: RateTable | None, program: str
) -> tuple[pa.Table, bool]:
    """Factors for each currency and day of the spans, and whether any day has none.

    Shape: one row per (currency, day), columns currency, day, factor.
    """
    currencies: list[str] = []
    days: list[date] = []
    factors: list[Decimal] = []
    missing = False
    known = rates or RateTable({}, {})
    for currency, first, last in spans:
        for start, end, factor in _segments(known, currency, program, first, last):
            if factor is None or factor >= 1_000_000:
                missing = True
                continue
            count = (end - start).days + 1
            currencies += [currency] * count
            days += [start + timedelta(days=i) for i in range(count)]
            factors += [factor] * count
    table = pa.table(
        {
            "currency": pa.array(currencies, pa.string()),
            "day": pa.array(days, pa.date32()),
            "factor": pa.array(factors, NUMBER_COLUMN),
        }
    )
    return table, missing


def _segments(
    rates: RateTable, currency: str, program: str, first: date, last: date
) -> Iterator[tuple[date, date, Decimal | None]]:
    """Stretches of days with one factor."""
    changes = {day for side in (currency, program) for day in rates.days.get(side, ()) if first < day <= last}
    starts = [first, *sorted(changes)]
    for start, following in zip(starts, [*starts[1:], last + timedelta(days=1)], strict=True):
        yield start, following - timedelta(days=1), rates.factor(currency, program, start)
