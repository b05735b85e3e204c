"""Which slots there are: cron texts, summer time, what is caught up with."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from crmsync.configuration_schedule import DEFAULT, TASKS, Schedule, read_schedules
from crmsync.errors import ConfigError
from crmsync.schedule import LATE, MOST_MISSED, Slot, caught_up, next_slot, slots_between, start_of_day
from crmsync.strict_yaml import parse_yaml

BERLIN = ZoneInfo("Europe/Berlin")


def instant(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def slots(cron: str, zone: ZoneInfo, after: str, until: str) -> list[tuple[str, str]]:
    found = slots_between(Schedule("s", "sync", cron), zone, instant(after), instant(until))
    return [(slot.period, f"{slot.due_at:%dT%H:%M}") for slot in found]


def test_a_slot_is_named_by_the_wall_clock_and_due_in_utc():
    found = slots_between(Schedule("s", "sync", "30 5 * * *"), BERLIN, instant("2026-06-01"), instant("2026-06-02"))
    assert found == [Slot(instant("2026-06-01T03:30"), "s", "2026-06-01T05:30", datetime(2026, 6, 1).date())]


def test_the_start_is_outside_and_the_end_inside():
    assert slots("0 5 * * *", ZoneInfo("UTC"), "2026-06-01T05:00", "2026-06-02T05:00") == [
        ("2026-06-02T05:00", "02T05:00")
    ]


def test_a_time_that_spring_skips_is_due_when_the_gap_ends():
    assert slots("30 2 * * *", BERLIN, "2026-03-28", "2026-03-30T12:00") == [
        ("2026-03-28T02:30", "28T01:30"),
        ("2026-03-29T02:30", "29T01:00"),
        ("2026-03-30T02:30", "30T00:30"),
    ]


def test_a_time_that_autumn_has_twice_is_due_once():
    assert slots("30 2 * * *", BERLIN, "2026-10-24T12:00", "2026-10-26") == [("2026-10-25T02:30", "25T00:30")]


def test_intervals_go_on_through_both_hours_of_autumn_and_skip_the_gap_of_spring():
    autumn = slots("*/30 * * * *", BERLIN, "2026-10-24T23:59", "2026-10-25T02:00")
    assert [period for period, _ in autumn] == [
        "2026-10-25T02:00",
        "2026-10-25T02:30",
        "2026-10-25T02:00+01:00",
        "2026-10-25T02:30+01:00",
        "2026-10-25T03:00",
    ]
    spring = slots("*/30 * * * *", BERLIN, "2026-03-29T00:00", "2026-03-29T01:30")
    assert [period for period, _ in spring] == ["2026-03-29T01:30", "2026-03-29T03:00", "2026-03-29T03:30"]


def test_two_times_that_a_gap_moves_to_the_same_instant_stay_two_slots():
    assert slots("0 2,3 * * *", BERLIN, "2026-03-29T00:30", "2026-03-29T02:00") == [
        ("2026-03-29T02:00", "29T01:00"),
        ("2026-03-29T03:00", "29T01:00"),
    ]


def test_only_the_days_that_are_asked_for_have_slots():
    review = Schedule("r", "review", "0 6 * * *")
    found = slots_between(
        review, BERLIN, instant("2026-01-01"), instant("2026-12-31"), lambda day: (day.month, day.day) == (7, 1)
    )
    assert [slot.period for slot in found] == ["2026-07-01T06:00"]
    assert found == [next_slot(review, BERLIN, instant("2026-01-01"), lambda day: (day.month, day.day) == (7, 1))]


def test_a_schedule_that_is_never_due_again_has_no_next_slot():
    assert next_slot(Schedule("s", "sync", "0 5 * * *"), BERLIN, instant("2026-01-01"), lambda _: False) is None


def test_the_day_begins_at_local_midnight():
    assert start_of_day(instant("2026-06-01T23:30"), BERLIN) == instant("2026-06-01T22:00") - timedelta(seconds=1)


# --- catching up

DUE = slots_between(Schedule("s", "sync", "0 5 * * *"), BERLIN, instant("2026-01-01"), instant("2026-07-01"))


def test_the_latest_is_run_and_the_others_are_skipped():
    run, skip = caught_up("latest", DUE, instant("2026-07-01"))
    assert (run, skip) == (DUE[-1:], DUE[:-1])


def test_all_are_run_but_not_without_end():
    run, skip = caught_up("all", DUE, instant("2026-07-01"))
    assert (run, skip) == (DUE[-MOST_MISSED:], DUE[:-MOST_MISSED])
    assert len(skip) > 50


@pytest.mark.parametrize(("late", "count"), [(LATE, 1), (LATE + timedelta(seconds=1), 0)])
def test_none_is_caught_up_with_but_a_start_takes_time(late: timedelta, count: int):
    run, skip = caught_up("none", DUE, DUE[-1].due_at + late)
    assert (len(run), len(skip)) == (count, len(DUE) - count)


# --- crmsync.yaml


def read(text: str) -> tuple[Schedule, ...]:
    return read_schedules(parse_yaml(text, "crmsync.yaml").mapping()["schedule"])


def test_schedules_are_read_in_the_order_of_the_file():
    text = (
        'schedule:\n  - {do: sync, cron: "30 5 * * *"}\n  - {name: w, do: full, cron: "0  4 * * SUN", catch_up: none}\n'
    )
    assert read(text) == (Schedule("sync", "sync", "30 5 * * *"), Schedule("w", "full", "0 4 * * SUN", "none"))


def test_without_a_schedule_there_is_one_run_a_day():
    assert read_schedules(None) == DEFAULT
    assert [one.do for one in DEFAULT] == ["sync"]


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("{do: sink, cron: '0 5 * * *'}", "crmsync.yaml:2: `sink` is not something a worker does"),
        ("{do: sync}", "`cron:` is missing"),
        ("{do: sync, cron: '0 5 * * *', chatch_up: all}", "unknown key `chatch_up`; did you mean `catch_up`"),
        ("{do: sync, cron: '0 5 * *'}", "`0 5 * *` is not a cron text (it needs five fields)"),
        ("{do: sync, cron: '0 0 5 * * *'}", "it needs five fields"),
        ("{do: sync, cron: '61 5 * * *'}", "`61 5 * * *` is not a cron text (Bad minute)"),
        ("{do: sync, cron: '0 5 30 2 *'}", "is not a cron text (Bad day-of-month)"),
        ("{do: sync, cron: '@daily'}", "is not a cron text"),
        ("{do: sync, cron: '0 5 * * *', catch_up: some}", "`some` is not a way to catch up"),
        ("{do: sync, cron: '0 5 * * *', name: 'A b'}", "`A b` is not a name"),
        ("sync", "a mapping"),
    ],
)
def test_a_mistake_is_told_with_its_line(line: str, told: str):
    with pytest.raises(ConfigError) as refused:
        read(f"schedule:\n  - {line}\n")
    assert told in str(refused.value)
    assert "crmsync.yaml:2" in str(refused.value)


def test_two_schedules_need_two_names():
    with pytest.raises(ConfigError, match=r"crmsync.yaml:3: a second schedule `sync`"):
        read("schedule:\n  - {do: sync, cron: '0 5 * * *'}\n  - {do: sync, cron: '0 6 * * *'}\n")


def test_an_empty_list_is_refused():
    with pytest.raises(ConfigError):
        read("schedule: []\n")


def test_the_page_on_the_worker_names_every_word(project: Path):
    page = (project / "docs" / "worker.md").read_text(encoding="utf-8")
    assert [word for word in (*TASKS, "latest", "all", "none") if f"`{word}`" not in page] == []
