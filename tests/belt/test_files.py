"""The belt over a folder of files: plan, apply, guards, approvals, exit codes."""

from __future__ import annotations

import csv
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.belt.conftest import AS_OF, Crmsync, Folder, state_files

TODAY = ("--as-of", AS_OF)


def test_a_plan_with_changes_waits_and_writes_nothing(crmsync: Crmsync, folder: Folder) -> None:
    folder.deals({"P1": 6000})
    planned = crmsync("plan", *TODAY, "--json")
    assert planned.code == 2
    assert planned.json["plan"]["changes"] == 6
    assert folder.written == ""


def test_apply_writes_exactly_the_saved_plan(crmsync: Crmsync, folder: Folder) -> None:
    folder.deals({"P1": 6000})
    digest = crmsync("plan", *TODAY, "--json").json["plan"]["digest"]
    applied = crmsync("apply", digest[:12], "--json")
    assert applied.code == 0
    assert applied.json["outcomes"]["applied"] == 6
    rows = {row["record_id"]: row for row in csv.DictReader(folder.written.splitlines())}
    assert (rows["P1"]["granted_tier"], rows["P2"]["granted_tier"]) == ("Gold", "Basic")


def test_a_plan_file_can_be_applied(crmsync: Crmsync, folder: Folder, tmp_path: Path) -> None:
    assert crmsync("plan", *TODAY, "--out", "my-plan.json").code == 2
    assert (tmp_path / "my-plan.json").is_file()
    assert crmsync("apply", "my-plan.json").code == 0
    assert "P1" in folder.written


def test_a_plan_with_nothing_to_change_ends_with_0(crmsync: Crmsync, folder: Folder) -> None:
    folder.deals({"P1": 6000})
    assert crmsync("run", *TODAY).code == 0
    planned = crmsync("plan", *TODAY)
    assert planned.code == 0
    assert "nothing to write" in planned.out


def test_the_same_day_again_writes_nothing(crmsync: Crmsync, folder: Folder) -> None:
    folder.deals({"P1": 6000, "P2": 1500})
    assert crmsync("run", *TODAY).code == 0
    before = folder.written
    again = crmsync("run", *TODAY, "--json")
    assert again.code == 0
    assert again.json["state"] == "unchanged"
    assert folder.written == before


def test_standings_and_changes_of_tier_stand_in_files_of_their_own(crmsync: Crmsync, folder: Folder) -> None:
    folder.deals({"P1": 6000})
    assert crmsync("run", *TODAY).code == 0
    standings, history = folder.data / "writeback_standings.csv", folder.data / "writeback_history.csv"
    assert not history.exists()  # who is there at the first run has changed nothing
    folder.deals({"P1": 6000, "P2": 1500})
    assert crmsync("run", "--as-of", "2026-11-23").code == 0
    held = {row["partner_id"]: row for row in csv.DictReader(standings.read_text(encoding="utf-8").splitlines())}
    assert {one: row["granted_tier"] for one, row in held.items() if one in ("P1", "P2", "P3")} == {
        "P1": "Gold", "P2": "Silver", "P3": "Basic",
    }  # fmt: skip
    assert held["P3"]["gap_summary"] == "revenue: 0 of 1,000 EUR, 1,000 missing"
    (change,) = csv.DictReader(history.read_text(encoding="utf-8").splitlines())
    assert (change["partner_id"], change["from_tier"], change["to_tier"]) == ("P2", "Basic", "Silver")
    assert crmsync("run", "--as-of", "2026-11-23", "--json").json["state"] == "unchanged"


def test_a_guard_blocks_until_the_digest_is_approved(crmsync: Crmsync, folder: Folder) -> None:
    folder.deals({})
    assert crmsync("run", *TODAY).code == 0
    before = folder.written
    folder.deals({"P1": 6000, "P2": 6000, "P3": 6000})
    blocked = crmsync("run", "--as-of", "2026-11-23")
    assert blocked.code == 8
    assert "guard tier_changes: 3 of 6 partners change tier" in blocked.out
    assert folder.written == before
    digest = crmsync("status", "--json").json["plan"]["digest"]
    refused = crmsync("apply", digest)
    assert refused.code == 8
    assert f"crmsync approve {digest[:12]}" in refused.err
    approved = crmsync("approve", digest[:12], "--by", "Ada", "--json")
    assert (approved.code, approved.json["person"]) == (0, "Ada")
    assert crmsync("apply", digest).code == 0
    assert folder.written.count("Gold") >= 3


