"""A zip of metadata files in the layout of the Metadata API: its package.xml, components, and what is to be deleted."""

from __future__ import annotations

import io
import re
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from crmsync import metadata_schema
from crmsync.metadata_schema import MetadataFileError
from crmsync.sandbox.metadata_types import BY_DIRECTORY, BY_ELEMENT, BY_NAME, FOLDERS, OBJECT, MetadataType

MOST_FILES = 10_000
MOST_ZIP = 39 * 1024 * 1024
MOST_UNZIPPED = 400 * 1024 * 1024
MANIFEST = "package.xml"
DELETIONS = {"destructiveChangesPre.xml": True, "destructiveChanges.xml": True, "destructiveChangesPost.xml": False}
"""The files that name what is to be deleted, and whether that comes before the rest."""


class PackageError(Exception):
    """A zip that cannot be deployed at all; the message is the deploy's own."""


@dataclass(frozen=True)
class Component:
    """One component: type, full name, file and line it was read from, and its values."""

    kind: str
    name: str
    file: str
    line: int = 0
    values: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Fault:
    """What is wrong with one component, or only worth a warning."""

    component: Component
    problem: str
    warning: bool = False
    line: int = 0


@dataclass
class Package:
    """What a zip holds. `members` is what package.xml names, by type."""

    version: str = ""
    members: dict[str, set[str]] = field(default_factory=dict)
    components: list[Component] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)
    before: list[Component] = field(default_factory=list)
    after: list[Component] = field(default_factory=list)


def read_package(data: bytes, missing_allowed: bool = False) -> Package:
    """The package of a zip. Errors: PackageError."""
    files = _unzipped(data)
    if MANIFEST not in files:
        raise PackageError("No package.xml found")
    package = Package()
    _read_manifest(package, files[MANIFEST])
    for name, first in DELETIONS.items():
        if name in files:
            (package.before if first else package.after).extend(_deletions(name, files[name]))
    for path in sorted(files):
        if path != MANIFEST and path not in DELETIONS:
            _read_file(package, path, files[path])
    _check_members(package, missing_allowed)
    return package


def _unzipped(data: bytes) -> dict[str, bytes]:
    """The files of a zip by their path below the folder of package.xml."""
    if len(data) > MOST_ZIP:
        raise PackageError(f"Maximum size of request reached. Maximum size of request is {MOST_ZIP} bytes.")
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            entries = [entry for entry in archive.infolist() if not entry.is_dir()]
            if len(entries) > MOST_FILES:
                raise PackageError(f"The zip holds {len(entries)} files, more than {MOST_FILES}")
            if sum(entry.file_size for entry in entries) > MOST_UNZIPPED:
                raise PackageError(f"The files of the zip are larger than {MOST_UNZIPPED} bytes together")
            root = _root([entry.filename for entry in entries])
            files: dict[str, bytes] = {}
            for entry in entries:
                if entry.filename.startswith(root):
                    with archive.open(entry) as file:
                        # what the directory of the zip says of the size is not to be trusted
                        files[entry.filename.removeprefix(root)] = file.read(entry.file_size + 1)[: entry.file_size]
            return files
    except (zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError, EOFError, OSError):
        raise PackageError("INVALID_ZIP: the file is no zip, or a part of it cannot be read") from None


def _root(names: list[str]) -> str:
    """The folder of package.xml: the top, or one folder below it."""
    found = [name for name in names if name.rpartition("/")[2] == MANIFEST and name.count("/") <= 1]
    return min(found, key=len).removesuffix(MANIFEST) if found else ""


def _read_manifest(package: Package, data: bytes) -> None:
    values = _manifest(MANIFEST, data)
    package.version = str(values.get("version") or "")
    if not re.fullmatch(r"\d\d\.0", package.version):
        raise PackageError(f"Error parsing package.xml: version {package.version!r:.20} is not like 67.0")
    for kind, name in _named(values):
        if kind not in BY_NAME and kind not in FOLDERS:
            manifest = Component("", MANIFEST, MANIFEST)
            package.faults.append(Fault(manifest, f"Unknown type name '{kind}' specified in package.xml"))
            continue
        folder = BY_NAME.get(kind)
        if folder is not None and folder.in_folder and "/" not in name.rstrip("/") and name != "*":
            kind = folder.folder_type
        package.members.setdefault(kind, set()).add(name.rstrip("/"))


def _manifest(name: str, data: bytes) -> dict[str, Any]:
    try:
        root = metadata_schema.parsed(data)
    except MetadataFileError as error:
        raise PackageError(f"Error parsing {name}: {error.problem.message}") from None
    problems = metadata_schema.ordered_problems("Package", root)
    if problems:
        raise PackageError(f"Error parsing {name}: {problems[0].message} (line {problems[0].line})")
    return metadata_schema.read("Package", root)


