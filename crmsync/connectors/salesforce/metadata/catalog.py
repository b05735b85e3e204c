"""Every field that a permission set may have to name: what describe shows, what is hidden, and what is to be made.

A field that a deploy has just made is seen by nobody before a permission set grants it, so describe alone does not do.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from crmsync.connectors.mapping import Place, SalesforceMapping, TableMap
from crmsync.connectors.salesforce.describe import Describe, FieldPath, nearest
from crmsync.connectors.salesforce.metadata.components import FIELD, Body
from crmsync.connectors.salesforce.metadata.needs import Needs
from crmsync.connectors.salesforce.metadata.retrieved import Present
from crmsync.connectors.salesforce.soql import checked_filter
from crmsync.errors import AccessError, ConfigError


@dataclass(frozen=True)
class Entry:
    """One field. `permissionable`: not required and not of the system, so that a permission set may grant it;
    `master`: it points at the record that this one is a part of."""

    object: str
    name: str
    permissionable: bool
    relationship: str = ""
    targets: tuple[str, ...] = ()
    master: bool = False

    @property
    def full_name(self) -> str:
        """`Account.Partner_Tier__c`"""
        return f"{self.object}.{self.name}"


class Missing(AccessError):  # noqa: N818
    """A field of the field map that the org does not have and that no deploy makes."""


class Catalog:
    """Finds fields of the org, of the present metadata, and of what is to be made."""

    def __init__(self, describe: Describe, present: Present, needs: Needs) -> None:
        self._describe = describe
        self._present = present
        self._needs = needs
        self._entries: dict[str, Mapping[str, Entry]] = {}

    def object_name(self, name: str) -> str:
        """The object in the org's spelling."""
        found = self._describe.find(name)
        return found.name if found is not None else name

    def entries(self, name: str) -> Mapping[str, Entry]:
        """The fields of an object by their name in lower case; empty for one that does not exist."""
        if name.lower() not in self._entries:
            self._entries[name.lower()] = self._listed(name)
        return self._entries[name.lower()]

    def _listed(self, name: str) -> Mapping[str, Entry]:
        spelled = self.object_name(name)
        found: dict[str, Entry] = {}
        for need in self._needs.of(name):
            kind = need.said.shape
            found[need.name.lower()] = Entry(spelled, need.name, kind.value != "partner", _relation(need.name),
                                             (need.target,) if need.target else ())  # fmt: skip
        for one in self._present.of(FIELD, name):
            # of a standard field the definition says little; describe knows it better
            if one.own_name.lower().endswith("__c"):
                found[one.own_name.lower()] = _custom(spelled, one.own_name, one.body)
        described = self._describe.find(name)
        for field in described.fields.values() if described is not None else ():
            entry = Entry(spelled, field.name, field.permissionable, field.relationship or "", field.reference_to)
            before = found.get(field.name.lower())
            # The definition knows best of a custom field; describe knows the relationship of every one.
            found[field.name.lower()] = entry if before is None else before
        return found

    def masters(self, name: str) -> Iterator[str]:
        """The objects that records of this one are a part of, and theirs: who reads it has to read them."""
        for entry in self.entries(name).values():
            for target in entry.targets if entry.master else ():
                yield self.object_name(target)
                yield from self.masters(target) if target.lower() != name.lower() else ()

    def path(self, start: str, path: str) -> Iterator[Entry]:
        """The fields that `Relation__r.Field__c` goes over, each on its own object. Errors: Missing."""
        owner = start
        steps = path.split(".")
        for step in steps[:-1]:
            entry = self._relation(owner, step)
            yield entry
            owner = next((target for target in entry.targets if self.entries(target)), "")
            if not owner:
                raise Missing(
                    f"{entry.full_name} leads to {', '.join(entry.targets) or 'no object'}, which is not there"
                )
        last = self.entries(owner).get(steps[-1].lower())
        if last is None:
            near = nearest(steps[-1], (entry.name for entry in self.entries(owner).values()))
            raise Missing(f"field {owner}.{steps[-1]} does not exist in this org or is hidden from this login{near}")
        yield last

    def _relation(self, owner: str, step: str) -> Entry:
        for entry in self.entries(owner).values():
            if entry.relationship and entry.relationship.lower() == step.lower():
                return entry
        raise Missing(f"{owner} has no relationship {step}")

    def read_by(self, mapping: SalesforceMapping) -> Iterator[tuple[Place, Entry | Missing]]:
        """Every field that the field map reads, or why it cannot be read, with the place that asks for it."""
        for table in mapping.tables.values():
            for owner, place in self._places(table):
                try:
                    yield from ((place, entry) for entry in self.path(owner, place.text))
                except Missing as missing:
                    yield place, missing
            yield from self._filtered(mapping, table)

    def _places(self, table: TableMap) -> Iterator[tuple[str, Place]]:
        """(object, path) of everything that a table reads; who is credited may stand on records of another object."""
        own = table.object.text
        yield from ((own, place) for place in table.columns.values())
        for credited in table.partners:
            owner = credited.object.text if credited.object is not None else own
            yield owner, credited.partner
            if isinstance(credited.share, Place):
                yield owner, credited.share
            if credited.opportunity is not None:
                yield owner, credited.opportunity
            if credited.object is not None and credited.role is not None and self._is_field(owner, credited.role.text):
                yield owner, credited.role

    def _is_field(self, owner: str, role: str) -> bool:
        """Whether a role is a field of these records, and no word."""
        return role.lower() in self.entries(owner)

    def _filtered(self, mapping: SalesforceMapping, table: TableMap) -> Iterator[tuple[Place, Entry | Missing]]:
        if table.filter is None:
            return
        noted = _Noted(self._describe)
        try:
            checked_filter(table.filter.text, noted, table.object.text, mapping.file, table.filter.line)
        except ConfigError as error:
            yield table.filter, Missing(error.message)
            return
        for path in noted.paths:
            yield from ((table.filter, entry) for entry in self.path(table.object.text, path))


class _Noted(Describe):
    """Notes the paths that a filter asks for."""

    def __init__(self, inner: Describe) -> None:
        self._inner = inner
        self.paths: list[str] = []

    def resolve(self, start: str, path: str) -> FieldPath:
        found = self._inner.resolve(start, path)
        self.paths.append(found.path)
        return found


def _custom(owner: str, name: str, body: Body) -> Entry:
    master = body.get("type") == "MasterDetail"
    target = str(body.get("referenceTo") or "")
    targets = (target,) if target else ()
    return Entry(owner, name, not body.get("required") and not master, _relation(name), targets, master)


def _relation(name: str) -> str:
    return f"{name[:-3]}__r" if name.lower().endswith("__c") else ""
