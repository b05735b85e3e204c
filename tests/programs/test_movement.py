"""Movement, effort and risk: every form of them, layer upon layer, and what is refused."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest

from crmsync.errors import ConfigError
from crmsync.programs.program import (
    DEFAULT_MOVEMENT,
    NO_TIME,
    Change,
    Effective,
    Horizon,
    Lag,
    Last,
    Movement,
    Period,
    Program,
    ReviewDates,
    Risk,
    ThisAndBefore,
)
from tests.programs.texts import HEAD, LADDER, loaded


def program(folder: Path, more: str) -> Program:
    return loaded(folder, HEAD + LADDER + more + "\n")


def movement(folder: Path, entry: str, more: str = "") -> Movement:
    return program(folder, f"movement: {entry}\n{more}").movement


def test_nothing_said_is_any_day_at_once(tmp_path: Path) -> None:
    found = program(tmp_path, "")
    assert found.movement == Movement()
    assert found.movement_of("all") == DEFAULT_MOVEMENT


def test_short_and_long_forms_say_the_same(tmp_path: Path) -> None:
    short = movement(tmp_path, "{promote: monthly, demote: yearly}")
    assert short == movement(tmp_path, "{promote: {on: monthly}, demote: {on: yearly}}")


@pytest.mark.parametrize(
    ("words", "days"),
    [
        ("monthly", tuple((month, 1) for month in range(1, 13))),
        ("quarterly", ((1, 1), (4, 1), (7, 1), (10, 1))),
        ("yearly", ((1, 1),)),
        ("fiscal quarterly", ((2, 6), (5, 6), (8, 6), (11, 6))),
        ("fiscal yearly", ((11, 6),)),
        ("[07-15, 01-15]", ((1, 15), (7, 15))),
        ("[02-29]", ((2, 29),)),
    ],
)
def test_calendars(tmp_path: Path, words: str, days: tuple[tuple[int, int], ...]) -> None:
    found = movement(tmp_path, f"{{promote: {words}}}", "fiscal_year: {starts: 11-06}\n")
    assert found.promote.on == ReviewDates(days=days)


def test_anniversaries(tmp_path: Path) -> None:
    found = movement(tmp_path, "{promote: anniversary, demote: {on: anniversary of joined_on}}")
    assert found.promote.on == found.demote.on == ReviewDates(anniversary="joined_on")


def test_every_key_of_a_demotion(tmp_path: Path) -> None:
    found = movement(
        tmp_path, "{demote: {on: yearly, grace: 90 days, steps: 1, approval: yes, effective: after 2 months}}"
    )
    assert found.demote == Change(
        ReviewDates(days=((1, 1),)),
        Effective(Lag.AFTER, Horizon(2, Period.MONTHS)),
        True,
        Horizon(90, Period.DAYS),
        1,
    )


def test_effective_is_of_both_directions_unless_one_says_its_own(tmp_path: Path) -> None:
    found = movement(tmp_path, "{effective: first of next month, promote: monthly, demote: {effective: immediately}}")
    assert found.promote.effective == Effective(Lag.NEXT_MONTH)
    assert found.demote.effective == Effective(Lag.IMMEDIATELY)


def test_hold_and_freeze(tmp_path: Path) -> None:
    found = movement(
        tmp_path,
        """{hold: {newcomers: 6 months, after_promotion: none}, freeze: [
          {where: "region = 'LATAM' and revenue > 10", from: 2026-09-01, until: 2027-03-31, reason: Earthquake},
          {until: 2026-12-31}]}""",
    )
    assert (found.newcomers, found.after_promotion) == (Horizon(6, Period.MONTHS), NO_TIME)
    assert found.freeze is not None
    first, second = found.freeze
    assert first.where is not None
    assert first.where.metrics == {"revenue"}
    assert (first.start, first.until, first.reason) == (date(2026, 9, 1), date(2027, 3, 31), "Earthquake")
    assert (second.where, second.start, second.until) == (None, None, date(2026, 12, 31))


def test_a_tier_qualifies_on_any_day_of_a_window(tmp_path: Path) -> None:
    found = movement(tmp_path, "{qualifies: any day of this and the 5 months before}")
    assert found.qualifies == ThisAndBefore(5, Period.MONTHS)


LAYERS = """\
categories:
  near: {ladder: main}
  far: {ladder: main, movement: {demote: {grace: none}, qualifies: today, hold: none, freeze: none}}
movement:
  demote: {on: yearly, grace: 90 days, steps: 1}
  qualifies: any day of last 6 months
  hold: {newcomers: 6 months}
  freeze: [{from: 2026-01-01}]
