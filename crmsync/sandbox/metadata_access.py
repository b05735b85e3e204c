"""Who may change metadata: administrators, and those whom a permission set lets."""

from __future__ import annotations

from crmsync.sandbox.answers import ApiError
from crmsync.sandbox.org import Org
from crmsync.sandbox.users import ADMINISTRATOR, INTEGRATION, caller

_FLAGS = ("PermissionsModifyMetadata", "PermissionsCustomizeApplication", "PermissionsModifyAllData")


def check_metadata(org: Org) -> None:
    """Errors: ApiError INSUFFICIENT_ACCESS unless the user of the call may change metadata."""
    user_id = caller()
    if user_id is None or may_change_metadata(org, user_id):
        return
    raise ApiError(
        403, "INSUFFICIENT_ACCESS",
        "use of the Metadata API requires a user with the ModifyAllData or ModifyMetadata permissions",
    )  # fmt: skip


def may_change_metadata(org: Org, user_id: str) -> bool:
    """What profile and permission sets say of a user."""
    if user_id == INTEGRATION and not org.options.least_privilege:
        return True
    reader = org.store.reader()
    row = reader.execute(
        'SELECT p."Name" FROM "User" u JOIN "Profile" p ON p."Id" = u."ProfileId" WHERE u."Id" = ?', [user_id]
    ).fetchone()
    if user_id != INTEGRATION and row and row[0] == ADMINISTRATOR:
        return True
    wanted = " OR ".join(f'p."{flag}" = 1' for flag in _FLAGS)
    found = reader.execute(
        'SELECT 1 FROM "PermissionSet" p JOIN "PermissionSetAssignment" a ON a."PermissionSetId" = p."Id" '
        f'WHERE a."AssigneeId" = ? AND ({wanted})', [user_id],
    ).fetchone()  # fmt: skip
    return found is not None
