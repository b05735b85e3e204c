"""What the ledger knows of one partner, oldest first: tiers, writes, hand edits, approvals, notices."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Any

from sqlalchemy import Connection, select

from crmsync.ledger import tables as t
from crmsync.ledger.ledger import Ledger


@dataclass(frozen=True)
class TierChange:
    """One change of a granted tier, as an accepted assessment gave it; tiers are keys."""

    program: str
    partner_id: str
    category: str
    as_of: date
    run_id: str
    from_tier: str | None
    to_tier: str | None
    movement: str


@dataclass(frozen=True)
class Happened:
    """One thing that happened to a partner. `at`: ISO text in UTC; `what`: tier, decision, write, approval, conflict,
    notice; `said`: in words; `details`: what stands behind it."""

    at: str
    what: str
    run_id: str | None
    said: str
    details: Mapping[str, Any] = field(default_factory=dict)


def tier_history(ledger: Ledger, partner_id: str) -> list[TierChange]:
    """Every granted tier a partner has had, oldest first."""
    h = t.tier_history
    query = select(h).where(h.c.partner_id == partner_id).order_by(h.c.sequence)
    with ledger.reading() as connection:
        rows = connection.execute(query).all()
    return [
        TierChange(
            row.program, row.partner_id, row.category, date.fromisoformat(row.as_of), row.run_id, row.from_tier,
            row.to_tier, row.movement,
        )
        for row in rows
    ]  # fmt: skip


def partner_history(ledger: Ledger, partner_id: str) -> list[Happened]:
    """Everything the ledger knows of a partner (its id, or the id of its record), oldest first."""
    with ledger.reading() as connection:
        found = [
            *_tiers(connection, partner_id),
            *_writes(connection, partner_id),
            *_approvals(connection, partner_id),
            *_conflicts(connection, partner_id),
            *_notices(connection, partner_id),
        ]
    return sorted(found, key=lambda one: one.at)


def _tiers(connection: Connection, partner: str) -> Iterator[Happened]:
    h, r = t.tier_history, t.run
    query = select(h, r.c.started_at).outerjoin(r, r.c.run_id == h.c.run_id).where(h.c.partner_id == partner)
    for row in connection.execute(query.order_by(h.c.sequence)):
        said = f"{row.category}: {row.from_tier or 'no tier'} → {row.to_tier or 'no tier'} ({row.movement})"
        details = {"category": row.category, "from": row.from_tier, "to": row.to_tier, "movement": row.movement}
        yield Happened(row.started_at or row.as_of, "tier", row.run_id, f"{said}, as of {row.as_of}",
                       {**details, "as_of": row.as_of})  # fmt: skip


def _writes(connection: Connection, partner: str) -> Iterator[Happened]:
    i, o = t.intent, t.outcome
    mine = (i.c.partner_id == partner) | (i.c.record_id == partner)
    query = select(i, o.c.state.label("became"), o.c.code.label("said_code"), o.c.message.label("said"), o.c.at)
    for row in connection.execute(query.join(o, o.c.intent_id == i.c.intent_id).where(mine).order_by(o.c.sequence)):
        wanted, before = json.loads(row.wanted), json.loads(row.pre_image)
        what = row.object or "account"
        changed = [name for name in sorted(wanted) if wanted[name] != before.get(name)]
        refused = f": {row.said_code or ''} {row.said or ''}".rstrip() if row.said else ""
        fields = {name: [before.get(name), wanted[name]] for name in changed}
        details = {"record_id": row.record_id, "object": what, "state": row.became, "plan": row.digest,
                   "token": row.token, "fields": fields}  # fmt: skip
        yield Happened(row.at, "write", row.run_id, f"{what} {row.record_id}: {row.became}{refused}", details)


def _approvals(connection: Connection, partner: str) -> Iterator[Happened]:
    a, i = t.approval, t.intent
    of_partner = select(i.c.digest).where((i.c.partner_id == partner) | (i.c.record_id == partner)).distinct()
    for row in connection.execute(select(a).where(a.c.digest.in_(of_partner)).order_by(a.c.sequence)):
        said = f"plan {row.digest[:12]} approved by {row.person} ({row.source}), until {row.until}"
        yield Happened(row.approved_at, "approval", None, said, {"plan": row.digest, "person": row.person})


def _conflicts(connection: Connection, partner: str) -> Iterator[Happened]:
    c = t.conflict
    query = select(c).where((c.c.partner_id == partner) | (c.c.record_id == partner)).order_by(c.c.found_at)
    for row in connection.execute(query):
        said = f"{row.field} on {row.object} {row.record_id}: found {row.found!r}, ours was {row.ours!r}"
        until = f" until {row.until}" if row.until else ""
        details = {"field": row.field, "ours": row.ours, "found": row.found, "policy": row.policy, "state": row.state,
                   "changed_at": row.changed_at, "until": row.until}  # fmt: skip
        yield Happened(row.found_at, "conflict", row.run_id, f"{said}; {row.policy}: {row.state}{until}", details)


def _notices(connection: Connection, partner: str) -> Iterator[Happened]:
    n = t.notice
    for row in connection.execute(select(n).where(n.c.partner_id == partner).order_by(n.c.created_at)):
        details = {"event": row.event, "audience": row.audience, "state": row.state, "approved_by": row.approved_by}
        said = f"{row.event} to {row.audience} by {row.channel}: {row.state}"
        yield Happened(row.sent_at or row.created_at, "notice", row.run_id, said, details)