def test_an_approved_change_does_not_ask_twice_on_the_same_day(crmsync: Crmsync, folder: Folder) -> None:
    crmsync("run", *TODAY)
    folder.deals({"P1": 6000, "P2": 6000, "P3": 6000})
    digest = crmsync("run", "--as-of", "2026-11-23", "--json").json["plan"]["digest"]
    crmsync("approve", digest, "--by", "Ada")
    assert crmsync("apply", digest).code == 0
    again = crmsync("run", "--as-of", "2026-11-23", "--json")
    assert (again.code, again.json["state"]) == (0, "unchanged")
    assert again.json["plan"]["movers"] == []


def test_an_approved_digest_also_opens_the_next_run_that_drafts_it(crmsync: Crmsync, folder: Folder) -> None:
    crmsync("run", *TODAY)
    folder.deals({"P1": 6000, "P2": 6000, "P3": 6000})
    digest = crmsync("run", "--as-of", "2026-11-23", "--json").json["plan"]["digest"]
    assert crmsync("approve", digest, "--by", "Ada").code == 0
    assert crmsync("run", "--as-of", "2026-11-23").code == 0


def test_an_approval_opens_no_other_plan(crmsync: Crmsync, folder: Folder) -> None:
    crmsync("run", *TODAY)
    folder.deals({"P1": 6000, "P2": 6000, "P3": 6000})
    digest = crmsync("plan", "--as-of", "2026-11-23", "--json").json["plan"]["digest"]
    assert crmsync("approve", digest, "--by", "Ada").code == 0
    folder.deals({"P1": 6000, "P2": 6000, "P3": 6000, "P4": 6000})
    assert crmsync("run", "--as-of", "2026-11-23").code == 8


def test_a_first_fill_counts_as_entered(crmsync: Crmsync, folder: Folder) -> None:
    folder.deals({f"P{number}": 6000 for number in range(1, 7)})
    ran = crmsync("run", *TODAY, "--json")
    assert ran.code == 0
    assert ran.json["plan"]["movers"] == []


def test_a_mover_is_shown_with_the_reason(crmsync: Crmsync, folder: Folder) -> None:
    crmsync("run", *TODAY)
    folder.deals({"P1": 6000})
    ran = crmsync("run", "--as-of", "2026-11-23")
    assert ran.code == 0
    assert "Partner 1" in ran.out
    assert "Basic" in ran.out
    assert "Gold" in ran.out
    assert "6,000 EUR" in ran.out


def test_rejected_rows_end_with_3_and_are_listed(crmsync: Crmsync, folder: Folder) -> None:
    folder.deals({"P1": 6000}, "O-9,P9,true,true,10,2026-05-01", "O-8,P1,true,true,ten,2026-05-01")
    ran = crmsync("run", *TODAY, "--json")
    assert ran.code == 3
    assert ran.json["rejected"] == 2
    rows = list(csv.DictReader(Path(ran.json["rejected_file"]).read_text(encoding="utf-8").splitlines()))
    assert {(row["file"], row["line"], row["value"]) for row in rows} == {
        ("opportunities.csv", "3", "P9"),
        ("opportunities.csv", "4", "ten"),
    }
    assert "Gold" in folder.written


@pytest.mark.usefixtures("folder")
def test_a_day_before_the_newest_assessment_is_refused(crmsync: Crmsync) -> None:
    assert crmsync("run", *TODAY).code == 0
    refused = crmsync("run", "--as-of", "2026-11-21")
    assert refused.code == 4
    assert "movement goes forward only" in refused.err


