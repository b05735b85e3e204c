"""The first accounts of a large plan are written and read back before the rest."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import pytest

from crmsync.connectors.base import Write, Written
from crmsync.errors import UnsafePlan
from crmsync.ledger.intents import intents_of
from crmsync.ledger.ledger import Ledger
from crmsync.writeback.apply import apply_plan
from crmsync.writeback.plan import Plan, sealed
from tests.writeback.facts import a_plan
from tests.writeback.org import Org, no_fault

TIER = "granted_tier__c"
RECORDS = [f"R{number:02d}" for number in range(20)]
NOW = {record: {TIER: "Silver", "token__c": None, "run_id__c": None, "changed_on__c": None} for record in RECORDS}


class Meddling(Org):
    """An org in which something puts another value into what was just written."""

    meddles = True

    def write_one(self, write: Write) -> Written:
        done = super().write_one(write)
        if self.meddles:
            self.put(write.record_id, {**self.held(write.record_id), TIER: "Bronze"})
        return done


def filled(org: Org) -> Org:
    for record, held in NOW.items():
        org.put(record, held)
    return org


def the_plan(canary: int = 5) -> Plan:
    plan = a_plan("run-1", {record: {TIER: "Gold"} for record in RECORDS}, NOW)
    return sealed(replace(plan, canary=canary))


def written(org: Org) -> int:
    return sum(org.effects().values())


def no_pause(seconds: float) -> None:
    """A test does not wait."""


def test_a_canary_that_holds_is_followed_by_the_rest(ledger: Ledger):
    org = filled(Org(bulk_from=10))
    assert apply_plan(the_plan(), org, ledger, pause=no_pause).applied == 20
    assert org.calls("write_one") == 5
    assert org.calls("start_job") == 1
    assert set(org.effects().values()) == {1}


def test_a_canary_that_does_not_hold_stops_the_plan_and_names_field_and_record(ledger: Ledger):
    org, plan = filled(Meddling(bulk_from=10)), the_plan()
    said = r"accounts that were written first, 5 do not hold.*written as 'Gold' and is 'Bronze'.*other 15 were not"
    with pytest.raises(UnsafePlan, match=said):
        apply_plan(plan, org, ledger, pause=no_pause)
    assert written(org) == 5
    assert len(intents_of(ledger, plan.digest, plan.run_id, "pending")) == 15
    with pytest.raises(UnsafePlan, match="5 accounts that were written first"):  # the same cause, once more: no more
        apply_plan(plan, org, ledger, pause=no_pause)
    assert written(org) == 5


def test_one_account_of_a_canary_that_did_not_hold_keeps_the_plan_from_being_continued(ledger: Ledger):
    org, plan = filled(Org(bulk_from=10)), the_plan()
    real = org.effect

    def meddled(record_id: str, values: Mapping[str, str | None]) -> Written:
        changed = {**values, TIER: "Bronze"} if not written(org) else values
        return real(record_id, changed)

    org.effect = meddled  # type: ignore[method-assign]
    for _ in range(2):
        with pytest.raises(UnsafePlan, match=r"1 do not hold what was written and 0 were refused.*is 'Bronze'"):
            apply_plan(plan, org, ledger, pause=no_pause)
    assert written(org) == 5


def test_a_canary_of_which_half_is_refused_stops_the_plan(ledger: Ledger):
    org, plan = filled(Org(refuses=dict.fromkeys(RECORDS, "FIELD_CUSTOM_VALIDATION_EXCEPTION"))), the_plan()
    with pytest.raises(UnsafePlan, match="0 do not hold what was written and 5 were refused"):
        apply_plan(plan, org, ledger, pause=no_pause)
    assert written(org) == 0


def test_one_refused_account_does_not_stop_the_others(ledger: Ledger):
    plan = the_plan()
    first = sorted(RECORDS, key=lambda record: record)[0]
    org = filled(Org(refuses={first: "FIELD_CUSTOM_VALIDATION_EXCEPTION"}))
    outcomes = apply_plan(plan, org, ledger, pause=no_pause)
    assert (outcomes.applied, outcomes.parked) == (19, 1)


def test_an_interrupted_canary_is_finished_and_no_other_is_sent(ledger: Ledger):
    org, plan = filled(Org(bulk_from=10)), the_plan()

    def stopped(call: str) -> None:
        if call == "write_one" and written(org) >= 3:
            raise KeyboardInterrupt

    org.fault = stopped
    with pytest.raises(KeyboardInterrupt):
        apply_plan(plan, org, ledger, pause=no_pause)
    assert written(org) == 3
    org.fault = no_fault
    assert apply_plan(plan, org, ledger, pause=no_pause).applied == 20
    assert org.calls("start_job") == 1
    assert set(org.effects().values()) == {1}


def test_without_a_canary_all_goes_at_once(ledger: Ledger):
    org = filled(Org(bulk_from=10))
    assert apply_plan(the_plan(0), org, ledger, pause=no_pause).applied == 20
    assert org.calls("write_one") == 0