def _named(values: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for entry in values.get("types") or []:
        for member in entry.get("members") or []:
            yield str(entry.get("name") or "").strip(), str(member).strip()


def _deletions(file: str, data: bytes) -> Iterator[Component]:
    for kind, name in _named(_manifest(file, data)):
        if name == "*":
            raise PackageError(f"Error parsing {file}: a wildcard cannot name what is to be deleted")
        folder = BY_NAME.get(kind)
        if folder is not None and folder.in_folder and "/" not in name.rstrip("/"):
            kind = folder.folder_type
        yield Component(kind, name.rstrip("/"), file)


def _read_file(package: Package, path: str, data: bytes) -> None:
    kind, name = _kind_and_name(path)
    if kind is None:
        if not path.endswith("-meta.xml"):
            package.faults.append(Fault(Component("", path, path), f"Unknown file type: {path}"))
        return
    bare = Component(kind, name, path)
    try:
        root = metadata_schema.parsed(data)
    except MetadataFileError as error:
        package.faults.append(Fault(bare, f"Error parsing file: {error.problem.message}", line=error.problem.line))
        return
    wrong = metadata_schema.ordered_problems(kind, root)
    component = Component(kind, name, path, root.sourceline or 0, metadata_schema.read(kind, root))
    blamed = [_blamed(component, root, problem.line) for problem in wrong] if kind == OBJECT.name else []
    package.faults.extend(
        Fault(found or bare, f"Error parsing file: {problem.message}", line=problem.line)
        for problem, found in zip(wrong, blamed or [None] * len(wrong), strict=True)
    )
    if any(found is None for found in blamed or [None] * len(wrong)):
        return
    if kind == OBJECT.name:
        _split(package, component, root, {found.name for found in blamed if found})
    elif _is_named(package, kind, name):
        package.components.append(component)
    else:
        package.faults.append(Fault(bare, "Not in package.xml"))


def _blamed(whole: Component, root: Any, line: int) -> Component | None:
    """The child of an object's file that a line belongs to; None when it is the object's own."""
    above = [child for child in root if (child.sourceline or 0) <= line]
    found = max(above, key=lambda child: child.sourceline or 0, default=None)
    kind = BY_ELEMENT.get(str(found.tag).rpartition("}")[2]) if found is not None else None
    name = found.findtext(f"{{{metadata_schema.NAMESPACE}}}fullName") if found is not None else None
    return Component(kind.name, f"{whole.name}.{name}", whole.file, line) if kind and name else None


def _kind_and_name(path: str) -> tuple[str | None, str]:
    directory, _, rest = path.partition("/")
    found: MetadataType | None = BY_DIRECTORY.get(directory)
    if found is None or not rest:
        return None, ""
    if found.in_folder and rest.endswith("-meta.xml") and "/" not in rest:
        return found.folder_type, rest.removesuffix("-meta.xml").removesuffix(f".{found.name.lower()}Folder")
    suffix = f".{found.suffix}"
    if rest.endswith(f"{suffix}-meta.xml"):
        rest = rest.removesuffix("-meta.xml")
    if not rest.endswith(suffix):
        return None, ""
    return found.name, rest.removesuffix(suffix)


def _split(package: Package, whole: Component, root: Any, faulty: set[str]) -> None:
    """An object's file holds the object itself and its children; package.xml says which of them are meant."""
    own = {key: value for key, value in whole.values.items() if key not in BY_ELEMENT}
    lines = _child_lines(root)
    named_whole = _is_named(package, OBJECT.name, whole.name)
    if named_whole:
        package.components.append(Component(OBJECT.name, whole.name, whole.file, whole.line, own))
    met = named_whole
    for element, found in BY_ELEMENT.items():
        for place, values in enumerate(whole.values.get(element) or []):
            full_name = f"{whole.name}.{values.get('fullName', '')}"
            child = Component(found.name, full_name, whole.file, lines.get((element, place), 0), values)
            if full_name in faulty:
                met = True
                continue
            if named_whole or _is_named(package, found.name, full_name):
                package.components.append(child)
                met = True
            else:
                package.faults.append(Fault(child, "Not in package.xml, and so not deployed", warning=True))
    if not met:
        package.faults.append(Fault(whole, "Not in package.xml"))


def _child_lines(root: Any) -> dict[tuple[str, int], int]:
    lines: dict[tuple[str, int], int] = {}
    counts: dict[str, int] = {}
    for child in root:
        name = str(child.tag).rpartition("}")[2]
        lines[name, counts.get(name, 0)] = child.sourceline or 0
        counts[name] = counts.get(name, 0) + 1
    return lines


def _is_named(package: Package, kind: str, name: str) -> bool:
    members = package.members.get(kind, set())
    if name in members or ("*" in members and not (kind == OBJECT.name and not name.endswith("__c"))):
        return True
    return kind in FOLDERS and any(
        member.startswith(f"{name}/") for member in package.members.get(FOLDERS[kind].name, set())
    )


def _check_members(package: Package, missing_allowed: bool) -> None:
    found = {(component.kind, component.name) for component in package.components}
    found |= {(fault.component.kind, fault.component.name) for fault in package.faults}
    for kind, names in package.members.items():
        for name in sorted(names - {"*"}):
            if (kind, name) not in found and not missing_allowed:
                problem = (
                    f"An object '{name}' of type {kind} was named in package.xml, but was not found in zipped directory"
                )
                package.faults.append(Fault(Component(kind, name, MANIFEST), problem))
