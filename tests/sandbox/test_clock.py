"""The clock of a fixed day: stamps rise, and stay within the day."""

from __future__ import annotations

from datetime import date, datetime
from zoneinfo import ZoneInfo

import pytest

from crmsync.sandbox.clock import Clock

DAY = date(2026, 7, 1)


@pytest.mark.parametrize("zone", ["UTC", "Europe/Berlin", "Pacific/Honolulu", "Asia/Tokyo", "Pacific/Kiritimati"])
def test_stamps_rise_by_a_second_and_never_leave_the_day(zone: str) -> None:
    clock = Clock(DAY, zone=zone)
    stamps = [clock.stamp() for _ in range(90_000)]
    assert stamps == sorted(stamps)
    assert stamps[1] > stamps[0]
    for stamp in (stamps[0], stamps[-1]):
        assert datetime.fromisoformat(stamp + "+00:00").astimezone(ZoneInfo(zone)).date() == DAY


def test_a_restart_goes_on_where_it_was_even_behind_the_day() -> None:
    assert Clock(DAY, "2026-07-01T09:00:00.000").stamp() == "2026-07-01T09:00:01.000"
    assert Clock(DAY, "2026-07-03T09:00:00.000").stamp() == "2026-07-03T09:00:00.000"
