"""Kills apply processes at every failpoint and at random times, and checks that no write is lost or doubled.

Run as a program by the test: URL TOKEN FOLDER KILLS SEED. One process without threads forks a child per try: an import
per try would cost more than the try. Every trial gives the same accounts of a sandbox org new values, kills the first
children where or when it is told, and lets the last one end; what was written is what the org itself has counted.
"""

from __future__ import annotations

import functools
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
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import date
from itertools import groupby
from pathlib import Path
from typing import Any

import requests
import structlog
from sqlalchemy import select

from crmsync import failpoints
from crmsync.connectors.base import Into
from crmsync.connectors.mapping import read_mapping
from crmsync.connectors.mapping_sinks import ChildMap
from crmsync.connectors.salesforce.connector import SalesforceConnector
from crmsync.ledger import ledger as ledger_module
from crmsync.ledger import tables as t
from crmsync.ledger.accepted import accept_standings, newest_standings
from crmsync.ledger.intents import last_written, live_jobs, open_intents, opening_jobs
from crmsync.ledger.ledger import Ledger
from crmsync.ledger.sqlite_store import SqliteStore
from crmsync.ledger.store import Store
from crmsync.settings import SalesforceSettings
from crmsync.writeback.apply import apply_plan, settle_open_intents, verify_plan
from crmsync.writeback.changes import Change
from crmsync.writeback.fields import FieldMap, Sink
from crmsync.writeback.plan import Basis, Plan, sealed
from crmsync.writeback.planfile import load_plan, save_plan

FIELD_MAP = Path(__file__).parent.parent.parent / "config" / "connectors" / "salesforce.yaml"
AS_OF = date(2026, 11, 21)
ACCOUNTS = 3
LEAST = 20  # kills at each failpoint
MOST_DEATHS = 14
TRIALS_PER_STATE = 40  # a ledger serves so many trials, as it serves many runs
TIME = "time"
BULK = tuple(name for name in failpoints.NAMES if name.startswith(("job", "upload", "start_", "started", "results")))
SINGLE = tuple(name for name in failpoints.NAMES if name.startswith("one"))
FIRST: dict[str, tuple[str, str]] = {
    "orphans_ended": ("job_created", "job_opening"),
    "settled": ("job_claimed", "one_claimed"),
}
"""Names that are reached only by a child that follows a death at one of these."""


def short(seconds: float) -> None:
    """A pause, cut short: the org answers at once."""
    time.sleep(min(seconds, 0.02))


def a_sink(name: str, child: ChildMap) -> Sink:
    fields = {what: place.text for what, place in child.fields.items()}
    return Sink(name, child.object.text, child.key.text, child.partner.text, fields)


@dataclass
class World:
    """The org, and a connector that has described it before the first fork."""

    url: str
    token: str
    connector: SalesforceConnector
    fields: FieldMap
    accounts: list[str] = field(default_factory=list)
    door: requests.Session = field(default_factory=requests.Session)

    @classmethod
    def of(cls, url: str, token: str, folder: Path) -> World:
        settings = SalesforceSettings(instance_url=url, access_token=token)  # type: ignore[arg-type]
        connector = SalesforceConnector(settings, read_mapping(FIELD_MAP), folder / "tmp")
        writes = connector.mapping.writes
        assert writes is not None
        names = {key: place.text for key, place in writes.fields.items()}
        assert writes.standings is not None
        assert writes.history is not None
        sinks = (a_sink("standings", writes.standings), a_sink("history", writes.history))
        world = cls(url, token, connector, FieldMap(writes.object.text, names, writes.token.text, sinks).plain())
        world.door.headers["Authorization"] = f"Bearer {token}"
        soql = f"SELECT Id FROM Account ORDER BY Id LIMIT {ACCOUNTS}"
        world.accounts = [row["Id"] for row in connector.org.query(soql)["records"]]
        connector.read(world.accounts, [world.text])
        connector.identity()
        for sink in world.fields.sinks:
            assert connector.into(Into(sink.object, sink.key)).fields.key
        connector.org.session.close()
        world.ask("PUT", "effects", {"changes": []})
        return world

    @property
    def text(self) -> str:
        return self.fields.fields["main_blocker"]

    def sink(self, name: str) -> Sink:
        found = self.fields.sink(name)
        assert found is not None
        return found

    def target(self, bulk: str) -> SalesforceConnector:
        """The connector, which writes by jobs the accounts, what stands beside them, or nothing."""
        self.connector.bulk_from = 1 if bulk == "accounts" else None
        self.connector.beside_bulk_from = 1 if bulk == "beside" else None
        self.connector.org.session.close()  # no socket is shared with the parent
        return self.connector

    def ask(self, method: str, door: str, body: Any = None) -> Any:
        answer = self.door.request(method, f"{self.url}/__sandbox/{door}", json=body, timeout=30)
        answer.raise_for_status()
        return answer.json() if answer.content else None


