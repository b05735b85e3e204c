"""Filling an org with records: a folder with one CSV per object, or the tables of a sample company.

Relationship columns are those of Bulk (`Account.Key__c`, `Parent.Key__c`); rows may refer to later rows and other files.
A load may also give what the org otherwise keeps itself (Id, CreatedDate, IsWon, …), as a restored backup does.
"""

from __future__ import annotations

import csv
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from difflib import get_close_matches
from pathlib import Path
from typing import Any, NoReturn

from crmsync.sandbox.answers import ApiError
from crmsync.sandbox.ids import id_number, make_id, to_18
from crmsync.sandbox.org import Org
from crmsync.sandbox.rows import auto_number, defaults
from crmsync.sandbox.schema import Field, Schema, SObject
from crmsync.sandbox.store import insert_rows
from crmsync.sandbox.values import from_text, scaled

_CHUNK = 5_000
_KEY_SPECIALS = ("RecordType", "User", "Profile", "UserRole", "Group")


class LoadError(Exception):
    """Data that cannot be loaded; the message names file, line, column and value."""


@dataclass(frozen=True)
class Table:
    """The rows of one object. `lines` in a row's place tells the line it ends on; `file` is for messages."""

    name: str
    file: str
    columns: Sequence[str]
    rows: Iterable[tuple[int, Sequence[Any]]]


def folder_tables(folder: Path) -> list[Table]:
    """The CSV files of a folder, ordered by name. Errors: LoadError."""
    if not folder.is_dir():
        raise LoadError(f"{folder}: is no folder")
    csv.field_size_limit(10_000_000)
    return [_csv_table(path) for path in sorted(folder.glob("*.csv"))]


def _csv_table(path: Path) -> Table:
    reader = _lines(path)
    try:
        _, columns = next(reader)
    except StopIteration:
        raise LoadError(f"{path.name}: is empty; the first line holds API field names") from None
    return Table(path.stem, path.name, [column.strip() for column in columns], reader)


def _lines(path: Path) -> Iterator[tuple[int, list[str]]]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            head = file.readline()
            file.seek(0)
            reader = csv.reader(file, delimiter=";" if ";" in head and "," not in head else ",", strict=True)
            width = None
            for cells in reader:
                if not cells:
                    continue
                width = width or len(cells)
                if len(cells) != width:
                    raise LoadError(f"{path.name}:{reader.line_num}: {len(cells)} cells, but the header has {width}")
                yield reader.line_num, cells
    except UnicodeDecodeError as error:
        raise LoadError(f"{path.name}: is not UTF-8 text: {error.reason} at byte {error.start}") from None
    except csv.Error as error:
        raise LoadError(f"{path.name}: is not a CSV file: {error}") from None
    except OSError as error:
        raise LoadError(f"{path.name}: cannot be read: {error.strerror}") from None


