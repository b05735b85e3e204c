"""Applying exactly one plan: its approval, its intents, its outcomes. Every step can be interrupted and resumed."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain
from pathlib import Path
from typing import Protocol, runtime_checkable

import pyarrow as pa

from crmsync.configuration_writing import USUAL, WriteLimits
from crmsync.connectors.base import Progress, Target, Write, no_progress
from crmsync.errors import Conflict, UnsafePlan
from crmsync.failpoints import hit
from crmsync.ledger.accepted import TierStep, accept_standings, newest_standings
from crmsync.ledger.approvals import (
    GONE,
    PlanRow,
    approval_of,
    begun_after,
    newest_plan,
    set_plan_state,
    state_of_plan,
)
from crmsync.ledger.canon import canonical
from crmsync.ledger.intents import (
    Intent,
    count_of_plan,
    intents_in_pages,
    intents_of,
    open_intents,
    problems_of,
    record_intents,
    record_outcomes,
    unwritten_partners,
)
from crmsync.ledger.ledger import Ledger
from crmsync.writeback.beside import HISTORY
from crmsync.writeback.canary import send_canary
from crmsync.writeback.changes import Change
from crmsync.writeback.fields import FieldMap, Sink
from crmsync.writeback.outbox import calls_planned, end_orphans, send, settle_open_intents
from crmsync.writeback.plan import Plan
from crmsync.writeback.sending import Pace, Sending, by_object, parts
from crmsync.writeback.settling import not_as_written

CHECKED_AT_ONCE = 2_000

__all__ = ["Outcomes", "Problem", "accept_plan", "apply_plan", "check_open", "settle_open_intents", "token_of"]


@runtime_checkable
class ChecksWrites(Protocol):
    """A target that can tell before the first write whether every value can be stored."""

    def check_writes(self, writes: Sequence[Write]) -> None:
        """Return when all of them can be stored. Errors: AccessError naming field and record."""
        ...


@dataclass(frozen=True)
class Problem:
    """One record that was not written. `state`: parked (the CRM refused it) or conflict (somebody changed it).
    `sink`: empty for an account."""

    record_id: str
    partner_id: str
    state: str
    code: str | None
    message: str | None
    sink: str = ""


@dataclass(frozen=True)
class SinkOutcomes:
    """What became of the records beside the accounts, of one sink. `waiting`: their account was not written."""

    applied: int = 0
    parked: int = 0
    conflicts: int = 0
    waiting: int = 0
    before: int = 0  # of the applied ones, by an earlier apply of the same plan

    @property
    def clean(self) -> bool:
        """Whether all of them are written."""
        return not (self.parked or self.conflicts or self.waiting)


@dataclass(frozen=True)
class Outcomes:
    """What became of a plan's changes: `applied` + `parked` + `conflicts` are all accounts; `beside`: by sink."""

    applied: int
    parked: int
    conflicts: int
    problems: tuple[Problem, ...] = ()
    before: int = 0  # of the applied ones, those that an earlier apply of the same plan had already written
    beside: Mapping[str, SinkOutcomes] = field(default_factory=dict)
    earlier: Mapping[str, int] = field(default_factory=dict)  # by sink, what an earlier apply of the plan had written

    @property
    def clean(self) -> bool:
        """Whether nothing is left open (exit code 0 rather than 3)."""
        return not (self.parked or self.conflicts) and all(one.clean for one in self.beside.values())

    @property
    def written(self) -> int:
        """Records that this apply has written, accounts and others."""
        return self.applied - self.before + sum(one.applied - one.before for one in self.beside.values())


def check_open(
    plan: Plan, ledger: Ledger, *, program_digest: str | None = None, config_digest: str | None = None
) -> None:
    """Refuse a plan that must not be applied now; silent otherwise.

    Errors: UnsafePlan when a guard tripped and nobody approved this digest in the last 24 hours; Conflict when the
    program or the configuration changed since it was drafted, a later plan has taken its place, it was declined, or a
    later assessment was accepted.
    """
    for what, now, then in (
        ("program", program_digest, plan.basis.program_digest),
        ("configuration", config_digest, plan.basis.config_digest),
    ):
        if now is not None and now != then:
            raise Conflict(f"plan {plan.digest[:12]}: the {what} was changed since it was drafted; plan again")
    newest = newest_standings(ledger)
    if newest is not None and newest.as_of > plan.as_of:
        raise Conflict(f"plan {plan.digest[:12]} is of {plan.as_of}, but {newest.as_of} is already applied; plan again")
    kept = state_of_plan(ledger, plan.digest)
    if kept is not None and kept.state in GONE:
        raise _gone(plan, kept.state, newest_plan(ledger) if kept.state == "superseded" else None)
    if (later := begun_after(ledger, plan.digest)) is not None:
        raise _gone(plan, "superseded", later)  # its own records may be written, but not its standings accepted again
    if plan.blocked and approval_of(ledger, plan.digest) is None:
        raise UnsafePlan(f"plan {plan.digest[:12]} is blocked: {_tripped(plan)}")


