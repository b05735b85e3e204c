"""Profiles and permission sets: which objects and fields a user may see and write.

A profile other than the least one grants what the org had when it was filled (fact `profile fields`). What comes later
is seen by nobody until a permission set that is assigned to the user grants it; required fields and fields of a master
come with their object.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from threading import Lock
from typing import TYPE_CHECKING

from crmsync.sandbox.effects import Change
from crmsync.sandbox.schema import Field, Schema, SObject
from crmsync.sandbox.users import ADMINISTRATOR, INTEGRATION, LEAST

if TYPE_CHECKING:
    from crmsync.sandbox.org import Org

FACT = "profile fields"
_WATCHED = frozenset(
    {"PermissionSet", "PermissionSetAssignment", "FieldPermissions", "ObjectPermissions", "User", "Profile"}
)
SETUP = frozenset({
    "Organization", "User", "Group", "Profile", "UserRole", "RecordType", "OpportunityStage", "CurrencyType",
    "DatedConversionRate", "PermissionSet", "PermissionSetAssignment", "PermissionSetLicense",
    "PermissionSetLicenseAssign", "FieldPermissions", "ObjectPermissions", "ListView", "Folder", "Report", "Dashboard",
})  # fmt: skip
"""Objects that everybody may read and only those who may modify all data write."""
FOLLOWS = {
    "Partner": "Opportunity", "OpportunityPartner": "Opportunity", "OpportunityContactRole": "Opportunity",
    "Task": "Account", "Event": "Account", "ChannelProgramMember": "ChannelProgram",
    "ChannelProgramLevel": "ChannelProgram",
}  # fmt: skip
"""Objects without permissions of their own: they go by another object's, and so do their standard fields."""
_FLAGS = ("Read", "Create", "Edit", "Delete")


@dataclass
class Grants:
    """What one user was granted; names are in lower case, `objects` holds letters of Read, Create, Edit, Delete."""

    all_objects: bool = False
    objects: dict[str, set[str]] = field(default_factory=dict)
    read: set[tuple[str, str]] = field(default_factory=set)
    edit: set[tuple[str, str]] = field(default_factory=set)
    all_fields: set[str] = field(default_factory=set)  # objects of which every field may be read

    def of(self, name: str) -> set[str]:
        """What the user may do with the records of an object."""
        if self.all_objects:
            return set("RCED")
        if name in SETUP:
            return {"R"}
        found = self.objects.get(name.lower())
        if found is None and name in FOLLOWS:
            found = self.objects.get(FOLLOWS[name].lower(), set())
            # who may edit an opportunity may add and take away its partners and contact roles
            return found | ({"C", "D"} if "E" in found else set())
        return found or set()


@dataclass
class Permissions:
    """The schema as each user sees it, kept until the schema or a permission changes."""

    version: int = 0
    changed: datetime | None = None  # the last change of a permission, in whole seconds, later than the one before
    _views: dict[str, tuple[Schema, Schema]] = field(default_factory=dict)
    _lock: Lock = field(default_factory=Lock)

    def visible(self, org: Org, user_id: str) -> Schema:
        """The schema that a user sees; the org's own one where nothing is withheld."""
        whole = org.schema
        found = self._views.get(user_id)
        if found is not None and found[0] is whole:
            return found[1]
        version = self.version
        view = _seen(whole, grants_of(org, user_id))
        with self._lock:
            if version == self.version:
                self._views[user_id] = (whole, view)
        return view

    def forget(self) -> None:
        """Work out every view anew."""
        with self._lock:
            self.version += 1
            self._views.clear()
            now = datetime.now(UTC).replace(microsecond=0)
            # later than what any client has seen within this second
            self.changed = max(now, self.changed or now) + timedelta(seconds=1)

    def notice(self, changed: Iterable[Change]) -> None:
        """Forget the views when one of these changed records says who may do what."""
        if any(change.object in _WATCHED for change in changed):
            self.forget()


def grants_of(org: Org, user_id: str) -> Grants:
    """What profile and permission sets grant a user."""
    reader = org.store.reader()
    row = reader.execute(
        'SELECT p."Name" FROM "User" u LEFT JOIN "Profile" p ON p."Id" = u."ProfileId" WHERE u."Id" = ?', [user_id]
    ).fetchone()
    profile = row[0] if row else None
    found = Grants()
    if user_id == INTEGRATION:
        # a state of another start may hold the other profile
        profile = LEAST if org.options.least_privilege else ADMINISTRATOR
    found.all_objects = profile == ADMINISTRATOR or _modifies_all(reader, user_id)
    if profile != LEAST:
        for name, fields in (org.store.fact(FACT) or {}).items():
            found.objects[name] = set("RCED")
            found.read |= {(name, known) for known in fields}
        found.edit |= found.read
    _add_permission_sets(reader, user_id, found)
    return found


