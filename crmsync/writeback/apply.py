"""Applying exactly one plan: its approval, its intents, its outcomes. Every step can be interrupted and resumed."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, runtime_checkable

import pyarrow as pa

from crmsync.connectors.base import Progress, Target, Write, no_progress
from crmsync.errors import Conflict, UnsafePlan
from crmsync.failpoints import hit
from crmsync.ledger.accepted import TierStep, accept_standings, newest_standings
from crmsync.ledger.approvals import approval_of, set_plan_state
from crmsync.ledger.intents import Intent, intents_of, record_intents
from crmsync.ledger.ledger import Ledger, canonical
from crmsync.writeback.fields import FieldMap
from crmsync.writeback.outbox import Sending, send_as_jobs, send_singly, settle_open_intents
from crmsync.writeback.plan import Change, Plan

__all__ = ["Outcomes", "Problem", "accept_plan", "apply_plan", "check_open", "settle_open_intents", "token_of"]


@runtime_checkable
class ChecksWrites(Protocol):
    """A target that can tell before the first write whether every value can be stored."""

    def check_writes(self, writes: Sequence[Write]) -> None:
        """Return when all of them can be stored. Errors: AccessError naming field and record."""
        ...


@dataclass(frozen=True)
class Problem:
    """One record that was not written. `state`: parked (the CRM refused it) or conflict (somebody changed it)."""

    record_id: str
    partner_id: str
    state: str
    code: str | None
    message: str | None


@dataclass(frozen=True)
class Outcomes:
    """What became of a plan's changes: `applied` + `parked` + `conflicts` are all of them."""

    applied: int
    parked: int
    conflicts: int
    problems: tuple[Problem, ...] = ()
    before: int = 0  # of the applied ones, those that an earlier apply of the same plan had already written

    @property
    def clean(self) -> bool:
        """Whether nothing is left open (exit code 0 rather than 3)."""
        return not (self.parked or self.conflicts)


def check_open(
    plan: Plan, ledger: Ledger, *, program_digest: str | None = None, config_digest: str | None = None
) -> None:
    """Refuse a plan that must not be applied now; silent otherwise.

    Errors: UnsafePlan when a guard tripped and nobody approved this digest in the last 24 hours; Conflict when the
    program or the configuration changed since it was drafted, or a later assessment was accepted.
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
    if plan.blocked and approval_of(ledger, plan.digest) is None:
        raise UnsafePlan(f"plan {plan.digest[:12]} is blocked: {_tripped(plan)}")


def _tripped(plan: Plan) -> str:
    said = [f"{g.guard}: {g.value}, limit {g.limit}; {g.way_out}" for g in plan.guards if g.tripped]
    return ". ".join([*said, f"To open it: crmsync approve {plan.digest[:12]}"])


def apply_plan(
    plan: Plan,
    target: Target,
    ledger: Ledger,
    progress: Progress = no_progress,
    *,
    pause: Callable[[float], None] = time.sleep,
) -> Outcomes:
    """Write the plan's changes and return what became of each; a plan that was interrupted is continued.

    Records that the CRM refuses are parked with its own words and tried again by later plans; the others go on.
    Errors: UnsafePlan, Conflict (see `check_open`), AccessError for another org, Retriable when the CRM cannot be used.
    """
    check_open(plan, ledger)
    ledger.bind_org(target.identity())
    settle_open_intents(ledger, target, pause=pause)
    org = ledger.org() or ""
    record_intents(ledger, plan.digest, plan.run_id, [_intent(plan, change, org) for change in plan.changes])
    hit("intents_recorded")
    before = len(intents_of(ledger, plan.digest, plan.run_id, "applied"))
    set_plan_state(ledger, plan.digest, plan.run_id, "applying")
    waiting = intents_of(ledger, plan.digest, plan.run_id, "pending")
    _send(Sending(ledger, target, _stamps(plan.fields), progress, pause), waiting)
    set_plan_state(ledger, plan.digest, plan.run_id, "applied")
    return _outcomes(intents_of(ledger, plan.digest, plan.run_id), before)


def _send(sending: Sending, waiting: Sequence[Intent]) -> None:
    if waiting and isinstance(sending.target, ChecksWrites):
        sending.target.check_writes([Write(each.record_id, each.wanted, each.pre_image) for each in waiting])
    bulk_from = sending.target.bulk_from
    if bulk_from is not None and len(waiting) >= bulk_from:
        send_as_jobs(sending, waiting)
        return
    send_singly(sending, waiting)


def _outcomes(intents: Sequence[Intent], before: int) -> Outcomes:
    problems = tuple(
        Problem(intent.record_id, intent.partner_id, intent.state, intent.code, intent.message)
        for intent in intents
        if intent.state in ("parked", "conflict")
    )
    parked = sum(1 for problem in problems if problem.state == "parked")
    applied = sum(1 for intent in intents if intent.state == "applied")
    return Outcomes(applied, parked, len(problems) - parked, problems, before)


# --- intents


def token_of(run_id: str, record_id: str, values: Mapping[str, str | None]) -> str:
    """The write token of one record in one run: the same every time this write is tried, different for any other."""
    text = canonical([run_id, record_id, dict(values)])
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:32]


def _intent(plan: Plan, change: Change, org: str) -> Intent:
    token = token_of(plan.run_id, change.record_id, change.values)
    wanted = {**change.values, **_stamped(plan, token)}
    name = canonical([org, plan.run_id, plan.digest, change.record_id, sorted(change.values)])
    intent_id = hashlib.sha256(name.encode()).hexdigest()[:32]
    return Intent(
        intent_id, plan.run_id, plan.digest, change.record_id, change.partner_id, wanted, change.expected, token
    )  # fmt: skip


def _stamped(plan: Plan, token: str) -> dict[str, str | None]:
    stamps = {"changed_on": plan.as_of.isoformat(), "run_id": plan.run_id}
    stamped: dict[str, str | None] = {plan.fields.fields[k]: v for k, v in stamps.items() if k in plan.fields.fields}
    return {**stamped, plan.fields.token: token} if plan.fields.token else stamped


def _stamps(fields: FieldMap) -> frozenset[str]:
    names = (fields.fields.get("changed_on"), fields.fields.get("run_id"), fields.token)
    return frozenset(name for name in names if name is not None)


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