@dataclass
class Trial:
    """New values for the accounts, named by `text`. `bulk`: accounts, beside, or empty; `stop`: what the org does to
    jobs."""

    text: str
    state: Path
    bulk: str
    stop: dict[str, Any] | None = None
    replans: bool = False  # from some child on, each drafts what is still wanted instead of continuing the plan

    @property
    def run(self) -> str:
        return f"run-{self.text}-"


@dataclass
class Tally:
    """What the campaign has seen."""

    trials: int = 0
    kills: int = 0
    at: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)


# --- a child


def work(world: World, trial: Trial, digest: str | None) -> None:
    """What one child does: settle, (draft,) apply, verify, accept."""
    with Ledger.open(trial.state) as ledger:
        target = world.target(trial.bulk)
        settle_open_intents(ledger, target, pause=short)
        plan = load_plan(digest, ledger.state_dir) if digest else drafted(world, trial, ledger)
        outcomes = apply_plan(plan, target, ledger, pause=short)
        outcomes = verify_plan(plan, target, ledger, outcomes)
        assert outcomes.clean, outcomes
        if not is_accepted(trial, ledger):
            accept_standings(ledger, plan.run_id, AS_OF, trial.state / "standings")


def is_accepted(trial: Trial, ledger: Ledger) -> bool:
    newest = newest_standings(ledger)
    return newest is not None and newest.run_id.startswith(trial.run)


def drafted(world: World, trial: Trial, ledger: Ledger) -> Plan:
    """The plan of what is still wanted, saved."""
    token = world.fields.token or ""
    now = world.target(trial.bulk).read(world.accounts, [world.text, token])
    changes = tuple(
        Change(one, one, {world.text: trial.text}, dict(now[one]), "test")
        for one in world.accounts
        if now[one][world.text] != trial.text
    )
    beside = [*standings(world, trial), *([] if is_accepted(trial, ledger) else history(world, trial))]
    run_id = f"{trial.run}{os.getpid()}-{random.randrange(10**9)}"
    basis = Basis("channel", "p" * 64, "c" * 64, "s" * 64, "d" * 64, {"partners": len(changes)})
    plan = sealed(Plan("", run_id, "", AS_OF, basis, world.fields, ACCOUNTS, changes, (), (), (), tuple(beside)))
    save_plan(plan, ledger)
    return plan


def keys_of(world: World, trial: Trial) -> dict[str, str]:
    """Key of the standing of each account: every second is there from the trial before, the others are made."""
    return {one: f"std|{one}" if place % 2 else f"{trial.text}|{one}" for place, one in enumerate(world.accounts)}


def standings(world: World, trial: Trial) -> Iterator[Change]:
    sink, keys = world.sink("standings"), keys_of(world, trial)
    category, program = sink.fields["category"], sink.fields["program"]
    now = world.connector.into(Into(sink.object, sink.key)).read(list(keys.values()), [category])
    for account, key in keys.items():
        held = now.get(key)
        if held is not None and held[category] != trial.text:
            yield Change(key, account, {category: trial.text}, dict(held), "test", sink.name, sink.object, sink.key)
        elif held is None:
            values = {str(sink.partner): account, program: "Channel", category: trial.text}
            yield Change(key, account, values, {}, "test", sink.name, sink.object, sink.key)


def history(world: World, trial: Trial) -> Iterator[Change]:
    sink = world.sink("history")
    for account in world.accounts:
        values = {str(sink.partner): account, sink.fields["program"]: "Channel", sink.fields["category"]: trial.text}
        yield Change(f"h-{trial.text}|{account}", account, values, {}, "test", sink.name, sink.object, sink.key)


@functools.cache
def _kept(state_dir: Path) -> SqliteStore:
    return SqliteStore(state_dir)


def warm_store(state_dir: Path, url: str | None = None) -> Store:  # noqa: ARG001
    """The parent's store, closed before every fork: it keeps the statements that were compiled. Its lock is new."""
    store = _kept(state_dir)
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
    world.ask("PUT", "faults", [trial.stop] if trial.stop else [])
    with Ledger.open(trial.state) as ledger:
        plan = drafted(world, trial, ledger)
    digest: str | None = plan.digest
    from_child = chance.randrange(len(deaths) + 1) if trial.replans else None
    for place, death in enumerate([*deaths, None]):
        digest = None if from_child is not None and place >= from_child else digest
        given = None if death is not None and death.startswith("plan_saved") else digest
        timed = death == TIME
        after_s = chance.uniform(0, 0.8 * statistics.median(tally.seconds or [0.1])) if timed else None
        began = time.monotonic()
        status = child(lambda given=given: work(world, trial, given), None if timed else death, after_s)  # type: ignore[misc]
        if os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL:
            tally.kills += 1
            tally.at[str(death).partition(":")[0]] += 1
        elif status:
            tally.faults.append(f"{trial} {deaths}: a child ended with {status}")
        else:
            tally.seconds.append(time.monotonic() - began)
            break
    tally.trials += 1
    tally.faults += [f"{trial} {deaths}: {fault}" for fault in faults_of(world, trial)]


