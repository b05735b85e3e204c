"""The SQLite store of the org: one table per object, typed columns, one writer, readers that do not wait for it."""

from __future__ import annotations

import json
import sqlite3
import tempfile
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from crmsync.sandbox.schema import Field, Schema, SObject
from crmsync.sandbox.soql.conditions import fold
from crmsync.sandbox.values import formatted

_AFFINITY = {"flag": "INTEGER", "whole": "INTEGER", "decimal": "INTEGER"}


class StateError(Exception):
    """The state file cannot be used; the message says why."""


class Store:
    """Connections to one database file. Without a path it lives in the temporary `scratch` folder, gone at `close`."""

    def __init__(self, path: Path | None) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="org-", ignore_cleanup_errors=True)
        self.scratch = Path(self._folder.name)
        self.path = path or self.scratch / "org.sqlite"
        self._synchronous = "NORMAL" if path else "OFF"
        if path is not None:
            _make_folder(path.parent)
        self._lock = threading.RLock()
        self._joined = 0
        self._readers = threading.local()
        self._open: list[sqlite3.Connection] = []
        self._writer = self._connect(writes=True)

    def _connect(self, writes: bool) -> sqlite3.Connection:
        try:
            connection = sqlite3.connect(self.path, timeout=30, isolation_level=None, check_same_thread=False,
                                         cached_statements=256)  # fmt: skip
            connection.create_function("soql_fold", 1, _fold, deterministic=True)
            connection.create_function("soql_format", 4, formatted, deterministic=True)
            connection.execute("PRAGMA journal_mode = WAL" if writes else "PRAGMA query_only = ON")
            connection.execute(f"PRAGMA synchronous = {self._synchronous}")
            connection.execute("PRAGMA temp_store = MEMORY")
            if writes:
                connection.execute("CREATE TABLE IF NOT EXISTS _org (name TEXT PRIMARY KEY, value TEXT)")
        except sqlite3.Error as error:
            raise StateError(f"{self.path}: cannot be used as the org's state: {error}") from None
        self._open.append(connection)
        return connection

    def reader(self) -> sqlite3.Connection:
        """This thread's own connection, which never writes; within `joined` the writing one, to see its writes."""
        if self._joined == threading.get_ident():
            return self._writer
        found: sqlite3.Connection | None = getattr(self._readers, "connection", None)
        if found is None:
            found = self._readers.connection = self._connect(writes=False)
        return found

    def own_reader(self) -> sqlite3.Connection:
        """A new connection for a long read; the caller closes it."""
        connection = self._connect(writes=False)
        self._open.remove(connection)
        return connection

    @contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """The writing connection within one transaction: all of it or nothing."""
        with self._lock:
            inner = self._joined == threading.get_ident()
            self._writer.execute("SAVEPOINT part" if inner else "BEGIN IMMEDIATE")
            try:
                yield self._writer
            except BaseException:
                self._writer.execute("ROLLBACK TO part" if inner else "ROLLBACK")
                raise
            self._writer.execute("RELEASE part" if inner else "COMMIT")

    @contextmanager
    def joined(self) -> Iterator[None]:
        """Several `writing` blocks of this thread as one transaction."""
        with self.writing():
            self._joined = threading.get_ident()
            try:
                yield
            finally:
                self._joined = 0

    def close(self) -> None:
        """Close all connections; a temporary store is removed."""
        for connection in self._open:
            connection.close()
        self._folder.cleanup()

    def fact(self, name: str) -> Any:
        """A stored fact about the org itself (schema, seed, counters), or None."""
        row = self.reader().execute("SELECT value FROM _org WHERE name = ?", [name]).fetchone()
        return json.loads(row[0]) if row else None

    def fact_names(self, start: str) -> list[str]:
        """Names of the facts that begin with `start`, in order."""
        found = self.reader().execute("SELECT name FROM _org WHERE substr(name, 1, ?) = ?", [len(start), start])
        return sorted(row[0] for row in found)

    def drop_facts(self, names: Iterable[str], connection: sqlite3.Connection) -> None:
        """Forget these facts, within a transaction of the caller."""
        connection.executemany("DELETE FROM _org WHERE name = ?", [(name,) for name in names])

    def keep_facts(self, facts: dict[str, Any], connection: sqlite3.Connection | None = None) -> None:
        """Store facts about the org, within a transaction of the caller or one of its own."""
        rows = [(name, json.dumps(value)) for name, value in facts.items()]
        statement = "INSERT INTO _org VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value"
        if connection is not None:
            connection.executemany(statement, rows)
            return
        with self.writing() as own:
            own.executemany(statement, rows)

    def create_tables(self, schema: Schema) -> None:
        """One table per object; existing ones get the columns they lack."""
        with self.writing() as connection:
            for sobject in schema:
                _create_table(connection, sobject)

    def create_indexes(self, schema: Schema) -> None:
        """Indexes of the keys that rows are found by; made after loading, because that is faster."""
        with self.writing() as connection:
            for sobject in schema:
                _create_indexes(connection, sobject)
            _index_rules(connection, schema)
            connection.execute("PRAGMA optimize")

    def reshape(self, before: Schema, after: Schema, connection: sqlite3.Connection) -> None:
        """Tables and columns of a changed schema, within the caller's transaction; what it has no more is dropped."""
        for old in before:
            new = after.find(old.name)
            if new is None:
                connection.execute(f'DROP TABLE "{old.name}"')
            elif new != old:
                _reshape_table(connection, old, new)
        for sobject in after:
            _create_table(connection, sobject)
            _create_indexes(connection, sobject)
        _index_rules(connection, after)


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StateError(f"{folder}: cannot be made: {error.strerror}") from None


