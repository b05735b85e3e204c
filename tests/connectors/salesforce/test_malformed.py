"""Three hundred broken forms of every answer we read: a clear error or the very same records, and nothing is written.

A good answer is cut at every byte, each of its values is put into another type, and NUL, line separators, torn UTF-8,
web pages and other things that no org sends are put into it.
"""

from __future__ import annotations

import json
import random
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from crmsync.connectors.base import Into, Write
from crmsync.connectors.retries import Retries
from crmsync.connectors.salesforce.bulk_query import bulk_blocks
from crmsync.connectors.salesforce.connector import SalesforceConnector
from crmsync.connectors.salesforce.describe import Describe
from crmsync.connectors.salesforce.merged import read_merged
from crmsync.connectors.salesforce.org import Org
from crmsync.connectors.salesforce.rest_query import count_rows, rest_blocks
from crmsync.connectors.salesforce.together import ask_together
from crmsync.errors import CrmsyncError
from tests.connectors.salesforce.wire import ACCOUNT, DATA, Answer, Opened, Wire, entry, ok

LEAST = 300
OF_A_KIND = 100  # at least so many values of another type, where there are, and so many pieces put in
LONGEST_S = 10.0
ONE, TWO = "001000000000001AAA", "001000000000002AAA"
JOB = "750000000000001AAA"
OTHERS: tuple[Any, ...] = (None, 5, -1.5, True, "", "x", [], {}, [None], {"x": None}, "\u2028")
PIECES = (b"\0", "\u2028".encode(), "\u0085".encode(), b"\xff", b"\xef\xbb\xbf", b'"', b"\\", b"\n", b",", b"\r")
WHOLE = (
    b"",
    b"null",
    b"[]",
    b"{}",
    b"<html>down</html>",
    b"\x1f\x8b\x08",
    b"[" * 5_000,
    b"9" * 400,
    b'{"a":' * 900,
    b"\0" * 50,
)


@dataclass
class Case:
    """An endpoint: its good answer, and what reads it. `told`: what came of it, comparable; `call` may raise."""

    method: str
    target: str
    answer: Answer
    call: Callable[[SalesforceConnector], Any]


def broken(good: Answer) -> Iterator[Answer]:
    """At least `LEAST` broken forms of an answer."""
    status, headers, body = good
    text = body.encode() if isinstance(body, str) else bytes(body)  # type: ignore[arg-type]
    cuts = [text[:place] for place in range(len(text))]
    types = some(list(other_types(text)), OF_A_KIND)
    pieces = [text[:place] + piece + text[place:] for place in range(len(text) + 1) for piece in PIECES]
    left = max(OF_A_KIND, LEAST + 10 - len(cuts) - len(WHOLE) - len(types))
    seen = {text}
    for changed in (*cuts, *WHOLE, *types, *some(pieces, left)):
        if changed not in seen:
            seen.add(changed)
            yield status, headers, changed
    yield 200, {"Content-Type": "text/html"}, "<html>maintenance</html>"
    yield 302, {"Location": "https://evil.example/"}, ""


def some(of: list[bytes], most: int) -> list[bytes]:
    """So many of them, from all over, and the same ones each time."""
    return random.Random(7).sample(of, min(most, len(of)))


def other_types(text: bytes) -> Iterator[bytes]:
    """JSON with one value after the other in another type; nothing for anything else."""
    try:
        whole = json.loads(text)
    except ValueError:
        return
    for path in list(paths(whole)):
        for other in OTHERS:
            yield json.dumps(put(whole, path, other)).encode()


