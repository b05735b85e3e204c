"""One record as people read it: its fields in groups, and the records that refer to it."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from crmsync.sandbox.answers import not_found
from crmsync.sandbox.org import Org
from crmsync.sandbox.page.shown import NOTHING, Cell, cell, label, parent_name, readable
from crmsync.sandbox.page.tables import Order, Table, everything, literal, table
from crmsync.sandbox.permissions import SETUP
from crmsync.sandbox.queries import first_page
from crmsync.sandbox.schema import Child, Field, SObject

_ROOT = "/services/data/v67.0"
_RELATED_ROWS = 5
_AUDIT = ("Id", "CreatedById", "CreatedDate", "LastModifiedById", "LastModifiedDate", "SystemModstamp")
_GROUPS: tuple[tuple[str, str, str], ...] = (
    ("dispute", "Dispute", r"disput|objection"),
    ("portal", "What the partner may see", r"portal"),
    ("trace", "Where it comes from", r"run_?id|token|evaluated|provisional|error"),
    ("why", "Why", r"why|explan"),
    ("risk", "Risk", r"risk|grace|check"),
    ("dates", "Dates", r""),
    ("gap", "Gap to the next tier", r"gap|next|progress|blocker|points|missing"),
    ("tier", "Tier", r"tier|level|categor|segment|program|partner"),
)
"""Groups of an org's own account fields by words of their names; the first that fits takes the field."""
_TITLES = {key: text for key, text, _ in _GROUPS} | {"own": "More of the partner", "audit": "Record"}
_SHOWN_GROUPS = ("tier", "gap", "risk", "dates", "why", "dispute", "portal", "trace")
_RELATED = ("standing|categor", "overrid", "histor", "^opportunity$", "certif|credential", "activit", "^contact$")
"""Words of child objects in the order in which they are shown."""
_ALWAYS = frozenset({"Opportunity", "Contact"})
OVERRIDE = re.compile("overrid|exception", re.IGNORECASE)


@dataclass(frozen=True)
class Item:
    """One field with its value."""

    field: Field
    cell: Cell
    editable: bool


@dataclass(frozen=True)
class Group:
    """Fields that belong together; `key` names the group in addresses."""

    key: str
    title: str
    items: list[Item]

    @property
    def editable(self) -> bool:
        """The user may change one of them."""
        return any(item.editable for item in self.items)


@dataclass(frozen=True)
class Related:
    """Records of one object that refer to the record shown."""

    title: str
    sobject: SObject
    link: str
    table: Table
    all_href: str
    new_href: str | None


def find(org: Org, record_id: str) -> SObject:
    """The object of a record, as the user sees it. Errors: ApiError NOT_FOUND."""
    known = org.schema.of_id(record_id)
    seen = org.visible.find(known.name) if known is not None else None
    if seen is None:
        raise not_found(f"{record_id}: there is no such record, or this user may not see it")
    return seen


def read(org: Org, sobject: SObject, record_id: str) -> dict[str, Any]:
    """Every field of a record that the user may see, with the names of parents. Errors: ApiError NOT_FOUND."""
    fields = readable(sobject)
    names = [field.name for field in fields]
    names += [path for field in fields if (path := parent_name(org.visible, field)) is not None]
    listed = ", ".join(dict.fromkeys([*names, "Id"]))
    soql = f"SELECT {listed} FROM {sobject.name} WHERE Id = {literal(record_id)}"
    records: list[dict[str, Any]] = first_page(org, soql, _ROOT)["records"]
    if not records:
        raise not_found(f"{sobject.label} {record_id}: deleted, or never there")
    return records[0]


def title(sobject: SObject, record: dict[str, Any]) -> str:
    """What a record is called."""
    field = sobject.name_field
    return str(record.get(field.name) or record["Id"]) if field is not None else str(record["Id"])


def linked(org: Org, field: Field, record: dict[str, Any]) -> tuple[str, str] | None:
    """(name, id) of the record that a reference names."""
    value, path = record.get(field.name), parent_name(org.visible, field)
    if value is None or path is None:
        return None
    relationship, _, name = path.partition(".")
    parent = record.get(relationship)
    return (str((parent or {}).get(name) or value), str(value))


