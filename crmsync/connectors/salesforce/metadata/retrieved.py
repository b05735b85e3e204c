"""What an org has: components out of a retrieved zip, in the same form as those that are wanted."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterable, Iterator, Mapping

from crmsync.connectors.salesforce.metadata.components import (
    DASHBOARD,
    DASHBOARD_FOLDER,
    FIELD,
    LIST_VIEW,
    OBJECT,
    PERMISSION_SET,
    RECORD_TYPE,
    REPORT,
    REPORT_FOLDER,
    REPORT_TYPE,
    Component,
)
from crmsync.errors import DataError
from crmsync.metadata_schema import MetadataFileError, parsed, read

MOST_BYTES = 200 * 1024 * 1024
"""What a retrieved zip may hold unpacked; a whole Account of a large org is a few."""

_SUFFIXES: Mapping[str, str] = {
    ".object": OBJECT,
    ".permissionset": PERMISSION_SET,
    ".reportType": REPORT_TYPE,
    ".report": REPORT,
    ".dashboard": DASHBOARD,
}
PARTS: Mapping[str, str] = {FIELD: "fields", RECORD_TYPE: "recordTypes", LIST_VIEW: "listViews"}
"""What stands in the file of its object, and in which element."""
_FOLDERS: Mapping[str, str] = {"reports": REPORT_FOLDER, "dashboards": DASHBOARD_FOLDER}


class Present:
    """The components of an org, found by kind and name in any case."""

    def __init__(self, components: Iterable[Component] = ()) -> None:
        self._found = {component.key: component for component in components}

    def __iter__(self) -> Iterator[Component]:
        return iter(self._found.values())

    def find(self, kind: str, name: str) -> Component | None:
        """The component, or None."""
        return self._found.get((kind, name.lower()))

    def of(self, kind: str, parent: str) -> Iterator[Component]:
        """The components of one object or folder."""
        return (one for one in self if one.kind == kind and one.parent.lower() == parent.lower())


def present_of(archive: bytes) -> Present:
    """The components of a retrieved zip. Errors: DataError when it is none, too large, or a file is no XML."""
    return Present(_components(archive))


def _components(archive: bytes) -> Iterator[Component]:
    try:
        with zipfile.ZipFile(io.BytesIO(archive)) as files:
            if sum(info.file_size for info in files.infolist()) > MOST_BYTES:
                raise DataError(f"the retrieved metadata is more than {MOST_BYTES:,} bytes unpacked")
            for info in files.infolist():
                yield from _of_file(info.filename, files.read(info))
    except (zipfile.BadZipFile, OSError, EOFError, NotImplementedError) as error:
        raise DataError(f"Salesforce gave the present metadata as a zip that cannot be read: {error}") from None


def _of_file(path: str, content: bytes) -> Iterator[Component]:
    kind, name = _kind_and_name(path)
    if not kind:
        return
    try:
        body = read(kind, parsed(content))
    except MetadataFileError as error:
        raise DataError(f"retrieved metadata: {path}: {error}") from None
    parts = {part: body.pop(element, []) for part, element in PARTS.items()} if kind == OBJECT else {}
    yield Component(kind, name, body)
    for part, ones in parts.items():
        yield from (Component(part, f"{name}.{one.get('fullName')}", one) for one in ones)


def _kind_and_name(path: str) -> tuple[str, str]:
    """`unpackaged/objects/Account.object` -> CustomObject, Account; what is no component of ours -> nothing."""
    pieces = path.split("/")
    for folder in ("objects", "permissionsets", "reportTypes", "reports", "dashboards"):
        if folder in pieces[:-1]:
            rest = "/".join(pieces[pieces.index(folder) + 1 :])
            if rest.endswith("-meta.xml"):
                name = rest.removesuffix("-meta.xml")
                return (_FOLDERS[folder], name.partition(".")[0]) if folder in _FOLDERS else ("", "")
            for suffix, kind in _SUFFIXES.items():
                if rest.endswith(suffix):
                    return kind, rest.removesuffix(suffix)
    return "", ""
