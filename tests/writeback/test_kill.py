"""An apply killed at any point is settled by reading back on the next start."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from crmsync.failpoints import NAMES
from crmsync.sandbox.process import Org, start_org
from tests.writeback.killing import LEAST

PROJECT = Path(__file__).parent.parent.parent
KILLS = int(os.environ.get("SOAK_KILLS", "500"))
SEED = os.environ.get("SOAK_SEED", "7")


@pytest.fixture
def org() -> Iterator[Org]:
    with start_org(["--sample", "12", "--seed", "7"]) as started:
        yield started


@pytest.mark.timeout(600 + KILLS)
def test_a_killed_apply_loses_nothing_and_doubles_nothing(tmp_path: Path, org: Org) -> None:
    """SIGKILL at every failpoint and at random times, up to fourteen times in a row, against an org that ends jobs in
    the middle and stands still inside of them: each account, and each record beside it, is written once, in its order,
    by the org's own count; the ledger and its audit say the same."""
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "tests.writeback.killing",
            org.instance_url,
            org.access_token,
            tmp_path,
            str(KILLS),
            SEED,
        ],
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
    assert seen["kills"] >= KILLS, seen
    assert seen["at"]["time"] >= KILLS // 20, seen
    missed = [name for name in NAMES if seen["at"].get(name, 0) < LEAST]
    assert not missed, f"killed fewer than {LEAST} times at {missed}"
    assert seen["open_jobs"] == 0, "jobs that nobody started are left open"
