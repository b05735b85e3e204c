"""The outbox protocol: how an intent gets to its record exactly once, however often the process dies.

Nothing reaches the CRM before the ledger knows of it (jobs.py, singles.py); an outcome nobody saw is settled by reading
values and token back (settling.py). Here: which way records go, and what the next start does first.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

import structlog

from crmsync.connectors.base import EndsJobs, NotThere, OpenJob, Target, WritesSeveral
from crmsync.errors import AccessError, ConfigError, DataError
from crmsync.failpoints import hit
from crmsync.ledger.intents import (
    Intent,
    Job,
    Settled,
    claimed_intents,
    known_jobs,
    live_jobs,
    opening_jobs,
    record_job_phase,
    record_outcomes,
)
from crmsync.ledger.ledger import Ledger
from crmsync.writeback.jobs import JOB_ROWS, send_as_jobs, settle_job
from crmsync.writeback.sending import Sending, by_object
from crmsync.writeback.settling import LATE, LATE_S, settle_by_reading, unreadable
from crmsync.writeback.singles import send_singly, send_together

log = structlog.get_logger()

CLOCKS_APART = timedelta(days=1)
CALLS_OF_A_JOB = 8
READS_OF_A_JOB, READ_ROWS = 2, 2_000  # before and after it, so many records per call
CALLS_OF_A_RECORD = 2


def send(sending: Sending, intents: Sequence[Intent]) -> None:
    """Write the records of one object: many by jobs, few by calls.

    Errors: Deferred, Retriable, TooManyRefused when sending must stop; what is not sent then stays pending.
    """
    target = sending.target
    if is_bulk(target, len(intents)):
        send_as_jobs(sending, intents)
    elif isinstance(target, WritesSeveral):
        send_together(sending, target.several, intents)
    else:
        send_singly(sending, intents)


def is_bulk(target: Target, count: int) -> bool:
    """Whether so many records go as a job."""
    return target.bulk_from is not None and count >= target.bulk_from


def calls_planned(target: Target, count: int) -> int:
    """API calls that writing so many records takes, roughly."""
    if is_bulk(target, count):
        return CALLS_OF_A_JOB * (count // JOB_ROWS + 1) + READS_OF_A_JOB * (count // READ_ROWS + 1)
    if isinstance(target, WritesSeveral):
        return CALLS_OF_A_RECORD * (count // target.several + 1)
    return CALLS_OF_A_RECORD * count


# --- the next start


def settle_open_intents(ledger: Ledger, target: Target, *, pause: Callable[[float], None] = time.sleep) -> int:
    """Find out what became of everything an earlier process had sent or may have sent; how many intents were settled.

    To be called at every start, before anything is read for a plan. Afterwards no intent is claimed.
    """
    sending = Sending(ledger, target, pause=pause)
    count = sum(settle_job(sending, job) for job in live_jobs(ledger))
    lost = claimed_intents(ledger, None)
    for some in by_object(lost):
        record_outcomes(ledger, _settled(sending, some))
        hit("settled")
    end_orphans(sending)
    return count + len(lost)


def _settled(sending: Sending, intents: Sequence[Intent]) -> list[Settled]:
    try:
        return settle_by_reading(sending.of(intents), intents, late=LATE)
    except (NotThere, ConfigError) as error:
        if not intents[0].sink:
            raise
        return unreadable(intents, error)


def end_orphans(sending: Sending) -> None:
    """End empty jobs that were opened by a call whose answer nobody saw: of our user, an object we write, never
    started, opened after the ledger said so, and not known to it."""
    ledger, target = sending.ledger, sending.target
    opening = opening_jobs(ledger)
    if not opening:
        return
    if isinstance(target, EndsJobs):
        sending.pause(LATE_S)  # the call may still be on its way
        ours = known_jobs(ledger)
        for found in _listed(target):
            if found.job_id not in ours and any(_may_be(job, found) for job in opening):
                ended = target.abort_job(found.job_id)
                log.info("orphan_job_ended", job=found.job_id, object=found.object, ended=ended)
    for job in opening:
        record_job_phase(ledger, job.job_ref, "abandoned")
    hit("orphans_ended")


def _listed(target: EndsJobs) -> Sequence[OpenJob]:
    """The open jobs; none where this login may not ask. An empty job does nothing, and the CRM removes it in a week."""
    try:
        return target.open_jobs()
    except (AccessError, DataError) as error:
        log.warning("orphan_jobs_not_listed", reason=str(error))
        return ()


def _may_be(job: Job, found: OpenJob) -> bool:
    """Of that object, as the CRM spells it, and not opened before the ledger said so, as far as clocks can tell."""
    try:
        later = datetime.fromisoformat(found.created_at) > datetime.fromisoformat(job.created_at) - CLOCKS_APART
    except (ValueError, TypeError):  # an answer without a moment: perhaps another program's, which is left alone
        return False
    return later and found.object.lower() == job.object.lower()
