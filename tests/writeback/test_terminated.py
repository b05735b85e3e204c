"""SIGTERM inside a call that writes: the call is finished, its outcome committed, and the next start does the rest."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from crmsync.sandbox.process import Org, start_org
from tests.writeback.terminating import CALLS, NEVER_TWICE

PROJECT = Path(__file__).parent.parent.parent
LEAVES_WITHIN_S = 30  # what Kubernetes leaves


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    with start_org(["--sample", "12", "--seed", "7"]) as org:
        yield every_case(org, tmp_path_factory.mktemp("terminated"))


def every_case(org: Org, folder: Path) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, "-m", "tests.writeback.terminating", org.instance_url, org.access_token, str(folder)],
        cwd=PROJECT,
        env={**os.environ, "PYTHONPATH": str(PROJECT)},
        capture_output=True,
        text=True,
        timeout=570,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    cases: dict[str, Any] = json.loads(done.stdout)
    assert len(cases) == len(CALLS) + 1 + len(NEVER_TWICE)
    return cases


@pytest.mark.timeout(600)
def test_a_process_that_is_told_to_end_inside_a_call_leaves_in_time(seen: dict[str, Any]) -> None:
    assert {name: one["status"] for name, one in seen.items()} == dict.fromkeys(seen, 128 + signal.SIGTERM)
    assert max(one["seconds"] for one in seen.values()) < LEAVES_WITHIN_S


@pytest.mark.timeout(600)
def test_the_next_one_loses_and_doubles_nothing_however_late_the_call_took_effect(seen: dict[str, Any]) -> None:
    assert {name: one["faults"] for name, one in seen.items() if one["faults"]} == {}


@pytest.mark.timeout(600)
def test_the_outcome_of_the_call_is_committed_and_no_other_call_follows(seen: dict[str, Any]) -> None:
    for name in ("one record, after, 300 ms, 1", "one record, before, 300 ms, 1"):
        assert seen[name]["left"] == {"applied": 1, "pending": 8}
    assert seen["several records, after, 300 ms, 1"]["left"] == {"applied": 6, "pending": 3}
    assert seen["start, after, 300 ms, 1"]["left"] == {"claimed": 3, "pending": 6}
    assert seen["read back, after, 300 ms, 1"]["left"] == {"pending": 9}
