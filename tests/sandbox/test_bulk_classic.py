"""The first Bulk API: jobs and batches in CSV and JSON, with its own session header and its own errors."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any
from xml.etree import ElementTree as XmlTree

import pytest
import requests

from tests.sandbox.orgs import SCHEMA, Client, cells, running, write_files

JOB = "//services/async/60.0/job"
JSON = {"Content-Type": "application/json"}
XML = {"Content-Type": "application/xml; charset=UTF-8"}
NAMESPACE = "{http://www.force.com/2009/06/asyncapi/dataload}"


@pytest.fixture(scope="module")
def org(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    with running("--data", str(write_files(tmp_path_factory.mktemp("org"), {"schema.yaml": SCHEMA}))) as client:
        client.session.headers["X-SFDC-Session"] = client.org.access_token
        del client.session.headers["Authorization"]
        yield client


def opened(org: Client, **info: str) -> str:
    made = org.call("POST", JOB, json={"object": "Account", "contentType": "JSON"} | info, headers=JSON)
    assert (made.status_code, made.json()["state"]) == (201, "Open"), made.text
    return f"{JOB}/{made.json()['id']}"


def made_id(text: str) -> str:
    """The id of a batch, told as XML or JSON."""
    found = re.search(r'"?\bid"?[>:]"?(\w{18})', text)
    assert found is not None, text
    return found[1]


def ended(org: Client, job: str, data: str, content: str = "application/json") -> str:
    """The path of a batch that is completed."""
    made = org.call("POST", f"{job}/batch", data=data.encode(), headers={"Content-Type": content})
    assert made.status_code == 201, made.text
    path = f"{job}/batch/{made_id(made.text)}"
    found = org.get(path).text
    assert "Completed" in found, found
    return path


def test_rows_of_json_are_written_one_by_one_and_told_in_their_order(org: Client) -> None:
    job = opened(org, operation="upsert", externalIdFieldName="key__c")
    rows = [{"Key__c": "j1", "Name": "Ångström", "Site": "x"}, {"Key__c": "j2"}, {"Name": "no key"}]
    path = ended(org, job, json.dumps(rows))
    first, second, third = org.get(f"{path}/result", headers=JSON).json()
    assert (first["success"], first["created"], first["errors"]) == (True, True, [])
    assert second["errors"][0]["statusCode"] == "REQUIRED_FIELD_MISSING"
    assert (third["id"], third["errors"][0]["statusCode"]) == (None, "MISSING_ARGUMENT")
    assert org.get(f"{path}/request").json() == rows
    info = org.get(job, headers=JSON).json()
    assert (info["numberBatchesCompleted"], info["numberRecordsProcessed"], info["numberRecordsFailed"]) == (1, 3, 2)
    closed = org.call("POST", job, json={"state": "Closed"}, headers=JSON).json()
    late = org.call("POST", f"{job}/batch", data="[]", headers=JSON)
    assert (closed["state"], late.status_code, late.json()["exceptionCode"]) == ("Closed", 400, "InvalidJobState")


def test_rows_of_csv_are_updated_emptied_and_deleted(org: Client) -> None:
    made = ended(org, opened(org, operation="insert"), json.dumps([{"Name": "C", "Site": "s", "Key__c": "c1"}]))
    (record,) = org.get(f"{made}/result", headers=JSON).json()
    job = opened(org, operation="update", contentType="CSV")
    path = ended(org, job, f'Id,Name,Site\n{record["id"]},"new, name",#N/A\n001000000000000AAA,x,\n', "text/csv")
    result = org.get(f"{path}/result")
    assert result.headers["content-type"] == "text/csv"
    assert cells(result.content) == [
        {"Id": record["id"], "Success": "true", "Created": "false", "Error": ""},
        {"Id": "", "Success": "false", "Created": "false",
         "Error": "INVALID_CROSS_REFERENCE_KEY:invalid cross reference id:--"},
    ]  # fmt: skip
    assert queried(org, "SELECT Name, Site FROM Account WHERE Key__c = 'c1'") == [{"Name": "new, name", "Site": None}]
    gone = ended(org, opened(org, operation="delete"), json.dumps([{"Id": record["id"]}]))
    assert org.get(f"{gone}/result", headers=JSON).json()[0]["success"]
    assert queried(org, "SELECT Name FROM Account WHERE Key__c = 'c1'") == []
    deleted = queried(org, "SELECT IsDeleted FROM Account WHERE Key__c = 'c1'", operation="queryAll")
    assert deleted == [{"IsDeleted": True}]


def queried(org: Client, soql: str, operation: str = "query") -> list[dict[str, Any]]:
    path = ended(org, opened(org, operation=operation), soql)
    (result,) = org.get(f"{path}/result", headers=JSON).json()
    records: list[dict[str, Any]] = org.get(f"{path}/result/{result}").json()
    return [{name: value for name, value in record.items() if name != "attributes"} for record in records]


def test_instants_of_json_are_milliseconds(org: Client) -> None:
    ended(org, opened(org, operation="insert"), json.dumps([{"Name": "T", "Seen__c": "2026-01-01T00:00:00.000Z"}]))
    assert queried(org, "SELECT Seen__c, Joined__c FROM Account WHERE Name = 'T'") == [
        {"Seen__c": 1767225600000, "Joined__c": None}
    ]


def test_a_client_that_speaks_xml_gets_xml(org: Client) -> None:
    ended(org, opened(org, operation="insert"), json.dumps([{"Name": "X"}]))
    text = (
        f'<jobInfo xmlns="{NAMESPACE[1:-1]}"><operation>query</operation><object>Account</object>'
        "<contentType>CSV</contentType></jobInfo>"
    )
    made = org.call("POST", JOB, data=text, headers=XML)
    assert (made.status_code, made.headers["content-type"]) == (201, "application/xml")
    job = f"{JOB}/{XmlTree.fromstring(made.text).findtext(f'{NAMESPACE}id')}"
    batch = org.call("POST", f"{job}/batch", data="SELECT Name FROM Account WHERE Name = 'X'",
                     headers={"Content-Type": "text/csv"})  # fmt: skip
    path = f"{job}/batch/{XmlTree.fromstring(batch.text).findtext(f'{NAMESPACE}id')}"
    listed = XmlTree.fromstring(org.get(f"{job}/batch").text)
    assert [one.text for one in listed.iter(f"{NAMESPACE}state")] == ["Completed"]
    (result,) = XmlTree.fromstring(org.get(f"{path}/result").text)
    assert cells(org.get(f"{path}/result/{result.text}").content) == [{"Name": "X"}]


@pytest.mark.parametrize(
    ("info", "code"),
    [({"operation": "hardDelete"}, "InvalidJob"), ({"operation": "insert", "object": "Nope__c"}, "InvalidEntity"),
     ({"operation": "insert", "contentType": "ZIP_CSV"}, "InvalidJob")],
)  # fmt: skip
def test_wrong_jobs_are_refused_in_the_words_of_this_api(org: Client, info: dict[str, str], code: str) -> None:
    answer = org.call("POST", JOB, json={"object": "Account", "contentType": "CSV"} | info, headers=JSON)
    assert (answer.status_code, answer.json()["exceptionCode"]) == (400, code)


def test_sessions_versions_and_unknown_jobs_are_refused(org: Client) -> None:
    nobody = requests.get(org.url(f"{JOB}/750000000000000AAA"), headers={"X-SFDC-Session": "x"}, timeout=30)
    assert (nobody.status_code, "<exceptionCode>InvalidSessionId</exceptionCode>" in nobody.text) == (401, True)
    old = org.call("POST", "//services/async/30.0/job", json={}, headers=JSON)
    assert (old.status_code, old.json()["exceptionCode"]) == (400, "InvalidVersion")
    assert org.get(f"{JOB}/750000000000000AAA", headers=JSON).json()["exceptionCode"] == "InvalidJob"


def test_a_batch_that_cannot_be_read_fails_with_the_reason(org: Client) -> None:
    for data, content, text in (("{", "JSON", "Failed to parse JSON"), ("Name\na,b\n", "CSV", "as many cells"),
                                ('Name\n"a', "CSV", "Failed to parse CSV")):  # fmt: skip
        job = opened(org, operation="insert", contentType=content)
        made = org.call("POST", f"{job}/batch", data=data, headers={"Content-Type": "text/csv"})
        path = f"{job}/batch/{made_id(made.text)}"
        found = org.get(path).text
        assert ("Failed" in found, text in found) == (True, True)
        assert org.get(f"{path}/result", headers=JSON).json()["exceptionCode"] == "InvalidBatch"
