"""Slots in the ledger: noted once, claimed by one, ended; on both databases."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from crmsync.ledger import slots as book
from crmsync.ledger.ledger import Ledger
from crmsync.ledger.slots import SlotEnd, SlotRow
from crmsync.metrics import metrics_text

FIVE = datetime(2026, 6, 1, 5, 0, tzinfo=UTC)
DAY = timedelta(days=1)


def a_slot(day: int = 0, state: str = "due", schedule: str = "sync") -> SlotRow:
    due = FIVE + day * DAY
    return SlotRow(schedule, f"{due:%Y-%m-%dT%H:%M}", due, state)


def test_a_slot_is_noted_once_and_stays_as_it_is(ledger: Ledger):
    book.note_slots(ledger, [a_slot()])
    book.end_slot(ledger, "sync", a_slot().period, SlotEnd("done", FIVE, 0, "r1"))
    book.note_slots(ledger, [a_slot(), a_slot(1)])
    assert [(one.period, one.state, one.run_id) for one in book.newest_slots(ledger, "sync", 9)] == [
        ("2026-06-02T05:00", "due", None),
        ("2026-06-01T05:00", "done", "r1"),
    ]
    assert [one.period for one in book.open_slots(ledger)] == ["2026-06-02T05:00"]


def test_a_slot_is_claimed_by_one(ledger: Ledger):
    book.note_slots(ledger, [a_slot()])
    (seen,) = book.open_slots(ledger)
    assert book.claim(ledger, seen, FIVE)
    assert not book.claim(ledger, seen, FIVE)
    (taken,) = book.open_slots(ledger)
    assert (taken.state, taken.attempts, taken.started_at) == ("running", 1, FIVE)
    assert book.claim(ledger, taken, FIVE + DAY)  # the one before died
    book.give_back(ledger, seen)
    assert [(one.state, one.attempts) for one in book.open_slots(ledger)] == [("due", 0)]


def test_a_failed_slot_is_open_while_it_may_be_tried_again(ledger: Ledger):
    book.note_slots(ledger, [a_slot(), a_slot(1)])
    book.end_slot(ledger, "sync", a_slot().period, SlotEnd("failed", FIVE, 1, not_before=FIVE + DAY, told="why"))
    book.end_slot(ledger, "sync", a_slot(1).period, SlotEnd("failed", FIVE, 1))
    (found,) = book.open_slots(ledger)
    assert (found.period, found.not_before, found.told, found.exit_code) == (a_slot().period, FIVE + DAY, "why", 1)


def test_counting_begins_once_and_goes_on_from_the_newest_slot_so_far(ledger: Ledger):
    assert book.counted_from(ledger, "sync", FIVE) is None
    book.begin_counting(ledger, "sync", FIVE - DAY)
    assert book.counted_from(ledger, "sync", FIVE) == FIVE - DAY
    assert book.counted_from(ledger, "other", FIVE) is None
    book.note_slots(ledger, [a_slot(), a_slot(9, "skipped")])
    assert book.counted_from(ledger, "sync", FIVE + DAY) == FIVE
    assert book.counted_from(ledger, "sync", FIVE + 10 * DAY) == FIVE + 9 * DAY
    assert book.counted_from(ledger, "sync", FIVE - 2 * DAY) is None  # it began in the future: a wrong clock


def test_what_a_wrong_clock_noted_is_forgotten_unless_it_was_run(ledger: Ledger):
    book.note_slots(ledger, [a_slot(), a_slot(400, "skipped"), a_slot(401), a_slot(402)])
    book.end_slot(ledger, "sync", a_slot(402).period, SlotEnd("done", FIVE, 0))
    assert book.from_the_future(ledger, FIVE)
    book.forget_future(ledger, FIVE)
    assert not book.from_the_future(ledger, FIVE)
    assert [one.due_at for one in book.newest_slots(ledger, "sync", 9)] == [FIVE + 402 * DAY, FIVE]


def test_the_last_run_is_one_that_ended_or_waits_for_a_person(ledger: Ledger):
    later = FIVE + 9 * DAY
    assert book.last_run(ledger, "sync", later) is None
    book.note_slots(ledger, [a_slot(), a_slot(1), a_slot(2), a_slot(3)])
    book.end_slot(ledger, "sync", a_slot().period, SlotEnd("done", FIVE, 0))
    book.end_slot(ledger, "sync", a_slot(1).period, SlotEnd("blocked", FIVE, 8))
    book.end_slot(ledger, "sync", a_slot(2).period, SlotEnd("failed", FIVE, 1))
    for now, period in ((later, a_slot(1).period), (FIVE, a_slot().period)):  # one ahead was run by a wrong clock
        last = book.last_run(ledger, "sync", now)
        assert last is not None
        assert last.period == period


def test_a_run_names_its_slot_and_the_newest_plan_of_it(ledger: Ledger):
    slot = a_slot()
    assert book.run_of_slot(ledger, slot) is None
    ledger.slot = (slot.schedule, slot.period)
    first = ledger.start_run("run")
    with ledger.writing() as connection:
        connection.exec_driver_sql("UPDATE run SET plan_digest = 'abcd'")
    second = ledger.start_run("apply")
    ledger.slot = None
    ledger.start_run("run")
    assert first != second
    assert book.run_of_slot(ledger, slot) == (second, "abcd")


def test_the_figures_are_told_on_both_databases(ledger: Ledger):
    empty = metrics_text(ledger).decode()
    assert "crmsync_conflicts 0.0" in empty
    assert "crmsync_last_success_timestamp " not in empty.replace("# ", "")
    ledger.end_run(ledger.start_run("run"), 0)
    ledger.end_run(ledger.start_run("run"), 1, "failed")
    book.note_slots(ledger, [a_slot()])
    told = metrics_text(ledger).decode()
    assert "crmsync_last_run_exit_code 1.0" in told
    assert "crmsync_last_success_timestamp" in told
    assert 'crmsync_slots{schedule="sync",state="due"} 1.0' in told
    assert 'crmsync_runs{state="failed"} 1.0' in told
