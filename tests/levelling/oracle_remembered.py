"""What standings remember: rows of the standings table read back as `Stood`. Shares no code with the engine."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

from crmsync.programs.program import Program
from tests.levelling.oracle_overrides import LASTING
from tests.levelling.oracle_places import Stood

Row = Mapping[str, Any]


def stood_from(program: Program, rows: Sequence[Row]) -> dict[tuple[str, str], Stood]:
    """The standings that still stand, by (partner, category)."""
    return {
        (row["partner_id"], row["category"]): _stood(program, row)
        for row in rows
        if row["movement"] != "left" and (row["movement"] is not None or row["earned_tier"] is not None)
    }


def _stood(program: Program, row: Row) -> Stood:
    keys = [None, *(tier.key for tier in program.ladder_of(row["category"].split("/")[0]).tiers)]
    state = state_of(row)
    earned = keys.index(row["earned_tier"])
    out = -1 if earned == 0 else 0

    def waiting(key: str | None) -> int | None:
        return None if key is None else out if key == "none" else keys.index(key)

    return Stood(
        earned=earned,
        granted=keys.index(row["granted_tier"]),
        since=row["tier_since"],
        grace_until=row.get("grace_until"),
        pending=waiting(row.get("pending_tier")),
        pending_on=row.get("pending_on"),
        promoted_on=_day(state.get("promoted_on")),
        decided_on=_day(state.get("decided_on")),
        declined=waiting(state.get("declined")),
        member_since=_day(state.get("member_since")),
        held=_days(state.get("held")),
        met=_days(state.get("met")),
        kinds=frozenset(one["kind"] for one in row["overrides"] if one["kind"] in LASTING),
    )


def state_of(row: Row) -> dict[str, Any]:
    """The state without what is empty."""
    found = row.get("state") or {}
    found = json.loads(found) if isinstance(found, str) else found
    filled = {key: _filled(value) for key, value in found.items()}
    return {key: value for key, value in filled.items() if value not in (None, {})}


def _filled(value: Any) -> Any:
    return {key: one for key, one in value.items() if one is not None} if isinstance(value, dict) else value


def _day(text: str | None) -> date | None:
    return None if text is None else date.fromisoformat(str(text))


def _days(texts: Any) -> dict[str, date]:
    return {key: date.fromisoformat(str(text)) for key, text in (texts or {}).items()}
