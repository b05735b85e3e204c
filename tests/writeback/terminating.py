"""SIGTERM inside every call that writes, and what the next process makes of it. Run as a program: URL TOKEN FOLDER.

One process imports everything and forks a child per case, which is told to end while the call is under way. Prints what
was seen of each case as one JSON line: how the child ended, after how many seconds, what the ledger held then, and what
was broken once a second child had gone on.
"""

from __future__ import annotations

import json
import os
import random
import signal
import sys
import time
import traceback
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import structlog

from crmsync import stopping
from crmsync.ledger.intents import count_states
from crmsync.ledger.ledger import Ledger
from tests.writeback.trial_checks import faults_of
from tests.writeback.trials import Trial, World, drafted, work

CALLS: dict[str, tuple[str, str, str]] = {
    "one record": ("", "PATCH", "/sobjects/{object}/{id}"),
    "several records": ("", "PATCH", "/composite/sobjects/{object}/{field}"),
    "open a job": ("accounts", "POST", "/jobs/ingest"),
    "upload": ("accounts", "PUT", "/jobs/ingest/{job}/batches"),
    "start": ("accounts", "PATCH", "/jobs/ingest/{job}"),
    "start of an upsert": ("beside", "PATCH", "/jobs/ingest/{job}"),
    "look at a job": ("accounts", "GET", "/jobs/ingest/{job}"),
    "results": ("beside", "GET", "/jobs/ingest/{job}/{results}"),
    "read back": ("accounts", "POST", "/composite/sobjects/{object}"),
}
"""What is written by jobs, method and door of the call."""
NEVER_TWICE = ("one record", "start", "start of an upsert")
"""Calls that have no second effect, however late the first one comes: they hang on what the record, or the job, is."""
SLOW_MS, LATE_MS = 300, 1500
ONCE, TWICE = 1, 2


@dataclass(frozen=True)
class Seen:
    """One case. `status`: of the child that was told to end; `left`: the states of the intents that it left."""

    status: int
    seconds: float
    left: dict[str, int]
    faults: list[str]


def forked(world: World, trial: Trial, digest: str) -> int:
    """A child that does the work, or what is left of it; returns its process id."""
    pid = os.fork()
    if pid:
        return pid
    code = 1
    try:
        random.seed()
        stopping.install()
        work(world, trial, digest)
        code = 0
    except SystemExit as ended:
        code = int(ended.code or 0)
    except BaseException:
        traceback.print_exc()
        sys.stderr.flush()
    os._exit(code)


def ended(pid: int) -> int:
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def case(world: World, trial: Trial, method: str, door: str, at: str, delay_ms: int, signals: int) -> Seen:
    """End a child in the middle of that call, then let another one do the rest."""
    with trial.open() as ledger:
        digest = drafted(world, trial, ledger).digest
    world.ask("PUT", "faults", [{"method": method, "path": door, "nth": 1, "at": at, "do": {"delay_ms": delay_ms}}])
    world.ask("DELETE", "effects")
    pid = forked(world, trial, digest)
    while not fault(world)["fired"]:
        assert os.waitpid(pid, os.WNOHANG) == (0, 0), "the child ended before that call"
        time.sleep(0.01)
    began = time.monotonic()
    for _ in range(signals):
        os.kill(pid, signal.SIGTERM)
        time.sleep(0.05)  # two of a kind that wait together are one
    status, seconds = ended(pid), time.monotonic() - began
    with trial.open(exclusive=False) as ledger:
        left = count_states(ledger)
    second = ended(forked(world, trial, digest))
    while fault(world)["seen"] > world.ask("GET", "effects")["by_endpoint"].get(f"{method} {door}", 0):
        time.sleep(0.01)  # the late call has not come yet
    found = [f"the second process ended with {second}"] if second else []
    return Seen(status, seconds, left, [*found, *faults_of(world, trial)])


def fault(world: World) -> dict[str, int]:
    found: dict[str, int] = world.ask("GET", "faults")[0]
    return found


def cases() -> Iterator[tuple[str, str, int, int]]:
    """Call, when it is slow, by how much, how many signals."""
    for call in CALLS:
        yield call, "after", SLOW_MS, ONCE
    yield "one record", "before", SLOW_MS, ONCE
    for call in NEVER_TWICE:
        yield call, "before", LATE_MS, TWICE


def main(url: str, token: str, root: str) -> None:
    """Run all cases and print what was seen."""
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    world, seen = World.of(url, token, Path(root)), {}
    for place, (call, at, delay_ms, signals) in enumerate(cases()):
        state = Path(root) / f"state{place}"
        Ledger.open(state).close()
        (state / "standings").write_bytes(b"standings")
        bulk, method, door = CALLS[call]
        one = case(world, Trial(f"s{place}", state, bulk), method, door, at, delay_ms, signals)
        seen[f"{call}, {at}, {delay_ms} ms, {signals}"] = asdict(one)
    print(json.dumps(seen))


if __name__ == "__main__":
    main(*sys.argv[1:])
