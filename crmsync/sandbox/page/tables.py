"""Tables of records: list views, all records of an object, related records, and what a search by name finds."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import urlencode

from crmsync.sandbox import listviews
from crmsync.sandbox.answers import Call
from crmsync.sandbox.list_columns import path_field
from crmsync.sandbox.org import Org
from crmsync.sandbox.page.shown import Cell, cell, label, parent_name, readable
from crmsync.sandbox.queries import compiled, first_page, rows_of
from crmsync.sandbox.schema import Field, SObject

PAGE_ROWS = 50
_ROOT = "/services/data/v67.0"
_MOST_COLUMNS = 7
_FIRST = {
    "Opportunity": ("StageName", "Amount", "CloseDate", "Type"),
    "Contact": ("Title", "Email", "Phone"),
    "Account": ("Type", "BillingCountry"),
}


@dataclass(frozen=True)
class Heading:
    """One column: label, path, and the address that sorts by it."""

    label: str
    path: str
    href: str | None
    sorted: str  # ascending, descending or none
    style: str


@dataclass(frozen=True)
class Table:
    """A part of the records that were found; `rows` are links to a record and its cells."""

    headings: list[Heading]
    rows: list[tuple[str, list[Cell]]]
    total: int
    start: int
    previous: str | None = None
    following: str | None = None

    @property
    def end(self) -> int:
        """The number of the last row shown."""
        return self.start + len(self.rows)


@dataclass(frozen=True)
class Order:
    """How a table is sorted, and from which row on it is shown; an unknown `path` is passed over."""

    path: str = ""
    descending: bool = False
    start: int = 0

    @classmethod
    def of(cls, call: Call) -> Order:
        """As the address asks for it."""
        start = call.query.get("start", "")
        number = min(int(start), 10**9) if start.isdecimal() and len(start) < 12 else 0
        return cls(call.query.get("sort", ""), call.query.get("dir") == "desc", number)


@dataclass(frozen=True)
class Found:
    """What is asked for: the object, the columns, and the part of a statement from FROM up to ORDER BY."""

    sobject: SObject
    paths: tuple[str, ...]
    source: str


def everything(sobject: SObject, link: tuple[str, str] | None = None) -> Found:
    """All records of an object, or those whose `link` field has a value."""
    where = f" WHERE {link[0]} = {literal(link[1])}" if link else ""
    paths = tuple(column.name for column in columns(sobject, link[0] if link else ""))
    return Found(sobject, paths, f" FROM {sobject.name}{where}")


def named(sobject: SObject, words: str) -> Found | None:
    """Records whose name holds these words; None where the object has no name to look in."""
    field = sobject.name_field
    if field is None or not field.filterable:
        return None
    # LIKE has its own escapes, which the literal's must not double
    pattern = "%" + re.sub(r"([\\%_])", r"\\\1", words) + "%"
    paths = tuple(column.name for column in columns(sobject, ""))
    return Found(sobject, paths, f" FROM {sobject.name} WHERE {field.name} LIKE {literal(pattern, escaped=True)}")


def views_of(org: Org, sobject: SObject) -> list[dict[str, Any]]:
    """The object's list views: `label` and `developerName`."""
    call = Call("GET", "", parts={"object": sobject.name}, query={"limit": str(listviews.MOST_RECORDS)})
    listed: list[dict[str, Any]] = listviews.list_views(org, call).body["listviews"]
    return listed


def of_view(org: Org, sobject: SObject, name: str) -> Found:
    """What a list view shows. Errors: ApiError."""
    call = Call("GET", "", parts={"object": sobject.name, "view": name})
    described = listviews.describe(org, call).body
    paths = tuple(str(column["fieldNameOrPath"]) for column in described["columns"] if not column["hidden"])
    source = described["query"].partition(" FROM ")[2].rpartition(" ORDER BY ")[0]
    return Found(sobject, paths, f" FROM {source}")


def count(org: Org, found: Found) -> int:
    """How many records there are."""
    total: int = first_page(org, f"SELECT COUNT(){found.source}", _ROOT)["totalSize"]
    return total


