"""The ledger as an SQLite file in the state folder: one writer, one host, no network disk.

Every write is a `BEGIN IMMEDIATE` transaction on a WAL file with synchronous=FULL: what was committed outlives a
power cut, and a second writer waits instead of failing half-way. The lock is a file beside it, which the kernel frees
when its process dies.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout
from sqlalchemy import Connection, create_engine, event
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.pool import ConnectionPoolEntry

from crmsync.errors import StoreError
from crmsync.ledger.file_systems import network_file_system
from crmsync.ledger.store import WRITES, known_version, transaction

FILE_NAME = "ledger.sqlite"
LOCK_NAME = "ledger.lock"
OLDEST_SQLITE = (3, 37, 0)  # STRICT tables
BUSY_MS = 30_000
LOOKED_AT_S = 0.1
"""Who asks whether the lock is held takes it for a moment: a start looks again so long before it believes in a run."""
QUICK_CHECK_BELOW = 16 * 1024 * 1024  # bytes, about 20 ms; a larger ledger shows its damage when it is read


class SqliteStore:
    """The file `ledger.sqlite` of a state folder, which need not exist yet.

    Errors: StoreError when SQLite is too old or the folder lies on a network file system.
    """

    def __init__(self, state_dir: Path) -> None:
        if sqlite3.sqlite_version_info < OLDEST_SQLITE:
            found = sqlite3.sqlite_version
            raise StoreError(
                f"SQLite {found} is too old for the ledger: 3.37 or newer is needed (it comes with Python)"
            )
        self.path = state_dir / FILE_NAME
        self.place = str(self.path)
        with self.told_faults():
            state_dir.mkdir(parents=True, exist_ok=True)
        if kind := network_file_system(state_dir):
            raise StoreError(
                f"{self.place}: the folder lies on a network file system ({kind}), where SQLite loses data; put the "
                "state folder on a local disk (CRMSYNC_STATE_DIR), or keep the ledger in PostgreSQL "
                "(CRMSYNC_LEDGER_URL)"
            )
        self._lock = FileLock(state_dir / LOCK_NAME, thread_local=False)
        arguments = {"check_same_thread": False, "isolation_level": None}
        self.engine = create_engine(f"sqlite:///{self.path}", connect_args=arguments)
        event.listen(self.engine, "connect", _set_up)
        event.listen(self.engine, "begin", _begin)

    def exists(self) -> bool:
        """Whether the file is there."""
        return self.path.is_file()

    @contextmanager
    def told_faults(self) -> Iterator[None]:
        """Turn faults of the file into StoreError with the path and a way out."""
        try:
            yield
        except IntegrityError:
            raise  # a mistake of ours, not of the disk
        except DBAPIError as error:
            raise StoreError(_fault(self.path, error.orig)) from error
        except sqlite3.DatabaseError as error:
            raise StoreError(_fault(self.path, error)) from error
        except OSError as error:
            raise StoreError(
                f"{self.path}: {error.strerror or error}; free the path or set CRMSYNC_STATE_DIR"
            ) from error

    def version(self) -> str | None:
        """The migration the file stands at, None for an empty file. Errors: StoreError when damaged or newer."""
        with transaction(self, writes=False) as connection:
            if self.path.stat().st_size <= QUICK_CHECK_BELOW:
                _check_pages(connection, self.path)
            tables = set(connection.exec_driver_sql("SELECT name FROM sqlite_master WHERE type = 'table'").scalars())
            version = None
            if "alembic_version" in tables:
                version = connection.exec_driver_sql("SELECT version_num FROM alembic_version").scalar()
        return known_version(self.place, tables, version)

    def options(self, *, writes: bool) -> dict[str, object]:
        """Whether the transaction takes the write lock at its start."""
        return {WRITES: writes}

    def try_lock(self) -> bool:
        """Take the lock file; False when another process has it. Errors: StoreError when it cannot be made."""
        try:
            self._lock.acquire(timeout=LOOKED_AT_S, poll_interval=LOOKED_AT_S / 4)
        except Timeout:
            return False
        except OSError as error:
            name = self._lock.lock_file
            raise StoreError(f"{name}: the lock cannot be taken ({error}); check the folder's rights") from error
        return True

    def unlock(self) -> None:
        """Give the lock free."""
        if self._lock.is_locked:
            self._lock.release()

    def is_locked(self) -> bool:
        """Whether some process holds the lock now."""
        if self._lock.is_locked:
            return True
        other = FileLock(self._lock.lock_file, thread_local=False)
        try:
            other.acquire(timeout=0)
        except (Timeout, OSError):
            return True
        other.release()
        return False

    def break_lock(self) -> bool:
        """False: the kernel frees a lock file when its process ends, and not before."""
        return False

    def backup(self, folder: Path, name: str) -> Path | None:
        """A copy by SQLite's online backup, whole at every moment. Errors: StoreError when it cannot be written."""
        target, partial = folder / f"{name}.sqlite", folder / f".{name}.partial"
        try:
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            _remove_partial(folder)
            with closing(sqlite3.connect(self.path)) as source, closing(sqlite3.connect(partial)) as copy:
                source.backup(copy)
            with partial.open("rb") as stream:
                os.fsync(stream.fileno())
            os.replace(partial, target)
        except (OSError, sqlite3.DatabaseError) as error:
            with suppress(OSError):
                _remove_partial(folder)  # it would take the room that is missing
            raise StoreError(f"{target}: the ledger cannot be copied ({error})") from error
        return target

    def close(self) -> None:
        """Close the file and give the lock free."""
        self.engine.dispose()
        self.unlock()


