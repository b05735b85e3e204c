"""Which slot's turn it is, by the book in the ledger: new slots are noted, older ones let go of, one is chosen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from crmsync.configuration_schedule import Schedule
from crmsync.ledger import slots as book
from crmsync.ledger.approvals import approval_of
from crmsync.ledger.ledger import Ledger
from crmsync.ledger.slots import SlotRow
from crmsync.schedule import MOST_MISSED, Days, caught_up, every_day, slots_between, start_of_day

CLOCK_WENT_BACK = timedelta(hours=25)  # no rest is as long
MOST_TRIES = 24  # with an hour between them a day is over
DEATHS_AT_ONCE = 3  # a run that dies is taken up at once; one that kills its process each time is given rest
FIRST_PAUSE_S, LONGEST_PAUSE_S = 60.0, 3600.0
MISSED = "a later slot was due as well"
TOO_LATE = "missed, and `catch_up: none`"
OVERTAKEN = "the next slot is due"


@dataclass(frozen=True)
class Duties:
    """What a configuration asks of the worker. `review_days`: of the schedules that go by review dates."""

    schedules: tuple[Schedule, ...]
    zone: ZoneInfo
    review_days: Days = every_day

    def days(self, schedule: Schedule) -> Days:
        """The days on which a schedule has slots."""
        return self.review_days if schedule.do == "review" else every_day

    def schedule(self, name: str) -> Schedule | None:
        """The schedule of this name, if it is still configured."""
        return next((one for one in self.schedules if one.name == name), None)


@dataclass(frozen=True)
class Choice:
    """The slot whose turn it is. `approved`: digest of the plan it was blocked with, now that somebody opened it."""

    slot: SlotRow
    schedule: Schedule
    approved: str | None = None


def choice_of(ledger: Ledger, duties: Duties, now: datetime) -> Choice | None:
    """The oldest slot that may be run now. Of one schedule none overtakes another."""
    held_up = set[str]()
    for slot in book.open_slots(ledger):
        schedule = duties.schedule(slot.schedule)
        if schedule is None or slot.schedule in held_up:
            continue
        if slot.state == "blocked":
            approved = _approved(ledger, slot)
            if approved is not None or (slot.not_before is not None and _may_run(slot, now)):
                return Choice(slot, schedule, approved)
        elif _may_run(slot, now):
            return Choice(slot, schedule)
        held_up.add(slot.schedule)
    return None


def longest_pause(tries: int) -> timedelta:
    """How long a slot rests at most after so many tries that went wrong: a minute, two, four, … an hour."""
    return timedelta(seconds=min(FIRST_PAUSE_S * 2 ** min(tries - 1, 16), LONGEST_PAUSE_S))


def _may_run(slot: SlotRow, now: datetime) -> bool:
    """Whether a slot has rested enough. A rest beyond all measure was noted by a clock that has gone back since."""
    if slot.state == "running" and slot.attempts >= MOST_TRIES:
        return False
    until = _rests_until(slot)
    return until is None or until <= now or until - now > CLOCK_WENT_BACK


def _rests_until(slot: SlotRow) -> datetime | None:
    if slot.state in ("failed", "blocked"):
        return slot.not_before
    if slot.state == "running" and slot.started_at is not None and slot.attempts >= DEATHS_AT_ONCE:
        return slot.started_at + longest_pause(slot.attempts - DEATHS_AT_ONCE + 1)
    return None


def _approved(ledger: Ledger, slot: SlotRow) -> str | None:
    run = book.run_of_slot(ledger, slot)
    digest = run[1] if run else None
    return digest if digest is not None and approval_of(ledger, digest) is not None else None


def _new_slots(ledger: Ledger, duties: Duties, now: datetime) -> dict[str, list[SlotRow]]:
    """Slots that fell due since the last look, by schedule; a schedule that never was counted has an entry, too."""
    found: dict[str, list[SlotRow]] = {}
    for schedule in duties.schedules:
        after = book.counted_from(ledger, schedule.name, now)
        start = start_of_day(now, duties.zone) if after is None else after
        slots = slots_between(schedule, duties.zone, start, now, duties.days(schedule))
        # where `time_zone` was changed, the same time on the wall comes once more
        known = book.known_periods(ledger, schedule.name, [one.period for one in slots]) if slots else frozenset()
        slots = [one for one in slots if one.period not in known]
        if slots or after is None:
            run, skip = caught_up(schedule.catch_up, slots, now)
            why = MISSED if run else TOO_LATE
            found[schedule.name] = [
                *(SlotRow(one.schedule, one.period, one.due_at, "due") for one in run),
                *(SlotRow(one.schedule, one.period, one.due_at, "skipped", told=why) for one in skip[-MOST_MISSED:]),
            ]
    return found


def anything_due(ledger: Ledger, duties: Duties, now: datetime) -> bool:
    """Whether there is something to note or to run; looks only."""
    return (
        book.from_the_future(ledger, now)
        or bool(_new_slots(ledger, duties, now))
        or choice_of(ledger, duties, now) is not None
    )


def note_due(ledger: Ledger, duties: Duties, now: datetime) -> None:
    """Write new slots down, and let go of older ones that they take the place of. The ledger is held."""
    book.forget_future(ledger, now)
    new = _new_slots(ledger, duties, now)
    older = book.open_slots(ledger) if new else []
    for schedule in duties.schedules:
        slots = new.get(schedule.name)
        if slots is None:
            continue
        if book.counted_from(ledger, schedule.name, now) is None:
            book.begin_counting(ledger, schedule.name, start_of_day(now, duties.zone))
        if slots:
            book.skip_slots(ledger, _overtaken(ledger, schedule, older), now, OVERTAKEN)
        book.note_slots(ledger, slots)


def _overtaken(ledger: Ledger, schedule: Schedule, older: Sequence[SlotRow]) -> list[SlotRow]:
    """A blocked plan is drafted anew by the next run, unless it was approved meanwhile; what failed or died is caught
    up with only where all is."""
    mine = [slot for slot in older if slot.schedule == schedule.name]
    waiting = [slot for slot in mine if slot.state == "blocked" and _approved(ledger, slot) is None]
    return [slot for slot in mine if slot in waiting or (slot.state != "blocked" and schedule.catch_up != "all")]
