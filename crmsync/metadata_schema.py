"""The schema of Salesforce's Metadata API: what is wrong with a metadata file, and its values.

Source: the Metadata WSDL that simple-salesforce ships (version 63.0); elements that are newer count as unknown.
Nothing is fetched, no entity is expanded, and a file may hold 10 MiB.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from lxml import etree

NAMESPACE = "http://soap.sforce.com/2006/04/metadata"
MOST_BYTES = 10 * 1024 * 1024
MOST_PROBLEMS = 100
_XSD = "http://www.w3.org/2001/XMLSchema"
_INSTANCE = "http://www.w3.org/2001/XMLSchema-instance"
_SHAPES = {
    "boolean": re.compile(r"(true|false|0|1)\Z"),
    "int": re.compile(r"[+-]?\d{1,10}\Z", re.ASCII),
    "double": re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?\Z", re.ASCII),
}
_PLAIN = {"boolean": bool, "int": int, "long": int, "double": float}


class MetadataSchemaError(Exception):
    """The schema itself, or a type that it does not have; the message says which."""


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong with a file. `line` counts from 1."""

    line: int
    message: str

    def __str__(self) -> str:
        return f"line {self.line}: {self.message}"


class MetadataFileError(Exception):
    """A file that cannot be read as XML."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(str(problem))
        self.problem = problem


@dataclass(frozen=True)
class Part:
    """One element within a type: its name, the name of its own type, and whether it may stand more than once."""

    name: str
    type: str
    many: bool
    required: bool


def problems(kind: str, xml: bytes | str) -> list[Problem]:
    """What the schema refuses in a file of this metadata type, in the order of its lines; empty when nothing."""
    try:
        root = parsed(xml)
    except MetadataFileError as error:
        return [error.problem]
    return element_problems(kind, root)


def element_problems(kind: str, element: etree._Element) -> list[Problem]:
    """The same of a parsed element, which may be a part of a larger file."""
    if kind not in kinds():
        return [Problem(_line(element), f"{kind} is no metadata type of version 63.0")]
    if element.tag != f"{{{NAMESPACE}}}{kind}":
        return [Problem(_line(element), f"the first element is {_local(element)} and must be {kind} in {NAMESPACE}")]
    found = list(_misplaced(kind, element))
    lines = {problem.line for problem in found}
    schema = compiled()
    schema.validate(element)
    for entry in schema.error_log:
        # The validator stops at the first element that is out of place and names ten others; ours names what to do.
        if entry.line not in lines and not (found and entry.type_name == "SCHEMAV_ELEMENT_CONTENT"):
            found.append(Problem(entry.line, _worded(entry.message)))
    return sorted(dict.fromkeys(found), key=lambda problem: problem.line)[:MOST_PROBLEMS]


def ordered_problems(kind: str, element: etree._Element) -> list[Problem]:
    """The same after its own children were put in order, in place: a deploy takes them in any order.

    The order within a child still counts.
    """
    order = {part.name: place for place, part in enumerate(parts(kind))} if kind in kinds() else {}
    element[:] = sorted(element, key=lambda child: order.get(_local(child), -1))
    return element_problems(kind, element)


def _misplaced(kind: str, element: etree._Element) -> Iterator[Problem]:
    """Elements that a type does not have, that stand too late or too often, and those that are missing."""
    known = {part.name: (place, part) for place, part in enumerate(parts(kind))}
    last, before, seen = -1, "", set()
    for child in element:
        name = _local(child)
        place, part = known.get(name, (-1, None))
        if part is None:
            close = get_close_matches(name, known, 1)
            hint = f"; did you mean {close[0]}?" if close else ""
            yield Problem(_line(child), f"{kind} has no element {name}{hint}")
            continue
        if name in seen and not part.many:
            yield Problem(_line(child), f"{kind} takes one element {name}, and this is one more")
        elif place < last:
            yield Problem(_line(child), f"{name} stands after {before}, but must stand before it in {kind}")
        else:
            last, before = place, name
        seen.add(name)
        inner = _own_type(part, child)
        if inner in _types():
            yield from _misplaced(inner, child)
        elif problem := _wrong_value(part.type, (child.text or "").strip()):
            yield Problem(_line(child), f"{name}: {problem}")
    for name, (_, part) in known.items():
        if part.required and name not in seen:
            yield Problem(_line(element), f"{kind} has no {name}, which is required")


def _wrong_value(kind: str, text: str) -> str | None:
    """What is wrong with the text of an element of a plain type, worded as the org words it."""
    values = _enums().get(kind)
    if values is not None and text not in values:
        close = get_close_matches(text, values, 1, 0.4)
        hint = f"; did you mean {close[0]}?" if close else f"; it has {', '.join(values)}" if len(values) < 13 else ""
        return f"'{text[:80]}' is not a valid value for the enum '{kind}'{hint}"
    if kind in _SHAPES and _SHAPES[kind].match(text) is None:
        return f"'{text[:80]}' is not valid for the type xsd:{kind}"
    return None


def parsed(xml: bytes | str) -> etree._Element:
    """The root element. Errors: MetadataFileError for what is no XML, too large, or brings a DOCTYPE."""
    data = xml.encode("utf-8") if isinstance(xml, str) else xml
    if len(data) > MOST_BYTES:
        raise MetadataFileError(Problem(1, f"the file has {len(data)} bytes; {MOST_BYTES} are allowed"))
    parser = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False, remove_comments=True,
                             remove_pis=True, huge_tree=False)  # fmt: skip
    try:
        root = etree.fromstring(data, parser)
    except etree.XMLSyntaxError as error:
        raise MetadataFileError(Problem(max(1, error.lineno or 1), f"is no XML: {error.msg}")) from None
    if root.getroottree().docinfo.doctype:
        raise MetadataFileError(Problem(1, "a DOCTYPE is not allowed"))
    return root


def read(kind: str, element: etree._Element) -> dict[str, Any]:
    """The values of an element of this type: yes/no, numbers and texts; what may repeat is always a list.

    What the type does not have is left out, and a value of another type is given as its text.
    """
    known = {part.name: part for part in parts(kind)}
    values: dict[str, Any] = {}
    for child in element:
        part = known.get(_local(child))
        if part is None:
            continue
        value = _value(part, child)
        if part.many:
            values.setdefault(part.name, []).append(value)
        else:
            values[part.name] = value
    return values


def _value(part: Part, element: etree._Element) -> Any:
    kind = _own_type(part, element)
    if kind in _types():
        return read(kind, element)
    text = element.text or ""
    plain = _PLAIN.get(kind)
    if plain is bool:
        return text.strip().lower() in ("true", "1")  # simple-salesforce writes True
    try:
        return plain(text.strip()) if plain is not None and text.strip() else text
    except ValueError:
        return text  # `problems` says what is wrong with it


def _own_type(part: Part, element: etree._Element) -> str:
    """The type of an element: the one that it names itself, else that of its place."""
    given = _bare(element.get(f"{{{_INSTANCE}}}type", ""))
    return given if given in _types() else part.type


def write(kind: str, values: Mapping[str, Any]) -> bytes:
    """A metadata file with these values, its elements in the order of the schema. Errors: MetadataSchemaError."""
    root = etree.Element(f"{{{NAMESPACE}}}{kind}", nsmap={None: NAMESPACE})
    fill(root, kind, values)
    etree.indent(root, "    ")
    return b'<?xml version="1.0" encoding="UTF-8"?>\n' + bytes(etree.tostring(root, encoding="UTF-8")) + b"\n"


def fill(element: etree._Element, kind: str, values: Mapping[str, Any]) -> None:
    """Put these values below an element of this type; a value may name its own type as `@type`.

    Errors: MetadataSchemaError for a name that the type does not have.
    """
    known = parts(kind)
    names = {part.name for part in known}
    unknown = [name for name in values if name not in names and name != "@type"]
    if unknown:
        raise MetadataSchemaError(f"{kind} has no element {unknown[0]}")
    for part in known:
        given = values.get(part.name)
        for value in given if isinstance(given, (list, tuple)) else [given]:
            if value is not None:
                _append(element, part, value)


def _append(element: etree._Element, part: Part, value: Any) -> None:
    child = etree.SubElement(element, f"{{{NAMESPACE}}}{part.name}")
    if isinstance(value, Mapping):
        own = value.get("@type")
        if own is not None:
            child.set(f"{{{_INSTANCE}}}type", str(own))
        fill(child, str(own or part.type), value)
    elif isinstance(value, bool):
        child.text = "true" if value else "false"
    else:
        child.text = str(value)


def kinds() -> frozenset[str]:
    """The names of all metadata types."""
    return _kinds()


def enumeration(kind: str) -> tuple[str, ...]:
    """The values that a type of text may have; empty when it is no enumeration."""
    return _enums().get(kind, ())


def parts(kind: str) -> tuple[Part, ...]:
    """The elements of a type in their order, those of its base first. Errors: MetadataSchemaError."""
    try:
        return _types()[kind]
    except KeyError:
        raise MetadataSchemaError(f"{kind} is no type of the Metadata API 63.0") from None


@cache
def _document() -> etree._Element:
    found = find_spec("simple_salesforce")
    if found is None or found.origin is None:
        raise MetadataSchemaError("simple-salesforce, which brings the Metadata WSDL, is not installed")
    path = Path(found.origin).with_name("metadata.wsdl")
    try:
        root = etree.fromstring(path.read_bytes(), etree.XMLParser(no_network=True, resolve_entities=False))
    except (OSError, etree.XMLSyntaxError) as error:
        raise MetadataSchemaError(f"{path.name} of simple-salesforce cannot be read: {error}") from None
    schema = root.find(f".//{{{_XSD}}}schema[@targetNamespace='{NAMESPACE}']")
    if schema is None:
        raise MetadataSchemaError(f"{path.name} of simple-salesforce has no schema of {NAMESPACE}")
    return schema


@cache
def _types() -> dict[str, tuple[Part, ...]]:
    """By name of type, or of a message: its elements with those of its bases."""
    named: dict[str, tuple[str, list[Part]]] = {}
    for holder in _document():
        complex_type = holder if holder.tag == f"{{{_XSD}}}complexType" else holder.find(f"{{{_XSD}}}complexType")
        if complex_type is not None and holder.get("name"):
            base = complex_type.find(f".//{{{_XSD}}}extension")
            name = "" if base is None else _bare(base.get("base", ""))
            named.setdefault(str(holder.get("name")), (name, list(_parts(complex_type))))
    return {name: _with_bases(named, name) for name in named}


def _parts(complex_type: etree._Element) -> Iterator[Part]:
    for element in complex_type.iter(f"{{{_XSD}}}element"):
        if element.get("name"):
            many = element.get("maxOccurs", "1") != "1"
            required = element.get("minOccurs", "1") != "0"
            yield Part(str(element.get("name")), _bare(element.get("type", "")), many, required)


def _with_bases(named: Mapping[str, tuple[str, list[Part]]], name: str) -> tuple[Part, ...]:
    base, own = named[name]
    return (*(_with_bases(named, base) if base in named else ()), *own)


@cache
def _enums() -> dict[str, tuple[str, ...]]:
    """The values of every enumeration by its name."""
    return {
        str(found.get("name")): values
        for found in _document().iter(f"{{{_XSD}}}simpleType")
        if (values := tuple(str(one.get("value")) for one in found.iter(f"{{{_XSD}}}enumeration")))
    }


@cache
def _kinds() -> frozenset[str]:
    bases = {
        str(found.get("name")): _bare(extension.get("base", ""))
        for found in _document().iter(f"{{{_XSD}}}complexType")
        if (extension := found.find(f".//{{{_XSD}}}extension")) is not None and found.get("name")
    }

    def is_metadata(name: str) -> bool:
        return name == "Metadata" or (name in bases and is_metadata(bases[name]))

    return frozenset(name for name in bases if is_metadata(name))


@cache
def compiled() -> etree.XMLSchema:
    """The schema of the WSDL, with an element for every metadata type; it also knows the messages of SOAP."""
    source = etree.fromstring(etree.tostring(_document()))
    prefix = next(name for name, uri in source.nsmap.items() if uri == NAMESPACE)
    for kind in sorted(kinds()):
        etree.SubElement(source, f"{{{_XSD}}}element", name=kind, type=f"{prefix}:{kind}")
    return etree.XMLSchema(source)


def _bare(name: str) -> str:
    return name.rpartition(":")[2]


def _local(element: etree._Element) -> str:
    return str(etree.QName(element).localname)


def _line(element: etree._Element) -> int:
    return int(element.sourceline or 1)


def _worded(message: str) -> str:
    """The validator's text without the namespace before every name."""
    return message.replace(f"{{{NAMESPACE}}}", "").replace(f"{{{_XSD}}}", "xsd:")
