"""Slots: which runs are due, out of cron texts and a time zone. Pure: no clock, no ledger.

A slot is named by what the clock on the wall should have shown (`2026-03-29T02:30`), whether that moment took place
once, twice or not at all that day: with the ledger's unique (schedule, period) each is run once. Its day is the day to
level for, however late the run is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

from cronsim import CronSim

from crmsync.configuration_schedule import Schedule

ONE_DAY = timedelta(days=1)
LATE = timedelta(hours=1)
"""`catch_up: none` still runs a slot that is late by no more than this: a start takes time."""

MOST_MISSED = 100
"""`catch_up: all` goes no further back; a clock that jumped a decade must not start a decade of runs."""

SEARCHED = (2, 40, 400, 4000)
"""Days that are searched for the next slot, one after the other."""

Days = Callable[[date], bool]


def every_day(_day: date) -> bool:
    """No day is left out."""
    return True


@dataclass(frozen=True, order=True)
class Slot:
    """One time at which a schedule is due. `due_at`: the instant in UTC; `period`: its name; `day`: what it levels."""

    due_at: datetime
    schedule: str
    period: str
    day: date


def slots_between(
    schedule: Schedule, zone: ZoneInfo, after: datetime, until: datetime, days: Days = every_day
) -> list[Slot]:
    """The slots that are due after one instant, up to and at another, in order. `days`: on which there are any."""
    first = after.astimezone(zone).replace(tzinfo=None, fold=0) - ONE_DAY
    last = until.astimezone(zone).replace(tzinfo=None, fold=0) + ONE_DAY
    found = (
        slot
        for wall in _walls(schedule.cron, first, last)
        if days(wall.date())
        for slot in slots_at(schedule, wall, zone)
    )
    return sorted(slot for slot in found if after < slot.due_at <= until)


def next_slot(schedule: Schedule, zone: ZoneInfo, now: datetime, days: Days = every_day) -> Slot | None:
    """The first slot after an instant; None where there is none in the next ten years."""
    for searched in SEARCHED:
        found = slots_between(schedule, zone, now, now + timedelta(days=searched), days)
        if found:
            return found[0]
    return None


def slots_at(schedule: Schedule, wall: datetime, zone: ZoneInfo) -> Iterator[Slot]:
    """The slots of one time on the wall clock, which may be there twice (autumn) or be skipped (spring).

    A time of the day counts once: its first occurrence, or the end of the gap that swallowed it. Intervals go on
    through both hours of autumn, the second told apart by its offset, and have nothing in the gap of spring.
    """
    early, late = (wall.replace(tzinfo=zone, fold=fold).astimezone(UTC) for fold in (0, 1))
    name = wall.isoformat(timespec="minutes")
    if early <= late:
        yield Slot(early, schedule.name, name, wall.date())
        if early < late and schedule.repeats:
            second = wall.replace(tzinfo=zone, fold=1).isoformat(timespec="minutes")
            yield Slot(late, schedule.name, second, wall.date())
    elif not schedule.repeats:
        yield Slot(_end_of_gap(zone, late, early), schedule.name, name, wall.date())


def _walls(cron: str, first: datetime, last: datetime) -> Iterator[datetime]:
    """Times on a wall clock without zone that a cron text names, from one to another."""
    for wall in CronSim(cron, first):
        if wall > last:
            return
        yield wall


def _end_of_gap(zone: ZoneInfo, before: datetime, after: datetime) -> datetime:
    """The instant at which the clock was put forward, between one before it and one after it."""
    offset = before.astimezone(zone).utcoffset()
    while after - before > timedelta(seconds=1):
        middle = before + timedelta(seconds=(after - before) // timedelta(seconds=2))
        if middle.astimezone(zone).utcoffset() == offset:
            before = middle
        else:
            after = middle
    return after


def start_of_day(now: datetime, zone: ZoneInfo) -> datetime:
    """The instant just before the local day of `now` begins: where a schedule that is new starts to count."""
    midnight = now.astimezone(zone).replace(hour=0, minute=0, second=0, microsecond=0, fold=0)
    return midnight.astimezone(UTC) - timedelta(seconds=1)


def caught_up(catch_up: str, due: Sequence[Slot], now: datetime) -> tuple[list[Slot], list[Slot]]:
    """Of the slots that are due and were never run: those to run, and those to skip, each in order."""
    wanted = {slot.period for slot in _wanted(catch_up, sorted(due), now)}
    run = [slot for slot in sorted(due) if slot.period in wanted]
    return run, [slot for slot in sorted(due) if slot.period not in wanted]


def _wanted(catch_up: str, due: Sequence[Slot], now: datetime) -> Iterable[Slot]:
    if catch_up == "all":
        return due[-MOST_MISSED:]
    newest = due[-1:]
    return newest if catch_up == "latest" else [slot for slot in newest if now - slot.due_at <= LATE]
