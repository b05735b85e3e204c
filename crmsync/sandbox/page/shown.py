"""Values as people read them, and as form inputs hold them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from crmsync.sandbox.schema import Field, Schema, SObject

NOTHING = "–"


@dataclass(frozen=True)
class Cell:
    """One value: its text, the address it links to, and the class that styles it."""

    text: str
    href: str | None = None
    style: str = ""


def shown(field: Field, value: Any, zone: ZoneInfo, currency: str | None = None) -> str:
    """The text of a value as SOQL gave it; instants in the org's time zone, flags as Yes and No."""
    if value is None or value == "":
        return NOTHING
    if field.kind == "flag":
        return "Yes" if value else "No"
    if field.kind in ("decimal", "whole"):
        text = f"{Decimal(str(value)):,.{field.scale}f}" if field.scale >= 0 else f"{value:,}"
        if field.type == "percent":
            return f"{text} %"
        return f"{currency} {text}" if field.type == "currency" and currency else text
    if field.kind == "datetime":
        return local(str(value), zone).strftime("%Y-%m-%d %H:%M")
    if field.kind == "list":
        return ", ".join(_label(field, part) for part in str(value).split(";"))
    return _label(field, str(value)) if field.type == "picklist" else str(value)


def _label(field: Field, value: str) -> str:
    place = field.places.get(value.lower())
    return value if place is None else field.choices[place].label


def local(stamp: str, zone: ZoneInfo) -> datetime:
    """A stamp of the store or of an answer, which is UTC, in the org's time zone."""
    return datetime.fromisoformat(stamp[:19]).replace(tzinfo=UTC).astimezone(zone)


def style(field: Field) -> str:
    """How a value of the field is laid out."""
    return "number" if field.kind in ("decimal", "whole") else "long" if field.long else ""


def cell(field: Field, value: Any, zone: ZoneInfo, named: tuple[str, str] | None, currency: str | None = None) -> Cell:
    """A value with the link to the record that it names: (name, id)."""
    if named is not None:
        return Cell(named[0], f"/{named[1]}")
    return Cell(shown(field, value, zone, currency), None, style(field))


def form_text(field: Field, value: Any, zone: ZoneInfo) -> str:
    """A value as the input of a form holds it, and gives it back when nobody changes it."""
    if field.kind == "flag":
        return "true" if value else "false"
    if value is None:
        return ""
    if field.kind in ("decimal", "whole"):
        return f"{Decimal(str(value)):.{field.scale}f}" if field.scale >= 0 else str(value)
    if field.kind == "datetime":
        return local(str(value), zone).strftime("%Y-%m-%dT%H:%M")
    return str(value).replace("\r\n", "\n")


def parent_name(schema: Schema, field: Field) -> str | None:
    """The SOQL path to the name of the record that a reference field names, where the user may see it."""
    if field.type != "reference" or not field.relationship or len(field.reference_to) != 1:
        return None
    target = schema.find(field.reference_to[0])
    named = target.name_field if target is not None else None
    return f"{field.relationship}.{named.name}" if named is not None else None


def label(field: Field) -> str:
    """What people read: a reference by what it names, as Lightning pages do."""
    return field.label.removesuffix(" ID") if field.type == "reference" else field.label


def readable(sobject: SObject) -> list[Field]:
    """The fields that a page may show, one by one."""
    return [field for field in sobject.fields if not field.hidden and field.kind != "compound"]
