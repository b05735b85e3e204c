"""The sentences of write-back say what decides, and nothing that does not."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

from crmsync.programs.program import Comparison, Criterion, Group, Junction, Tier
from crmsync.writeback.wording import deciding, unmet
from tests.writeback.facts import AS_OF, a_ladder, a_program, missing, standing


def test_groups_that_are_met_are_not_missing_and_open_ways_are_told_as_a_choice():
    people = Criterion("people", Comparison.GE, Decimal(5), 1)
    ways = Group(Junction.ANY, (Criterion("revenue", Comparison.GE, Decimal(9), 1), people), 1)
    gold = Tier("gold", "Gold", 1, Group(Junction.ALL, (people, ways), 1))
    program = replace(a_program(), ladders={"main": replace(a_ladder(), tiers=(*a_ladder().tiers[:2], gold))})

    def entry(metric: str, path: str, met: bool) -> dict[str, object]:
        return {**missing(metric, "4", "5"), "path": path, "met": met}

    def gap(people_met: bool, revenue_met: bool) -> list[dict[str, object]]:
        revenue = entry("revenue", "all/2/any/1", revenue_met)
        return [entry("people", "all/1", people_met), revenue, entry("people", "all/2/any/2", False)]

    assert unmet(program, standing("A", gap=gap(False, True))) == "Certified people 4 (needs 5)"
    told = unmet(program, standing("A", gap=gap(True, False)))
    assert told == "1 of: Revenue 4 EUR (needs 5 EUR) or Certified people 4 (needs 5)"


def test_a_tier_that_outlasts_the_numbers_of_today_says_when_it_was_earned():
    """Promoted on a review day between two runs: what the numbers of today miss did not decide that."""
    given = {"movement": "promoted", "previous_tier": "silver", "granted_tier": "gold", "tier_since": AS_OF}
    kept = standing("A", **given, calculated_tier="registered")
    assert deciding(a_program(), kept, {}) == f"earned on {AS_OF} and kept; the numbers of today say Registered"
    none = standing("A", **given, calculated_tier=None)
    assert deciding(a_program(), none, {}).endswith("the numbers of today say no tier")
    met = standing("A", **given, calculated_tier="gold")
    assert deciding(a_program(), met, {}).startswith("meets Gold: ")
