"""A bad cell in a partner's own row moves nobody: the standing is carried on, and the account is left alone."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tests.belt.conftest import Crmsync, Folder

DAYS = ("2026-11-22", "2026-11-23", "2026-11-24")
GOOD, BAD = "P1,Partner 1,2020-01-31\n", "P1,Partner 1,2020-01-99\n"
GROUPS = """\
program: groups
currency: EUR
metrics: {revenue: {unit: money, sum: opportunities.amount, during: last 12 months}}
ladders:
  main: {tiers: [{key: basic}, {key: gold, requires: {revenue: 5000}}]}
  small: {tiers: [{key: member}, {key: star, requires: {revenue: 100}}]}
categories:
  first: {ladder: main, member: true, means: revenue}
  second: {ladder: small, member: true}
headline: lowest
"""


def partners(folder: Folder, row: str) -> None:
    folder.write("data/partners.csv", f"partner_id,name,joined_on\n{row}P2,Partner 2,2020-01-31\n")


def first_day(crmsync: Crmsync, folder: Folder) -> None:
    partners(folder, GOOD)
    folder.deals({"P1": 6000, "P2": 6000})
    assert crmsync("run", "--as-of", DAYS[0]).code == 0


def test_the_account_is_left_alone_and_the_report_says_so(crmsync: Crmsync, folder: Folder) -> None:
    first_day(crmsync, folder)
    before = folder.written
    partners(folder, BAD)
    ended = crmsync("run", "--as-of", DAYS[1], "--json")
    assert ended.code == 3
    assert (ended.json["plan"]["changes"], ended.json["plan"]["movers"]) == (0, [])
    assert "partner P1: its row was rejected; its standing stays as it was" in ended.json["notes"]
    assert folder.written == before


def test_the_day_after_goes_on_from_the_standing_that_was_carried(crmsync: Crmsync, folder: Folder) -> None:
    """It is not taken for a new partner: what it falls to is a demotion."""
    first_day(crmsync, folder)
    partners(folder, BAD)
    assert crmsync("run", "--as-of", DAYS[1]).code == 3
    partners(folder, GOOD)
    folder.deals({"P1": 1500, "P2": 6000})
    (mover,) = crmsync("run", "--as-of", DAYS[2], "--json").json["plan"]["movers"]
    assert (mover["partner_id"], mover["from_tier"], mover["movement"]) == ("P1", "Gold", "demoted")


def test_a_first_bad_row_on_the_same_day_is_no_mover(crmsync: Crmsync, folder: Folder) -> None:
    first_day(crmsync, folder)
    partners(folder, BAD)
    ended = crmsync("plan", "--as-of", DAYS[0], "--json")
    assert (ended.json["plan"]["changes"], ended.json["plan"]["movers"]) == (0, [])


def test_explain_says_that_the_row_was_rejected(crmsync: Crmsync, folder: Folder) -> None:
    first_day(crmsync, folder)
    partners(folder, BAD)
    crmsync("run", "--as-of", DAYS[1])
    told = crmsync("explain", "P1", "--run", "last")
    assert told.code == 4
    assert "partner P1: its row was rejected; what it has stays as it was" in told.err


def assessed(crmsync: Crmsync, folder: Folder, day: str, *more: str) -> list[dict[str, Any]]:
    """The standings of P1."""
    tables, out = str(folder.data), f"{day}.jsonl"
    ended = crmsync(
        "assess", str(folder.config / "groups.yaml"), "--tables", tables, "--as-of", day, "--out", out, *more
    )
    assert ended.code in (0, 3), ended.err
    rows = [json.loads(line) for line in Path(out).read_text(encoding="utf-8").splitlines()]
    return [row for row in rows if row["partner_id"] == "P1"]


def test_the_standing_carried_on_is_provisional_and_without_numbers(crmsync: Crmsync, folder: Folder) -> None:
    folder.write("groups.yaml", GROUPS)
    partners(folder, GOOD)
    folder.deals({"P1": 6000})
    before = assessed(crmsync, folder, DAYS[0])
    partners(folder, BAD)
    carried = assessed(crmsync, folder, DAYS[1], "--previous", f"{DAYS[0]}.jsonl")
    kept = ("partner_id", "category", "earned_tier", "granted_tier", "tier_since", "headline_tier", "primary_category")
    assert [[row[name] for name in kept] for row in carried] == [[row[name] for name in kept] for row in before]
    for row, old in zip(carried, before, strict=True):
        assert (row["movement"], row["previous_tier"]) == ("unchanged", old["granted_tier"])
        assert (row["provisional"], row["provisional_reasons"]) == (True, ["the partner's row was rejected"])
        assert (row["calculated_tier"], row["gap"], set(row["metrics"].values())) == (None, [], {None})


def test_a_partner_that_is_gone_still_leaves(crmsync: Crmsync, folder: Folder) -> None:
    folder.write("groups.yaml", GROUPS)
    partners(folder, GOOD)
    assessed(crmsync, folder, DAYS[0])
    partners(folder, "")
    gone = assessed(crmsync, folder, DAYS[1], "--previous", f"{DAYS[0]}.jsonl")
    assert [(row["movement"], row["granted_tier"], row["provisional"]) for row in gone] == [("left", None, False)] * 2
