"""Proof over real runs: the history of a partner, runs computed again, and why a tier differs between two of them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from sqlalchemy import text

from crmsync.ledger.ledger import Ledger
from tests.belt.conftest import Crmsync, Folder

JUNE, JULY = "2026-06-01", "2026-07-01"


def run(crmsync: Crmsync, as_of: str) -> str:
    done = crmsync("run", "--config", "config", "--as-of", as_of, "--json")
    assert done.code == 0, done.err
    run_id: str = done.json["run_id"]
    return run_id


@pytest.fixture
def wide(folder: Folder) -> Folder:
    """Guards that let a few partners move, and overrides that a test may add."""
    folder.change("crmsync.yaml", "at_least: 2, share: 5%", "at_least: 100, share: 100%")
    folder.change("crmsync.yaml", "opportunities: files}", "opportunities: files, overrides: files}")
    folder.write("data/overrides.csv", "override_id,partner_id,kind,tier,starts_on,ends_on,reason,approved_by\n")
    return folder


def test_why_a_tier_differs_is_found_by_changing_one_thing_at_a_time(crmsync: Crmsync, wide: Folder) -> None:
    # P1 sells more, P2's old deal leaves the window, P3 gets an override, P4 meets a lower threshold, P5 and P6 stay.
    old = "O-old,P2,true,true,2000,2025-06-15"
    wide.deals({"P1": 500, "P3": 10, "P4": 700, "P5": 6000}, old)
    first = run(crmsync, JUNE)
    wide.deals({"P1": 2500, "P3": 10, "P4": 700, "P5": 6000}, old)
    wide.write(
        "data/overrides.csv",
        "override_id,partner_id,kind,tier,starts_on,ends_on,reason,approved_by\n"
        "V1,P3,pin,gold,2026-05-01,2026-12-31,asked for,Ann\n",
    )
    wide.change("programs/resellers.yaml", "revenue: 1000", "revenue: 600")
    second = run(crmsync, JULY)
    found = crmsync("diff", first, second, "--json")
    assert found.code == 0, found.err
    told = {one["partner_id"]: (one["first"], one["second"], one["causes"]) for one in found.json["tiers"]}
    assert told["P1"] == ("basic", "silver", ["data"])
    assert told["P2"] == ("silver", "basic", ["calendar"])
    assert told["P4"] == ("basic", "silver", ["program"])
    assert told["P3"] == ("basic", "gold", ["override"])
    assert told.keys() == {"P1", "P2", "P3", "P4"}
    shown = crmsync("diff", first, "last").out
    assert "4 tiers differ" in shown
    assert crmsync("diff", first, first).out.strip().endswith("every tier is the same")
    assert "no accepted run of that id" in crmsync("diff", first, "nonsense").err


def test_a_program_that_needs_new_data_is_told_as_one_that_cannot_be_tried_alone(
    crmsync: Crmsync, wide: Folder
) -> None:
    wide.deals({"P1": 2000, "P2": 500})
    first = run(crmsync, JUNE)
    wide.write(
        "data/opportunities.csv",
        "opportunity_id,partner_id,is_closed,is_won,amount,closed_on,points\n"
        "O1,P1,true,true,2000,2026-05-01,10\nO2,P2,true,true,500,2026-05-01,900\n",
    )
    points = "metrics:\n  points: {unit: number, sum: opportunities.points, where: is_won, during: last 12 months}\n"
    wide.change("programs/resellers.yaml", "metrics:\n", points)
    wide.change("programs/resellers.yaml", "requires: {revenue: 1000}", "requires: {points: 100}")
    second = run(crmsync, JULY)
    shown = crmsync("diff", first, second)
    assert shown.code == 0, shown.err
    assert "2 tiers differ" in shown.out
    assert "only several together" in shown.out
    assert "program of the second run alone cannot be tried on the first: `points`" in shown.out


def test_the_end_of_a_wait_is_a_cause_of_its_own(crmsync: Crmsync, wide: Folder) -> None:
    wide.change("crmsync.yaml", "guards: {", "guards: {demotion_lag: true, ")
    wide.deals({"P1": 6000})
    run(crmsync, "2026-06-01")
    wide.deals({"P1": 2000})
    waited = run(crmsync, "2026-06-02")
    run(crmsync, "2026-06-03")
    found = crmsync("diff", waited, "last", "--json")
    assert found.code == 0, found.err
    assert [(one["first"], one["second"], one["causes"]) for one in found.json["tiers"]] == [
        ("gold", "silver", ["wait"])
    ]


def test_runs_are_computed_again_bit_equal_after_their_files_have_changed(
    crmsync: Crmsync, wide: Folder, tmp_path: Path
) -> None:
    wide.deals({"P1": 2000, "P2": 6000})
    run(crmsync, JUNE)
    wide.deals({"P1": 10, "P2": 6000})
    newest = run(crmsync, JULY)
    wide.change("programs/resellers.yaml", "revenue: 5000", "revenue: 9000")  # later: the kept text counts
    proof = crmsync("audit", "verify", "--json")
    assert proof.code == 0, proof.out
    assert [one["same"] for one in proof.json["recomputed"]] == [True, True]
    assert "bit-equal" in crmsync("audit", "verify").out

    with Ledger.open(tmp_path / "state") as ledger, ledger.writing() as connection:
        connection.execute(text("UPDATE file_text SET text = replace(text, 'revenue: 5000', 'revenue: 100')"))
    refused = crmsync("audit", "verify", "--runs", "1")
    assert refused.code == 1
    assert "was changed" in refused.out
    with Ledger.open(tmp_path / "state") as ledger, ledger.writing() as connection:
        connection.execute(text("UPDATE file_text SET text = replace(text, 'revenue: 100}', 'revenue: 5000}')"))
    standings = tmp_path / "state" / "standings" / f"{newest}.parquet"
    standings.write_bytes(standings.read_bytes()[:-1] + b"\0")
    assert crmsync("audit", "verify", "--runs", "1").code == 1


def test_the_newest_event_is_anchored_in_the_log_and_a_history_written_anew_does_not_fit_it(
    crmsync: Crmsync, wide: Folder
) -> None:
    wide.deals({"P1": 2000})
    done = crmsync("run", "--config", "config", "--as-of", JUNE)
    told = next(json.loads(line)["anchor"] for line in done.err.splitlines() if '"run_recorded"' in line)
    assert crmsync("audit", "verify", "--runs", "0", "--anchor", told).code == 0
    sequence, _, digest = told.partition(":")
    forged = crmsync("audit", "verify", "--runs", "0", "--anchor", f"{sequence}:{digest[::-1]}")
    assert forged.code == 1
    assert "written anew" in forged.out
    cut = crmsync("audit", "verify", "--runs", "0", "--anchor", f"{int(sequence) + 50}:{digest}")
    assert "the audit ends with" in cut.out


def test_the_history_of_a_partner_names_runs_tiers_decisions_and_writes(crmsync: Crmsync, wide: Folder) -> None:
    wide.deals({"P1": 2000})
    first = run(crmsync, JUNE)
    wide.deals({"P1": 7000})
    second = run(crmsync, JULY)
    found = crmsync("history", "P1", "--json").json["history"]
    told = [(one["what"], one["run_id"]) for one in found]
    assert {("tier", first), ("tier", second), ("decision", first), ("decision", second)} <= set(told)
    assert {("write", first), ("write", second)} <= set(told)
    write = next(one for one in reversed(found) if one["details"].get("object") == "account")
    assert write["details"]["fields"]["granted_tier"] == ["Silver", "Gold"]
    assert found == sorted(found, key=lambda one: one["at"])
    shown = crmsync("history", "P1").out
    assert "silver → gold" in shown
    unknown = crmsync("history", "P99")
    assert unknown.code == 4
    assert "no partner and no record of that id" in unknown.err


def test_a_run_is_explained_by_the_program_that_it_had(crmsync: Crmsync, wide: Folder) -> None:
    wide.deals({"P1": 2000})
    first = run(crmsync, JUNE)
    wide.change("programs/resellers.yaml", "revenue: 1000", "revenue: 1999")
    shown = crmsync("explain", "P1", "--run", first, "--config", "config").out
    assert "1,000" in shown
    assert "1,999" not in shown
    assert "was changed since" not in shown
