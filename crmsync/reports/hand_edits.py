"""Fields that people edited by hand: what was found, and what becomes of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from crmsync.logs import safe_text
from crmsync.reports.text import table

if TYPE_CHECKING:
    from crmsync.ledger.conflicts import ConflictRow
    from crmsync.writeback.plan import Plan

SHOWN = 12
SHOWN_VALUE = 40
HEADING = ("record", "field", "written last", "found", "what becomes of it")
BECOMES: Mapping[str, str] = {
    "waits": "left alone; the run after people were told writes it again",
    "restored": "written again",
    "frozen": "left alone while it holds this",
    "gone": "no longer there",
}
STANDS: Mapping[str, str] = {
    "restore": "written again by the next run",
    "freeze": "left alone while it holds this",
    "adopt": "an override until",
}


def edit_lines(plan: Plan | None) -> list[str]:
    """The edits that a plan found, and what it does about each; nothing where there are none."""
    edits = [edit for edit in plan.hand_edits if edit.outcome != "gone"] if plan else []
    rows = [(edit.record_id, edit.field, _short(edit.ours), _short(edit.found), _becomes(edit)) for edit in edits]
    return _told(rows, HEADING)


def open_edit_lines(conflicts: Sequence[ConflictRow]) -> list[str]:
    """The same of edits that the ledger knows of, for `status`."""
    rows = [
        (one.record_id, one.field, _short(one.ours), _short(one.found), " ".join([STANDS[one.policy], one.until or ""]))
        for one in conflicts
    ]
    return _told(rows, HEADING)


def _told(rows: Sequence[tuple[str, ...]], heading: tuple[str, ...]) -> list[str]:
    if not rows:
        return []
    more = [f"… and {len(rows) - SHOWN} more"] if len(rows) > SHOWN else []
    return ["", f"edited by hand: {len(rows)}", *table(heading, rows[:SHOWN]), *more]


def _becomes(edit: Any) -> str:
    if edit.outcome == "adopted":
        return f"an override of tier {edit.found} until {edit.until}"
    return BECOMES[edit.outcome]


def _short(value: str | None) -> str:
    text = safe_text(value or "empty")
    return text if len(text) <= SHOWN_VALUE else text[: SHOWN_VALUE - 1] + "…"


def edit_content(plan: Plan) -> list[dict[str, Any]]:
    """The same for programs."""
    return [vars(edit) for edit in plan.hand_edits]
