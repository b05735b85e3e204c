"""Records over the Partner SOAP API: written, deleted, retrieved, described, and what changed when."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any
from xml.sax.saxutils import escape

from crmsync.sandbox.answers import ApiError, Call
from crmsync.sandbox.describe import describe_object
from crmsync.sandbox.discovery import record_types
from crmsync.sandbox.ids import to_18
from crmsync.sandbox.org import Org
from crmsync.sandbox.queries import first_page
from crmsync.sandbox.rest import deleted_records, key_field, updated_records
from crmsync.sandbox.rows import Rows, SeveralFoundError
from crmsync.sandbox.schema import SObject
from crmsync.sandbox.soap import INSTANCE, SoapCall, SoapFaultError, local
from crmsync.sandbox.values import from_text

MOST_RECORDS = 200
MOST_DESCRIBED = 100
_NIL = f"{{{INSTANCE}}}nil"
_ROLLED_BACK = ApiError(
    400, "ALL_OR_NONE_OPERATION_ROLLED_BACK",
    "Record rolled back because not all records were valid and the request was using AllOrNone header", [],
)  # fmt: skip

Given = dict[str, Any]
Write = Callable[[Rows, Any], tuple[str, bool]]


class _RollBackError(Exception):
    """Undoes the transaction after its answer has been worked out."""


def tags(name: str, value: Any) -> str:
    """The element of a value: one per entry of a list, none for an empty one."""
    if isinstance(value, (list, tuple)):
        return "".join(tags(name, entry) for entry in value)
    if value is None:
        return f'<{name} xsi:nil="true"/>'
    if isinstance(value, Mapping):
        return f"<{name}>{''.join(tags(inner, found) for inner, found in value.items())}</{name}>"
    return f"<{name}>{escape(str(value).lower() if isinstance(value, bool) else str(value))}</{name}>"


def create(org: Org, found: SoapCall) -> str:
    """The results of `create`, in order."""

    def write(rows: Rows, element: Any) -> tuple[str, bool]:
        sobject, given = _sobject(org, element)
        return rows.create(sobject, given, from_text), True

    return _results(org, found, found.children("sObjects"), write)


def update(org: Org, found: SoapCall) -> str:
    """The results of `update`."""

    def write(rows: Rows, element: Any) -> tuple[str, bool]:
        sobject, given = _sobject(org, element)
        record_id = given.pop("Id", None)
        if not record_id:
            raise ApiError(400, "MISSING_ARGUMENT", "Id not specified in an update call", [])
        return rows.update(sobject, record_id, given, from_text), False

    return _results(org, found, found.children("sObjects"), write)


def upsert(org: Org, found: SoapCall) -> str:
    """The results of `upsert`, which say whether a record was created."""
    name = found.text("externalIDFieldName")

    def write(rows: Rows, element: Any) -> tuple[str, bool]:
        sobject, given = _sobject(org, element)
        key = key_field(sobject, name)
        value = given.pop(key.name, None)
        if value is None and key.name == "Id":
            return rows.create(sobject, given, from_text), True
        try:
            return rows.upsert(sobject, key, value, given, from_text)
        except SeveralFoundError as many:
            raise ApiError(
                300, "DUPLICATE_EXTERNAL_ID", f"external id is on {len(many.ids)} records", [key.name]
            ) from None

    return _results(org, found, found.children("sObjects"), write, created=True)


def delete(org: Org, found: SoapCall) -> str:
    """The results of `delete`."""
    return _results(org, found, _ids(found), lambda rows, text: (rows.delete(_of_id(org, text), text), False))


def undelete(org: Org, found: SoapCall) -> str:
    """The results of `undelete`."""
    return _results(org, found, _ids(found), lambda rows, text: (rows.undelete(_of_id(org, text), text), False))


def _ids(found: SoapCall) -> list[str]:
    """The ids of a call; old clients write `id`."""
    return found.texts("ids") or found.texts("id")


def _of_id(org: Org, text: str) -> SObject:
    sobject = org.visible.of_id(text)
    if sobject is None or to_18(text) is None:
        raise ApiError(400, "MALFORMED_ID", f"malformed id {text[:255]}", [])
    return sobject


def _sobject(org: Org, element: Any) -> tuple[SObject, Given]:
    """The object and the values of an sObject element; fieldsToNull are empty."""
    given: Given = {}
    kind = ""
    for child in element:
        name = local(child)
        if name == "type" and not kind:
            kind = (child.text or "").strip()
        elif name == "fieldsToNull":
            given[(child.text or "").strip()] = None
        elif len(child):
            given[name] = {local(inner): inner.text for inner in child if local(inner) != "type"}
        elif child.get(_NIL) != "true" and (child.text or "") != "":
            given[name] = child.text
    sobject = org.visible.find(kind)
    if sobject is None:
        raise ApiError(400, "INVALID_TYPE", f"sObject type '{kind[:80]}' is not supported.", [])
    return sobject, given


def _results(org: Org, found: SoapCall, given: Sequence[Any], write: Write, created: bool = False) -> str:
    if len(given) > MOST_RECORDS:
        raise SoapFaultError(
            "EXCEEDED_ID_LIMIT", f"record limit reached. cannot submit more than {MOST_RECORDS} records into this call"
        )
    whole = found.header("AllOrNoneHeader", "allOrNone") == "true"
    results: list[Given] = []
    try:
        with org.rows() as rows:
            results = [_result(rows, entry, write, created) for entry in given]
            if whole and not all(result["success"] for result in results):
                raise _RollBackError
    except _RollBackError:
        rolled = {"errors": _error(_ROLLED_BACK), "id": None, "success": False}
        results = [rolled if result["success"] else result for result in results]
    return "".join(tags("result", result) for result in results)


def _result(rows: Rows, entry: Any, write: Write, created: bool) -> Given:
    try:
        record_id, new = write(rows, entry)
    except ApiError as error:
        told = {"errors": [_error(each) for each in (error, *error.more)], "id": None, "success": False}
        return {"created": False} | told if created else told
    return ({"created": new} if created else {}) | {"id": record_id, "success": True}


def _error(error: ApiError) -> Given:
    code, message = error.code, error.message
    if code == "NOT_FOUND":
        code, message = "INVALID_CROSS_REFERENCE_KEY", "invalid cross reference id"
    return {"fields": list(error.fields or ()), "message": message, "statusCode": code}


def retrieved(org: Org, found: SoapCall) -> list[Given | None]:
    """The records of `retrieve` in the order of their ids, None where there is none."""
    sobject = org.visible.find(found.text("sObjectType"))
    if sobject is None:
        raise ApiError(400, "INVALID_TYPE", f"sObject type '{found.text('sObjectType')[:80]}' is not supported.")
    ids = [to_18(text) for text in found.texts("ids")]
    if None in ids or len(ids) > MOST_RECORDS * 10:
        raise ApiError(400, "MALFORMED_ID", f"up to {MOST_RECORDS * 10} ids are wanted, and one of these is none")
    names = [name.strip() for name in found.text("fieldList").split(",") if name.strip()]
    listed = ", ".join(f"'{one}'" for one in dict.fromkeys(ids))
    chosen = dict.fromkeys(["Id", *(name for name in names if name.lower() != "id")])
    soql = f"SELECT {', '.join(chosen)} FROM {sobject.name} WHERE Id IN ({listed})"
    records = {record["Id"]: record for record in first_page(org, soql, "")["records"]} if ids else {}
    return [records.get(one) for one in ids]


def describe(org: Org, found: SoapCall) -> str:
    """The results of `describeSObject` and `describeSObjects`."""
    names = found.texts("sObjectType")
    if len(names) > MOST_DESCRIBED:
        raise SoapFaultError("EXCEEDED_ID_LIMIT", f"up to {MOST_DESCRIBED} objects are described at once")
    described = []
    for name in names:
        sobject = org.visible.find(name)
        if sobject is None:
            raise SoapFaultError("INVALID_SOBJECT_TYPE", f"sObject type '{name[:80]}' is not supported.")
        body = describe_object(org.visible, sobject, record_types(org, sobject), "")
        addresses = {"urlDetail": f"{org.url}/{{ID}}", "urlEdit": f"{org.url}/{{ID}}/e",
                     "urlNew": f"{org.url}/{sobject.prefix}/e"}  # fmt: skip
        described.append(_told(body | addresses))
    return tags("result", described)


def _told(value: Any) -> Any:
    """What SOAP tells of a describe answer: no nulls, no links, names in order."""
    if isinstance(value, Mapping):
        return {key: _told(value[key]) for key in sorted(value) if value[key] is not None and key != "urls"}
    return [_told(entry) for entry in value] if isinstance(value, list) else value


def updated(org: Org, found: SoapCall) -> str:
    """The result of `getUpdated`."""
    return tags("result", updated_records(org, _span(found)).body)


def deleted(org: Org, found: SoapCall) -> str:
    """The result of `getDeleted`."""
    return tags("result", deleted_records(org, _span(found)).body)


def _span(found: SoapCall) -> Call:
    query = {"start": found.text("startDate"), "end": found.text("endDate")}
    return Call("GET", "", parts={"object": found.text("sObjectType")}, query=query)
