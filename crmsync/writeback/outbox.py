"""The outbox protocol: how an intent gets to its record exactly once, however often the process dies.

Nothing reaches the CRM before the ledger knows of it. A bulk job changes no record until it is started, and its id and
claims are committed before anything is uploaded; an outcome nobody saw is settled by reading values and token back.
"""

from __future__ import annotations

import hashlib
import secrets
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby

from crmsync.connectors.base import (
    Into,
    JobState,
    ManyObjects,
    Progress,
    Target,
    Write,
    WritesSeveral,
    Written,
    no_progress,
)
from crmsync.errors import ConfigError, Retriable
from crmsync.failpoints import hit
from crmsync.ledger.canon import canonical
from crmsync.ledger.intents import (
    Intent,
    IntentState,
    Job,
    Settled,
    claim_for_job,
    claim_single,
    claimed_intents,
    live_jobs,
    record_job_phase,
    record_outcomes,
)
from crmsync.ledger.ledger import Ledger
from crmsync.writeback.fields import same

JOB_ROWS = 10_000  # the platform's own batch; a failed batch then is a failed job, not part of one
JOB_BYTES = 40_000_000  # an upload may hold 100 MB
FEW = 20  # single writes between two commits; a commit costs as long as a fast call
TRIES = 3
LOOKS = 100  # faults of looking at a job that are sat out, one after the other
FIRST_WAIT_S, LONGEST_WAIT_S = 0.1, 10.0
JOB_PATIENCE_S = 4 * 3600.0

FINAL = frozenset({"done", "failed", "aborted", "gone"})


@dataclass(frozen=True)
class Sending:
    """Where intents are sent and recorded. `stamps`: fields that say when and by which run, not what; `keyed`: records
    are named by a key of ours, and a missing one is made."""

    ledger: Ledger
    target: Target
    stamps: frozenset[str] = frozenset()
    progress: Progress = no_progress
    pause: Callable[[float], None] = time.sleep
    keyed: bool = False

    def of(self, intents: Sequence[Intent]) -> Sending:
        """The same for the object of these intents, which is one and the same.

        Errors: ConfigError when the target writes accounts only.
        """
        first = intents[0]
        if not first.sink:
            return self
        if not isinstance(self.target, ManyObjects):
            raise ConfigError(f"{first.object}: only accounts are written here; take `{first.sink}:` out of `writes:`")
        return replace(
            self, target=self.target.into(Into(first.object, first.key_field)), keyed=first.key_field is not None
        )


def by_object(intents: Iterable[Intent]) -> Iterator[list[Intent]]:
    """The intents of each object, in the order of the sinks as they come."""
    for _, some in groupby(intents, key=lambda one: (one.sink, one.object, one.key_field)):
        yield list(some)


def send(sending: Sending, intents: Sequence[Intent]) -> None:
    """Write the records of one object: many by jobs, few by calls."""
    bulk_from = sending.target.bulk_from
    if bulk_from is not None and len(intents) >= bulk_from:
        send_as_jobs(sending, intents)
    elif isinstance(sending.target, WritesSeveral):
        send_together(sending, sending.target.several, intents)
    else:
        send_singly(sending, intents)


# --- one by one


def send_singly(sending: Sending, intents: Sequence[Intent]) -> None:
    """Write each record on condition that it still holds its pre-image, with one commit before and after each few."""
    done = 0
    for few in _parts(intents, FEW):
        _send_few(sending, few)
        done += len(few)
        sending.progress("apply", done, len(intents))


def _send_few(sending: Sending, few: Sequence[Intent]) -> None:
    waiting, unsent = few, list[Settled]()
    for attempt in range(TRIES):
        if not waiting:
            return
        claim_single(sending.ledger, waiting)
        hit("one_claimed")
        settled = _judged(sending, waiting, _write_several(sending, waiting))
        settled = _again_if_locked(settled) if attempt == 0 else settled
        record_outcomes(sending.ledger, settled)
        hit("one_recorded")
        unsent = [each for each in settled if each.state == "pending"]
        waiting = [each.intent for each in unsent]
    _give_up(sending, unsent)


