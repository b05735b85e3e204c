"""The worker: finds what is due, runs one slot after the other, and outlives every fault of a run.

Two workers never run the same slot: a slot is claimed while the ledger is held, and the holder sees what the other did.
A slot whose run died is still marked as running when the next one holds the ledger, and is run again: the run settles
what the dead one left open.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Protocol

import structlog

from crmsync.configuration_schedule import Schedule
from crmsync.due import MOST_TRIES, Choice, Duties, anything_due, choice_of, longest_pause, note_due
from crmsync.errors import AlreadyRunning, CrmsyncError, Deferred
from crmsync.exits import BLOCKED, DONE, FAILED, PARKED, PLAN_WAITS, STORE, STORE_FAULTS
from crmsync.ledger import slots as book
from crmsync.ledger.ledger import Ledger
from crmsync.ledger.slots import SlotEnd, SlotRow

log = structlog.get_logger()

LOOK_EVERY_S = 60.0  # cron texts know minutes
BUSY_S = 15.0  # another process holds the ledger
DECIDED_AFTER = timedelta(minutes=30)  # between two looks whether a blocked plan was approved in the CRM
RENEWS_AFTER = timedelta(hours=1)  # a rolling day gives some of the allowance back every hour

ENDED: Mapping[int, str] = {DONE: "done", PLAN_WAITS: "done", PARKED: "done", BLOCKED: "blocked"}


class Clock(Protocol):
    """What time it is, and waiting; a test has one of its own."""

    def now(self) -> datetime:
        """The instant, aware, in UTC."""
        ...

    def wait(self, seconds: float) -> None:
        """Let so much time pass."""
        ...


class WallClock:
    """The machine's own."""

    def now(self) -> datetime:
        """The instant in UTC."""
        return datetime.now(UTC)

    def wait(self, seconds: float) -> None:
        """Sleep; a signal ends it."""
        time.sleep(seconds)


@dataclass(frozen=True)
class Done:
    """How the run of a slot ended. `until`: when the API allowance is renewed, where that is known. `passed`: there was
    nothing to run, because a later day was levelled already."""

    exit_code: int
    run_id: str | None = None
    told: str | None = None
    until: datetime | None = None
    passed: bool = False


class Work(Protocol):
    """Where a worker reads its duties, keeps its book, and runs a slot."""

    def duties(self) -> Duties:
        """What is configured now. Errors: ConfigError."""
        ...

    def ledger(self, *, exclusive: bool) -> AbstractContextManager[Ledger]:
        """The ledger. Errors: AlreadyRunning, StoreError."""
        ...

    def run(self, ledger: Ledger, slot: SlotRow, schedule: Schedule, approved: str | None) -> Done:
        """Run a slot, or for one that is blocked look whether its plan was approved elsewhere; `approved`: apply this
        plan. Errors: those of the belt."""
        ...


@dataclass
class Pulse:
    """Signs of life, by the monotonic clock; other threads read it."""

    beat_at: float = field(default_factory=time.monotonic)
    running_since: float | None = None
    fault: str | None = None  # why no slot could be looked for

    def beat(self) -> None:
        """The loop is alive."""
        self.beat_at = time.monotonic()


@dataclass(frozen=True)
class Ended:
    """One slot that this worker has run."""

    slot: SlotRow
    state: str
    exit_code: int
    run_id: str | None
    told: str | None


