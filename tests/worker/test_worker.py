"""The worker over a real ledger: one run per slot, whatever fails, dies, or happens to the clock."""

from __future__ import annotations

import errno
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from crmsync.configuration_schedule import TASKS as WORDS
from crmsync.configuration_schedule import Schedule
from crmsync.due import MOST_TRIES
from crmsync.errors import AlreadyRunning, Deferred, Retriable, StoreError
from crmsync.ledger import slots as book
from crmsync.ledger.approvals import PlanRow, approve, record_plan
from crmsync.ledger.ledger import Ledger, RunFacts
from crmsync.ledger.slots import SlotRow
from crmsync.tasks import TASKS
from crmsync.worker import Done, Worker, pause_after
from tests.databases import Place
from tests.worker.facts import DAILY, MONDAY, MarkedWork, SetClock, states


@pytest.fixture
def worker(work: MarkedWork, clock: SetClock) -> Worker:
    return Worker(work, clock)


def test_what_is_due_today_is_run_once(worker: Worker, work: MarkedWork):
    ended = worker.once()
    assert [(one.slot.period, one.state, one.exit_code, one.run_id) for one in ended] == [
        ("2026-06-01T05:00", "done", 0, "a-run")
    ]
    assert worker.once() == []
    assert work.runs == [("sync", "2026-06-01T05:00")]


def test_a_worker_that_is_new_does_not_look_at_yesterday(worker: Worker, work: MarkedWork, clock: SetClock):
    clock.at = MONDAY.replace(hour=4)
    assert worker.once() == []
    clock.at = MONDAY.replace(hour=5)
    assert len(worker.once()) == 1
    assert states(work.state) == {"2026-06-01T05:00": "done"}


def test_a_schedule_with_no_slot_on_its_first_day_still_catches_up_later(state: Path, clock: SetClock):
    work = MarkedWork(state, (Schedule("m", "full", "0 4 15 * *"),))
    assert Worker(work, clock).once() == []
    clock.at += timedelta(days=20)
    assert [one.slot.period for one in Worker(work, clock).once()] == ["2026-06-15T04:00"]


@pytest.mark.parametrize(
    ("catch_up", "run"),
    [
        ("latest", ["2026-06-05T05:00"]),
        ("all", [f"2026-06-0{day}T05:00" for day in (2, 3, 4, 5)]),
        ("none", []),
    ],
)
def test_after_four_days_away(state: Path, clock: SetClock, catch_up: str, run: list[str]):
    work = MarkedWork(state, (Schedule("sync", "sync", "0 5 * * *", catch_up),))
    clock.at = MONDAY.replace(hour=5)
    Worker(work, clock).once()
    work.runs.clear()
    clock.at += timedelta(days=4, hours=7)
    Worker(work, clock).once()
    assert [period for _, period in work.runs] == run
    assert [state for period, state in states(work.state).items() if period not in run][1:] == ["skipped"] * (
        4 - len(run)
    )


def test_the_day_of_a_run_is_that_of_its_slot_however_late(state: Path, clock: SetClock):
    days = []
    work = MarkedWork(
        state,
        (Schedule("sync", "sync", "30 23 * * *"),),
        ZoneInfo("America/New_York"),
        end=lambda slot: days.append(slot.day) or Done(0),  # type: ignore[func-returns-value]
    )
    clock.at = datetime(2026, 6, 1, 12, tzinfo=UTC)
    Worker(work, clock).once()
    clock.at = datetime(2026, 6, 2, 9, tzinfo=UTC)  # 05:00 there
    Worker(work, clock).once()
    assert days == [datetime(2026, 6, 1).date()]


def test_schedules_run_in_the_order_of_their_time(state: Path, clock: SetClock):
    work = MarkedWork(state, (DAILY, Schedule("early", "full", "0 4 * * *")))
    Worker(work, clock).once()
    assert [name for name, _ in work.runs] == ["early", "sync"]


