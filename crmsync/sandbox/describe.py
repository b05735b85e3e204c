"""Describe answers in the shape of a real org: all keys of every field and object.

Source: contract of the wire, section 2.1; key names and types as in recorded answers of real orgs.
"""

from __future__ import annotations

from typing import Any

from crmsync.sandbox.ids import MASTER_RECORD_TYPE
from crmsync.sandbox.schema import Child, Choice, Field, Schema, SObject

_SOAP = {
    "id": "tns:ID", "reference": "tns:ID", "boolean": "xsd:boolean", "int": "xsd:int", "double": "xsd:double",
    "currency": "xsd:double", "percent": "xsd:double", "date": "xsd:date", "datetime": "xsd:dateTime",
    "time": "xsd:time", "address": "urn:address",
}  # fmt: skip


_NEVER: dict[str, Any] = {
    "aiPredictionField": False,
    "controllerName": None,
    "defaultValueFormula": None,
    "dependentPicklist": False,
    "deprecatedAndHidden": False,
    "displayLocationInDecimal": False,
    "encrypted": False,
    "filteredLookupInfo": None,
    "highScaleNumber": False,
    "mask": None,
    "maskType": None,
    "queryByDistance": False,
    "referenceTargetField": None,
}
"""Keys of a field that say the same for every field of this org."""


def describe_field(field: Field) -> dict[str, Any]:
    """One entry of `fields`, with the same keys for every field."""
    choice = field.type in ("picklist", "multipicklist")
    keys = _NEVER | {
        "aggregatable": field.aggregatable,
        "autoNumber": field.auto_number is not None,
        "byteLength": field.length if field.kind == "id" else field.length * 3,
        "cascadeDelete": field.cascade_delete,
        "calculated": field.calculated,
        "calculatedFormula": field.formula,
        "caseSensitive": field.case_sensitive,
        "compoundFieldName": field.compound,
        "createable": field.createable,
        "custom": field.custom,
        "defaultValue": field.default if field.kind == "flag" else None,
        "defaultedOnCreate": field.defaulted_on_create,
        "digits": field.digits,
        "externalId": field.external_id,
        "extraTypeInfo": field.extra_type,
        "filterable": field.filterable,
        "formulaTreatNullNumberAsZero": field.blank_as_zero,
        "groupable": field.groupable,
        "htmlFormatted": field.html,
        "idLookup": field.id_lookup,
        "inlineHelpText": field.help,
        "label": field.label,
        "length": field.length,
        "name": field.name,
        "nameField": field.name_field,
        "namePointing": len(field.reference_to) > 1,
        "nillable": field.nillable,
        "permissionable": field.permissionable,
        "picklistValues": [describe_choice(entry) for entry in field.choices] if choice else [],
        "polymorphicForeignKey": len(field.reference_to) > 1,
        "precision": field.precision,
        "referenceTo": list(field.reference_to),
        "relationshipName": field.relationship,
        "relationshipOrder": field.relationship_order,
        "restrictedDelete": field.restricted_delete,
        "restrictedPicklist": field.restricted,
        "scale": field.scale,
        "searchPrefilterable": field.type == "reference" and field.createable,
        "soapType": _SOAP.get(field.type, "xsd:string"),
        "sortable": field.filterable and field.kind != "list",
        "type": field.type,
        "unique": field.unique,
        "updateable": field.updateable,
        "writeRequiresMasterRead": field.write_requires_master_read,
    }
    return {name: keys[name] for name in sorted(keys)}


def describe_global(schema: Schema, root: str) -> dict[str, Any]:
    """The answer of `/sobjects`: every object, ordered by name."""
    objects = sorted(schema, key=lambda sobject: sobject.name)
    return {"encoding": "UTF-8", "maxBatchSize": 200, "sobjects": [_brief(sobject, root) for sobject in objects]}


def describe_basic(sobject: SObject, recent: list[dict[str, Any]], root: str) -> dict[str, Any]:
    """The answer of `/sobjects/{object}`."""
    return {"objectDescribe": _brief(sobject, root), "recentItems": recent}


