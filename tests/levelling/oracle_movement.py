"""How a standing moves on one day: a state machine from the words of the contract. Shares no code with the engine.

Positions: -1 no longer belongs, 0 no tier, 1 the lowest. Source: program-language, sections 7 and 8.
"""

from __future__ import annotations

from calendar import isleap
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from crmsync.programs.program import Change, Effective, Lag, Movement, Program, ReviewDates
from tests.levelling.oracle_cells import before
from tests.levelling.oracle_overrides import Acting
from tests.levelling.oracle_places import Stood

ONE = timedelta(days=1)


@dataclass(frozen=True)
class Numbers:
    """What the numbers say today; -1 everywhere for who does not belong. `keep_from`: what a migration keeps."""

    belongs: bool
    takes_part: bool
    calculated: int
    possible: int
    keep_from: int | None = None


@dataclass(frozen=True)
class Moved:
    """What a day has done."""

    earned: int
    start: int | None
    stands: bool
    grace: date | None = None
    pending: int | None = None
    pending_on: date | None = None
    decided_on: date | None = None
    declined: int | None = None
    came: bool = False
    events: frozenset[str] = frozenset()


class Turn:
    """One standing on one day. `was`: the earned tier before (None: a first assessment); `frozen_for`: by freeze."""

    def __init__(
        self, program: Program, category: str, day: date, partner: Mapping[str, Any], stood: Stood | None,
        was: int | None, numbers: Numbers, acting: Acting, frozen_for: Any,
    ) -> None:  # fmt: skip
        self.day, self.partner, self.numbers, self.acting = day, partner, numbers, acting
        self.stood = stood or Stood()
        self.has_stood = stood is not None and not stood.gone
        self.was = was
        self.base = program.movement_of(category)
        self.tiers = [program.movement_of(category, tier) for tier in program.ladder_of(category).tiers]
        self.frozen_for = frozen_for
        self.came = self.stood.pending_on is not None and self.stood.pending_on <= day
        self.start = self.stood.pending if self.came else was

    def movement(self, position: int) -> Movement:
        return self.tiers[position - 1] if position > 0 else self.base

    def turned(self) -> Moved:
        if self.start is None:
            return self._ended(Moved(self.numbers.calculated, None, False))
        up = self._up()
        if up is not None:
            return self._ended(up)
        return self._ended(self._down())

    def _ended(self, found: Moved) -> Moved:
        """Whether there still is a standing: a member's, or one that movement has not ended."""
        lost = self.was is not None and found.earned <= 0 and found.earned < self.was
        stands = self.numbers.belongs or (self.has_stood and self.numbers.takes_part and not lost)
        return Moved(
            found.earned, self.start, stands, found.grace, found.pending, found.pending_on, found.decided_on,
            found.declined, self.came, self.stood.events | found.events,
        )  # fmt: skip

    # --- dates

    def is_date(self, dates: ReviewDates | None) -> bool:
        if dates is None or dates.any_day:
            return True
        if dates.anniversary is not None:
            return returns_on(self.partner.get(dates.anniversary), self.day)
        return any(on(month, number, self.day.year) == self.day for month, number in dates.days)

    def comes_on(self, change: Change) -> date:
        return in_force_on(change.effective or Effective(), self.day)

    # --- up

    @property
    def waiting(self) -> int | None:
        """The tier that waits for a person, where people decide at all."""
        if not any(change.approval for one in (self.base, *self.tiers) for change in (one.promote, one.demote)):
            return None
        return self.stood.pending if self.stood.pending is not None and self.stood.pending_on is None else None

    def _since(self, waits_for_it: bool) -> date:
        """The day of the decision."""
        return (self.stood.decided_on or self.day) if waits_for_it else self.day

    def _up(self) -> Moved | None:
        """A promotion, or one that waits; None: nothing goes up."""
        assert self.start is not None
        start, calculated = self.start, self.numbers.calculated
        if calculated <= start:
            return None
        reach = start
        for at in range(start + 1, calculated + 1):
            if not self.is_date(self.movement(at).promote.on):
                break
            reach = at
        if self.waiting is not None and start < self.waiting <= calculated:
            reach = max(reach, self.waiting)  # decided on a date; only people are missing
        decided, risen, declined = start, start, None
        for at in range(start + 1, reach + 1):
            if self.movement(at).promote.approval and self._is_declined(at):
                declined = at
                break
            decided = at
        for at in range(start + 1, decided + 1):
            if self.movement(at).promote.approval and not self._is_approved(at):
                break
            risen = at
        if reach <= start and self.stood.declined is not None and calculated >= self.stood.declined > start:
            declined = self.stood.declined
        asks = decided > risen
        since = self._since(self.waiting == decided) if asks else None
        if risen > start:
            day = self.comes_on(self.movement(risen).promote)
            if not self._overtaken(risen, day, up=True):
                if day <= self.day:
                    return self._waiting_on(risen, decided if asks else None, since, declined)
                return Moved(start, None, False, None, risen, day, None, declined, events=self._cured())
        if self._is_pending():
            pending, pending_on = self.stood.pending, self.stood.pending_on
            return Moved(start, None, False, None, pending, pending_on, None, declined, events=self._cured())
        if not asks and declined is None and risen == start:
            return None if reach == start else Moved(start, None, False, events=self._cured())
        return self._waiting_on(start, decided if asks else None, since, declined)

    def _waiting_on(self, earned: int, pending: int | None, since: date | None, declined: int | None) -> Moved:
        return Moved(earned, None, False, None, pending, None, since, declined, events=self._cured())

    def _is_pending(self) -> bool:
        return self.stood.pending_on is not None and not self.came

    def _overtaken(self, to: int, day: date, up: bool) -> bool:
        """Whether a change of the same direction waits already that goes as far, or comes sooner."""
        assert self.start is not None
        if not self._is_pending() or self.stood.pending is None or self.stood.pending_on is None:
            return False
        same = self.stood.pending > self.start if up else self.stood.pending < self.start
        as_far = to <= self.stood.pending if up else to >= self.stood.pending
        return same and (as_far or day > self.stood.pending_on)

    def _is_approved(self, position: int) -> bool:
        """An approval of a tier covers those below it on the way."""
        since = self._since(self.waiting is not None and self.waiting >= position)
        return any(at >= position and day >= since for at, day in self.acting.approve.items() if at)

    def _is_declined(self, position: int) -> bool:
        on_date = not any_day(self.movement(position).promote.on) and self.is_date(self.movement(position).promote.on)
        if self.stood.declined == position and self.numbers.calculated >= position and not on_date:
            return True
        day = self.acting.decline.get(position)
        if day is None or day < self._since(self.waiting is not None and self.waiting >= position):
            return False
        return not any(at >= position and other > day for at, other in self.acting.approve.items())

    # --- down

    def _bottom(self) -> int:
        assert self.start is not None
        lowest = min(self.start, self.numbers.possible)
        if self.numbers.keep_from is not None:
            lowest = max(lowest, min(self.start, self.numbers.keep_from))
        return lowest

    def _holds(self, movement: Movement) -> list[tuple[date, date]]:
        found = []
        joined, promoted = self.partner.get("joined_on"), self.stood.promoted_on
        for first, span in ((joined, movement.newcomers), (promoted, movement.after_promotion)):
            if first is not None and span is not None and span.count:
                found.append((first, before(first, -span.count, span.period.value)))
        return found

    @property
    def is_frozen(self) -> bool:
        assert self.start is not None
        return any(
            (one.start or date.min) <= self.day <= (one.until or date.max) and self.frozen_for(one)
            for one in self.movement(self.start).freeze or ()
        )

    @property
    def is_held(self) -> bool:
        assert self.start is not None
        return any(first <= self.day <= last for first, last in self._holds(self.movement(self.start)))

    def _deadline(self, day: date) -> date:
        """The end of a grace: moved by an override, and behind a hold or freeze it falls into."""
        assert self.start is not None
        if self.acting.grace_to is not None:
            day = max(day, self.acting.grace_to)
        movement = self.movement(self.start)
        stretches = self._holds(movement)
        freezes = [one for one in movement.freeze or () if one.until is not None and self.frozen_for(one)]
        stretches += [(one.start or date.min, one.until) for one in freezes if one.until is not None]
        moved = True
        while moved:
            moved = False
            for first, last in stretches:
                if first <= day <= last:
                    day, moved = last + ONE, True
        return day

    def _down(self) -> Moved:
        assert self.start is not None
        start, calculated, bottom = self.start, self.numbers.calculated, self._bottom()
        change = self.movement(start).demote
        below, free = bottom < start, not (self.is_frozen or self.is_held)
        due = not self.came if any_day(change.on) else self.is_date(change.on)
        grace = self._running()
        new_end = self._deadline(before(self.day, -change.grace.count, change.grace.period.value)
                                 if change.grace else self.day)  # fmt: skip
        now = self._deadline(grace) <= self.day if grace is not None else due and new_end <= self.day
        refused_before = self.waiting is not None and self.waiting < start
        falls = below and free and (now or refused_before)
        fallen = max(bottom, start - change.steps) if change.steps else bottom
        decided_already = self.stood.pending is not None and self.stood.pending < start and not self.came
        starts = below and free and due and new_end > self.day and grace is None and not decided_already
        events = self._events(below, due, falls, starts)
        keeps_grace = self._grace(falls, starts, new_end)
        drop, refused = start, False
        if falls:
            refused = self._drop_refused(fallen)
            if not refused:
                drop = fallen if not change.approval else self._approved_drop(fallen)
        if drop < start:
            day = self.comes_on(change)
            if not self._overtaken(drop, day, up=False):
                if day <= self.day:
                    return Moved(drop, None, False, keeps_grace, None, None, None, None, events=events)
                return Moved(start, None, False, keeps_grace, drop, day, None, None, events=events)
        if self._is_pending():
            return Moved(start, None, False, keeps_grace, self.stood.pending, self.stood.pending_on, events=events)
        if falls and not refused and drop == start:
            since = self._since(self.waiting == fallen)
            return Moved(start, None, False, keeps_grace, fallen, None, since, events=events)
        declined = fallen if falls and refused else None
        still = self.stood.declined is not None and self.stood.declined < start and calculated < start and not falls
        return Moved(
            start, None, False, keeps_grace, declined=self.stood.declined if still else declined, events=events
        )

    def _running(self) -> date | None:
        return self.stood.grace_until if not self.came else None

    def _grace(self, falls: bool, starts: bool, new_end: date | None = None) -> date | None:
        """The end of the grace that runs on."""
        assert self.start is not None
        running = self._running()
        if falls:
            return None
        if running is not None and self.numbers.calculated < self.start:
            return self._deadline(running)
        return new_end if starts else None

    def _drop_refused(self, fallen: int) -> bool:
        assert self.start is not None
        if not any(one.demote.approval for one in (self.base, *self.tiers)):
            return False
        change = self.movement(self.start).demote
        asked_again = not any_day(change.on) and self.is_date(change.on)
        if self.stood.declined is not None and self.stood.declined < self.start and not asked_again:
            return True
        since = self._since(self.waiting is not None and self.waiting < self.start)
        return any(meant(fallen, at) and day >= since for at, day in self.acting.decline.items())

    def _approved_drop(self, fallen: int) -> int:
        """Where people let a partner fall to."""
        assert self.start is not None
        for at, day in sorted(self.acting.approve.items()):
            if meant(fallen, at) and day >= self._since(self.waiting == fallen):
                return fallen
            waiting = self.waiting
            if (
                waiting is not None
                and meant(waiting, at)
                and fallen <= waiting < self.start
                and day >= self._since(True)
            ):
                return waiting
        return self.start

    # --- words

    def _cured(self) -> frozenset[str]:
        assert self.start is not None
        running = self.stood.grace_until is not None
        return frozenset({"cured"}) if running and self.numbers.calculated >= self.start else frozenset()

    def _events(self, below: bool, due: bool, falls: bool, starts: bool) -> frozenset[str]:
        assert self.start is not None
        running = self.stood.grace_until is not None
        stopped = below and (due or running)
        found = {"frozen"} if stopped and self.is_frozen else set()
        found |= {"held"} if stopped and self.is_held else set()
        over = self._grace(falls, starts) is None and self.numbers.calculated >= self.start
        found |= {"cured"} if running and over else set()
        return frozenset(found)