def faults_of(world: World, trial: Trial) -> list[str]:
    """Every broken promise: lost, doubled, out of order, or told wrongly."""
    told = world.ask("GET", "effects")
    world.ask("DELETE", "effects")
    found = []
    objects = [world.fields.object, *(sink.object for sink in world.fields.sinks)]
    for name in objects:
        counts = told["records"].get(name, {})
        if len(counts) != ACCOUNTS or set(counts.values()) != {1}:
            found.append(f"{name}: effects {counts}")
    if [name for name, _ in groupby(change["object"] for change in told["changes"])] != objects:
        found.append("written out of order")
    with Ledger.open(trial.state, exclusive=False) as ledger:
        return [*found, *ledger_faults(world, trial, ledger)]


def ledger_faults(world: World, trial: Trial, ledger: Ledger) -> Iterator[str]:
    applied = [one for one in open_intents(ledger, "applied") if one.run_id.startswith(trial.run)]
    wanted = Counter(
        [("", one) for one in world.accounts]
        + [("standings", key) for key in keys_of(world, trial).values()]
        + [("history", f"h-{trial.text}|{one}") for one in world.accounts]
    )
    found = Counter((one.sink, one.record_id) for one in applied)
    if trial.replans:  # a change of tier is drafted until the standings are accepted; then it is there already
        found = Counter(set(found))
    if found != wanted:
        yield f"applied {found}"
    if left := open_intents(ledger, "pending", "claimed", "parked", "conflict"):
        yield f"{len(left)} intents left, such as {left[0]}"
    if live_jobs(ledger) or opening_jobs(ledger):
        yield "a job is still live"
    if not is_accepted(trial, ledger):
        yield "standings not accepted"
    sample, names = world.accounts[0], [world.text, world.fields.token or ""]
    held = world.connector.read([sample], names)[sample]
    if {name: last_written(ledger, sample).get(name) for name in names} != held or held[world.text] != trial.text:
        yield f"{sample} holds {held}"
    with ledger.reading() as connection:
        events = connection.execute(select(t.audit.c.content).where(t.audit.c.event == "records_written")).scalars()
        told = [json.loads(text) for text in events]
        ids = {one.intent_id for one in applied}
        outcomes = Counter(
            connection.execute(select(t.outcome.c.intent_id).where(t.outcome.c.state == "applied")).scalars()
        )
    audited = sum(event.get("applied", 0) for event in told if event["run"].startswith(trial.run))
    if audited != len(applied):
        yield f"{audited} writes in the audit, {len(applied)} were made"
    if any(outcomes[one] != 1 for one in ids):
        yield "an outcome was told twice, or not at all"


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


def deaths_for(bulk: str, tally: Tally, chance: random.Random) -> list[str]:
    """Where the children of a trial die: where too few have died so far, at any failpoint, or after a time."""
    both = tuple(name for name in failpoints.NAMES if name not in BULK + SINGLE + ("outcomes_recorded",))
    reached = (*both, "outcomes_recorded", *BULK) if bulk else (*both, *SINGLE)
    lacking = [name for name in reached if tally.at[name] < LEAST and (bulk or name != "orphans_ended")]
    deaths: list[str] = []
    for _ in range(chance.randint(7, MOST_DEATHS)):
        if lacking and chance.random() < 0.85:
            name = chance.choice(lacking)
            if name in FIRST:
                deaths.append(f"{FIRST[name][0 if bulk else 1]}:1")
            deaths.append(f"{name}:{chance.choice([1, 1, 1, 1, 1, 2])}")
        elif chance.random() < 0.5:
            deaths.append(f"any:{chance.randint(1, 12)}")
        else:
            deaths.append(TIME)
    return deaths


def main(url: str, token: str, root: str, kills: str, seed: str) -> None:
    """Run the campaign and print what was seen as one JSON line."""
    chance, tally, folder = random.Random(seed), Tally(), Path(root)
    world = World.of(url, token, folder)
    template = folder / "template"
    Ledger.open(template).close()  # made once: migrating takes longer than a whole trial
    (template / "standings").write_bytes(b"standings")
    state = folder
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    ledger_module.store_of = warm_store
    gc.freeze()  # a child that collects would copy the parent's memory
    gc.disable()
    most = int(kills) + 200
    while tally.trials < most and not tally.faults:
        if tally.kills >= int(kills) and all(tally.at[name] >= LEAST for name in failpoints.NAMES):
            break
        if tally.trials % TRIALS_PER_STATE == 0:
            state = Path(shutil.copytree(template, folder / f"state{tally.trials}"))
        lacking = sum(max(0, LEAST - tally.at[name]) for name in BULK)
        bulk = chance.choice(["accounts", "accounts", "beside"]) if chance.random() < min(0.7, 0.2 + lacking) else ""
        trial = Trial(f"t{seed}x{tally.trials}", state, bulk, stops(chance) if bulk else None, chance.random() < 0.4)
        run(world, trial, deaths_for(bulk, tally, chance), tally, chance)
    open_jobs = len(world.connector.open_jobs())
    assert "crmsync.levelling.assess" not in sys.modules, "no child carries the engine"
    print(json.dumps({**vars(tally), "seconds": statistics.median(tally.seconds), "open_jobs": open_jobs}))


if __name__ == "__main__":
    main(*sys.argv[1:])