def groups(org: Org, sobject: SObject, record: dict[str, Any]) -> list[Group]:
    """The fields of a record; empty standard fields that nobody may fill are left out."""
    found: dict[str, list[Item]] = {}
    for field in readable(sobject):
        if field.name == "IsDeleted":
            continue  # deleted records have no page
        value = record.get(field.name)
        item = Item(
            field, cell(field, value, org.clock.zone, linked(org, field, record), record.get("CurrencyIsoCode")),
            field.updateable and sobject.updateable,
        )  # fmt: skip
        key = group_of(sobject, field)
        if field.custom or item.cell.text != NOTHING or (item.editable and key != "details"):
            found.setdefault(key, []).append(item)
    order = _order(sobject)
    return [Group(key, _TITLES.get(key, sobject.label), found[key]) for key in order if key in found]


def in_order(fields: Iterable[Field], sobject: SObject) -> list[Field]:
    """Fields in the order of their groups, as the record's page shows them."""
    order = {key: place for place, key in enumerate(_order(sobject))}
    return sorted(fields, key=lambda field: order[group_of(sobject, field)])


def _order(sobject: SObject) -> tuple[str, ...]:
    return (*_SHOWN_GROUPS, "own", "details", "audit") if sobject.name == "Account" else ("details", "own", "audit")


def group_of(sobject: SObject, field: Field) -> str:
    """The group of a field. Only accounts have more than details and audit fields."""
    if field.name in _AUDIT or field.name == "IsDeleted":
        return "audit"
    if sobject.name != "Account" or not field.custom:
        return "details"
    words = f"{field.name} {field.label}"
    for key, _, pattern in _GROUPS:
        if key == "dates":
            if field.kind in ("date", "datetime"):
                return key
        elif re.search(pattern, words, re.IGNORECASE):
            return key
    return "own"


def group_title(sobject: SObject, field: Field) -> str:
    """The title of a field's group."""
    return _TITLES.get(group_of(sobject, field), sobject.label)


def related(org: Org, record_id: str, sobject: SObject) -> list[Related]:
    """The lists below a record: categories, overrides, history, deals, certificates, then others that have records."""
    found = []
    for child in sorted(_children(org, sobject), key=_place):
        part = _related(org, child, record_id)
        if part is not None:
            found.append(part)
    return found


def _children(org: Org, sobject: SObject) -> Iterable[Child]:
    for child in org.visible.children_of(sobject):
        if child.sobject.name not in SETUP and not child.field.hidden and child.field.filterable:
            yield child


def _place(child: Child) -> tuple[int, str, str]:
    name = child.sobject.name
    place = next((number for number, words in enumerate(_RELATED) if re.search(words, name, re.IGNORECASE)), 99)
    return place, name, child.field.name


def _related(org: Org, child: Child, record_id: str) -> Related | None:
    sobject, link = child.sobject, child.field.name
    address = f"/lightning/o/{sobject.name}/list"
    kept = {"link": link, "of": record_id}
    newest = Order("CreatedDate", True) if sobject.field("CreatedDate") else Order()
    part = table(org, everything(sobject, (link, record_id)), newest, address, kept, _RELATED_ROWS)
    if not part.total and not (sobject.custom or (sobject.name in _ALWAYS and not child.field.custom)):
        return None
    several = sum(1 for field in sobject.fields if field.reference_to == child.field.reference_to) > 1
    heading = f"{sobject.plural} ({label(child.field)})" if several else sobject.plural
    new = f"/lightning/o/{sobject.name}/new?link={link}&of={record_id}"
    makes = sobject.createable and child.field.createable
    return Related(heading, sobject, link, part, f"{address}?link={link}&of={record_id}", new if makes else None)


def ends(sobject: SObject) -> Field | None:
    """The day on which an override ends, where the user may set it."""
    if not OVERRIDE.search(sobject.name) or not sobject.updateable:
        return None
    days = (field for field in sobject.fields if field.kind == "date" and field.updateable)
    return next((field for field in days if re.search("end|expir|until", field.name, re.IGNORECASE)), None)
