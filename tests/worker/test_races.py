"""Several workers started at once: one run."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROUNDS = int(os.environ.get("SOAK_RACES", "200"))
SEED = 11


@pytest.mark.timeout(max(120, ROUNDS))
def test_two_to_eight_workers_started_at_once_run_each_slot_once(project: Path, tmp_path: Path):
    done = subprocess.run(
        [sys.executable, "-m", "tests.worker.racing", str(tmp_path), str(ROUNDS), str(SEED)],
        cwd=project,
        env={**os.environ, "PYTHONPATH": str(project)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    seen = json.loads(done.stdout.splitlines()[-1])
    assert (seen["runs"], seen["twice"], seen["done"], seen["rounds_without_a_run"]) == (ROUNDS, 0, ROUNDS, 0), seen
    assert seen["refused"] > ROUNDS / 4, f"they hardly met: {seen}"
