"""The API allowance ends while a run writes: it is put off with 5, and the next run writes what is left, once."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from crmsync.ledger.intents import count_states
from crmsync.ledger.ledger import Ledger
from crmsync.sandbox.process import Org, start_org
from tests.belt.conftest import Crmsync
from tests.belt.test_embedded import effects, own, reset, use_faults

__all__ = ["own"]

TODAY = "2026-11-22"
ACCOUNTS = 45
RECORD = {"method": "PATCH", "path": "/sobjects/{object}/{id}"}
USED_UP = RECORD | {"nth": [*range(25, 99)], "do": {"error": "REQUEST_LIMIT_EXCEEDED"}}
BY_OTHERS = RECORD | {
    "nth": [*range(21, 99)],
    "at": "after",
    "do": {"headers": {"Sforce-Limit-Info": "api-usage=92001/115000"}},
}


@pytest.fixture
def org() -> Iterator[Org]:
    with start_org(["--sample", str(ACCOUNTS), "--seed", "7", "--today", TODAY]) as started:
        yield started


@pytest.mark.timeout(240)
@pytest.mark.parametrize(
    ("fault", "said", "written", "in_doubt"),
    [
        (USED_UP, "the org's API allowance is used up (TotalRequests Limit exceeded.)", 24, 20),
        (BY_OTHERS, "all clients together used 92,", 25, 0),
    ],
)
def test_a_run_is_put_off_in_the_middle_and_the_next_one_goes_on(
    crmsync: Crmsync, org: Org, own: Path, tmp_path: Path, fault: dict[str, Any], said: str, written: int, in_doubt: int
) -> None:
    run = ("run", "--config", str(own), "--as-of", TODAY)
    use_faults(org, [fault])
    deferred = crmsync(*run)
    assert deferred.code == 5, deferred.err
    assert said in deferred.err
    assert "run again when" in deferred.err
    assert len(effects(org)["records"]["Account"]) == written
    with Ledger.open(tmp_path / "state", exclusive=False) as ledger:
        assert count_states(ledger).get("claimed", 0) == in_doubt
    assert [one["state"] for one in crmsync("status", "--json").json["runs"]] == ["deferred"]
    use_faults(org, [])
    assert crmsync(*run).code == 0
    counted = effects(org)["records"]["Account"]
    assert (len(counted), set(counted.values())) == (ACCOUNTS, {1})
    reset(org)
    assert crmsync(*run, "--json").json["state"] == "unchanged"
    assert effects(org)["calls"]["write"] == 0
