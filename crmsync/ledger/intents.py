"""The outbox: what is to be written to which record, and what became of it. Rows only; `writeback/` decides.

States: pending → claimed (by a job or a single write) → applied | parked | conflict; superseded by a newer plan.
A claimed intent whose outcome nobody saw is settled by reading the record back.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from sqlalchemy import Connection, bindparam, func, insert, select, update

from crmsync.ledger import tables as t
from crmsync.ledger.canon import canonical, instant
from crmsync.ledger.ledger import Ledger
from crmsync.ledger.upsert import key_of, upsert

IntentState = Literal["pending", "claimed", "applied", "parked", "conflict", "superseded"]
UNFINISHED = ("pending", "parked", "conflict")
JobPhase = Literal["created", "uploaded", "starting", "started", "done", "abandoned"]
LIVE_JOBS = ("created", "uploaded", "starting", "started")
SINGLE = "single"
CHUNK = 500


@dataclass(frozen=True)
class Intent:
    """One record's write. `wanted` holds the stamps and the token too; `pre_image`: what the plan saw.

    `sink`: the part of the plan, empty for the account itself; then `object` and `key_field` say which record it is.
    """

    intent_id: str
    run_id: str
    digest: str
    record_id: str
    partner_id: str
    wanted: Mapping[str, str | None]
    pre_image: Mapping[str, str | None]
    token: str
    state: str = "pending"
    attempts: int = 0
    code: str | None = None
    message: str | None = None
    job_ref: str | None = None
    sink: str = ""
    object: str = ""
    key_field: str | None = None


@dataclass(frozen=True)
class Settled:
    """What became of one intent."""

    intent: Intent
    state: IntentState
    code: str | None = None
    message: str | None = None


@dataclass(frozen=True)
class Job:
    """One bulk job as the ledger knows it."""

    job_ref: str
    crm_job_id: str
    run_id: str
    state: str


def record_intents(ledger: Ledger, digest: str, run_id: str, intents: Sequence[Intent]) -> None:
    """Put the intents of one plan into the outbox, once; unfinished ones of other plans are superseded.

    A newer plan has looked at every account: what it does not ask for any more is not wanted any more.
    """
    others = t.intent.c.state.in_(UNFINISHED) & ((t.intent.c.digest != digest) | (t.intent.c.run_id != run_id))
    now = instant()
    rows = [_row(intent, position, now) for position, intent in enumerate(intents)]
    with ledger.writing() as connection:
        connection.execute(update(t.intent).where(others).values(state="superseded", changed_at=now))
        if rows:
            connection.execute(upsert(t.intent).on_conflict_do_nothing(), rows)


def _row(intent: Intent, position: int, now: str) -> dict[str, object]:
    return {
        **vars(intent),
        "sequence": position,
        "wanted": canonical(dict(intent.wanted)),
        "pre_image": canonical(dict(intent.pre_image)),
        "created_at": now,
        "changed_at": now,
    }


def intents_of(ledger: Ledger, digest: str, run_id: str, state: IntentState | None = None) -> list[Intent]:
    """The intents of one plan in plan order, all or those of one state."""
    query = select(t.intent).where(t.intent.c.digest == digest, t.intent.c.run_id == run_id)
    if state is not None:
        query = query.where(t.intent.c.state == state)
    return _read(ledger, query.order_by(t.intent.c.sequence))


def claimed_intents(ledger: Ledger, job_ref: str | None) -> list[Intent]:
    """Claimed intents of one job, or those of single writes (`job_ref` None)."""
    of_job = t.intent.c.job_ref.is_(None) if job_ref is None else t.intent.c.job_ref == job_ref
    query = select(t.intent).where(t.intent.c.state == "claimed", of_job)
    return _read(ledger, query.order_by(t.intent.c.sequence))


def open_intents(ledger: Ledger, *states: IntentState) -> list[Intent]:
    """Intents of any plan in the given states, oldest first."""
    query = select(t.intent).where(t.intent.c.state.in_(states))
    return _read(ledger, query.order_by(t.intent.c.created_at, t.intent.c.sequence))


def _read(ledger: Ledger, query: object) -> list[Intent]:
    with ledger.reading() as connection:
        rows = connection.execute(query).all()  # type: ignore[call-overload]
    return [
        Intent(
            row.intent_id, row.run_id, row.digest, row.record_id, row.partner_id, json.loads(row.wanted),
            json.loads(row.pre_image), row.token, row.state, row.attempts, row.code, row.message, row.job_ref,
            row.sink, row.object, row.key_field,
        )
        for row in rows
    ]  # fmt: skip


def count_states(ledger: Ledger) -> dict[str, int]:
    """How many intents are in which state."""
    with ledger.reading() as connection:
        rows = connection.execute(select(t.intent.c.state, func.count()).group_by(t.intent.c.state)).all()
    return {row[0]: row[1] for row in rows}


# --- claims


def claim_for_job(ledger: Ledger, job: Job, intents: Sequence[Intent], payload_sha256: str) -> None:
    """Commit the id of a job together with its claim, before anything is uploaded to it."""
    now = instant()
    row = {**vars(job), "rows": len(intents), "payload_sha256": payload_sha256, "created_at": now, "changed_at": now}
    with ledger.writing() as connection:
        connection.execute(insert(t.crm_job).values(row))
        _claim(connection, intents, job.job_ref, now)


def claim_single(ledger: Ledger, intents: Sequence[Intent]) -> None:
    """Commit that these intents are about to be written one by one."""
    with ledger.writing() as connection:
        _claim(connection, intents, None, instant())


def _claim(connection: Connection, intents: Iterable[Intent], job_ref: str | None, now: str) -> None:
    statement = (
        update(t.intent)
        .where(t.intent.c.intent_id == bindparam("claimed_id"))
        .values(state="claimed", job_ref=job_ref, attempts=t.intent.c.attempts + 1, changed_at=now)
    )
    connection.execute(statement, [{"claimed_id": intent.intent_id} for intent in intents])


def record_job_phase(ledger: Ledger, job_ref: str, phase: JobPhase) -> None:
    """Note how far a job has come."""
    with ledger.writing() as connection:
        _set_job(connection, job_ref, phase)


def _set_job(connection: Connection, job_ref: str, phase: JobPhase, **figures: int) -> None:
    values = {"state": phase, "changed_at": instant(), **figures}
    connection.execute(update(t.crm_job).where(t.crm_job.c.job_ref == job_ref).values(**values))


def live_jobs(ledger: Ledger) -> list[Job]:
    """Jobs whose outcomes are not recorded yet, oldest first."""
    query = select(t.crm_job).where(t.crm_job.c.state.in_(LIVE_JOBS)).order_by(t.crm_job.c.created_at)
    with ledger.reading() as connection:
        rows = connection.execute(query).all()
    return [Job(row.job_ref, row.crm_job_id, row.run_id, row.state) for row in rows]


# --- outcomes


def record_outcomes(
    ledger: Ledger, settled: Sequence[Settled], *, job_ref: str | None = None, phase: JobPhase = "done"
) -> None:
    """Record what became of these intents, and of their job, in one transaction."""
    now = instant()
    with ledger.writing() as connection:
        if settled:
            _set_intents(connection, settled, now)
        if final := [each for each in settled if each.state != "pending"]:
            connection.execute(insert(t.outcome), [_outcome(each, now) for each in final])
        if written := [row for each in final if _of_account(each) for row in _fields(each.intent, now)]:
            kept = upsert(t.field_state)
            new = {name: kept.excluded[name] for name in ("value", "token", "written_at")}
            connection.execute(kept.on_conflict_do_update(index_elements=key_of(t.field_state), set_=new), written)
        if job_ref is not None:
            applied = sum(1 for each in settled if each.state == "applied")
            _set_job(connection, job_ref, phase, applied=applied, failed=len(settled) - applied)


def _set_intents(connection: Connection, settled: Sequence[Settled], now: str) -> None:
    statement = (
        update(t.intent)
        .where(t.intent.c.intent_id == bindparam("settled_id"))
        .values(state=bindparam("to"), code=bindparam("with_code"), message=bindparam("said"), changed_at=now)
    )
    rows = [
        {"settled_id": each.intent.intent_id, "to": each.state, "with_code": each.code, "said": each.message}
        for each in settled
    ]
    connection.execute(statement, rows)


def _outcome(settled: Settled, now: str) -> dict[str, object]:
    intent = settled.intent
    return {
        "intent_id": intent.intent_id, "record_id": intent.record_id, "state": settled.state, "code": settled.code,
        "message": settled.message, "at": now,
    }  # fmt: skip


def _of_account(settled: Settled) -> bool:
    return settled.state == "applied" and not settled.intent.sink


def _fields(intent: Intent, now: str) -> list[dict[str, object]]:
    return [
        {"record_id": intent.record_id, "field": name, "value": value, "token": intent.token, "written_at": now}
        for name, value in intent.wanted.items()
    ]


def last_written(ledger: Ledger, record_id: str) -> dict[str, str | None]:
    """The values this worker wrote last onto one record, by CRM field."""
    query = select(t.field_state.c.field, t.field_state.c.value).where(t.field_state.c.record_id == record_id)
    with ledger.reading() as connection:
        return {row.field: row.value for row in connection.execute(query)}
