"""The slots of the schedule in the ledger: noted once by (schedule, period), claimed under the lock, ended.

A slot is `due`, then `running`, then `done`, `blocked` (a guard tripped; its plan waits for an approval) or `failed`
(tried again at `not_before`), or it is `skipped`. Whoever claims holds the ledger exclusively, so a slot that still
says `running` then belongs to a process that died, and is taken again.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Row, delete, func, select, update

from crmsync.ledger import tables as t
from crmsync.ledger.ledger import Ledger
from crmsync.ledger.upsert import changed, upsert

CLOCKS_DIFFER = timedelta(minutes=5)  # of two workers, at most
CHUNK = 500
_BORN = "schedule:"


@dataclass(frozen=True)
class SlotRow:
    """One slot. Instants are in UTC. `exit_code`, `told`, `run_id`: of its last try."""

    schedule: str
    period: str
    due_at: datetime
    state: str
    run_id: str | None = None
    attempts: int = 0
    started_at: datetime | None = None
    ended_at: datetime | None = None
    exit_code: int | None = None
    not_before: datetime | None = None
    told: str | None = None

    @property
    def day(self) -> date:
        """The day it levels."""
        return date.fromisoformat(self.period[:10])


@dataclass(frozen=True)
class SlotEnd:
    """How one try of a slot ended."""

    state: str
    at: datetime
    exit_code: int | None = None
    run_id: str | None = None
    not_before: datetime | None = None
    told: str | None = None


def counted_from(ledger: Ledger, schedule: str, now: datetime) -> datetime | None:
    """After which instant the slots of a schedule are looked for: its newest slot, else where it began to count.

    What lies after `now` was noted by a clock that went wrong and does not count. None: it was never counted.
    """
    s, key = t.schedule_slot, f"{_BORN}{schedule}"
    so_far = select(func.max(s.c.due_at)).where(s.c.schedule == schedule, s.c.due_at <= _text(now))
    with ledger.reading() as connection:
        newest: str | None = connection.scalar(so_far)
        born: str | None = connection.scalar(select(t.meta.c.value).where(t.meta.c.key == key))
    found = newest or born
    return datetime.fromisoformat(found) if found is not None and found <= _text(now) else None


def begin_counting(ledger: Ledger, schedule: str, first: datetime) -> None:
    """A schedule that is new counts its slots from here."""
    row = {"key": f"{_BORN}{schedule}", "value": _text(first)}
    with ledger.writing() as connection:
        connection.execute(changed(t.meta, row))


def from_the_future(ledger: Ledger, now: datetime) -> bool:
    """Whether slots stand here that a clock noted which has gone back since."""
    s = t.schedule_slot
    with ledger.reading() as connection:
        return connection.scalar(select(s.c.period).where(*_ahead(now)).limit(1)) is not None


def forget_future(ledger: Ledger, now: datetime) -> None:
    """Forget them, unless they were run to their end: else they would be missing when their time comes. One that is
    still `running` died; to be called with the ledger held."""
    if from_the_future(ledger, now):
        with ledger.writing() as connection:
            connection.execute(delete(t.schedule_slot).where(*_ahead(now)))


def _ahead(now: datetime) -> tuple[ColumnElement[bool], ColumnElement[bool]]:
    s = t.schedule_slot
    return s.c.due_at > _text(now + CLOCKS_DIFFER), s.c.state != "done"


def note_slots(ledger: Ledger, slots: Iterable[SlotRow]) -> None:
    """Note slots that are new; one that is there stays as it is."""
    rows = [
        {
            "schedule": one.schedule, "period": one.period, "due_at": _text(one.due_at), "state": one.state,
            "attempts": 0, "told": one.told,
        }
        for one in slots
    ]  # fmt: skip
    if rows:
        with ledger.writing() as connection:
            connection.execute(upsert(t.schedule_slot).on_conflict_do_nothing(), rows)


def known_periods(ledger: Ledger, schedule: str, periods: Sequence[str]) -> frozenset[str]:
    """Those of the periods of a schedule that are noted already."""
    s, found = t.schedule_slot, set[str]()
    with ledger.reading() as connection:
        for start in range(0, len(periods), CHUNK):
            some = s.c.period.in_(periods[start : start + CHUNK])
            found.update(connection.scalars(select(s.c.period).where(s.c.schedule == schedule, some)))
    return frozenset(found)


def open_slots(ledger: Ledger) -> list[SlotRow]:
    """Slots that are not over, oldest first. One that failed too often is over."""
    s = t.schedule_slot
    again = (s.c.state == "failed") & s.c.not_before.is_not(None)
    query = select(s).where(s.c.state.in_(("due", "running", "blocked")) | again).order_by(s.c.due_at, s.c.schedule)
    with ledger.reading() as connection:
        rows = connection.execute(query).all()
    return [_slot(row) for row in rows]


def newest_slots(ledger: Ledger, schedule: str, count: int, until: datetime | None = None) -> list[SlotRow]:
    """The last slots of a schedule, newest first. `until`: those that are due by then."""
    s = t.schedule_slot
    query = select(s).where(s.c.schedule == schedule).order_by(s.c.due_at.desc(), s.c.period.desc()).limit(count)
    if until is not None:
        query = query.where(s.c.due_at <= _text(until))
    with ledger.reading() as connection:
        return [_slot(row) for row in connection.execute(query).all()]


def last_run(ledger: Ledger, schedule: str, now: datetime) -> SlotRow | None:
    """The newest slot of a schedule that was run to its end, or to a plan that waits for an approval.

    One of the future was run by a clock that went wrong: it says nothing about the days until then.
    """
    s = t.schedule_slot
    ended = (s.c.schedule == schedule, s.c.state.in_(("done", "blocked")), s.c.due_at <= _text(now))
    query = select(s).where(*ended).order_by(s.c.due_at.desc()).limit(1)
    with ledger.reading() as connection:
        row = connection.execute(query).one_or_none()
    return None if row is None else _slot(row)


def began(ledger: Ledger, schedule: str) -> datetime | None:
    """From when on the slots of a schedule are counted; None while it never was."""
    with ledger.reading() as connection:
        return _instant(connection.scalar(select(t.meta.c.value).where(t.meta.c.key == f"{_BORN}{schedule}")))


def claim(ledger: Ledger, slot: SlotRow, at: datetime) -> bool:
    """Take a slot that is still as it was seen; to be called with the ledger held exclusively."""
    s = t.schedule_slot
    as_seen = (s.c.schedule == slot.schedule, s.c.period == slot.period, s.c.state == slot.state)
    values = {"state": "running", "attempts": s.c.attempts + 1, "started_at": _text(at), "ended_at": None}
    with ledger.writing() as connection:
        taken = connection.execute(update(s).where(*as_seen, s.c.attempts == slot.attempts).values(**values))
        return taken.rowcount == 1


def end_slot(ledger: Ledger, schedule: str, period: str, end: SlotEnd) -> None:
    """Note how a try ended. A run that was not begun leaves the run of an earlier try where it is."""
    s = t.schedule_slot
    values: dict[str, Any] = {
        "state": end.state, "ended_at": _text(end.at), "exit_code": end.exit_code, "told": end.told,
        "not_before": None if end.not_before is None else _text(end.not_before),
    }  # fmt: skip
    if end.run_id is not None:
        values["run_id"] = end.run_id
    with ledger.writing() as connection:
        connection.execute(update(s).where(s.c.schedule == schedule, s.c.period == period).values(**values))


def give_back(ledger: Ledger, slot: SlotRow) -> None:
    """A try that was stopped by the operator does not count, and its slot is due as before."""
    s = t.schedule_slot
    with ledger.writing() as connection:
        connection.execute(
            update(s)
            .where(s.c.schedule == slot.schedule, s.c.period == slot.period)
            .values(state="due", attempts=slot.attempts, not_before=None)
        )


def skip_slots(ledger: Ledger, slots: Sequence[SlotRow], at: datetime, why: str) -> None:
    """Slots that will not be run any more."""
    for slot in slots:
        end_slot(ledger, slot.schedule, slot.period, SlotEnd("skipped", at, slot.exit_code, told=why))


def run_of_slot(ledger: Ledger, slot: SlotRow) -> tuple[str, str | None] | None:
    """The newest run that was started for a slot, and the digest of the newest plan that was drafted for it."""
    r = t.run
    of_slot = (r.c.slot_schedule == slot.schedule, r.c.slot_period == slot.period)
    newest = select(r.c.run_id).where(*of_slot).order_by(r.c.sequence.desc()).limit(1)
    drafted = r.c.plan_digest.is_not(None)
    digest = select(r.c.plan_digest).where(*of_slot, drafted).order_by(r.c.sequence.desc()).limit(1)
    with ledger.reading() as connection:
        run_id = connection.scalar(newest)
        return None if run_id is None else (run_id, connection.scalar(digest))


def _slot(row: Row[Any]) -> SlotRow:
    return SlotRow(
        row.schedule, row.period, datetime.fromisoformat(row.due_at), row.state, row.run_id, row.attempts,
        _instant(row.started_at), _instant(row.ended_at), row.exit_code, _instant(row.not_before), row.told,
    )  # fmt: skip


def _instant(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)


def _text(at: datetime) -> str:
    """ISO text in UTC, of one length, so that it sorts as the instants do."""
    return at.astimezone(UTC).isoformat(timespec="milliseconds")
