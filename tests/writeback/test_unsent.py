"""What the ledger calls last written was written: a record that no call was made for keeps its former token."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from crmsync.connectors.base import Unwritable, Written
from crmsync.ledger.intents import last_written, open_intents
from crmsync.ledger.ledger import Ledger
from crmsync.writeback.apply import apply_plan
from tests.writeback.facts import a_plan
from tests.writeback.org import Org

ONE, TIER, RISK = "001A", "granted_tier__c", "risk__c"
HELD: dict[str, str | None] = {TIER: "Silver", RISK: "high", "token__c": None}


class Narrowing(Org):
    """An org in which the risk has become read-only."""

    def unwritable(self, fields: Sequence[str]) -> dict[str, Unwritable]:
        return {name: Unwritable(f"{name} is read-only", hidden=False) for name in fields if name == RISK}

    def effect(self, record_id: str, values: Mapping[str, str | None]) -> Written:
        assert RISK in values
        return Written(record_id, "failed", "INVALID_FIELD_FOR_INSERT_UPDATE", f"{RISK} cannot be written")


def no_pause(_: float) -> None:
    return None


def test_what_people_wrote_just_so_is_applied_without_a_token_of_ours(ledger: Ledger) -> None:
    org = Org(bulk_from=1)
    org.put(ONE, {**HELD, TIER: "Gold"})
    assert apply_plan(a_plan("run-1", {ONE: {TIER: "Gold"}}, {ONE: HELD}), org, ledger, pause=no_pause).applied == 1
    assert org.write_calls() == 0
    assert last_written(ledger, ONE) == {TIER: "Gold"}


def test_a_record_whose_only_change_cannot_be_written_is_not_called_written(ledger: Ledger) -> None:
    org = Narrowing()
    org.put(ONE, HELD)
    apply_plan(a_plan("run-1", {ONE: {RISK: "low"}}, {ONE: HELD}), org, ledger, pause=no_pause)
    (parked,) = open_intents(ledger, "parked")
    assert (parked.code, parked.message) == ("FIELD_NOT_WRITTEN", "risk__c is read-only; nothing was written")
    assert last_written(ledger, ONE) == {}
    assert org.held(ONE) == HELD