@dataclass
class Loading:
    """One load into one org: keys seen so far, and references that wait for their parent."""

    org: Org
    connection: sqlite3.Connection
    stamp: str
    keys: dict[tuple[str, str], dict[str, str]] = field(default_factory=dict)
    waiting: list[tuple[SObject, Field, SObject, Field, str, str, str]] = field(default_factory=list)
    given_ids: list[tuple[str, SObject, Field]] = field(default_factory=list)

    def load(self, tables: Sequence[Table]) -> dict[str, int]:
        """Rows loaded per object. Errors: LoadError."""
        plans = [(table, self._object(table), self._columns(table)) for table in tables]
        for _, _, columns in plans:
            for column in columns:
                if column.target is not None and column.key is not None:
                    self.keys.setdefault((column.target.name, column.key.name), {})
        counts = {sobject.name: self._load_table(table, sobject, columns) for table, sobject, columns in plans}
        self._settle()
        self._check_given_ids()
        self._check_unique()
        return counts

    def _object(self, table: Table) -> SObject:
        sobject = self.org.schema.find(table.name)
        if sobject is None:
            names = [known.name for known in self.org.schema]
            raise LoadError(
                f"{table.file}: the org has no object {table.name}; custom objects stand in schema.yaml{_near(table.name, names)}"
            )
        return sobject

    def _columns(self, table: Table) -> list[_Column]:
        sobject = self._object(table)
        found = [_column(self.org.schema, sobject, name, table.file) for name in table.columns]
        names = [column.field.name for column in found]
        twice = next((name for name in names if names.count(name) > 1), None)
        if twice:
            raise LoadError(f"{table.file}:1: two columns give {twice}")
        return found

    def _load_table(self, table: Table, sobject: SObject, columns: list[_Column]) -> int:
        names, rows = self._stored_rows(table, sobject, columns)
        count = 0
        chunk: list[tuple[Any, ...]] = []
        for row in rows:
            chunk.append(row)
            if len(chunk) == _CHUNK:
                count += self._insert(table, sobject, names, chunk)
                chunk = []
        count += self._insert(table, sobject, names, chunk)
        self.given_ids += [
            (table.file, sobject, column.field)
            for column in columns
            if column.field.type == "reference" and column.target is None
        ]
        return count

    def _insert(self, table: Table, sobject: SObject, names: Sequence[str], chunk: list[tuple[Any, ...]]) -> int:
        try:
            insert_rows(self.connection, sobject, names, chunk)
        except sqlite3.IntegrityError:
            raise LoadError(f"{table.file}: the same Id stands on two rows") from None
        return len(chunk)

    def _stored_rows(
        self, table: Table, sobject: SObject, columns: list[_Column]
    ) -> tuple[list[str], Iterator[tuple[Any, ...]]]:
        given = [column.field.name for column in columns]
        rest = {name: value for name, value in defaults(self.org, sobject, self.stamp).items() if name not in given}
        number_fields = [known for known in sobject.fields if known.auto_number and known.name not in given]
        derives = bool(self.org.deriving.parts(sobject.name))
        extra = _derived_names(self.org, sobject, given) if derives else []
        rest = {name: value for name, value in rest.items() if name not in extra}
        names = [
            *(["Id"] if "Id" not in given else []),
            *given,
            *rest,
            *(known.name for known in number_fields),
            *extra,
        ]
        return names, self._rows(table, sobject, columns, tuple(rest.values()), number_fields, extra, list(rest))

    def _rows(
        self, table: Table, sobject: SObject, columns: list[_Column], rest: tuple[Any, ...], numbered: list[Field],
        extra: list[str], rest_names: list[str],
    ) -> Iterator[tuple[Any, ...]]:  # fmt: skip
        prefix, schema, numbers = sobject.prefix, self.org.schema, self.org.numbers
        given = [column.field.name for column in columns]
        id_place = given.index("Id") if "Id" in given else None
        keyed = [(given.index(key), places, schema_field(sobject, key)) for (name, key), places in self.keys.items()
                 if name == sobject.name and key in given]  # fmt: skip
        must = [
            place for place, column in enumerate(columns) if column.field.required and sobject.name != "Opportunity"
        ]
        number = numbers.get(prefix, 0)
        readers = [column.read for column in columns]
        for line, cells in table.rows:
            number += 1
            try:
                values = [read(cell) for read, cell in zip(readers, cells, strict=True)]
            except (ApiError, ValueError) as error:
                self._bad_cell(table, line, columns, cells, error)
            if id_place is not None and values[id_place]:
                record_id = self._given_id(table, line, sobject, values[id_place])
                number = max(number, id_number(record_id))
            else:
                record_id = make_id(prefix, number)
            if id_place is not None:
                values[id_place] = record_id
            for place in must:
                if values[place] is None:
                    raise LoadError(f"{table.file}:{line}: {given[place]} is empty, but is required")
            for place, column in enumerate(columns):
                if column.target is not None and column.key is not None and values[place] is not None:
                    values[place] = self._parent(table, line, sobject, column, record_id, values[place])
            for place, places, key in keyed:
                if values[place] is not None:
                    shown = values[place] if key.case_sensitive else str(values[place]).casefold()
                    places[shown] = "" if shown in places else record_id
            more = [auto_number(str(known.auto_number), number) for known in numbered]
            if extra:
                row = dict(zip(given, values, strict=True)) | dict(zip(rest_names, rest, strict=True))
                found = self._derived(
                    table, line, sobject, row, frozenset(name for name in given if row[name] is not None)
                )
                for place, name in enumerate(given):
                    if values[place] is None and name in found:
                        values[place] = found[name]
                more += [found.get(name) for name in extra]
            numbers[prefix] = number
            yield (*(() if id_place is not None else (record_id,)), *values, *rest, *more)

    def _derived(
        self, table: Table, line: int, sobject: SObject, row: dict[str, Any], given: frozenset[str]
    ) -> dict[str, Any]:
        if sobject.name != "Opportunity":
            return self.org.deriving.derived(sobject.name, row, given)
        made: dict[str, Any] = {}
        won, closed = row.get("IsWon"), row.get("IsClosed")
        if row.get("StageName") is None:
            row["StageName"] = made["StageName"] = "Closed Won" if won else "Closed Lost" if closed else "Prospecting"
        elif row["StageName"] not in self.org.deriving.stages:
            self.org.deriving.learn(row["StageName"], bool(closed or won), bool(won))
        if row.get("Name") is None:
            made["Name"] = str(row.get("Key__c") or f"Opportunity {line - 1}")
        if row.get("CloseDate") is None:
            raise LoadError(f"{table.file}:{line}: CloseDate is empty, but is required")
        return made | self.org.deriving.derived(sobject.name, row, given)

    def _given_id(self, table: Table, line: int, sobject: SObject, text: str) -> str:
        found = to_18(text)
        if found is None or not found.startswith(sobject.prefix):
            raise LoadError(
                f"{table.file}:{line}: Id {text} is no id of {sobject.name} (prefix {sobject.prefix}, 15 or 18 signs)"
            )
        return found

    def _parent(
        self, table: Table, line: int, sobject: SObject, column: _Column, record_id: str, key: str
    ) -> str | None:
        assert column.target is not None and column.key is not None
        shown = key if column.key.case_sensitive else key.casefold()
        found = self.keys[column.target.name, column.key.name].get(shown)
        if found is None:
            self.waiting.append(
                (
                    sobject,
                    column.field,
                    column.target,
                    column.key,
                    shown,
                    record_id,
                    f"{table.file}:{line}: {column.name} {key!r}",
                )
            )
            return None
        if found == "":
            raise LoadError(
                f"{table.file}:{line}: {column.name} {key!r} stands on several rows of {column.target.name}"
            )
        return found

    def _settle(self) -> None:
        updates: dict[tuple[str, str], list[tuple[str, str]]] = {}
        for sobject, link, target, key, shown, record_id, where in self.waiting:
            found = self.keys[target.name, key.name].get(shown)
            if not found:
                why = "is on no row of" if found is None else "stands on several rows of"
                raise LoadError(f"{where} {why} {target.name}")
            updates.setdefault((sobject.name, link.name), []).append((found, record_id))
        for (name, column), pairs in updates.items():
            self.connection.executemany(f'UPDATE "{name}" SET "{column}" = ? WHERE "Id" = ?', pairs)

    def _check_given_ids(self) -> None:
        for file, sobject, link in self.given_ids:
            targets = [found for name in link.reference_to if (found := self.org.schema.find(name))]
            unknown = " AND ".join(f'"{link.name}" NOT IN (SELECT "Id" FROM "{target.name}")' for target in targets)
            row = self.connection.execute(
                f'SELECT rowid, "{link.name}" FROM "{sobject.name}" WHERE "{link.name}" IS NOT NULL AND {unknown} LIMIT 1'
            ).fetchone()
            if row:
                names = " or ".join(link.reference_to)
                raise LoadError(f"{file}: data row {row[0]}: {link.name} {row[1]} is the Id of no {names} in the data")

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

    def _bad_cell(
        self, table: Table, line: int, columns: list[_Column], cells: Sequence[Any], error: Exception
    ) -> NoReturn:
        if len(cells) != len(columns):
            raise LoadError(f"{table.file}:{line}: {len(cells)} cells, but the header has {len(columns)}") from None
        for column, cell in zip(columns, cells, strict=True):
            try:
                column.read(cell)
            except (ApiError, ValueError) as reason:
                raise LoadError(f"{table.file}:{line}: {column.name} {str(cell)[:80]!r}: {reason}") from None
        raise LoadError(f"{table.file}:{line}: {error}") from None


