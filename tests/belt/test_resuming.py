"""A killed run is taken up by the next process under its own id: what was sealed is not read or computed again."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import crmsync.run_steps as run_steps
from crmsync.failpoints import ENVIRONMENT
from crmsync.ledger.ledger import Ledger
from crmsync.ledger.phases import interrupted_run
from crmsync.ledger.status import status
from tests.belt.conftest import AS_OF, Crmsync, Folder

RUN = ("run", "--config", "config", "--as-of", AS_OF)


def killed(tmp_path: Path, at: str) -> str:
    """Run in a process of its own that dies at a failpoint; returns the run's id."""
    environment = {**os.environ, ENVIRONMENT: at, "CRMSYNC_STATE_DIR": "state"}
    done = subprocess.run([sys.executable, "-m", "crmsync", *RUN], cwd=tmp_path, env=environment, check=False)
    assert done.returncode == -signal.SIGKILL
    with Ledger.open(tmp_path / "state", exclusive=False) as ledger:
        return status(ledger).runs[0].run_id


def never(*_: object, **__: object) -> None:
    pytest.fail("a stage that was kept is run again")


@pytest.mark.parametrize("at", ["plan_saved", "standings_accepted"])
def test_a_killed_run_goes_on_with_its_snapshot_standings_and_plan(
    at: str, crmsync: Crmsync, folder: Folder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder.deals({"P1": 2000, "P2": 6000})
    run_id = killed(tmp_path, at)
    later = [] if at == "plan_saved" else ["draft_plan"]  # a kill between saving a plan and keeping it drafts it again
    for stage in ("extract", *later):
        monkeypatch.setattr(run_steps, stage, never)
    monkeypatch.setattr("crmsync.levelling.assess.assess_programs", never)
    found = crmsync(*RUN, "--json")
    assert found.code == 0, found.err
    assert found.json["run_id"] == run_id
    assert "P2,Gold" in folder.written.replace('"', "") or "gold" in folder.written.lower()
    with Ledger.open(tmp_path / "state") as ledger:
        assert [run.state for run in status(ledger).runs] == ["done"]
        assert interrupted_run(ledger) is None
        with ledger.reading() as connection:
            accepted = connection.exec_driver_sql("SELECT run_id FROM standings").scalars().all()
            kept = connection.exec_driver_sql("SELECT checkpoint FROM run_phase").scalars().all()
            events = connection.exec_driver_sql("SELECT event FROM audit ORDER BY sequence").scalars().all()
    assert accepted == [run_id]
    assert set(kept) == {None}
    assert [event for event in events if event.startswith("run_")] == ["run_started", "run_resumed", "run_ended"]


@pytest.mark.parametrize("change", ["configuration", "program", "snapshot", "day"])
def test_what_does_not_fit_any_more_is_made_anew(
    change: str, crmsync: Crmsync, folder: Folder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder.deals({"P1": 2000})
    real = run_steps.apply_plan

    def stopped(*_: object, **__: object) -> None:
        raise SystemExit(143)

    monkeypatch.setattr(run_steps, "apply_plan", stopped)
    assert crmsync(*RUN).code == 143
    monkeypatch.setattr(run_steps, "apply_plan", real)
    with Ledger.open(tmp_path / "state") as ledger:
        run_id = status(ledger).runs[0].run_id
    as_of = AS_OF
    if change == "configuration":
        folder.change("crmsync.yaml", "at_least: 2", "at_least: 3")
    elif change == "program":
        folder.change("programs/resellers.yaml", "revenue: 1000", "revenue: 1500")
    elif change == "snapshot":
        (tmp_path / "state" / "snapshots" / run_id / "partners.parquet").unlink()
    else:
        as_of = "2026-11-23"
    found = crmsync("run", "--config", "config", "--as-of", as_of, "--json")
    assert found.code == 0, found.err
    assert (found.json["run_id"] == run_id) is (change == "program")  # the snapshot of before, levelled anew
    assert "P1" in folder.written
