"""A daemon over compressed days: whole runs in one process, on many days something goes wrong: ROOT RUNS SEED.

The clock is set, everything else is real: files, ledger, engine, pages over HTTP. Prints what was seen as a JSON line.
"""

from __future__ import annotations

import errno
import json
import os
import random
import shutil
import sys
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from datetime import timedelta
from pathlib import Path
from unittest import mock

import structlog

from crmsync.cli_worker import answering
from crmsync.ledger.approvals import approve, newest_plan
from crmsync.ledger.chain import verify_chain
from crmsync.ledger.ledger import Ledger
from crmsync.settings import load_settings
from crmsync.snapshots import Staging
from crmsync.stages import StageClock
from crmsync.state import make_state
from crmsync.tasks import BeltWork
from crmsync.worker import Pulse, Worker
from tests.belt.conftest import Folder
from tests.worker.facts import MONDAY, SetClock, states

STAGES = ("settle", "extract", "assess", "draft", "apply", "verify", "record")
SCHEDULE = 'schedule: [{do: sync, cron: "0 5 * * *"}, {do: full, cron: "0 4 * * SUN"}]\n'
WARM = 0.2  # of all runs; libraries fill their caches in these

Fault = Callable[[Folder, random.Random], AbstractContextManager[object]]


@contextmanager
def damaged(folder: Folder, name: str, text: str) -> Iterator[None]:
    """A file of the configuration is not what it should be for a while."""
    file = folder.config / name
    before = file.read_bytes()
    file.write_text(text, encoding="utf-8")
    try:
        yield
    finally:
        file.write_bytes(before)


@contextmanager
def missing(folder: Folder) -> Iterator[None]:
    """A table is not there."""
    file = folder.data / "opportunities.csv"
    with damaged(folder, "data/opportunities.csv", ""):
        file.unlink()
        yield


def failing_stage(kind: type[BaseException], *said: object) -> Fault:
    """A stage of the run raises this when it begins: a new one each time, since a fault keeps the frames it came by."""

    def fault(_folder: Folder, chance: random.Random) -> AbstractContextManager[object]:
        at, whole = chance.choice(STAGES), StageClock.stage

        def stage(clock: StageClock, name: str) -> AbstractContextManager[None]:
            if name == at:
                raise kind(*said)
            return whole(clock, name)

        return mock.patch.object(StageClock, "stage", stage)

    return fault


def no_room(_folder: Folder, _chance: random.Random) -> AbstractContextManager[object]:
    """The disk is full when the snapshot is sealed."""
    return mock.patch.object(Staging, "seal", side_effect=OSError(errno.ENOSPC, "No space left on device"))


FAULTS: dict[str, Fault] = {
    "table cut": lambda folder, _: damaged(folder, "data/opportunities.csv", 'opportunity_id,partner_id\n"O-1,P1'),
    "table gone": lambda folder, _: missing(folder),
    "table emptied": lambda folder, _: damaged(folder, "data/partners.csv", "partner_id,name\n"),
    "mistake in crmsync.yaml": lambda folder, _: damaged(folder, "crmsync.yaml", "org: fils\n"),
    "mistake in the program": lambda folder, _: damaged(folder, "programs/resellers.yaml", "program: x\nmetrics: 3\n"),
    "ledger held": lambda folder, _: Ledger.open(folder.config.parent / "state"),
    "told to stop": failing_stage(SystemExit, 143),
    "a bug": failing_stage(ZeroDivisionError, "division by zero"),
    "disk full": no_room,
}


