"""What a copy takes: the objects of the field map, what they refer to, and which of their fields."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from crmsync.connectors.mapping import SalesforceMapping
from crmsync.connectors.salesforce.copying.schema import Described, is_custom, takes
from crmsync.connectors.salesforce.describe import is_identifier
from crmsync.connectors.salesforce.faults import Refused
from crmsync.connectors.salesforce.org import Org
from crmsync.errors import AccessError

OBJECTS_MAX = 60
Known = Mapping[str, frozenset[str]]
"""The standard objects that a sandbox has, with their fields."""

_SETUP: Mapping[str, tuple[str, ...]] = {
    "Organization": ("Id", "Name", "TimeZoneSidKey", "DefaultLocaleSidKey", "LanguageLocaleKey", "FiscalYearStartMonth",
                     "UsesStartDateAsFiscalYearName", "OrganizationType"),
    "OpportunityStage": ("Id", "MasterLabel", "ApiName", "IsActive", "SortOrder", "IsClosed", "IsWon",
                         "DefaultProbability", "ForecastCategoryName"),
    "CurrencyType": ("Id", "IsoCode", "ConversionRate", "DecimalPlaces", "IsActive", "IsCorporate"),
    "DatedConversionRate": ("Id", "IsoCode", "StartDate", "ConversionRate"),
    "RecordType": ("Id", "Name", "DeveloperName", "SobjectType", "IsActive"),
    "User": ("Id", "Username", "FirstName", "LastName", "Email", "Alias", "Title", "IsActive"),
}  # fmt: skip
"""Set-up objects that a copy always looks for, and what it takes of them."""
_STANDARD_PARENTS = frozenset({"Account", "Contact", "Opportunity"})
_NOT_CREATED = frozenset({"Id", "CreatedDate", "IsClosed", "IsWon"})
_NEVER = frozenset({"IsDeleted", "MasterRecordId", "IsPersonAccount"})
_UNREAD = ("name", "person_name", "reason", "approved_by")
"""Columns of tables whose text no program compares with anything, so it may be masked."""


@dataclass
class Extent:
    """Objects by name as the org spells them, with what describe says; `left`: what is not copied, and why."""

    objects: dict[str, Described] = field(default_factory=dict)
    left: list[str] = field(default_factory=list)

    def fields(self, name: str, known: Known) -> list[Mapping[str, Any]]:
        """The fields of an object that are copied."""
        described = self.objects[name]
        if name in _SETUP:
            return [one for one in described["fields"] if one["name"] in _SETUP[name]]
        return [one for one in described["fields"] if _copied(name, one, self.objects, known)]


def _copied(name: str, one: Mapping[str, Any], objects: Mapping[str, Described], known: Known) -> bool:
    label = str(one["name"])
    if label in _NEVER or one["type"] in ("address", "location", "complexvalue", "anyType", "base64"):
        return False
    if is_custom(label):
        return takes(one, objects)
    if name in known and label not in known[name]:
        return False
    if one["type"] == "reference" and not any(target in objects for target in one.get("referenceTo") or ()):
        return False
    return label in _NOT_CREATED or bool(one.get("createable"))


def extent_of(org: Org, mapping: SalesforceMapping, known: Known) -> Extent:
    """Describe the objects of the field map and what they refer to, in at most `OBJECTS_MAX` calls.

    Errors: AccessError when an object of a table does not exist.
    """
    found = Extent()
    needed = list(dict.fromkeys(_needed(mapping)))
    waiting = [*needed, *(name for name in _beside(mapping) if name not in needed), *_SETUP]
    asked: set[str] = set()
    while waiting:
        name = waiting.pop(0)
        if name.lower() in asked:
            continue
        if len(asked) >= OBJECTS_MAX:
            found.left.append(f"{name}: more than {OBJECTS_MAX} objects refer to each other")
            continue
        asked.add(name.lower())
        described = _described(org, name)
        if described is None:
            if name in needed:
                raise AccessError(f"object {name} does not exist in this org or is hidden from the user")
            continue
        spelled = str(described["name"])
        if not is_custom(spelled) and spelled not in known:
            found.left.append(f"{spelled}: a standard object that a sandbox does not have")
            continue
        found.objects[spelled] = described
        if spelled not in _SETUP:
            waiting += _parents(described)
    for name, described in found.objects.items():
        found.left += _left_out(name, described, found.objects)
    return found


def _needed(mapping: SalesforceMapping) -> Iterator[str]:
    for table in mapping.tables.values():
        yield table.object.text
        for credited in table.partners:
            if credited.object is not None:
                yield credited.object.text
    if mapping.writes is not None:
        yield mapping.writes.object.text


def _beside(mapping: SalesforceMapping) -> Iterator[str]:
    writes = mapping.writes
    for child in (writes.standings, writes.history) if writes is not None else ():
        if child is not None:
            yield child.object.text


def _parents(described: Described) -> Iterator[str]:
    for one in described["fields"]:
        for target in one.get("referenceTo") or ():
            if is_custom(str(target)) or target in _STANDARD_PARENTS:
                yield str(target)


def _described(org: Org, name: str) -> Described | None:
    if not is_identifier(name):
        return None
    try:
        answer: Described = org.get(f"sobjects/{name}/describe")
    except Refused as refusal:
        if refusal.status == 404 or refusal.code in ("NOT_FOUND", "INVALID_TYPE"):
            return None
        raise
    return answer


def _left_out(name: str, described: Described, objects: Mapping[str, Described]) -> Iterator[str]:
    for one in described["fields"]:
        label = f"{name}.{one['name']}"
        if not is_custom(str(one["name"])):
            continue
        if not takes(one, objects):
            to = ", ".join(one.get("referenceTo") or ())
            yield f"{label}: type {one['type']}{f' to {to}' if to else ''} is not copied"
        elif one.get("calculated"):
            yield f"{label}: a formula or roll-up; a plain field with the values of today stands for it"
        elif one.get("autoNumber"):
            yield f"{label}: an automatic number; a text field with its values stands for it"


def texts_in_use(mapping: SalesforceMapping) -> frozenset[str]:
    """Fields, as `object.field` in lower case, whose text programs, filters or later writes go by.

    A path through parents counts for its last field, whatever object that is of: `*.level__c`.
    """
    used: set[str] = set()
    for table in mapping.tables.values():
        for column, place in table.columns.items():
            if column not in _UNREAD:
                used |= _path(table.object.text, place.text)
        for credited in table.partners:
            for one in (credited.role, credited.share):
                if one is not None and hasattr(one, "text"):
                    used |= _path((credited.object or table.object).text, one.text)
    writes = mapping.writes
    if writes is not None:
        told = writes.fields.get("risk_reason")  # names deals and people: the next run writes it anew
        places = [place for place in (*writes.all_fields, *writes.partner_safe.values()) if place is not told]
        used |= {f"{writes.object.text}.{place.text}".lower() for place in places}
        for child in (writes.standings, writes.history):
            if child is not None:
                used |= {f"{child.object.text}.{place.text}".lower() for place in child.all_fields}
    return frozenset(used)


def _path(start: str, path: str) -> set[str]:
    first, dot, last = path.rpartition(".")
    return {f"*.{last}".lower()} if dot and first else {f"{start}.{path}".lower()}
