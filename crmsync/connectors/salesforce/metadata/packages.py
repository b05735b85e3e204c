"""Packages: components as the zip that the Metadata API deploys, and the manifests that name them."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from crmsync.connectors.salesforce.metadata.components import (
    DASHBOARD,
    DASHBOARD_FOLDER,
    OBJECT,
    ORDER,
    PERMISSION_SET,
    REPORT,
    REPORT_FOLDER,
    REPORT_TYPE,
    Component,
    xml_of,
)
from crmsync.connectors.salesforce.metadata.retrieved import PARTS
from crmsync.metadata_schema import problems, write

MANIFEST, DESTRUCTIVE = "package.xml", "destructiveChanges.xml"
_EPOCH = (1980, 1, 1, 0, 0, 0)
_FILES: Mapping[str, tuple[str, str]] = {
    PERMISSION_SET: ("permissionsets", ".permissionset"),
    REPORT_TYPE: ("reportTypes", ".reportType"),
    REPORT: ("reports", ".report"),
    DASHBOARD: ("dashboards", ".dashboard"),
    REPORT_FOLDER: ("reports", "-meta.xml"),
    DASHBOARD_FOLDER: ("dashboards", "-meta.xml"),
}
_MANIFEST_KINDS: Mapping[str, str] = {REPORT_FOLDER: REPORT, DASHBOARD_FOLDER: DASHBOARD}
"""Folders are named in a manifest as members of what they hold."""


def files_of(components: Sequence[Component], version: str) -> dict[str, bytes]:
    """The files of a package, by path; fields and list views stand in the file of their object."""
    files = {MANIFEST: manifest(components, version)}
    for name in dict.fromkeys(_object_of(one) for one in components if _object_of(one)):
        files[f"objects/{name}.object"] = write(OBJECT, _object(name, components))
    for one in components:
        if one.kind in _FILES:
            folder, suffix = _FILES[one.kind]
            files[f"{folder}/{one.name}{suffix}"] = xml_of(one)
    return files


def _object_of(component: Component) -> str:
    return component.name if component.kind == OBJECT else component.parent if component.kind in PARTS else ""


def _object(name: str, components: Iterable[Component]) -> dict[str, Any]:
    mine = [one for one in components if _object_of(one) == name]
    body: dict[str, Any] = {}
    for one in mine:
        body |= one.body if one.kind == OBJECT else {}
    body.pop("fullName", None)  # the file's own name says it
    return body | {element: [one.body for one in mine if one.kind == part] for part, element in PARTS.items()}


def manifest(components: Iterable[Component], version: str, *, backwards: bool = False) -> bytes:
    """`package.xml` that names these components as they are made; `backwards`: as they are removed, users first."""
    named: dict[str, list[str]] = {}
    sign = -1 if backwards else 1
    for one in sorted(components, key=lambda one: (sign * ORDER.index(one.kind), one.name)):
        named.setdefault(_MANIFEST_KINDS.get(one.kind, one.kind), []).append(one.name)
    return members_manifest(named, version)


def members_manifest(named: Mapping[str, Sequence[str]], version: str) -> bytes:
    """A manifest of names by metadata type."""
    types = [{"members": list(names), "name": kind} for kind, names in named.items() if names]
    return write("Package", {"types": types, "version": version})


def zipped(files: Mapping[str, bytes]) -> bytes:
    """The files as a zip: the same bytes for the same files."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for path, content in files.items():
            archive.writestr(zipfile.ZipInfo(path, _EPOCH), content, zipfile.ZIP_DEFLATED)
    return buffer.getvalue()


def removal(components: Sequence[Component], version: str) -> dict[str, bytes]:
    """The files of a package that removes these components."""
    return {MANIFEST: members_manifest({}, version), DESTRUCTIVE: manifest(components, version, backwards=True)}


def schema_problems(files: Mapping[str, bytes]) -> Iterator[str]:
    """What the Metadata API's own schema refuses in these files, as `path:line: what`."""
    kinds = {suffix: kind for kind, (_, suffix) in _FILES.items() if suffix != "-meta.xml"} | {".object": OBJECT}
    for path, content in files.items():
        kind = next((kind for suffix, kind in kinds.items() if path.endswith(suffix)), None)
        kind = "Package" if path in (MANIFEST, DESTRUCTIVE) else kind
        if path.endswith("-meta.xml"):
            kind = REPORT_FOLDER if path.startswith("reports/") else DASHBOARD_FOLDER
        yield from (f"{path}:{one.line}: {one.message}" for one in problems(str(kind), content))
