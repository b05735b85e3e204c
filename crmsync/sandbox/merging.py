"""Merging records and taking them back out of the recycle bin."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from crmsync.sandbox.answers import ApiError
from crmsync.sandbox.ids import to_18
from crmsync.sandbox.schema import SObject

if TYPE_CHECKING:
    from crmsync.sandbox.rows import Rows

_MERGEABLE = ("Account", "Contact", "Lead")
_MOST_LOSERS = 2


def merge(rows: Rows, sobject: SObject, master_id: str, loser_ids: Sequence[str]) -> str:
    """The master's id. The losers are deleted and name their master; what referred to them refers to the master.

    Errors: ApiError.
    """
    if sobject.name not in _MERGEABLE:
        raise ApiError(400, "INVALID_TYPE_FOR_OPERATION", f"entity type {sobject.name} does not support merge")
    if not 1 <= len(loser_ids) <= _MOST_LOSERS:
        raise ApiError(
            400, "INVALID_NUMBER_FIELDS", f"merge takes 1 or 2 records beside the master, not {len(loser_ids)}"
        )
    master = rows.live(sobject, master_id)
    losers = [rows.live(sobject, loser) for loser in loser_ids]
    if master in losers:
        raise ApiError(400, "INVALID_ID_FIELD", f"the master {master} cannot be merged into itself", ["Id"])
    for loser in losers:
        _move_children(rows, sobject, loser, master)
        rows.keep(sobject, loser, {"IsDeleted": 1, "MasterRecordId": master} | rows.modified(sobject))
        rows.add_change(sobject.name, loser, "merged", {"MasterRecordId": master})
        rows.note("merged", sobject, loser, {"MasterRecordId": master})
    rows.keep(sobject, master, rows.modified(sobject))
    rows.add_change(sobject.name, master)
    return master


def _move_children(rows: Rows, sobject: SObject, loser: str, master: str) -> None:
    for child in rows.org.schema.children_of(sobject):
        if child.field.name == "MasterRecordId":
            continue
        alive = ' AND "IsDeleted" = 0' if child.sobject.field("IsDeleted") else ""
        found = rows.connection.execute(
            f'SELECT "Id" FROM "{child.sobject.name}" WHERE "{child.field.name}" = ?{alive}', [loser]
        ).fetchall()
        for (child_id,) in found:
            # the parent of the master itself may have been the loser
            parent = None if child_id == master else master
            rows.keep(child.sobject, child_id, {child.field.name: parent} | rows.modified(child.sobject))
            rows.add_change(child.sobject.name, child_id, values={child.field.name: parent})


def undelete(rows: Rows, sobject: SObject, record_id: str) -> str:
    """The id of a record that is out of the recycle bin again, with the details that were deleted with it.

    Lookups that the deletion emptied stay empty. Errors: ApiError.
    """
    found = to_18(record_id)
    if sobject.field("IsDeleted") is None or found is None:
        raise ApiError(400, "UNDELETE_FAILED", f"{record_id[:40]}: nothing of {sobject.name} can be undeleted", [])
    row = rows.connection.execute(
        f'SELECT "IsDeleted", "SystemModstamp" FROM "{sobject.name}" WHERE "Id" = ?', [found]
    ).fetchone()
    if row is None or not row[0]:
        raise ApiError(400, "UNDELETE_FAILED", f"entity {found} is not in the recycle bin", [])
    _restore(rows, sobject, found, str(row[1]))
    return found


def _restore(rows: Rows, sobject: SObject, record_id: str, deleted_on: str) -> None:
    gone = {"MasterRecordId": None} if sobject.field("MasterRecordId") else {}
    rows.keep(sobject, record_id, {"IsDeleted": 0} | gone | rows.modified(sobject))
    rows.add_change(sobject.name, record_id, "undeleted")
    rows.note("undeleted", sobject, record_id, {})
    for child in rows.org.schema.children_of(sobject):
        if child.field.cascade_delete and child.sobject.field("IsDeleted"):
            found = rows.connection.execute(
                f'SELECT "Id" FROM "{child.sobject.name}" WHERE "{child.field.name}" = ? AND "IsDeleted" = 1 '
                'AND "SystemModstamp" = ?', [record_id, deleted_on],
            ).fetchall()  # fmt: skip
            for (child_id,) in found:
                _restore(rows, child.sobject, child_id, deleted_on)
