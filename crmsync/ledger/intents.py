"""The outbox: what is to be written to which record, and what became of it. Rows only; `writeback/` decides.

States: pending → claimed (by a job or a single write) → applied | parked | conflict; superseded by a newer plan.
A claimed intent whose outcome nobody saw is settled by reading the record back.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from sqlalchemy import Connection, Row, bindparam, func, insert, select, update

from crmsync.ledger import tables as t
from crmsync.ledger.audit import record_event
from crmsync.ledger.canon import canonical, instant
from crmsync.ledger.ledger import Ledger
from crmsync.ledger.upsert import key_of, upsert

IntentState = Literal["pending", "claimed", "applied", "parked", "conflict", "superseded"]
UNFINISHED = ("pending", "parked", "conflict")
JobPhase = Literal["opening", "created", "uploaded", "starting", "started", "done", "abandoned"]
LIVE_JOBS = ("created", "uploaded", "starting", "started")
MADE_ONCE = frozenset({"history", "risk_task"})
"""Records beside the accounts that are never written again, so that nobody asks what they were made with."""
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
    first_failed_at: str | None = None  # ISO text in UTC, kept from plan to plan while the record is refused


@dataclass(frozen=True)
class Settled:
    """What became of one intent."""

    intent: Intent
    state: IntentState
    code: str | None = None
    message: str | None = None
    left_out: frozenset[str] = frozenset()  # fields that were not written, of a record that was


@dataclass(frozen=True)
class Job:
    """One bulk job as the ledger knows it. `crm_job_id`: empty while it is `opening`; `object`: empty for accounts."""

    job_ref: str
    crm_job_id: str
    run_id: str
    state: str
    object: str = ""
    created_at: str = ""


def record_intents(ledger: Ledger, digest: str, run_id: str, intents: Sequence[Intent]) -> None:
    """Put the intents of one plan into the outbox, once; unfinished ones of other plans are superseded.

    A newer plan has looked at every account: what it does not ask for any more is not wanted any more. A record that
    was refused before, and is tried again, keeps since when and how often.
    """
    others = t.intent.c.state.in_(UNFINISHED) & ((t.intent.c.digest != digest) | (t.intent.c.run_id != run_id))
    now = instant()
    refused = select(t.intent).where(others, t.intent.c.state == "parked")
    with ledger.writing() as connection:
        before = {(row.sink, row.object, row.record_id): row for row in connection.execute(refused)}
        rows = [_row(_as_before(intent, before), position, now) for position, intent in enumerate(intents)]
        connection.execute(update(t.intent).where(others).values(state="superseded", changed_at=now))
        if rows:
            connection.execute(upsert(t.intent).on_conflict_do_nothing(), rows)


def _as_before(intent: Intent, before: Mapping[tuple[str, str, str], Row[Any]]) -> Intent:
    row = before.get((intent.sink, intent.object, intent.record_id))
    if row is None:
        return intent
    return replace(intent, attempts=row.attempts, first_failed_at=row.first_failed_at)


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
            row.sink, row.object, row.key_field, row.first_failed_at,
        )
        for row in rows
    ]  # fmt: skip


def count_states(ledger: Ledger) -> dict[str, int]:
    """How many intents are in which state."""
    with ledger.reading() as connection:
        rows = connection.execute(select(t.intent.c.state, func.count()).group_by(t.intent.c.state)).all()
    return {row[0]: row[1] for row in rows}


# --- claims


def record_job_opening(ledger: Ledger, job: Job) -> None:
    """Commit that a job is about to be asked for."""
    now = instant()
    row = {**vars(job), "rows": 0, "payload_sha256": "", "created_at": now, "changed_at": now}
    with ledger.writing() as connection:
        connection.execute(insert(t.crm_job).values(row))


def claim_for_job(ledger: Ledger, job: Job, intents: Sequence[Intent], payload_sha256: str) -> None:
    """Commit the id of a job that was opened together with its claim, before anything is uploaded to it."""
    now = instant()
    known = {"crm_job_id": job.crm_job_id, "state": job.state, "rows": len(intents), "payload_sha256": payload_sha256}
    with ledger.writing() as connection:
        of_job = t.crm_job.c.job_ref == job.job_ref
        connection.execute(update(t.crm_job).where(of_job).values(**known, changed_at=now))
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
    return _jobs(ledger, *LIVE_JOBS)


def opening_jobs(ledger: Ledger) -> list[Job]:
    """Jobs that were asked for, and of which no answer was recorded."""
    return _jobs(ledger, "opening")


def _jobs(ledger: Ledger, *states: str) -> list[Job]:
    query = select(t.crm_job).where(t.crm_job.c.state.in_(states)).order_by(t.crm_job.c.created_at)
    with ledger.reading() as connection:
        rows = connection.execute(query).all()
    return [Job(row.job_ref, row.crm_job_id, row.run_id, row.state, row.object, row.created_at) for row in rows]


def known_jobs(ledger: Ledger) -> frozenset[str]:
    """The CRM's ids of all jobs that the ledger knows."""
    with ledger.reading() as connection:
        return frozenset(connection.execute(select(t.crm_job.c.crm_job_id)).scalars())


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
            _audit(connection, final)
        if written := [row for each in final if _is_kept(each) for row in _fields(each, now)]:
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
        .values(
            state=bindparam("to"), code=bindparam("with_code"), message=bindparam("said"), changed_at=now,
            first_failed_at=bindparam("since"),
        )
    )  # fmt: skip
    rows = [
        {
            "settled_id": each.intent.intent_id, "to": each.state, "with_code": each.code, "said": each.message,
            "since": None if each.state == "applied" else each.intent.first_failed_at or _now_if_parked(each, now),
        }
        for each in settled
    ]  # fmt: skip
    connection.execute(statement, rows)


