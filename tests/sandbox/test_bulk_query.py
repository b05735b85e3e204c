"""Bulk query jobs: states, pages with header and locator, what is not allowed."""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from typing import Any

import pytest

from tests.sandbox.orgs import Client, cells, csv_text, running, write_files

ROWS = 1_000
NASTY = 'a "q", b\r\nc\u2028 d;Müller'


@pytest.fixture(scope="module")
def org(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    rows = [
        ["Name", "Site", "AnnualRevenue"],
        [NASTY, "", "12"],
        *([f"A{number}", "s", number] for number in range(1, ROWS)),
    ]
    with running("--data", str(write_files(tmp_path_factory.mktemp("org"), {"Account.csv": csv_text(rows)}))) as client:
        yield client


def job(org: Client, soql: str, **more: str) -> dict[str, Any]:
    answer = org.call("POST", "/jobs/query", json={"operation": "query", "query": soql} | more)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def finished(org: Client, soql: str, **more: str) -> str:
    path = f"/jobs/query/{job(org, soql, **more)['id']}"
    assert org.get(path).json()["state"] == "JobComplete"
    return path


def test_a_job_tells_its_state_and_figures(org: Client) -> None:
    made = job(org, "SELECT Id FROM Account")
    assert made["id"].startswith("750")
    assert {
        key: made[key] for key in ("operation", "object", "state", "concurrencyMode", "contentType", "apiVersion")
    } == {
        "operation": "query",
        "object": "Account",
        "state": "UploadComplete",
        "concurrencyMode": "Parallel",
        "contentType": "CSV",
        "apiVersion": 67.0,
    }
    assert (made["lineEnding"], made["columnDelimiter"]) == ("LF", "COMMA")
    polled = org.get(f"/jobs/query/{made['id']}").json()
    assert (polled["state"], polled["numberRecordsProcessed"], polled["jobType"]) == ("JobComplete", ROWS, "V2Query")
    assert polled["totalProcessingTime"] > 0
    assert made["id"] in [entry["id"] for entry in org.get("/jobs/query").json()["records"]]


def test_values_are_quoted_null_is_empty_and_the_type_names_no_charset(org: Client) -> None:
    path = finished(org, "SELECT Name, Site, IsPartner, AnnualRevenue, CreatedDate, Owner.Name FROM Account LIMIT 1")
    answer = org.get(f"{path}/results")
    head, _, first = answer.content.decode().partition("\n")
    assert head == '"Name","Site","IsPartner","AnnualRevenue","CreatedDate","Owner.Name"'
    assert first == '"a ""q"", b\r\nc\u2028 d;Müller","","false","12.0","2026-07-01T08:00:00.000Z","Integration User"\n'
    assert answer.headers["Content-Type"] == "text/csv"
    assert (answer.headers["Sforce-NumberOfRecords"], answer.headers["Sforce-Locator"]) == ("1", "null")


def test_pages_repeat_the_header_and_hold_every_row_once(org: Client) -> None:
    path = finished(org, "SELECT Name FROM Account")
    names: list[str] = []
    locator, sizes = "", []
    while locator != "null":
        answer = org.get(f"{path}/results", params={"maxRecords": "300"} | ({"locator": locator} if locator else {}))
        names += [row["Name"] for row in cells(answer.content)]
        sizes.append(int(answer.headers["Sforce-NumberOfRecords"]))
        locator = answer.headers["Sforce-Locator"]
    assert sizes == [300, 300, 300, 100]
    assert names == [NASTY, *(f"A{number}" for number in range(1, ROWS))]


def test_a_locator_can_be_asked_for_again(org: Client) -> None:
    path = finished(org, "SELECT Name FROM Account")
    locator = org.get(f"{path}/results", params={"maxRecords": "10"}).headers["Sforce-Locator"]
    first, second = (org.get(f"{path}/results", params={"locator": locator}).content for _ in range(2))
    assert first == second
    assert len(cells(first)) == 10


def test_result_pages_cover_the_result_for_parallel_download(org: Client) -> None:
    path = finished(org, "SELECT Name FROM Account")
    locator = org.get(f"{path}/results", params={"maxRecords": "90"}).headers["Sforce-Locator"]
    rows, address = 0, f"{path}/resultPages?locator={locator}"
    while address:
        body = org.get(address).json()
        assert len(body["resultPages"]) <= 5
        for entry in body["resultPages"]:
            rows += len(cells(org.get("/" + entry["resultUrl"]).content))
        address = "/" + body["nextRecordsUrl"] if not body["done"] else ""
    assert rows == ROWS - 90


def test_an_empty_result_is_its_header_alone(org: Client) -> None:
    path = finished(org, "SELECT Id FROM Account WHERE Name = 'nobody'")
    assert org.get(f"{path}/results").text == '"Id"\n'


def test_delimiter_and_line_ending_are_those_asked_for(org: Client) -> None:
    path = finished(
        org, "SELECT Name, Site FROM Account WHERE Name = 'A1'", columnDelimiter="SEMICOLON", lineEnding="CRLF"
    )
    assert org.get(f"{path}/results").content == b'"Name";"Site"\r\n"A1";"s"\r\n'


def test_results_are_compressed_when_the_client_allows_it(org: Client) -> None:
    path = finished(org, "SELECT Name FROM Account")
    raw = org.get(f"{path}/results", headers={"Accept-Encoding": "gzip"}, stream=True)
    assert raw.headers["Content-Encoding"] == "gzip"
    assert len(cells(gzip.decompress(raw.raw.read()))) == ROWS
    plain = org.get(f"{path}/results", headers={"Accept-Encoding": "identity"})
    assert "Content-Encoding" not in plain.headers


def test_the_result_is_that_of_the_moment_of_creation(org: Client) -> None:
    record_id = org.create("Account", Name="Before")
    made = job(org, f"SELECT Name FROM Account WHERE Id = '{record_id}'")
    org.call("PATCH", f"/sobjects/Account/{record_id}", json={"Name": "After"})
    org.get(f"/jobs/query/{made['id']}")
    assert cells(org.get(f"/jobs/query/{made['id']}/results").content) == [{"Name": "Before"}]
    org.call("DELETE", f"/sobjects/Account/{record_id}")
    everything = finished(org, f"SELECT Name, IsDeleted FROM Account WHERE Id = '{record_id}'", operation="queryAll")
    assert cells(org.get(f"{everything}/results").content) == [{"Name": "After", "IsDeleted": "true"}]


def test_ended_jobs_cannot_be_aborted_but_deleted(org: Client) -> None:
    path = finished(org, "SELECT Id FROM Account")
    answer = org.call("PATCH", path, json={"state": "Aborted"})
    assert (answer.status_code, answer.json()) == (
        400,
        [{"errorCode": "INVALIDJOBSTATE", "message": "Aborting already Completed Job not allowed"}],
    )
    assert org.call("DELETE", path).status_code == 204
    gone = org.get(path)
    assert (gone.status_code, gone.json()[0]["errorCode"]) == (404, "NOT_FOUND")


def test_results_are_asked_for_with_the_version_of_the_job(org: Client) -> None:
    path = finished(org, "SELECT Id FROM Account")
    assert org.get(f"//services/data/v66.0{path}/results").status_code == 409


REFUSED = {
    "SELECT COUNT() FROM Account": "API_ERROR",
    "SELECT COUNT(Id) FROM Account": "API_ERROR",
    "SELECT Type FROM Account GROUP BY Type": "API_ERROR",
    "SELECT Id FROM Account LIMIT 5 OFFSET 5": "API_ERROR",
    "SELECT Id, (SELECT Id FROM Contacts) FROM Account": "API_ERROR",
    "SELECT BillingAddress FROM Account": "INVALID_FIELD",
    "SELECT Nope FROM Account": "INVALID_FIELD",
    "SELECT Id FROM": "MALFORMED_QUERY",
    "SELECT Id FROM Nope": "INVALID_TYPE",
    "": "INVALIDJOB",
}


@pytest.mark.parametrize(("soql", "code"), REFUSED.items())
def test_what_bulk_cannot_do_is_refused_at_creation(org: Client, soql: str, code: str) -> None:
    answer = org.call("POST", "/jobs/query", json={"operation": "query", "query": soql})
    assert (answer.status_code, answer.json()[0]["errorCode"]) == (400, code)


@pytest.mark.parametrize("query", ["locator=nope", "locator=OTk5OTk6NQ", "maxRecords=0", "maxRecords=x", "locator=%00"])
def test_bad_locators_and_sizes_are_refused(org: Client, query: str) -> None:
    path = finished(org, "SELECT Id FROM Account LIMIT 3")
    assert org.get(f"{path}/results?{query}").status_code == 400
