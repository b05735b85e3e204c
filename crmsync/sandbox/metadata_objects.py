"""What the org refuses of custom objects, record types and validation rules in a deploy, and what it makes of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from crmsync.sandbox.metadata_draft import CHANGED, CREATED, SAME, Draft, RefusedError
from crmsync.sandbox.metadata_fields import check_developer_name, check_label, masters
from crmsync.sandbox.metadata_package import Component
from crmsync.sandbox.schema_file import OBJECT_KEYS

MOST_OBJECTS = 200
_NEEDS = ("pluralLabel", "nameField", "deploymentStatus", "sharingModel")
_AGREEING = ("enableBulkApi", "enableSharing", "enableStreamingApi")
_NAME_FIELDS = {"Text": "Text", "AutoNumber": "AutoNumber"}


def try_object(draft: Draft, component: Component) -> str:
    """Put an object into the draft, or properties of a standard object. Errors: RefusedError."""
    name = component.name
    given = {key: value for key, value in component.values.items() if key != "fullName"}
    if not name.endswith("__c"):
        if not draft.has_object(name):
            raise RefusedError(f"no CustomObject named {name} found")
        return draft.keep(Component("CustomObject", draft.spelled(name), component.file, component.line, given))
    own = draft.own_name(name)
    _check_object(name, given, own is None)
    if own is None and len([known for known in draft.objects if known.endswith("__c")]) >= MOST_OBJECTS:
        raise RefusedError(f"You have reached the maximum number of {MOST_OBJECTS} custom objects")
    spelled = own or name
    before = draft.objects.get(spelled) or {}
    kept = {key: before[key] for key in ("fields", "recordTypes", "validationRules", "duplicateRules", "keyPrefix")
            if key in before}  # fmt: skip
    known = {key: value for key, value in given.items() if key in OBJECT_KEYS}
    after = known | kept
    more = {key: value for key, value in given.items() if key not in OBJECT_KEYS}
    if more:
        draft.keep(Component("CustomObject", spelled, component.file, component.line, more))
    draft.objects[spelled] = after
    draft.changed_schema()
    try:
        draft.schema  # noqa: B018  worked out here so that this object gets the blame
    except RefusedError:
        if own is None:
            del draft.objects[spelled]
        else:
            draft.objects[spelled] = before
        draft.changed_schema()
        raise
    return CREATED if own is None else SAME if before == after else CHANGED


def _check_object(name: str, given: Mapping[str, Any], new: bool) -> None:
    check_developer_name(name.removesuffix("__c"), "Object Name")
    if new or given.get("label") is not None:
        check_label(given.get("label"), "CustomObject")
    for key in _NEEDS if new else ():
        if not given.get(key):
            raise RefusedError(f"Must specify '{key}' for a CustomObject")
    if len(str(given.get("pluralLabel") or "")) > 40:
        raise RefusedError("Value too long for field: PluralLabel maximum length is:40")
    stated = {bool(given[key]) for key in _AGREEING if given.get(key) is not None}
    if len(stated) > 1:
        raise RefusedError("enableBulkApi, enableSharing and enableStreamingApi must all be true or all be false")
    named = given.get("nameField")
    if named is not None:
        if named.get("type") not in _NAME_FIELDS:
            raise RefusedError(f"nameField: type {named.get('type')} is not Text or AutoNumber")
        check_label(named.get("label"), "nameField")
        if named["type"] == "AutoNumber" and "{0" not in str(named.get("displayFormat") or ""):
            raise RefusedError("Must specify 'displayFormat', like A-{0000}, for a nameField of type AutoNumber")


def sharing_problem(draft: Draft, name: str) -> str | None:
    """What is wrong between an object's sharing model and its master-detail fields, once both are in the draft."""
    body = draft.objects.get(draft.own_name(name) or "") or {}
    model, has_master = body.get("sharingModel"), bool(masters(draft, name))
    if has_master and model not in (None, "ControlledByParent"):
        return f"Cannot set sharingModel to {model} on a CustomObject with a MasterDetail relationship field"
    if model == "ControlledByParent" and not has_master:
        return (
            "Cannot set sharingModel to ControlledByParent on a CustomObject without a MasterDetail relationship field"
        )
    return None


def try_record_type(draft: Draft, component: Component) -> str:
    """Put a record type into the draft. Errors: RefusedError."""
    sobject, _, name = component.name.partition(".")
    owner = draft.spelled(sobject)
    found = draft.schema.find(owner)
    if found is None or not (found.record_types or found.custom):
        raise RefusedError(f"Record types are not supported on {owner}")
    check_developer_name(name, "Record Type Name", 80)
    check_label(component.values.get("label"), "RecordType", 80)
    picked: dict[str, list[str]] = {}
    for entry in component.values.get("picklistValues") or []:
        field = found.field(str(entry.get("picklist")))
        if field is None or field.type not in ("picklist", "multipicklist"):
            raise RefusedError(f"In field: picklist - no Picklist named {entry.get('picklist')} found")
        chosen = [_unescaped(str(value.get("fullName"))) for value in entry.get("values") or []]
        known = {choice.value for choice in field.choices}
        for value in chosen:
            if value not in known:
                raise RefusedError(f"Picklist value: {value} in picklist: {field.name} not found")
        picked[field.name] = chosen
    values = component.values
    body: dict[str, Any] = {"label": values["label"], "active": values.get("active", True)}
    body |= {"picklistValues": picked} if picked else {}
    body |= {"description": values["description"]} if values.get("description") else {}
    return draft.put(owner, "recordTypes", name, body)


def _unescaped(value: str) -> str:
    """Record types write signs of a picklist value as in a web address."""
    from urllib.parse import unquote

    return unquote(value)


def try_rule(draft: Draft, component: Component) -> str:
    """Put a validation rule into the draft. Errors: RefusedError."""
    sobject, _, name = component.name.partition(".")
    owner = draft.spelled(sobject)
    check_developer_name(name, "Validation Rule Name")
    values = component.values
    if not str(values.get("errorConditionFormula") or "").strip():
        raise RefusedError("Must specify 'errorConditionFormula' for a ValidationRule")
    message = str(values.get("errorMessage") or "")
    if not 1 <= len(message) <= 255:
        raise RefusedError("errorMessage must have 1 to 255 characters")
    field = values.get("errorDisplayField")
    if field and not draft.field_exists(owner, str(field)):
        raise RefusedError(f"In field: errorDisplayField - no CustomField named {owner}.{field} found")
    names = ("active", "description", "errorConditionFormula", "errorDisplayField", "errorMessage")
    return draft.put(owner, "validationRules", name, {key: values[key] for key in names if key in values})
