"""An org on the wire: exact answers, byte for byte, for faults that a well-behaved server does not give."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pyarrow as pa
import pyarrow.parquet as pq
import responses
from requests import PreparedRequest

from crmsync.connectors.mapping import read_mapping
from crmsync.connectors.retries import Retries
from crmsync.connectors.salesforce.connector import SalesforceConnector
from crmsync.settings import SalesforceSettings
from crmsync.snapshots import Staging

BASE = "https://acme.my.salesforce.com"
DATA = "/services/data/v67.0"
TOKEN = "00Dxx0000001gPL!canary-access-token"

Answer = tuple[int, Mapping[str, str], bytes | str | Exception]


def ok(body: Any, status: int = 200, **headers: str) -> Answer:
    """A JSON answer."""
    named = {name.replace("_", "-"): text for name, text in headers.items()}
    return status, {"Content-Type": "application/json;charset=UTF-8", **named}, json.dumps(body)


def fault(status: int, code: str, message: str = "no", **headers: str) -> Answer:
    """An error answer as the REST API gives it."""
    return ok([{"message": message, "errorCode": code}], status, **headers)


def html(status: int, text: str = "<html>Down for maintenance</html>", **headers: str) -> Answer:
    """A page of an edge server."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return status, {"Content-Type": "text/html", **named}, text


def csv_page(text: str | bytes, rows: int, locator: str = "null") -> Answer:
    """A page of bulk results; without a charset, as in the field."""
    headers = {"Content-Type": "text/csv", "Sforce-NumberOfRecords": str(rows), "Sforce-Locator": locator}
    return 200, headers, text.encode() if isinstance(text, str) else text


@dataclass
class Call:
    """One request that was made."""

    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    body: str


@dataclass
class Wire:
    """Scripted answers by method and path; each script's last answer is repeated."""

    mock: responses.RequestsMock
    scripts: list[tuple[str, re.Pattern[str], list[Answer]]] = field(default_factory=list)
    calls: list[Call] = field(default_factory=list)

    def __post_init__(self) -> None:
        for method in ("GET", "POST", "PATCH", "PUT", "DELETE"):
            self.mock.add_callback(method, re.compile(".*"), callback=self._answer)
        self.on("GET", "/services/data/?", ok([{"label": "x", "url": DATA, "version": "67.0"}]))
        self.on("DELETE", ".*/jobs/query/.*", (204, {}, ""))
        org = {"Id": "00D000000000001AAA", "TimeZoneSidKey": "UTC"}
        self.on("GET", ".*FROM Organization", ok({"totalSize": 1, "done": True, "records": [org]}))

    def on(self, method: str, target: str, *answers: Answer) -> None:
        """Answer calls whose `path?query` (decoded) matches; a later script goes before an earlier one."""
        self.scripts.insert(0, (method, re.compile(target, re.DOTALL), list(answers)))

    def describe(self, name: str, fields: Sequence[Mapping[str, Any]]) -> None:
        """An object with its fields."""
        self.on("GET", f"{DATA}/sobjects/{name}/describe", ok({"name": name, "label": name, "fields": list(fields)}))

    def counts(self, sobject: str, *totals: int) -> None:
        """What COUNT() says, call by call."""
        answers = [ok({"totalSize": total, "done": True, "records": []}) for total in totals]
        self.on("GET", rf"{DATA}/query/\?q=SELECT COUNT\(\) FROM {sobject}.*", *answers)

    def page(self, sobject: str, *answers: Answer) -> None:
        """First pages of the query for rows."""
        self.on("GET", rf"{DATA}/query/\?q=SELECT Id.* FROM {sobject}.*", *answers)

    def job(self, rows: int, *pages: Answer) -> None:
        """A finished bulk query job and its pages, in order."""
        self.on("POST", f"{DATA}/jobs/query", ok({"id": "750000000000001AAA", "state": "UploadComplete"}))
        state = {"id": "750000000000001AAA", "state": "JobComplete", "numberRecordsProcessed": rows}
        self.on("GET", f"{DATA}/jobs/query/750000000000001AAA", ok(state))
        self.on("GET", rf"{DATA}/jobs/query/750000000000001AAA/results\?.*", *pages)

    def made(self, method: str, target: str) -> list[Call]:
        """The requests that match."""
        return [
            call
            for call in self.calls
            if call.method == method and re.fullmatch(target, call.path + call.query, re.DOTALL)
        ]

    def _answer(self, request: PreparedRequest) -> Answer:
        parts = urlsplit(request.url or "")
        query = "&".join(f"{name}={value}" for name, values in parse_qs(parts.query).items() for value in values)
        target = parts.path + (f"?{query}" if query else "")
        body = request.body if isinstance(request.body, str) else (request.body or b"")
        if not isinstance(body, str):
            body = (body if isinstance(body, bytes) else body.read()).decode("utf-8", "replace")
        self.calls.append(Call(request.method or "", parts.path, f"?{query}" if query else "", request.headers, body))
        for method, pattern, answers in self.scripts:
            if method == request.method and pattern.fullmatch(target):
                return answers.pop(0) if len(answers) > 1 else answers[0]
        return fault(404, "NOT_FOUND", f"nothing scripted for {request.method} {target}")


