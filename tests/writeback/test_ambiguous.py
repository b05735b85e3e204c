"""Answers that do not say whether a call had its effect: after them the org holds what was wanted, written once."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

import pytest

from crmsync.connectors.retries import Retries
from crmsync.errors import DataError, Retriable
from crmsync.ledger.ledger import Ledger
from crmsync.sandbox.process import start_org
from tests.writeback.conftest import NewState
from tests.writeback.terminating import CALLS
from tests.writeback.trial_checks import faults_of
from tests.writeback.trials import Trial, World, drafted, work

TIMEOUT_S, DELAY_MS = 0.5, 800
PATIENT_S = 10.0

ANSWERS: dict[str, dict[str, Any]] = {
    "503": {"error": "SERVER_UNAVAILABLE"},
    "reset": {"cut": True},
    "timeout": {"delay_ms": DELAY_MS},
    "garbage": {"body": "\u0000\u2028{garbage", "status": 200},
    "session gone": {"expire_token": True},
}


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with start_org(["--sample", "12", "--seed", "7"]) as org:
        opened = World.of(org.instance_url, org.access_token, tmp_path_factory.mktemp("world"))
        settings = {"client_id": org.client_id, "client_secret": org.client_secret, "username": org.username}
        opened.connector.org.settings = opened.connector.org.settings.model_validate(
            {"instance_url": org.instance_url, **settings}
        )
        opened.connector.org.retries = Retries(attempts=3, budget_s=1e9, sleep=lambda _: None)
        yield opened


@pytest.fixture
def trial(new_state: NewState) -> Trial:
    state = new_state()
    (state / "standings").write_bytes(b"standings")
    return Trial(f"a{random.randrange(10**9)}", state, "")


@pytest.mark.parametrize("answer", [name for name in ANSWERS if name != "session gone"])
@pytest.mark.parametrize("at", ["before", "after"])
@pytest.mark.parametrize("call", CALLS)
def test_an_ambiguous_answer_loses_and_doubles_nothing(
    world: World, trial: Trial, call: str, at: str, answer: str
) -> None:
    """Each call of writing, with its effect or without, and then no answer, none in time, a fault, or nonsense."""
    trial.bulk, method, path = CALLS[call]
    do = ANSWERS[answer] | ({"cut": True} if (answer, at) == ("timeout", "before") else {})
    apply_under(world, trial, {"method": method, "path": path, "nth": 1, "at": at, "do": do}, answer == "timeout")
    assert faults_of(world, trial) == []
    assert world.connector.open_jobs() == [], "a job that nobody started is left open"


@pytest.mark.parametrize("call", CALLS)
def test_a_session_that_ends_in_the_middle_is_renewed(world: World, trial: Trial, call: str) -> None:
    trial.bulk, method, path = CALLS[call]
    apply_under(world, trial, {"method": method, "path": path, "nth": 1, "do": ANSWERS["session gone"]}, False)
    assert faults_of(world, trial) == []


def apply_under(world: World, trial: Trial, fault: dict[str, Any], in_time: bool) -> None:
    """Apply a plan while the org fails as told; a run that gives up is started again."""
    session = world.connector.org.session
    with Ledger.open(trial.state) as ledger:
        plan = drafted(world, trial, ledger)
    world.ask("DELETE", "effects")
    world.ask("PUT", "faults", [fault])
    session.timeout_s = (PATIENT_S, TIMEOUT_S if in_time else PATIENT_S)
    try:
        for _ in range(3):
            try:
                work(world, trial, plan.digest)
                break
            except (Retriable, DataError):
                continue
        else:
            work(world, trial, plan.digest)
        assert world.ask("GET", "faults")[0]["fired"] == 1
    finally:
        session.timeout_s = (PATIENT_S, PATIENT_S)
        world.ask("PUT", "faults", [])
