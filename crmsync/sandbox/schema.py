"""The org's objects and fields: what describe tells, what rows are checked against, what SOQL resolves names with."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

Kind = Literal["text", "list", "id", "flag", "whole", "decimal", "date", "datetime", "time", "compound"]

_KINDS: dict[str, Kind] = {
    "id": "id",
    "reference": "id",
    "multipicklist": "list",
    "boolean": "flag",
    "int": "whole",
    "double": "decimal",
    "currency": "decimal",
    "percent": "decimal",
    "date": "date",
    "datetime": "datetime",
    "time": "time",
    "address": "compound",
}


@dataclass(frozen=True)
class Choice:
    """One value of a picklist."""

    value: str
    label: str
    default: bool = False
    active: bool = True


@dataclass(frozen=True)
class RollUp:
    """What a roll-up summary works out over the child records of a master. `filters`: (field, operation, value)."""

    child: str
    link: str
    operation: str  # count, sum, min, max
    field: str | None
    filters: tuple[tuple[str, str, str], ...] = ()


@dataclass(frozen=True)
class Rule:
    """A validation rule: a record for which `condition` holds is refused with `message`."""

    name: str
    condition: str
    message: str
    field: str | None = None
    active: bool = True


@dataclass(frozen=True)
class DuplicateRule:
    """Records are duplicates when all `match` fields are equal. An action is Block or Allow (when saved again)."""

    name: str
    match: tuple[str, ...]
    on_insert: str = "Block"
    on_update: str = "Block"
    message: str = "Use one of these records?"
    active: bool = True


@dataclass(frozen=True)
class KindOfRecord:
    """A record type, with the values that it allows per picklist; other picklists allow all of theirs."""

    name: str
    label: str
    active: bool = True
    person: bool = False
    description: str | None = None
    values: tuple[tuple[str, frozenset[str]], ...] = ()


@dataclass(frozen=True)
class Field:
    """One field. `type` is the describe type (`string`, `currency`, …); lengths are in characters."""

    name: str
    label: str
    type: str
    length: int = 0
    precision: int = 0
    scale: int = 0
    digits: int = 0
    nillable: bool = True
    createable: bool = True
    updateable: bool = True
    defaulted_on_create: bool = False
    unique: bool = False
    case_sensitive: bool = False
    external_id: bool = False
    id_lookup: bool = False
    auto_number: str | None = None  # display format such as A-{0000}
    default: str | bool | None = None
    choices: tuple[Choice, ...] = ()
    restricted: bool = False
    reference_to: tuple[str, ...] = ()
    relationship: str | None = None  # from the child to its parent: `Account`, `Reseller__r`
    children: str | None = None  # from the parent to its children: `Opportunities`, `Resold__r`
    cascade_delete: bool = False
    restricted_delete: bool = False
    relationship_order: int | None = None
    write_requires_master_read: bool = False
    extra_type: str | None = None
    compound: str | None = None
    custom: bool = False
    name_field: bool = False
    html: bool = False
    help: str | None = None
    hidden: bool = False
    formula: str | None = None  # calculated from this text when it is read
    blank_as_zero: bool = False
    roll_up: RollUp | None = None  # calculated from the records below when it is read

    @cached_property
    def calculated(self) -> bool:
        """Has no value of its own: a formula or a roll-up summary."""
        return self.formula is not None or self.roll_up is not None

    @cached_property
    def permissionable(self) -> bool:
        """Users see it only where a profile or permission set lets them; other fields come with their object."""
        if self.name_field or self.compound == "Name" or self.name in ("RecordTypeId", "CurrencyIsoCode"):
            return False
        if self.custom:
            return not self.write_requires_master_read and (self.nillable or self.kind == "flag" or not self.createable)
        return self.createable and (self.nillable or self.kind == "flag")

    @cached_property
    def kind(self) -> Kind:
        """How the value is stored and compared."""
        return _KINDS.get(self.type, "text")

    @cached_property
    def long(self) -> bool:
        """A long text: cannot be filtered, sorted or grouped."""
        return self.type == "textarea" and self.length > 255

    @cached_property
    def required(self) -> bool:
        """A new record must bring a value."""
        return self.createable and not self.nillable and not self.defaulted_on_create and self.kind != "flag"

    @cached_property
    def groupable(self) -> bool:
        """May stand in GROUP BY."""
        return not self.long and self.type not in (
            "multipicklist",
            "double",
            "currency",
            "percent",
            "datetime",
            "address",
        )

    @cached_property
    def filterable(self) -> bool:
        """May stand in WHERE."""
        return not self.long and self.kind != "compound"

    @cached_property
    def aggregatable(self) -> bool:
        """May be counted."""
        return self.filterable and self.kind not in ("flag", "list")

    @cached_property
    def key(self) -> bool:
        """May name a record in an upsert or a relationship column."""
        return self.external_id or self.id_lookup

    @cached_property
    def places(self) -> dict[str, int]:
        """Place of each picklist value, by value in lower case."""
        return {choice.value.lower(): place for place, choice in enumerate(self.choices)}


@dataclass(frozen=True)
class SObject:
    """One object of the org with all its fields."""

    name: str
    label: str
    plural: str
    prefix: str
    fields: tuple[Field, ...]
    custom: bool = False
    createable: bool = True
    updateable: bool = True
    deletable: bool = True
    record_types: bool = False
    rules: tuple[Rule, ...] = ()
    duplicate_rules: tuple[DuplicateRule, ...] = ()
    kinds: tuple[KindOfRecord, ...] = ()  # its record types, as far as the definition names them

    @cached_property
    def by_name(self) -> dict[str, Field]:
        """Fields by their name in lower case."""
        return {field.name.lower(): field for field in self.fields}

    @cached_property
    def by_relationship(self) -> dict[str, Field]:
        """Reference fields by their relationship name in lower case."""
        return {field.relationship.lower(): field for field in self.fields if field.relationship}

    @cached_property
    def name_field(self) -> Field | None:
        """The field that names a record, where the object has one."""
        return next((field for field in self.fields if field.name_field), None)

    def field(self, name: str) -> Field | None:
        """The field of that name in any case."""
        return self.by_name.get(name.lower())

    def stored(self) -> Iterator[Field]:
        """Fields that have a column of their own."""
        return (field for field in self.fields if field.kind != "compound" and not field.calculated)

    def parts_of(self, compound: Field) -> tuple[Field, ...]:
        """The fields that make up a compound field."""
        return tuple(field for field in self.fields if field.compound == compound.name and field is not compound)


@dataclass(frozen=True)
class Child:
    """One way from a parent object down to its children."""

    sobject: SObject
    field: Field


class Schema:
    """All objects of the org; names are found in any case."""

    def __init__(self, objects: Iterable[SObject], multi_currency: bool) -> None:
        self.objects: dict[str, SObject] = {}
        self.multi_currency = multi_currency
        for sobject in objects:
            self.objects[sobject.name.lower()] = sobject
        self._prefixes = {sobject.prefix: sobject for sobject in self.objects.values()}
        self._children: dict[str, tuple[Child, ...]] = {}
        self._summed: dict[str, tuple[tuple[Field, SObject], ...]] = {}

    def __iter__(self) -> Iterator[SObject]:
        return iter(self.objects.values())

    def find(self, name: str) -> SObject | None:
        """The object of that name in any case."""
        return self.objects.get(name.lower())

    def of_id(self, record_id: str) -> SObject | None:
        """The object that a record id belongs to, by its key prefix."""
        return self._prefixes.get(record_id[:3])

    def summed_by(self, child: SObject) -> tuple[tuple[Field, SObject], ...]:
        """The masters that have a roll-up summary over an object, each with the field that refers to it."""
        if child.name not in self._summed:
            found = {
                (known.roll_up.link.lower(), master.name): (child.by_name[known.roll_up.link.lower()], master)
                for master in self
                for known in master.fields
                if known.roll_up is not None and known.roll_up.child == child.name
            }
            self._summed[child.name] = tuple(found.values())
        return self._summed[child.name]

    def children_of(self, parent: SObject) -> tuple[Child, ...]:
        """Every reference field that points at `parent`, ordered by child object."""
        if parent.name not in self._children:
            found = (
                Child(sobject, field)
                for sobject in sorted(self, key=lambda sobject: sobject.name)
                for field in sobject.fields
                if parent.name in field.reference_to
            )
            self._children[parent.name] = tuple(found)
        return self._children[parent.name]
