"""Doors of queries and single records: `/query`, `/sobjects/{object}/{id}`, upsert by external id, changes."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime, parsedate_to_datetime
from typing import Any

from crmsync.sandbox import queries
from crmsync.sandbox.answers import Answer, ApiError, Call, not_found
from crmsync.sandbox.definitions import definitions, one_page
from crmsync.sandbox.discovery import sobject_of
from crmsync.sandbox.ids import to_18
from crmsync.sandbox.org import Org
from crmsync.sandbox.rows import Rows, SeveralFoundError
from crmsync.sandbox.schema import Field, SObject
from crmsync.sandbox.values import stamp_of

_DAYS_BACK = 30
_MOST_IDS = 600_000


def query(org: Org, call: Call) -> Answer:
    """`/query?q=`."""
    return _query(org, call, deleted_too=False)


def query_all(org: Org, call: Call) -> Answer:
    """`/queryAll?q=`: deleted records too."""
    return _query(org, call, deleted_too=True)


def _query(org: Org, call: Call, deleted_too: bool) -> Answer:
    soql = call.query.get("q")
    if not soql:
        raise ApiError(400, "MALFORMED_QUERY", "A query string has to be specified")
    described = definitions(org, soql)
    if call.query.get("columns", "").lower() == "true":
        return Answer(queries.column_metadata(described or org, soql, deleted_too))
    if described is not None:
        return Answer(one_page(described, soql, call.root))
    return Answer(queries.first_page(org, soql, call.root, asked_rows(call), deleted_too))


def asked_rows(call: Call) -> int:
    """The batch size that the client hints at, within bounds."""
    for part in call.headers.get("sforce-query-options", "").split(","):
        name, _, size = part.partition("=")
        if name.strip().lower() == "batchsize" and size.strip().isdigit():
            return min(max(int(size.strip()[:6]), queries.LEAST_ROWS), queries.MOST_ROWS)
    return queries.MOST_ROWS


def query_more(org: Org, call: Call) -> Answer:
    """`/query/{locator}` and `/queryAll/{locator}`."""
    return Answer(queries.next_page(org, call.parts["locator"], call.root))


def create_record(org: Org, call: Call) -> Answer:
    """POST `/sobjects/{object}`."""
    sobject = sobject_of(org, call)
    with org.rows() as rows:
        record_id = rows.create(sobject, call.json_object())
    location = f"{call.root}/sobjects/{sobject.name}/{record_id}"
    return Answer({"id": record_id, "success": True, "errors": []}, 201, {"Location": location})


def read_record(org: Org, call: Call) -> Answer:
    """GET `/sobjects/{object}/{id}`, with `?fields=`; Account answers carry an ETag."""
    sobject, record_id = _record(org, call)
    rows = Rows(org, org.store.reader(), "")
    found = rows.live(sobject, record_id)
    headers = _validators(rows, sobject, found)
    if _not_modified(call, headers):
        return Answer(None, 304, headers)
    return Answer(_shown(org, call, sobject, found), headers=headers)


def _shown(org: Org, call: Call, sobject: SObject, record_id: str) -> dict[str, Any]:
    asked = [name.strip() for name in call.query.get("fields", "").split(",") if name.strip()]
    names = asked or [field.name for field in sobject.fields if not field.hidden]
    if "id" not in (name.lower() for name in names):
        names = [*names, "Id"]
    unknown = [name for name in asked if "." not in name and sobject.field(name) is None]
    if unknown:
        raise ApiError(400, "INVALID_FIELD", f"No such column '{unknown[0]}' on sobject of type {sobject.name}")
    soql = f"SELECT {', '.join(names)} FROM {sobject.name} WHERE Id = '{record_id}'"
    records: list[dict[str, Any]] = queries.first_page(org, soql, call.root)["records"]
    if not records:
        raise not_found()
    return records[0]


def update_record(org: Org, call: Call) -> Answer:
    """PATCH `/sobjects/{object}/{id}`; 412 when the precondition of an Account update does not hold."""
    sobject, record_id = _record(org, call)
    given = call.json_object()
    with org.rows() as rows:
        _check_precondition(call, rows, sobject, rows.live(sobject, record_id))
        rows.update(sobject, record_id, given)
    return Answer(None, 204)


def delete_record(org: Org, call: Call) -> Answer:
    """DELETE `/sobjects/{object}/{id}`."""
    sobject, record_id = _record(org, call)
    with org.rows() as rows:
        _check_precondition(call, rows, sobject, rows.live(sobject, record_id))
        rows.delete(sobject, record_id)
    return Answer(None, 204)


def _record(org: Org, call: Call) -> tuple[SObject, str]:
    sobject = sobject_of(org, call)
    record_id = call.parts["id"]
    if to_18(record_id) is None:
        raise not_found(f"Provided external ID field does not exist or is not accessible: {record_id[:255]}")
    return sobject, record_id


def upsert_record(org: Org, call: Call) -> Answer:
    """PATCH `/sobjects/{object}/{field}/{value}`: 201 created, 200 updated, 300 several, 404 unknown field."""
    sobject = sobject_of(org, call)
    key = key_field(sobject, call.parts["field"])
    given = call.json_object()
    if key.name != "Id" and any(name.lower() == key.name.lower() for name in given):
        raise ApiError(
            400, "INVALID_FIELD", f"The {key.name} field should not be specified in the sobject data.", [key.name]
        )
    update_only = call.query.get("updateonly", "").lower() == "true"
    try:
        with org.rows() as rows:
            record_id, created = rows.upsert(sobject, key, call.parts["value"], given, update_only=update_only)
    except SeveralFoundError as many:
        return Answer([f"{call.root}/sobjects/{sobject.name}/{found}" for found in many.ids], 300)
    if not created and _number(call) < 46:
        return Answer(None, 204)
    return Answer({"id": record_id, "success": True, "errors": [], "created": created}, 201 if created else 200)


def read_by_key(org: Org, call: Call) -> Answer:
    """GET `/sobjects/{object}/{field}/{value}`."""
    sobject, found = _by_key(org, call)
    return Answer(_shown(org, call, sobject, found))


def delete_by_key(org: Org, call: Call) -> Answer:
    """DELETE `/sobjects/{object}/{field}/{value}`."""
    sobject, found = _by_key(org, call)
    with org.rows() as rows:
        rows.delete(sobject, found)
    return Answer(None, 204)


def _by_key(org: Org, call: Call) -> tuple[SObject, str]:
    sobject = sobject_of(org, call)
    key = key_field(sobject, call.parts["field"])
    from crmsync.sandbox.values import from_json

    rows = Rows(org, org.store.reader(), "")
    ids = rows.find(sobject, key, from_json(org.schema, key, call.parts["value"]))
    if len(ids) != 1:
        raise not_found() if not ids else ApiError(300, "MULTIPLE_CHOICES", "several records carry this external id")
    return sobject, ids[0]


def key_field(sobject: SObject, name: str) -> Field:
    """The external id field of that name. Errors: ApiError 404."""
    found = sobject.field(name)
    if found is None or not (found.key or found.name == "Id"):
        raise not_found(f"Provided external ID field does not exist or is not accessible: {name[:255]}")
    return found


def _number(call: Call) -> int:
    return int(call.version.partition(".")[0])


def _validators(rows: Rows, sobject: SObject, record_id: str) -> dict[str, str]:
    """ETag (Account only) and Last-Modified of a record."""
    version = rows.version(sobject, record_id)
    if version is None or not version[1]:
        return {}
    number, stamp = version
    moment = datetime.fromisoformat(stamp).replace(tzinfo=UTC)
    headers = {"Last-Modified": format_datetime(moment, usegmt=True)}
    if sobject.name == "Account":
        headers["ETag"] = '"' + hashlib.sha256(f"{record_id} {number}".encode()).hexdigest()[:32] + '"'
    return headers


def _tags(text: str) -> list[str]:
    return [tag.strip().removeprefix("W/").strip('"').removesuffix("--gzip") for tag in text.split(",")]


def _instant(text: str | None) -> datetime | None:
    try:
        found = parsedate_to_datetime(text or "")
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def _not_modified(call: Call, validators: dict[str, str]) -> bool:
    wanted = call.headers.get("if-none-match")
    if wanted is not None and "ETag" in validators:
        return "*" in _tags(wanted) or validators["ETag"].strip('"') in _tags(wanted)
    since, changed = _instant(call.headers.get("if-modified-since")), _instant(validators.get("Last-Modified"))
    return since is not None and changed is not None and changed <= since


def _check_precondition(call: Call, rows: Rows, sobject: SObject, record_id: str) -> None:
    validators = _validators(rows, sobject, record_id)
    wanted = call.headers.get("if-match")
    failed = False
    if wanted is not None and "ETag" in validators:
        failed = "*" not in _tags(wanted) and validators["ETag"].strip('"') not in _tags(wanted)
    since, changed = _instant(call.headers.get("if-unmodified-since")), _instant(validators.get("Last-Modified"))
    if since is not None and changed is not None and wanted is None:
        failed = changed > since
    if failed:
        message = "The request was not executed because one or more of its preconditions were not satisfied."
        raise ApiError(412, "PRECONDITION_FAILED", message)


def updated_records(org: Org, call: Call) -> Answer:
    """`/sobjects/{object}/updated?start&end`: ids changed in the span."""
    sobject, start, end = _span(org, call)
    rows = org.store.reader().execute(
        f'SELECT "Id" FROM "{sobject.name}" WHERE "IsDeleted" = 0 AND "SystemModstamp" >= ? AND "SystemModstamp" < ? '
        "ORDER BY rowid", [start, end],
    )  # fmt: skip
    ids = [row[0] for row in rows.fetchmany(_MOST_IDS + 1)]
    if len(ids) > _MOST_IDS:
        raise ApiError(400, "EXCEEDED_ID_LIMIT", f"more than {_MOST_IDS} records were changed; narrow the span")
    return Answer({"ids": ids, "latestDateCovered": f"{end}+0000"})


def deleted_records(org: Org, call: Call) -> Answer:
    """`/sobjects/{object}/deleted?start&end`: ids deleted in the span."""
    sobject, start, end = _span(org, call)
    rows = org.store.reader().execute(
        f'SELECT "Id", "SystemModstamp" FROM "{sobject.name}" WHERE "IsDeleted" = 1 AND "SystemModstamp" >= ? '
        'AND "SystemModstamp" < ? ORDER BY rowid', [start, end],
    )  # fmt: skip
    return Answer({
        "deletedRecords": [{"id": row[0], "deletedDate": f"{row[1]}+0000"} for row in rows],
        "earliestDateAvailable": f"{start}+0000",
        "latestDateCovered": f"{end}+0000",
    })  # fmt: skip


def _span(org: Org, call: Call) -> tuple[SObject, str, str]:
    sobject = sobject_of(org, call)
    if sobject.field("IsDeleted") is None:
        raise ApiError(400, "INVALID_TYPE_FOR_OPERATION", f"{sobject.name} is not replicateable")
    try:
        # A plus sign in a query string arrives as a blank.
        start, end = (stamp_of(call.query.get(name, "").replace(" ", "+"))[:19] + ".000" for name in ("start", "end"))
    except (ValueError, OverflowError):
        raise ApiError(400, "INVALID_REPLICATION_DATE", "start and end must be ISO 8601 instants") from None
    if start >= end:
        raise ApiError(400, "INVALID_REPLICATION_DATE", "the end date must be after the start date")
    oldest = datetime.fromisoformat(org.clock.now()) - timedelta(days=_DAYS_BACK + 1)
    if datetime.fromisoformat(start) < oldest:
        raise ApiError(400, "INVALID_REPLICATION_DATE", f"the start date is more than {_DAYS_BACK} days ago")
    return sobject, start, end
