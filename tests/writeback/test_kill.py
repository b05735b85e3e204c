"""An apply killed at any point is settled by reading back on the next start."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from crmsync.failpoints import OF_WRITES
from crmsync.sandbox.process import Org, start_org

PROJECT = Path(__file__).parent.parent.parent
KILLS = int(os.environ.get("SOAK_KILLS", "500"))
SHARES = {"sqlite": (0.7, 14), "postgresql": (0.3, 6)}
"""Of each database: its share of the kills, and how many of them at each failpoint at least; 20 on both together."""
SEED = os.environ.get("SOAK_SEED", "7")


@pytest.fixture
def org() -> Iterator[Org]:
    with start_org(["--sample", "12", "--seed", "7"]) as started:
        yield started


@pytest.mark.timeout(600 + KILLS)
@pytest.mark.parametrize("database", SHARES)
def test_a_killed_apply_loses_nothing_and_doubles_nothing(tmp_path: Path, org: Org, database: str) -> None:
    """SIGKILL at every failpoint and at random times, up to fourteen times in a row, against an org that refuses an
    account, ends jobs in the middle and stands still inside of them: each account, each record beside it, and each
    last error is written once, in its order, by the org's own count; the ledger and its audit say the same."""
    share, least = SHARES[database]
    kills = round(KILLS * share)
    campaign = [org.instance_url, org.access_token, str(tmp_path), database, str(kills), str(least), SEED]
    done = subprocess.run(
        [sys.executable, "-m", "tests.writeback.killing", *campaign],
        cwd=PROJECT,
        env={**os.environ, "PYTHONPATH": str(PROJECT)},
        capture_output=True,
        text=True,
        timeout=590 + KILLS,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    seen = json.loads(done.stdout)
    assert seen["faults"] == [], f"seed {SEED}: {seen['faults'][:5]}\n{done.stderr[-2000:]}"
    assert seen["kills"] >= kills, seen
    assert seen["at"]["time"] >= kills // 20, seen
    missed = [name for name in OF_WRITES if seen["at"].get(name, 0) < least]
    assert not missed, f"killed fewer than {least} times at {missed}"
    assert seen["open_jobs"] == 0, "jobs that nobody started are left open"


def test_the_shares_of_the_databases_make_the_whole() -> None:
    assert sum(share for share, _ in SHARES.values()) == 1
    assert sum(least for _, least in SHARES.values()) >= 20
