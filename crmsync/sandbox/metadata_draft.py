"""The org as it would be after a deploy: a working copy on which components are tried one by one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from copy import deepcopy
from typing import Any

from crmsync.sandbox.granted import permission_set_values
from crmsync.sandbox.metadata_package import Component
from crmsync.sandbox.metadata_types import BY_NAME, FOLDERS
from crmsync.sandbox.org import Org
from crmsync.sandbox.permissions import SETUP
from crmsync.sandbox.schema import Schema, SObject
from crmsync.sandbox.schema_file import ACTIVITY, SchemaError

IN_DEFINITION = {"CustomField": "fields", "RecordType": "recordTypes", "ValidationRule": "validationRules"}
"""Children of an object that stand in the org's definition, and under which key."""
CREATED, CHANGED, SAME, DELETED = "created", "changed", "unchanged", "deleted"


class RefusedError(Exception):
    """The org does not take a component; the message is the `problem` of the deploy."""


class Draft:
    """A working copy of definition and kept metadata; `touched` are the components in the order they were tried."""

    def __init__(self, org: Org) -> None:
        self.org = org
        self.definition: dict[str, Any] = deepcopy(org.definition)
        self.definition.setdefault("objects", {})
        self.kept: dict[tuple[str, str], dict[str, Any] | None] = {}
        self.touched: list[tuple[str, Component]] = []
        self._schema: Schema | None = org.schema

    @property
    def objects(self) -> dict[str, Any]:
        """Bodies of objects by name, as the definition holds them."""
        found: dict[str, Any] = self.definition["objects"]
        return found

    @property
    def schema(self) -> Schema:
        """The schema of the working copy. Errors: RefusedError when it has become impossible."""
        if self._schema is None:
            try:
                self._schema = self.org.changed(self.definition)[1]
            except SchemaError as error:
                raise RefusedError(str(error).removeprefix("schema: ")) from None
        return self._schema

    def changed_schema(self) -> None:
        """The schema is worked out anew when it is asked for."""
        self._schema = None

    def own_name(self, name: str) -> str | None:
        """The name of an object as the definition spells it."""
        return next((known for known in self.objects if known.lower() == name.lower()), None)

    def has_object(self, name: str) -> bool:
        """A standard object, or a custom one of the working copy."""
        return name.lower() == ACTIVITY.lower() or self.own_name(name) is not None or self._standard(name) is not None

    def spelled(self, name: str) -> str:
        """The canonical name of an object. Errors: RefusedError."""
        if name.lower() == ACTIVITY.lower():
            return ACTIVITY
        standard = self._standard(name)
        found = self.own_name(name) or (standard.name if standard else None)
        if found is None:
            raise RefusedError(f"no CustomObject named {name} found")
        return found

    def _standard(self, name: str) -> SObject | None:
        found = self.org.schema.find(name)
        return found if found is not None and not found.custom else None

    def standard_field(self, name: str, field: str) -> bool:
        """A field that the org itself has on an object."""
        found = self.org.schema.find(name)
        known = found.field(field) if found else None
        return known is not None and not known.custom

    def children(self, name: str, key: str) -> dict[str, Any]:
        """Fields, record types or rules of an object, for writing."""
        own = self.own_name(name) or self.spelled(name)
        body = self.objects.get(own) or {}
        self.objects[own] = body
        found: dict[str, Any] = body.get(key) or {}
        body[key] = found
        return found

    def child(self, name: str, key: str, child: str) -> dict[str, Any] | None:
        """One of them in any case, or None."""
        own = self.own_name(name)
        listed = ((self.objects.get(own) or {}).get(key) or {}) if own else {}
        return next((body or {} for known, body in listed.items() if known.lower() == child.lower()), None)

    def put(self, name: str, key: str, child: str, body: dict[str, Any]) -> str:
        """Put a field, record type or rule into the copy; tells whether it was created or changed.

        Errors: RefusedError when the schema would become impossible; the copy is as before then.
        """
        before = self.child(name, key, child)
        listed = self.children(name, key)
        spelled = next((known for known in listed if known.lower() == child.lower()), child)
        listed[spelled] = body
        self.changed_schema()
        try:
            self.schema  # noqa: B018  worked out here so that this component gets the blame
        except RefusedError:
            if before is None:
                del listed[spelled]
            else:
                listed[spelled] = before
            self.changed_schema()
            raise
        return CREATED if before is None else SAME if before == body else CHANGED

    def field_exists(self, name: str, field: str) -> bool:
        """A field of that name, standard or custom."""
        return self.child(name, "fields", field) is not None or self.standard_field(name, field)

    def find(self, kind: str, name: str) -> dict[str, Any] | None:
        """The kept values of a component, or None when the org has none."""
        if (kind, name) in self.kept:
            return self.kept[kind, name]
        found: dict[str, Any] | None = self.org.store.fact(fact_name(kind, name))
        return found

    def exists(self, kind: str, name: str) -> bool:
        """The org has this component."""
        first, _, rest = name.partition(".")
        if kind == "CustomObject":
            return self.has_object(name)
        if kind == "CustomField":
            return self.field_exists(first, rest)
        if kind in IN_DEFINITION:
            return self.child(first, IN_DEFINITION[kind], rest) is not None
        if kind == "PermissionSet" and (kind, name) not in self.kept:
            return permission_set_values(self.org, name) is not None
        return self.find(kind, name) is not None

    def keep(self, component: Component) -> str:
        """Keep the values of a component as they are; tells whether it was created or changed."""
        before = self.find(component.kind, component.name)
        values = {key: value for key, value in component.values.items() if key != "fullName"}
        self.kept[component.kind, component.name] = values
        return CREATED if before is None else SAME if before == values else CHANGED

    def names(self, kind: str) -> Iterator[str]:
        """Full names of the kept components of a type."""
        listed = set(kept_names(self.org, kind))
        for (known, name), values in self.kept.items():
            if known == kind:
                listed = listed - {name} if values is None else listed | {name}
        yield from sorted(listed)


def fact_name(kind: str, name: str) -> str:
    """Where a component's values are kept."""
    return f"metadata:{kind}:{name}"


def kept_names(org: Org, kind: str) -> list[str]:
    """Full names of the components of a type that the org keeps."""
    start = fact_name(kind, "")
    return [name.removeprefix(start) for name in org.store.fact_names(start)]


def members(org: Org, kind: str) -> list[str]:
    """Full names of all components of a type."""
    objects: Mapping[str, Any] = org.definition.get("objects") or {}
    if kind == "CustomObject":
        seen = (
            sobject.name
            for sobject in org.schema
            if sobject.custom or (sobject.createable and sobject.name not in SETUP)
        )
        return sorted([ACTIVITY, *seen])
    if kind in IN_DEFINITION:
        key = IN_DEFINITION[kind]
        return sorted(f"{name}.{child}" for name, body in objects.items() for child in ((body or {}).get(key) or {}))
    if kind == "PermissionSet":
        rows = org.store.reader().execute('SELECT "Name" FROM "PermissionSet" WHERE "IsOwnedByProfile" = 0')
        return sorted(row[0] for row in rows)
    return kept_names(org, kind) if kind in BY_NAME or kind in FOLDERS else []
