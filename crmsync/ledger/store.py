"""The SQLite file of the ledger: how it is opened, checked, migrated, and how its faults are told.

Every write is a `BEGIN IMMEDIATE` transaction on a WAL file with synchronous=FULL: what was committed outlives a
power cut, and a second writer waits instead of failing half-way.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.pool import ConnectionPoolEntry

from crmsync.errors import StoreError
from crmsync.ledger.tables import HEAD, KNOWN

FILE_NAME = "ledger.sqlite"
OLDEST_SQLITE = (3, 37, 0)  # STRICT tables
BUSY_MS = 30_000
QUICK_CHECK_BELOW = 16 * 1024 * 1024  # bytes, about 20 ms; a larger ledger shows its damage when it is read

WRITES = "crmsync_writes"


def open_store(path: Path) -> Engine:
    """An engine on the ledger file, which need not exist yet. Errors: StoreError when SQLite is too old."""
    if sqlite3.sqlite_version_info < OLDEST_SQLITE:
        found = sqlite3.sqlite_version
        raise StoreError(f"SQLite {found} is too old for the ledger: 3.37 or newer is needed (it comes with Python)")
    engine = create_engine(f"sqlite:///{path}", connect_args={"check_same_thread": False, "isolation_level": None})
    event.listen(engine, "connect", _set_up)
    event.listen(engine, "begin", _begin)
    return engine


def _set_up(connection: sqlite3.Connection, _entry: ConnectionPoolEntry) -> None:
    for pragma in (f"busy_timeout={BUSY_MS}", "journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"):
        connection.execute(f"PRAGMA {pragma}")


def _begin(connection: Connection) -> None:
    # SQLAlchemy's own BEGIN is deferred: two writers would then meet in the middle, and one would have to give up.
    writes = connection.get_execution_options().get(WRITES, False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


@contextmanager
def transaction(engine: Engine, path: Path, *, writes: bool) -> Iterator[Connection]:
    """One transaction: committed at the end, rolled back on any error. Errors: StoreError for faults of the file."""
    with told_faults(path), engine.connect().execution_options(**{WRITES: writes}) as connection, connection.begin():
        yield connection


@contextmanager
def told_faults(path: Path) -> Iterator[None]:
    """Turn faults of the file into StoreError with the path and a way out."""
    try:
        yield
    except IntegrityError:
        raise  # a mistake of ours, not of the disk
    except DBAPIError as error:
        raise StoreError(_fault(path, error.orig)) from error
    except sqlite3.DatabaseError as error:
        raise StoreError(_fault(path, error)) from error
    except OSError as error:
        raise StoreError(f"{path}: {error.strerror or error}; free the path or set CRMSYNC_STATE_DIR") from error


WAYS_OUT = {
    sqlite3.SQLITE_FULL: "the disk is full: nothing after this point was sent; make room and run again",
    sqlite3.SQLITE_NOTADB: "it is not a ledger: move the file away (a new one is made) or restore a copy of it",
    sqlite3.SQLITE_CORRUPT: "the file is damaged: restore a copy of it, or move it away and run `crmsync plan` first",
    sqlite3.SQLITE_BUSY: "another process has held it for 30 s: wait for that process to end",
    sqlite3.SQLITE_READONLY: "it is read-only: give this user the right to write it",
    sqlite3.SQLITE_CANTOPEN: "it cannot be opened: check that the folder exists and may be written",
    sqlite3.SQLITE_IOERR: "the disk fails or the file lies on a network file system: put it on a local disk",
}


def _fault(path: Path, error: BaseException | None) -> str:
    code = getattr(error, "sqlite_errorcode", None)
    way_out = WAYS_OUT.get(code & 0xFF) if isinstance(code, int) else None
    return f"{path}: the ledger cannot be used ({error}); {way_out or 'check the file and the disk'}"


def schema_version(engine: Engine, path: Path) -> str | None:
    """The migration the file stands at, None for an empty file. Errors: StoreError when damaged or newer."""
    with transaction(engine, path, writes=False) as connection:
        if path.stat().st_size <= QUICK_CHECK_BELOW:
            _check_pages(connection, path)
        tables = set(connection.exec_driver_sql("SELECT name FROM sqlite_master WHERE type = 'table'").scalars())
        if not tables:
            return None
        if "alembic_version" not in tables:
            raise StoreError(f"{path}: this SQLite file is not a ledger of crmsync; move it away")
        version = connection.exec_driver_sql("SELECT version_num FROM alembic_version").scalar()
    if version is not None and version not in KNOWN:
        raise StoreError(
            f"{path}: the ledger has schema {version}, newer than this crmsync knows (newest {HEAD}); "
            "install the newer crmsync again, or restore the copy made before its upgrade"
        )
    return version


def _check_pages(connection: Connection, path: Path) -> None:
    verdict = connection.exec_driver_sql("PRAGMA quick_check(1)").scalar()
    if verdict != "ok":
        raise StoreError(f"{path}: the ledger is damaged ({verdict}); {WAYS_OUT[sqlite3.SQLITE_CORRUPT]}")


def migrate(engine: Engine, path: Path) -> None:
    """Bring the file to this code's schema in one transaction."""
    # Alembic takes as long to import as the rest of a start, and an up-to-date ledger does not need it.
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations").replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    with transaction(engine, path, writes=True) as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
