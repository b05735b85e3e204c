"""Filling an org with records.

Relationship columns are those of Bulk (`Account.Key__c`, `Parent.Key__c`); rows may refer to later rows and files.
A load may also give what the org otherwise keeps itself (Id, CreatedDate, IsWon, …), as a restored backup does.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, NoReturn

from crmsync.sandbox.answers import ApiError
from crmsync.sandbox.ids import id_number, make_id, to_18
from crmsync.sandbox.load_columns import Column, table_columns
from crmsync.sandbox.load_tables import LoadError, Table, nearest
from crmsync.sandbox.org import Org
from crmsync.sandbox.row_defaults import auto_number, defaults
from crmsync.sandbox.schema import Field, SObject
from crmsync.sandbox.store import insert_rows

_CHUNK = 4_000
_SEVERAL = ""

Keys = dict[tuple[str, str], dict[str, str]]
"""By (object, key field): record id by key text, without case where the key has none; `_SEVERAL` for a repeated key."""


@dataclass(frozen=True)
class _Waiting:
    """A reference to a row that has not been seen yet."""

    sobject: SObject
    column: Column
    key: str
    record_id: str
    where: str


@dataclass(frozen=True)
class _Shape:
    """How rows of one table become rows of the store: given columns, constants, then per-row additions."""

    table: Table
    sobject: SObject
    columns: list[Column]
    defaults: dict[str, Any]  # for empty cells of given columns
    constants: dict[str, Any]  # for columns that are not given
    numbered: list[Field]
    derived: list[str]
    own_name: str  # the name field that holds the Id where no name is given; else empty

    @property
    def given(self) -> list[str]:
        """Names of the given fields."""
        return [column.field.name for column in self.columns]

    @property
    def names(self) -> list[str]:
        """Store columns in the order of the values."""
        return ["Id", *(name for name in self.given if name != "Id"), *self.constants,
                *(known.name for known in self.numbered), *self.derived]  # fmt: skip


@dataclass
class Loading:
    """One load into one org: keys seen so far, and references that wait for their parent."""

    org: Org
    connection: sqlite3.Connection
    stamp: str
    keys: Keys = field(default_factory=dict)
    waiting: list[_Waiting] = field(default_factory=list)

    def load(self, tables: Sequence[Table]) -> dict[str, int]:
        """Rows loaded per object. Errors: LoadError."""
        shapes = [self._shape(table) for table in tables]
        for column in (column for shape in shapes for column in shape.columns):
            if column.target is not None and column.key is not None:
                self.keys.setdefault((column.target.name, column.key.name), {})
        counts = {shape.sobject.name: self._load_table(shape) for shape in shapes}
        self._settle()
        for shape in shapes:
            self._check_given_ids(shape)
        self._check_unique()
        return counts

    def _shape(self, table: Table) -> _Shape:
        sobject = self.org.schema.find(table.name)
        if sobject is None:
            near = nearest(table.name, (known.name for known in self.org.schema))
            raise LoadError(
                f"{table.file}: the org has no object {table.name}; custom objects stand in schema.yaml{near}"
            )
        columns = table_columns(self.org.schema, sobject, table)
        given = {column.field.name for column in columns}
        derived = [name for name in _derived_names(self.org, sobject) if name not in given]
        every = defaults(self.org, sobject, self.stamp)
        constants = {name: value for name, value in every.items() if name not in given and name not in derived}
        numbered = [known for known in sobject.fields if known.auto_number and known.name not in given]
        named = sobject.name_field
        own_name = named.name if sobject.custom and named and not named.auto_number else ""
        if own_name and own_name not in given:
            constants[own_name] = None
        return _Shape(table, sobject, columns, every, constants, numbered, derived, own_name)

    def _load_table(self, shape: _Shape) -> int:
        count = 0
        while chunk := list(islice(shape.table.rows, _CHUNK)):
            rows = self._stored(shape, [line for line, _ in chunk], [cells for _, cells in chunk])
            try:
                insert_rows(self.connection, shape.sobject, shape.names, rows)
            except sqlite3.IntegrityError:
                raise LoadError(f"{shape.table.file}: the same Id stands on two rows") from None
            count += len(chunk)
        return count

    def _stored(self, shape: _Shape, lines: list[int], rows: list[Sequence[Any]]) -> list[tuple[Any, ...]]:
        """Values of a chunk, worked out column by column because that is fastest."""
        values = self._read(shape, lines, rows)
        first = self.org.numbers.get(shape.sobject.prefix, 0) + 1
        ids = self._ids(shape, lines, values, first)
        self._require(shape, lines, values)
        for column in shape.columns:
            if column.target is not None:
                name = column.field.name
                values[name] = self._parents(shape, column, lines, values[name], ids)
        _fill_empty(values, shape.defaults)
        self._remember_keys(shape, values, ids)
        more = [
            [auto_number(str(known.auto_number), first + place) for place in range(len(rows))]
            for known in shape.numbered
        ]
        derived = self._derive(shape, lines, values) if shape.derived else []
        named = shape.sobject.name_field if shape.sobject.custom else None
        if named is not None and None in values.get(named.name, ()):
            pairs = zip(values[named.name], ids, strict=True)
            values[named.name] = [record_id if name is None else name for name, record_id in pairs]
        constants = [
            ids if named is not None and name == named.name else [value] * len(rows)
            for name, value in shape.constants.items()
        ]
        given = [values[name] for name in shape.given if name != "Id"]
        return list(zip(ids, *given, *constants, *more, *derived, strict=True))

    def _read(self, shape: _Shape, lines: list[int], rows: list[Sequence[Any]]) -> dict[str, list[Any]]:
        try:
            cells = zip(*rows, strict=True)
            return {
                column.field.name: [column.read(cell) for cell in column_cells]
                for column, column_cells in zip(shape.columns, cells, strict=True)
            }
        except (ApiError, ValueError, TypeError):
            _refuse_cell(shape, lines, rows)

    def _ids(self, shape: _Shape, lines: list[int], values: dict[str, list[Any]], first: int) -> list[str]:
        prefix = shape.sobject.prefix
        made = [make_id(prefix, number) for number in range(first, first + len(lines))]
        self.org.numbers[prefix] = first + len(lines) - 1
        given = values.get("Id")
        if given is None:
            return made
        ids = [
            made[place] if text is None else _given_id(shape, lines[place], text) for place, text in enumerate(given)
        ]
        self.org.numbers[prefix] = max(self.org.numbers[prefix], *(id_number(record_id) for record_id in ids))
        return ids

    def _require(self, shape: _Shape, lines: list[int], values: dict[str, list[Any]]) -> None:
        derived = _derived_names(self.org, shape.sobject)
        for known in shape.sobject.fields:
            if not known.required or known.name in derived:
                continue
            column = values.get(known.name)
            if column is None:
                raise LoadError(f"{shape.table.file}:1: the column {known.name} is missing, but is required")
            if None in column:
                raise LoadError(
                    f"{shape.table.file}:{lines[column.index(None)]}: {known.name} is empty, but is required"
                )

    def _parents(
        self, shape: _Shape, column: Column, lines: list[int], keys: list[str | None], ids: list[str]
    ) -> list[str | None]:
        """Record ids for the keys of a relationship column; None for the time being where the parent comes later."""
        assert column.target is not None
        assert column.key is not None
        known = self.keys[column.target.name, column.key.name]
        found: list[str | None] = []
        for place, key in enumerate(keys):
            shown = key if key is None or column.key.case_sensitive else key.casefold()
            parent = None if shown is None else known.get(shown)
            if shown is not None and not parent:
                where = f"{shape.table.file}:{lines[place]}: {column.name} {key!r}"
                self.waiting.append(_Waiting(shape.sobject, column, shown, ids[place], where))
            found.append(parent or None)
        return found

    def _remember_keys(self, shape: _Shape, values: dict[str, list[Any]], ids: list[str]) -> None:
        for (name, key_name), known in self.keys.items():
            if name != shape.sobject.name or key_name not in values:
                continue
            key = shape.sobject.by_name[key_name.lower()]
            for value, record_id in zip(values[key_name], ids, strict=True):
                if value is not None:
                    shown = value if key.case_sensitive else str(value).casefold()
                    known[shown] = _SEVERAL if shown in known else record_id

    def _derive(self, shape: _Shape, lines: list[int], values: dict[str, list[Any]]) -> list[list[Any]]:
        """Columns that the org works out; what was given and not empty stays, gaps in given columns are filled."""
        name = shape.sobject.name
        parts = [
            part for part in (*self.org.deriving.parts(name), "IsWon", "IsClosed", "Name", "Key__c") if part in values
        ]
        filled = [known for known in _derived_names(self.org, shape.sobject) if known in values]
        columns: list[list[Any]] = [[] for _ in shape.derived]
        for place in range(len(lines)):
            row = {part: values[part][place] for part in parts}
            given = frozenset(part for part, value in row.items() if value is not None)
            made = _settled_deal(self.org, shape, lines[place], row, given) if name == "Opportunity" else {}
            made |= self.org.deriving.derived(name, row, given)
            if row.get("IsWon") and "IsClosed" in values:
                values["IsClosed"][place] = 1
            for known in filled:
                if values[known][place] is None:
                    values[known][place] = made.get(known)
            for column, known in zip(columns, shape.derived, strict=True):
                column.append(made.get(known))
        return columns

    def _settle(self) -> None:
        updates: dict[tuple[str, str], list[tuple[str, str]]] = {}
        for waiting in self.waiting:
            target, key = waiting.column.target, waiting.column.key
            assert target is not None
            assert key is not None
            found = self.keys[target.name, key.name].get(waiting.key)
            if not found:
                why = "is on no row of" if found is None else "stands on several rows of"
                raise LoadError(f"{waiting.where} {why} {target.name}")
            updates.setdefault((waiting.sobject.name, waiting.column.field.name), []).append((found, waiting.record_id))
        for (name, column), pairs in updates.items():
            self.connection.executemany(f'UPDATE "{name}" SET "{column}" = ? WHERE "Id" = ?', pairs)

    def _check_given_ids(self, shape: _Shape) -> None:
        for column in shape.columns:
            link = column.field
            if link.type != "reference" or column.target is not None:
                continue
            targets = [found for name in link.reference_to if (found := self.org.schema.find(name))]
            unknown = " AND ".join(f'"{link.name}" NOT IN (SELECT "Id" FROM "{target.name}")' for target in targets)
            row = self.connection.execute(
                f'SELECT rowid, "{link.name}" FROM "{shape.sobject.name}" WHERE "{link.name}" IS NOT NULL AND {unknown}'
            ).fetchone()
            if row:
                names = " or ".join(link.reference_to)
                raise LoadError(
                    f"{shape.table.file}: data row {row[0]}: {link.name} {row[1]} is the Id of no {names} in the data"
                )

    def _check_unique(self) -> None:
        for sobject in self.org.schema:
            for known in sobject.stored():
                if known.unique:
                    fold = "" if known.case_sensitive else " COLLATE NOCASE"
                    row = self.connection.execute(
                        f'SELECT "{known.name}" FROM "{sobject.name}" WHERE "{known.name}" IS NOT NULL '
                        f'GROUP BY "{known.name}"{fold} HAVING count(*) > 1 LIMIT 1'
                    ).fetchone()
                    if row:
                        raise LoadError(
                            f"{sobject.name}: {known.name} is unique, but {row[0]!r} stands on several rows"
                        )


def _fill_empty(values: dict[str, list[Any]], fillings: dict[str, Any]) -> None:
    for name, filling in fillings.items():
        if None in values.get(name, ()):
            values[name] = [filling if value is None else value for value in values[name]]


def _refuse_cell(shape: _Shape, lines: list[int], rows: list[Sequence[Any]]) -> NoReturn:
    """Name the first cell that cannot be read."""
    for line, cells in zip(lines, rows, strict=True):
        if len(cells) != len(shape.columns):
            raise LoadError(
                f"{shape.table.file}:{line}: {len(cells)} cells, but the header has {len(shape.columns)}"
            ) from None
        for column, cell in zip(shape.columns, cells, strict=True):
            try:
                column.read(cell)
            except (ApiError, ValueError, TypeError) as reason:
                raise LoadError(f"{shape.table.file}:{line}: {column.name} {str(cell)[:80]!r}: {reason}") from None
    raise LoadError(f"{shape.table.file}: cannot be read")


def _given_id(shape: _Shape, line: int, text: str) -> str:
    found = to_18(text)
    if found is None or not found.startswith(shape.sobject.prefix):
        name, prefix = shape.sobject.name, shape.sobject.prefix
        raise LoadError(f"{shape.table.file}:{line}: Id {text} is no id of {name} (prefix {prefix}, 15 or 18 signs)")
    return found


def _settled_deal(org: Org, shape: _Shape, line: int, row: dict[str, Any], given: frozenset[str]) -> dict[str, Any]:
    """Name and stage of an opportunity where the data leaves them open."""
    made: dict[str, Any] = {}
    won, closed = (row.get(name) if name in given else None for name in ("IsWon", "IsClosed"))
    if row.get("StageName") is None:
        row["StageName"] = made["StageName"] = "Closed Won" if won else "Closed Lost" if closed else "Prospecting"
    elif row["StageName"] not in org.deriving.stages:
        org.deriving.learn(row["StageName"], closed, won)
    if row.get("Name") is None:
        made["Name"] = str(row.get("Key__c") or f"Opportunity {line - 1}")
    if row.get("CloseDate") is None:
        raise LoadError(f"{shape.table.file}:{line}: CloseDate is empty, but is required")
    return made


def _derived_names(org: Org, sobject: SObject) -> list[str]:
    """Fields that are worked out per row."""
    sample: dict[str, Any] = {"StageName": "Closed Won", "CloseDate": "2026-01-01", "Amount": 1, "Probability": 1}
    found = list(org.deriving.derived(sobject.name, sample, frozenset()))
    if sobject.name == "Opportunity":
        found += ["StageName", "Name", "CloseDate"]
    return [name for name in dict.fromkeys(found) if sobject.field(name)]
