"""Nobody is told at night or on a weekend, in whatever zone they live, and everybody is told in the end."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crmsync.notices.timing import allowed_from, week_of

QUIET = (time(20), time(7))
WEEKEND = (5, 6)
ZONES = (
    "Europe/Berlin",
    "America/St_Johns",
    "Australia/Lord_Howe",
    "Pacific/Apia",
    "Asia/Kathmandu",
    "Africa/Casablanca",
)


def at(text: str, zone: str = "UTC") -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).astimezone(UTC)


@pytest.mark.parametrize(
    ("now", "zone", "opens"),
    [
        ("2026-11-20T12:00", "Europe/Berlin", "2026-11-20T12:00"),
        ("2026-11-19T23:00", "Europe/Berlin", "2026-11-20T07:00"),
        ("2026-11-20T06:59", "Europe/Berlin", "2026-11-20T07:00"),
        ("2026-11-20T20:00", "Europe/Berlin", "2026-11-23T07:00"),  # Friday evening: Monday morning
        ("2026-11-22T12:00", "America/New_York", "2026-11-23T07:00"),
    ],
)
def test_night_and_weekend_are_waited_out(now: str, zone: str, opens: str) -> None:
    assert allowed_from(at(now, zone), zone, QUIET, WEEKEND) == at(opens, zone)


def test_quiet_hours_that_open_in_the_hour_that_spring_skips_open_an_hour_later() -> None:
    found = allowed_from(at("2026-03-29T00:30", "Europe/Berlin"), "Europe/Berlin", (time(22), time(2, 30)), ())
    assert found.astimezone(ZoneInfo("Europe/Berlin")).time() == time(3, 30)


@given(
    st.datetimes(datetime(2024, 1, 1), datetime(2035, 12, 31), timezones=st.just(UTC)),
    st.sampled_from(ZONES),
    st.tuples(st.times(), st.times()).filter(lambda pair: pair[0] != pair[1]),
    st.sets(st.integers(0, 6), max_size=6),
)
def test_the_moment_is_allowed_and_comes_within_days(
    now: datetime, zone: str, quiet: tuple[time, time], weekend: set[int]
) -> None:
    opens = allowed_from(now, zone, quiet, sorted(weekend))
    assert now <= opens <= now + timedelta(days=8, hours=2)
    if opens != now:
        assert opens.astimezone(ZoneInfo(zone)).weekday() not in weekend


def test_a_zone_that_nobody_knows_is_the_default() -> None:
    now = at("2026-11-20T12:00")
    assert allowed_from(now, "Nowhere/At_All", QUIET, WEEKEND, "Asia/Tokyo") == at("2026-11-23T07:00", "Asia/Tokyo")
    assert allowed_from(now, "../../etc/passwd", None, (), "UTC") == now


def test_a_week_is_that_of_the_person() -> None:
    sunday_evening = at("2026-11-22T20:00")
    assert week_of(sunday_evening, "UTC") == "2026-W47"
    assert week_of(sunday_evening, "Asia/Tokyo") == "2026-W48"
