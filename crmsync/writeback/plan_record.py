"""The record of a blocked plan in the CRM: what it says, and whether what was decided on it counts. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from crmsync.connectors.base import Person
from crmsync.writeback.plan import Mover, Plan

WAITING, APPROVED, DECLINED = "Waiting", "Approved", "Declined"
APPLIED, NOT_APPLIED, SUPERSEDED = "Applied", "Not applied", "Superseded"
VALID_FOR = timedelta(hours=24)
LONGEST = 30_000
SUMMARY_LONGEST = 255
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
        "summary": _cut(_summary(plan), SUMMARY_LONGEST),
        "guards": _cut("\n".join(_guards(plan)), LONGEST),
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
        f"{'STOPS' if guard.tripped else 'ok'} {guard.guard}: {guard.value}. Limit: {guard.limit}."
        + (f" What to do: {guard.way_out}." if guard.tripped else "")
        for guard in ordered
    ]


def _moved(mover: Mover) -> str:
    who = f"{mover.name or mover.partner_id} ({mover.category})"
    return f"{who}: {mover.from_tier or NO_TIER} -> {mover.to_tier or NO_TIER}. {mover.why}"


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


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else text[: most - 1].rstrip() + "…"


def objection(decision: Decision, now: datetime, sales_ops: str) -> str:
    """Why an approval does not count, in words; empty where it does. `sales_ops`: name of the permission set."""
    person = decision.person
    if person is None or decision.at is None:
        return "nobody but the user that crmsync logs in as has changed this record"
    if person.ours:
        return f"{person.name} is the user that crmsync logs in as; a person must decide"
    if not person.active:
        return f"{person.name} is not an active user"
    if not person.decides:
        return f"{person.name} changed this record last and does not have the permission set {sales_ops}"
    if now - decision.at > VALID_FOR:
        return f"the decision of {person.name} is of {decision.at:%Y-%m-%d %H:%M} UTC and held for 24 hours"
    return ""


def answered(state: str, text: str, decision: str | None = None) -> Mapping[str, str | None]:
    """What a run writes back onto the record; `decision`: put back to it, where what was decided did not count."""
    values: dict[str, str | None] = {"state": state, "answer": text}
    return values if decision is None else {**values, "decision": decision}
