"""Bulk ingest jobs: nothing before UploadComplete, row by row outcomes, three result files, failures of the whole."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from tests.sandbox.orgs import SCHEMA, Client, csv_text, running, write_files


@pytest.fixture(scope="module")
def org(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    files: dict[str, str | bytes] = {"schema.yaml": SCHEMA, "Account.csv": "Name,Key__c\nFirst,first\nSecond,second\n"}
    with running("--data", str(write_files(tmp_path_factory.mktemp("org"), files))) as client:
        yield client


def ids(org: Client, count: int, stem: str) -> list[str]:
    made = [org.create("Account", Name=f"{stem}{number}", Site="old", Score__c=1) for number in range(count)]
    org.session.delete(org.url("//__sandbox/effects"), timeout=30)
    return made


def test_a_job_changes_nothing_before_upload_complete(org: Client) -> None:
    record_id = ids(org, 1, "quiet")[0]
    job = org.call("POST", "/jobs/ingest", json={"operation": "update", "object": "account"}).json()
    assert (job["state"], job["object"], job["contentUrl"]) == (
        "Open",
        "Account",
        f"services/data/v67.0/jobs/ingest/{job['id']}/batches",
    )
    headers = {"Content-Type": "text/csv"}
    upload = f"Id,Name\n{record_id},changed\n".encode()
    assert org.call("PUT", "//" + job["contentUrl"], data=upload, headers=headers).status_code == 201
    assert org.call("PUT", "//" + job["contentUrl"], data=upload, headers=headers).status_code == 400
    assert org.names(f"SELECT Name FROM Account WHERE Id = '{record_id}'") == ["quiet0"]
    assert org.effects()["records"] == {}
    path = f"/jobs/ingest/{job['id']}"
    assert org.call("PATCH", path, json={"state": "Aborted"}).json()["state"] == "Aborted"
    assert org.call("PATCH", path, json={"state": "UploadComplete"}).json()[0]["errorCode"] == "INVALIDJOBSTATE"
    assert org.names(f"SELECT Name FROM Account WHERE Id = '{record_id}'") == ["quiet0"]
    assert org.call("DELETE", path).status_code == 204


def test_empty_cells_stay_and_na_clears(org: Client) -> None:
    record_id = ids(org, 1, "cells")[0]
    org.ingest(f"Id,Site,Score__c\n{record_id},,#N/A\n", operation="update", object="Account")
    assert org.rows(f"SELECT Site, Score__c FROM Account WHERE Id = '{record_id}'") == [
        {"Site": "old", "Score__c": None}
    ]


def test_good_rows_go_in_though_others_fail_and_results_match_by_id(org: Client) -> None:
    made = ids(org, 30, "mixed")
    rows = [
        ["Id", "Name", "Tier__c"],
        *([record_id, f'n "{place}",\nx', "Gold" if place % 3 else "gold"] for place, record_id in enumerate(made)),
    ]
    job, results = org.ingest(csv_text(rows), operation="update", object="Account")
    assert (job["state"], job["numberRecordsProcessed"], job["numberRecordsFailed"]) == ("JobComplete", 30, 10)
    done, failed = results["successfulResults"], results["failedResults"]
    assert {row["sf__Id"] for row in done} | {row["sf__Id"] for row in failed} == set(made)
    assert [row["sf__Id"] for row in done] != [row[0] for row in rows[1:] if row[2] == "Gold"]
    assert {row["sf__Created"] for row in done} == {"false"}
    assert {row["sf__Error"] for row in failed} == {
        "INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST:Tier: bad value for restricted picklist field: gold:Tier__c --"
    }
    assert results["unprocessedrecords"] == []
    assert org.effects()["records"]["Account"] == {row["sf__Id"]: 1 for row in done}


def test_a_row_twice_in_one_update_is_written_twice_and_the_last_wins(org: Client) -> None:
    record_id = ids(org, 1, "twice")[0]
    job, _ = org.ingest(f"Id,Name\n{record_id},one\n{record_id[:15]},two\n", operation="update", object="Account")
    assert job["numberRecordsFailed"] == 0
    assert org.names(f"SELECT Name FROM Account WHERE Id = '{record_id}'") == ["two"]
    assert org.effects()["records"]["Account"] == {record_id: 2}


def test_upsert_by_external_id_creates_updates_and_refuses_a_repeated_key(org: Client) -> None:
    upload = "Key__c,Name,Parent.Key__c\nFIRST,renamed,\nnew1,N,second\ndup,a,\nDUP,b,\n"
    job, results = org.ingest(upload, operation="upsert", object="Account", externalIdFieldName="Key__c")
    assert sorted(row["sf__Created"] for row in results["successfulResults"]) == ["false", "true"]
    assert {row["sf__Error"].split(":")[0] for row in results["failedResults"]} == {"DUPLICATE_VALUE"}
    assert job["numberRecordsFailed"] == 2
    assert org.names("SELECT Name FROM Account WHERE Key__c = 'first'") == ["renamed"]
    assert org.names("SELECT Parent.Name FROM Account WHERE Key__c = 'new1'") == [{"Name": "Second"}]


def test_upsert_by_id_updates_and_inserts_where_it_is_empty(org: Client) -> None:
    record_id = ids(org, 1, "byid")[0]
    _, results = org.ingest(
        f"Id,Name\n{record_id},up\n,fresh\n", operation="upsert", object="Account", externalIdFieldName="Id"
    )
    assert sorted(row["sf__Created"] for row in results["successfulResults"]) == ["false", "true"]


def test_insert_and_delete(org: Client) -> None:
    upload = "Account__r.Key__c,Key__c\nsecond,c1\nnobody,c2\n"
    _, made = org.ingest(upload, operation="insert", object="Cert__c")
    assert made["failedResults"][0]["sf__Error"].startswith("INVALID_FIELD:Foreign key external ID: nobody not found")
    cert = made["successfulResults"][0]["sf__Id"]
    assert made["successfulResults"][0]["sf__Created"] == "true"
    job, gone = org.ingest(f"Id\n{cert}\n{cert}\n001000000000009AAA\n", operation="delete", object="Cert__c")
    assert (len(gone["successfulResults"]), job["numberRecordsFailed"]) == (1, 2)
    assert sorted(row["sf__Error"] for row in gone["failedResults"]) == [
        "ENTITY_IS_DELETED:entity is deleted:--",
        "INVALID_CROSS_REFERENCE_KEY:invalid cross reference id:--",
    ]


BAD_ROWS = {
    "Amount of 1,000": (
        "Id,Score__c\n{id},abc\n",
        "INVALID_TYPE_ON_FIELD_IN_RECORD:Score: value not of required type: abc",
    ),
    "no Id": ("Id,Name\n,x\n", "MISSING_ARGUMENT:Id not specified in an update call:--"),
    "bad Id": ("Id,Name\nnope,x\n", "MALFORMED_ID:"),
    "long text": ("Id,BillingCity\n{id}," + "y" * 41 + "\n", "STRING_TOO_LONG:Billing City: data value too large"),
    "read-only": (
        "Id,CreatedDate\n{id},2026-01-01\n",
        "INVALID_FIELD_FOR_INSERT_UPDATE:Unable to create/update fields",
    ),
    "emptied name": ("Id,Name\n{id},#N/A\n", "REQUIRED_FIELD_MISSING:Required fields are missing: [Name]:Name --"),
    "huge cell": ("Id,Note__c\n{id}," + "y" * 32_001 + "\n", "STRING_TOO_LONG:"),
}


@pytest.mark.parametrize(("upload", "error"), BAD_ROWS.values(), ids=list(BAD_ROWS))
def test_a_bad_row_fails_with_code_message_and_fields(org: Client, upload: str, error: str) -> None:
    record_id = org.names("SELECT Id FROM Account WHERE Key__c = 'second'")[0]
    job, results = org.ingest(upload.replace("{id}", record_id), operation="update", object="Account")
    assert (job["state"], job["numberRecordsFailed"]) == ("JobComplete", 1)
    assert results["failedResults"][0]["sf__Error"].startswith(error)


BAD_UPLOADS: dict[str, tuple[bytes, str]] = {
    "unknown field": (b"Id,Nope\nx,y\n", "InvalidBatch : Field name not found : Nope"),
    "byte order mark": (b"\xef\xbb\xbfId,Name\nx,y\n", "InvalidBatch : Field name not found : \ufeffId"),
    "no key": (b"Name\ny\n", "InvalidBatch : Field name not found : Id"),
    "wrong line ending": (
        b"Id,Name\r\nx,y\r\n",
        "ClientInputError : LineEnding is invalid on user data. Current LineEnding setting is LF",
    ),
    "ragged": (b"Id,Name\nx\n", "InvalidBatch : "),
    "open quote": (b'Id,Name\nx,"y\n', "InvalidBatch : "),
    "not UTF-8": (b"Id,Name\nx,\xff\n", "InvalidBatch : "),
    "blank outside quotes": (b'Id,Name\nx,"y" \n', "InvalidBatch : "),
    "twice": (b"Id,Name,name\nx,y,z\n", "InvalidBatch : "),
    "empty lines": (b"\n\n", "InvalidBatch : "),
}


@pytest.mark.parametrize(("upload", "error"), BAD_UPLOADS.values(), ids=list(BAD_UPLOADS))
def test_a_bad_upload_fails_the_whole_job(org: Client, upload: bytes, error: str) -> None:
    job, results = org.ingest(upload, operation="update", object="Account")
    assert job["state"] == "Failed"
    assert job["errorMessage"].startswith(error)
    assert results["successfulResults"] == []


def test_crlf_is_read_when_it_is_declared(org: Client) -> None:
    record_id = ids(org, 1, "crlf")[0]
    job, _ = org.ingest(f"Id,Name\r\n{record_id},dos\r\n", operation="update", object="Account", lineEnding="CRLF")
    assert (job["state"], job["numberRecordsFailed"]) == ("JobComplete", 0)


def test_a_small_load_may_come_in_the_create_call(org: Client) -> None:
    record_id = ids(org, 1, "multi")[0]
    job = json.dumps({"operation": "update", "object": "Account", "contentType": "CSV"})
    files = {"job": (None, job, "application/json"), "content": ("c", f"Id,Name\n{record_id},part\n", "text/csv")}
    made = org.call("POST", "/jobs/ingest", files=files)
    assert made.status_code == 200, made.text
    assert org.get(f"/jobs/ingest/{made.json()['id']}").json()["state"] == "JobComplete"
    assert org.names(f"SELECT Name FROM Account WHERE Id = '{record_id}'") == ["part"]


@pytest.mark.parametrize(
    ("job", "code"),
    [
        ({"operation": "insert", "object": "Nope"}, "INVALIDENTITY"),
        ({"operation": "merge", "object": "Account"}, "INVALIDJOB"),
        ({"operation": "upsert", "object": "Account"}, "INVALIDJOB"),
        ({}, "INVALIDJOB"),
        ({"operation": "upsert", "object": "Account", "externalIdFieldName": "Name"}, "INVALIDJOB"),
        ({"operation": "insert", "object": "Account", "columnDelimiter": "X"}, "INVALIDJOB"),
        ({"operation": "hardDelete", "object": "Account"}, "FEATURENOTENABLED"),
    ],
)
def test_a_wrong_job_is_refused(org: Client, job: dict[str, str], code: str) -> None:
    answer = org.call("POST", "/jobs/ingest", json=job)
    assert (answer.status_code, answer.json()[0]["errorCode"]) == (400, code)


def test_looking_aborting_and_deleting_are_no_writes(org: Client) -> None:
    record_id = ids(org, 1, "count")[0]
    job = org.call("POST", "/jobs/ingest", json={"operation": "update", "object": "Account"}).json()
    path = f"/jobs/ingest/{job['id']}"
    assert org.effects()["calls"] == {"read": 0, "write": 1}
    org.call("PATCH", path, json={"state": "Aborted"})
    org.get(path)
    org.call("DELETE", path)
    assert org.effects()["calls"] == {"read": 3, "write": 1}
    org.ingest(f"Id,Name\n{record_id},w\n", operation="update", object="Account")
    assert org.effects()["calls"]["write"] == 4


def test_a_job_that_fails_by_its_header_leaves_every_row_unprocessed(org: Client) -> None:
    ended, rows = org.ingest("Name,Nope\nA,1\nB,2\n", object="Account", operation="insert")
    assert (ended["state"], ended["errorMessage"]) == ("Failed", "InvalidBatch : Field name not found : Nope")
    assert [row["Name"] for row in rows["unprocessedrecords"]] == ["A", "B"]


def test_a_line_that_cannot_be_read_leaves_what_was_not_written_unprocessed(org: Client) -> None:
    upload = "Name\n" + "".join(f"Row {number}\n" for number in range(205)) + "too,many\n"
    ended, rows = org.ingest(upload, object="Account", operation="insert")
    assert ended["state"] == "Failed"
    assert [len(rows[name]) for name in ("successfulResults", "failedResults", "unprocessedrecords")] == [200, 0, 5]


def test_spaces_outside_of_quotes_are_an_error_of_the_row(org: Client) -> None:
    ended, rows = org.ingest('Name,Site\nA, "x"\nB,"x"\n', object="Account", operation="insert")
    assert (ended["state"], ended["numberRecordsFailed"]) == ("JobComplete", 1)
    assert rows["failedResults"][0]["Name"] == "A"


def test_a_new_job_tells_its_kind_only_when_it_is_looked_at(org: Client) -> None:
    made = org.call("POST", "/jobs/ingest", json={"object": "Account", "operation": "insert"}).json()
    assert list(made) == [
        "id", "operation", "object", "createdById", "createdDate", "systemModstamp", "state", "concurrencyMode",
        "contentType", "apiVersion", "contentUrl", "lineEnding", "columnDelimiter",
    ]  # fmt: skip
    assert org.get(f"/jobs/ingest/{made['id']}").json()["jobType"] == "V2Ingest"
    assert org.get("/jobs/ingest?jobType=Classic").json()["records"] == []
