"""Columns of loaded tables: the field that each fills, and how its cells become stored values."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import date, datetime
from decimal import Decimal
from functools import lru_cache
from typing import Any

from crmsync.sandbox.load_tables import LoadError, Table, nearest
from crmsync.sandbox.schema import Field, Schema, SObject
from crmsync.sandbox.values import checked_text, from_text, scaled

Read = Callable[[Any], Any]

_NAMED_PARENTS = ("RecordType", "User", "Profile", "UserRole", "Group")
_REPEATING = 65_536


@dataclass(frozen=True)
class Column:
    """One column. For a relationship column: the parent object and the key field that its cells hold."""

    name: str
    field: Field
    read: Read
    target: SObject | None = None
    key: Field | None = None


def table_columns(schema: Schema, sobject: SObject, table: Table) -> list[Column]:
    """The columns of a table. Errors: LoadError for unknown fields, relationships and keys."""
    found = [_column(schema, sobject, name, table.file) for name in table.columns]
    names = [column.field.name for column in found]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice:
        raise LoadError(f"{table.file}:1: two columns give {twice}")
    return found


def _column(schema: Schema, sobject: SObject, name: str, file: str) -> Column:
    first, _, key_name = name.partition(".")
    if not key_name:
        found = sobject.field(name)
        if found is None or found.kind == "compound":
            near = nearest(name, (known.name for known in sobject.fields))
            raise LoadError(f"{file}:1: {sobject.name} has no field {name}{near}")
        if found.calculated:
            raise LoadError(f"{file}:1: {sobject.name}.{name} is calculated by the org; leave the column out")
        return Column(name, found, reader(schema, found))
    link = _link(sobject, first)
    if link is None:
        near = nearest(first, (known.relationship for known in sobject.fields if known.relationship))
        raise LoadError(f"{file}:1: {sobject.name} has no relationship {first} (column {name}){near}")
    for target_name in link.reference_to:
        target = schema.find(target_name)
        key = target.field(key_name) if target else None
        if target is not None and key is not None and (key.key or target.name in _NAMED_PARENTS):
            return Column(name, link, _key_text, target, key)
    raise LoadError(f"{file}:1: {key_name} is no external id field of {' or '.join(link.reference_to)} (column {name})")


def _link(sobject: SObject, name: str) -> Field | None:
    """The reference field of a relationship; `Account` finds `Account__r` and `Account__c` too."""
    for relationship in (name.lower(), f"{name.lower()}__r"):
        if relationship in sobject.by_relationship:
            return sobject.by_relationship[relationship]
    by_field = sobject.field(name)
    return by_field if by_field is not None and by_field.reference_to else None


def _key_text(cell: Any) -> str | None:
    return (str(cell).strip() or None) if cell is not None else None


def reader(schema: Schema, known: Field) -> Read:
    """A function from a cell (text, or a Python value of the sample company) to what the store holds."""
    if known.name == "Id":
        return lambda cell: cell or None
    if known.name == "CurrencyIsoCode":
        # The currencies come with the same load; they are checked against each other at its end.
        known = replace(known, restricted=False)
    if known.kind == "text" and not known.restricted:
        return _text_reader(known)
    return lru_cache(maxsize=_REPEATING, typed=True)(lambda cell: _stored(schema, known, cell))


def _text_reader(known: Field) -> Read:
    length = known.length

    def read(cell: Any) -> str | None:
        text = cell.strip() if isinstance(cell, str) else "" if cell is None else str(cell)
        return text or None if len(text) <= length else checked_text(known, text)

    return read


def _stored(schema: Schema, known: Field, cell: Any) -> Any:
    if cell is None or isinstance(cell, str):
        return from_text(schema, known, cell)
    if isinstance(cell, bool):
        return int(cell) if known.kind == "flag" else from_text(schema, known, str(cell).lower())
    if isinstance(cell, (int, Decimal)) and known.kind in ("whole", "decimal"):
        return scaled(known, Decimal(cell))
    if isinstance(cell, (date, datetime)):
        return from_text(schema, known, cell.isoformat())
    return from_text(schema, known, str(cell))
