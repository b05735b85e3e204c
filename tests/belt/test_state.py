"""What stands in the state folder is for its owner alone, and which run `last` means."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.belt.conftest import AS_OF, Crmsync, Folder

TODAY = ("--as-of", AS_OF)


@pytest.fixture
def open_to_all() -> Iterator[None]:
    """A user whose new files everybody may read and write."""
    before = os.umask(0)
    yield
    os.umask(before)


def readable_by_others(state: Path) -> set[str]:
    """What another user comes to, without passing through a folder that is closed."""
    found = set()
    for path in state.iterdir():
        mode = path.stat().st_mode
        if mode & 0o077:
            found.add(path.name)
        if stat.S_ISDIR(mode) and mode & 0o077:
            found |= {f"{path.name}/{name}" for name in readable_by_others(path)}
    return found


@pytest.mark.usefixtures("open_to_all")
def test_what_a_run_leaves_is_closed_to_others_also_in_a_folder_that_is_not(
    crmsync: Crmsync, folder: Folder, tmp_path: Path
) -> None:
    state = tmp_path / "state"
    state.mkdir(mode=0o777)  # as a volume may be
    folder.deals({"P1": 6000, "P2": 1}, "O-9,P1,true,true,a lot,2026-05-01")
    assert crmsync("run", *TODAY).code == 3
    assert {"ledger.sqlite", "plans", "rejected", "snapshots", "standings"} <= {path.name for path in state.iterdir()}
    assert readable_by_others(state) <= {"ledger.lock"}
    assert os.umask(0) == 0  # what is meant for others is theirs still
    assert (folder.data / "writeback.csv").stat().st_mode & 0o004


@pytest.mark.usefixtures("open_to_all")
def test_what_an_earlier_version_left_open_is_closed_by_the_next_run(
    crmsync: Crmsync, folder: Folder, tmp_path: Path
) -> None:
    state, elsewhere = tmp_path / "state", tmp_path / "elsewhere"
    folder.deals({"P1": 6000})
    assert crmsync("run", *TODAY).code == 0
    for name in ("ledger.sqlite", "plans", "snapshots"):
        (state / name).chmod(0o755)
    elsewhere.mkdir(mode=0o755)
    (state / "shadow").symlink_to(elsewhere)
    assert crmsync("run", *TODAY).code == 0
    assert readable_by_others(state) <= {"ledger.lock", "shadow"}
    assert stat.S_IMODE(elsewhere.stat().st_mode) == 0o755  # what a link leads to is not ours


@pytest.mark.usefixtures("open_to_all")
def test_a_new_state_folder_is_its_owners(crmsync: Crmsync, folder: Folder, tmp_path: Path) -> None:
    folder.deals({"P1": 6000})
    crmsync("run", *TODAY)
    assert stat.S_IMODE((tmp_path / "state").stat().st_mode) == 0o700


def test_the_last_run_is_the_last_one_that_can_be_explained(crmsync: Crmsync, folder: Folder) -> None:
    folder.deals({"P1": 6000})
    first = crmsync("run", *TODAY, "--json").json["run_id"]
    reverted = crmsync("revert", first, "--json")
    assert reverted.code in (2, 8)
    applied = crmsync("apply", "beef")
    assert applied.code == 4
    assert crmsync("explain", "P1", "--run", "last", "--json").json["run_id"] == first
    runs = [row["run_id"] for row in crmsync("status", "--json").json["runs"]]
    of_revert = next(run_id for run_id in runs if run_id != first)
    refused = crmsync("explain", "P1", "--run", of_revert)
    assert refused.code == 4
    assert "no snapshot of it is kept, it was of kind revert" in refused.err
    assert f"of the runs that can be explained the newest is {first}" in refused.err


@pytest.mark.parametrize("slip", ["2206-11-22", "9999-12-31", "0001-01-01", "1026-11-22"])
@pytest.mark.usefixtures("folder")
def test_a_day_that_can_only_be_a_slip_is_refused(crmsync: Crmsync, slip: str) -> None:
    for command in ("run", "plan"):
        refused = crmsync(command, "--as-of", slip)
        assert refused.code == 4
        assert f"{slip} is not a day to level for; write one from 1990-01-01 to " in refused.err
