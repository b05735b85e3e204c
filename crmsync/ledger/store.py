"""Where a ledger is kept: what both databases have in common, and how a transaction and a migration run on them.

`sqlite_store.py` is the file in the state folder (the default), `postgresql_store.py` a database of its own.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Protocol

from sqlalchemy import Connection, Engine

from crmsync.errors import StoreError
from crmsync.ledger.tables import HEAD, KNOWN

WRITES = "crmsync_writes"
COPIES = "backups"
"""Folder of the state folder in which copies of the ledger stand."""


class Store(Protocol):
    """One place of a ledger. `place`: how messages name it, without any password."""

    place: str
    engine: Engine

    def exists(self) -> bool:
        """Whether a ledger was made here."""
        ...

    def told_faults(self) -> AbstractContextManager[None]:
        """Turn faults of the database into StoreError with the place and a way out."""
        ...

    def version(self) -> str | None:
        """The migration it stands at, None when it is empty. Errors: StoreError when damaged, foreign or newer."""
        ...

    def options(self, *, writes: bool) -> dict[str, object]:
        """How a connection is set up for one transaction."""
        ...

    def try_lock(self) -> bool:
        """Take the lock that the system frees when this process dies; False when another process has it."""
        ...

    def unlock(self) -> None:
        """Give the lock free; twice is harmless."""
        ...

    def is_locked(self) -> bool:
        """Whether some process holds the lock now."""
        ...

    def break_lock(self) -> bool:
        """Take the lock away from the process that has it; False where only that process's end does so."""
        ...

    def backup(self, folder: Path, name: str) -> Path | None:
        """A whole copy in `folder`; None where the database's own means are used for that."""
        ...

    def close(self) -> None:
        """Close every connection and give the lock free."""
        ...


@contextmanager
def transaction(store: Store, *, writes: bool) -> Iterator[Connection]:
    """One transaction: committed at the end, rolled back on any error. Errors: StoreError for faults of the store."""
    with store.told_faults(), store.engine.connect() as connection:
        connection.execution_options(**store.options(writes=writes))
        with connection.begin():
            yield connection


def known_version(place: str, tables: set[str], version: str | None) -> str | None:
    """The version when this code can use it. Errors: StoreError for another program's tables or a newer ledger."""
    if not tables:
        return None
    if "alembic_version" not in tables or (version not in KNOWN and not {"meta", "run", "intent"} <= tables):
        raise StoreError(f"{place}: this is not a ledger of crmsync; move it away, or name another place")
    if version is not None and version not in KNOWN:
        raise StoreError(
            f"{place}: the ledger has schema {version}, newer than this crmsync knows (newest {HEAD}); "
            "install the newer crmsync again, or restore the copy made before its upgrade"
        )
    return version


def migrate(store: Store, version: str = "head") -> None:
    """Bring the store to a schema, this code's own unless another is named, in one transaction."""
    # Alembic takes as long to import as the rest of a start, and an up-to-date ledger does not need it.
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations").replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    with transaction(store, writes=True) as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, version)
