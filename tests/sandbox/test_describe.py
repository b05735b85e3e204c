"""Describe answers have the keys and types of a real org's."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.sandbox.orgs import SCHEMA, Client, running, write_files

FIELD_KEYS = [
    "aggregatable",
    "aiPredictionField",
    "autoNumber",
    "byteLength",
    "calculated",
    "calculatedFormula",
    "cascadeDelete",
    "caseSensitive",
    "compoundFieldName",
    "controllerName",
    "createable",
    "custom",
    "defaultValue",
    "defaultValueFormula",
    "defaultedOnCreate",
    "dependentPicklist",
    "deprecatedAndHidden",
    "digits",
    "displayLocationInDecimal",
    "encrypted",
    "externalId",
    "extraTypeInfo",
    "filterable",
    "filteredLookupInfo",
    "formulaTreatNullNumberAsZero",
    "groupable",
    "highScaleNumber",
    "htmlFormatted",
    "idLookup",
    "inlineHelpText",
    "label",
    "length",
    "mask",
    "maskType",
    "name",
    "nameField",
    "namePointing",
    "nillable",
    "permissionable",
    "picklistValues",
    "polymorphicForeignKey",
    "precision",
    "queryByDistance",
    "referenceTargetField",
    "referenceTo",
    "relationshipName",
    "relationshipOrder",
    "restrictedDelete",
    "restrictedPicklist",
    "scale",
    "searchPrefilterable",
    "soapType",
    "sortable",
    "type",
    "unique",
    "updateable",
    "writeRequiresMasterRead",
]
OBJECT_KEYS = [
    "actionOverrides",
    "activateable",
    "childRelationships",
    "compactLayoutable",
    "createable",
    "custom",
    "customSetting",
    "deepCloneable",
    "defaultImplementation",
    "deletable",
    "deprecatedAndHidden",
    "extendedBy",
    "extendsInterfaces",
    "feedEnabled",
    "fields",
    "hasSubtypes",
    "implementedBy",
    "implementsInterfaces",
    "isInterface",
    "isSubtype",
    "keyPrefix",
    "label",
    "labelPlural",
    "layoutable",
    "listviewable",
    "lookupLayoutable",
    "mergeable",
    "mruEnabled",
    "name",
    "namedLayoutInfos",
    "networkScopeFieldName",
    "queryable",
    "recordTypeInfos",
    "replicateable",
    "retrieveable",
    "searchLayoutable",
    "searchable",
    "supportedScopes",
    "triggerable",
    "undeletable",
    "updateable",
    "urls",
]


@pytest.fixture(scope="module")
def org(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    with running("--data", str(write_files(tmp_path_factory.mktemp("org"), {"schema.yaml": SCHEMA}))) as client:
        yield client


def described(org: Client, name: str) -> dict[str, Any]:
    found: dict[str, Any] = org.get(f"/sobjects/{name}/describe").json()
    return found


def field(org: Client, sobject: str, name: str) -> dict[str, Any]:
    return next(entry for entry in described(org, sobject)["fields"] if entry["name"] == name)


@pytest.mark.parametrize("name", ["Account", "Opportunity", "Contact", "Cert__c", "Organization", "User", "Task"])
def test_every_object_and_field_has_the_same_keys(org: Client, name: str) -> None:
    body = described(org, name)
    assert sorted(body) == sorted(OBJECT_KEYS)
    assert all(sorted(entry) == sorted(FIELD_KEYS) for entry in body["fields"])


def test_global_describe_lists_objects_with_urls(org: Client) -> None:
    body = org.get("/sobjects").json()
    assert (body["encoding"], body["maxBatchSize"]) == ("UTF-8", 200)
    account = next(entry for entry in body["sobjects"] if entry["name"] == "Account")
    assert (account["keyPrefix"], account["createable"], account["custom"]) == ("001", True, False)
    assert account["urls"]["describe"] == "/services/data/v67.0/sobjects/Account/describe"


SHAPES = {
    ("Account", "Id"): {
        "type": "id",
        "soapType": "tns:ID",
        "length": 18,
        "byteLength": 18,
        "nillable": False,
        "createable": False,
        "defaultedOnCreate": True,
        "idLookup": True,
    },
    ("Account", "Name"): {"type": "string", "length": 255, "byteLength": 765, "nameField": True, "nillable": False},
    ("Account", "ParentId"): {"type": "reference", "referenceTo": ["Account"], "relationshipName": "Parent"},
    ("Account", "Tier__c"): {"type": "picklist", "restrictedPicklist": True, "custom": True, "groupable": True},
    ("Account", "Segments__c"): {"type": "multipicklist", "length": 4099, "groupable": False},
    ("Account", "Note__c"): {"type": "textarea", "filterable": False, "sortable": False, "groupable": False},
    ("Account", "Score__c"): {
        "type": "double",
        "soapType": "xsd:double",
        "precision": 5,
        "scale": 2,
        "groupable": False,
    },
    ("Account", "Flag__c"): {"type": "boolean", "nillable": False, "defaultedOnCreate": True, "defaultValue": False},
    ("Account", "NumberOfEmployees"): {"type": "int", "digits": 8, "soapType": "xsd:int"},
    ("Account", "BillingAddress"): {"type": "address", "soapType": "urn:address", "createable": False},
    ("Account", "BillingCity"): {"compoundFieldName": "BillingAddress"},
    ("Account", "Key__c"): {"externalId": True, "unique": True, "idLookup": True, "length": 40},
    ("Account", "CreatedDate"): {
        "type": "datetime",
        "soapType": "xsd:dateTime",
        "groupable": False,
        "updateable": False,
    },
    ("Opportunity", "CloseDate"): {"type": "date", "soapType": "xsd:date", "nillable": False, "groupable": True},
    ("Opportunity", "IsWon"): {"type": "boolean", "createable": False, "updateable": False},
    ("Cert__c", "Account__c"): {"relationshipName": "Account__r", "referenceTo": ["Account"]},
    ("Cert__c", "Name"): {"autoNumber": True, "createable": False},
    ("Line__c", "Cert__c"): {"cascadeDelete": True, "nillable": False, "relationshipOrder": 0, "updateable": False},
    ("Task", "WhatId"): {"polymorphicForeignKey": True, "relationshipName": "What"},
}


@pytest.mark.parametrize(("place", "expected"), SHAPES.items())
def test_fields_are_described_by_their_type(org: Client, place: tuple[str, str], expected: dict[str, Any]) -> None:
    entry = field(org, *place)
    assert {key: entry[key] for key in expected} == expected


def test_picklist_values_say_which_are_active(org: Client) -> None:
    values = field(org, "Account", "Tier__c")["picklistValues"]
    assert values[0] == {"active": True, "defaultValue": False, "label": "Gold", "validFor": None, "value": "Gold"}
    assert [entry["active"] for entry in values] == [True, True, False]


def test_children_and_master_record_type_are_listed(org: Client) -> None:
    body = described(org, "account")
    certs = next(child for child in body["childRelationships"] if child["childSObject"] == "Cert__c")
    assert (certs["field"], certs["relationshipName"]) == ("Account__c", "Certs__r")
    assert body["recordTypeInfos"][-1]["recordTypeId"] == "012000000000000AAA"


def test_a_single_currency_org_has_no_currencies(org: Client) -> None:
    assert "CurrencyIsoCode" not in {entry["name"] for entry in described(org, "Account")["fields"]}
    assert org.refusal("SELECT IsoCode FROM CurrencyType")[1] == "INVALID_TYPE"


def test_an_unchanged_describe_answers_304(org: Client) -> None:
    first = org.get("/sobjects/Account/describe")
    again = org.get("/sobjects/Account/describe", headers={"If-Modified-Since": first.headers["Last-Modified"]})
    assert (again.status_code, again.text) == (304, "")


def test_versions_are_listed_and_old_ones_are_gone(org: Client) -> None:
    listed = org.session.get(org.url("//services/data/"), timeout=30).json()
    assert [entry["version"] for entry in listed] == [f"{number}.0" for number in range(60, 69)]
    assert listed[7] == {"label": "Summer '26", "url": "/services/data/v67.0", "version": "67.0"}
    assert org.get("//services/data/v31.0/sobjects/Account").status_code == 200
    gone = org.get("//services/data/v30.0/sobjects")
    assert (gone.status_code, gone.json()[0]["errorCode"]) == (410, "UNSUPPORTED_API_VERSION")
    assert org.get("//services/data/v99.0/sobjects").status_code == 404


def test_paths_are_found_in_any_case_and_with_a_trailing_slash(org: Client) -> None:
    assert org.get("/SOBJECTS/aCCOUNT/Describe/").json()["name"] == "Account"
    assert "DailyApiRequests" in org.get("/limits/").json()
    assert "DailyApiRequests" in org.get("///services/data/v67.0/limits").json()


def test_every_rest_answer_tells_the_api_usage(org: Client) -> None:
    for path in ("/limits", "/sobjects/Nope", "/query?q=x"):
        used, most = org.get(path).headers["Sforce-Limit-Info"].removeprefix("api-usage=").split("/")
        assert int(used) < int(most)


def test_headers_are_spelled_as_by_the_real_org(org: Client) -> None:
    names = {name for name in org.get("/sobjects").headers if "-" in name}
    assert names >= {"Content-Type", "Content-Encoding", "Sforce-Limit-Info"}
    assert all(part[0].isupper() for name in names for part in name.split("-"))


def test_unknown_paths_and_methods_are_refused_as_json(org: Client) -> None:
    missing = org.get("/nothing/here")
    assert (missing.status_code, missing.json()[0]) == (
        404,
        {"message": "The requested resource does not exist", "errorCode": "NOT_FOUND"},
    )
    wrong = org.call("POST", "/limits")
    assert (wrong.status_code, wrong.json()[0]["errorCode"]) == (405, "METHOD_NOT_ALLOWED")
    long = org.get("/query", params={"q": "x" * 17_000})
    assert (long.status_code, long.headers["Content-Type"].split(";")[0]) == (414, "text/html")


def test_json_is_indented_only_on_request(org: Client) -> None:
    assert b"\n" not in org.get("/limits").content
    assert b'\n  "' in org.get("/limits", headers={"X-PrettyPrint": "1"}).content


def test_addresses_of_a_describe_answer_lead_somewhere(org: Client) -> None:
    urls = org.get("/sobjects/Account/describe").json()["urls"]
    for name in ("sobject", "describe", "layouts", "compactLayouts", "approvalLayouts", "listviews", "quickActions"):
        assert org.get("/" + urls[name]).status_code == 200, name
    mapped = org.get("/sobjects/Account/describe/compactLayouts").json()["recordTypeCompactLayoutMappings"]
    assert mapped[0]["compactLayoutName"] == "SYSTEM"
