"""Whether the other tables of the ledger still say what the audit said when it happened: tiers, standings, approvals,
writes, what runs were made of. The chain protects the audit's own rows; this carries its proof over to the others.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import islice
from typing import Any, get_args

from sqlalchemy import Connection, func, select

from crmsync.ledger import tables as t
from crmsync.ledger.accepted import tiers_digest
from crmsync.ledger.intents import IntentState, outcomes_digest
from crmsync.ledger.ledger import made_of

ENDED, RESUMED, WRITTEN = "run_ended", "run_resumed", "records_written"
TOLD = ("standings_accepted", "plan_approved", ENDED, RESUMED, WRITTEN)

OUTCOMES = frozenset(get_args(IntentState))


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
        *_outcomes(connection, told[WRITTEN]),
        *_runs(connection, sorted([*told[ENDED], *told[RESUMED]], key=lambda one: one[0])),
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
        if rows.get(key) != content.get("sha256"):
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


def _outcomes(connection: Connection, told: list[tuple[int, str, dict[str, Any]]]) -> Iterator[str]:
    """The first batch of outcomes that is not as it was told. Those of an older version stand before all that were."""
    o, i = t.outcome, t.intent
    counts = [sum(count for name, count in content.items() if name in OUTCOMES) for _, _, content in told]
    before = (connection.scalar(select(func.count()).select_from(o)) or 0) - sum(counts)
    query = select(o.c.record_id, o.c.state, i.c.token).outerjoin(i, i.c.intent_id == o.c.intent_id)
    rows = iter(connection.execute(query.order_by(o.c.sequence).offset(max(before, 0))))
    for (sequence, _, content), count in zip(told, counts, strict=True):
        if outcomes_digest(islice(rows, count)) != content.get("sha256"):
            where = f"run {content.get('run')} (event {sequence})"
            yield f"{where}: what became of its {count} writes is not what the audit tells of"
            return


def _runs(connection: Connection, told: list[tuple[int, str, dict[str, Any]]]) -> Iterator[str]:
    # A stopped run ends twice; one that was resumed and then killed has gone on since it was told of.
    last = {content["run_id"]: (sequence, content) for sequence, _, content in told}
    for run_id, (sequence, content) in last.items():
        now = made_of(connection, run_id)
        if "made_of" in content and now != content["made_of"]:
            names = [name for name, value in content["made_of"].items() if now.get(name) != value]
            told_of = f"{', '.join(names)} of the ledger are not those that the audit tells of"
            yield f"run {run_id} (event {sequence}): {told_of}"
