"""What past runs left, and for how long it is kept.

Snapshots: those of the last ten runs and of the last sixty review dates. Accepted standings, tiers, outcomes and the
audit: for good. What was sent to a record and what stood there before (its payload): 90 days after it was settled; the
saved plan that holds the same: as long, or as long as the snapshot it was drafted from.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

from sqlalchemy import and_, func, select, update

from crmsync.ledger import tables as t
from crmsync.ledger.approvals import WAITING
from crmsync.ledger.audit import record_event
from crmsync.ledger.canon import instant
from crmsync.ledger.ledger import Ledger
from crmsync.snapshots import retain_snapshots

KEPT_RUNS = 10
REVIEWS = 60
"""Five years of months; a program that reviews on nearly every day would fill the disk otherwise."""
PAYLOADS = timedelta(days=90)
SETTLED = ("applied", "superseded")
"""Refused and open writes keep their payload until they are solved."""
GONE = "{}"


def forget_old(ledger: Ledger, state: Path, now: datetime | None = None) -> None:
    """Remove what runs before the last ten left in the state folder, and payloads that have had their time."""
    with ledger.reading() as connection:
        newest = select(t.run.c.run_id).order_by(t.run.c.sequence.desc()).limit(KEPT_RUNS)
        kept = set(connection.execute(newest).scalars())
        accepted = set(connection.execute(select(t.standings.c.path)).scalars())
        planned = set(connection.execute(select(t.plan.c.run_id).where(t.plan.c.state != "superseded")).scalars())
        s = t.snapshot
        reviews = select(s.c.run_id).where(s.c.period_end == 1).order_by(s.c.as_of.desc()).limit(REVIEWS)
        ends = set(connection.execute(reviews).scalars())
    removed = retain_snapshots(state / "snapshots", keep=KEPT_RUNS, always=kept | ends)
    _note_removed(ledger, [path.name for path in removed])
    for path in _children(state / "standings"):
        if path.stem not in kept | planned and str(path.resolve()) not in accepted:
            path.unlink(missing_ok=True)
    for path in (*_children(state / "rejected"), *_children(state / "shadow")):
        if path.name.partition(".")[0] not in kept:
            path.unlink(missing_ok=True)
    _forget_checkpoints(ledger)
    forget_payloads(ledger, now or datetime.now(UTC))
    forget_plans(ledger, state, now or datetime.now(UTC))


def keep_longer(ledger: Ledger, run_id: str) -> None:
    """Keep the snapshot of this run beyond the last ten: tiers of a review date are asked about for years."""
    with ledger.writing() as connection:
        connection.execute(update(t.snapshot).where(t.snapshot.c.run_id == run_id).values(period_end=1))


def forget_payloads(ledger: Ledger, now: datetime) -> int:
    """Empty the payloads of writes that were settled more than 90 days ago; returns how many. The audit tells it."""
    before = (now - PAYLOADS).isoformat(timespec="milliseconds")
    i = t.intent
    old = and_(i.c.state.in_(SETTLED), i.c.changed_at < before, i.c.wanted != GONE)
    with ledger.reading() as connection:
        count = connection.scalar(select(func.count()).select_from(i).where(old)) or 0
    if count:
        with ledger.writing() as connection:
            connection.execute(update(i).where(old).values(wanted=GONE, pre_image=GONE))
            record_event(connection, "payloads_removed", {"before": before, "intents": count})
    return count


def forget_plans(ledger: Ledger, state: Path, now: datetime) -> int:
    """Remove saved plans that nobody can apply any more, once their payloads have had their time and the snapshot of
    their run is gone (until then a run is computed again with what its plan says); returns how many."""
    before = (now - PAYLOADS).isoformat(timespec="milliseconds")
    p = t.plan
    with ledger.reading() as connection:
        rows = connection.execute(select(p.c.digest, p.c.run_id, p.c.state, p.c.drafted_at)).all()
    old = {row.digest for row in rows if row.state not in WAITING and row.drafted_at < before}
    wanted = {
        row.digest
        for row in rows
        if row.state in WAITING or row.drafted_at >= before or (state / "snapshots" / row.run_id).is_dir()
    }
    gone = [path for digest in old - wanted if (path := state / "plans" / f"{digest}.json").exists()]
    for path in gone:
        path.unlink()
    return len(gone)


def _forget_checkpoints(ledger: Ledger) -> None:
    """Only the newest run is ever gone on with; what older ones kept for that may hold values of records."""
    older = select(t.run.c.run_id).where(t.run.c.sequence < select(func.max(t.run.c.sequence)).scalar_subquery())
    with ledger.writing() as connection:
        kept = t.run_phase.c.checkpoint.is_not(None) & t.run_phase.c.run_id.in_(older)
        connection.execute(update(t.run_phase).where(kept).values(checkpoint=None))


def _note_removed(ledger: Ledger, runs: list[str]) -> None:
    if runs:
        with ledger.writing() as connection:
            gone = t.snapshot.c.run_id.in_(runs) & t.snapshot.c.removed_at.is_(None)
            connection.execute(update(t.snapshot).where(gone).values(removed_at=instant()))


def _children(folder: Path) -> list[Path]:
    return sorted(folder.iterdir()) if folder.is_dir() else []
