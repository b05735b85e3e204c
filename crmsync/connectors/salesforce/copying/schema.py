"""`schema.yaml` of a sandbox out of what a real org describes. Formulas become plain fields with what they showed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

Described = Mapping[str, Any]
_PLAIN = {
    "boolean": "Checkbox", "date": "Date", "datetime": "DateTime", "time": "Time", "email": "Email", "phone": "Phone",
    "url": "Url",
}  # fmt: skip
_NUMBERS = {"double": "Number", "currency": "Currency", "percent": "Percent", "int": "Number", "long": "Number"}
_CHOICES = {"picklist": "Picklist", "multipicklist": "MultiselectPicklist", "combobox": "Picklist"}


def schema_of(objects: Mapping[str, Described], loose: frozenset[str]) -> dict[str, Any]:
    """The definition of these objects. `loose`: fields, as `object.field`, whose data hold values that are inactive.

    A lookup to an object that is not copied and not standard is left out: see `takes`.
    """
    backs = {
        (str(child.get("childSObject")), str(child.get("field"))): str(child["relationshipName"])
        for described in objects.values()
        for child in described.get("childRelationships") or ()
        if child.get("relationshipName")
    }
    made = {name: _object(name, described, objects, backs, loose) for name, described in objects.items()}
    return {"objects": {name: body for name, body in made.items() if body}}


def takes(field: Mapping[str, Any], known: Iterable[str]) -> bool:
    """Whether a custom field can be made in a sandbox that has these objects."""
    kind = field["type"]
    if kind == "reference":
        return any(target in known for target in field.get("referenceTo") or ())
    return kind in _PLAIN or kind in _NUMBERS or kind in _CHOICES or kind in ("string", "textarea", "encryptedstring")


def is_custom(name: str) -> bool:
    """Whether an object or field is an org's own."""
    return name.lower().endswith("__c")


def _object(
    name: str, described: Described, objects: Mapping[str, Described], backs: Mapping[tuple[str, str], str],
    loose: frozenset[str],
) -> dict[str, Any]:  # fmt: skip
    fields = {
        str(field["name"]): _field(name, field, objects, backs, loose)
        for field in described["fields"]
        if is_custom(str(field["name"])) and takes(field, objects)
    }
    kinds = {
        str(kind["developerName"]): {"label": str(kind["name"]), "active": bool(kind.get("active", True))}
        for kind in described.get("recordTypeInfos") or ()
        if not kind.get("master") and kind.get("developerName")
    }
    body: dict[str, Any] = {"fields": fields} if fields else {}
    if is_custom(name):
        named: Mapping[str, Any] = next((field for field in described["fields"] if field.get("nameField")), {})
        own = {"type": "AutoNumber", "label": named.get("label") or "Number", "displayFormat": "A-{000000}"}
        body = {
            "label": str(described.get("label") or name), "pluralLabel": str(described.get("labelPlural") or name),
            "keyPrefix": described.get("keyPrefix"),
            "nameField": own if named.get("autoNumber") else {"type": "Text", "label": named.get("label") or "Name"},
        } | body  # fmt: skip
    return body | ({"recordTypes": kinds} if kinds else {})


def _field(
    owner: str, field: Mapping[str, Any], objects: Mapping[str, Described], backs: Mapping[tuple[str, str], str],
    loose: frozenset[str],
) -> dict[str, Any]:  # fmt: skip
    name, kind = str(field["name"]), str(field["type"])
    made: dict[str, Any] = {"label": str(field.get("label") or name)}
    if field.get("inlineHelpText"):
        made["inlineHelpText"] = str(field["inlineHelpText"])
    if kind == "reference":
        return made | _reference(owner, field, objects, backs)
    if kind in _PLAIN:
        return made | {"type": _PLAIN[kind]}
    if kind in _NUMBERS:
        digits = int(field.get("precision") or field.get("digits") or 18)
        return made | {"type": _NUMBERS[kind], "precision": min(digits, 18), "scale": int(field.get("scale") or 0)}
    if kind in _CHOICES:
        restricted = bool(field.get("restrictedPicklist")) and f"{owner}.{name}" not in loose
        return made | {"type": _CHOICES[kind], "valueSet": _values(field, restricted)}
    return made | _text(field)


def _values(field: Mapping[str, Any], restricted: bool) -> dict[str, Any]:
    listed = [
        {"fullName": str(entry["value"]), "label": str(entry.get("label") or entry["value"])}
        | ({"default": True} if entry.get("defaultValue") else {})
        | ({} if entry.get("active", True) else {"isActive": False})
        for entry in field.get("picklistValues") or ()
    ]
    return {"restricted": restricted, "valueSetDefinition": {"sorted": False, "value": listed}}


def _text(field: Mapping[str, Any]) -> dict[str, Any]:
    length = int(field.get("length") or 255)
    if field["type"] == "textarea":
        if field.get("htmlFormatted"):
            return {"type": "Html", "length": length, "visibleLines": 10}
        long = {"type": "LongTextArea", "length": length, "visibleLines": 5}
        return long if length > 255 else {"type": "TextArea"}
    made: dict[str, Any] = {"type": "Text", "length": min(length, 255)}
    return made | {
        key: True
        for key, told in (("externalId", "externalId"), ("unique", "unique"), ("caseSensitive", "caseSensitive"))
        if field.get(told)
    }


def _reference(
    owner: str, field: Mapping[str, Any], objects: Mapping[str, Described], backs: Mapping[tuple[str, str], str]
) -> dict[str, Any]:
    name = str(field["name"])
    target = next(target for target in field["referenceTo"] if target in objects)
    back = backs.get((owner, name))
    made: dict[str, Any] = {"type": "Lookup", "referenceTo": target}
    if back:
        made["relationshipName"] = back.removesuffix("__r")
    if field.get("relationshipOrder") is not None:
        # two details of one master keep their order
        made |= {"type": "MasterDetail", "relationshipOrder": int(field["relationshipOrder"])}
        if field.get("updateable"):
            made["reparentableMasterDetail"] = True
    elif field.get("restrictedDelete"):
        made["deleteConstraint"] = "Restrict"
    elif field.get("cascadeDelete"):
        made["deleteConstraint"] = "Cascade"
    return made
