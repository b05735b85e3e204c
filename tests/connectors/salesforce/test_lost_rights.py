"""A right that is taken away while a run writes: the field is left out, the others are written, and the run says so."""

from __future__ import annotations

import json
from pathlib import Path

from crmsync.ledger.intents import last_written
from crmsync.ledger.ledger import Ledger
from crmsync.writeback.apply import apply_plan
from crmsync.writeback.changes import Change
from crmsync.writeback.fields import FieldMap
from crmsync.writeback.plan import Basis, Plan, sealed
from tests.connectors.salesforce.wire import ACCOUNT, DATA, Opened, Wire, entry, fault, ok
from tests.writeback.facts import AS_OF

ID = "001000000000001AAA"
NOW = {"Id": ID, "Tier__c": "Silver", "Why__c": "old", "Token__c": None}
FIELDS = FieldMap("Account", {"granted_tier": "Tier__c", "why": "Why__c"}, "Token__c")
REFUSED = fault(
    400,
    "INVALID_FIELD_FOR_INSERT_UPDATE",
    "Unable to create/update fields: Tier__c. Please check the security settings of this field.",
)


def the_plan() -> Plan:
    held = {name: NOW[name] for name in ("Tier__c", "Why__c", "Token__c")}
    change = Change(ID, ID, {"Tier__c": "Gold", "Why__c": "new"}, held, "test")
    basis = Basis("channel", "p" * 64, "c" * 64, "s" * 64, "d" * 64, {"partners": 1})
    return sealed(Plan("", "run-1", "", AS_OF, basis, FIELDS, 1, (change,), (), (), ()))


def test_a_field_that_may_no_longer_be_edited_is_left_out_of_the_next_try(
    wire: Wire, opened: Opened, tmp_path: Path
) -> None:
    tier = entry("Tier__c", "picklist", updateable=False)
    lost = [tier if field["name"] == "Tier__c" else field for field in ACCOUNT]
    descriptions = [ok({"name": "Account", "label": "Account", "fields": list(fields)}) for fields in (ACCOUNT, lost)]
    wire.on("GET", f"{DATA}/sobjects/Account/describe", *descriptions)
    wire.on("GET", rf"{DATA}/sobjects/Account/{ID}\?.*", ok(NOW, ETag='"v0"'))
    wire.on("POST", f"{DATA}/composite/sobjects/Account", ok([NOW]))
    wire.on("PATCH", f"{DATA}/sobjects/Account/{ID}", REFUSED, (204, {}, ""))
    with Ledger.open(tmp_path / "ledger") as ledger:
        outcomes = apply_plan(the_plan(), opened.connector, ledger, pause=lambda _: None)
        kept = last_written(ledger, ID)
    (problem,) = outcomes.problems
    assert (problem.state, problem.code) == ("parked", "FIELD_NOT_WRITTEN")
    assert problem.message == (
        "Account.Tier__c cannot be written by this user: give its permission set edit access; the other fields are "
        "written"
    )
    sent = [json.loads(call.body) for call in wire.made("PATCH", ".*")]
    assert [sorted(body) for body in sent] == [["Tier__c", "Token__c", "Why__c"], ["Token__c", "Why__c"]]
    assert sorted(kept) == ["Token__c", "Why__c"], "what was not written is not taken for ours"
