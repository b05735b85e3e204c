"""The door of the Metadata SOAP API: deploy, retrieve, list, describe, and components one by one."""

from __future__ import annotations

import base64
import binascii
import re
import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from lxml import etree

from crmsync import metadata_schema
from crmsync.metadata_schema import NAMESPACE
from crmsync.sandbox import soap
from crmsync.sandbox.answers import Answer, Call, not_found
from crmsync.sandbox.deploys import cancel, deploy_of, deploy_validated, start_deploy
from crmsync.sandbox.ids import to_18
from crmsync.sandbox.metadata_access import check_metadata
from crmsync.sandbox.metadata_apply import Trial, commit, try_components
from crmsync.sandbox.metadata_draft import RefusedError
from crmsync.sandbox.metadata_files import described, file_properties, listed, retrieved, values_of
from crmsync.sandbox.metadata_package import Component
from crmsync.sandbox.metadata_types import BY_ELEMENT, BY_NAME, FOLDERS, OBJECT
from crmsync.sandbox.org import Org
from crmsync.sandbox.soap import SoapCall, SoapFaultError

MOST_COMPONENTS = 10
MOST_QUERIES = 3
RETRIEVE_PREFIX = "09S"
_CHANGES = re.compile(
    rb"<(?:\w+:)?(?:deploy|deployRecentValidation|cancelDeploy|(?:create|update|upsert|delete)Metadata)[\s>]"
)


def door(org: Org, call: Call) -> Answer:
    """POST `/services/Soap/m/{version}`."""
    return soap.guarded(lambda: _answered(org, call), NAMESPACE)


def writes(call: Call) -> bool:
    """The envelope asks for a change."""
    return _CHANGES.search(call.body) is not None


def _answered(org: Org, call: Call) -> Answer:
    found = soap.read_call(call)
    soap.check_session(org, found)
    check_metadata(org)
    act = _OPERATIONS.get(found.operation)
    if act is None:
        raise SoapFaultError("UNKNOWN_EXCEPTION", f"The operation {found.operation[:60]} is not offered by this org")
    result = act(org, found)
    return soap.answer(found.operation, NAMESPACE, _results(found.operation, result))


def _results(operation: str, result: Any) -> str:
    """One `result` element per entry, of the type that the WSDL gives to the operation's response."""
    part = next((part for part in metadata_schema.parts(f"{operation}Response")), None)
    if part is None:
        return ""
    holder = etree.Element(f"{{{NAMESPACE}}}r", nsmap={None: NAMESPACE, "xsi": soap.INSTANCE})
    for entry in result if isinstance(result, list) else [result]:
        child = etree.SubElement(holder, f"{{{NAMESPACE}}}{part.name}")
        if isinstance(entry, str):
            child.text = entry
            continue
        metadata_schema.fill(child, part.type, _only_known(part.type, entry))
    text = etree.tostring(holder, encoding="unicode")
    return str(text[text.index(">") + 1 : text.rindex("</")]) if len(holder) else ""


def _only_known(kind: str, values: Mapping[str, Any]) -> dict[str, Any]:
    """The values that the schema's type has; those of JSON answers have more."""
    kind = str(values.get("@type") or kind)
    known = {part.name: part.type for part in metadata_schema.parts(kind)}
    shown: dict[str, Any] = {"@type": values["@type"]} if "@type" in values else {}
    for name, value in values.items():
        if name in known:
            shown[name] = _shown(known[name], value)
    return shown


def _shown(kind: str, value: Any) -> Any:
    if isinstance(value, Mapping):
        return _only_known(kind, value)
    if isinstance(value, list):
        return [_shown(kind, entry) for entry in value]
    if kind == "dateTime" and isinstance(value, str):
        return value.replace("+0000", "Z")
    return value


def _deploy(org: Org, found: SoapCall) -> dict[str, Any]:
    values = metadata_schema.read("deploy", found.element)
    if not found.text("ZipFile"):
        raise SoapFaultError("MISSING_ARGUMENT", "ZipFile is missing")
    deploy = start_deploy(org, _decoded(found.text("ZipFile")), values.get("DeployOptions") or {})
    return {"done": False, "id": deploy.id, "state": "Queued"}


def _decoded(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=False)
    except binascii.Error:
        raise SoapFaultError("INVALID_INPUT", "ZipFile is not base64") from None


def _check_deploy(org: Org, found: SoapCall) -> dict[str, Any]:
    deploy = deploy_of(org, found.text("asyncProcessId"))
    deploy.wait()
    return deploy.result(found.text("includeDetails").lower() in ("true", "1"))


def _cancel_deploy(org: Org, found: SoapCall) -> dict[str, Any]:
    # String by the WSDL, id by jsforce and the Salesforce CLI
    deploy = deploy_of(org, found.text("String") or found.text("id"))
    cancel(org, deploy)
    return {"done": deploy.done.is_set(), "id": deploy.id}


def _deploy_validated(org: Org, found: SoapCall) -> str:
    return deploy_validated(org, found.text("validationId")).id


