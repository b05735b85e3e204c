"""The tables that a case stands for: its own facts, typed like a delivered folder, and what is ready beside them."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path

import pyarrow as pa

from crmsync.connectors.checks import check_rows
from crmsync.connectors.files_cells import Spelling, typed_column, why_unreadable
from crmsync.connectors.files_columns import Traits
from crmsync.errors import ConfigError, Rejected
from crmsync.programs.program import Program
from crmsync.programs.reads import columns_read
from crmsync.snapshots import Place, Snapshot, Staging, TableFile, main_date_of, write_table
from crmsync.strict_yaml import Node
from crmsync.studies.case_files import Case
from crmsync.tables import CANONICAL, EXTRA_MAIN_DATE, ColumnType

PARTNER = "case"
"""The partner_id of a case's own partner where the case gives none."""

_SEPARATOR = "\x1f"  # of lists: no text of a YAML file holds it
_SPELLING = Spelling(list_separator=_SEPARATOR)
_IDS: Mapping[str, str] = {"opportunities": "opportunity_id", "certifications": "certification_id",
                           "activities": "activity_id"}  # fmt: skip

Types = Mapping[str, Mapping[str, ColumnType]]
"""Table -> column -> type."""

Rows = list[dict[str, Node | None]]


@dataclass(frozen=True)
class CaseRows:
    """The rows of one table of a case; `nodes` are the rows as written, for the places of bad ones."""

    rows: Rows
    nodes: tuple[Node | None, ...]


@dataclass(frozen=True)
class _Written:
    """The places of the rows of a table: lines of the file of the case."""

    nodes: tuple[Node | None, ...]

    def places(self, rows: Sequence[int], ids: Sequence[str]) -> list[Place]:  # noqa: ARG002
        found = (self.nodes[row] for row in rows)
        return [(node.file, node.line) if node is not None else ("the case's partner", None) for node in found]

    def without(self, rows: Sequence[int]) -> _Written:
        gone = set(rows)
        return _Written(tuple(node for place, node in enumerate(self.nodes) if place not in gone))


@dataclass(frozen=True)
class Sealed:
    """A snapshot of the facts of cases, and the rows that had to be left out."""

    snapshot: Snapshot
    rejected: tuple[Rejected, ...] = ()


@dataclass
class Facts:
    """What goes into a snapshot: text cells by table, further columns of partners and further tables that are ready."""

    tables: dict[str, CaseRows] = field(default_factory=dict)
    columns: dict[str, tuple[pa.Array, ColumnType]] = field(default_factory=dict)
    ready: dict[str, tuple[pa.Table, Mapping[str, ColumnType]]] = field(default_factory=dict)


def types_of(programs: Iterable[Program], cases: Iterable[Case]) -> Types:
    """The type of every column that a program reads or a case gives; cells of all cases are looked at together.

    Errors: ConfigError for a column that nothing reads and that is nearly one that something does.
    """
    every = [version for program in programs for version in with_versions_before(program)]
    expected: dict[tuple[str, str], ColumnType | None] = {}
    for program in every:
        for place, kind in columns_read(program).items():
            expected[place] = expected.get(place) or kind
    money = frozenset[tuple[str, str]]().union(*(program.money for program in every))
    cells: dict[tuple[str, str], list[Node]] = {}
    for case in cases:
        for step in case.steps:
            for column, node in step.partner.items():
                cells.setdefault(("partners", column), []).append(node)
        for table, rows in case.tables.items():
            for row in rows:
                for column, node in row.mapping().items():
                    cells.setdefault((table, column), []).append(node)
    _check_spelling(cells, expected)
    found: dict[str, dict[str, ColumnType]] = {"partners": {}}
    for table, column in {**expected, **cells}:
        kind = _type_of(money, table, column, expected.get((table, column)), cells.get((table, column), []))
        found.setdefault(table, {})[column] = kind
    return found


def _check_spelling(cells: Mapping[tuple[str, str], Sequence[Node]], read: Collection[tuple[str, str]]) -> None:
    """A misspelt column of a case would be an extra column that nothing reads, and the case would test nothing."""
    for (table, column), nodes in cells.items():
        listed = CANONICAL[table].columns if table in CANONICAL else {}
        if (table, column) in read or column in listed:
            continue
        known = [*listed, *(name for at, name in read if at == table)]
        if close := get_close_matches(column, known, 1, 0.8):
            raise nodes[0].fail(f"nothing reads a column `{column}` of {table}; did you mean `{close[0]}`?")


def with_versions_before(program: Program) -> Iterator[Program]:
    """The program, and the versions before it, newest first."""
    version: Program | None = program
    while version is not None:
        yield version
        version = version.before


def _type_of(
    money: frozenset[tuple[str, str]], table: str, column: str, expected: ColumnType | None, cells: Sequence[Node]
) -> ColumnType:
    if table in CANONICAL and column in CANONICAL[table].columns:
        return CANONICAL[table].columns[column]
    if (table, column) in money:
        return ColumnType.MONEY
    if column in ("partner_id", "currency"):
        return ColumnType.TEXT
    if column in ("issued_on", "expires_on", EXTRA_MAIN_DATE):
        return ColumnType.DATE
    if expected is not None:
        return expected
    if cells and all(node.is_sequence for node in cells):
        return ColumnType.LIST
    traits = Traits(None)
    traits.look(pa.array([_text(node) for node in cells] or [None], pa.string()))
    return traits.kind(_SPELLING.decimals)


def _text(node: Node | None) -> str | None:
    """A cell as a delivered file would hold it."""
    if node is None:
        return None
    if node.is_sequence:
        return _SEPARATOR.join(one.text() for one in node.sequence())
    text = node.text()
    if not node.quoted and text in ("yes", "no"):
        return "true" if text == "yes" else "false"
    return text or None


