"""Writes by bulk jobs: the ledger knows the job before it can have an effect, and its outcome can always be read.

A job changes no record until it is started; its id and claims are committed before anything is uploaded.
"""

from __future__ import annotations

import hashlib
import random
import secrets
from collections.abc import Iterator, Sequence

import structlog

from crmsync.connectors.base import EndsJobs, JobState, NotThere, Written
from crmsync.errors import ConfigError, Retriable
from crmsync.failpoints import hit
from crmsync.ledger.canon import canonical
from crmsync.ledger.intents import (
    Intent,
    Job,
    Settled,
    claim_for_job,
    claimed_intents,
    record_job_opening,
    record_job_phase,
    record_outcomes,
)
from crmsync.stopping import held
from crmsync.writeback.sending import Sending, by_parent
from crmsync.writeback.settling import LATE, LOCKED, judged, look_at_fields, sendable, settle_by_reading, unreadable
from crmsync.writeback.singles import LOCK_WAIT_S, TRIES, again_if_locked, give_up, record, unchanged, write_of

log = structlog.get_logger()

JOB_ROWS = 10_000  # the platform's own batch; a failed batch then is a failed job, not part of one
JOB_BYTES = 40_000_000  # an upload may hold 100 MB
LOCKED_ROWS = 200  # rows that were locked go into jobs of so many, or of a tenth where that is more
LOOKS = 100  # faults of looking at a job that are sat out, one after the other
FIRST_WAIT_S, LONGEST_WAIT_S = 0.1, 10.0
JOB_PATIENCE_S = 4 * 3600.0

FINAL = frozenset({"done", "failed", "aborted", "gone"})


def send_as_jobs(sending: Sending, intents: Sequence[Intent]) -> None:
    """Write records by bulk jobs. Accounts that changed since the plan are conflicts and are not sent."""
    done = 0
    for part in job_parts(intents, JOB_ROWS):
        sending.pace.check_allowance()
        _send_part(sending, part)
        done += len(part)
        sending.progress("apply", done, len(intents))


