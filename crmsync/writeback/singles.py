"""Writes by single calls: one record per call on condition that it still holds its pre-image, or several per call."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace

from crmsync.connectors.base import Write, WritesSeveral, Written
from crmsync.errors import Retriable
from crmsync.failpoints import hit
from crmsync.ledger.intents import Intent, Settled, claim_single, record_outcomes
from crmsync.stopping import asked, held
from crmsync.writeback.sending import Sending, by_parent, parts
from crmsync.writeback.settling import LATE, LATER, LOCKED, judged, sendable, settle_by_reading

FEW = 20  # single writes between two commits; a commit costs as long as a fast call
TRIES = 3
SMALLER = 10  # a group with locked records is tried again in groups of a tenth
LOCK_WAIT_S = 1.0


def send_singly(sending: Sending, intents: Sequence[Intent]) -> None:
    """Write each record on condition that it still holds its pre-image, with one commit before and after each few."""
    done = 0
    for few in parts(intents, FEW):
        sending.pace.check_allowance()
        send_group(sending, few)
        done += len(few)
        sending.progress("apply", done, len(intents))


def send_together(sending: Sending, several: int, intents: Sequence[Intent]) -> None:
    """Write several records per call, with one commit before and after each call. What changed since the plan is not
    sent."""
    done = 0
    for some in parts(intents, several):
        sending.pace.check_allowance()
        send_group(sending, unchanged(sending, some))
        done += len(some)
        sending.progress(f"apply {some[0].sink}".rstrip(), done, len(intents))


def unchanged(sending: Sending, intents: Sequence[Intent]) -> list[Intent]:
    """Those that still hold what the plan saw; the others are settled."""
    settled = settle_by_reading(sending, intents)
    record(sending, [each for each in settled if each.state != "pending"])
    return [each.intent for each in settled if each.state == "pending"]


def send_group(sending: Sending, group: Sequence[Intent]) -> None:
    """Write these records; locked ones again in smaller groups, those without an answer again once they are known to
    be untouched."""
    waiting, unsent = list(group), list[Settled]()
    for attempt in range(TRIES):
        waiting, ended = sendable(sending, waiting)
        record(sending, ended)
        if not waiting:
            return
        locked = any(each.code in LOCKED for each in unsent)
        if locked:
            sending.pause(random.uniform(0, LOCK_WAIT_S * 2**attempt))
            if isinstance(sending.target, WritesSeveral):
                waiting = unchanged(sending, waiting)  # who held the lock may have changed the record
        size = max(1, len(waiting) // SMALLER) if locked else len(waiting)
        unsent = [
            each for few in parts(by_parent(waiting) if locked else waiting, size) for each in _send_few(sending, few)
        ]
        waiting = [each.intent for each in unsent]
    give_up(sending, unsent)


@held()
def _send_few(sending: Sending, few: Sequence[Intent]) -> list[Settled]:
    """Write them once; returns those that are to be tried again, or were not sent because the process is to end."""
    claim_single(sending.ledger, few)
    hit("one_claimed")
    if isinstance(sending.target, WritesSeveral):
        sent, looks, written = few, LATER, _write_several(sending, sending.target, few)
    else:
        written = _write_each(sending, few)
        sent, looks = few[: len(written)], LATE
    settled = again_if_locked(judged(sending, sent, written, late=looks))
    settled += [Settled(intent, "pending") for intent in few[len(sent) :]]
    record(sending, settled)
    hit("one_recorded")
    return [each for each in settled if each.state == "pending"]


def _write_each(sending: Sending, intents: Sequence[Intent]) -> list[Written]:
    """The outcomes of the first of them: of all, unless the process is told to end meanwhile."""
    written: list[Written] = []
    for intent in intents:
        if asked():
            break
        written.append(_write_one(sending, intent))
    return written


def _write_several(sending: Sending, target: WritesSeveral, intents: Sequence[Intent]) -> list[Written]:
    try:
        written = target.write_several([write_of(sending, intent) for intent in intents])
    except Retriable as fault:
        written = [Written(intent.record_id, "unknown", message=str(fault)) for intent in intents]
    hit("one_written")
    _count_answer(sending, written[0] if written else None)
    return written


def _write_one(sending: Sending, intent: Intent) -> Written:
    try:
        written = sending.target.write_one(write_of(sending, intent))
    except Retriable as fault:
        written = Written(intent.record_id, "unknown", message=str(fault))
    hit("one_written")
    _count_answer(sending, written)
    return written


def _count_answer(sending: Sending, written: Written | None) -> None:
    if written is not None and written.state == "unknown":
        sending.pace.saw_no_answer(written.message or "no words")
    else:
        sending.pace.saw_answer()


def write_of(sending: Sending, intent: Intent) -> Write:
    """What is sent, and what the record must still hold for it."""
    expected = {name: value for name, value in intent.pre_image.items() if name not in sending.left_out}
    return Write(intent.record_id, sending.values(intent), expected)


# --- outcomes


def record(sending: Sending, settled: Sequence[Settled]) -> None:
    """Record outcomes. Errors: TooManyRefused when they show that the run should not go on."""
    if settled:
        record_outcomes(sending.ledger, settled)
        sending.pace.ended(settled)


def again_if_locked(settled: Sequence[Settled]) -> list[Settled]:
    """Records that another write held at that moment are tried once more."""
    return [replace(each, state="pending") if each.code in LOCKED else each for each in settled]


def give_up(sending: Sending, settled: Sequence[Settled]) -> None:
    """Park what could not be written in all tries; later runs try again."""
    said = f"no answer and no effect in {TRIES} tries"
    record(
        sending,
        [Settled(each.intent, "parked", each.code or "NO_EFFECT", each.message or said) for each in settled],
    )
