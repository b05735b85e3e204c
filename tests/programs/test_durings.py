"""`during`, shifts and stretches of time are read from words; what cannot be right is refused with what would be."""

from __future__ import annotations

import pytest

from crmsync.errors import ConfigError
from crmsync.programs.durings import read_horizon, read_shift, read_window
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
from crmsync.strict_yaml import Node

A_YEAR_AGO = Shift(1, Period.YEARS)


def node(text: str) -> Node:
    return Node("p.yaml", 3, text)


@pytest.mark.parametrize(
    ("text", "window"),
    [
        ("last 12 months", Last(12, Period.MONTHS)),
        ("last 1 day", Last(1, Period.DAYS)),
        ("last  2   weeks", Last(2, Period.WEEKS)),
        ("last 4 quarters", Last(4, Period.QUARTERS)),
        ("last 3 years", Last(3, Period.YEARS)),
        ("last 12 months 1 year earlier", Last(12, Period.MONTHS, A_YEAR_AGO)),
        ("last 90 days 6 months earlier", Last(90, Period.DAYS, Shift(6, Period.MONTHS))),
        ("ever", Ever()),
        ("ever 1 year earlier", Ever(A_YEAR_AGO)),
        ("in force", InForce()),
        ("in force 1 year earlier", InForce(A_YEAR_AGO)),
        ("in force plus 12 months", InForce(tail=Horizon(12, Period.MONTHS))),
        ("in force plus 2 years 1 year earlier", InForce(A_YEAR_AGO, Horizon(2, Period.YEARS))),
        ("last 4 complete quarters", LastComplete(4, Period.QUARTERS)),
        ("last 1 complete month 1 year earlier", LastComplete(1, Period.MONTHS, A_YEAR_AGO)),
        ("this and the 5 months before", ThisAndBefore(5, Period.MONTHS)),
        ("this and the 1 quarter before", ThisAndBefore(1, Period.QUARTERS)),
        ("this year", CalendarPeriod(False, Period.YEARS)),
        ("previous fiscal quarter", CalendarPeriod(True, Period.QUARTERS, True)),
        ("this month 1 year earlier", CalendarPeriod(False, Period.MONTHS, shift=A_YEAR_AGO)),
        ("since joining", SinceJoining()),
        ("first 6 months", FirstMonths(6)),
        ("last 12 months until partners.left_on", Last(12, Period.MONTHS, until="left_on")),
        ("ever 1 year earlier until partners.left_on", Ever(A_YEAR_AGO, "left_on")),
        ("in force until partners.left_on", InForce(until="left_on")),
        ("first 3 months until partners.left_on", FirstMonths(3, until="left_on")),
    ],
)
def test_windows(text: str, window: Window) -> None:
    assert read_window(node(text)) == window


@pytest.mark.parametrize(
    ("text", "fragment"),
    [
        ("last complete month", "like `last 1 complete month`"),
        ("last 3 complete weeks", "months, quarters or years, not weeks"),
        ("last 2 fiscal years", "`previous fiscal year`"),
        ("this week", "did you mean `this year`?"),
        ("previos year", "did you mean `previous year`?"),
        ("this fiscal month", "write `this month`"),
        ("this and the 2 years before", "write months or quarters"),
        ("first 3 days", "write `first 6 months`"),
        ("in force plus a year", "write it like `in force plus 12 months`"),
        ("last 12 months until partners.left_on 1 year earlier", "`until` stands last"),
        ("last 12 months until left_on", "write until partners.column"),
        ("last 12 months until", "`until` stands last"),
        ("until partners.left_on", "write one of `last 12 months`"),
    ],
)
def test_what_would_be_right_is_said(text: str, fragment: str) -> None:
    with pytest.raises(ConfigError) as caught:
        read_window(node(text))
    assert fragment in caught.value.message


@pytest.mark.parametrize(
    "text",
    [
        "last months",
        "last 0 days",
        "last 1.5 years",
        "last 101 years",
        "12 months",
        "last 12",
        "ever earlier",
        "lastly",
        "",
    ],
)
def test_other_words_are_refused(text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        read_window(node(text))
    assert caught.value.line == 3


@pytest.mark.parametrize("text", ["last 12 months 1 quarter earlier", "last 12 months 5 days earlier"])
def test_a_shift_is_in_months_or_years(text: str) -> None:
    with pytest.raises(ConfigError, match="months or years"):
        read_window(node(text))


def test_shifts_and_stretches() -> None:
    assert read_shift(node("1 year earlier")) == A_YEAR_AGO
    assert read_shift(node("3 months earlier")) == Shift(3, Period.MONTHS)
    assert read_horizon(node("90 days")) == Horizon(90, Period.DAYS)
    with pytest.raises(ConfigError, match="is not a shift"):
        read_shift(node("1 year"))
    with pytest.raises(ConfigError, match="days or months"):
        read_horizon(node("1 year"))
