"""Maven CRM opportunities: own and group figures equal the independent ones, in spite of the faults of the data."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from crmsync.levelling.assess import assess
from crmsync.programs.loading import load_program
from crmsync.programs.program import Program
from tests.acceptance import hardware
from tests.acceptance.comparison import (
    cell,
    differences,
    expected_rows,
    keyed,
    label,
    metric,
    missing,
    number_text,
    standings_by_key,
)
from tests.acceptance.routes import Delivered, snapshot_of_files, snapshot_of_org
from tests.acceptance.sources import Row

EXPECTED = "maven_expected_2017-06-30.csv"
AS_OF = date(2017, 6, 30)
PROGRAMS = {"own": "hardware-crm.yaml", "group": "hardware-crm-groups.yaml"}
pytestmark = pytest.mark.xdist_group("hardware")


@pytest.fixture(scope="module", params=["files", "org"])
def delivered(request: pytest.FixtureRequest, shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Delivered:
    """The whole pipeline, sealed, by one of the two routes."""
    folder = tmp_path_factory.mktemp(f"hardware_{request.param}")
    if request.param == "files":
        hardware.write_tables(shared, folder / "tables")
        return snapshot_of_files(folder / "tables", folder / "snapshot")
    hardware.write_org(shared, folder / "records")
    return snapshot_of_org(folder / "records", hardware.HERE / "maps" / "hardware.yaml", folder / "snapshot")


@pytest.mark.parametrize("scope", ["own", "group"])
def test_every_account_has_the_expected_standing(delivered: Delivered, shared: Path, project: Path, scope: str) -> None:
    """t12m, deals won and lost, product series, tier, next tier and gaps of all 85 accounts."""
    program = load_program(project / "config" / "programs" / PROGRAMS[scope])
    ours = standings_by_key(assess(program, delivered.snapshot, AS_OF).standings, delivered.snapshot)
    theirs = keyed(expected_rows(shared / "data" / "expected" / EXPECTED, scope=scope), "account")
    assert len(theirs) == 85
    assert set(ours) == set(theirs)
    assert differences(_pairs(program, ours, theirs)) == ""


def test_deals_without_an_account_are_nobodys(delivered: Delivered) -> None:
    """They are counted, level no account and are no fault of the data."""
    assert delivered.direct["opportunities"] == 1425


def _pairs(
    program: Program, ours: dict[str, dict[str, Any]], theirs: dict[str, Row]
) -> Iterator[tuple[str, str, Any, Any]]:
    for key, standing in ours.items():
        row = theirs[key]
        yield key, "t12m", metric(standing, "revenue"), cell(row["t12m"], 2)
        yield key, "won12", metric(standing, "won", 0), row["won12"]
        yield key, "lost12", metric(standing, "lost", 0), row["lost12"]
        yield key, "win_rate12", metric(standing, "win_rate", 4), cell(row["win_rate12"], 4)
        yield key, "series", metric(standing, "series", 0), row["series"]
        yield key, "open_as_of", metric(standing, "open_deals", 0), row["open_as_of"]
        yield key, "tier", label(program, standing["calculated_tier"]), row["tier"]
        yield key, "next_tier", label(program, standing["next_tier"]), cell(row["next_tier"])
        yield key, "gap_revenue", missing(standing, "revenue", 2), cell(row["gap_revenue"], 2)
        yield key, "gap_series", missing(standing, "series"), cell(row["gap_series"])
        required = number_text(_required(standing, "win_rate"), 2)
        yield key, "required_win_rate", required, cell(row["required_win_rate"], 2)


def _required(standing: dict[str, Any], key: str) -> str | None:
    """The value that the next tier asks of a metric."""
    return next((entry["required"] for entry in standing["gap"] if entry["metric"] == key), None)
