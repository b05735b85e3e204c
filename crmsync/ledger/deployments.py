"""Deploys in the audit: what was sent to the org, what came of it, and whom the permission set was given."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass

from sqlalchemy import select

from crmsync.ledger import tables as t
from crmsync.ledger.audit import record_event
from crmsync.ledger.ledger import Ledger

SENT, APPLIED, REMOVED = "deploy_sent", "deploy_applied", "deploy_removed"
REFUSED, ASSIGNED = "deploy_refused", "deploy_assigned"
"""`deploy_sent` without one of the others behind it: nobody knows what became of that deploy."""
SHOWN = 5


@dataclass(frozen=True)
class Deployment:
    """One event of a deploy. `components`: how many were made, widened or removed; `at`: ISO text in UTC."""

    at: str
    event: str
    org: str
    digest: str
    components: int
    deploy_id: str | None


def record_deployment(
    ledger: Ledger, event: str, org: str, digest: str, components: Iterable[str] = (), deploy_id: str | None = None
) -> None:
    """Append one event. `components`: as `add field Account.Tier__c`; `digest`: of what was planned."""
    content = {"org": org, "digest": digest, "components": sorted(components), "deploy_id": deploy_id}
    with ledger.writing() as connection:
        record_event(connection, event, content, actor="shell")


def newest_deployments(ledger: Ledger, count: int = SHOWN) -> tuple[Deployment, ...]:
    """The last deploys, newest first; one that was sent and ended is told by its end."""
    wanted = select(t.audit.c.at, t.audit.c.event, t.audit.c.content).where(
        t.audit.c.event.in_((SENT, APPLIED, REMOVED, REFUSED, ASSIGNED))
    )
    with ledger.reading() as connection:
        rows = connection.execute(wanted.order_by(t.audit.c.sequence.desc()).limit(2 * count)).all()
    found: list[Deployment] = []
    ended = ""
    for row in rows:
        content = json.loads(row.content)
        if row.event == SENT and content["digest"] == ended:
            ended = ""
            continue
        ended = content["digest"] if row.event in (APPLIED, REMOVED, REFUSED) else ended
        parts = len(content["components"])
        found.append(Deployment(row.at, row.event, content["org"], content["digest"], parts, content["deploy_id"]))
    return tuple(found[:count])
