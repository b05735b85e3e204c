"""Kills apply processes at every failpoint and checks that no write is lost or doubled. Run as a program by the test.

One process without threads forks a child per try: an import per try would cost more than the try. Every trial has a
state folder and an org file of its own, kills the first children where it is told, and lets the last one end.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import sys
import traceback
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from crmsync import failpoints
from crmsync.connectors.base import Into
from crmsync.ledger.accepted import accept_standings, newest_standings
from crmsync.ledger.intents import last_written, live_jobs, open_intents
from crmsync.ledger.ledger import Ledger
from crmsync.writeback.apply import apply_plan, settle_open_intents
from crmsync.writeback.changes import Change
from crmsync.writeback.plan import Plan
from crmsync.writeback.planfile import load_plan, save_plan
from tests.writeback.facts import AS_OF, HISTORY, STANDINGS, a_plan, beside
from tests.writeback.org import Org

TIER = "granted_tier__c"
RECORDS = [f"001{n:03}" for n in range(25)]  # more than one small batch of single writes
BESIDE = [name for record in RECORDS for name in (f"Standing/{record}", f"History/first|{record}")]
BEFORE: dict[str, str | None] = {TIER: "Silver", "token__c": None}


@dataclass(frozen=True)
class Trial:
    """One history: how the org behaves, and where each child dies (`name:n`)."""

    folder: Path
    bulk: bool
    stops_after: int | None
    deaths: tuple[str, ...]
    replans: bool  # the survivor drafts a new plan instead of continuing the old one


@dataclass
class Tally:
    """What the campaign has seen."""

    trials: int = 0
    kills: int = 0
    at: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)


def org_of(trial: Trial) -> Org:
    return Org(
        trial.folder / "org.sqlite", bulk_from=1 if trial.bulk else None, chunk=7, stops_after=trial.stops_after
    )  # fmt: skip


def work(trial: Trial, digest: str | None) -> None:
    """What one child does: settle, (draft,) apply, accept. A child without a digest drafts what is still wanted."""
    with Ledger.open(trial.folder / "state") as ledger:
        org = org_of(trial)
        settle_open_intents(ledger, org, pause=lambda _: None)
        plan = load_plan(digest, ledger.state_dir) if digest else drafted(org, ledger)
        outcomes = apply_plan(plan, org, ledger, pause=lambda _: None)
        assert outcomes.clean, outcomes
        if newest_standings(ledger) is None:
            accept_standings(ledger, plan.run_id, AS_OF, trial.folder / "standings")


def drafted(org: Org, ledger: Ledger) -> Plan:
    now = {record: org.held(record) for record in RECORDS}
    wanted = {record: {TIER: "Gold"} for record, held in now.items() if held[TIER] != "Gold"}
    seen = {record: now[record] for record in wanted}
    plan = a_plan(f"run-{os.getpid()}", wanted, seen, beside_of(org, newest_standings(ledger) is None))
    save_plan(plan, ledger)
    return plan


def beside_of(org: Org, new: bool) -> list[Change]:
    """The records beside the accounts that differ: half of the standings are there already. Changes of tier are drafted
    until the standings are accepted, always with the same key."""
    standings = org.into(Into(STANDINGS.object, STANDINGS.key)).read(RECORDS, ["Tier"])
    drafts = [
        beside(STANDINGS, record, record, {"Tier": "Gold"}, held=record in standings)
        for record in RECORDS
        if standings.get(record, {}).get("Tier") != "Gold"
    ]
    return drafts + [beside(HISTORY, f"first|{record}", record, {"To": "Gold"}) for record in RECORDS if new]


def child(trial: Trial, digest: str | None, death: str | None) -> int:
    """Fork one try; returns its wait status."""
    pid = os.fork()
    if pid:
        return os.waitpid(pid, 0)[1]
    if death:
        os.environ[failpoints.ENVIRONMENT] = death
    try:
        work(trial, digest)
    except BaseException:
        traceback.print_exc()
        os._exit(1)
    os._exit(0)


def run(trial: Trial, tally: Tally) -> None:
    """One trial: the deaths in order, then a child that lives; then the checks."""
    template = trial.folder.parent / "template"
    if not template.exists():
        Ledger.open(template).close()  # made once: migrating takes longer than a whole trial
    shutil.copytree(template, trial.folder / "state")
    (trial.folder / "standings").write_bytes(b"standings")
    org = org_of(trial)
    for record in RECORDS:
        org.put(record, BEFORE)
    for record in RECORDS[::2]:
        org.put(f"Standing/{record}", {"Tier": "Silver", "Account": record})
    with Ledger.open(trial.folder / "state") as ledger:
        plan = drafted(org, ledger)
    org.store.close()
    for death in trial.deaths:
        status = child(trial, None if death.startswith("plan_saved") else plan.digest, death)
        killed = os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL
        tally.kills += killed
        tally.at[death.partition(":")[0]] += killed
        if not killed and status:
            tally.faults.append(f"{trial}: a child ended with {status}")
    if child(trial, None if trial.replans else plan.digest, None):
        tally.faults.append(f"{trial}: the survivor did not end well")
    tally.trials += 1
    tally.faults += [f"{trial}: {fault}" for fault in faults_of(trial)]


def faults_of(trial: Trial) -> list[str]:
    """Every broken promise: lost, doubled, or told wrongly."""
    org = org_of(trial)
    found = [f"{record}: {count} effects" for record, count in org.effects().items() if count != 1]
    found += [f"{record}: lost" for record in RECORDS if org.held(record)[TIER] != "Gold"]
    found += [f"{name}: lost" for name in BESIDE if name not in org.effects()]
    found += [f"{name}: {org.held(name)}" for name in BESIDE if org.held(name).get("Account") != name[-6:]]
    if found:
        return found
    place = {name: at for at, name in enumerate(org.order())}
    steps = [(record, f"Standing/{record}", f"History/first|{record}") for record in RECORDS]
    found += [
        f"{step}: out of order" for step in steps if sorted(step, key=lambda name: place.get(name, -1)) != list(step)
    ]
    with Ledger.open(trial.folder / "state", exclusive=False) as ledger:
        intents = open_intents(ledger, "applied")
        applied = Counter(intent.record_id for intent in intents if not intent.sink)
        found += [] if applied == Counter(RECORDS) else [f"applied intents {dict(applied)}"]
        told = {(intent.sink, intent.record_id) for intent in intents if intent.sink}
        wanted = {(STANDINGS.name, one) for one in RECORDS} | {(HISTORY.name, f"first|{one}") for one in RECORDS}
        found += [] if told == wanted else [f"applied beside {sorted(told ^ wanted)[:4]}"]
        left = open_intents(ledger, "pending", "claimed", "parked", "conflict")
        found += [f"{len(left)} intents left"] if left else []
        found += ["a job is still live"] if live_jobs(ledger) else []
        found += ["standings not accepted"] if newest_standings(ledger) is None else []
        sample = RECORDS[0]
        found += ["last written differs"] if last_written(ledger, sample) != org.held(sample) else []
    org.store.close()
    return found


MODES = {"one": (False,), "plan": (False,), "intents": (False, True), "outcomes": (True,), "standings": (False, True)}
TWICE = frozenset(name for name in failpoints.NAMES if name.startswith(("job", "one", "start", "upload", "results")))


def trials(root: Path, random_trials: int, seed: int) -> list[Trial]:
    """Every failpoint, early and late, singly and in bulk; then random double deaths."""
    planned = []
    for name in failpoints.NAMES:
        for bulk in MODES.get(name.split("_")[0], (True,)):
            for nth in (1, 2) if name in TWICE else (1,):
                deaths = (f"{name}:{nth}",)
                planned.append(Trial(root / f"t{len(planned)}", bulk, 10 if nth == 2 else None, deaths, nth == 2))
    for name in ("job_claimed", "job_uploaded", "start_recorded", "job_started", "results_read", "outcomes_recorded"):
        for nth in (2, 3):  # the job of the standings, that of the changes of tier
            planned.append(Trial(root / f"t{len(planned)}", True, None, (f"{name}:{nth}",), nth == 2))
    for death in ("one_claimed:3", "one_written:27", "one_recorded:4", "one_written:32", "settle_read:3"):
        planned.append(Trial(root / f"t{len(planned)}", False, None, (death,), death.endswith("3")))
    for first, second in (
        ("job_claimed:1", "settled:1"),
        ("one_written:3", "settle_read:1"),
        ("one_written:1", "settled:1"),
    ):
        planned.append(Trial(root / f"t{len(planned)}", first.startswith("job"), None, (first, second), False))
    chance = random.Random(seed)
    for _ in range(random_trials):
        deaths = tuple(f"any:{chance.randint(1, 90)}" for _ in range(chance.randint(1, 3)))
        folder = root / f"t{len(planned)}"
        planned.append(
            Trial(folder, chance.random() < 0.6, chance.choice([None, 4, 10]), deaths, chance.random() < 0.5)
        )
    return planned


def main(root: str, random_trials: str, seed: str) -> None:
    """Run the campaign and print what was seen as one JSON line."""
    tally = Tally()
    for trial in trials(Path(root), int(random_trials), int(seed)):
        run(trial, tally)
    print(json.dumps(vars(tally)))


if __name__ == "__main__":
    main(*sys.argv[1:])
