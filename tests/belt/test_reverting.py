"""Undo: what a run has overwritten is given back by a plan like any other, wherever nobody has changed it since."""

from __future__ import annotations

import csv
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import text

from crmsync.ledger.ledger import Ledger
from crmsync.retention import forget_payloads
from tests.belt.conftest import Crmsync, Folder

JUNE, JULY, AUGUST = "2026-06-01", "2026-07-01", "2026-08-01"
OPEN = "at_least: 100, share: 100%"


@pytest.fixture
def wide(folder: Folder) -> Folder:
    folder.change("crmsync.yaml", "at_least: 2, share: 5%", OPEN)
    return folder


def run(crmsync: Crmsync, as_of: str) -> str:
    done = crmsync("run", "--config", "config", "--as-of", as_of, "--json")
    assert done.code == 0, done.err
    run_id: str = done.json["run_id"]
    return run_id


def tiers(folder: Folder, name: str = "writeback.csv") -> dict[str, str]:
    with (folder.data / name).open(encoding="utf-8", newline="") as stream:
        reader = csv.DictReader(stream)
        return {row[(reader.fieldnames or [""])[0]]: row["granted_tier"] for row in reader}


def revert(crmsync: Crmsync, run_id: str) -> tuple[int, dict[str, object]]:
    done = crmsync("revert", run_id, "--config", "config", "--json")
    assert done.out, done.err
    return done.code, done.json


def test_a_reverted_run_leaves_the_tiers_of_before_and_the_next_run_starts_from_them(
    crmsync: Crmsync, wide: Folder, tmp_path: Path
) -> None:
    wide.deals({"P1": 2000, "P2": 6000})
    run(crmsync, JUNE)
    before = tiers(wide), tiers(wide, "writeback_standings.csv")
    wide.deals({"P1": 7000, "P2": 10})  # a wrong file
    wrong = run(crmsync, JULY)
    assert tiers(wide)["P2"] == "Basic"
    code, told = revert(crmsync, "last")
    assert (code, told["of_run"]) == (2, wrong)
    assert {one["partner_id"] for one in told["movers"]} == {"P1", "P2"}  # type: ignore[attr-defined]
    assert tiers(wide)["P2"] == "Basic", "a revert alone writes nothing"
    applied = crmsync("apply", str(told["digest"]), "--config", "config", "--json")
    assert applied.code == 0, applied.err
    assert {one["as_of"] for one in crmsync("status", "--json").json["runs"]} == {JUNE, JULY}, "of an apply, too"
    assert (tiers(wide), tiers(wide, "writeback_standings.csv")) == before

    wide.deals({"P1": 2000, "P2": 6000})
    again = crmsync("run", "--config", "config", "--as-of", AUGUST, "--json").json
    assert again["plan"]["movers"] == [], "movement starts from the standings of before"
    with Ledger.open(tmp_path / "state") as ledger, ledger.reading() as connection:
        events = connection.execute(text("SELECT event FROM audit")).scalars().all()
    assert {"revert_drafted", "plan_reverted"} <= set(events)
    assert crmsync("audit", "verify").code == 0


def test_what_a_person_has_changed_since_is_left_alone_and_told(crmsync: Crmsync, wide: Folder) -> None:
    wide.deals({"P1": 2000, "P2": 6000})
    run(crmsync, JUNE)
    wide.deals({"P1": 7000, "P2": 10})
    wrong = run(crmsync, JULY)
    file = wide.data / "writeback.csv"
    with file.open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    for row in rows:
        if "P1" in row.values():
            row["granted_tier"] = "By hand"
    with file.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, rows[0].keys())
        writer.writeheader()
        writer.writerows(rows)
    _, told = revert(crmsync, wrong)
    assert told["left"]["fields that were changed since"] == 1  # type: ignore[index]
    assert crmsync("apply", str(told["digest"]), "--config", "config").code == 0
    assert (tiers(wide)["P1"], tiers(wide)["P2"]) == ("By hand", "Gold")


def test_a_revert_that_moves_many_asks_for_a_person_like_any_plan(crmsync: Crmsync, wide: Folder) -> None:
    wide.deals({})
    run(crmsync, JUNE)
    wide.deals({f"P{number}": 6000 for number in range(1, 7)})
    raised = run(crmsync, JULY)
    wide.change("crmsync.yaml", OPEN, "at_least: 1, share: 5%")
    code, told = revert(crmsync, raised)
    assert code == 8
    digest = str(told["digest"])
    assert crmsync("apply", digest, "--config", "config").code == 8
    assert crmsync("approve", digest[:12], "--by", "Ann Example").code == 0
    assert crmsync("apply", digest, "--config", "config").code == 0
    assert set(tiers(wide).values()) == {"Basic"}


def test_what_an_approved_plan_has_written_is_reverted_by_the_run_that_applied_it(
    crmsync: Crmsync, wide: Folder
) -> None:
    wide.deals({})
    run(crmsync, JUNE)
    wide.change("crmsync.yaml", OPEN, "at_least: 1, share: 5%")
    wide.deals({"P1": 6000, "P2": 6000})
    blocked = crmsync("run", "--config", "config", "--as-of", JULY, "--json")
    assert blocked.code == 8, blocked.err
    digest = blocked.json["plan"]["digest"]
    assert crmsync("approve", digest[:12], "--by", "Ann Example").code == 0
    applied = crmsync("apply", digest, "--config", "config", "--json").json["run_id"]
    assert tiers(wide)["P2"] == "Gold"
    wide.change("crmsync.yaml", "at_least: 1, share: 5%", OPEN)
    code, told = revert(crmsync, applied)
    assert code == 2
    assert told["of_run"] == blocked.json["run_id"]
    assert {one["partner_id"] for one in told["movers"]} == {"P1", "P2"}  # type: ignore[attr-defined]


