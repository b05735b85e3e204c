"""Person accounts: an account that is a person, with a contact of its own that the org keeps in step."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from crmsync.sandbox.answers import ApiError
from crmsync.sandbox.schema import Choice, Field, SObject

if TYPE_CHECKING:
    from crmsync.sandbox.org import Org
    from crmsync.sandbox.rows import Rows

_TITLES = ("Mr.", "Ms.", "Mrs.", "Dr.", "Prof.", "Mx.")
_PARTS = ("Street", "City", "State", "PostalCode", "Country")
_LENGTHS = {"Street": 255, "City": 40, "State": 80, "PostalCode": 20, "Country": 80}
ON_CONTACT = {
    "FirstName": "FirstName", "LastName": "LastName", "Salutation": "Salutation", "PersonEmail": "Email",
    "PersonMobilePhone": "MobilePhone", "PersonHomePhone": "HomePhone", "PersonTitle": "Title",
    "PersonDepartment": "Department", "PersonBirthdate": "Birthdate", "Phone": "Phone", "Fax": "Fax",
    "OwnerId": "OwnerId", "Name": "Name",
} | {f"PersonMailing{part}": f"Mailing{part}" for part in _PARTS}  # fmt: skip
"""The contact's field for each field of a person account that it shares."""


def with_persons(sobject: SObject) -> SObject:
    """The object with the fields that it has where person accounts are switched on."""
    fixed: dict[str, Any] = {"createable": False, "updateable": False}
    flag = Field("IsPersonAccount", "Is Person Account", "boolean", nillable=False, default=False,
                 defaulted_on_create=True, **fixed)  # fmt: skip
    if sobject.name == "Account":
        return replace(sobject, fields=(*sobject.fields, *_account_fields(), flag))
    if sobject.name == "Contact":
        return replace(sobject, fields=(*sobject.fields, flag))
    if sobject.name == "RecordType":
        kind = Field("IsPersonType", "Is Person Type", "boolean", nillable=False, default=False,
                     defaulted_on_create=True)  # fmt: skip
        return replace(sobject, fields=(*sobject.fields, kind))
    return sobject


def _account_fields() -> list[Field]:
    mailing = [Field(f"PersonMailing{part}", f"Mailing {part}", "textarea" if part == "Street" else "string",
                     length=_LENGTHS[part], compound="PersonMailingAddress") for part in _PARTS]  # fmt: skip
    return [
        Field("LastName", "Last Name", "string", length=80, compound="Name"),
        Field("FirstName", "First Name", "string", length=40, compound="Name"),
        Field("Salutation", "Salutation", "picklist", length=40, compound="Name",
              choices=tuple(Choice(title, title) for title in _TITLES)),
        Field("PersonContactId", "Contact ID", "reference", length=18, reference_to=("Contact",),
              relationship="PersonContact", createable=False, updateable=False),
        *mailing,
        Field("PersonMailingAddress", "Mailing Address", "address", createable=False, updateable=False),
        Field("PersonMobilePhone", "Mobile", "phone", length=40),
        Field("PersonHomePhone", "Home Phone", "phone", length=40),
        Field("PersonEmail", "Email", "email", length=80),
        Field("PersonTitle", "Title", "string", length=80),
        Field("PersonDepartment", "Department", "string", length=80),
        Field("PersonBirthdate", "Birthdate", "date"),
    ]  # fmt: skip


def named_person(rows: Rows, sobject: SObject, values: Mapping[str, Any], before: Mapping[str, Any]) -> dict[str, Any]:
    """Name and IsPersonAccount of an account that is a person; nothing for a company. Errors: ApiError."""
    if not rows.org.features.person_accounts or sobject.name != "Account":
        return {}
    row = dict(before) | dict(values)
    person = bool(before.get("IsPersonAccount")) or (not before and _is_person(rows, row))
    if not person:
        wrong = [name for name in values if name in _ONLY_PERSONS and values[name] is not None]
        if wrong:
            raise _refused(wrong)
        return {}
    if "Name" in values:
        raise _refused(["Name"])
    if row.get("LastName") is None:
        raise ApiError(400, "REQUIRED_FIELD_MISSING", "Required fields are missing: [LastName]", ["LastName"])
    name = " ".join(part for part in (row.get("FirstName"), row["LastName"]) if part)
    return {"Name": name, "IsPersonAccount": 1}


_ONLY_PERSONS = frozenset(name for name in ON_CONTACT if name not in ("Phone", "Fax", "OwnerId", "Name"))


def _is_person(rows: Rows, row: Mapping[str, Any]) -> bool:
    kind = row.get("RecordTypeId")
    if kind is None:
        return row.get("LastName") is not None
    found = rows.connection.execute('SELECT "IsPersonType" FROM "RecordType" WHERE "Id" = ?', [kind]).fetchone()
    return bool(found and found[0])


def _refused(names: list[str]) -> ApiError:
    listed = ", ".join(names)
    return ApiError(400, "INVALID_FIELD_FOR_INSERT_UPDATE", f"Account: bad field names on insert/update call: {listed}",
                    names)  # fmt: skip


def keep_contact(rows: Rows, account_id: str, values: Mapping[str, Any]) -> None:
    """Make the contact of a new person account, or bring what it shares with the account up to date."""
    (contact_id, person) = rows.connection.execute(
        'SELECT "PersonContactId", "IsPersonAccount" FROM "Account" WHERE "Id" = ?', [account_id]
    ).fetchone()
    contact = rows.org.schema.find("Contact")
    if not person or contact is None:
        return
    shared = {ON_CONTACT[name]: value for name, value in values.items() if name in ON_CONTACT}
    if contact_id is None:
        contact_id = rows.insert(contact, shared | {"AccountId": account_id, "IsPersonAccount": 1})
        rows.connection.execute('UPDATE "Account" SET "PersonContactId" = ? WHERE "Id" = ?', [contact_id, account_id])
    elif shared:
        rows.keep(contact, contact_id, shared | rows.modified(contact))
        rows.add_change("Contact", contact_id, values=shared)


def complete_persons(org: Org, connection: sqlite3.Connection) -> None:
    """Flags and contacts of loaded person accounts: those with a last name, or that the data call so."""
    from crmsync.sandbox.rows import Rows

    connection.execute('UPDATE "Account" SET "IsPersonAccount" = 1 WHERE "LastName" IS NOT NULL')
    connection.execute(
        'UPDATE "Contact" SET "IsPersonAccount" = 1 WHERE "Id" IN (SELECT "PersonContactId" FROM "Account")'
    )
    rows = Rows(org, connection, org.clock.now())
    columns = list(ON_CONTACT)
    listed = ", ".join(f'"{name}"' for name in columns)
    found = connection.execute(
        f'SELECT "Id", {listed} FROM "Account" WHERE "IsPersonAccount" = 1 AND "PersonContactId" IS NULL'
    ).fetchall()
    for account_id, *values in found:
        keep_contact(rows, account_id, dict(zip(columns, values, strict=True)))
