"""Plans and the people who approve them: an approval binds one named person to one digest for 24 hours."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

from sqlalchemy import Row, func, insert, select, update

from crmsync.errors import ConfigError
from crmsync.ledger import tables as t
from crmsync.ledger.audit import record_event
from crmsync.ledger.ledger import Ledger
from crmsync.ledger.upsert import upsert

VALID_FOR = timedelta(hours=24)
CLOCKS_APART = timedelta(hours=1)
"""So much may the clock of who decided lie ahead of this machine's: two are never alike."""
SHORTEST_PREFIX = 4
WAITING = ("drafted", "blocked", "applying")
"""States of a plan that may still be written."""
GONE = ("superseded", "declined")
"""States of a plan that is never written."""
BEGUN = ("applying", "applied")
"""States of a plan that has reached the CRM."""


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
        told = {"digest": plan.digest, "run_id": plan.run_id, "changes": plan.changes, "movers": plan.movers}
        record_event(connection, "plan_drafted", {**told, "blocked": plan.blocked})


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


def begun_after(ledger: Ledger, digest: str) -> PlanRow | None:
    """The newest plan that was drafted after this one and has reached the CRM; None where there is none."""
    mine = select(func.max(t.plan.c.sequence)).where(t.plan.c.digest == digest).scalar_subquery()
    begun = select(t.plan).where(t.plan.c.sequence > mine, t.plan.c.digest != digest, t.plan.c.state.in_(BEGUN))
    with ledger.reading() as connection:
        row = connection.execute(begun.order_by(t.plan.c.sequence.desc()).limit(1)).one_or_none()
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

    Errors: ConfigError when no plan or several plans fit, the plan no longer waits, or the person has no name.
    """
    plan = plan_by_prefix(ledger, digest)
    if plan.state not in WAITING:
        raise ConfigError(f"plan {plan.digest[:12]} no longer waits: {_why_not(ledger, plan)}")
    return record_approval(ledger, plan.digest, person)


def _why_not(ledger: Ledger, plan: PlanRow) -> str:
    newest = newest_plan(ledger)
    if plan.state == "superseded" and newest is not None:
        return f"plan {newest.digest[:12]} of run {newest.run_id} has taken its place; look at that one"
    return f"it is {plan.state}"


def record_approval(
    ledger: Ledger,
    digest: str,
    person: str,
    *,
    source: str = "shell",
    record_id: str | None = None,
    at: datetime | None = None,
) -> Approval:
    """Keep who opened the plan of exactly this digest. `source`: shell or crm; `record_id`: of the record on which it
    was decided; `at`: when (aware; now). Errors: ConfigError when the person has no name.
    """
    if not (name := person.strip()):
        raise ConfigError("an approval needs the name of a person; give it with --by")
    decided_at = at or datetime.now(UTC)
    approval = Approval(digest, name, decided_at + VALID_FOR)
    row = {
        "digest": digest, "person": name, "approved_at": decided_at.astimezone(UTC).isoformat(timespec="milliseconds"),
        "until": approval.until.astimezone(UTC).isoformat(timespec="milliseconds"), "source": source,
        "record_id": record_id,
    }  # fmt: skip
    with ledger.writing() as connection:
        connection.execute(insert(t.approval).values(row))
        content = {"digest": digest, "source": source, "record_id": record_id, "until": row["until"]}
        record_event(connection, "plan_approved", content, actor=f"{source}:{name}")
    return approval


def record_declined(ledger: Ledger, plan: PlanRow, person: str, record_id: str) -> None:
    """Keep that a person declined a plan, on a record of the CRM; it is never written."""
    of_plan = (t.plan.c.digest == plan.digest) & (t.plan.c.run_id == plan.run_id)
    with ledger.writing() as connection:
        connection.execute(update(t.plan).where(of_plan).values(state="declined"))
        record_event(connection, "plan_declined", {"digest": plan.digest, "record_id": record_id}, f"crm:{person}")


def state_of_plan(ledger: Ledger, digest: str) -> PlanRow | None:
    """The newest plan of exactly this digest; None where none was drafted here."""
    newest = select(t.plan).where(t.plan.c.digest == digest).order_by(t.plan.c.sequence.desc()).limit(1)
    with ledger.reading() as connection:
        row = connection.execute(newest).one_or_none()
    return None if row is None else _plan_row(row)


def plan_of_run(ledger: Ledger, run_id: str) -> str:
    """Digest of the plan that a run drafted; empty where it drafted none."""
    newest = select(t.plan.c.digest).where(t.plan.c.run_id == run_id).order_by(t.plan.c.sequence.desc()).limit(1)
    with ledger.reading() as connection:
        return connection.scalar(newest) or ""


def blocked_plans(ledger: Ledger, most: int = 10) -> list[PlanRow]:
    """The plans that a guard blocked, the newest first, each digest once."""
    rows = select(t.plan).where(t.plan.c.blocked == 1).order_by(t.plan.c.sequence.desc()).limit(most)
    found: dict[str, PlanRow] = {}
    with ledger.reading() as connection:
        for row in connection.execute(rows):
            found.setdefault(row.digest, _plan_row(row))
    return list(found.values())


def approval_of(ledger: Ledger, digest: str) -> Approval | None:
    """The approval of exactly this digest that holds longest; None where none holds now.

    One that was given later than now, by a clock that was set back since, does not hold.
    """
    rows = select(t.approval).where(t.approval.c.digest == digest)
    now = datetime.now(UTC)
    with ledger.reading() as connection:
        found = [
            Approval(row.digest, row.person, until)
            for row in connection.execute(rows)
            if now < (until := datetime.fromisoformat(row.until)) <= now + VALID_FOR + CLOCKS_APART
        ]
    return max(found, key=lambda one: one.until, default=None)
