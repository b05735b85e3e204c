"""Aside: an engine inside another, whose tables do not meet those of the other.

What is computed for a day ahead takes the same names as what is computed for today; here they get a prefix.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pyarrow as pa

from crmsync.levelling import sql
from crmsync.levelling.engine import Engine
from crmsync.levelling.sql import Sql

PREFIX = "aside_"


class Aside:
    """The calls of `Engine`, every table under a name of its own. It lives as long as the engine inside which it is."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def register(self, name: str, source: pa.Table | Path) -> None:
        self._engine.register(f"{PREFIX}{name}", source)

    def run(self, name: str, query: Sql) -> str:
        self._engine.run(f"{PREFIX}{name}", sql.with_prefix(query, PREFIX))
        return name

    def spread(self, name: str, query: Sql) -> str:
        self._engine.spread(f"{PREFIX}{name}", sql.with_prefix(query, PREFIX))
        return name

    def define(self, name: str, query: Sql) -> str:
        self._engine.define(f"{PREFIX}{name}", sql.with_prefix(query, PREFIX))
        return name

    def read(self, query: Sql) -> pa.Table:
        return self._engine.read(sql.with_prefix(query, PREFIX))

    def drop(self, names: Iterable[str]) -> None:
        self._engine.drop([f"{PREFIX}{name}" for name in names])

    def close(self) -> None:
        """Nothing of its own is left to free: tables are freed as they are dropped, or with the engine."""
