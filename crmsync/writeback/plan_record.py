"""The record of a blocked plan in the CRM: what it says, and whether what was decided on it counts. Pure.

People decide on what the record shows, so an approval counts only while it still shows what we laid there.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from crmsync.connectors.base import Person
from crmsync.ledger.approvals import CLOCKS_APART, VALID_FOR
from crmsync.writeback.fields import CONTROL, fitted, same
from crmsync.writeback.plan import Mover, Plan

WAITING, APPROVED, DECLINED = "Waiting", "Approved", "Declined"
APPLIED, NOT_APPLIED, SUPERSEDED = "Applied", "Not applied", "Superseded"
LONGEST = 30_000
SUMMARY_LONGEST = 255
SHOWN = ("summary", "guards", "who_moves", "movers", "changes", "as_of")
"""What people decide by."""
NO_TIER = "no tier"


@dataclass(frozen=True)
class Decision:
    """What a plan record holds. `person`: who changed it last (None: nobody but us), `at`: when (aware)."""

    digest: str
    decision: str
    state: str
    person: Person | None
    at: datetime | None


def plan_values(plan: Plan) -> dict[str, str | None]:
    """What the record of a plan says, by key of the field map, as canonical text."""
    return {
        "decision": WAITING,
        "state": WAITING,
        "answer": None,
        "summary": fitted(_summary(plan), SUMMARY_LONGEST),
        "guards": fitted("\n".join(_guards(plan)), LONGEST),
        "who_moves": _listed([_moved(mover) for mover in plan.movers]),
        "movers": str(len(plan.movers)),
        "changes": str(len(plan.changes)),
        "as_of": plan.as_of.isoformat(),
        "run_id": plan.run_id,
    }


def _summary(plan: Plan) -> str:
    beside = f" and {len(plan.beside)} records beside them" if plan.beside else ""
    tripped = ", ".join(guard.guard for guard in plan.guards if guard.tripped)
    return f"{len(plan.changes)} accounts{beside}, {len(plan.movers)} changes of tier. Waits because of: {tripped}"


def _guards(plan: Plan) -> list[str]:
    """Those that tripped first; the others follow, so that who decides sees what was looked at."""
    ordered = sorted(plan.guards, key=lambda guard: not guard.tripped)
    return [
        _in_one_line(
            f"{'STOPS' if guard.tripped else 'ok'} {guard.guard}: {guard.value}. Limit: {guard.limit}."
            + (f" What to do: {guard.way_out}." if guard.tripped else "")
        )
        for guard in ordered
    ]


def _moved(mover: Mover) -> str:
    who = f"{mover.name or mover.partner_id} ({mover.category})"
    return _in_one_line(f"{who}: {mover.from_tier or NO_TIER} -> {mover.to_tier or NO_TIER}. {mover.why}")


def _in_one_line(text: str) -> str:
    """Without characters that a CRM drops, so that the record shows what was laid there."""
    return CONTROL.sub(" ", text)


def _listed(lines: list[str]) -> str | None:
    """As many lines as the field takes, and how many more there are."""
    room = LONGEST - 60
    kept: list[str] = []
    for line in lines:
        room -= len(line.encode("utf-16-le", "surrogatepass")) // 2 + 1
        if room < 0:
            return "\n".join([*kept, f"… and {len(lines) - len(kept)} more"])
        kept.append(line)
    return "\n".join(kept) or None


def objection(decision: Decision, now: datetime, sales_ops: str) -> str:
    """Why an approval does not count, in words; empty where it does. `sales_ops`: name of the permission set."""
    if why := objection_to_person(decision, sales_ops):
        return why
    assert decision.person is not None
    assert decision.at is not None
    name = decision.person.name
    if now - decision.at > VALID_FOR:
        return f"the decision of {name} is of {decision.at:%Y-%m-%d %H:%M} UTC and held for 24 hours"
    if decision.at - now > CLOCKS_APART:
        return (
            f"the decision of {name} is of {decision.at:%Y-%m-%d %H:%M} UTC, and here it is {now:%Y-%m-%d %H:%M} UTC; "
            "look at this machine's clock"
        )
    return ""


def objection_to_person(decision: Decision, sales_ops: str) -> str:
    """Why this person does not decide on plans, in words; empty where it does."""
    person = decision.person
    if person is None or decision.at is None:
        return "nobody but the user that crmsync logs in as has changed this record"
    if person.ours:
        return f"{person.name} is the user that crmsync logs in as; a person must decide"
    if not person.active:
        return f"{person.name} is not an active user"
    if not person.decides:
        return f"{person.name} changed this record last and does not have the permission set {sales_ops}"
    return ""


def altered(held: Mapping[str, str | None], laid: Mapping[str, str | None]) -> list[str]:
    """What the record does not show as it was laid, by key. A key that the record has no field for is not looked at."""
    return [key for key in SHOWN if key in held and not same(_plain(held[key]), _plain(laid[key]))]


def _plain(text: str | None) -> str | None:
    """A text without what a CRM does to its lines, a number without what it does to its decimals."""
    words = " ".join((text or "").split())
    whole, _, decimals = words.partition(".")
    return whole if whole.isdecimal() and not decimals.strip("0") else words


def answered(state: str, text: str, decision: str | None = None) -> Mapping[str, str | None]:
    """What a run writes back onto the record; `decision`: put back to it, where what was decided did not count."""
    values: dict[str, str | None] = {"state": state, "answer": text}
    return values if decision is None else {**values, "decision": decision}
