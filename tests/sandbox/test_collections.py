"""Many records in one call: collections answer in order, all or none, and the composite request."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.sandbox.orgs import SCHEMA, Client, running, write_files


@pytest.fixture(scope="module")
def org(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    files: dict[str, str | bytes] = {"schema.yaml": SCHEMA, "Account.csv": "Name,Key__c\nFirst,first\nSecond,second\n"}
    with running("--data", str(write_files(tmp_path_factory.mktemp("org"), files))) as client:
        yield client


def account(**values: Any) -> dict[str, Any]:
    return {"attributes": {"type": "Account"}} | values


def collection(org: Client, method: str, records: list[dict[str, Any]], path: str = "", whole: bool = False) -> Any:
    answer = org.call(method, f"/composite/sobjects{path}", json={"allOrNone": whole, "records": records})
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_results_stand_in_the_order_of_the_records(org: Client) -> None:
    results = collection(org, "POST", [account(Name="a"), account(), {"attributes": {"type": "Cert__c"}}])
    assert [result["success"] for result in results] == [True, False, True]
    assert results[1]["errors"] == [
        {"statusCode": "REQUIRED_FIELD_MISSING", "message": "Required fields are missing: [Name]", "fields": ["Name"]}
    ]
    assert results[2]["id"].startswith("a00")


def test_all_or_none_rolls_back_and_counts_no_effect(org: Client) -> None:
    org.session.delete(org.url("//__sandbox/effects"), timeout=30)
    results = collection(org, "POST", [account(Name="rolled"), account()], whole=True)
    assert [result["errors"][0]["statusCode"] for result in results] == [
        "ALL_OR_NONE_OPERATION_ROLLED_BACK",
        "REQUIRED_FIELD_MISSING",
    ]
    assert org.names("SELECT Id FROM Account WHERE Name = 'rolled'") == []
    assert org.effects()["records"] == {}


def test_updates_take_the_id_in_any_case_and_refuse_unknown_ones(org: Client) -> None:
    first = org.names("SELECT Id FROM Account WHERE Key__c = 'first'")[0]
    results = collection(
        org, "PATCH", [account(id=first, Site="here"), account(Id="001000000000009AAA", Site="x"), account(Site="y")]
    )
    assert [result["success"] for result in results] == [True, False, False]
    assert results[1]["errors"][0]["statusCode"] == "INVALID_CROSS_REFERENCE_KEY"
    assert results[2]["errors"][0]["statusCode"] == "MISSING_ARGUMENT"
    assert org.names("SELECT Site FROM Account WHERE Key__c = 'first'") == ["here"]


def test_upserts_tell_created_from_updated_and_refuse_a_repeated_key(org: Client) -> None:
    records = [
        account(Key__c="first", Name="First"),
        account(Key__c="brand new", Name="N"),
        account(Key__c="d", Name="1"),
        account(Key__c="D", Name="2"),
    ]
    results = collection(org, "PATCH", records, "/Account/Key__c")
    assert [result.get("created") for result in results] == [False, True, None, None]
    assert results[2]["errors"][0]["statusCode"] == "DUPLICATE_VALUE"


def test_at_most_200_records_per_call(org: Client) -> None:
    body = {"records": [account(Name="x")] * 201}
    answer = org.call("POST", "/composite/sobjects", json=body)
    assert (answer.status_code, answer.json()[0]["errorCode"]) == (400, "EXCEEDED_ID_LIMIT")


def test_delete_and_retrieve_by_ids(org: Client) -> None:
    ids = [org.create("Account", Name=f"r{number}") for number in range(2)]
    unknown = "001000000000009AAA"
    read = org.call(
        "POST", "/composite/sobjects/Account", json={"ids": [ids[1], unknown, ids[0]], "fields": ["Name"]}
    ).json()
    assert [record and record["Name"] for record in read] == ["r1", None, "r0"]
    deleted = org.call("DELETE", f"/composite/sobjects?ids={ids[0]},{unknown}").json()
    assert [result["success"] for result in deleted] == [True, False]


def composite(org: Client, requests: list[dict[str, Any]], whole: bool = False) -> list[dict[str, Any]]:
    answer = org.call("POST", "/composite", json={"allOrNone": whole, "compositeRequest": requests})
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json()["compositeResponse"]
    return found


ROOT = "/services/data/v67.0"


def test_later_calls_use_what_earlier_ones_answered(org: Client) -> None:
    made, cert, read = composite(
        org,
        [
            {"method": "POST", "url": f"{ROOT}/sobjects/Account", "referenceId": "acc", "body": {"Name": "Ref"}},
            {
                "method": "POST",
                "url": f"{ROOT}/sobjects/Cert__c",
                "referenceId": "cert",
                "body": {"Account__c": "@{acc.id}"},
            },
            {"method": "GET", "url": f"{ROOT}/sobjects/Cert__c/@{{cert.id}}?fields=Account__c", "referenceId": "read"},
        ],
    )
    assert (made["httpStatusCode"], cert["httpStatusCode"], read["httpStatusCode"]) == (201, 201, 200)
    assert read["body"]["Account__c"] == made["body"]["id"]


def test_one_failure_undoes_all_when_asked_for(org: Client) -> None:
    requests = [
        {"method": "POST", "url": f"{ROOT}/sobjects/Account", "referenceId": "a", "body": {"Name": "halted"}},
        {"method": "POST", "url": f"{ROOT}/sobjects/Account", "referenceId": "b", "body": {}},
        {"method": "POST", "url": f"{ROOT}/sobjects/Account", "referenceId": "c", "body": {"Name": "halted"}},
    ]
    answers = composite(org, requests, whole=True)
    assert [answer["body"][0]["errorCode"] for answer in answers] == [
        "PROCESSING_HALTED",
        "REQUIRED_FIELD_MISSING",
        "PROCESSING_HALTED",
    ]
    assert org.names("SELECT Id FROM Account WHERE Name = 'halted'") == []
    assert [answer["httpStatusCode"] for answer in composite(org, requests)] == [201, 400, 201]


def test_a_composite_of_reads_counts_as_one_read(org: Client) -> None:
    org.session.delete(org.url("//__sandbox/effects"), timeout=30)
    request = {"method": "GET", "url": f"{ROOT}/query?q=SELECT+Id+FROM+Account", "referenceId": "q"}
    assert composite(org, [request])[0]["body"]["totalSize"] > 0
    assert org.effects()["calls"] == {"read": 1, "write": 0}


@pytest.mark.parametrize(
    "body", [{}, {"compositeRequest": 5}, {"compositeRequest": []}, {"compositeRequest": [{}] * 26}]
)
def test_a_composite_of_the_wrong_shape_is_refused(org: Client, body: dict[str, Any]) -> None:
    assert org.call("POST", "/composite", json=body).status_code == 400


@pytest.mark.parametrize(
    "request_",
    [
        {},
        {"method": "GET", "url": 5},
        {"method": "GET", "url": "http://elsewhere/x"},
        {"method": "GET", "url": f"{ROOT}/sobjects/@{{no.id}}"},
        {"method": "POST", "url": f"{ROOT}/composite", "body": {}},
    ],
)
def test_a_wrong_subrequest_fails_by_itself(org: Client, request_: dict[str, Any]) -> None:
    assert composite(org, [request_ | {"referenceId": "x"}])[0]["httpStatusCode"] == 400


def test_types_that_alternate_too_often_are_refused(org: Client) -> None:
    records = [{"attributes": {"type": ("Account", "Contact")[n % 2]}, "id": "x"} for n in range(11)]
    answer = org.call("PATCH", "/composite/sobjects", json={"records": records})
    assert (answer.status_code, answer.json()[0]["errorCode"]) == (400, "LIMIT_EXCEEDED")
    assert "more than 10 chunks" in answer.json()[0]["message"]
    assert org.call("PATCH", "/composite/sobjects", json={"records": records[:10]}).status_code == 200


@pytest.mark.parametrize(
    ("references", "code"),
    [(["a b"], "INVALID_INPUT"), ([None], "INVALID_INPUT"), (["x", "x"], "INVALID_INPUT"),
     (["a", "b", "c", "d", "e", "f"], "LIMIT_EXCEEDED")],
)  # fmt: skip
def test_calls_need_names_of_their_own_and_few_may_be_queries(
    org: Client, references: list[str | None], code: str
) -> None:
    requests = [{"method": "GET", "url": f"{ROOT}/query?q=SELECT+Id+FROM+Account+LIMIT+1", "referenceId": name}
                for name in references]  # fmt: skip
    answer = org.call("POST", "/composite", json={"compositeRequest": requests})
    assert (answer.status_code, answer.json()[0]["errorCode"]) == (400, code)
