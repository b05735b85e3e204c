"""Rows that go straight through the driver are what SQLAlchemy would have made of them, and pages miss none."""

from __future__ import annotations

import pytest
from sqlalchemy import select

from crmsync.ledger import intents as outbox
from crmsync.ledger import many_rows
from crmsync.ledger import tables as t
from crmsync.ledger.intents import (
    Intent,
    Settled,
    count_of_plan,
    intents_in_pages,
    intents_of,
    last_written,
    problems_of,
    record_intents,
    record_outcomes,
    unwritten_partners,
)
from crmsync.ledger.ledger import Ledger

DIGEST, RUN = "d" * 64, "run-1"


def an_intent(number: int, sink: str = "") -> Intent:
    wanted = {"Tier__c": f"tier {number} \x00\ud800é", "Empty__c": None}
    return Intent(f"i{number:03}{sink}", RUN, DIGEST, f"r{number:03}", f"p{number:03}", wanted, {"Tier__c": "old"},
                  f"t{number:03}", sink=sink, object="Standing__c" if sink else "")  # fmt: skip


@pytest.fixture(autouse=True)
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(many_rows, "ROWS_AT_ONCE", 3)
    monkeypatch.setattr(outbox, "PAGE", 3)


def test_intents_come_back_as_they_went_in_and_in_their_order(ledger: Ledger) -> None:
    record_intents(ledger, DIGEST, RUN, (an_intent(number) for number in range(8)))
    found = intents_of(ledger, DIGEST, RUN)
    assert [one.intent_id for one in found] == [f"i{number:03}" for number in range(8)]
    assert found[7].wanted == {"Empty__c": None, "Tier__c": "tier 7 \x00\ufffdé"}
    assert found[7].pre_image == {"Tier__c": "old"}
    assert (found[7].state, found[7].attempts, found[7].object, found[7].first_failed_at) == ("pending", 0, "", None)


def test_recording_the_same_plan_again_changes_nothing(ledger: Ledger) -> None:
    for _ in range(2):
        record_intents(ledger, DIGEST, RUN, [an_intent(number) for number in range(4)])
    assert count_of_plan(ledger, DIGEST, RUN) == {"": {"pending": 4}}


def test_outcomes_fields_and_counts_are_kept_for_every_row(ledger: Ledger) -> None:
    intents = [*(an_intent(number) for number in range(7)), an_intent(7, "standings")]
    record_intents(ledger, DIGEST, RUN, intents)
    parked = Settled(intents[1], "parked", "CODE", "said \ud800")
    record_outcomes(ledger, [Settled(one, "applied") if one is not intents[1] else parked for one in intents[:6]])
    with ledger.reading() as connection:
        kept = connection.execute(select(t.outcome).order_by(t.outcome.c.sequence)).all()
    assert [(row.record_id, row.state) for row in kept] == [
        (f"r{number:03}", "parked" if number == 1 else "applied") for number in range(6)
    ]
    assert kept[1].message == "said \ufffd"
    assert last_written(ledger, "r005") == {"Tier__c": "tier 5 \ufffd\ufffdé", "Empty__c": None}
    assert last_written(ledger, "r001") == {}
    assert count_of_plan(ledger, DIGEST, RUN) == {
        "": {"applied": 5, "parked": 1, "pending": 1}, "standings": {"pending": 1},
    }  # fmt: skip
    assert list(count_of_plan(ledger, DIGEST, RUN)) == ["", "standings"]
    assert [one.intent_id for one in problems_of(ledger, DIGEST, RUN)] == ["i001"]
    assert unwritten_partners(ledger, DIGEST, RUN) == {"p001", "p006"}


def test_pages_hold_each_once_though_what_was_taken_changes_meanwhile(ledger: Ledger) -> None:
    record_intents(ledger, DIGEST, RUN, [an_intent(number) for number in range(8)])
    seen = []
    for page in intents_in_pages(ledger, DIGEST, RUN, "pending"):
        assert len(page) <= 3
        seen += [one.intent_id for one in page]
        record_outcomes(ledger, [Settled(one, "conflict") for one in page[::2]])
    assert seen == [f"i{number:03}" for number in range(8)]
