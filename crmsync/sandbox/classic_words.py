"""How calls and answers of the first Bulk API are written: as XML or, in jobs of JSON, as JSON."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any
from xml.sax.saxutils import escape

from crmsync import metadata_schema
from crmsync.metadata_schema import MetadataFileError
from crmsync.sandbox.answers import Answer, ApiError, Call
from crmsync.sandbox.soap import local

NAMESPACE = "http://www.force.com/2009/06/asyncapi/dataload"
XML_TYPE, JSON_TYPE, CSV_TYPE = "application/xml", "application/json", "text/csv"
_HEAD = '<?xml version="1.0" encoding="UTF-8"?>'
_EXCEPTIONS = {
    "INVALID_SESSION_ID": "InvalidSessionId", "INVALIDENTITY": "InvalidEntity", "NOT_FOUND": "InvalidJob",
    "REQUEST_LIMIT_EXCEEDED": "ExceededQuota", "EXCEEDEDQUOTA": "ExceededQuota", "JSON_PARSER_ERROR": "InvalidBatch",
}  # fmt: skip
"""What the first Bulk API calls the errors of the others."""


def wants_json(call: Call) -> bool:
    """The client speaks JSON."""
    return call.headers.get("content-type", "").lower().startswith(JSON_TYPE)


def read_info(call: Call) -> dict[str, Any]:
    """The values of a jobInfo, by name. Errors: ApiError InvalidJob."""
    if wants_json(call):
        return call.json_object()
    try:
        root = metadata_schema.parsed(call.body)
    except MetadataFileError as error:
        raise ApiError(400, "InvalidJob", f"Unable to parse Job: {error.problem}") from None
    return {local(child): (child.text or "").strip() for child in root}


def told(as_json: bool, name: str, values: Mapping[str, Any], status: int = 200) -> Answer:
    """The answer with one jobInfo or batchInfo."""
    if as_json:
        return Answer(dict(values), status, media_type=JSON_TYPE)
    return Answer(_HEAD + _element(name, values, namespace=True), status, media_type=XML_TYPE)


def told_list(as_json: bool, name: str, entry: str, listed: Iterable[Mapping[str, Any]]) -> Answer:
    """The answer with several of them."""
    if as_json:
        return Answer({entry: [dict(values) for values in listed]}, media_type=JSON_TYPE)
    inner = "".join(_element(entry, values) for values in listed)
    return Answer(f'{_HEAD}<{name} xmlns="{NAMESPACE}">{inner}</{name}>', media_type=XML_TYPE)


def told_results(as_json: bool, ids: list[str]) -> Answer:
    """The answer with the ids of the results of a query."""
    if as_json:
        return Answer(ids, media_type=JSON_TYPE)
    inner = "".join(f"<result>{record_id}</result>" for record_id in ids)
    return Answer(f'{_HEAD}<result-list xmlns="{NAMESPACE}">{inner}</result-list>', media_type=XML_TYPE)


def refused(call: Call, error: ApiError) -> Answer:
    """The answer of a refusal; all but a bad session are 400."""
    name = _EXCEPTIONS.get(error.code, error.code)
    values = {"exceptionCode": name, "exceptionMessage": error.message}
    status = 401 if error.status == 401 else 400
    if wants_json(call):
        return Answer(values, status, media_type=JSON_TYPE)
    return Answer(_HEAD + _element("error", values, namespace=True), status, media_type=XML_TYPE)


def _element(name: str, values: Mapping[str, Any], namespace: bool = False) -> str:
    inner = "".join(
        f"<{key}>{escape(value if isinstance(value, str) else json.dumps(value))}</{key}>"
        for key, value in values.items()
        if value is not None
    )
    return f"<{name}{f' xmlns={json.dumps(NAMESPACE)}' if namespace else ''}>{inner}</{name}>"