def test_review_slots_are_there_on_review_dates_only(state: Path, clock: SetClock):
    work = MarkedWork(state, (Schedule("review", "review", "0 6 * * *"),), review_days=lambda day: day.day == 3)
    for _ in range(5):
        Worker(work, clock).once()
        clock.at += timedelta(days=1)
    assert work.runs == [("review", "2026-06-03T06:00")]


def test_every_word_of_the_schedule_has_a_task():
    assert set(TASKS) == set(WORDS)


# --- failing


def test_a_run_that_fails_is_tried_again_later(worker: Worker, work: MarkedWork, clock: SetClock):
    def fail(_slot: SlotRow) -> Done:
        raise Retriable("the org does not answer")

    work.end = fail
    (first,) = worker.once()
    assert (first.state, first.exit_code, first.told) == ("failed", 1, "the org does not answer")
    assert worker.once() == []
    clock.at += timedelta(seconds=61)
    assert len(worker.once()) == 1
    work.end = lambda _slot: Done(3)
    clock.at += timedelta(seconds=121)
    assert [one.state for one in worker.once()] == ["done"]
    assert len(work.runs) == 3


def test_a_fault_nobody_thought_of_ends_one_run_and_not_the_worker(worker: Worker, work: MarkedWork):
    def break_down(_slot: SlotRow) -> Done:
        raise ZeroDivisionError("division by zero")

    work.end = break_down
    (ended,) = worker.once()
    assert (ended.state, ended.exit_code, ended.told) == (
        "failed",
        1,
        "unexpected ZeroDivisionError: division by zero",
    )


def test_a_full_disk_is_told_as_one(worker: Worker, work: MarkedWork):
    def fill(_slot: SlotRow) -> Done:
        raise OSError(errno.ENOSPC, "No space left on device", "parquet")

    work.end = fill
    assert [(one.state, one.exit_code) for one in worker.once()] == [("failed", 6)]


@pytest.mark.parametrize(("tries", "least", "most"), [(1, 30, 60), (2, 60, 120), (6, 960, 1920), (30, 1800, 3600)])
def test_rests_grow_with_jitter_up_to_an_hour(tries: int, least: float, most: float):
    rests = [pause_after(Done(1), tries, MONDAY).total_seconds() for _ in range(50)]
    assert least <= min(rests) < max(rests) <= most


def test_a_deferred_run_waits_for_the_allowance(worker: Worker, work: MarkedWork, clock: SetClock):
    def defer(_slot: SlotRow) -> Done:
        raise Deferred("the allowance is used up")

    work.end = defer
    assert [one.exit_code for one in worker.once()] == [5]
    clock.at += timedelta(minutes=59)
    assert worker.once() == []
    clock.at += timedelta(minutes=2)
    assert len(worker.once()) == 1
    assert pause_after(Done(5, until=MONDAY + timedelta(hours=7)), 1, MONDAY) == timedelta(hours=7)


def test_the_next_slot_takes_the_place_of_one_that_failed(worker: Worker, work: MarkedWork, clock: SetClock):
    work.end = lambda _slot: Done(1)
    for _ in range(3):
        worker.once()
        clock.at += timedelta(hours=8)
    worker.once()
    assert states(work.state) == {"2026-06-01T05:00": "skipped", "2026-06-02T05:00": "failed"}


def test_a_failed_slot_is_not_tried_without_end(state: Path, clock: SetClock):
    work = MarkedWork(state, (Schedule("m", "sync", "0 5 1 * *"),), end=lambda _slot: Done(1))
    for _ in range(40):
        Worker(work, clock).once()
        clock.at += timedelta(hours=2)
    assert len(work.runs) == MOST_TRIES
    assert states(work.state, "m") == {"2026-06-01T05:00": "failed"}


def test_what_all_catches_up_with_is_not_overtaken(state: Path, clock: SetClock):
    work = MarkedWork(state, (Schedule("sync", "sync", "0 5 * * *", "all"),), end=lambda _slot: Done(1))
    Worker(work, clock).once()
    clock.at += timedelta(days=1)
    work.end = lambda _slot: Done(0)
    Worker(work, clock).once()
    assert [period for _, period in work.runs] == ["2026-06-01T05:00", "2026-06-01T05:00", "2026-06-02T05:00"]


