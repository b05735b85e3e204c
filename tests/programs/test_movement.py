"""Movement, effort and risk: what is built is read, the rest of the language is refused by name."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest

from crmsync.errors import ConfigError
from crmsync.programs.program import Horizon, Period, Program, Risk
from tests.programs.texts import HEAD, LADDER, loaded


def program(folder: Path, more: str) -> Program:
    return loaded(folder, HEAD + LADDER + more + "\n")


@pytest.mark.parametrize(
    "entry",
    [
        "{promote: any day, demote: any day}",
        "{promote: {on: any day}, demote: {on: any day, approval: no, effective: immediately}}",
        "{effective: immediately, qualifies: today}",
    ],
)
def test_changes_on_any_day(tmp_path: Path, entry: str) -> None:
    program(tmp_path, f"movement: {entry}")


@pytest.mark.parametrize(
    ("entry", "name"),
    [
        ("{promote: monthly}", "`promote: monthly`"),
        ("{promote: '[01-15, 07-15]'}", "`promote: [01-15, 07-15]`"),
        ("{promote: [01-15, 07-15]}", "`promote: […]`"),
        ("{demote: {on: yearly}}", "`on: yearly`"),
        ("{demote: {grace: 90 days}}", "`grace`"),
        ("{demote: {steps: 1}}", "`steps`"),
        ("{demote: {approval: yes}}", "`approval: yes`"),
        ("{effective: first of next month}", "`effective: first of next month`"),
        ("{hold: {newcomers: 6 months}}", "`hold`"),
        ("{freeze: []}", "`freeze`"),
        ("{qualifies: any day of this and the 5 months before}", "`qualifies: any day of this"),
    ],
)
def test_other_movement_is_refused_by_name(tmp_path: Path, entry: str, name: str) -> None:
    with pytest.raises(ConfigError, match="is not built yet") as caught:
        program(tmp_path, f"movement: {entry}")
    assert name in caught.value.message
    assert caught.value.line == 14


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
