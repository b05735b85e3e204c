"""Changes that a person makes at the org's screen, while a run is at work: edits, merges, deletes, undeletes.

They obey the rules on records, but no field permissions, are signed by an account manager, and do not count as effects
of clients.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from crmsync.sandbox.answers import ApiError
from crmsync.sandbox.faults import check_change
from crmsync.sandbox.org import Org
from crmsync.sandbox.schema import SObject
from crmsync.sandbox.users import MANAGER, acting_as, user_of


def change_as_person(org: Org, kind: str, given: Any) -> list[str]:
    """The ids of the records that were changed, one per entry of the list. Errors: ApiError."""
    ids = []
    for entry in given if isinstance(given, list) else [given]:
        check_change(kind, entry, kind)
        sobject = org.schema.find(str(entry["object"]))
        if sobject is None:
            raise ApiError(404, "NOT_FOUND", f"{kind}: the org has no object {entry['object']!r:.80}")
        found = user_of(org, str(entry["as"])) if "as" in entry else (MANAGER, True)
        if found is None:
            raise ApiError(404, "NOT_FOUND", f"{kind}: the org has no user {entry['as']!r:.80}")
        with acting_as(found[0]):
            ids.append(_change(org, kind, entry, sobject))
    return ids


def _change(org: Org, kind: str, entry: Mapping[str, Any], sobject: SObject) -> str:
    with org.rows(counted=False) as rows:
        if kind == "create":
            return rows.create(sobject, entry["fields"])
        if kind == "edit":
            return rows.update(sobject, str(entry["id"]), entry["fields"])
        if kind == "merge":
            return rows.merge(sobject, str(entry["master"]), [str(loser) for loser in entry["losers"]])
        if kind == "undelete":
            return rows.undelete(sobject, str(entry["id"]))
        return rows.delete(sobject, str(entry["id"]))
