"""Records that metadata brings with it: permission sets with their grants, list views, record types, reports."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from crmsync.sandbox.granted import OBJECT_FLAGS
from crmsync.sandbox.metadata_types import FOLDERS, prefix_of
from crmsync.sandbox.org import Org
from crmsync.sandbox.permissions import FACT as PROFILE_FIELDS
from crmsync.sandbox.row_defaults import defaults
from crmsync.sandbox.rows import Rows
from crmsync.sandbox.schema import SObject
from crmsync.sandbox.schema_file import ACTIVITIES, ACTIVITY

IDS = "metadata ids"
Values = Mapping[str, Any]


def component_ids(org: Org) -> dict[str, str]:
    """Ids of components by `Type:FullName`."""
    found: dict[str, str] = org.store.fact(IDS) or {}
    return found


def new_id(org: Org, kind: str) -> str:
    """The id of a new component."""
    return org.next_id(prefix_of(kind))


def put_rows(rows: Rows, kind: str, name: str, values: Values, component_id: str) -> None:
    """Make or change the records of a component."""
    found = _WRITERS.get(kind)
    if found is not None:
        found(rows, name, values, component_id)
    elif kind in FOLDERS:
        _put_folder(rows, kind, name, values, component_id)


def drop_rows(rows: Rows, kind: str, component_id: str) -> None:
    """Delete the records of a component that is gone."""
    table = _TABLES.get(kind) or ("Folder" if kind in FOLDERS else None)
    sobject = rows.org.schema.find(table) if table else None
    if sobject is None:
        return
    if kind == "PermissionSet":
        for name, field in (("FieldPermissions", "ParentId"), ("ObjectPermissions", "ParentId"),
                            ("PermissionSetAssignment", "PermissionSetId")):  # fmt: skip
            _delete_where(rows, name, field, component_id)
    _delete_where(rows, sobject.name, "Id", component_id)


def _delete_where(rows: Rows, name: str, field: str, value: str) -> None:
    found = rows.connection.execute(f'SELECT "Id" FROM "{name}" WHERE "{field}" = ?', [value]).fetchall()
    rows.connection.execute(f'DELETE FROM "{name}" WHERE "{field}" = ?', [value])
    for (row_id,) in found:
        rows.add_change(name, row_id, "deleted")


def drop_grants(rows: Rows, sobject: str, field: str | None) -> None:
    """Delete what permission sets and profiles grant on an object or field that is gone."""
    if sobject.lower() == ACTIVITY.lower():
        for kind in ACTIVITIES:
            drop_grants(rows, kind, field)
        return
    known: dict[str, list[str]] = rows.org.store.fact(PROFILE_FIELDS) or {}
    if field is None:
        known.pop(sobject.lower(), None)
    elif sobject.lower() in known:
        known[sobject.lower()] = [name for name in known[sobject.lower()] if name != field.lower()]
    rows.org.store.keep_facts({PROFILE_FIELDS: known}, rows.connection)
    if field is not None:
        rows.connection.execute('DELETE FROM "FieldPermissions" WHERE "Field" = ? COLLATE NOCASE',
                                [f"{sobject}.{field}"])  # fmt: skip
        return
    for name in ("FieldPermissions", "ObjectPermissions"):
        rows.connection.execute(f'DELETE FROM "{name}" WHERE "SobjectType" = ? COLLATE NOCASE', [sobject])


def _put(rows: Rows, table: str, record_id: str, values: Values) -> None:
    sobject = rows.org.schema.find(table)
    assert sobject is not None
    known = {name: value for name, value in values.items() if sobject.field(name)}
    exists = rows.connection.execute(f'SELECT 1 FROM "{sobject.name}" WHERE "Id" = ?', [record_id]).fetchone()
    if exists:
        stamped = {"LastModifiedDate": rows.stamp, "LastModifiedById": rows.org.acting_id, "SystemModstamp": rows.stamp}
        row = known | {name: value for name, value in stamped.items() if sobject.field(name)}
        listed = ", ".join(f'"{name}" = ?' for name in row)
        rows.connection.execute(
            f'UPDATE "{sobject.name}" SET {listed}, "_version" = "_version" + 1 WHERE "Id" = ?',
            [*row.values(), record_id],
        )
    else:
        _insert(rows, sobject, defaults(rows.org, sobject, rows.stamp) | known | {"Id": record_id})
    rows.add_change(sobject.name, record_id, values=known)


def _insert(rows: Rows, sobject: SObject, row: Values) -> None:
    listed = ", ".join(f'"{name}"' for name in row)
    marks = ", ".join("?" * len(row))
    rows.connection.execute(f'INSERT INTO "{sobject.name}" ({listed}) VALUES ({marks})', list(row.values()))


def _put_permission_set(rows: Rows, name: str, values: Values, component_id: str) -> None:
    sobject = rows.org.schema.find("PermissionSet")
    assert sobject is not None
    flags = {field.name: 0 for field in sobject.fields if field.name.startswith("Permissions")}
    flags |= {f"Permissions{entry['name']}": int(bool(entry["enabled"]))
              for entry in values.get("userPermissions") or []}  # fmt: skip
    _put(rows, "PermissionSet", component_id, flags | {
        "Name": name, "Label": values["label"], "Description": values.get("description"),
        "HasActivationRequired": int(bool(values.get("hasActivationRequired"))),
    })  # fmt: skip
    for table in ("ObjectPermissions", "FieldPermissions"):
        _delete_where(rows, table, "ParentId", component_id)
    for entry in values.get("objectPermissions") or []:
        if not any(entry.get(flag) for flag in OBJECT_FLAGS):
            continue  # what grants nothing is not kept
        found = rows.org.schema.find(str(entry["object"]))
        given = {column: int(bool(entry.get(flag))) for flag, column in OBJECT_FLAGS.items()}
        _put(rows, "ObjectPermissions", rows.org.next_id("110"),
             given | {"ParentId": component_id, "SobjectType": found.name if found else entry["object"]})  # fmt: skip
    for entry in values.get("fieldPermissions") or []:
        if not (entry.get("readable") or entry.get("editable")):
            continue
        _put(rows, "FieldPermissions", rows.org.next_id("01k"), {
            "ParentId": component_id, "SobjectType": str(entry["field"]).partition(".")[0], "Field": entry["field"],
            "PermissionsRead": int(bool(entry.get("readable"))), "PermissionsEdit": int(bool(entry.get("editable"))),
        })  # fmt: skip


def _put_list_view(rows: Rows, name: str, values: Values, component_id: str) -> None:
    sobject, _, own = name.partition(".")
    _put(rows, "ListView", component_id,
         {"Name": values["label"], "DeveloperName": own, "SobjectType": sobject, "IsSoqlCompatible": 1})  # fmt: skip


def _put_record_type(rows: Rows, name: str, values: Values, component_id: str) -> None:
    sobject, _, own = name.partition(".")
    _put(rows, "RecordType", component_id, {
        "Name": values.get("label") or own, "DeveloperName": own, "SobjectType": sobject,
        "IsActive": int(values.get("active", True) is not False), "Description": values.get("description"),
    })  # fmt: skip


def _put_folder(rows: Rows, kind: str, name: str, values: Values, component_id: str) -> None:
    access = values.get("accessType") if values.get("accessType") in ("Shared", "Public", "Hidden") else "Public"
    _put(rows, "Folder", component_id, {
        "Name": values["name"], "DeveloperName": name, "AccessType": access, "Type": kind.removesuffix("Folder"),
    })  # fmt: skip


def _folder(rows: Rows, kind: str, name: str) -> tuple[str | None, str]:
    """(id, name) of the folder that a report or dashboard lies in."""
    developer = name.rpartition("/")[0]
    row = rows.connection.execute(
        'SELECT "Id", "Name" FROM "Folder" WHERE "DeveloperName" = ? AND "Type" = ?', [developer, kind]
    ).fetchone()
    return (row[0], row[1]) if row else (None, "Unfiled Public Reports")


def _put_report(rows: Rows, name: str, values: Values, component_id: str) -> None:
    folder_id, folder = _folder(rows, "Report", name)
    _put(rows, "Report", component_id, {
        "Name": values["name"], "DeveloperName": name.rpartition("/")[2], "OwnerId": folder_id, "FolderName": folder,
        "Format": values["format"], "Description": values.get("description"),
    })  # fmt: skip


def _put_dashboard(rows: Rows, name: str, values: Values, component_id: str) -> None:
    folder_id, folder = _folder(rows, "Dashboard", name)
    user = rows.connection.execute(
        'SELECT "Id" FROM "User" WHERE "Username" = ? COLLATE NOCASE', [str(values.get("runningUser") or "")]
    ).fetchone()
    _put(rows, "Dashboard", component_id, {
        "Title": values["title"], "DeveloperName": name.rpartition("/")[2], "FolderId": folder_id, "FolderName": folder,
        "Type": values.get("dashboardType"), "RunningUserId": user[0] if user else None,
        "Description": values.get("description"),
    })  # fmt: skip


_WRITERS: dict[str, Callable[[Rows, str, Values, str], None]] = {
    "PermissionSet": _put_permission_set, "ListView": _put_list_view, "RecordType": _put_record_type,
    "Report": _put_report, "Dashboard": _put_dashboard,
}  # fmt: skip
_TABLES = {name: name for name in _WRITERS}
