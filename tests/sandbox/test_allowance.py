"""What the org allows per day and at once: exact in `/limits`, refused once it is used up."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import pytest

from tests.sandbox.orgs import Client, csv_text, running


@pytest.fixture
def org() -> Iterator[Client]:
    with running() as client:
        yield client


def allow(org: Client, **limits: dict[str, float]) -> None:
    answer = org.call("PUT", "//__sandbox/limits", json=limits)
    assert answer.status_code == 200, answer.text


def limits(org: Client) -> dict[str, Any]:
    found: dict[str, Any] = org.call("PUT", "//__sandbox/limits", json={}).json()
    return found


def test_api_calls_run_out_for_rest_and_bulk_but_not_for_the_login(org: Client) -> None:
    allow(org, DailyApiRequests={"Max": 3, "Used": 0})
    first = org.get("/limits")
    assert first.json()["DailyApiRequests"] == {"Max": 3, "Remaining": 2}
    assert first.headers["sforce-limit-info"] == "api-usage=1/3"
    made = org.call("POST", "/jobs/query", json={"operation": "query", "query": "SELECT Id FROM Account"}).json()
    assert org.get(f"/jobs/query/{made['id']}").status_code == 200
    for method, path in (("GET", "/limits"), ("GET", f"/jobs/query/{made['id']}/results"), ("POST", "/jobs/ingest")):
        answer = org.call(method, path, json={} if method == "POST" else None)
        assert (answer.status_code, answer.json()[0]) == (
            403, {"errorCode": "REQUEST_LIMIT_EXCEEDED", "message": "TotalRequests Limit exceeded."},
        )  # fmt: skip
        assert answer.headers["sforce-limit-info"] == "api-usage=3/3"
    assert org.get("//services/oauth2/userinfo").status_code == 200
    allow(org, DailyApiRequests={"Max": 4})
    assert org.get("/limits").json()["DailyApiRequests"] == {"Max": 4, "Remaining": 0}


def test_query_jobs_and_their_results_run_out(org: Client) -> None:
    query = {"operation": "query", "query": "SELECT Id, Username FROM User"}
    allow(org, DailyBulkV2QueryJobs={"Max": 2})
    job = org.call("POST", "/jobs/query", json=query).json()
    assert org.get(f"/jobs/query/{job['id']}").json()["state"] == "JobComplete"
    assert org.call("POST", "/jobs/query", json={"operation": "query", "query": "SELECT x"}).status_code == 400
    assert org.call("DELETE", f"/jobs/query/{job['id']}").status_code == 204
    left = limits(org)
    assert left["DailyBulkV2QueryJobs"] == {"Max": 2, "Remaining": 1}  # a deleted job counts, a refused one does not
    assert left["DailyBulkV2QueryFileStorageMB"] == {"Max": 976_562, "Remaining": 976_561}
    allow(org, DailyBulkV2QueryFileStorageMB={"Max": 0})
    job = org.call("POST", "/jobs/query", json=query).json()
    ended = org.get(f"/jobs/query/{job['id']}").json()
    assert (ended["state"], ended["errorMessage"][:15]) == ("Failed", "ExceededQuota :")
    refused = org.call("POST", "/jobs/query", json=query)
    assert (refused.status_code, refused.json()[0]["errorCode"]) == (400, "LIMIT_EXCEEDED")


def test_batches_of_ten_thousand_rows_run_out_in_the_middle_of_a_job(org: Client) -> None:
    allow(org, DailyBulkApiBatches={"Max": 3, "Used": 1})
    _, rows = org.ingest("Name\nA\n", object="Account", operation="insert")
    assert len(rows["successfulResults"]) == 1
    upload = csv_text([("Id",), *(("001000000000000AAA",) for _ in range(10_001))])
    ended, rows = org.ingest(upload, object="Account", operation="delete")
    assert (ended["state"], ended["errorMessage"][:15]) == ("Failed", "ExceededQuota :")
    assert [len(rows[name]) for name in ("failedResults", "unprocessedrecords")] == [10_000, 1]
    assert limits(org)["DailyBulkApiBatches"] == {"Max": 3, "Remaining": 0}
    refused = org.call("POST", "/jobs/ingest", json={"object": "Account", "operation": "insert"})
    assert (refused.status_code, refused.json()[0]["errorCode"]) == (400, "EXCEEDEDQUOTA")


def test_too_many_long_calls_at_once_are_refused(org: Client) -> None:
    allow(org, ConcurrentRequests={"Max": 1, "AfterSeconds": 0})
    slow = {"path": "/sobjects", "do": {"delay_ms": 1500}}
    assert org.call("PUT", "//__sandbox/faults", json=[slow]).status_code == 200
    statuses: list[int] = []
    other = Client(org.org)
    thread = threading.Thread(target=lambda: statuses.append(other.get("/sobjects").status_code))
    thread.start()
    while org.get("//__sandbox/faults").json()[0]["seen"] == 0:  # until the slow call is there
        assert thread.is_alive()
    refused = org.get("/limits")
    thread.join()
    assert (refused.status_code, refused.json()[0]["message"]) == (
        403,
        "ConcurrentRequests (Concurrent API Requests) Limit exceeded.",
    )
    assert statuses == [200]
    assert org.get("/limits").status_code == 200


@pytest.mark.parametrize("given", [{"DailyRequests": {"Max": 1}}, {"DailyApiRequests": {"Left": 1}},
                                   {"DailyApiRequests": {"Max": -1}}, {"DailyApiRequests": 5}])  # fmt: skip
def test_wrong_limits_are_refused(org: Client, given: dict[str, Any]) -> None:
    answer = org.call("PUT", "//__sandbox/limits", json=given)
    assert (answer.status_code, answer.json()[0]["errorCode"]) == (400, "INVALID_LIMIT")
