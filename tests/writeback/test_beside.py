"""Records beside the accounts: what a plan drafts for them, and what becomes of them when accounts are held up."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from crmsync.connectors.mapping_writes import HISTORY as HISTORY_KEYS
from crmsync.connectors.mapping_writes import STANDING
from crmsync.ledger.intents import open_intents
from crmsync.ledger.ledger import Ledger
from crmsync.snapshots import Snapshot
from crmsync.writeback.apply import apply_plan, waiting_changes
from crmsync.writeback.changes import Change
from crmsync.writeback.fields import Sink
from crmsync.writeback.last_error import tell_last_errors
from crmsync.writeback.plan import Drafting, Plan, draft_plan, sealed
from crmsync.writeback.planfile import load_plan, save_plan
from tests.writeback.facts import (
    AS_OF,
    FIELDS,
    HISTORY,
    STANDINGS,
    WITH_SINKS,
    a_plan,
    a_program,
    a_snapshot,
    beside,
    standing,
    standings,
)
from tests.writeback.org import Org

CATEGORIES = {"reseller": "Reseller", "msp": "MSP"}
SINKS = (
    Sink("standings", "Standing", "Key", "Account", {key: f"{key}_s" for key in STANDING}),
    Sink("history", "History", "Key", "Account", {key: f"{key}_h" for key in HISTORY_KEYS}),
)
MAPPED = replace(FIELDS, sinks=SINKS)
TIER = "granted_tier__c"


def draft(snapshot: Snapshot, rows: list[dict[str, Any]], drafting: Drafting | None = None) -> Plan:
    return draft_plan(
        a_program(categories=CATEGORIES), standings(rows), snapshot, MAPPED, "run-1", AS_OF, drafting or Drafting()
    )


def of(plan: Plan, sink: str) -> dict[str, Change]:
    return {change.record_id: change for change in plan.beside if change.sink == sink}


def held_after(plan: Plan, before: Mapping[str, Mapping[str, str | None]] = {}) -> dict[str, dict[str, str | None]]:
    """What the records hold once the plan is written, read back as a snapshot holds it."""
    found = {key: dict(held) for key, held in before.items()}
    for key, change in of(plan, "standings").items():
        found.setdefault(key, dict.fromkeys(SINKS[0].fields.values())).update(
            {name: value for name, value in change.values.items() if name != "Account"}
        )
    return found


def reseller(partner: str = "A", tier: str | None = "silver", **given: Any) -> dict[str, Any]:
    return standing(partner, tier, **{"category": "reseller", "primary_category": "reseller", **given})


def msp(partner: str = "A", tier: str | None = "gold", **given: Any) -> dict[str, Any]:
    return standing(partner, tier, **{"category": "msp", "primary_category": "reseller", **given})


def test_each_category_has_a_record_that_names_its_account(tmp_path: Path):
    found = of(draft(a_snapshot(tmp_path, {"A": {}}, standings={}), [reseller(), msp()]), "standings")
    assert list(found) == ["A|channel|reseller", "A|channel|msp"]
    values = found["A|channel|msp"].values
    assert (values["Account"], values["category_s"], values["granted_tier_s"]) == ("A", "MSP", "Gold")
    assert (values["progress_s"], values["provisional_s"], values["movement_s"]) == ("43", "false", "entered")
    assert not {"as_of_s", "run_id_s"} & set(values)  # stamps come with the write, so that the digest stays the same


def test_a_second_draft_over_what_was_written_is_empty(tmp_path: Path):
    first = draft(a_snapshot(tmp_path / "1", {"A": {}}, standings={}), [reseller(), msp()])
    quiet = [reseller(movement="unchanged"), msp(movement="unchanged")]
    second = draft(a_snapshot(tmp_path / "2", {"A": {}}, standings=held_after(first)), quiet)
    assert of(second, "standings") == {}


def test_only_the_record_and_the_field_that_differ_are_written(tmp_path: Path):
    first = draft(a_snapshot(tmp_path / "1", {"A": {}}, standings={}), [reseller(), msp()])
    rows = [reseller(movement="unchanged"), msp(risk="high", movement="unchanged")]
    second = draft(a_snapshot(tmp_path / "2", {"A": {}}, standings=held_after(first)), rows)
    (change,) = of(second, "standings").values()
    assert (change.record_id, change.values) == ("A|channel|msp", {"risk_s": "high"})
    assert change.expected == {"risk_s": "none"}


@pytest.mark.parametrize("left", [[], [msp(tier=None, movement="left")], [msp(tier=None, movement=None)]])
def test_a_category_that_was_left_is_cleared_and_its_record_stays(tmp_path: Path, left: list[dict[str, Any]]):
    first = held_after(draft(a_snapshot(tmp_path / "1", {"A": {}}, standings={}), [reseller(), msp()]))
    plan = draft(a_snapshot(tmp_path / "2", {"A": {}}, standings=first), [reseller(), *left])
    values = of(plan, "standings")["A|channel|msp"].values
    assert (values["granted_tier_s"], values["calculated_tier_s"], values["movement_s"]) == (None, None, "left")
    assert values["previous_tier_s"] == "Gold"
    again = draft(a_snapshot(tmp_path / "3", {"A": {}}, standings=held_after(plan, first)), [reseller(), *left])
    assert of(again, "standings") == {}


def test_who_was_only_observed_gets_no_record(tmp_path: Path):
    plan = draft(a_snapshot(tmp_path, {"A": {}}, standings={}), [reseller(), msp(tier=None, movement=None)])
    assert list(of(plan, "standings")) == ["A|channel|reseller"]


def test_a_record_of_another_program_is_left_alone(tmp_path: Path):
    other = {"A|distribution|reseller": {"granted_tier_s": "Gold", "movement_s": "entered"}}
    plan = draft(a_snapshot(tmp_path, {"A": {}}, standings=other), [reseller()])
    assert "A|distribution|reseller" not in of(plan, "standings")


def test_a_change_of_tier_has_a_record_whose_key_stays_until_it_is_accepted(tmp_path: Path):
    previous = standings([reseller(tier="silver"), msp()])
    rows = [reseller(tier="gold", movement="promoted"), msp(movement="unchanged")]
    snapshot = a_snapshot(tmp_path, {"A": {}}, standings={})
    plans = [
        draft_plan(
            a_program(categories=CATEGORIES), standings(rows), snapshot, MAPPED, run, AS_OF,
            Drafting(previous=previous, counted_from="run-0"),
        )
        for run in ("run-1", "run-2")
    ]  # fmt: skip
    (change,) = of(plans[0], "history").values()
    assert change.record_id == "run-0|A|channel|reseller"
    assert (change.values["from_tier_h"], change.values["to_tier_h"]) == ("Silver", "Gold")
    assert (change.values["movement_h"], change.values["effective_on_h"]) == ("promoted", AS_OF.isoformat())
    assert plans[0].digest == plans[1].digest


def test_a_plan_with_such_records_is_saved_and_loaded_whole(tmp_path: Path, ledger: Ledger):
    plan = draft(a_snapshot(tmp_path, {"A": {}}, standings={}), [reseller(), msp()])
    save_plan(plan, ledger)
    assert load_plan(plan.digest, ledger.state_dir) == plan


# --- apply

RECORDS = ["001000", "001001"]
NOW: dict[str, dict[str, str | None]] = {one: {TIER: "Silver", "token__c": None} for one in RECORDS}


def both(run_id: str = "run-1") -> Plan:
    drafts = [beside(STANDINGS, one, one, {"Tier": "Gold"}) for one in RECORDS]
    drafts += [beside(HISTORY, f"first|{one}", one, {"To": "Gold"}) for one in RECORDS]
    return a_plan(run_id, {one: {TIER: "Gold"} for one in RECORDS}, NOW, drafts)


def an_org(**given: Any) -> Org:
    org = Org(**given)
    for one, held in NOW.items():
        org.put(one, held)
    return org


@pytest.fixture(params=[None, 1], ids=["few", "many"])
def bulk_from(request: pytest.FixtureRequest) -> int | None:
    return request.param  # type: ignore[no-any-return]


def quietly(plan: Plan, org: Org, ledger: Ledger) -> Any:
    return apply_plan(plan, org, ledger, pause=lambda _: None)


def test_accounts_come_first_then_categories_then_changes_of_tier(ledger: Ledger, bulk_from: int | None):
    org = an_org(bulk_from=bulk_from)
    assert quietly(both(), org, ledger).clean
    kinds = [name.partition("/")[0] if "/" in name else "Account" for name in org.order()]
    assert kinds == ["Account"] * 2 + ["Standing"] * 2 + ["History"] * 2
    assert org.held("History/first|001000") == {"Account": "001000", "To": "Gold", "Run": "run-1"}
    calls = org.write_calls()
    assert quietly(both(), org, ledger).written == 0
    assert org.write_calls() == calls


def test_what_stands_beside_a_refused_account_waits_and_the_rest_goes_on(ledger: Ledger, bulk_from: int | None):
    org = an_org(bulk_from=bulk_from, refuses={RECORDS[0]: "locked by finance"})
    outcomes = quietly(both(), org, ledger)
    assert not outcomes.clean
    assert {sink: (one.applied, one.waiting) for sink, one in outcomes.beside.items()} == {
        "standings": (1, 1), "history": (1, 1),
    }  # fmt: skip
    assert not [name for name in org.order() if RECORDS[0] in name]


def test_a_change_of_tier_that_waits_is_written_by_a_later_run(ledger: Ledger, bulk_from: int | None):
    org = an_org(bulk_from=bulk_from, refuses={RECORDS[0]: "locked by finance"})
    quietly(both(), org, ledger)
    assert waiting_changes(ledger, WITH_SINKS, "first") == ()  # not accepted: it is drafted anew
    (waiting,) = waiting_changes(ledger, WITH_SINKS, "run-1")
    org.refuses.clear()
    later = a_plan("run-2", {RECORDS[0]: {TIER: "Gold"}}, NOW, [waiting])
    assert quietly(later, org, ledger).clean
    assert org.held(f"History/first|{RECORDS[0]}")["Run"] == "run-1"  # the run that made the change
    assert set(org.effects().values()) == {1}
    assert waiting_changes(ledger, WITH_SINKS, "run-2") == ()


def test_a_lost_answer_is_settled_by_reading_the_keys_back(ledger: Ledger, bulk_from: int | None):
    lost = {"write_several": "after", "start_job": None}
    org = an_org(bulk_from=bulk_from, fault=lambda call: lost.pop(call, None))
    assert quietly(both(), org, ledger).clean
    assert set(org.effects().values()) == {1}


def test_a_locked_row_is_tried_once_more_and_then_parked(ledger: Ledger, bulk_from: int | None):
    org = an_org(bulk_from=bulk_from)
    org.locks.update({f"Standing/{RECORDS[0]}": 1, f"Standing/{RECORDS[1]}": 5})
    outcomes = quietly(both(), org, ledger)
    assert (outcomes.beside["standings"].applied, outcomes.beside["standings"].parked) == (1, 1)
    (parked,) = open_intents(ledger, "parked")
    assert (parked.record_id, parked.code) == (RECORDS[1], "UNABLE_TO_LOCK_ROW")


def test_who_locked_a_record_may_have_changed_it(ledger: Ledger, bulk_from: int | None):
    """A locked record is compared once more before it is tried again: the lock was somebody's edit."""
    org = an_org(bulk_from=bulk_from)
    for one in RECORDS:
        org.put(f"Standing/{one}", {"Tier": "Silver", "Account": one})
    org.locks[f"Standing/{RECORDS[0]}"] = 1
    org.edits_of_locks[f"Standing/{RECORDS[0]}"] = {"Tier": "Platinum", "Account": RECORDS[0]}
    drafts = [beside(STANDINGS, one, one, {"Tier": "Gold"}, held=True) for one in RECORDS]
    outcomes = quietly(a_plan("run-1", {}, {}, drafts), org, ledger)
    assert (outcomes.beside["standings"].applied, outcomes.beside["standings"].conflicts) == (1, 1)
    assert org.held(f"Standing/{RECORDS[0]}")["Tier"] == "Platinum"