def main(root: str, runs: str, seed: str) -> None:
    """Let days go by until so many runs have begun."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(50))
    chance, folder, clock, pulse = random.Random(int(seed)), Folder(Path(root), 12), SetClock(MONDAY), Pulse()
    folder.change("crmsync.yaml", "org: files\n", f"org: files\n{SCHEDULE}")
    state = folder.config.parent / "state"
    os.environ.update(CRMSYNC_STATE_DIR=str(state), CRMSYNC_LOG_LEVEL="error", CRMSYNC_LISTEN="127.0.0.1:0")
    make_state(state)
    work = BeltWork(folder.config)
    seen: Counter[str] = Counter()
    usage: list[tuple[int, int]] = []
    with answering(work, load_settings(folder.config), pulse, clock):
        address = json.loads((state / "worker.json").read_text())["url"]
        while seen["runs"] < int(runs):
            _day(folder, chance)
            name = chance.choice(list(FAULTS)) if chance.random() < 0.5 else ""
            seen[f"with {name}" if name else "without a fault"] += 1
            _turns(Worker(work, clock, pulse), clock, folder, chance, name, seen)
            if chance.random() < 0.3:
                _ask(address, seen)
            if chance.random() < 0.5:
                _approve(state, seen)
            usage.append((_own_kb(), len(os.listdir("/proc/self/fd"))))
            clock.at += timedelta(days=1) if chance.random() < 0.95 else timedelta(hours=chance.randint(-30, 80))
    print(json.dumps(_summary(state, seen, usage)))


def _turns(
    worker: Worker, clock: SetClock, folder: Folder, chance: random.Random, name: str, seen: Counter[str]
) -> None:
    """A few looks of one day: the first with the fault, the others without."""
    for attempt in range(3):
        with ExitStack() as stack:
            if name and not attempt:
                stack.enter_context(FAULTS[name](folder, chance))
            try:
                worker.forever(turns=1)
            except SystemExit:
                seen["stopped"] += 1
        clock.at += timedelta(minutes=3)
        if not name:
            return


def _day(folder: Folder, chance: random.Random) -> None:
    """Deals of today: mostly as yesterday, sometimes enough of them move for a guard."""
    if chance.random() < 0.5:
        partners = chance.sample(range(1, 13), chance.choice((1, 1, 2, 12)))
        folder.deals({f"P{number}": chance.choice((500, 1500, 9000)) for number in partners})


def _ask(address: str, seen: Counter[str]) -> None:
    for page in ("/metrics", "/readyz", "/healthz"):
        try:
            with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(f"{address}{page}") as answer:
                answer.read()
                seen[f"{page} {answer.status}"] += 1
        except urllib.error.HTTPError as refused:
            with refused:
                refused.read()
            seen[f"{page} {refused.code}"] += 1


def _approve(state: Path, seen: Counter[str]) -> None:
    with Ledger.open(state, exclusive=False) as ledger:
        plan = newest_plan(ledger)
        if plan is not None and plan.state == "blocked":
            approve(ledger, plan.digest, "Ann Example")
            seen["approved"] += 1
        seen["runs"] = _count_runs(ledger)


def _count_runs(ledger: Ledger) -> int:
    with ledger.reading() as connection:
        return int(connection.exec_driver_sql("SELECT count(*) FROM run").scalar() or 0)


def _own_kb() -> int:
    """Resident memory that is this process's own; pages of libraries come and go with the machine's load."""
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return int(next(line for line in lines if line.startswith("RssAnon:")).split()[1])


def _summary(state: Path, seen: Counter[str], usage: list[tuple[int, int]]) -> dict[str, object]:
    warm = max(3, int(len(usage) * WARM))
    tail = max(1, len(usage) // 10)
    middle = sorted(kb for kb, _ in usage[warm : warm + tail])[tail // 2]
    end = sorted(kb for kb, _ in usage[-tail:])[tail // 2]
    with Ledger.open(state, exclusive=False) as ledger:
        chain = verify_chain(ledger)
    slots = Counter(states(state).values())
    return {
        "seen": dict(sorted(seen.items())), "days": len(usage), "own_kb": [middle, end], "chain": chain.faults,
        "growth": round(end / middle - 1, 4), "descriptors": [usage[warm][1], usage[-1][1]], "events": chain.events,
        "slots": dict(slots), "left": sorted(path.name for path in state.glob("**/*.tmp*"))[:5],
        "state_mb": round(sum(path.stat().st_size for path in state.rglob("*") if path.is_file()) / 1e6, 1),
    }  # fmt: skip


if __name__ == "__main__":
    try:
        main(*sys.argv[1:])
    finally:
        shutil.rmtree(Path(sys.argv[1]) / "state", ignore_errors=True)