def _gone(plan: Plan, state: str, newer: PlanRow | None) -> Conflict:
    by = f" by plan {newer.digest[:12]} of run {newer.run_id}" if newer is not None else ""
    return Conflict(f"plan {plan.digest[:12]} was {state}{by} and is not written; look at the newest plan")


def _tripped(plan: Plan) -> str:
    said = [f"{g.guard}: {g.value}, limit {g.limit}; {g.way_out}" for g in plan.guards if g.tripped]
    return ". ".join([*said, f"To open it: crmsync approve {plan.digest[:12]} --by NAME"])


def apply_plan(
    plan: Plan,
    target: Target,
    ledger: Ledger,
    progress: Progress = no_progress,
    *,
    limits: WriteLimits = USUAL,
    pause: Callable[[float], None] = time.sleep,
) -> Outcomes:
    """Write the plan's changes and return what became of each; a plan that was interrupted is continued.

    Records that the CRM refuses are parked with its own words and tried again by later plans; the others go on.
    Errors: UnsafePlan, Conflict (see `check_open`), AccessError for another org, Retriable when the CRM cannot be used,
    Deferred when the API allowance does not suffice, TooManyRefused; then what is left is written by a later run.
    """
    check_open(plan, ledger)
    ledger.bind_org(target.identity())
    settle_open_intents(ledger, target, pause=pause)
    org = ledger.org() or ""
    intents = (_intent(plan, change, org) for change in chain(plan.changes, plan.beside))
    record_intents(ledger, plan.digest, plan.run_id, intents)
    hit("intents_recorded")
    before = _written_before(ledger, plan)
    set_plan_state(ledger, plan.digest, plan.run_id, "applying")
    waiting = intents_of(ledger, plan.digest, plan.run_id, "pending")
    sending = Sending(ledger, target, _stamps(plan.fields), progress, pause, pace=Pace.of(target, limits))
    _send_all(sending, plan, waiting)
    end_orphans(sending)
    return _outcomes(ledger, plan, before)


def _written_before(ledger: Ledger, plan: Plan) -> Mapping[str, int]:
    """How many an earlier apply had written, by sink. What one had that never came to its end belongs to this one: it
    is not verified yet, and nobody was told of it."""
    kept = state_of_plan(ledger, plan.digest)
    if kept is not None and kept.state == "applying":
        return {}
    found = count_of_plan(ledger, plan.digest, plan.run_id)
    return {sink: states["applied"] for sink, states in found.items() if states["applied"]}


def _send_all(sending: Sending, plan: Plan, waiting: Sequence[Intent]) -> None:
    """Accounts first; then what stands beside them, of the accounts that are written, in the order of the plan."""
    groups = [(sending.of(some), some) for some in by_object(waiting)]
    for of_object, some in groups:
        if isinstance(of_object.target, ChecksWrites):
            for part in parts(some, CHECKED_AT_ONCE):
                of_object.target.check_writes([Write(each.record_id, each.wanted, each.pre_image) for each in part])
    sending.pace.check_allowance(sum(calls_planned(of_object.target, len(some)) for of_object, some in groups))
    for of_object, some in groups:
        name = some[0].sink
        ready = _with_account(sending.ledger, plan, some) if name else send_canary(of_object, plan, some)
        if ready:
            send(_stamped_by(of_object, plan, name), ready)


def _stamped_by(sending: Sending, plan: Plan, name: str) -> Sending:
    sink = plan.fields.sink(name)
    return sending if sink is None else replace(sending, stamps=_sink_stamps(sink))


def verify_plan(plan: Plan, target: Target, ledger: Ledger, before: Outcomes) -> Outcomes:
    """Read back what this apply has written; a record that does not hold it is a conflict, told with both values.

    `before`: what the apply ended with. An apply that wrote nothing reads nothing. Afterwards the plan is applied.
    """
    if before.written:
        sending = Sending(ledger, target, _stamps(plan.fields))
        for page in intents_in_pages(ledger, plan.digest, plan.run_id, "applied"):
            for some in by_object(page):
                of_object = _stamped_by(sending.of(some), plan, some[0].sink)
                record_outcomes(ledger, not_as_written(of_object, some))
    set_plan_state(ledger, plan.digest, plan.run_id, "applied")
    return _outcomes(ledger, plan, before.earlier) if before.written else before