def _send_part(sending: Sending, intents: Sequence[Intent]) -> None:
    """A job for these; rows that were not processed go into a new one, locked rows into smaller ones."""
    unsent = [Settled(intent, "pending") for intent in unchanged(sending, intents)]
    idle, smaller = 0, False
    while unsent and idle < TRIES:
        waiting, ended = sendable(sending, [each.intent for each in unsent])
        record(sending, ended)
        locked = bool(unsent) and all(each.code in LOCKED for each in unsent)
        if locked and smaller:
            break  # a locked row goes into one second, smaller job; then it waits for the next run
        smaller = smaller or locked
        if any(each.code in LOCKED for each in unsent):
            sending.pause(random.uniform(0, LOCK_WAIT_S))
            waiting = unchanged(sending, waiting)  # who held the lock may have changed the record
        rows = max(LOCKED_ROWS, len(intents) // 10) if locked else JOB_ROWS
        left = [
            each
            for part in job_parts(by_parent(waiting) if locked else waiting, rows)
            for each in _run_job(sending, part)
            if each.state == "pending"
        ]
        idle = idle + 1 if len(left) == len(waiting) else 0  # a job that stopped half-way has still moved things on
        unsent = left
    give_up(sending, unsent)


def _run_job(sending: Sending, intents: Sequence[Intent]) -> list[Settled]:
    """One job from its creation to its outcomes."""
    job = _claimed_job(sending, intents)
    try:
        sending.target.upload_job(job.crm_job_id, [write_of(sending, intent) for intent in intents])
    except Retriable as fault:
        # A job that was never started has no effect, whatever reached it: the rows go into a new one.
        sending.pace.saw_no_answer(str(fault))
        settled = [Settled(intent, "pending", "UPLOAD", str(fault)) for intent in intents]
        _clear_away(sending, job)
        record_outcomes(sending.ledger, settled, job_ref=job.job_ref, phase="abandoned")
        return settled
    sending.pace.saw_answer()
    hit("job_uploaded")
    record_job_phase(sending.ledger, job.job_ref, "uploaded")
    hit("upload_recorded")
    return start_and_finish(sending, job, intents)


@held()
def _claimed_job(sending: Sending, intents: Sequence[Intent]) -> Job:
    """A new job, known to the ledger. Before it is asked for, the ledger notes that it will be: an answer that nobody
    saw leaves an empty job behind, which the next start finds and ends."""
    crm_job_id, job_ref = None, ""
    for _ in range(TRIES):
        job_ref = secrets.token_hex(8)
        record_job_opening(sending.ledger, Job(job_ref, "", intents[0].run_id, "opening", intents[0].object))
        hit("job_opening")
        try:
            crm_job_id = sending.target.create_job()
            break
        except Retriable as fault:
            sending.pace.saw_no_answer(str(fault))
            last = fault
    if crm_job_id is None:
        raise Retriable(f"no bulk job could be opened in {TRIES} tries ({last}); run again")
    sending.pace.saw_answer()
    hit("job_created")
    job = Job(job_ref, crm_job_id, intents[0].run_id, "created", intents[0].object)
    payload = canonical([[intent.record_id, dict(sending.values(intent))] for intent in intents])
    digest = hashlib.sha256(payload.encode("utf-8", "surrogatepass")).hexdigest()
    claim_for_job(sending.ledger, job, intents, digest)
    hit("job_claimed")
    return job


def start_and_finish(sending: Sending, job: Job, intents: Sequence[Intent]) -> list[Settled]:
    """Start an uploaded job and read its outcomes."""
    # From here on the job may have an effect: a later start must look at it before it believes anything else.
    with held():
        record_job_phase(sending.ledger, job.job_ref, "starting")
        hit("start_recorded")
        _start(sending, job)
        hit("job_started")
        record_job_phase(sending.ledger, job.job_ref, "started")
        hit("started_recorded")
    return finish(sending, job, intents)


def _start(sending: Sending, job: Job) -> None:
    """Start the job; after a lost answer the job itself says whether it was started."""
    for _ in range(TRIES):
        try:
            sending.target.start_job(job.crm_job_id)
            return
        except Retriable:
            if look(sending, job).state != "open":
                return
    raise Retriable(f"bulk job {job.crm_job_id} could not be started in {TRIES} tries; run again")


def finish(sending: Sending, job: Job, intents: Sequence[Intent]) -> list[Settled]:
    """The outcomes of a job that was started, once it has ended."""
    end = _await_end(sending, job)
    hit("job_done")
    written = _results(sending, job) if end.state in ("done", "failed") else []
    hit("results_read")
    if end.state == "failed":
        look_at_fields(sending, intents)  # one field that has gone lets the whole job fail
    late = () if end.state in ("done", "failed") else LATE  # people ended it, perhaps in the middle of a row
    told = judged(sending, intents, written, end.message, trusted=_agree(job, end, intents, written), late=late)
    settled = again_if_locked(told)
    record_outcomes(sending.ledger, settled, job_ref=job.job_ref)
    hit("outcomes_recorded")
    sending.pace.ended(settled)
    return settled


def _agree(job: Job, end: JobState, intents: Sequence[Intent], written: Sequence[Written]) -> bool:
    """Whether the results name exactly the rows that were sent, each once, as many as the job says it processed."""
    sent, listed = {intent.record_id for intent in intents}, [each.record_id for each in written]
    named = sum(1 for each in written if each.code != "UNPROCESSED")
    if len(listed) == len(set(listed)) and sent == set(listed) and end.processed in (0, named):
        return True
    log.warning(
        "bulk_results_disagree",
        job=job.crm_job_id, sent=len(sent), listed=len(listed), processed=end.processed,
        not_ours=len(set(listed) - sent), repeated=len(listed) - len(set(listed)),
    )  # fmt: skip
    return False


def _await_end(sending: Sending, job: Job) -> JobState:
    waited, wait = 0.0, FIRST_WAIT_S
    while (found := look(sending, job)).state not in FINAL:
        if waited > JOB_PATIENCE_S:
            raise Retriable(f"bulk job {job.crm_job_id} is still {found.state}; run again, its outcome is then read")
        sending.pause(wait)
        waited, wait = waited + wait, min(wait * 1.5, LONGEST_WAIT_S)
    return found


def look(sending: Sending, job: Job) -> JobState:
    """State of the job. A fault of looking says nothing about the job, so it is only waited out."""
    wait = FIRST_WAIT_S
    for _ in range(LOOKS):
        try:
            return sending.target.job_state(job.crm_job_id)
        except Retriable as fault:
            last = fault
            sending.pause(wait)
            wait = min(wait * 1.5, LONGEST_WAIT_S)
    raise Retriable(f"bulk job {job.crm_job_id} cannot be looked at ({last}); run again, its outcome is then read")


def _results(sending: Sending, job: Job) -> list[Written]:
    for _ in range(TRIES):
        try:
            return list(sending.target.job_results(job.crm_job_id))
        except Retriable:
            continue
    return []  # not readable: every record is read back instead


# --- jobs of an earlier process


def settle_job(sending: Sending, job: Job) -> int:
    """Find out what became of a job whose outcomes are not recorded; returns how many intents it held."""
    intents = claimed_intents(sending.ledger, job.job_ref)
    try:
        _settle(sending.of(intents) if intents else sending, job, intents)
    except (NotThere, ConfigError) as error:
        if not intents or not intents[0].sink:
            raise
        record_outcomes(sending.ledger, unreadable(intents, error), job_ref=job.job_ref)
    return len(intents)


def _settle(sending: Sending, job: Job, intents: Sequence[Intent]) -> None:
    if job.state in ("created", "uploaded"):
        _clear_away(sending, job)  # it was never asked to start
        _abandon(sending, job, [Settled(intent, "pending") for intent in intents])
        return
    if look(sending, job).state != "open":
        finish(sending, job, intents)
        return
    # Asked to start, and yet open: the request was lost. It is asked again only while no account has changed since.
    read = settle_by_reading(sending, intents)
    if all(each.state == "pending" for each in read):
        start_and_finish(sending, job, intents)
    elif _ended(sending, job):
        _abandon(sending, job, read)
    else:
        finish(sending, job, intents)  # the request was only late


def _abandon(sending: Sending, job: Job, settled: Sequence[Settled]) -> None:
    record_outcomes(sending.ledger, settled, job_ref=job.job_ref, phase="abandoned")
    hit("settled")


def _clear_away(sending: Sending, job: Job) -> None:
    """End a job that was never asked to start. To be called before the ledger lets go of it: who dies in between ends
    it again, and no job is left open for ever."""
    if isinstance(sending.target, EndsJobs):
        try:
            sending.target.abort_job(job.crm_job_id)
        except Retriable as fault:
            log.warning("job_not_ended", job=job.crm_job_id, reason=str(fault))


def _ended(sending: Sending, job: Job) -> bool:
    """Whether a job that was asked to start will never run: it is ended now. False when it has run, or runs.

    Errors: Retriable when nobody can tell; its rows stay with it, because it may still start.
    """
    if not isinstance(sending.target, EndsJobs):
        return True
    try:
        return sending.target.abort_job(job.crm_job_id)
    except Retriable as fault:
        raise Retriable(
            f"bulk job {job.crm_job_id} could be neither started nor ended ({fault}); run again, it is looked at first"
        ) from fault


# --- parts


def job_parts(intents: Sequence[Intent], rows: int) -> Iterator[Sequence[Intent]]:
    """As many at a time as one job takes."""
    part: list[Intent] = []
    size = 0
    for intent in intents:
        weight = sum(len((value or "").encode()) + 3 for value in intent.wanted.values())
        if part and (len(part) == rows or size + weight > JOB_BYTES):
            yield part
            part, size = [], 0
        part.append(intent)
        size += weight
    if part:
        yield part
