"""Orgs with one currency, several, and dated rates; the org's time zone; ids of 15 and 18 signs at every door."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.sandbox.orgs import SCHEMA, Client, running, write_files
from tests.sandbox.reading import read_tables

RATES: dict[str, str | bytes] = {
    "schema.yaml": SCHEMA,
    "CurrencyType.csv": "IsoCode,ConversionRate,DecimalPlaces,IsActive,IsCorporate\nUSD,1,2,true,true\n"
    "EUR,0.8,2,true,false\nJPY,150,0,false,false\n",
    "DatedConversionRate.csv": "IsoCode,StartDate,ConversionRate\nEUR,2026-01-01,0.5\nEUR,2026-03-01,0.25\n"
    "USD,2026-01-01,1\n",
    "Account.csv": "Name,Key__c,AnnualRevenue,CurrencyIsoCode\nRome,rome,800,EUR\nReno,reno,100,\n",
    "Opportunity.csv": "Name,StageName,CloseDate,Amount,CurrencyIsoCode,Account.Key__c\n"
    "Winter,Closed Won,2026-02-28,100,EUR,rome\nSpring,Closed Won,2026-03-01,100,EUR,rome\n"
    "Old,Closed Won,2025-03-01,100,EUR,rome\nHome,Closed Won,2026-03-01,100,USD,reno\n",
}


@pytest.fixture(scope="module")
def org(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    with running("--data", str(write_files(tmp_path_factory.mktemp("org"), RATES))) as client:
        yield client


def test_an_org_with_one_currency_has_no_object_and_field_of_it(tmp_path: Path) -> None:
    with running() as single:
        for name in ("CurrencyType", "DatedConversionRate"):
            assert single.refusal(f"SELECT Id FROM {name}")[1] == "INVALID_TYPE"
            assert single.get(f"/sobjects/{name}/describe").status_code == 404
        assert single.refusal("SELECT CurrencyIsoCode FROM Account")[1] == "INVALID_FIELD"
        answer = single.call("POST", "/sobjects/Account", json={"Name": "x", "CurrencyIsoCode": "USD"})
        assert answer.json()[0]["errorCode"] == "INVALID_FIELD"
        single.call("POST", "/sobjects/Account", json={"Name": "x"})
        tables = read_tables(single, MAP, tmp_path)
        assert tables == {"partners": [{"partner_id": tables["partners"][0]["partner_id"], "currency": "USD"}]}


MAP = """
tables:
  partners: {object: Account, columns: {partner_id: Id, currency: CurrencyIsoCode}}
  rates: {object: DatedConversionRate, columns: {currency: IsoCode, effective_from: StartDate, rate: ConversionRate}}