def paths(value: Any, before: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, each in inner:
        yield (*before, key)
        yield from paths(each, (*before, key))


def put(value: Any, path: tuple[Any, ...], other: Any) -> Any:
    if not path:
        return other
    copy = dict(value) if isinstance(value, dict) else list(value)
    copy[path[0]] = put(copy[path[0]], path[1:], other)
    return copy


def rows(blocks: Iterator[Any]) -> list[dict[str, Any]]:
    return [
        dict(zip(block, cells, strict=True))
        for block in blocks
        for cells in zip(*(column.to_pylist() for column in block.values()), strict=True)
    ]


def a_page(name: str = "Zoe") -> Answer:
    return ok({"totalSize": 1, "done": True, "records": [{"Id": ONE, "Name": name}]})


def a_csv(text: str, count: int) -> Answer:
    headers = {"Content-Type": "text/csv", "Sforce-NumberOfRecords": str(count), "Sforce-Locator": "null"}
    return 200, headers, text


def fresh(connector: SalesforceConnector) -> Org:
    return Org(connector.org.settings, connector.org.retries)


def by_query_job(connector: SalesforceConnector) -> Any:
    folder = connector._state / "query"
    folder.mkdir(parents=True, exist_ok=True)
    return rows(bulk_blocks(connector.org, "SELECT Id FROM Account", "Account", ["Id", "Name"], folder))


SMALL = ok({"name": "Account", "fields": [{"name": "Id", "type": "id"}, {"name": "Name", "type": "string"}]})
BATCH = ok(
    {"hasErrors": False, "results": [{"statusCode": 200, "result": {"totalSize": 3, "done": True, "records": []}}]}
)
COMPOSITE = ok(
    {
        "compositeResponse": [
            {
                "body": {"totalSize": 3, "done": True, "records": []},
                "httpStatusCode": 200,
                "referenceId": "q0",
                "httpHeaders": {},
            }
        ]
    }
)
READS: dict[str, Case] = {
    "versions": Case(
        "GET",
        "/services/data",
        ok([{"label": "x", "url": DATA, "version": "67.0"}]),
        lambda it: fresh(it).data_path("x"),
    ),
    "organization": Case(
        "GET",
        ".*FROM Organization",
        ok({"totalSize": 1, "done": True, "records": [{"Id": "00D000000000001AAA", "TimeZoneSidKey": "UTC"}]}),
        lambda it: dict(fresh(it).organization),
    ),
    "describe": Case(
        "GET", f"{DATA}/sobjects/Account/describe", SMALL, lambda it: sorted(Describe(it.org).object("Account").fields)
    ),
    "count": Case(
        "GET",
        rf"{DATA}/query/.*",
        ok({"totalSize": 1234, "done": True, "records": []}),
        lambda it: count_rows(it.org, "SELECT COUNT() FROM Account"),
    ),
    "page": Case(
        "GET",
        rf"{DATA}/query/.*",
        a_page(),
        lambda it: rows(rest_blocks(it.org, it.org.query("SELECT Id, Name FROM Account"), "Account", ["Id", "Name"])),
    ),
    "merged accounts": Case(
        "GET",
        rf"{DATA}/queryAll.*",
        ok({"totalSize": 1, "done": True, "records": [{"Id": ONE, "MasterRecordId": TWO}]}),
        lambda it: dict(read_merged(it.org, it.describe, "Account")),
    ),
    "query job": Case("POST", f"{DATA}/jobs/query", ok({"id": JOB, "state": "UploadComplete"}), by_query_job),
    "query job state": Case(
        "GET",
        f"{DATA}/jobs/query/{JOB}",
        ok({"id": JOB, "state": "JobComplete", "numberRecordsProcessed": 2}),
        by_query_job,
    ),
    "query results": Case(
        "GET",
        rf"{DATA}/jobs/query/{JOB}/results.*",
        a_csv(f'"Id","Name"\n"{ONE}","Zoe"\n"{TWO}","Max, ""jr"""\n', 2),
        by_query_job,
    ),
    "records by id": Case(
        "POST",
        f"{DATA}/composite/sobjects/Account",
        ok([{"Id": ONE, "Tier__c": "Gold"}, None]),
        lambda it: {one: dict(held) for one, held in it.read([ONE, TWO], ["Tier__c"]).items()},
    ),
    "several queries": Case(
        "POST",
        f"{DATA}/composite.*",
        COMPOSITE,
        lambda it: [one.total for one in ask_together(it.org, ["SELECT COUNT() FROM Account"])],
    ),
    "open jobs": Case(
        "GET",
        rf"{DATA}/jobs/ingest/?\?.*",
        ok(
            {
                "done": True,
                "nextRecordsUrl": None,
                "records": [
                    {
                        "id": JOB,
                        "state": "Open",
                        "operation": "update",
                        "object": "Account",
                        "contentType": "CSV",
                        "createdById": "005000000000001AAA",
                        "createdDate": "2026-11-22T10:00:00.000+0000",
                    }
                ],
            }
        ),
        lambda it: [job.job_id for job in it.open_jobs()],
    ),
    "who we are": Case(
        "GET",
        "/services/oauth2/userinfo",
        ok({"user_id": "005000000000001AAA", "organization_id": "00D000000000001AAA"}),
        lambda it: [job.job_id for job in it.open_jobs()],
    ),
}
"""What is only read: the very same, or a clear error."""

BESIDE = Into("Standing__c", "Key__c")
WRITES: dict[str, Case] = {
    "look before a write": Case(
        "GET",
        rf"{DATA}/sobjects/Account/{ONE}\?.*",
        ok({"attributes": {"type": "Account", "url": "x"}, "Tier__c": "Silver"}),
        lambda it: it.write_one(Write(ONE, {"Tier__c": "Gold"}, {"Tier__c": "Platinum"})),
    ),
    "one record": Case(
        "PATCH",
        f"{DATA}/sobjects/Account/{ONE}",
        ok({"errors": [], "success": True, "id": ONE}),
        lambda it: it.write_one(Write(ONE, {"Tier__c": "Gold"}, {"Tier__c": "Silver"})),
    ),
    "several records": Case(
        "PATCH",
        rf"{DATA}/composite/sobjects/.*",
        ok(
            [
                {"id": ONE, "success": True, "errors": []},
                {
                    "id": None,
                    "success": False,
                    "errors": [{"statusCode": "UNABLE_TO_LOCK_ROW", "message": "locked", "fields": []}],
                },
            ]
        ),
        lambda it: it.into(BESIDE).write_several([Write("a", {"Tier__c": "x"}, {}), Write("b", {"Tier__c": "x"}, {})]),
    ),
    "job": Case("POST", f"{DATA}/jobs/ingest", ok({"id": JOB, "state": "Open"}), lambda it: it.create_job()),
    "upload": Case(
        "PUT",
        f"{DATA}/jobs/ingest/{JOB}/batches",
        ok([{"errorCode": "X", "message": "no"}]),
        lambda it: it.upload_job(JOB, [Write(ONE, {"Tier__c": "Gold"}, {})]),
    ),
    "start": Case(
        "PATCH", f"{DATA}/jobs/ingest/{JOB}", ok({"id": JOB, "state": "UploadComplete"}), lambda it: it.start_job(JOB)
    ),
    "state": Case(
        "GET",
        f"{DATA}/jobs/ingest/{JOB}",
        ok({"id": JOB, "state": "JobComplete", "numberRecordsProcessed": 2, "numberRecordsFailed": 1}),
        lambda it: it.job_state(JOB),
    ),
    "successes": Case(
        "GET",
        rf"{DATA}/jobs/ingest/{JOB}/successfulResults/",
        a_csv(f'"sf__Id","sf__Created","Id"\n"{ONE}","false","{ONE}"\n"{TWO}","false","{TWO}"\n', 2),
        lambda it: list(it.job_results(JOB)),
    ),
    "failures": Case(
        "GET",
        rf"{DATA}/jobs/ingest/{JOB}/failedResults/",
        a_csv(f'"sf__Id","sf__Error","Id"\n"{ONE}","UNABLE_TO_LOCK_ROW:locked:--","{ONE}"\n', 1),
        lambda it: list(it.job_results(JOB)),
    ),
}
"""What may have an effect: never a success that the answer does not say."""


@pytest.fixture
def connector(wire: Wire, opened: Opened) -> SalesforceConnector:
    """One that has logged in and described the objects; nothing else is answered but what the case says."""
    wire.describe(
        "Account", [*ACCOUNT, entry("MasterRecordId", "reference", updateable=False), entry("IsDeleted", "boolean")]
    )
    key = entry("Key__c", unique=True, externalId=True, idLookup=True)
    wire.describe("Standing__c", [entry("Id", "id"), key, entry("Tier__c")])
    wire.on("GET", f"{DATA}/sobjects/Account/{ONE}.*", ok({"Tier__c": "Silver"}))
    wire.on("POST", f"{DATA}/jobs/query", ok({"id": JOB, "state": "UploadComplete"}))
    wire.on("GET", f"{DATA}/jobs/query/{JOB}", ok({"id": JOB, "state": "JobComplete", "numberRecordsProcessed": 2}))
    wire.on("GET", rf"{DATA}/jobs/query/{JOB}/results.*", READS["query results"].answer)
    wire.on("GET", "/services/oauth2/userinfo", READS["who we are"].answer)
    wire.on("GET", rf"{DATA}/jobs/ingest/?\?.*", READS["open jobs"].answer)
    wire.on("GET", f"{DATA}/jobs/ingest/{JOB}", ok({"id": JOB, "state": "Open"}))
    found = opened.connector
    found.org.retries = Retries(attempts=2, budget_s=1e9, sleep=lambda _: None)
    found.identity()
    _ = found.fields.sobject, found.into(BESIDE).fields.key
    return found


def tried(wire: Wire, connector: SalesforceConnector, case: Case) -> Iterator[tuple[bytes | str, Any]]:
    """Every broken form of the answer with what came of it: what was told, or the error."""
    wire.on(case.method, case.target, case.answer)
    answers = wire.scripts[0][2]
    for changed in broken(case.answer):
        answers[:] = [changed]
        wire.calls.clear()
        began = time.monotonic()
        try:
            told = case.call(connector)
        except CrmsyncError as error:
            told = error
        if isinstance(told, CrmsyncError):
            assert len(str(told)) > 20, changed
            assert "Traceback" not in str(told)
        assert time.monotonic() - began < LONGEST_S, changed
        yield changed[2], told  # type: ignore[misc]


@pytest.mark.parametrize("name", READS)
def test_a_broken_answer_is_an_error_or_says_the_same(wire: Wire, connector: SalesforceConnector, name: str) -> None:
    case = READS[name]
    wire.on(case.method, case.target, case.answer)
    good = case.call(connector)
    whole = str(case.answer[2]).encode() if isinstance(case.answer[2], str) else bytes(case.answer[2])  # type: ignore[arg-type]
    errors = others = 0
    for body, told in tried(wire, connector, case):
        assert not [call for call in wire.calls if call.method in ("PUT", "PATCH")], body
        errors += isinstance(told, CrmsyncError)
        others += not isinstance(told, CrmsyncError)
        if not isinstance(told, CrmsyncError) and told != good:
            cut = isinstance(body, bytes) and len(body) < len(whole) and whole.startswith(body)
            assert not cut, f"cut after {len(body)} bytes of {len(whole)}, it was taken for a whole answer: {told}"
            assert only_a_value_differs(told, good, body), (body, told)
    assert errors + others >= LEAST
    assert errors >= min(len(whole) - 1, LEAST // 2)  # nearly every cut, at the least


def only_a_value_differs(told: Any, good: Any, body: Any) -> bool:
    """Whether the answer was whole and said another value, as an org may: as many entries, each of the same shape."""
    text = body if isinstance(body, bytes) else str(body).encode()
    if isinstance(good, list | dict):
        return type(told) is type(good) and (len(told) <= len(good) if cuts_nothing(text) else len(told) == len(good))
    return type(told) is type(good)


def cuts_nothing(text: bytes) -> bool:
    try:
        json.loads(text.decode("utf-8", "replace"))
    except ValueError:
        return False
    return True


@pytest.mark.parametrize("name", WRITES)
def test_a_broken_answer_to_a_write_is_never_taken_for_success(
    wire: Wire, connector: SalesforceConnector, name: str
) -> None:
    case, count = WRITES[name], 0
    for body, told in tried(wire, connector, case):
        count += 1
        if isinstance(told, CrmsyncError):
            continue
        if name == "look before a write":
            assert not wire.made("PATCH", ".*"), body
            assert told.state != "applied" or b"Gold" in body, body
        elif name == "one record":
            assert told.state == "unknown", body
        elif name in ("several records", "successes", "failures"):
            assert {one.record_id for one in told if one.state == "applied"} <= said(name, body), body
        elif name == "job":
            assert told.isalnum(), body
        elif name == "state":
            assert told.state in ("open", "running", "done", "failed", "aborted", "gone"), body
            assert told.state != "done" or b"JobComplete" in body, body
        elif name == "upload":
            pytest.fail(f"an upload without 201 was taken for done: {body!r}")
    assert count >= LEAST


def said(name: str, body: Any) -> set[str]:
    """The records that a reader without our code would take as written."""
    text = body if isinstance(body, bytes) else str(body).encode()
    if name == "several records":
        try:
            parsed = json.loads(text.decode("utf-8", "replace"))
        except (ValueError, RecursionError):
            return set()
        if not isinstance(parsed, list):
            return set()
        return {
            key
            for key, one in zip(("a", "b"), parsed, strict=False)
            if isinstance(one, dict) and one.get("success") is True
        }
    lines = text.replace(b"\0", b"").decode("utf-8", "replace").splitlines() if name == "successes" else []
    return {one for one in (ONE, TWO) for line in lines[1:] if one in line}
