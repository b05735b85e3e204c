"""Which snapshots, standings and lists of rejected rows of past runs are kept."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import select

from crmsync.ledger import tables as t
from crmsync.ledger.ledger import Ledger
from crmsync.snapshots import retain_snapshots

KEPT_RUNS = 10


def forget_old(ledger: Ledger, state: Path) -> None:
    """Remove what runs before the last ten left in the state folder; accepted standings are kept for good."""
    with ledger.reading() as connection:
        newest = select(t.run.c.run_id).order_by(t.run.c.sequence.desc()).limit(KEPT_RUNS)
        kept = set(connection.execute(newest).scalars())
        accepted = set(connection.execute(select(t.standings.c.path)).scalars())
        planned = set(connection.execute(select(t.plan.c.run_id).where(t.plan.c.state != "superseded")).scalars())
    retain_snapshots(state / "snapshots", keep=KEPT_RUNS, always=kept)
    for path in _children(state / "standings"):
        if path.stem not in kept | planned and str(path.resolve()) not in accepted:
            path.unlink(missing_ok=True)
    for path in (*_children(state / "rejected"), *_children(state / "shadow")):
        if path.name.partition(".")[0] not in kept:
            path.unlink(missing_ok=True)


def _children(folder: Path) -> list[Path]:
    return sorted(folder.iterdir()) if folder.is_dir() else []