def describe_object(schema: Schema, sobject: SObject, record_types: list[dict[str, Any]], root: str) -> dict[str, Any]:
    """The answer of `/sobjects/{object}/describe`."""
    described = _brief(sobject, root) | {
        "actionOverrides": [],
        "childRelationships": [_child(child) for child in schema.children_of(sobject)],
        "compactLayoutable": True,
        "defaultImplementation": None,
        "extendedBy": None,
        "extendsInterfaces": None,
        "fields": [describe_field(field) for field in sobject.fields if not field.hidden],
        "implementedBy": None,
        "implementsInterfaces": None,
        "listviewable": None,
        "lookupLayoutable": None,
        "namedLayoutInfos": [],
        "networkScopeFieldName": None,
        "recordTypeInfos": _record_type_infos(sobject, record_types, root),
        "searchLayoutable": sobject.createable,
        "supportedScopes": [
            {"label": f"All {sobject.plural.lower()}", "name": "everything"},
            {"label": f"My {sobject.plural.lower()}", "name": "mine"},
        ],
        "urls": _urls(sobject, root, deep=True),
    }
    return dict(sorted(described.items()))


def _brief(sobject: SObject, root: str) -> dict[str, Any]:
    return {
        "activateable": False,
        "createable": sobject.createable,
        "custom": sobject.custom,
        "customSetting": False,
        "deepCloneable": False,
        "deletable": sobject.deletable,
        "deprecatedAndHidden": False,
        "feedEnabled": False,
        "hasSubtypes": False,
        "isInterface": False,
        "isSubtype": False,
        "keyPrefix": sobject.prefix,
        "label": sobject.label,
        "labelPlural": sobject.plural,
        "layoutable": sobject.createable,
        "mergeable": sobject.name in ("Account", "Contact", "Lead"),
        "mruEnabled": sobject.createable,
        "name": sobject.name,
        "queryable": True,
        "replicateable": sobject.field("SystemModstamp") is not None,
        "retrieveable": True,
        "searchable": sobject.createable,
        "triggerable": sobject.createable,
        "undeletable": sobject.deletable,
        "updateable": sobject.updateable,
        "urls": _urls(sobject, root, deep=False),
    }


def _urls(sobject: SObject, root: str, deep: bool) -> dict[str, str]:
    base = f"{root}/sobjects/{sobject.name}"
    urls = {"rowTemplate": base + "/{ID}", "describe": f"{base}/describe", "sobject": base}
    if sobject.createable:
        urls |= {
            "layouts": f"{base}/describe/layouts",
            "compactLayouts": f"{base}/describe/compactLayouts",
            "approvalLayouts": f"{base}/describe/approvalLayouts",
            "listviews": f"{base}/listviews",
            "quickActions": f"{base}/quickActions",
            "defaultValues": f"{base}/defaultValues?recordTypeId&fields",
        }
    return urls | {"uiNewRecord": f"/{sobject.prefix}/e", "uiDetailTemplate": "/{ID}"} if deep else urls


def _child(child: Child) -> dict[str, Any]:
    return {
        "cascadeDelete": child.field.cascade_delete,
        "childSObject": child.sobject.name,
        "deprecatedAndHidden": False,
        "field": child.field.name,
        "junctionIdListNames": [],
        "junctionReferenceTo": [],
        "relationshipName": child.field.children,
        "restrictedDelete": child.field.restricted_delete,
    }


def describe_choice(choice: Choice) -> dict[str, Any]:
    """One entry of `picklistValues`."""
    return {
        "active": choice.active,
        "defaultValue": choice.default,
        "label": choice.label,
        "validFor": None,
        "value": choice.value,
    }


def _record_type_infos(sobject: SObject, record_types: list[dict[str, Any]], root: str) -> list[dict[str, Any]]:
    master = {"Id": MASTER_RECORD_TYPE, "Name": "Master", "DeveloperName": "Master", "IsActive": True}
    listed = [*record_types, master]
    return [
        {
            "active": bool(entry["IsActive"]),
            "available": True,
            "defaultRecordTypeMapping": entry is listed[0],
            "developerName": entry["DeveloperName"],
            "master": entry is master,
            "name": entry["Name"],
            "recordTypeId": entry["Id"],
            "urls": {"layout": f"{root}/sobjects/{sobject.name}/describe/layouts/{entry['Id']}"},
        }
        for entry in listed
    ]
