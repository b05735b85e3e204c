"""Single records: read by id, and written only while they still hold what the plan saw.

Source: Account answers with an ETag and honours If-Match; 412 means that somebody was faster.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import quote

from crmsync.connectors.base import Write, Written
from crmsync.connectors.retries import Transient
from crmsync.connectors.salesforce.faults import LOCKED, Locked, Refused
from crmsync.connectors.salesforce.org import Org
from crmsync.connectors.salesforce.rest_query import text_of
from crmsync.connectors.salesforce.rows import long_id
from crmsync.connectors.salesforce.written_fields import WrittenFields, compared, json_body
from crmsync.errors import DataError

RETRIEVE_IDS = 2_000  # per call of the collection resource
QUERY_IDS = 300  # ids of a query in the address line
PRECONDITION_FAILED = 412
NO_CONTENT = 204
TRIES = 3

Values = dict[str, str | None]


def read_records(org: Org, fields: WrittenFields, ids: Sequence[str], names: Sequence[str]) -> dict[str, Values]:
    """Canonical values by record id; a record that no longer exists is absent."""
    found: dict[str, Values] = {}
    asked = [fields.field(name) for name in names]
    wanted = dict.fromkeys(long_id(one) for one in ids)
    for some in _chunks(list(wanted), RETRIEVE_IDS):
        for record_id, record in _retrieve(org, fields.sobject.name, some, [field.name for field in asked]):
            found[record_id] = {field.name: compared(field, _value(record, field.name)) for field in asked}
    return {one: found[long_id(one)] for one in ids if long_id(one) in found}


def _retrieve(
    org: Org, sobject: str, ids: Sequence[str], names: Sequence[str]
) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """The records that are there, with their ids; the answer has an entry for each id, null for one that is gone."""
    body = {"ids": list(ids), "fields": ["Id", *names]}
    answer = org.post(f"composite/sobjects/{sobject}", body)
    if not isinstance(answer, list) or len(answer) != len(ids):
        raise DataError(f"{sobject}: reading {len(ids)} records by id did not give an entry for each")
    for asked, record in zip(ids, answer, strict=True):
        if record is None:
            continue
        if not isinstance(record, dict) or any(name not in record for name in ("Id", *names)):
            raise DataError(f"{sobject} {asked}: the answer lacks fields that were asked for")
        if long_id(str(record["Id"])) != asked:
            raise DataError(f"{sobject} {asked}: the answer tells of {str(record['Id'])[:40]!r} instead")
        yield asked, record


def _value(record: Mapping[str, Any], name: str) -> str | None:
    value = record.get(name)
    return value or None if isinstance(value, str) else text_of(value, f"{record.get('Id')}: {name}")


def write_record(org: Org, fields: WrittenFields, write: Write) -> Written:
    """The outcome of one conditional write; `unknown` where neither success nor failure was seen."""
    wanted = fields.canonical_values(write.values)
    expected = fields.canonical_values(write.expected)
    for _ in range(TRIES):
        try:
            now, etag = _look(org, fields, write.record_id, [*wanted, *expected])
        except Refused as refusal:
            return _failed(write, refusal)
        if all(now[name] == text for name, text in wanted.items()):
            return Written(write.record_id, "applied")
        changed = [name for name, text in expected.items() if now[name] != text]
        if changed:
            return Written(write.record_id, "conflict", "CHANGED", _difference(changed, now, expected))
        written = _patch(org, fields, write, etag)
        if written is not None:
            return written
    return Written(write.record_id, "conflict", "PRECONDITION_FAILED", "the record keeps changing while it is written")


def _look(org: Org, fields: WrittenFields, record_id: str, names: Sequence[str]) -> tuple[Values, str | None]:
    """The record's present values and its ETag."""
    listed = list(dict.fromkeys(names))
    path = f"sobjects/{fields.sobject.name}/{quote(record_id, safe='')}?fields={','.join(listed)}"
    answer = org.call(lambda client: org.session.get(client.base_url + path))
    try:
        record = answer.json(parse_float=str)
    except (ValueError, RecursionError):
        raise Transient(f"{fields.sobject.name} {record_id}: the answer is not complete JSON") from None
    if not isinstance(record, dict) or any(name not in record for name in listed):
        raise DataError(f"{fields.sobject.name} {record_id}: the answer lacks fields that were asked for")
    now = {name: compared(fields.field(name), _value(record, name)) for name in listed}
    return now, answer.headers.get("ETag")


def _patch(org: Org, fields: WrittenFields, write: Write, etag: str | None) -> Written | None:
    """The outcome, or None when somebody changed the record since it was looked at."""
    headers = {"Content-Type": "application/json"} | ({"If-Match": etag} if etag else {})
    path = f"sobjects/{fields.sobject.name}/{quote(write.record_id, safe='')}"
    try:
        answer = org.send("PATCH", path, json_body(write.values, fields).encode(), headers)
    except Refused as refusal:
        return None if refusal.status == PRECONDITION_FAILED else _failed(write, refusal)
    except Locked as fault:
        return Written(write.record_id, "failed", LOCKED, fault.words)
    except Transient as fault:
        return Written(write.record_id, "unknown", "NO_ANSWER", str(fault))
    if answer.status_code != NO_CONTENT:  # the only answer that says it is done; anything else came from elsewhere
        said = f"HTTP {answer.status_code} with {len(answer.content):,} bytes instead of {NO_CONTENT} with none"
        return Written(write.record_id, "unknown", "NO_ANSWER", said)
    return Written(write.record_id, "applied")


def _failed(write: Write, refusal: Refused) -> Written:
    return Written(write.record_id, "failed", refusal.code or f"HTTP_{refusal.status}", refusal.words)


def _difference(changed: Sequence[str], now: Values, expected: Values) -> str:
    name = changed[0]
    more = f" and {len(changed) - 1} more" if len(changed) > 1 else ""
    return f"{name} holds `{now[name] or ''}`, the plan saw `{expected[name] or ''}`{more}"


def _chunks(items: Sequence[str], size: int) -> Iterator[Sequence[str]]:
    for start in range(0, len(items), size):
        yield items[start : start + size]
