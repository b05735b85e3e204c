"""What `crmsync status` tells: the last runs, what is open, which plan waits, how much of the allowance was used."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import date
from pathlib import Path
from typing import Any

from sqlalchemy import Row, func, select

from crmsync.ledger import tables as t
from crmsync.ledger.accepted import newest_standings
from crmsync.ledger.approvals import WAITING, Approval, GuardRow, PlanRow, approval_of, guards_of, newest_plan
from crmsync.ledger.conflicts import ConflictRow, open_conflicts
from crmsync.ledger.deployments import Deployment, newest_deployments
from crmsync.ledger.intents import Intent, count_states, open_intents
from crmsync.ledger.ledger import Ledger, store_of

SHOWN_RUNS = 10
NOTICES_ENDED = ("sent", "bundled", "suppressed")


@dataclass(frozen=True)
class RunRow:
    """One run. `seconds`: per stage; `stats`: whatever the pipeline noted at its end; instants are ISO text in UTC."""

    run_id: str
    kind: str
    state: str
    as_of: str | None
    started_at: str
    ended_at: str | None
    exit_code: int | None
    plan_digest: str | None
    stats: Mapping[str, Any]
    seconds: Mapping[str, float]
    api_calls: Mapping[str, int]


@dataclass(frozen=True)
class Status:
    """The state of one ledger. `plan`: the newest plan while it waits to be applied; runs are newest first."""

    org: str | None
    runs: tuple[RunRow, ...]
    last_done: RunRow | None
    accepted_as_of: date | None
    plan: PlanRow | None
    guards: tuple[GuardRow, ...]
    approval: Approval | None
    intents: Mapping[str, int]
    open_records: tuple[Intent, ...]  # parked or in conflict, with the CRM's own words
    deployments: tuple[Deployment, ...] = ()
    hand_edits: tuple[ConflictRow, ...] = ()
    notices: Mapping[str, int] = field(default_factory=dict)  # by state, those that have not ended


def has_ledger(state_dir: Path, url: str | None = None) -> bool:
    """Whether a run ever took place with this state folder, or with the ledger at `url`."""
    if url is None and not state_dir.is_dir():
        return False
    store = store_of(state_dir, url)
    try:
        return store.exists()
    finally:
        store.close()


def status(ledger: Ledger) -> Status:
    """The state of this ledger, read without holding up a run."""
    newest = newest_standings(ledger)
    plan = newest_plan(ledger)
    waiting = plan if plan is not None and plan.state in WAITING else None
    runs = recent_runs(ledger)
    if not ledger.is_running():  # nobody runs: what still says so was killed
        runs = tuple(replace(run, state="interrupted") if run.state == "running" else run for run in runs)
    return Status(
        org=ledger.org(),
        runs=runs,
        last_done=_last_done(ledger),
        accepted_as_of=newest.as_of if newest else None,
        plan=waiting,
        guards=guards_of(ledger, waiting.digest, waiting.run_id) if waiting else (),
        approval=approval_of(ledger, waiting.digest) if waiting else None,
        intents=count_states(ledger),
        open_records=tuple(open_intents(ledger, "parked", "conflict")),
        deployments=newest_deployments(ledger),
        hand_edits=tuple(open_conflicts(ledger)),
        notices=_open_notices(ledger),
    )


def _open_notices(ledger: Ledger) -> dict[str, int]:
    state = t.notice.c.state
    query = select(state, func.count()).where(state.not_in(NOTICES_ENDED)).group_by(state).order_by(state)
    with ledger.reading() as connection:
        return {row[0]: row[1] for row in connection.execute(query)}


def recent_runs(ledger: Ledger, count: int = SHOWN_RUNS) -> tuple[RunRow, ...]:
    """The last runs, newest first."""
    return _runs(ledger, select(t.run).order_by(t.run.c.sequence.desc()).limit(count))


def _last_done(ledger: Ledger) -> RunRow | None:
    done = select(t.run).where(t.run.c.state == "done").order_by(t.run.c.sequence.desc()).limit(1)
    return next(iter(_runs(ledger, done)), None)


def _runs(ledger: Ledger, query: Any) -> tuple[RunRow, ...]:
    with ledger.reading() as connection:
        rows = connection.execute(query).all()
        ids = [row.run_id for row in rows]
        phases = connection.execute(select(t.run_phase).where(t.run_phase.c.run_id.in_(ids))).all()
        usage = connection.execute(select(t.api_usage).where(t.api_usage.c.run_id.in_(ids))).all()
    return tuple(_run_row(row, phases, usage) for row in rows)


def _run_row(row: Row[Any], phases: Any, usage: Any) -> RunRow:
    seconds = {phase.phase: phase.seconds for phase in phases if phase.run_id == row.run_id}
    calls = {each.api: each.calls for each in usage if each.run_id == row.run_id}
    return RunRow(
        row.run_id, row.kind, row.state, row.as_of, row.started_at, row.ended_at, row.exit_code, row.plan_digest,
        json.loads(row.stats), seconds, calls,
    )  # fmt: skip
