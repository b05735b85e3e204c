"""Answers that no healthy org gives: each ends as one of our errors with words, never a traceback; nothing is kept."""

from __future__ import annotations

import contextlib
from pathlib import Path

import pytest

from crmsync.connectors.base import Write
from crmsync.errors import CrmsyncError
from tests.connectors.salesforce.wire import DATA, Answer, Opened, Wire, csv_page, fault, html, ok, open_connector

RECORD = "001000000000001AAA"
JOB = "750000000000001AAA"
JSON = {"Content-Type": "application/json"}

BODIES: dict[str, Answer] = {
    "null": (200, JSON, "null"),
    "a bare number": (200, JSON, "42"),
    "a bare text": (200, JSON, '"done"'),
    "an empty list": ok([]),
    "an empty object": ok({}),
    "a list of numbers": ok([1, 2]),
    "a list of nothing": ok([None]),
    "names without values": ok({"records": None, "fields": None, "id": None, "state": None, "totalSize": None}),
    "values of another type": ok(
        {"records": 5, "fields": 5, "id": 5, "name": 5, "state": 5, "totalSize": "5", "done": "no"}
    ),
    "records of nothing": ok({"records": [None], "fields": [None], "totalSize": 1, "done": True, "name": "Account"}),
    "fields without names": ok({"fields": [{}], "name": "Account", "records": [{}], "totalSize": 1, "done": True}),
    "half a body": (200, JSON, '{"records": ['),
    "no body": (200, JSON, ""),
    "not UTF-8": (200, JSON, b'{"name": "\xff\xfe"}'),
    "nested without end": (200, JSON, "[" * 100_000),
    "a number without end": (200, JSON, "9" * 5_000),
    "a web page": html(200),
    "a web page as text": (200, JSON, "<html>maintenance</html>"),
    "a table": csv_page('"Id"\n"x"\n', 1),
    "a redirect": (307, {"Location": "https://evil.example/"}, ""),
    "a fault without a body": (400, JSON, ""),
    "a fault without a list": (400, JSON, '{"message": 1}'),
    "a fault of nothing": (400, JSON, "[null]"),
    "a fault with odd fields": (400, JSON, '[{"errorCode": 7, "message": null, "fields": "x"}]'),
    "an unknown status": (418, JSON, "[]"),
    "gone": fault(410, "GONE"),
    "no content": (204, {}, ""),
}
READS = {
    "versions": "/services/data",
    "describe": f"{DATA}/sobjects/Account/describe",
    "count": rf"{DATA}/query/\?q=SELECT COUNT.*",
    "rows": rf"{DATA}/query/\?q=SELECT Id.*",
}


@pytest.mark.parametrize("body", BODIES)
@pytest.mark.parametrize("place", READS)
def test_a_bad_answer_while_reading_keeps_nothing(wire: Wire, opened: Opened, place: str, body: str) -> None:
    wire.counts("Account", 1)
    wire.page("Account", ok({"totalSize": 0, "done": True, "records": []}))
    wire.on("GET", READS[place], BODIES[body])
    with pytest.raises(CrmsyncError) as caught:
        opened.connector.extract(["partners"], opened.staging)
    assert len(str(caught.value)) > 20
    assert opened.staging.tables == {}


@pytest.mark.parametrize("body", BODIES)
@pytest.mark.parametrize("place", ["create", "state", "results"])
def test_a_bad_answer_of_a_query_job_keeps_nothing(wire: Wire, opened: Opened, place: str, body: str) -> None:
    wire.counts("Account", 5_000)
    wire.job(5_000, csv_page("", 0))
    method, target = {
        "create": ("POST", f"{DATA}/jobs/query"),
        "state": ("GET", f"{DATA}/jobs/query/{JOB}"),
        "results": ("GET", rf"{DATA}/jobs/query/{JOB}/results\?.*"),
    }[place]
    wire.on(method, target, BODIES[body])
    with pytest.raises(CrmsyncError) as caught:
        opened.connector.extract(["partners"], opened.staging)
    assert len(str(caught.value)) > 20
    assert opened.staging.tables == {}


@pytest.mark.parametrize("body", BODIES)
def test_a_bad_answer_before_a_write_writes_nothing(wire: Wire, opened: Opened, body: str) -> None:
    wire.on("GET", rf"{DATA}/sobjects/Account/{RECORD}\?.*", BODIES[body])
    write = Write(RECORD, {"Tier__c": "Gold"}, {"Tier__c": None})
    with contextlib.suppress(CrmsyncError):
        assert opened.connector.write_one(write).state == "failed"
    assert not wire.made("PATCH", ".*")


@pytest.mark.parametrize("body", BODIES)
def test_a_bad_answer_to_a_write_is_an_outcome(wire: Wire, opened: Opened, body: str) -> None:
    wire.on("GET", rf"{DATA}/sobjects/Account/{RECORD}\?.*", ok({"Tier__c": None}))
    wire.on("PATCH", f"{DATA}/sobjects/Account/{RECORD}", BODIES[body])
    with contextlib.suppress(CrmsyncError):
        written = opened.connector.write_one(Write(RECORD, {"Tier__c": "Gold"}, {"Tier__c": None}))
        assert written.record_id == RECORD
    assert len(wire.made("PATCH", ".*")) == 1


@pytest.mark.parametrize("body", BODIES)
@pytest.mark.parametrize("step", ["create", "upload", "start", "state", "results", "read"])
def test_a_bad_answer_of_a_bulk_write_is_never_success(wire: Wire, opened: Opened, step: str, body: str) -> None:
    for method in ("POST", "PUT", "PATCH", "GET"):
        wire.on(method, rf"{DATA}/(jobs/ingest|composite).*", BODIES[body])
    target = opened.connector
    steps = {
        "create": target.create_job,
        "upload": lambda: target.upload_job(JOB, [Write(RECORD, {"Tier__c": "Gold"}, {})]),
        "start": lambda: target.start_job(JOB),
        "state": lambda: target.job_state(JOB),
        "results": lambda: list(target.job_results(JOB)),
        "read": lambda: dict(target.read([RECORD], ["Tier__c"])),
    }
    try:
        told = steps[step]()
    except CrmsyncError:
        return
    if step == "state":
        assert told.state == "gone"
    if step == "results":
        assert all(written.state != "applied" for written in told)
    if step == "read":
        assert not told


def test_a_record_id_in_a_page_that_is_no_id_is_told_in_full(wire: Wire, tmp_path: Path) -> None:
    opened = open_connector(tmp_path)
    wire.counts("Account", 1)
    record = {"Id": "<script>", "Name": "x", "Partner_Since__c": "soon"}
    wire.page("Account", ok({"totalSize": 1, "done": True, "records": [record]}))
    report = opened.connector.extract(["partners"], opened.staging)
    assert [(one.file, one.column, one.value) for one in report.rejected] == [("Account <script>", "joined_on", "soon")]