def _with_account(ledger: Ledger, plan: Plan, intents: Sequence[Intent]) -> list[Intent]:
    """Those whose account has nothing left to be written; the others wait for a later run."""
    held_up = unwritten_partners(ledger, plan.digest, plan.run_id)
    return [intent for intent in intents if intent.partner_id not in held_up]


def _outcomes(ledger: Ledger, plan: Plan, before: Mapping[str, int]) -> Outcomes:
    problems = tuple(
        Problem(intent.record_id, intent.partner_id, intent.state, intent.code, intent.message, intent.sink)
        for intent in problems_of(ledger, plan.digest, plan.run_id)
    )
    counts = count_of_plan(ledger, plan.digest, plan.run_id)
    of_sink = {sink: _sink_outcomes(states, before.get(sink, 0)) for sink, states in counts.items()}
    accounts = of_sink.pop("", SinkOutcomes())
    return Outcomes(accounts.applied, accounts.parked, accounts.conflicts, problems, accounts.before, of_sink, before)


def _sink_outcomes(states: Mapping[str, int], before: int) -> SinkOutcomes:
    return SinkOutcomes(
        states.get("applied", 0), states.get("parked", 0), states.get("conflict", 0), states.get("pending", 0), before
    )


# --- intents


def token_of(run_id: str, record_id: str, values: Mapping[str, str | None]) -> str:
    """The write token of one record in one run: the same every time this write is tried, different for any other."""
    text = canonical([run_id, record_id, dict(values)])
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:32]


def _intent(plan: Plan, change: Change, org: str) -> Intent:
    token = token_of(plan.run_id, change.record_id, change.values)
    wanted = {**_stamped(plan, change, token), **change.values}
    name = canonical([org, plan.run_id, plan.digest, change.sink, change.record_id, sorted(change.values)])
    intent_id = hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:32]
    return Intent(
        intent_id, plan.run_id, plan.digest, change.record_id, change.partner_id, wanted, change.expected, token,
        sink=change.sink, object=change.object, key_field=change.key_field,
    )  # fmt: skip


def _stamped(plan: Plan, change: Change, token: str) -> dict[str, str | None]:
    """When and by which run; a change that waited since an earlier run keeps the stamps of that one."""
    stamps = {"changed_on": plan.as_of.isoformat(), "as_of": plan.as_of.isoformat(), "run_id": plan.run_id}
    sink = plan.fields.sink(change.sink)
    fields = plan.fields.fields if sink is None else sink.fields
    stamped: dict[str, str | None] = {fields[key]: value for key, value in stamps.items() if key in fields}
    return {**stamped, plan.fields.token: token} if plan.fields.token and not change.sink else stamped


def _stamps(fields: FieldMap) -> frozenset[str]:
    names = (fields.fields.get("changed_on"), fields.fields.get("run_id"), fields.token)
    return frozenset(name for name in names if name is not None)


def _sink_stamps(sink: Sink) -> frozenset[str]:
    return frozenset(sink.fields[key] for key in ("as_of", "run_id") if key in sink.fields)


def waiting_changes(ledger: Ledger, fields: FieldMap, counted_from: str) -> tuple[Change, ...]:
    """Changes of tier that were accepted, but whose record is not written yet: their account could not be written then.

    What is counted from the same standings as the plan in hand is drafted anew by it, or not wanted any more.
    """
    sink = fields.sink(HISTORY)
    if sink is None:
        return ()
    return tuple(
        Change(
            one.record_id, one.partner_id, one.wanted, {}, "waited for its account", HISTORY, sink.object, sink.key,
            one.wanted.get(sink.partner or "") or "",
        )
        for one in open_intents(ledger, "pending", "parked", "conflict")
        if one.sink == HISTORY and not one.record_id.startswith(f"{counted_from}|")
    )  # fmt: skip


# --- acceptance


def accept_plan(plan: Plan, ledger: Ledger, standings: pa.Table, run_id: str) -> None:
    """Make the plan's standings the ones later assessments start from; to be called when it has been applied."""
    accept_standings(
        ledger, run_id, plan.as_of, Path(plan.standings), table_rows=plan.basis.table_rows, steps=tier_steps(standings)
    )


def tier_steps(standings: pa.Table) -> list[TierStep]:
    """The granted tier of each standing, for the tier history."""
    columns = ["program", "partner_id", "category", "previous_tier", "granted_tier", "movement"]
    return [
        TierStep(
            row["program"], row["partner_id"], row["category"], row["previous_tier"], row["granted_tier"],
            row["movement"] or "",
        )
        for row in standings.select(columns).to_pylist()
    ]  # fmt: skip