def _describe(org: Org, found: SoapCall) -> dict[str, Any]:
    del org, found
    return {"metadataObjects": described(), "organizationNamespace": "", "partialSaveAllowed": True,
            "testRequired": False}  # fmt: skip


def _describe_type(org: Org, found: SoapCall) -> dict[str, Any]:
    """The elements of a type; `type` is its name with or without the namespace in braces."""
    del org
    kind = found.text("type").rpartition("}")[2]
    if kind not in metadata_schema.kinds():
        raise SoapFaultError("INVALID_TYPE", f"Unknown type:{kind or '(none)'}")
    offered = kind in BY_NAME or kind in FOLDERS
    elements = [
        {
            "isForeignKey": False, "isNameField": part.name == "fullName", "minOccurs": int(part.required),
            "name": part.name, "soapType": part.type, "valueRequired": part.required,
            "picklistValues": [{"active": True, "defaultValue": False, "label": value, "value": value}
                               for value in metadata_schema.enumeration(part.type)],
        }
        for part in metadata_schema.parts(kind)
    ]  # fmt: skip
    return {"apiCreatable": offered, "apiDeletable": offered, "apiReadable": offered, "apiUpdatable": offered,
            "valueTypeFields": elements}  # fmt: skip


def _list(org: Org, found: SoapCall) -> list[dict[str, Any]]:
    queries = metadata_schema.read("listMetadata", found.element).get("queries") or []
    if not 1 <= len(queries) <= MOST_QUERIES:
        raise SoapFaultError("INVALID_INPUT", f"listMetadata takes 1 to {MOST_QUERIES} queries, not {len(queries)}")
    result: list[dict[str, Any]] = []
    for query in queries:
        kind = str(query.get("type"))
        if kind not in BY_NAME and kind not in FOLDERS:
            if kind in metadata_schema.kinds():
                continue
            raise SoapFaultError("INVALID_TYPE", f"Unknown type:{kind}")
        result += file_properties(org, kind, listed(org, kind, str(query.get("folder") or "")))
    return result


@dataclass
class Retrieve:
    """One retrieve; the zip is there once it is done."""

    id: str
    result: dict[str, Any] = field(default_factory=dict)
    done: threading.Event = field(default_factory=threading.Event)


def _retrieve(org: Org, found: SoapCall) -> dict[str, Any]:
    # the WSDL calls it retrieveRequest, jsforce and the Salesforce CLI call it request
    named = next((child for child in found.element if soap.local(child) in ("retrieveRequest", "request")), None)
    request = metadata_schema.read("RetrieveRequest", named) if named is not None else {}
    if request.get("packageNames"):
        raise SoapFaultError("INVALID_INPUT", f"There is no package named {request['packageNames'][0]}")
    types = (request.get("unpackaged") or {}).get("types") or []
    wanted: dict[str, list[str]] = {}
    for entry in types:
        wanted.setdefault(str(entry.get("name")), []).extend(str(name) for name in entry.get("members") or [])
    retrieve = Retrieve(org.next_id(RETRIEVE_PREFIX))
    with org.lock:
        org.deploys[retrieve.id] = retrieve
    version = str((request.get("unpackaged") or {}).get("version") or f"{found.version}.0")
    threading.Thread(target=_gather, args=(org, retrieve, version, wanted), daemon=True).start()
    return {"done": False, "id": retrieve.id, "state": "Queued"}


def _gather(org: Org, retrieve: Retrieve, version: str, wanted: Mapping[str, Iterable[str]]) -> None:
    result: dict[str, Any] = {"done": True, "id": retrieve.id, "status": "Failed", "success": False, "zipFile": ""}
    try:
        zipped, found, problems = retrieved(org, version, wanted)
        by_kind: dict[str, list[str]] = {}
        for kind, name in found:
            by_kind.setdefault(kind, []).append(name)
        properties = [entry for kind, names in by_kind.items()
                      for entry in file_properties(org, kind, names, "unpackaged/")]  # fmt: skip
        result |= {
            "fileProperties": properties, "status": "Succeeded", "success": True,
            "messages": [{"fileName": f"unpackaged/{file}", "problem": text} for file, text in problems],
            "zipFile": base64.b64encode(zipped).decode(),
        }  # fmt: skip
    finally:
        retrieve.result = result
        retrieve.done.set()


def _check_retrieve(org: Org, found: SoapCall) -> dict[str, Any]:
    retrieve = org.deploys.get(to_18(found.text("asyncProcessId")) or "")
    if not isinstance(retrieve, Retrieve):
        raise not_found()
    retrieve.done.wait(20)
    if not retrieve.result:
        return {"done": False, "id": retrieve.id, "status": "InProgress", "success": False, "zipFile": ""}
    if found.text("includeZip").lower() == "false":
        return {**retrieve.result, "zipFile": ""}
    return retrieve.result


