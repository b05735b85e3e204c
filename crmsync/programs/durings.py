"""The words of `during`, shifts, intervals and stretches of time.

A window is read in three parts, always in this order: the window itself, `N months|years earlier`, `until
partners.column`. Source: program-language, section 3.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from crmsync.programs.program import (
    CalendarPeriod,
    Ever,
    FirstMonths,
    Horizon,
    InForce,
    Last,
    LastComplete,
    Period,
    Shift,
    SinceJoining,
    ThisAndBefore,
    Window,
)
from crmsync.strict_yaml import Node, nearest

# A hundred years each: no window leaves the calendar.
_MOST = {Period.DAYS: 36_500, Period.WEEKS: 5_200, Period.MONTHS: 1_200, Period.QUARTERS: 400, Period.YEARS: 100}
_WHOLE = (Period.MONTHS, Period.QUARTERS, Period.YEARS)
_STRETCH = re.compile(r"([0-9]{1,5}) (day|week|month|quarter|year)s?")
_SHIFTED = re.compile(r"(.*?) ?\b([0-9]{1,5} (?:day|week|month|quarter|year)s?) earlier")
_UNTIL = re.compile(r"(.*?) ?\buntil (\S+)")
_COLUMN = re.compile(r"partners\.([A-Za-z_][A-Za-z0-9_]*)")
_COMPLETE = re.compile(r"last (\S+) complete (\S+)")
_AND_BEFORE = re.compile(r"this and the (.+) before")
_CALENDAR = re.compile(r"(this|previous) (fiscal )?(month|quarter|year)")
_FORMS = (
    "last 12 months",
    "last 4 complete quarters",
    "this and the 5 months before",
    "this month",
    "this quarter",
    "this year",
    "this fiscal quarter",
    "this fiscal year",
    "previous month",
    "previous quarter",
    "previous year",
    "previous fiscal quarter",
    "previous fiscal year",
    "since joining",
    "first 6 months",
    "ever",
    "in force",
    "in force plus 12 months",
)
_EXAMPLES = (
    "`last 12 months`, `last 4 complete quarters`, `this and the 5 months before`, `this year`, "
    "`previous fiscal year`, `since joining`, `first 6 months`, `ever`, `in force`, `in force plus 12 months`; "
    "then `1 year earlier`, then `until partners.column`"
)


@dataclass(frozen=True)
class _Words:
    """The words of one window without what stands behind it. `node` and `text` are for messages."""

    node: Node
    text: str
    words: str
    shift: Shift | None
    until: str | None

    def stretch(self, text: str, form: str) -> tuple[int, Period]:
        return _stretch(self.node, text, f"`{self.text}` is not a window; write it like `{form}`")


def read_window(node: Node) -> Window:
    """The window that `during:` names. Errors: ConfigError."""
    return window_of(node, node.text())


def window_of(node: Node, text: str) -> Window:
    """The window in a text of this value. Errors: ConfigError."""
    text = " ".join(text.split())
    rest, until = _split_until(node, text)
    found = _SHIFTED.fullmatch(rest)
    shift = read_shift_text(node, found[2]) if found else None
    words = _Words(node, text, found[1] if found else rest, shift, until)
    for read in _READERS:
        window = read(words)
        if window is not None:
            return window
    raise node.fail(f"`{text}` is not a window{_near(words.words)}")


def _near(words: str) -> str:
    close = nearest(words, _FORMS)
    return close if close.startswith("; did you mean") else f"; write one of {_EXAMPLES}"


def _split_until(node: Node, text: str) -> tuple[str, str | None]:
    if not re.search(r"\buntil\b", text):
        return text, None
    found = _UNTIL.fullmatch(text)
    if not found:
        raise node.fail(
            f"`{text}`: `until` stands last and names one date, like `last 12 months until partners.left_on`"
        )
    column = _COLUMN.fullmatch(found[2])
    if not column:
        raise node.fail(f"`until {found[2]}` names no date of the partner; write until partners.column")
    return found[1], column[1]


def _open(words: _Words) -> Window | None:
    """`ever`, `since joining`, `first N months`."""
    if words.words == "ever":
        return Ever(words.shift, words.until)
    if words.words == "since joining":
        return SinceJoining(words.shift, words.until)
    if not words.words.startswith("first "):
        return None
    count, period = words.stretch(words.words.removeprefix("first "), "first 6 months")
    if period is not Period.MONTHS:
        raise words.node.fail(f"`{words.text}`: the first stretch after joining is in months; write `first 6 months`")
    return FirstMonths(count, words.shift, words.until)


def _in_force(words: _Words) -> Window | None:
    if words.words == "in force":
        return InForce(words.shift, None, words.until)
    if not words.words.startswith("in force plus "):
        return None
    count, period = words.stretch(words.words.removeprefix("in force plus "), "in force plus 12 months")
    return InForce(words.shift, Horizon(count, period), words.until)


def _complete(words: _Words) -> Window | None:
    found = _COMPLETE.fullmatch(words.words)
    if not found:
        return None
    count, period = words.stretch(f"{found[1]} {found[2]}", "last 4 complete quarters")
    if period not in _WHOLE:
        raise words.node.fail(f"`{words.text}`: complete periods are months, quarters or years, not {period}")
    return LastComplete(count, period, words.shift, words.until)


def _and_before(words: _Words) -> Window | None:
    found = _AND_BEFORE.fullmatch(words.words)
    if not found:
        return None
    count, period = words.stretch(found[1], "this and the 5 months before")
    if period not in (Period.MONTHS, Period.QUARTERS):
        raise words.node.fail(
            f"`{words.text}`: write months or quarters, not {period}, like `this and the 5 months before`"
        )
    return ThisAndBefore(count, period, words.shift, words.until)


def _calendar(words: _Words) -> Window | None:
    found = _CALENDAR.fullmatch(words.words)
    if not found:
        return None
    period, fiscal = Period(found[3] + "s"), found[2] is not None
    if fiscal and period is Period.MONTHS:
        raise words.node.fail(f"`{words.text}`: there is no fiscal month; write `{found[1]} month`")
    return CalendarPeriod(found[1] == "previous", period, fiscal, words.shift, words.until)


def _last(words: _Words) -> Window | None:
    if not words.words.startswith("last "):
        return None
    rest = words.words.removeprefix("last ")
    if re.match(r"complete\b", rest):
        raise words.node.fail(f"`{words.text}`: say how many complete periods, like `last 1 complete month`")
    if re.search(r"\bfiscal\b", rest):
        raise words.node.fail(
            f"`{words.text}` is not a window; fiscal periods are `this fiscal year`, `previous fiscal year`, "
            f"`this fiscal quarter` and `previous fiscal quarter`"
        )
    count, period = words.stretch(rest, "last 12 months")
    return Last(count, period, words.shift, words.until)


_READERS: tuple[Callable[[_Words], Window | None], ...] = (
    _open,
    _in_force,
    _complete,
    _and_before,
    _calendar,
    _last,
)


def read_shift(node: Node) -> Shift:
    """`versus: 1 year earlier`. Errors: ConfigError."""
    text = " ".join(node.text().split())
    if not text.endswith(" earlier"):
        raise node.fail(f"`{text}` is not a shift; write like `1 year earlier` or `3 months earlier`")
    return read_shift_text(node, text.removesuffix(" earlier"))


def read_shift_text(node: Node, text: str) -> Shift:
    """The shift in `N months` or `N years`. Errors: ConfigError."""
    count, period = _stretch(node, text, f"`{text} earlier` is not a shift; write like `1 year earlier`")
    if period not in (Period.MONTHS, Period.YEARS):
        raise node.fail(f"`{text} earlier`: a shift is in months or years")
    return Shift(count, period)


def read_horizon(node: Node) -> Horizon:
    """A stretch of days or months, like `90 days`. Errors: ConfigError."""
    return horizon_of(node, node.text())


def horizon_of(node: Node, text: str) -> Horizon:
    """The stretch of days or months in a text of this value. Errors: ConfigError."""
    text = " ".join(text.split())
    count, period = _stretch(node, text, f"`{text}` is not a stretch of time; write like `90 days` or `6 months`")
    if period not in (Period.DAYS, Period.MONTHS):
        raise node.fail(f"`{text}`: write days or months")
    return Horizon(count, period)


def is_interval(text: str) -> bool:
    """Whether the text of an interval literal is one stretch of time within a hundred years."""
    found = _STRETCH.fullmatch(text)
    return found is not None and int(found[1]) <= _MOST[Period(found[2] + "s")]


def _stretch(node: Node, text: str, otherwise: str) -> tuple[int, Period]:
    found = _STRETCH.fullmatch(text)
    if not found:
        raise node.fail(otherwise)
    count, period = int(found[1]), Period(found[2] + "s")
    if not 1 <= count <= _MOST[period]:
        raise node.fail(f"`{text}`: write 1 to {_MOST[period]:,} {period}")
    return count, period