def test_an_account_that_was_changed_since_the_plan_is_a_conflict(crmsync: Crmsync, folder: Folder) -> None:
    crmsync("run", *TODAY)
    folder.deals({"P1": 6000})
    digest = crmsync("plan", "--as-of", "2026-11-23", "--json").json["plan"]["digest"]
    written = folder.data / "writeback.csv"
    written.write_text(folder.written.replace("Basic", "Hand", 1), encoding="utf-8")
    applied = crmsync("apply", digest, "--json")
    assert applied.code == 3
    assert applied.json["outcomes"]["conflicts"] == 1
    assert "Hand" in folder.written


def test_a_plan_is_refused_after_the_program_was_changed(crmsync: Crmsync, folder: Folder) -> None:
    folder.deals({"P1": 6000})
    digest = crmsync("plan", *TODAY, "--json").json["plan"]["digest"]
    folder.change("programs/resellers.yaml", "revenue: 5000", "revenue: 7000")
    refused = crmsync("apply", digest)
    assert refused.code == 1
    assert "the program was changed since it was drafted; plan again" in refused.err


def test_status_before_the_first_run_makes_nothing(crmsync: Crmsync, tmp_path: Path) -> None:
    assert crmsync("status").out == "no run yet in this state folder\n"
    assert crmsync("status", "--json").json == {"runs": []}
    assert state_files(tmp_path) == []


def test_status_tells_what_is_open(crmsync: Crmsync, folder: Folder) -> None:
    folder.deals({"P1": 6000})
    crmsync("plan", *TODAY)
    told = crmsync("status")
    assert told.code == 0
    assert "is drafted: 6 accounts" in told.out


def test_another_run_under_way_ends_with_7(crmsync: Crmsync, folder: Folder, tmp_path: Path) -> None:
    from crmsync.ledger.ledger import Ledger

    with Ledger.open(tmp_path / "state"):
        refused = crmsync("run", *TODAY)
    assert refused.code == 7
    assert "another run is under way" in refused.err
    assert folder.written == ""


def test_a_state_folder_that_cannot_be_made_ends_with_6(crmsync: Crmsync, folder: Folder, tmp_path: Path) -> None:
    (tmp_path / "state").write_text("in the way", encoding="utf-8")
    refused = crmsync("run", *TODAY)
    assert refused.code == 6
    assert "state" in refused.err
    assert folder.written == ""


@pytest.mark.parametrize(
    ("file", "old", "new", "told"),
    [
        ("crmsync.yaml", "org: files", "org: filse", "crmsync.yaml:1: `filse` is not an org"),
        ("programs/resellers.yaml", "revenue: 5000", "revenu: 5000", "did you mean `revenue`"),
        ("programs/resellers.yaml", "is_won", "is_wun", "did you mean `is_won`"),
        ("data/partners.csv", "partner_id", "partnerid", "partner_id"),
    ],
)
def test_a_wrong_configuration_ends_with_4_and_writes_nothing(
    crmsync: Crmsync, folder: Folder, file: str, old: str, new: str, told: str
) -> None:
    folder.change(file, old, new)
    refused = crmsync("run", *TODAY)
    assert refused.code == 4, refused.err
    assert told in refused.err
    assert folder.written == ""


def test_a_mistake_in_configuration_leaves_no_state(crmsync: Crmsync, folder: Folder, tmp_path: Path) -> None:
    folder.change("crmsync.yaml", "program: programs/resellers.yaml", "program: programs/nowhere.yaml")
    assert crmsync("run").code == 4
    assert state_files(tmp_path) == []


def test_faults_are_json_too_when_json_is_asked_for(crmsync: Crmsync, folder: Folder) -> None:
    import json

    folder.change("crmsync.yaml", "org: files", "org: filse")
    refused = crmsync("run", "--json")
    fault = json.loads(refused.err.splitlines()[-1])
    assert (fault["kind"], fault["exit_code"]) == ("ConfigError", 4)
    assert refused.out == ""