@dataclass(frozen=True)
class _Column:
    """One column: the field it fills; for a relationship column the parent object and its key field."""

    name: str
    field: Field
    read: Callable[[Any], Any]
    target: SObject | None = None
    key: Field | None = None


def _column(schema: Schema, sobject: SObject, name: str, file: str) -> _Column:
    first, _, key_name = name.partition(".")
    if not key_name:
        found = sobject.field(name)
        if found is None or found.kind == "compound":
            near = _near(name, [known.name for known in sobject.fields])
            raise LoadError(f"{file}:1: {sobject.name} has no field {name}{near}")
        return _Column(name, found, _reader(schema, found))
    link = sobject.by_relationship.get(first.lower()) or sobject.by_relationship.get(f"{first.lower()}__r")
    link = link or next((known for known in [sobject.field(first)] if known and known.reference_to), None)
    if link is None:
        near = _near(first, [str(known.relationship) for known in sobject.fields if known.relationship])
        raise LoadError(f"{file}:1: {sobject.name} has no relationship {first} (column {name}){near}")
    for target_name in link.reference_to:
        target = schema.find(target_name)
        key = target.field(key_name) if target else None
        if target is not None and key is not None and (key.key or target.name in _KEY_SPECIALS):
            return _Column(name, link, lambda cell: str(cell).strip() if cell not in (None, "") else None, target, key)
    raise LoadError(f"{file}:1: {key_name} is no external id field of {' or '.join(link.reference_to)} (column {name})")


