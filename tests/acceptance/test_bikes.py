"""AdventureWorks resellers: every standing equals the independently computed one, by files and by the org."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from crmsync.levelling.assess import assess
from crmsync.levelling.standings import write_standings
from crmsync.programs.loading import load_program
from crmsync.programs.program import Program
from crmsync.snapshots import Snapshot
from tests.acceptance import bikes
from tests.acceptance.comparison import (
    cell,
    differences,
    expected_rows,
    keyed,
    label,
    metric,
    missing,
    standings_by_key,
)
from tests.acceptance.routes import snapshot_of_files, snapshot_of_org
from tests.acceptance.sources import Row

EXPECTED = "adventureworks_expected_2018-12-31_2019-06-30.csv"
FIRST, SECOND = date(2018, 12, 31), date(2019, 6, 30)
MOVEMENT = {"first": "entered", "up": "promoted", "down": "demoted", "same": "unchanged"}
pytestmark = pytest.mark.xdist_group("bikes")


@pytest.fixture(scope="module", params=["files", "org"])
def snapshot(request: pytest.FixtureRequest, shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Snapshot:
    """All orders, sealed, by one of the two routes."""
    folder = tmp_path_factory.mktemp(f"bikes_{request.param}")
    if request.param == "files":
        bikes.write_tables(shared, folder / "tables")
        return snapshot_of_files(folder / "tables", folder / "snapshot").snapshot
    bikes.write_org(shared, folder / "records")
    return snapshot_of_org(folder / "records", bikes.HERE / "maps" / "bikes.yaml", folder / "snapshot").snapshot


@pytest.mark.parametrize("as_of", [FIRST, SECOND], ids=str)
def test_every_reseller_has_the_expected_standing(snapshot: Snapshot, shared: Path, project: Path, as_of: date) -> None:
    """t12m, deals, categories, growth, tier, next tier, gaps and the tier in three months of all 701 resellers."""
    program = load_program(project / "config" / "programs" / "bike-resellers.yaml")
    ours = standings_by_key(assess(program, snapshot, as_of).standings, snapshot)
    theirs = keyed(expected_rows(shared / "data" / "expected" / EXPECTED, as_of=as_of.isoformat()), "account_id")
    assert len(theirs) == 701
    assert set(ours) == set(theirs)
    assert differences(_pairs(program, ours, theirs)) == ""


@pytest.mark.parametrize("as_of", [FIRST, SECOND], ids=str)
def test_regional_targets_give_the_expected_tier(snapshot: Snapshot, shared: Path, project: Path, as_of: date) -> None:
    """Revenue thresholds by region group."""
    program = load_program(project / "config" / "programs" / "bike-resellers-regional.yaml")
    ours = standings_by_key(assess(program, snapshot, as_of).standings, snapshot)
    theirs = keyed(expected_rows(shared / "data" / "expected" / EXPECTED, as_of=as_of.isoformat()), "account_id")
    assert set(ours) == set(theirs)
    pairs = [(key, "tier_regional", label(program, standing["calculated_tier"]), theirs[key]["tier_regional"])
             for key, standing in ours.items()]  # fmt: skip
    assert differences(pairs) == ""


def test_movement_between_the_two_dates(snapshot: Snapshot, shared: Path, project: Path, tmp_path: Path) -> None:
    """Assessed after each other, the second date knows the tier before and who moved up and down."""
    program = load_program(project / "config" / "programs" / "bike-resellers.yaml")
    first = assess(program, snapshot, FIRST).standings
    write_standings(first, tmp_path / "first.parquet")
    second = assess(program, snapshot, SECOND, tmp_path / "first.parquet").standings
    for standings, as_of in ((first, FIRST), (second, SECOND)):
        assert differences(_moves(program, standings, snapshot, shared, as_of)) == ""


def _pairs(
    program: Program, ours: dict[str, dict[str, Any]], theirs: dict[str, Row]
) -> Iterator[tuple[str, str, Any, Any]]:
    for key, standing in ours.items():
        row = theirs[key]
        yield key, "t12m", metric(standing, "revenue"), cell(row["t12m"], 2)
        yield key, "prior12m", metric(standing, "revenue_year_before"), cell(row["prior12m"], 2)
        yield key, "growth", metric(standing, "growth", 4), cell(row["growth"], 4)
        yield key, "deals", metric(standing, "deals", 0), row["deals"]
        yield key, "deals_ever", metric(standing, "deals_ever", 0), row["deals_ever"]
        yield key, "largest", metric(standing, "largest_deal"), cell(row["largest"], 2) if row["deals"] != "0" else None
        yield key, "categories", metric(standing, "categories", 0), row["categories"]
        yield key, "tier", label(program, standing["calculated_tier"]), row["tier"]
        yield key, "next_tier", label(program, standing["next_tier"]), cell(row["next_tier"])
        yield key, "gap_revenue", missing(standing, "revenue", 2), cell(row["gap_revenue"], 2)
        yield key, "gap_deals", missing(standing, "deals"), cell(row["gap_deals"])
        yield key, "gap_categories", missing(standing, "categories"), cell(row["gap_categories"])
        projected = label(program, standing["projected_tier"])
        yield key, "tier_in_3m_if_no_new_deals", projected, row["tier_in_3m_if_no_new_deals"]
        yield key, "at_risk", standing["risk"] in ("medium", "high"), row["at_risk"] == "true"


def _moves(
    program: Program, standings: pa.Table, snapshot: Snapshot, shared: Path, as_of: date
) -> Iterator[tuple[str, str, Any, Any]]:
    theirs = keyed(expected_rows(shared / "data" / "expected" / EXPECTED, as_of=as_of.isoformat()), "account_id")
    for key, standing in standings_by_key(standings, snapshot).items():
        row = theirs[key]
        yield key, "movement", standing["movement"], MOVEMENT[row["movement"]]
        yield key, "tier", label(program, standing["granted_tier"]), row["tier"]
        yield key, "previous_tier", label(program, standing["previous_tier"]), cell(row["previous_tier"])
