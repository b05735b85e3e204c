"""What became of a write: said by the CRM's own answer, or read back where no answer can be trusted.

A record is as wanted when it carries our token or our values, untouched when it still holds what the plan saw, and
somebody else's when it holds anything else.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

import structlog

from crmsync.connectors.base import KnowsFields, KnowsMerged, Written
from crmsync.errors import AccessError, DataError
from crmsync.failpoints import hit
from crmsync.ledger.intents import Intent, IntentState, Settled
from crmsync.writeback.fields import same
from crmsync.writeback.sending import Sending

log = structlog.get_logger()

STATES: Mapping[str, IntentState] = {"applied": "applied", "failed": "parked"}
LOCKED = frozenset({"UNABLE_TO_LOCK_ROW"})
UNPROCESSED = "UNPROCESSED"  # the job ended before this row: not refused, only not reached
FIELD_CODES = frozenset({"INVALID_FIELD", "INVALID_FIELD_FOR_INSERT_UPDATE"})
DELETED, MERGED = "ENTITY_IS_DELETED", "ENTITY_IS_MERGED"
GONE_CODES = frozenset({DELETED, "NOT_FOUND"})
FIELD_NOT_WRITTEN = "FIELD_NOT_WRITTEN"
NOT_AS_WRITTEN = "NOT_AS_WRITTEN"
SHOWN = 3
LATE_S = 1.0
"""A call whose answer was lost may take effect a little later than we look; then it must not be sent a second time."""
LATE: tuple[float, ...] = (LATE_S,)
"""Seconds before each further look at what is untouched, where a late effect finds that record or job have changed."""
LATER: tuple[float, ...] = (LATE_S, 3.0, 9.0)
"""The same where nothing protects the second call from a late effect of the first one."""

Values = Mapping[str, str | None]


def judged(
    sending: Sending,
    intents: Sequence[Intent],
    written: Iterable[Written],
    job_said: str | None = None,
    *,
    trusted: bool = True,
    late: Sequence[float] = (),
) -> list[Settled]:
    """One verdict per intent. What is not listed, listed twice with different words, or no longer held its pre-image
    (perhaps by a try of ours whose answer was lost) is read back; so is every success of results not `trusted`.

    `late`: see `settle_by_reading`.
    """
    seen = _by_record(written)
    unseen, clear = list[Intent](), list[Settled]()
    for intent in intents:
        found = seen.get(intent.record_id)
        if found is not None and _is_clear(found, trusted):
            clear.append(Settled(intent, STATES[found.state], found.code, found.message))
        else:
            unseen.append(intent)
    clear = _without_lost_fields(sending, clear)
    is_open = any(_is_open(seen.get(one.record_id)) for one in unseen)
    read = settle_by_reading(sending, unseen, late=late if is_open else ())
    told = [replace(e, message=e.message or _said(seen, e, job_said), code=e.code or _code(seen, e)) for e in read]
    return [*(completed(sending, each) for each in clear), *told]


def _without_lost_fields(sending: Sending, settled: list[Settled]) -> list[Settled]:
    """What was refused because of a field: to be sent again where a field has gone since, else as the record says (a
    record that is there already does not take its account a second time)."""
    refused = [each for each in settled if each.code in FIELD_CODES]
    if not refused:
        return settled
    again = look_at_fields(sending, [each.intent for each in refused])
    now = {each.intent.intent_id: each for each in settle_by_reading(sending, [each.intent for each in refused])}

    def verdict(each: Settled) -> Settled:
        found = now.get(each.intent.intent_id, each)
        return each if found.state == "pending" and not again else found

    return [verdict(each) for each in settled]


def _by_record(written: Iterable[Written]) -> dict[str, Written]:
    seen: dict[str, Written] = {}
    for each in written:
        before = seen.get(each.record_id)
        seen[each.record_id] = each if before is None or before == each else Written(each.record_id, "unknown")
    return seen


def _is_clear(written: Written, trusted: bool) -> bool:
    if written.state not in STATES or written.code == UNPROCESSED or written.code in GONE_CODES:
        return False
    return trusted or written.state != "applied"


def _is_open(written: Written | None) -> bool:
    return written is None or written.state == "unknown"


def _said(seen: Mapping[str, Written], settled: Settled, job_said: str | None) -> str | None:
    found = seen.get(settled.intent.record_id)
    return (found.message if found else None) or job_said


def _code(seen: Mapping[str, Written], settled: Settled) -> str | None:
    found = seen.get(settled.intent.record_id)
    return found.code if found and settled.state == "pending" else None


# --- reading back


def settle_by_reading(sending: Sending, intents: Sequence[Intent], *, late: Sequence[float] = ()) -> list[Settled]:
    """Compare each record with its intent: applied, still as before (pending), or changed by somebody (conflict).

    `late`: a call may still be on its way, so a record that is as before is looked at again after so many seconds each.
    """
    if not intents:
        return []
    compared = _read_and_compared(sending, intents)
    for seconds in late:
        untouched = [each.intent for each in compared if each.state == "pending"]
        if not untouched:
            break
        sending.pause(seconds)
        again = {each.intent.intent_id: each for each in _read_and_compared(sending, untouched)}
        compared = [again.get(each.intent.intent_id, each) for each in compared]
    return _merged(sending, compared)


def _read_and_compared(sending: Sending, intents: Sequence[Intent]) -> list[Settled]:
    found = held(sending, intents)
    hit("settle_read")
    return [completed(sending, _compared(intent, found.get(intent.record_id), sending)) for intent in intents]


def held(sending: Sending, intents: Sequence[Intent]) -> Mapping[str, Values]:
    """What the records hold now in every field that an intent names and that can be read."""
    names = _named(intents)
    ids = [intent.record_id for intent in intents]
    try:
        return sending.target.read(ids, _readable(sending, names))
    except (AccessError, DataError):
        if not look_at_fields(sending, intents):
            raise
    return sending.target.read(ids, _readable(sending, names))


def _named(intents: Iterable[Intent]) -> list[str]:
    names = set[str]()
    for intent in intents:
        names.update(intent.wanted, intent.pre_image)
    return sorted(names)


def _readable(sending: Sending, names: Iterable[str]) -> list[str]:
    return [name for name in names if name not in sending.left_out or not sending.left_out[name].hidden]


def _compared(intent: Intent, found: Values | None, sending: Sending) -> Settled:
    if found is None and sending.keyed and not intent.pre_image:
        return Settled(intent, "pending")  # it is still to be made
    if found is None:
        return Settled(
            intent, "conflict", DELETED, "the record is no longer there, or not shown to this login any more"
        )
    wanted = sending.values(intent)
    if any(value == intent.token == found.get(name) for name, value in wanted.items()):
        return Settled(intent, "applied")  # a record is written whole: with our token came our values
    if all(same(found.get(name), value) for name, value in wanted.items() if name not in sending.stamps):
        return Settled(intent, "applied", left_out=sending.stamps & wanted.keys())  # its stamps are not ours
    before = {name: value for name, value in intent.pre_image.items() if name in found}
    changed = sorted(name for name, value in before.items() if not same(found[name], value))
    if not changed:
        return Settled(intent, "pending")
    words = ", ".join(f"{name} is {found[name]!r}, was {before[name]!r}" for name in changed[:SHOWN])
    return Settled(intent, "conflict", "CHANGED_SINCE_PLAN", f"changed since the plan was drafted: {words}")


def _merged(sending: Sending, settled: list[Settled]) -> list[Settled]:
    """Say of accounts that are gone into which one people merged them."""
    if not isinstance(sending.target, KnowsMerged) or not any(each.code == DELETED for each in settled):
        return settled
    survivors = _survivors(sending.target)
    return [
        each
        if each.code != DELETED or each.intent.record_id not in survivors
        else replace(
            each,
            code=MERGED,
            message=f"merged into {survivors[each.intent.record_id]}; the next run levels that account for both",
        )
        for each in settled
    ]


def _survivors(target: KnowsMerged) -> Mapping[str, str]:
    """The survivors of merged records; none where this login may not ask: then a record is told as gone."""
    try:
        return target.merged_partners()
    except (AccessError, DataError) as error:
        log.warning("merged_records_not_read", reason=str(error))
        return {}


def unreadable(intents: Iterable[Intent], error: Exception) -> list[Settled]:
    """What stands beside an account may have been taken out of the field map, or out of the org, since it was sent."""
    said = f"its outcome was never seen, and it cannot be read back: {error}"
    return [Settled(intent, "conflict", "CANNOT_BE_READ", said) for intent in intents]


def not_as_written(sending: Sending, intents: Sequence[Intent]) -> list[Settled]:
    """Of records that were written, those that do not hold what was written: something in the CRM changed them."""
    if not intents:
        return []
    found = held(sending, intents)
    hit("verify_read")
    compared = (_differing(intent, found.get(intent.record_id), sending) for intent in intents)
    return [each for each in compared if each is not None]


def _differing(intent: Intent, found: Values | None, sending: Sending) -> Settled | None:
    if found is None:
        return Settled(intent, "conflict", DELETED, "the record was written and is no longer there")
    wanted = {name: value for name, value in sending.values(intent).items() if name not in sending.stamps}
    differing = [name for name, value in wanted.items() if name in found and not same(found[name], _flat(value))]
    if not differing:
        return None
    words = ", ".join(f"{name} was written as {wanted[name]!r} and is {found[name]!r}" for name in differing[:SHOWN])
    said = f"{words}; a flow, a trigger or a person changed it right after"
    return Settled(intent, "conflict", NOT_AS_WRITTEN, said)


def _flat(text: str | None) -> str | None:
    """A text as a bulk cell carries it, in one line."""
    return None if text is None else " ".join(text.splitlines()).strip()


# --- fields that go while a run writes


def look_at_fields(sending: Sending, intents: Iterable[Intent]) -> bool:
    """Describe the object anew; whether fields were found that cannot be written any more. They are left out then."""
    if not isinstance(sending.target, KnowsFields):
        return False
    names = _named(intents)
    new = {name: why for name, why in sending.target.unwritable(names).items() if sending.left_out.get(name) != why}
    ours = {name for intent in intents for name in intent.wanted}
    for name in sorted(new.keys() & ours):
        log.warning("field_left_out", field=name, reason=new[name].reason)
    sending.left_out.update(new)
    return bool(new)


def completed(sending: Sending, settled: Settled) -> Settled:
    """A record that was written without fields that have gone is not done: it is parked, and tried again later."""
    if settled.state != "applied" or not sending.left_out:
        return settled
    lost = [name for name in settled.intent.wanted if name in sending.left_out]
    if not lost:
        return settled
    words = "; ".join(sending.left_out[name].reason for name in lost[:SHOWN])
    left_out = settled.left_out | set(lost)
    rest = "the other fields are written" if settled.intent.wanted.keys() - left_out else "nothing was written"
    return Settled(settled.intent, "parked", FIELD_NOT_WRITTEN, f"{words}; {rest}", left_out)


def sendable(sending: Sending, intents: Sequence[Intent]) -> tuple[list[Intent], list[Settled]]:
    """Those of which something is left to be sent, and the others as they end."""
    left, ended = list[Intent](), list[Settled]()
    for intent in intents:
        if any(name not in sending.stamps for name in sending.values(intent)):
            left.append(intent)
        else:
            nothing = frozenset(sending.values(intent))  # no call is made, so that its stamps are not written either
            ended.append(completed(sending, Settled(intent, "applied", left_out=nothing)))
    return left, ended