def meant(position: int, at: int) -> bool:
    """Whether an override for the tier `at` means a position: `none` also means out of the category."""
    return position <= 0 if at == 0 else position == at


def any_day(dates: ReviewDates | None) -> bool:
    return dates is None or dates.any_day


def on(month: int, number: int, year: int) -> date:
    """A day of a year; 29 February is the 28th where there is no 29th."""
    return date(year, month, 28 if (month, number) == (2, 29) and not isleap(year) else number)


def returns_on(first: date | None, day: date) -> bool:
    return first is not None and first.year < day.year and on(first.month, first.day, day.year) == day


def next_return(first: date | None, day: date) -> date | None:
    if first is None:
        return None
    years = range(max(day.year, first.year + 1), max(day.year, first.year + 1) + 2)
    return min(one for one in (on(first.month, first.day, year) for year in years) if one > day)


def next_date(dates: ReviewDates | None, day: date, partner: Mapping[str, Any]) -> date | None:
    """The next day of a calendar after a day."""
    if dates is None or dates.any_day:
        return None
    if dates.anniversary is not None:
        return next_return(partner.get(dates.anniversary), day)
    days = [on(month, number, year) for year in (day.year, day.year + 1) for month, number in dates.days]
    return min(one for one in days if one > day)


def in_force_on(effective: Effective, day: date) -> date:
    if effective.lag is Lag.NEXT_MONTH:
        return before(day.replace(day=1), -1, "months")
    if effective.lag is Lag.AFTER and effective.after is not None:
        return before(day, -effective.after.count, effective.after.period.value)
    return day
