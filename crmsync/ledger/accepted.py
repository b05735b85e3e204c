"""Accepted standings: which file the next assessment starts from, and the tier history they leave.

Standings are accepted once their plan has been applied (or had nothing to change). A plan alone accepts nothing.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

from sqlalchemy import Connection, func, insert, select

from crmsync.errors import ConfigError, StoreError
from crmsync.failpoints import hit
from crmsync.ledger import tables as t
from crmsync.ledger.audit import record_event
from crmsync.ledger.canon import canonical, instant
from crmsync.ledger.ledger import Ledger


@dataclass(frozen=True)
class Accepted:
    """One accepted standings file. `table_rows`: rows per table of the snapshot they were computed from."""

    as_of: date
    run_id: str
    path: Path
    sha256: str
    table_rows: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class TierStep:
    """One partner's granted tier in one category, as an assessment gave it."""

    program: str
    partner_id: str
    category: str
    from_tier: str | None
    to_tier: str | None
    movement: str


def previous_standings(ledger: Ledger, as_of: date) -> Accepted | None:
    """The newest accepted standings strictly before `as_of`; None at the first assessment.

    The same `as_of` again therefore starts from the same previous standings.
    Errors: ConfigError when `as_of` lies before the newest accepted one; StoreError when the file is gone or changed.
    """
    newest = newest_standings(ledger)
    if newest is not None and as_of < newest.as_of:
        raise ConfigError(
            f"as_of {as_of} lies before {newest.as_of}, the newest accepted assessment (run {newest.run_id}): movement "
            f"goes forward only; use {newest.as_of} or later, or `crmsync assess` for a look at the past"
        )
    with ledger.reading() as connection:
        found = _newest(connection, before=as_of)
    if found is not None:
        _verify(found)
    return found


def newest_standings(ledger: Ledger) -> Accepted | None:
    """The newest accepted standings; None before the first."""
    with ledger.reading() as connection:
        return _newest(connection)


def accept_standings(
    ledger: Ledger,
    run_id: str,
    as_of: date,
    path: Path,
    *,
    table_rows: Mapping[str, int] | None = None,
    steps: Iterable[TierStep] = (),
) -> None:
    """Make these standings the ones that later assessments start from, and record what tier each partner now has.

    `table_rows`: rows per table of their snapshot (what a later empty table is compared with).
    Errors: ConfigError when `as_of` lies before the newest accepted one.
    """
    newest = newest_standings(ledger)
    if newest is not None and as_of < newest.as_of:
        raise ConfigError(f"as_of {as_of} lies before {newest.as_of}, the newest accepted assessment")
    row = {
        "as_of": as_of.isoformat(),
        "run_id": run_id,
        "path": str(path.resolve()),
        "sha256": _sha256(path),
        "table_rows": canonical(dict(table_rows or {})),
        "accepted_at": instant(),
    }
    with ledger.writing() as connection:
        connection.execute(insert(t.standings).values(row))
        tiers = _record_tiers(connection, run_id, as_of, steps)
        told = {"run_id": run_id, "as_of": row["as_of"], "sha256": row["sha256"], "tiers": tiers_digest(tiers)}
        record_event(connection, "standings_accepted", {**told, "changed": len(tiers)})
    hit("standings_accepted")


def _newest(connection: Connection, before: date | None = None) -> Accepted | None:
    query = select(t.standings).order_by(t.standings.c.as_of.desc(), t.standings.c.sequence.desc()).limit(1)
    if before is not None:
        query = query.where(t.standings.c.as_of < before.isoformat())
    row = connection.execute(query).one_or_none()
    if row is None:
        return None
    return Accepted(
        date.fromisoformat(row.as_of), row.run_id, Path(row.path), row.sha256, json.loads(row.table_rows)
    )  # fmt: skip


def _verify(accepted: Accepted) -> None:
    if not accepted.path.is_file():
        raise StoreError(
            f"{accepted.path}: the accepted standings of {accepted.as_of} (run {accepted.run_id}) are missing; "
            "restore the state folder, because without them every partner would be entered anew"
        )
    if _sha256(accepted.path) != accepted.sha256:
        raise StoreError(
            f"{accepted.path}: the accepted standings of {accepted.as_of} were changed since run {accepted.run_id}; "
            "restore the file from a copy"
        )


def _sha256(path: Path) -> str:
    try:
        with path.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError as error:
        raise StoreError(f"{path}: the standings cannot be read ({error})") from error


TIER = ("program", "partner_id", "category", "as_of", "from_tier", "to_tier", "movement")


def tiers_digest(rows: Iterable[Mapping[str, object]]) -> str:
    """What the audit keeps of the tiers that were recorded together, in their order."""
    text = canonical([[row[name] for name in TIER] for row in rows])
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def _record_tiers(
    connection: Connection, run_id: str, as_of: date, steps: Iterable[TierStep]
) -> list[dict[str, object]]:
    """Append one row per partner and category whose granted tier differs from the last recorded one; returns them."""
    known = _last_tiers(connection)
    rows = [
        {**vars(step), "as_of": as_of.isoformat(), "run_id": run_id}
        for step in steps
        if known.get((step.program, step.partner_id, step.category), "") != (step.to_tier or "")
    ]
    if rows:
        connection.execute(insert(t.tier_history), rows)
    return rows


def _last_tiers(connection: Connection) -> dict[tuple[str, str, str], str]:
    newest = (
        select(func.max(t.tier_history.c.sequence))
        .group_by(t.tier_history.c.program, t.tier_history.c.partner_id, t.tier_history.c.category)
        .scalar_subquery()
    )
    rows = connection.execute(select(t.tier_history).where(t.tier_history.c.sequence.in_(newest)))
    return {(row.program, row.partner_id, row.category): row.to_tier or "" for row in rows}
