"""Small tables and programs for the tests of levelling: rows as Python values, sealed as a snapshot."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa

from crmsync.connectors.checks import ChecksReport, check_rows
from crmsync.levelling.assess import Assessment, assess
from crmsync.levelling.standings import COLUMNS, JSON_COLUMNS
from crmsync.programs.loading import load_program
from crmsync.programs.program import Program
from crmsync.snapshots import Snapshot, Staging, TableFile, main_date_of, write_table
from crmsync.tables import ARROW_TYPES, CANONICAL, ColumnType

Row = Mapping[str, Any]
Tables = Mapping[str, Sequence[Row]]
Types = Mapping[str, Mapping[str, ColumnType]]

_PYTHON = {bool: ColumnType.YES_NO, int: ColumnType.NUMBER, float: ColumnType.NUMBER, Decimal: ColumnType.NUMBER,
           date: ColumnType.DATE, list: ColumnType.LIST}  # fmt: skip


@dataclass(frozen=True)
class Facts:
    """Typed rows of a snapshot: `types` names the columns that were delivered."""

    types: Types
    rows: Mapping[str, list[dict[str, Any]]]
    last_day: bool = False  # whether expires_on is the last valid day
    main_dates: Mapping[str, str] = field(default_factory=dict)


def facts_of(
    tables: Tables, money: Iterable[tuple[str, str]] = (), *, delivered: Types | None = None, last_day: bool = False
) -> Facts:
    """Rows with the types that a connector would give them; every column that some row names is delivered."""
    types: dict[str, dict[str, ColumnType]] = {}
    rows: dict[str, list[dict[str, Any]]] = {}
    for table, given in tables.items():
        names = list(dict.fromkeys(column for row in given for column in row)) or ["partner_id"]
        known = {**(delivered or {}).get(table, {})}
        types[table] = {**known, **{n: _type_of(table, n, given, set(money)) for n in names if n not in known}}
        rows[table] = [{n: _cell(row.get(n), kind) for n, kind in types[table].items()} for row in given]
    return Facts(types, rows, last_day)


def _type_of(table: str, column: str, rows: Sequence[Row], money: set[tuple[str, str]]) -> ColumnType:
    if table in CANONICAL and column in CANONICAL[table].columns:
        return CANONICAL[table].columns[column]
    if (table, column) in money:
        return ColumnType.MONEY
    kinds = {_PYTHON.get(type(row[column]), ColumnType.TEXT) for row in rows if row.get(column) is not None}
    return kinds.pop() if len(kinds) == 1 else ColumnType.TEXT


def _cell(value: Any, kind: ColumnType) -> Any:
    if value is None:
        return None
    match kind:
        case ColumnType.MONEY | ColumnType.MEASURE:
            return Decimal(str(value))
        case ColumnType.NUMBER:
            return float(value)
        case ColumnType.TEXT:
            return str(value)
        case ColumnType.YES_NO:
            return {"yes": True, "no": False}[value] if isinstance(value, str) else value
    return value


def snapshot_of(folder: Path, facts: Facts) -> tuple[Snapshot, ChecksReport]:
    """The rows as a checked and sealed snapshot in `folder`."""
    staging = Staging(folder)
    for name, columns in facts.types.items():
        schema = pa.schema([(column, ARROW_TYPES[kind]) for column, kind in columns.items()])
        table = pa.Table.from_pylist(facts.rows[name], schema)
        written = write_table(staging.path(name), table, columns)
        main = main_date_of(name, facts.main_dates.get(name), columns)
        last_day = facts.last_day and "expires_on" in columns
        staging.add(TableFile(name, staging.path(name), written, columns, main, last_day))
    report = check_rows(staging)
    return staging.seal(), report


def program_of(folder: Path, text: str, types: Types | None = None, files: Mapping[str, str] | None = None) -> Program:
    """The program of this text, with the files that lie beside it."""
    for name, content in (files or {}).items():
        (folder / name).write_text(content, encoding="utf-8")
    path = folder / "program.yaml"
    path.write_text(text, encoding="utf-8")
    return load_program(path, types)


def standings_file(folder: Path, program: str, as_of: date, rows: Iterable[Row]) -> Path:
    """A standings file as an earlier assessment would have left it; columns not named are empty."""
    path = folder / "previous.jsonl"
    lines = []
    for row in rows:
        tier = row.get("tier")
        full = dict.fromkeys(COLUMNS)
        full |= {"program": program, "as_of": as_of, "category": "all", "calculated_tier": tier, "earned_tier": tier,
                 "granted_tier": tier, "movement": "unchanged", "overrides": [], "tier_since": as_of}  # fmt: skip
        full |= {key: value for key, value in row.items() if key != "tier"}
        lines.append(json.dumps(full, default=str))
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return path


def assessed(
    folder: Path, program: str, tables: Tables, as_of: date, *, files: Mapping[str, str] | None = None,
    previous: Iterable[Row] | None = None,
) -> Assessment:  # fmt: skip
    """The standings of a program written as text on rows written as Python values."""
    facts = facts_of(tables)
    snapshot, _ = snapshot_of(folder / "snapshot", facts)
    loaded = program_of(folder, program, facts.types, files)
    before = None
    if previous is not None:
        before = standings_file(folder, loaded.key, date(as_of.year - 1, 1, 1), previous)
    return assess(loaded, snapshot, as_of, before)


def plain(standings: pa.Table) -> dict[tuple[str, str], dict[str, Any]]:
    """Standings by (partner, category)."""
    return {(row["partner_id"], row["category"]): row for row in standings.to_pylist()}


__all__ = ["JSON_COLUMNS", "Facts", "assessed", "facts_of", "plain", "program_of", "snapshot_of", "standings_file"]
