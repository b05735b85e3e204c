"""Every door of the org: path pattern, methods, and whether a call through it could change a record."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

from crmsync.sandbox import (
    bulk_classic,
    bulk_ingest,
    bulk_query,
    composite,
    composite_graphs,
    discovery,
    layouts,
    listviews,
    metadata_rest,
    metadata_soap,
    oauth,
    passwords,
    rest,
    side_doors,
    soap_partner,
    sosl,
    tooling,
    trees,
)
from crmsync.sandbox.answers import Answer, ApiError, Call, not_found
from crmsync.sandbox.bulk_classic import door as classic
from crmsync.sandbox.org import Org
from crmsync.sandbox.page.doors import PAGE_DOORS

Handler = Callable[[Org, Call], Answer]
IsWrite = Callable[[Call], bool]


@dataclass(frozen=True)
class Door:
    """One method of one resource. `path` is for people, `pattern` matches in any case, without a trailing slash."""

    method: str
    path: str
    pattern: re.Pattern[str]
    handler: Handler
    write: bool | IsWrite = False
    login: bool = True
    uploads: bool = False
    page: bool = False  # for people at a browser

    def writes(self, call: Call) -> bool:
        """This call could change a record."""
        return self.write(call) if callable(self.write) else self.write


def _composite(org: Org, call: Call) -> Answer:
    return composite.composite(org, call, _dispatch_inner)


def _graph(org: Org, call: Call) -> Answer:
    return composite_graphs.graph(org, call, _dispatch_inner)


def _batch(org: Org, call: Call) -> Answer:
    return composite_graphs.batch(org, call, _dispatch_inner)


def _composite_writes(call: Call) -> bool:
    """One of the calls inside is no GET."""
    try:
        body = call.json_object()
    except ApiError:
        return False
    graphs = body.get("graphs")
    parts = [part for part in graphs if isinstance(part, dict)] if isinstance(graphs, list) else [body]
    return any(
        isinstance(request, dict) and str(request.get("method")).upper() != "GET"
        for part in parts
        for requests in (part.get("compositeRequest"), part.get("batchRequests"))
        if isinstance(requests, list)
        for request in requests
    )


_DATA = "/services/data/v{version}"
_CLASSIC = "/services/async/{async}/job"
_TABLE: tuple[tuple[Any, ...], ...] = (
    ("GET", "/services/data", discovery.versions, False, "open"),
    ("POST", "/services/oauth2/token", oauth.token, False, "open"),
    ("POST", "/services/oauth2/revoke", oauth.revoke, False, "open"),
    ("GET", "/services/oauth2/userinfo", oauth.user_info),
    ("POST", "/services/oauth2/userinfo", oauth.user_info),
    ("GET", "/id/{org}/{user}", oauth.identity),
    ("GET", "/__sandbox/effects", side_doors.effects_json, False, "side"),
    ("PUT", "/__sandbox/effects", side_doors.keep_changes, False, "side"),
    ("DELETE", "/__sandbox/effects", side_doors.reset_effects, False, "side"),
    ("PUT", "/__sandbox/login", side_doors.login, False, "side"),
    ("PUT", "/__sandbox/limits", side_doors.set_limits, False, "side"),
    ("PUT", "/__sandbox/rules", side_doors.set_rules, False, "side"),
    ("PUT", "/__sandbox/faults", side_doors.set_faults, False, "side"),
    ("GET", "/__sandbox/faults", side_doors.faults, False, "side"),
    ("DELETE", "/__sandbox/faults", side_doors.no_faults, False, "side"),
    ("POST", "/__sandbox/changes", side_doors.change, False, "side"),
    ("PUT", "/__sandbox/logins", passwords.change_logins, False, "side"),
    ("POST", "/services/Soap/u/{soap}", soap_partner.partner, False, "open"),
    ("POST", "/services/Soap/u/{soap}/{rest}", soap_partner.partner, False, "open"),
    ("POST", "/services/Soap/c/{soap}", soap_partner.enterprise, False, "open"),
    ("POST", "/services/Soap/c/{soap}/{rest}", soap_partner.enterprise, False, "open"),
    ("POST", "/services/Soap/m/{soap}", metadata_soap.door, metadata_soap.writes, "open"),
    ("POST", "/services/Soap/m/{soap}/{rest}", metadata_soap.door, metadata_soap.writes, "open"),
    ("POST", "/services/Soap/m/{soap}/{rest}/{id}", metadata_soap.door, metadata_soap.writes, "open"),
    ("POST", f"{_DATA}/metadata/deployRequest", metadata_rest.create, True),
    ("GET", f"{_DATA}/metadata/deployRequest/{{deploy}}", metadata_rest.status),
    ("PATCH", f"{_DATA}/metadata/deployRequest/{{deploy}}", metadata_rest.change, True),
    ("GET", f"{_DATA}/tooling", tooling.resources),
    ("GET", f"{_DATA}/tooling/query", tooling.query),
    ("GET", f"{_DATA}/tooling/query/{{locator}}", tooling.query_more),
    ("GET", f"{_DATA}/tooling/sobjects", tooling.sobjects),
    ("GET", f"{_DATA}/tooling/sobjects/{{object}}", tooling.basics),
    ("POST", f"{_DATA}/tooling/sobjects/{{object}}", tooling.create, True),
    ("GET", f"{_DATA}/tooling/sobjects/{{object}}/describe", tooling.describe),
    ("GET", f"{_DATA}/tooling/sobjects/{{object}}/{{id}}", tooling.read),
    ("PATCH", f"{_DATA}/tooling/sobjects/{{object}}/{{id}}", tooling.update, True),
    ("DELETE", f"{_DATA}/tooling/sobjects/{{object}}/{{id}}", tooling.delete, True),
    ("GET", f"{_DATA}", discovery.resources),
    ("GET", f"{_DATA}/limits", discovery.limits),
    ("GET", f"{_DATA}/limits/recordCount", discovery.record_count),
    ("GET", f"{_DATA}/query", rest.query),
    ("GET", f"{_DATA}/queryAll", rest.query_all),
    ("GET", f"{_DATA}/query/{{locator}}", rest.query_more),
    ("GET", f"{_DATA}/queryAll/{{locator}}", rest.query_more),
    ("GET", f"{_DATA}/search", sosl.search),
    ("GET", f"{_DATA}/sobjects", discovery.global_describe),
    ("GET", f"{_DATA}/sobjects/{{object}}", discovery.object_basics),
    ("POST", f"{_DATA}/sobjects/{{object}}", rest.create_record, True),
    ("GET", f"{_DATA}/sobjects/{{object}}/describe", discovery.object_describe),
    ("GET", f"{_DATA}/sobjects/{{object}}/describe/layouts", layouts.layouts),
    ("GET", f"{_DATA}/sobjects/{{object}}/describe/layouts/{{id}}", layouts.layout),
    ("GET", f"{_DATA}/sobjects/{{object}}/describe/compactLayouts", layouts.compact_layouts),
    ("GET", f"{_DATA}/sobjects/{{object}}/describe/approvalLayouts", layouts.approval_layouts),
    ("GET", f"{_DATA}/sobjects/{{object}}/quickActions", layouts.quick_actions),
    ("GET", f"{_DATA}/ui-api/object-info/{{object}}/picklist-values/{{id}}", layouts.picklist_values),
    ("GET", f"{_DATA}/sobjects/{{object}}/listviews", listviews.list_views),
    ("GET", f"{_DATA}/sobjects/{{object}}/listviews/{{view}}", listviews.list_view),
    ("GET", f"{_DATA}/sobjects/{{object}}/listviews/{{view}}/describe", listviews.describe),
    ("GET", f"{_DATA}/sobjects/{{object}}/listviews/{{view}}/results", listviews.results),
    ("GET", f"{_DATA}/sobjects/{{object}}/updated", rest.updated_records),
    ("GET", f"{_DATA}/sobjects/{{object}}/deleted", rest.deleted_records),
    ("GET", f"{_DATA}/sobjects/{{object}}/{{id}}", rest.read_record),
    ("PATCH", f"{_DATA}/sobjects/{{object}}/{{id}}", rest.update_record, True),
    ("DELETE", f"{_DATA}/sobjects/{{object}}/{{id}}", rest.delete_record, True),
    ("GET", f"{_DATA}/sobjects/{{object}}/{{field}}/{{value}}", rest.read_by_key),
    ("PATCH", f"{_DATA}/sobjects/{{object}}/{{field}}/{{value}}", rest.upsert_record, True),
    ("DELETE", f"{_DATA}/sobjects/{{object}}/{{field}}/{{value}}", rest.delete_by_key, True),
    ("GET", f"{_DATA}/composite", discovery.composites),
    ("POST", f"{_DATA}/composite", _composite, _composite_writes),
    ("POST", f"{_DATA}/composite/graph", _graph, _composite_writes),
    ("POST", f"{_DATA}/composite/batch", _batch, _composite_writes),
    ("POST", f"{_DATA}/composite/tree/{{object}}", trees.create, True),
    ("POST", f"{_DATA}/composite/sobjects", composite.create_many, True),
    ("PATCH", f"{_DATA}/composite/sobjects", composite.update_many, True),
    ("DELETE", f"{_DATA}/composite/sobjects", composite.delete_many, True),
    ("GET", f"{_DATA}/composite/sobjects/{{object}}", composite.read_many),
    ("POST", f"{_DATA}/composite/sobjects/{{object}}", composite.read_many),
    ("PATCH", f"{_DATA}/composite/sobjects/{{object}}/{{field}}", composite.upsert_many, True),
    ("GET", f"{_DATA}/jobs/query", bulk_query.jobs),
    ("POST", f"{_DATA}/jobs/query", bulk_query.create),
    ("GET", f"{_DATA}/jobs/query/{{job}}", bulk_query.poll),
    ("PATCH", f"{_DATA}/jobs/query/{{job}}", bulk_query.change),
    ("DELETE", f"{_DATA}/jobs/query/{{job}}", bulk_query.delete),
    ("GET", f"{_DATA}/jobs/query/{{job}}/results", bulk_query.results),
    ("GET", f"{_DATA}/jobs/query/{{job}}/resultPages", bulk_query.result_pages),
    ("GET", f"{_DATA}/jobs/ingest", bulk_ingest.jobs),
    ("POST", f"{_DATA}/jobs/ingest", bulk_ingest.create, True),
    ("GET", f"{_DATA}/jobs/ingest/{{job}}", bulk_ingest.poll),
    ("PATCH", f"{_DATA}/jobs/ingest/{{job}}", bulk_ingest.change, bulk_ingest.starts_job),
    ("DELETE", f"{_DATA}/jobs/ingest/{{job}}", bulk_ingest.delete),
    ("PUT", f"{_DATA}/jobs/ingest/{{job}}/batches", bulk_ingest.upload, True, "upload"),
    ("GET", f"{_DATA}/jobs/ingest/{{job}}/{{results}}", bulk_ingest.results),
    ("POST", f"{_CLASSIC}", classic(bulk_classic.create), True, "open"),
    ("GET", f"{_CLASSIC}/{{job}}", classic(bulk_classic.job_info), False, "open"),
    ("POST", f"{_CLASSIC}/{{job}}", classic(bulk_classic.change), True, "open"),
    ("GET", f"{_CLASSIC}/{{job}}/batch", classic(bulk_classic.batches), False, "open"),
    ("POST", f"{_CLASSIC}/{{job}}/batch", classic(bulk_classic.add_batch), True, "open"),
    ("GET", f"{_CLASSIC}/{{job}}/batch/{{batch}}", classic(bulk_classic.batch_info), False, "open"),
    ("GET", f"{_CLASSIC}/{{job}}/batch/{{batch}}/request", classic(bulk_classic.batch_request), False, "open"),
    ("GET", f"{_CLASSIC}/{{job}}/batch/{{batch}}/result", classic(bulk_classic.batch_result), False, "open"),
    ("GET", f"{_CLASSIC}/{{job}}/batch/{{batch}}/result/{{result}}", classic(bulk_classic.query_result), False, "open"),
    *PAGE_DOORS,
)
_NOT_INSIDE = ("/composite", "/composite/graph", "/composite/batch")
_VERSION = r"\d{1,3}\.\d"
_NARROW = {"version": _VERSION, "async": _VERSION, "results": "successfulresults|failedresults|unprocessedrecords",
           "record": "[a-z0-9]{15}|[a-z0-9]{18}"}  # fmt: skip


def _door(method: str, path: str, handler: Handler, write: bool | IsWrite = False, kind: str = "") -> Door:
    def part(match: re.Match[str]) -> str:
        return f"(?P<{match[1]}>{_NARROW.get(match[1], '[^/]+')})"

    pattern = re.compile(
        re.sub(r"\{(\w+)\}", part, path.replace(".", r"\.") if "{" not in path else path) + r"\Z",
        re.IGNORECASE | re.ASCII,
    )
    shown = path.replace(_DATA, "") if path != _DATA else "/services/data/vX"
    login = kind not in ("open", "side", "page")
    return Door(method, shown, pattern, handler, write, login, kind == "upload", kind == "page")


DOORS: tuple[Door, ...] = tuple(_door(*row) for row in _TABLE)


def is_side_door(path: str) -> bool:
    """The sandbox's own doors: not counted, no login."""
    return path.lower().startswith("/__sandbox/")


