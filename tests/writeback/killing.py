"""Kills apply processes at every failpoint and at random times, and checks that no write is lost or doubled.

Run as a program by the test: URL TOKEN FOLDER DATABASE KILLS LEAST SEED. One process without threads forks a child per
try: an import per try would cost more than the try. Every trial gives the same accounts of a sandbox org new values,
kills the first children where or when it is told, and lets the last one end; what was written is what the org itself
has counted. DATABASE: where the ledger is, sqlite or postgresql.
"""

from __future__ import annotations

import gc
import json
import os
import random
import shutil
import signal
import statistics
import sys
import time
import traceback
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import structlog

from crmsync import failpoints
from crmsync.ledger import ledger as ledger_module
from crmsync.ledger.ledger import Ledger
from crmsync.ledger.postgresql_store import PostgresqlStore
from crmsync.ledger.sqlite_store import SqliteStore
from crmsync.ledger.store import Store
from tests.databases import PostgresqlServer
from tests.writeback.trial_checks import Deaths, audit_ends, faults_of
from tests.writeback.trials import ACCOUNTS, Trial, World, drafted, work

MOST_DEATHS = 14
TRIALS_PER_STATE = 40  # a ledger serves so many trials, as it serves many runs
TIME = "time"
BULK = tuple(
    name for name in failpoints.OF_WRITES if name.startswith(("job", "upload", "start_", "started", "results"))
)
SINGLE = tuple(name for name in failpoints.OF_WRITES if name.startswith("one"))
ERRORS = tuple(name for name in failpoints.OF_WRITES if name.startswith("last_error"))
LATE = ("verify_read", *ERRORS, "standings_accepted")
"""Names behind the last write: a child that dies there leaves little to the next one, so that these come last."""
FIRST: dict[str, tuple[str, str]] = {
    "orphans_ended": ("job_created", "job_opening"),
    "settled": ("job_claimed", "one_claimed"),
}
"""Names that are reached only by a child that follows a death at one of these."""


@dataclass
class Tally:
    """What the campaign has seen."""

    least: int = 20  # kills at each failpoint
    trials: int = 0
    kills: int = 0
    at: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)


# --- a child

_kept: dict[str, Store] = {}


def warm_store(state_dir: Path, url: str | None = None) -> Store:
    """The parent's store, closed before every fork: it keeps the statements that were compiled. Its lock is new."""
    place = url or str(state_dir)
    store = _kept.setdefault(place, PostgresqlStore(url) if url else SqliteStore(state_dir))
    if isinstance(store, SqliteStore):
        store._lock = SqliteStore(state_dir)._lock
    return store


def child(work_on: Callable[[], None], death: str | None, after_s: float | None) -> int:
    """Fork one try; returns its wait status. `death`: the failpoint; `after_s`: when the parent kills it."""
    pid = os.fork()
    if pid:
        if after_s is not None:
            time.sleep(after_s)
            os.kill(pid, signal.SIGKILL)  # of a child that has ended nothing is left but its status
        return os.waitpid(pid, 0)[1]
    if death:
        os.environ[failpoints.ENVIRONMENT] = death
    try:
        random.seed()
        work_on()
    except BaseException:
        traceback.print_exc()
        sys.stderr.flush()
        os._exit(1)
    os._exit(0)


# --- a trial


def run(world: World, trial: Trial, deaths: list[str], tally: Tally, chance: random.Random) -> None:
    """One trial: the deaths in order, then a child that lives; then the checks."""
    world.ask("PUT", "faults", trial.faults)
    since = audit_ends(trial)
    with trial.open() as ledger:
        plan = drafted(world, trial, ledger)
    digest: str | None = plan.digest
    died: Counter[str] = Counter()
    from_child = chance.randrange(len(deaths) + 1) if trial.replans else None
    for place, death in enumerate([*deaths, None]):
        digest = None if from_child is not None and place >= from_child else digest
        given = None if death is not None and death.startswith("plan_saved") else digest
        timed = death == TIME
        after_s = chance.uniform(0, 0.8 * statistics.median(tally.seconds or [0.1])) if timed else None
        began = time.monotonic()
        status = child(lambda given=given: work(world, trial, given), None if timed else death, after_s)  # type: ignore[misc]
        if os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL:
            died[str(death).partition(":")[0]] += 1
            world.quiet()
        elif status:
            tally.faults.append(f"{trial} {deaths}: a child ended with {status}")
        else:
            tally.seconds.append(time.monotonic() - began)
            break
    tally.trials += 1
    tally.kills += died.total()
    tally.at += died
    found = faults_of(world, trial, since, Deaths(died.total() - died[TIME], died[TIME]))
    tally.faults += [f"{trial} {deaths}: {fault}" for fault in found]


# --- the campaign


def stops(chance: random.Random) -> dict[str, Any] | None:
    """What the org does to jobs: end them in the middle, or stand still for a moment."""
    what = chance.choice([
        None,
        {"job_fails": {"error": "TooManyLockFailure", "after": chance.randint(1, ACCOUNTS - 1)}},
        {"job_waits": {"after": chance.randint(1, ACCOUNTS - 1), "ms": 8}},
    ])  # fmt: skip
    nth: Any = "every" if what and "job_waits" in what else [1, 3]
    return what and {"method": "PATCH", "path": "/jobs/ingest/*", "nth": nth, "do": what}


