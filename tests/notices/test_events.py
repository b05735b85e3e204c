"""What becomes an event, and when two events are the same one."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crmsync.notices.events import (
    Event,
    Lapsing,
    TierMove,
    certificate_events,
    falling_events,
    lead_of,
    override_events,
    tier_events,
    written_only,
)
from tests.writeback.facts import a_program, standing

TODAY = date(2026, 11, 21)
LEADS = (60, 30, 7)
PROGRAM = a_program()


def move(from_tier: str | None, to_tier: str | None, movement: str = "promoted", partner: str = "A") -> TierMove:
    return TierMove(partner, "all", TODAY, from_tier, to_tier, movement)


def told(moves: list[TierMove], rows: list[dict[str, Any]]) -> list[Event]:
    held = {(row["partner_id"], row["category"]): row for row in rows}
    return list(tier_events(PROGRAM, moves, held))


@pytest.mark.parametrize(
    ("before", "after", "name"),
    [
        ("silver", "gold", "promoted"),
        ("gold", "silver", "demoted"),
        (None, "silver", "promoted"),
        ("silver", None, "demoted"),
    ],
)
def test_a_change_of_tier_is_a_promotion_or_a_demotion(before: str | None, after: str | None, name: str) -> None:
    (event,) = told([move(before, after)], [standing("A", after)])
    assert (event.name, event.partner_id) == (name, "A")
    assert event.facts["to_tier"] == ({"gold": "Gold", "silver": "Silver", None: ""}[after])


def test_who_is_assessed_for_the_first_time_has_not_changed() -> None:
    assert told([move(None, "gold", "entered")], [standing("A", "gold")]) == []


def test_nobody_is_told_of_a_tier_before_the_account_is_written() -> None:
    soon = TODAY + timedelta(days=20)
    row = standing("A", "gold", grace_until=soon, overrides=[{"kind": "floor", "ends_on": soon.isoformat()}])
    of_tiers = [
        *told([move("silver", "gold")], [row]),
        *falling_events(PROGRAM, [row], TODAY, LEADS),
        *override_events(PROGRAM, [row], TODAY, LEADS),
    ]
    assert [event.name for event in of_tiers] == ["promoted", "grace", "will_fall", "override_ending"]
    of_people = list(certificate_events([Lapsing("A", "c1", "Sales", soon)], TODAY, LEADS))
    assert list(written_only([*of_tiers, *of_people], frozenset({"A"}))) == of_people
    assert list(written_only(of_tiers, frozenset({"B"}))) == of_tiers


def test_of_several_changes_the_newest_is_told_and_only_if_it_still_holds() -> None:
    moves = [move("silver", "gold"), move("gold", "registered", "demoted")]
    (event,) = told(moves, [standing("A", "registered")])
    assert event.facts["from_tier"] == "Gold"
    assert told(moves, [standing("A", "gold")]) == []


def test_a_tier_that_the_program_does_not_know_is_neither_up_nor_down() -> None:
    assert told([move("platinum", "gold")], [standing("A", "gold")]) == []


def falling(**given: Any) -> list[Event]:
    return list(falling_events(PROGRAM, [standing("A", "gold", **given)], TODAY, LEADS))


def test_a_grace_is_told_with_its_end_and_the_tier_after_it() -> None:
    events = falling(grace_until=TODAY + timedelta(days=90), calculated_tier="silver")
    assert [(event.name, event.facts["to_tier"]) for event in events] == [("grace", "Silver")]
    assert events[0].period == f"all|{TODAY + timedelta(days=90)}"


@pytest.mark.parametrize(
    ("days", "lead"), [(61, None), (60, 60), (31, 60), (30, 30), (8, 30), (7, 7), (1, 7), (0, None)]
)
def test_a_fall_is_told_60_30_and_7_days_before(days: int, lead: int | None) -> None:
    events = [event for event in falling(risk_on=TODAY + timedelta(days=days)) if event.name == "will_fall"]
    assert [event.facts["lead"] for event in events] == ([] if lead is None else [lead])


def test_a_tier_that_is_held_by_an_exception_is_not_told_to_fall() -> None:
    assert falling(earned_tier="silver", grace_until=TODAY + timedelta(days=20)) == []


def test_a_day_that_moves_a_little_is_the_same_event_and_the_end_of_a_grace_is_exact() -> None:
    first, second = (falling(risk_on=date(2026, 12, day))[0].period for day in (10, 12))
    assert first == second
    ends = [falling(grace_until=date(2026, 12, day))[-1].period for day in (10, 12)]
    assert ends[0] != ends[1]


def test_an_override_is_told_before_it_ends_with_the_tier_without_it() -> None:
    override = {"kind": "pin", "value": "gold", "ends_on": "2026-12-01", "reason": "deal", "tier_without": "silver"}
    forever = {**override, "ends_on": None}
    (event,) = override_events(PROGRAM, [standing("A", "gold", overrides=[override, forever])], TODAY, LEADS)
    assert (event.facts["days"], event.facts["tier_without"], event.facts["value"]) == (10, "Silver", "Gold")


def test_certificates_of_a_month_make_one_event() -> None:
    def one(person: str, day: int, credential: str = "Sales") -> Lapsing:
        return Lapsing("A", person, credential, date(2026, 12, day))

    lapsing = [one("c1", 20), one("c2", 20), one("c3", 24, "Tech"), Lapsing("A", "c4", "Tech", date(2027, 1, 4))]
    december, january = certificate_events(lapsing, TODAY, LEADS)
    assert [dict(each) for each in december.facts["certificates"]] == [
        {"credential": "Sales", "people": 2, "last_day": date(2026, 12, 20)},
        {"credential": "Tech", "people": 1, "last_day": date(2026, 12, 24)},
    ]
    assert (december.period, january.period) == ("2026-12|30", "2027-01|60")


@given(st.integers(-5, 120), st.sets(st.integers(1, 100), min_size=1, max_size=4))
def test_every_day_has_at_most_the_smallest_lead_that_holds_it(left: int, leads: set[int]) -> None:
    found = lead_of(TODAY + timedelta(days=left), TODAY, sorted(leads))
    holding = [lead for lead in leads if 0 < left <= lead]
    assert found == (min(holding) if holding else None)


def test_a_fall_names_the_metrics_that_the_reasons_name() -> None:
    (event,) = falling(risk_on=TODAY + timedelta(days=9), risk_reasons=["Certified people 4 (needs 5)"], risk="high",
                       progress=Decimal(1))  # fmt: skip
    assert event.facts["asked"] == ["people"]
