"""A worker's world without a belt: a clock that is set, duties that are given, runs that only leave a mark."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

from crmsync.configuration_schedule import Schedule
from crmsync.due import Duties
from crmsync.ledger.ledger import Ledger
from crmsync.ledger.slots import SlotRow, newest_slots
from crmsync.worker import Done

DAILY = Schedule("sync", "sync", "0 5 * * *")
UTC_ZONE = ZoneInfo("UTC")
MONDAY = datetime(2026, 6, 1, 12, 0, tzinfo=UTC)


@dataclass
class SetClock:
    """Stands still until somebody waits."""

    at: datetime = MONDAY
    waited: list[float] = field(default_factory=list)

    def now(self) -> datetime:
        return self.at

    def wait(self, seconds: float) -> None:
        self.waited.append(seconds)
        self.at += timedelta(seconds=seconds)


@dataclass
class MarkedWork:
    """Runs that are noted in `runs`, and end as `end` says."""

    state: Path
    schedules: tuple[Schedule, ...] = (DAILY,)
    zone: ZoneInfo = UTC_ZONE
    end: Callable[[SlotRow], Done] = lambda _slot: Done(0, "a-run")
    runs: list[tuple[str, str]] = field(default_factory=list)
    approved: list[str] = field(default_factory=list)
    url: str | None = None
    review_days: Callable[..., bool] = lambda _day: True

    def duties(self) -> Duties:
        return Duties(self.schedules, self.zone, self.review_days)

    def ledger(self, *, exclusive: bool) -> Ledger:
        return Ledger.open(self.state, exclusive=exclusive, url=self.url)

    def run(self, ledger: Ledger, slot: SlotRow, schedule: Schedule, approved: str | None) -> Done:
        assert ledger.slot == (slot.schedule, slot.period)
        assert schedule.name == slot.schedule
        self.runs.append((slot.schedule, slot.period))
        if approved:
            self.approved.append(approved)
        return self.end(slot)


def states(state: Path, schedule: str = "sync") -> dict[str, str]:
    """Period and state of every slot, oldest first."""
    with Ledger.open(state, exclusive=False) as ledger:
        return {slot.period: slot.state for slot in reversed(newest_slots(ledger, schedule, 10_000))}