def find_door(method: str, path: str) -> tuple[Door, dict[str, str]]:
    """The door of a call and the parts of its path, which comes still quoted. Errors: ApiError 404, 405, 410."""
    trimmed = path.rstrip("/") or "/"
    others: list[str] = []
    wanted = "GET" if method == "HEAD" else method
    for door in DOORS:
        match = door.pattern.match(trimmed)
        if match is None:
            continue
        parts = match.groupdict()
        if "version" in parts:
            discovery.check_version(parts["version"])
        if door.method == wanted:
            return door, {name: unquote(text) for name, text in parts.items()}
        others.append(door.method)
    if others:
        allowed = ",".join(dict.fromkeys(others))
        raise ApiError(405, "METHOD_NOT_ALLOWED", f"HTTP Method '{method[:20]}' not allowed. Allowed are {allowed}")
    raise not_found()


def _dispatch_inner(
    org: Org, method: str, path: str, query: Mapping[str, str], headers: Mapping[str, str], body: bytes
) -> Answer:
    """One call inside a composite request."""
    door, parts = find_door(method, path)
    if door.uploads or not door.login or "/jobs/" in door.path or door.path in _NOT_INSIDE:
        raise ApiError(400, "PROCESSING_HALTED", f"{method} {path[:200]} cannot be part of a composite request")
    return door.handler(org, Call(method, path, parts.get("version", ""), parts, query, headers, body))
