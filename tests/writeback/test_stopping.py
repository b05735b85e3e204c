"""When a run stops sending (allowance, faults in a row, refusals, full disk), and that nothing is lost by it."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pytest
from sqlalchemy import event, select

from crmsync.configuration_writing import WriteLimits, read_writing
from crmsync.connectors.base import Written
from crmsync.errors import ConfigError, Deferred, Retriable, StoreError, TooManyRefused
from crmsync.ledger import tables as t
from crmsync.ledger.approvals import PlanRow, record_plan
from crmsync.ledger.intents import count_states, intents_of, open_intents
from crmsync.ledger.ledger import Ledger
from crmsync.strict_yaml import read_yaml
from crmsync.writeback.apply import apply_plan, settle_open_intents, verify_plan
from crmsync.writeback.plan import Plan
from tests.writeback.conftest import NewState
from tests.writeback.facts import a_plan
from tests.writeback.org import Org

TIER = "granted_tier__c"
RECORDS = [f"001{n:03}" for n in range(60)]
NOW: dict[str, dict[str, str | None]] = {record: {TIER: "Silver", "token__c": None} for record in RECORDS}


def the_plan(run_id: str = "run-1") -> Plan:
    return a_plan(run_id, {record: {TIER: "Gold"} for record in RECORDS}, NOW)


def filled(org: Org) -> Org:
    for record, held in NOW.items():
        org.put(record, held)
    return org


def no_pause(seconds: float) -> None:  # noqa: ARG001
    return None


class Metered(Org):
    """An org with an allowance. `others`: calls of other clients by now; `most`: of a day."""

    others = 0
    most = 10_000

    @property
    def calls_used(self) -> int:
        return sum(self.calls(name) for name in ("read", "write_one", "create_job", "job_state"))

    @property
    def api_usage(self) -> tuple[int, int]:
        return self.others + self.calls_used, self.most


# --- allowance


def test_nothing_is_sent_where_the_org_has_used_its_share(ledger: Ledger) -> None:
    org = Metered()
    filled(org)
    org.others = 8_001
    with pytest.raises(
        Deferred, match=r"all clients together used 8,001 of the org's 10,000 .* the limit is 80%"
    ) as told:
        apply_plan(the_plan(), org, ledger, pause=no_pause)
    assert told.value.exit_code == 5
    assert (org.write_calls(), count_states(ledger)) == (0, {"pending": 60})


def test_a_plan_that_would_cost_more_than_the_own_share_is_not_begun(ledger: Ledger) -> None:
    org = Metered()
    filled(org)
    org.most = 400  # 60 accounts take 120 calls
    with pytest.raises(Deferred, match=r"this run used 0 of the org's 400 API calls of a day and 120 more are planned"):
        apply_plan(the_plan(), org, ledger, pause=no_pause)
    assert org.write_calls() == 0
    limits = WriteLimits(own_share=Decimal("0.5"))
    assert apply_plan(the_plan(), org, ledger, limits=limits, pause=no_pause).applied == 60


def test_a_run_stops_between_two_batches_and_the_next_one_goes_on(ledger: Ledger) -> None:
    org = Metered()
    filled(org)

    def others_work(call: str) -> None:
        org.others += 200 if call == "write_one" else 0

    org.fault = others_work
    with pytest.raises(Deferred):
        apply_plan(the_plan(), org, ledger, pause=no_pause)
    written = sum(org.effects().values())
    assert written in (40, 60 - 20)
    assert count_states(ledger) == {"applied": written, "pending": 60 - written}
    org.others = 0
    org.fault = lambda call: None  # noqa: ARG005 - the day is over
    assert apply_plan(the_plan(), org, ledger, pause=no_pause).applied == 60
    assert set(org.effects().values()) == {1}


# --- faults in a row, refusals


@pytest.mark.parametrize("when", ["before", "after"])
def test_twenty_writes_without_an_answer_stop_the_run_and_are_settled_by_the_next(ledger: Ledger, when: str) -> None:
    org = filled(Org(fault=lambda call: when if call == "write_one" else None))
    with pytest.raises(Retriable, match="20 writes in a row got no answer"):
        apply_plan(the_plan(), org, ledger, pause=no_pause)
    assert org.calls("write_one") == 20
    org.fault = lambda call: None  # noqa: ARG005 - the CRM is back
    assert settle_open_intents(ledger, org, pause=no_pause) == 20
    assert apply_plan(the_plan(), org, ledger, pause=no_pause).applied == 60
    assert set(org.effects().values()) == {1}


@pytest.mark.parametrize("bulk_from", [None, 1])
def test_too_many_refusals_stop_the_run_with_the_most_frequent_words(ledger: Ledger, bulk_from: int | None) -> None:
    org = filled(Org(bulk_from=bulk_from, refuses=dict.fromkeys(RECORDS, "The quarter is closed")))
    with pytest.raises(TooManyRefused, match=r"VALIDATION_EXCEPTION: The quarter is closed.*first account 001000"):
        apply_plan(the_plan(), org, ledger, pause=no_pause)
    assert count_states(ledger)["parked"] in (40, 60)


def test_some_refusals_do_not_stop_the_run(ledger: Ledger) -> None:
    org = filled(Org(refuses=dict.fromkeys(RECORDS[:20], "no")))
    outcomes = apply_plan(the_plan(), org, ledger, pause=no_pause)
    assert (outcomes.applied, outcomes.parked) == (40, 20)


def test_a_refused_record_keeps_since_when_and_how_often_from_run_to_run(ledger: Ledger) -> None:
    org = filled(Org(refuses={RECORDS[0]: "no"}))
    apply_plan(the_plan("run-1"), org, ledger, pause=no_pause)
    (first,) = open_intents(ledger, "parked")
    apply_plan(a_plan("run-2", {RECORDS[0]: {TIER: "Gold"}}, NOW), org, ledger, pause=no_pause)
    (again,) = open_intents(ledger, "parked")
    assert again.intent_id != first.intent_id
    assert (again.first_failed_at, again.attempts) == (first.first_failed_at, 2)
    assert again.first_failed_at is not None


# --- locks, lies, what changed right after


def test_locked_records_are_tried_again_in_smaller_groups(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    asked, waited = list[tuple[float, float]](), list[float]()
    monkeypatch.setattr(random, "uniform", lambda *between: (asked.append(between), 7.0)[1])
    org = filled(Org(bulk_from=1, chunk=100))
    org.locks = dict.fromkeys(RECORDS[::2], 1)
    assert apply_plan(the_plan(), org, ledger, pause=waited.append).applied == 60
    assert (asked, waited.count(7.0)) == ([(0, 1.0)], 1), "after a while that differs from worker to worker"
    sizes = [len(json.loads(row[0])) for row in org.store.execute("SELECT upload FROM job ORDER BY id")]
    assert sizes == [60, 30]


@pytest.mark.parametrize("lie", ["one too many", "one twice", "one of nobody", "not written"])
def test_results_that_do_not_add_up_are_read_back(ledger: Ledger, lie: str) -> None:
    org = filled(Org(bulk_from=1, chunk=100, stops_after=59 if lie == "not written" else None))
    honest = org.job_results

    def results(job_id: str) -> Iterator[Written]:
        yield from honest(job_id)
        extra = {"one of nobody": "001999", "not written": RECORDS[59]}.get(lie, RECORDS[0])
        yield Written(extra, "applied")

    org.job_results = results  # type: ignore[method-assign]
    apply_plan(the_plan(), org, ledger, pause=no_pause)
    assert {record: org.held(record)[TIER] for record in RECORDS} == dict.fromkeys(RECORDS, "Gold")
    assert set(org.effects().values()) == {1}
    assert count_states(ledger) == {"applied": 60}


def test_what_the_crm_changes_right_after_is_told_with_both_values(ledger: Ledger) -> None:
    org = filled(Org())
    outcomes = apply_plan(the_plan(), org, ledger, pause=no_pause)
    org.put(RECORDS[7], {**org.held(RECORDS[7]), TIER: "Bronze"})
    found = verify_plan(the_plan(), org, ledger, outcomes)
    assert (found.applied, found.conflicts, found.clean) == (59, 1, False)
    (problem,) = found.problems
    assert (problem.record_id, problem.code) == (RECORDS[7], "NOT_AS_WRITTEN")
    assert "granted_tier__c was written as 'Gold' and is 'Bronze'" in (problem.message or "")


def test_an_apply_that_wrote_nothing_reads_nothing_back(ledger: Ledger) -> None:
    org = filled(Org())
    apply_plan(the_plan(), org, ledger, pause=no_pause)
    again = apply_plan(the_plan(), org, ledger, pause=no_pause)
    reads = org.calls("read")
    verify_plan(the_plan(), org, ledger, again)
    assert org.calls("read") == reads


def test_what_a_killed_process_had_written_is_read_back_by_the_next_one(ledger: Ledger) -> None:
    """It died between its last write and the reading back; the plan is continued."""
    org, plan = filled(Org()), the_plan()
    row = PlanRow(plan.digest, plan.run_id, Path("x"), plan.as_of, 60, 0, False, "drafted", "2026-11-21")
    record_plan(ledger, row, [])
    apply_plan(plan, org, ledger, pause=no_pause)
    org.put(RECORDS[7], {**org.held(RECORDS[7]), TIER: "Bronze"})
    resumed = apply_plan(plan, org, ledger, pause=no_pause)
    assert resumed.written == 60
    found = verify_plan(plan, org, ledger, resumed)
    assert [problem.code for problem in found.problems] == ["NOT_AS_WRITTEN"]
    reads = org.calls("read")
    again = apply_plan(plan, org, ledger, pause=no_pause)
    verify_plan(plan, org, ledger, again)
    assert (again.written, org.calls("read")) == (0, reads)


# --- the disk


@pytest.mark.parametrize("bulk_from", [None, 1])
def test_a_full_disk_ends_with_6_and_nothing_is_sent_that_could_not_be_recorded(
    new_state: NewState, bulk_from: int | None
) -> None:
    """The ledger may grow by so many pages and no more; wherever that stops it, the next run ends well."""
    stopped = 0
    for pages in range(1, 40, 3):
        org = filled(Org(bulk_from=bulk_from, chunk=100))
        with Ledger.open(new_state()) as ledger:
            hold(ledger, pages)
            try:
                apply_plan(the_plan(), org, ledger, pause=no_pause)
            except StoreError as error:
                stopped += 1
                told = error
                calls = org.write_calls()
                with pytest.raises(StoreError):
                    apply_plan(the_plan(), org, ledger, pause=no_pause)
                assert (told.exit_code, org.write_calls()) == (6, calls)
                assert "the disk is full: nothing after this point was sent" in str(told)
            hold(ledger, 1 << 20)
            assert apply_plan(the_plan(), org, ledger, pause=no_pause).applied == 60
            assert set(org.effects().values()) == {1}
            assert len(intents_of(ledger, the_plan().digest, "run-1")) == 60
            with ledger.reading() as connection:
                told_once = connection.execute(select(t.outcome.c.record_id)).scalars().all()
            assert sorted(told_once) == RECORDS
    assert stopped >= 3


def hold(ledger: Ledger, pages: int) -> None:
    """Let the ledger's file grow by so many pages from now on; then SQLite says that the disk is full."""
    engine = ledger.store.engine
    engine.dispose()
    with engine.connect() as connection:
        now = int(connection.exec_driver_sql("PRAGMA page_count").scalar() or 0)
    engine.dispose()
    event.listen(engine, "connect", lambda one, _: one.execute(f"PRAGMA max_page_count={now + pages}"))


# --- the settings


def test_the_limits_are_read_from_the_configuration(tmp_path: Path) -> None:
    file = tmp_path / "crmsync.yaml"
    file.write_text("allowance: {org: 50%, own: 10%}\nrefused: {at_least: 5, share: 1%}\n", encoding="utf-8")
    wanted = WriteLimits(Decimal("0.5"), Decimal("0.1"), 5, Decimal("0.01"))
    assert read_writing(read_yaml(file)) == wanted
    file.write_text("allowance: {org: 150%}\n", encoding="utf-8")
    with pytest.raises(ConfigError, match=r"crmsync.yaml:1: `150%` is not a share of the API calls of a day"):
        read_writing(read_yaml(file))
