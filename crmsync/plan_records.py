"""Blocked plans in the CRM: laid before sales operations, who have no shell, and what they decided read back.

A decision counts when the last person who changed the record holds the permission set of sales operations, is active
and is not the user that we log in as; an approval also only for 24 hours, and for what the record showed when it was
laid there. What became of it is written there.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

import structlog

from crmsync.belt import Belt
from crmsync.connectors.base import Into, KnowsPeople, ManyObjects, Target, Write
from crmsync.connectors.mapping_records import RecordMap
from crmsync.connectors.salesforce.metadata.permissions import SALES_OPS
from crmsync.errors import AccessError, CrmsyncError, DataError, Deferred, Retriable
from crmsync.ledger.approvals import PlanRow, blocked_plans, record_approval, record_declined, set_plan_state
from crmsync.writeback.plan import Plan
from crmsync.writeback.plan_record import (
    APPLIED,
    APPROVED,
    DECLINED,
    NOT_APPLIED,
    SHOWN,
    SUPERSEDED,
    WAITING,
    Decision,
    altered,
    answered,
    objection,
    objection_to_person,
    plan_values,
)
from crmsync.writeback.planfile import load_plan

log = structlog.get_logger()

RECORD_ID, MADE_BY, CHANGED_BY, CHANGED_AT = "Id", "CreatedById", "LastModifiedById", "LastModifiedDate"
CLOSED: Mapping[str, str] = {"applied": APPLIED, "declined": DECLINED, "superseded": SUPERSEDED}
"""State of a plan in the ledger -> on its record."""


@dataclass(frozen=True)
class Ruling:
    """What became of a decision in the CRM. `opened`: the digest of the plan that may be applied now, if any."""

    opened: str = ""
    said: str = ""


class PlanRecords:
    """The plan records of one org."""

    def __init__(self, place: RecordMap, target: Target, people: KnowsPeople) -> None:
        self.place = place
        self.target = target
        self.people = people

    def lay(self, plan: Plan) -> str:
        """Make or renew the record of a blocked plan; a decision that was not read yet stays. Returns what to tell."""
        held = self._read([plan.digest]).get(plan.digest)
        what = f"{self.place.object.text} {plan.digest[:12]}"
        if held is None:
            self._write(plan.digest, plan_values(plan))
            return f"in the CRM: a user with {SALES_OPS} sets the decision of {what} to Approved"
        state = held.get(self._field("state")) or WAITING
        if state == DECLINED:
            return f"it was declined in the CRM on {what}"
        if state != WAITING:  # the same plan once more: somebody may decide anew
            told = ("answer",) if state == NOT_APPLIED else ()  # why it was not written then stands there still
            self._write(plan.digest, {key: text for key, text in plan_values(plan).items() if key not in told})
        return f"it waits in the CRM on {what}"

    def decisions(self, digests: Sequence[str], waiting: Collection[str]) -> dict[str, tuple[Decision, str]]:
        """What stands on the records of these plans, and their ids. Who decided is asked for those that still wait."""
        return {digest: self._decision(digest, held, digest in waiting) for digest, held in self._read(digests).items()}

    def _decision(self, digest: str, held: Mapping[str, str | None], waits: bool = True) -> tuple[Decision, str]:
        decision = held.get(self._field("decision")) or WAITING
        by, at = held.get(CHANGED_BY), held.get(CHANGED_AT)
        person = self.people.person(by) if by and waits and decision != WAITING else None
        if person is not None and by == held.get(MADE_BY):  # whoever made the record is who logs in for us
            person = replace(person, ours=True)
        state = held.get(self._field("state")) or WAITING
        return Decision(digest, decision, state, person, _moment(at)), held.get(RECORD_ID) or ""

    def shown(self, digest: str) -> tuple[Decision, str, dict[str, str | None]]:
        """One record with all that people decide by, by key, in one answer of the CRM. Errors: DataError."""
        fields = {key: name for key in SHOWN if (name := self._field(key))}
        held = self._read([digest], fields.values()).get(digest)
        if held is None:
            raise DataError(f"{self.place.object.text} {digest[:12]} is gone since it was read")
        return *self._decision(digest, held), {key: held.get(name) for key, name in fields.items()}

    def answer(self, digest: str, values: Mapping[str, str | None]) -> None:
        """Write what became of a decision onto its record."""
        self._write(digest, values)

    def _read(self, digests: Sequence[str], further: Iterable[str] = ()) -> Mapping[str, Mapping[str, str | None]]:
        asked = [one for key in ("decision", "state") if (one := self._field(key))]
        return self.target.read(list(digests), [RECORD_ID, MADE_BY, CHANGED_BY, CHANGED_AT, *asked, *further])

    def _field(self, key: str) -> str:
        place = self.place.fields.get(key)
        return place.text if place is not None else ""

    def _write(self, digest: str, values: Mapping[str, str | None]) -> None:
        """An upsert by the digest: once more does the same. Errors: AccessError in the CRM's own words."""
        mapped = {self._field(key): value for key, value in values.items() if self._field(key)}
        done = self.target.write_one(Write(digest, mapped, {}))
        if done.state != "applied":
            what = f"{self.place.object.text} {digest[:12]}"
            raise AccessError(f"{what} could not be written: {done.code or done.state}: {done.message or 'no answer'}")


