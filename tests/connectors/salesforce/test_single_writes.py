"""One record: written only while it holds what the plan saw; an outcome nobody saw is `unknown`, never repeated."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import requests

from crmsync.connectors.base import Into, Write
from crmsync.errors import AccessError, Deferred
from tests.connectors.salesforce.wire import (
    ACCOUNT,
    DATA,
    MAP,
    Answer,
    Opened,
    Wire,
    entry,
    fault,
    html,
    ok,
    open_connector,
)

ID = "001000000000001AAA"
RECORD = f"{DATA}/sobjects/Account/{ID}"
NOW: dict[str, Any] = {
    "Id": ID,
    "Tier__c": "Silver",
    "Progress__c": 40.0,
    "Token__c": None,
    "attributes": {"type": "Account"},
}
WRITE = Write(
    ID, {"Tier__c": "Gold", "Progress__c": "85", "Token__c": "t2"}, {"Tier__c": "Silver", "Progress__c": "40"}
)
DONE: Answer = (204, {}, "")


def holds(wire: Wire, *records: Mapping[str, Any]) -> None:
    """What the record holds, look by look."""
    wire.on("GET", rf"{RECORD}\?.*", *(ok({**NOW, **record}, ETag=f'"v{n}"') for n, record in enumerate(records)))


def test_a_changed_value_is_written_on_the_condition_of_what_was_seen(wire: Wire, opened: Opened) -> None:
    holds(wire, {})
    wire.on("PATCH", RECORD, DONE)
    assert opened.connector.write_one(WRITE).state == "applied"
    (call,) = wire.made("PATCH", ".*")
    assert call.headers["If-Match"] == '"v0"'
    assert json.loads(call.body) == {"Tier__c": "Gold", "Progress__c": 85, "Token__c": "t2"}
    assert opened.connector.writes_used == 1


def test_numbers_are_sent_digit_by_digit(wire: Wire, opened: Opened) -> None:
    holds(wire, {})
    wire.on("PATCH", RECORD, DONE)
    opened.connector.write_one(Write(ID, {"Progress__c": "12345678901234567.89"}, {"Progress__c": "40"}))
    assert '"Progress__c": 12345678901234567.89' in wire.made("PATCH", ".*")[0].body


def test_clearing_sends_null_and_texts_go_on_one_line(wire: Wire, opened: Opened) -> None:
    holds(wire, {"Why__c": "old", "Provisional__c": True})
    wire.on("PATCH", RECORD, DONE)
    wanted = {"Tier__c": None, "Why__c": "a\nb\r\nc", "Provisional__c": "false"}
    opened.connector.write_one(Write(ID, wanted, {"Tier__c": "Silver"}))
    assert json.loads(wire.made("PATCH", ".*")[0].body) == {"Tier__c": None, "Why__c": "a b c", "Provisional__c": False}


def test_a_record_that_already_holds_the_values_is_not_written(wire: Wire, opened: Opened) -> None:
    holds(wire, {"Tier__c": "Gold", "Progress__c": 85.00, "Token__c": "t2"})
    assert opened.connector.write_one(WRITE).state == "applied"
    assert opened.connector.writes_used == 0


def test_a_record_that_somebody_changed_is_a_conflict_and_not_written(wire: Wire, opened: Opened) -> None:
    holds(wire, {"Tier__c": "Bronze"})
    written = opened.connector.write_one(WRITE)
    assert (written.state, written.code) == ("conflict", "CHANGED")
    assert written.message == "Tier__c holds `Bronze`, the plan saw `Silver`"
    assert opened.connector.writes_used == 0


def test_an_edit_between_look_and_write_is_looked_at_again(wire: Wire, opened: Opened) -> None:
    holds(wire, {}, {"Tier__c": "Bronze"})
    wire.on("PATCH", RECORD, fault(412, "ENTITY_CHANGED"))
    assert opened.connector.write_one(WRITE).state == "conflict"


def test_an_edit_of_other_fields_does_not_hinder_the_write(wire: Wire, opened: Opened) -> None:
    holds(wire, {}, {})
    wire.on("PATCH", RECORD, fault(412, "ENTITY_CHANGED"), DONE)
    assert opened.connector.write_one(WRITE).state == "applied"
    assert [call.headers["If-Match"] for call in wire.made("PATCH", ".*")] == ['"v0"', '"v1"']


@pytest.mark.parametrize(
    "answer",
    [
        html(503),
        fault(500, "UNKNOWN_EXCEPTION"),
        (0, {}, requests.ReadTimeout()),
        (0, {}, requests.ConnectionError("reset")),
        html(200),
        (0, {}, requests.exceptions.ChunkedEncodingError("cut")),
    ],
)
def test_a_write_whose_answer_was_lost_is_unknown_and_sent_once(wire: Wire, opened: Opened, answer: Answer) -> None:
    holds(wire, {})
    wire.on("PATCH", RECORD, answer)
    assert opened.connector.write_one(WRITE).state == "unknown"
    assert len(wire.made("PATCH", ".*")) == 1


@pytest.mark.parametrize(
    "answer",
    [
        html(429, Retry_After="1"),
        fault(400, "UNABLE_TO_LOCK_ROW", "unable to obtain exclusive access"),
        fault(403, "REQUEST_LIMIT_EXCEEDED", "ConcurrentRequests (Concurrent API Requests) Limit exceeded."),
    ],
)
def test_a_write_that_was_certainly_not_done_is_sent_again(wire: Wire, opened: Opened, answer: Answer) -> None:
    holds(wire, {})
    wire.on("PATCH", RECORD, answer, DONE)
    assert opened.connector.write_one(WRITE).state == "applied"
    assert len(wire.made("PATCH", ".*")) == 2


def test_a_record_that_stays_locked_is_an_answer_and_takes_little_of_the_waiting(wire: Wire, opened: Opened) -> None:
    """The outbox tries it again; the waiting of the run is for a CRM that does not answer."""
    holds(wire, {})
    wire.on("PATCH", RECORD, fault(400, "UNABLE_TO_LOCK_ROW", "unable to obtain exclusive access"))
    written = opened.connector.write_one(WRITE)
    assert (written.state, written.code) == ("failed", "UNABLE_TO_LOCK_ROW")
    assert written.message == "unable to obtain exclusive access"
    assert len(wire.made("PATCH", ".*")) == 2


@pytest.mark.parametrize(
    ("status", "code", "message"),
    [
        (400, "FIELD_CUSTOM_VALIDATION_EXCEPTION", "Gold partners need a business plan"),
        (400, "CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY", "Trigger: System.LimitException"),
        (400, "INVALID_FIELD_FOR_INSERT_UPDATE", "Unable to create/update fields: Tier__c"),
        (400, "STRING_TOO_LONG", "Token: data value too large"),
        (403, "INSUFFICIENT_ACCESS_OR_READONLY", "insufficient access rights on object id"),
        (404, "ENTITY_IS_DELETED", "entity is deleted"),
    ],
)
def test_a_refused_record_fails_with_salesforces_own_words(
    wire: Wire, opened: Opened, status: int, code: str, message: str
) -> None:
    holds(wire, {})
    wire.on("PATCH", RECORD, fault(status, code, message))
    written = opened.connector.write_one(WRITE)
    assert (written.state, written.code, written.message) == ("failed", code, message)


def test_a_record_that_is_gone_fails(wire: Wire, opened: Opened) -> None:
    wire.on("GET", rf"{RECORD}\?.*", fault(404, "NOT_FOUND", "The requested resource does not exist"))
    assert opened.connector.write_one(WRITE).code == "NOT_FOUND"


def test_an_allowance_that_is_used_up_defers_and_writes_nothing(wire: Wire, opened: Opened) -> None:
    wire.on("GET", rf"{RECORD}\?.*", fault(403, "REQUEST_LIMIT_EXCEEDED", "TotalRequests Limit exceeded."))
    with pytest.raises(Deferred):
        opened.connector.write_one(WRITE)
    assert opened.connector.writes_used == 0


def test_a_record_id_never_leaves_its_place_in_the_address(wire: Wire, opened: Opened) -> None:
    wire.on("GET", r".*%2F.*", fault(404, "NOT_FOUND"))
    opened.connector.write_one(Write("../../limits?x", {"Tier__c": "Gold"}, {}))
    assert not wire.made("GET", ".*/limits.*")


def test_an_answer_that_tells_of_another_record_says_nothing_about_this_one(wire: Wire, opened: Opened) -> None:
    """Several records in one call are answered in their order; an id that is another's shows that it was lost."""
    other = "001000000000002AAA"
    said = [{"id": other, "success": True, "errors": []}, {"id": ID[:15], "success": True, "errors": []}]
    wire.on("PATCH", f"{DATA}/composite/sobjects", ok(said), ok(said[::-1]))
    target = opened.connector.into(Into("Account"))
    writes = [Write(one, {"Why__c": "x"}, {}) for one in (ID, other)]
    assert [one.state for one in target.write_several(writes)] == ["unknown", "unknown"]
    assert [one.state for one in target.write_several(writes)] == ["applied", "applied"]


