"""Rights that a login has beyond its work are told, with where they come from."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from crmsync.connectors.salesforce.checks.rights import rights_findings
from crmsync.connectors.salesforce.describe import Describe
from crmsync.connectors.salesforce.org import Org
from crmsync.settings import SalesforceSettings
from tests.sandbox.orgs import Client, running


@pytest.fixture(scope="module")
def client() -> Iterator[Client]:
    with running("--sample", "20", "--seed", "7") as client:
        yield client


def told(client: Client) -> list[str]:
    """What a check of this login says of its rights."""
    settings = SalesforceSettings(instance_url=client.org.instance_url, access_token=client.org.access_token)
    org = Org(settings)
    return [f"{one.severity}: {one.what}" for one in rights_findings(org, Describe(org))]


def made(client: Client, name: str, body: dict[str, object]) -> str:
    answer = client.call("POST", f"/sobjects/{name}", json=body)
    assert answer.status_code == 201, answer.text
    return str(answer.json()["id"])


def test_rights_that_no_run_needs_are_told_with_their_permission_set(client: Client) -> None:
    assert not [one for one in told(client) if "PermissionsBulkApiHardDelete" in one]
    broad = {"Name": "Everything", "Label": "Everything", "PermissionsBulkApiHardDelete": True}
    permission_set = made(client, "PermissionSet", broad)
    person = client.call("GET", "//services/oauth2/userinfo").json()["user_id"]
    made(client, "PermissionSetAssignment", {"PermissionSetId": permission_set, "AssigneeId": person})
    (found,) = [one for one in told(client) if "PermissionsBulkApiHardDelete" in one]
    assert found == (
        "look: this login may delete records past the recycle bin (PermissionsBulkApiHardDelete, through Everything)"
    )
