"""What Prometheus is told, read from the ledger: of the last runs, so that a failure never erases the last success.

The same text is served at /metrics and written as a file for the node exporter's textfile collector. It holds counts,
words of the program (tiers) and names of CRM objects, no partner and no person.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import structlog
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.metrics_core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from sqlalchemy import Connection, func, select

from crmsync.errors import CrmsyncError
from crmsync.ledger import tables as t
from crmsync.ledger.ledger import Ledger

log = structlog.get_logger()

SUCCEEDED = (0, 3)
READABLE = 0o644  # the collector is another user
OPEN_CONFLICTS = ("open", "told", "frozen")
CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


def metrics_text(ledger: Ledger) -> bytes:
    """Every figure, in Prometheus' text format."""
    registry = CollectorRegistry()
    registry.register(_OfLedger(ledger))
    return generate_latest(registry)


def export_metrics(path: Path | None, ledger: Ledger) -> None:
    """The same as a file, replaced as a whole, where one is asked for. A fault of it never fails the run."""
    if path is None:
        return
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        beside.write_bytes(metrics_text(ledger))
        beside.chmod(READABLE)
        beside.replace(path)
    except (OSError, CrmsyncError) as error:
        log.warning("metrics_not_written", path=str(path), told=str(error))


class _OfLedger(Collector):
    """Reads the figures when they are asked for."""

    def __init__(self, ledger: Ledger) -> None:
        self.ledger = ledger

    def describe(self) -> list[Metric]:
        """Nothing that could be known beforehand; keeps the registry from reading at once."""
        return []

    def collect(self) -> Iterator[Metric]:
        """All families, of one consistent view."""
        with self.ledger.reading() as connection:
            yield from _runs(connection)
            yield from _last_run(connection)
            yield from _writes(connection)
            yield from _tiers(connection)
            yield from _guards(connection)
            yield from _slots(connection)


def _runs(connection: Connection) -> Iterator[Metric]:
    r = t.run
    whole = r.c.kind.in_(("run", "apply"))
    success = select(func.max(r.c.ended_at)).where(whole, r.c.exit_code.in_(SUCCEEDED))
    last = select(r.c.ended_at, r.c.exit_code).where(whole, r.c.ended_at.is_not(None)).order_by(r.c.sequence.desc())
    succeeded = connection.scalar(success)
    ended = connection.execute(last.limit(1)).one_or_none()
    if succeeded is not None:
        yield _one("crmsync_last_success_timestamp", "When a run last succeeded, in seconds.", _seconds(succeeded))
    if ended is not None:
        yield _one("crmsync_last_run_timestamp", "When a run last ended, in seconds.", _seconds(ended.ended_at))
        yield _one("crmsync_last_run_exit_code", "How it ended; 0 and 3 are successes.", ended.exit_code)
    counted = connection.execute(select(r.c.state, func.count()).group_by(r.c.state)).all()
    yield _several("crmsync_runs", "Runs in the ledger.", ("state",), {(state,): count for state, count in counted})


def _last_run(connection: Connection) -> Iterator[Metric]:
    r, p = t.run, t.run_phase
    newest = select(r.c.run_id).where(r.c.ended_at.is_not(None)).order_by(r.c.sequence.desc()).limit(1)
    run_id = connection.scalar(newest)
    phases = connection.execute(select(p.c.phase, p.c.seconds).where(p.c.run_id == run_id)).all()
    yield _several(
        "crmsync_run_duration_seconds", "How long each stage of the last run took.", ("phase",),
        {(phase,): seconds for phase, seconds in phases},
    )  # fmt: skip
    s, o = t.snapshot, t.snapshot_object
    sealed = connection.scalar(select(s.c.run_id).order_by(s.c.sealed_at.desc()).limit(1))
    rows = connection.execute(select(o.c.object, o.c.rows_read).where(o.c.run_id == sealed)).all()
    yield _several(
        "crmsync_records", "Records of the newest snapshot.", ("object",), {(name,): count for name, count in rows}
    )
    u = t.api_usage
    usage = connection.execute(
        select(u.c.org_used, u.c.org_limit).join(r, r.c.run_id == u.c.run_id)
        .where(u.c.org_limit > 0, u.c.org_used.is_not(None)).order_by(r.c.sequence.desc()).limit(1)
    ).one_or_none()  # fmt: skip
    if usage is not None:
        ratio = usage.org_used / usage.org_limit
        yield _one("crmsync_api_used_ratio", "Used share of the org's API allowance, as it last said.", ratio)


