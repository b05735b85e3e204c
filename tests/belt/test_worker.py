"""The worker as people start it: one look, a resident one with its pages, told to stop in every stage."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from crmsync.health import address_of_worker, ask
from tests.belt.conftest import Crmsync, Folder

PROJECT = Path(__file__).parent.parent.parent
DUE = 'schedule: [{do: sync, cron: "0 0 * * *"}]\n'  # whatever time it is, today's slot is due
NEVER = 'schedule: [{do: sync, cron: "0 0 29 2 *"}]\n'


@pytest.fixture
def scheduled(folder: Folder) -> Folder:
    folder.change("crmsync.yaml", "org: files\n", f"org: files\n{DUE}time_zone: UTC\n")
    folder.deals({"P1": 2000})
    return folder


def environment(root: Path) -> dict[str, str]:
    own = {"PYTHONPATH": str(PROJECT), "CRMSYNC_STATE_DIR": str(root / "state"), "CRMSYNC_LISTEN": "127.0.0.1:0"}
    return {**os.environ, **own}


def test_one_look_runs_what_is_due_and_the_next_finds_nothing(
    crmsync: Crmsync, scheduled: Folder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CRMSYNC_METRICS_FILE", str(tmp_path / "textfile" / "crmsync.prom"))
    config = ["--config", str(scheduled.config)]
    assert crmsync("health", *config, "--json").json == {"alive": True, "ready": True, "reasons": []}
    first = crmsync("worker", "--once", *config, "--json")
    (slot,) = first.json["slots"]
    assert (first.code, slot["schedule"], slot["state"], slot["exit_code"]) == (0, "sync", "done", 0)
    assert "silver" in scheduled.written.lower()
    figures = (tmp_path / "textfile" / "crmsync.prom").read_text()
    assert 'crmsync_records{object="partners"} 6.0' in figures
    assert "crmsync_last_run_exit_code 0.0" in figures
    assert [path.name for path in (tmp_path / "textfile").iterdir()] == ["crmsync.prom"]
    again = crmsync("worker", "--once", *config)
    assert (again.code, again.out.strip()) == (0, "nothing is due")
    assert crmsync("health", *config).out.strip() == "ready"


def test_a_look_ends_with_the_code_of_what_went_wrong(crmsync: Crmsync, scheduled: Folder) -> None:
    config = ["--config", str(scheduled.config)]
    scheduled.write("data/opportunities.csv", 'opportunity_id,partner_id\n"cut')
    ended = crmsync("worker", "--once", *config, "--json")
    assert (ended.code, ended.json["slots"][0]["state"]) == (4, "failed")
    assert "opportunities.csv:2" in ended.json["slots"][0]["told"]
    scheduled.change("crmsync.yaml", "do: sync", "do: sinc")
    ended = crmsync("worker", "--once", *config)
    assert ended.code == 4
    assert "`sinc` is not something a worker does" in ended.err


def test_a_blocked_slot_is_applied_after_an_approval(crmsync: Crmsync, scheduled: Folder) -> None:
    config = ["--config", str(scheduled.config)]
    assert crmsync("run", *config, "--as-of", "2026-01-01").code == 0
    scheduled.deals({f"P{number}": 9000 for number in range(1, 7)})
    ended = crmsync("worker", "--once", *config, "--json")
    assert (ended.code, ended.json["slots"][0]["state"]) == (8, "blocked")
    assert crmsync("worker", "--once", *config).out.strip() == "nothing is due"
    assert crmsync("health", *config).code == 0  # it waits for a person
    digest = crmsync("status", "--json").json["plan"]["digest"]
    assert crmsync("approve", digest[:12], "--by", "Ann Example").code == 0
    ended = crmsync("worker", "--once", *config, "--json")
    assert (ended.code, ended.json["slots"][0]["state"]) == (0, "done")
    assert scheduled.written.count(",Gold,") == 2 * 6  # calculated and granted


@pytest.mark.timeout(240)
def test_told_to_stop_in_each_stage_it_ends_in_time_and_the_next_one_goes_on(
    crmsync: Crmsync, scheduled: Folder, tmp_path: Path
) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.belt.stopped_phases", str(scheduled.config)],
        cwd=PROJECT, env=environment(tmp_path), capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    assert "Traceback" not in done.stderr
    ended = json.loads(done.stdout.splitlines()[-1])
    last = ended.pop("None")
    assert {stage: code for stage, (code, _) in ended.items()} == dict.fromkeys(ended, 143)
    assert max(seconds for _, seconds in ended.values()) < 30
    assert last[0] == 0
    assert scheduled.written.count("P1,") == 1
    runs = crmsync("status", "--json").json["runs"]
    assert runs[0]["state"] == "done"
    assert crmsync("worker", "--once", "--config", str(scheduled.config)).out.strip() == "nothing is due"


def wait_for(what: Callable[[], object], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_a_resident_worker_answers_and_ends_on_sigterm(
    crmsync: Crmsync, scheduled: Folder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scheduled.change("crmsync.yaml", DUE, NEVER)
    config = ["--config", str(scheduled.config)]
    command = [sys.executable, "-m", "crmsync", "worker", *config]
    running = subprocess.Popen(command, env=environment(tmp_path), text=True, stderr=subprocess.PIPE, cwd=tmp_path)
    try:
        wait_for(lambda: address_of_worker(tmp_path / "state"))
        address = address_of_worker(tmp_path / "state")
        assert address is not None
        assert ask(address, "/healthz") == (200, "ok\n")
        assert ask(address, "/readyz") == (200, "ready\n")
        assert "crmsync_conflicts 0.0" in ask(address, "/metrics")[1]
        assert ask(address, "/")[0] == 404
        assert crmsync("health", *config, "--live").out.strip() == "ready"
        taken = address.url.rpartition("/")[2]
        monkeypatch.setenv("CRMSYNC_LISTEN", taken)
        refused = crmsync("worker", *config)
        assert refused.code == 4
        assert f"CRMSYNC_LISTEN {taken}: cannot be listened on (Address already in use)" in refused.err
        started = time.monotonic()
        running.send_signal(signal.SIGTERM)
        _, told = running.communicate(timeout=30)
    finally:
        running.kill()
    assert running.returncode == 143, told
    assert time.monotonic() - started < 10
    assert "Traceback" not in told
    assert address_of_worker(tmp_path / "state") is None
