"""The door of record trees: records with their children in one call, all or none."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from crmsync.sandbox.answers import Answer, ApiError, Call
from crmsync.sandbox.discovery import sobject_of
from crmsync.sandbox.org import Org
from crmsync.sandbox.rows import Rows
from crmsync.sandbox.schema import Child, SObject

MOST_RECORDS = 200
MOST_LEVELS = 5


class _RollBackError(Exception):
    """Undoes the transaction after its answer has been worked out."""


@dataclass
class _Tree:
    """What came of the records by their reference id, and which references were met."""

    org: Org
    rows: Rows
    met: set[str] = field(default_factory=set)
    made: list[dict[str, Any]] = field(default_factory=list)
    refused: list[dict[str, Any]] = field(default_factory=list)

    def plant(self, sobject: SObject, record: Any, link: tuple[str, str] | None, level: int) -> None:
        """Make a record below its parent, then its children."""
        reference = self._reference(sobject, record)
        if level > MOST_LEVELS:
            raise _wrong(f"A tree may have {MOST_LEVELS} levels")
        children = list(_children(self.org, sobject, record))
        nested = {name for name, _, _ in children}
        values = {name: value for name, value in record.items() if name != "attributes" and name not in nested}
        try:
            made = self.rows.create(sobject, values | ({link[0]: link[1]} if link else {}))
        except ApiError as error:
            self.refused.append({"referenceId": reference, "errors": [error.as_status()]})
            return
        self.made.append({"referenceId": reference, "id": made})
        for _, child, records in children:
            for inner in records:
                self.plant(child.sobject, inner, (child.field.name, made), level + 1)

    def _reference(self, sobject: SObject, record: Any) -> str:
        attributes = record.get("attributes") if isinstance(record, Mapping) else None
        if not isinstance(attributes, Mapping) or not isinstance(attributes.get("referenceId"), str):
            raise _wrong("Include a reference ID in the request: attributes.referenceId")
        if str(attributes.get("type", "")).lower() != sobject.name.lower():
            raise _wrong(f"attributes.type {attributes.get('type')!r:.60} is not {sobject.name}")
        reference = str(attributes["referenceId"])
        if reference in self.met:
            raise _wrong(f"Duplicate ReferenceId provided in the request: {reference[:80]}")
        self.met.add(reference)
        if len(self.met) > MOST_RECORDS:
            raise _wrong(f"A tree may have {MOST_RECORDS} records")
        return reference


def _wrong(message: str) -> ApiError:
    return ApiError(400, "INVALID_INPUT", message, [])


def _children(org: Org, sobject: SObject, record: Mapping[str, Any]) -> Iterator[tuple[str, Child, list[Any]]]:
    """(name, way down, records) of each child relationship that a record brings."""
    known = {child.field.children.lower(): child for child in org.visible.children_of(sobject) if child.field.children}
    for name, value in record.items():
        if isinstance(value, Mapping) and isinstance(value.get("records"), list):
            child = known.get(name.lower())
            if child is None:
                raise ApiError(
                    400, "INVALID_FIELD", f"No such relation '{name[:80]}' on sobject of type {sobject.name}"
                )
            yield name, child, value["records"]


def create(org: Org, call: Call) -> Answer:
    """POST `/composite/tree/{object}`: 201 with the ids, or 400 with what was refused; then nothing was made."""
    sobject = sobject_of(org, call)
    records = call.json_object().get("records")
    if not isinstance(records, list) or not records:
        raise ApiError(400, "INVALID_INPUT", "records must be a list with at least one record", [])
    tree: _Tree | None = None
    try:
        with org.rows() as rows:
            tree = _Tree(org, rows)
            for record in records:
                tree.plant(sobject, record, None, 1)
            if tree.refused:
                raise _RollBackError
    except _RollBackError:
        assert tree is not None
        return Answer({"hasErrors": True, "results": tree.refused}, 400)
    return Answer({"hasErrors": False, "results": tree.made}, 201)