def entry(name: str, kind: str = "string", **more: Any) -> dict[str, Any]:
    """A field of a describe answer."""
    return (
        {"name": name, "label": name.removesuffix("__c"), "type": kind, "length": 255, "updateable": True}
        | {
            "filterable": kind != "textarea",
            "referenceTo": [],
            "relationshipName": None,
            "picklistValues": [],
        }
        | more
    )


def picklist(name: str, *values: str, kind: str = "picklist", restricted: bool = True) -> dict[str, Any]:
    """A picklist field; a value that starts with `-` is inactive."""
    listed = [{"value": value.lstrip("-"), "label": value, "active": not value.startswith("-")} for value in values]
    return entry(name, kind, picklistValues=listed, restrictedPicklist=restricted)


ACCOUNT = [
    entry("Id", "id", updateable=False),
    entry("Name"),
    entry("Type", "picklist"),
    entry("ParentId", "reference", referenceTo=["Account"], relationshipName="Parent"),
    entry("Partner_Since__c", "date"),
    entry("BillingAddress", "address"),
    entry("Segments__c", "multipicklist"),
    picklist("Tier__c", "Silver", "Gold", "-Bronze"),
    entry("Progress__c", "double"),
    entry("Provisional__c", "boolean"),
    entry("Why__c", "textarea", length=32000),
    entry("Token__c"),
    entry("Locked__c", updateable=False),
]
OPPORTUNITY = [
    entry("Id", "id"),
    entry("Name"),
    entry("Amount", "currency"),
    entry("IsWon", "boolean"),
    entry("CloseDate", "date"),
    entry("CreatedDate", "datetime"),
    entry("AccountId", "reference", referenceTo=["Account"], relationshipName="Account"),
    entry("Reseller__c", "reference", referenceTo=["Account"], relationshipName="Reseller__r"),
    entry("Distributor__c", "reference", referenceTo=["Account"], relationshipName="Distributor__r"),
    entry("Split__c", "percent"),
]
MAP = """
tables:
  partners:
    object: Account
    filter: "Type = 'Partner'"
    columns: {partner_id: Id, name: Name, joined_on: Partner_Since__c}
  opportunities:
    object: Opportunity
    columns:
      {opportunity_id: Id, name: Name, amount: Amount, is_won: IsWon, closed_on: CloseDate, partner_id: AccountId}
writes:
  object: Account
  token: Token__c
  fields:
    {granted_tier: Tier__c, progress: Progress__c, categories: Segments__c, why: Why__c, provisional: Provisional__c}
"""


@dataclass
class Opened:
    """A connector on the wire, with where it stages and how long it would have slept."""

    connector: SalesforceConnector
    staging: Staging
    slept: list[float]

    def rows(self, table: str) -> list[dict[str, Any]]:
        """The staged rows of a table."""
        staged: pa.Table = pq.read_table(self.staging.path(table))
        return staged.to_pylist()


def open_connector(folder: Path, text: str = MAP, settings: Mapping[str, Any] | None = None) -> Opened:
    """A connector with the map `text`; it never really sleeps."""
    path = folder / "salesforce.yaml"
    path.write_text(text, encoding="utf-8")
    slept: list[float] = []
    given = {"instance_url": BASE, "access_token": TOKEN} if settings is None else settings
    connector = SalesforceConnector(
        SalesforceSettings.model_validate(given),
        read_mapping(path),
        folder / "state",
        "UTC",
        Retries(sleep=slept.append),
    )
    return Opened(connector, Staging(folder / "snapshot"), slept)


def account(number: int, **fields: Any) -> dict[str, Any]:
    """A record of a REST page."""
    record_id = f"001000000000{number:03d}AAA"
    url = f"{DATA}/sobjects/Account/{record_id}"
    return {
        "attributes": {"type": "Account", "url": url},
        "Id": record_id,
        "Name": f"P{number}",
        "Partner_Since__c": None,
    } | fields


def page(records: Sequence[Mapping[str, Any]], total: int | None = None, following: str | None = None) -> Answer:
    """A page of a REST query."""
    body: dict[str, Any] = {"totalSize": len(records) if total is None else total, "done": following is None}
    return ok(body | ({"nextRecordsUrl": following} if following else {}) | {"records": list(records)})
