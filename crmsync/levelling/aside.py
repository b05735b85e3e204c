"""Aside: an engine inside another, whose tables do not meet those of the other.

What is computed for a day ahead takes the same names as what is computed for today; here they get a prefix. It may see
a part of the partners only, with their records.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from crmsync.levelling import sql
from crmsync.levelling.engine import Engine, Turn
from crmsync.levelling.sql import Sql

PREFIX = "aside_"
WHOLE, WITHIN = "whole_", "within"


class Aside:
    """The calls of `Engine`, every table under a name of its own.

    `within`: the only partners there are (partner_id); None: all. Files keep what they hold as long as it lives.
    """

    def __init__(self, engine: Engine, within: pa.Table | None = None) -> None:
        self._engine = engine
        self._files: set[str] = set()
        self._tables: dict[str, None] = {}
        self._within = within
        if within is not None:
            self.register(WITHIN, within)

    def register(self, name: str, source: pa.Table | Path) -> None:
        if isinstance(source, pa.Table):
            self._tables[name] = None
            self._engine.register(f"{PREFIX}{name}", source)
        elif name not in self._files:
            self._files.add(name)
            self._read(name, source)

    def _read(self, name: str, file: Path) -> None:
        if self._within is None or "partner_id" not in pq.read_schema(file).names:
            self._engine.register(f"{PREFIX}{name}", file)
            return
        self._engine.register(f"{PREFIX}{WHOLE}{name}", file)
        match = sql.eq(sql.col("partner_id", "w"), sql.col("partner_id", "f"))
        rows = sql.select([sql.star("f")], sql.table(f"{WHOLE}{name}", "f"), [("inner", sql.table(WITHIN, "w"), match)])
        self.run(name, rows)

    def run(self, name: str, query: Sql) -> str:
        self._tables[name] = None
        self._engine.run(f"{PREFIX}{name}", sql.with_prefix(query, PREFIX))
        return name

    def spread(self, name: str, query: Sql, by: str) -> str:
        self._tables[name] = None
        self._engine.spread(f"{PREFIX}{name}", sql.with_prefix(query, PREFIX), by)
        return name

    def define(self, name: str, query: Sql) -> str:
        self._engine.define(f"{PREFIX}{name}", sql.with_prefix(query, PREFIX))
        return name

    def read(self, query: Sql) -> pa.Table:
        return self._engine.read(sql.with_prefix(query, PREFIX))

    def in_turn(self, name: str, turn: Turn, *, at_once: bool = False, keep: bool = False) -> Iterator[list[pa.Table]]:
        def aside(named: Iterable[tuple[str, Sql]]) -> Iterator[tuple[str, Sql]]:
            return ((f"{PREFIX}{one}", sql.with_prefix(query, PREFIX)) for one, query in named)

        reads = [sql.with_prefix(query, PREFIX) for query in turn.reads]
        prefixed = Turn(aside(turn.tables), list(aside(turn.views)), reads)
        yield from self._engine.in_turn(f"{PREFIX}{name}", prefixed, at_once=at_once, keep=keep)

    def drop(self, names: Iterable[str]) -> None:
        names = list(names)
        for name in names:
            self._tables.pop(name, None)
        self._engine.drop([f"{PREFIX}{name}" for name in names])

    def close(self) -> None:
        """Free the tables that were made here."""
        self.drop(list(self._tables))