def test_a_slot_whose_run_died_is_run_again(work: MarkedWork, clock: SetClock):
    with Ledger.open(work.state) as ledger:
        slot = SlotRow("sync", "2026-06-01T05:00", MONDAY.replace(hour=5), "due")
        book.begin_counting(ledger, "sync", MONDAY.replace(hour=0))
        book.note_slots(ledger, [slot])
        assert book.claim(ledger, slot, clock.at)  # and now the process dies
    (ended,) = Worker(work, clock).once()
    assert (ended.slot.period, ended.slot.attempts, ended.state) == ("2026-06-01T05:00", 1, "done")


def test_a_run_that_is_told_to_stop_leaves_its_slot_due(worker: Worker, work: MarkedWork):
    def stop(_slot: SlotRow) -> Done:
        raise SystemExit(143)

    work.end = stop
    with pytest.raises(SystemExit):
        worker.once()
    assert states(work.state) == {"2026-06-01T05:00": "due"}
    work.end = lambda _slot: Done(0)
    assert [one.slot.attempts for one in worker.once()] == [0]


def test_a_stop_is_heeded_also_where_the_slot_cannot_be_given_back(
    worker: Worker, work: MarkedWork, monkeypatch: pytest.MonkeyPatch
):
    def stop(_slot: SlotRow) -> Done:
        raise SystemExit(143)

    def full(*_: object) -> None:
        raise StoreError("the disk is full")

    work.end = stop
    with monkeypatch.context() as patched:
        patched.setattr(book, "give_back", full)
        with pytest.raises(SystemExit):
            worker.forever(turns=1)
    work.end = lambda _slot: Done(0)
    assert [one.state for one in worker.once()] == ["done"]


def test_nothing_is_claimed_while_another_process_runs(worker: Worker, work: MarkedWork):
    with Ledger.open(work.state), pytest.raises(AlreadyRunning):
        worker.once()
    assert work.runs == []
    assert len(worker.once()) == 1


def test_on_both_databases_a_slot_is_run_by_one_worker(place: Place):
    clock, first, second = SetClock(), MarkedWork(place.state, url=place.url), MarkedWork(place.state, url=place.url)

    def meet(_slot: SlotRow) -> Done:
        with pytest.raises(AlreadyRunning):
            Worker(second, clock).once()
        return Done(0)

    first.end = meet
    assert [one.state for one in Worker(first, clock).once()] == ["done"]
    assert Worker(second, clock).once() == []
    assert (len(first.runs), len(second.runs)) == (1, 0)


def test_a_worker_goes_on_where_the_ledger_is_busy_or_broken(work: MarkedWork, clock: SetClock):
    worker = Worker(work, clock)
    with Ledger.open(work.state):
        worker.forever(turns=2)
    assert clock.waited == [15.0, 15.0]

    def broken(*, exclusive: bool) -> Ledger:
        raise StoreError(f"the disk is full ({exclusive})")

    work.ledger, opened = broken, work.ledger  # type: ignore[method-assign]
    worker.forever(turns=1)
    assert worker.pulse.fault == "the disk is full (False)"
    work.ledger = opened  # type: ignore[method-assign]
    worker.forever(turns=1)
    assert worker.pulse.fault is None
    assert len(work.runs) == 1


# --- blocked


def a_blocked_run(work: MarkedWork, digest: str) -> None:
    """Runs end blocked, with a plan of this digest in the ledger."""

    def blocked(slot: SlotRow) -> Done:
        with Ledger.open(work.state, exclusive=False) as ledger:
            ledger.slot = (slot.schedule, slot.period)
            run_id = ledger.start_run("run", RunFacts(plan_digest=digest))
            record_plan(
                ledger, PlanRow(digest, run_id, Path("p.json"), slot.day, 9, 9, True, "blocked", "2026-06-01"), []
            )
        return Done(8, run_id)

    work.end = blocked


