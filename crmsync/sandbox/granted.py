"""A permission set as metadata: what its records grant now, whoever wrote them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from crmsync.sandbox.org import Org

OBJECT_FLAGS = {
    "allowRead": "PermissionsRead", "allowCreate": "PermissionsCreate", "allowEdit": "PermissionsEdit",
    "allowDelete": "PermissionsDelete", "viewAllRecords": "PermissionsViewAllRecords",
    "modifyAllRecords": "PermissionsModifyAllRecords",
}  # fmt: skip
_KEPT = ("applicationVisibilities", "license", "recordTypeVisibilities", "tabSettings")


def permission_set_values(org: Org, name: str) -> dict[str, Any] | None:
    """The values of a permission set's file; None when the org has none of that name."""
    sobject = org.schema.find("PermissionSet")
    assert sobject is not None
    flags = [field.name for field in sobject.fields if field.name.startswith("Permissions")]
    columns = ["Id", "Name", "Label", "Description", "HasActivationRequired", *flags]
    listed = ", ".join(f'"{column}"' for column in columns)
    row = org.store.reader().execute(
        f'SELECT {listed} FROM "PermissionSet" WHERE "Name" = ? COLLATE NOCASE', [name]
    ).fetchone()  # fmt: skip
    if row is None:
        return None
    own = dict(zip(columns, row, strict=True))
    kept = org.store.fact(f"metadata:PermissionSet:{own['Name']}") or {}
    values: dict[str, Any] = {"fullName": own["Name"], **{key: kept[key] for key in _KEPT if key in kept}}
    if own["Description"]:
        values["description"] = own["Description"]
    return values | {
        "label": own["Label"], "hasActivationRequired": bool(own["HasActivationRequired"]),
        "fieldPermissions": _fields(org, own["Id"]), "objectPermissions": _objects(org, own["Id"]),
        "userPermissions": [{"enabled": True, "name": flag.removeprefix("Permissions")}
                            for flag in sorted(flags) if own[flag]],
    }  # fmt: skip


def granted(values: Mapping[str, Any]) -> dict[str, Any]:
    """What a permission set's values come to, whatever their order: without what grants nothing."""
    lists = {
        "fieldPermissions": ("field", ("readable", "editable")), "objectPermissions": ("object", tuple(OBJECT_FLAGS)),
        "userPermissions": ("name", ("enabled",)),
    }  # fmt: skip
    found: dict[str, Any] = {key: value for key, value in values.items() if key not in lists and key != "fullName"}
    found.setdefault("hasActivationRequired", False)
    for key, (name, flags) in lists.items():
        found[key] = {
            str(entry[name]).lower(): tuple(bool(entry.get(flag)) for flag in flags)
            for entry in values.get(key) or []
            if any(entry.get(flag) for flag in flags)
        }
    return found


def _fields(org: Org, parent: str) -> list[dict[str, Any]]:
    rows = org.store.reader().execute(
        'SELECT "Field", "PermissionsRead", "PermissionsEdit" FROM "FieldPermissions" WHERE "ParentId" = ? '
        'ORDER BY "Field"', [parent],
    )  # fmt: skip
    return [{"editable": bool(edit), "field": name, "readable": bool(read)} for name, read, edit in rows]


def _objects(org: Org, parent: str) -> list[dict[str, Any]]:
    listed = ", ".join(f'"{column}"' for column in OBJECT_FLAGS.values())
    rows = org.store.reader().execute(
        f'SELECT "SobjectType", {listed} FROM "ObjectPermissions" WHERE "ParentId" = ? ORDER BY "SobjectType"', [parent]
    )
    return [
        {flag: bool(value) for flag, value in zip(OBJECT_FLAGS, values, strict=True)} | {"object": name}
        for name, *values in rows
    ]
