"""Doors of the Tooling API: custom fields, objects and validation rules as records, and queries on the org's schema."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from crmsync import metadata_schema
from crmsync.metadata_schema import MetadataSchemaError
from crmsync.sandbox import queries
from crmsync.sandbox.answers import Answer, ApiError, Call, not_found
from crmsync.sandbox.deploys import faults_text
from crmsync.sandbox.describe import describe_basic, describe_global, describe_object
from crmsync.sandbox.ids import to_18
from crmsync.sandbox.metadata_access import check_metadata
from crmsync.sandbox.metadata_apply import commit, try_components
from crmsync.sandbox.metadata_draft import RefusedError
from crmsync.sandbox.metadata_files import values_of
from crmsync.sandbox.metadata_package import Component
from crmsync.sandbox.metadata_rows import component_ids
from crmsync.sandbox.org import Org
from crmsync.sandbox.rest import asked_rows
from crmsync.sandbox.schema import Schema, SObject
from crmsync.sandbox.store import Store, insert_rows
from crmsync.sandbox.tooling_objects import tooling_schema
from crmsync.sandbox.tooling_rows import tooling_rows

WRITTEN = ("CustomField", "CustomObject", "ValidationRule")
_WHOLE = ("Metadata", "FullName")


class ToolingOrg(Org):
    """The org's own description, in a store of its own; `made_of` is the schema it was made from."""

    made_of: Any = None

    @property
    def visible(self) -> Schema:
        """Everybody who may call sees all of it."""
        return self.schema


def described_org(org: Org) -> ToolingOrg:
    """The description of the org as it is now."""
    with org.deploying:
        found: ToolingOrg | None = org.tooling
        if found is not None and found.made_of is org.schema:
            return found
        schema = tooling_schema() if found is None else found.schema
        if found is None:
            found = ToolingOrg(Store(None), org.options, {}, org.features, schema, org.clock, org.seed, {})
            org.tooling = found
        rows = tooling_rows(org)
        found.store.create_tables(schema)
        with found.store.writing() as connection:
            for name, listed in rows.items():
                sobject = schema.find(name)
                assert sobject is not None
                connection.execute(f'DELETE FROM "{sobject.name}"')
                columns = [field.name for field in sobject.stored()]
                flags = {field.name for field in sobject.stored() if field.kind == "flag"}
                insert_rows(connection, sobject, columns, (
                    tuple(row.get(column, 0 if column in flags else None) for column in columns) for row in listed
                ))  # fmt: skip
        found.made_of = org.schema
        return found


def resources(org: Org, call: Call) -> Answer:
    """GET `/tooling`."""
    del org
    return Answer({name: f"{_root(call)}/{name}" for name in ("query", "sobjects")})


def _root(call: Call) -> str:
    return f"{call.root}/tooling"


def query(org: Org, call: Call) -> Answer:
    """GET `/tooling/query?q=`."""
    soql = call.query.get("q")
    if not soql:
        raise ApiError(400, "MALFORMED_QUERY", "A query string has to be specified")
    tooling = described_org(org)
    if call.query.get("columns", "").lower() == "true":
        return Answer(queries.column_metadata(tooling, soql))
    page = queries.first_page(tooling, soql, _root(call), asked_rows(call))
    return Answer(_opened(page))


def query_more(org: Org, call: Call) -> Answer:
    """GET `/tooling/query/{locator}`."""
    return Answer(_opened(queries.next_page(described_org(org), call.parts["locator"], _root(call))))


def _opened(page: dict[str, Any]) -> dict[str, Any]:
    """The page with `Metadata` and `ReferenceTo` as objects, which a query may ask for one row only."""
    records = page["records"]
    if len(records) != 1 and any(name in record for record in records for name in _WHOLE):
        raise ApiError(
            400, "MALFORMED_QUERY",
            "When retrieving results with Metadata or FullName fields, the query qualifications must specify no more "
            f"than one row for retrieval. Result size: {page['totalSize']}",
        )  # fmt: skip
    for record in records:
        for name in ("Metadata", "ReferenceTo"):
            if isinstance(record.get(name), str):
                record[name] = json.loads(record[name])
    return page


def _sobject(org: Org, call: Call) -> SObject:
    found = described_org(org).schema.find(call.parts["object"])
    if found is None:
        raise not_found()
    return found


def sobjects(org: Org, call: Call) -> Answer:
    """GET `/tooling/sobjects`."""
    return Answer(describe_global(described_org(org).schema, _root(call)))


def basics(org: Org, call: Call) -> Answer:
    """GET `/tooling/sobjects/{object}`."""
    return Answer(describe_basic(_sobject(org, call), [], _root(call)))


def describe(org: Org, call: Call) -> Answer:
    """GET `/tooling/sobjects/{object}/describe`; 404 for SourceMember, as in an org without source tracking."""
    return Answer(describe_object(described_org(org).schema, _sobject(org, call), [], _root(call)))


