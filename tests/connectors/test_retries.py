"""Repeating: full jitter, the server's wait, and one budget for the whole run."""

from __future__ import annotations

import pytest

from crmsync.connectors.retries import LONGEST_WAIT_S, Retries, Transient
from crmsync.errors import AccessError


class Server:
    """Fails as often as told, then answers."""

    def __init__(self, *faults: Exception) -> None:
        self.faults = list(faults)
        self.asked = 0

    def __call__(self) -> str:
        self.asked += 1
        if self.faults:
            raise self.faults.pop(0)
        return "answer"


def test_a_passing_fault_is_repeated() -> None:
    slept: list[float] = []
    server = Server(Transient("busy"), Transient("busy"))
    assert Retries(sleep=slept.append).call(server) == "answer"
    assert (server.asked, len(slept)) == (3, 2)


def test_waits_are_jittered_and_bounded() -> None:
    slept: list[float] = []
    for _ in range(50):
        Retries(sleep=slept.append, attempts=5).call(Server(*[Transient("busy")] * 4))
    assert all(0 <= wait <= LONGEST_WAIT_S for wait in slept)
    assert len({round(wait, 6) for wait in slept}) > 100


def test_other_faults_are_not_repeated() -> None:
    server = Server(AccessError("no"))
    with pytest.raises(AccessError):
        Retries(sleep=lambda _: None).call(server)
    assert server.asked == 1


def test_the_last_fault_is_told_when_attempts_end() -> None:
    server = Server(*[Transient(f"busy {number}") for number in range(9)])
    with pytest.raises(Transient, match="busy 6"):
        Retries(sleep=lambda _: None).call(server)
    assert server.asked == 7


def test_the_servers_own_wait_is_the_least() -> None:
    slept: list[float] = []
    Retries(sleep=slept.append).call(Server(Transient("busy", retry_after_s=90)))
    assert slept[0] >= 90


def test_all_calls_of_a_run_share_one_budget_of_waiting() -> None:
    retries = Retries(sleep=lambda _: None, budget_s=100)
    retries.call(Server(Transient("busy", retry_after_s=90)))
    second = Server(Transient("busy", retry_after_s=90))
    with pytest.raises(Transient):
        retries.call(second)
    assert second.asked == 1
    assert 90 <= retries.waited_s <= 100


def test_the_caller_says_which_faults_may_be_repeated() -> None:
    server = Server(Transient("cut", applied=None))
    with pytest.raises(Transient):
        Retries(sleep=lambda _: None).call(server, lambda fault: fault.applied is False)
    assert server.asked == 1
