"""The field map: which CRM objects and fields feed our tables, and which fields we write. Strict, with file and line.

Only the shape is checked here; whether an object or field exists is the org's own word and is checked against it
before anything is read.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from types import MappingProxyType
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from crmsync.connectors.mapping_places import Place, path_place
from crmsync.connectors.mapping_sinks import ChildMap
from crmsync.connectors.mapping_writes import MANAGED, WriteMap, read_writes
from crmsync.strict_yaml import Node, read_yaml
from crmsync.tables import CANONICAL

__all__ = [
    "CREDIT_COLUMNS", "MANAGED", "ORG_TIME_ZONE", "ChildMap", "Credited", "Place", "SalesforceMapping", "TableMap",
    "WriteMap", "read_mapping",
]  # fmt: skip

ORG_TIME_ZONE = "org"
RESERVED = frozenset({"current_values", "snapshot"})
CREDIT_COLUMNS = ("partner_id", "role", "share")

_NAME = re.compile(r"[a-z][a-z0-9_]*")


@dataclass(frozen=True)
class Credited:
    """Credited partners of opportunities: where their id stands, their role, their share (a number or a path).

    Without `object` the places are lookup paths of the opportunity and `role` is a word. With it they are fields of
    that object, whose records name the opportunity in `opportunity`; `role` may be a field of it.
    """

    partner: Place
    role: Place | None
    share: Decimal | Place | None
    line: int
    object: Place | None = None
    opportunity: Place | None = None
    filter: Place | None = None


@dataclass(frozen=True)
class TableMap:
    """Where one table comes from. `columns`: column -> field path. `partners`: the credited ones, one row each."""

    name: str
    line: int
    object: Place
    columns: Mapping[str, Place]
    filter: Place | None = None
    partners: tuple[Credited, ...] = ()
    main_date: str | None = None
    expires_on_is_last_day: bool = False


@dataclass(frozen=True)
class SalesforceMapping:
    """A whole field map. `time_zone`: an IANA name, `org` for the org's own, None for that of the run."""

    file: str
    time_zone: str | None
    tables: Mapping[str, TableMap]
    writes: WriteMap | None = None


def read_mapping(path: Path) -> SalesforceMapping:
    """The field map of a file. Errors: ConfigError with file and line."""
    top = read_yaml(path)
    parts = top.mapping(required=("tables",), optional=("time_zone", "writes"))
    tables = {name: _table(name, node, parts["tables"]) for name, node in parts["tables"].mapping().items()}
    if not tables:
        raise parts["tables"].fail("no table is mapped")
    return SalesforceMapping(
        file=top.file,
        time_zone=_time_zone(parts["time_zone"]) if "time_zone" in parts else None,
        tables=MappingProxyType(tables),
        writes=read_writes(parts["writes"]) if "writes" in parts else None,
    )


def _time_zone(node: Node) -> str:
    name = node.text()
    if name == ORG_TIME_ZONE:
        return name
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise node.fail(f"`{name}` is not a time zone; write an IANA name like Europe/Berlin, or `org`") from None
    return name


def _table(name: str, node: Node, tables: Node) -> TableMap:
    if not _NAME.fullmatch(name) or name in RESERVED:
        raise tables.fail_at_key(name, f"`{name}` cannot be the name of a table; use letters, digits and _")
    parts = node.mapping(required=("object", "columns"), optional=("filter", "partners", "main_date", "expires_on"))
    table = TableMap(
        name=name,
        line=node.line,
        object=path_place(parts["object"], "an object", single=True),
        columns=MappingProxyType(_columns(parts["columns"])),
        filter=Place(parts["filter"].text(), parts["filter"].line) if "filter" in parts else None,
        partners=_credited(parts["partners"]) if "partners" in parts else (),
        main_date=parts["main_date"].text() if "main_date" in parts else None,
        expires_on_is_last_day=_last_day(parts["expires_on"]) if "expires_on" in parts else False,
    )
    _check_table(table, parts)
    return table


