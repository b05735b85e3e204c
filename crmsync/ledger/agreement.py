"""Whether the other tables of the ledger still say what the audit said when it happened: tiers, standings, approvals,
what runs were made of. The chain protects the audit's own rows; this carries its proof over to those that it tells of.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from sqlalchemy import Connection, select

from crmsync.ledger import tables as t
from crmsync.ledger.accepted import tiers_digest
from crmsync.ledger.ledger import made_of

TOLD = ("standings_accepted", "plan_approved", "run_ended")


def disagreements(connection: Connection) -> list[str]:
    """Every row that is not as the audit told it, oldest first."""
    a = t.audit
    query = select(a.c.sequence, a.c.event, a.c.actor, a.c.content).where(a.c.event.in_(TOLD)).order_by(a.c.sequence)
    told: dict[str, list[tuple[int, str, dict[str, Any]]]] = {name: [] for name in TOLD}
    for row in connection.execute(query):
        told[row.event].append((row.sequence, row.actor, json.loads(row.content)))
    return [
        *_standings(connection, told["standings_accepted"]),
        *_approvals(connection, told["plan_approved"]),
        *_runs(connection, told["run_ended"]),
    ]


def _standings(connection: Connection, told: list[tuple[int, str, dict[str, Any]]]) -> Iterator[str]:
    s, h = t.standings, t.tier_history
    rows = {(row.run_id, row.as_of): row.sha256 for row in connection.execute(select(s))}
    tiers: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for row in connection.execute(select(h).order_by(h.c.sequence)).mappings():
        tiers.setdefault((row["run_id"], row["as_of"]), []).append(dict(row))
    for sequence, _, content in told:
        key = (content["run_id"], content["as_of"])
        where = f"run {key[0]}, as of {key[1]} (event {sequence})"
        if rows.get(key) != content["sha256"]:
            yield f"{where}: the accepted standings in the ledger are not those that the audit tells of"
        if tiers_digest(tiers.get(key, [])) != content["tiers"]:
            yield f"{where}: the tier history is not the one that the audit tells of"


def _approvals(connection: Connection, told: list[tuple[int, str, dict[str, Any]]]) -> Iterator[str]:
    begin = connection.scalar(select(t.audit.c.at).order_by(t.audit.c.sequence).limit(1)) or ""
    rows = connection.execute(select(t.approval)).all()
    found = {(row.digest, f"{row.source}:{row.person}", row.until): row.approved_at for row in rows}
    known = set()
    for sequence, actor, content in told:
        key = (content["digest"], actor, content["until"])
        known.add(key)
        if key not in found:
            yield f"plan {content['digest'][:12]} (event {sequence}): its approval by {actor} is gone or was changed"
    for key, at in sorted(found.items()):
        if key not in known and at >= begin:  # a ledger of an older version has approvals from before the audit
            yield f"plan {key[0][:12]}: an approval by {key[1]} of which the audit does not tell"


def _runs(connection: Connection, told: list[tuple[int, str, dict[str, Any]]]) -> Iterator[str]:
    last = {content["run_id"]: (sequence, content) for sequence, _, content in told}  # a stopped run ends twice
    for run_id, (sequence, content) in last.items():
        now = made_of(connection, run_id)
        if "made_of" in content and now != content["made_of"]:
            names = [name for name, value in content["made_of"].items() if now.get(name) != value]
            told_of = f"{', '.join(names)} of the ledger are not those that the audit tells of"
            yield f"run {run_id} (event {sequence}): {told_of}"
