"""Writing records: every check the org makes before a value is stored, and what follows from it."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from crmsync.sandbox import merging
from crmsync.sandbox.answers import ApiError, not_found
from crmsync.sandbox.effects import Change
from crmsync.sandbox.faults import twist
from crmsync.sandbox.ids import to_18
from crmsync.sandbox.partner_rows import hide_partner, show_partner
from crmsync.sandbox.person_accounts import keep_contact, named_person
from crmsync.sandbox.row_defaults import defaults, end_rates, name_record
from crmsync.sandbox.row_values import Convert, given_values, refuse_twins, require, require_kept
from crmsync.sandbox.schema import Field, SObject
from crmsync.sandbox.setup_checks import check_setup
from crmsync.sandbox.store import collation
from crmsync.sandbox.trail import Noted, Trail
from crmsync.sandbox.validation import Priors, Rulebook, check_duplicates, check_kind_values, guarded
from crmsync.sandbox.values import Stored, from_json

if TYPE_CHECKING:
    from crmsync.sandbox.org import Org


class SeveralFoundError(Exception):
    """An external id that several records carry."""

    def __init__(self, ids: list[str]) -> None:
        super().__init__(f"{len(ids)} records")
        self.ids = ids


@dataclass
class Rows:
    """Writes within one transaction, all with the same stamp. `changed` lists what was changed, in order."""

    org: Org
    connection: sqlite3.Connection
    stamp: str
    changed: list[Change] = field(default_factory=list)
    trail: Trail = field(default_factory=Trail)
    _rulebooks: dict[str, Rulebook] = field(default_factory=dict)

    def create(self, sobject: SObject, given: Mapping[str, Any], convert: Convert = from_json) -> str:
        """The id of the new record. Errors: ApiError with the code and text of the refusal."""
        if not sobject.createable:
            raise ApiError(400, "INVALID_TYPE_FOR_OPERATION", f"entity type {sobject.name} does not support create")
        if any(name.lower() == "id" for name in given):
            raise ApiError(400, "INVALID_FIELD_FOR_INSERT_UPDATE", "cannot specify Id in an insert call", ["Id"])
        seen, sobject = sobject, self.whole(sobject)
        twist().refuse_row(f"new {sobject.name} {len(self.changed)}")
        values = given_values(self, seen, given, convert, creating=True)
        values |= named_person(self, sobject, values, {})
        chosen = frozenset(values)
        row = defaults(self.org, sobject, self.stamp) | values
        require(sobject, row)
        row |= self.org.deriving.derived(sobject.name, row, chosen)
        refuse_twins(self, sobject, row, None)
        check_setup(self, sobject, row, None)
        check_kind_values(self, sobject, row.get("RecordTypeId"), row)
        with guarded(self, sobject):
            record_id = self.insert(sobject, row)
            if self.org.features.person_accounts and sobject.name == "Account":
                keep_contact(self, record_id, row)
            show_partner(self, sobject, row)
            self._check_rules(sobject, record_id, None, values)
        return record_id

    def insert(self, sobject: SObject, row: Mapping[str, Any]) -> str:
        """The id of a record with these stored values, and defaults for the rest, made without any check."""
        row = defaults(self.org, sobject, self.stamp) | dict(row)
        row["Id"] = self.org.next_id(sobject.prefix)
        name_record(self.org, sobject, row)
        kept = {known.name for known in sobject.stored()}
        names = [name for name in row if name in kept]
        listed = ", ".join(f'"{name}"' for name in names)
        marks = ", ".join("?" * len(names))
        self.connection.execute(
            f'INSERT INTO "{sobject.name}" ({listed}) VALUES ({marks})', [row[name] for name in names]
        )
        self._changed(sobject, str(row["Id"]), "created", row)
        told = {known.name: row.get(known.name) for known in sobject.fields if known.custom}
        self.note("created", sobject, str(row["Id"]), {name: one for name, one in told.items() if one is not None})
        return str(row["Id"])

    def add_change(
        self, name: str, record_id: str, kind: str = "changed", values: Mapping[str, Any] | None = None
    ) -> None:
        """Count one change of a record, once the transaction is committed."""
        self.changed.append(Change(name, record_id, kind, values))

    def _changed(self, sobject: SObject, record_id: str, kind: str, values: Mapping[str, Any]) -> None:
        """Note the change, and move the stamps of masters that sum the record up."""
        self.add_change(sobject.name, record_id, kind, values)
        if sobject.name == "DatedConversionRate":
            end_rates(self.connection)
        for link, master in self.org.schema.summed_by(sobject):
            self.connection.execute(
                f'UPDATE "{master.name}" SET "SystemModstamp" = ? WHERE "Id" = '
                f'(SELECT "{link.name}" FROM "{sobject.name}" WHERE "Id" = ?)', [self.stamp, record_id],
            )  # fmt: skip

    def note(
        self,
        kind: str,
        sobject: SObject,
        record_id: str,
        values: Mapping[str, Any],
        before: Mapping[str, Any] | None = None,
    ) -> None:
        """Keep for the page of recent changes what happened to a record. `before`: what the fields held."""
        self.trail.add(Noted(self.stamp, self.org.acting_id, kind, sobject.name, record_id, values, before or {}))

    def _rulebook(self, sobject: SObject) -> Rulebook | None:
        if not sobject.rules or not self.org.rules_on["validation"]:
            return None
        if sobject.name not in self._rulebooks:
            self._rulebooks[sobject.name] = Rulebook(self.org, sobject)
        return self._rulebooks[sobject.name]

    def _check_rules(self, sobject: SObject, record_id: str, priors: Priors | None, values: Mapping[str, Any]) -> None:
        """Errors: ApiError when the stored record breaks a rule; `priors` is None for a new record."""
        book = self._rulebook(sobject)
        if book is not None:
            book.check(self.connection, record_id, book.new() if priors is None else priors)
        if sobject.duplicate_rules and self.org.rules_on["duplicates"]:
            check_duplicates(self, sobject, record_id, priors is None, values)

    def update(self, sobject: SObject, record_id: str, given: Mapping[str, Any], convert: Convert = from_json) -> str:
        """The id of the updated record. Errors: ApiError."""
        found = self.live(sobject, record_id)
        seen, sobject = sobject, self.whole(sobject)
        if not sobject.updateable:
            raise ApiError(400, "INVALID_TYPE_FOR_OPERATION", f"entity type {sobject.name} does not support update")
        if not seen.updateable:
            raise _no_access()
        twist().refuse_row(found)
        values = given_values(self, seen, given, convert, creating=False)
        values |= self._named_again(sobject, found, values)
        require_kept(sobject, values)
        chosen = frozenset(values)
        if self.org.deriving.needs(sobject.name, chosen):
            parts = self.org.deriving.parts(sobject.name)
            listed = ", ".join(f'"{part}"' for part in parts)
            before = self.connection.execute(
                f'SELECT {listed} FROM "{sobject.name}" WHERE "Id" = ?', [found]
            ).fetchone()
            stays = (
                chosen if sobject.name != "Opportunity" or "StageName" in chosen else chosen | {"Probability", "IsWon"}
            )
            values |= self.org.deriving.derived(sobject.name, dict(zip(parts, before, strict=True)) | values, stays)
        refuse_twins(self, sobject, values, found)
        check_setup(self, sobject, values, found)
        self._check_kind(sobject, found, values)
        book = self._rulebook(sobject)
        priors = book.priors(self.connection, found) if book else {}
        held = self._held(sobject, found, values)
        with guarded(self, sobject):
            self.keep(sobject, found, values | self.modified(sobject))
            if self.org.features.person_accounts and sobject.name == "Account":
                keep_contact(self, found, values)
            self._check_rules(sobject, found, priors, values)
        self._changed(sobject, found, "changed", values)
        self.note("changed", sobject, found, values, held)
        return found

    def _held(self, sobject: SObject, record_id: str, values: Mapping[str, Any]) -> dict[str, Any]:
        """What the fields that are about to be written hold."""
        names = [known.name for known in sobject.stored() if known.name in values]
        if not names:
            return {}
        listed = ", ".join(f'"{name}"' for name in names)
        row = self.connection.execute(f'SELECT {listed} FROM "{sobject.name}" WHERE "Id" = ?', [record_id]).fetchone()
        return dict(zip(names, row, strict=True))

    def _check_kind(self, sobject: SObject, record_id: str, values: Mapping[str, Any]) -> None:
        """Values by record type: of the given picklists, or of all of them when the type changes."""
        if not any(kind.values for kind in sobject.kinds):
            return
        names = ["RecordTypeId", *dict.fromkeys(name for kind in sobject.kinds for name, _ in kind.values)]
        listed = ", ".join(f'"{name}"' for name in names)
        row = self.connection.execute(f'SELECT {listed} FROM "{sobject.name}" WHERE "Id" = ?', [record_id]).fetchone()
        after = dict(zip(names, row, strict=True)) | dict(values)
        checked = after if "RecordTypeId" in values else values
        check_kind_values(self, sobject, after["RecordTypeId"], checked)

    def _named_again(self, sobject: SObject, record_id: str, values: Mapping[str, Any]) -> dict[str, Any]:
        if not self.org.features.person_accounts or sobject.name != "Account":
            return {}
        names = ("IsPersonAccount", "FirstName", "LastName")
        listed = ", ".join(f'"{name}"' for name in names)
        row = self.connection.execute(f'SELECT {listed} FROM "Account" WHERE "Id" = ?', [record_id]).fetchone()
        return named_person(self, sobject, values, dict(zip(names, row, strict=True)))

    def upsert(
        self,
        sobject: SObject,
        key: Field,
        value: Any,
        given: Mapping[str, Any],
        convert: Convert = from_json,
        update_only: bool = False,
    ) -> tuple[str, bool]:
        """(record id, created). Errors: ApiError; SeveralFoundError when several records carry the key."""
        if key.name == "Id":
            return self.update(sobject, str(value), given, convert), False
        stored = convert(self.org.schema, key, value)
        if stored is None:
            raise ApiError(400, "MISSING_ARGUMENT", f"{key.name} not specified", [])
        ids = self.find(sobject, key, stored)
        if len(ids) > 1:
            raise SeveralFoundError(ids)
        if ids:
            return self.update(sobject, ids[0], given, convert), False
        if update_only:
            raise not_found()
        return self.create(sobject, {**given, key.name: value}, convert), True

    def delete(self, sobject: SObject, record_id: str) -> str:
        """The id of the record that is now in the recycle bin. Errors: ApiError."""
        found = self.live(sobject, record_id)
        seen, sobject = sobject, self.whole(sobject)
        if not sobject.deletable:
            raise ApiError(400, "INVALID_TYPE_FOR_OPERATION", f"entity type {sobject.name} does not support delete")
        if not seen.deletable:
            raise _no_access()
        twist().refuse_row(found)
        self.discard(sobject, found)
        return found

    def merge(self, sobject: SObject, master_id: str, loser_ids: Sequence[str]) -> str:
        """The master's id, after one or two records were merged into it. Errors: ApiError."""
        return merging.merge(self, self.whole(sobject), master_id, loser_ids)

    def undelete(self, sobject: SObject, record_id: str) -> str:
        """The id of a record that is out of the recycle bin again. Errors: ApiError."""
        return merging.undelete(self, self.whole(sobject), record_id)

    def live(self, sobject: SObject, record_id: str) -> str:
        """The 18-character id of a record that exists. Errors: ApiError MALFORMED_ID, NOT_FOUND, ENTITY_IS_DELETED."""
        found = to_18(record_id)
        if found is None:
            raise ApiError(
                400, "MALFORMED_ID", f"{sobject.label} ID: id value of incorrect type: {record_id[:255]}", ["Id"]
            )
        deletes = sobject.field("IsDeleted") is not None
        row = self.connection.execute(
            f'SELECT {chr(34) + "IsDeleted" + chr(34) if deletes else 0} FROM "{sobject.name}" WHERE "Id" = ?', [found]
        ).fetchone()
        if row is None:
            raise not_found()
        if row[0]:
            raise ApiError(404, "ENTITY_IS_DELETED", "entity is deleted", [])
        return found

    def find(self, sobject: SObject, key: Field, stored: Stored) -> list[str]:
        """Ids of the live records that carry a key value."""
        alive = ' AND "IsDeleted" = 0' if sobject.field("IsDeleted") else ""
        rows = self.connection.execute(
            f'SELECT "Id" FROM "{sobject.name}" WHERE "{key.name}" = ?{collation(key)}{alive} LIMIT 20', [stored]
        )
        return [row[0] for row in rows]

    def version(self, sobject: SObject, record_id: str) -> tuple[int, str] | None:
        """(how often written, last change) of a record, for conditional requests."""
        stamp = '"SystemModstamp"' if sobject.field("SystemModstamp") else "''"
        row = self.connection.execute(
            f'SELECT "_version", {stamp} FROM "{sobject.name}" WHERE "Id" = ?', [record_id]
        ).fetchone()
        return (row[0], row[1]) if row else None

    def whole(self, sobject: SObject) -> SObject:
        """The object with the fields that the user may not see."""
        return self.org.schema.find(sobject.name) or sobject

    def modified(self, sobject: SObject) -> dict[str, Any]:
        """The audit fields of a change by the acting user."""
        audit = {"LastModifiedDate": self.stamp, "LastModifiedById": self.org.acting_id, "SystemModstamp": self.stamp}
        return {name: value for name, value in audit.items() if sobject.field(name)}

    def keep(self, sobject: SObject, record_id: str, values: Mapping[str, Any]) -> None:
        """Store these values of a record without any check."""
        listed = ", ".join(f'"{name}" = ?' for name in values)
        sets = f"{listed}, " if listed else ""
        self.connection.execute(
            f'UPDATE "{sobject.name}" SET {sets}"_version" = "_version" + 1 WHERE "Id" = ?',
            [*values.values(), record_id],
        )

    def discard(self, sobject: SObject, record_id: str) -> None:
        """Put a record into the recycle bin with its details, without any check of what the user may do."""
        hide_partner(self, sobject, record_id)
        for child in self.org.schema.children_of(sobject):
            alive = ' AND "IsDeleted" = 0' if child.sobject.field("IsDeleted") else ""
            rows = self.connection.execute(
                f'SELECT "Id" FROM "{child.sobject.name}" WHERE "{child.field.name}" = ?{alive}', [record_id]
            ).fetchall()
            for (child_id,) in rows:
                if child.field.restricted_delete:
                    raise ApiError(
                        400, "DELETE_FAILED",
                        f"Your attempt to delete {record_id} could not be completed because it is associated with "
                        f"{child.sobject.label}: {child_id}", [],
                    )  # fmt: skip
                if child.field.cascade_delete:
                    self.discard(child.sobject, child_id)
                elif child.field.nillable:
                    self.keep(child.sobject, child_id, {child.field.name: None, "SystemModstamp": self.stamp})
        if sobject.field("IsDeleted") is None:
            self.connection.execute(f'DELETE FROM "{sobject.name}" WHERE "Id" = ?', [record_id])
        else:
            self.keep(sobject, record_id, {"IsDeleted": 1} | self.modified(sobject))
        self._changed(sobject, record_id, "deleted", {})
        self.note("deleted", sobject, record_id, {})


def _no_access() -> ApiError:
    return ApiError(403, "INSUFFICIENT_ACCESS_OR_READONLY", "insufficient access rights on object id", [])
