"""The clock of a fixed day: stamps rise, and stay within the day."""

from __future__ import annotations

from datetime import UTC, date, datetime, time
from zoneinfo import ZoneInfo

import pytest

from crmsync.sandbox.clock import Clock

DAY = date(2026, 7, 1)


@pytest.mark.parametrize("zone", ["UTC", "Europe/Berlin", "Pacific/Honolulu", "Asia/Tokyo", "Pacific/Kiritimati"])
def test_stamps_rise_by_a_second_and_never_leave_the_day(zone: str) -> None:
    first = Clock(DAY, zone=zone).stamp()
    end = datetime.combine(DAY, time(23, 59, 58), ZoneInfo(zone)).astimezone(UTC)
    clock = Clock(DAY, end.strftime("%Y-%m-%dT%H:%M:%S.000"), zone)
    stamps = [first, *(clock.stamp() for _ in range(5))]
    assert stamps == sorted(stamps)
    assert len(set(stamps)) == 2  # the last second of the day comes again and again
    days = {datetime.fromisoformat(stamp + "+00:00").astimezone(ZoneInfo(zone)).date() for stamp in stamps}
    assert days == {DAY}


def test_a_restart_goes_on_where_it_was_even_behind_the_day() -> None:
    clock = Clock(DAY)
    assert [clock.stamp()[11:19] for _ in range(2)] == ["08:00:00", "08:00:01"]
    assert Clock(DAY, "2026-07-01T09:00:00.000").stamp() == "2026-07-01T09:00:01.000"
    assert Clock(DAY, "2026-07-03T09:00:00.000").stamp() == "2026-07-03T09:00:00.000"
