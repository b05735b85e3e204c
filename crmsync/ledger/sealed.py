"""Sealed snapshots as the ledger knows them: counts, digests and trend figures per table."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

from sqlalchemy import select

from crmsync.ledger import tables as t
from crmsync.ledger.canon import canonical, instant
from crmsync.ledger.ledger import Ledger
from crmsync.ledger.upsert import changed

USUAL_RUNS = 11
"""Accepted snapshots that tell how a table usually shrinks: ten steps."""


@dataclass(frozen=True)
class SealedTable:
    """One table of a sealed snapshot. `before`, `after`: the CRM's own counts; `figures`: what trends compare."""

    name: str
    rows: int
    sha256: str
    before: int | None
    after: int | None
    figures: Mapping[str, Any]


@dataclass(frozen=True)
class Sealed:
    """One sealed snapshot. `kind`: full or increment."""

    run_id: str
    digest: str
    path: Path
    as_of: date
    kind: str
    tables: Sequence[SealedTable]


def record_snapshot(ledger: Ledger, sealed: Sealed) -> None:
    """Keep what is known of a snapshot; once more for the same run changes nothing."""
    row = {
        "run_id": sealed.run_id, "digest": sealed.digest, "path": str(sealed.path.resolve()),
        "as_of": sealed.as_of.isoformat(), "kind": sealed.kind, "sealed_at": instant(),
    }  # fmt: skip
    with ledger.writing() as connection:
        connection.execute(changed(t.snapshot, row))
        for one in sealed.tables:
            connection.execute(changed(t.snapshot_object, _object_row(sealed.run_id, one)))


def _object_row(run_id: str, one: SealedTable) -> dict[str, Any]:
    return {
        "run_id": run_id, "object": one.name, "count_before": one.before, "rows_read": one.rows,
        "count_after": one.after, "sha256": one.sha256, "figures": canonical(one.figures),
    }  # fmt: skip


def figures_of_run(ledger: Ledger, run_id: str) -> dict[str, Any]:
    """The figures of each table of a run's snapshot; empty where none were kept."""
    rows = select(t.snapshot_object).where(t.snapshot_object.c.run_id == run_id)
    with ledger.reading() as connection:
        return {row.object: json.loads(row.figures) for row in connection.execute(rows)}


@dataclass(frozen=True)
class Rules:
    """By which rules a run was made. `program`: digest of the program in force; `files`: of the kept files."""

    program: str
    files: str


def rules_of_run(ledger: Ledger, run_id: str) -> Rules | None:
    """The rules of a run; None where the ledger does not know them."""
    with ledger.reading() as connection:
        row = connection.execute(select(t.run).where(t.run.c.run_id == run_id)).one_or_none()
    if row is None or not row.program_digest or row.kind == "adopt":
        return None
    return Rules(row.program_digest, row.files_digest or "")


def stats_of_run(ledger: Ledger, run_id: str) -> dict[str, Any]:
    """The figures with which a run ended; empty where it is not known."""
    with ledger.reading() as connection:
        text = connection.scalar(select(t.run.c.stats).where(t.run.c.run_id == run_id))
    return dict(json.loads(text)) if text else {}


def rows_accepted(ledger: Ledger) -> list[dict[str, int]]:
    """Rows per table of the last accepted snapshots, the oldest first."""
    query = select(t.standings.c.table_rows).order_by(t.standings.c.sequence.desc()).limit(USUAL_RUNS)
    with ledger.reading() as connection:
        return [json.loads(text) for text in reversed(connection.execute(query).scalars().all())]
