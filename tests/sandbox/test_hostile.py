"""Hostile input at every door: a refusal in the org's own form, never a crash."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.sandbox.orgs import SCHEMA, Client, running, write_files

DOORS = [
    ("POST", "/sobjects/Account"),
    ("PATCH", "/sobjects/Account/0017Q0000000001QAA"),
    ("PATCH", "/sobjects/Account/Key__c/k"),
    ("POST", "/composite/sobjects"),
    ("PATCH", "/composite/sobjects"),
    ("PATCH", "/composite/sobjects/Account/Key__c"),
    ("POST", "/composite/sobjects/Account"),
    ("POST", "/composite"),
    ("POST", "/jobs/query"),
    ("POST", "/jobs/ingest"),
]
WORDS = st.sampled_from(
    [
        "Name",
        "Id",
        "id",
        "attributes",
        "type",
        "Account",
        "records",
        "compositeRequest",
        "method",
        "url",
        "body",
        "query",
        "operation",
        "object",
        "update",
        "insert",
        "SELECT Id FROM Account",
        "allOrNone",
        "ids",
        "fields",
        "Parent",
        "Key__c",
        "referenceId",
        "@{x.id}",
        "Score__c",
        "Joined__c",
        "Seen__c",
        "Segments__c",
        "/services/data/v67.0/sobjects/Account",
        "GET",
        "POST",
        "2026-01-01",
        "0017Q0000000001QAA",
        "ParentId",
        "1e400",
        "upsert",
        "externalIdFieldName",
        "state",
    ]
)
LEAVES = WORDS | st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8)
BODIES = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(WORDS | st.text(max_size=5), inner, max_size=5)
)


@pytest.fixture(scope="module")
def org(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    files: dict[str, str | bytes] = {"schema.yaml": SCHEMA, "Account.csv": "Name,Key__c\nFirst,k\n"}
    with running("--data", str(write_files(tmp_path_factory.mktemp("org"), files))) as client:
        yield client


@settings(max_examples=300)
@given(st.sampled_from(DOORS), BODIES)
def test_any_json_body_is_answered_without_a_crash(org: Client, door: tuple[str, str], body: Any) -> None:
    answer = org.call(*door, data=json.dumps(body))
    assert answer.status_code < 500, (door, body, answer.text)


@settings(max_examples=100)
@given(st.sampled_from(["GET", "POST", "PATCH", "PUT", "DELETE", "HEAD", "BREW"]), st.text(max_size=40))
def test_any_path_is_answered_without_a_crash(org: Client, method: str, path: str) -> None:
    quoted = "".join(f"%{byte:02X}" for byte in path.encode("utf-8", "replace"))
    for stem in ("/sobjects/Account/", "/jobs/query/", "/query/", "/"):
        assert org.call(method, stem + quoted).status_code < 500


@settings(max_examples=40)
@given(st.binary(max_size=80), st.sampled_from([b"Id,Name\n", b"", b"Name\n", b'"Id","Name"\r\n']))
def test_any_upload_ends_its_job(org: Client, rows: bytes, head: bytes) -> None:
    if head + rows:
        job, _ = org.ingest(head + rows, operation="upsert", object="Account", externalIdFieldName="Id")
        assert job["state"] in ("JobComplete", "Failed")


@pytest.mark.parametrize("key", ["a%b", "a%41", "a/b", "a?b", "a#b", "a'b", "ä b", "a+b"])
def test_keys_with_any_sign_survive_the_path(org: Client, key: str) -> None:
    quoted = "".join(f"%{byte:02X}" for byte in key.encode())
    assert org.call("PATCH", f"/sobjects/Account/Key__c/{quoted}", json={"Name": "x"}).status_code == 201
    assert org.get(f"/sobjects/Account/Key__c/{quoted}").json()["Key__c"] == key


def test_a_stop_during_a_job_is_clean() -> None:
    command = [sys.executable, "-m", "crmsync.sandbox", "salesforce", "--sample", "5"]
    code = (
        "import json, requests, subprocess, sys\n"
        f"org = subprocess.Popen({command!r}, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)\n"
        "told = json.loads(org.stdout.readline())\n"
        "call = requests.Session()\n"
        "call.headers['Authorization'] = 'Bearer ' + told['access_token']\n"
        "root = told['instance_url'] + '/'\n"
        "jobs = root + 'services/data/v67.0/jobs/ingest'\n"
        "job = call.post(jobs, json={'operation': 'insert', 'object': 'Account'}).json()\n"
        "rows = 'Name\\n' + 'x\\n' * 40_000\n"
        "call.put(root + job['contentUrl'], data=rows, headers={'Content-Type': 'text/csv'})\n"
        "call.patch(jobs + '/' + job['id'], json={'state': 'UploadComplete'})\n"
        "org.terminate()\n"
        "print(org.wait(20), org.stderr.read(), flush=True)\n"
    )
    told = subprocess.run([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, timeout=50, check=True)
    code, *lines = told.stdout.strip().split("\n")
    assert code.startswith("0 the org for people: http://127.0.0.1:"), told.stdout
    assert not lines, "nothing but the page's address is told"
