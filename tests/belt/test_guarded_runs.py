"""The guards of whole runs over files: data that lack, rules that changed, falls that must be seen twice."""

from __future__ import annotations

import pytest

from tests.belt.conftest import Crmsync, Ended, Folder

pytestmark = pytest.mark.timeout(180)  # several runs each

DAYS = ("2026-11-22", "2026-11-23", "2026-11-24", "2026-11-25")


def guard(ended: Ended, name: str) -> dict[str, object]:
    (found,) = [one for one in ended.json["plan"]["guards"] if one["guard"] == name]
    return dict(found)


def run(crmsync: Crmsync, day: str) -> Ended:
    return crmsync("run", "--as-of", day, "--json")


def tripped(ended: Ended) -> list[str]:
    return [one["guard"] for one in ended.json["plan"]["guards"] if one["tripped"]]


# --- rules that changed


def test_what_changed_rules_move_by_themselves_is_told_apart_from_the_data(crmsync: Crmsync, folder: Folder) -> None:
    folder.deals({"P1": 6000, "P2": 6000, "P3": 1500})
    assert run(crmsync, DAYS[0]).code == 0
    assert guard(run(crmsync, DAYS[1]), "program_change")["value"] == "the program is that of the last accepted run"

    folder.change("programs/resellers.yaml", "revenue: 5000", "revenue: 6001")
    folder.deals({"P1": 6000, "P2": 6000, "P3": 900})
    moved = run(crmsync, DAYS[1])
    found = guard(moved, "program_change")
    assert (
        "with the same data 2 of 6 partners have another tier than under the old rules, 2 of them a lower one"
        in str(found["value"])
    )
    assert not found["tripped"]  # two are no mass; the third fell with the data
    assert guard(moved, "demotions")["value"] == "3 of 6 partners fall to a lower tier or out of one"

    # with a limit that the rules alone exceed, the change of the rules blocks by itself
    folder.change("crmsync.yaml", "at_least: 2", "at_least: 1")
    assert set(tripped(run(crmsync, DAYS[1]))) == {"tier_changes", "program_change"}


# --- falls that must be seen twice


def test_a_fall_is_written_when_a_second_snapshot_says_it_too_and_a_rise_at_once(
    crmsync: Crmsync, folder: Folder
) -> None:
    folder.change("crmsync.yaml", "guards: {", "guards: {demotion_lag: yes, ")
    folder.deals({"P1": 6000, "P2": 6000})
    assert run(crmsync, DAYS[0]).code == 0
    folder.deals({"P1": 900, "P2": 900, "P3": 1500})
    waiting = run(crmsync, DAYS[1])
    assert waiting.code == 0, waiting.out
    assert waiting.json["plan"]["held"] == ["P1", "P2"]
    assert [mover["partner_id"] for mover in waiting.json["plan"]["movers"]] == ["P3"]
    tiers = {row.split(",")[0]: row for row in folder.written.splitlines()}
    assert all("Gold" in tiers[partner] for partner in ("P1", "P2"))
    assert "Silver" in tiers["P3"]

    # the same day again is no second look; and a deal that has come back leaves P2 where it is
    again = run(crmsync, DAYS[1])
    assert (again.json["state"], again.json["plan"]["held"]) == ("unchanged", ["P1", "P2"])
    folder.deals({"P1": 900, "P2": 6000, "P3": 1500})
    assert "1 partners would fall" not in crmsync("plan", "--as-of", DAYS[2]).out
    agreed = run(crmsync, DAYS[2])
    assert (agreed.code, agreed.json["plan"]["held"]) == (0, [])
    assert [(mover["partner_id"], mover["to_tier"]) for mover in agreed.json["plan"]["movers"]] == [("P1", "Basic")]
    assert "P1" in folder.written
    assert crmsync("audit", "verify", "--json").code == 0


# --- input that lacks


FULL = "opportunity_id,partner_id,is_closed,is_won,amount,closed_on"


def deals(folder: Folder, heading: str, *lines: str) -> None:
    folder.write("data/opportunities.csv", "\n".join([heading, *lines, ""]))


def without(column: str) -> list[str]:
    """The headings and two deals without one of the columns."""
    at = FULL.split(",").index(column)
    rows = [FULL, "O-1,P1,true,true,6000,2026-05-01", "O-2,P2,true,true,6000,2026-05-01"]
    return [",".join(cell for n, cell in enumerate(row.split(",")) if n != at) for row in rows]


NAMED = {"rows": "no_table_emptied", "cells": "rejected_rows"}


def test_missing_input_blanks_nothing_and_lets_nobody_fall(crmsync: Crmsync, folder: Folder) -> None:
    """Each of these would make every number zero."""
    folder.change("crmsync.yaml", "at_least: 2", "at_least: 9")  # no guard of movement would stop two partners
    folder.deals({"P1": 6000, "P2": 6000})
    assert run(crmsync, DAYS[0]).code == 0
    before = folder.written
    for lacking in ("rows", "partner_id", "is_won", "amount", "closed_on", "values", "cells", "table"):
        lose(folder, lacking)
        ended = run(crmsync, DAYS[1])
        if ended.out:
            assert ended.code == 8, f"{lacking}: {ended.out}"
            assert NAMED.get(lacking, "no_column_emptied") in tripped(ended), lacking
        else:  # refused before anything was computed
            assert ended.code in (1, 4), f"{lacking}: {ended.err}"
        assert folder.written == before, lacking


def lose(folder: Folder, lacking: str) -> None:
    if lacking == "table":
        (folder.data / "opportunities.csv").unlink()
    elif lacking == "rows":
        deals(folder, FULL)
    elif lacking == "values":
        deals(folder, FULL, "O-1,P1,true,true,,2026-05-01", "O-2,P2,true,true,,2026-05-01")
    elif lacking == "cells":
        deals(folder, FULL, "O-1,P1,true,true,6000,2026-05-99", "O-2,P2,true,true,6000,2026-05-01")
    else:
        deals(folder, *without(lacking))


# --- review dates


def test_the_first_run_on_or_after_a_review_date_asks_a_person_and_goes_by_a_canary(
    crmsync: Crmsync, folder: Folder
) -> None:
    folder.change("crmsync.yaml", "guards: {", "guards: {period_end: approve, canary: {at_least: 1}, ")
    folder.change("programs/resellers.yaml", "ladders:", "movement: {demote: {on: yearly}}\nladders:")
    folder.deals({"P1": 6000, "P2": 6000})
    assert run(crmsync, "2026-12-29").code == 0
    folder.deals({"P1": 6000, "P2": 1500})
    before = run(crmsync, "2026-12-31")
    assert before.code == 0
    assert guard(before, "period_end")["value"] == "no review date"
    review = run(crmsync, "2027-01-02")
    assert (review.code, tripped(review)) == (8, ["period_end"])
    assert str(guard(review, "period_end")["value"]).startswith("2027-01-01 is a review date")
    assert review.json["plan"]["canary"] == 1  # of several accounts
    digest = review.json["plan"]["digest"]
    assert crmsync("approve", digest, "--by", "Ada").code == 0
    assert crmsync("apply", digest).code == 0
    after = run(crmsync, "2027-01-02")
    assert (after.code, tripped(after)) == (0, [])
