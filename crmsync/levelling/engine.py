"""The engine that runs the generated SQL: register, run, read, close.

DuckDB is the embedded default. Another engine needs the calls of `Engine` and a SQLGlot dialect.
"""

from __future__ import annotations

import functools
import os
import tempfile
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import duckdb
import pyarrow as pa

from crmsync.errors import DataError, StoreError
from crmsync.levelling import sql
from crmsync.levelling.sql import Sql
from crmsync.levelling.sql_duckdb import duckdb_text


@dataclass(frozen=True)
class Turn:
    """What is computed of some rows of a table: tables made one after the other, names for queries, and what is read.

    Tables and names are there until it has been read.
    """

    tables: Iterable[tuple[str, Sql]]
    views: Sequence[tuple[str, Sql]]
    reads: Sequence[Sql]


class Engine(Protocol):
    """Runs SQL trees over registered tables. Names are unique within one engine."""

    def register(self, name: str, source: pa.Table | Path) -> None:
        """Make an Arrow table or a Parquet file readable as `name`."""
        ...

    def run(self, name: str, query: Sql) -> str:
        """Compute `query` into the table `name`, now or by the next read; returns the name."""
        ...

    def spread(self, name: str, query: Sql, by: str) -> str:
        """Compute `query` into the table `name`, whose rows will be taken in turn in the order of a column that is
        never null and never twice the same; returns the name."""
        ...

    def define(self, name: str, query: Sql) -> str:
        """Make `query` readable as `name`, computed where it is read; returns the name."""
        ...

    def read(self, query: Sql) -> pa.Table:
        """The rows of `query`. Errors: DataError, StoreError, those of what was run before too."""
        ...

    def in_turn(self, name: str, turn: Turn, *, at_once: bool = False, keep: bool = False) -> Iterator[list[pa.Table]]:
        """What the turn reads of the table `name`, which was spread, some of its rows after the others in their order.

        Meanwhile `name` holds only the rows whose turn it is; afterwards nothing or, with `keep`, all of them.
        `at_once`: all rows in one turn. Errors: as `read`.
        """
        ...

    def drop(self, names: Iterable[str]) -> None:
        """Free tables that nothing reads any more."""
        ...

    def close(self) -> None:
        """Free everything."""
        ...


SMALL_BASE = 300_000
"""Rows below which a second thread costs more memory than it saves time."""


PIECE = 12_288
"""Rows of one piece of an Arrow table, as each thread takes them."""

TURN = 200_000
"""Rows of a spread table that are computed in one turn: what bounds the memory."""


