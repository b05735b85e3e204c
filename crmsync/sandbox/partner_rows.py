"""Partners of an opportunity: a Partner row that names one is shown as an OpportunityPartner as well."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from crmsync.sandbox.schema import SObject

if TYPE_CHECKING:
    from crmsync.sandbox.rows import Rows

_SHARED = ("OpportunityId", "AccountToId", "Role", "IsPrimary")


def show_partner(rows: Rows, sobject: SObject, row: Mapping[str, Any]) -> None:
    """Make the OpportunityPartner of a new Partner of an opportunity."""
    shown = rows.org.schema.find("OpportunityPartner")
    if sobject.name == "Partner" and row.get("OpportunityId") and shown is not None:
        rows.insert(shown, {name: row.get(name) for name in _SHARED})


def hide_partner(rows: Rows, sobject: SObject, record_id: str) -> None:
    """Delete the OpportunityPartner of a Partner that is deleted."""
    shown = rows.org.schema.find("OpportunityPartner")
    if sobject.name != "Partner" or shown is None:
        return
    same = " AND ".join(f'o."{name}" IS p."{name}"' for name in _SHARED)
    found = rows.connection.execute(
        f'SELECT o."Id" FROM "Partner" p JOIN "OpportunityPartner" o ON {same} '
        'WHERE p."Id" = ? AND o."IsDeleted" = 0 ORDER BY o."Id" LIMIT 1', [record_id],
    ).fetchone()  # fmt: skip
    if found is not None:
        rows.discard(shown, found[0])
