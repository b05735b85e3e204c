"""A sandbox org in a process of its own and a client that speaks plain HTTP to it."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import requests

from crmsync.sandbox.process import Org, start_org

TODAY = "2026-07-01"


class Client:
    """Calls of one org with its access token; paths are below `/services/data/v67.0` unless they start with `//`."""

    def __init__(self, org: Org) -> None:
        self.org = org
        self.session = requests.Session()
        self.session.headers["Authorization"] = f"Bearer {org.access_token}"

    def url(self, path: str) -> str:
        """The whole address of a path."""
        return self.org.instance_url + (path[1:] if path.startswith("//") else f"/services/data/v67.0{path}")

    def call(self, method: str, path: str, **more: Any) -> requests.Response:
        """One request."""
        return self.session.request(method, self.url(path), timeout=30, **more)

    def get(self, path: str, **more: Any) -> requests.Response:
        """One GET."""
        return self.call("GET", path, **more)

    def query(self, soql: str) -> requests.Response:
        """One REST query."""
        return self.get("/query", params={"q": soql})

    def rows(self, soql: str) -> list[dict[str, Any]]:
        """Records of the first page, without attributes."""
        answer = self.query(soql)
        assert answer.status_code == 200, answer.text
        return [plain(record) for record in answer.json()["records"]]

    def names(self, soql: str) -> list[Any]:
        """First selected value of each record."""
        return [next(iter(row.values())) for row in self.rows(soql)]

    def refusal(self, soql: str) -> tuple[int, str, str]:
        """(status, errorCode, message) of a refused query."""
        answer = self.query(soql)
        body = answer.json()
        assert isinstance(body, list), body
        return answer.status_code, body[0]["errorCode"], body[0]["message"]

    def create(self, name: str, **values: Any) -> str:
        """The id of a new record."""
        answer = self.call("POST", f"/sobjects/{name}", json=values)
        assert answer.status_code == 201, answer.text
        return str(answer.json()["id"])

    def effects(self) -> dict[str, Any]:
        """The org's own count of what was done to it."""
        found: dict[str, Any] = self.get("//__sandbox/effects").json()
        return found

    def ingest(self, upload: str | bytes, **job: str) -> tuple[dict[str, Any], dict[str, list[dict[str, str]]]]:
        """(job after it ended, rows of its three results)."""
        made = self.call("POST", "/jobs/ingest", json=job)
        assert made.status_code == 200, made.text
        data = upload.encode() if isinstance(upload, str) else upload
        put = self.call("PUT", "//" + made.json()["contentUrl"], data=data, headers={"Content-Type": "text/csv"})
        assert (put.status_code, put.text) == (201, "")
        path = f"/jobs/ingest/{made.json()['id']}"
        assert self.call("PATCH", path, json={"state": "UploadComplete"}).status_code == 200
        ended = self.get(path).json()
        names = ("successfulResults", "failedResults", "unprocessedrecords")
        return ended, {name: cells(self.get(f"{path}/{name}").content) for name in names}


def plain(record: Any) -> Any:
    """The record without attributes, at every depth."""
    if isinstance(record, dict):
        return {key: plain(value) for key, value in record.items() if key != "attributes"}
    return [plain(value) for value in record] if isinstance(record, list) else record


def cells(data: bytes) -> list[dict[str, str]]:
    """Rows of a CSV answer, which is always UTF-8."""
    return list(csv.DictReader(io.StringIO(data.decode("utf-8"), newline="")))


@contextmanager
def running(*arguments: str) -> Iterator[Client]:
    """A client of a fresh org whose day is TODAY."""
    with start_org(["--today", TODAY, *arguments]) as org:
        yield Client(org)


def write_files(folder: Path, files: Mapping[str, str | bytes]) -> Path:
    """A folder with these files, of data or of a configuration."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content.encode() if isinstance(content, str) else content)
    return folder


def csv_text(rows: Sequence[Sequence[object]]) -> str:
    """Rows as CSV."""
    out = io.StringIO()
    csv.writer(out, lineterminator="\n").writerows(rows)
    return out.getvalue()


SCHEMA = """
objects:
  Account:
    fields:
      Key__c: {type: Text, length: 40, externalId: true, unique: true}
      Tier__c: {type: Picklist, valueSet: {restricted: true, valueSetDefinition: {value: [
        {fullName: Gold}, {fullName: Silver}, {fullName: Old, isActive: false}]}}}
      Segments__c: {type: MultiselectPicklist, valueSet: {restricted: true, valueSetDefinition: {value: [
        {fullName: MSP}, {fullName: Reseller}, {fullName: Referral}]}}}
      Score__c: {type: Number, precision: 5, scale: 2}
      Share__c: {type: Percent, precision: 3, scale: 0}
      Note__c: {type: LongTextArea, length: 4000, visibleLines: 3}
      Joined__c: {type: Date}
      Seen__c: {type: DateTime}
      Flag__c: {type: Checkbox, defaultValue: false}
      Group__c: {type: Text, length: 20, externalId: true}
  Cert__c:
    label: Certificate
    nameField: {type: AutoNumber, label: Number, displayFormat: "C-{0000}"}
    fields:
      Account__c: {type: Lookup, referenceTo: Account, relationshipName: Certs}
      Key__c: {type: Text, length: 40, externalId: true, caseSensitive: true}
  Line__c:
    fields:
      Cert__c: {type: MasterDetail, referenceTo: Cert__c, relationshipName: Lines}
"""
