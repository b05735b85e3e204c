"""The whole belt with its ledger in PostgreSQL: the same commands, the same answers."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from crmsync.ledger.ledger import Ledger
from tests.belt.conftest import Crmsync, Folder
from tests.databases import PostgresqlServer

JUNE, JULY = "2026-06-01", "2026-07-01"


@pytest.fixture
def address(postgresql: PostgresqlServer, monkeypatch: pytest.MonkeyPatch) -> str:
    url = postgresql.emptied()
    monkeypatch.setenv("CRMSYNC_LEDGER_URL", url)
    return url


def test_runs_proof_and_undo_work_as_on_a_file(crmsync: Crmsync, folder: Folder, tmp_path: Path, address: str) -> None:
    folder.change("crmsync.yaml", "at_least: 2, share: 5%", "at_least: 100, share: 100%")
    folder.deals({"P1": 2000})
    first = crmsync("run", "--config", "config", "--as-of", JUNE, "--json")
    assert first.code == 0, first.err
    assert address not in first.err
    folder.deals({"P1": 7000})
    second = crmsync("run", "--config", "config", "--as-of", JULY, "--json").json["run_id"]
    assert crmsync("run", "--config", "config", "--as-of", JULY, "--json").json["state"] == "unchanged"
    assert not (tmp_path / "state" / "ledger.sqlite").exists()

    assert [run["state"] for run in crmsync("status", "--json").json["runs"]] == ["done"] * 3
    told = crmsync("diff", first.json["run_id"], second, "--json").json["tiers"]
    assert [(one["partner_id"], one["causes"]) for one in told] == [("P1", ["data"])]
    assert {"tier", "decision", "write"} <= {one["what"] for one in crmsync("history", "P1", "--json").json["history"]}
    proof = crmsync("audit", "verify", "--all", "--json")
    assert proof.code == 0, proof.out
    assert len(proof.json["recomputed"]) == 3
    assert "free; last held by" in crmsync("unlock").out


def test_a_hanging_worker_loses_lease_and_lock(crmsync: Crmsync, folder: Folder, tmp_path: Path, address: str) -> None:
    folder.deals({"P1": 2000})
    hangs = Ledger.open(tmp_path / "state", url=address)
    try:
        refused = crmsync("run", "--config", "config", "--as-of", JUNE)
        assert refused.code == 7
        lease = hangs.lease()
        assert lease is not None
        assert f"lease {lease.fencing}" in refused.err
        assert f"--id {lease.fencing}" in crmsync("unlock").out
        assert "was broken" in crmsync("unlock", "--id", str(lease.fencing)).out
        assert crmsync("run", "--config", "config", "--as-of", JUNE).code == 0
    finally:
        hangs.close()
    wrong = crmsync("unlock", "--id", "99")
    assert wrong.code == 4
    assert "no lease is held; a run may start" in wrong.err


def test_a_state_folder_without_its_standings_is_refused(
    crmsync: Crmsync, folder: Folder, tmp_path: Path, address: str
) -> None:
    """Two hosts that share the database but not the folder."""
    assert address
    folder.deals({"P1": 2000})
    assert crmsync("run", "--config", "config", "--as-of", JUNE).code == 0
    shutil.rmtree(tmp_path / "state")
    refused = crmsync("run", "--config", "config", "--as-of", JULY)
    assert refused.code == 6
    assert "restore the state folder" in refused.err
