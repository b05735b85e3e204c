"""What the org refuses of permission sets and their grants when they are written as records."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from crmsync.sandbox.answers import ApiError
from crmsync.sandbox.schema import SObject

if TYPE_CHECKING:
    from crmsync.sandbox.rows import Rows

_NEEDS = {
    "Create": ("Read",), "Edit": ("Read",), "Delete": ("Read", "Edit"), "ViewAllRecords": ("Read",),
    "ModifyAllRecords": ("Read", "Edit", "Delete", "ViewAllRecords"),
}  # fmt: skip


def check_setup(rows: Rows, sobject: SObject, given: Mapping[str, Any], own_id: str | None) -> None:
    """Errors: ApiError for a grant that cannot be, or that is there already. `given` are stored values."""
    check = _CHECKS.get(sobject.name)
    if check is None:
        return
    before: dict[str, Any] = {}
    if own_id is not None:
        names = [field.name for field in sobject.stored()]
        listed = ", ".join(f'"{name}"' for name in names)
        found = rows.connection.execute(f'SELECT {listed} FROM "{sobject.name}" WHERE "Id" = ?', [own_id]).fetchone()
        before = dict(zip(names, found, strict=True))
    check(rows, before | dict(given), own_id)


def _refuse_twice(rows: Rows, name: str, columns: tuple[str, str], row: Mapping[str, Any], own_id: str | None,
                  text: str) -> None:  # fmt: skip
    first, second = columns
    found = rows.connection.execute(
        f'SELECT "Id" FROM "{name}" WHERE "{first}" = ? AND "{second}" = ? COLLATE NOCASE AND "Id" <> ?',
        [row.get(first), row.get(second), own_id or ""],
    ).fetchone()
    if found is not None:
        raise ApiError(400, "DUPLICATE_VALUE", text, [])


def _assignment(rows: Rows, row: Mapping[str, Any], own_id: str | None) -> None:
    assignee, assigned = str(row.get("AssigneeId")), str(row.get("PermissionSetId"))
    text = f"Duplicate PermissionSetAssignment. Assignee: {assignee[:15]}; Permission Set: {assigned[:15]}"
    _refuse_twice(rows, "PermissionSetAssignment", ("AssigneeId", "PermissionSetId"), row, own_id, text)


def _permission_set(rows: Rows, row: Mapping[str, Any], own_id: str | None) -> None:
    found = rows.connection.execute(
        'SELECT 1 FROM "PermissionSet" WHERE "Name" = ? COLLATE NOCASE AND "Id" <> ?', [row.get("Name"), own_id or ""]
    ).fetchone()
    if found is not None:
        raise ApiError(400, "DUPLICATE_DEVELOPER_NAME", f"There is already a PermissionSet named {row.get('Name')}.",
                       ["Name"])  # fmt: skip


def _field(rows: Rows, row: Mapping[str, Any], own_id: str | None) -> None:
    name, full_name = str(row.get("SobjectType")), str(row.get("Field"))
    sobject = _object(rows, name)
    owner, _, own = full_name.partition(".")
    field = sobject.field(own)
    # an address is granted as a whole
    grantable = field is not None and (field.permissionable or field.kind == "compound")
    if owner.lower() != sobject.name.lower() or not grantable:
        raise _bad_value("Field Name", full_name, "Field")
    if row.get("PermissionsEdit") and not row.get("PermissionsRead"):
        raise _lacking(f"Edit {full_name}", f"Read {full_name}")
    text = f"duplicate value found: ParentId, Field duplicates value on a record with {full_name}"
    _refuse_twice(rows, "FieldPermissions", ("ParentId", "Field"), row, own_id, text)


def _object_grant(rows: Rows, row: Mapping[str, Any], own_id: str | None) -> None:
    name = _object(rows, str(row.get("SobjectType"))).name
    for flag, needed in _NEEDS.items():
        lacking = [other for other in needed if not row.get(f"Permissions{other}")]
        if row.get(f"Permissions{flag}") and lacking:
            raise _lacking(f"{flag} {name}", ", ".join(f"{other} {name}" for other in lacking))
    text = f"duplicate value found: ParentId, SobjectType duplicates value on a record with {name}"
    _refuse_twice(rows, "ObjectPermissions", ("ParentId", "SobjectType"), row, own_id, text)


def _object(rows: Rows, name: str) -> SObject:
    found = rows.org.schema.find(name)
    if found is None:
        raise _bad_value("Sobject Type Name", name, "SobjectType")
    return found


def _bad_value(label: str, value: str, field: str) -> ApiError:
    return ApiError(400, "INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST",
                    f"{label}: bad value for restricted picklist field: {value[:255]}", [field])  # fmt: skip


def _lacking(flag: str, needed: str) -> ApiError:
    return ApiError(400, "FIELD_INTEGRITY_EXCEPTION", f"Permission {flag} depends on permission(s): {needed}", [])


_CHECKS: dict[str, Callable[[Rows, Mapping[str, Any], str | None], None]] = {
    "PermissionSet": _permission_set, "PermissionSetAssignment": _assignment, "FieldPermissions": _field,
    "ObjectPermissions": _object_grant,
}  # fmt: skip