"""


def test_each_key_named_in_a_category_or_tier_replaces_the_one_above(tmp_path: Path) -> None:
    found = loaded(tmp_path, HEAD + LADDER.replace("500000}", "500000}, movement: {demote: [07-01]}") + LAYERS)
    gold = found.ladders["main"].tiers[1]
    near, far = found.movement_of("near"), found.movement_of("far", gold)
    assert (near.demote.grace, near.demote.steps) == (Horizon(90, Period.DAYS), 1)
    assert (near.qualifies, near.newcomers) == (Last(6, Period.MONTHS), Horizon(6, Period.MONTHS))
    assert (far.demote.grace, far.demote.steps, far.demote.on) == (NO_TIME, 1, ReviewDates(days=((7, 1),)))
    assert (far.qualifies, far.newcomers, far.freeze) == (None, NO_TIME, ())


@pytest.mark.parametrize(
    ("entry", "problem"),
    [
        ("{promote: weekly}", "`weekly` is no date for a change; write one of `any day`, `monthly`"),
        ("{promote: 01-15}", "`01-15` is one day; write it as a list, like [01-15]"),
        ("{promote: [01-15, 02-30]}", "`02-30` is no day of the year"),
        ("{promote: [01-15, 01-15]}", "`01-15` stands twice"),
        ("{promote: []}", "a list without a day"),
        ("{promote: anniversary of region}", "`region` is no date"),
        ("{promote: anniversary of joind_on}", "did you mean `joined_on`?"),
        ("{promote: {grace: 90 days}}", "`grace:` belongs to `demote:`"),
        ("{promote: {approval: maybe}}", "`maybe` is not yes or no"),
        ("{demote: {on: yearly, steps: 0}}", "`steps: 0`: write 1 or more"),
        ("{demote: {steps: 1}}", "`steps: 1` needs a calendar (`on: yearly`) or a grace"),
        ("{demote: {grace: 2 years}}", "write days or months"),
        ("{effective: next month}", "write immediately, first of next month, or like `after 30 days`"),
        ("{effective: after a while}", "`a while` is not a stretch of time"),
        ("{hold: {promoted: 6 months}}", "unknown key `promoted`"),
        ("{freeze: [{reason: Storm}]}", "a freeze needs `where:`, `from:` or `until:`"),
        ("{freeze: [{from: 2026-02-01, until: 2026-01-01}]}", "`until: 2026-01-01` lies before"),
        ("{freeze: [{where: regio = 'EMEA'}]}", "did you mean `region`?"),
        ("{qualifies: any day}", "`any day` is not `today` or `any day of …`"),
        ("{qualifies: any day of in force}", "a window up to today is needed"),
        ("{qualifies: any day of last 6 months 1 year earlier}", "a window up to today is needed"),
        ("{approval: yes}", "unknown key `approval`"),
    ],
)
def test_mistakes_in_movement(tmp_path: Path, entry: str, problem: str) -> None:
    with pytest.raises(ConfigError) as caught:
        program(tmp_path, f"movement: {entry}")
    assert problem in caught.value.message
    assert caught.value.line == 14


def test_steps_need_a_calendar_where_all_layers_are_put_together(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="tier `gold` come on any day without grace") as caught:
        loaded(
            tmp_path,
            HEAD
            + LADDER.replace("500000}", "500000}, movement: {demote: any day}")
            + "movement: {demote: {on: yearly, steps: 1}}\n",
        )
    assert caught.value.line == 13


@pytest.mark.parametrize(
    ("entry", "problem"),
    [
        ("fiscal_year: {starts: 02-29}", "a day that every month has"),
        ("fiscal_year: {starts: 13-01}", "`13-01` is no day of the year"),
        ("fiscal_year: 02-01", "a mapping (`key: value`) is needed here"),
        ("reassess: 12 months", "write like `every 12 months`"),
        ("reassess: every 0 months", "write 1 to 1,200 months"),
    ],
)
def test_mistakes_in_the_calendar(tmp_path: Path, entry: str, problem: str) -> None:
    with pytest.raises(ConfigError) as caught:
        program(tmp_path, entry)
    assert problem in caught.value.message
    assert caught.value.line == 14


@pytest.mark.parametrize(
    ("text", "interval"),
    [("every 12 months", Horizon(12, Period.MONTHS)), ("every year", Horizon(1, Period.YEARS))],
)
def test_reassess(tmp_path: Path, text: str, interval: Horizon) -> None:
    assert program(tmp_path, f"reassess: {text}").reassess == interval


def test_effort_is_for_one_unit_of_the_metric(tmp_path: Path) -> None:
    found = program(tmp_path, "effort: {revenue: 1 per 1000, people: 40, rate: 2 per 1%, plan: 0.5}").effort
    assert found == {
        "revenue": Decimal("0.001"),
        "people": Decimal(40),
        "rate": Decimal(200),
        "plan": Decimal("0.5"),
    }


@pytest.mark.parametrize("entry", ["0", "-1", "1 per 0", "1 per", "much", "1 for 1000", "1 per 2 per 3"])
def test_an_effort_is_a_number_above_zero(tmp_path: Path, entry: str) -> None:
    with pytest.raises(ConfigError, match="is not an effort"):
        program(tmp_path, f"effort: {{revenue: {entry}}}")


def test_risk_has_defaults(tmp_path: Path) -> None:
    assert program(tmp_path, "").risk == Risk(Horizon(90, Period.DAYS), Horizon(6, Period.MONTHS), Decimal("0.10"))
    assert program(tmp_path, "risk: {horizon: 3 months, near: 5%}").risk == Risk(
        Horizon(3, Period.MONTHS), Horizon(6, Period.MONTHS), Decimal("0.05")
    )


@pytest.mark.parametrize("entry", ["{near: 10}", "{near: -1%}", "{horizon: 1 year}", "{pace: soon}", "{far: 10%}"])
def test_mistakes_in_risk(tmp_path: Path, entry: str) -> None:
    with pytest.raises(ConfigError) as caught:
        program(tmp_path, f"risk: {entry}")
    assert caught.value.line == 14
