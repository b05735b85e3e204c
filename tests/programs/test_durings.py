"""`during`, shifts and stretches of time are read from words; what is not built yet is refused by name."""

from __future__ import annotations

import pytest

from crmsync.errors import ConfigError
from crmsync.programs.durings import read_horizon, read_shift, read_window
from crmsync.programs.program import Ever, Horizon, InForce, Last, Period, Shift, Window
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
    ],
)
def test_windows(text: str, window: Window) -> None:
    assert read_window(node(text)) == window


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("last 12 complete months", "`complete`"),
        ("this year", "`this`"),
        ("this and the 5 months before", "`this`"),
        ("previous fiscal quarter", "`previous`"),
        ("since joining", "`since joining`"),
        ("first 6 months", "`first N months`"),
        ("in force plus 12 months", "`in force plus`"),
        ("last 12 months until partners.left_on", "`until`"),
    ],
)
def test_windows_that_are_not_built_are_refused_by_name(text: str, name: str) -> None:
    with pytest.raises(ConfigError, match="is not built yet") as caught:
        read_window(node(text))
    assert name in caught.value.message


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
