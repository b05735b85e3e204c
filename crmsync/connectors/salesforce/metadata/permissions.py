"""Permission sets: the run user reads what the field map reads and edits what it writes; people see, some edit.

Required fields, master-detail fields and those of the system are granted to everybody and must not be listed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from crmsync.connectors.salesforce.metadata.catalog import Catalog, Entry, Missing
from crmsync.connectors.salesforce.metadata.components import PERMISSION_SET, PREFIX, Body, Component, described
from crmsync.connectors.salesforce.metadata.fields import FieldNeed
from crmsync.connectors.salesforce.metadata.needs import PLAN_RECORD, RECORDS, RUN_RECORD, Needs, SinkNeed

RUN, SALES_OPS, VIEW = f"{PREFIX}Run", f"{PREFIX}Sales_Ops", f"{PREFIX}View"

STANDARD_WITH_PERMISSIONS = frozenset(
    {
        "account", "asset", "campaign", "case", "channelprogram", "channelprogramlevel", "channelprogrammember",
        "contact", "contract", "individual", "lead", "opportunity", "order", "pricebook2", "product2",
        "serviceappointment", "servicecontract", "workorder",
    }
)  # fmt: skip
"""Standard objects that a permission set can open; others (User, Partner, rates) follow these or the profile."""

TASKS = ("ActivitiesAccess", "EditTask")
"""Permissions of a user who makes tasks, which are opened by no permission on the object."""


PEOPLE = ("ViewRoles", "ViewSetup")
"""Permissions of a user who must see to whom a permission set is assigned: who decided on a plan."""


@dataclass
class Granted:
    """What one permission set grants while it is put together."""

    read: dict[str, Entry] = field(default_factory=dict)
    edit: set[str] = field(default_factory=set)
    objects: dict[str, dict[str, bool]] = field(default_factory=dict)

    def field(self, entry: Entry, *, edit: bool = False) -> None:
        """Let a field be read, or edited too."""
        if entry.permissionable and (entry.name.lower().endswith("__c") or _has_permissions(entry.object)):
            self.read[entry.full_name] = entry
            if edit:
                self.edit.add(entry.full_name)

    def object(self, name: str, *, create: bool = False, edit: bool = False, every: bool = False) -> None:
        """Let records be read; `every`: those of all owners, too."""
        if _has_permissions(name):
            rights = self.objects.setdefault(name, {"allowRead": True})
            rights["allowCreate"] = create or rights.get("allowCreate", False)
            rights["allowEdit"] = edit or rights.get("allowEdit", False)
            rights["viewAllRecords"] = every or rights.get("viewAllRecords", False)

    def component(self, name: str, label: str, help_text: str, permissions: Iterable[str] = ()) -> Component:
        """The permission set."""
        body: Body = {
            "fullName": name,
            "description": described(help_text),
            "fieldPermissions": [
                {"editable": one in self.edit, "field": one, "readable": True} for one in sorted(self.read)
            ],
            "hasActivationRequired": False,
            "label": label,
            "objectPermissions": [_rights(one, rights) for one, rights in sorted(self.objects.items())],
            "userPermissions": [{"enabled": True, "name": one} for one in sorted(permissions)],
        }
        return Component(PERMISSION_SET, name, body)


def _rights(name: str, given: Mapping[str, bool]) -> dict[str, Any]:
    rights = ("allowCreate", "allowDelete", "allowEdit", "allowRead", "modifyAllRecords", "viewAllRecords")
    return {right: given.get(right, False) for right in rights} | {"object": name}


def _has_permissions(name: str) -> bool:
    return name.lower().endswith("__c") or name.lower() in STANDARD_WITH_PERMISSIONS


def permission_sets(needs: Needs, catalog: Catalog, read: Iterable[Entry]) -> Iterator[Component]:
    """The permission sets. `read`: every field that the field map reads."""
    yield _run(needs, catalog, read).component(
        RUN,
        "Crmsync: run",
        "For the user that crmsync logs in as: reads what the field map reads, edits only what it writes.",
        _run_permissions(needs),
    )
    yield _people(needs, catalog, overrides=True).component(
        SALES_OPS,
        "Crmsync: sales operations",
        "Sees every result of crmsync, edits exceptions and disputes, decides on plans that a guard has blocked.",
    )
    yield _people(needs, catalog, overrides=False).component(
        VIEW,
        "Crmsync: view",
        "For account managers: sees every result of crmsync, may dispute a tier.",
    )


def _run_permissions(needs: Needs) -> Iterator[str]:
    yield "ApiEnabled"
    if any(one.object == "Task" for one in needs.sinks):
        yield from TASKS
    if any(one.role == PLAN_RECORD for one in needs.objects):
        yield from PEOPLE


def _run(needs: Needs, catalog: Catalog, read: Iterable[Entry]) -> Granted:
    granted = Granted()
    for entry in read:
        for name in (entry.object, *catalog.masters(entry.object)):
            granted.object(name, every=True)
        granted.field(entry)
    account = catalog.object_name(needs.account)
    granted.object(account, edit=True, every=True)
    for one in needs.objects:
        if one.detail or one.role in RECORDS:
            granted.object(catalog.object_name(one.name), create=True, edit=True, every=True)
    for need, entry in _entries(needs, catalog):
        granted.field(entry, edit=need.written)
    for sink in needs.sinks:
        _grant_sink(granted, sink, catalog)
    return granted


def _grant_sink(granted: Granted, need: SinkNeed, catalog: Catalog) -> None:
    name = catalog.object_name(need.object)
    if not catalog.entries(need.object):
        return  # the org does not have it, and the plan says so
    granted.object(name, create=need.made, edit=bool(need.written), every=True)
    for path, edit in (*((path, False) for path in need.read), *((path, True) for path in need.written)):
        for entry in _path(need, path, catalog):
            if entry.object.lower() != name.lower():
                granted.object(entry.object, every=True)
            granted.field(entry, edit=edit)


def _path(need: SinkNeed, path: str, catalog: Catalog) -> tuple[Entry, ...]:
    try:
        return tuple(catalog.path(need.object, path))
    except Missing:
        return ()


def lacking_paths(need: SinkNeed, catalog: Catalog) -> Iterator[tuple[str, Missing]]:
    """The paths of a sink that the org does not have, and why."""
    for path in dict.fromkeys((*need.read, *need.written)):
        try:
            tuple(catalog.path(need.object, path))
        except Missing as missing:
            yield path, missing


def _people(needs: Needs, catalog: Catalog, *, overrides: bool) -> Granted:
    granted = Granted()
    granted.object(catalog.object_name(needs.account), edit=True)
    for one in needs.objects:
        mine = overrides and not one.detail and one.role != RUN_RECORD
        granted.object(catalog.object_name(one.name), create=mine and one.role != PLAN_RECORD, edit=mine)
    kept = {one.name.lower() for one in needs.objects if not one.detail}
    for need, entry in _entries(needs, catalog):
        exception = need.object.lower() in kept
        edit = not need.written and (overrides or not exception)
        granted.field(entry, edit=edit or (need.decided and overrides))
    return granted


def _entries(needs: Needs, catalog: Catalog) -> Iterator[tuple[FieldNeed, Entry]]:
    for need in needs.fields:
        entry = catalog.entries(need.records).get(need.name.lower())
        if entry is not None:
            yield need, entry


# --- what is there

_FIELD_RIGHTS = ("readable", "editable")
_OBJECT_RIGHTS = ("allowRead", "allowCreate", "allowEdit", "allowDelete", "viewAllRecords", "modifyAllRecords")


@dataclass(frozen=True)
class ComparedRights:
    """What a present permission set lacks. `widened`: with it (None: nothing lacks); `more`: what it grants beyond."""

    widened: Body | None
    added: tuple[str, ...]
    more: tuple[str, ...]


def compare_rights(wanted: Body, present: Body) -> ComparedRights:
    """A permission set is sent whole, so what people added to it is kept in what is sent."""
    merged, added, more = dict(present), [], []
    for part, key, rights in (
        ("fieldPermissions", "field", _FIELD_RIGHTS),
        ("objectPermissions", "object", _OBJECT_RIGHTS),
        ("userPermissions", "name", ("enabled",)),
    ):
        needed, held = _by_name(wanted, part, key), _by_name(present, part, key)
        for name, one in needed.items():
            lacking = [right for right in rights if one.get(right) and not held.get(name, {}).get(right)]
            if lacking:
                held[name] = {**one, **held.get(name, {}), **dict.fromkeys(lacking, True)}
                added.append(f"{one[key]} ({', '.join(lacking)})")
        for name, one in held.items():
            if beyond := [right for right in rights if one.get(right) and not needed.get(name, {}).get(right)]:
                more.append(f"{one[key]} ({', '.join(beyond)})")
        merged[part] = [held[name] for name in sorted(held)]
    return ComparedRights(merged if added else None, tuple(added), tuple(more))


def _by_name(body: Body, part: str, key: str) -> dict[str, dict[str, Any]]:
    return {str(one.get(key)).lower(): dict(one) for one in body.get(part) or ()}
