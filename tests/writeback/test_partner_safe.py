"""What a partner may see never tells what is internal, whatever the internal texts say."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from crmsync.programs.program import Unit
from crmsync.writeback.partner_safe import partner_texts
from tests.writeback.facts import a_program, metric, missing, standing

PERSON, OTHER, REASON = "Anna Ferrari", "Nordlicht GmbH", "strategic account of the board"
INTERNAL = re.compile(rf"{PERSON}|{OTHER}|{REASON}|risk|override|grace|provisional|pin|floor", re.IGNORECASE)
WORDS = st.sampled_from([PERSON, OTHER, REASON, "at risk of demotion", "override pin"])
TIERS = st.sampled_from(["registered", "silver", "gold", None])


def texts(row: dict[str, Any]) -> dict[str, str | None]:
    return partner_texts(a_program(), row)


def test_the_texts_name_tier_next_tier_and_what_is_missing() -> None:
    assert texts(standing("A")) == {
        "partner_safe.tier": "Silver",
        "partner_safe.next_tier": "Gold",
        "partner_safe.gap": "Certified people 4 (needs 5)",
    }


@given(WORDS, TIERS, TIERS, st.sampled_from(["people", "revenue", f"revenue[{OTHER}]", "risk_score", "nobody"]))
def test_no_internal_word_reason_person_or_other_partner_leaks(
    said: str, granted: str | None, calculated: str | None, asked: str
) -> None:
    entry = {**missing(asked, "4", "5"), "path": "all/2", "reason": said, "levers": [said]}
    row = standing(
        "A", granted, calculated_tier=calculated, gap=[entry], gap_summary=said, main_blocker=said, risk="high",
        risk_reasons=[said], provisional=True, provisional_reasons=[said], grace_until="2027-01-31",
        overrides=[{"kind": "pin", "value": "gold", "reason": REASON, "approved_by": PERSON}],
    )  # fmt: skip
    shown = " ".join(text or "" for text in texts(row).values())
    assert not INTERNAL.search(shown), shown


def test_a_value_that_is_text_is_not_shown() -> None:
    program = a_program()
    named = replace(program, metrics={**program.metrics, "people": metric("people", Unit.TEXT, "Sponsor")})
    row = standing("A", gap=[{**missing("people", PERSON, OTHER), "path": "all/2"}])
    assert partner_texts(named, row)["partner_safe.gap"] == "Sponsor"


def test_a_metric_of_risk_is_left_out() -> None:
    program = a_program()
    risky = replace(program, metrics={**program.metrics, "people": metric("people", Unit.NUMBER, "Churn risk")})
    row = standing("A", gap=[{**missing("people", "4", "5"), "path": "all/2"}])
    assert partner_texts(risky, row)["partner_safe.gap"] is None


def test_a_tier_that_is_held_by_an_exception_does_not_tell_so() -> None:
    pinned = standing("A", "gold", calculated_tier="silver", next_tier="gold")
    assert texts(pinned) == {
        "partner_safe.tier": "Gold", "partner_safe.next_tier": None, "partner_safe.gap": None,
    }  # fmt: skip
