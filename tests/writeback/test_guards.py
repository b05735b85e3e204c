"""What must look right before anything is written."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crmsync.writeback.guards import GuardResult, Limits, Tripwires, changed_partners, evaluate_guards
from tests.writeback.facts import standing


def guard(name: str, tripwires: Tripwires, limits: Limits | None = None) -> GuardResult:
    return next(g for g in evaluate_guards(tripwires, limits or Limits()) if g.guard == name)


@pytest.mark.parametrize(
    ("partners", "changed", "tripped"),
    [(100, 10, False), (100, 11, True), (2000, 100, False), (2000, 101, True), (5, 5, False)],
)
def test_more_than_ten_or_five_percent_of_the_partners_may_not_change_tier(partners: int, changed: int, tripped: bool):
    assert guard("tier_changes", Tripwires(partners, changed)).tripped is tripped


def test_the_limits_of_tier_changes_can_be_set():
    limits = Limits(tier_changes_at_least=1, tier_changes_share=Decimal("0.5"))
    assert not guard("tier_changes", Tripwires(10, 5), limits).tripped
    assert guard("tier_changes", Tripwires(10, 6), limits).tripped


def test_a_guard_says_value_limit_and_what_to_do():
    found = guard("tier_changes", Tripwires(2000, 300))
    assert found.value == "300 of 2000 partners change tier"
    assert found.limit == "100 (the larger of 10 and 5 %)"
    assert "approve" in found.way_out


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_count_that_differs_by_one_row_blocks(when: str):
    counts = {"opportunities": {"read": 100, "before": 100, "after": 100, when: 101}}
    found = guard("counts_equal", Tripwires(1, 0, counts))
    assert found.tripped
    assert "opportunities: read 100, the CRM counted" in found.value


def test_equal_counts_and_sources_that_do_not_count_pass():
    counts = {"partners": {"read": 5, "before": 5, "after": 5}, "certifications": {"read": 9}}
    assert not guard("counts_equal", Tripwires(1, 0, counts)).tripped


def test_a_table_that_lost_all_its_rows_blocks_and_one_that_never_had_any_does_not():
    before = {"certifications": 40, "activities": 0}
    found = guard("no_table_emptied", Tripwires(1, 0, {}, {"activities": 0}, before))
    assert (found.tripped, found.value) == (True, "certifications: 0 rows, 40 before")
    assert not guard("no_table_emptied", Tripwires(1, 0, {}, {"certifications": 1}, before)).tripped


def test_a_first_fill_counts_as_entered():
    assert changed_partners([standing("A"), standing("B")], None) == frozenset()


def test_on_the_first_day_leaving_a_hand_kept_tier_counts_for_nobody():
    rows = [standing("A", movement="demoted"), standing("B", movement="promoted"), standing("C", movement="in_grace")]
    assert changed_partners(rows, None) == frozenset()


def test_a_partner_counts_once_however_many_categories_move():
    before = [standing("A", category="x"), standing("A", category="y")]
    now = [standing("A", "gold", category="x"), standing("A", "gold", category="y")]
    assert changed_partners(now, before) == {"A"}


def test_a_vanished_partner_counts_and_a_new_one_does_not():
    assert changed_partners([standing("B")], [standing("A")]) == {"A"}


@given(st.dictionaries(st.sampled_from("ABCDEF"), st.sampled_from(["silver", "gold", None])))
def test_standings_that_are_the_same_change_nobody(tiers: dict[str, str | None]):
    rows = [standing(partner, tier) for partner, tier in tiers.items()]
    assert changed_partners(rows, rows) == frozenset()
