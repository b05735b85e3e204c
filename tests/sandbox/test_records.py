"""Single records: create, read, update, upsert, delete, conditional requests; refusals with code and text."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.sandbox.orgs import SCHEMA, Client, running, write_files


@pytest.fixture(scope="module")
def org(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    files: dict[str, str | bytes] = {"schema.yaml": SCHEMA, "Account.csv": "Name,Key__c\nFirst,first\nUsed,used\n"}
    with running("--data", str(write_files(tmp_path_factory.mktemp("org"), files))) as client:
        yield client


def refused(org: Client, values: dict[str, Any], name: str = "Account") -> tuple[int, dict[str, Any]]:
    answer = org.call("POST", f"/sobjects/{name}", json=values)
    return answer.status_code, answer.json()[0]


def test_a_record_lives_from_create_to_delete(org: Client) -> None:
    made = org.call(
        "POST", "/sobjects/account", json={"name": "New", "Score__c": "1.235", "Segments__c": "Referral;MSP"}
    )
    assert (made.status_code, made.json()["success"], made.json()["errors"]) == (201, True, [])
    path = f"/sobjects/Account/{made.json()['id']}"
    read = org.get(path, params={"fields": "Name,Score__c,Segments__c,Flag__c"}).json()
    assert (read["Name"], read["Score__c"], read["Segments__c"], read["Flag__c"]) == (
        "New",
        1.24,
        "MSP;Referral",
        False,
    )
    changed = org.call("PATCH", path, json={"Name": "Newer", "Score__c": None, "Flag__c": True})
    assert (changed.status_code, changed.content) == (204, b"")
    assert org.rows(f"SELECT Name, Score__c, Flag__c FROM Account WHERE Id = '{made.json()['id'][:15]}'") == [
        {"Name": "Newer", "Score__c": None, "Flag__c": True}
    ]
    assert org.call("DELETE", path).status_code == 204
    gone = org.call("PATCH", path, json={"Name": "x"})
    assert (gone.status_code, gone.json()[0]["errorCode"], gone.json()[0]["fields"]) == (404, "ENTITY_IS_DELETED", [])
    assert org.names(f"SELECT Id FROM Account WHERE Id = '{made.json()['id']}'") == []
    all_rows = org.get("/queryAll", params={"q": f"SELECT IsDeleted FROM Account WHERE Id = '{made.json()['id']}'"})
    assert all_rows.json()["records"][0]["IsDeleted"] is True


REFUSALS: list[tuple[str, dict[str, Any], str, str, list[str] | None]] = [
    ("Account", {}, "REQUIRED_FIELD_MISSING", "Required fields are missing: [Name]", ["Name"]),
    ("Account", {"Name": "x", "foo": 1}, "INVALID_FIELD", "No such column 'foo' on sobject of type Account", None),
    (
        "Account",
        {"Name": "x", "CreatedDate": "2020-01-01T00:00:00Z"},
        "INVALID_FIELD_FOR_INSERT_UPDATE",
        "Unable to create/update fields: CreatedDate. Please check the security settings of this field and verify that "
        "it is read/write for your profile or permission set.",
        ["CreatedDate"],
    ),
    (
        "Account",
        {"Name": "x", "BillingCity": "y" * 41},
        "STRING_TOO_LONG",
        f"Billing City: data value too large: {'y' * 41} (max length=40)",
        ["BillingCity"],
    ),
    (
        "Account",
        {"Name": "x", "Tier__c": "gold"},
        "INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST",
        "Tier: bad value for restricted picklist field: gold",
        ["Tier__c"],
    ),
    (
        "Account",
        {"Name": "x", "Tier__c": "Old"},
        "INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST",
        "Tier: bad value for restricted picklist field: Old",
        ["Tier__c"],
    ),
    (
        "Account",
        {"Name": "x", "Segments__c": "MSP;Nope"},
        "INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST",
        "Segments: bad value for restricted picklist field: MSP;Nope",
        ["Segments__c"],
    ),
    (
        "Account",
        {"Name": "x", "Score__c": 1000},
        "NUMBER_OUTSIDE_VALID_RANGE",
        "Score: value outside of valid range on numeric field: 1000",
        ["Score__c"],
    ),
    (
        "Account",
        {"Name": "x", "ParentId": "003000000000001AAA"},
        "MALFORMED_ID",
        "Parent Account ID: id value of incorrect type: 003000000000001AAA",
        ["ParentId"],
    ),
    (
        "Account",
        {"Name": "x", "ParentId": "001000000000001AAA"},
        "INVALID_CROSS_REFERENCE_KEY",
        "invalid cross reference id",
        ["ParentId"],
    ),
    (
        "Account",
        {"Name": "x", "Key__c": "USED"},
        "DUPLICATE_VALUE",
        "duplicate value found: Key__c duplicates value on record with id: 0017Q0000000002",
        [],
    ),
    (
        "Account",
        {"Name": "x", "Parent": {"Key__c": "nope"}},
        "INVALID_FIELD",
        "Foreign key external ID: nope not found for field Key__c in entity Account",
        [],
    ),
    (
        "Organization",
        {"Name": "x"},
        "INVALID_TYPE_FOR_OPERATION",
        "entity type Organization does not support create",
        None,
    ),
]


@pytest.mark.parametrize(("name", "values", "code", "message", "fields"), REFUSALS)
def test_a_bad_value_is_refused_by_code_text_and_field(
    org: Client, name: str, values: dict[str, Any], code: str, message: str, fields: list[str] | None
) -> None:
    status, error = refused(org, values, name)
    assert (status, error["errorCode"], error["message"], error.get("fields")) == (400, code, message, fields)


@pytest.mark.parametrize(
    "values",
    [
        {"Score__c": "abc"},
        {"Flag__c": "x"},
        {"Joined__c": "31.12.2026"},
        {"Joined__c": "2026-02-30"},
        {"Name": 5},
        {"Score__c": True},
        {"Score__c": []},
        {"Seen__c": "soon"},
        {"ParentId": 5},
    ],
)
def test_a_value_of_another_type_is_a_parser_error(org: Client, values: dict[str, Any]) -> None:
    status, error = refused(org, {"Name": "x"} | values)
    assert (status, error["errorCode"]) == (400, "JSON_PARSER_ERROR")


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b"5", b"\xff", b'{"Name": NaN}', b"[" * 100_000, b'{"Name":1' + b"0" * 9999]
)
def test_a_body_that_is_no_json_object_is_refused(org: Client, body: bytes) -> None:
    answer = org.call("POST", "/sobjects/Account", data=body)
    assert (answer.status_code, answer.json()[0]["errorCode"]) == (400, "JSON_PARSER_ERROR")


def test_lone_surrogates_in_json_become_replacement_signs(org: Client) -> None:
    answer = org.call("POST", "/sobjects/Account", data=b'{"Name": "a\\ud800b"}')
    assert org.names(f"SELECT Name FROM Account WHERE Id = '{answer.json()['id']}'") == ["a?b"]


def test_outer_blanks_are_cut_and_empty_text_is_null(org: Client) -> None:
    record_id = org.create("Account", Name="  blank  ", Site="  ")
    assert org.rows(f"SELECT Name, Site FROM Account WHERE Id = '{record_id}'") == [{"Name": "blank", "Site": None}]


def test_upsert_creates_then_updates_then_finds_several(org: Client) -> None:
    path = "/sobjects/Account/Key__c/up%2Fs%20ert"
    made = org.call("PATCH", path, json={"Name": "U"})
    assert (made.status_code, made.json()["created"]) == (201, True)
    again = org.call("PATCH", path, json={"Name": "U2"})
    assert (again.status_code, again.json()) == (
        200,
        {"id": made.json()["id"], "success": True, "errors": [], "created": False},
    )
    assert org.call("PATCH", path.replace("ups", "UPS"), json={"Name": "U3"}).status_code == 200
    assert org.get(path).json()["Key__c"] == "up/s ert"
    for _ in range(2):
        org.create("Account", Name="twin", Group__c="g")
    several = org.call("PATCH", "/sobjects/Account/Group__c/g", json={"Name": "x"})
    assert several.status_code == 300
    assert [url.rpartition("/")[0] for url in several.json()] == ["/services/data/v67.0/sobjects/Account"] * 2


def test_upsert_refuses_unknown_keys_key_in_body_and_creation_on_request(org: Client) -> None:
    unknown = org.call("PATCH", "/sobjects/Account/Nope__c/1", json={"Name": "x"})
    assert (unknown.status_code, unknown.json()[0]["message"]) == (
        404,
        "Provided external ID field does not exist or is not accessible: Nope__c",
    )
    assert org.call("PATCH", "/sobjects/Account/Key__c/n", json={"Name": "x", "Key__c": "n"}).status_code == 400
    assert org.call("PATCH", "/sobjects/Account/Key__c/n?updateOnly=true", json={"Name": "x"}).status_code == 404
    old = org.call("PATCH", "//services/data/v45.0/sobjects/Account/Key__c/first", json={"Name": "First"})
    assert (old.status_code, old.text) == (204, "")


def test_case_sensitive_keys_tell_upper_from_lower(org: Client) -> None:
    for key in ("abc", "ABC"):
        assert org.call("PATCH", f"/sobjects/Cert__c/Key__c/{key}", json={}).status_code == 201


def test_account_updates_hold_to_their_etag(org: Client) -> None:
    path = f"/sobjects/Account/{org.create('Account', Name='Tagged')}"
    tag = org.get(path).headers["ETag"]
    assert org.get(path, headers={"If-None-Match": tag}).status_code == 304
    assert org.call("PATCH", path, json={"Name": "one"}, headers={"If-Match": tag}).status_code == 204
    stale = org.call("PATCH", path, json={"Name": "two"}, headers={"If-Match": tag})
    assert (stale.status_code, org.get(path).json()["Name"]) == (412, "one")
    assert org.call("PATCH", path, json={"Name": "two"}, headers={"If-Match": "*"}).status_code == 204
    old = {"If-Unmodified-Since": "Wed, 01 Jul 2020 00:00:00 GMT"}
    assert org.call("PATCH", path, json={"Name": "three"}, headers=old).status_code == 412
    cert = f"/sobjects/Cert__c/{org.create('Cert__c')}"
    assert "ETag" not in org.get(cert).headers


def test_writing_moves_the_stamp_and_the_last_modifier(org: Client) -> None:
    record_id = org.create("Account", Name="Stamped")
    soql = f"SELECT SystemModstamp, LastModifiedBy.Name FROM Account WHERE Id = '{record_id}'"
    before = org.rows(soql)[0]
    org.call("PATCH", f"/sobjects/Account/{record_id}", json={"Name": "Stamped"})
    after = org.rows(soql)[0]
    assert before["SystemModstamp"] < after["SystemModstamp"]
    assert after["SystemModstamp"].startswith("2026-07-01T")
    assert after["LastModifiedBy"]["Name"] == "Integration User"


def test_stage_and_date_give_the_derived_fields(org: Client) -> None:
    record_id = org.create("Opportunity", Name="d", StageName="Prospecting", CloseDate="2026-05-01", Amount=100)
    shown = (
        "SELECT IsClosed, IsWon, Probability, ExpectedRevenue, Fiscal FROM Opportunity WHERE Id = '" + record_id + "'"
    )
    assert list(org.rows(shown)[0].values()) == [False, False, 10.0, 10.0, "2026 2"]
    org.call("PATCH", f"/sobjects/Opportunity/{record_id}", json={"StageName": "Closed Won", "CloseDate": "2026-07-01"})
    assert list(org.rows(shown)[0].values()) == [True, True, 100.0, 100.0, "2026 3"]


def test_deleting_a_parent_clears_lookups_and_takes_details_along(org: Client) -> None:
    account = org.create("Account", Name="Parent")
    cert = org.create("Cert__c", Account__c=account)
    line = org.create("Line__c", Cert__c=cert)
    assert org.rows(f"SELECT Name FROM Cert__c WHERE Id = '{cert}'")[0]["Name"].startswith("C-00")
    org.call("DELETE", f"/sobjects/Account/{account}")
    assert org.rows(f"SELECT Account__c FROM Cert__c WHERE Id = '{cert}'") == [{"Account__c": None}]
    org.call("DELETE", f"/sobjects/Cert__c/{cert}")
    assert org.names(f"SELECT Id FROM Line__c WHERE Id = '{line}'") == []


def test_updated_and_deleted_list_ids_in_a_span(org: Client) -> None:
    kept, gone = org.create("Account", Name="k"), org.create("Account", Name="g")
    org.call("DELETE", f"/sobjects/Account/{gone}")
    span = {"start": "2026-07-01T00:00:00+00:00", "end": "2026-07-02T00:00:00+00:00"}
    assert kept in org.get("/sobjects/Account/updated", params=span).json()["ids"]
    assert gone in [entry["id"] for entry in org.get("/sobjects/Account/deleted", params=span).json()["deletedRecords"]]
    wrong = org.get("/sobjects/Account/updated", params={"start": span["end"], "end": span["start"]})
    assert (wrong.status_code, wrong.json()[0]["errorCode"]) == (400, "INVALID_REPLICATION_DATE")


def test_unknown_and_malformed_ids_are_not_found(org: Client) -> None:
    assert org.get("/sobjects/Account/001000000000009AAA").json()[0]["errorCode"] == "NOT_FOUND"
    assert org.get("/sobjects/Account/nope").status_code == 404
    assert org.get("/sobjects/Nope/001000000000009AAA").status_code == 404


def test_bodies_may_be_gzipped_and_bad_gzip_is_refused(org: Client) -> None:
    headers = {"Content-Encoding": "gzip", "Content-Type": "application/json"}
    packed = gzip.compress(json.dumps({"Name": "zipped"}).encode())
    assert org.call("POST", "/sobjects/Account", data=packed, headers=headers).status_code == 201
    assert org.call("POST", "/sobjects/Account", data=b"nope", headers=headers).status_code == 400


def test_calls_without_a_valid_token_are_refused(org: Client) -> None:
    for header in ({}, {"Authorization": "Bearer nope"}, {"Authorization": "Basic x"}):
        answer = org.session.get(org.url("/limits"), headers={"Authorization": ""} | header, timeout=30)
        assert (answer.status_code, answer.json()) == (
            401,
            [{"message": "Session expired or invalid", "errorCode": "INVALID_SESSION_ID"}],
        )


def test_effects_count_calls_and_changes_per_record_but_no_refusals(org: Client) -> None:
    record_id = org.create("Account", Name="counted")
    assert org.session.delete(org.url("//__sandbox/effects"), timeout=30).status_code == 204
    path = f"/sobjects/Account/{record_id}"
    org.call("PATCH", path, json={"Name": "a"})
    org.call("PATCH", path, json={"Name": "b"})
    org.call("PATCH", path, json={"Tier__c": "nope"})
    org.get(path)
    assert org.effects() == {
        "calls": {"read": 1, "write": 3},
        "by_endpoint": {"GET /sobjects/{object}/{id}": 1, "PATCH /sobjects/{object}/{id}": 3},
        "records": {"Account": {record_id: 2}},
        "running": 0,
    }


def test_a_partner_of_an_opportunity_is_shown_there_as_well(org: Client) -> None:
    account = org.create("Account", Name="Reseller")
    deal = org.create("Opportunity", Name="Deal", StageName="Prospecting", CloseDate="2026-05-01")
    partner = org.create("Partner", OpportunityId=deal, AccountToId=account, Role="VAR/Reseller", IsPrimary=True)
    shown = f"SELECT AccountToId, Role, IsPrimary FROM OpportunityPartner WHERE OpportunityId = '{deal}'"
    assert org.rows(shown) == [{"AccountToId": account, "Role": "VAR/Reseller", "IsPrimary": True}]
    assert org.call("DELETE", f"/sobjects/Partner/{partner}").text == ""
    assert org.rows(shown) == []
    org.create("Partner", AccountFromId=account, AccountToId=org.create("Account", Name="Other"))
    assert org.rows(shown) == []
