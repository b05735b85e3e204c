"""A daemon over many days with faults: memory, descriptors and audit stay as they were."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

RUNS = int(os.environ.get("SOAK_DAEMON", "12"))
SEED = os.environ.get("SOAK_SEED", "4")
LONG = RUNS >= 200
NEVER = {"failed", "running", "due", "blocked"}


@pytest.mark.timeout(max(300, RUNS * 20))
@pytest.mark.skipif(sys.platform != "linux", reason="memory and descriptors are read from /proc")
def test_a_daemon_neither_grows_nor_leaks_nor_breaks_its_audit(project: Path, tmp_path: Path):
    done = subprocess.run(
        [sys.executable, "-m", "tests.worker.soaking", str(tmp_path), str(RUNS), SEED],
        cwd=project,
        env={**os.environ, "PYTHONPATH": str(project)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    seen = json.loads(done.stdout.splitlines()[-1])
    print(seen)
    assert seen["seen"]["runs"] >= RUNS
    assert seen["chain"] == []
    assert seen["growth"] < (0.05 if LONG else 0.10), seen["own_kb"]
    assert seen["descriptors"][0] == seen["descriptors"][1]
    assert seen["left"] == []
    open_slots = sum(count for state, count in seen["slots"].items() if state in NEVER)
    assert open_slots <= 2, seen["slots"]  # of each schedule the newest one
    assert seen["slots"]["done"] > RUNS / 3
    if LONG:
        assert {name for name in seen["seen"] if name.startswith("with ")} >= {"with told to stop", "with disk full"}
        assert seen["seen"]["/readyz 200"] > seen["seen"].get("/readyz 503", 0)