def test_a_revert_can_be_reverted_and_movement_starts_from_where_it_was(crmsync: Crmsync, wide: Folder) -> None:
    wide.deals({"P1": 2000})
    run(crmsync, JUNE)
    wide.deals({"P1": 7000, "P2": 2000})
    raised = run(crmsync, JULY)
    after = tiers(wide), tiers(wide, "writeback_standings.csv")
    _, told = revert(crmsync, raised)
    undone = crmsync("apply", str(told["digest"]), "--config", "config", "--json").json["run_id"]
    assert tiers(wide)["P1"] == "Silver"
    for named in (str(told["run_id"]), undone):  # who drafted the revert, and who applied it
        _, again = revert(crmsync, named)
        moved = {(one["partner_id"], one["to_tier"]) for one in again["movers"]}  # type: ignore[attr-defined]
        assert moved == {("P1", "Gold"), ("P2", "Silver")}
    assert crmsync("apply", str(again["digest"]), "--config", "config").code == 0
    assert (tiers(wide), tiers(wide, "writeback_standings.csv")) == after
    assert crmsync("run", "--config", "config", "--as-of", AUGUST, "--json").json["plan"]["movers"] == []
    assert crmsync("audit", "verify").code == 0


def test_undoing_an_older_run_is_counted_by_what_it_moves_in_the_crm(crmsync: Crmsync, wide: Folder) -> None:
    """The standings of the last run stay the accepted ones, so nothing moves between standings."""
    wide.deals({})
    run(crmsync, JUNE)
    wide.deals({f"P{number}": 6000 for number in range(1, 6)})
    raised = run(crmsync, JULY)
    wide.deals({f"P{number}": 6000 for number in range(1, 7)})
    run(crmsync, AUGUST)
    wide.change("crmsync.yaml", OPEN, "at_least: 1, share: 5%")
    code, told = revert(crmsync, raised)
    assert code == 8, told
    assert {(one["partner_id"], one["from_tier"], one["to_tier"]) for one in told["movers"]} == {  # type: ignore[attr-defined]
        (f"P{number}", "Gold", "Basic") for number in range(1, 6)
    }
    assert crmsync("apply", str(told["digest"]), "--config", "config").code == 8


def test_writes_whose_content_is_no_longer_kept_are_told_as_such(
    crmsync: Crmsync, wide: Folder, tmp_path: Path
) -> None:
    wide.deals({"P1": 2000})
    run(crmsync, JUNE)
    wide.deals({"P1": 7000})
    raised = run(crmsync, JULY)
    with Ledger.open(tmp_path / "state") as ledger:
        assert forget_payloads(ledger, datetime.now(UTC) + timedelta(days=91))
    code, told = revert(crmsync, raised)
    assert code == 0
    left: dict[str, int] = told["left"]  # type: ignore[assignment]
    assert left["writes of which only the outcome is still kept"] > 0
    assert not [why for why in left if "nothing stood there before" in why]


def test_standings_that_are_missing_stop_a_revert_with_what_to_do(
    crmsync: Crmsync, wide: Folder, tmp_path: Path
) -> None:
    wide.deals({"P1": 2000})
    first = run(crmsync, JUNE)
    wide.deals({"P1": 7000})
    raised = run(crmsync, JULY)
    (tmp_path / "state" / "standings" / f"{first}.parquet").unlink()
    refused = crmsync("revert", raised, "--config", "config")
    assert refused.code == 6
    assert "restore the state folder" in refused.err


def test_a_run_or_plan_that_is_none_is_refused_before_any_org_is_made(
    crmsync: Crmsync, embedded: Path, tmp_path: Path
) -> None:
    nothing = crmsync("revert", "nonsense", "--config", str(embedded))
    assert nothing.code == 4
    assert "no run took place in" in nothing.err
    with Ledger.open(tmp_path / "state") as ledger:
        ledger.end_run(ledger.start_run("run"), 0)
    refused = crmsync("revert", "nonsense", "--config", str(embedded))
    assert refused.code == 4
    assert "no such run" in refused.err
    unknown = crmsync("apply", "abcdef12", "--config", str(embedded))
    assert unknown.code == 4
    assert "no plan in" in unknown.err
    assert not (tmp_path / "state" / "sandbox").exists()


def test_the_first_fill_can_be_reverted_and_a_run_that_wrote_nothing_cannot(crmsync: Crmsync, wide: Folder) -> None:
    wide.deals({"P1": 2000})
    run(crmsync, JUNE)
    nothing = run(crmsync, JUNE)
    refused = crmsync("revert", nothing, "--config", "config")
    assert refused.code == 4
    assert "there is nothing to revert" in refused.err
    assert "no such run" in crmsync("revert", "nonsense", "--config", "config").err
