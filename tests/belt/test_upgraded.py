"""A state folder of an older version: the next runs go on from it, and its past can still be shown and undone."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from crmsync.ledger.ledger import store_of
from crmsync.ledger.store import migrate
from tests.belt.conftest import Crmsync, Folder

JUNE, JULY = "2026-06-01", "2026-07-01"
pytestmark = pytest.mark.timeout(120)


def older(state: Path, version: str) -> None:
    """Turn the ledger into one of that version: its tables, with the rows that it would have had."""
    new, old = state / "ledger.sqlite", state / "older"
    store = store_of(old)
    migrate(store, version)
    store.close()
    with closing(sqlite3.connect(old / "ledger.sqlite", isolation_level=None)) as connection:
        connection.execute("ATTACH ? AS newer", [str(new)])
        for (table,) in connection.execute("SELECT name FROM main.sqlite_master WHERE type = 'table'").fetchall():
            if table in ("alembic_version", "sqlite_sequence"):
                continue
            names = ", ".join(f'"{row[1]}"' for row in connection.execute(f"PRAGMA main.table_info({table})"))
            connection.execute(f"INSERT INTO main.{table} ({names}) SELECT {names} FROM newer.{table}")
    for path in state.glob("ledger.sqlite*"):
        path.unlink()
    (old / "ledger.sqlite").rename(new)


@pytest.mark.parametrize("version", ["0001", "0002"])
def test_runs_go_on_from_a_ledger_of_an_older_version(
    version: str, crmsync: Crmsync, folder: Folder, tmp_path: Path
) -> None:
    folder.change("crmsync.yaml", "at_least: 2, share: 5%", "at_least: 100, share: 100%")
    folder.deals({"P1": 2000})
    first = crmsync("run", "--config", "config", "--as-of", JUNE, "--json").json["run_id"]
    older(tmp_path / "state", version)
    folder.deals({"P1": 7000})
    second = crmsync("run", "--config", "config", "--as-of", JULY, "--json")
    assert second.code == 0, second.err
    assert [(one["partner_id"], one["movement"]) for one in second.json["plan"]["movers"]] == [("P1", "promoted")]
    assert (tmp_path / "state" / "backups" / f"before-upgrade-of-{version}.sqlite").is_file()
    known = {one["run_id"] for one in crmsync("history", "P1", "--json").json["history"]}
    assert {first, second.json["run_id"]} <= known
    proof = crmsync("audit", "verify", "--json")
    assert proof.code == 0, proof.out
    assert [one["run_id"] for one in proof.json["recomputed"]] == [second.json["run_id"]]
    reverted = crmsync("revert", second.json["run_id"], "--config", "config", "--json")
    assert [(one["partner_id"], one["to_tier"]) for one in reverted.json["movers"]] == [("P1", "Silver")]