def _moment(text: str | None) -> datetime | None:
    """A date-time as Salesforce writes it (`2026-11-22T10:00:00.000+0000`). Errors: DataError."""
    if not text:
        return None
    try:
        return datetime.fromisoformat(text).astimezone(UTC)
    except ValueError:
        raise DataError(f"{CHANGED_AT} of a plan record is `{text}`, which is no date and time") from None


def plan_records(belt: Belt) -> PlanRecords | None:
    """Where blocked plans are laid; None where the field map names no place, or the target has none."""
    writes = belt.mapping.writes if belt.mapping is not None else None
    target = belt.target
    if writes is None or writes.plan_record is None:
        return None
    if not isinstance(target, ManyObjects) or not isinstance(target, KnowsPeople):
        return None
    place = writes.plan_record
    return PlanRecords(place, target.into(Into(place.object.text, place.key.text)), target)


def lay_before(belt: Belt, plan: Plan) -> str:
    """Lay a blocked plan before sales operations; returns what to tell. A record that fails stops nothing."""
    records = plan_records(belt)
    if records is None:
        return ""
    try:
        return records.lay(plan)
    except CrmsyncError as error:
        log.warning("plan_record_failed", digest=plan.digest, error=str(error))
        return f"it was not laid before sales operations: {error}"


def rule(belt: Belt, only: str = "") -> Ruling:
    """Look what was decided in the CRM on the plan that waits (or on the one of digest `only`), and close the records
    of plans that no longer wait. An approval that counts is in the ledger when this returns."""
    records = plan_records(belt)
    plans = blocked_plans(belt.ledger) if records is not None else []
    if records is None or not plans:
        return Ruling()
    try:
        waiting = {plan.digest for plan in plans if plan.state not in CLOSED}
        decisions = records.decisions([plan.digest for plan in plans], waiting)
        return _ruled(belt, records, plans, decisions, only)
    except CrmsyncError as error:
        log.warning("plan_records_unread", error=str(error))
        return Ruling(said=f"what sales operations decided could not be read: {error}")


def _ruled(
    belt: Belt,
    records: PlanRecords,
    plans: Sequence[PlanRow],
    decisions: Mapping[str, tuple[Decision, str]],
    only: str,
) -> Ruling:
    ruling = Ruling()
    for plan in plans:
        decision, record_id = decisions.get(plan.digest, (None, ""))
        if decision is None:
            continue
        if plan.state in CLOSED:
            _close(records, plan, decision)
        elif plan.digest == (only or plan.digest) and not ruling.said:
            ruling = _decided(belt, records, plan, decision, record_id)
    return ruling


def _close(records: PlanRecords, plan: PlanRow, decision: Decision) -> None:
    """The record of a plan that no longer waits, once."""
    state = CLOSED[plan.state]
    if decision.state != WAITING:
        return
    said = {
        SUPERSEDED: "A later run has drafted another plan; this one is not written. Decide on the newest one.",
        APPLIED: "Written.",
        DECLINED: "Declined; it is not written.",
    }[state]
    approved = decision.decision == APPROVED and state == SUPERSEDED
    records.answer(plan.digest, answered(state, f"Approved too late. {said}" if approved else said))


