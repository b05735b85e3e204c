"""Reads the standard objects out of their one-line-per-field form and adds the fields that every object has."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

from crmsync.sandbox.person_accounts import with_persons
from crmsync.sandbox.schema import Choice, Field, SObject
from crmsync.sandbox.setup_objects import SETUP
from crmsync.sandbox.standard_objects import STANDARD

_LINE = re.compile(r"(?P<name>\w+) (?P<type>\w+)(?:\((?P<size>[^)]*)\))?(?P<rest>[^|]*)\| (?P<label>.+)")
_VALUES = re.compile(r"\[(.*)\]")
_SHORT = {"picklist", "phone", "email", "url", "string", "textarea"}


@dataclass(frozen=True)
class Features:
    """What the org has switched on."""

    multi_currency: bool = False
    dated_rates: bool = False
    person_accounts: bool = False


def standard_objects(features: Features) -> list[SObject]:
    """Every standard object that an org with these features has."""
    return list(_standard_objects(features))


@cache
def _standard_objects(features: Features) -> tuple[SObject, ...]:
    made = (_object(block) for block in _blocks())
    kept = [made_one for made_one in made if _switched_on(made_one[1], features)]
    found = [with_currency(sobject) if features.multi_currency else sobject for sobject, _ in kept]
    return tuple(with_persons(sobject) for sobject in found) if features.person_accounts else tuple(found)


def read_objects(text: str) -> list[SObject]:
    """The objects of a text in the one-line-per-field form."""
    return [_object(block)[0] for block in text.strip().split("\n= ")]


def _blocks() -> list[str]:
    return [block for text in (STANDARD, SETUP) for block in text.strip().split("\n= ")]


def _switched_on(options: list[str], features: Features) -> bool:
    if "multi" in options:
        return features.multi_currency
    return features.dated_rates if "dated" in options else True


def _object(block: str) -> tuple[SObject, list[str]]:
    head, *lines = block.removeprefix("= ").split("\n")
    words, label, plural = (part.strip() for part in head.split("|"))
    name, prefix, *options = words.split()
    own = [_field(line) for line in lines if line.strip()]
    added = audit_fields(label) if "bare" not in options else [id_field(label)]
    if "lasting" in options:
        added = [field for field in added if field.name != "IsDeleted"]
    owner = [owner_field()] if "owned" in options else []
    types = [record_type_field()] if "types" in options else []
    free = "fixed" not in options and "multi" not in options
    sobject = SObject(
        name, label, plural, prefix, (*added[:1], *own, *types, *owner, *added[1:]),
        createable=free, updateable=free, deletable=free, record_types=bool(types),
    )  # fmt: skip
    return sobject, options


def _field(line: str) -> Field:
    match = _LINE.match(line)
    if match is None:
        raise ValueError(f"standard object line cannot be read: {line}")
    values = _VALUES.search(match["rest"])
    options = _options(match["rest"][: values.start()] if values else match["rest"])
    made = _typed(match["name"], match["label"].strip(), match["type"], match["size"] or "", options)
    listed = values[1].split("; ") if values else []
    choices = tuple(Choice(value, value, value == made.default) for value in listed)
    return replace(made, choices=choices)


def _options(text: str) -> dict[str, str]:
    found = (word.partition("=") for word in text.split())
    return {name: value for name, _, value in found}


def _typed(name: str, label: str, kind: str, size: str, options: dict[str, str]) -> Field:
    required, readonly = "required" in options, "ro" in options or "auto" in options
    made = Field(
        name, label, kind, auto_number=options.get("auto"),
        nillable=not required and kind != "boolean", createable=not readonly,
        updateable=not readonly and "fixed" not in options,
        name_field="name" in options, compound=options.get("of"), id_lookup="lookup" in options,
        external_id="key" in options, extra_type="plaintextarea" if "plain" in options else None,
    )  # fmt: skip
    return replace(made, **_sized(name, kind, size, options), **_defaulted(kind, options))


def _sized(name: str, kind: str, size: str, options: dict[str, str]) -> dict[str, Any]:
    if kind == "ref":
        relationship = options.get("rel") or name.removesuffix("Id")
        return {
            "type": "reference", "length": 18, "reference_to": tuple(size.split(",")), "relationship": relationship,
            "children": options.get("children"), "cascade_delete": "cascade" in options,
        }  # fmt: skip
    if kind in ("double", "currency", "percent"):
        precision, scale = size.split(".")
        return {"precision": int(precision), "scale": int(scale)}
    if kind == "int":
        return {"digits": int(size)}
    return {"length": int(size)} if kind in _SHORT else {}


def _defaulted(kind: str, options: dict[str, str]) -> dict[str, Any]:
    if kind == "boolean":
        return {"default": options.get("default") == "true", "defaulted_on_create": True}
    default = options.get("default")
    return {"default": default.replace("_", " ") if "_US" not in default else default, "defaulted_on_create": True} \
        if default is not None else {}  # fmt: skip


def id_field(label: str) -> Field:
    """The record id."""
    return Field(
        "Id", f"{label} ID", "id", length=18, nillable=False, createable=False, updateable=False,
        defaulted_on_create=True, id_lookup=True,
    )  # fmt: skip


def owner_field() -> Field:
    """The user who owns the record."""
    return Field(
        "OwnerId", "Owner ID", "reference", length=18, nillable=False, defaulted_on_create=True,
        reference_to=("User",), relationship="Owner",
    )  # fmt: skip


def audit_fields(label: str) -> list[Field]:
    """The record id and the fields that the org keeps by itself on every record."""
    fixed: dict[str, Any] = {
        "nillable": False, "createable": False, "updateable": False, "defaulted_on_create": True,
    }  # fmt: skip
    user: dict[str, Any] = {"length": 18, "reference_to": ("User",)} | fixed
    return [
        id_field(label),
        Field("IsDeleted", "Deleted", "boolean", default=False, **fixed),
        Field("CreatedDate", "Created Date", "datetime", **fixed),
        Field("CreatedById", "Created By ID", "reference", relationship="CreatedBy", **user),
        Field("LastModifiedDate", "Last Modified Date", "datetime", **fixed),
        Field("LastModifiedById", "Last Modified By ID", "reference", relationship="LastModifiedBy", **user),
        Field("SystemModstamp", "System Modstamp", "datetime", **fixed),
    ]


def with_currency(sobject: SObject) -> SObject:
    """The object with the currency of the record, as every object of a multi-currency org has it."""
    if (
        sobject.name in ("CurrencyType", "DatedConversionRate", "Organization", "RecordType")
        or sobject.field("Id") is None
    ):
        return sobject
    currency = Field(
        "CurrencyIsoCode", f"{sobject.label} Currency", "picklist", length=3, defaulted_on_create=True, restricted=True
    )
    return replace(sobject, fields=(*sobject.fields, currency))


def record_type_field() -> Field:
    """The record type of the record."""
    return Field(
        "RecordTypeId",
        "Record Type ID",
        "reference",
        length=18,
        reference_to=("RecordType",),
        relationship="RecordType",
    )