class DuckDbEngine:
    """DuckDB in this process. Memory and threads are bounded; intermediate results may spill to the temp folder."""

    dialect = "duckdb"

    def __init__(self, memory_limit: str = "2GB", rows: int | None = None) -> None:
        """`rows`: how many rows the tables hold; a small base is computed by one thread, which needs less memory."""
        threads = 1 if rows is not None and rows < SMALL_BASE else min(4, os.cpu_count() or 1)
        self._threads = threads
        settings: dict[str, str | bool | int | float | list[str]] = {
            "memory_limit": memory_limit,
            # else what does not fit is put into the folder that the command was called in
            "temp_directory": str(Path(tempfile.gettempdir()) / f"crmsync-spill-{os.getpid()}"),
            "threads": str(threads),
            # what was freed goes back to the system while the next statement is computed
            "allocator_background_threads": "true",
            "autoinstall_known_extensions": "false",
            "autoload_known_extensions": "false",
        }
        self._connection = duckdb.connect(":memory:", config=settings)
        self._registered: dict[str, pa.Table] = {}
        self._spread: dict[str, str] = {}  # the column by which a table is taken in turn
        # one worker takes the statements in order, so that the text of the next is written while the last is computed
        self._worker = ThreadPoolExecutor(max_workers=1, thread_name_prefix="engine")
        self._under_way: list[Future[None]] = []

    def register(self, name: str, source: pa.Table | Path) -> None:
        if isinstance(source, pa.Table):
            self._submit(lambda: self._registered_in_pieces(name, source))
        else:
            self._submit(lambda: self._view(name, source))

    def run(self, name: str, query: Sql) -> str:
        self._statement(f'CREATE OR REPLACE TEMP TABLE "{name}" AS {duckdb_text(query)}')
        return name

    def spread(self, name: str, query: Sql, by: str) -> str:
        if self._threads == 1:
            return self.run(name, sql.in_order_of(query, by))
        self._spread[name] = by
        self.run(_whole(name), query)
        self._submit(lambda: self._show_whole(name))
        return name

    def _show_whole(self, name: str) -> None:
        if self._registered.pop(name, None) is not None:
            self._connection.unregister(name)
        shown = duckdb_text(sql.select([sql.star()], sql.table(_whole(name))))
        self._execute(f'CREATE OR REPLACE TEMP VIEW "{name}" AS {shown}')

    def _registered_in_pieces(self, name: str, whole: pa.Table) -> None:
        # DuckDB reads it in place: it must outlive the query
        self._registered[name] = pa.Table.from_batches(whole.to_batches(max_chunksize=PIECE), whole.schema)
        self._connection.register(name, self._registered[name])

    def define(self, name: str, query: Sql) -> str:
        self._statement(f'CREATE OR REPLACE TEMP VIEW "{name}" AS {duckdb_text(query)}')
        return name

    def read(self, query: Sql) -> pa.Table:
        text = duckdb_text(query)
        self._settle()
        return self._fetched(text)

    def in_turn(self, name: str, turn: Turn, *, at_once: bool = False, keep: bool = False) -> Iterator[list[pa.Table]]:
        waiting: deque[str] = deque()
        self._submit(lambda: waiting.extend(self._parts_of(name, at_once)))
        self._submit(lambda: self._begin_turn(name, waiting))
        made: list[str] = []
        texts: list[str] = []
        for kind, one, query in _statements(turn):  # written once, the first turn computed meanwhile
            made += [one] if kind == "TABLE" else []
            texts.append(f'CREATE OR REPLACE TEMP {kind} "{one}" AS {duckdb_text(query)}')
            self._statement(texts[-1])
        reads = [duckdb_text(query) for query in turn.reads]
        while True:
            found: list[pa.Table] = []
            self._submit(functools.partial(self._read_into, found, reads))
            self.drop(made)
            for one, _ in turn.views:
                self._statement(f'DROP VIEW IF EXISTS "{one}"')
            self._settle()
            if not waiting:
                break
            self._submit(lambda: self._begin_turn(name, waiting))
            for text in texts:
                self._statement(text)
            yield found
        if not keep:
            self.drop([name])
        elif name in self._spread:
            self._submit(lambda: self._show_whole(name))
        yield found

    def _parts_of(self, name: str, at_once: bool) -> Iterator[str]:
        """Queries of the parts of a spread table, in its order; none where one thread takes it as it is."""
        if name not in self._spread:
            return
        by, whole = self._spread[name], sql.table(_whole(name))
        ids = self._fetched(duckdb_text(sql.select([sql.col(by)], whole, order=[sql.col(by)]))).column(by)
        begins = [sql.text(ids[place].as_py()) for place in range(TURN, 0 if at_once else len(ids), TURN)]
        for begin, end in zip([None, *begins], [*begins, None], strict=True):
            bounds = [sql.ge(sql.col(by), begin)] if begin is not None else []
            bounds += [sql.lt(sql.col(by), end)] if end is not None else []
            yield duckdb_text(sql.select([sql.star()], whole, where=sql.and_(*bounds), order=[sql.col(by)]))
        self._execute(f'DROP VIEW "{name}"')

    def _begin_turn(self, name: str, waiting: deque[str]) -> None:
        # DuckDB gives a table of its own to one thread per 122,880 rows, but a piece of Arrow to each thread
        if waiting:
            self._registered_in_pieces(name, self._fetched(waiting.popleft()))

    def _read_into(self, found: list[pa.Table], reads: Sequence[str]) -> None:
        found.extend(self._fetched(text) for text in reads)

    def _fetched(self, text: str) -> pa.Table:
        try:
            return self._connection.sql(text).to_arrow_table()
        except duckdb.Error as error:
            raise _told(error) from error

    def drop(self, names: Iterable[str]) -> None:
        for name in names:
            spread = self._spread.pop(name, None) is not None
            self._submit(functools.partial(self._drop, name, spread))

    def _drop(self, name: str, spread: bool) -> None:
        registered = self._registered.pop(name, None) is not None
        if registered:
            self._connection.unregister(name)
        if spread:
            self._execute(f'DROP VIEW IF EXISTS "{name}"')
            self._execute(f'DROP TABLE IF EXISTS "{_whole(name)}"')
        elif not registered:
            self._execute(f'DROP TABLE IF EXISTS "{name}"')

    def close(self) -> None:
        """Free everything; what is still under way is broken off."""
        if any(not one.done() for one in self._under_way):
            self._connection.interrupt()
        self._worker.shutdown(wait=True, cancel_futures=True)
        self._connection.close()
        self._registered.clear()

    def _view(self, name: str, source: Path) -> None:
        try:
            self._connection.read_parquet(str(source)).create_view(name)
        except duckdb.Error as error:
            raise DataError(f"{source}: cannot be read: {str(error).splitlines()[0]}") from error

    def _statement(self, text: str) -> None:
        self._submit(lambda: self._execute(text))

    def _execute(self, text: str) -> None:
        try:
            self._connection.execute(text)
        except duckdb.Error as error:
            raise _told(error) from error

    def _submit(self, task: Callable[[], object]) -> None:
        if any(one.done() and one.exception() is not None for one in self._under_way):
            self._settle()
        self._under_way.append(self._worker.submit(lambda: (task(), None)[1]))

    def _settle(self) -> None:
        """Wait for everything under way; the first error is the one that is told. Errors: DataError, StoreError."""
        under_way, self._under_way = self._under_way, []
        failed = [error for error in (one.exception() for one in under_way) if error is not None]
        if failed:
            raise failed[0]


def _whole(name: str) -> str:
    return f"{name} whole"


def _statements(turn: Turn) -> Iterator[tuple[str, str, Sql]]:
    yield from (("TABLE", name, query) for name, query in turn.tables)
    yield from (("VIEW", name, query) for name, query in turn.views)


def _told(error: duckdb.Error) -> DataError | StoreError:
    first = str(error).splitlines()[0]
    if isinstance(error, duckdb.IOException | duckdb.OutOfMemoryException):
        return StoreError(f"the engine ran out of memory or disk, or could not read a table: {first}")
    return DataError(f"the engine could not compute the program on these tables: {first}")
