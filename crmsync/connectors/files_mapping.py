"""How the files of a folder become tables: names, renamed columns, date forms, decimal marks (files.yaml)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from crmsync.connectors.files_cells import Decimals, pattern_of_dates
from crmsync.errors import ConfigError
from crmsync.strict_yaml import Node, nearest, read_yaml

_TABLE_KEYS = (
    "file",
    "columns",
    "date_format",
    "main_date",
    "expires_on",
    "delimiter",
    "decimals",
    "list_separator",
    "money",
)
_DELIMITERS = MappingProxyType({"comma": ",", "semicolon": ";", "tab": "\t", ",": ",", ";": ";"})


@dataclass(frozen=True)
class TableMapping:
    """How one file becomes a table. `columns`: our name -> heading in the file; `decimals` None: seen from the file."""

    file: str | None = None
    columns: Mapping[str, str] = field(default_factory=dict)
    date_format: str | None = None
    main_date: str | None = None
    expires_on_is_last_day: bool = False
    delimiter: str | None = None
    decimals: Decimals | None = None
    list_separator: str = ";"
    money: frozenset[str] = frozenset()


@dataclass(frozen=True)
class FilesMapping:
    """A whole files.yaml; a table without an entry is read from `<table>.csv` or `<table>.parquet` as it stands."""

    time_zone: str = "UTC"
    tables: Mapping[str, TableMapping] = field(default_factory=dict)

    def of(self, table: str) -> TableMapping:
        """The entry of a table, or the plain one."""
        return self.tables.get(table, TableMapping())


def read_files_mapping(path: Path) -> FilesMapping:
    """The checked field map of a folder of files; without the file, the plain one. Errors: ConfigError with line."""
    if not path.exists():
        return FilesMapping()
    keys = read_yaml(path).mapping(optional=("time_zone", "tables"))
    tables = keys["tables"].mapping() if "tables" in keys else {}
    return FilesMapping(
        _time_zone(keys.get("time_zone")),
        MappingProxyType({name: _table(node) for name, node in tables.items()}),
    )


def _time_zone(node: Node | None) -> str:
    if node is None:
        return "UTC"
    try:
        ZoneInfo(node.text())
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise node.fail(f"`{node.text()}` is not a time zone; write an IANA name such as Europe/Berlin") from None
    return node.text()


def _table(node: Node) -> TableMapping:
    keys = node.mapping(optional=_TABLE_KEYS)
    return TableMapping(
        file=_file_name(keys["file"]) if "file" in keys else None,
        columns=_columns(keys["columns"]) if "columns" in keys else {},
        date_format=_date_format(keys["date_format"]) if "date_format" in keys else None,
        main_date=keys["main_date"].text() if "main_date" in keys else None,
        expires_on_is_last_day="expires_on" in keys and _last_day(keys["expires_on"]),
        delimiter=_delimiter(keys["delimiter"]) if "delimiter" in keys else None,
        decimals=_decimals(keys["decimals"]) if "decimals" in keys else None,
        list_separator=_separator(keys["list_separator"]) if "list_separator" in keys else ";",
        money=frozenset(one.text() for one in keys["money"].sequence()) if "money" in keys else frozenset(),
    )


def _file_name(node: Node) -> str:
    name = node.text()
    if Path(name).name != name or not name.lower().endswith((".csv", ".parquet")):
        raise node.fail(f"`{name}` is not the name of a .csv or .parquet file in the folder")
    return name


def _columns(node: Node) -> Mapping[str, str]:
    headings = {name: heading.text() for name, heading in node.mapping().items()}
    for name, heading in headings.items():
        if list(headings.values()).count(heading) > 1:
            raise node.fail_at_key(name, f"heading `{heading}` is used for two columns")
    return MappingProxyType(headings)


def _date_format(node: Node) -> str:
    if pattern_of_dates(node.text()) is None:
        raise node.fail(f"`{node.text()}` is not a date format; write YYYY, MM and DD once each, like DD.MM.YYYY")
    return node.text()


def _last_day(node: Node) -> bool:
    known = {"last day": True, "first day after": False}
    if node.text() not in known:
        raise node.fail(f"`{node.text()}` is not a way to end a validity{nearest(node.text(), known)}")
    return known[node.text()]


def _delimiter(node: Node) -> str:
    if node.text() not in _DELIMITERS:
        raise node.fail(f"`{node.text()}` is not a delimiter; write comma, semicolon or tab")
    return _DELIMITERS[node.text()]


def _decimals(node: Node) -> Decimals:
    if node.text() not in (Decimals.POINT, Decimals.COMMA):
        raise node.fail(f"`{node.text()}` is not a decimal mark; write point or comma")
    return Decimals(node.text())


def _separator(node: Node) -> str:
    if len(node.text()) != 1 or node.text().isalnum():
        raise node.fail(f"`{node.text()}` is not a separator of lists; write one character such as `;` or `|`")
    return node.text()


def require_headings(table: str, mapping: TableMapping, headings: Mapping[str, object], file: str, line: int) -> None:
    """Raise ConfigError when the mapping names a heading that the file does not have."""
    for name, heading in mapping.columns.items():
        if heading.lower() not in headings:
            known = nearest(heading.lower(), headings)
            raise ConfigError(
                f"has no heading `{heading}`, which the mapping of {table}.{name} names{known}", file=file, line=line
            )