def test_a_blocked_slot_waits_for_an_approval_and_then_exactly_that_plan_is_applied(
    worker: Worker, work: MarkedWork, clock: SetClock
):
    a_blocked_run(work, "ab" * 32)
    assert [one.state for one in worker.once()] == ["blocked"]
    clock.at += timedelta(minutes=20)
    assert worker.once() == []
    with Ledger.open(work.state, exclusive=False) as ledger:
        approve(ledger, "abab", "Ann Example")
    work.end = lambda _slot: Done(0)
    assert [one.state for one in worker.once()] == ["done"]
    assert work.approved == ["ab" * 32]


def test_now_and_then_it_is_looked_elsewhere_whether_a_blocked_plan_was_approved(
    worker: Worker, work: MarkedWork, clock: SetClock
):
    a_blocked_run(work, "ab" * 32)
    worker.once()
    looked: list[str] = []
    work.end = lambda slot: looked.append(slot.state) or Done(8)  # type: ignore[func-returns-value]
    clock.at += timedelta(minutes=31)
    assert [one.state for one in worker.once()] == ["blocked"]
    assert worker.once() == []
    work.end = lambda slot: looked.append(slot.state) or Done(0, "an-apply")  # type: ignore[func-returns-value]
    clock.at += timedelta(minutes=31)
    assert [(one.state, one.run_id) for one in worker.once()] == [("done", "an-apply")]
    assert looked == ["blocked", "blocked"]


def test_the_next_slot_drafts_a_blocked_plan_anew_unless_it_was_approved(
    worker: Worker, work: MarkedWork, clock: SetClock
):
    a_blocked_run(work, "ab" * 32)
    worker.once()
    clock.at += timedelta(days=1)
    a_blocked_run(work, "cd" * 32)
    worker.once()
    assert states(work.state) == {"2026-06-01T05:00": "skipped", "2026-06-02T05:00": "blocked"}
    with Ledger.open(work.state, exclusive=False) as ledger:
        approve(ledger, "cdcd", "Ann Example")
    work.end = lambda _slot: Done(0)
    clock.at += timedelta(days=1)
    worker.once()
    assert work.approved == ["cd" * 32]
    assert set(states(work.state).values()) == {"skipped", "done"}


# --- the clock


def test_a_clock_that_goes_back_runs_nothing_twice(worker: Worker, work: MarkedWork, clock: SetClock):
    worker.once()
    clock.at -= timedelta(hours=8)
    assert worker.once() == []
    clock.at += timedelta(hours=8)
    assert worker.once() == []
    assert len(work.runs) == 1


def test_a_clock_that_was_years_ahead_for_a_while_does_not_cost_the_years(
    worker: Worker, work: MarkedWork, clock: SetClock
):
    worker.once()
    clock.at += timedelta(days=4000)
    worker.once()
    assert len(work.runs) == 2
    clock.at = MONDAY
    for _ in range(30):
        clock.at += timedelta(days=1)
        worker.once()
    assert len(work.runs) == 32
    assert len(set(work.runs)) == 32


def test_a_rest_that_a_wrong_clock_noted_ends(worker: Worker, work: MarkedWork, clock: SetClock):
    work.end = lambda _slot: Done(1)
    worker.once()
    with Ledger.open(work.state) as ledger:
        (slot,) = book.open_slots(ledger)
        end = book.SlotEnd("failed", clock.at, 1, not_before=clock.at + timedelta(days=300))
        book.end_slot(ledger, slot.schedule, slot.period, end)
    assert len(worker.once()) == 1


def test_the_worker_looks_at_the_full_minute(worker: Worker, clock: SetClock):
    clock.at = MONDAY + timedelta(seconds=42.5)
    worker.forever(turns=2)
    assert clock.waited == [17.5, 60.0]


def test_a_run_in_the_ledger_names_its_slot(worker: Worker, work: MarkedWork):
    a_blocked_run(work, "ab" * 32)
    (ended,) = worker.once()
    with Ledger.open(work.state, exclusive=False) as ledger:
        assert book.run_of_slot(ledger, ended.slot) == (ended.run_id, "ab" * 32)
