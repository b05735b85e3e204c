"""People edit what the worker computes: left alone, told, and then handled by the rule of that field."""

from __future__ import annotations

import csv
import io

import pytest

from crmsync.configuration_conflicts import FIELDS
from crmsync.connectors.mapping_writes import MANAGED
from tests.belt.conftest import Crmsync, Ended, Folder

FIRST, SECOND, THIRD, FOURTH = (("--as-of", f"2026-11-{day}") for day in (22, 23, 24, 25))


def edit(folder: Folder, record: str, field: str, value: str) -> None:
    """What a person does in the CRM."""
    rows = list(csv.DictReader(folder.written.splitlines()))
    (row,) = [row for row in rows if row["record_id"] == record]
    row[field] = value
    text = io.StringIO()
    writer = csv.DictWriter(text, rows[0].keys(), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    folder.write("data/writeback.csv", text.getvalue())


def held(folder: Folder, record: str, field: str = "granted_tier") -> str:
    (row,) = [row for row in csv.DictReader(folder.written.splitlines()) if row["record_id"] == record]
    return row[field]


def edits(ended: Ended) -> list[tuple[str, str, str, str]]:
    """Record, field, value found, what becomes of it."""
    return [(e["record_id"], e["field"], e["found"] or "", e["outcome"]) for e in ended.json["plan"]["hand_edits"]]


@pytest.fixture
def filled(crmsync: Crmsync, folder: Folder) -> Folder:
    """Accounts as a first run left them: P1 Gold, the others Basic."""
    folder.deals({"P1": 6000})
    assert crmsync("run", *FIRST).code == 0
    return folder


def rule(folder: Folder, text: str) -> None:
    folder.write("crmsync.yaml", (folder.config / "crmsync.yaml").read_text(encoding="utf-8") + f"conflicts: {text}\n")


def test_an_edit_is_left_alone_once_and_then_written_again(crmsync: Crmsync, filled: Folder) -> None:
    edit(filled, "P2", "granted_tier", "Gold")
    found = crmsync("run", *SECOND, "--json")
    assert (found.code, edits(found)) == (3, [("P2", "granted_tier", "Gold", "waits")])
    assert held(filled, "P2") == "Gold"
    assert "edited by hand: 1" in crmsync("status").out
    again = crmsync("run", *THIRD, "--json")
    assert (again.code, edits(again)) == (0, [("P2", "granted_tier", "Gold", "restored")])
    assert held(filled, "P2") == "Basic"
    assert crmsync("status", "--json").json["hand_edits"] == []


def test_a_plan_alone_tells_nobody(crmsync: Crmsync, filled: Folder) -> None:
    edit(filled, "P2", "granted_tier", "Gold")
    for _ in range(2):
        planned = crmsync("plan", *SECOND, "--json")
        assert edits(planned) == [("P2", "granted_tier", "Gold", "waits")]
    assert edits(crmsync("run", *SECOND, "--json")) == [("P2", "granted_tier", "Gold", "waits")]


def test_the_other_fields_of_the_account_are_written_all_the_same(crmsync: Crmsync, filled: Folder) -> None:
    edit(filled, "P2", "granted_tier", "Silver")
    filled.deals({"P1": 6000, "P2": 7000})
    assert crmsync("run", *SECOND).code == 3
    assert (held(filled, "P2"), held(filled, "P2", "calculated_tier")) == ("Silver", "Gold")
    assert crmsync("run", *THIRD).code == 0
    assert held(filled, "P2") == "Gold"


def test_an_edit_of_an_edit_is_told_anew(crmsync: Crmsync, filled: Folder) -> None:
    edit(filled, "P2", "granted_tier", "Gold")
    assert crmsync("run", *SECOND).code == 3
    edit(filled, "P2", "granted_tier", "Silver")
    again = crmsync("run", *THIRD, "--json")
    assert ("P2", "granted_tier", "Silver", "waits") in edits(again)
    assert held(filled, "P2") == "Silver"
    (known,) = crmsync("status", "--json").json["hand_edits"]
    assert (known["found"], known["ours"]) == ("Silver", "Basic")


def test_an_edit_that_is_taken_back_is_closed(crmsync: Crmsync, filled: Folder) -> None:
    edit(filled, "P2", "granted_tier", "Gold")
    assert crmsync("run", *SECOND).code == 3
    edit(filled, "P2", "granted_tier", "Basic")
    assert edits(crmsync("run", *THIRD, "--json")) == [("P2", "granted_tier", "Gold", "gone")]
    assert crmsync("status", "--json").json["hand_edits"] == []


def test_a_field_that_somebody_emptied_is_an_edit_too(crmsync: Crmsync, filled: Folder) -> None:
    edit(filled, "P1", "why", "")
    assert edits(crmsync("run", *SECOND, "--json")) == [("P1", "why", "", "waits")]
    assert held(filled, "P1", "why") == ""
    assert crmsync("run", *THIRD).code == 0
    assert held(filled, "P1", "why") != ""


def test_frozen_fields_stay_as_people_left_them(crmsync: Crmsync, filled: Folder) -> None:
    rule(filled, "{fields: {granted_tier: freeze}}")
    edit(filled, "P2", "granted_tier", "Gold")
    for day in (SECOND, THIRD, FOURTH):
        found = crmsync("run", *day, "--json")
        assert (found.code, edits(found)) == (0, [("P2", "granted_tier", "Gold", "frozen")])
    assert held(filled, "P2") == "Gold"


def test_an_adopted_tier_is_an_override_until_its_day(crmsync: Crmsync, filled: Folder) -> None:
    rule(filled, "{policy: adopt, adopt_for: 2 days}")
    edit(filled, "P2", "granted_tier", "Gold")
    assert edits(crmsync("run", *SECOND, "--json")) == [("P2", "granted_tier", "Gold", "adopted")]
    third = crmsync("run", *THIRD, "--json")
    assert third.code == 0
    assert (held(filled, "P2"), held(filled, "P2", "calculated_tier")) == ("Gold", "Basic")
    assert "set by hand" in crmsync("explain", "P2", "--run", third.json["run_id"]).out
    assert crmsync("run", *FOURTH).code == 0  # the last day
    assert held(filled, "P2") == "Gold"
    last = crmsync("run", "--as-of", "2026-11-26")
    assert last.code == 0, last.out
    assert held(filled, "P2") == "Basic"


def test_a_rehearsal_of_another_day_notes_no_edit_and_ends_no_override(crmsync: Crmsync, filled: Folder) -> None:
    rule(filled, "{policy: adopt, adopt_for: 9 days}")
    edit(filled, "P2", "granted_tier", "Gold")
    rehearsed = crmsync("plan", "--as-of", "2027-06-01", "--json")
    assert edits(rehearsed) == [("P2", "granted_tier", "Gold", "adopted")]
    assert crmsync("status", "--json").json["hand_edits"] == []
    assert crmsync("run", *SECOND).code == 0
    (known,) = crmsync("status", "--json").json["hand_edits"]
    assert known["until"] == "2026-12-02"
    assert edits(crmsync("plan", "--as-of", "2027-06-01", "--json"))[0][3] == "restored"  # it has ended by then
    assert crmsync("run", *THIRD).code == 0
    assert held(filled, "P2") == "Gold"


def test_what_is_no_tier_cannot_be_adopted(crmsync: Crmsync, filled: Folder) -> None:
    rule(filled, "{policy: adopt}")
    edit(filled, "P2", "granted_tier", "Platinum")
    assert edits(crmsync("run", *SECOND, "--json")) == [("P2", "granted_tier", "Platinum", "waits")]
    assert crmsync("run", *THIRD).code == 0
    assert held(filled, "P2") == "Basic"


def test_nothing_that_was_never_written_is_an_edit(crmsync: Crmsync, folder: Folder) -> None:
    folder.write("data/writeback.csv", "record_id,granted_tier\nP1,Gold\n")
    assert edits(crmsync("run", *FIRST, "--json")) == []


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{policy: overwrite}", "`overwrite` is no policy"),
        ("{fields: {tier: freeze}}", "`tier` is no computed field"),
        ("{fields: {why: adopt}}", "`adopt` makes an override out of a tier"),
        ("{adopt_for: 90}", "`90` is no time; write it as `90 days`"),
        ("{policies: restore}", "policies"),
    ],
)
def test_rules_that_cannot_be_meant(crmsync: Crmsync, folder: Folder, text: str, said: str) -> None:
    rule(folder, text)
    ended = crmsync("run", *FIRST)
    assert ended.code == 4
    assert "crmsync.yaml:" in ended.err
    assert said in ended.err


def test_every_computed_field_can_have_a_rule() -> None:
    assert {*FIELDS} == {*MANAGED} - {"changed_on", "run_id"}


def test_an_adopted_tier_that_is_taken_back_is_no_override_any_more(crmsync: Crmsync, filled: Folder) -> None:
    rule(filled, "{policy: adopt}")
    edit(filled, "P2", "granted_tier", "Gold")
    assert crmsync("run", *SECOND).code == 0
    edit(filled, "P2", "granted_tier", "Basic")
    assert edits(crmsync("run", *SECOND, "--json")) == [("P2", "granted_tier", "Gold", "gone")]
    again = crmsync("run", *THIRD, "--json")
    assert (again.code, edits(again)) == (0, [])
    assert held(filled, "P2") == "Basic"