"""


def test_several_currencies_without_dated_rates(tmp_path: Path) -> None:
    files = {name: text for name, text in RATES.items() if name != "DatedConversionRate.csv"}
    with running("--data", str(write_files(tmp_path, files))) as client:
        assert client.refusal("SELECT Id FROM DatedConversionRate")[1] == "INVALID_TYPE"
        assert client.rows("SELECT convertCurrency(Amount) FROM Opportunity WHERE Name = 'Spring'") == [
            {"Amount": 125.0}
        ]
        rates = {row["currency"]: float(row["rate"]) for row in read_tables(client, MAP, tmp_path)["rates"]}
        assert rates == {"USD": 1.0, "EUR": 0.8, "JPY": 150.0}


def test_currencies_are_described_with_their_rates(org: Client) -> None:
    rows = org.rows("SELECT IsoCode, ConversionRate, DecimalPlaces, IsActive, IsCorporate FROM CurrencyType")
    assert [list(row.values()) for row in rows] == [
        ["USD", 1.0, 2, True, True], ["EUR", 0.8, 2, True, False], ["JPY", 150.0, 0, False, False],
    ]  # fmt: skip
    fields = {field["name"]: field for field in org.get("/sobjects/CurrencyType/describe").json()["fields"]}
    assert (fields["ConversionRate"]["precision"], fields["ConversionRate"]["scale"]) == (18, 6)
    code = next(f for f in org.get("/sobjects/Cert__c/describe").json()["fields"] if f["name"] == "CurrencyIsoCode")
    assert [(value["value"], value["active"]) for value in code["picklistValues"]] == [
        ("EUR", True), ("JPY", False), ("USD", True),
    ]  # fmt: skip
    answer = org.call("POST", "/sobjects/Account", json={"Name": "x", "CurrencyIsoCode": "JPY"})
    assert answer.json()[0]["errorCode"] == "INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST"


def test_deals_convert_at_the_rate_of_their_day_and_accounts_at_the_present_one(org: Client) -> None:
    deals = org.rows("SELECT Name, convertCurrency(Amount) FROM Opportunity ORDER BY Name")
    assert {row["Name"]: row["Amount"] for row in deals} == {"Home": 100, "Old": 125, "Spring": 400, "Winter": 200}
    accounts = org.rows("SELECT Name, convertCurrency(AnnualRevenue) FROM Account ORDER BY Name")
    assert [row["AnnualRevenue"] for row in accounts] == [100.0, 1000.0]


def test_a_dated_rate_ends_where_the_next_begins_also_when_one_is_added(org: Client) -> None:
    shown = "SELECT StartDate, NextStartDate FROM DatedConversionRate WHERE IsoCode = 'EUR' ORDER BY StartDate"
    made = org.create("DatedConversionRate", IsoCode="EUR", StartDate="2026-02-01", ConversionRate=0.4)
    assert [tuple(row.values()) for row in org.rows(shown)] == [
        ("2026-01-01", "2026-02-01"), ("2026-02-01", "2026-03-01"), ("2026-03-01", "9999-12-31"),
    ]  # fmt: skip
    assert org.call("DELETE", f"/sobjects/DatedConversionRate/{made}").status_code == 204
    assert [row["NextStartDate"] for row in org.rows(shown)] == ["2026-03-01", "9999-12-31"]
    refused = org.call("POST", "/sobjects/DatedConversionRate", json={"NextStartDate": "2026-02-01"})
    assert refused.json()[0]["errorCode"] == "INVALID_FIELD_FOR_INSERT_UPDATE"


@pytest.mark.parametrize(
    ("zone", "stamps"),
    [("UTC", (1, 1)), ("America/Los_Angeles", (1, 0)), ("Asia/Tokyo", (0, 1)), ("Nowhere/Land", (1, 1))],
)
def test_date_literals_go_by_the_orgs_time_zone(tmp_path: Path, zone: str, stamps: tuple[int, int]) -> None:
    # 03:00 of the day in UTC is the day before in Los Angeles; 23:00 is the day after in Tokyo
    files: dict[str, str | bytes] = {
        "schema.yaml": SCHEMA,
        "Organization.csv": f"Name,TimeZoneSidKey\nHere,{zone}\n",
        "Account.csv": "Name,Seen__c\nLate,2026-07-01T23:00:00Z\nEarly,2026-07-01T03:00:00Z\n",
    }
    with running("--data", str(write_files(tmp_path, files))) as client:
        for name, expected in zip(("Late", "Early"), stamps, strict=True):
            soql = f"SELECT count() FROM Account WHERE Seen__c = TODAY AND Name = '{name}'"
            assert client.query(soql).json()["totalSize"] == expected, name


def test_short_ids_are_taken_wherever_long_ones_are(org: Client) -> None:
    account = org.create("Account", Name="Short")
    short = account[:15]
    deal = org.create("Opportunity", Name="D", StageName="Prospecting", CloseDate="2026-05-01", AccountId=short)
    assert org.get(f"/sobjects/Opportunity/{deal[:15]}").json()["AccountId"] == account
    assert org.get(f"/sobjects/Account/Id/{short}").json()["Id"] == account
    assert org.names(f"SELECT Id FROM Opportunity WHERE AccountId IN ('{short}')") == [deal]
    assert org.call("PATCH", f"/sobjects/Account/{short}", json={"ParentId": None}).status_code == 204
    record: dict[str, Any] = {"attributes": {"type": "Account"}, "id": short, "Site": "s"}
    assert org.call("PATCH", "/composite/sobjects", json={"records": [record]}).json()[0]["id"] == account
    read = org.call("POST", "/composite/sobjects/Account", json={"ids": [short], "fields": ["Id"]}).json()
    assert read[0]["Id"] == account
    _, rows = org.ingest(f"Id,AccountId\n{deal[:15]},{short}\n", object="Opportunity", operation="update")
    assert rows["successfulResults"][0]["sf__Id"] == deal
    _, rows = org.ingest(f"Id,Site\n{short},t\n", object="Account", operation="upsert", externalIdFieldName="Id")
    assert (rows["successfulResults"][0]["sf__Id"], rows["successfulResults"][0]["sf__Created"]) == (account, "false")
    job = org.call("POST", "/jobs/query", json={"operation": "query", "query": "SELECT Id FROM Account"}).json()["id"]
    assert org.get(f"/jobs/query/{job[:15]}").json()["id"] == job
    gone = org.call("DELETE", f"/composite/sobjects?ids={short}").json()
    assert gone == [{"id": account, "success": True, "errors": []}]


def test_addresses_are_whole_in_rest_and_refused_in_bulk(org: Client) -> None:
    made = org.create("Account", Name="Placed", BillingCity="Rome", BillingLatitude=41.9)
    (row,) = org.rows(f"SELECT BillingAddress FROM Account WHERE Id = '{made}'")
    assert (row["BillingAddress"]["city"], row["BillingAddress"]["latitude"], row["BillingAddress"]["street"]) == (
        "Rome", 41.9, None,
    )  # fmt: skip
    query = {"operation": "query", "query": "SELECT BillingAddress FROM Account"}
    refused = org.call("POST", "/jobs/query", json=query)
    assert (refused.status_code, refused.json()[0]) == (
        400, {"errorCode": "INVALID_FIELD", "message": "Selecting compound data not supported in Bulk Query"},
    )  # fmt: skip
    ended, _ = org.ingest("Name,BillingAddress\nx,y\n", object="Account", operation="insert")
    assert ended["errorMessage"] == "InvalidBatch : Field name not found : BillingAddress"