def _now_if_parked(settled: Settled, now: str) -> str | None:
    return now if settled.state == "parked" else None


def _audit(connection: Connection, settled: Sequence[Settled]) -> None:
    """One event for all that were settled together, by their digest, and one for each record that was refused."""
    first = settled[0].intent
    digest = outcomes_digest((each.intent.record_id, each.state, each.intent.token) for each in settled)
    states = Counter[str](each.state for each in settled)
    facts = {"run": first.run_id, "plan": first.digest, "object": first.object}
    record_event(connection, "records_written", {**facts, **states, "sha256": digest})
    for each in settled:
        if each.state == "parked":
            parked = {"run": each.intent.run_id, "object": each.intent.object, "record": each.intent.record_id}
            record_event(connection, "record_parked", {**parked, "code": each.code})


def outcomes_digest(outcomes: Iterable[Sequence[str | None]]) -> str:
    """What the audit keeps of the writes that were settled together: record, state and token of each, in order."""
    text = canonical([list(one) for one in outcomes])
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def _outcome(settled: Settled, now: str) -> dict[str, object]:
    intent = settled.intent
    return {
        "intent_id": intent.intent_id, "record_id": intent.record_id, "state": settled.state, "code": settled.code,
        "message": settled.message, "at": now,
    }  # fmt: skip


def _is_kept(settled: Settled) -> bool:
    """Whether what was written is looked after from now on."""
    return (settled.state == "applied" or bool(settled.left_out)) and settled.intent.sink not in MADE_ONCE


def _fields(settled: Settled, now: str) -> list[dict[str, object]]:
    intent = settled.intent
    return [
        {"record_id": intent.record_id, "field": name, "value": value, "token": intent.token, "written_at": now}
        for name, value in intent.wanted.items()
        if name not in settled.left_out
    ]


def last_written(ledger: Ledger, record_id: str) -> dict[str, str | None]:
    """The values this worker wrote last onto one record, by CRM field."""
    query = select(t.field_state.c.field, t.field_state.c.value).where(t.field_state.c.record_id == record_id)
    with ledger.reading() as connection:
        return {row.field: row.value for row in connection.execute(query)}
