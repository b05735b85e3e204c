"""When tiers may change: calendars, anniversaries, delays and stretches of time.

Source: program-language, section 7.
"""

from __future__ import annotations

import re
from datetime import date

from crmsync.programs.durings import read_horizon
from crmsync.programs.names import PARTNERS, Kind, Tables
from crmsync.programs.program import ANY_DAY, NO_TIME, Effective, Horizon, Lag, Period, ReviewDates
from crmsync.programs.vocabulary import column_kind
from crmsync.strict_yaml import Node, nearest

JOINED = "joined_on"
NOTHING = "none"

_DAY = re.compile(r"([0-9]{2})-([0-9]{2})")
_ANNIVERSARY = re.compile(r"anniversary(?: of (?:partners\.)?(\S+))?")
_EVERY = re.compile(r"every ([0-9]{1,4}) (day|week|month|quarter|year)s?")
_EVERY_ONE = re.compile(r"every (day|week|month|quarter|year)")
_MONTHS_APART = {"monthly": 1, "quarterly": 3, "yearly": 12, "fiscal quarterly": 3, "fiscal yearly": 12}
_WORDS = ("any day", *_MONTHS_APART, "anniversary")
_LAST_SHARED_DAY = 28  # every month has it
_LEAP_YEAR = 2000
_MOST_YEARS = {Period.DAYS: 36_500, Period.WEEKS: 5_200, Period.MONTHS: 1_200, Period.QUARTERS: 400, Period.YEARS: 100}


def read_fiscal_start(node: Node | None) -> tuple[int, int]:
    """`fiscal_year: {starts: 02-01}` as (month, day); by default the calendar year. Errors: ConfigError."""
    if node is None:
        return (1, 1)
    starts = node.mapping(required=("starts",))["starts"]
    month, day = _day(starts)
    if day > _LAST_SHARED_DAY:
        raise starts.fail(f"`{starts.text()}`: a fiscal year starts on a day that every month has, 01 to 28")
    return month, day


def read_dates(node: Node, fiscal_start: tuple[int, int], tables: Tables) -> ReviewDates:
    """The days of `on:`. Errors: ConfigError."""
    if node.is_sequence:
        return _listed(node)
    text = " ".join(node.text().split())
    if text == "any day":
        return ANY_DAY
    if text in _MONTHS_APART:
        month, day = fiscal_start if text.startswith("fiscal ") else (1, 1)
        return ReviewDates(days=_apart(month, day, _MONTHS_APART[text]))
    found = _ANNIVERSARY.fullmatch(text)
    if found:
        return ReviewDates(anniversary=_date_column(node, found[1] or JOINED, tables))
    if text.startswith("["):
        raise node.fail(f"`{text}` is a text; write the list without quotes, like [01-15, 07-15]")
    if _DAY.fullmatch(text):
        raise node.fail(f"`{text}` is one day; write it as a list, like [{text}]")
    known = ", ".join(f"`{word}`" for word in _WORDS)
    close = nearest(text, _WORDS)
    raise node.fail(
        f"`{text}` is no date for a change"
        + (close if "did you mean" in close else f"; write one of {known}, `anniversary of column` or [01-15, 07-15]")
    )


def _apart(month: int, day: int, months: int) -> tuple[tuple[int, int], ...]:
    return tuple(sorted(((month - 1 + more) % 12 + 1, day) for more in range(0, 12, months)))


def _listed(node: Node) -> ReviewDates:
    days: dict[tuple[int, int], Node] = {}
    for item in node.sequence():
        found = _day(item)
        if found in days:
            raise item.fail(f"`{item.text()}` stands twice")
        days[found] = item
    if not days:
        raise node.fail("a list without a day; write like [01-15, 07-15]")
    return ReviewDates(days=tuple(sorted(days)))


def _day(node: Node) -> tuple[int, int]:
    """A day of the year, month first; 02-29 is one."""
    text = node.text()
    found = _DAY.fullmatch(text)
    try:
        day = date(_LEAP_YEAR, int(found[1]), int(found[2])) if found else None
    except ValueError:
        day = None
    if day is None:
        raise node.fail(f"`{text}` is no day of the year; write month and day, like 01-15")
    return day.month, day.day


def _date_column(node: Node, column: str, tables: Tables) -> str:
    if column_kind(node, column, tables) not in (Kind.DATE, None):
        raise node.fail(f"`{column}` is no date of `{PARTNERS}`; `anniversary of` needs one")
    return column


def read_effective(node: Node) -> Effective:
    """`immediately`, `first of next month` or `after 30 days`. Errors: ConfigError."""
    text = " ".join(node.text().split())
    if text.startswith("after "):
        return Effective(Lag.AFTER, read_horizon(Node(node.file, node.line, text.removeprefix("after "))))
    known = (str(Lag.IMMEDIATELY), str(Lag.NEXT_MONTH))
    if text not in known:
        raise node.fail(
            f"`{text}` is no time to come into force; write immediately, first of next month, or like `after 30 days`"
        )
    return Effective(Lag(text))


def read_stretch(node: Node) -> Horizon:
    """A stretch like `90 days`; `none` or 0 is no time. Errors: ConfigError."""
    text = " ".join(node.text().split())
    if text in (NOTHING, "0", "0 days", "0 months"):
        return NO_TIME
    return read_horizon(node)


def read_every(node: Node | None) -> Horizon | None:
    """`reassess: every 12 months`. Errors: ConfigError."""
    if node is None:
        return None
    text = " ".join(node.text().split())
    one, found = _EVERY_ONE.fullmatch(text), _EVERY.fullmatch(text)
    if not (one or found):
        raise node.fail(f"`{text}` is no interval; write like `every 12 months`")
    count, period = (1, Period(one[1] + "s")) if one else _counted(found)
    if not 1 <= count <= _MOST_YEARS[period]:
        raise node.fail(f"`{text}`: write 1 to {_MOST_YEARS[period]:,} {period}")
    return Horizon(count, period)


def _counted(found: re.Match[str] | None) -> tuple[int, Period]:
    assert found is not None
    return int(found[1]), Period(found[2] + "s")
