"""Doors of many records in one call: sObject collections, and the composite request of several calls."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import pairwise
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from crmsync.sandbox.answers import Answer, ApiError, Call
from crmsync.sandbox.discovery import sobject_of
from crmsync.sandbox.ids import to_18
from crmsync.sandbox.org import Org
from crmsync.sandbox.queries import first_page
from crmsync.sandbox.rest import key_field
from crmsync.sandbox.rows import Rows, SeveralFoundError
from crmsync.sandbox.schema import SObject

MOST_RECORDS = 200
MOST_CHUNKS = 10
MOST_CALLS = 25
MOST_QUERIES = 5
MOST_READ = 2_000
_ROLLED_BACK = ApiError(
    400, "ALL_OR_NONE_OPERATION_ROLLED_BACK",
    "Record rolled back because not all records were valid and the request was using AllOrNone header", [],
)  # fmt: skip
_REFERENCE = re.compile(r"@\{([A-Za-z0-9]\w*)\.([\w.\[\]]+)\}", re.ASCII)
_REFERENCE_ID = re.compile(r"[A-Za-z0-9]\w*\Z", re.ASCII)
_QUERY = re.compile(r"/(query|queryall|composite/sobjects)(/|\Z)", re.IGNORECASE)

Result = dict[str, Any]


class _RollBackError(Exception):
    """Undoes the transaction after its answer has been worked out."""


def create_many(org: Org, call: Call) -> Answer:
    """POST `/composite/sobjects`."""

    def write(rows: Rows, record: Mapping[str, Any]) -> Result:
        return _done(rows.create(_type_of(org, record), record))

    return _collection(org, call, write)


def update_many(org: Org, call: Call) -> Answer:
    """PATCH `/composite/sobjects`."""

    def write(rows: Rows, record: Mapping[str, Any]) -> Result:
        sobject = _type_of(org, record)
        record_id = next((value for name, value in record.items() if name.lower() == "id"), None)
        if not isinstance(record_id, str):
            raise ApiError(400, "MISSING_ARGUMENT", "Id not specified in an update call", [])
        return _done(rows.update(sobject, record_id, record))

    return _collection(org, call, write)


def upsert_many(org: Org, call: Call) -> Answer:
    """PATCH `/composite/sobjects/{object}/{field}`."""
    sobject = sobject_of(org, call)
    key = key_field(sobject, call.parts["field"])
    records = _records(call.json_object())
    named = [_key_value(record, key.name) for record in records]
    folded = [value.casefold() if isinstance(value, str) and not key.case_sensitive else value for value in named]

    def write(rows: Rows, record: Mapping[str, Any]) -> Result:
        value = _key_value(record, key.name)
        twice = value.casefold() if isinstance(value, str) and not key.case_sensitive else value
        if value is not None and folded.count(twice) > 1:
            raise ApiError(400, "DUPLICATE_VALUE", f"Duplicate external id specified: {value}", [key.name])
        rest = {name: inner for name, inner in record.items() if name.lower() not in (key.name.lower(), "id")}
        if key.name == "Id" and value is None:
            return _done(rows.create(sobject, rest)) | {"created": True}
        try:
            record_id, created = rows.upsert(sobject, key, value, rest)
        except SeveralFoundError as many:
            raise ApiError(
                300, "DUPLICATE_EXTERNAL_ID", f"external id {value} is on {len(many.ids)} records", [key.name]
            ) from None
        return _done(record_id) | {"created": created}

    return _collection(org, call, write)


def _key_value(record: Mapping[str, Any], name: str) -> Any:
    return next((value for key, value in record.items() if key.lower() == name.lower()), None)


def delete_many(org: Org, call: Call) -> Answer:
    """DELETE `/composite/sobjects?ids=`."""
    ids = [text.strip() for text in call.query.get("ids", "").split(",") if text.strip()]
    _check_count(len(ids), MOST_RECORDS)

    def write(rows: Rows, record: Mapping[str, Any]) -> Result:
        sobject = org.visible.of_id(record["id"])
        if sobject is None or to_18(record["id"]) is None:
            raise ApiError(400, "MALFORMED_ID", f"malformed id {record['id'][:255]}", [])
        return _done(rows.delete(sobject, record["id"]))

    whole = call.query.get("allornone", "false").lower() == "true"
    return Answer(_written(org, [{"id": text} for text in ids], write, whole))


def read_many(org: Org, call: Call) -> Answer:
    """POST `/composite/sobjects/{object}` with ids and fields, or GET with `?ids=&fields=`: null where none is."""
    sobject = sobject_of(org, call)
    if call.method == "POST":
        body = call.json_object()
        ids, fields = body.get("ids"), body.get("fields")
    else:
        ids, fields = (call.query.get(name, "").split(",") for name in ("ids", "fields"))
    if not _texts(ids) or not _texts(fields):
        raise ApiError(400, "JSON_PARSER_ERROR", "ids and fields must be lists of texts, not empty")
    assert isinstance(ids, list)
    assert isinstance(fields, list)
    _check_count(len(ids), MOST_READ)
    known = [to_18(text) for text in ids]
    if any(found is None for found in known):
        raise ApiError(400, "MALFORMED_ID", f"malformed id {ids[known.index(None)][:255]}")
    listed = ", ".join(f"'{found}'" for found in dict.fromkeys(known))
    names = list(dict.fromkeys(["Id", *(name for name in fields if name.lower() != "id")]))
    soql = f"SELECT {', '.join(names)} FROM {sobject.name} WHERE Id IN ({listed})"
    found_records = {record["Id"]: record for record in first_page(org, soql, call.root)["records"]}
    return Answer([found_records.get(found) for found in known])


def _texts(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(text, str) and text for text in value)


def _collection(org: Org, call: Call, write: Callable[[Rows, Mapping[str, Any]], Result]) -> Answer:
    body = call.json_object()
    return Answer(_written(org, _records(body), write, body.get("allOrNone") is True))


def _records(body: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    records = body.get("records")
    if not isinstance(records, list) or not all(isinstance(record, dict) for record in records):
        raise ApiError(400, "JSON_PARSER_ERROR", "records must be a list of objects")
    _check_count(len(records), MOST_RECORDS)
    _check_chunks(records)
    return records


def _check_chunks(records: Sequence[Mapping[str, Any]]) -> None:
    """Errors: ApiError when the types alternate too often: records of one type in a row are one chunk."""
    kinds = [attributes.get("type") if isinstance(attributes := record.get("attributes"), dict) else None
             for record in records]  # fmt: skip
    if 1 + sum(kind != other for kind, other in pairwise(kinds)) > MOST_CHUNKS:
        raise ApiError(
            400, "LIMIT_EXCEEDED",
            f"Cannot have more than {MOST_CHUNKS} chunks in a single operation. "
            "Please rearrange the data to reduce chunking.",
        )  # fmt: skip


def _check_count(count: int, most: int) -> None:
    if count > most:
        raise ApiError(
            400, "EXCEEDED_ID_LIMIT", f"record limit reached. cannot submit more than {most} records into this call"
        )
    if count == 0:
        raise ApiError(400, "REQUIRED_FIELD_MISSING", "no record is specified")


def _type_of(org: Org, record: Mapping[str, Any]) -> SObject:
    attributes = record.get("attributes")
    name = attributes.get("type") if isinstance(attributes, dict) else None
    found = org.visible.find(name) if isinstance(name, str) else None
    if found is None:
        raise ApiError(400, "INVALID_TYPE", f"sObject type '{name}' is not supported.", [])
    return found


def _done(record_id: str) -> Result:
    return {"id": record_id, "success": True, "errors": []}


def _written(
    org: Org, records: list[Mapping[str, Any]], write: Callable[[Rows, Mapping[str, Any]], Result], whole: bool
) -> list[Result]:
    results: list[Result] = []
    failed = False
    try:
        with org.rows() as rows:
            for record in records:
                try:
                    results.append(write(rows, record))
                except ApiError as error:
                    failed = True
                    results.append({"success": False, "errors": [_status(each) for each in (error, *error.more)]})
            if failed and whole:
                raise _RollBackError
    except _RollBackError:
        rolled = {"success": False, "errors": [_ROLLED_BACK.as_status()]}
        return [dict(rolled) if result["success"] else result for result in results]
    return results


def _status(error: ApiError) -> dict[str, Any]:
    if error.code == "NOT_FOUND":
        return ApiError(400, "INVALID_CROSS_REFERENCE_KEY", "invalid cross reference id", []).as_status()
    return error.as_status()


Dispatch = Callable[[Org, str, str, Mapping[str, str], Mapping[str, str], bytes], Answer]


def composite(org: Org, call: Call, dispatch: Dispatch) -> Answer:
    """POST `/composite`: up to 25 calls, later ones may use `@{ref.id}` of earlier ones."""
    body = call.json_object()
    requests = body.get("compositeRequest")
    if not isinstance(requests, list) or not all(isinstance(request, dict) for request in requests):
        raise ApiError(400, "JSON_PARSER_ERROR", "compositeRequest must be a list of objects")
    _check_count(len(requests), MOST_CALLS)
    _check_references(requests)
    if sum(_is_query(request) for request in requests) > MOST_QUERIES:
        raise ApiError(400, "LIMIT_EXCEEDED", f"{MOST_QUERIES} of the subrequests may be queries or collections")
    return Answer({"compositeResponse": run_requests(org, requests, body.get("allOrNone") is True, dispatch)})


def _check_references(requests: Sequence[Mapping[str, Any]]) -> None:
    """Errors: ApiError unless every call has a referenceId of its own, of letters, digits and underscores."""
    seen: set[str] = set()
    for request in requests:
        name = request.get("referenceId")
        if not isinstance(name, str) or not _REFERENCE_ID.match(name):
            raise ApiError(
                400, "INVALID_INPUT",
                f"Provided referenceId ('{str(name)[:80]}') must start with a letter or a number, and it can contain "
                "only letters, numbers and underscores ('_').",
            )  # fmt: skip
        if name in seen:
            raise ApiError(400, "INVALID_INPUT", f"the referenceId {name} stands twice")
        seen.add(name)


def _is_query(request: Mapping[str, Any]) -> bool:
    return bool(_QUERY.search(str(request.get("url")).partition("?")[0]))


def run_requests(
    org: Org, requests: Sequence[Mapping[str, Any]], whole: bool, dispatch: Dispatch
) -> list[dict[str, Any]]:
    """The entry of each call's answer, in order; `whole`: all calls take effect, or none does."""
    results: dict[str, Any] = {}
    answers: list[dict[str, Any]] = []
    halted = False
    try:
        with _one_transaction(org, whole):
            for request in requests:
                answer = _halted() if halted else _sub_call(org, request, results, dispatch)
                halted = halted or (whole and answer.status >= 400)
                answers.append(_entry(request, answer))
                if answer.status < 400:
                    results[str(request.get("referenceId"))] = answer.body
            if halted:
                raise _RollBackError
    except _RollBackError:
        answers = [entry if entry["httpStatusCode"] >= 400 else _entry(entry, _halted()) for entry in answers]
    return answers


