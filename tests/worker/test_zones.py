"""Every time zone from 2024 to 2035: each date has one slot, found once, however the worker's looks fall.

Zones with the same changes of the clock count once, and days are looked at around those changes; `make soak` looks at
all days of all zones (SOAK_ZONES=all).
"""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo, available_timezones

import pytest

from crmsync.configuration_schedule import Schedule
from crmsync.schedule import slots_between

FIRST, LAST = datetime(2024, 1, 1, tzinfo=UTC), datetime(2036, 1, 1, tzinfo=UTC)
STEP = timedelta(days=5)  # no zone changes its clock and back in less, apart from a month in Morocco
CRONS = ("0 0 * * *", "30 2 * * *", "59 23 * * *")
DAY = timedelta(days=1)
ALL = os.environ.get("SOAK_ZONES") == "all"

Change = tuple[datetime, timedelta]


def changes(zone: ZoneInfo) -> Iterator[Change]:
    """Every instant at which the clock was put forward or back, to the second, and by how much."""
    at, offset = FIRST, FIRST.astimezone(zone).utcoffset()
    assert offset is not None
    while at < LAST:
        new = (at + STEP).astimezone(zone).utcoffset()
        assert new is not None
        if new != offset:
            yield _turn(zone, at, at + STEP), new - offset
        at, offset = at + STEP, new


def _turn(zone: ZoneInfo, before: datetime, after: datetime) -> datetime:
    offset = before.astimezone(zone).utcoffset()
    while after - before > timedelta(seconds=1):
        middle = before + (after - before) / 2
        before, after = (middle, after) if middle.astimezone(zone).utcoffset() == offset else (before, middle)
    return after.replace(microsecond=0)


def distinct_zones() -> dict[tuple[object, ...], ZoneInfo]:
    """One zone for each way in which clocks go in these years."""
    found: dict[tuple[object, ...], ZoneInfo] = {}
    for name in sorted(available_timezones()):
        zone = ZoneInfo(name)
        found.setdefault((FIRST.astimezone(zone).utcoffset(), *changes(zone)), zone)
    return found


@pytest.mark.timeout(600)
def test_one_slot_per_date_in_every_zone_however_the_looks_fall():
    chance = random.Random(2035)
    zones = distinct_zones()
    assert len(zones) > 60
    checked = 0
    for (_, *turns), zone in zones.items():
        around = [(at - 2 * DAY, at + 2 * DAY) for at, _ in turns]  # type: ignore[misc]
        for start, end in [(FIRST, LAST)] if ALL else around or [(FIRST, FIRST + 7 * DAY)]:
            for cron in CRONS:
                _check(Schedule("s", "sync", cron), zone, start, end, chance)
                checked += 1
    assert checked > (200 if ALL else 2000)


def _check(schedule: Schedule, zone: ZoneInfo, start: datetime, end: datetime, chance: random.Random) -> None:
    """Looks at random instants find every date once, and each slot on its date, within a day of its time in UTC."""
    looks = sorted({start, end, *(start + (end - start) * chance.random() for _ in range(3))})
    found = [slot for after, until in pairwise(looks) for slot in slots_between(schedule, zone, after, until)]
    days = [slot.day for slot in found]
    assert days == list(_days(days[0], days[-1])), f"{zone.key} {schedule.cron} {start}: {days}"
    assert abs((days[0] - start.date()).days) <= 2
    assert abs((days[-1] - end.date()).days) <= 2
    assert all(slot.period[:10] == slot.day.isoformat() for slot in found)
    assert all(abs(slot.due_at.replace(tzinfo=None) - datetime.fromisoformat(slot.period)) < DAY for slot in found)


def _days(first: date, last: date) -> Iterator[date]:
    while first <= last:
        yield first
        first += DAY


def test_an_hour_that_comes_twice_counts_each_quarter_once_in_every_zone():
    quarters = Schedule("s", "notices", "*/15 * * * *")
    for (_, *turns), zone in distinct_zones().items():
        for at, by in turns[:2]:  # type: ignore[misc]
            start, end = at - timedelta(hours=5), at + timedelta(hours=5)
            found = slots_between(quarters, zone, start, end)
            assert len({slot.period for slot in found}) == len(found)
            assert [slot.due_at for slot in found] == sorted({slot.due_at for slot in found})
            assert len(found) == 40, f"{zone.key} {at} {by}: {len(found)}"