class Worker:
    """Runs what is due. `once` ends when nothing is due any more, `forever` never. `after`: is called with the ledger
    when a slot has ended."""

    def __init__(
        self,
        work: Work,
        clock: Clock | None = None,
        pulse: Pulse | None = None,
        after: Callable[[Ledger], None] = lambda _ledger: None,
    ) -> None:
        self.work = work
        self.clock = clock or WallClock()
        self.pulse = pulse or Pulse()
        self.after = after

    def once(self) -> list[Ended]:
        """Run everything that is due, oldest first. Errors: ConfigError, AlreadyRunning, StoreError."""
        ended = []
        while (one := self._next()) is not None:
            ended.append(one)
        return ended

    def forever(self, turns: int | None = None) -> None:
        """Do it again and again; only a signal ends it. `turns`: for tests."""
        while turns is None or turns > 0:
            self.clock.wait(self._turn())
            turns = None if turns is None else turns - 1

    def _turn(self) -> float:
        """Run what is due; returns the seconds until it is worth looking again."""
        self.pulse.beat()
        try:
            self.once()
            self.pulse.fault = None
        except AlreadyRunning as error:
            log.debug("ledger_busy", told=str(error))
            self.pulse.fault = None
            return BUSY_S
        except Exception as error:  # such as a file of the configuration that went while it was read
            self._tell(error)
        now = self.clock.now()
        return LOOK_EVERY_S - (now.second + now.microsecond / 1e6) % LOOK_EVERY_S

    def _tell(self, error: Exception) -> None:
        said = str(error) if isinstance(error, CrmsyncError) else f"unexpected {type(error).__name__}: {error}"
        if self.pulse.fault != said:
            log.error("worker_cannot_work", kind=type(error).__name__, told=said)
            log.debug("worker_cannot_work", exc_info=error)
        self.pulse.fault = said

    def _next(self) -> Ended | None:
        """Run the slot whose turn it is; None when there is none."""
        duties, now = self.work.duties(), self.clock.now()
        with self.work.ledger(exclusive=False) as ledger:
            if not anything_due(ledger, duties, now):
                return None
        with self.work.ledger(exclusive=True) as ledger:
            note_due(ledger, duties, now)
            choice = choice_of(ledger, duties, now)
            if choice is None or not book.claim(ledger, choice.slot, now):
                return None
            return self._run(ledger, choice)

    def _run(self, ledger: Ledger, choice: Choice) -> Ended:
        slot = choice.slot
        log.info("slot_started", schedule=slot.schedule, period=slot.period, attempt=slot.attempts + 1)
        ledger.slot, self.pulse.running_since = (slot.schedule, slot.period), time.monotonic()
        try:
            done = self._done(ledger, choice)
        except BaseException:  # told to stop: the slot is due as before
            with suppress(CrmsyncError):  # it is taken for one that died
                book.give_back(ledger, slot)
            raise
        finally:
            ledger.slot = self.pulse.running_since = None
            self.pulse.beat()
            structlog.contextvars.unbind_contextvars("run_id")  # what is told from here on belongs to no run
        end = self._end(ledger, slot, done)
        book.end_slot(ledger, slot.schedule, slot.period, end)
        self.after(ledger)
        log.info("slot_ended", schedule=slot.schedule, period=slot.period, state=end.state, exit_code=done.exit_code)
        return Ended(slot, end.state, done.exit_code, end.run_id, end.told)

    def _done(self, ledger: Ledger, choice: Choice) -> Done:
        """How the run ended; every fault of it is one more way to end."""
        try:
            return self.work.run(ledger, choice.slot, choice.schedule, choice.approved)
        except CrmsyncError as error:
            log.error("slot_failed", kind=type(error).__name__, told=str(error))
            return Done(error.exit_code, told=str(error), until=getattr(error, "until", None))
        except Exception as error:  # a worker outlives what nobody thought of
            if isinstance(error, OSError) and error.errno in STORE_FAULTS:
                log.error("slot_failed", kind="StoreError", told=str(error))
                return Done(STORE, told=str(error))
            log.error("slot_broke", kind=type(error).__name__, told=str(error))
            log.debug("slot_broke", exc_info=error)
            return Done(FAILED, told=f"unexpected {type(error).__name__}: {error}")

    def _end(self, ledger: Ledger, slot: SlotRow, done: Done) -> SlotEnd:
        now, tries = self.clock.now(), slot.attempts + 1
        found = book.run_of_slot(ledger, slot)
        run_id = done.run_id or (found[0] if found else None)
        state = "skipped" if done.passed else ENDED.get(done.exit_code, "failed")
        again = now + pause_after(done, tries, now) if state == "failed" and tries < MOST_TRIES else None
        again = now + DECIDED_AFTER if state == "blocked" else again
        return SlotEnd(state, now, done.exit_code, run_id, again, done.told)


def pause_after(done: Done, tries: int, now: datetime) -> timedelta:
    """How long a failed slot rests: doubling with jitter, or until the API allowance is renewed."""
    if done.exit_code == Deferred.exit_code:
        return max(done.until - now, timedelta(0)) if done.until is not None else RENEWS_AFTER
    longest = longest_pause(tries)
    return random.uniform(0.5, 1.0) * longest
