"""The org's clock: today for date literals, and time stamps that never go back."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from threading import Lock
from zoneinfo import ZoneInfo

_FORMAT = "%Y-%m-%dT%H:%M:%S.000"


class Clock:
    """Stamps are UTC texts `YYYY-MM-DDThh:mm:ss.000`, as the store holds them; none lies ahead of the present.

    With a fixed day the first stamp is 08:00 of that day and each is one second after the last, so the same calls give
    the same stamps; none lies beyond the day, whose last second is given again and again.
    """

    def __init__(self, today: date | None, last: str | None = None, zone: str = "UTC") -> None:
        self._fixed = today
        self._zone = ZoneInfo(zone)
        self._last = datetime.strptime(last, _FORMAT).replace(tzinfo=UTC) if last else None
        self._lock = Lock()

    def use_zone(self, zone: str) -> None:
        """Take the org's time zone, by which `today` and date literals go."""
        self._zone = ZoneInfo(zone)

    @property
    def zone(self) -> ZoneInfo:
        """The org's time zone."""
        return self._zone

    def today(self) -> date:
        """The org's day."""
        return self._fixed or datetime.now(self._zone).date()

    def stamp(self) -> str:
        """The next time stamp: not before any other; later than all before on a fixed day."""
        with self._lock:
            now, step = self._now(), timedelta(seconds=1 if self._fixed else 0)
            last = self._last
            self._last = now if last is None else max(now, min(last + step, max(last, self._latest())))
            return self._last.strftime(_FORMAT)

    def now(self) -> str:
        """The latest stamp given, or the present, without advancing."""
        with self._lock:
            return (self._last or self._now()).strftime(_FORMAT)

    def start_of(self, day: date) -> str:
        """The UTC stamp of midnight of a day in the org's time zone; no stamp sorts before year 1 or after 9999."""
        try:
            return datetime.combine(day, time(), self._zone).astimezone(UTC).strftime(_FORMAT).rjust(23, "0")
        except OverflowError:
            return f"{day.isoformat()}T00:00:00.000"

    def _latest(self) -> datetime:
        """The last second of a fixed day in the org's time zone; the present without one."""
        if self._fixed is None:
            return self._now()
        return datetime.combine(self._fixed, time(23, 59, 59), self._zone).astimezone(UTC)

    def _now(self) -> datetime:
        if self._fixed is not None:
            begin = datetime.combine(self._fixed, time(), self._zone).astimezone(UTC)
            return max(datetime.combine(self._fixed, time(8), UTC), begin)
        return datetime.now(UTC).replace(microsecond=0)
