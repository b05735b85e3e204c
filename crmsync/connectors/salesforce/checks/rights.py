"""What the login may do beyond its work: every right too many is one that a stolen secret has too."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from crmsync.connectors.salesforce.checks.findings import Finding, look, told
from crmsync.connectors.salesforce.describe import Describe
from crmsync.connectors.salesforce.faults import Refused
from crmsync.connectors.salesforce.ingest import user_id
from crmsync.connectors.salesforce.metadata.permissions import RUN
from crmsync.connectors.salesforce.org import Org
from crmsync.connectors.salesforce.soql import quoted, select
from crmsync.errors import AccessError

ASSIGNED, SET = "PermissionSetAssignment", "PermissionSet"
BROAD: Mapping[str, str] = {
    "PermissionsModifyAllData": "change every record of the org",
    "PermissionsViewAllData": "see every record of the org",
    "PermissionsModifyMetadata": "change the org's metadata",
    "PermissionsCustomizeApplication": "change the org's set-up",
    "PermissionsManageUsers": "manage users",
    "PermissionsAssignPermissionSets": "give out permissions",
    "PermissionsBulkApiHardDelete": "delete records past the recycle bin",
}
"""Rights that no run needs; a deploy needs that of metadata."""


def rights_findings(org: Org, describe: Describe) -> Iterator[Finding]:
    """Rights of the logged-in user that no run needs, each with where it comes from; that it cannot be told."""
    try:
        held = list(_held(org, describe))
    except (Refused, AccessError):
        yield told("rights", "this login may not ask which rights it has (scope openid, or the object is hidden)")
        return
    for name, what in BROAD.items():
        through = sorted({label for label, flags in held if flags.get(name) is True})
        if through:
            way_out = f"run with a user whose rights are those of the permission set {RUN}; deploy with another one"
            yield look("rights", f"this login may {what} ({name}, through {', '.join(through)})", way_out)


def _held(org: Org, describe: Describe) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Name and flags of every permission set that the user has, its profile's among them."""
    sets = describe.object(SET)
    flags = [name for name in BROAD if sets.field(name) is not None]
    asked = [describe.resolve(ASSIGNED, f"{SET}.{name}") for name in ("Label", *flags)]
    condition = f"{describe.resolve(ASSIGNED, 'AssigneeId').path} = {quoted(user_id(org))}"
    answer = org.query(select(asked, describe.object(ASSIGNED).name, condition))
    for record in answer.get("records", ()) if isinstance(answer, dict) else ():
        found = record.get(SET) or {}
        yield str(found.get("Label") or "a permission set"), found
