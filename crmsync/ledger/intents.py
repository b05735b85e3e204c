"""The outbox: what is to be written to which record, and what became of it. Rows only; `writeback/` decides.

States: pending → claimed (by a job or a single write) → applied | parked | conflict; superseded by a newer plan.
A claimed intent whose outcome nobody saw is settled by reading the record back.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, Literal

from sqlalchemy import ColumnElement, Connection, Row, bindparam, func, insert, literal_column, select, update

from crmsync.ledger import tables as t
from crmsync.ledger.audit import record_event
from crmsync.ledger.canon import canonical, instant
from crmsync.ledger.ledger import Ledger
from crmsync.ledger.many_rows import Cell, execute_many
from crmsync.ledger.upsert import key_of, upsert

IntentState = Literal["pending", "claimed", "applied", "parked", "conflict", "superseded"]
UNFINISHED = ("pending", "parked", "conflict")
JobPhase = Literal["opening", "created", "uploaded", "starting", "started", "done", "abandoned"]
LIVE_JOBS = ("created", "uploaded", "starting", "started")
MADE_ONCE = frozenset({"history", "risk_task"})
"""Records beside the accounts that are never written again, so that nobody asks what they were made with."""
PAGE = 5_000
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


def record_intents(ledger: Ledger, digest: str, run_id: str, intents: Iterable[Intent]) -> None:
    """Put the intents of one plan into the outbox, once; unfinished ones of other plans are superseded.

    A newer plan has looked at every account: what it does not ask for any more is not wanted any more. A record that
    was refused before, and is tried again, keeps since when and how often.
    """
    others = t.intent.c.state.in_(UNFINISHED) & ((t.intent.c.digest != digest) | (t.intent.c.run_id != run_id))
    now = instant()
    refused = select(t.intent).where(others, t.intent.c.state == "parked")
    with ledger.writing() as connection:
        before = {(row.sink, row.object, row.record_id): row for row in connection.execute(refused)}
        connection.execute(update(t.intent).where(others).values(state="superseded", changed_at=now))
        rows = (_row(_as_before(intent, before), position, now) for position, intent in enumerate(intents))
        execute_many(connection, NEW_INTENT, ROW, rows)


def _as_before(intent: Intent, before: Mapping[tuple[str, str, str], Row[Any]]) -> Intent:
    row = before.get((intent.sink, intent.object, intent.record_id))
    if row is None:
        return intent
    return replace(intent, attempts=row.attempts, first_failed_at=row.first_failed_at)


KEPT = tuple(one.name for one in fields(Intent))
WANTED_AT = KEPT.index("wanted")
ROW = (*KEPT, "sequence", "created_at", "changed_at")
NEW_INTENT = upsert(t.intent).on_conflict_do_nothing()


def _row(intent: Intent, position: int, now: str) -> tuple[Cell, ...]:
    wanted, pre_image = canonical(dict(intent.wanted)), canonical(dict(intent.pre_image))
    return (
        intent.intent_id, intent.run_id, intent.digest, intent.record_id, intent.partner_id, wanted, pre_image,
        intent.token, intent.state, intent.attempts, intent.code, intent.message, intent.job_ref, intent.sink,
        intent.object, intent.key_field, intent.first_failed_at, position, now, now,
    )  # fmt: skip


def intents_of(ledger: Ledger, digest: str, run_id: str, state: IntentState | None = None) -> list[Intent]:
    """The intents of one plan in plan order, all or those of one state."""
    chosen = _of_plan(digest, run_id) if state is None else _of_plan(digest, run_id) & (t.intent.c.state == state)
    return _read(ledger, chosen, t.intent.c.sequence)


def intents_in_pages(ledger: Ledger, digest: str, run_id: str, state: IntentState) -> Iterator[list[Intent]]:
    """Those of one plan and state, some thousand at a time in plan order; what is taken may change state meanwhile."""
    chosen, last = _of_plan(digest, run_id) & (t.intent.c.state == state), -1
    while True:
        of_page = select(t.intent.c.sequence).where(chosen, t.intent.c.sequence > last)
        with ledger.reading() as connection:
            numbers = connection.execute(of_page.order_by(t.intent.c.sequence).limit(PAGE)).scalars().all()
        if not numbers:
            return
        yield _read(ledger, chosen & t.intent.c.sequence.between(last + 1, numbers[-1]), t.intent.c.sequence)
        last = numbers[-1]


def problems_of(ledger: Ledger, digest: str, run_id: str) -> list[Intent]:
    """The intents of one plan that were refused or are in conflict, in plan order."""
    return _read(ledger, _of_plan(digest, run_id) & t.intent.c.state.in_(("parked", "conflict")), t.intent.c.sequence)


def chosen_intents(ledger: Ledger, ids: Collection[str]) -> list[Intent]:
    """These intents, by their ids."""
    listed = sorted(ids)
    some = [listed[start : start + CHUNK] for start in range(0, len(listed), CHUNK)]
    return [one for part in some for one in _read(ledger, t.intent.c.intent_id.in_(part), t.intent.c.sequence)]


def begun_accounts(ledger: Ledger, digest: str, run_id: str, most: int) -> list[str]:
    """Ids of the intents of accounts of one plan that are not pending any more, as far as `most` of them."""
    begun = _of_plan(digest, run_id) & (t.intent.c.sink == "") & (t.intent.c.state != "pending")
    with ledger.reading() as connection:
        return list(connection.execute(select(t.intent.c.intent_id).where(begun).limit(most)).scalars())


def unwritten_partners(ledger: Ledger, digest: str, run_id: str) -> frozenset[str]:
    """Partners whose account is not written by this plan yet, though it is to be."""
    waiting = _of_plan(digest, run_id) & (t.intent.c.sink == "") & (t.intent.c.state != "applied")
    with ledger.reading() as connection:
        return frozenset(connection.execute(select(t.intent.c.partner_id).where(waiting)).scalars())


def count_of_plan(ledger: Ledger, digest: str, run_id: str) -> dict[str, Counter[str]]:
    """How many intents of one plan are in which state, by sink in plan order."""
    first = func.min(t.intent.c.sequence)
    query = select(t.intent.c.sink, t.intent.c.state, func.count()).where(_of_plan(digest, run_id))
    found: dict[str, Counter[str]] = {}
    with ledger.reading() as connection:
        for sink, state, count in connection.execute(query.group_by(t.intent.c.sink, t.intent.c.state).order_by(first)):
            found.setdefault(sink, Counter())[state] = count
    return found


def _of_plan(digest: str, run_id: str) -> ColumnElement[bool]:
    return (t.intent.c.digest == digest) & (t.intent.c.run_id == run_id)


def claimed_intents(ledger: Ledger, job_ref: str | None) -> list[Intent]:
    """Claimed intents of one job, or those of single writes (`job_ref` None)."""
    of_job = t.intent.c.job_ref.is_(None) if job_ref is None else t.intent.c.job_ref == job_ref
    return _read(ledger, (t.intent.c.state == "claimed") & of_job, t.intent.c.sequence)


def open_intents(ledger: Ledger, *states: IntentState) -> list[Intent]:
    """Intents of any plan in the given states, oldest first."""
    return _read(ledger, t.intent.c.state.in_(states), t.intent.c.created_at, t.intent.c.sequence)


def _read(ledger: Ledger, chosen: ColumnElement[bool], *order: ColumnElement[Any]) -> list[Intent]:
    query = select(*(t.intent.c[name] for name in KEPT)).where(chosen).order_by(*order)
    with ledger.reading() as connection:
        return [one for rows in connection.execute(query).partitions(PAGE) for one in _intents(rows)]


def _intents(rows: Sequence[Row[Any]]) -> Iterator[Intent]:
    wanted, pre_images = (_parsed([row[at] for row in rows]) for at in (WANTED_AT, WANTED_AT + 1))
    for row, wants, held in zip(rows, wanted, pre_images, strict=True):
        cells: list[Any] = list(row)
        cells[WANTED_AT : WANTED_AT + 2] = wants, held
        yield Intent(*cells)


def _parsed(texts: Sequence[str]) -> list[dict[str, str | None]]:
    """JSON texts parsed as one: that is faster, and the field names are in memory once."""
    parsed: list[dict[str, str | None]] = json.loads(f"[{','.join(texts)}]")
    return parsed


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


CLAIM = (
    update(t.intent)
    .where(t.intent.c.intent_id == bindparam("claimed_id"))
    .values(
        state=bindparam("to"), job_ref=bindparam("by"), changed_at=bindparam("at"),
        attempts=literal_column("attempts + 1"),
    )
)  # fmt: skip


def _claim(connection: Connection, intents: Iterable[Intent], job_ref: str | None, now: str) -> None:
    rows = (("claimed", job_ref, now, intent.intent_id) for intent in intents)
    execute_many(connection, CLAIM, ("to", "by", "at", "claimed_id"), rows)


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
            execute_many(connection, NEW_OUTCOME, OUTCOME, (_outcome(each, now) for each in final))
            _audit(connection, final)
            _keep_fields(connection, final, now)
        if job_ref is not None:
            applied = sum(1 for each in settled if each.state == "applied")
            _set_job(connection, job_ref, phase, applied=applied, failed=len(settled) - applied)


SETTLE = (
    update(t.intent)
    .where(t.intent.c.intent_id == bindparam("settled_id"))
    .values(
        state=bindparam("to"), code=bindparam("with_code"), message=bindparam("said"), changed_at=bindparam("at"),
        first_failed_at=bindparam("since"),
    )
)  # fmt: skip


def _set_intents(connection: Connection, settled: Sequence[Settled], now: str) -> None:
    rows = ((each.state, each.code, each.message, now, _since(each, now), each.intent.intent_id) for each in settled)
    execute_many(connection, SETTLE, ("to", "with_code", "said", "at", "since", "settled_id"), rows)


def _since(settled: Settled, now: str) -> str | None:
    """Since when the record is refused."""
    if settled.state == "applied":
        return None
    return settled.intent.first_failed_at or (now if settled.state == "parked" else None)


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


OUTCOME = ("intent_id", "record_id", "state", "code", "message", "at")
NEW_OUTCOME = insert(t.outcome).inline()  # nobody asks for the numbers that the rows are given


def _outcome(settled: Settled, now: str) -> tuple[Cell, ...]:
    intent = settled.intent
    return (intent.intent_id, intent.record_id, settled.state, settled.code, settled.message, now)


FIELD = ("record_id", "field", "value", "token", "written_at")
_FIELD = upsert(t.field_state)
KEEP_FIELD = _FIELD.on_conflict_do_update(
    index_elements=key_of(t.field_state), set_={name: _FIELD.excluded[name] for name in FIELD[2:]}
)


def _keep_fields(connection: Connection, settled: Sequence[Settled], now: str) -> None:
    rows = (row for each in settled if _is_kept(each) for row in _fields(each, now))
    execute_many(connection, KEEP_FIELD, FIELD, rows)


def _is_kept(settled: Settled) -> bool:
    """Whether what was written is looked after from now on."""
    return (settled.state == "applied" or bool(settled.left_out)) and settled.intent.sink not in MADE_ONCE


def _fields(settled: Settled, now: str) -> Iterator[tuple[Cell, ...]]:
    intent = settled.intent
    record_id, token = intent.record_id, intent.token
    for name, value in intent.wanted.items():
        if name not in settled.left_out:
            yield (record_id, name, value, token, now)


def last_written(ledger: Ledger, record_id: str) -> dict[str, str | None]:
    """The values this worker wrote last onto one record, by CRM field."""
    query = select(t.field_state.c.field, t.field_state.c.value).where(t.field_state.c.record_id == record_id)
    with ledger.reading() as connection:
        return {row.field: row.value for row in connection.execute(query)}
