"""Clocks that go wrong, zones that are changed, runs that die again and again, files that vanish while being read."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from crmsync.due import MOST_TRIES, Duties, anything_due, choice_of, note_due
from crmsync.health import overdue
from crmsync.ledger import slots as book
from crmsync.ledger.ledger import Ledger
from crmsync.ledger.slots import SlotRow
from crmsync.metrics import export_metrics
from crmsync.tasks import _signature
from crmsync.worker import Done, Worker
from tests.worker.facts import MONDAY, MarkedWork, SetClock, states

BERLIN, NEW_YORK, TOKYO = (ZoneInfo(name) for name in ("Europe/Berlin", "America/New_York", "Asia/Tokyo"))


def idle(work: MarkedWork, clock: SetClock) -> bool:
    with work.ledger(exclusive=False) as ledger:
        return not anything_due(ledger, work.duties(), clock.now())


# --- another zone in the configuration


@pytest.mark.parametrize("there", [NEW_YORK, TOKYO])
def test_a_zone_that_is_changed_runs_no_day_twice_and_leaves_none_out(
    work: MarkedWork, clock: SetClock, there: ZoneInfo
) -> None:
    work.zone = BERLIN
    clock.at = MONDAY.replace(hour=4)  # six in Berlin: the slot of five was run
    Worker(work, clock).once()
    work.zone = there
    for _ in range(3 * 24):
        clock.at += timedelta(hours=1)
        Worker(work, clock).once()
    assert idle(work, clock)
    days = [period for _, period in work.runs]
    assert days == sorted({*days})
    assert days[:3] == ["2026-06-01T05:00", "2026-06-02T05:00", "2026-06-03T05:00"]


def test_a_slot_that_failed_is_not_overtaken_by_itself_when_the_zone_is_changed(
    work: MarkedWork, clock: SetClock
) -> None:
    work.zone, work.end = BERLIN, lambda _slot: Done(1)
    clock.at = MONDAY.replace(hour=4)
    Worker(work, clock).once()
    work.zone, work.end = NEW_YORK, lambda _slot: Done(0)
    clock.at = MONDAY.replace(hour=12)  # five in New York has come, too
    Worker(work, clock).once()
    assert states(work.state) == {"2026-06-01T05:00": "done"}


# --- a clock that was ahead


def test_a_run_that_died_under_a_clock_years_ahead_levels_no_day_of_those_years(
    work: MarkedWork, clock: SetClock
) -> None:
    Worker(work, clock).once()
    ahead = MONDAY + timedelta(days=900)
    slot = SlotRow("sync", f"{ahead:%Y-%m-%d}T05:00", ahead.replace(hour=5), "due")
    with Ledger.open(work.state) as ledger:
        book.note_slots(ledger, [slot])
        assert book.claim(ledger, slot, ahead)  # and now the process dies, and the clock is set right
    Worker(work, clock).once()
    assert work.runs == [("sync", "2026-06-01T05:00")]
    assert states(work.state) == {"2026-06-01T05:00": "done"}


def test_health_tells_of_days_that_are_passed_over_since_one_of_the_future_was_run(
    work: MarkedWork, clock: SetClock
) -> None:
    clock.at = MONDAY + timedelta(days=900)
    Worker(work, clock).once()
    clock.at = MONDAY
    work.end = lambda _slot: Done(0, told="2028-11-17 was levelled already", passed=True)
    for _ in range(4):
        Worker(work, clock).once()
        clock.at += timedelta(days=1)
    with work.ledger(exclusive=False) as ledger:
        (told,) = overdue(ledger, work.duties(), clock.now())
    assert "schedule sync" in told
    assert "slots were not run" in told
    assert "2028" in told


# --- runs that die


def start_that_dies(work: MarkedWork, clock: SetClock) -> bool:
    """One start of the worker whose run kills it; False where nothing was run."""
    with work.ledger(exclusive=True) as ledger:
        note_due(ledger, work.duties(), clock.now())
        choice = choice_of(ledger, work.duties(), clock.now())
        return choice is not None and book.claim(ledger, choice.slot, clock.now())


def test_a_run_that_kills_its_process_again_and_again_is_given_rest(work: MarkedWork, clock: SetClock) -> None:
    """Out of memory, say: each try reads the whole org anew, and whoever starts the worker again does so at once."""
    started = [start_that_dies(work, clock) for _ in range(5)]
    assert started == [True, True, True, False, False]  # what died once or twice is taken up at once
    for minutes, runs in ((1, True), (1, False), (1, True), (2, False), (2, True), (60, True), (15, False), (1, True)):
        clock.at += timedelta(minutes=minutes)
        assert start_that_dies(work, clock) is runs
    with work.ledger(exclusive=True) as ledger:
        (slot,) = book.open_slots(ledger)
        worn_out = replace(slot, attempts=MOST_TRIES - 1)
        book.give_back(ledger, worn_out)
    assert [start_that_dies(work, clock), start_that_dies(work, clock)] == [True, False]
    clock.at += timedelta(hours=12)
    assert not start_that_dies(work, clock)
    clock.at += timedelta(hours=12)  # the next slot takes its place
    Worker(work, clock).once()
    assert states(work.state) == {"2026-06-01T05:00": "skipped", "2026-06-02T05:00": "done"}


# --- a worker goes on


def test_a_worker_outlives_what_nobody_thought_of_and_says_so(work: MarkedWork, clock: SetClock) -> None:
    def broken() -> Duties:
        raise KeyError("nobody thought of it")

    runs = Worker(work, clock)
    work.duties, duties = broken, work.duties  # type: ignore[method-assign]
    runs.forever(turns=1)
    assert runs.pulse.fault == "unexpected KeyError: 'nobody thought of it'"
    with Ledger.open(work.state):  # somebody else runs: what this worker needs is there
        work.duties = duties  # type: ignore[method-assign]
        runs.forever(turns=1)
    assert runs.pulse.fault is None
    runs.forever(turns=1)
    assert len(work.runs) == 1


def test_a_file_that_is_just_being_replaced_is_no_fault(tmp_path: Path) -> None:
    (tmp_path / "kept.yaml").write_text("a: b")
    (tmp_path / "gone.yaml").symlink_to(tmp_path / "nowhere")
    (name,) = (name for name, *_ in _signature(tmp_path))
    assert name.endswith("kept.yaml")


def test_figures_are_written_when_a_slot_has_ended(work: MarkedWork, clock: SetClock, tmp_path: Path) -> None:
    """A run that writes them cannot know how its slot will end: they would say `running` until the next one."""
    file = tmp_path / "crmsync.prom"
    Worker(work, clock, after=lambda ledger: export_metrics(file, ledger)).once()
    assert 'crmsync_slots{schedule="sync",state="done"} 1.0' in file.read_text()
    assert "running" not in file.read_text()
