"""Custom objects and fields as `schema.yaml` gives them: property names of the Metadata API's CustomField."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from difflib import get_close_matches
from pathlib import Path
from typing import Any, NoReturn

from crmsync.sandbox.schema import Choice, Field, Schema, SObject
from crmsync.sandbox.schema_lines import LinedDefinition, lines_of, with_line
from crmsync.sandbox.schema_rules import (
    DUPLICATE_KEYS,
    FORMULA_TYPES,
    KIND_KEYS,
    RULE_KEYS,
    check_calculations,
    make_duplicate_rule,
    make_kind,
    make_roll_up,
    make_rule,
    with_roll_ups,
)
from crmsync.sandbox.standard import (
    Features,
    audit_fields,
    owner_field,
    record_type_field,
    standard_objects,
    with_currency,
)

MAX_FILE = 1024 * 1024
ACTIVITY, ACTIVITIES = "Activity", ("Task", "Event")
"""Custom fields of tasks and events are made on one object that has no records of its own."""
_PREFIX = re.compile(r"[0-9A-Za-z]{3}\Z")
_API_NAME = re.compile(r"[A-Za-z]\w*__c\Z")
OBJECT_KEYS = {
    "label", "pluralLabel", "fields", "nameField", "description", "sharingModel", "deploymentStatus", "enableBulkApi",
    "enableReports", "enableSharing", "enableStreamingApi", "enableHistory", "enableActivities", "enableSearch",
    "externalSharingModel", "visibility", "fullName", "keyPrefix", "validationRules", "recordTypes", "duplicateRules",
}  # fmt: skip
_FIELD_KEYS = {
    "fullName", "label", "type", "length", "precision", "scale", "required", "unique", "externalId", "caseSensitive",
    "defaultValue", "referenceTo", "relationshipName", "relationshipLabel", "relationshipOrder", "deleteConstraint",
    "writeRequiresMasterRead", "reparentableMasterDetail", "valueSet", "visibleLines", "displayFormat",
    "startingNumber",
    "description", "inlineHelpText", "trackHistory", "trackTrending", "trackFeedHistory", "displayLocationInDecimal",
    "businessStatus", "complianceGroup", "securityClassification", "populateExistingRows", "maskChar", "maskType",
    "formula", "formulaTreatBlanksAs", "summaryOperation", "summarizedField", "summaryForeignKey", "summaryFilterItems",
}  # fmt: skip
_TYPES = {
    "Text": "string", "TextArea": "textarea", "LongTextArea": "textarea", "Html": "textarea", "Email": "email",
    "Phone": "phone", "Url": "url", "Picklist": "picklist", "MultiselectPicklist": "multipicklist",
    "Checkbox": "boolean", "Number": "double", "Currency": "currency", "Percent": "percent", "Date": "date",
    "DateTime": "datetime", "Time": "time", "Lookup": "reference", "MasterDetail": "reference", "AutoNumber": "string",
    "EncryptedText": "string", "Summary": "double",
}  # fmt: skip
_LENGTHS = {"Text": 255, "TextArea": 255, "LongTextArea": 32768, "Html": 32768, "Email": 80, "Phone": 40, "Url": 255,
            "Picklist": 255, "MultiselectPicklist": 4099, "AutoNumber": 30, "EncryptedText": 175}  # fmt: skip
_NUMBERS = ("Number", "Currency", "Percent")
_FORMULA_LENGTH = 1_300


class SchemaError(Exception):
    """A schema that cannot be used; the message says where."""


def read_schema_file(path: Path) -> dict[str, Any]:
    """The mapping of a `schema.yaml`, unchecked within `objects`. Errors: SchemaError with file and line."""
    from ruamel.yaml import YAML
    from ruamel.yaml.error import MarkedYAMLError, YAMLError

    try:
        if path.stat().st_size > MAX_FILE:
            raise SchemaError(f"{path}: larger than 1 MiB")
        text = path.read_text(encoding="utf-8-sig")
        found = YAML(typ="safe", pure=True).load(text)
        lines = lines_of(YAML(typ="safe", pure=True).compose(text))
    except UnicodeDecodeError:
        raise SchemaError(f"{path}: is not UTF-8 text") from None
    except OSError as error:
        raise SchemaError(f"{path}: cannot be read: {error.strerror}") from None
    except MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise SchemaError(f"{path}:{line}: {error.problem or 'is not YAML'}") from None
    except (YAMLError, RecursionError, ValueError) as error:
        raise SchemaError(f"{path}: is not YAML: {error}") from None
    if not isinstance(found, dict):
        raise SchemaError(f"{path}: must be a mapping with the key `objects`")
    return LinedDefinition(found, lines)


def make_schema(definition: Mapping[str, Any], features: Features, source: str = "schema") -> Schema:
    """Standard objects plus those of the definition.

    Errors: SchemaError naming object, field and property, and the line where the definition is that of a file.
    """
    try:
        return _made_schema(definition, features, source)
    except SchemaError as error:
        raise SchemaError(with_line(str(error), source, getattr(definition, "lines", {}))) from None


def features_of(definition: Mapping[str, Any], source: str) -> dict[str, bool]:
    """What the definition switches on beside what the data show. Errors: SchemaError."""
    try:
        given = _mapping(definition.get("features") or {}, f"{source}: features")
        _only(given, {"person_accounts"}, f"{source}: features")
        return {str(name): _yes_no(value, f"{source}: features.{name}") for name, value in given.items()}
    except SchemaError as error:
        raise SchemaError(with_line(str(error), source, getattr(definition, "lines", {}))) from None


def _made_schema(definition: Mapping[str, Any], features: Features, source: str) -> Schema:
    _only(definition, {"objects", "features"}, source)
    features_of(definition, source)
    objects = {sobject.name.lower(): sobject for sobject in standard_objects(features)}
    listed = with_activity_fields(_mapping(definition.get("objects") or {}, f"{source}: objects"))
    prefixes = _free_prefixes(listed.values())
    for name, body in listed.items():
        where = f"{source}: {name}"
        body = _mapping(body or {}, where)
        _only(body, OBJECT_KEYS, where)
        known = objects.get(str(name).lower())
        if known is None:
            known = _custom_object(str(name), body, prefixes, features, where)
        made = [_field(str(field), _mapping(given or {}, f"{where}.{field}"), f"{where}.{field}")
                for field, given in _mapping(body.get("fields") or {}, f"{where}.fields").items()]  # fmt: skip
        objects[str(name).lower()] = _with_rules(_extended(known, made, where), body, where)
    _check_targets(objects, source)

    def place(sobject: str, name: str) -> str:
        return f"{source}: {sobject}.{name}"

    schema = Schema(with_roll_ups(objects, place, SchemaError).values(), features.multi_currency)
    check_calculations(schema, place, SchemaError)
    return schema


def with_activity_fields(listed: Mapping[str, Any]) -> Mapping[str, Any]:
    """The objects of a definition with the custom fields of Activity, which tasks and events both have."""
    own = next((name for name in listed if str(name).lower() == ACTIVITY.lower()), None)
    if own is None:
        return listed
    fields = (listed[own] or {}).get("fields") or {}
    spread = {name: body for name, body in listed.items() if name != own}
    for kind in ACTIVITIES:
        name = next((known for known in spread if str(known).lower() == kind.lower()), kind)
        body = spread.get(name) or {}
        spread[name] = {**body, "fields": {**(body.get("fields") or {}), **fields}}
    return spread


def _with_rules(sobject: SObject, body: Mapping[str, Any], where: str) -> SObject:
    """The object with its validation rules, duplicate rules and record types."""

    def entries(key: str, known: set[str]) -> Iterator[tuple[str, Mapping[str, Any], str]]:
        for name, given in _mapping(body.get(key) or {}, f"{where}.{key}").items():
            place = f"{where}.{key}.{name}"
            given = _mapping(given or {}, place)
            _only(given, known, place)
            yield str(name), given, place

    rules = [make_rule(*entry, SchemaError) for entry in entries("validationRules", RULE_KEYS)]
    twins = [make_duplicate_rule(sobject, *entry, SchemaError) for entry in entries("duplicateRules", DUPLICATE_KEYS)]
    kinds = [make_kind(sobject, *entry, SchemaError) for entry in entries("recordTypes", KIND_KEYS)]
    if kinds and not sobject.record_types:
        sobject = replace(sobject, fields=(*sobject.fields, record_type_field()), record_types=True)
    return replace(sobject, rules=tuple(rules), duplicate_rules=tuple(twins), kinds=tuple(kinds))


def _free_prefixes(bodies: Iterable[Any]) -> Iterator[str]:
    """Key prefixes of custom objects, in order, without those that the definition gives."""
    given = {body.get("keyPrefix") for body in bodies if isinstance(body, Mapping)}
    signs = "0123456789abcdefghijklmnopqrstuvwxyz"
    return (found for first in signs for second in signs if (found := f"a{first}{second}") not in given)


def _extended(sobject: SObject, made: Sequence[Field], where: str) -> SObject:
    for number, field in enumerate(made):
        if any(field.name.lower() == other.name.lower() for other in (*sobject.fields, *made[:number])):
            raise SchemaError(f"{where}.{field.name}: the object has this field already")
    masters = [field for field in made if field.write_requires_master_read or field.relationship_order is not None]
    kept = [field for field in sobject.fields if not (masters and field.name == "OwnerId" and sobject.custom)]
    return replace(sobject, fields=(*kept, *made))


def _check_targets(objects: Mapping[str, SObject], source: str) -> None:
    for sobject in objects.values():
        for field in sobject.fields:
            for target in field.reference_to:
                if target.lower() not in objects:
                    hint = _nearest(target, [known.name for known in objects.values()])
                    raise SchemaError(f"{source}: {sobject.name}.{field.name}: referenceTo {target} is no object{hint}")


def _custom_object(
    name: str, body: Mapping[str, Any], prefixes: Iterator[str], features: Features, where: str
) -> SObject:
    if _API_NAME.match(name) is None or len(name) > 43:
        raise SchemaError(f"{where}: is no standard object of this org, and a custom object's name ends in __c")
    label = str(body.get("label") or name.removesuffix("__c").replace("_", " "))
    prefix = str(body.get("keyPrefix") or next(prefixes))
    if _PREFIX.match(prefix) is None:
        raise SchemaError(f"{where}: keyPrefix {prefix!r:.20} is not three letters or digits")
    named = _mapping(body.get("nameField") or {"type": "Text", "label": f"{label} Name"}, f"{where}.nameField")
    system = audit_fields("Record")
    fields = (system[0], owner_field(), _name_field(named, where), *system[1:])
    made = SObject(name, label, str(body.get("pluralLabel") or f"{label}s"), prefix, fields, custom=True)
    return with_currency(made) if features.multi_currency else made


def _name_field(given: Mapping[str, Any], where: str) -> Field:
    label = str(given.get("label") or "Name")
    if given.get("type") == "AutoNumber":
        shape = str(given.get("displayFormat") or "A-{0000}")
        return Field("Name", label, "string", length=80, nillable=False, createable=False, updateable=False,
                     defaulted_on_create=True, name_field=True, id_lookup=True, auto_number=shape)  # fmt: skip
    if given.get("type", "Text") != "Text":
        raise SchemaError(f"{where}.nameField: type {given.get('type')} is not Text or AutoNumber")
    return Field("Name", label, "string", length=80, nillable=True, defaulted_on_create=True, name_field=True,
                 id_lookup=True)  # fmt: skip


def _field(name: str, given: Mapping[str, Any], where: str) -> Field:
    if _API_NAME.match(name) is None:
        raise SchemaError(f"{where}: a custom field's name has letters, digits and _ and ends in __c")
    _only(given, _FIELD_KEYS, where)
    kind = given.get("type")
    if kind not in _TYPES:
        raise SchemaError(f"{where}: type {kind} is not known{_nearest(str(kind), list(_TYPES))}")
    flags = {key: _yes_no(given.get(key, False), f"{where}.{key}")
             for key in ("required", "unique", "externalId", "caseSensitive")}  # fmt: skip
    label = str(given.get("label") or name.removesuffix("__c").replace("_", " "))
    made = Field(
        name, label, _TYPES[kind], custom=True, help=given.get("inlineHelpText"),
        nillable=not flags["required"] and kind not in ("Checkbox", "MasterDetail"), unique=flags["unique"],
        external_id=flags["externalId"], id_lookup=flags["externalId"], case_sensitive=flags["caseSensitive"],
    )  # fmt: skip
    made = replace(made, **_type_properties(name, str(kind), given, where))
    return _calculated(made, given, str(kind), where) if "formula" in given or kind == "Summary" else made


def _calculated(made: Field, given: Mapping[str, Any], kind: str, where: str) -> Field:
    """The field as a formula or a roll-up summary: read only, and never empty by rule."""
    plain: dict[str, Any] = {
        "createable": False, "updateable": False, "nillable": made.kind != "flag", "defaulted_on_create": False,
        "default": None,
    }  # fmt: skip
    if kind == "Summary":
        return replace(made, **plain, roll_up=make_roll_up(given, where, SchemaError))
    formula, blanks = given.get("formula"), given.get("formulaTreatBlanksAs", "BlankAsZero")
    if kind not in FORMULA_TYPES:
        raise SchemaError(f"{where}: a formula has the type {', '.join(FORMULA_TYPES)}, not {kind}")
    if not isinstance(formula, str) or not formula.strip():
        raise SchemaError(f"{where}.formula: {formula!r:.40} is not a formula")
    if blanks not in ("BlankAsZero", "BlankAsBlank"):
        raise SchemaError(f"{where}.formulaTreatBlanksAs: {blanks!r:.40} is not BlankAsZero or BlankAsBlank")
    if kind == "Text":
        plain["length"] = _FORMULA_LENGTH
    return replace(made, **plain, formula=formula, blank_as_zero=blanks == "BlankAsZero")


def _type_properties(name: str, kind: str, given: Mapping[str, Any], where: str) -> dict[str, Any]:
    if kind in _NUMBERS:
        scale = _number(given.get("scale", 0), 0, 17, f"{where}.scale")
        return {
            "scale": scale,
            "precision": _number(given.get("precision", 18), max(1, scale), 18, f"{where}.precision"),
        }
    if kind in ("Lookup", "MasterDetail"):
        return _reference(name, kind, given, where)
    if kind in ("Picklist", "MultiselectPicklist"):
        return {"length": _LENGTHS[kind]} | _value_set(given, where)
    if kind == "Checkbox":
        default = _yes_no(given.get("defaultValue", False), f"{where}.defaultValue")
        return {"default": default, "defaulted_on_create": True}
    if kind == "AutoNumber":
        return {"length": 30, "auto_number": str(given.get("displayFormat") or "A-{0000}"), "nillable": False,
                "createable": False, "updateable": False, "defaulted_on_create": True}  # fmt: skip
    if kind not in _LENGTHS:
        return {}
    top = 131_072 if kind in ("LongTextArea", "Html") else 255
    length = _number(given.get("length", _LENGTHS[kind]), 1, top, f"{where}.length")
    extra = {"TextArea": "plaintextarea", "Html": "richtextarea"}.get(kind)
    return {"length": length, "extra_type": extra, "html": kind == "Html"}


def _reference(name: str, kind: str, given: Mapping[str, Any], where: str) -> dict[str, Any]:
    target = given.get("referenceTo")
    if not isinstance(target, str) or not target:
        raise SchemaError(f"{where}: referenceTo is missing; it names the parent object")
    constraint = given.get("deleteConstraint") or "SetNull"
    if constraint not in ("SetNull", "Restrict", "Cascade"):
        raise SchemaError(f"{where}: deleteConstraint {constraint} is not SetNull, Restrict or Cascade")
    back = given.get("relationshipName")
    master = kind == "MasterDetail"
    return {
        "length": 18, "reference_to": (target,), "relationship": name.removesuffix("__c") + "__r",
        "children": f"{back}__r" if back else None, "cascade_delete": master or constraint == "Cascade",
        "restricted_delete": constraint == "Restrict", "write_requires_master_read": master,
        "relationship_order": int(given.get("relationshipOrder") or 0) if master else None,
        "updateable": not master or bool(given.get("reparentableMasterDetail")),
    }  # fmt: skip


def _value_set(given: Mapping[str, Any], where: str) -> dict[str, Any]:
    values = _mapping(given.get("valueSet") or {}, f"{where}.valueSet")
    _only(values, {"restricted", "valueSetDefinition", "controllingField", "valueSettings"}, f"{where}.valueSet")
    inner = _mapping(values.get("valueSetDefinition") or {}, f"{where}.valueSetDefinition")
    _only(inner, {"sorted", "value"}, f"{where}.valueSetDefinition")
    listed = inner.get("value") or []
    choices = [_choice(entry, where) for entry in (listed if isinstance(listed, list) else [listed])]
    if inner.get("sorted"):
        choices.sort(key=lambda choice: choice.label.lower())
    if len({choice.value for choice in choices}) < len(choices):
        raise SchemaError(f"{where}: two picklist values have the same fullName")
    default = next((choice.value for choice in choices if choice.default), None)
    restricted = _yes_no(values.get("restricted", False), f"{where}.valueSet.restricted")
    return {"choices": tuple(choices), "restricted": restricted, "default": default}


def _choice(entry: Any, where: str) -> Choice:
    if not isinstance(entry, dict):
        return Choice(str(entry), str(entry))
    _only(entry, {"fullName", "label", "default", "isActive", "color", "description"}, f"{where}: picklist value")
    if entry.get("fullName") is None:
        raise SchemaError(f"{where}: a picklist value has no fullName")
    value = str(entry["fullName"])
    return Choice(
        value, str(entry.get("label") or value), entry.get("default") is True, entry.get("isActive") is not False
    )


def _mapping(value: Any, where: str) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise SchemaError(f"{where}: must be a mapping, not {value!r:.60}")
    return value


def _only(given: Mapping[str, Any], known: set[str], where: str) -> None:
    for key in given:
        if key not in known:
            raise SchemaError(f"{where}: `{key}` is not known here{_nearest(str(key), sorted(known))}")


def _nearest(word: str, known: Sequence[str]) -> str:
    close = get_close_matches(word, known, 1)
    return f"; did you mean {close[0]}?" if close else ""


def _number(value: Any, least: int, most: int, where: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        _fail(f"{where}: {value!r:.40} is not a whole number from {least} to {most}")
    return int(value)


def _yes_no(value: Any, where: str) -> bool:
    if value not in (True, False, "true", "false"):
        _fail(f"{where}: {value!r:.40} is not true or false")
    return value in (True, "true")


def _fail(message: str) -> NoReturn:
    raise SchemaError(message)
