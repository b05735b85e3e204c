"""Which variables a template of which event and audience may name. What is not here cannot reach a text.

The partner's list is short on purpose: no reason, no risk, no override, nobody's name but the addressee's.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from crmsync.notices import events as e

PARTNER, TEAM = "partner", "team"
"""Whom a text is written for: the partner's own people, or people of the vendor (owner, sales ops, operator)."""

COMMON = ("program", "as_of", "recipient", "reference")
INTERNAL = ("run_id", "audit")
OF_PARTNER = ("partner",)

SAID: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        e.PROMOTED: ("category", "from_tier", "to_tier", "since", "next_tier", "missing"),
        e.DEMOTED: ("category", "from_tier", "to_tier", "since", "next_tier", "missing"),
        e.GRACE: ("category", "tier", "until", "days", "to_tier", "missing"),
        e.WILL_FALL: ("category", "tier", "falls_on", "days", "lead", "to_tier", "in_grace", "missing", "asked"),
        e.CERTIFICATE_LAPSING: ("certificates", "days", "first_day"),
    }
)
"""What both may be told."""

TEAM_ONLY: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        e.PROMOTED: ("why", "movement", "partner_id"),
        e.DEMOTED: ("why", "movement", "partner_id"),
        e.GRACE: ("partner_id",),
        e.WILL_FALL: ("reasons", "partner_id"),
        e.CERTIFICATE_LAPSING: ("partner_id",),
        e.OVERRIDE_ENDING: (
            "category", "tier", "kind", "value", "ends_on", "days", "reason", "tier_without", "partner_id",
        ),
        e.CONFLICT: ("object", "record_id", "field", "ours", "found", "policy", "partner_id"),
        e.GUARD_TRIPPED: ("plan", "changes", "movers", "guards"),
        e.RUN_FAILED: ("kind", "error", "exit_code"),
        e.NOTICE_UNKNOWN: ("notices",),
        e.DIGEST: ("items",),
    }
)  # fmt: skip

OF_NOBODY = frozenset({e.GUARD_TRIPPED, e.RUN_FAILED, e.NOTICE_UNKNOWN, e.DIGEST})
"""Events that speak of no single partner."""


def audience_kind(audience: str) -> str:
    """For whom the texts of an audience are written."""
    return PARTNER if audience == PARTNER else TEAM


def variables_of(event: str, kind: str) -> frozenset[str]:
    """Every variable that a template of this event for partners or the team may name."""
    named = COMMON + (() if event in OF_NOBODY else OF_PARTNER) + SAID.get(event, ())
    return frozenset(named if kind == PARTNER else named + INTERNAL + TEAM_ONLY.get(event, ()))


def texts() -> tuple[tuple[str, str], ...]:
    """Every pair of event and kind that has templates."""
    return (*((event, PARTNER) for event in SAID), *((event, TEAM) for event in TEAM_ONLY))
