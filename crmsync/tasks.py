"""What a worker works on, and what each word of `do:` in the schedule does, on the belt.

Nothing heavy is imported before a slot is run: `worker --once` and `health` are called every few minutes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from datetime import date
from pathlib import Path
from stat import S_ISREG
from typing import TYPE_CHECKING

from crmsync.configuration import Configuration, config_folder, load_configuration
from crmsync.configuration_schedule import Schedule
from crmsync.due import Duties
from crmsync.errors import Conflict, CrmsyncError, UnsafePlan
from crmsync.exits import BLOCKED, DONE, PARKED
from crmsync.ledger import slots as book
from crmsync.ledger.accepted import newest_standings
from crmsync.ledger.approvals import approval_of
from crmsync.ledger.ledger import Ledger
from crmsync.ledger.slots import SlotRow
from crmsync.schedule import Days, every_day
from crmsync.settings import load_settings
from crmsync.state import open_ledger
from crmsync.worker import Done

if TYPE_CHECKING:
    from crmsync.belt import Belt, Files
    from crmsync.results import Result

Signature = frozenset[tuple[str, int, int]]


class BeltWork:
    """What a worker works on: the configuration, read again when a file of it changed, and its ledger."""

    def __init__(self, config: Path | None) -> None:
        self.config = config
        self._read: tuple[Signature, Duties] | None = None

    def check(self) -> None:
        """Read every file as a run does. Errors: ConfigError, of what a run could not start with."""
        from crmsync.belt import read_files

        read_files(self.config)

    def duties(self) -> Duties:
        """What is configured now. Errors: ConfigError."""
        folder = config_folder(load_settings(self.config).config_dir)
        signature = _signature(folder)
        if self._read is None or self._read[0] != signature:
            configuration = load_configuration(folder)
            days = review_days(configuration) if _reviews(configuration.schedules) else every_day
            self._read = (signature, Duties(configuration.schedules, configuration.zone, days))
        return self._read[1]

    def ledger(self, *, exclusive: bool) -> Ledger:
        """The ledger of the settings. Errors: AlreadyRunning, StoreError."""
        return open_ledger(load_settings(self.config), exclusive=exclusive)

    def run(self, ledger: Ledger, slot: SlotRow, schedule: Schedule, approved: str | None) -> Done:
        """Run a slot; `approved`: digest of the plan it was blocked with, which is applied now. Errors: of the belt.

        Configuration and secret files are read anew, so that what was changed or rotated holds from the next run on.
        """
        from crmsync import pipeline
        from crmsync.belt import opened_on, read_files

        files = read_files(self.config)
        if slot.state == "blocked" and approved is None:
            return _decided(files, ledger, slot)
        with opened_on(files, ledger) as belt:
            if approved is not None:
                return _done(pipeline.apply(belt, approved))
            return TASKS[schedule.do](belt, slot.day)


def _decided(files: Files, ledger: Ledger, slot: SlotRow) -> Done:
    """Look on the plan record in the CRM whether somebody decided, and apply the plan if it was approved.

    A fault of looking leaves the slot as it is: the plan still waits.
    """
    from crmsync import pipeline
    from crmsync.belt import opened_on

    run_id, digest = book.run_of_slot(ledger, slot) or (None, None)
    writes = files.mapping.writes if files.mapping else None
    if digest is None or writes is None or writes.plan_record is None:
        return Done(BLOCKED, run_id, slot.told)
    try:
        with opened_on(files, ledger) as belt:
            return _done(pipeline.apply(belt, digest))
    except UnsafePlan:
        return Done(BLOCKED, run_id, slot.told)
    except Conflict as error:  # declined, or another plan has taken its place: the next slot drafts anew
        return Done(BLOCKED, run_id, str(error))
    except CrmsyncError as error:
        if approval_of(ledger, digest) is not None:
            raise
        return Done(BLOCKED, run_id, f"the plan record cannot be looked at: {error}")


def _reviews(schedules: tuple[Schedule, ...]) -> bool:
    return any(schedule.do == "review" for schedule in schedules)


def _signature(folder: Path) -> Signature:
    """Every file of the configuration with its time of change and size."""
    return frozenset(_states(folder))


def _states(folder: Path) -> Iterator[tuple[str, int, int]]:
    for path in folder.rglob("*"):
        try:
            status = path.stat()
        except FileNotFoundError:
            continue  # it is just being put in place: the next look sees it
        if S_ISREG(status.st_mode):
            yield str(path), status.st_mtime_ns, status.st_size


def _sync(belt: Belt, day: date) -> Done:
    """The whole belt for the day of the slot, however late it is: the calendar of the rules goes by that day."""
    newest = newest_standings(belt.ledger)
    if newest is not None and newest.as_of > day:
        return Done(0, told=f"{newest.as_of.isoformat()} was levelled already", passed=True)
    from crmsync import pipeline

    return _done(pipeline.run(belt, day))


def _full(belt: Belt, day: date) -> Done:
    """The same, with everything read anew."""
    reading = replace(belt.configuration.reading, full_every_days=0)
    return _sync(replace(belt, configuration=replace(belt.configuration, reading=reading)), day)


def _notices(belt: Belt, _day: date) -> Done:
    """Send what waits: after the quiet hours, an approval, a week."""
    from crmsync.notified import send_now

    sent = send_now(belt).sent
    failed = f", {sent.refused} refused, {sent.unknown} without an answer" if sent.refused or sent.unknown else ""
    return Done(PARKED if failed else DONE, told=f"{sent.sent} notices sent, {sent.later} wait{failed}")


TASKS: Mapping[str, Callable[[Belt, date], Done]] = {
    "sync": _sync, "full": _full, "review": _full, "notices": _notices,
}  # fmt: skip
"""By the words of configuration_schedule.TASKS; a test keeps the two equal."""


def _done(result: Result) -> Done:
    return Done(result.exit_code, result.run_id, result.state)


def review_days(configuration: Configuration) -> Days:
    """Whether a day is a calendar review date of the program, in any of its versions. Errors: ConfigError."""
    from crmsync.levelling.movement_dates import falls_on
    from crmsync.levelling.rules import movements_of
    from crmsync.programs.loading import load_programs

    changes = [one for program in load_programs(configuration.program) for one in movements_of(program)]
    dates = {change.on for one in changes for change in (one.promote, one.demote)} - {None}
    return lambda day: any(falls_on(one, day) for one in dates if one is not None)
