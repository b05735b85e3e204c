"""Metadata deploys over REST: what the wire looks like, what a deploy changes, and that a failed one does not."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.sandbox.orgs import Client, running, write_files
from tests.sandbox.packages import (
    custom_object,
    deploy,
    ended,
    fields,
    manifest,
    picklist,
    problems,
    start,
    text,
    xml,
    zipped,
)

SHOWN = {
    "id", "messages", "retrieveResult", "success", "checkOnly", "ignoreWarnings", "rollbackOnError", "status",
    "runTestsEnabled", "numberComponentsDeployed", "numberComponentsTotal", "numberComponentErrors",
    "numberTestsCompleted", "numberTestsTotal", "numberTestErrors", "details", "createdDate", "startDate",
    "lastModifiedDate", "completedDate", "errorStatusCode", "errorMessage", "stateDetail", "createdBy",
    "createdByName", "canceledBy", "canceledByName", "done", "runTestResult",
}  # fmt: skip
"""Keys of a recorded answer of a real org."""


@pytest.fixture
def org() -> Iterator[Client]:
    with running() as client:
        yield client


def described(org: Client, name: str) -> dict[str, dict[str, Any]]:
    return {entry["name"]: entry for entry in org.get(f"/sobjects/{name}/describe").json()["fields"]}


def granted(*names: str) -> dict[str, str]:
    """Files of a permission set on these fields, of accounts."""
    listed = [{"editable": True, "field": name, "readable": True} for name in names]
    return {
        "permissionsets/Run.permissionset": xml("PermissionSet", label="Run", fieldPermissions=listed),
        "package.xml": manifest({"PermissionSet": ["Run"]}),
    }


def assign(org: Client, name: str = "Run") -> None:
    found = org.names(f"SELECT Id FROM PermissionSet WHERE Name = '{name}'")[0]
    org.create("PermissionSetAssignment", PermissionSetId=found, AssigneeId=org.org.user_id)


def test_a_deploy_answers_as_a_recorded_one(org: Client) -> None:
    result = deploy(org, fields("Account", text("Code__c")))
    assert set(result) == SHOWN
    assert (result["status"], result["success"], result["numberComponentsDeployed"]) == ("Succeeded", True, 1)
    assert set(result["details"]) == {
        "componentFailures", "componentSuccesses", "retrieveResult", "allComponentMessages", "runTestResult",
    }  # fmt: skip
    made, whole = result["details"]["componentSuccesses"]
    assert (made["componentType"], made["fullName"], made["fileName"]) == (
        "CustomField",
        "Account.Code__c",
        "objects/Account.object",
    )
    assert (made["created"], made["changed"], made["id"][:3]) == (True, True, "00N")
    assert (whole["fullName"], whole["componentType"], whole["forPackageManifestFile"]) == ("package.xml", "", True)
    again = deploy(org, fields("Account", text("Code__c")))["details"]["componentSuccesses"][0]
    assert (again["created"], again["changed"], again["id"]) == (False, False, made["id"])


def test_details_come_only_when_asked_for(org: Client) -> None:
    answer = org.get(f"/metadata/deployRequest/{start(org, fields('Account', text('Code__c')))}").json()
    assert "details" not in answer["deployResult"]
    assert set(answer) == {"id", "validatedDeployRequestId", "deployOptions", "deployResult"}


def test_fields_are_seen_once_a_permission_set_grants_them(org: Client) -> None:
    files = fields("Account", text("Code__c"), picklist("Tier__c", "Gold", "Silver"))
    assert deploy(org, files)["status"] == "Succeeded"
    assert not {"Code__c", "Tier__c"} & set(described(org, "Account"))
    assert org.refusal("SELECT Code__c FROM Account")[1] == "INVALID_FIELD"
    assert deploy(org, granted("Account.Code__c", "Account.Tier__c"))["status"] == "Succeeded"
    assign(org)
    shown = described(org, "Account")
    assert (shown["Code__c"]["length"], shown["Tier__c"]["restrictedPicklist"]) == (40, True)
    made = org.create("Account", Name="Acme", Tier__c="Gold", Code__c="a")
    assert org.rows(f"SELECT Tier__c, Code__c FROM Account WHERE Id = '{made}'") == [
        {"Tier__c": "Gold", "Code__c": "a"}
    ]


def test_an_object_with_its_master_detail_takes_rows(org: Client) -> None:
    master = {
        "fullName": "Account__c", "label": "Account", "type": "MasterDetail", "referenceTo": "Account",
        "relationshipLabel": "Things", "relationshipName": "Things", "relationshipOrder": 0,
    }  # fmt: skip
    body = custom_object(
        sharingModel="ControlledByParent",
        nameField={"type": "AutoNumber", "label": "Number", "displayFormat": "T-{0000}"},
        fields=[master],
    )
    permission = xml(
        "PermissionSet",
        label="Run",
        objectPermissions=[
            {"allowCreate": True, "allowDelete": False, "allowEdit": True, "allowRead": True,
             "modifyAllRecords": False, "object": name, "viewAllRecords": False}
            for name in ("Account", "Thing__c")
        ],
    )  # fmt: skip
    result = deploy(
        org,
        {
            "package.xml": manifest({"CustomObject": ["Thing__c"], "PermissionSet": ["Run"]}),
            "objects/Thing__c.object": xml("CustomObject", **body),
            "permissionsets/Run.permissionset": permission,
        },
    )
    assert problems(result) == []
    assign(org)
    account = org.create("Account", Name="Acme")
    org.create("Thing__c", Account__c=account)
    assert org.rows("SELECT Name, Account__r.Name FROM Thing__c") == [
        {"Name": "T-0001", "Account__r": {"Name": "Acme"}}
    ]
    child = org.get("/sobjects/Account/describe").json()["childRelationships"]
    assert ("Thing__c", "Things__r", True) in {
        (found["childSObject"], found["relationshipName"], found["cascadeDelete"]) for found in child
    }


def test_only_a_check_changes_nothing(org: Client) -> None:
    result = deploy(org, fields("Account", text("Code__c")), checkOnly=True)
    assert (result["status"], result["checkOnly"]) == ("Succeeded", True)
    assert result["details"]["componentSuccesses"][0]["id"] is None
    assert deploy(org, granted("Account.Code__c"))["status"] == "Failed"


def test_one_failure_rolls_everything_back(org: Client) -> None:
    files = fields("Account", text("Good__c"), text("Bad__c", length=None))
    result = deploy(org, files)
    assert (result["status"], result["numberComponentErrors"], result["numberComponentsTotal"]) == ("Failed", 1, 2)
    assert problems(result) == [("Account.Bad__c", "Must specify 'length' for a CustomField of type Text")]
    failure = result["details"]["componentFailures"][0]
    assert (failure["success"], failure["problemType"], failure["lineNumber"]) == (False, "Error", 9)
    assert [found["fullName"] for found in result["details"]["componentSuccesses"]] == [
        "Account.Good__c",
        "package.xml",
    ]
    assert problems(deploy(org, granted("Account.Good__c"), checkOnly=True)) == [
        ("Run", "In field: field - no CustomField named Account.Good__c found")
    ]


def test_what_is_wrong_in_one_field_of_a_file_is_told_of_that_field(org: Client) -> None:
    files = fields("Account", text("Good__c"), text("Bad__c"))
    files["objects/Account.object"] = files["objects/Account.object"].replace(
        "<label>Bad</label>", "<label>Bad</label><bogus/>"
    )
    result = deploy(org, files, checkOnly=True)
    assert problems(result) == [("Account.Bad__c", "Error parsing file: CustomField has no element bogus")]
    assert [found["fullName"] for found in result["details"]["componentSuccesses"]] == [
        "Account.Good__c",
        "package.xml",
    ]


def test_a_check_that_went_well_is_deployed_later(org: Client) -> None:
    checked = start(org, fields("Account", text("Code__c")), checkOnly=True)
    assert ended(org, checked)["status"] == "Succeeded"
    quick = org.call("POST", "/metadata/deployRequest", json={"validatedDeployRequestId": checked})
    assert (quick.status_code, quick.json()["validatedDeployRequestId"]) == (201, checked)
    assert ended(org, quick.json()["id"])["numberComponentsDeployed"] == 1
    again = org.call("POST", "/metadata/deployRequest", json={"validatedDeployRequestId": checked})
    assert (again.status_code, again.json()[0]["errorCode"]) == (400, "INVALID_ID_FIELD")


def test_without_rollback_what_is_good_stays(org: Client) -> None:
    files = fields("Account", text("Good__c"), text("Bad__c", length=None))
    assert deploy(org, files, rollbackOnError=False)["status"] == "SucceededPartial"
    assert deploy(org, granted("Account.Good__c"), checkOnly=True)["status"] == "Succeeded"


def test_destructive_changes_take_fields_objects_and_grants_away(org: Client) -> None:
    deploy(org, fields("Account", text("Code__c"), text("Other__c")))
    deploy(org, granted("Account.Code__c", "Account.Other__c"))
    assign(org)
    view = {"fullName": "Mine", "label": "Mine", "filterScope": "Everything", "columns": ["ACCOUNT.NAME", "Code__c"],
            "filters": [{"field": "Code__c", "operation": "equals", "value": "a"}]}  # fmt: skip
    files = {"package.xml": manifest({"ListView": ["Account.Mine"]}),
             "objects/Account.object": xml("CustomObject", listViews=[view])}  # fmt: skip
    assert deploy(org, files)["status"] == "Succeeded"
    files = {"package.xml": manifest({}), "destructiveChanges.xml": manifest({"CustomField": ["Account.Code__c"]})}
    result = deploy(org, files)
    gone = result["details"]["componentSuccesses"][0]
    assert (gone["fullName"], gone["deleted"]) == ("Account.Code__c", True)
    assert "Code__c" not in described(org, "Account")
    assert org.names("SELECT Field FROM FieldPermissions") == ["Account.Other__c"]
    again = deploy(org, files)
    assert again["status"] == "Succeeded"
    warned = again["details"]["componentSuccesses"][0]
    assert (warned["problem"], warned["problemType"]) == ("No CustomField named: Account.Code__c found", "Warning")


def test_a_field_that_was_deleted_is_hidden_when_it_comes_back(tmp_path: Path) -> None:
    folder = write_files(tmp_path, {"schema.yaml": "objects: {Account: {fields: {Code__c: {type: Text, length: 9}}}}"})
    with running("--data", str(folder)) as org:
        assert "Code__c" in described(org, "Account")
        gone = {"package.xml": manifest({}), "destructiveChanges.xml": manifest({"CustomField": ["Account.Code__c"]})}
        assert deploy(org, gone)["status"] == "Succeeded"
        assert deploy(org, fields("Account", text("Code__c")))["status"] == "Succeeded"
        assert "Code__c" not in described(org, "Account")


def test_a_permission_set_is_replaced_by_its_file_and_deleted_with_its_rows(org: Client) -> None:
    deploy(org, fields("Account", text("Code__c"), text("Other__c")))
    assert deploy(org, granted("Account.Code__c"))["details"]["componentSuccesses"][0]["created"] is True
    parent = org.names("SELECT Id FROM PermissionSet WHERE Name = 'Run'")[0]
    assert deploy(org, granted("Account.Code__c"))["details"]["componentSuccesses"][0]["changed"] is False
    org.create("FieldPermissions", ParentId=parent, SobjectType="Account", Field="Account.Other__c",
               PermissionsRead=True)  # fmt: skip
    assert deploy(org, granted("Account.Code__c"))["details"]["componentSuccesses"][0]["changed"] is True
    assert org.names("SELECT Field FROM FieldPermissions") == ["Account.Code__c"]
    assign(org)
    gone = {"package.xml": manifest({}), "destructiveChanges.xml": manifest({"PermissionSet": ["Run"]})}
    assert deploy(org, gone)["status"] == "Succeeded"
    counts = [org.query(f"SELECT COUNT() FROM {name}").json()["totalSize"]
              for name in ("PermissionSet", "FieldPermissions", "PermissionSetAssignment")]  # fmt: skip
    assert counts == [0, 0, 0]


def test_a_field_that_a_rule_reads_is_not_deleted_unless_the_rule_goes_before(org: Client) -> None:
    rule = {"fullName": "Needed", "active": True, "errorConditionFormula": "ISBLANK(Code__c)", "errorMessage": "no"}
    files = {
        "package.xml": manifest({"CustomField": ["Account.Code__c"], "ValidationRule": ["Account.Needed"]}),
        "objects/Account.object": xml("CustomObject", fields=[text("Code__c")], validationRules=[rule]),
    }
    assert deploy(org, files)["status"] == "Succeeded"
    field = manifest({"CustomField": ["Account.Code__c"]})
    refused = deploy(org, {"package.xml": manifest({}), "destructiveChangesPost.xml": field})
    assert problems(refused) == [
        (
            "Account.Code__c",
            "This custom field is referenced elsewhere in Salesforce. : Validation Rule - Account.Needed",
        )
    ]
    both = {
        "package.xml": manifest({}),
        "destructiveChangesPre.xml": manifest({"ValidationRule": ["Account.Needed"]}),
        "destructiveChangesPost.xml": field,
    }
    assert deploy(org, both)["status"] == "Succeeded"


BAD_PACKAGES: dict[str, tuple[dict[str, str], str]] = {
    "no manifest": ({"objects/Account.object": "<a/>"}, "No package.xml found"),
    "manifest is no XML": ({"package.xml": "<Package"}, "Error parsing package.xml"),
    "no version": ({"package.xml": manifest({}, "new")}, "version 'new' is not like 67.0"),
    "file is missing": (
        {"package.xml": manifest({"CustomField": ["Account.X__c"]})},
        "An object 'Account.X__c' of type CustomField was named in package.xml, but was not found in zipped directory",
    ),
    "file is not listed": (
        {"package.xml": manifest({}), "tabs/X__c.tab": xml("CustomTab", customObject=True, motif="Custom1: Heart")},
        "Not in package.xml",
    ),
    "unknown type": ({"package.xml": manifest({"ApexClass": ["*"]})}, "Unknown type name 'ApexClass'"),
    "unknown element": (
        {"package.xml": manifest({"PermissionSet": ["A"]}),
         "permissionsets/A.permissionset": xml("PermissionSet", label="A").replace("label", "lable")},
        "Error parsing file: PermissionSet has no element lable; did you mean label?",
    ),
    "entity": (
        {"package.xml": manifest({"PermissionSet": ["A"]}),
         "permissionsets/A.permissionset": "<!DOCTYPE x [<!ENTITY e 'e'>]><PermissionSet>&e;</PermissionSet>"},
        "a DOCTYPE is not allowed",
    ),
    "wildcard deletion": (
        {"package.xml": manifest({}), "destructiveChanges.xml": manifest({"CustomField": ["*"]})},
        "a wildcard cannot name what is to be deleted",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD_PACKAGES)
def test_a_package_that_is_wrong_fails_with_its_reason(checked: Client, case: str) -> None:
    files, expected = BAD_PACKAGES[case]
    result = deploy(checked, files)
    assert result["status"] == "Failed"
    assert any(expected in problem for _, problem in problems(result)), problems(result)


@pytest.fixture(scope="module")
def checked() -> Iterator[Client]:
    """An org that every deploy leaves as it is."""
    with running() as client:
        yield client


def test_a_zip_in_a_folder_of_its_own_and_source_suffixes_are_taken(checked: Client) -> None:
    files = {f"pkg/{path}": content for path, content in fields("Account", text("Code__c")).items()}
    assert deploy(checked, files, checkOnly=True)["status"] == "Succeeded"
    tab = {
        "package.xml": manifest({"PermissionSet": ["A"]}),
        "permissionsets/A.permissionset-meta.xml": xml("PermissionSet", label="A"),
    }
    assert deploy(checked, tab, checkOnly=True)["status"] == "Succeeded"


def test_what_is_no_zip_fails(checked: Client) -> None:
    entity = json.dumps({"deployOptions": {}})
    answer = checked.call(
        "POST", "/metadata/deployRequest",
        files={"entity_content": (None, entity, "application/json"), "file": ("p.zip", b"no zip at all")},
    )  # fmt: skip
    result = ended(checked, answer.json()["id"])
    assert (result["status"], problems(result)[0][1][:11]) == ("Failed", "INVALID_ZIP")


@pytest.mark.parametrize(
    ("entity", "more", "status", "code"),
    [
        (None, {}, 400, "MISSING_ARGUMENT"),
        ("{}", {}, 400, "MISSING_ARGUMENT"),
        ('{"deployOptions": {"chekOnly": true}}', {}, 400, "JSON_PARSER_ERROR"),
        ('{"deployOptions": {"checkOnly": "yes"}}', {}, 400, "JSON_PARSER_ERROR"),
        ('{"deployOptions": {', {}, 400, "JSON_PARSER_ERROR"),
    ],
)
def test_a_request_that_is_wrong_is_refused(
    checked: Client, entity: str | None, more: dict[str, Any], status: int, code: str
) -> None:
    parts: dict[str, Any] = {"file": ("p.zip", zipped({}))}
    if entity is not None:
        parts["entity_content"] = (None, entity, "application/json")
    answer = checked.call("POST", "/metadata/deployRequest", files=parts, **more)
    assert (answer.status_code, answer.json()[0]["errorCode"]) == (status, code)


def test_a_body_that_is_not_multipart_is_refused(checked: Client) -> None:
    answer = checked.call("POST", "/metadata/deployRequest", data={"deployOptions": "{}"})
    assert (answer.status_code, answer.json()[0]["errorCode"]) == (415, "UNSUPPORTED_MEDIA_TYPE")


def test_an_unknown_deploy_is_not_found_and_an_ended_one_cannot_be_canceled(checked: Client) -> None:
    assert checked.get("/metadata/deployRequest/0Af000000000000AAA").status_code == 404
    made = start(checked, fields("Account", text("Code__c")), checkOnly=True)
    ended(checked, made)
    answer = checked.call("PATCH", f"/metadata/deployRequest/{made}", json={"deployResult": {"status": "Canceling"}})
    assert (answer.status_code, answer.json()[0]["errorCode"]) == (400, "INVALID_ID_FIELD")


def test_who_may_not_change_metadata_is_refused(checked: Client) -> None:
    token = checked.call("PUT", "//__sandbox/login", json={"username": "manager@crmsync.example"}).json()
    answer = checked.call(
        "POST", "/metadata/deployRequest", files={"entity_content": (None, "{}")},
        headers={"Authorization": f"Bearer {token['access_token']}"},
    )  # fmt: skip
    assert (answer.status_code, answer.json()[0]["errorCode"]) == (403, "INSUFFICIENT_ACCESS")


def test_a_restart_keeps_what_was_deployed(tmp_path: Path) -> None:
    state = ["--state", str(tmp_path / "org.sqlite")]
    with running(*state) as org:
        deploy(org, fields("Account", text("Code__c", required=True)))
        assert org.create("Account", Name="Acme", Code__c="a")
    with running(*state) as org:
        assert org.names("SELECT Code__c FROM Account") == ["a"]
        assert deploy(org, fields("Account", text("Code__c")))["details"]["componentSuccesses"][0]["created"] is False


def test_records_that_are_written_meanwhile_are_kept(org: Client) -> None:
    started = start(org, fields("Account", *(text(f"F{number}__c") for number in range(40))))
    made = [org.create("Account", Name=f"Acme {number}") for number in range(10)]
    assert ended(org, started)["status"] == "Succeeded"
    assert sorted(org.names("SELECT Id FROM Account")) == sorted(made)


def test_a_zip_that_says_less_than_it_holds_is_not_read_further(checked: Client) -> None:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("package.xml", manifest({}))
        archive.writestr("x" * 200, b"0" * 1000)
    data = out.getvalue().replace((1000).to_bytes(4, "little"), (10).to_bytes(4, "little"))
    entity = json.dumps({"deployOptions": {"checkOnly": True}})
    answer = checked.call("POST", "/metadata/deployRequest",
                          files={"entity_content": (None, entity), "file": ("p.zip", data)})  # fmt: skip
    assert ended(checked, answer.json()["id"])["status"] == "Failed"