_ASSIGNED = 'JOIN "PermissionSetAssignment" a ON a."PermissionSetId" = p."{link}" AND a."AssigneeId" = ?'


def _modifies_all(reader: sqlite3.Connection, user_id: str) -> bool:
    joined = _ASSIGNED.format(link="Id")
    found = reader.execute(
        f'SELECT 1 FROM "PermissionSet" p {joined} WHERE p."PermissionsModifyAllData" = 1', [user_id]
    ).fetchone()
    return found is not None


def _add_permission_sets(reader: sqlite3.Connection, user_id: str, found: Grants) -> None:
    joined = _ASSIGNED.format(link="ParentId")
    columns = ", ".join(f'"Permissions{flag}"' for flag in _FLAGS)
    more = '"PermissionsViewAllRecords", "PermissionsModifyAllRecords", "PermissionsViewAllFields"'
    for name, *flags, view_all, modify_all, all_fields in reader.execute(
        f'SELECT "SobjectType", {columns}, {more} FROM "ObjectPermissions" p {joined}', [user_id]
    ):
        allowed = {flag[0] for flag, given in zip(_FLAGS, flags, strict=True) if given}
        allowed |= {"R"} if view_all else set()
        allowed |= set("RED") if modify_all else set()
        found.objects.setdefault(str(name).lower(), set()).update(allowed)
        if all_fields:
            found.all_fields.add(str(name).lower())
    for full_name, read, edit in reader.execute(
        f'SELECT "Field", "PermissionsRead", "PermissionsEdit" FROM "FieldPermissions" p {joined}', [user_id]
    ):
        name, _, known = str(full_name).lower().partition(".")
        if read or edit:
            found.read.add((name, known))
        if edit:
            found.edit.add((name, known))


def _seen(whole: Schema, grants: Grants) -> Schema:
    objects: list[SObject] = []
    same = True
    for sobject in whole:
        allowed = grants.of(sobject.name)
        if "R" not in allowed:
            same = False
            continue
        view = _seen_object(sobject, allowed, grants)
        same = same and view is sobject
        objects.append(view)
    return whole if same else Schema(objects, whole.multi_currency)


def _seen_object(sobject: SObject, allowed: set[str], grants: Grants) -> SObject:
    fields = tuple(view for known in sobject.fields if (view := _seen_field(sobject, known, allowed, grants)))
    parts = {known.compound for known in fields}
    fields = tuple(known for known in fields if known.kind != "compound" or known.name in parts)
    flags = (
        sobject.createable and "C" in allowed, sobject.updateable and "E" in allowed,
        sobject.deletable and "D" in allowed,
    )  # fmt: skip
    if fields == sobject.fields and flags == (sobject.createable, sobject.updateable, sobject.deletable):
        return sobject
    return replace(sobject, fields=fields, createable=flags[0], updateable=flags[1], deletable=flags[2])


def _seen_field(sobject: SObject, known: Field, allowed: set[str], grants: Grants) -> Field | None:
    unlisted = sobject.name in SETUP or sobject.name in FOLLOWS
    free = not known.permissionable or (unlisted and not known.custom)
    if not (free or sobject.name.lower() in grants.all_fields or _granted(grants.read, sobject, known)):
        return None
    edits = free or _granted(grants.edit, sobject, known)
    createable = known.createable and edits and "C" in allowed
    updateable = known.updateable and edits and "E" in allowed
    if (createable, updateable) == (known.createable, known.updateable):
        return known
    return replace(known, createable=createable, updateable=updateable)


def _granted(granted: set[tuple[str, str]], sobject: SObject, known: Field) -> bool:
    """A field is granted by its own name, or by that of the address that it is a part of."""
    name = sobject.name.lower()
    compound = known.compound
    return (name, known.name.lower()) in granted or (compound is not None and (name, compound.lower()) in granted)


def start_fields(schema: Schema) -> dict[str, list[str]]:
    """The fields of every object, in lower case, for the fact `profile fields`."""
    return {sobject.name.lower(): [known.name.lower() for known in sobject.fields] for sobject in schema}
