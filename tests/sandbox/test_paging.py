"""Query pages: every row exactly once, pages smaller than asked, locators that expire."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.sandbox.orgs import Client, csv_text, running, write_files

ROWS = 5_000


@pytest.fixture(scope="module")
def org(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    rows = [["Name", "Site"], *([f"Account {number:05d}", "x" if number % 2 else ""] for number in range(ROWS))]
    with running("--data", str(write_files(tmp_path_factory.mktemp("org"), {"Account.csv": csv_text(rows)}))) as client:
        yield client


def pages(org: Client, soql: str, path: str = "/query", **headers: str) -> list[list[str]]:
    answer = org.get(path, params={"q": soql}, headers=headers).json()
    found = []
    while True:
        found.append([record["Name"] for record in answer["records"]])
        assert answer["totalSize"] == ROWS
        if answer["done"]:
            return found
        answer = org.get("/" + answer["nextRecordsUrl"]).json()


@pytest.mark.parametrize("path", ["/query", "/queryAll/"])
def test_pages_hold_every_row_once_in_order_though_smaller_than_asked(org: Client, path: str) -> None:
    found = pages(org, "SELECT Name FROM Account ORDER BY Name DESC", path)
    assert [name for page in found for name in page] == [f"Account {number:05d}" for number in reversed(range(ROWS))]
    assert len(found[0]) < 2_000


def test_the_batch_size_is_a_hint_within_bounds(org: Client) -> None:
    sizes = [len(page) for page in pages(org, "SELECT Name FROM Account", **{"Sforce-Query-Options": "batchSize=250"})]
    assert max(sizes) <= 250
    assert sum(sizes) == ROWS


def test_a_locator_names_the_query_and_its_place(org: Client) -> None:
    answer = org.query("SELECT Name FROM Account").json()
    root, _, locator = answer["nextRecordsUrl"].rpartition("/")
    assert root == "/services/data/v67.0/query"
    assert locator.startswith("0r8")
    assert locator.endswith(f"-{len(answer['records'])}")


@pytest.mark.parametrize("locator", ["0r8000000000001AAA-2000", "nope", "0r8-", "-1"])
def test_an_unknown_locator_is_refused(org: Client, locator: str) -> None:
    answer = org.get(f"/query/{locator}")
    assert (answer.status_code, answer.json()[0]["errorCode"]) == (400, "INVALID_QUERY_LOCATOR")


def test_the_command_line_client_gets_its_column_metadata(org: Client) -> None:
    body = org.get("/query", params={"q": "SELECT Id, Name, Owner.Name FROM Account", "columns": "true"}).json()
    assert (body["entityName"], body["idSelected"], body["keyPrefix"], body["groupBy"]) == (
        "Account",
        True,
        "001",
        False,
    )
    assert [column["columnName"] for column in body["columnMetadata"]] == ["Id", "Name", "Owner.Name"]


def test_record_counts_and_limits_are_told(org: Client) -> None:
    counted = org.get("/limits/recordCount", params={"sObjects": "account"}).json()
    assert counted == {"sObjects": [{"count": ROWS, "name": "Account"}]}
    limits = org.get("/limits").json()
    for name in ("DailyApiRequests", "DailyBulkApiBatches", "DailyBulkV2QueryJobs", "DailyBulkV2QueryFileStorageMB"):
        assert 0 < limits[name]["Remaining"] <= limits[name]["Max"]


def test_an_aggregate_of_too_many_groups_is_refused(org: Client) -> None:
    assert org.refusal("SELECT Name, COUNT(Id) FROM Account GROUP BY Name")[1] == "EXCEEDED_ID_LIMIT"