def _create_table(connection: sqlite3.Connection, sobject: SObject) -> None:
    columns = [_column(field) for field in sobject.stored()]
    connection.execute(
        f'CREATE TABLE IF NOT EXISTS "{sobject.name}" ({", ".join(columns)}, "_version" INTEGER NOT NULL DEFAULT 1)'
    )
    present = {row[1].lower() for row in connection.execute(f'PRAGMA table_info("{sobject.name}")')}
    for field in sobject.stored():
        if field.name.lower() not in present:
            connection.execute(f'ALTER TABLE "{sobject.name}" ADD COLUMN {_column(field)}')


def _create_indexes(connection: sqlite3.Connection, sobject: SObject) -> None:
    for field in sobject.stored():
        if field.external_id or field.unique:
            connection.execute(
                f'CREATE INDEX IF NOT EXISTS "{sobject.name}.{field.name}" '
                f'ON "{sobject.name}" ("{field.name}"{collation(field)})'
            )


def _index_rules(connection: sqlite3.Connection, schema: Schema) -> None:
    """Indexes of what duplicates are found by, and of what roll-up summaries add up."""
    for sobject in schema:
        firsts = {rule.match[0] for rule in sobject.duplicate_rules} | {
            link.name for link, _ in schema.summed_by(sobject)
        }
        for name in sorted(firsts):
            fold = collation(sobject.by_name[name.lower()])
            connection.execute(
                f'CREATE INDEX IF NOT EXISTS "{sobject.name}.{name}.rule" ON "{sobject.name}" ("{name}"{fold})'
            )


def _reshape_table(connection: sqlite3.Connection, old: SObject, new: SObject) -> None:
    for field in old.stored():
        kept = new.field(field.name)
        if kept is None or collation(kept) != collation(field):
            connection.execute(f'DROP INDEX IF EXISTS "{old.name}.{field.name}"')
        if kept is None or kept.calculated:
            connection.execute(f'DROP INDEX IF EXISTS "{old.name}.{field.name}.rule"')
            connection.execute(f'ALTER TABLE "{old.name}" DROP COLUMN "{field.name}"')
        elif field.kind == "decimal" and kept.scale != field.scale:
            # The store holds whole numbers scaled by 10^scale.
            factor = f"* {10 ** (kept.scale - field.scale)}" if kept.scale > field.scale else ""
            rounded = f'round("{field.name}" / {10 ** (field.scale - kept.scale)}.0)' if not factor else ""
            value = rounded or f'"{field.name}" {factor}'
            connection.execute(f'UPDATE "{old.name}" SET "{field.name}" = CAST({value} AS INTEGER)')


def _column(field: Field) -> str:
    if field.name == "Id":
        return '"Id" TEXT NOT NULL PRIMARY KEY'
    default = " NOT NULL DEFAULT 0" if field.kind == "flag" else ""
    return f'"{field.name}" {_AFFINITY.get(field.kind, "TEXT")}{default}'


def collation(field: Field) -> str:
    """How a key field is compared: without case unless it is case-sensitive."""
    return "" if field.case_sensitive or field.kind not in ("text", "list") else " COLLATE NOCASE"


def _fold(text: object) -> str | None:
    return None if text is None else fold(str(text))


def insert_rows(
    connection: sqlite3.Connection, sobject: SObject, columns: Iterable[str], rows: Iterable[tuple[Any, ...]]
) -> None:
    """Insert stored values as they are."""
    names = list(columns)
    listed = ", ".join(f'"{name}"' for name in names)
    marks = ", ".join("?" * len(names))
    connection.executemany(f'INSERT INTO "{sobject.name}" ({listed}) VALUES ({marks})', rows)
