"""What the org says its objects and fields are. The only place that identifiers for queries and writes come from."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from types import MappingProxyType
from typing import Any
from urllib.parse import quote

from crmsync.connectors.base import NotThere
from crmsync.connectors.salesforce.faults import Refused
from crmsync.connectors.salesforce.org import ORGANIZATION, Org
from crmsync.connectors.salesforce.together import TOGETHER, get_together
from crmsync.errors import AccessError, ConfigError, DataError

COMPOUND = frozenset({"address", "location", "complexvalue"})
NUMBERS = frozenset({"double", "currency", "percent", "int", "long"})
RELATIONSHIP_STEPS = 5  # what SOQL allows

ABSENT = "does not exist in this org"
"""Stands in every message about an object or field that the org does not show."""


@dataclass(frozen=True)
class Field:
    """One field. `type` is Salesforce's own word (currency, picklist, reference, …)."""

    name: str
    label: str
    type: str
    length: int = 0
    updateable: bool = False
    createable: bool = True  # may be set on a new record
    filterable: bool = True
    reference_to: tuple[str, ...] = ()
    relationship: str | None = None
    restricted: bool = False
    values: tuple[str, ...] = ()  # active picklist values
    permissionable: bool = True  # whether a permission set may grant it; what everybody sees is not
    calculated: bool = False  # a formula or a roll-up: it changes without a new SystemModstamp of its record
    required: bool = False  # a new record needs a value for it
    aggregatable: bool = True
    groupable: bool = True
    digits: tuple[int, int] = (0, 0)  # of a number: in all, and behind the point
    inactive: tuple[str, ...] = ()  # picklist values that may no longer be stored
    unique_key: bool = False  # an external id that no two records share
    case_sensitive: bool = False  # of a key: ABC and abc are two
    help: str = ""  # what people read beside it
    compound: str = ""  # the address or place that it is a part of


@dataclass(frozen=True)
class RecordType:
    """One record type. `master`: the one that an object without any has."""

    id: str
    developer_name: str
    label: str
    active: bool = True
    master: bool = False


@dataclass(frozen=True)
class Child:
    """Records of another object that point at this one, by the field of theirs."""

    object: str
    field: str


@dataclass(frozen=True)
class SObject:
    """One object with its fields by name in lower case: Salesforce names ignore case."""

    name: str
    label: str
    fields: Mapping[str, Field]
    record_types: tuple[RecordType, ...] = ()
    children: tuple[Child, ...] = ()
    queryable: bool = True
    createable: bool = True
    updateable: bool = True

    def field(self, name: str) -> Field | None:
        """The field of this name, or None where it does not exist or is hidden from the user."""
        return self.fields.get(name.lower())


@dataclass(frozen=True)
class FieldPath:
    """A field reached from an object, as the org spells it: `Credential__r.Level__c`."""

    path: str
    field: Field
    object: str  # the object that the path starts from
    owner: str  # the object that has the field


class Describe:
    """Reads and keeps the descriptions of objects."""

    def __init__(self, org: Org) -> None:
        self._org = org
        self._objects: dict[str, SObject | None] = {}
        self._names: tuple[str, ...] | None = None

    def find(self, name: str) -> SObject | None:
        """The object, or None where it does not exist or the user may not see it."""
        key = name.lower()
        if key not in self._objects:
            self._objects[key] = self._read(name)
        return self._objects[key]

    def read_together(self, names: Iterable[str]) -> None:
        """Read the org itself and the descriptions of several objects in few calls.

        What is not answered is read by itself later.
        """
        wanted = [name for name in dict.fromkeys(names) if name.lower() not in self._objects and is_identifier(name)]
        urls = [self._org.data_path(f"sobjects/{name}/describe") for name in wanted]
        if not self._org.is_known:
            urls.append(f"{self._org.data_path('query')}?q={quote(ORGANIZATION)}")
        batches = (urls[at : at + TOGETHER] for at in range(0, len(urls), TOGETHER))
        answers = [one for batch in batches for one in get_together(self._org, batch)]
        if len(urls) > len(wanted):
            self._org.know(answers.pop())
        for name, answer in zip(wanted, answers, strict=True):
            if answer is not None:
                self._objects[name.lower()] = _sobject(answer, name)

    def object(self, name: str) -> SObject:
        """The object. Errors: NotThere naming the nearest object that exists."""
        found = self.find(name)
        if found is None:
            near = self.nearest(name)
            raise NotThere(f"object {name} {ABSENT} or is hidden from the user{near}")
        return found

    @property
    def looked_at(self) -> int:
        """How many objects were asked for, one call each."""
        return len(self._objects)

    def forget(self) -> None:
        """Read everything anew: before writing, the org may have changed since the extract."""
        self._objects.clear()

    def nearest(self, name: str) -> str:
        """`; did you mean X?` for an object name."""
        if self._names is None:
            self._names = _object_names(self._org.get("sobjects"))
        return nearest(name, self._names)

    def resolve(self, start: str, path: str) -> FieldPath:
        """The field at `Relation__r.Other.Field__c` from object `start`.

        Errors: AccessError naming object.field and the nearest existing field.
        """
        steps = path.split(".")
        if len(steps) > RELATIONSHIP_STEPS + 1:
            raise AccessError(f"{start}.{path} goes over more than {RELATIONSHIP_STEPS} relationships")
        owners = [self.object(start)]
        spelled = []
        for step in steps[:-1]:
            relation, owners = self._follow(owners, step)
            spelled.append(relation)
        for owner in owners:
            found = owner.field(steps[-1])
            if found is not None:
                return FieldPath(".".join([*spelled, found.name]), found, self.object(start).name, owner.name)
        raise AccessError(_missing(owners[0], steps[-1]))

    def _follow(self, owners: list[SObject], step: str) -> tuple[str, list[SObject]]:
        for owner in owners:
            for field in owner.fields.values():
                if field.relationship is not None and field.relationship.lower() == step.lower():
                    reached = [found for name in field.reference_to if (found := self.find(name)) is not None]
                    if reached:
                        return field.relationship, reached
        names = [field.relationship for field in owners[0].fields.values() if field.relationship]
        raise AccessError(f"{owners[0].name} has no relationship {step}{nearest(step, names)}")

    def _read(self, name: str) -> SObject | None:
        if not is_identifier(name):
            return None
        try:
            answer = self._org.get(f"sobjects/{name}/describe")
        except Refused as refusal:
            if refusal.status == 404 or refusal.code in ("NOT_FOUND", "INVALID_TYPE"):
                return None
            raise
        return _sobject(answer, name)