def deaths_for(trial: Trial, tally: Tally, chance: random.Random) -> list[str]:
    """Where the children of a trial die: where too few have died so far, at any failpoint, or after a time."""
    unreached = {*(SINGLE if trial.bulk == "accounts" else ()), *(() if trial.bulk else (*BULK, "orphans_ended"))}
    unreached |= set() if trial.refused != trial.told else set(ERRORS)
    lacking = [name for name in failpoints.OF_WRITES if tally.at[name] < tally.least and name not in unreached]
    deaths: list[str] = []
    for _ in range(chance.randint(7, MOST_DEATHS)):
        if lacking and chance.random() < 0.85:
            name = chance.choice(lacking)
            if name in FIRST:
                deaths.append(f"{FIRST[name][0 if trial.bulk else 1]}:1")
            deaths.append(f"{name}:{chance.choice([1, 1, 1, 1, 1, 2])}")
        elif chance.random() < 0.5:
            deaths.append(f"any:{chance.randint(1, 12)}")
        else:
            deaths.append(TIME)
    return sorted(deaths, key=lambda death: death.partition(":")[0] in LATE)


@dataclass
class Campaign:
    """Trials one after the other, on a ledger that is made anew now and then."""

    world: World
    folder: Path
    seed: str
    tally: Tally
    chance: random.Random
    server: PostgresqlServer | None = None
    url: str | None = None
    told: str | None = None  # the account that says why it was refused

    @property
    def state(self) -> Path:
        return self.folder / "state"

    def new_ledger(self) -> None:
        """An empty one at the same place, so that what was compiled for it stays of use."""
        shutil.rmtree(self.state, ignore_errors=True)
        self.url = self.server.emptied() if self.server is not None else None
        if self.server is not None:
            self.state.mkdir()
        else:
            shutil.copytree(self.folder / "template", self.state)  # migrating takes longer than a whole trial
        (self.state / "standings").write_bytes(b"standings")

    def trial(self, bulk: str) -> Trial:
        """The next one. The last of a ledger refuses nothing: the next ledger would not know what was told of it."""
        number, chance = self.tally.trials, self.chance
        if number % TRIALS_PER_STATE == 0:
            self.new_ledger()
        refuses = chance.random() < 0.5 and (number + 1) % TRIALS_PER_STATE
        return Trial(
            f"t{self.seed}x{number}", self.state, bulk, stops(chance) if bulk else None, chance.random() < 0.4,
            self.url, chance.choice(self.world.accounts) if refuses else None, self.told,
        )  # fmt: skip

    def run(self, trial: Trial, deaths: list[str]) -> None:
        """One trial."""
        run(self.world, trial, deaths, self.tally, self.chance)
        self.told = trial.refused

    def warm_up(self) -> None:
        """Trials in this process: what is imported, described and compiled by them is there in every child."""
        for bulk in ("", "accounts", "beside"):
            trial = self.trial(bulk)
            self.world.ask("PUT", "faults", trial.faults)
            since = audit_ends(trial)
            work(self.world, trial, None)
            self.tally.trials += 1
            self.tally.faults += faults_of(self.world, trial, since)
            self.told = trial.refused
        self.world.target("")

    def next_bulk(self) -> str:
        """What the next trial writes by jobs, as long as too few have died inside of them."""
        lacking = sum(max(0, self.tally.least - self.tally.at[name]) for name in BULK)
        by_jobs = self.chance.random() < min(0.7, 0.2 + lacking)
        return self.chance.choice(["accounts", "accounts", "beside"]) if by_jobs else ""


def main(url: str, token: str, root: str, database: str, kills: str, least: str, seed: str) -> None:
    """Run the campaign and print what was seen as one JSON line."""
    folder, tally, chance = Path(root), Tally(int(least)), random.Random(seed)
    with ExitStack() as stack:
        server = stack.enter_context(PostgresqlServer()) if database == "postgresql" else None
        campaign = Campaign(World.of(url, token, folder), folder, seed, tally, chance, server)
        if server is None:
            Ledger.open(folder / "template").close()
        structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
        ledger_module.store_of = warm_store
        campaign.warm_up()
        gc.collect()
        gc.freeze()  # a child that collects would copy the parent's memory
        gc.disable()
        most = int(kills) + 200
        while tally.trials < most and not tally.faults:
            if tally.kills >= int(kills) and all(tally.at[name] >= tally.least for name in failpoints.OF_WRITES):
                break
            trial = campaign.trial(campaign.next_bulk())
            campaign.run(trial, deaths_for(trial, tally, chance))
        open_jobs = len(campaign.world.connector.open_jobs())
    assert "crmsync.levelling.assess" not in sys.modules, "no child carries the engine"
    print(json.dumps({**vars(tally), "seconds": statistics.median(tally.seconds or [0.0]), "open_jobs": open_jobs}))


if __name__ == "__main__":
    main(*sys.argv[1:])
