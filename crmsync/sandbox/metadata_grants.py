"""What the org refuses of a permission set in a deploy.

Texts are those of real orgs where public projects quote them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from crmsync.sandbox.granted import granted, permission_set_values
from crmsync.sandbox.metadata_draft import CHANGED, CREATED, SAME, Draft, RefusedError
from crmsync.sandbox.metadata_fields import check_developer_name, check_label
from crmsync.sandbox.metadata_package import Component
from crmsync.sandbox.schema import Field

_SHOWN = {"allowRead": "Read", "allowCreate": "Create", "allowEdit": "Edit", "allowDelete": "Delete",
          "viewAllRecords": "View All", "modifyAllRecords": "Modify All"}  # fmt: skip
_DEPENDS = {
    "allowCreate": ("allowRead",), "allowEdit": ("allowRead",), "allowDelete": ("allowRead", "allowEdit"),
    "viewAllRecords": ("allowRead",),
    "modifyAllRecords": ("allowRead", "allowEdit", "allowDelete", "viewAllRecords"),
}  # fmt: skip


def try_permission_set(draft: Draft, component: Component) -> str:
    """Put a permission set into the draft. Errors: RefusedError."""
    values = component.values
    check_developer_name(component.name, "Permission Set Name", 80)
    check_label(values.get("label"), "PermissionSet", 80)
    for key, element in (("fieldPermissions", "field"), ("objectPermissions", "object"), ("userPermissions", "name")):
        _refuse_twice(values.get(key) or [], key, element)
    for entry in values.get("fieldPermissions") or []:
        _check_field(draft, entry)
    objects = {str(entry["object"]).lower(): entry for entry in values.get("objectPermissions") or []}
    for entry in objects.values():
        _check_object(draft, entry, objects)
    known = user_permissions(draft)
    for entry in values.get("userPermissions") or []:
        if entry["name"] not in known:
            raise RefusedError(f"Unknown user permission: {entry['name']}")
    for entry in values.get("tabSettings") or []:
        tab = str(entry["tab"])
        if not tab.startswith("standard-") and not draft.exists("CustomTab", tab):
            raise RefusedError(f"In field: tab - no CustomTab named {tab} found")
    for entry in values.get("recordTypeVisibilities") or []:
        if not draft.exists("RecordType", str(entry["recordType"])):
            raise RefusedError(f"In field: recordType - no RecordType named {entry['recordType']} found")
    before = permission_set_values(draft.org, component.name)
    draft.keep(component)
    return CREATED if before is None else SAME if granted(before) == granted(values) else CHANGED


def user_permissions(draft: Draft) -> set[str]:
    """Names of the user permissions that a permission set of this org can hold."""
    sobject = draft.org.schema.find("PermissionSet")
    names = (known.name for known in sobject.fields) if sobject else ()
    return {name.removeprefix("Permissions") for name in names if name.startswith("Permissions")}


def _refuse_twice(entries: Iterable[Mapping[str, Any]], key: str, element: str) -> None:
    seen: set[str] = set()
    for entry in entries:
        name = str(entry.get(element) or "").lower()
        if name in seen:
            raise RefusedError(f"Duplicate {key} found: {element}: {entry.get(element)}")
        seen.add(name)


def field_named(draft: Draft, full_name: str) -> Field:
    """The field of `Account.X__c`. Errors: RefusedError as a permission set words it."""
    name, _, field = full_name.partition(".")
    sobject = draft.schema.find(name)
    if sobject is None:
        raise RefusedError(f"In field: field - no CustomObject named {name} found")
    found = sobject.field(field)
    if found is None:
        raise RefusedError(f"In field: field - no CustomField named {full_name} found")
    return found


def _check_field(draft: Draft, entry: Mapping[str, Any]) -> None:
    full_name = str(entry["field"])
    found = field_named(draft, full_name)
    if found.required or found.write_requires_master_read or found.relationship_order is not None:
        raise RefusedError(f"You cannot deploy to a required field: {full_name}")
    whole = found.kind == "compound"  # an address is granted as a whole
    if not found.permissionable and not whole:
        raise RefusedError(f"You cannot deploy to a field without field-level security: {full_name}")
    if entry.get("editable") and not entry.get("readable"):
        raise RefusedError(f"Permission Edit {full_name} depends on permission(s): Read {full_name}")
    if entry.get("editable") and not found.createable and not found.updateable and not whole:
        raise RefusedError(f"Cannot make {full_name} editable: the org itself fills it")


def _check_object(draft: Draft, entry: Mapping[str, Any], listed: Mapping[str, Mapping[str, Any]]) -> None:
    name = str(entry["object"])
    sobject = draft.schema.find(name)
    if sobject is None:
        raise RefusedError(f"In field: object - no CustomObject named {name} found")
    for flag, needed in _DEPENDS.items():
        lacking = [other for other in needed if not entry.get(other)]
        if entry.get(flag) and lacking:
            raise RefusedError(
                f"Permission {_SHOWN[flag]} {name} depends on permission(s): "
                + ", ".join(f"{_SHOWN[other]} {name}" for other in lacking)
            )
    for field in sobject.fields:
        if field.relationship_order is None or not entry.get("allowRead"):
            continue
        master = field.reference_to[0]
        if not (listed.get(master.lower()) or {}).get("allowRead"):
            raise RefusedError(f"Permission Read {name} depends on permission(s): Read {master}")