def _given(found: SoapCall) -> list[Component]:
    """The components of a create, update or upsert call; an object brings its children with it."""
    given: list[Component] = []
    for element in found.element:
        if soap.local(element) != "metadata":
            continue
        kind = element.get(f"{{{soap.INSTANCE}}}type", "").rpartition(":")[2]
        if kind not in BY_NAME and kind not in FOLDERS:
            raise SoapFaultError("INVALID_TYPE", f"Unknown type:{kind or '(none)'}")
        element.tag = f"{{{NAMESPACE}}}{kind}"
        del element.attrib[f"{{{soap.INSTANCE}}}type"]
        problems = metadata_schema.ordered_problems(kind, element)
        if problems:
            raise SoapFaultError("INVALID_INPUT", f"Error parsing request: {problems[0].message}")
        values = metadata_schema.read(kind, element)
        name = str(values.get("fullName") or "")
        given.append(Component(kind, name, "", 0, values))
    if not 1 <= len(given) <= MOST_COMPONENTS:
        raise SoapFaultError("LIMIT_EXCEEDED", f"A call takes 1 to {MOST_COMPONENTS} components, not {len(given)}")
    return given


def _with_children(component: Component) -> list[Component]:
    if component.kind != OBJECT.name:
        return [component]
    own = {key: value for key, value in component.values.items() if key not in BY_ELEMENT}
    children = [
        Component(kind.name, f"{component.name}.{values.get('fullName', '')}", "", 0, values)
        for element, kind in BY_ELEMENT.items()
        for values in component.values.get(element) or []
    ]
    return [Component(component.kind, component.name, "", 0, own), *children]


def _save(org: Org, found: SoapCall, must: str) -> list[dict[str, Any]]:
    """Results of a create, update or upsert, one per component; `must` says what has to be there before."""
    results = []
    with org.deploying:
        for component in _given(found):
            trial = try_components(org, _with_children(component))
            there = _exists(org, component)
            problem = _presence_problem(component, there, must)
            errors = [problem] if problem else [("FIELD_INTEGRITY_EXCEPTION", fault.problem) for fault in trial.errors]
            if not errors:
                errors = _committed(org, trial)
            result: dict[str, Any] = {
                "errors": [{"message": text, "statusCode": code} for code, text in errors],
                "fullName": component.name, "success": not errors,
            }  # fmt: skip
            if must == "":
                result["created"] = not errors and not there
            results.append(result)
    return results


def _exists(org: Org, component: Component) -> bool:
    return values_of(org, component.kind, component.name) is not None


def _presence_problem(component: Component, there: bool, must: str) -> tuple[str, str] | None:
    own = component.name.rpartition(".")[2]
    if must == "absent" and there:
        return "DUPLICATE_DEVELOPER_NAME", f"There is already a {component.kind} named {own}."
    if must == "present" and not there:
        return "INVALID_CROSS_REFERENCE_KEY", f"no {component.kind} named {component.name} found"
    return None


def _committed(org: Org, trial: Trial) -> list[tuple[str, str]]:
    try:
        commit(org, trial)
    except RefusedError as error:
        return [("FIELD_INTEGRITY_EXCEPTION", str(error))]
    return []


def _read(org: Org, found: SoapCall) -> dict[str, Any]:
    kind = _kind(found)
    records = []
    for name in found.texts("fullNames")[:MOST_COMPONENTS]:
        values = values_of(org, kind, name)
        # what is not there comes back as an empty record, as from a real org
        records.append({"@type": kind} | ((values | {"fullName": name}) if values is not None else {}))
    return {"records": records}


def _kind(found: SoapCall) -> str:
    kind = found.text("type")
    if kind not in BY_NAME and kind not in FOLDERS:
        raise SoapFaultError("INVALID_TYPE", f"Unknown type:{kind or '(none)'}")
    return kind


def _delete(org: Org, found: SoapCall) -> list[dict[str, Any]]:
    kind, results = _kind(found), []
    with org.deploying:
        for name in found.texts("fullNames")[:MOST_COMPONENTS]:
            trial = try_components(org, [Component(kind, name, "")], deleting=True)
            errors = [("INVALID_CROSS_REFERENCE_KEY", fault.problem) for fault in trial.faults]
            errors = errors or _committed(org, trial)
            results.append({"errors": [{"message": text, "statusCode": code} for code, text in errors],
                            "fullName": name, "success": not errors})  # fmt: skip
    return results


_OPERATIONS: dict[str, Callable[[Org, SoapCall], Any]] = {
    "deploy": _deploy, "checkDeployStatus": _check_deploy, "cancelDeploy": _cancel_deploy,
    "deployRecentValidation": _deploy_validated,
    "describeMetadata": _describe, "describeValueType": _describe_type, "listMetadata": _list, "retrieve": _retrieve,
    "checkRetrieveStatus": _check_retrieve, "readMetadata": _read, "deleteMetadata": _delete,
    "createMetadata": lambda org, found: _save(org, found, "absent"),
    "updateMetadata": lambda org, found: _save(org, found, "present"),
    "upsertMetadata": lambda org, found: _save(org, found, ""),
}  # fmt: skip
