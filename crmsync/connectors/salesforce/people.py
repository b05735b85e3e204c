"""Users of the org who decide on plans: whether they are active, are not ourselves, and may decide."""

from __future__ import annotations

from crmsync.connectors.base import Person
from crmsync.connectors.salesforce.describe import Describe
from crmsync.connectors.salesforce.faults import Refused
from crmsync.connectors.salesforce.ingest import user_id
from crmsync.connectors.salesforce.metadata.permissions import SALES_OPS
from crmsync.connectors.salesforce.org import Org
from crmsync.connectors.salesforce.rows import long_id
from crmsync.connectors.salesforce.soql import quoted, select
from crmsync.errors import AccessError, DataError


def read_person(org: Org, describe: Describe, person_id: str) -> Person:
    """One user. Errors: AccessError where this login may not see users or who holds a permission set."""
    found = _records(org, describe, "User", ("Id", "Username", "IsActive"), {"Id": long_id(person_id)})
    if not found:
        raise AccessError(f"user {person_id} is not seen by this login, so it cannot be told who decided")
    held = {"AssigneeId": long_id(person_id), "PermissionSet.Name": SALES_OPS}
    decides = bool(_records(org, describe, "PermissionSetAssignment", ("Id",), held))
    return Person(
        long_id(person_id), str(found[0].get("Username") or person_id), found[0].get("IsActive") is True, decides,
        _ours(org, person_id),
    )  # fmt: skip


def _ours(org: Org, person_id: str) -> bool:
    """Whether this is the user that we log in as; a login that may not ask (scope openid) is known by its records."""
    try:
        return user_id(org) == long_id(person_id)
    except (Refused, AccessError):
        return False


def _records(
    org: Org, describe: Describe, sobject: str, names: tuple[str, ...], held: dict[str, str]
) -> list[dict[str, object]]:
    asked = [describe.resolve(sobject, name) for name in names]
    condition = " AND ".join(f"{describe.resolve(sobject, name).path} = {quoted(text)}" for name, text in held.items())
    answer = org.query(select(asked, describe.object(sobject).name, condition))
    try:
        return [dict(record) for record in answer["records"]]
    except (TypeError, KeyError, ValueError):
        raise DataError(f"the query for {sobject} gave no list of records") from None
