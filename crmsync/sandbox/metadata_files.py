"""Metadata as files: the values of a component, the zip of a retrieve, and what a list of components tells."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import quote

from crmsync import metadata_schema
from crmsync.sandbox.granted import permission_set_values
from crmsync.sandbox.metadata_draft import IN_DEFINITION, fact_name, kept_names, members
from crmsync.sandbox.metadata_rows import IDS, component_ids, new_id
from crmsync.sandbox.metadata_types import BY_NAME, CHILDREN, FILES, FOLDERS, OBJECT, file_of
from crmsync.sandbox.org import Org
from crmsync.sandbox.schema import SObject
from crmsync.sandbox.schema_file import ACTIVITY
from crmsync.sandbox.users import ADMINISTRATOR, PEOPLE

_NOT_IN_FILES = {"keyPrefix", "duplicateRules", "recordTypes", "validationRules", "fields", "fullName", "features"}


def values_of(org: Org, kind: str, name: str) -> dict[str, Any] | None:
    """The values of a component as a file holds them, with its full name first; None when the org has none."""
    if kind == OBJECT.name:
        return _object_values(org, name)
    if kind in IN_DEFINITION:
        return _child_values(org, kind, name)
    if kind == "PermissionSet":
        return permission_set_values(org, name)
    found = org.store.fact(fact_name(kind, name))
    return None if found is None else {"fullName": name.partition(".")[2] or name, **found}


def _child_values(org: Org, kind: str, name: str) -> dict[str, Any] | None:
    first, _, own = name.partition(".")
    for known, body in (org.definition.get("objects") or {}).items():
        if known.lower() != first.lower():
            continue
        for child, values in ((body or {}).get(IN_DEFINITION[kind]) or {}).items():
            if child.lower() == own.lower():
                return _shaped(org, kind, known, child, dict(values or {}))
    return None


def _shaped(org: Org, kind: str, sobject: str, name: str, values: dict[str, Any]) -> dict[str, Any]:
    if kind == "CustomField":
        return _field_values(org, sobject, name, values)
    if kind == "RecordType":
        picked = values.get("picklistValues") or {}
        values = values | {"picklistValues": [
            {"picklist": field, "values": [{"fullName": quote(str(one), safe=" "), "default": False} for one in chosen]}
            for field, chosen in picked.items()
        ]}  # fmt: skip
        values = {"active": True, "label": name} | values
    else:
        values = {"active": True} | values
    return {"fullName": name, **_known(kind, values)}


def _field_values(org: Org, sobject: str, name: str, values: dict[str, Any]) -> dict[str, Any]:
    owner = org.schema.find(sobject)
    held = owner.field(name) if owner else None
    made: dict[str, Any] = {"label": held.label if held else name} | values
    value_set = made.get("valueSet")
    if isinstance(value_set, Mapping) and value_set.get("valueSetDefinition"):
        inner = value_set["valueSetDefinition"]
        listed = inner.get("value") or []
        made["valueSet"] = {**value_set, "valueSetDefinition": {
            "sorted": bool(inner.get("sorted")),
            "value": [_choice(entry) for entry in (listed if isinstance(listed, list) else [listed])],
        }}  # fmt: skip
    return {"fullName": name, **_known("CustomField", made)}


def _choice(entry: Any) -> dict[str, Any]:
    body = dict(entry) if isinstance(entry, Mapping) else {"fullName": str(entry)}
    body = {"default": False, "label": str(body.get("label") or body.get("fullName"))} | body
    if body.get("isActive") is not False:
        body.pop("isActive", None)
    return body


def _known(kind: str, values: Mapping[str, Any]) -> dict[str, Any]:
    names = {part.name for part in metadata_schema.parts(kind)}
    return {name: value for name, value in values.items() if name in names and name != "fullName"}


def _object_values(org: Org, name: str) -> dict[str, Any] | None:
    if name.lower() == ACTIVITY.lower():
        return _with_children(org, ACTIVITY, {"fullName": ACTIVITY})
    sobject = org.schema.find(name)
    if sobject is None:
        return None
    body = next((found or {} for known, found in (org.definition.get("objects") or {}).items()
                 if known.lower() == name.lower()), {})  # fmt: skip
    own = {key: value for key, value in body.items() if key not in _NOT_IN_FILES}
    values = {"fullName": sobject.name, **(_stated(sobject) if sobject.custom else {}), **_known(OBJECT.name, own)}
    values |= org.store.fact(fact_name(OBJECT.name, sobject.name)) or {}
    return _with_children(org, sobject.name, values)


def _with_children(org: Org, name: str, values: dict[str, Any]) -> dict[str, Any]:
    for child in CHILDREN:
        found = [values_of(org, child.name, full_name) for full_name in children_of(org, child.name, name)]
        if found:
            values[child.element] = found
    return values


def _stated(sobject: SObject) -> dict[str, Any]:
    """What every custom object has, where the definition left it open."""
    named = sobject.name_field
    master = any(field.relationship_order is not None for field in sobject.fields)
    field: dict[str, Any] = {"label": named.label if named else "Name", "type": "Text"}
    if named is not None and named.auto_number:
        field = {"displayFormat": named.auto_number, "label": named.label, "type": "AutoNumber"}
    return {
        "deploymentStatus": "Deployed", "label": sobject.label, "nameField": field, "pluralLabel": sobject.plural,
        "sharingModel": "ControlledByParent" if master else "ReadWrite", "visibility": "Public",
    }  # fmt: skip


def children_of(org: Org, kind: str, sobject: str) -> list[str]:
    """Full names of an object's children of one type."""
    names = members(org, kind) if kind in IN_DEFINITION else kept_names(org, kind)
    return [name for name in names if name.partition(".")[0].lower() == sobject.lower()]