def _writes(connection: Connection) -> Iterator[Metric]:
    i, c, n = t.intent, t.conflict, t.notice
    states = connection.execute(select(i.c.state, func.count()).group_by(i.c.state)).all()
    yield _several("crmsync_intents", "Writes by what became of them.", ("state",), {(s,): k for s, k in states})
    conflicts = connection.scalar(select(func.count()).where(c.c.state.in_(OPEN_CONFLICTS)))
    yield _one("crmsync_conflicts", "Hand edits of computed fields that are not settled.", conflicts or 0)
    notices = connection.execute(select(n.c.state, func.count()).group_by(n.c.state)).all()
    yield _several("crmsync_notices", "Notices by what became of them.", ("state",), {(s,): k for s, k in notices})


def _tiers(connection: Connection) -> Iterator[Metric]:
    h, s = t.tier_history, t.standings
    newest = connection.scalar(select(s.c.run_id).order_by(s.c.sequence.desc()).limit(1))
    moved = h.c.from_tier.is_distinct_from(h.c.to_tier)
    moves = connection.execute(
        select(h.c.from_tier, h.c.to_tier, func.count())
        .where(h.c.run_id == newest, moved)
        .group_by(h.c.from_tier, h.c.to_tier)
    ).all()
    yield _several(
        "crmsync_tier_changes", "Changes of tier in the last accepted run.", ("from", "to"),
        {(before or "", after or ""): count for before, after, count in moves},
    )  # fmt: skip


def _guards(connection: Connection) -> Iterator[Metric]:
    p, g = t.plan, t.guard_result
    plan = connection.execute(select(p.c.digest, p.c.run_id).order_by(p.c.sequence.desc()).limit(1)).one_or_none()
    found: dict[tuple[str, ...], float] = {}
    if plan is not None:
        query = select(g.c.guard, g.c.tripped).where(g.c.digest == plan.digest, g.c.run_id == plan.run_id)
        found = {(name,): tripped for name, tripped in connection.execute(query).all()}
    yield _several("crmsync_guard", "1 where a guard of the newest plan tripped.", ("name",), found)


def _slots(connection: Connection) -> Iterator[Metric]:
    s = t.schedule_slot
    states = connection.execute(select(s.c.schedule, s.c.state, func.count()).group_by(s.c.schedule, s.c.state)).all()
    yield _several(
        "crmsync_slots", "Slots of the schedule by what became of them.", ("schedule", "state"),
        {(name, state): count for name, state, count in states},
    )  # fmt: skip
    done = select(s.c.schedule, func.max(s.c.due_at)).where(s.c.state == "done").group_by(s.c.schedule)
    yield _several(
        "crmsync_slot_done_timestamp", "When the newest slot that was run was due, in seconds.", ("schedule",),
        {(name,): _seconds(due) for name, due in connection.execute(done).all()},
    )  # fmt: skip


def _one(name: str, text: str, value: float) -> Metric:
    return GaugeMetricFamily(name, text, value=value)


def _several(name: str, text: str, labels: tuple[str, ...], values: dict[tuple[str, ...], float]) -> Metric:
    family = GaugeMetricFamily(name, text, labels=labels)
    for key, value in sorted(values.items()):
        family.add_metric(key, value)
    return family


def _seconds(instant: str) -> float:
    return datetime.fromisoformat(instant).timestamp()
