"""Who opened which plan: one named person, one digest, 24 hours, and only while the plan waits."""

from __future__ import annotations

import getpass
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import time_machine

from crmsync.approver import named
from crmsync.connectors.base import Person
from crmsync.errors import ConfigError, Conflict, UnsafePlan
from crmsync.ledger.accepted import accept_standings
from crmsync.ledger.approvals import (
    PlanRow,
    approval_of,
    approve,
    blocked_plans,
    record_approval,
    record_plan,
    set_plan_state,
    state_of_plan,
)
from crmsync.ledger.ledger import Ledger
from crmsync.writeback.apply import check_open
from crmsync.writeback.plan import Plan, sealed
from crmsync.writeback.plan_record import LONGEST, Decision, objection, plan_values
from crmsync.writeback.verdicts import GuardResult
from tests.writeback.facts import AS_OF, a_plan

NOW = datetime(2026, 11, 22, 10, tzinfo=UTC)
TRIPPED = GuardResult("demotions", "9 of 9 partners fall", "5", True, "look at the movers")


def a_blocked(run_id: str = "run-1") -> Plan:
    plan = a_plan(run_id, {"A": {"granted_tier__c": run_id}}, {"A": {}})
    return sealed(replace(plan, guards=(TRIPPED,)))


def keep(ledger: Ledger, plan: Plan) -> Plan:
    row = PlanRow(plan.digest, plan.run_id, Path("x"), plan.as_of, 1, 1, True, "blocked", "2026-11-22")
    record_plan(ledger, row, [])
    return plan


def test_an_approval_holds_for_that_digest_and_24_hours(ledger: Ledger):
    plan, other = keep(ledger, a_blocked()), a_blocked("run-2")
    with time_machine.travel(NOW, tick=False) as clock:
        with pytest.raises(UnsafePlan, match="demotions: 9 of 9 partners fall, limit 5"):
            check_open(plan, ledger)
        assert approve(ledger, plan.digest[:8], " Ann Example ").person == "Ann Example"
        check_open(plan, ledger)
        assert approval_of(ledger, other.digest) is None
        clock.move_to(NOW + timedelta(hours=24, seconds=1))
        with pytest.raises(UnsafePlan):
            check_open(plan, ledger)


def test_of_several_approvals_the_one_that_holds_longest_counts(ledger: Ledger):
    """One in the CRM counts from the decision, so the newest row may end first."""
    plan = keep(ledger, a_blocked())
    with time_machine.travel(NOW, tick=False) as clock:
        approve(ledger, plan.digest, "Ann")
        record_approval(ledger, plan.digest, "Bo", source="crm", at=NOW - timedelta(hours=23))
        clock.move_to(NOW + timedelta(hours=2))
        found = approval_of(ledger, plan.digest)
        assert found is not None
        assert found.person == "Ann"


def test_an_approval_by_a_clock_that_was_set_back_since_does_not_hold(ledger: Ledger):
    plan = keep(ledger, a_blocked())
    with time_machine.travel(NOW + timedelta(days=365), tick=False) as clock:
        approve(ledger, plan.digest, "Ann")
        clock.move_to(NOW)
        with pytest.raises(UnsafePlan):
            check_open(plan, ledger)


@pytest.mark.parametrize("name", ["", "  "])
def test_an_approval_needs_a_name(ledger: Ledger, name: str):
    plan = keep(ledger, a_blocked())
    with pytest.raises(ConfigError, match="needs the name of a person; give it with --by"):
        approve(ledger, plan.digest, name)


@pytest.mark.parametrize(("login", "taken"), [("root", False), ("crmsync", False), ("ann", True)])
def test_a_login_stands_for_a_person_where_it_names_one(monkeypatch: pytest.MonkeyPatch, login: str, taken: bool):
    monkeypatch.setattr(getpass, "getuser", lambda: login)
    if taken:
        assert named(None) == "ann"
    else:
        with pytest.raises(ConfigError, match=f"the login '{login}' names no person; give the name of who approves"):
            named(None)
    assert named("Ann") == "Ann"