# --- rows of a case


def tables_of(case: Case, partner: Mapping[str, Node]) -> dict[str, CaseRows]:
    """The rows of a case, each with a partner; partners that only other rows name are added as plain accounts."""
    own = partner["partner_id"].text() if "partner_id" in partner else PARTNER
    found: dict[str, CaseRows] = {}
    named: dict[str, None] = {own: None}
    for table, nodes in case.tables.items():
        rows = [_filled(table, node, own, place) for place, node in enumerate(nodes, 1)]
        if table not in ("rates", "partners"):
            named |= dict.fromkeys(one.text() for row in rows if (one := row.get("partner_id")) is not None)
        found[table] = CaseRows(rows, nodes)
    found["partners"] = _partners(found.get("partners", CaseRows([], ())), partner, own, named)
    return found


def _filled(table: str, node: Node, own: str, place: int) -> dict[str, Node | None]:
    row: dict[str, Node | None] = dict(node.mapping())
    if table != "rates":
        row.setdefault("partner_id", Node(node.file, node.line, own))
    if table in _IDS:
        row.setdefault(_IDS[table], Node(node.file, node.line, f"{table} {place}"))
    return row


def _partners(given: CaseRows, partner: Mapping[str, Node], own: str, named: Iterable[str]) -> CaseRows:
    rows, nodes = [dict(row) for row in given.rows], list(given.nodes)
    ids = [one.text() for row in rows if (one := row.get("partner_id")) is not None]
    if own in ids:
        rows[ids.index(own)] |= partner
    else:
        rows.append({**partner, "partner_id": _plain_text(own)})
        nodes.append(None)
        ids.append(own)
    parents = [one.text() for row in rows if (one := row.get("parent_id")) is not None]
    for other in dict.fromkeys([*named, *parents]):
        if other not in ids:
            rows.append({"partner_id": _plain_text(other)})
            nodes.append(None)
            ids.append(other)
    return CaseRows(rows, tuple(nodes))


def _plain_text(text: str) -> Node:
    return Node("", 0, text, quoted=True)


# --- sealing


def seal(folder: Path, facts: Facts, types: Types) -> Sealed:
    """A checked snapshot in `folder`: the rows of the facts, every column that the program reads, and ready tables.

    Errors: ConfigError with the line of a cell that cannot be read.
    """
    staging = Staging(folder)
    try:
        for name in {**types, **facts.tables}:
            further = facts.columns if name == "partners" else {}
            _stage(staging, name, facts.tables.get(name, CaseRows([], ())), types.get(name, {}), further)
        for name, (table, columns) in facts.ready.items():
            staging.add(TableFile(name, staging.path(name), write_table(staging.path(name), table, columns), columns))
        report = check_rows(staging)
        return Sealed(staging.seal(), report.rejected)
    finally:
        staging.discard()


def _stage(
    staging: Staging, name: str, given: CaseRows, types: Mapping[str, ColumnType],
    further: Mapping[str, tuple[pa.Array, ColumnType]],
) -> None:  # fmt: skip
    canonical = CANONICAL[name].columns if name in CANONICAL else {}
    if not given.rows and name in CANONICAL and name != "partners" and not set(types) - set(canonical):
        return  # a table that was not delivered
    wanted = dict.fromkeys([*(column for row in given.rows for column in row), *types, *_needed(name)])
    listed = {column for row in given.rows for column in row}
    columns = {
        column: types.get(column) or canonical.get(column) or _plain_type(column)
        for column in wanted
        if column in listed or column not in canonical or column in _needed(name)
    }
    arrays = {column: _typed(given, column, kind) for column, kind in columns.items()}
    arrays |= {column: values for column, (values, _) in further.items()}
    columns |= {column: kind for column, (_, kind) in further.items()}
    table = pa.table(arrays)
    staging.add(
        TableFile(
            name, staging.path(name), write_table(staging.path(name), table, columns), columns,
            main_date_of(name, None, columns),
        )
    )  # fmt: skip
    staging.origins[name] = _Written(given.nodes)


def _plain_type(column: str) -> ColumnType:
    return ColumnType.DATE if column == EXTRA_MAIN_DATE else ColumnType.TEXT


def _needed(table: str) -> tuple[str, ...]:
    if table == "rates":
        return ("currency", "effective_from", "rate")
    own = (_IDS[table],) if table in _IDS else ()
    extra = () if table in CANONICAL else (EXTRA_MAIN_DATE,)
    return ("partner_id", *own, *extra)


def _typed(given: CaseRows, column: str, kind: ColumnType) -> pa.Array:
    nodes = [row.get(column) for row in given.rows]
    cells = [_text(node) for node in nodes]
    typed = typed_column(pa.array(cells, pa.string()), kind, _SPELLING)
    if typed.bad is not None:
        for node, cell, bad in zip(nodes, cells, typed.bad, strict=True):
            if bad and node is not None and cell is not None:
                raise _unreadable(node, column, cell, kind)
    return typed.values


def _unreadable(node: Node, column: str, cell: str, kind: ColumnType) -> ConfigError:
    return node.fail(f"{column} `{cell}`: {why_unreadable(cell, kind, _SPELLING)}")


def places_of(rejected: Iterable[Rejected]) -> Iterator[str]:
    """One line for each row that was left out."""
    for bad in rejected:
        where = f"{bad.file}:{bad.line}" if bad.line else bad.file
        yield f"{where}: left out: {bad.column} `{bad.value}` {bad.reason}"