@pytest.mark.usefixtures("folder")
def test_only_the_last_ten_snapshots_are_kept(crmsync: Crmsync, tmp_path: Path) -> None:
    for day in range(10, 22):
        assert crmsync("run", "--as-of", f"2026-11-{day}").code == 0
    assert len(list((tmp_path / "state" / "snapshots").iterdir())) == 10
    assert len(list((tmp_path / "state" / "standings").iterdir())) == 12, "accepted standings are never removed"


def test_one_account_can_be_shown_before_and_after(crmsync: Crmsync, folder: Folder) -> None:
    crmsync("run", *TODAY)
    folder.deals({"P1": 6000})
    run_id = crmsync("run", "--as-of", "2026-11-23", "--json").json["run_id"]
    shown = crmsync("explain", "P1", "--run", run_id)
    assert shown.code == 0
    assert "O-P1" in shown.out, "the ids of the records that count"
    assert any(line.split() == ["granted_tier", "Basic", "Gold"] for line in shown.out.splitlines())
    fields = crmsync("explain", "P1", "--run", "last", "--json").json["fields"]
    assert fields["granted_tier"] == {"before": "Basic", "after": "Gold"}


def test_the_command_that_a_run_prints_works(crmsync: Crmsync, folder: Folder, tmp_path: Path) -> None:
    import shlex

    folder.deals({"P1": 6000})
    folder.config.rename(tmp_path / "elsewhere")
    line = crmsync("run", *TODAY, "--config", "elsewhere").out.splitlines()[-1]
    words = shlex.split(line.partition(": ")[2])
    assert words[0] == "CRMSYNC_STATE_DIR=state"
    assert crmsync(*words[2 if words[1] == "crmsync" else 4 :]).code == 0


@pytest.mark.usefixtures("folder")
def test_a_run_that_does_not_exist_is_named(crmsync: Crmsync) -> None:
    crmsync("run", *TODAY)
    refused = crmsync("explain", "P1", "--run", "nonsense")
    assert refused.code == 4
    assert "no such run" in refused.err


def test_a_killed_run_is_settled_and_ended_by_the_next_start(crmsync: Crmsync, folder: Folder, tmp_path: Path) -> None:
    folder.deals({"P1": 6000})
    killed = subprocess.run(
        [sys.executable, "-m", "crmsync", "run", *TODAY],
        cwd=tmp_path,
        env=os.environ | {"CRMSYNC_FAILPOINT": "one_written:3"},
        capture_output=True,
        check=False,
    )
    assert killed.returncode == -signal.SIGKILL
    assert crmsync("run", *TODAY).code == 0
    states = [run["state"] for run in crmsync("status", "--json").json["runs"]]
    assert states == ["done"], "it is the same run"
    assert crmsync("run", *TODAY, "--json").json["state"] == "unchanged"
    assert folder.written.count("\n") == 7, "a heading and each of six partners once"


def test_assess_never_overwrites_a_table_and_may_write_its_own_standings_again(
    crmsync: Crmsync, folder: Folder, tmp_path: Path
) -> None:
    folder.deals({"P1": 6000})
    tables, program = tmp_path / "config" / "data", tmp_path / "config" / "programs" / "resellers.yaml"
    asked = ("assess", str(program), "--tables", str(tables), "--as-of", "2026-11-22", "--out")
    before = (tables / "partners.csv").read_bytes()
    refused = crmsync(*asked, str(tables / "partners.csv"))
    assert refused.code == 4
    assert "is one of the tables it would be made from" in refused.err
    assert (tables / "partners.csv").read_bytes() == before
    assert [crmsync(*asked, str(tables / "standings.csv")).code for _ in range(2)] == [0, 0]


def test_a_staging_that_a_killed_run_left_is_cleared_away(crmsync: Crmsync, folder: Folder, tmp_path: Path) -> None:
    folder.deals({"P1": 6000})
    assert crmsync("run", *TODAY).code == 0
    left = next(tmp_path.rglob("snapshots")) / ".20200101-000000-dead.staging"
    left.mkdir()
    os.utime(left, (0, 0))
    assert crmsync("run", *TODAY).code == 0
    assert not left.exists()
