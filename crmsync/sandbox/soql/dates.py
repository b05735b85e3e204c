"""Date literals: TODAY, LAST_N_DAYS:n, THIS_FISCAL_QUARTER, … as half-open ranges of days.

Weeks start on Sunday. LAST_N_DAYS includes today; LAST_N_WEEKS, _MONTHS, … are whole periods before this one.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import date

MOST = 3_000

Range = tuple[date, date]
"""First day, and the day after the last."""


def _day(today: date, shift: int, fiscal: int) -> date:
    del fiscal
    return _moved(today, shift)


def _week(today: date, shift: int, fiscal: int) -> date:
    del fiscal
    return _moved(today, shift * 7 - (today.weekday() + 1) % 7)


def _month(today: date, shift: int, fiscal: int) -> date:
    del fiscal
    return _first_of_month(today.year * 12 + today.month - 1 + shift)


def _quarter(today: date, shift: int, fiscal: int) -> date:
    del fiscal
    return _first_of_month(today.year * 12 + (today.month - 1) // 3 * 3 + shift * 3)


def _year(today: date, shift: int, fiscal: int) -> date:
    del fiscal
    return _first_of_month((today.year + shift) * 12)


def _fiscal_quarter(today: date, shift: int, fiscal: int) -> date:
    months = today.year * 12 + today.month - fiscal
    return _first_of_month(months // 3 * 3 + fiscal - 1 + shift * 3)


def _fiscal_year(today: date, shift: int, fiscal: int) -> date:
    months = today.year * 12 + today.month - fiscal
    return _first_of_month(months // 12 * 12 + fiscal - 1 + shift * 12)


def _moved(day: date, days: int) -> date:
    return date.fromordinal(min(max(day.toordinal() + days, 1), date.max.toordinal()))


def _first_of_month(months: int) -> date:
    return date(min(max(months // 12, 1), 9999), months % 12 + 1, 1)


Start = Callable[[date, int, int], date]
_PERIODS: dict[str, Start] = {
    "DAY": _day, "WEEK": _week, "MONTH": _month, "QUARTER": _quarter, "YEAR": _year,
    "FISCAL_QUARTER": _fiscal_quarter, "FISCAL_YEAR": _fiscal_year,
}  # fmt: skip
_COUNTED = {
    word: (period, way)
    for period in _PERIODS
    for word, way in ((f"LAST_N_{period}S", "last"), (f"NEXT_N_{period}S", "next"), (f"N_{period}S_AGO", "ago"))
}
_FIXED = {
    word: (period, shift)
    for period in _PERIODS
    if period != "DAY"
    for word, shift in ((f"LAST_{period}", -1), (f"THIS_{period}", 0), (f"NEXT_{period}", 1))
} | {"YESTERDAY": ("DAY", -1), "TODAY": ("DAY", 0), "TOMORROW": ("DAY", 1)}  # fmt: skip
RANGES = frozenset(_FIXED) | frozenset(_COUNTED) | {"LAST_90_DAYS", "NEXT_90_DAYS"}


def counted(word: str) -> bool:
    """The literal is followed by `:n`."""
    return word in _COUNTED


def date_range(word: str, count: int, today: date, fiscal_month: int = 1) -> Range:
    """The days that a date literal stands for on `today`; the fiscal year starts in `fiscal_month`."""
    if word in ("LAST_90_DAYS", "NEXT_90_DAYS"):
        word, count = word.replace("90", "N"), 90
    if word in _FIXED:
        period, shift = _FIXED[word]
        start = _PERIODS[period]
        return start(today, shift, fiscal_month), start(today, shift + 1, fiscal_month)
    period, way = _COUNTED[word]
    start = _PERIODS[period]
    if way == "ago":
        return start(today, -count, fiscal_month), start(today, 1 - count, fiscal_month)
    if way == "next":
        return start(today, 1, fiscal_month), start(today, count + 1, fiscal_month)
    last = start(today, 1 if period == "DAY" else 0, fiscal_month)
    return start(today, -count, fiscal_month), last