def _written(org: Org, call: Call) -> str:
    sobject = _sobject(org, call)
    if sobject.name not in WRITTEN:
        raise ApiError(405, "METHOD_NOT_ALLOWED", f"{sobject.name} cannot be written through this org's Tooling API")
    check_metadata(org)
    return sobject.name


def create(org: Org, call: Call) -> Answer:
    """POST `/tooling/sobjects/{object}` with FullName and Metadata."""
    kind = _written(org, call)
    body = call.json_object()
    name = body.get("FullName")
    if not isinstance(name, str) or not isinstance(body.get("Metadata"), dict):
        raise ApiError(400, "REQUIRED_FIELD_MISSING", "Required fields are missing: [FullName, Metadata]",
                       ["FullName", "Metadata"])  # fmt: skip
    with org.deploying:
        if values_of(org, kind, name) is not None:
            raise ApiError(400, "DUPLICATE_DEVELOPER_NAME",
                           f"There is already a {kind} named {name.rpartition('.')[2]}.", [])  # fmt: skip
        _save(org, kind, name, body["Metadata"])
    made = component_ids(org)[f"{kind}:{name}"]
    return Answer({"id": made, "success": True, "errors": [], "warnings": [], "infos": []}, 201)


def _save(org: Org, kind: str, name: str, metadata: Mapping[str, Any]) -> None:
    own = name if kind == "CustomObject" else name.partition(".")[2]
    try:
        values = _checked(kind, {"fullName": own, **_stripped(metadata)})
    except RecursionError:
        raise ApiError(400, "JSON_PARSER_ERROR", "Metadata is nested too deeply") from None
    trial = try_components(org, [Component(kind, name, "", 0, values)])
    if trial.errors:
        raise ApiError(400, "FIELD_INTEGRITY_EXCEPTION", faults_text(trial.errors), [])
    _commit(org, trial)


def _commit(org: Org, trial: Any) -> None:
    try:
        commit(org, trial)
    except RefusedError as error:
        raise ApiError(400, "FIELD_INTEGRITY_EXCEPTION", str(error), []) from None


def _stripped(value: Any) -> Any:
    """JSON without nulls and links; the names of picklist values as files have them."""
    if isinstance(value, Mapping):
        return {"fullName" if key == "valueName" else key: _stripped(found) for key, found in value.items()
                if found is not None and key not in ("urls", "attributes")}  # fmt: skip
    return [_stripped(entry) for entry in value] if isinstance(value, list) else value


def _checked(kind: str, values: Mapping[str, Any]) -> dict[str, Any]:
    """The values with the types that the metadata schema gives them. Errors: ApiError."""
    try:
        root = metadata_schema.parsed(metadata_schema.write(kind, values))
    except (MetadataSchemaError, ValueError) as error:
        raise ApiError(400, "JSON_PARSER_ERROR", f"Metadata: {error}") from None
    problems = metadata_schema.ordered_problems(kind, root)
    if problems:
        raise ApiError(400, "JSON_PARSER_ERROR", f"Metadata: {problems[0].message}")
    return metadata_schema.read(kind, root)


def _named(org: Org, call: Call) -> tuple[str, str]:
    """(kind, full name) of the record that the path names."""
    kind = _sobject(org, call).name
    wanted = to_18(call.parts["id"])
    found = next((key for key, known in component_ids(org).items() if known == wanted), "")
    if not found.startswith(f"{kind}:") or values_of(org, kind, found.partition(":")[2]) is None:
        raise not_found()
    return kind, found.partition(":")[2]


def read(org: Org, call: Call) -> Answer:
    """GET `/tooling/sobjects/{object}/{id}`."""
    sobject = _sobject(org, call)
    record_id = call.parts["id"]
    if to_18(record_id) is None:
        raise not_found()
    names = ", ".join(field.name for field in sobject.fields)
    soql = f"SELECT {names} FROM {sobject.name} WHERE Id = '{to_18(record_id)}'"
    records = _opened(queries.first_page(described_org(org), soql, _root(call)))["records"]
    if not records:
        raise not_found()
    return Answer(records[0])


def update(org: Org, call: Call) -> Answer:
    """PATCH `/tooling/sobjects/{object}/{id}` with Metadata."""
    _written(org, call)
    kind, name = _named(org, call)
    body = call.json_object()
    if not isinstance(body.get("Metadata"), dict):
        raise ApiError(400, "REQUIRED_FIELD_MISSING", "Required fields are missing: [Metadata]", ["Metadata"])
    with org.deploying:
        _save(org, kind, name, body["Metadata"])
    return Answer(None, 204)


def delete(org: Org, call: Call) -> Answer:
    """DELETE `/tooling/sobjects/{object}/{id}`."""
    _written(org, call)
    kind, name = _named(org, call)
    with org.deploying:
        trial = try_components(org, [Component(kind, name, "")], deleting=True)
        if trial.faults:
            raise ApiError(400, "DELETE_FAILED", faults_text(trial.faults), [])
        _commit(org, trial)
    return Answer(None, 204)
