"""Alive, ready, and the pages that say so."""

from __future__ import annotations

import json
import os
import socket
import urllib.request
from datetime import timedelta
from pathlib import Path

import pytest

from crmsync.configuration_schedule import Schedule
from crmsync.errors import ConfigError, StoreError
from crmsync.health import (
    ADDRESS_FILE,
    LONGEST_RUN_S,
    STUCK_S,
    Address,
    Health,
    address_of_worker,
    ask,
    health_of_worker,
    is_alive,
    known_address,
    overdue,
)
from crmsync.ledger.ledger import Ledger
from crmsync.metrics import export_metrics
from crmsync.serving import Answer, said, served
from crmsync.worker import Done, Pulse, Worker
from tests.worker.facts import MarkedWork, SetClock


def test_a_loop_that_stands_still_is_dead_and_a_long_run_is_not():
    assert is_alive(Pulse(1000.0), 1000.0 + STUCK_S - 1)
    assert not is_alive(Pulse(1000.0), 1000.0 + STUCK_S)
    assert is_alive(Pulse(1000.0, running_since=1000.0), 1000.0 + LONGEST_RUN_S - 1)
    assert not is_alive(Pulse(1000.0, running_since=1000.0), 1000.0 + LONGEST_RUN_S)


def reasons(work: MarkedWork, clock: SetClock) -> list[str]:
    with work.ledger(exclusive=False) as ledger:
        return overdue(ledger, work.duties(), clock.now())


def test_one_missed_slot_is_tried_again_and_two_are_told(work: MarkedWork):
    clock = SetClock()
    assert reasons(work, clock) == []  # never counted: it has not begun
    worker = Worker(work, clock)
    worker.once()
    work.end = lambda _slot: Done(1)
    clock.at += timedelta(days=1)
    worker.once()
    assert reasons(work, clock) == []
    clock.at += timedelta(days=1)
    assert reasons(work, clock) == [
        "schedule sync: 2 slots were not run; the last one done is 2026-06-01T05:00"
    ]  # also where nobody looks
    work.end = lambda _slot: Done(8)
    worker.once()
    assert reasons(work, clock) == []  # blocked: a person has to look, not a machine to be started anew


def test_a_schedule_that_never_worked_says_so(work: MarkedWork):
    clock = SetClock()
    work.end = lambda _slot: Done(4)
    Worker(work, clock).once()
    clock.at += timedelta(days=3)
    assert reasons(work, clock) == ["schedule sync: 4 slots were not run; none was ever done"]


def test_nothing_is_overdue_while_a_run_is_under_way_or_within_minutes(work: MarkedWork):
    work.schedules = (Schedule("n", "notices", "*/15 * * * *"),)
    clock = SetClock()
    Worker(work, clock).once()
    clock.at += timedelta(minutes=35)
    assert reasons(work, clock) == []
    clock.at += timedelta(minutes=5)
    assert len(reasons(work, clock)) == 1
    with Ledger.open(work.state):
        assert reasons(work, clock) == []


# --- the pages


def test_pages_are_served_and_a_page_that_breaks_says_so_without_a_traceback():
    def broken() -> Answer:
        raise StoreError("the disk is gone")

    def bug() -> Answer:
        raise ZeroDivisionError("secret details")

    pages = {"/ok": lambda: said(200, "fine", "ünd"), "/broken": broken, "/bug": bug}
    with served("127.0.0.1:0", pages) as url:
        address = Address("here", os.getpid(), url)
        assert ask(address, "/ok?x=1") == (200, "fine\nünd\n")
        assert ask(address, "/broken") == (503, "the disk is gone\n")
        assert ask(address, "/bug") == (500, "ZeroDivisionError\n")
        assert ask(address, "/../etc") == (404, "no such page; there are /ok, /broken, /bug\n")
        with urllib.request.urlopen(urllib.request.Request(f"{url}/ok", method="HEAD")) as head:
            assert (head.status, head.read()) == (200, b"")
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(urllib.request.Request(f"{url}/ok", data=b"x", method="POST"))
        with refused.value:
            assert refused.value.code == 501
    assert ask(address, "/ok")[0] == 0


def test_clients_that_say_nothing_take_a_few_places_only():
    with served("127.0.0.1:0", {"/ok": lambda: said(200, "fine")}) as url:
        host, _, port = url.removeprefix("http://").partition(":")
        silent = [socket.create_connection((host, int(port))) for _ in range(10)]
        assert ask(Address("here", os.getpid(), url), "/ok")[0] == 200
        for one in silent:
            one.close()


@pytest.mark.parametrize("listen", ["127.0.0.1:99999", "192.0.2.1:9464"])
def test_a_place_that_cannot_be_listened_on_is_named(listen: str):
    with pytest.raises(ConfigError, match="CRMSYNC_LISTEN"), served(listen, {}):
        pass


def test_the_address_of_a_worker_that_died_is_not_believed(tmp_path: Path):
    assert address_of_worker(tmp_path) is None
    with known_address(tmp_path, "http://127.0.0.1:1"):
        found = address_of_worker(tmp_path)
        assert found == Address(socket.gethostname(), os.getpid(), "http://127.0.0.1:1")
        assert health_of_worker(found).alive is False
        assert "does not answer" in health_of_worker(found).reasons[0]
    assert address_of_worker(tmp_path) is None
    for content in ("", "{}", '{"host": "h"}', "[1]", json.dumps({"host": "other", "pid": 1, "url": "u"})):
        (tmp_path / ADDRESS_FILE).write_text(content)
        assert address_of_worker(tmp_path) is None
    # its number may be somebody else's by now, and in a container it is always 1
    dead = {"host": socket.gethostname(), "pid": os.getpid(), "url": "http://127.0.0.1:1"}
    (tmp_path / ADDRESS_FILE).write_text(json.dumps(dead))
    assert address_of_worker(tmp_path) is None


def test_a_second_worker_of_a_folder_leaves_the_word_of_the_first_alone(tmp_path: Path):
    with known_address(tmp_path, "http://127.0.0.1:1"):
        with known_address(tmp_path, "http://127.0.0.1:2"):
            pass
        found = address_of_worker(tmp_path)
        assert found is not None
        assert found.url == "http://127.0.0.1:1"


def test_a_worker_is_asked_for_what_keeps_it_from_being_ready():
    pages = {"/healthz": lambda: said(200, "ok"), "/readyz": lambda: said(503, "first", "second")}
    with served("127.0.0.1:0", pages) as url:
        health = health_of_worker(Address("here", os.getpid(), url))
    assert (health.alive, health.ready, health.reasons) == (True, False, ("first", "second"))
    assert Health(True).ready
    assert not Health(False).ready


def test_a_file_of_figures_that_cannot_be_written_fails_no_run(work: MarkedWork, tmp_path: Path):
    with work.ledger(exclusive=False) as ledger:
        export_metrics(None, ledger)
        (tmp_path / "file").write_text("")
        export_metrics(tmp_path / "file" / "crmsync.prom", ledger)
        export_metrics(tmp_path / "crmsync.prom", ledger)
    assert (tmp_path / "crmsync.prom").stat().st_mode & 0o777 == 0o644
