"""Falls that wait for a second snapshot: who waits, what is carried over, and when the two agree."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import date, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from crmsync.configuration_guards import GuardLimits
from crmsync.lagging import lagged
from crmsync.ledger.accepted import Accepted
from crmsync.ledger.ledger import Ledger
from crmsync.writeback.plan import sealed
from crmsync.writeback.planfile import save_plan
from tests.writeback.conftest import NewState
from tests.writeback.facts import AS_OF, a_plan, a_program, standing, standings

PROGRAM = a_program(categories={"x": "X", "y": "Y"})
LAG = SimpleNamespace(guards=replace(GuardLimits(), demotion_lag=True))
Tiers = Mapping[tuple[str, str], str | None]


@dataclass
class Days:
    """Runs a day apart, each accepted. `before`: the standings that were accepted last."""

    belt: Any
    folder: Path
    before: Accepted
    day: date = AS_OF

    def run(self, tiers: Tiers, **given: Any) -> tuple[set[str], pa.Table]:
        """Assess and hold back; returns who waits and the standings that are accepted."""
        self.day += timedelta(days=1)
        run_id = f"run-{self.day}"
        file = written(self.folder / f"{run_id}.parquet", self.day, tiers, **given)
        held, waiting = lagged(self.belt, PROGRAM, file, self.before)
        found = pq.read_table(file) if held is None else held
        pq.write_table(found, file)
        plan = sealed(replace(a_plan(run_id, {}, {}), held=tuple(sorted(waiting)), as_of=self.day))
        save_plan(plan, self.belt.ledger)
        self.before = Accepted(self.day, run_id, file, "")
        return set(waiting), found


def written(file: Path, day: date, tiers: Tiers, **given: Any) -> Path:
    rows = [
        standing(partner, tier, category=category, as_of=day, movement="unchanged", **given)
        for (partner, category), tier in tiers.items()
    ]
    pq.write_table(standings(rows), file)
    return file


@pytest.fixture
def days(new_state: NewState, tmp_path: Path) -> Iterator[Days]:
    """On the first day P is Gold in both categories."""
    with Ledger.open(new_state()) as ledger:
        first = written(tmp_path / "run-0.parquet", AS_OF, {("P", "x"): "gold", ("P", "y"): "gold"})
        belt = SimpleNamespace(ledger=ledger, state=ledger.state_dir, configuration=LAG)
        yield Days(belt, tmp_path, Accepted(AS_OF, "run-0", first, ""))


def tiers_of(found: pa.Table) -> dict[str, str | None]:
    return {row["category"]: row["granted_tier"] for row in found.to_pylist()}


def test_a_fall_that_two_days_agree_on_is_written(days: Days) -> None:
    fallen: Tiers = {("P", "x"): "silver", ("P", "y"): "gold"}
    waiting, found = days.run(fallen)
    assert (waiting, tiers_of(found)) == ({"P"}, {"x": "gold", "y": "gold"})
    waiting, found = days.run(fallen)
    assert (waiting, tiers_of(found)) == (set(), {"x": "silver", "y": "gold"})


@pytest.mark.parametrize("second", [("registered", "gold"), ("silver", "silver"), ("gold", "silver"), (None, "gold")])
def test_a_fall_that_only_the_second_day_knows_waits_for_a_third(
    days: Days, second: tuple[str | None, str | None]
) -> None:
    """Seen twice is a fall to that tier in that category, not that somebody falls somewhere."""
    days.run({("P", "x"): "silver", ("P", "y"): "gold"})
    later: Tiers = {("P", "x"): second[0], ("P", "y"): second[1]}
    waiting, found = days.run(later)
    assert (waiting, tiers_of(found)) == ({"P"}, {"x": "gold", "y": "gold"})
    waiting, found = days.run(later)
    assert (waiting, tiers_of(found)) == (set(), {"x": second[0], "y": second[1]})


def test_a_smaller_fall_than_was_seen_first_is_agreed_on(days: Days) -> None:
    days.run({("P", "x"): "registered", ("P", "y"): "gold"})
    waiting, found = days.run({("P", "x"): "silver", ("P", "y"): "gold"})
    assert (waiting, tiers_of(found)) == (set(), {"x": "silver", "y": "gold"})


def test_a_category_that_was_left_before_stays_left_while_the_partner_waits(days: Days) -> None:
    rows = [
        standing("P", "gold", category="x", movement="unchanged"),
        standing("P", None, category="y", movement="left"),
        standing("P", None, category="z", movement=None),  # only declared
    ]
    pq.write_table(standings(rows), days.before.path)
    waiting, found = days.run({("P", "x"): "silver"})
    movements = {row["category"]: row["movement"] for row in found.to_pylist()}
    assert (waiting, movements) == ({"P"}, {"x": "unchanged", "y": None, "z": None})


def test_what_was_computed_is_kept_for_the_accepted_run_alone(days: Days) -> None:
    for tier in ("silver", "registered", None):
        days.run({("P", "x"): tier, ("P", "y"): "gold"})
    assert len(list((days.belt.state / "held").iterdir())) <= 2