def _decided(belt: Belt, records: PlanRecords, plan: PlanRow, decision: Decision, record_id: str) -> Ruling:
    if decision.decision == DECLINED:
        return _declined(belt, records, plan, decision, record_id)
    ours = decision.person is not None and decision.person.ours
    if decision.decision != APPROVED or (ours and decision.state != WAITING):  # what we answered stands
        return Ruling()
    return _approved(belt, records, plan)


def _declined(belt: Belt, records: PlanRecords, plan: PlanRow, decision: Decision, record_id: str) -> Ruling:
    said = f"plan {plan.digest[:12]} was declined in the CRM and is not written"
    if decision.state == DECLINED:  # answered before; the same plan was drafted once more
        set_plan_state(belt.ledger, plan.digest, plan.run_id, "declined")
        return Ruling(said=said)
    if why := objection_to_person(decision, SALES_OPS):
        return _without_effect(records, plan, "declined", "Declining does not count", why)
    assert decision.person is not None
    record_declined(belt.ledger, plan, decision.person.name, record_id)
    records.answer(plan.digest, answered(DECLINED, "Declined; it is not written."))
    return Ruling(said=f"{said}: by {decision.person.name}")


def _approved(belt: Belt, records: PlanRecords, plan: PlanRow) -> Ruling:
    """An approval counts by who gave it, when, and what that person saw."""
    decision, record_id, shown = records.shown(plan.digest)
    if decision.decision != APPROVED:
        return Ruling()  # taken back this very moment
    stands_still = belt.configuration.org == "sandbox"  # the embedded org stays on its day: nothing grows old there
    now = decision.at if stands_still else datetime.now(UTC)
    if why := objection(decision, now or datetime.now(UTC), SALES_OPS):
        return _without_effect(records, plan, "approved", "The approval does not count", why)
    laid = plan_values(load_plan(plan.digest, belt.state))
    if names := altered(shown, laid):
        why = f"what the record showed was changed after it was laid there ({', '.join(names)}); it is put right now"
        records.answer(plan.digest, {key: laid[key] for key in names})
        return _without_effect(records, plan, "approved", "The approval does not count", why)
    assert decision.person is not None
    record_approval(
        belt.ledger, plan.digest, decision.person.name, source="crm", record_id=record_id,
        at=None if stands_still else decision.at,
    )  # fmt: skip
    return Ruling(plan.digest, f"plan {plan.digest[:12]} was approved in the CRM by {decision.person.name}")


def _without_effect(records: PlanRecords, plan: PlanRow, what: str, answer: str, why: str) -> Ruling:
    """Say so on the record, and put the decision back: somebody else may still decide."""
    records.answer(plan.digest, answered(WAITING, f"{answer}: {why}.", WAITING))
    return Ruling(said=f"plan {plan.digest[:12]} was {what} in the CRM, and it does not count: {why}")


def carried_out(belt: Belt, ruling: Ruling, apply: Callable[[str], object]) -> str:
    """Apply the plan that was opened in the CRM, and say on its record what became of it; returns what to tell."""
    if not ruling.opened:
        return ruling.said
    try:
        apply(ruling.opened)
    except (Retriable, Deferred):
        raise  # the approval stands, and the next run goes on with this plan
    except CrmsyncError as error:
        _answer(belt, ruling.opened, answered(NOT_APPLIED, f"Approved, but not written: {error}"))
        log.warning("approved_plan_not_applied", digest=ruling.opened, error=str(error))
        return f"{ruling.said}, but it was not written: {error}"
    _answer(belt, ruling.opened, answered(APPLIED, "Written."))
    return f"{ruling.said} and was written first"


def _answer(belt: Belt, digest: str, values: Mapping[str, str | None]) -> None:
    records = plan_records(belt)
    try:
        if records is not None:
            records.answer(digest, values)
    except CrmsyncError as error:  # the next run closes the record
        log.warning("plan_record_failed", digest=digest, error=str(error))