def send_together(sending: Sending, several: int, intents: Sequence[Intent]) -> None:
    """Write several records per call, with one commit before and after each call. What changed since the plan is not
    sent."""
    done = 0
    for few in _parts(intents, several):
        _send_few(sending, _unchanged(sending, few))
        done += len(few)
        sending.progress(f"apply {few[0].sink}".rstrip(), done, len(intents))


def _unchanged(sending: Sending, intents: Sequence[Intent]) -> list[Intent]:
    """Those that still hold what the plan saw; the others are settled."""
    settled = settle_by_reading(sending, intents)
    record_outcomes(sending.ledger, [each for each in settled if each.state != "pending"])
    return [each.intent for each in settled if each.state == "pending"]


def _write_several(sending: Sending, intents: Sequence[Intent]) -> list[Written]:
    if not isinstance(sending.target, WritesSeveral):
        return [_write_one(sending, intent) for intent in intents]
    try:
        written = sending.target.write_several([_write(intent) for intent in intents])
    except Retriable as fault:
        written = [Written(intent.record_id, "unknown", message=str(fault)) for intent in intents]
    hit("one_written")
    return written


def _write_one(sending: Sending, intent: Intent) -> Written:
    try:
        written = sending.target.write_one(_write(intent))
    except Retriable as fault:
        written = Written(intent.record_id, "unknown", message=str(fault))
    hit("one_written")
    return written


def _write(intent: Intent) -> Write:
    return Write(intent.record_id, intent.wanted, intent.pre_image)


# --- as bulk jobs


def send_as_jobs(sending: Sending, intents: Sequence[Intent]) -> None:
    """Write records by bulk jobs. Accounts that changed since the plan are conflicts and are not sent."""
    done = 0
    for part in _job_parts(intents):
        _send_part(sending, part)
        done += len(part)
        sending.progress("apply", done, len(intents))


def _send_part(sending: Sending, intents: Sequence[Intent]) -> None:
    unsent = [Settled(intent, "pending") for intent in _unchanged(sending, intents)]
    idle, again = 0, True
    while unsent and idle < TRIES:
        ended = _run_job(sending, [each.intent for each in unsent], again_if_locked=again)
        again = False  # a locked row goes into one second, smaller job
        left = [each for each in ended if each.state == "pending"]
        idle = idle + 1 if len(left) == len(unsent) else 0  # a job that stopped half-way has still moved things on
        unsent = left
    _give_up(sending, unsent)


def _again_if_locked(settled: Sequence[Settled]) -> list[Settled]:
    """Records that another write held at that moment are tried once more."""
    return [replace(each, state="pending") if each.code in LOCKED else each for each in settled]


def _give_up(sending: Sending, settled: Sequence[Settled]) -> None:
    if not settled:
        return
    said = f"no answer and no effect in {TRIES} tries"
    parked = [Settled(each.intent, "parked", each.code or "NO_EFFECT", each.message or said) for each in settled]
    record_outcomes(sending.ledger, parked)


def _run_job(sending: Sending, intents: Sequence[Intent], *, again_if_locked: bool) -> list[Settled]:
    """One job from its creation to its outcomes."""
    job = _claimed_job(sending, intents)
    try:
        sending.target.upload_job(job.crm_job_id, [_write(intent) for intent in intents])
    except Retriable as fault:
        # A job that was never started has no effect, whatever reached it: the rows go into a new one.
        settled = [Settled(intent, "pending", "UPLOAD", str(fault)) for intent in intents]
        record_outcomes(sending.ledger, settled, job_ref=job.job_ref, phase="abandoned")
        return settled
    hit("job_uploaded")
    record_job_phase(sending.ledger, job.job_ref, "uploaded")
    hit("upload_recorded")
    return _start_and_finish(sending, job, intents, again_if_locked=again_if_locked)


