"""`references:`: CSV files looked up by key columns. Source: program-language, section 1."""

from __future__ import annotations

import re
from collections.abc import Mapping

from crmsync.programs.names import CLOCK, METRIC, PARTNERS, Tables, UnknownNameError
from crmsync.programs.program import Reference
from crmsync.programs.sheets import Sheet, kind_of_cells, read_sheet
from crmsync.strict_yaml import Node, date_of, nearest
from crmsync.tables import CANONICAL

EFFECTIVE = "effective_from"
ANY = "*"

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*")
_SOURCE = re.compile(r"(?:[A-Za-z][A-Za-z0-9_]*\.)?[A-Za-z_][A-Za-z0-9_]*")
_TAKEN = frozenset({*CANONICAL, PARTNERS, METRIC, CLOCK, "parent"})


def read_references(node: Node | None, tables: Tables) -> Mapping[str, Reference]:
    """The references of a program, in file order. Errors: ConfigError."""
    if node is None:
        return {}
    found: dict[str, Reference] = {}
    for name, entry in node.mapping().items():
        if not _NAME.fullmatch(name) or name in _TAKEN:
            raise node.fail_at_key(
                name, f"`{name}` cannot name a reference; use letters, digits, `_`, and no table name"
            )
        found[name] = _reference(name, node.key_lines[name], entry)
    for name in found:
        _check_chain(name, found, node, ())
        _check_partner_columns(found[name], node, tables)
    return found


def _reference(name: str, line: int, entry: Node) -> Reference:
    parts = entry.mapping(required=("file", "key"), optional=("dated_by",))
    key = _key(parts["key"])
    sheet = read_sheet(parts["file"], [column for column, _ in key])
    dated = EFFECTIVE in sheet.columns
    if "dated_by" in parts and not dated:
        raise parts["dated_by"].fail(f"`dated_by` needs a column `{EFFECTIVE}` in {sheet.file.name}")
    _check_rows(sheet, [column for column, _ in key], dated)
    kinds = {column: kind_of_cells([row[column] for row in sheet.rows]) for column in sheet.columns}
    kinds.update({column: "text" for column, _ in key}, **({EFFECTIVE: "date"} if dated else {}))
    return Reference(
        name,
        sheet.file,
        line,
        key,
        kinds,
        sheet.rows,
        dated,
        _source(parts["dated_by"]) if "dated_by" in parts else None,
    )


def _key(node: Node) -> tuple[tuple[str, str], ...]:
    """Pairs (reference column, column of the record)."""
    if node.is_text:
        return ((_source(node), _source(node)),)
    if node.is_sequence:
        pairs = tuple((_source(item), _source(item)) for item in node.sequence())
    else:
        pairs = tuple((column, _source(value)) for column, value in node.mapping().items())
    if not pairs:
        raise node.fail("`key:` names no column")
    return pairs


def _source(node: Node) -> str:
    text = node.text()
    if not _SOURCE.fullmatch(text):
        raise node.fail(f"`{text}` is not a column; write `column`, `partners.column` or `reference.column`")
    return text


def _check_rows(sheet: Sheet, key: list[str], dated: bool) -> None:
    """Errors: ConfigError for a double key and date, a bad date, and a key of which only a part is `*`."""
    seen: dict[tuple[str, ...], int] = {}
    for index, row in enumerate(sheet.rows):
        cells = tuple(row[column] for column in key)
        if ANY in cells and set(cells) != {ANY}:
            raise sheet.fail(index, f"`*` must stand in every key column ({', '.join(key)}) or in none")
        day = row[EFFECTIVE] if dated else ""
        if day and date_of(day) is None:
            raise sheet.fail(index, f"`{day}` in `{EFFECTIVE}` is not a date; write it like 2026-01-31")
        first = seen.setdefault((*cells, day), sheet.lines[index])
        if first != sheet.lines[index]:
            shown = ", ".join((*cells, day) if day else cells)
            raise sheet.fail(index, f"the key `{shown}` stands twice (first on line {first})")


def _check_partner_columns(reference: Reference, node: Node, tables: Tables) -> None:
    """Errors: ConfigError for a key that names a column which partners do not have."""
    for _, source in reference.key:
        prefix, _, column = source.rpartition(".")
        if prefix == PARTNERS:
            try:
                tables.kind(PARTNERS, column)
            except UnknownNameError as error:
                raise node.fail_at_key(reference.name, str(error)) from None


def _check_chain(name: str, all_of_them: Mapping[str, Reference], node: Node, path: tuple[str, ...]) -> None:
    """Errors: ConfigError for a reference that leads back to itself, or to a reference or column that is not there."""
    if name in path:
        raise node.fail_at_key(name, f"references in a circle: {' -> '.join((*path, name))}")
    for _, source in all_of_them[name].key:
        prefix, _, column = source.rpartition(".")
        if prefix in ("", PARTNERS):
            continue
        if prefix not in all_of_them:
            raise node.fail_at_key(
                name, f"unknown reference `{prefix}` in the key{nearest(prefix, [*all_of_them, PARTNERS])}"
            )
        if column not in all_of_them[prefix].columns:
            known = all_of_them[prefix].columns
            raise node.fail_at_key(name, f"reference `{prefix}` has no column `{column}`{nearest(column, known)}")
        _check_chain(prefix, all_of_them, node, (*path, name))
