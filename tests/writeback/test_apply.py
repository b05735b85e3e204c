"""The outbox: what becomes of a plan's changes, whatever the CRM answers."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import time_machine
from hypothesis import given, settings
from hypothesis import strategies as st

from crmsync.connectors.base import Into, JobState, NotThere, OpenJob
from crmsync.errors import AccessError, Conflict, CrmsyncError, DataError, Retriable, UnsafePlan
from crmsync.ledger.approvals import PlanRow, approve, record_plan
from crmsync.ledger.intents import count_states, intents_of, last_written, live_jobs, open_intents, opening_jobs
from crmsync.ledger.ledger import Ledger
from crmsync.writeback.apply import apply_plan, settle_open_intents
from crmsync.writeback.guards import GuardResult
from crmsync.writeback.outbox import calls_planned
from crmsync.writeback.plan import Plan, sealed
from tests.writeback.conftest import NewState
from tests.writeback.facts import HISTORY, a_plan, beside
from tests.writeback.org import Fault, Org

TIER = "granted_tier__c"
RECORDS = [f"001{n:03}" for n in range(8)]
NOW: dict[str, dict[str, str | None]] = {record: {TIER: "Silver", "token__c": None} for record in RECORDS}
WANTED: dict[str, dict[str, str | None]] = {record: {TIER: "Gold"} for record in RECORDS}


def no_pause(seconds: float) -> None:  # noqa: ARG001
    return None


def an_org(**given: object) -> Org:
    org = Org(**given)  # type: ignore[arg-type]
    for record, held in NOW.items():
        org.put(record, held)
    return org


def the_plan(run_id: str = "run-1") -> Plan:
    return a_plan(run_id, WANTED, NOW)


@pytest.fixture(params=[None, 1], ids=["singly", "bulk"])
def bulk_from(request: pytest.FixtureRequest) -> int | None:
    return request.param  # type: ignore[no-any-return]


def test_every_change_is_written_once_with_stamps_and_token(ledger: Ledger, bulk_from: int | None):
    org = an_org(bulk_from=bulk_from)
    outcomes = apply_plan(the_plan(), org, ledger, pause=no_pause)
    assert (outcomes.applied, outcomes.parked, outcomes.conflicts) == (8, 0, 0)
    assert set(org.effects().values()) == {1}
    held = org.held(RECORDS[0])
    assert (held[TIER], held["run_id__c"], held["changed_on__c"]) == ("Gold", "run-1", "2026-11-21")
    assert len(held["token__c"] or "") == 32
    assert last_written(ledger, RECORDS[0]) == held


def test_applying_the_same_plan_again_makes_no_write_call(ledger: Ledger, bulk_from: int | None):
    org = an_org(bulk_from=bulk_from)
    apply_plan(the_plan(), org, ledger, pause=no_pause)
    calls = org.write_calls()
    assert apply_plan(the_plan(), org, ledger, pause=no_pause).applied == 8
    assert org.write_calls() == calls


def test_a_plan_without_changes_makes_no_call_that_writes(ledger: Ledger):
    org = an_org(bulk_from=1)
    assert apply_plan(a_plan("run-1", {}, {}), org, ledger).clean
    assert org.write_calls() == 0


def test_a_refused_record_is_parked_with_the_words_of_the_crm_and_stops_no_other(ledger: Ledger, bulk_from: int | None):
    org = an_org(bulk_from=bulk_from, refuses={RECORDS[3]: "Tier is locked by finance"})
    outcomes = apply_plan(the_plan(), org, ledger, pause=no_pause)
    assert (outcomes.applied, outcomes.parked) == (7, 1)
    (problem,) = outcomes.problems
    assert (problem.record_id, problem.message) == (RECORDS[3], "Tier is locked by finance")
    assert not outcomes.clean


def test_a_parked_record_is_tried_again_by_the_next_plan(ledger: Ledger, bulk_from: int | None):
    org = an_org(bulk_from=bulk_from, refuses={RECORDS[3]: "no"})
    apply_plan(the_plan(), org, ledger, pause=no_pause)
    org.refuses.clear()
    again = a_plan("run-2", {RECORDS[3]: WANTED[RECORDS[3]]}, NOW)
    assert apply_plan(again, org, ledger, pause=no_pause).applied == 1
    assert open_intents(ledger, "parked") == []
    assert set(org.effects().values()) == {1}


def test_an_account_edited_since_the_plan_is_a_conflict_and_is_not_overwritten(ledger: Ledger, bulk_from: int | None):
    org = an_org(bulk_from=bulk_from)
    org.put(RECORDS[2], {TIER: "Platinum", "token__c": None})
    outcomes = apply_plan(the_plan(), org, ledger, pause=no_pause)
    assert (outcomes.applied, outcomes.conflicts) == (7, 1)
    assert org.held(RECORDS[2])[TIER] == "Platinum"
    assert "granted_tier__c is 'Platinum', was 'Silver'" in (outcomes.problems[0].message or "")


def test_an_account_that_already_holds_the_values_is_not_sent_in_bulk(ledger: Ledger):
    org = an_org(bulk_from=1)
    org.put(RECORDS[0], {TIER: "Gold", "token__c": None})
    assert apply_plan(the_plan(), org, ledger, pause=no_pause).applied == 8
    assert org.effects()[RECORDS[0]] == 0


def test_a_deleted_account_is_a_conflict_or_parked_and_never_made_anew(ledger: Ledger, bulk_from: int | None):
    org = an_org(bulk_from=bulk_from)
    org.delete(RECORDS[5])
    outcomes = apply_plan(the_plan(), org, ledger, pause=no_pause)
    assert outcomes.applied == 7
    assert outcomes.problems[0].code == "ENTITY_IS_DELETED"
    assert RECORDS[5] not in org.effects()


def test_a_deleted_account_is_told_as_such_where_nobody_can_say_whether_it_was_merged(ledger: Ledger):
    class Mute(Org):
        def merged_partners(self) -> dict[str, str]:
            raise DataError("Salesforce refused GET queryAll: INVALID_FIELD")

    org = Mute(bulk_from=1)
    for record in RECORDS[1:]:
        org.put(record, NOW[record])
    outcomes = apply_plan(the_plan(), org, ledger, pause=no_pause)
    assert (outcomes.applied, [one.code for one in outcomes.problems]) == (7, ["ENTITY_IS_DELETED"])


def test_rows_that_a_stopped_job_did_not_process_go_into_a_new_job(ledger: Ledger):
    org = an_org(bulk_from=1, stops_after=3)
    outcomes = apply_plan(the_plan(), org, ledger, pause=no_pause)
    assert outcomes.applied == 8
    assert set(org.effects().values()) == {1}
    assert org.calls("start_job") == 3


def test_rows_that_no_job_ever_processes_are_parked_with_the_words_of_the_job(ledger: Ledger):
    org = an_org(bulk_from=1, stops_after=0)
    outcomes = apply_plan(the_plan(), org, ledger, pause=no_pause)
    assert (outcomes.applied, outcomes.parked) == (0, 8)
    assert outcomes.problems[0].message == "job stopped by the platform"


def test_records_that_the_results_do_not_list_are_read_back(ledger: Ledger):
    org = an_org(bulk_from=1, hides=frozenset(RECORDS[:4]))
    assert apply_plan(the_plan(), org, ledger, pause=no_pause).applied == 8
    assert set(org.effects().values()) == {1}


def test_a_hundred_faults_of_looking_do_not_lose_a_job(ledger: Ledger):
    faults = itertools.chain(["before"] * 99, itertools.repeat(None))
    org = an_org(bulk_from=1, fault=lambda call: next(faults) if call == "job_state" else None)
    assert apply_plan(the_plan(), org, ledger, pause=no_pause).applied == 8
    assert org.calls("create_job") == 1


def test_a_job_is_claimed_in_the_ledger_before_anything_is_uploaded(ledger: Ledger, monkeypatch: pytest.MonkeyPatch):
    org = an_org(bulk_from=1)
    seen = []
    upload = org.upload_job
    monkeypatch.setattr(org, "upload_job", lambda *row: (seen.append(live_jobs(ledger)), upload(*row)))
    apply_plan(the_plan(), org, ledger, pause=no_pause)
    assert [job.crm_job_id for job in seen[0]] == ["1"]


def test_a_newer_plan_supersedes_what_an_older_one_left_open(ledger: Ledger):
    org = an_org(refuses=dict.fromkeys(RECORDS, "no"))
    apply_plan(the_plan("run-1"), org, ledger, pause=no_pause)
    apply_plan(a_plan("run-2", {}, {}), org, ledger, pause=no_pause)
    assert count_states(ledger) == {"superseded": 8}


def test_another_org_is_refused_before_any_write(ledger: Ledger):
    apply_plan(a_plan("run-0", {}, {}), an_org(), ledger)
    other = an_org(name="org:production")
    with pytest.raises(AccessError, match="belongs to org:test, the CRM that was reached is org:production"):
        apply_plan(the_plan(), other, ledger)
    assert other.write_calls() == 0


# --- guards and approval


def blocked(plan: Plan) -> Plan:
    return sealed(
        replace(plan, guards=(GuardResult("tier_changes", "8 of 8 partners change tier", "10", True, "look"),))
    )


def keep(ledger: Ledger, plan: Plan) -> None:
    state = "blocked" if plan.blocked else "drafted"
    row = PlanRow(plan.digest, plan.run_id, Path("x"), plan.as_of, 8, 8, plan.blocked, state, "2026-11-21")
    record_plan(ledger, row, [])


def test_a_blocked_plan_is_not_applied_and_says_why_and_how_to_open_it(ledger: Ledger):
    org, plan = an_org(), blocked(the_plan())
    with pytest.raises(UnsafePlan, match=f"8 of 8 partners change tier, limit 10.*crmsync approve {plan.digest[:12]}"):
        apply_plan(plan, org, ledger)
    assert org.write_calls() == 0


def test_an_approval_opens_exactly_that_plan(ledger: Ledger):
    org, plan = an_org(), blocked(the_plan())
    keep(ledger, plan)
    approve(ledger, plan.digest[:8], "Ann Example")
    other = blocked(a_plan("run-2", {RECORDS[0]: {TIER: "None"}}, NOW))
    with pytest.raises(UnsafePlan):
        apply_plan(other, org, ledger)
    assert apply_plan(plan, org, ledger).applied == 8


def test_an_approval_ends_after_24_hours(ledger: Ledger):
    plan = blocked(the_plan())
    keep(ledger, plan)
    with time_machine.travel("2026-11-21T08:00:00Z", tick=False) as clock:
        approve(ledger, plan.digest, "Ann Example")
        clock.move_to("2026-11-22T08:00:01Z")
        with pytest.raises(UnsafePlan):
            apply_plan(plan, an_org(), ledger)


# --- faults


def outcome_of(org: Org, ledger: Ledger, plan: Plan) -> None:
    """Apply until it ends, as an operator would: a run that gives up is started again."""
    for _ in range(30):
        try:
            settle_open_intents(ledger, org, pause=no_pause)
            apply_plan(plan, org, ledger, pause=no_pause)
            return
        except Retriable:
            continue
    org.fault = lambda call: None  # noqa: ARG005 - the storm is over
    settle_open_intents(ledger, org, pause=no_pause)
    apply_plan(plan, org, ledger, pause=no_pause)


def check(org: Org, ledger: Ledger, plan: Plan) -> None:
    """Nothing is lost, nothing doubled, nothing half-told."""
    states = {intent.record_id: intent.state for intent in intents_of(ledger, plan.digest, plan.run_id)}
    assert set(states) == set(RECORDS)
    assert set(states.values()) <= {"applied", "parked", "conflict"}
    effects = org.effects()
    assert all(count <= 1 for count in effects.values())
    for record, state in states.items():
        assert (org.held(record)[TIER] == "Gold") == (state == "applied"), record
    assert live_jobs(ledger) == []


CALLS = ("read", "write_one", "create_job", "upload_job", "start_job", "job_state", "job_results")


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("nth", [0, 1, 2])
def test_an_ambiguous_answer_of_any_call_loses_and_doubles_nothing(
    ledger: Ledger, bulk_from: int | None, call: str, when: str, nth: int
):
    org = an_org(bulk_from=bulk_from, fault=nth_fault(call, when, nth), stops_after=5)
    plan = the_plan()
    outcome_of(org, ledger, plan)
    check(org, ledger, plan)
    assert set(org.effects().values()) == {1}


def nth_fault(call: str, when: str, nth: int) -> Callable[[str], Fault]:
    counted = itertools.count()
    return lambda name: when if name == call and next(counted) == nth else None


@settings(max_examples=60)
@given(
    faults=st.lists(st.sampled_from([None, None, "before", "after"]), max_size=60),
    bulk=st.sampled_from([None, 1, 5]),
    stops_after=st.sampled_from([None, 2, 5]),
    refused=st.sets(st.sampled_from(RECORDS), max_size=3),
    hidden=st.frozensets(st.sampled_from(RECORDS), max_size=3),
    edited=st.sets(st.sampled_from(RECORDS), max_size=2),
)
def test_random_faults_end_in_the_wanted_values_or_in_a_told_reason(
    new_state: NewState,
    faults: list[Fault],
    bulk: int | None,
    stops_after: int | None,
    refused: set[str],
    hidden: frozenset[str],
    edited: set[str],
):
    script = iter(faults)
    org = an_org(bulk_from=bulk, stops_after=stops_after, hides=hidden, refuses=dict.fromkeys(refused, "no"))
    org.fault = lambda call: next(script, None)  # noqa: ARG005
    for record in edited:
        org.put(record, {TIER: "Platinum", "token__c": None})
    plan = the_plan()
    with Ledger.open(new_state()) as ledger:
        outcome_of(org, ledger, plan)
        check(org, ledger, plan)
        assert all(org.held(record)[TIER] == "Platinum" for record in edited)


@pytest.mark.parametrize("error", [AccessError("no right"), Retriable("away")], ids=["access", "retriable"])
def test_an_error_in_the_middle_leaves_everything_to_be_settled_by_the_next_start(ledger: Ledger, error: CrmsyncError):
    org = an_org(bulk_from=1)
    finish = org.job_state

    def fails(job_id: str) -> None:  # noqa: ARG001
        raise error

    org.job_state = fails  # type: ignore[method-assign, assignment]
    with pytest.raises(CrmsyncError):
        apply_plan(the_plan(), org, ledger, pause=no_pause)
    org.job_state = finish  # type: ignore[method-assign]
    assert settle_open_intents(ledger, org, pause=no_pause) == 8
    assert count_states(ledger) == {"applied": 8}
    assert set(org.effects().values()) == {1}


def test_a_job_that_was_asked_to_start_and_did_not_is_started_again_unless_an_account_changed(ledger: Ledger):
    org = an_org(bulk_from=1, fault=lambda call: "before" if call == "start_job" else None)
    with pytest.raises(Retriable):
        apply_plan(the_plan(), org, ledger, pause=no_pause)
    org.put(RECORDS[0], {TIER: "Platinum", "token__c": None})
    org.fault = lambda call: None  # noqa: ARG005
    settle_open_intents(ledger, org, pause=no_pause)
    assert org.held(RECORDS[0])[TIER] == "Platinum"
    assert count_states(ledger) == {"pending": 7, "conflict": 1}


def test_a_job_that_people_end_in_the_middle_is_read_back_twice_and_the_rest_goes_into_another(ledger: Ledger):
    org, looks, waited = an_org(bulk_from=1), itertools.count(), list[float]()
    real = org.job_state

    def state(job_id: str) -> JobState:
        found = real(job_id)
        if next(looks) == 0:
            org.store.execute("UPDATE job SET state = 'aborted' WHERE id = ?", (job_id,))
            return replace(found, state="aborted")
        return found

    org.job_state = state  # type: ignore[method-assign]
    assert apply_plan(the_plan(), org, ledger, pause=waited.append).applied == 8
    assert set(org.effects().values()) == {1}
    assert org.calls("start_job") == 2
    assert waited[0] == 1.0, "a row that was being written may still come"


class Ending(Org):
    """An org whose jobs can be ended; `deaf`: no answer to that."""

    deaf = False

    def open_jobs(self) -> list[OpenJob]:
        return []

    def abort_job(self, job_id: str) -> bool:
        if self.deaf:
            raise Retriable("no answer")
        done = self.store.execute("UPDATE job SET state = 'aborted' WHERE id = ? AND state = 'open'", (job_id,))
        return done.rowcount == 1


def test_a_job_whose_start_may_still_arrive_holds_its_rows_until_it_is_ended(ledger: Ledger):
    """A start that was asked for and not seen: its rows must not go into another job while it can still come."""
    org = Ending(bulk_from=1, fault=lambda call: "before" if call == "start_job" else None)
    for record, held in NOW.items():
        org.put(record, held)
    with pytest.raises(Retriable):
        apply_plan(the_plan(), org, ledger, pause=no_pause)
    org.put(RECORDS[0], {TIER: "Platinum", "token__c": None})
    org.fault, org.deaf = (lambda call: None), True  # noqa: ARG005
    with pytest.raises(Retriable, match="neither started nor ended"):
        apply_plan(the_plan(), org, ledger, pause=no_pause)
    assert count_states(ledger) == {"claimed": 8}
    org.deaf = False
    assert apply_plan(the_plan(), org, ledger, pause=no_pause).applied == 7
    assert [org.job_state("1").state, org.job_state("2").state] == ["aborted", "done"]
    assert org.effects() == {RECORDS[0]: 0, **dict.fromkeys(RECORDS[1:], 1)}


def test_an_orphan_is_known_by_its_object_however_it_is_spelled_and_other_jobs_are_left(ledger: Ledger):
    lost = iter(["after"])
    org = Ending(bulk_from=1, fault=lambda call: next(lost, None) if call == "create_job" else None)
    now = "2199-01-01T00:00:00.000+0000"
    listed = [OpenJob("1", "HISTORY", now), OpenJob("2", "Other", now), OpenJob("3", "History", "None")]
    listed += [OpenJob("4", "History", "2020-01-01T00:00:00Z"), OpenJob("5", "History", "2199-01-01T00:00:00")]
    ended = list[str]()
    org.open_jobs = lambda: listed  # type: ignore[method-assign]
    org.abort_job = lambda job_id: not ended.append(job_id)  # type: ignore[func-returns-value, method-assign]
    plan = a_plan("run-1", {}, {}, [beside(HISTORY, "h", RECORDS[0], {"To": "Gold"})])
    assert apply_plan(plan, org, ledger, pause=no_pause).clean
    assert ended == ["1"]


@pytest.mark.parametrize("error", [AccessError("HTTP 403: the login was not accepted"), DataError("no list")])
def test_a_login_that_may_not_list_jobs_is_not_stopped_by_an_orphan(ledger: Ledger, error: CrmsyncError):
    """An empty job does nothing and is removed by the CRM after a week; that it cannot be ended holds up no start."""
    lost = iter(["after"])
    org = Ending(bulk_from=1, fault=lambda call: next(lost, None) if call == "create_job" else None)

    def refuses() -> list[OpenJob]:
        raise error

    org.open_jobs = refuses  # type: ignore[method-assign]
    plan = a_plan("run-1", {}, {}, [beside(HISTORY, "h", RECORDS[0], {"To": "Gold"})])
    assert apply_plan(plan, org, ledger, pause=no_pause).clean
    assert opening_jobs(ledger) == []


@pytest.mark.parametrize(("call", "waits"), [("write_one", [1.0]), ("write_several", [1.0, 3.0, 9.0])])
def test_what_nothing_protects_from_a_late_effect_is_looked_at_for_longer(
    ledger: Ledger, call: str, waits: list[float]
):
    lost = iter(["before"])
    org = an_org(fault=lambda name: next(lost, None) if name == call else None)
    waited = list[float]()
    plan = a_plan("run-1", {RECORDS[0]: {TIER: "Gold"}}, NOW, [beside(HISTORY, "h", RECORDS[0], {"To": "Gold"})])
    assert apply_plan(plan, org, ledger, pause=waited.append).clean
    assert waited == waits


def test_what_jobs_take_of_the_allowance_grows_with_their_rows():
    org = an_org(bulk_from=200)
    assert [calls_planned(org, count) for count in (100, 1_000, 25_000)] == [200, 10, 50]


def gone_once_written(real: Callable[..., Any], error: AccessError) -> Callable[..., Any]:
    def call(self: Org, *given: object) -> Any:
        if self.calls("write_several") or self.calls("start_job"):
            raise error
        return real(self, *given)

    return call


@pytest.mark.parametrize("job", [True, False])
@pytest.mark.parametrize("error", [NotThere("object History does not exist"), AccessError("login refused")])
def test_what_stands_beside_an_account_and_can_no_longer_be_read_holds_up_no_start(
    ledger: Ledger, job: bool, error: AccessError
):
    """An object that was dropped or hidden since; a login that is refused says nothing about the records."""
    org = an_org(fault=lambda call: "after" if call in ("write_several", "start_job") else None)
    org.bulk_from = 1 if job else None
    plan = a_plan("run-1", {}, {}, [beside(HISTORY, f"h|{one}", one, {"To": "Gold"}) for one in RECORDS[:5]])
    patch = pytest.MonkeyPatch()
    target = org.into(Into("History", "Key")).__class__
    for name in ("read", "job_results"):
        patch.setattr(target, name, gone_once_written(getattr(target, name), error))
    with pytest.raises(CrmsyncError):
        apply_plan(plan, org, ledger, pause=no_pause)
    assert count_states(ledger) == {"claimed": 5}
    if isinstance(error, NotThere):
        assert settle_open_intents(ledger, org, pause=no_pause) == 5
        (found,) = {(one.state, one.code) for one in open_intents(ledger, "conflict")}
        assert found == ("conflict", "CANNOT_BE_READ")
        assert live_jobs(ledger) == []
    else:
        with pytest.raises(AccessError, match="login refused"):
            settle_open_intents(ledger, org, pause=no_pause)
        assert count_states(ledger) == {"claimed": 5}
    patch.undo()


def test_a_plan_is_not_written_again_over_a_later_one_of_the_same_day(ledger: Ledger):
    org = an_org()
    first, second = the_plan(), a_plan("run-2", {RECORDS[0]: {TIER: "None"}}, {RECORDS[0]: {TIER: "Gold"}})
    keep(ledger, first)
    apply_plan(first, org, ledger, pause=no_pause)
    keep(ledger, second)
    apply_plan(first, org, ledger, pause=no_pause)  # the later one is only drafted
    apply_plan(second, org, ledger, pause=no_pause)
    keep(ledger, a_plan("run-3", {}, {}))  # drafted only
    with pytest.raises(Conflict, match=rf"was superseded by plan {second.digest[:12]} of run run-2"):
        apply_plan(first, org, ledger, pause=no_pause)


def test_an_older_plan_is_refused_after_a_later_assessment_was_accepted(ledger: Ledger, tmp_path: Path):
    from datetime import date

    from crmsync.ledger.accepted import accept_standings

    file = tmp_path / "standings.parquet"
    file.write_bytes(b"x")
    accept_standings(ledger, "run-9", date(2026, 11, 22), file)
    with pytest.raises(Conflict, match="2026-11-22 is already applied"):
        apply_plan(the_plan(), an_org(), ledger)
