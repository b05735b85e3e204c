"""Words of a CRM that a database refuses: a NUL, half a surrogate pair. They stop nothing, on both databases."""

from __future__ import annotations

import pytest
from sqlalchemy import select

from crmsync.ledger import tables as t
from crmsync.ledger.audit import record_event
from crmsync.ledger.chain import verify_chain
from crmsync.ledger.intents import Intent, Settled, open_intents, record_intents, record_outcomes
from crmsync.ledger.ledger import Ledger

UGLY = {"a NUL": "refused\x00here", "half a pair": "refused\ud800here", "line separators": "refused\u2028\u0085here"}


@pytest.mark.parametrize("said", UGLY.values(), ids=list(UGLY))
def test_what_the_crm_says_of_a_record_can_always_be_noted(ledger: Ledger, said: str) -> None:
    intent = Intent("i1", "r1", "d1", "001", "P1", {"Name": said}, {"Name": None}, "t1")
    record_intents(ledger, "d1", "r1", [intent])
    record_outcomes(ledger, [Settled(intent, "parked", "ODD", said)])
    with ledger.writing() as connection:
        record_event(connection, "person_came", {"said": said}, f"shell:{said}")
    (kept,) = open_intents(ledger, "parked")
    expected = said.replace("\x00", "\ufffd").replace("\ud800", "\ufffd")
    assert kept.message == expected
    assert kept.wanted["Name"] == said.replace("\ud800", "\ufffd")  # JSON has an escape for a NUL
    with ledger.reading() as connection:
        assert connection.scalar(select(t.outcome.c.message)) == expected
    assert verify_chain(ledger).faults == ()