def schema_field(sobject: SObject, name: str) -> Field:
    """The field of that name, which exists."""
    found = sobject.field(name)
    if found is None:
        raise KeyError(name)
    return found


def _reader(schema: Schema, known: Field) -> Callable[[Any], Any]:
    """A function from a cell (text, or a Python value of the sample company) to what the store holds."""
    if known.name == "Id":
        return lambda cell: cell or None

    def read(cell: Any) -> Any:
        if cell is None or isinstance(cell, str):
            return from_text(schema, known, cell)
        if isinstance(cell, bool):
            return int(cell) if known.kind == "flag" else from_text(schema, known, str(cell).lower())
        if isinstance(cell, (int, Decimal)) and known.kind in ("whole", "decimal"):
            return scaled(known, Decimal(cell))
        if isinstance(cell, (date, datetime)):
            return from_text(schema, known, cell.isoformat())
        return from_text(schema, known, str(cell))

    return read


def _derived_names(org: Org, sobject: SObject, given: Sequence[str]) -> list[str]:
    """Columns that are worked out per row and that the data does not give."""
    sample: dict[str, Any] = {"StageName": "Closed Won", "CloseDate": "2026-01-01", "Amount": 1, "Probability": 1}
    found = org.deriving.derived(sobject.name, sample, frozenset())
    names = [*found, *(("StageName", "Name") if sobject.name == "Opportunity" else ())]
    return [name for name in dict.fromkeys(names) if name not in given and sobject.field(name)]


def _near(word: str, known: Sequence[str]) -> str:
    close = get_close_matches(word, known, 1)
    return f"; did you mean {close[0]}?" if close else ""


def company_tables(objects: Mapping[str, tuple[Sequence[str], Iterable[Sequence[Any]]]]) -> list[Table]:
    """The tables of a sample company."""
    return [Table(name, name, columns, enumerate(rows, 2)) for name, (columns, rows) in objects.items()]