def _check_table(table: TableMap, parts: Mapping[str, Node]) -> None:
    columns = parts["columns"]
    if table.partners and table.name != "opportunities":
        raise parts["partners"].fail("`partners:` belongs to opportunities; here map the column partner_id")
    for column in CREDIT_COLUMNS if table.partners else ():
        if column in table.columns:
            raise columns.fail_at_key(column, f"`{column}` is given by `partners:` too; keep one of them")
    for column in _needed(table):
        if column not in table.columns:
            raise columns.fail(f"`{column}:` is missing; table {table.name} needs it")
    if table.main_date is not None and table.main_date not in table.columns:
        raise parts["main_date"].fail(f"`{table.main_date}` is not one of the columns of {table.name}")
    if table.expires_on_is_last_day and not {"issued_on", "expires_on"} <= set(table.columns):
        raise parts["expires_on"].fail("`expires_on: last day` needs the columns issued_on and expires_on")


def _needed(table: TableMap) -> tuple[str, ...]:
    if table.name in CANONICAL:
        key = CANONICAL[table.name].key if table.name != "opportunities" else ("opportunity_id",)
        with_partner = "partner_id" in CANONICAL[table.name].columns and not table.partners
        return tuple(dict.fromkeys((*key, *(("partner_id",) if with_partner else ()))))
    dated = () if table.main_date is not None else ("happened_on",)
    return ("partner_id", *dated)


def _last_day(node: Node) -> bool:
    if node.text() not in ("last day", "first day after"):
        raise node.fail(f"`{node.text()}` is not known here; write `last day` where the CRM holds the last valid day")
    return node.text() == "last day"


def _columns(node: Node) -> dict[str, Place]:
    columns = {}
    for name, value in node.mapping().items():
        if not _NAME.fullmatch(name):
            raise node.fail_at_key(name, f"`{name}` cannot be a column; use small letters, digits and _")
        columns[name] = path_place(value, "a field path")
    return columns


def _credited(node: Node) -> tuple[Credited, ...]:
    credited = tuple(_one_credited(item) for item in node.sequence())
    if not credited:
        raise node.fail("name at least one credited partner")
    roles = [one.role.text if one.role else None for one in credited if one.object is None]
    if len(credited) > 1 and (len(set(roles)) < len(roles) or None in roles):
        raise node.fail("each credited partner needs a `role:` of its own")
    if any(one.role for one in credited) and not all(one.role for one in credited):
        raise node.fail("a `role:` is given for some of the credited partners only; give one for each")
    return credited


def _one_credited(node: Node) -> Credited:
    parts = node.mapping(required=("partner_id",), optional=("role", "share", "object", "opportunity", "filter"))
    if "object" not in parts:
        for key in ("opportunity", "filter"):
            if key in parts:
                raise parts[key].fail(
                    f"`{key}` belongs to an `object:` of its own; without one, partner_id is a lookup"
                )
    elif "opportunity" not in parts:
        raise node.fail("`opportunity:` is missing; it names the field that points at the opportunity")
    return Credited(
        partner=path_place(parts["partner_id"], "a lookup path"),
        role=Place(parts["role"].text(), parts["role"].line) if "role" in parts else None,
        share=_share(parts["share"]) if "share" in parts else None,
        line=node.line,
        object=path_place(parts["object"], "an object", single=True) if "object" in parts else None,
        opportunity=path_place(parts["opportunity"], "a lookup path") if "opportunity" in parts else None,
        filter=Place(parts["filter"].text(), parts["filter"].line) if "filter" in parts else None,
    )


def _share(node: Node) -> Decimal | Place:
    if node.text()[:1].isalpha():
        return path_place(node, "a share (a number, or a field path)")
    share = node.decimal()
    if not 0 <= share <= 1:
        raise node.fail(f"`{node.text()}` is not a share between 0 and 1")
    return share
