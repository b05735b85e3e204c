"""What must look right before anything is written: counts, and how much tiers may move."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import date
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crmsync.configuration_guards import Canary, GuardLimits, Movement
from crmsync.writeback.guards import GuardResult, Rejections, Tripwires, canary_size, evaluate_guards
from crmsync.writeback.guards_movement import Moves, Preview, hand_kept_moves, moves_of, ranks_of
from tests.writeback.facts import a_program, standing

RANKS = ranks_of(a_program(categories={"all": "All", "x": "X", "y": "Y"}))
USUAL = GuardLimits()


def guard(name: str, tripwires: Tripwires, limits: GuardLimits = USUAL) -> GuardResult:
    return next(g for g in evaluate_guards(tripwires, limits) if g.guard == name)


def moving(name: str, moves: Moves, limits: GuardLimits = USUAL) -> GuardResult:
    return guard(name, Tripwires(moves), limits)


# --- counts


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_count_that_differs_by_one_row_blocks(when: str):
    counts = {"opportunities": {"read": 100, "before": 100, "after": 100, when: 101}}
    found = guard("counts_equal", Tripwires(counts=counts))
    assert found.tripped
    assert "opportunities: read 100, the CRM counted" in found.value


def test_equal_counts_and_sources_that_do_not_count_pass():
    counts = {"partners": {"read": 5, "before": 5, "after": 5}, "certifications": {"read": 9}}
    assert not guard("counts_equal", Tripwires(counts=counts)).tripped


# --- limits of movement


@pytest.mark.parametrize(
    ("partners", "changed", "tripped"),
    [(100, 10, False), (100, 11, True), (2000, 100, False), (2000, 101, True), (5, 5, False)],
)
def test_more_than_ten_or_five_percent_of_the_partners_may_not_change_tier(partners: int, changed: int, tripped: bool):
    assert moving("tier_changes", Moves(partners, changed)).tripped is tripped


@pytest.mark.parametrize(
    ("partners", "demoted", "tripped"),
    [(100, 5, False), (100, 6, True), (2000, 40, False), (2000, 41, True), (5, 5, False), (6, 6, True)],
)
def test_more_than_five_or_two_percent_may_not_fall(partners: int, demoted: int, tripped: bool):
    assert moving("demotions", Moves(partners, demoted, demoted)).tripped is tripped


@pytest.mark.parametrize(("lost", "held", "tripped"), [(2, 5, False), (3, 5, True), (20, 200, False), (21, 200, True)])
def test_the_highest_tier_of_a_category_may_lose_two_or_ten_percent(lost: int, held: int, tripped: bool):
    found = moving("top_tier", Moves(1000, lost, lost, {"x": (lost, held), "y": (0, 50)}))
    assert found.tripped is tripped
    assert found.value == f"x: of its highest tier's {held} partners {lost} lose it"


def test_who_leaves_a_category_counts_for_that_category():
    found = moving("removals", Moves(1000, 25, 25, {}, {"x": (25, 200), "y": (19, 900), "z": (3, 3)}))
    assert found.tripped
    assert found.value == "x: of 200 partners 25 leave; z: of 3 partners 3 leave"


def test_a_small_program_is_judged_by_numbers_only():
    lost = Moves(99, 5, 5, {"x": (4, 60)})
    assert moving("top_tier", lost).tripped
    assert not moving("top_tier", replace(lost, partners=100)).tripped
    assert moving("top_tier", lost).limit == "2 (a small program: no share)"
    assert not moving("top_tier", lost, replace(USUAL, small_program=50)).tripped


def test_the_limits_of_tier_changes_can_be_set():
    limits = replace(USUAL, tier_changes=Movement(1, Decimal("0.5")), small_program=0)
    assert not moving("tier_changes", Moves(10, 5), limits).tripped
    assert moving("tier_changes", Moves(10, 6), limits).tripped


def test_a_guard_says_value_limit_and_what_to_do():
    found = moving("tier_changes", Moves(2000, 300))
    assert found.value == "300 of 2000 partners change tier"
    assert found.limit == "100 (the larger of 10 and 5 %)"
    assert "approve" in found.way_out


# --- what counts as a move


def step(before: Mapping[str, Any] | None, now: Mapping[str, Any] | None) -> Moves:
    """Two sets of one standing each."""
    return moves_of([now] if now else [], [before] if before else [], RANKS)


def test_a_first_fill_counts_as_entered():
    assert moves_of([standing("A"), standing("B")], None, RANKS) == Moves(2)


def test_on_the_first_day_leaving_a_hand_kept_tier_is_told_apart():
    rows = [standing("A", "silver", previous_tier="gold"), standing("B", "gold", previous_tier="silver"), standing("C")]
    assert moves_of(rows, None, RANKS).demoted == 0
    told = guard("first_fill", Tripwires(hand_kept=hand_kept_moves(rows, RANKS), writes=3))
    assert (told.tripped, "1 of 3 partners stand below the tier that was kept by hand" in told.value) == (False, True)
    asked = replace(USUAL, first_fill=True)
    assert guard("first_fill", Tripwires(hand_kept=hand_kept_moves(rows, RANKS), writes=3), asked).tripped
    assert not guard("first_fill", Tripwires(writes=3), asked).tripped


def test_a_partner_counts_once_however_many_categories_move():
    before = [standing("A", category="x"), standing("A", category="y")]
    now = [standing("A", "gold", category="x"), standing("A", "registered", category="y")]
    moves = moves_of(now, before, RANKS)
    assert (moves.partners, moves.changed, moves.demoted) == (1, 1, 1)


def test_a_vanished_partner_falls_and_a_new_one_does_not_count():
    moves = moves_of([standing("B")], [standing("A")], RANKS)
    assert (moves.partners, moves.changed, moves.demoted, moves.removed) == (2, 1, 1, {"all": (1, 1)})


def test_who_gains_a_category_changes_and_does_not_fall():
    moves = moves_of([standing("A"), standing("A", category="x")], [standing("A")], RANKS)
    assert (moves.changed, moves.demoted) == (1, 0)


def test_leaving_the_highest_tier_and_leaving_the_category():
    assert step(standing("A", "gold"), standing("A", "silver")).top == {"all": (1, 1)}
    assert step(standing("A", "gold"), standing("A", None)).removed == {"all": (1, 1)}
    assert step(standing("A", "silver"), standing("A", "registered")).top == {}


def test_a_tier_of_another_name_in_this_version_is_no_move():
    assert step(standing("A", "old_gold"), standing("A", "gold", previous_tier="gold")).changed == 0
    assert step(standing("A", "old_gold"), standing("A", "silver", previous_tier="gold")).demoted == 1


def test_a_tier_that_the_program_does_not_know_any_more_counts_as_a_fall():
    assert step(standing("A", "diamond"), standing("A", "gold")).demoted == 1


@given(st.dictionaries(st.sampled_from("ABCDEF"), st.sampled_from(["silver", "gold", None])))
def test_standings_that_are_the_same_change_nobody(tiers: dict[str, str | None]):
    rows = [standing(partner, tier) for partner, tier in tiers.items()]
    moves = moves_of(rows, rows, RANKS)
    assert (moves.changed, moves.demoted) == (0, 0)


# --- rules that were changed, review dates, the canary


def test_what_the_rules_change_by_themselves_is_shown_and_guarded():
    assert not guard("program_change", Tripwires()).tripped
    few = guard("program_change", Tripwires(preview=Preview("0123456789abcdef", Moves(2000, 90, 30))))
    assert not few.tripped
    assert "since 0123456789ab: with the same data 90 of 2000 partners have another tier" in few.value
    assert guard("program_change", Tripwires(preview=Preview("p", Moves(2000, 90, 41)))).tripped
    assert guard("program_change", Tripwires(preview=Preview("p", Moves(2000, 101, 0)))).tripped


def test_rules_that_cannot_be_tried_again_need_a_look():
    found = guard("program_change", Tripwires(preview=Preview("p", None, "its text is not kept")))
    assert (found.tripped, "its text is not kept" in found.value) == (True, True)


def test_a_review_date_asks_where_it_is_wanted():
    on, asked = date(2026, 10, 1), replace(USUAL, period_end=True)
    assert not guard("period_end", Tripwires(review=on, writes=9)).tripped
    assert guard("period_end", Tripwires(review=on, writes=9), asked).tripped
    assert not guard("period_end", Tripwires(review=on, writes=0), asked).tripped
    assert not guard("period_end", Tripwires(writes=9), asked).tripped


@pytest.mark.parametrize(("accounts", "size"), [(5, 0), (6, 5), (1000, 10), (20_000, 50), (0, 0)])
def test_the_canary_is_one_percent_between_five_and_fifty(accounts: int, size: int):
    assert canary_size(accounts, Tripwires(hand_kept=Moves()), USUAL, tripped=False) == size


def test_the_canary_goes_first_on_first_fills_review_dates_and_opened_plans():
    assert canary_size(1000, Tripwires(), USUAL, tripped=False) == 0
    assert canary_size(1000, Tripwires(), USUAL, tripped=True) == 10
    assert canary_size(1000, Tripwires(review=date(2026, 10, 1)), USUAL, tripped=False) == 10
    assert canary_size(1000, Tripwires(), replace(USUAL, canary=None), tripped=True) == 0
    assert canary_size(1000, Tripwires(), replace(USUAL, canary=Canary(Decimal("0.5"), 5, 20)), tripped=True) == 20


# --- rows that could not be read


@pytest.mark.parametrize(
    ("now", "before", "new", "demoted", "stops"),
    [(3, 2, 1, 1, True), (2, 2, 0, 1, False), (2, 2, 1, 1, True), (3, 2, 1, 0, False), (1, 4, 0, 9, False)],
)
def test_nobody_falls_while_rows_are_rejected_that_were_not_before(
    now: int, before: int, new: int, demoted: int, stops: bool
):
    """As many as before say nothing: one may be mended while another breaks."""
    found = guard("rejected_rows", Tripwires(Moves(100, demoted, demoted), rejected=Rejections(now, before, new)))
    assert found.tripped is stops
    said = f"{now} rows rejected, {new} of them new, {before} in the last accepted run; {demoted} partners fall"
    assert found.value == said
