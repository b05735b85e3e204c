"""What the org refuses of a custom field in a deploy, and what it makes of it.

Texts of refusals are those of real orgs where public projects quote them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from crmsync.sandbox.metadata_draft import CREATED, SAME, Draft, RefusedError
from crmsync.sandbox.metadata_package import Component
from crmsync.sandbox.schema import Field
from crmsync.sandbox.schema_file import ACTIVITIES

MOST_FIELDS = 500
MOST_EXTERNAL_IDS = 25
MOST_MASTERS = 2
MOST_VALUES = 1_000
_NAME = re.compile(r"[A-Za-z](?:_?[A-Za-z0-9])*\Z", re.ASCII)
_NUMBERS = ("Number", "Currency", "Percent")
_LONG = ("LongTextArea", "Html")
_PICKLISTS = ("Picklist", "MultiselectPicklist")
_LINKS = ("Lookup", "MasterDetail")
_NEEDS: Mapping[str, tuple[str, ...]] = {
    "Text": ("length",), "LongTextArea": ("length", "visibleLines"), "Html": ("length", "visibleLines"),
    "Number": ("precision", "scale"), "Currency": ("precision", "scale"), "Percent": ("precision", "scale"),
    "Checkbox": ("defaultValue",), "Picklist": ("valueSet",), "MultiselectPicklist": ("valueSet", "visibleLines"),
    "Lookup": ("referenceTo",), "MasterDetail": ("referenceTo", "relationshipName"),
    "EncryptedText": ("length", "maskChar", "maskType"),
}  # fmt: skip
_ONLY: Mapping[str, tuple[str, ...]] = {
    "length": ("Text", *_LONG, "EncryptedText"), "precision": _NUMBERS, "scale": _NUMBERS,
    "visibleLines": (*_LONG, "MultiselectPicklist"), "valueSet": _PICKLISTS, "referenceTo": _LINKS,
    "relationshipName": _LINKS, "relationshipLabel": _LINKS, "deleteConstraint": ("Lookup",),
    "relationshipOrder": ("MasterDetail",), "reparentableMasterDetail": ("MasterDetail",),
    "writeRequiresMasterRead": ("MasterDetail",), "displayFormat": ("AutoNumber",),
    "startingNumber": ("AutoNumber",),
}  # fmt: skip
_ONLY_TRUE: Mapping[str, tuple[str, ...]] = {
    "unique": ("Text", "Number", "Email"), "externalId": ("Text", "Number", "Email", "AutoNumber"),
    "caseSensitive": ("Text",),
}  # fmt: skip
_NEVER_REQUIRED = (*_LONG, "Checkbox", "MasterDetail", "AutoNumber", "Summary")
_RANGES = {"Text": (1, 255), "LongTextArea": (256, 131_072), "Html": (256, 131_072), "EncryptedText": (1, 175)}


def try_field(draft: Draft, component: Component) -> str:
    """Put a custom field into the draft. Errors: RefusedError."""
    sobject, _, name = component.name.partition(".")
    owner = _owner(draft, sobject)
    if draft.standard_field(owner, name):
        return SAME
    if not name.endswith("__c"):
        raise RefusedError("Could not resolve standard field's name.")
    values = {key: value for key, value in component.values.items() if key != "fullName"}
    _check_name(name, values)
    before = draft.child(owner, "fields", name)
    kind = str(values.get("type") or "")
    if not kind:
        raise RefusedError("Must specify a non-empty type for the CustomField")
    if "formula" in values:
        _check_formula(kind, values)
    else:
        _check_properties(kind, values)
    if kind in _PICKLISTS and "formula" not in values:
        values["valueSet"] = _value_set(values, before)
    if kind in _LINKS:
        _check_link(draft, owner, name, kind, values, before)
    if before is None:
        _check_counts(draft, owner, values)
    else:
        _check_change(draft, owner, name, before, values)
    return draft.put(owner, "fields", name, values)


def _owner(draft: Draft, name: str) -> str:
    if name.lower() in (kind.lower() for kind in ACTIVITIES):
        raise RefusedError(f"Entity Enumeration Or ID: bad value for restricted picklist field: {name}")
    if not draft.has_object(name):
        raise RefusedError(f"no CustomObject named {name} found")
    return draft.spelled(name)


def check_label(value: Any, what: str, most: int = 40) -> None:
    """A label that is given and not too long. Errors: RefusedError."""
    if not str(value or "").strip():
        raise RefusedError(f"Must specify a non-empty label for the {what}")
    if len(str(value)) > most:
        raise RefusedError(f"Value too long for field: MasterLabel maximum length is:{most}")


def check_developer_name(name: str, what: str, most: int = 40) -> None:
    """A developer name, without its ending. Errors: RefusedError."""
    if len(name) > most:
        raise RefusedError(f"Value too long for field: fullName maximum length is:{most}")
    if _NAME.match(name) is None:
        raise RefusedError(
            f"The {what} can only contain underscores and alphanumeric characters. It must be unique, begin with a "
            "letter, not include spaces, not end with an underscore, and not contain two consecutive underscores."
        )


def _check_name(name: str, values: Mapping[str, Any]) -> None:
    check_developer_name(name.removesuffix("__c"), "Custom Field Name")
    check_label(values.get("label"), "CustomField")
    for key, most in (("inlineHelpText", 510), ("description", 1000)):
        if len(str(values.get(key) or "")) > most:
            raise RefusedError(f"Value too long for field: {key} maximum length is:{most}")


def _check_formula(kind: str, values: Mapping[str, Any]) -> None:
    for key in ("length", "valueSet", "referenceTo", "unique", "externalId", "required"):
        if values.get(key):
            raise RefusedError(f"Can not specify '{key}' for a CustomField of type Formula({kind})")


def _check_properties(kind: str, values: Mapping[str, Any]) -> None:
    for key in _NEEDS.get(kind, ()):
        if values.get(key) is None:
            raise RefusedError(f"Must specify '{key}' for a CustomField of type {kind}")
    for key, kinds in _ONLY.items():
        if values.get(key) is not None and kind not in kinds:
            raise RefusedError(f"Can not specify '{key}' for a CustomField of type {kind}")
    for key, kinds in _ONLY_TRUE.items():
        if values.get(key) and kind not in kinds:
            raise RefusedError(f"Can not specify '{key}' for a CustomField of type {kind}")
    if values.get("required") and kind in _NEVER_REQUIRED:
        raise RefusedError(f"Can not specify 'required' for a CustomField of type {kind}")
    least, most = _RANGES.get(kind, (0, 0))
    if most and not least <= int(values["length"]) <= most:
        raise RefusedError(f"length must be between {least} and {most} for a CustomField of type {kind}")
    if kind in _NUMBERS:
        precision, scale = int(values["precision"]), int(values["scale"])
        if not (1 <= precision <= 18 and 0 <= scale <= precision):
            raise RefusedError(f"Precision must be 18 or less and scale no more than it, not {precision} and {scale}")
    if values.get("visibleLines") is not None and not 2 <= int(values["visibleLines"]) <= 50:
        raise RefusedError(f"visibleLines must be between 2 and 50, not {values['visibleLines']}")


def _value_set(values: Mapping[str, Any], before: Mapping[str, Any] | None) -> dict[str, Any]:
    """The value set with the values that the field already had: those that the file leaves out become inactive."""
    given = dict(values["valueSet"])
    if given.get("valueSetName"):
        raise RefusedError(f"In field: valueSet - no GlobalValueSet named {given['valueSetName']} found")
    inner = dict(given.get("valueSetDefinition") or {})
    listed = list(inner.get("value") or [])
    names = [str(entry.get("fullName") or "") for entry in listed]
    for name in names:
        if not name.strip() or len(name) > 255:
            raise RefusedError(f"Picklist value {name[:40]!r}: a value has 1 to 255 characters")
        if names.count(name) > 1 or [other.lower() for other in names].count(name.lower()) > 1:
            raise RefusedError(f"Duplicate value found in picklist: {name}")
    if sum(1 for entry in listed if entry.get("default") is True) > 1:
        raise RefusedError("A picklist can have only one default value")
    known = {name.lower() for name in names}
    old = (((before or {}).get("valueSet") or {}).get("valueSetDefinition") or {}).get("value") or []
    for entry in old:
        body = dict(entry) if isinstance(entry, Mapping) else {"fullName": str(entry), "label": str(entry)}
        if str(body["fullName"]).lower() not in known:
            listed.append(body | {"isActive": False, "default": False})
    if len(listed) > MOST_VALUES:
        raise RefusedError(f"A picklist can have {MOST_VALUES} values, inactive ones included; this has {len(listed)}")
    return given | {"valueSetDefinition": inner | {"value": listed}}


def _check_link(
    draft: Draft, owner: str, name: str, kind: str, values: Mapping[str, Any], before: Mapping[str, Any] | None
) -> None:
    target = str(values["referenceTo"])
    if not draft.has_object(target):
        raise RefusedError(f"In field: referenceTo - no CustomObject named {target} found")
    back = values.get("relationshipName")
    if back is not None:
        check_developer_name(str(back), "Child Relationship Name")
        for other, body in draft.objects.items():
            for field, known in ((body or {}).get("fields") or {}).items():
                same = (other.lower(), field.lower()) == (owner.lower(), name.lower())
                if not same and _named_back(known, target, str(back)):
                    raise RefusedError(f"There is already a Child Relationship named {back} on {target}.")
    if kind == "Lookup" and values.get("required") and values.get("deleteConstraint") in (None, "SetNull"):
        raise RefusedError("Must specify 'deleteConstraint' Restrict or Cascade for a required CustomField of "
                           "type Lookup")  # fmt: skip
    if kind == "MasterDetail" and before is None:
        _check_master(draft, owner, name)


def _named_back(known: Any, target: str, back: str) -> bool:
    return (
        isinstance(known, Mapping)
        and str(known.get("referenceTo", "")).lower() == target.lower()
        and str(known.get("relationshipName", "")).lower() == back.lower()
    )


def masters(draft: Draft, owner: str) -> list[str]:
    """The master-detail fields of an object."""
    body = draft.objects.get(draft.own_name(owner) or "") or {}
    return [name for name, known in (body.get("fields") or {}).items() if (known or {}).get("type") == "MasterDetail"]


def _check_master(draft: Draft, owner: str, name: str) -> None:
    if not owner.endswith("__c"):
        raise RefusedError(f"Cannot create a MasterDetail relationship field on the standard object {owner}")
    if len(masters(draft, owner)) >= MOST_MASTERS:
        raise RefusedError(f"{owner} can have {MOST_MASTERS} MasterDetail relationship fields, and {name} is one more")
    held = draft.org.schema.find(owner)
    if held is not None and held.name.lower() not in (key.lower() for key, _ in _new_objects(draft)):
        count = draft.org.store.reader().execute(f'SELECT count(*) FROM "{held.name}"').fetchone()[0]
        if count:
            raise RefusedError(f"Cannot create a new MasterDetail on {owner}, which has {count} records: make it a "
                               "Lookup first and fill it on every record")  # fmt: skip


def _new_objects(draft: Draft) -> list[tuple[str, str]]:
    return [(found.name, found.kind) for state, found in draft.touched if state == CREATED and
            found.kind == "CustomObject"]  # fmt: skip


def _check_counts(draft: Draft, owner: str, values: Mapping[str, Any]) -> None:
    fields = draft.children(owner, "fields")
    if len(fields) >= MOST_FIELDS:
        raise RefusedError(f"You have reached the maximum number of {MOST_FIELDS} custom fields on {owner}")
    keys = sum(1 for known in fields.values() if (known or {}).get("externalId") in (True, "true"))
    if values.get("externalId") and keys >= MOST_EXTERNAL_IDS:
        raise RefusedError(f"You have reached the maximum number of {MOST_EXTERNAL_IDS} external ids on {owner}")


def _check_change(draft: Draft, owner: str, name: str, before: Mapping[str, Any], values: Mapping[str, Any]) -> None:
    old, new = before.get("type"), values.get("type")
    if old != new:
        if new in _LINKS:
            raise RefusedError("Cannot update a field to a Lookup, MasterDetail, or Hierarchy from something else")
        if old in _LINKS:
            raise RefusedError(f"Cannot update a field from a {old} to something else")
        raise RefusedError(f"Cannot change the type of {owner}.{name} from {old} to {new}")
    if bool(before.get("formula")) != bool(values.get("formula")):
        raise RefusedError(f"Cannot change {owner}.{name} between a formula and a stored field")
    if new in _LINKS and str(before.get("referenceTo")).lower() != str(values.get("referenceTo")).lower():
        raise RefusedError(f"Cannot update referenceTo of {owner}.{name} from {before.get('referenceTo')}")
    held = draft.org.schema.find(owner)
    stored = held.field(name) if held else None
    if held is not None and stored is not None and not before.get("formula"):
        _check_rows(draft, held.name, stored, values)


def _check_rows(draft: Draft, owner: str, stored: Field, values: Mapping[str, Any]) -> None:
    """Refuse what would cut stored values."""
    reader = draft.org.store.reader()
    column = f'"{stored.name}"'
    length = values.get("length")
    if length is not None and int(length) < stored.length:
        longest = reader.execute(f'SELECT max(length({column})) FROM "{owner}"').fetchone()[0] or 0
        if longest > int(length):
            raise RefusedError(f"Cannot decrease the length of {owner}.{stored.name} from {stored.length} to {length}: "
                               f"the longest stored value has {longest} characters")  # fmt: skip
    if values.get("precision") is not None and stored.kind == "decimal":
        digits = int(values["precision"]) - int(values.get("scale") or 0)
        most = reader.execute(f'SELECT max(abs({column})) FROM "{owner}"').fetchone()[0] or 0
        if most >= 10 ** (digits + stored.scale):
            raise RefusedError(f"Cannot decrease the precision of {owner}.{stored.name} to {values['precision']}: "
                               "a stored value has more digits")  # fmt: skip
    if values.get("unique") and not stored.unique:
        case = "" if values.get("caseSensitive") else " COLLATE NOCASE"
        twice = reader.execute(
            f'SELECT {column} FROM "{owner}" WHERE {column} IS NOT NULL GROUP BY {column}{case} HAVING count(*) > 1'
        ).fetchone()
        if twice:
            raise RefusedError(f"Cannot make {owner}.{stored.name} unique: several records hold {str(twice[0])[:80]!r}")
