"""The real connector on a real sandbox org: kills in the middle, and what the org itself counted."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import requests

from crmsync.belt import sinks_of
from crmsync.connectors.base import Into
from crmsync.connectors.mapping import read_mapping
from crmsync.connectors.salesforce.connector import SalesforceConnector
from crmsync.failpoints import ENVIRONMENT
from crmsync.ledger.ledger import Ledger
from crmsync.sandbox.process import Org, start_org
from crmsync.writeback.apply import apply_plan
from crmsync.writeback.changes import Change
from crmsync.writeback.fields import FieldMap
from crmsync.writeback.plan import Plan, sealed
from crmsync.writeback.planfile import save_plan
from tests.writeback.facts import a_plan
from tests.writeback.sandbox_apply import FIELD_MAP, connector

PROJECT = Path(__file__).parent.parent.parent
ACCOUNTS = 24
SINGLY, BULK = 1000, 1
POINTS = [
    ("one_written:5", SINGLY),
    ("job_claimed:1", BULK),
    ("start_recorded:1", BULK),
    ("job_started:1", BULK),
    ("results_read:1", BULK),
    ("one_written:25", SINGLY),  # the call of the standings
    ("one_recorded:4", SINGLY),
    ("job_started:2", BULK),
    ("job_started:3", BULK),
    ("results_read:3", BULK),
]


@pytest.fixture(scope="module")
def org() -> Iterator[Org]:
    with start_org(["--sample", "40", "--seed", "7", "--today", "2026-11-21"]) as started:
        yield started


@dataclass
class Rehearsal:
    """A sandbox org, a state folder, and plans for the same accounts."""

    org: Org
    state: Path
    fields: FieldMap
    accounts: list[str]

    def plan(self, run_id: str, text: str) -> Plan:
        """A plan that puts a text onto every account, drafted from what the accounts hold now."""
        field, token = self.fields.fields["main_blocker"], self.fields.token or ""
        now = self.target().read(self.accounts, [field, token])
        changes = tuple(Change(one, one, {field: text}, now[one], "test") for one in self.accounts)
        beside = tuple(self.beside("standings", text)) + tuple(self.beside("history", text))
        return sealed(replace(a_plan(run_id, {}, {}), fields=self.fields, changes=changes, beside=beside))

    def beside(self, name: str, text: str) -> Iterator[Change]:
        """A record beside each account, by a key that this text makes its own."""
        sink = self.fields.sink(name)
        assert sink is not None
        assert sink.partner is not None
        for one in self.accounts:
            values = {sink.partner: one, sink.fields["program"]: "Channel", sink.fields["category"]: text}
            yield Change(f"{text}|{one}", one, values, {}, "test", name, sink.object, sink.key)

    def target(self, bulk_from: int = SINGLY) -> SalesforceConnector:
        return connector(self.org.instance_url, self.org.access_token, self.state, bulk_from)

    def effects(self, name: str = "Account") -> dict[str, int]:
        """How often the org wrote each record of an object since the last reset."""
        return dict(self._door("GET").json()["records"].get(name, {}))

    def inject(self, *faults: dict[str, object]) -> None:
        """Let the org fail as told; nothing takes the faults away again."""
        headers = {"Authorization": f"Bearer {self.org.access_token}"}
        url = f"{self.org.instance_url}/__sandbox/faults"
        requests.put(url, headers=headers, json=list(faults), timeout=10).raise_for_status()

    def write_calls(self) -> int:
        return int(self._door("GET").json()["calls"]["write"])

    def reset(self) -> None:
        self._door("DELETE")

    def _door(self, method: str) -> requests.Response:
        headers = {"Authorization": f"Bearer {self.org.access_token}"}
        return requests.request(method, f"{self.org.instance_url}/__sandbox/effects", headers=headers, timeout=10)

    def child(self, plan: Plan, bulk_from: int, death: str | None) -> subprocess.CompletedProcess[str]:
        given = [str(self.state), self.org.instance_url, self.org.access_token, plan.digest, str(bulk_from)]
        return subprocess.run(
            [sys.executable, "-m", "tests.writeback.sandbox_apply", *given],
            cwd=PROJECT,
            env={**os.environ, "PYTHONPATH": str(PROJECT), **({ENVIRONMENT: death} if death else {})},
            capture_output=True,
            text=True,
            timeout=150,
            check=False,
        )


@pytest.fixture
def rehearsal(org: Org, tmp_path: Path) -> Rehearsal:
    writes = read_mapping(FIELD_MAP).writes
    assert writes is not None
    names = {key: place.text for key, place in writes.fields.items()}
    fields = FieldMap(writes.object.text, names, writes.token.text, tuple(sinks_of(writes))).plain()
    query = f"{org.instance_url}/services/data/v67.0/query?q=SELECT+Id+FROM+Account+ORDER+BY+Id+LIMIT+{ACCOUNTS}"
    rows = requests.get(query, headers={"Authorization": f"Bearer {org.access_token}"}, timeout=10).json()["records"]
    return Rehearsal(org, tmp_path / "state", fields, [row["Id"] for row in rows])


@pytest.mark.parametrize(("death", "bulk_from"), POINTS)
def test_an_account_is_written_once_though_the_process_was_killed(rehearsal: Rehearsal, death: str, bulk_from: int):
    plan = rehearsal.plan("run-1", f"text of {death}")
    with Ledger.open(rehearsal.state) as ledger:
        save_plan(plan, ledger)
    rehearsal.reset()
    killed = rehearsal.child(plan, bulk_from, death)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    survivor = rehearsal.child(plan, bulk_from, None)
    assert survivor.stdout == f"{ACCOUNTS} 0 0 {ACCOUNTS} 0 0 0 {ACCOUNTS} 0 0 0\n", survivor.stderr
    assert rehearsal.effects() == dict.fromkeys(rehearsal.accounts, 1)
    for sink in rehearsal.fields.sinks:
        written = rehearsal.effects(sink.object)
        assert (len(written), set(written.values())) == (ACCOUNTS, {1}), sink.name


@pytest.mark.parametrize("bulk_from", [SINGLY, BULK])
def test_applying_again_makes_no_write_call_by_the_orgs_own_count(rehearsal: Rehearsal, bulk_from: int):
    plan = rehearsal.plan("run-1", f"again {bulk_from}")
    with Ledger.open(rehearsal.state) as ledger:
        apply_plan(plan, rehearsal.target(bulk_from), ledger)
        rehearsal.reset()
        assert apply_plan(plan, rehearsal.target(bulk_from), ledger).applied == ACCOUNTS
    assert (rehearsal.write_calls(), rehearsal.effects()) == (0, {})


@pytest.mark.parametrize("bulk_from", [SINGLY, BULK])
def test_records_beside_are_read_back_by_their_keys(rehearsal: Rehearsal, bulk_from: int):
    plan = rehearsal.plan("run-1", f"it's | ü {bulk_from}")
    with Ledger.open(rehearsal.state) as ledger:
        assert apply_plan(plan, rehearsal.target(bulk_from), ledger).clean
    change = plan.beside[0]
    found = rehearsal.target().into(Into(change.object, change.key_field)).read([change.record_id], list(change.values))
    assert found == {change.record_id: dict(change.values)}


def test_a_call_whose_answer_is_lost_is_settled_by_reading(rehearsal: Rehearsal):
    plan = rehearsal.plan("run-1", "lost answer")
    rehearsal.reset()
    path = "/composite/sobjects/*"
    rehearsal.inject({"method": "PATCH", "path": path, "nth": 1, "do": {"cut": True}, "at": "after"})
    try:
        with Ledger.open(rehearsal.state) as ledger:
            assert apply_plan(plan, rehearsal.target(), ledger).clean
    finally:
        rehearsal.inject()
    assert set(rehearsal.effects("Partner_Standing__c").values()) == {1}


def test_locked_rows_go_once_more_into_a_second_smaller_job(rehearsal: Rehearsal):
    plan = rehearsal.plan("run-1", "locked")
    rehearsal.reset()
    # the job of the accounts starts first, that of the standings second
    rehearsal.inject({"method": "PATCH", "path": "/jobs/ingest/{job}", "nth": 2, "do": {"lock": 0.4}})
    try:
        with Ledger.open(rehearsal.state) as ledger:
            outcomes = apply_plan(plan, rehearsal.target(BULK), ledger)
    finally:
        rehearsal.inject()
    assert outcomes.clean, outcomes.problems
    written = rehearsal.effects("Partner_Standing__c")
    assert (len(written), set(written.values())) == (ACCOUNTS, {1})
