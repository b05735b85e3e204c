"""References: CSV files beside the program, looked up from a record by key columns and, where dated, by its day.

A row with key `*` answers where no other does; a lookup whose own column is empty finds no row at all.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date

import pyarrow as pa

from crmsync.levelling import sql
from crmsync.levelling.engine import Engine
from crmsync.levelling.sql import Sql
from crmsync.levelling.values import DAY, NUMBER, WORDS, YES_NO, Value
from crmsync.programs.program import Program, Reference

ANY_KEY = "*"
KINDS = {"text": WORDS, "number": NUMBER, "date": DAY, "yes_no": YES_NO}
ARROW = {"text": pa.string(), "number": pa.float64(), "date": pa.date32(), "yes_no": pa.bool_()}


@dataclass(frozen=True)
class RegisteredReference:
    """A reference that the engine can join: a table of named rows and, where given, one of `*` rows."""

    reference: Reference
    has_any: bool

    def joins(self, keys: Sequence[Sql], day: Sql) -> list[tuple[str, tuple[str, Sql, Sql]]]:
        """Joins by alias, for the record's key values and day."""
        name = self.reference.name
        named = [sql.eq(sql.col(f"key_{i}", f"r_{name}"), key) for i, key in enumerate(keys)]
        joins = [(f"r_{name}", self._join(f"r_{name}", named, day))]
        if self.has_any:
            joins.append((f"any_{name}", self._join(f"any_{name}", [sql.not_null(key) for key in keys], day)))
        return joins

    def _join(self, alias: str, matches: list[Sql], day: Sql) -> tuple[str, Sql, Sql]:
        if self.reference.effective_from:
            matches = [
                *matches,
                sql.le(sql.col("valid_from", alias), day),
                sql.lt(day, sql.col("valid_until", alias)),
            ]
        return ("left", sql.table(alias, alias), sql.and_(*matches))

    def value(self, column: str, found: tuple[Sql, ...]) -> Value:
        """The column of the row that answers; unknown where none does."""
        name = self.reference.name
        named = sql.not_null(sql.col("found", f"r_{name}"))
        branches = [(named, sql.col(f"v_{column}", f"r_{name}"))]
        exists = named
        if self.has_any:
            branches.append((sql.not_null(sql.col("found", f"any_{name}")), sql.col(f"v_{column}", f"any_{name}")))
            exists = sql.or_(named, sql.not_null(sql.col("found", f"any_{name}")))
        return Value(sql.case(branches), KINDS[self.reference.columns[column]], (*found, exists))


def register_references(program: Program, engine: Engine) -> Mapping[str, RegisteredReference]:
    """Register every reference of the program with the engine."""
    registered = {}
    for name, reference in program.references.items():
        keys = [column for column, _ in reference.key]
        named = [row for row in reference.rows if not _is_any(row, keys)]
        star = [row for row in reference.rows if _is_any(row, keys)]
        engine.register(f"r_{name}", _table(reference, keys, named))
        if star:
            engine.register(f"any_{name}", _table(reference, keys, star))
        registered[name] = RegisteredReference(reference, bool(star))
    return registered


def _is_any(row: Mapping[str, str], keys: Sequence[str]) -> bool:
    return all(row[key] == ANY_KEY for key in keys)


def _table(reference: Reference, keys: Sequence[str], rows: Sequence[Mapping[str, str]]) -> pa.Table:
    columns: dict[str, pa.Array] = {"found": pa.array([True] * len(rows), pa.bool_())}
    for i, key in enumerate(keys):
        columns[f"key_{i}"] = pa.array([row[key] for row in rows], pa.string())
    for column, kind in reference.columns.items():
        values = [_typed(row.get(column, ""), kind) for row in rows]
        columns[f"v_{column}"] = pa.array(values, ARROW[kind])
    if reference.effective_from:
        starts, ends = _validity(keys, rows)
        columns["valid_from"], columns["valid_until"] = pa.array(starts, pa.date32()), pa.array(ends, pa.date32())
    return pa.table(columns)


def _validity(keys: Sequence[str], rows: Sequence[Mapping[str, str]]) -> tuple[list[date], list[date]]:
    """From each row's day until the next row of the same key (or for ever)."""
    starts = [_first_day(row.get("effective_from", "")) for row in rows]
    by_key: dict[tuple[str, ...], list[date]] = {}
    for row, start in zip(rows, starts, strict=True):
        by_key.setdefault(tuple(row[key] for key in keys), []).append(start)
    for days in by_key.values():
        days.sort()
    ends = []
    for row, start in zip(rows, starts, strict=True):
        days = by_key[tuple(row[key] for key in keys)]
        at = days.index(start) + 1
        ends.append(days[at] if at < len(days) else date.max)
    return starts, ends


def _first_day(text: str) -> date:
    return date.fromisoformat(text) if text else date.min


def _typed(text: str, kind: str) -> object:
    if text == "":
        return None
    if kind == "number":
        return float(text)
    if kind == "date":
        return date.fromisoformat(text)
    if kind == "yes_no":
        return text.lower() in ("true", "yes")
    return text