def retrieved(org: Org, version: str, wanted: Mapping[str, Iterable[str]]) -> tuple[bytes, list[tuple[str, str]],
                                                                                  list[tuple[str, str]]]:  # fmt: skip
    """(zip, components in it, problems as (file, text)) of what a package names by type."""
    files: dict[str, bytes] = {}
    found: list[tuple[str, str]] = []
    problems: list[tuple[str, str]] = []
    objects: dict[str, dict[str, Any]] = {}
    for kind, names in wanted.items():
        for full_name in _expanded(org, kind, names, problems):
            real = _folder_kind(kind, full_name)
            values = values_of(org, real, full_name)
            if values is None:
                problems.append(("package.xml", f"Entity of type '{kind}' named '{full_name}' cannot be found"))
                continue
            found.append((kind, full_name))
            element = BY_NAME[real].element if real in BY_NAME else ""
            if real == OBJECT.name:
                objects[full_name] = values
            elif element:
                owner = objects.setdefault(full_name.partition(".")[0], {})
                listed = owner.setdefault(element, [])
                if values not in listed:
                    listed.append(values)
            else:
                inner = {key: value for key, value in values.items() if key != "fullName"}
                files[file_of(real, full_name)] = metadata_schema.write(real, inner)
    for name, values in objects.items():
        inner = {key: value for key, value in values.items() if key != "fullName"}
        files[file_of(OBJECT.name, name)] = metadata_schema.write(OBJECT.name, inner)
    files["package.xml"] = _manifest(version, found)
    return _zipped(files), found, problems


def _folder_kind(kind: str, name: str) -> str:
    found = BY_NAME.get(kind)
    return found.folder_type if found is not None and found.in_folder and "/" not in name else kind


def _expanded(org: Org, kind: str, names: Iterable[str], problems: list[tuple[str, str]]) -> list[str]:
    if kind not in BY_NAME and kind not in FOLDERS:
        problems.append(("package.xml", f"Unknown type name '{kind}' specified in package.xml"))
        return []
    every: list[str] = []
    for name in names:
        if name != "*":
            every.append(name.rstrip("/"))
        elif kind == OBJECT.name:
            every += [found for found in members(org, kind) if found.endswith("__c")]
        else:
            every += members(org, kind)
    return list(dict.fromkeys(every))


def _manifest(version: str, found: Iterable[tuple[str, str]]) -> bytes:
    by_kind: dict[str, list[str]] = {}
    for kind, name in found:
        by_kind.setdefault(kind, []).append(name)
    types = [{"members": sorted(names), "name": kind} for kind, names in sorted(by_kind.items())]
    return metadata_schema.write("Package", {"types": types, "version": version})


def _zipped(files: Mapping[str, bytes]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for path, data in sorted(files.items()):
            archive.writestr(zipfile.ZipInfo(f"unpackaged/{path}"), data, zipfile.ZIP_DEFLATED)
    return out.getvalue()


def file_properties(org: Org, kind: str, names: Iterable[str], root: str = "") -> list[dict[str, Any]]:
    """FileProperties of components; those that have no id yet get one now."""
    ids = component_ids(org)
    stamp = f"{org.clock.now()}Z"
    admin = next(person for person in PEOPLE if person.profile == ADMINISTRATOR)
    by = f"{admin.first} {admin.last}"
    found = []
    for name in names:
        real = _folder_kind(kind, name)
        key = f"{real}:{name}"
        if key not in ids:
            ids[key] = new_id(org, real)
            org.store.keep_facts({IDS: ids, "numbers": org.numbers})
        found.append({
            "createdById": admin.id, "createdByName": by, "createdDate": stamp, "fileName": root + file_of(real, name),
            "fullName": name, "id": ids[key], "lastModifiedById": admin.id, "lastModifiedByName": by,
            "lastModifiedDate": stamp, "manageableState": "unmanaged", "namespacePrefix": "", "type": real,
        })  # fmt: skip
    return found


def listed(org: Org, kind: str, folder: str) -> list[str]:
    """Full names of the components of a type, of one folder where the type has folders."""
    names = members(org, kind)
    found = BY_NAME.get(kind)
    if found is not None and found.in_folder:
        return [name for name in names if name.startswith(f"{folder}/")]
    return names


def described() -> list[dict[str, Any]]:
    """DescribeMetadataObjects of every type that has files."""
    return [
        {
            "childXmlNames": [child.name for child in CHILDREN] if found is OBJECT else [],
            "directoryName": found.directory, "inFolder": found.in_folder, "metaFile": False,
            "suffix": found.suffix, "xmlName": found.name,
        }
        for found in sorted(FILES, key=lambda found: found.name)
    ]  # fmt: skip
