"""Plans and the people who approve them: an approval binds one named person to one digest for 24 hours."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

from sqlalchemy import Row, func, insert, select, update

from crmsync.errors import ConfigError
from crmsync.ledger import tables as t
from crmsync.ledger.canon import instant
from crmsync.ledger.ledger import Ledger
from crmsync.ledger.upsert import upsert

VALID_FOR = timedelta(hours=24)
SHORTEST_PREFIX = 4


@dataclass(frozen=True)
class Approval:
    """Who opened which plan, until when (aware UTC)."""

    digest: str
    person: str
    until: datetime


@dataclass(frozen=True)
class GuardRow:
    """One guard of a plan as the ledger keeps it."""

    guard: str
    value: str
    bound: str
    tripped: bool
    way_out: str


@dataclass(frozen=True)
class PlanRow:
    """One drafted plan as the ledger keeps it. `state`: drafted, blocked, applying, applied, superseded."""

    digest: str
    run_id: str
    path: Path
    as_of: date
    changes: int
    movers: int
    blocked: bool
    state: str
    drafted_at: str


def record_plan(ledger: Ledger, plan: PlanRow, guards: Sequence[GuardRow]) -> None:
    """Keep a drafted plan and its guards; the drafted ones before it are superseded."""
    row = {
        **vars(plan),
        "path": str(plan.path.resolve()),
        "as_of": plan.as_of.isoformat(),
        "blocked": int(plan.blocked),
    }
    verdicts = [{**vars(g), "tripped": int(g.tripped), "digest": plan.digest, "run_id": plan.run_id} for g in guards]
    older = t.plan.c.state.in_(("drafted", "blocked"))
    with ledger.writing() as connection:
        connection.execute(update(t.plan).where(older).values(state="superseded"))
        connection.execute(upsert(t.plan).values(row).on_conflict_do_update(index_elements=KEY, set_=row))
        if verdicts:
            connection.execute(upsert(t.guard_result).on_conflict_do_nothing(), verdicts)


KEY = ["digest", "run_id"]


def set_plan_state(ledger: Ledger, digest: str, run_id: str, state: str) -> None:
    """Note how far a plan has come."""
    chosen = (t.plan.c.digest == digest) & (t.plan.c.run_id == run_id)
    with ledger.writing() as connection:
        connection.execute(update(t.plan).where(chosen).values(state=state))


def newest_plan(ledger: Ledger) -> PlanRow | None:
    """The plan drafted last; None before the first."""
    with ledger.reading() as connection:
        row = connection.execute(select(t.plan).order_by(t.plan.c.sequence.desc()).limit(1)).one_or_none()
    return None if row is None else _plan_row(row)


def plan_by_prefix(ledger: Ledger, prefix: str) -> PlanRow:
    """The newest plan whose digest starts with `prefix`. Errors: ConfigError when none or several plans fit."""
    if len(prefix) < SHORTEST_PREFIX:
        raise ConfigError(f"{prefix!r} is too short to name a plan; give the first digits of its digest, four or more")
    fits = func.substr(t.plan.c.digest, 1, len(prefix)) == prefix
    with ledger.reading() as connection:
        rows = connection.execute(select(t.plan).where(fits).order_by(t.plan.c.sequence.desc())).all()
    digests = sorted({row.digest for row in rows})
    if not digests:
        raise ConfigError(f"no plan has a digest that starts with {prefix!r}; `crmsync status` names the newest plan")
    if len(digests) > 1:
        named = ", ".join(digest[:12] for digest in digests[:5])
        raise ConfigError(f"{prefix!r} fits {len(digests)} plans ({named}); give more digits")
    return _plan_row(rows[0])


def _plan_row(row: Row[tuple[object, ...]]) -> PlanRow:
    return PlanRow(
        row.digest, row.run_id, Path(row.path), date.fromisoformat(row.as_of), row.changes, row.movers,
        bool(row.blocked), row.state, row.drafted_at,
    )  # fmt: skip


def guards_of(ledger: Ledger, digest: str, run_id: str) -> tuple[GuardRow, ...]:
    """The guards of one plan, by name."""
    chosen = (t.guard_result.c.digest == digest) & (t.guard_result.c.run_id == run_id)
    with ledger.reading() as connection:
        rows = connection.execute(select(t.guard_result).where(chosen).order_by(t.guard_result.c.guard)).all()
    return tuple(GuardRow(row.guard, row.value, row.bound, bool(row.tripped), row.way_out) for row in rows)


def approve(ledger: Ledger, digest: str, person: str) -> Approval:
    """Bind `person` to the plan of this digest (or its first digits) for 24 hours; returns the approval.

    Errors: ConfigError when no plan or several plans fit, or the person has no name.
    """
    if not person.strip():
        raise ConfigError("an approval needs the name of a person; give it with --by")
    plan = plan_by_prefix(ledger, digest)
    approval = Approval(plan.digest, person.strip(), datetime.now(UTC) + VALID_FOR)
    row = {
        "digest": approval.digest,
        "person": approval.person,
        "approved_at": instant(),
        "until": approval.until.isoformat(timespec="milliseconds"),
    }
    with ledger.writing() as connection:
        connection.execute(insert(t.approval).values(row))
    return approval


def approval_of(ledger: Ledger, digest: str) -> Approval | None:
    """The newest approval of exactly this digest that still holds; None where there is none."""
    newest = select(t.approval).where(t.approval.c.digest == digest).order_by(t.approval.c.sequence.desc()).limit(1)
    with ledger.reading() as connection:
        row = connection.execute(newest).one_or_none()
    if row is None or (until := datetime.fromisoformat(row.until)) <= datetime.now(UTC):
        return None
    return Approval(row.digest, row.person, until)
