"""What each word of `do:` does on the belt, without one."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import crmsync
from crmsync import belt, notified, pipeline
from crmsync.configuration import load_configuration, packaged_folder
from crmsync.configuration_schedule import Schedule
from crmsync.errors import ConfigError, Conflict, Retriable, UnsafePlan
from crmsync.ledger.accepted import accept_standings
from crmsync.ledger.approvals import PlanRow, approve, record_plan
from crmsync.ledger.ledger import Ledger, RunFacts
from crmsync.ledger.slots import SlotRow
from crmsync.tasks import BeltWork, review_days

DAY = date(2026, 6, 1)
DIGEST = "ab" * 32
PROGRAMS = Path(crmsync.__file__).parent / "templates" / "programs"


@dataclass
class Runs:
    """What the spine was asked for."""

    days: list[date] = field(default_factory=list)
    every: list[int] = field(default_factory=list)
    applied: list[str] = field(default_factory=list)
    fault: Exception | None = None


@pytest.fixture
def runs(monkeypatch: pytest.MonkeyPatch) -> Runs:
    """The spine only notes what it is asked for; no org is reached."""
    seen, configuration = Runs(), load_configuration(packaged_folder())

    @contextlib.contextmanager
    def opened_on(_files: Any, ledger: Ledger) -> Iterator[Any]:
        yield _Belt(ledger, configuration)

    def run(belt: Any, day: date) -> Any:
        seen.days.append(day)
        seen.every.append(belt.configuration.reading.full_every_days)
        return SimpleNamespace(exit_code=0, run_id="r", state="applied")

    def apply(_belt: Any, digest: str) -> Any:
        if seen.fault is not None:
            raise seen.fault
        seen.applied.append(digest)
        return SimpleNamespace(exit_code=0, run_id="a", state="applied")

    monkeypatch.setattr(belt, "opened_on", opened_on)
    monkeypatch.setattr(pipeline, "run", run)
    monkeypatch.setattr(pipeline, "apply", apply)
    return seen


@dataclass(frozen=True)
class _Belt:
    ledger: Ledger
    configuration: Any


def a_slot(state: str = "due") -> SlotRow:
    return SlotRow("s", "2026-06-01T05:00", datetime(2026, 6, 1, 5, tzinfo=UTC), state)


def schedule(do: str) -> Schedule:
    return Schedule("s", do, "0 5 * * *")


@pytest.mark.parametrize(("do", "every"), [("sync", 7), ("full", 0), ("review", 0)])
def test_full_and_review_read_everything_anew(state: Path, runs: Runs, do: str, every: int):
    with Ledger.open(state) as ledger:
        done = BeltWork(packaged_folder()).run(ledger, a_slot(), schedule(do), None)
    assert (done.exit_code, done.run_id, runs.days, runs.every) == (0, "r", [DAY], [every])


def test_a_day_before_one_that_was_levelled_is_passed_over(state: Path, runs: Runs):
    file = state / "standings.parquet"
    file.write_bytes(b"x")
    with Ledger.open(state) as ledger:
        accept_standings(ledger, "r1", date(2026, 6, 2), file)
        done = BeltWork(packaged_folder()).run(ledger, a_slot(), schedule("sync"), None)
    assert (done.passed, done.told, runs.days) == (True, "2026-06-02 was levelled already", [])


@pytest.mark.parametrize(
    ("refused", "unknown", "code", "told"),
    [(0, 0, 0, "4 notices sent, 2 wait"), (1, 3, 3, "4 notices sent, 2 wait, 1 refused, 3 without an answer")],
)
def test_notices_that_wait_are_sent(
    state: Path, runs: Runs, monkeypatch: pytest.MonkeyPatch, refused: int, unknown: int, code: int, told: str
):
    sent = SimpleNamespace(sent=4, later=2, refused=refused, unknown=unknown)
    monkeypatch.setattr(notified, "send_now", lambda _belt: SimpleNamespace(sent=sent))
    with Ledger.open(state) as ledger:
        done = BeltWork(packaged_folder()).run(ledger, a_slot(), schedule("notices"), None)
    assert (done.exit_code, done.told, runs.days) == (code, told, [])


def test_a_schedule_of_notices_needs_notices(tmp_path: Path):
    config = Path(shutil.copytree(packaged_folder(), tmp_path / "config"))
    with (config / "crmsync.yaml").open("a", encoding="utf-8") as file:
        file.write('schedule:\n  - {do: notices, cron: "*/15 * * * *"}\n')
    with pytest.raises(ConfigError, match="`do: notices` has nothing to send"):
        load_configuration(config)


# --- a plan that waits


@pytest.fixture
def blocked(state: Path) -> Iterator[Ledger]:
    """A ledger with a run of the slot that ended blocked."""
    with Ledger.open(state) as ledger:
        ledger.slot = ("s", "2026-06-01T05:00")
        run_id = ledger.start_run("run", RunFacts(plan_digest=DIGEST))
        ledger.slot = None
        record_plan(ledger, PlanRow(DIGEST, run_id, state / "p.json", DAY, 1, 1, True, "blocked", "2026-06-01"), [])
        yield ledger


def test_an_approved_plan_is_applied_and_nothing_else(blocked: Ledger, runs: Runs):
    done = BeltWork(packaged_folder()).run(blocked, a_slot("blocked"), schedule("sync"), DIGEST)
    assert (done.exit_code, runs.applied, runs.days) == (0, [DIGEST], [])


def test_a_decision_in_the_crm_is_looked_for_where_plans_are_laid_there(blocked: Ledger, runs: Runs):
    work = BeltWork(packaged_folder())
    runs.fault = UnsafePlan("it waits")
    assert work.run(blocked, a_slot("blocked"), schedule("sync"), None).exit_code == 8
    runs.fault = Conflict("plan abababababab was declined and is not written")
    assert work.run(blocked, a_slot("blocked"), schedule("sync"), None).told == str(runs.fault)
    runs.fault = Retriable("the org does not answer")
    done = work.run(blocked, a_slot("blocked"), schedule("sync"), None)
    assert (done.exit_code, done.told) == (8, "the plan record cannot be looked at: the org does not answer")
    approve(blocked, DIGEST, "Ann Example")
    with pytest.raises(Retriable):  # somebody approved it: now it is the run that failed
        work.run(blocked, a_slot("blocked"), schedule("sync"), None)
    runs.fault = None
    assert work.run(blocked, a_slot("blocked"), schedule("sync"), None).exit_code == 0
    assert (runs.applied, runs.days) == ([DIGEST], [])


def test_where_no_plans_are_laid_no_org_is_reached(blocked: Ledger, runs: Runs, tmp_path: Path):
    config = Path(shutil.copytree(packaged_folder(), tmp_path / "config"))
    file = config / "connectors" / "salesforce.yaml"
    lines = file.read_text(encoding="utf-8").splitlines()
    start = next(number for number, line in enumerate(lines) if line.strip().startswith("plan_record:"))
    indent = len(lines[start]) - len(lines[start].lstrip())
    end = next(
        number
        for number, line in enumerate([*lines[start + 1 :], "x"], start + 1)
        if line.strip() and len(line) - len(line.lstrip()) <= indent
    )
    file.write_text("\n".join([*lines[:start], *lines[end:], ""]), encoding="utf-8")
    done = BeltWork(config).run(blocked, a_slot("blocked"), schedule("sync"), None)
    assert (done.exit_code, runs.applied) == (8, [])


# --- duties


def test_changed_files_are_read_again(tmp_path: Path):
    config = Path(shutil.copytree(packaged_folder(), tmp_path / "config"))
    work, file = BeltWork(config), config / "crmsync.yaml"
    first = work.duties()
    assert work.duties() is first
    text = file.read_text(encoding="utf-8")
    file.write_text(f'{text}\nschedule: [{{do: full, cron: "0 4 * * SUN"}}]\n', encoding="utf-8")
    assert [one.do for one in work.duties().schedules] == ["full"]
    file.write_text("org: nowhere\n", encoding="utf-8")
    with pytest.raises(ConfigError):
        work.duties()


def test_review_days_are_those_of_the_program(tmp_path: Path):
    config = Path(shutil.copytree(packaged_folder(), tmp_path / "config"))
    program = (PROGRAMS / "isv.yaml").read_text(encoding="utf-8")
    (config / "programs" / "isv.yaml").write_text(program, encoding="utf-8")
    file = config / "crmsync.yaml"
    file.write_text(file.read_text(encoding="utf-8").replace("channel.yaml", "isv.yaml"), encoding="utf-8")
    is_review = review_days(load_configuration(config))
    days = [date(2026, 1, 1) + timedelta(days=number) for number in range(365)]
    assert [f"{day:%m-%d}" for day in days if is_review(day)] == ["01-15", "04-15", "07-15", "10-15"]