def _remove_partial(folder: Path) -> None:
    """Copies that were not finished: by this process, or by one that was killed."""
    for left in folder.glob(".*.partial*"):
        left.unlink(missing_ok=True)


def _set_up(connection: sqlite3.Connection, _entry: ConnectionPoolEntry) -> None:
    for pragma in (f"busy_timeout={BUSY_MS}", "journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"):
        connection.execute(f"PRAGMA {pragma}")


def _begin(connection: Connection) -> None:
    # SQLAlchemy's own BEGIN is deferred: two writers would then meet in the middle, and one would have to give up.
    writes = connection.get_execution_options().get(WRITES, False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


WAYS_OUT = {
    sqlite3.SQLITE_FULL: "the disk is full: nothing after this point was sent; make room and run again",
    sqlite3.SQLITE_NOTADB: "it is not a ledger: move the file away (a new one is made) or restore a copy of it",
    sqlite3.SQLITE_CORRUPT: "the file is damaged: restore a copy of it (folder `backups`), or move it away and run "
    "`crmsync adopt`",
    sqlite3.SQLITE_BUSY: "another process has held it for 30 s: wait for that process to end",
    sqlite3.SQLITE_READONLY: "it is read-only: give this user the right to write it",
    sqlite3.SQLITE_CANTOPEN: "it cannot be opened: check that the folder exists and may be written",
    sqlite3.SQLITE_IOERR: "the disk fails or the file lies on a network file system: put it on a local disk",
}


NO_ROOM = 256 * 1024
"""Bytes below which a fault of the disk is one of room: SQLite calls it an I/O error where its shared memory grows."""


def _fault(path: Path, error: BaseException | None) -> str:
    code = getattr(error, "sqlite_errorcode", None)
    kind = code & 0xFF if isinstance(code, int) else None
    if kind in (sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN) and _room(path) < NO_ROOM:
        kind = sqlite3.SQLITE_FULL
    way_out = WAYS_OUT.get(kind) if kind is not None else None
    return f"{path}: the ledger cannot be used ({error}); {way_out or 'check the file and the disk'}"


def _room(path: Path) -> int:
    try:
        return shutil.disk_usage(path.parent).free
    except OSError:
        return NO_ROOM


def _check_pages(connection: Connection, path: Path) -> None:
    verdict = connection.exec_driver_sql("PRAGMA quick_check(1)").scalar()
    if verdict != "ok":
        raise StoreError(f"{path}: the ledger is damaged ({verdict}); {WAYS_OUT[sqlite3.SQLITE_CORRUPT]}")
