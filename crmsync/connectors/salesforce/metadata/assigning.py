"""Giving a permission set to a user."""

from __future__ import annotations

import json

from crmsync.connectors.salesforce.describe import Describe
from crmsync.connectors.salesforce.org import Org
from crmsync.connectors.salesforce.soql import quoted, select
from crmsync.errors import AccessError, DataError


def assign(org: Org, describe: Describe, permission_set: str, username: str) -> bool:
    """Assign a permission set; False when the user had it already. Errors: AccessError naming what is unknown."""
    user = _one(org, describe, "User", {"Username": username})
    if user is None:
        raise AccessError(f"no user of this org has the username {username}; --assign takes the whole username")
    wanted = _one(org, describe, "PermissionSet", {"Name": permission_set})
    if wanted is None:
        raise AccessError(f"permission set {permission_set} does not exist in this org; run `crmsync deploy apply`")
    pair = {"AssigneeId": user, "PermissionSetId": wanted}
    if _one(org, describe, "PermissionSetAssignment", pair) is not None:
        return False
    headers = {"Content-Type": "application/json"}
    org.send("POST", "sobjects/PermissionSetAssignment", json.dumps(pair).encode(), headers)
    return True


def _one(org: Org, describe: Describe, sobject: str, values: dict[str, str]) -> str | None:
    paths = {name: describe.resolve(sobject, name) for name in ("Id", *values)}
    condition = " AND ".join(f"{paths[name].path} = {quoted(text)}" for name, text in values.items())
    answer = org.query(select([paths["Id"]], describe.object(sobject).name, condition))
    try:
        records = answer["records"]
        return str(records[0]["Id"]) if records else None
    except (TypeError, KeyError, IndexError):
        raise DataError(f"the query for {sobject} gave no list of records") from None