def _sobject(answer: Any, name: str) -> SObject:
    """The description in an answer. Errors: DataError when it is not one."""
    try:
        by_name = {field.name.lower(): field for field in map(_field, answer["fields"])}
        return SObject(
            name=str(answer["name"]),
            label=str(answer.get("label") or name),
            fields=MappingProxyType(by_name),
            record_types=tuple(map(_record_type, answer.get("recordTypeInfos") or ())),
            children=tuple(map(_child, answer.get("childRelationships") or ())),
            queryable=bool(answer.get("queryable", True)),
            createable=bool(answer.get("createable", True)),
            updateable=bool(answer.get("updateable", True)),
        )
    except (TypeError, KeyError, ValueError, AttributeError):
        raise DataError(f"the description of object {name} is not one (no `name` or `fields`)") from None


def _object_names(answer: Any) -> tuple[str, ...]:
    """The names of a global describe; they only serve a hint, so an odd answer gives none."""
    entries = answer.get("sobjects") if isinstance(answer, dict) else None
    return tuple(str(one.get("name")) for one in entries or () if isinstance(one, dict))


def is_identifier(name: str) -> bool:
    """Whether a text has the shape of a Salesforce API name."""
    return name.isascii() and name.replace("_", "a").isalnum() and name[:1].isalpha() and len(name) <= 80


def nearest(name: str, known: Iterable[str]) -> str:
    """`; did you mean X?` for the nearest known name, or nothing."""
    by_lower = {one.lower(): one for one in known}
    close = get_close_matches(name.lower(), by_lower, 1, 0.5)
    return f"; did you mean {by_lower[close[0]]}?" if close else ""


def _missing(owner: SObject, name: str) -> str:
    if name.lower() in ("attributes", "*"):
        return f"{owner.name}.{name} is not a field"
    near = nearest(name, (field.name for field in owner.fields.values()))
    return f"field {owner.name}.{name} {ABSENT} or is hidden by field-level security{near}"


def _field(entry: Mapping[str, Any]) -> Field:
    values = entry.get("picklistValues") or ()
    return Field(
        name=str(entry["name"]),
        label=str(entry.get("label") or entry["name"]),
        type=str(entry.get("type") or "string"),
        length=int(entry.get("length") or 0),
        updateable=bool(entry.get("updateable")),
        createable=bool(entry.get("createable")),
        filterable=bool(entry.get("filterable", True)),
        reference_to=tuple(str(name) for name in entry.get("referenceTo") or ()),
        relationship=entry.get("relationshipName"),
        restricted=bool(entry.get("restrictedPicklist")),
        values=tuple(str(value["value"]) for value in values if value.get("active")),
        permissionable=bool(entry.get("permissionable", True)),
        calculated=bool(entry.get("calculated")),
        required=_required(entry),
        aggregatable=bool(entry.get("aggregatable", True)),
        groupable=bool(entry.get("groupable", True)),
        digits=(int(entry.get("precision") or entry.get("digits") or 0), int(entry.get("scale") or 0)),
        inactive=tuple(str(value["value"]) for value in values if not value.get("active")),
        unique_key=bool(entry.get("externalId") and entry.get("unique")),
        case_sensitive=bool(entry.get("caseSensitive")),
        help=str(entry.get("inlineHelpText") or ""),
        compound=str(entry.get("compoundFieldName") or ""),
    )


def _required(entry: Mapping[str, Any]) -> bool:
    """A checkbox and whatever the org fills by itself need no value from us."""
    filled = entry.get("defaultedOnCreate") or entry.get("type") == "boolean"
    return bool(entry.get("createable")) and not entry.get("nillable", True) and not filled


def _record_type(entry: Mapping[str, Any]) -> RecordType:
    return RecordType(
        id=str(entry.get("recordTypeId") or ""),
        developer_name=str(entry.get("developerName") or entry.get("name") or ""),
        label=str(entry.get("name") or ""),
        active=bool(entry.get("active", True)),
        master=bool(entry.get("master")),
    )


def _child(entry: Mapping[str, Any]) -> Child:
    return Child(str(entry.get("childSObject") or ""), str(entry.get("field") or ""))


def located(error: AccessError, file: str, line: int) -> ConfigError:
    """The same finding, with the place in the field map that asks for it."""
    return ConfigError(str(error), file=file, line=line)
