"""What the org refuses of fields and objects in a deploy, and what it takes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.sandbox.checking import SCHEMA, checking, refusals
from tests.sandbox.orgs import Client, running, write_files
from tests.sandbox.packages import custom_object, deploy, fields, object_file, picklist, text


@pytest.fixture(scope="module")
def org(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    with checking(tmp_path_factory.mktemp("org")) as client:
        yield client


LOOKUP = {"fullName": "To__c", "label": "To", "type": "Lookup", "referenceTo": "Account", "relationshipName": "Others"}
MASTER = {"fullName": "Of__c", "label": "Of", "type": "MasterDetail", "referenceTo": "Account", "relationshipName": "O",
          "relationshipLabel": "O", "relationshipOrder": 0}  # fmt: skip
NUMBER = {"fullName": "N__c", "label": "N", "type": "Number", "precision": 8, "scale": 2}

BAD_FIELDS: dict[str, tuple[str, dict[str, Any], str]] = {
    "name too long": (
        "Account",
        text(f"{'a' * 41}__c", label="A"),
        "Value too long for field: fullName maximum length is:40",
    ),
    "label too long": (
        "Account",
        text("A__c", label="a" * 41),
        "Value too long for field: MasterLabel maximum length is:40",
    ),
    "no label": ("Account", text("A__c", label=None), "Must specify a non-empty label for the CustomField"),
    "two underscores": ("Account", text("A__b__c"), "The Custom Field Name can only contain underscores"),
    "begins with a digit": ("Account", text("1a__c", label="A"), "begin with a letter"),
    "no standard field": ("Account", text("Nothing"), "Could not resolve standard field's name."),
    "no object": ("Nope__c", text("A__c"), "no CustomObject named Nope__c found"),
    "length missing": ("Account", text("A__c", length=None), "Must specify 'length' for a CustomField of type Text"),
    "length too large": ("Account", text("A__c", length=256), "length must be between 1 and 255"),
    "length for a date": (
        "Account",
        text("A__c", type="Date"),
        "Can not specify 'length' for a CustomField of type Date",
    ),
    "length for a text area": (
        "Account",
        text("A__c", type="TextArea"),
        "Can not specify 'length' for a CustomField of type TextArea",
    ),
    "checkbox without default": (
        "Account",
        text("A__c", type="Checkbox", length=None),
        "Must specify 'defaultValue' for a CustomField of type Checkbox",
    ),
    "long text without lines": (
        "Account",
        text("A__c", type="LongTextArea", length=4000),
        "Must specify 'visibleLines'",
    ),
    "long text required": (
        "Account",
        text("A__c", type="LongTextArea", length=4000, visibleLines=3, required=True),
        "Can not specify 'required' for a CustomField of type LongTextArea",
    ),
    "long text too short": (
        "Account",
        text("A__c", type="LongTextArea", length=100, visibleLines=3),
        "length must be between 256 and 131072",
    ),
    "precision": ("Account", NUMBER | {"precision": 19}, "Precision must be 18 or less"),
    "unique date": (
        "Account",
        text("A__c", type="Date", length=None, unique=True),
        "Can not specify 'unique' for a CustomField of type Date",
    ),
    "external id picklist": (
        "Account",
        picklist("A__c", "x", externalId=True),
        "Can not specify 'externalId' for a CustomField of type Picklist",
    ),
    "duplicate value": ("Account", picklist("A__c", "x", "X"), "Duplicate value found in picklist"),
    "two lookups of one name": (
        "Account",
        LOOKUP | {"relationshipName": "Certs"},
        "There is already a Child Relationship named Certs on Account.",
    ),
    "lookup to nothing": (
        "Account",
        LOOKUP | {"referenceTo": "Nope__c"},
        "In field: referenceTo - no CustomObject named Nope__c found",
    ),
    "required lookup": ("Account", LOOKUP | {"required": True}, "Must specify 'deleteConstraint' Restrict or Cascade"),
    "order of a lookup": (
        "Account",
        LOOKUP | {"relationshipOrder": 0},
        "Can not specify 'relationshipOrder' for a CustomField of type Lookup",
    ),
    "delete of a master": (
        "Cert__c",
        MASTER | {"deleteConstraint": "Cascade"},
        "Can not specify 'deleteConstraint' for a CustomField of type MasterDetail",
    ),
    "master of a standard object": (
        "Account",
        MASTER,
        "Cannot create a MasterDetail relationship field on the standard object Account",
    ),
    "master of records": ("Cert__c", MASTER, "Cannot create a new MasterDetail on Cert__c, which has 1 records"),
    "type changed": (
        "Account",
        NUMBER | {"fullName": "Code__c"},
        "Cannot change the type of Account.Code__c from Text to Number",
    ),
    "text to lookup": (
        "Account",
        LOOKUP | {"fullName": "Code__c"},
        "Cannot update a field to a Lookup, MasterDetail, or Hierarchy from something else",
    ),
    "lookup to text": ("Cert__c", text("Account__c"), "Cannot update a field from a Lookup to something else"),
    "lookup elsewhere": (
        "Cert__c",
        LOOKUP | {"fullName": "Account__c", "referenceTo": "Contact"},
        "Cannot update referenceTo of Cert__c.Account__c from Account",
    ),
    "shortened": (
        "Account",
        text("Code__c", length=9),
        "Cannot decrease the length of Account.Code__c from 40 to 9: the longest stored value has 10 characters",
    ),
    "fewer digits": (
        "Account",
        NUMBER | {"fullName": "Score__c", "precision": 5},
        "Cannot decrease the precision of Account.Score__c to 5",
    ),
    "unique with duplicates": (
        "Account",
        text("Code__c", unique=True),
        "Cannot make Account.Code__c unique: several records hold 'abcdefghij'",
    ),
    "formula that cannot be read": (
        "Account",
        {"fullName": "F__c", "label": "F", "type": "Text", "formula": "NOPE("},
        "F__c",
    ),
}


@pytest.mark.parametrize("case", BAD_FIELDS)
def test_a_wrong_field_is_refused(org: Client, case: str) -> None:
    owner, body, expected = BAD_FIELDS[case]
    found = refusals(org, fields(owner, {name: value for name, value in body.items() if value is not None}))
    assert len(found) == 1
    assert expected in found[0]


GOOD_FIELDS: dict[str, tuple[str, dict[str, Any]]] = {
    "text": ("Account", text("A__c")),
    "longest name": ("Account", text(f"{'a' * 40}__c", label="a" * 40)),
    "shorter, but values fit": ("Account", text("Code__c", length=10)),
    "number": ("Account", NUMBER),
    "more places": ("Account", NUMBER | {"fullName": "Score__c", "precision": 10, "scale": 4}),
    "lookup": ("Account", LOOKUP),
    "restricting lookup": ("Account", LOOKUP | {"required": True, "deleteConstraint": "Restrict"}),
    "history of a standard field": ("Account", {"fullName": "Industry", "trackHistory": False}),
    "multi-select": ("Account", picklist("M__c", "a", "b", type="MultiselectPicklist", visibleLines=4)),
    "html": ("Account", text("H__c", type="Html", length=32_768, visibleLines=10)),
    "auto number": ("Cert__c", {"fullName": "No__c", "label": "No", "type": "AutoNumber", "displayFormat": "N-{00}"}),
    "formula": ("Account", {"fullName": "F__c", "label": "F", "type": "Text", "formula": "Code__c & 'x'"}),
}  # fmt: skip


@pytest.mark.parametrize("case", GOOD_FIELDS)
def test_a_right_field_is_taken(org: Client, case: str) -> None:
    owner, body = GOOD_FIELDS[case]
    assert refusals(org, fields(owner, body)) == []


BAD_OBJECTS: dict[str, tuple[dict[str, Any], str]] = {
    "no label": ({"label": None}, "Must specify a non-empty label for the CustomObject"),
    "no plural": ({"pluralLabel": None}, "Must specify 'pluralLabel' for a CustomObject"),
    "no name field": ({"nameField": None}, "Must specify 'nameField' for a CustomObject"),
    "name field": ({"nameField": {"label": "N", "type": "Number"}}, "type Number is not Text or AutoNumber"),
    "no format": ({"nameField": {"label": "N", "type": "AutoNumber"}}, "Must specify 'displayFormat'"),
    "sharing without a master": (
        {"sharingModel": "ControlledByParent"},
        "Cannot set sharingModel to ControlledByParent on a CustomObject without a MasterDetail relationship field",
    ),
    "master without sharing": (
        {"fields": [MASTER]},
        "Cannot set sharingModel to ReadWrite on a CustomObject with a MasterDetail relationship field",
    ),
    "three masters": (
        {"sharingModel": "ControlledByParent",
         "fields": [MASTER | {"fullName": f"M{n}__c", "relationshipName": f"M{n}"} for n in range(3)]},
        "Thing__c can have 2 MasterDetail relationship fields, and M2__c is one more",
    ),
    "half of the switches": (
        {"enableBulkApi": True, "enableSharing": False, "enableStreamingApi": True},
        "enableBulkApi, enableSharing and enableStreamingApi must all be true or all be false",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD_OBJECTS)
def test_a_wrong_object_is_refused(org: Client, case: str) -> None:
    more, expected = BAD_OBJECTS[case]
    body = {name: value for name, value in custom_object(**more).items() if value is not None}
    found = refusals(org, object_file("Thing__c", **body))
    assert [expected in problem for problem in found] == [True], found


def test_values_that_a_file_leaves_out_stay_but_become_inactive(tmp_path: Any) -> None:
    files = {"schema.yaml": SCHEMA}
    with running("--data", str(write_files(tmp_path, files))) as own:
        assert deploy(own, fields("Account", picklist("Tier__c", "Platinum", "Gold")))["status"] == "Succeeded"
        entry = next(found for found in own.get("/sobjects/Account/describe").json()["fields"]
                     if found["name"] == "Tier__c")  # fmt: skip
        shown = [(value["value"], value["active"]) for value in entry["picklistValues"]]
        assert shown == [("Platinum", True), ("Gold", True), ("Silver", False)]
        refused = own.call("POST", "/sobjects/Account", json={"Name": "A", "Needed__c": "x", "Tier__c": "Silver"})
        assert refused.json()[0]["errorCode"] == "INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST"