def test_a_plan_that_another_has_replaced_is_neither_approved_nor_written(ledger: Ledger):
    first, second = keep(ledger, a_blocked()), keep(ledger, a_blocked("run-2"))
    by = f"plan {second.digest[:12]} of run run-2 has taken its place"
    with pytest.raises(ConfigError, match=f"plan {first.digest[:12]} no longer waits: {by}"):
        approve(ledger, first.digest, "Ann")
    record_approval(ledger, first.digest, "Ann")  # given before the other was drafted
    with pytest.raises(Conflict, match=f"was superseded by plan {second.digest[:12]} of run run-2"):
        check_open(first, ledger)
    assert [plan.digest for plan in blocked_plans(ledger)] == [second.digest, first.digest]


def test_a_plan_that_is_written_or_declined_is_not_approved_again(ledger: Ledger):
    plan = keep(ledger, a_blocked())
    for state in ("applied", "declined"):
        set_plan_state(ledger, plan.digest, plan.run_id, state)
        with pytest.raises(ConfigError, match=f"no longer waits: it is {state}"):
            approve(ledger, plan.digest, "Ann")
    found = state_of_plan(ledger, plan.digest)
    assert found is not None
    assert found.state == "declined"
    with pytest.raises(Conflict, match="was declined and is not written"):
        check_open(plan, ledger)


def test_an_approval_does_not_outlive_the_rules_the_settings_or_the_day(ledger: Ledger, tmp_path: Path):
    plan = keep(ledger, a_blocked())
    approve(ledger, plan.digest, "Ann")
    check_open(plan, ledger, program_digest="p" * 64, config_digest="c" * 64)
    for given, what in (({"program_digest": "other"}, "program"), ({"config_digest": "other"}, "configuration")):
        with pytest.raises(Conflict, match=f"the {what} was changed since it was drafted; plan again"):
            check_open(plan, ledger, **given)
    file = tmp_path / "standings.parquet"
    file.write_bytes(b"x")
    accept_standings(ledger, "run-9", AS_OF + timedelta(days=1), file)
    with pytest.raises(Conflict, match="is already applied; plan again"):
        check_open(plan, ledger)


# --- in the CRM


ANN = Person("005A", "ann@example.com", active=True, decides=True, ours=False)


def decided(person: Person | None, hours: float = 1) -> str:
    made = Decision("d", "Approved", "Waiting", person, NOW - timedelta(hours=hours))
    return objection(made, NOW, "Sales_Ops")


def test_who_may_decide_on_a_plan_in_the_crm():
    assert decided(ANN) == ""
    assert "does not have the permission set Sales_Ops" in decided(replace(ANN, decides=False))
    assert "is not an active user" in decided(replace(ANN, active=False))
    assert "is the user that crmsync logs in as" in decided(replace(ANN, ours=True))
    assert "nobody but the user that crmsync logs in as" in decided(None)
    assert decided(ANN, 24) == ""
    assert "held for 24 hours" in decided(ANN, 24.01)


def test_the_record_of_a_plan_says_why_it_waits_and_fits_its_fields():
    plan = a_blocked()
    from crmsync.writeback.plan import Mover

    movers = tuple(Mover(f"P{n}", "Firm " * 20, "all", "Gold", None, "left", "misses 🥇 " * 20) for n in range(400))
    values = plan_values(replace(plan, movers=movers))
    assert values["summary"] == "1 accounts, 400 changes of tier. Waits because of: demotions"
    assert (values["decision"], values["state"]) == ("Waiting", "Waiting")
    assert str(values["guards"]).startswith("STOPS demotions: 9 of 9 partners fall. Limit: 5. What to do: look at")
    listed = str(values["who_moves"])
    assert len(listed.encode("utf-16-le")) // 2 <= LONGEST
    assert "-> no tier. misses" in listed
    assert listed.splitlines()[-1].startswith("… and ")
