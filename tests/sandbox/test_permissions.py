"""What a user may see and write: profiles, permission sets, the start option, tokens per user."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from crmsync.errors import ConfigError
from tests.sandbox.orgs import SCHEMA, Client, cells, running, write_files
from tests.sandbox.reading import read_tables
from tests.sandbox.test_listviews import NS, PACKAGE, deploy

LEAST = "integration@crmsync.example"
ADMIN = "admin@crmsync.example"
HIDDEN = "Unable to create/update fields: {}. Please check the security settings of this field and verify that it is " \
    "read/write for your profile or permission set."  # fmt: skip


def as_user(client: Client, username: str) -> Client:
    """A client of the same org with a token of that user."""
    answer = requests.put(client.url("//__sandbox/login"), json={"username": username}, timeout=30)
    assert answer.status_code == 200, answer.text
    other = Client(client.org)
    other.session.headers["Authorization"] = f"Bearer {answer.json()['access_token']}"
    return other


@pytest.fixture(scope="module")
def org(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    files: dict[str, str | bytes] = {
        "schema.yaml": SCHEMA,
        "Account.csv": "Name,Key__c,Tier__c,Score__c,Note__c\nFirst,first,Gold,1.5,secret\n"
        "Second,second,Silver,2.5,x\n",
        "Opportunity.csv": "Name,StageName,CloseDate,Account.Key__c\nDeal,Closed Won,2026-05-01,first\n",
        "Cert__c.csv": "Key__c,Account__c.Key__c\nc1,first\n",
    }
    folder = write_files(tmp_path_factory.mktemp("org"), files)
    with running("--data", str(folder), "--least-privilege") as client:
        yield client


@pytest.fixture(scope="module")
def admin(org: Client) -> Client:
    return as_user(org, ADMIN)


@pytest.fixture(scope="module")
def granted(org: Client, admin: Client) -> Client:
    """The integration user with a permission set: reads three fields of accounts, edits one."""
    grant(admin, org.org.user_id, {"Account": "RE"}, {"Account.Tier__c": "RE", "Account.Score__c": "R",
                                                       "Account.BillingAddress": "R"})  # fmt: skip
    return org


def grant(admin: Client, user_id: str, objects: dict[str, str], fields: dict[str, str]) -> str:
    """The id of a new permission set that is assigned to the user."""
    made = admin.create("PermissionSet", Name="S" + str(len(admin.rows("SELECT Id FROM PermissionSet"))), Label="S")
    for name, letters in objects.items():
        admin.create("ObjectPermissions", ParentId=made, SobjectType=name, PermissionsRead=True,
                     PermissionsEdit="E" in letters, PermissionsCreate="C" in letters,
                     PermissionsDelete="D" in letters)  # fmt: skip
    for name, letters in fields.items():
        admin.create("FieldPermissions", ParentId=made, SobjectType=name.partition(".")[0], Field=name,
                     PermissionsRead=True, PermissionsEdit="E" in letters)  # fmt: skip
    admin.create("PermissionSetAssignment", AssigneeId=user_id, PermissionSetId=made)
    return made


def fields_of(client: Client, name: str) -> dict[str, Any]:
    return {field["name"]: field for field in client.get(f"/sobjects/{name}/describe").json()["fields"]}


def test_without_permission_sets_only_set_up_objects_are_there() -> None:
    with running("--least-privilege") as bare:
        names = {entry["name"] for entry in bare.get("/sobjects").json()["sobjects"]}
        assert {"User", "Organization", "PermissionSet"} <= names
        assert not names & {"Account", "Opportunity", "Contact", "Task"}
        assert bare.refusal("SELECT Id FROM Account")[1] == "INVALID_TYPE"
        assert bare.get("/sobjects/Account/describe").status_code == 404
        assert bare.call("POST", "/sobjects/Account", json={"Name": "x"}).status_code == 404
        made = bare.call("POST", "/jobs/query", json={"operation": "query", "query": "SELECT Id FROM Account"})
        assert (made.status_code, made.json()[0]["errorCode"]) == (400, "INVALID_TYPE")


def test_describe_shows_what_is_granted_and_says_what_may_be_edited(granted: Client) -> None:
    fields = fields_of(granted, "Account")
    assert {"Id", "Name", "OwnerId", "Tier__c", "Score__c", "BillingCity", "BillingAddress"} <= set(fields)
    assert not set(fields) & {"Key__c", "Note__c", "Phone", "ShippingAddress", "ShippingCity"}
    assert (fields["Tier__c"]["updateable"], fields["Score__c"]["updateable"]) == (True, False)
    described = granted.get("/sobjects/Account/describe").json()
    assert (described["updateable"], described["createable"], described["deletable"]) == (True, False, False)
    children = {child["childSObject"] for child in described["childRelationships"]}
    assert "Opportunity" not in children


@pytest.mark.parametrize(
    "soql",
    [
        "SELECT Note__c FROM Account",
        "SELECT Id FROM Account WHERE Note__c = 'x'",
        "SELECT Id FROM Account WHERE Key__c = 'first'",
        "SELECT Id FROM Account ORDER BY Phone",
        "SELECT Phone, count(Id) FROM Account GROUP BY Phone",
        "SELECT Id FROM Account WHERE Owner.Key__c = 'x'",
    ],
)
def test_a_hidden_field_is_unknown_to_soql_over_rest_and_bulk(granted: Client, soql: str) -> None:
    status, code, message = granted.refusal(soql)
    assert (status, code) == (400, "INVALID_FIELD")
    assert "No such column" in message
    made = granted.call("POST", "/jobs/query", json={"operation": "query", "query": soql})
    assert (made.status_code, made.json()[0]["errorCode"]) == (400, "INVALID_FIELD")


def test_child_rows_and_parent_paths_of_hidden_objects_are_refused(granted: Client) -> None:
    assert granted.refusal("SELECT Id, (SELECT Id FROM Opportunities) FROM Account")[1] == "INVALID_TYPE"
    assert (
        granted.refusal("SELECT Id FROM Account WHERE Id IN (SELECT AccountId FROM Opportunity)")[1] == "INVALID_TYPE"
    )
    assert granted.rows("SELECT Name, Tier__c, Owner.Name FROM Account ORDER BY Name")[0]["Tier__c"] == "Gold"


def test_fields_all_leaves_hidden_fields_out(granted: Client) -> None:
    row = granted.rows("SELECT FIELDS(ALL) FROM Account LIMIT 1")[0]
    assert "Tier__c" in row
    assert "Note__c" not in row


def test_writes_of_hidden_and_read_only_fields_are_refused_at_every_door(granted: Client) -> None:
    (record_id,) = granted.names("SELECT Id FROM Account WHERE Name = 'First'")
    for name in ("Note__c", "Score__c"):
        answer = granted.call("PATCH", f"/sobjects/Account/{record_id}", json={name: None})
        error = answer.json()[0]
        assert (answer.status_code, error["errorCode"]) == (400, "INVALID_FIELD_FOR_INSERT_UPDATE")
        assert (error["message"], error["fields"]) == (HIDDEN.format(name), [name])
        record = {"attributes": {"type": "Account"}, "id": record_id, name: None}
        many = granted.call("PATCH", "/composite/sobjects", json={"records": [record]}).json()
        assert many[0]["errors"][0]["statusCode"] == "INVALID_FIELD_FOR_INSERT_UPDATE"
        inner = {"method": "PATCH", "url": f"/services/data/v67.0/sobjects/Account/{record_id}", "referenceId": "a",
                 "body": {name: None}}  # fmt: skip
        whole = granted.call("POST", "/composite", json={"compositeRequest": [inner]}).json()["compositeResponse"][0]
        assert whole["body"][0]["errorCode"] == "INVALID_FIELD_FOR_INSERT_UPDATE"
    ended, _ = granted.ingest(f"Id,Note__c\n{record_id},x\n", object="Account", operation="update")
    assert (ended["state"], ended["errorMessage"]) == ("Failed", "InvalidBatch : Field name not found : Note__c")
    ended, rows = granted.ingest(f"Id,Score__c\n{record_id},9\n", object="Account", operation="update")
    assert ended["numberRecordsFailed"] == 1
    assert rows["failedResults"][0]["sf__Error"].startswith("INVALID_FIELD_FOR_INSERT_UPDATE:Unable to create/update")
    ended, rows = granted.ingest(f"Id,Tier__c\n{record_id},Silver\n", object="Account", operation="update")
    assert ended["numberRecordsFailed"] == 0
    assert granted.call("PATCH", f"/sobjects/Account/{record_id}", json={"Tier__c": "Gold"}).status_code == 204


def test_objects_that_may_only_be_read_or_edited_refuse_the_rest(granted: Client, admin: Client) -> None:
    answer = granted.call("POST", "/sobjects/Account", json={"Name": "x"})
    assert (answer.status_code, answer.json()[0]["errorCode"]) == (400, "INVALID_TYPE_FOR_OPERATION")
    record_id = admin.create("Account", Name="Kept")
    answer = granted.call("DELETE", f"/sobjects/Account/{record_id}")
    assert (answer.status_code, answer.json()[0]["errorCode"]) == (403, "INSUFFICIENT_ACCESS_OR_READONLY")
    for name in ("User", "PermissionSetAssignment"):
        assert granted.call("POST", f"/sobjects/{name}", json={}).status_code == 400


def test_activities_go_by_the_account(granted: Client) -> None:
    (account,) = granted.names("SELECT Id FROM Account WHERE Name = 'First'")
    made = granted.create("Task", Subject="Call", WhatId=account, ActivityDate="2026-07-02", Description="at risk")
    assert granted.rows(f"SELECT Subject, What.Name FROM Task WHERE Id = '{made}'") == [
        {"Subject": "Call", "What": {"Name": "First"}}
    ]
    assert granted.refusal("SELECT Id FROM OpportunityPartner")[1] == "INVALID_TYPE"


def test_bulk_results_hold_granted_columns(granted: Client) -> None:
    made = granted.call(
        "POST", "/jobs/query", json={"operation": "query", "query": "SELECT Name, Tier__c FROM Account"}
    )
    path = f"/jobs/query/{made.json()['id']}"
    assert granted.get(path).json()["state"] == "JobComplete"
    assert {row["Tier__c"] for row in cells(granted.get(f"{path}/results").content)} >= {"Silver"}


def test_taking_a_permission_away_counts_at_once(org: Client, admin: Client) -> None:
    made = grant(admin, org.org.user_id, {"Cert__c": "R"}, {"Cert__c.Key__c": "R"})
    assert org.rows("SELECT Key__c FROM Cert__c") == [{"Key__c": "c1"}]
    known = {"If-Modified-Since": org.get("/sobjects/Cert__c/describe").headers["Last-Modified"]}
    assert org.get("/sobjects/Cert__c/describe", headers=known).status_code == 304
    (field,) = admin.names(f"SELECT Id FROM FieldPermissions WHERE ParentId = '{made}'")
    assert admin.call("DELETE", f"/sobjects/FieldPermissions/{field}").status_code == 204
    assert org.refusal("SELECT Key__c FROM Cert__c")[1] == "INVALID_FIELD"
    assert org.get("/sobjects/Cert__c/describe", headers=known).status_code == 200
    (assigned,) = admin.names(f"SELECT Id FROM PermissionSetAssignment WHERE PermissionSetId = '{made}'")
    assert admin.call("DELETE", f"/sobjects/PermissionSetAssignment/{assigned}").status_code == 204
    assert org.refusal("SELECT Id FROM Cert__c")[1] == "INVALID_TYPE"


def test_each_user_acts_under_the_own_name(org: Client, admin: Client) -> None:
    manager = as_user(org, "manager@crmsync.example")
    record_id = manager.create("Account", Name="Hers")
    row = manager.rows(f"SELECT Owner.Username, CreatedBy.Username FROM Account WHERE Id = '{record_id}'")[0]
    assert (row["Owner"]["Username"], row["CreatedBy"]["Username"]) == ("manager@crmsync.example",) * 2
    assert manager.get("//services/oauth2/userinfo").json()["preferred_username"] == "manager@crmsync.example"
    ended, rows = manager.ingest("Name\nBulk\n", object="Account", operation="insert")
    assert ended["createdById"] == manager.get("//services/oauth2/userinfo").json()["user_id"]
    made = rows["successfulResults"][0]["sf__Id"]
    assert admin.rows(f"SELECT CreatedBy.Username FROM Account WHERE Id = '{made}'")[0]["CreatedBy"] == {
        "Username": "manager@crmsync.example"
    }


def test_nobody_logs_in_as_an_unknown_user(org: Client) -> None:
    answer = requests.put(org.url("//__sandbox/login"), json={"username": "nobody@x"}, timeout=30)
    assert (answer.status_code, answer.json()[0]["message"]) == (404, "the org has no user 'nobody@x'")


def test_the_default_start_hides_nothing() -> None:
    with running() as org:
        assert "Phone" in fields_of(org, "Account")
        assert org.get("//services/oauth2/userinfo").json()["preferred_username"] == LEAST


LATE = f"""<CustomObject {NS}>
<fields><fullName>Late__c</fullName><label>Late</label><length>20</length><type>Text</type></fields>
<fields><fullName>Must__c</fullName><label>Must</label><length>20</length><required>true</required>
<type>Text</type></fields>
<fields><fullName>Twice__c</fullName><formula>NumberOfEmployees * 2</formula><label>Twice</label>
<precision>18</precision><scale>0</scale><type>Number</type></fields>
</CustomObject>"""


def test_a_field_made_later_is_seen_by_nobody_until_it_is_granted_also_after_a_restart(tmp_path: Path) -> None:
    state = ("--state", str(tmp_path / "org.sqlite"))
    with running(*state) as org:
        result = deploy(org, {"package.xml": PACKAGE.format("CustomObject").replace("*", "Account"),
                              "objects/Account.object": LATE})  # fmt: skip
        assert result["success"], result["details"]["componentFailures"]
        users = [org, as_user(org, ADMIN), as_user(org, "salesops@crmsync.example")]
        for user in users:
            assert not {"Late__c", "Twice__c"} & set(fields_of(user, "Account"))
            assert "Must__c" in fields_of(user, "Account")  # what is required comes with its object
        record_id = users[1].create("Account", Name="A", Must__c="m", NumberOfEmployees=21)
        grant(users[1], org.org.user_id, {}, {"Account.Late__c": "RE", "Account.Twice__c": "R"})
        assert fields_of(org, "Account")["Late__c"]["updateable"] is True
        assert org.call("PATCH", f"/sobjects/Account/{record_id}", json={"Late__c": "x"}).status_code == 204
        assert "Late__c" not in fields_of(users[1], "Account")
    with running(*state) as org:
        assert org.rows("SELECT Late__c, Twice__c FROM Account") == [{"Late__c": "x", "Twice__c": 42.0}]
        assert "Late__c" not in fields_of(as_user(org, ADMIN), "Account")
    with running(*state, "--least-privilege") as org:
        assert org.refusal("SELECT Id FROM Account")[1] == "INVALID_TYPE"
        assert org.rows("SELECT Name FROM Profile WHERE Name LIKE 'Min%'") != []


READ = """
tables:
  partners: {object: Account, columns: {partner_id: Id, name: Name, tier: Tier__c, note: %s}}
"""


def test_a_field_that_is_hidden_from_the_user_is_named_before_anything_is_read(
    granted: Client, admin: Client, tmp_path: Path
) -> None:
    rows = read_tables(granted, READ % "Score__c", tmp_path)["partners"]
    assert sorted(row["note"] for row in rows if row["note"] is not None) == [1.5, 2.5]  # others of this org have none
    with pytest.raises(ConfigError, match=r"map.yaml:3: field Account\.Note__c does not exist .* field-level security"):
        read_tables(granted, READ % "Note__c", tmp_path)
    assert {row["note"] for row in read_tables(admin, READ % "Note__c", tmp_path)["partners"]} >= {"secret", "x"}
