"""The Tooling API: fields, objects and rules as records, and queries on the org's own schema."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.sandbox.orgs import Client, plain, running, write_files

SCHEMA = """
objects:
  Account:
    fields:
      Code__c: {type: Text, length: 40, externalId: true, unique: true, label: Code, description: Our code}
      Score__c: {type: Number, precision: 8, scale: 2, label: Score}
    validationRules:
      Needed: {active: true, errorConditionFormula: "ISBLANK(Code__c)", errorMessage: A code is needed}
  Cert__c:
    fields:
      Account__c: {type: MasterDetail, referenceTo: Account, relationshipName: Certs}
"""


@pytest.fixture(scope="module")
def steady(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    """An org that no test changes."""
    with running("--data", str(write_files(tmp_path_factory.mktemp("org"), {"schema.yaml": SCHEMA}))) as client:
        yield client


@pytest.fixture
def org(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    with running("--data", str(write_files(tmp_path_factory.mktemp("org"), {"schema.yaml": SCHEMA}))) as client:
        yield client


def rows(org: Client, soql: str) -> list[dict[str, Any]]:
    answer = org.get("/tooling/query", params={"q": soql})
    assert answer.status_code == 200, answer.text
    return [plain(record) for record in answer.json()["records"]]


def refusal(org: Client, soql: str) -> tuple[str, str]:
    body = org.get("/tooling/query/", params={"q": soql}).json()[0]
    return body["errorCode"], body["message"]


TIER = {
    "label": "Tier",
    "type": "Picklist",
    "valueSet": {
        "restricted": True,
        "valueSetDefinition": {
            "sorted": False,
            "value": [
                {"valueName": name, "label": name, "default": False, "urls": None} for name in ("Gold", "Silver")
            ],
        },
    },
}


def create(org: Client, kind: str, name: str, **metadata: Any) -> Any:
    return org.call("POST", f"/tooling/sobjects/{kind}", json={"FullName": name, "Metadata": metadata})


def test_a_field_is_made_read_changed_and_deleted(org: Client) -> None:
    made = create(org, "CustomField", "Account.Tier__c", **TIER)
    assert (made.status_code, made.json()["success"], made.json()["warnings"]) == (201, True, [])
    path = f"/tooling/sobjects/CustomField/{made.json()['id']}"
    shown = org.get(path).json()
    assert (shown["FullName"], shown["TableEnumOrId"], shown["DeveloperName"]) == ("Account.Tier__c", "Account", "Tier")
    listed = shown["Metadata"]["valueSet"]["valueSetDefinition"]["value"]
    assert [entry["valueName"] for entry in listed] == ["Gold", "Silver"]
    assert org.call("PATCH", path, json={"Metadata": TIER | {"label": "Level"}}).status_code == 204
    assert rows(org, "SELECT MasterLabel FROM FieldDefinition WHERE QualifiedApiName = 'Tier__c' AND "
                     "EntityDefinition.QualifiedApiName = 'Account'") == [{"MasterLabel": "Level"}]  # fmt: skip
    assert org.call("DELETE", path).status_code == 204
    assert org.get(path).status_code == 404
    assert org.call("DELETE", path).status_code == 404


def test_a_new_field_is_hidden_until_it_is_granted(org: Client) -> None:
    create(org, "CustomField", "Account.Tier__c", **TIER)
    names = {entry["name"] for entry in org.get("/sobjects/Account/describe").json()["fields"]}
    assert ("Code__c" in names, "Tier__c" in names) == (True, False)
    parent = org.create("PermissionSet", Name="Run", Label="Run")
    org.create("FieldPermissions", ParentId=parent, SobjectType="Account", Field="Account.Tier__c",
               PermissionsRead=True, PermissionsEdit=True)  # fmt: skip
    org.create("PermissionSetAssignment", PermissionSetId=parent, AssigneeId=org.org.user_id)
    assert org.create("Account", Name="Acme", Tier__c="Gold", Code__c="a")


def test_an_object_and_a_rule_are_made(org: Client) -> None:
    thing = create(org, "CustomObject", "Thing__c", label="Thing", pluralLabel="Things", deploymentStatus="Deployed",
                   sharingModel="ReadWrite", nameField={"type": "Text", "label": "Name"})  # fmt: skip
    assert thing.status_code == 201, thing.text
    assert rows(org, "SELECT DeveloperName, SharingModel FROM CustomObject ORDER BY DeveloperName") == [
        {"DeveloperName": "Cert", "SharingModel": "ControlledByParent"},
        {"DeveloperName": "Thing", "SharingModel": "Edit"},
    ]
    rule = create(org, "ValidationRule", "Account.High", active=True, errorConditionFormula="Score__c > 100",
                  errorMessage="Too high")  # fmt: skip
    assert rule.status_code == 201, rule.text
    refused = org.call("POST", "/sobjects/Account", json={"Name": "A", "Code__c": "a", "Score__c": 101})
    assert (refused.json()[0]["errorCode"], refused.json()[0]["message"]) == (
        "FIELD_CUSTOM_VALIDATION_EXCEPTION",
        "Too high",
    )
    assert rows(org, "SELECT ValidationName, Active, ErrorMessage FROM ValidationRule WHERE "
                     "EntityDefinition.QualifiedApiName = 'Account' ORDER BY ValidationName") == [
        {"ValidationName": "High", "Active": True, "ErrorMessage": "Too high"},
        {"ValidationName": "Needed", "Active": True, "ErrorMessage": "A code is needed"},
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "metadata", "code", "expected"),
    [
        (
            "Account.Code__c",
            {"type": "Text", "label": "C", "length": 9},
            "DUPLICATE_DEVELOPER_NAME",
            "There is already",
        ),
        ("Account.A__c", {"type": "Dait", "label": "A"}, "JSON_PARSER_ERROR", "Dait"),
        ("Account.A__c", {"type": "Text", "lable": "A"}, "JSON_PARSER_ERROR", "CustomField has no element lable"),
        ("Account.A__c", {"type": "Text", "label": "A"}, "FIELD_INTEGRITY_EXCEPTION", "Must specify 'length'"),
        ("Nope.A__c", {"type": "Date", "label": "A"}, "FIELD_INTEGRITY_EXCEPTION", "no CustomObject named Nope found"),
        ("Account.A\x00__c", {"type": "Date", "label": "A"}, "JSON_PARSER_ERROR", "XML compatible"),
    ],
)
def test_a_wrong_field_is_refused(
    steady: Client, name: str, metadata: dict[str, Any], code: str, expected: str
) -> None:
    answer = create(steady, "CustomField", name, **metadata)
    assert (answer.status_code, answer.json()[0]["errorCode"]) == (400, code)
    assert expected in answer.json()[0]["message"]


def test_a_field_that_is_used_is_not_deleted(steady: Client) -> None:
    found = rows(steady, "SELECT Id FROM CustomField WHERE DeveloperName = 'Code'")[0]["Id"]
    answer = steady.call("DELETE", f"/tooling/sobjects/CustomField/{found}")
    assert (answer.status_code, answer.json()[0]["errorCode"]) == (400, "DELETE_FAILED")
    assert "Validation Rule - Account.Needed" in answer.json()[0]["message"]


def test_definitions_are_queried_by_object_in_every_spelling(steady: Client) -> None:
    wanted = [{"QualifiedApiName": "Code__c", "DataType": "Text(40) (External ID) (Unique Case Insensitive)"},
              {"QualifiedApiName": "Score__c", "DataType": "Number(6, 2)"}]  # fmt: skip
    for condition in ("EntityDefinition.QualifiedApiName = 'Account'", "EntityDefinitionId = 'Account'"):
        found = f"FROM FieldDefinition WHERE {condition} AND QualifiedApiName LIKE '%\\_\\_c'"
        soql = f"SELECT QualifiedApiName, DataType {found}"
        assert rows(steady, f"{soql} ORDER BY QualifiedApiName") == wanted
    assert rows(
        steady, "SELECT DeveloperName FROM CustomField WHERE TableEnumOrId = 'Account' ORDER BY DeveloperName"
    ) == [
        {"DeveloperName": "Code"},
        {"DeveloperName": "Score"},
    ]
    assert rows(steady, "SELECT KeyPrefix, IsQueryable FROM EntityDefinition WHERE QualifiedApiName = 'Account'") == [
        {"KeyPrefix": "001", "IsQueryable": True}
    ]
    link = rows(steady, "SELECT DataType, ReferenceTo FROM FieldDefinition WHERE EntityDefinition.QualifiedApiName = "
                     "'Cert__c' AND QualifiedApiName = 'Account__c'")  # fmt: skip
    assert link == [{"DataType": "Master-Detail(Account)", "ReferenceTo": {"referenceTo": ["Account"]}}]


def test_metadata_comes_for_one_row_only(steady: Client) -> None:
    one = rows(steady, "SELECT Metadata FROM CustomField WHERE DeveloperName = 'Code'")
    assert one[0]["Metadata"]["description"] == "Our code"
    code, message = refusal(steady, "SELECT Id, Metadata FROM CustomField")
    assert (code, message[-14:]) == ("MALFORMED_QUERY", "Result size: 3")


def test_what_the_tooling_api_lacks_is_not_found(steady: Client) -> None:
    assert steady.get("/tooling/sobjects/SourceMember/describe").status_code == 404
    assert steady.get("/tooling/sobjects/CustomField/00N000000000000AAA").status_code == 404
    assert refusal(steady, "SELECT Id FROM SourceMember")[0] == "INVALID_TYPE"
    assert create(steady, "User", "x").status_code == 405


def test_objects_are_described_with_the_keys_of_every_describe(steady: Client) -> None:
    names = {entry["name"] for entry in steady.get("/tooling/sobjects").json()["sobjects"]}
    assert {"CustomField", "CustomObject", "EntityDefinition", "FieldDefinition", "ValidationRule"} <= names
    described = steady.get("/tooling/sobjects/CustomField/describe").json()
    account = steady.get("/sobjects/Account/describe").json()
    assert set(described) == set(account)
    assert set(described["fields"][0]) == set(account["fields"][0])


def test_pages_of_a_large_answer_are_linked(steady: Client) -> None:
    first = steady.get("/tooling/query", params={"q": "SELECT QualifiedApiName FROM FieldDefinition"},
                    headers={"Sforce-Query-Options": "batchSize=200"}).json()  # fmt: skip
    assert first["done"] is False
    assert first["nextRecordsUrl"].startswith("/services/data/v67.0/tooling/query/")
    seen = len(first["records"])
    following = first
    while not following["done"]:
        following = steady.get("/" + following["nextRecordsUrl"]).json()
        seen += len(following["records"])
    assert seen == first["totalSize"]


def test_who_may_not_change_metadata_may_still_read(steady: Client) -> None:
    login = steady.call("PUT", "//__sandbox/login", json={"username": "manager@crmsync.example"}).json()
    headers = {"Authorization": f"Bearer {login['access_token']}"}
    body = {"FullName": "Account.A__c", "Metadata": {"type": "Date", "label": "A"}}
    refused = steady.call("POST", "/tooling/sobjects/CustomField", json=body, headers=headers)
    assert (refused.status_code, refused.json()[0]["errorCode"]) == (403, "INSUFFICIENT_ACCESS")
    read = steady.get("/tooling/query", params={"q": "SELECT Id FROM CustomField"}, headers=headers)
    assert read.status_code == 200


def test_the_data_api_answers_queries_on_the_schema_in_one_page(steady: Client) -> None:
    assert steady.rows(
        "SELECT QualifiedApiName, KeyPrefix FROM EntityDefinition WHERE QualifiedApiName = 'Account'"
    ) == [{"QualifiedApiName": "Account", "KeyPrefix": "001"}]
    own = "EntityDefinition.QualifiedApiName = 'Account' AND QualifiedApiName = 'Code__c'"
    assert steady.names(f"SELECT DataType FROM FieldDefinition WHERE {own}") == [
        "Text(40) (External ID) (Unique Case Insensitive)"
    ]
    assert steady.refusal("SELECT Nope FROM FieldDefinition")[1] == "INVALID_FIELD"