# --- before the first write: the fields and their values


def refused(wire: Wire, opened: Opened, write: Write, match: str) -> None:
    """Nothing is written, and the message says why."""
    holds(wire, {})
    with pytest.raises(AccessError, match=match):
        opened.connector.check_writes([write])
    with pytest.raises(AccessError, match=match):
        opened.connector.write_one(write)
    with pytest.raises(AccessError, match=match):
        opened.connector.upload_job("750", [write])
    assert opened.connector.writes_used == 0


def test_a_value_that_the_picklist_lacks_is_refused(wire: Wire, opened: Opened) -> None:
    refused(
        wire, opened, Write(ID, {"Tier__c": "Golden"}, {}),
        rf"Account\.Tier__c has no active picklist value `Golden` \(wanted for Account {ID}\); did you mean Gold\?",
    )  # fmt: skip


def test_an_inactive_value_is_refused(wire: Wire, opened: Opened) -> None:
    refused(wire, opened, Write(ID, {"Tier__c": "Bronze"}, {}), "no active picklist value `Bronze`")


def test_a_field_that_the_org_lacks_is_named_with_the_line_of_the_map(wire: Wire, opened: Opened) -> None:
    wire.describe("Account", [field for field in ACCOUNT if field["name"] != "Why__c"])
    refused(wire, opened, WRITE, r"salesforce\.yaml:15: field Account\.Why__c does not exist in this org or is hidden")