@contextmanager
def _one_transaction(org: Org, whole: bool) -> Iterator[None]:
    if not whole:
        yield
        return
    with org.whole():
        yield


def _halted() -> Answer:
    return Answer([ApiError(400, "PROCESSING_HALTED", "The transaction was rolled back since another operation in the "
                            "same transaction failed.").as_json()], 400)  # fmt: skip


def _entry(request: Mapping[str, Any], answer: Answer) -> dict[str, Any]:
    return {
        "body": answer.body,
        "httpHeaders": answer.headers,
        "httpStatusCode": answer.status,
        "referenceId": request.get("referenceId"),
    }


def _sub_call(org: Org, request: Mapping[str, Any], results: Mapping[str, Any], dispatch: Dispatch) -> Answer:
    try:
        url = _filled(request.get("url"), results)
        method = str(request.get("method") or "").upper()
        if not isinstance(url, str) or not url.startswith("/services/data/") or not method:
            raise ApiError(400, "JSON_PARSER_ERROR", "a subrequest needs a method and a url from /services/data/ on")
        body = request.get("body")
        data = b"" if body is None else json.dumps(_filled(body, results), default=str).encode("utf-8", "replace")
        parts = urlsplit(url)
        query = {name.lower(): value for name, value in parse_qsl(parts.query, keep_blank_values=True)}
        given = request.get("httpHeaders")
        headers = {str(k).lower(): str(v) for k, v in given.items()} if isinstance(given, dict) else {}
        return dispatch(org, method, parts.path, query, headers, data)
    except ApiError as error:
        return Answer(error.listed(), error.status)


def _filled(value: Any, results: Mapping[str, Any]) -> Any:
    """The value with `@{ref.path}` replaced by what earlier calls answered."""
    if isinstance(value, str):
        return _REFERENCE.sub(lambda match: str(_looked_up(match, results)), value)
    if isinstance(value, dict):
        return {key: _filled(inner, results) for key, inner in value.items()}
    return [_filled(inner, results) for inner in value] if isinstance(value, list) else value


def _looked_up(match: re.Match[str], results: Mapping[str, Any]) -> Any:
    found = results.get(match[1])
    for step in re.findall(r"\w+", match[2]):
        if isinstance(found, list) and step.isdigit() and int(step) < len(found):
            found = found[int(step)]
        elif isinstance(found, dict):
            found = next((inner for name, inner in found.items() if name.lower() == step.lower()), None)
        else:
            found = None
    if found is None:
        raise ApiError(
            400, "PROCESSING_HALTED", f"Invalid reference specified. No value for {match[0][2:-1]} found in {match[1]}"
        )
    return found
