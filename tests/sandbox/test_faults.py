"""Faults: which calls they hit, what each kind does, and every error of the table by its name."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from typing import Any

import pytest
import requests

from crmsync.sandbox.error_table import ERRORS
from tests.sandbox.orgs import SCHEMA, Client, cells, csv_text, running, write_files

ACCOUNTS = 40


@pytest.fixture(scope="module")
def started(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    rows = [
        ("Name", "Key__c", "Tier__c"),
        *((f"A{n:02}", f"k{n}", "Gold" if n % 4 else "Silver") for n in range(ACCOUNTS)),
    ]
    files: dict[str, str | bytes] = {"schema.yaml": SCHEMA, "Account.csv": csv_text(rows)}
    with running("--data", str(write_files(tmp_path_factory.mktemp("org"), files))) as client:
        yield client


@pytest.fixture
def org(started: Client) -> Iterator[Client]:
    yield started
    assert started.call("DELETE", "//__sandbox/faults").status_code == 204


def switch_on(org: Client, *faults: dict[str, Any]) -> None:
    answer = org.call("PUT", "//__sandbox/faults", json=list(faults))
    assert answer.status_code == 200, answer.text


def first_id(org: Client) -> str:
    return str(org.names("SELECT Id FROM Account ORDER BY Name LIMIT 1")[0])


@pytest.mark.parametrize("name", sorted(ERRORS))
def test_every_error_of_the_table_is_there_by_its_name(org: Client, name: str) -> None:
    switch_on(org, {"method": "GET", "path": "/limits", "do": {"error": name}})
    answer = org.get("/limits")
    known = ERRORS[name]
    assert answer.status_code == known.status
    if known.html:
        assert answer.headers["content-type"].startswith("text/html")
        assert known.message in answer.text
        return
    (error,) = answer.json()
    assert (error["errorCode"], error["message"]) == (known.code, known.message)
    assert ("fields" in error) == (known.fields is not None)


def test_only_the_named_calls_are_hit(org: Client) -> None:
    switch_on(org, {"method": "GET", "path": "/services/data/*/limits", "nth": [2, 4], "do": {"status": 500}})
    assert [org.get("/limits").status_code for _ in range(5)] == [200, 500, 200, 500, 200]
    assert org.get("/sobjects").status_code == 200
    (shown,) = org.get("//__sandbox/faults").json()
    assert (shown["seen"], shown["fired"], shown["nth"]) == (5, 2, [2, 4])


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ({"do": {"eror": "X"}}, "faults[0].do: `eror` is not known here; did you mean error?"),
        ({"do": {"error": "UNABLE_TO_LOCK"}}, "did you mean UNABLE_TO_LOCK_ROW?"),
        ({"do": {"status": 500}, "at": "later"}, "faults[0].at: 'later' is not before or after"),
        (
            {"do": {"status": 500}, "nth": 0},
            "faults[0].nth: 0 is not a number from 1 on, a list of them, a share such as 0.1, or every",
        ),
        ({"path": "*"}, "faults[0]: `do` says what happens"),
        ({"do": {"delay_ms": "soon"}}, "faults[0].do.delay_ms: 'soon' is not a number of milliseconds"),
        ({"do": {"status": 99}}, "faults[0].do.status: 99 is not an HTTP status"),
        ({"do": {"lock": 2}}, "faults[0].do.lock: 2 is not a list of ids or a share from 0 to 1"),
        (
            {"do": {"hide_rows": {"field": "Name"}}},
            "is not a number of rows, a share from 0.0 to 1.0, or {field, value}",
        ),
        ({"do": {"rows": {"shares": 1}}}, "is not an object such as {share: 0.1, error: UNABLE_TO_LOCK_ROW}"),
        ({"do": {"page_size": 0}}, "faults[0].do.page_size: 0 is not a number of rows from 1 on"),
        ({"do": {"cut": 1}}, "faults[0].do.cut: 1 is not true or false"),
        ({"do": {"edit": {"object": "Account"}}}, "is not {object, id, fields}, with `as` for another user"),
        ({"do": {"job_fails": "No"}}, "faults[0].do.job_fails: 'No' is not one of"),
        ({"do": {"job_waits": {"rows": 4}}}, "is not an object of {after, every, ms}"),
        ({"do": {"trickle": {"bytes": 0, "ms": 1}}}, "is not an object of {bytes, ms}"),
        ({"do": {"call": {"path": "/limits"}}}, "is not {method, path, json, as} or a list of them"),
    ],
)
def test_a_wrong_fault_is_refused_and_changes_nothing(org: Client, fault: dict[str, Any], message: str) -> None:
    switch_on(org, {"path": "/limits", "do": {"status": 500}})
    answer = org.call("PUT", "//__sandbox/faults", json=[fault])
    assert answer.status_code == 400
    assert message in answer.json()[0]["message"]
    assert len(org.get("//__sandbox/faults").json()) == 1


@pytest.mark.parametrize(("at", "expected"), [("before", "A00"), ("after", "changed")])
@pytest.mark.parametrize("do", [{"cut": True}, {"error": "SERVER_UNAVAILABLE"}, {"status": 500, "html": True}])
def test_a_lost_answer_leaves_the_effect_or_none(org: Client, at: str, expected: str, do: dict[str, Any]) -> None:
    record_id = first_id(org)
    switch_on(org, {"method": "PATCH", "path": "/sobjects/{object}/{id}", "at": at, "do": do})
    if "cut" in do:
        with pytest.raises(requests.ConnectionError):
            org.call("PATCH", f"/sobjects/Account/{record_id}", json={"Name": "changed"})
    else:
        answer = org.call("PATCH", f"/sobjects/Account/{record_id}", json={"Name": "changed"})
        assert answer.status_code >= 500
    org.call("DELETE", "//__sandbox/faults")
    assert org.get(f"/sobjects/Account/{record_id}").json()["Name"] == expected
    org.call("PATCH", f"/sobjects/Account/{record_id}", json={"Name": "A00"})


def test_a_body_is_cut_short_by_a_proxy_or_with_the_connection(org: Client) -> None:
    switch_on(org, {"path": "/query", "at": "after", "do": {"truncate": 20}})
    answer = org.query("SELECT Name FROM Account")
    assert (answer.status_code, len(answer.content)) == (200, 20)
    switch_on(org, {"path": "/query", "at": "after", "do": {"truncate": 20, "cut": True}})
    with pytest.raises((requests.ConnectionError, requests.exceptions.ChunkedEncodingError)):
        org.query("SELECT Name FROM Account")


def test_broken_gzip_missing_charset_and_changed_keys(org: Client) -> None:
    switch_on(org, {"path": "/limits", "do": {"gzip_garbage": True}, "at": "after"})
    with pytest.raises(requests.exceptions.ContentDecodingError):
        org.get("/limits")
    switch_on(org, {"path": "/limits", "at": "after",
                    "do": {"charset": False, "json": {"DailyApiRequests": {"Max": 5, "Remaining": 0}},
                           "headers": {"X-Edge": "1"}}})  # fmt: skip
    answer = org.get("/limits")
    assert (answer.headers["content-type"], answer.headers["x-edge"]) == ("application/json", "1")
    assert answer.json()["DailyApiRequests"]["Remaining"] == 0


def test_a_session_ends_before_or_after_a_call(org: Client) -> None:
    for at, statuses in (("before", [401, 401]), ("after", [200, 401])):
        login = org.call("PUT", "//__sandbox/login", json={"username": "integration@crmsync.example"}).json()
        headers = {"Authorization": f"Bearer {login['access_token']}"}
        switch_on(org, {"path": "/limits", "nth": 1, "at": at, "do": {"expire_token": True}})
        assert [org.get("/limits", headers=headers).status_code for _ in range(2)] == statuses


def test_a_login_is_refused_in_the_shape_of_its_door(org: Client) -> None:
    switch_on(org, {"path": "/services/oauth2/token", "do": {"error": "invalid_grant"}})
    answer = org.call("POST", "//services/oauth2/token", data={"grant_type": "client_credentials"})
    assert (answer.status_code, answer.json()) == (
        400,
        {"error": "invalid_grant", "error_description": "authentication failure"},
    )


def test_an_answer_comes_late(org: Client) -> None:
    switch_on(org, {"path": "/limits", "do": {"delay_ms": 300}})
    with pytest.raises(requests.ReadTimeout):
        org.session.get(org.url("/limits"), timeout=0.1)


def test_rows_are_locked_or_refused_one_by_one(org: Client) -> None:
    ids = [str(found) for found in org.names("SELECT Id FROM Account ORDER BY Name LIMIT 5")]
    switch_on(org, {"method": "PATCH", "do": {"lock": ids[:2]}})
    records = [{"attributes": {"type": "Account"}, "id": found, "Site": "s"} for found in ids]
    answers = org.call("PATCH", "/composite/sobjects", json={"records": records}).json()
    assert [entry["success"] for entry in answers] == [False, False, True, True, True]
    assert answers[0]["errors"][0] == {
        "statusCode": "UNABLE_TO_LOCK_ROW",
        "message": f"unable to obtain exclusive access to this record or 1 records: {ids[0]}",
        "fields": [],
    }
    single = org.call("PATCH", f"/sobjects/Account/{ids[0][:15]}", json={"Site": "t"})
    assert (single.status_code, single.json()[0]["errorCode"]) == (400, "UNABLE_TO_LOCK_ROW")
    switch_on(org, {"method": "PATCH", "path": "/jobs/ingest/{job}", "nth": 1,
                    "do": {"rows": {"ids": ids[3:], "error": "FIELD_CUSTOM_VALIDATION_EXCEPTION", "message": "No: a, b",
                                    "fields": ["Site"]}}})  # fmt: skip
    upload = csv_text([("Id", "Site"), *((found, "u") for found in ids)])
    ended, rows = org.ingest(upload, object="Account", operation="update")
    assert (ended["state"], ended["numberRecordsFailed"]) == ("JobComplete", 2)
    assert {row["sf__Error"] for row in rows["failedResults"]} == {"FIELD_CUSTOM_VALIDATION_EXCEPTION:No: a, b:Site --"}
    assert {row["Id"] for row in rows["failedResults"]} == set(ids[3:])
    assert org.ingest(upload, object="Account", operation="update")[0]["numberRecordsFailed"] == 0


def test_a_share_of_rows_is_locked_and_another_one_next_time(org: Client) -> None:
    ids = [str(found) for found in org.names("SELECT Id FROM Account")]
    upload = csv_text([("Id", "Site"), *((found, "u") for found in ids)])
    switch_on(org, {"method": "PATCH", "path": "/jobs/ingest/*", "do": {"lock": 0.5}})
    failed = []
    for _ in range(2):
        _, rows = org.ingest(upload, object="Account", operation="update")
        failed.append({row["sf__Id"] for row in rows["failedResults"]})
    assert all(ACCOUNTS // 4 < len(some) < ACCOUNTS * 3 // 4 for some in failed)
    assert failed[0] != failed[1]


def test_a_job_stops_in_the_middle(org: Client) -> None:
    ids = [str(found) for found in org.names("SELECT Id FROM Account ORDER BY Name LIMIT 10")]
    upload = csv_text([("Id", "Site"), *((found, "v") for found in ids)])
    switch_on(org, {"method": "PATCH", "do": {"job_fails": {"error": "TooManyLockFailure", "after": 4}}})
    ended, rows = org.ingest(upload, object="Account", operation="update")
    assert (ended["state"], ended["errorMessage"]) == (
        "Failed",
        "TooManyLockFailure : Too many lock failures while processing the current batch.",
    )
    assert [len(rows[name]) for name in ("successfulResults", "failedResults", "unprocessedrecords")] == [4, 0, 6]
    switch_on(org, {"method": "POST", "path": "/jobs/query", "do": {"job_fails": "QUERY_TIMEOUT"}})
    made = org.call("POST", "/jobs/query", json={"operation": "query", "query": "SELECT Id FROM Account"})
    ended = org.get(f"/jobs/query/{made.json()['id']}").json()
    assert (ended["state"], ended["errorMessage"][:13]) == ("Failed", "QUERY_TIMEOUT")


def bulk_names(org: Client) -> list[str]:
    made = org.call("POST", "/jobs/query", json={"operation": "query", "query": "SELECT Name FROM Account"}).json()
    path = f"/jobs/query/{made['id']}"
    assert org.get(path).json()["state"] == "JobComplete"
    return [row["Name"] for row in cells(org.get(f"{path}/results").content)]


@pytest.mark.parametrize(
    ("hidden", "least", "most"),
    [(7, ACCOUNTS - 7, ACCOUNTS - 7), (0.5, 10, 30), ({"field": "Tier__c", "value": "Silver"}, 30, 30), (999, 0, 0)],
)
def test_hidden_rows_make_answers_short_without_an_error(org: Client, hidden: Any, least: int, most: int) -> None:
    switch_on(org, {"do": {"hide_rows": hidden}})
    answer = org.query("SELECT Name FROM Account").json()
    assert least <= answer["totalSize"] == len(answer["records"]) <= most
    assert bulk_names(org) == [record["Name"] for record in answer["records"]]
    assert org.query("SELECT count() FROM Account").json()["totalSize"] == ACCOUNTS


def test_pages_are_as_small_as_asked(org: Client) -> None:
    switch_on(org, {"do": {"page_size": 15}})
    page = org.query("SELECT Name FROM Account").json()
    sizes = [len(page["records"])]
    while not page["done"]:
        page = org.get("/" + page["nextRecordsUrl"]).json()
        sizes.append(len(page["records"]))
    assert sizes == [15, 15, 10]
    made = org.call("POST", "/jobs/query", json={"operation": "query", "query": "SELECT Id FROM Account"}).json()
    org.get(f"/jobs/query/{made['id']}")
    answer = org.get(f"/jobs/query/{made['id']}/results")
    assert (answer.headers["sforce-numberofrecords"], answer.headers["sforce-locator"] != "null") == ("15", True)


def test_people_change_records_during_a_run(org: Client) -> None:
    ids = [org.create("Account", Name=f"P{number}") for number in range(3)]
    contact = org.create("Contact", LastName="C", AccountId=ids[1])
    org.call("DELETE", "//__sandbox/effects")
    edit = {"object": "Account", "id": ids[0], "fields": {"Site": "by hand", "Score__c": 1.5}}
    switch_on(
        org,
        {"path": "/limits", "nth": 1, "do": {"edit": edit}},
        {"path": "/limits", "nth": 2, "do": {"merge": {"object": "Account", "master": ids[0], "losers": [ids[1]]}}},
        {"path": "/limits", "nth": 3, "at": "after", "do": {"delete": {"object": "Account", "id": ids[2]}}},
    )
    org.get("/limits")
    row = org.rows(f"SELECT Site, LastModifiedBy.Username FROM Account WHERE Id = '{ids[0]}'")[0]
    assert row == {"Site": "by hand", "LastModifiedBy": {"Username": "manager@crmsync.example"}}
    org.get("/limits")
    assert org.names(f"SELECT AccountId FROM Contact WHERE Id = '{contact}'") == [ids[0]]
    org.get("/limits")
    gone = org.get("/queryAll", params={
        "q": f"SELECT Id, IsDeleted, MasterRecordId FROM Account WHERE Id IN ('{ids[1]}', '{ids[2]}') ORDER BY Id"
    }).json()["records"]  # fmt: skip
    assert [(entry["IsDeleted"], entry["MasterRecordId"]) for entry in gone] == [(True, ids[0]), (True, None)]
    late = org.call("PATCH", f"/sobjects/Account/{ids[1]}", json={"Site": "x"})
    assert (late.status_code, late.json()[0]["errorCode"]) == (404, "ENTITY_IS_DELETED")
    assert org.effects()["records"] == {}


def test_a_change_that_cannot_be_made_is_told_as_a_wrong_fault(org: Client) -> None:
    switch_on(org, {"path": "/limits", "do": {"delete": {"object": "Account", "id": "001000000000000AAA"}}})
    answer = org.get("/limits")
    assert (answer.status_code, answer.json()[0]) == (
        500,
        {"errorCode": "INVALID_FAULT", "message": "delete: NOT_FOUND: The requested resource does not exist"},
    )


def test_people_undelete_what_went_with_its_details(org: Client) -> None:
    account = org.create("Account", Name="Back")
    deal = org.create("Opportunity", Name="D", StageName="Prospecting", CloseDate="2026-05-01", AccountId=account)
    org.call("DELETE", f"/sobjects/Account/{account}")
    assert org.names(f"SELECT Id FROM Opportunity WHERE Id = '{deal}'") == []
    answer = org.call("POST", "//__sandbox/changes", json={"undelete": {"object": "Account", "id": account[:15]}})
    assert answer.json() == {"undelete": [account]}
    assert org.names(f"SELECT AccountId FROM Opportunity WHERE Id = '{deal}'") == [account]
    again = org.call("POST", "//__sandbox/changes", json={"undelete": {"object": "Account", "id": account}})
    assert (again.status_code, again.json()[0]["errorCode"]) == (400, "UNDELETE_FAILED")


def started_job(org: Client, ids: Sequence[str], text: str) -> str:
    """The path of an update job that has been started."""
    made = org.call("POST", "/jobs/ingest", json={"object": "Account", "operation": "update"}).json()
    upload = csv_text([("Id", "Site"), *((found, text) for found in ids)])
    org.call("PUT", "//" + made["contentUrl"], data=upload, headers={"Content-Type": "text/csv"})
    path = f"/jobs/ingest/{made['id']}"
    assert org.call("PATCH", path, json={"state": "UploadComplete"}).json()["state"] == "UploadComplete"
    return path


def written(org: Client, text: str) -> int:
    return len(org.names(f"SELECT Id FROM Account WHERE Site = '{text}'"))


def test_a_job_stands_still_in_its_middle_until_it_may_go_on(org: Client) -> None:
    ids = [str(found) for found in org.names("SELECT Id FROM Account ORDER BY Name LIMIT 10")]
    switch_on(org, {"method": "PATCH", "path": "/jobs/ingest/{job}", "do": {"job_waits": {"after": 4}}})
    path = started_job(org, ids, "still")
    job = org.get(path).json()
    assert (job["state"], job["numberRecordsProcessed"], written(org, "still")) == ("InProgress", 4, 4)
    refused = org.get(f"{path}/successfulResults")
    assert (refused.status_code, refused.json()[0]["errorCode"]) == (400, "INVALIDJOBSTATE")
    org.call("DELETE", "//__sandbox/faults")
    job = org.get(path).json()
    assert (job["state"], job["numberRecordsProcessed"], written(org, "still")) == ("JobComplete", 10, 10)


def test_a_job_that_stands_still_fails_or_is_aborted_there(org: Client) -> None:
    ids = [str(found) for found in org.names("SELECT Id FROM Account ORDER BY Name LIMIT 10")]
    fails = {"error": "TooManyLockFailure", "after": 4}
    switch_on(org, {"method": "PATCH", "do": {"job_waits": {"after": 4, "ms": 50}, "job_fails": fails}})
    path = started_job(org, ids, "fails")
    while (job := org.get(path).json())["state"] == "InProgress":
        assert job["numberRecordsProcessed"] == 4
    assert (job["state"], written(org, "fails")) == ("Failed", 4)
    switch_on(org, {"method": "PATCH", "nth": 1, "do": {"job_waits": {"every": 3}}})
    path = started_job(org, ids, "aborted")
    assert org.get(path).json()["numberRecordsProcessed"] == 3
    assert org.call("PATCH", path, json={"state": "Aborted"}).status_code == 200
    assert len(cells(org.get(f"{path}/unprocessedrecords").content)) == 7
    assert len(cells(org.get(f"{path}/successfulResults").content)) == written(org, "aborted") == 3


def test_changes_are_told_one_by_one_with_who_made_them_and_what_was_written(org: Client) -> None:
    ids = [str(found) for found in org.names("SELECT Id FROM Account ORDER BY Name LIMIT 2")]
    assert org.call("PUT", "//__sandbox/effects", json={"changes": ["site"]}).json()["changes"] == []
    org.call("DELETE", "//__sandbox/effects")
    org.call("PATCH", f"/sobjects/Account/{ids[0]}", json={"Site": "token 1", "Description": "not asked for"})
    org.call("POST", "//__sandbox/changes", json={"edit": {"object": "Account", "id": ids[1], "fields": {"Site": "h"}}})
    org.get(path := started_job(org, ids, "token 2"))
    told = org.effects()
    assert told["records"] == {"Account": {ids[0]: 2, ids[1]: 1}}
    assert [(one["id"], one["kind"], one["values"], one["call"], one["job"]) for one in told["changes"]] == [
        (ids[0], "changed", {"Site": "token 1"}, "PATCH /sobjects/{object}/{id}", None),
        *((found, "changed", {"Site": "token 2"}, "PATCH /jobs/ingest/{job}", path[-18:]) for found in ids),
    ]
    assert {one["user"] for one in told["changes"]} == {org.org.user_id}
    assert {one["login"] for one in told["changes"]} == {org.org.access_token[-12:]}
    assert len(org.get(f"//__sandbox/effects?object=account&id={ids[1][:15]}").json()["changes"]) == 1
    wrong = org.call("PUT", "//__sandbox/effects", json={"changes": "all"})
    assert (wrong.status_code, wrong.json()[0]["errorCode"]) == (400, "INVALID_EFFECTS")
    assert "changes" not in org.call("PUT", "//__sandbox/effects", json={"changes": False}).json()


def test_a_client_that_went_away_during_a_delay_has_its_effect_later(org: Client) -> None:
    record_id = first_id(org)
    switch_on(org, {"method": "PATCH", "nth": 1, "do": {"delay_ms": 300}})
    with pytest.raises(requests.ReadTimeout):
        org.session.patch(org.url(f"/sobjects/Account/{record_id}"), json={"Site": "late"}, timeout=0.1)
    assert written(org, "late") == 0
    deadline = time.monotonic() + 10
    while written(org, "late") == 0 and time.monotonic() < deadline:
        time.sleep(0.05)
    assert written(org, "late") == 1


def test_an_answer_trickles(org: Client) -> None:
    switch_on(org, {"path": "/limits", "at": "after", "do": {"trickle": {"bytes": 700, "ms": 20}}})
    answer = org.get("/limits")
    assert (answer.status_code, answer.elapsed.total_seconds() < 10) == (200, True)
    assert answer.json()["DailyApiRequests"]["Max"] > 0
    switch_on(org, {"path": "/limits", "at": "after", "do": {"trickle": {"bytes": 1, "ms": 200}}})
    with pytest.raises(requests.ConnectionError, match="timed out"):
        org.session.get(org.url("/limits"), timeout=0.1)


def test_a_share_of_calls_is_hit(org: Client) -> None:
    switch_on(org, {"path": "/limits", "nth": 0.3, "do": {"status": 503}})
    hit = sum(org.get("/limits").status_code == 503 for _ in range(60))
    assert 6 < hit < 36


def test_any_call_is_made_meanwhile_by_an_administrator(org: Client) -> None:
    made = org.call("POST", "/tooling/sobjects/CustomField", json={
        "FullName": "Account.Gone__c", "Metadata": {"label": "Gone", "type": "Text", "length": 10}})  # fmt: skip
    root = "/services/data/v67.0"
    drop = {"method": "DELETE", "path": f"{root}/tooling/sobjects/CustomField/{made.json()['id']}"}
    used = {"method": "PUT", "path": "/__sandbox/limits", "json": {"DailyApiRequests": {"Used": 9000}}}
    abort = {"method": "PATCH", "path": root + "/jobs/ingest/{job}", "json": {"state": "Aborted"}}
    before = org.get("/limits").json()["DailyApiRequests"]["Remaining"]
    org.call("DELETE", "//__sandbox/effects")
    switch_on(org, {"path": "/limits", "nth": 1, "do": {"call": [drop, used]}},
              {"method": "GET", "path": "/jobs/ingest/{job}", "nth": 1, "do": {"call": abort}})  # fmt: skip
    assert org.get("/limits").json()["DailyApiRequests"]["Remaining"] < before - 5000
    names = [field["name"] for field in org.get("/sobjects/Account/describe").json()["fields"]]
    assert "Gone__c" not in names
    assert org.effects()["by_endpoint"] == {"GET /limits": 1, "GET /sobjects/{object}/describe": 1}
    job = org.call("POST", "/jobs/ingest", json={"object": "Account", "operation": "update"}).json()
    assert org.get(f"/jobs/ingest/{job['id']}").json()["state"] == "Aborted"
    switch_on(org, {"path": "/limits", "do": {"call": {"method": "GET", "path": "/nowhere"}}})
    assert org.get("/limits").json()[0]["message"].startswith("call: GET /nowhere: NOT_FOUND")
