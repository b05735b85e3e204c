"""What is written onto an account."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import ClassVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crmsync.programs.program import Headline, Unit
from crmsync.writeback.fields import COMPUTED, Kind, account_of, account_values, fitted, normalised
from crmsync.writeback.inputs import READ
from crmsync.writeback.wording import shown
from tests.writeback.facts import a_program, metric, standing


def values(*rows: dict[str, object], **program: object) -> dict[str, str | None]:
    wanted = a_program(**program)  # type: ignore[arg-type]
    return account_values(wanted, account_of(wanted, rows, {"region": "EMEA"}))


def test_tiers_are_written_as_labels():
    row = standing("A", "silver", calculated_tier="gold", next_tier=None)
    found = values(row)
    assert (found["granted_tier"], found["calculated_tier"], found["next_tier"]) == ("Silver", "Gold", None)


def test_the_account_shows_the_first_category_in_file_order_that_holds_the_headline():
    rows = [
        standing("A", "gold", category="msp", headline_tier="gold", gap_summary="msp"),
        standing("A", "gold", category="reseller", headline_tier="gold", gap_summary="reseller"),
        standing("A", "silver", category="agency", headline_tier="gold", gap_summary="agency"),
    ]
    names = {"agency": "Agency", "reseller": "Reseller", "msp": "Managed"}
    found = values(*rows, categories=names)
    assert found["gap_summary"] == "reseller"
    assert found["categories"] == "Agency;Managed;Reseller"


def test_a_category_without_any_tier_is_not_among_the_categories():
    rows = [standing("A", category="msp"), standing("A", None, category="reseller", headline_tier="silver")]
    assert values(*rows, categories={"msp": "MSP", "reseller": "Reseller"})["categories"] == "MSP"


def test_dates_of_grace_review_and_a_pending_change_are_those_of_the_headline():
    row = standing("A", "silver", grace_until="2027-02-19", next_review=None, pending_tier="gold", pending_on=None)
    found = values(row)
    assert (found["grace_until"], found["next_review"]) == ("2027-02-19", None)
    assert (found["pending_tier"], found["pending_on"]) == ("Gold", None)


def test_the_first_override_that_ends_and_the_worst_check_count_over_all_categories():
    rows = [
        standing("A", category="reseller", category_check="confirmed", overrides=[{"kind": "pin", "ends_on": None}]),
        standing(
            "A", category="msp", category_check="undeclared", overrides=[{"kind": "pin", "ends_on": "2027-05-01"}]
        ),
        standing("A", category="agency", category_check="unknown", overrides=[{"ends_on": "2027-03-31"}]),
    ]
    found = values(*rows, categories={"reseller": "Reseller", "msp": "MSP", "agency": "Agency"})
    assert (found["override_ends_on"], found["category_check"]) == ("2027-03-31", "undeclared")
    assert values(standing("A"))["override_ends_on"] is None


class Asked(dict[str, object]):
    """A standing that notes which of its columns are asked for."""

    names: ClassVar[set[str]] = set()

    def get(self, key, default=None):
        self.names.add(key)
        return super().get(key, default)

    def __getitem__(self, key):
        self.names.add(key)
        return super().__getitem__(key)


def test_a_draft_reads_every_column_of_a_standing_that_an_account_is_written_from():
    Asked.names = set()
    row = Asked(standing("A", "gold", previous_tier="silver", pending_tier="gold", category_check="confirmed"))
    values(row, points=True)
    assert {"category_check", "pending_on", "next_review", "grace_until"} <= Asked.names
    assert Asked.names <= set(READ)


def test_progress_is_a_whole_number_rounded_down():
    assert values(standing("A", progress=Decimal("99.9")))["progress"] == "99"


def test_progress_is_empty_at_the_top():
    assert values(standing("A", "gold", progress=None, next_tier=None))["progress"] is None


def test_points_that_are_not_known_leave_the_number_that_stands_there():
    unknown = standing("A", metrics={"revenue": None, "people": None, "score": None}, provisional=True)
    assert "points" not in values(unknown, points=True)
    assert values({**unknown, "provisional": False}, points=True)["points"] is None


def test_points_are_written_only_where_a_metric_has_that_unit():
    assert "points" not in values(standing("A"))
    assert values(standing("A"), points=True)["points"] == "12.35"


def test_the_previous_tier_is_left_alone_unless_the_tier_changes():
    assert "previous_tier" not in values(standing("A", previous_tier="silver"))
    assert values(standing("A", "gold", previous_tier="silver"))["previous_tier"] == "Silver"


def test_the_account_is_provisional_when_any_of_its_standings_is():
    rows = [standing("A", category="msp"), standing("A", category="reseller", provisional=True)]
    assert values(*rows, categories={"msp": "MSP", "reseller": "Reseller"})["provisional"] == "true"


def test_the_explanation_sets_metrics_beside_the_requirements_of_the_partners_region():
    found = values(
        standing("A", overrides=[{"kind": "floor", "value": "silver", "ends_on": "2027-03-31", "reason": "Deal"}])
    )
    assert found["why"] == (
        "Silver: Revenue 512,000 EUR (needs 80,000 EUR). Missing for Gold: Certified people 4 (needs 5). "
        "Override floor Silver until 2027-03-31: Deal."
    )


def test_the_explanation_says_when_the_numbers_say_otherwise():
    row = standing("A", "gold", calculated_tier="silver", movement="in_grace", grace_until="2027-02-19")
    assert str(values(row)["why"]).startswith("Gold; the numbers say Silver (in grace until 2027-02-19).")


def test_the_explanation_names_the_tiers_in_further_categories():
    rows = [
        standing("A", "gold", category="reseller", headline_tier="gold", next_tier=None, gap=[]),
        standing("A", "silver", category="msp", headline_tier="gold"),
    ]
    found = values(*rows, categories={"reseller": "Reseller", "msp": "Managed services"})["why"] or ""
    assert found.startswith("Gold as Reseller: Revenue")
    assert found.endswith("Also Silver as Managed services.")


def test_a_program_without_a_headline_gives_the_account_no_tier():
    program = replace(a_program(), headline=Headline.NONE)
    found = account_values(program, account_of(program, [standing("A", headline_tier=None)]))
    assert (found["granted_tier"], found["gap_summary"]) == (None, "Certified people 4 of 5")


@pytest.mark.parametrize(
    ("unit", "value", "text"),
    [
        (Unit.MONEY, "176273.90", "176,273.90 EUR"),
        (Unit.MONEY, "500000.00", "500,000 EUR"),
        (Unit.PERCENT, "0.349999999", "34.99 %"),
        (Unit.PERCENT, "-0.649904073", "-64.99 %"),
        (Unit.NUMBER, "4.200000000", "4.2"),
        (Unit.NUMBER, "1200", "1,200"),
        (Unit.YES_NO, "true", "yes"),
        (Unit.TEXT, "1e3", "1e3"),
        (Unit.NUMBER, None, "unknown"),
    ],
)
def test_values_are_shown_as_people_read_them(unit: Unit, value: str | None, text: str):
    program = replace(a_program(), metrics={"m": metric("m", unit, "M")})
    assert shown(program, "m", value) == text


def test_line_breaks_and_control_characters_become_blanks():
    assert normalised("gap_summary", " a\r\nb\u2028c\x00d ") == "a b c d"


def test_long_texts_are_cut_with_an_ellipsis_to_the_length_of_the_field():
    found = values(standing("A", provisional_reasons=["an unknown value"] * 3000))
    assert len(found["why"] or "") == 32000
    assert (found["why"] or "").endswith("…")


@given(st.text(st.characters(), max_size=60), st.integers(2, 20))
def test_a_fitted_text_never_exceeds_its_length_in_the_units_of_salesforce(text: str, length: int):
    cut = fitted(text, length)
    assert len(cut.encode("utf-16-le", "surrogatepass")) // 2 <= length
    assert cut == text or cut.endswith("…")


@pytest.mark.parametrize(
    ("key", "one", "other"),
    [
        ("progress", "43", "43.0"),
        ("points", "1200.50", "1200.5"),
        ("points", "0", "-0.00"),
        ("categories", "B;A", "A; B"),
        ("tier_since", "2026-01-31", "2026-01-31T00:00:00Z"),
        ("provisional", None, "false"),
        ("gap_summary", "", None),
    ],
)
def test_equal_values_have_equal_texts(key: str, one: str | None, other: str | None):
    assert normalised(key, one) == normalised(key, other)


@given(st.sampled_from(sorted(COMPUTED)), st.none() | st.text())
def test_normalising_twice_changes_nothing(key: str, text: str | None):
    once = normalised(key, text)
    assert normalised(key, once) == once
    assert once is not None or COMPUTED[key].kind is not Kind.YES_NO


def test_an_account_that_leaves_everywhere_names_the_best_tier_it_had():
    program = a_program(categories={"reseller": "Reseller", "msp": "MSP"})
    gone = {"granted_tier": None, "calculated_tier": None, "headline_tier": None, "movement": "left", "next_tier": None}
    rows = [
        standing("A", category="reseller", **{**gone, "previous_tier": "registered"}),
        standing("A", category="msp", **{**gone, "previous_tier": "gold"}),
    ]
    assert account_values(program, account_of(program, rows))["previous_tier"] == "Gold"
