"""Zips of metadata files, and deploying them with plain HTTP."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Mapping
from typing import Any

from crmsync import metadata_schema
from tests.sandbox.orgs import Client

Files = Mapping[str, str | bytes]
NS = "http://soap.sforce.com/2006/04/metadata"
HEAD = '<?xml version="1.0" encoding="UTF-8"?>\n'
SOAP = "http://schemas.xmlsoap.org/soap/envelope/"


def xml(kind: str, **values: Any) -> str:
    """A file of this type."""
    return metadata_schema.write(kind, values).decode()


def manifest(members: Mapping[str, list[str]], version: str = "66.0") -> str:
    """A package.xml."""
    types = "".join(
        "<types>" + "".join(f"<members>{name}</members>" for name in names) + f"<name>{kind}</name></types>"
        for kind, names in members.items()
    )
    return f'{HEAD}<Package xmlns="{NS}">{types}<version>{version}</version></Package>'


def zipped(files: Files) -> bytes:
    """The zip of these files."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for path, content in files.items():
            archive.writestr(path, content)
    return out.getvalue()


def start(client: Client, files: Files, **options: Any) -> str:
    """The id of a deploy that was begun."""
    entity = json.dumps({"deployOptions": {"singlePackage": True, "rollbackOnError": True} | options})
    answer = client.call(
        "POST",
        "/metadata/deployRequest",
        files={"entity_content": (None, entity, "application/json"), "file": ("p.zip", zipped(files))},
    )
    assert answer.status_code == 201, answer.text
    return str(answer.json()["id"])


def ended(client: Client, deploy_id: str) -> dict[str, Any]:
    """The result of a deploy once it is done."""
    for _ in range(20):
        path = f"/metadata/deployRequest/{deploy_id}"
        result: dict[str, Any] = client.get(path, params={"includeDetails": "true"}).json()["deployResult"]
        if result["done"]:
            return result
    raise AssertionError(f"{deploy_id} never ended")


def deploy(client: Client, files: Files, **options: Any) -> dict[str, Any]:
    """The result of a deploy of these files."""
    return ended(client, start(client, files, **options))


def problems(result: Mapping[str, Any]) -> list[tuple[str, str]]:
    """(full name, problem) of each failure."""
    return [(found["fullName"], found["problem"]) for found in result["details"]["componentFailures"]]


def fields(owner: str, *bodies: Mapping[str, Any], **more: Any) -> dict[str, str]:
    """The files that bring these fields to an object."""
    names = [f"{owner}.{body['fullName']}" for body in bodies]
    return {
        "package.xml": manifest({"CustomField": names}),
        f"objects/{owner}.object": xml("CustomObject", fields=list(bodies), **more),
    }


def text(name: str, **more: Any) -> dict[str, Any]:
    """A text field."""
    return {"fullName": name, "label": name.removesuffix("__c"), "type": "Text", "length": 40} | more


def picklist(name: str, *values: str, **more: Any) -> dict[str, Any]:
    """A restricted picklist."""
    listed = [{"fullName": value, "default": False, "label": value} for value in values]
    return {
        "fullName": name, "label": name.removesuffix("__c"), "type": "Picklist",
        "valueSet": {"restricted": True, "valueSetDefinition": {"sorted": False, "value": listed}},
    } | more  # fmt: skip


def custom_object(**more: Any) -> dict[str, Any]:
    """The properties of a new custom object."""
    return {
        "deploymentStatus": "Deployed", "label": "Thing", "pluralLabel": "Things", "sharingModel": "ReadWrite",
        "nameField": {"label": "Thing Name", "type": "Text"},
    } | more  # fmt: skip


def object_file(name: str, **body: Any) -> dict[str, str]:
    """The files that bring an object."""
    return {"package.xml": manifest({"CustomObject": [name]}), f"objects/{name}.object": xml("CustomObject", **body)}


def envelope(body: str, session: str = "") -> str:
    """A SOAP envelope of the metadata namespace."""
    header = f"<s:Header><SessionHeader><sessionId>{session}</sessionId></SessionHeader></s:Header>" if session else ""
    instance = "http://www.w3.org/2001/XMLSchema-instance"
    return (
        f'{HEAD}<s:Envelope xmlns:s="{SOAP}" xmlns="{NS}" xmlns:xsi="{instance}">{header}'
        f"<s:Body>{body}</s:Body></s:Envelope>"
    )
