"""simple-salesforce, unmodified: it logs in to the sandbox, reads what crmsync wrote, and writes in bulk."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import pytest
import requests
from simple_salesforce import Salesforce, SalesforceAuthenticationFailed, SalesforceMalformedRequest

from crmsync.sandbox.company.schema import ALL_TIERS
from crmsync.sandbox.process import Org
from tests.clients.certificates import Certificates, make_certificates
from tests.clients.conftest import PARTNERS
from tests.clients.own_run import crmsync

NAMES = ("Jürgen Ångström & Söhne", "株式会社テスト", "Comma, Inc.", 'The "Quoted" Company', "Zoë\u2028Separator")
TEXT = 'first line\nsecond, with "quotes"\n\u00fcber, 納期\nlast'


def test_the_client_logs_in_with_client_credentials(salesforce: Salesforce) -> None:
    assert salesforce.sf_instance == "emu.my.salesforce.com"
    assert salesforce.query("SELECT COUNT() FROM Account WHERE Type = 'Partner'")["totalSize"] == PARTNERS


@pytest.mark.usefixtures("_through_tunnel")
def test_the_client_logs_in_with_a_signed_assertion(org: Org, certificates: Certificates) -> None:
    key = certificates.client.key.read_text(encoding="ascii")
    client = Salesforce(username=org.username, consumer_key=org.client_id, privatekey=key, domain="login")
    with client.session:
        assert client.query("SELECT Id FROM Account LIMIT 1")["totalSize"] == 1


@pytest.mark.usefixtures("_through_tunnel")
def test_an_assertion_signed_by_somebody_else_is_refused(org: Org, tmp_path: Path) -> None:
    stranger = make_certificates(tmp_path).client.key.read_text(encoding="ascii")
    with pytest.raises(SalesforceAuthenticationFailed, match="invalid_grant"):
        Salesforce(username=org.username, consumer_key=org.client_id, privatekey=stranger, domain="login")


@pytest.mark.usefixtures("_through_tunnel")
def test_a_wrong_secret_is_refused(org: Org) -> None:
    with pytest.raises(SalesforceAuthenticationFailed, match="invalid_client"):
        Salesforce(consumer_key=org.client_id, consumer_secret=f"not {org.client_secret}", domain="emu.my")


@pytest.mark.usefixtures("_through_tunnel")
def test_no_other_host_is_reached_through_the_tunnel() -> None:
    with pytest.raises(requests.exceptions.ProxyError, match="403"):
        requests.get("https://example.com/", timeout=5)


def test_the_client_describes_the_fields_that_crmsync_writes(salesforce: Salesforce) -> None:
    fields = {field["name"]: field for field in salesforce.Account.describe()["fields"]}
    assert fields["Partner_Tier__c"]["type"] == "picklist"
    assert tuple(value["value"] for value in fields["Partner_Tier__c"]["picklistValues"]) == ALL_TIERS
    assert fields["Tier_Progress__c"]["soapType"] == "xsd:double"
    assert not fields["Tier_Explanation__c"]["filterable"]


def test_wrong_soql_is_refused_with_the_words_of_salesforce(salesforce: Salesforce) -> None:
    with pytest.raises(SalesforceMalformedRequest, match="No such column 'Partner_Teir__c'"):
        salesforce.query("SELECT Partner_Teir__c FROM Account")


@pytest.fixture(scope="module")
def standings(org: Org, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """crmsync has run against the org once; the state folder it kept."""
    folder = tmp_path_factory.mktemp("written")
    crmsync(org, folder, "run", expected=(0,))
    return folder / "state"


@pytest.mark.usefixtures("standings")
def test_the_client_reads_the_written_fields(salesforce: Salesforce) -> None:
    found = salesforce.query_all(
        "SELECT Name, Partner_Tier__c, Partner_Segments__c, Tier_Progress__c, Tier_Risk__c, Tier_Explanation__c, "
        "Tier_Run_Id__c, Partner_Write_Token__c FROM Account WHERE Partner_Tier__c != null"
    )["records"]
    assert len(found) > PARTNERS / 2
    for record in found:
        assert record["Partner_Tier__c"] in ALL_TIERS
        assert record["Tier_Risk__c"] in {"none", "low", "medium", "high"}
        assert record["Tier_Explanation__c"]
        assert record["Tier_Run_Id__c"]
        assert record["Partner_Write_Token__c"]
    assert len({record["Tier_Run_Id__c"] for record in found}) == 1


def test_bulk_upsert_gives_back_what_was_put_in(salesforce: Salesforce) -> None:
    records = [
        {"Key__c": f"FOREIGN-{place}", "Name": name, "Type": "Customer", "Description": TEXT}
        for place, name in enumerate(NAMES)
    ]
    for expected in (len(NAMES), 0):  # the second time nothing is created
        (job,) = salesforce.bulk2.Account.upsert(records=records, external_id_field="Key__c", wait=1)
        assert (job["numberRecordsProcessed"], job["numberRecordsFailed"]) == (len(NAMES), 0)
        created = csv.DictReader(io.StringIO(salesforce.bulk2.Account.get_successful_records(job["job_id"])))
        assert [row["sf__Created"] for row in created].count("true") == expected
    pages = salesforce.bulk2.Account.query(
        "SELECT Key__c, Name, Description FROM Account WHERE Key__c LIKE 'FOREIGN-%' ORDER BY Key__c"
    )
    rows = [row for page in pages for row in csv.DictReader(io.StringIO(page, newline=""))]
    assert [row["Name"] for row in rows] == list(NAMES)
    assert {row["Description"] for row in rows} == {TEXT}


def test_bulk_reports_the_row_that_failed_and_keeps_the_others(salesforce: Salesforce) -> None:
    records = [
        {"Key__c": "TIER-1", "Name": "Good", "Partner_Tier__c": "Gold"},
        {"Key__c": "TIER-2", "Name": "Bad", "Partner_Tier__c": "Golden"},
    ]
    (job,) = salesforce.bulk2.Account.upsert(records=records, external_id_field="Key__c", wait=1)
    assert (job["numberRecordsProcessed"], job["numberRecordsFailed"]) == (2, 1)
    failed = salesforce.bulk2.Account.get_failed_records(job["job_id"])
    assert "INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST" in failed
    assert salesforce.Account.get_by_custom_id("Key__c", "TIER-1")["Partner_Tier__c"] == "Gold"


def test_rest_upsert_and_delete_work(salesforce: Salesforce) -> None:
    salesforce.Account.upsert("Key__c/REST-1", {"Name": "Größe, öffentlich", "Industry": None})
    record = salesforce.Account.get_by_custom_id("Key__c", "REST-1")
    assert record["Name"] == "Größe, öffentlich"
    assert salesforce.Account.delete(record["Id"]) == 204
    assert salesforce.query("SELECT COUNT() FROM Account WHERE Key__c = 'REST-1'")["totalSize"] == 0


def test_allowance_is_counted_on_every_call(salesforce: Salesforce) -> None:
    salesforce.limits()
    before = salesforce.api_usage["api-usage"].used
    salesforce.query("SELECT Id FROM Account LIMIT 1")
    assert salesforce.api_usage["api-usage"].used > before