def test_a_field_that_may_not_be_edited_is_named(wire: Wire, opened: Opened) -> None:
    locked = [
        entry("Tier__c", "picklist", updateable=False) if field["name"] == "Tier__c" else field for field in ACCOUNT
    ]
    wire.describe("Account", locked)
    refused(wire, opened, WRITE, r"Account\.Tier__c cannot be written by this user")


def test_a_field_outside_of_the_map_is_checked_too(wire: Wire, opened: Opened) -> None:
    refused(wire, opened, Write(ID, {"Locked__c": "x"}, {}), r"Account\.Locked__c cannot be written")
    refused(wire, opened, Write(ID, {"Nothing__c": "x"}, {}), r"Account\.Nothing__c does not exist")


def test_a_field_that_went_away_since_the_extract_is_noticed(wire: Wire, opened: Opened) -> None:
    wire.counts("Account", 0)
    wire.page("Account", ok({"totalSize": 0, "done": True, "records": []}))
    opened.connector.extract(["partners"], opened.staging)
    wire.describe("Account", [field for field in ACCOUNT if field["name"] != "Token__c"])
    refused(wire, opened, WRITE, "Token__c does not exist")


def test_a_map_without_writes_cannot_write(wire: Wire, tmp_path: Path) -> None:
    del wire
    opened = open_connector(tmp_path, MAP.split("writes:")[0])
    with pytest.raises(Exception, match="no `writes:` in this field map"):
        opened.connector.write_one(WRITE)


# --- reading back


def test_values_are_read_back_in_canonical_form(wire: Wire, opened: Opened) -> None:
    record = {
        "Tier__c": None,
        "Progress__c": 85.50,
        "Segments__c": "Resale;MSP",
        "Provisional__c": False,
        "Why__c": "a\r\nb ",
    }
    wire.on("POST", f"{DATA}/composite/sobjects/Account", ok([{"attributes": {}, "Id": ID, **record}, None]))
    names = ["Tier__c", "Progress__c", "Segments__c", "Provisional__c", "Why__c"]
    read = opened.connector.read([ID, "001000000000002AAA"], names)
    assert read == {
        ID: {
            "Tier__c": None,
            "Progress__c": "85.5",
            "Segments__c": "MSP;Resale",
            "Provisional__c": "false",
            "Why__c": "a b",
        }
    }


def test_records_are_read_2000_at_a_time(wire: Wire, opened: Opened) -> None:
    nothing = [ok([None] * count) for count in (2_000, 2_000, 1)]
    wire.on("POST", f"{DATA}/composite/sobjects/Account", *nothing)
    opened.connector.read([f"001{number:012d}AAA" for number in range(4_001)], ["Tier__c"])
    sizes = [len(json.loads(call.body)["ids"]) for call in wire.made("POST", ".*composite.*")]
    assert sizes == [2000, 2000, 1]


def test_reading_back_is_repeated_after_a_fault(wire: Wire, opened: Opened) -> None:
    wire.on("POST", f"{DATA}/composite/sobjects/Account", html(503), ok([{"Id": ID, "Tier__c": "Gold"}]))
    assert opened.connector.read([ID], ["Tier__c"]) == {ID: {"Tier__c": "Gold"}}


def test_fifteen_and_eighteen_sign_ids_are_the_same_record(wire: Wire, opened: Opened) -> None:
    wire.on("POST", f"{DATA}/composite/sobjects/Account", ok([{"Id": ID, "Tier__c": "Gold"}]))
    assert opened.connector.read([ID[:15]], ["Tier__c"]) == {ID[:15]: {"Tier__c": "Gold"}}
