"""Permission sets and grants as records: what is refused."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.sandbox.orgs import SCHEMA, Client, running, write_files


@pytest.fixture(scope="module")
def org(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    with running("--data", str(write_files(tmp_path_factory.mktemp("org"), {"schema.yaml": SCHEMA}))) as client:
        yield client


@pytest.fixture(scope="module")
def parent(org: Client) -> str:
    """A permission set that is assigned and grants one field."""
    made = org.create("PermissionSet", Name="Run", Label="Run")
    org.create("PermissionSetAssignment", PermissionSetId=made, AssigneeId=org.org.user_id)
    org.create("FieldPermissions", ParentId=made, SobjectType="Account", Field="Account.Tier__c", PermissionsRead=True)
    org.create("ObjectPermissions", ParentId=made, SobjectType="Account", PermissionsRead=True)
    return made


def refused(org: Client, name: str, **values: Any) -> tuple[str, str]:
    answer = org.call("POST", f"/sobjects/{name}", json=values)
    assert answer.status_code == 400, answer.text
    return answer.json()[0]["errorCode"], answer.json()[0]["message"]


def test_nobody_is_assigned_twice(org: Client, parent: str) -> None:
    code, message = refused(org, "PermissionSetAssignment", PermissionSetId=parent, AssigneeId=org.org.user_id)
    assert (code, message) == (
        "DUPLICATE_VALUE",
        f"Duplicate PermissionSetAssignment. Assignee: {org.org.user_id[:15]}; Permission Set: {parent[:15]}",
    )


def test_names_of_permission_sets_are_unique(org: Client, parent: str) -> None:
    assert parent
    assert refused(org, "PermissionSet", Name="run", Label="Other")[0] == "DUPLICATE_DEVELOPER_NAME"


@pytest.mark.parametrize(
    ("values", "code", "word"),
    [
        ({"SobjectType": "Nope", "Field": "Nope.X__c"}, "INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST", "Sobject Type Name"),
        ({"Field": "Account.Nope__c"}, "INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST", "Account.Nope__c"),
        ({"Field": "Contact.Email"}, "INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST", "Contact.Email"),
        ({"Field": "Account.Name"}, "INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST", "Account.Name"),
        ({"SobjectType": "Line__c", "Field": "Line__c.Cert__c"}, "INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST", "Cert__c"),
        ({"PermissionsRead": False, "PermissionsEdit": True}, "FIELD_INTEGRITY_EXCEPTION", "Read Account.Score__c"),
        ({"Field": "Account.Tier__c"}, "DUPLICATE_VALUE", "Account.Tier__c"),
    ],
)
def test_a_wrong_grant_of_a_field_is_refused(
    org: Client, parent: str, values: dict[str, Any], code: str, word: str
) -> None:
    given = {"ParentId": parent, "SobjectType": "Account", "Field": "Account.Score__c", "PermissionsRead": True}
    found = refused(org, "FieldPermissions", **given | values)
    assert found[0] == code
    assert word in found[1]


@pytest.mark.parametrize(
    ("values", "code"),
    [
        ({"SobjectType": "Nope"}, "INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST"),
        ({"SobjectType": "Cert__c", "PermissionsEdit": True}, "FIELD_INTEGRITY_EXCEPTION"),
        ({"SobjectType": "Account", "PermissionsRead": True}, "DUPLICATE_VALUE"),
    ],
)
def test_a_wrong_grant_of_an_object_is_refused(org: Client, parent: str, values: dict[str, Any], code: str) -> None:
    assert refused(org, "ObjectPermissions", ParentId=parent, **values)[0] == code


def test_a_grant_is_widened_in_place(org: Client, parent: str) -> None:
    found = org.rows(f"SELECT Id FROM FieldPermissions WHERE ParentId = '{parent}' AND Field = 'Account.Tier__c'")
    path = f"/sobjects/FieldPermissions/{found[0]['Id']}"
    assert org.call("PATCH", path, json={"PermissionsEdit": True}).status_code == 204
    refusal = org.call("PATCH", path, json={"PermissionsRead": False})
    assert (refusal.status_code, refusal.json()[0]["errorCode"]) == (400, "FIELD_INTEGRITY_EXCEPTION")
