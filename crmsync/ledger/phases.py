"""How far a run has come: its ended stages, and what a run that takes over goes on from."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import select, update

from crmsync.ledger import tables as t
from crmsync.ledger.audit import record_event
from crmsync.ledger.canon import canonical, instant
from crmsync.ledger.lease import this_process
from crmsync.ledger.ledger import Ledger
from crmsync.ledger.upsert import changed

STOPPED = (130, 143)
"""Exit codes of a run that a signal ended."""

FRESH = timedelta(hours=2)
"""How old a snapshot may be that an interrupted run goes on with; accounts are compared before each write anyway."""


@dataclass(frozen=True)
class Interrupted:
    """A run that was killed or stopped before its end. `checkpoints`: by stage, what was kept of it."""

    run_id: str
    kind: str
    as_of: str | None
    config_digest: str | None
    program_digest: str | None
    snapshot_digest: str | None
    plan_digest: str | None
    checkpoints: Mapping[str, Mapping[str, Any]]


def record_checkpoint(ledger: Ledger, run_id: str, phase: str, seconds: float, kept: Mapping[str, Any]) -> None:
    """Note that a stage has ended, and what a later process needs to go on after it."""
    text = canonical(dict(kept))
    row = {"run_id": run_id, "phase": phase, "seconds": seconds, "ended_at": instant(), "checkpoint": text}
    with ledger.writing() as connection:
        connection.execute(changed(t.run_phase, row))


def forget_checkpoints(ledger: Ledger, run_id: str) -> None:
    """Nobody goes on with a run that has ended; what it kept may hold values of records."""
    with ledger.writing() as connection:
        connection.execute(update(t.run_phase).where(t.run_phase.c.run_id == run_id).values(checkpoint=None))


def interrupted_run(ledger: Ledger, now: datetime | None = None) -> Interrupted | None:
    """The newest run, if it was killed or stopped within the last two hours; None otherwise.

    To be asked before a new run is started, and by who holds the lease: a run that still says `running` was killed.
    """
    r, p = t.run, t.run_phase
    with ledger.reading() as connection:
        row = connection.execute(select(r).order_by(r.c.sequence.desc()).limit(1)).one_or_none()
        if row is None or not _is_stopped(row.state, row.exit_code):
            return None
        phases = connection.execute(select(p).where(p.c.run_id == row.run_id, p.c.checkpoint.is_not(None))).all()
    if (now or datetime.now(UTC)) - datetime.fromisoformat(row.started_at) > FRESH:
        return None
    return Interrupted(
        row.run_id, row.kind, row.as_of, row.config_digest, row.program_digest, row.snapshot_digest, row.plan_digest,
        {phase.phase: json.loads(phase.checkpoint) for phase in phases},
    )  # fmt: skip


def _is_stopped(state: str, exit_code: int | None) -> bool:
    return state in ("running", "interrupted") or exit_code in STOPPED


def resume_run(ledger: Ledger, run_id: str, stages: list[str]) -> None:
    """Go on with an interrupted run under its own id, in this process. `stages`: those that need not be repeated."""
    fencing = lease.fencing if (lease := ledger.lease()) else None
    values: dict[str, Any] = {"state": "running", "owner": this_process(), "fencing": fencing}
    values |= {"ended_at": None, "exit_code": None}
    if ledger.slot is not None:
        values["slot_schedule"], values["slot_period"] = ledger.slot
    with ledger.writing() as connection:
        connection.execute(update(t.run).where(t.run.c.run_id == run_id).values(**values))
        later = (t.run_phase.c.run_id == run_id) & t.run_phase.c.phase.in_(stages)
        connection.execute(update(t.run_phase).where(later).values(attempts=t.run_phase.c.attempts + 1))
        record_event(connection, "run_resumed", {"run_id": run_id, "after": stages, "owner": this_process()})
