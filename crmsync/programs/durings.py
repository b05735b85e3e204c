"""The words of `during`, shifts, intervals and stretches of time.

Source: program-language, section 3. What the language has and is not built yet is refused by name.
"""

from __future__ import annotations

import re

from crmsync.programs.program import Ever, Horizon, InForce, Last, Period, Shift, Window
from crmsync.strict_yaml import Node

# A hundred years each: no window leaves the calendar.
_MOST = {Period.DAYS: 36_500, Period.WEEKS: 5_200, Period.MONTHS: 1_200, Period.QUARTERS: 400, Period.YEARS: 100}
_STRETCH = re.compile(r"([0-9]{1,5}) (day|week|month|quarter|year)s?")
_SHIFTED = re.compile(r"(.*?) ?\b([0-9]{1,5} (?:day|week|month|quarter|year)s?) earlier")
_EXAMPLES = "`last 12 months`, `last 12 months 1 year earlier`, `ever`, `in force`"
_NOT_BUILT = (
    (re.compile(r"last [0-9]+ complete .*"), "complete"),
    (re.compile(r"this .*"), "this"),
    (re.compile(r"previous .*"), "previous"),
    (re.compile(r"since joining"), "since joining"),
    (re.compile(r"first [0-9]+ months?"), "first N months"),
    (re.compile(r"in force plus .*"), "in force plus"),
)


def read_window(node: Node) -> Window:
    """The window that `during:` names. Errors: ConfigError."""
    text = " ".join(node.text().split())
    if re.search(r"\buntil\b", text):
        raise node.fail(f"`until` in `during: {text}` is not built yet")
    found = _SHIFTED.fullmatch(text)
    shift = read_shift_text(node, found[2]) if found else None
    words = found[1] if found else text
    if words == "ever":
        return Ever(shift)
    if words == "in force":
        return InForce(shift)
    for pattern, name in _NOT_BUILT:
        if pattern.fullmatch(words):
            raise node.fail(f"`{name}` in `during: {text}` is not built yet")
    if not words.startswith("last "):
        raise node.fail(f"`{text}` is not a window; write {_EXAMPLES}")
    count, period = _stretch(node, words.removeprefix("last "), f"`{text}` is not a window; write {_EXAMPLES}")
    return Last(count, period, shift)


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
    text = " ".join(node.text().split())
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