def _claimed_job(sending: Sending, intents: Sequence[Intent]) -> Job:
    crm_job_id = sending.target.create_job()
    hit("job_created")
    job = Job(secrets.token_hex(8), crm_job_id, intents[0].run_id, "created")
    payload = canonical([[intent.record_id, dict(intent.wanted)] for intent in intents])
    digest = hashlib.sha256(payload.encode("utf-8", "surrogatepass")).hexdigest()
    claim_for_job(sending.ledger, job, intents, digest)
    hit("job_claimed")
    return job


def _start_and_finish(
    sending: Sending, job: Job, intents: Sequence[Intent], *, again_if_locked: bool = False
) -> list[Settled]:
    # From here on the job may have an effect: a later start must look at it before it believes anything else.
    record_job_phase(sending.ledger, job.job_ref, "starting")
    hit("start_recorded")
    _start(sending, job)
    hit("job_started")
    record_job_phase(sending.ledger, job.job_ref, "started")
    hit("started_recorded")
    return _finish(sending, job, intents, again_if_locked=again_if_locked)


def _start(sending: Sending, job: Job) -> None:
    """Start the job; after a lost answer the job itself says whether it was started."""
    for _ in range(TRIES):
        try:
            sending.target.start_job(job.crm_job_id)
            return
        except Retriable:
            if _look(sending, job).state != "open":
                return
    raise Retriable(f"bulk job {job.crm_job_id} could not be started in {TRIES} tries; run again")


def _finish(sending: Sending, job: Job, intents: Sequence[Intent], *, again_if_locked: bool = False) -> list[Settled]:
    end = _await_end(sending, job)
    hit("job_done")
    written = _results(sending, job) if end.state in ("done", "failed") else []
    hit("results_read")
    settled = _judged(sending, intents, written, end.message)
    settled = _again_if_locked(settled) if again_if_locked else settled
    record_outcomes(sending.ledger, settled, job_ref=job.job_ref)
    hit("outcomes_recorded")
    return settled


def _await_end(sending: Sending, job: Job) -> JobState:
    waited, wait = 0.0, FIRST_WAIT_S
    while (found := _look(sending, job)).state not in FINAL:
        if waited > JOB_PATIENCE_S:
            raise Retriable(f"bulk job {job.crm_job_id} is still {found.state}; run again, its outcome is then read")
        sending.pause(wait)
        waited, wait = waited + wait, min(wait * 1.5, LONGEST_WAIT_S)
    return found


def _look(sending: Sending, job: Job) -> JobState:
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


# --- judging


def _judged(
    sending: Sending, intents: Sequence[Intent], written: Iterable[Written], job_said: str | None = None
) -> list[Settled]:
    """One verdict per intent. What is not listed, listed twice with different words, or no longer held its pre-image
    (perhaps by a try of ours whose answer was lost) is read back."""
    seen = _by_record(written)
    clear = [_verdict(intent, seen[intent.record_id]) for intent in intents if _is_clear(seen.get(intent.record_id))]
    unseen = [intent for intent in intents if not _is_clear(seen.get(intent.record_id))]
    read = settle_by_reading(sending, unseen)
    told = [Settled(e.intent, e.state, e.code, e.message or _said(seen, e, job_said)) for e in read]
    return [*clear, *told]


def _by_record(written: Iterable[Written]) -> dict[str, Written]:
    seen: dict[str, Written] = {}
    for each in written:
        before = seen.get(each.record_id)
        seen[each.record_id] = each if before in (None, each) else Written(each.record_id, "unknown")
    return seen


def _is_clear(written: Written | None) -> bool:
    return written is not None and written.state in STATES and written.code != UNPROCESSED


def _said(seen: Mapping[str, Written], settled: Settled, job_said: str | None) -> str | None:
    found = seen.get(settled.intent.record_id)
    return (found.message if found else None) or job_said


STATES: Mapping[str, IntentState] = {"applied": "applied", "failed": "parked"}
LOCKED = frozenset({"UNABLE_TO_LOCK_ROW"})
UNPROCESSED = "UNPROCESSED"  # the job ended before this row: not refused, only not reached


