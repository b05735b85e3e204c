"""An apply killed at any point is settled by reading back on the next start."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from crmsync.failpoints import NAMES

PROJECT = Path(__file__).parent.parent.parent
SEED = 7


@pytest.mark.timeout(300)
def test_a_killed_apply_loses_nothing_and_doubles_nothing(tmp_path: Path):
    """SIGKILL at every failpoint and at random ones, up to three times in a row: each account, and each record
    beside it, is written once and in its order."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.writeback.killing", str(tmp_path), "30", str(SEED)],
        cwd=PROJECT,
        env={**os.environ, "PYTHONPATH": str(PROJECT)},
        capture_output=True,
        text=True,
        timeout=290,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    seen = json.loads(done.stdout)
    assert seen["faults"] == [], f"seed {SEED}: {seen['faults'][:5]}\n{done.stderr[-2000:]}"
    assert seen["kills"] >= 60, seen
    missed = [name for name in NAMES if not seen["at"].get(name)]
    assert not missed, f"never killed at {missed}"
