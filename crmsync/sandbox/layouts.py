"""Doors of layouts and of picklist values by record type."""

from __future__ import annotations

from typing import Any

from crmsync.sandbox.answers import Answer, Call, not_found
from crmsync.sandbox.describe import describe_choice
from crmsync.sandbox.discovery import record_types, sobject_of
from crmsync.sandbox.ids import MASTER_RECORD_TYPE, make_id, to_18
from crmsync.sandbox.org import Org
from crmsync.sandbox.schema import Choice, Field, SObject

_LAYOUT = "00h"


def layouts(org: Org, call: Call) -> Answer:
    """`/sobjects/{object}/describe/layouts`: the layout, and what each record type maps to."""
    sobject = sobject_of(org, call)
    kinds = _kinds(org, sobject)
    mapped = [_mapping(sobject, kind, place == 0, call.root) for place, kind in enumerate(kinds)]
    return Answer({
        "layouts": [_layout(sobject)],
        "recordTypeMappings": mapped,
        "recordTypeSelectorRequired": [len(kinds) > 2],
    })  # fmt: skip


def layout(org: Org, call: Call) -> Answer:
    """`/sobjects/{object}/describe/layouts/{id}`: the layout of one record type. Errors: ApiError 404."""
    sobject = sobject_of(org, call)
    wanted = to_18(call.parts["id"])
    if wanted not in {kind["Id"] for kind in _kinds(org, sobject)}:
        raise not_found()
    return Answer(_layout(sobject))


def compact_layouts(org: Org, call: Call) -> Answer:
    """`/sobjects/{object}/describe/compactLayouts`: none of the org's own, so every record type has the system's."""
    sobject = sobject_of(org, call)
    path = f"{call.root}/sobjects/{sobject.name}/describe/compactLayouts"
    mapped = [
        {"available": True, "compactLayoutId": None, "compactLayoutName": "SYSTEM", "recordTypeId": kind["Id"],
         "recordTypeName": kind["Name"], "urls": {"compactLayout": f"{path}/{kind['Id']}"}}
        for kind in _kinds(org, sobject)
    ]  # fmt: skip
    return Answer({
        "compactLayouts": [], "defaultCompactLayoutId": None, "recordTypeCompactLayoutMappings": mapped,
        "urls": {"primary": f"{path}/primary"},
    })  # fmt: skip


def approval_layouts(org: Org, call: Call) -> Answer:
    """`/sobjects/{object}/describe/approvalLayouts`: the org has no approval processes."""
    sobject_of(org, call)
    return Answer({"approvalLayouts": []})


def quick_actions(org: Org, call: Call) -> Answer:
    """`/sobjects/{object}/quickActions`: the org has none."""
    sobject_of(org, call)
    return Answer([])


def picklist_values(org: Org, call: Call) -> Answer:
    """`/ui-api/object-info/{object}/picklist-values/{id}`: every picklist with the values of a record type."""
    sobject = sobject_of(org, call)
    wanted = to_18(call.parts["id"])
    kind = next((kind for kind in _kinds(org, sobject) if kind["Id"] == wanted), None)
    if kind is None:
        raise not_found()
    base = f"{call.root}/ui-api/object-info/{sobject.name}/picklist-values/{wanted}"
    fields: dict[str, Any] = {}
    for known in _picklists(sobject):
        choices = allowed_choices(sobject, known, kind["DeveloperName"])
        default = next((_ui_value(choice) for choice in choices if choice.default), None)
        fields[known.name] = {
            "controllerValues": {}, "defaultValue": default, "url": f"{base}/{known.name}",
            "values": [_ui_value(choice) for choice in choices],
        }  # fmt: skip
    return Answer({"eTag": wanted, "picklistFieldValues": fields})


def allowed_choices(sobject: SObject, known: Field, kind_name: str) -> list[Choice]:
    """The active values of a picklist that a record type allows."""
    kind = next((kind for kind in sobject.kinds if kind.name.lower() == kind_name.lower()), None)
    allowed = dict(kind.values).get(known.name) if kind else None
    return [choice for choice in known.choices if choice.active and (allowed is None or choice.value in allowed)]


def _kinds(org: Org, sobject: SObject) -> list[dict[str, Any]]:
    master = {"Id": MASTER_RECORD_TYPE, "Name": "Master", "DeveloperName": "Master", "IsActive": 1}
    return [*record_types(org, sobject), master]


def _picklists(sobject: SObject) -> list[Field]:
    return [known for known in sobject.fields if known.type in ("picklist", "multipicklist") and not known.hidden]


def _mapping(sobject: SObject, kind: dict[str, Any], first: bool, root: str) -> dict[str, Any]:
    master = kind["Id"] == MASTER_RECORD_TYPE
    return {
        "active": bool(kind["IsActive"]), "available": True, "defaultRecordTypeMapping": first,
        "developerName": kind["DeveloperName"], "layoutId": _layout_id(sobject), "master": master,
        "name": kind["Name"],
        "picklistsForRecordType": None if master else [
            {
                "picklistName": known.name,
                "picklistValues": [
                    describe_choice(choice) for choice in allowed_choices(sobject, known, kind["DeveloperName"])
                ],
            }
            for known in _picklists(sobject)
        ],
        "recordTypeId": kind["Id"],
        "urls": {"layout": f"{root}/sobjects/{sobject.name}/describe/layouts/{kind['Id']}"},
    }  # fmt: skip


def _layout_id(sobject: SObject) -> str:
    return make_id(_LAYOUT, sum(ord(sign) * 31**place for place, sign in enumerate(sobject.name[:6])))


def _layout(sobject: SObject) -> dict[str, Any]:
    """One layout: a section with every field, two to a row."""
    shown = [known for known in sobject.fields if not known.hidden and known.compound is None and known.name != "Id"]
    items = [_item(known) for known in shown]
    rows = [{"layoutItems": items[place : place + 2], "numItems": len(items[place : place + 2])}
            for place in range(0, len(items), 2)]  # fmt: skip
    section = {
        "collapsed": False, "columns": 2, "heading": f"{sobject.label} Information", "layoutRows": rows,
        "layoutSectionId": None, "parentLayoutId": _layout_id(sobject), "rows": len(rows), "tabOrder": "TopToBottom",
        "useCollapsibleSection": False, "useHeading": True,
    }  # fmt: skip
    return {
        "buttonLayoutSection": {"detailButtons": []}, "detailLayoutSections": [section],
        "editLayoutSections": [section], "feedView": None, "highlightsPanelLayoutSection": None,
        "id": _layout_id(sobject), "multirowEditLayoutSections": [], "offlineLinks": [], "quickActionList": None,
        "relatedContent": None, "relatedLists": [], "saveOptions": [],
    }  # fmt: skip


def _item(known: Field) -> dict[str, Any]:
    return {
        "editableForNew": known.createable, "editableForUpdate": known.updateable, "label": known.label,
        "layoutComponents": [{"details": None, "displayLines": 1, "tabOrder": 1, "type": "Field", "value": known.name}],
        "placeholder": False, "required": known.required,
    }  # fmt: skip


def _ui_value(choice: Choice) -> dict[str, Any]:
    return {"attributes": None, "label": choice.label, "validFor": [], "value": choice.value}
