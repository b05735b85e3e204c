"""What a plan writes beside the accounts, and what became of it: counts by kind, and the first records."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from crmsync.logs import safe_text
from crmsync.reports.text import table

if TYPE_CHECKING:
    from crmsync.writeback.apply import Outcomes
    from crmsync.writeback.plan import Plan

FIRST_ROWS = 3
SHOWN_VALUES = 90


def beside_lines(plan: Plan | None, outcomes: Outcomes | None) -> list[str]:
    """One row per kind of record, before a write with its first records; nothing where there are none."""
    if plan is None or not plan.beside:
        return []
    found = plan.count_beside()
    if outcomes is None:
        rows = [(sink, one["new"], one["changed"]) for sink, one in found.items()]
        heading: tuple[str, ...] = ("beside the accounts", "new", "changed")
        return ["", *table(heading, rows), *_first(plan)]
    heading = ("beside the accounts", "new", "changed", "written", "refused", "conflicts", "waiting for the account")
    told = [
        (sink, one["new"], one["changed"], done.applied, done.parked, done.conflicts, done.waiting)
        for sink, one in found.items()
        if (done := outcomes.beside.get(sink)) is not None
    ]
    return ["", *table(heading, told)]


def _first(plan: Plan) -> list[str]:
    lines = []
    for sink in plan.count_beside():
        for change in [one for one in plan.beside if one.sink == sink][:FIRST_ROWS]:
            values = ", ".join(f"{name} {value or 'empty'}" for name, value in change.values.items())
            short = values if len(values) <= SHOWN_VALUES else values[: SHOWN_VALUES - 1] + "…"
            lines.append(safe_text(f"  {sink} {change.record_id}: {short}"))
    return lines


def beside_content(plan: Plan) -> dict[str, Any]:
    """The same for programs: counts and first records by kind."""
    return {
        sink: {
            **one,
            "first": [
                {"key": change.record_id, "partner_id": change.partner_id, "why": change.why,
                 "values": dict(change.values)}
                for change in [each for each in plan.beside if each.sink == sink][:FIRST_ROWS]
            ],
        }
        for sink, one in plan.count_beside().items()
    }  # fmt: skip
