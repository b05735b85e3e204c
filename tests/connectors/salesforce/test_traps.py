"""Twenty things that real orgs do and that a reader or writer of Salesforce falls into once."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from crmsync.connectors.base import Into, Write, Written
from crmsync.connectors.salesforce import fetching, result_pages
from crmsync.connectors.salesforce.connector import SalesforceConnector
from crmsync.errors import AccessError, ConfigError, DataError
from crmsync.snapshots import Staging
from tests.connectors.salesforce.faulty import Faulty
from tests.connectors.salesforce.wire import MAP, Opened, Wire, account, entry, ok, open_connector, page
from tests.sandbox.orgs import Client

pytestmark = pytest.mark.xdist_group("error-table")
RESULTS = "/jobs/query/{job}/results"
PAGES = "/jobs/query/{job}/resultPages"


@pytest.fixture
def accounts(faulty: Faulty) -> list[str]:
    """The ids of the partners."""
    return Client(faulty.org).names("SELECT Id FROM Account WHERE Type = 'Partner' ORDER BY Id")


@pytest.fixture
def by_bulk(monkeypatch: pytest.MonkeyPatch) -> None:
    """Everything is read by bulk jobs, in pages of a few rows."""
    monkeypatch.setattr(fetching, "BULK_ABOVE", -1)
    monkeypatch.setattr(result_pages, "PAGE_ROWS", 7)


def names(faulty: Faulty) -> dict[str, Any]:
    """Names of partners as they are read."""
    staging = Staging(faulty.folder / "read")
    faulty.connector().extract(["partners"], staging)
    rows = pq.read_table(staging.path("partners"), columns=["partner_id", "name"]).to_pylist()
    staging.discard()
    return {row["partner_id"]: row["name"] for row in rows}


def job(connector: SalesforceConnector, writes: list[Write]) -> list[Written]:
    """A bulk job from start to results."""
    job_id = connector.create_job()
    connector.upload_job(job_id, writes)
    connector.start_job(job_id)
    while connector.job_state(job_id).state == "running":
        time.sleep(0.01)
    return sorted(connector.job_results(job_id), key=lambda one: one.record_id)


def site(number: int, accounts: list[str], text: str | None) -> Write:
    """A write of a text to one account."""
    return Write(accounts[number], {"Tier_Run_Id__c": text}, {})


def test_1_a_finished_job_may_have_failed_records(faulty: Faulty, accounts: list[str]) -> None:
    refuse = {"rows": {"ids": [accounts[1]], "error": "FIELD_CUSTOM_VALIDATION_EXCEPTION", "message": "Not on Mondays"}}
    faulty.fault({"method": "PATCH", "path": "/jobs/ingest/{job}", "do": refuse})
    done = job(faulty.connector(), [site(0, accounts, "a"), site(1, accounts, "b")])
    assert [one.state for one in done] == ["applied", "failed"]
    assert done[1].code == "FIELD_CUSTOM_VALIDATION_EXCEPTION"


def test_2_pages_are_smaller_than_asked(faulty: Faulty, accounts: list[str]) -> None:
    faulty.fault({"do": {"page_size": 3}})
    assert sorted(names(faulty)) == accounts


@pytest.mark.usefixtures("by_bulk")
def test_3_the_last_locator_is_the_word_null(faulty: Faulty, accounts: list[str]) -> None:
    faulty.fault({"path": PAGES, "do": {"error": "NOT_FOUND"}})  # page by page
    assert sorted(names(faulty)) == accounts
    assert faulty.fired() == [1]


@pytest.mark.usefixtures("by_bulk")
def test_3_pages_come_from_the_addresses_that_the_org_lists(faulty: Faulty, accounts: list[str]) -> None:
    faulty.fault({"path": PAGES, "do": {"page_size": 3}}, {"path": RESULTS, "do": {"page_size": 3}})
    assert sorted(names(faulty)) == accounts
    assert faulty.fired() == [2, 7], "twenty accounts: five addresses and two, of three accounts each"


def test_4_an_empty_cell_leaves_a_field_and_a_cleared_one_says_so(faulty: Faulty, accounts: list[str]) -> None:
    connector = faulty.connector()
    both = {"Tier_Run_Id__c": "r", "Tier_Main_Blocker__c": "b"}
    job(connector, [Write(accounts[2], both, {}), Write(accounts[3], both, {})])
    job(connector, [site(2, accounts, None), Write(accounts[3], {"Tier_Main_Blocker__c": "c"}, {})])
    found = connector.read(accounts[2:4], list(both))
    assert found[accounts[2]] == {"Tier_Run_Id__c": None, "Tier_Main_Blocker__c": "b"}
    assert found[accounts[3]] == {"Tier_Run_Id__c": "r", "Tier_Main_Blocker__c": "c"}


@pytest.mark.usefixtures("by_bulk")
@pytest.mark.parametrize("name", ['a, "b"\nc', "next\u2028li\x85ne", "M\u00fcller & S\u00f6hne"])
def test_5_odd_signs_in_names_stay_in_their_cell(faulty: Faulty, accounts: list[str], name: str) -> None:
    Client(faulty.org).call("PATCH", f"/sobjects/Account/{accounts[4]}", json={"Name": name})
    assert names(faulty)[accounts[4]] == name


@pytest.mark.usefixtures("by_bulk")
def test_6_csv_without_a_charset_is_utf8(faulty: Faulty, accounts: list[str]) -> None:
    Client(faulty.org).call("PATCH", f"/sobjects/Account/{accounts[5]}", json={"Name": "株式会社 Ö"})
    faulty.fault({"path": RESULTS, "at": "after", "do": {"charset": False}})
    assert names(faulty)[accounts[5]] == "株式会社 Ö"


@pytest.mark.usefixtures("by_bulk")
def test_7_the_session_ends_between_poll_and_results(faulty: Faulty, accounts: list[str]) -> None:
    by_endpoint = Client(faulty.org).get("//__sandbox/effects").json()["by_endpoint"]
    before = by_endpoint.get("POST /services/oauth2/token", 0)
    small = [{"path": path, "do": {"page_size": 3}} for path in (PAGES, RESULTS)]
    faulty.fault({"path": RESULTS, "nth": 2, "do": {"expire_token": True}}, *small)
    assert sorted(names(faulty)) == accounts
    assert faulty.fired()[0] == 1
    logins = Client(faulty.org).get("//__sandbox/effects").json()["by_endpoint"]["POST /services/oauth2/token"]
    assert logins - before == 2, "the first login and one more, though several pages were under way"


def test_8_a_record_twice_in_one_job_is_refused_before_it_is_sent(faulty: Faulty, accounts: list[str]) -> None:
    with pytest.raises(DataError, match="stands twice"):
        job(faulty.connector(), [site(0, accounts, "a"), Write(accounts[0][:15], {"Tier_Run_Id__c": "b"}, {})])


def test_9_short_and_long_ids_are_one_record(wire: Wire, opened: Opened) -> None:
    wire.counts("Account", 2)
    wire.page("Account", page([account(1, Id="001000000000001"), account(2)]))
    opened.connector.extract(["partners"], opened.staging)
    assert [row["partner_id"] for row in opened.rows("partners")] == ["001000000000001AAA", "001000000000002AAA"]


def test_9_the_same_record_by_its_short_and_long_id_is_a_repeat(wire: Wire, opened: Opened) -> None:
    wire.counts("Account", 2)
    wire.page("Account", page([account(1, Id="001000000000001"), account(1)]))
    with pytest.raises(DataError, match="Account 001000000000001AAA: came twice"):
        opened.connector.extract(["partners"], opened.staging)


STANDINGS = Into("Partner_Standing__c", "Standing_Key__c")


def test_10_keys_that_differ_by_case_are_two_records(faulty: Faulty, accounts: list[str]) -> None:
    """Record ids are part of the key, and they differ by case: the field that we deploy says that case matters."""
    target = faulty.connector().into(STANDINGS)
    assert target.fields.key is not None
    assert target.fields.key.case_sensitive
    first = {"Account__c": accounts[0], "Category__c": "reseller"}
    writes = [Write(key, first | {"Movement__c": word}, {}) for key, word in (("0aB|x", "up"), ("0Ab|x", "down"))]
    assert {one.state for one in target.write_several(writes)} == {"applied"}
    found = target.read(["0aB|x", "0Ab|x", "0ab|x"], ["Movement__c"])
    assert found == {"0aB|x": {"Movement__c": "up"}, "0Ab|x": {"Movement__c": "down"}}


def test_10_keys_that_differ_by_case_are_one_record_in_a_field_that_ignores_it(wire: Wire, opened: Opened) -> None:
    key = entry("Key__c", externalId=True, unique=True, caseSensitive=False)
    wire.describe("Standing__c", [entry("Id", "id"), key, entry("Tier__c")])
    record = {"Id": "a01000000000001AAA", "Key__c": "abc|x", "Tier__c": "Gold"}
    wire.page("Standing__c", page([record]))
    target = opened.connector.into(Into("Standing__c", "Key__c"))
    assert target.read(["ABC|x"], ["Tier__c"]) == {"ABC|x": {"Tier__c": "Gold"}}
    with pytest.raises(DataError, match=r"abc\|x stands twice in one bulk job"):
        target.upload_job("750000000000001AAA", [Write(one, {"Tier__c": "x"}, {}) for one in ("ABC|x", "abc|x")])


def test_11_a_record_that_was_merged_meanwhile_fails_alone(faulty: Faulty, accounts: list[str]) -> None:
    lost, master = accounts[-1], accounts[-2]
    merge = {"merge": {"object": "Account", "master": master, "losers": [lost]}}
    faulty.fault({"method": "POST", "path": "/jobs/ingest", "nth": 1, "do": merge})
    done = {
        one.record_id: one
        for one in job(faulty.connector(), [site(0, accounts, "m"), Write(lost, {"Tier_Run_Id__c": "m"}, {})])
    }
    assert done[accounts[0]].state == "applied"
    assert (done[lost].state, done[lost].code) == ("failed", "ENTITY_IS_DELETED")


def test_12_an_inactive_picklist_value_is_refused_before_writing(wire: Wire, opened: Opened) -> None:
    with pytest.raises(AccessError, match="Bronze"):
        opened.connector.check_writes([Write("001000000000001AAA", {"Tier__c": "Bronze"}, {})])
    assert not wire.made("PATCH", ".*")


def test_13_a_value_that_the_record_type_lacks_fails_alone(faulty: Faulty, accounts: list[str]) -> None:
    error = "INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST"
    faulty.fault(
        {"method": "PATCH", "path": "/jobs/ingest/{job}", "do": {"rows": {"ids": [accounts[1]], "error": error}}}
    )
    done = job(faulty.connector(), [site(0, accounts, "t"), site(1, accounts, "t")])
    assert [(one.state, one.code) for one in done] == [("applied", None), ("failed", error)]


def test_14_a_hidden_field_stops_the_read_before_it_begins(wire: Wire, tmp_path: Path) -> None:
    opened = open_connector(tmp_path, MAP.replace("joined_on: Partner_Since__c", "joined_on: Hidden__c"))
    with pytest.raises(ConfigError, match=r"Account\.Hidden__c does not exist in this org or is hidden by field-level"):
        opened.connector.extract(["partners"], opened.staging)
    assert not wire.made("GET", ".*COUNT.*")


@pytest.mark.usefixtures("by_bulk")
@pytest.mark.parametrize(("wanted", "used"), [("60.0", "60.0"), ("99.0", "68.0")])
def test_15_results_are_fetched_with_the_version_of_their_job(
    faulty: Faulty, accounts: list[str], wanted: str, used: str
) -> None:
    faulty.fault(*({"path": path, "do": {"page_size": 3}} for path in (PAGES, RESULTS)))
    connector = faulty.connector(api_version=wanted)
    staging = Staging(faulty.folder / "read")
    connector.extract(["partners"], staging)
    assert sorted(pq.read_table(staging.path("partners")).column("partner_id").to_pylist()) == accounts
    assert connector.org.version == used
    other = connector.org.post("jobs/query", {"operation": "query", "query": "SELECT Id FROM Account"})
    results = f"//services/data/v61.0/jobs/query/{other['id']}/results"
    assert Client(faulty.org).get(results).status_code == 409, "the org does not answer to another version"


@pytest.mark.parametrize(("zone", "day"), [("UTC", 28), ("America/Los_Angeles", 28), ("Asia/Tokyo", 29)])
def test_16_moments_are_utc_and_dates_have_no_zone(wire: Wire, tmp_path: Path, zone: str, day: int) -> None:
    text = f"time_zone: {zone}\n" + MAP.replace("closed_on: CloseDate", "closed_on: CloseDate, created_on: CreatedDate")
    opened = open_connector(tmp_path, text)
    deal = {"Id": "006000000000001AAA", "Name": "D", "Amount": 1, "IsWon": True, "CloseDate": "2026-03-29"}
    deal |= {"CreatedDate": "2026-03-28T23:30:00.000+0000", "AccountId": "001000000000001AAA"}
    wire.counts("Opportunity", 1)
    wire.page("Opportunity", page([deal]))
    opened.connector.extract(["opportunities"], opened.staging)
    (row,) = opened.rows("opportunities")
    assert (row["closed_on"].day, row["created_on"].day) == (29, day)


def test_17_a_single_currency_org_has_no_currency_field(wire: Wire, tmp_path: Path) -> None:
    opened = open_connector(tmp_path, MAP.replace("name: Name,", "name: Name, currency: CurrencyIsoCode,", 1))
    wire.counts("Account", 1)
    wire.page("Account", page([account(1)]))
    report = opened.connector.extract(["partners"], opened.staging)
    assert len(opened.rows("partners")) == 1
    assert any("one currency only" in note for note in report.notes)


def test_18_an_unchanged_value_is_not_written(faulty: Faulty, accounts: list[str]) -> None:
    connector, client = faulty.connector(), Client(faulty.org)
    assert connector.write_one(site(6, accounts, "same")).state == "applied"
    client.call("DELETE", "//__sandbox/effects")
    assert connector.write_one(site(6, accounts, "same")).state == "applied"
    assert client.get("//__sandbox/effects").json()["calls"]["write"] == 0


def test_19_a_percent_field_holds_85_for_85_percent(wire: Wire, tmp_path: Path) -> None:
    text = "tables:\n  opportunities:\n    object: Opportunity\n    columns: {opportunity_id: Id}\n"
    text += "    partners: [{partner_id: Reseller__c, share: Split__c}]\n"
    opened = open_connector(tmp_path, text)
    wire.counts("Opportunity", 1)
    wire.page("Opportunity", page([{"Id": "006000000000001AAA", "Reseller__c": "001000000000001AAA", "Split__c": 85}]))
    opened.connector.extract(["opportunities"], opened.staging)
    assert [row["share"] for row in opened.rows("opportunities")] == [0.85]


def test_20_the_order_of_a_multi_select_is_the_orgs(wire: Wire, opened: Opened) -> None:
    record = {"Id": "001000000000001AAA", "Segments__c": "B;A", "attributes": {"type": "Account"}}
    wire.on("GET", ".*/sobjects/Account/001000000000001AAA.*", ok(record, ETag='"v"'))
    write = Write("001000000000001AAA", {"Segments__c": "A;B"}, {"Segments__c": "A;B"})
    assert opened.connector.write_one(write).state == "applied"
    assert not wire.made("PATCH", ".*")