def _verdict(intent: Intent, written: Written) -> Settled:
    return Settled(intent, STATES[written.state], written.code, written.message)


def settle_by_reading(sending: Sending, intents: Sequence[Intent]) -> list[Settled]:
    """Compare each record with its intent: applied, still as before (pending), or changed by somebody (conflict)."""
    if not intents:
        return []
    fields = sorted({name for intent in intents for name in (*intent.wanted, *intent.pre_image)})
    found = sending.target.read([intent.record_id for intent in intents], fields)
    hit("settle_read")
    return [_compared(intent, found.get(intent.record_id), sending) for intent in intents]


def _compared(intent: Intent, found: Mapping[str, str | None] | None, sending: Sending) -> Settled:
    if found is None and sending.keyed and not intent.pre_image:
        return Settled(intent, "pending")  # it is still to be made
    if found is None:
        return Settled(intent, "conflict", "ENTITY_IS_DELETED", "the record is no longer there")
    if any(value == intent.token == found.get(name) for name, value in intent.wanted.items()):
        return Settled(intent, "applied")  # a record is written whole: with our token came our values
    if all(same(found.get(name), value) for name, value in intent.wanted.items() if name not in sending.stamps):
        return Settled(intent, "applied")
    changed = sorted(name for name, value in intent.pre_image.items() if not same(found.get(name), value))
    if not changed:
        return Settled(intent, "pending")
    words = ", ".join(f"{name} is {found.get(name)!r}, was {intent.pre_image[name]!r}" for name in changed[:3])
    return Settled(intent, "conflict", "CHANGED_SINCE_PLAN", f"changed since the plan was drafted: {words}")


# --- the next start


def settle_open_intents(ledger: Ledger, target: Target, *, pause: Callable[[float], None] = time.sleep) -> int:
    """Find out what became of everything a killed run had under way; returns how many intents were settled.

    To be called at every start, before anything is read for a plan. Afterwards no intent is claimed.
    """
    sending = Sending(ledger, target, pause=pause)
    count = sum(_settle_job(sending, job) for job in live_jobs(ledger))
    lost = claimed_intents(ledger, None)
    for some in by_object(lost):
        record_outcomes(ledger, settle_by_reading(sending.of(some), some))
        hit("settled")
    return count + len(lost)


def _settle_job(sending: Sending, job: Job) -> int:
    intents = claimed_intents(sending.ledger, job.job_ref)
    sending = sending.of(intents) if intents else sending
    if job.state in ("created", "uploaded"):
        _abandon(sending, job, intents)  # it was never asked to start
        return len(intents)
    if _look(sending, job).state != "open":
        _finish(sending, job, intents)
        return len(intents)
    # Asked to start, and yet open: the request was lost. It is asked again only while no account has changed since.
    read = settle_by_reading(sending, intents)
    if all(each.state == "pending" for each in read):
        _start_and_finish(sending, job, intents)
    else:
        record_outcomes(sending.ledger, read, job_ref=job.job_ref, phase="abandoned")
    return len(intents)


def _abandon(sending: Sending, job: Job, intents: Sequence[Intent]) -> None:
    back = [Settled(intent, "pending") for intent in intents]
    record_outcomes(sending.ledger, back, job_ref=job.job_ref, phase="abandoned")
    hit("settled")


# --- parts


def _parts(intents: Sequence[Intent], size: int) -> Iterator[Sequence[Intent]]:
    for start in range(0, len(intents), size):
        yield intents[start : start + size]


def _job_parts(intents: Sequence[Intent]) -> Iterator[Sequence[Intent]]:
    part: list[Intent] = []
    size = 0
    for intent in intents:
        weight = sum(len((value or "").encode()) + 3 for value in intent.wanted.values())
        if part and (len(part) == JOB_ROWS or size + weight > JOB_BYTES):
            yield part
            part, size = [], 0
        part.append(intent)
        size += weight
    if part:
        yield part
