"""When a person may be told: not at night, not on a weekend, in the zone in which the person lives. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, time, timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

DAYS_AHEAD = 8


def allowed_from(
    now: datetime, zone: str, quiet: tuple[time, time] | None, weekend: Sequence[int], default_zone: str = "UTC"
) -> datetime:
    """The first moment from `now` on at which somebody in that zone may be told; `now` itself where it may be now."""
    there = zone_of(zone, default_zone)
    if not _is_quiet(now.astimezone(there), quiet, weekend):
        return now
    today = now.astimezone(there).date()
    opens = quiet[1] if quiet else time(0)
    for ahead in range(DAYS_AHEAD + 1):
        # A moment that the clock skips in spring stands for the one an hour later: through UTC it becomes that one.
        moment = datetime.combine(today + timedelta(days=ahead), opens, there).astimezone(now.tzinfo)
        if moment > now and not _is_quiet(moment.astimezone(there), quiet, weekend):
            return moment
    return now + timedelta(days=1)


def _is_quiet(there: datetime, quiet: tuple[time, time] | None, weekend: Sequence[int]) -> bool:
    if there.weekday() in weekend:
        return True
    if quiet is None:
        return False
    begins, ends = quiet
    at = there.time()
    return begins <= at < ends if begins < ends else at >= begins or at < ends


def zone_of(name: str, default: str = "UTC") -> ZoneInfo:
    """The zone of that name; a name that nobody knows (it came out of the CRM) gives the default."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return ZoneInfo(default)


def week_of(now: datetime, zone: str) -> str:
    """The ISO week there: `2026-W47`."""
    year, week, _ = now.astimezone(zone_of(zone)).isocalendar()
    return f"{year}-W{week:02}"
