"""What people and admins do to the org while a run writes: fields go, rights go, accounts are merged; refusals told."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from crmsync.connectors.salesforce.connector import SalesforceConnector
from crmsync.ledger.intents import open_intents
from crmsync.ledger.ledger import Ledger
from crmsync.sandbox.process import start_org
from crmsync.writeback.apply import Outcomes, apply_plan, settle_open_intents
from crmsync.writeback.changes import Change
from crmsync.writeback.last_error import tell_last_errors
from crmsync.writeback.plan import Basis, Plan, sealed
from tests.writeback.conftest import NewState
from tests.writeback.trials import AS_OF, World, short

BULK, SINGLY = "accounts", ""
API = "/services/data/v67.0"
ERROR = "Partner_Write_Error__c"


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with start_org(["--sample", "12", "--seed", "7"]) as org:
        yield World.of(org.instance_url, org.access_token, tmp_path_factory.mktemp("world"))


@pytest.fixture
def ledger(new_state: NewState) -> Iterator[Ledger]:
    """On one database only: what is dropped in the org stays dropped."""
    with Ledger.open(new_state()) as opened:
        yield opened


def field(world: World, key: str) -> str:
    return world.fields.fields[key]


def a_plan(world: World, run_id: str, values: dict[str, str], accounts: list[str]) -> Plan:
    """The accounts get these values, drafted from what they hold now."""
    names = [*values, world.fields.token or ""]
    now = world.target(SINGLY).read(accounts, names)
    changes = tuple(Change(one, one, dict(values), dict(now[one]), "test") for one in accounts)
    fields = replace(world.fields, last_error=ERROR)
    basis = Basis("channel", "p" * 64, "c" * 64, "s" * 64, "d" * 64, {"partners": 3})
    return sealed(Plan("", run_id, "", AS_OF, basis, fields, 3, changes, (), (), ()))


def applied(world: World, plan: Plan, ledger: Ledger, bulk: str, *faults: dict[str, Any]) -> Outcomes:
    world.ask("DELETE", "effects")
    world.ask("PUT", "faults", list(faults))
    try:
        return apply_plan(plan, world.target(bulk), ledger, pause=short)
    finally:
        world.ask("PUT", "faults", [])


def custom_field(world: World, name: str) -> str:
    """The id of a custom field of accounts."""
    soql = (
        f"SELECT Id FROM CustomField WHERE TableEnumOrId = 'Account' AND DeveloperName = '{name.removesuffix('__c')}'"
    )
    answer = world.door.get(f"{world.url}{API}/tooling/query", params={"q": soql}, timeout=30)
    return str(answer.json()["records"][0]["Id"])


@pytest.mark.parametrize(("bulk", "key"), [(SINGLY, "risk_reason"), (BULK, "gap_summary")])
def test_a_field_that_is_dropped_in_the_middle_leaves_the_others_written(
    world: World, ledger: Ledger, bulk: str, key: str
) -> None:
    """Dropped while the first write is under way; the other field still gets its values, and the run says so."""
    lost, kept = field(world, key), field(world, "main_blocker")
    plan = a_plan(world, f"run-{key}", {lost: "lost", kept: f"kept {key}"}, world.accounts)
    gone = {"method": "DELETE", "path": f"{API}/tooling/sobjects/CustomField/{custom_field(world, lost)}"}
    path = "/jobs/ingest" if bulk else "/sobjects/{object}/{id}"
    outcomes = applied(
        world, plan, ledger, bulk, {"method": "POST" if bulk else "PATCH", "path": path, "nth": 1, "do": {"call": gone}}
    )
    assert [(one.code, one.state) for one in outcomes.problems] == [("FIELD_NOT_WRITTEN", "parked")] * 3
    assert f"field Account.{lost} does not exist in this org" in (outcomes.problems[0].message or "")
    held = world.target(SINGLY).read(world.accounts, [kept])
    assert {one[kept] for one in held.values()} == {f"kept {key}"}
    assert set(world.ask("GET", "effects")["records"]["Account"].values()) == {1}
    # a start that finds the field gone settles what was claimed all the same
    assert settle_open_intents(ledger, world.target(SINGLY), pause=short) == 0


def test_a_claim_whose_field_is_gone_meanwhile_is_settled_by_what_is_left(world: World, ledger: Ledger) -> None:
    lost, kept = field(world, "risk"), field(world, "main_blocker")
    plan = a_plan(world, "run-claimed", {lost: "low", kept: "claimed"}, world.accounts[:1])
    cut = {"method": "PATCH", "path": "/sobjects/{object}/{id}", "nth": "every", "at": "after", "do": {"cut": True}}
    blind = {
        "method": "POST",
        "path": "/composite/sobjects/{object}",
        "nth": "every",
        "do": {"status": 401, "code": "X"},
    }
    with pytest.raises(Exception, match="X"):
        applied(world, plan, ledger, SINGLY, cut, blind)
    assert len(open_intents(ledger, "claimed")) == 1
    answer = world.door.delete(f"{world.url}{API}/tooling/sobjects/CustomField/{custom_field(world, lost)}", timeout=30)
    assert answer.ok, answer.text
    before = world.connector
    fresh = SalesforceConnector(before.org.settings, before.mapping, before._state)  # the next start
    assert settle_open_intents(ledger, fresh, pause=short) == 1
    (found,) = open_intents(ledger, "parked", "applied", "conflict")
    assert (found.state, found.code) == ("parked", "FIELD_NOT_WRITTEN")


@pytest.mark.parametrize("bulk", [SINGLY, BULK])
def test_an_account_that_people_merge_meanwhile_is_told_with_its_survivor(
    world: World, ledger: Ledger, bulk: str
) -> None:
    soql = "SELECT Id FROM Account ORDER BY Id DESC LIMIT 2"
    master, loser = (row["Id"] for row in world.connector.org.query(soql)["records"])
    text = field(world, "main_blocker")
    plan = a_plan(world, f"run-merge{bulk}", {text: f"merged {bulk}"}, [loser, *world.accounts])
    merge = {"merge": {"object": "Account", "master": master, "losers": [loser]}}
    path = {"method": "POST", "path": "/jobs/ingest"} if bulk else {"method": "GET", "path": "/sobjects/{object}/{id}"}
    outcomes = applied(world, plan, ledger, bulk, {**path, "nth": 1, "do": merge})
    assert outcomes.applied == 3
    (problem,) = outcomes.problems
    assert (problem.record_id, problem.state, problem.code) == (loser, "conflict", "ENTITY_IS_MERGED")
    assert master in (problem.message or "")


def test_a_refusal_is_told_on_the_account_once_and_goes_with_its_cause(world: World, ledger: Ledger) -> None:
    text, one = field(world, "main_blocker"), world.accounts[1]
    said = {"code": "FIELD_CUSTOM_VALIDATION_EXCEPTION", "status": 400, "message": "closed by finance"}
    refuse = {"method": "PATCH", "path": f"*/sobjects/Account/{one}", "nth": 1, "do": said}

    def run(name: str, *faults: dict[str, Any]) -> int:
        plan = a_plan(world, name, {text: "told"}, world.accounts)
        applied(world, plan, ledger, SINGLY, *faults)
        return tell_last_errors(plan, world.target(SINGLY), ledger)

    assert run("run-told-1", refuse) == 1
    held = world.target(SINGLY).read(world.accounts, [ERROR])
    assert [held[each][ERROR] for each in world.accounts] == [
        None, "FIELD_CUSTOM_VALIDATION_EXCEPTION: closed by finance", None,
    ]  # fmt: skip
    assert run("run-told-2", refuse) == 0, "an unchanged failure is not written again"
    assert run("run-told-3") == 1
    assert world.target(SINGLY).read([one], [ERROR]) == {one: {ERROR: None}}
