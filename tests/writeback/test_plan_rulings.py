"""What a run makes of the records of plans: without an org, every way a decision can stand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from types import MappingProxyType, SimpleNamespace
from typing import Any

import pytest
from sqlalchemy import select

from crmsync.connectors.base import Person, Write, Written
from crmsync.connectors.mapping_places import Place
from crmsync.connectors.mapping_records import RecordMap
from crmsync.errors import Conflict, Retriable
from crmsync.ledger import tables as t
from crmsync.ledger.approvals import approval_of, set_plan_state, state_of_plan
from crmsync.ledger.ledger import Ledger
from crmsync.plan_records import carried_out, lay_before, rule
from crmsync.writeback.plan import Mover, Plan, sealed
from crmsync.writeback.planfile import save_plan
from crmsync.writeback.verdicts import GuardResult
from tests.writeback.conftest import NewState
from tests.writeback.facts import a_plan

FIELDS = {"decision": "D", "state": "S", "answer": "A", "summary": "Short", "who_moves": "Who", "movers": "Count"}
ANN = Person("005A", "ann@example.com", active=True, decides=True, ours=False)


class Records:
    """Plan records by their digest, and a user of the org."""

    def __init__(self) -> None:
        self.held: dict[str, dict[str, str | None]] = {}
        self.writes = 0
        self.who = ANN
        self.refuses = False
        self.asked = 0

    def into(self, into: object) -> Records:  # noqa: ARG002
        return self

    def person(self, user_id: str) -> Person:  # noqa: ARG002
        self.asked += 1
        return self.who

    def read(self, record_ids: Sequence[str], fields: Sequence[str]) -> Mapping[str, Mapping[str, str | None]]:  # noqa: ARG002
        return {one: dict(self.held[one]) for one in record_ids if one in self.held}

    def write_one(self, write: Write) -> Written:
        self.writes += 1
        if self.refuses:
            return Written(write.record_id, "failed", "INVALID_TYPE", "no such object")
        self.held[write.record_id] = {**self.held.get(write.record_id, {"Id": "a0X"}), **write.values}
        return Written(write.record_id, "applied")

    def decide(self, digest: str, decision: str, hours: float = 1) -> None:
        """As a person does it."""
        at = datetime.now(UTC) - timedelta(hours=hours)
        stamps = {"LastModifiedById": "005A", "LastModifiedDate": at.strftime("%Y-%m-%dT%H:%M:%S.000+0000")}
        self.held[digest] = {**self.held[digest], "D": decision, **stamps}


@pytest.fixture
def records() -> Records:
    return Records()


@pytest.fixture
def belt(records: Records, new_state: NewState) -> Any:
    fields = MappingProxyType({key: Place(name, 1) for key, name in FIELDS.items()})
    place = RecordMap(Place("Plan__c", 1), Place("K", 1), fields)
    with Ledger.open(new_state()) as ledger:
        yield SimpleNamespace(
            ledger=ledger, state=ledger.state_dir, target=records, configuration=SimpleNamespace(org="salesforce"),
            mapping=SimpleNamespace(writes=SimpleNamespace(plan_record=place)),
        )  # fmt: skip


def drafted(belt: Any, run_id: str) -> Plan:
    made = a_plan(run_id, {"A": {"granted_tier__c": run_id}}, {"A": {}})
    plan = sealed(replace(made, guards=(GuardResult("demotions", "9 fall", "5", True, "look"),)))
    save_plan(plan, belt.ledger)
    return plan


def test_a_plan_is_laid_once_and_without_an_answer_nothing_is_written(belt: Any, records: Records) -> None:
    assert rule(belt).said == ""
    plan = drafted(belt, "run-1")
    assert "sets the decision of Plan__c" in lay_before(belt, plan)
    assert "it waits in the CRM" in lay_before(belt, plan)
    assert rule(belt).said == ""
    assert records.writes == 1


def test_an_approval_that_counts_opens_the_plan_and_is_in_the_ledger(belt: Any, records: Records) -> None:
    plan = drafted(belt, "run-1")
    lay_before(belt, plan)
    records.decide(plan.digest, "Approved")
    ruling = rule(belt)
    approval = approval_of(belt.ledger, plan.digest)
    assert approval is not None
    assert (ruling.opened, approval.person) == (plan.digest, "ann@example.com")
    assert approval.until - datetime.now(UTC) < timedelta(hours=23, minutes=1)  # from the decision, not from now
    said = carried_out(belt, ruling, lambda digest: set_plan_state(belt.ledger, digest, "run-1", "applied"))
    assert said.endswith("was approved in the CRM by ann@example.com and was written first")
    assert (records.held[plan.digest]["S"], records.held[plan.digest]["A"]) == ("Applied", "Written.")


@pytest.mark.parametrize(
    ("who", "hours", "told"),
    [(replace(ANN, decides=False), 1, "does not have the permission set"), (replace(ANN, ours=True), 1, "logs in as"),
     (replace(ANN, active=False), 1, "not an active user"), (ANN, 25, "held for 24 hours")],
)  # fmt: skip
def test_an_approval_that_does_not_count_is_answered_and_asked_anew(
    belt: Any, records: Records, who: Person, hours: float, told: str
) -> None:
    plan = drafted(belt, "run-1")
    lay_before(belt, plan)
    records.decide(plan.digest, "Approved", hours)
    records.who = who
    ruling = rule(belt)
    assert (ruling.opened, told in ruling.said) == ("", True)
    held = records.held[plan.digest]
    assert (held["D"], held["S"], told in str(held["A"])) == ("Waiting", "Waiting", True)
    assert approval_of(belt.ledger, plan.digest) is None


def test_a_plan_that_cannot_be_written_any_more_says_why_and_may_be_decided_anew(belt: Any, records: Records) -> None:
    plan = drafted(belt, "run-1")
    lay_before(belt, plan)
    records.decide(plan.digest, "Approved")

    def fails(digest: str) -> None:
        raise Conflict(f"plan {digest[:4]}: the program was changed")

    assert "but it was not written: plan" in carried_out(belt, rule(belt), fails)
    held = records.held[plan.digest]
    assert (held["S"], held["A"]) == ("Not applied", f"Approved, but not written: plan {plan.digest[:4]}: the program was changed")  # noqa: E501 # fmt: skip
    records.who = replace(ANN, ours=True)  # the answer was the last change
    writes = records.writes
    assert (rule(belt).said, records.writes) == ("", writes)
    lay_before(belt, plan)
    assert (records.held[plan.digest]["S"], records.held[plan.digest]["D"]) == ("Waiting", "Waiting")


def test_what_only_has_to_wait_leaves_the_approval_as_it_is(belt: Any, records: Records) -> None:
    plan = drafted(belt, "run-1")
    lay_before(belt, plan)
    records.decide(plan.digest, "Approved")

    def busy(digest: str) -> None:
        raise Retriable(f"the CRM is not there for {digest}")

    with pytest.raises(Retriable):
        carried_out(belt, rule(belt), busy)
    assert (records.held[plan.digest]["S"], rule(belt).opened) == ("Waiting", plan.digest)


def test_a_declined_plan_is_answered_once(belt: Any, records: Records) -> None:
    plan = drafted(belt, "run-1")
    lay_before(belt, plan)
    records.decide(plan.digest, "Declined")
    assert "was declined in the CRM" in rule(belt).said
    found = state_of_plan(belt.ledger, plan.digest)
    assert found is not None
    assert found.state == "declined"
    again = drafted(belt, "run-1")  # the next run finds the same
    assert again.digest == plan.digest
    writes = records.writes
    assert "was declined" in rule(belt).said
    assert records.writes == writes


def test_the_record_of_a_plan_that_was_replaced_is_closed_once(belt: Any, records: Records) -> None:
    first = drafted(belt, "run-1")
    lay_before(belt, first)
    second = drafted(belt, "run-2")
    lay_before(belt, second)
    records.decide(first.digest, "Approved")
    assert rule(belt).opened == ""
    assert records.asked == 0, "who decided on a plan that is gone is of no interest"
    assert records.held[first.digest]["S"] == "Superseded"
    assert str(records.held[first.digest]["A"]).startswith("Approved too late.")
    writes = records.writes
    rule(belt)
    assert records.writes == writes


def test_a_record_that_cannot_be_written_stops_nothing(belt: Any, records: Records) -> None:
    records.refuses = True
    said = lay_before(belt, drafted(belt, "run-1"))
    assert "was not laid before sales operations: Plan__c" in said
    assert "INVALID_TYPE: no such object" in said


# --- who saw what, and who said what


def test_an_approval_of_a_record_whose_numbers_were_changed_does_not_count(belt: Any, records: Records) -> None:
    """Somebody makes a large plan look small, and sales operations approve what they see."""
    plan = drafted(belt, "run-1")
    lay_before(belt, plan)
    laid = dict(records.held[plan.digest])
    records.held[plan.digest] |= {"Short": "1 account, nobody moves", "Count": "0.0"}
    records.decide(plan.digest, "Approved")
    assert rule(belt).said.endswith(
        "it does not count: what the record showed was changed after it was laid there (summary); it is put right now"
    )
    held = records.held[plan.digest]
    assert (held["D"], held["Short"], approval_of(belt.ledger, plan.digest)) == ("Waiting", laid["Short"], None)
    held["Short"] = f" {held['Short']}\r\n"  # what a browser does to lines is no change
    records.decide(plan.digest, "Approved")
    assert rule(belt).opened == plan.digest


def test_what_a_crm_does_to_odd_characters_is_no_change(belt: Any, records: Records) -> None:
    made = a_plan("run-1", {"A": {"granted_tier__c": "x"}}, {"A": {}})
    odd = Mover("A", "A\x01\u2028Firm\x0b", "all", "Gold", "Silver", "demoted", "misses\tmuch")
    guards = (GuardResult("demotions", "9 fall", "5", True, "look"),)
    plan = sealed(replace(made, movers=(odd,), guards=guards))
    save_plan(plan, belt.ledger)
    lay_before(belt, plan)
    shown = records.held[plan.digest]["Who"]
    assert shown == "A Firm  (all): Gold -> Silver. misses much"
    records.held[plan.digest]["Who"] = shown.replace("  ", " ")
    records.decide(plan.digest, "Approved")
    assert rule(belt).opened == plan.digest


def test_who_made_the_record_is_ourselves_also_where_the_login_may_not_ask_who_it_is(
    belt: Any, records: Records
) -> None:
    plan = drafted(belt, "run-1")
    lay_before(belt, plan)
    records.held[plan.digest]["CreatedById"] = "005A"
    records.decide(plan.digest, "Approved")
    assert "is the user that crmsync logs in as" in rule(belt).said
    assert approval_of(belt.ledger, plan.digest) is None


def test_only_who_may_approve_may_decline_and_the_audit_says_who_did(belt: Any, records: Records) -> None:
    plan = drafted(belt, "run-1")
    lay_before(belt, plan)
    records.who = replace(ANN, decides=False)
    records.decide(plan.digest, "Declined")
    assert "was declined in the CRM, and it does not count: ann@example.com" in rule(belt).said
    assert (records.held[plan.digest]["D"], records.held[plan.digest]["S"]) == ("Waiting", "Waiting")
    records.who = ANN
    records.decide(plan.digest, "Declined")
    assert rule(belt).said.endswith("was declined in the CRM and is not written: by ann@example.com")
    with belt.ledger.reading() as connection:
        rows = connection.execute(select(t.audit.c.actor).where(t.audit.c.event == "plan_declined"))
        assert rows.scalars().all() == ["crm:ann@example.com"]
    assert "it was declined in the CRM on Plan__c" in lay_before(belt, drafted(belt, "run-1"))


def test_a_plan_that_is_drafted_again_after_another_waits_anew(belt: Any, records: Records) -> None:
    first = drafted(belt, "run-1")
    lay_before(belt, first)
    lay_before(belt, drafted(belt, "run-2"))
    rule(belt)
    assert records.held[first.digest]["S"] == "Superseded"
    lay_before(belt, drafted(belt, "run-1"))
    held = records.held[first.digest]
    assert (held["S"], held["D"], held["A"]) == ("Waiting", "Waiting", None)


def test_a_decision_by_a_clock_that_runs_ahead_does_not_hold_longer(belt: Any, records: Records) -> None:
    plan = drafted(belt, "run-1")
    lay_before(belt, plan)
    records.decide(plan.digest, "Approved", hours=-5)
    assert "look at this machine's clock" in rule(belt).said