def table(org: Org, found: Found, order: Order, address: str, kept: dict[str, str], size: int = PAGE_ROWS) -> Table:
    """The rows of a page. `address` with `kept` is where the table itself stands, for its links. Errors: ApiError."""
    sobject = found.sobject
    fields = [(path, known) for path in found.paths if (known := path_field(org.visible, sobject, path))]
    sortable = {path for path, known in fields if known.filterable and known.kind != "list"}
    name = sobject.name_field
    chosen = order.path if order.path in sortable else ""
    by = chosen or (name.name if name is not None and name.filterable else "Id")
    way = "DESC NULLS LAST" if order.descending and chosen else "ASC NULLS LAST"
    parents = [parent_name(org.visible, known) if "." not in path else None for path, known in fields]
    money = ["CurrencyIsoCode"] if sobject.field("CurrencyIsoCode") and "CurrencyIsoCode" not in found.paths else []
    # an alias of another column would be refused as a duplicate
    extra = [path for path in dict.fromkeys(parents) if path is not None and path not in found.paths]
    names = list(dict.fromkeys([*(path for path, _ in fields), *extra, *money, "Id"]))
    ordered = f"{by} {way}" if by == "Id" else f"{by} {way}, Id"
    plan = compiled(org, f"SELECT {', '.join(names)}{found.source} ORDER BY {ordered}")
    total = count(org, found)
    start = order.start if order.start < total else 0
    rows = []
    for values in rows_of(org, replace(plan, limit=size, offset=start)):
        row = dict(zip(names, values, strict=True))
        rows.append((f"/{row['Id']}", _cells(org, fields, parents, row)))
    headings = [_heading(address, kept, order, chosen, path, known, path in sortable) for path, known in fields]
    moves = {"sort": chosen, "dir": "desc" if order.descending else ""}
    before = _link(address, kept | moves | {"start": str(max(0, start - size))}) if start else None
    after = _link(address, kept | moves | {"start": str(start + size)}) if start + len(rows) < total else None
    return Table(headings, rows, total, start, before, after)


def _cells(
    org: Org, fields: Sequence[tuple[str, Field]], parents: Sequence[str | None], row: dict[str, Any]
) -> list[Cell]:
    cells = []
    for (path, known), parent in zip(fields, parents, strict=True):
        value = row[path]
        linked = (str(row[parent] or value), str(value)) if parent and value else None
        currency = str(row["CurrencyIsoCode"]) if row.get("CurrencyIsoCode") else None
        cells.append(cell(known, value, org.clock.zone, linked, currency))
    return cells


def _heading(
    address: str, kept: dict[str, str], order: Order, chosen: str, path: str, known: Field, sortable: bool
) -> Heading:
    mine = path == chosen
    turned = "desc" if mine and not order.descending else ""
    href = _link(address, kept | {"sort": path, "dir": turned}) if sortable else None
    way = ("descending" if order.descending else "ascending") if mine else "none"
    style = "number" if known.kind in ("decimal", "whole") else ""
    return Heading(label(known), path, href, way, style)


def _link(address: str, query: dict[str, str]) -> str:
    kept = {name: value for name, value in query.items() if value}
    return f"{address}?{urlencode(kept)}" if kept else address


def literal(text: str, escaped: bool = False) -> str:
    """A SOQL text literal; `escaped` where backslashes of the text are escapes already."""
    inner = text if escaped else text.replace("\\", "\\\\")
    return "'" + inner.replace("'", "\\'") + "'"


def columns(sobject: SObject, link: str) -> list[Field]:
    """The columns that records are shown with where no list view says them: name, usual ones, the org's own."""
    chosen: list[Field] = []
    first = [sobject.name_field, *(sobject.field(name) for name in _FIRST.get(sobject.name, ()))]
    own = [field for field in readable(sobject) if field.custom and not field.long and not technical(field)]
    for field in [*first, *own]:
        if field is not None and not field.hidden and field.name.lower() != link.lower() and field not in chosen:
            chosen.append(field)
    return chosen[:_MOST_COLUMNS] or [sobject.by_name["id"]]


def technical(field: Field) -> bool:
    """Keys and marks of programs, which people do not read."""
    return field.external_id or field.unique or re.search(r"run_?id|token", field.name, re.IGNORECASE) is not None