def test_a_record_that_somebody_changed_since_the_plan_is_a_conflict(ledger: Ledger, bulk_from: int | None):
    org = an_org(bulk_from=bulk_from)
    org.put("Standing/001000", {"Tier": "Platinum", "Account": "001000"})
    held = beside(STANDINGS, "001000", "001000", {"Tier": "Gold"}, held=True)
    outcomes = quietly(a_plan("run-1", {}, {}, [held]), org, ledger)
    assert (outcomes.beside["standings"].conflicts, outcomes.written) == (1, 0)
    assert org.held("Standing/001000")["Tier"] == "Platinum"


def test_why_a_record_is_refused_stays_on_its_account_though_the_account_itself_does_not_change(
    ledger: Ledger, tmp_path: Path
):
    """The record is there already, so what is written of it does not name its account."""
    fields = replace(MAPPED, last_error="Error")
    org = an_org(refuses={"Standing/001000|channel|msp": "closed by finance"})
    account = f"{fields.object}/001000"  # this org keeps it apart when it is written several at a time
    org.put(account, {"Error": None})
    told = []
    for run in ("run-1", "run-2"):
        held = {"001000|channel|msp": {"granted_tier_s": "Silver"}}
        org.put("Standing/001000|channel|msp", held["001000|channel|msp"])
        snapshot = a_snapshot(tmp_path / run, {"001000": {}}, standings=held)
        rows = standings([msp("001000", movement="unchanged")])
        plan = draft_plan(a_program(categories=CATEGORIES), rows, snapshot, fields, run, AS_OF, Drafting())
        plan = sealed(replace(plan, changes=()))
        quietly(plan, org, ledger)
        told.append(tell_last_errors(plan, org, ledger))
        assert org.held(account)["Error"] == "standings: FIELD_CUSTOM_VALIDATION_EXCEPTION: closed by finance"
    assert told == [1, 0]
