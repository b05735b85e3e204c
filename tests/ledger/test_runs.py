"""What the ledger remembers: runs, plans, approvals, accepted standings, tiers."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest

from crmsync.errors import ConfigError, StoreError
from crmsync.ledger.accepted import TierStep, accept_standings, newest_standings, previous_standings
from crmsync.ledger.approvals import GuardRow, PlanRow, approval_of, approve, plan_by_prefix, record_plan
from crmsync.ledger.history import tier_history
from crmsync.ledger.ledger import Ledger, RunFacts
from crmsync.ledger.status import status

MAY, JUNE, JULY = date(2026, 5, 1), date(2026, 6, 1), date(2026, 7, 1)


@pytest.fixture
def file(tmp_path: Path):
    def make(name: str) -> Path:
        path = tmp_path / name
        path.write_text(name)
        return path

    return make


def test_a_run_is_kept_with_its_facts_stages_calls_and_end(ledger: Ledger):
    run_id = ledger.start_run("run", RunFacts(as_of=MAY))
    ledger.record_facts(run_id, RunFacts(snapshot_digest="s1"))
    ledger.record_phase(run_id, "extract", 1.25)
    ledger.record_api_usage(run_id, "salesforce", 12, 100, 15000)
    ledger.end_run(run_id, 0, stats={"changes": 3})
    row = status(ledger).last_done
    assert row is not None
    assert (row.run_id, row.kind, row.as_of, row.exit_code, row.stats) == (
        run_id,
        "run",
        "2026-05-01",
        0,
        {"changes": 3},
    )
    assert (dict(row.seconds), dict(row.api_calls)) == ({"extract": 1.25}, {"salesforce": 12})


def test_runs_are_listed_newest_first_and_never_share_an_id(ledger: Ledger):
    ids = [ledger.start_run("plan") for _ in range(20)]
    assert len(set(ids)) == 20
    assert [row.run_id for row in status(ledger).runs] == ids[:-11:-1]


def test_a_run_that_did_not_end_is_still_running_in_status(ledger: Ledger):
    ledger.start_run("run")
    found = status(ledger)
    assert (found.runs[0].state, found.last_done) == ("running", None)


def test_a_run_that_was_killed_is_interrupted_once_the_next_one_starts(ledger: Ledger):
    killed = ledger.start_run("run")
    ledger.start_run("run")
    assert [(row.run_id == killed, row.state) for row in status(ledger).runs] == [
        (False, "running"),
        (True, "interrupted"),
    ]


# --- accepted standings


def test_the_first_assessment_has_no_previous_standings(ledger: Ledger):
    assert previous_standings(ledger, MAY) is None


def test_previous_standings_are_the_newest_accepted_ones_strictly_before(ledger: Ledger, file):
    accept_standings(ledger, "r1", MAY, file("may"))
    accept_standings(ledger, "r2", JUNE, file("june"), table_rows={"partners": 7})
    found = previous_standings(ledger, JULY)
    assert found is not None
    assert (found.as_of, found.path.name, found.table_rows) == (JUNE, "june", {"partners": 7})


def test_the_same_day_again_starts_from_the_same_previous_standings(ledger: Ledger, file):
    accept_standings(ledger, "r1", MAY, file("may"))
    accept_standings(ledger, "r2", JUNE, file("june"))
    found = previous_standings(ledger, JUNE)
    assert found is not None
    assert found.path.name == "may"


def test_of_two_acceptances_of_a_day_the_later_one_counts(ledger: Ledger, file):
    accept_standings(ledger, "r1", MAY, file("first"))
    accept_standings(ledger, "r2", MAY, file("second"))
    found = previous_standings(ledger, JUNE)
    assert found is not None
    assert found.path.name == "second"


def test_an_earlier_day_than_the_newest_accepted_is_refused(ledger: Ledger, file):
    accept_standings(ledger, "r1", JUNE, file("june"))
    with pytest.raises(ConfigError, match="as_of 2026-05-01 lies before 2026-06-01"):
        previous_standings(ledger, MAY)
    with pytest.raises(ConfigError):
        accept_standings(ledger, "r2", MAY, file("may"))


def test_changed_or_missing_standings_are_refused(ledger: Ledger, file):
    path = file("may")
    accept_standings(ledger, "r1", MAY, path)
    path.write_text("edited")
    with pytest.raises(StoreError, match="were changed since run r1"):
        previous_standings(ledger, JUNE)
    path.unlink()
    with pytest.raises(StoreError, match="are missing"):
        previous_standings(ledger, JUNE)
    newest = newest_standings(ledger)
    assert newest is not None
    assert newest.as_of == MAY


def step(tier: str | None, before: str | None = None, movement: str = "entered") -> TierStep:
    return TierStep("channel", "A", "all", before, tier, movement)


def test_tier_history_holds_one_row_per_change(ledger: Ledger, file):
    accept_standings(ledger, "r1", MAY, file("may"), steps=[step("silver")])
    accept_standings(ledger, "r2", MAY, file("again"), steps=[step("silver")])
    accept_standings(ledger, "r3", JUNE, file("june"), steps=[step("gold", "silver", "promoted")])
    accept_standings(ledger, "r4", JULY, file("july"), steps=[step("gold", "gold", "unchanged")])
    history = [(row.as_of, row.from_tier, row.to_tier, row.movement) for row in tier_history(ledger, "A")]
    assert history == [(MAY, None, "silver", "entered"), (JUNE, "silver", "gold", "promoted")]


def test_a_partner_who_left_has_an_end_in_the_history(ledger: Ledger, file):
    accept_standings(ledger, "r1", MAY, file("may"), steps=[step("silver")])
    accept_standings(ledger, "r2", JUNE, file("june"), steps=[step(None, "silver", "left")])
    assert [row.to_tier for row in tier_history(ledger, "A")] == ["silver", None]


# --- plans and approvals


def a_plan_row(digest: str, run_id: str = "r1") -> PlanRow:
    return PlanRow(digest, run_id, Path("plans/x.json"), MAY, 3, 1, True, "blocked", "2026-05-01T00:00:00+00:00")


def test_status_shows_the_waiting_plan_with_its_guards_and_approval(ledger: Ledger):
    record_plan(ledger, a_plan_row("ab" * 32), [GuardRow("tier_changes", "30 of 100", "10", True, "look")])
    approve(ledger, "abab", "Ann Example")
    found = status(ledger)
    assert found.plan is not None
    assert found.plan.digest == "ab" * 32
    assert [(g.guard, g.tripped) for g in found.guards] == [("tier_changes", True)]
    assert found.approval is not None
    assert found.approval.person == "Ann Example"


def test_a_newer_plan_supersedes_the_waiting_one(ledger: Ledger):
    record_plan(ledger, a_plan_row("ab" * 32), [])
    record_plan(ledger, a_plan_row("cd" * 32, "r2"), [])
    assert plan_by_prefix(ledger, "abab").state == "superseded"


def test_an_approval_needs_a_name_and_a_known_unambiguous_plan(ledger: Ledger):
    record_plan(ledger, a_plan_row("ab" * 32), [])
    record_plan(ledger, a_plan_row("abab" + "0" * 60, "r2"), [])
    with pytest.raises(ConfigError, match="needs the name of a person"):
        approve(ledger, "abab0", " ")
    with pytest.raises(ConfigError, match="fits 2 plans"):
        approve(ledger, "abab", "Ann")
    with pytest.raises(ConfigError, match="no plan has a digest"):
        approve(ledger, "ffff", "Ann")
    assert approval_of(ledger, "ab" * 32) is None
