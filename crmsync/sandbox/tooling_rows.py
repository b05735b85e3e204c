"""Rows of the Tooling API's objects, made from the org's schema and definition."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from crmsync.sandbox.metadata_draft import members
from crmsync.sandbox.metadata_files import file_properties, values_of
from crmsync.sandbox.metadata_rows import component_ids
from crmsync.sandbox.org import Org
from crmsync.sandbox.schema import Field, SObject
from crmsync.sandbox.users import ADMINISTRATOR, PEOPLE

Row = dict[str, Any]
_TYPES = {
    "string": "Text({length})", "textarea": "Text Area({length})", "picklist": "Picklist",
    "multipicklist": "Picklist (Multi-Select)", "boolean": "Checkbox", "int": "Number({digits}, 0)",
    "double": "Number({whole}, {scale})", "currency": "Currency({whole}, {scale})",
    "percent": "Percent({whole}, {scale})", "date": "Date", "datetime": "Date/Time", "time": "Time",
    "email": "Email", "phone": "Phone", "url": "URL", "address": "Address", "id": "Id",
}  # fmt: skip


def tooling_rows(org: Org) -> dict[str, list[Row]]:
    """Rows by object name."""
    for kind in ("CustomObject", "CustomField", "ValidationRule", "RecordType"):
        file_properties(org, kind, members(org, kind))  # what has no id yet gets one
    ids = component_ids(org)
    durable = {sobject.name: ids[f"CustomObject:{sobject.name}"][:15] if sobject.custom else sobject.name
               for sobject in org.schema}  # fmt: skip
    stamp = org.clock.now()
    admin = next(person.id for person in PEOPLE if person.profile == ADMINISTRATOR)
    audit = {"ManageableState": "unmanaged", "CreatedDate": stamp, "LastModifiedDate": stamp, "CreatedById": admin,
             "LastModifiedById": admin}  # fmt: skip
    return {
        "CustomObject": [audit | row for row in _objects(org, ids)],
        "CustomField": [audit | row for row in _fields(org, ids, durable)],
        "ValidationRule": [audit | row for row in _rules(org, ids, durable)],
        "RecordType": [audit | row for row in _record_types(org, ids)],
        "EntityDefinition": [_entity(sobject, durable) | {"LastModifiedDate": stamp} for sobject in org.schema],
        "FieldDefinition": [_definition(org, sobject, field, ids, durable) | {"LastModifiedDate": stamp}
                            for sobject in org.schema for field in sobject.fields if not field.hidden],
        "User": _copied(org, "User", ("Id", "Username", "Name", "Email", "IsActive")),
        "Organization": _copied(org, "Organization", ("Id", "Name", "OrganizationType", "InstanceName", "IsSandbox",
                                                      "TrialExpirationDate", "NamespacePrefix")),
    }  # fmt: skip


def _copied(org: Org, name: str, columns: tuple[str, ...]) -> list[Row]:
    listed = ", ".join(f'"{column}"' for column in columns)
    rows = org.store.reader().execute(f'SELECT {listed} FROM "{name}"')
    return [dict(zip(columns, row, strict=True)) for row in rows]


def metadata_json(kind: str, values: Mapping[str, Any]) -> str:
    """The `Metadata` of a component as the Tooling API shows it: without full name, values by `valueName`."""
    shown = {name: value for name, value in values.items() if name != "fullName"}
    value_set = shown.get("valueSet")
    if kind == "CustomField" and isinstance(value_set, Mapping) and value_set.get("valueSetDefinition"):
        inner = value_set["valueSetDefinition"]
        listed = [{"valueName" if key == "fullName" else key: found for key, found in entry.items()}
                  for entry in inner.get("value") or []]  # fmt: skip
        shown["valueSet"] = {**value_set, "valueSetDefinition": {**inner, "value": listed}}
    return json.dumps(shown)


def _objects(org: Org, ids: Mapping[str, str]) -> Iterator[Row]:
    for name in members(org, "CustomObject"):
        sobject = org.schema.find(name)
        if sobject is None or not sobject.custom:
            continue
        values = {key: value for key, value in (values_of(org, "CustomObject", name) or {}).items()
                  if not isinstance(value, list)}  # fmt: skip
        yield {
            "Id": ids[f"CustomObject:{name}"], "DeveloperName": name.removesuffix("__c"), "FullName": name,
            "Metadata": metadata_json("CustomObject", values), "Description": values.get("description"),
            "SharingModel": _sharing(str(values.get("sharingModel") or "")), "Language": "en_US",
        }  # fmt: skip


def _sharing(model: str) -> str:
    return {"ReadWrite": "Edit", "Private": "None"}.get(model, model)


def _fields(org: Org, ids: Mapping[str, str], durable: Mapping[str, str]) -> Iterator[Row]:
    for full_name in members(org, "CustomField"):
        first, _, own = full_name.partition(".")
        sobject = org.schema.find(first)
        values = values_of(org, "CustomField", full_name)
        field = sobject.field(own) if sobject else None
        if sobject is None or field is None or values is None:
            continue
        yield {
            "Id": ids[f"CustomField:{full_name}"], "DeveloperName": own.removesuffix("__c"), "FullName": full_name,
            "TableEnumOrId": durable[sobject.name], "EntityDefinitionId": durable[sobject.name],
            "Metadata": metadata_json("CustomField", values), "Description": values.get("description"),
            "InlineHelpText": values.get("inlineHelpText"), "Length": values.get("length"),
            "Precision": values.get("precision"), "Scale": values.get("scale"),
            "RelationshipLabel": values.get("relationshipLabel"), "SummaryOperation": values.get("summaryOperation"),
        }  # fmt: skip


def _rules(org: Org, ids: Mapping[str, str], durable: Mapping[str, str]) -> Iterator[Row]:
    for full_name in members(org, "ValidationRule"):
        first, _, own = full_name.partition(".")
        values = values_of(org, "ValidationRule", full_name) or {}
        yield {
            "Id": ids[f"ValidationRule:{full_name}"], "ValidationName": own, "FullName": full_name,
            "EntityDefinitionId": durable.get(first, first), "Active": int(values.get("active") is not False),
            "Description": values.get("description"), "ErrorDisplayField": values.get("errorDisplayField"),
            "ErrorMessage": values.get("errorMessage"), "Metadata": metadata_json("ValidationRule", values),
        }  # fmt: skip


def _record_types(org: Org, ids: Mapping[str, str]) -> Iterator[Row]:
    for full_name in members(org, "RecordType"):
        first, _, own = full_name.partition(".")
        values = values_of(org, "RecordType", full_name) or {}
        yield {"Id": ids[f"RecordType:{full_name}"], "Name": values.get("label") or own, "FullName": full_name,
               "SobjectType": first, "IsActive": int(values.get("active") is not False),
               "Description": values.get("description")}  # fmt: skip


def _entity(sobject: SObject, durable: Mapping[str, str]) -> Row:
    own = durable[sobject.name]
    master = any(field.relationship_order is not None for field in sobject.fields)
    return {
        "Id": own, "DurableId": own, "QualifiedApiName": sobject.name,
        "DeveloperName": sobject.name.removesuffix("__c"), "MasterLabel": sobject.label, "Label": sobject.label,
        "PluralLabel": sobject.plural, "KeyPrefix": sobject.prefix,
        "InternalSharingModel": "ControlledByParent" if master else "ReadWrite",
        "DeploymentStatus": "Deployed" if sobject.custom else None, "IsCustomizable": int(sobject.createable),
        "IsCustomSetting": 0, "IsDeprecatedAndHidden": 0, "IsEverCreatable": int(sobject.createable),
        "IsEverUpdatable": int(sobject.updateable), "IsEverDeletable": int(sobject.deletable),
        "IsLayoutable": int(sobject.createable), "IsQueryable": 1,
        "IsReplicateable": int(sobject.field("SystemModstamp") is not None), "IsRetrieveable": 1,
        "IsSearchable": int(sobject.createable), "IsTriggerable": int(sobject.createable),
    }  # fmt: skip


def _definition(org: Org, sobject: SObject, field: Field, ids: Mapping[str, str], durable: Mapping[str, str]) -> Row:
    owner = durable[sobject.name]
    known = ids.get(f"CustomField:{sobject.name}.{field.name}")
    own = f"{owner}.{known[:15] if known else field.name}"
    values = values_of(org, "CustomField", f"{sobject.name}.{field.name}") or {} if field.custom else {}
    return {
        "Id": own, "DurableId": own, "EntityDefinitionId": owner, "QualifiedApiName": field.name,
        "DeveloperName": field.name.removesuffix("__c"), "MasterLabel": field.label, "Label": field.label,
        "DataType": _data_type(field), "ValueTypeId": field.type, "Length": field.length,
        "Precision": field.precision, "Scale": field.scale, "Description": values.get("description"),
        "ExtraTypeInfo": field.extra_type, "RelationshipName": field.relationship,
        "ReferenceTo": json.dumps({"referenceTo": list(field.reference_to)}),
        "IsCalculated": int(field.calculated), "IsCompound": int(field.kind == "compound"),
        "IsNillable": int(field.nillable), "IsIndexed": int(field.key or field.unique or field.type == "reference"),
        "IsNameField": int(field.name_field), "IsFieldHistoryTracked": int(bool(values.get("trackHistory"))),
        "IsApiFilterable": int(field.filterable), "IsApiGroupable": int(field.groupable),
        "IsApiSortable": int(field.filterable and field.kind != "list"),
        "IsPolymorphicForeignKey": int(len(field.reference_to) > 1),
    }  # fmt: skip


def _data_type(field: Field) -> str:
    """The type as the set-up pages name it."""
    if field.auto_number is not None:
        return "Auto Number"
    if field.type == "reference":
        kind = "Master-Detail" if field.relationship_order is not None else "Lookup"
        return f"{kind}({','.join(field.reference_to)})"
    if field.long:
        return f"{'Rich' if field.html else 'Long'} Text Area({field.length})"
    text = _TYPES.get(field.type, field.type).format(
        length=field.length, digits=field.digits, whole=field.precision - field.scale, scale=field.scale
    )
    extra = ["External ID"] if field.external_id else []
    if field.unique:
        extra.append("Unique Case Sensitive" if field.case_sensitive else "Unique Case Insensitive")
    return f"{text} ({') ('.join(extra)})" if extra else text
