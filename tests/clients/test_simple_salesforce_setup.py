"""simple-salesforce, unmodified: its four logins, and the Metadata API by its own WSDL."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from simple_salesforce import Salesforce, SalesforceAuthenticationFailed

from crmsync.sandbox.process import Org
from tests.clients.certificates import Certificates
from tests.clients.foreign import group
from tests.sandbox.packages import manifest, xml, zipped

pytestmark = [*group("simple_salesforce_setup"), pytest.mark.usefixtures("_through_tunnel")]
FIELD = {"fullName": "Deployed__c", "label": "Deployed", "length": 20, "type": "Text"}
FILES = {
    "package.xml": manifest({"CustomField": ["Account.Deployed__c"]}, "63.0"),
    "objects/Account.object": xml("CustomObject", fields=[FIELD]),
}
DEPLOY = dict.fromkeys(
    ("checkOnly", "allowMissingFiles", "ignoreWarnings", "autoUpdatePackage", "purgeOnDelete"), "false"
) | {"rollbackOnError": "true", "singlePackage": "true", "testLevel": "NoTestRun"}


def login_with(kind: str, org: Org, certificates: Certificates) -> Salesforce:
    """A client that got in by one of the four ways."""
    if kind == "password and token":
        return Salesforce(username=org.username, password=org.password, security_token=org.security_token)
    if kind == "signed assertion":
        key = certificates.client.key.read_text(encoding="ascii")
        return Salesforce(username=org.username, consumer_key=org.client_id, privatekey=key)
    if kind == "client credentials":
        return Salesforce(consumer_key=org.client_id, consumer_secret=org.client_secret, domain="emu.my")
    return Salesforce(session_id=org.access_token, instance="emu.my.salesforce.com")


@pytest.mark.parametrize("kind", ["password and token", "signed assertion", "client credentials", "session id"])
def test_each_login_reads_and_writes(org: Org, certificates: Certificates, kind: str) -> None:
    client = login_with(kind, org, certificates)
    with client.session:
        made = client.Account.create({"Name": f"By {kind}"})
        assert client.Account.get(made["id"])["CreatedById"] == org.user_id
        (job,) = client.bulk2.Account.update(records=[{"Id": made["id"], "Site": "x"}], wait=1)
        assert (job["numberRecordsProcessed"], job["numberRecordsFailed"]) == (1, 0)
        assert client.Account.delete(made["id"]) == 204


def test_a_wrong_password_is_refused(org: Org) -> None:
    with pytest.raises(SalesforceAuthenticationFailed, match="INVALID_LOGIN"):
        Salesforce(username=org.username, password="wrong", security_token=org.security_token)


def test_a_password_is_no_login_of_the_newest_version(org: Org) -> None:
    with pytest.raises(SalesforceAuthenticationFailed, match="UNSUPPORTED_API_VERSION"):
        Salesforce(username=org.username, password=org.password, security_token=org.security_token, version="66.0")


@pytest.fixture
def client(org: Org, certificates: Certificates) -> Iterator[Salesforce]:
    found = login_with("password and token", org, certificates)
    with found.session:
        yield found


def test_a_field_is_made_read_changed_and_removed(client: Salesforce) -> None:
    api: Any = client.mdapi  # its types come from the WSDL when it is used
    assert "CustomObject" in {kind.xmlName for kind in api.describe_metadata().metadataObjects}
    field = api.CustomField(fullName="Account.Zeep__c", label="Zeep", type=api.FieldType("Text"), length=30)
    api.CustomField.create(field)
    read = api.CustomField.read("Account.Zeep__c")
    assert (read.label, read.length) == ("Zeep", 30)
    field.label = "Zeep 2"
    api.CustomField.update(field)
    assert api.CustomField.read("Account.Zeep__c").label == "Zeep 2"
    with pytest.raises(Exception, match="DUPLICATE_DEVELOPER_NAME"):
        api.CustomField.create(field)
    of_fields = api.ListMetadataQuery(type="CustomField")
    assert "Account.Zeep__c" in {one.fullName for one in api.list_metadata([of_fields])}
    api.CustomField.delete("Account.Zeep__c")
    assert "Account.Zeep__c" not in {one.fullName for one in api.list_metadata([of_fields])}


def test_a_zip_is_deployed_and_retrieved(client: Salesforce, tmp_path: Path) -> None:
    package = tmp_path / "package.zip"
    package.write_bytes(zipped(FILES))
    begun = client.deploy(str(package), sandbox=True, **DEPLOY)
    deadline = time.monotonic() + 30
    while (status := client.checkDeployStatus(begun["asyncId"]))["state"] in ("Pending", "InProgress"):
        assert time.monotonic() < deadline
    assert (status["state"], status["deployment_detail"]["deployed_count"]) == ("Succeeded", "1")
    retrieved, _ = client.mdapi.retrieve("x", unpackaged={"CustomObject": ["Account"]}, single_package=True)
    while (found := client.mdapi.retrieve_zip(retrieved))[0] in ("Pending", "InProgress"):
        assert time.monotonic() < deadline
    assert found[0] == "Succeeded"


def test_the_first_bulk_api_writes_and_reads(client: Salesforce) -> None:
    made = client.bulk.Account.insert([{"Name": "Größe, 株式会社", "Key__c": "CLASSIC-1"}, {"Key__c": "CLASSIC-2"}])
    assert [one["success"] for one in made] == [True, False]
    soql = "SELECT Name FROM Account WHERE Key__c LIKE 'CLASSIC%'"
    assert [one["Name"] for one in client.bulk.Account.query(soql)] == ["Größe, 株式会社"]
    (changed,) = client.bulk.Account.upsert([{"Key__c": "CLASSIC-1", "Site": "x"}], "Key__c")
    assert (changed["success"], changed["created"]) == (True, False)
    assert client.bulk.Account.delete([{"Id": made[0]["id"]}])[0]["success"]
