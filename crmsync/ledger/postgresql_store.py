"""The ledger in a PostgreSQL database of its own (extra `postgres`): for workers on several hosts.

The lock is a session advisory lock on a connection that is kept for it: the server frees it when that connection ends,
however the worker died.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from sqlalchemy import URL, Connection, Engine, create_engine, func, inspect, make_url, select, text
from sqlalchemy.exc import ArgumentError, DBAPIError, IntegrityError, SQLAlchemyError
from sqlalchemy.pool import NullPool

from crmsync.errors import ConfigError, StoreError
from crmsync.ledger.store import known_version, transaction

LOCK_KEY = 0x63726D73796E63  # "crmsync": any number does, as long as no other program in this database takes it
CONNECT_S = 10
WAIT_MS = 30_000
ENDING_LOOKS, ENDING_S = 100, 0.05


class PostgresqlStore:
    """One database that is reached by `url`. Errors: ConfigError for an address that is none, or without the driver."""

    def __init__(self, url: str) -> None:
        self._url = _parsed(url)
        self.place = self._url.set(drivername="postgresql", query={}).render_as_string(hide_password=True)
        arguments = {"connect_timeout": CONNECT_S, "options": f"-c lock_timeout={WAIT_MS} -c timezone=UTC"}
        given = {name: value for name, value in arguments.items() if name not in self._url.query}
        try:
            self.engine = create_engine(self._url, connect_args=given, pool_pre_ping=True)
            self._locks: Engine = create_engine(self._url, connect_args=given, poolclass=NullPool)
        except ImportError as error:
            raise ConfigError(
                "CRMSYNC_LEDGER_URL: the driver of PostgreSQL is missing; install `crmsync[postgres]`"
            ) from error
        self._holding: Connection | None = None

    def exists(self) -> bool:
        """Whether a ledger was made there."""
        return self.version() is not None

    @contextmanager
    def told_faults(self) -> Iterator[None]:
        """Turn faults of the server into StoreError with the address and a way out."""
        try:
            yield
        except IntegrityError:
            raise  # a mistake of ours, not of the server
        except DBAPIError as error:
            raise StoreError(self._fault(error.orig)) from error
        except self.engine.dialect.loaded_dbapi.Error as error:  # of a statement that went straight to the driver
            raise StoreError(self._fault(error)) from error

    def _fault(self, error: BaseException | None) -> str:
        said = " ".join(str(error).split())
        state = getattr(error, "sqlstate", None) or next((s for word, s in SAID.items() if word in said), "")
        way_out = next((told for start, told in WAYS_OUT.items() if state.startswith(start)), UNREACHABLE)
        return f"{self.place}: the ledger cannot be used ({said}); {way_out}"

    def version(self) -> str | None:
        """The migration the database stands at, None when it is empty. Errors: StoreError when foreign or newer."""
        with transaction(self, writes=False) as connection:
            tables = set(inspect(connection).get_table_names())
            version = None
            if "alembic_version" in tables:
                version = connection.scalar(text("SELECT version_num FROM alembic_version"))
        return known_version(self.place, tables, version)

    def options(self, *, writes: bool) -> dict[str, object]:
        """Readers see one moment; writers are alone by the lease, and wait for each other row by row otherwise."""
        if writes:
            return {"isolation_level": "READ COMMITTED", "postgresql_readonly": False}
        return {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True}

    def try_lock(self) -> bool:
        """Take the advisory lock on a connection of its own; False when another session has it."""
        if self._holding is not None:
            return True
        with self.told_faults():
            connection = self._locks.connect().execution_options(isolation_level="AUTOCOMMIT")
            try:
                taken = bool(connection.scalar(select(func.pg_try_advisory_lock(LOCK_KEY))))
            except BaseException:
                connection.close()
                raise
        if not taken:
            connection.close()
            return False
        self._holding = connection
        return True

    def unlock(self) -> None:
        """End the session that holds the lock."""
        if self._holding is not None:
            with suppress(SQLAlchemyError):
                self._holding.close()
            self._holding = None

    def is_locked(self) -> bool:
        """Whether some session holds the lock now."""
        with transaction(self, writes=False) as connection:
            return connection.execute(HOLDERS, KEY).first() is not None

    def break_lock(self) -> bool:
        """End the sessions that hold the lock; False when the server does not let this user do so."""
        with self.told_faults(), transaction(self, writes=True) as connection:
            holders = connection.execute(HOLDERS, KEY).scalars().all()
            try:
                for pid in holders:
                    connection.execute(select(func.pg_terminate_backend(pid)))
            except DBAPIError:
                return False
            for _ in range(ENDING_LOOKS):  # a session takes a moment to end, and a run may be started right after
                if connection.execute(HOLDERS, KEY).first() is None:
                    return True
                connection.execute(select(func.pg_sleep(ENDING_S)))
        return False

    def backup(self, folder: Path, name: str) -> Path | None:  # noqa: ARG002
        """None: a database is backed up by its server's own means."""
        return None

    def close(self) -> None:
        """Close every connection, which frees the lock."""
        self.unlock()
        self.engine.dispose()
        self._locks.dispose()


HOLDERS = text(
    "SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND granted AND objsubid = 1 "
    "AND database = (SELECT oid FROM pg_database WHERE datname = current_database()) "
    "AND classid::bigint = :high AND objid::bigint = :low"
)
KEY = {"high": LOCK_KEY >> 32, "low": LOCK_KEY & 0xFFFFFFFF}

SAID = {"does not exist": "3D000", "authentication failed": "28", "too many clients": "53300"}
"""States by what the server says before there is a connection, when the driver does not tell them."""

UNREACHABLE = "check CRMSYNC_LEDGER_URL, and that the server is up and reachable from here"
WAYS_OUT = {
    "53100": "its disk is full: nothing after this point was sent; make room and run again",
    "53300": "the server has no connection left: raise max_connections or stop other clients",
    "28": "it refused the login: check name and password in CRMSYNC_LEDGER_URL",
    "3D000": "make that database first: createdb",
    "42501": "this user lacks a right: it must own its schema",
    "25006": "the server is a read-only standby: name the primary",
    "55P03": "another process has held it for 30 s: wait for that process to end",
    "57P01": "the connection was ended there: look who did it, then run again",
    "58": "its disk or file system fails: look into the server's log",
    "XX": "its data are damaged: look into the server's log and restore a copy",
    "P0001": "the database refused it",
}


def _parsed(url: str) -> URL:
    try:
        parsed = make_url(url.strip())
    except (ArgumentError, ValueError):  # a port that is no number is a ValueError
        parsed = None
    if parsed is None or parsed.drivername not in ("postgresql", "postgres", "postgresql+psycopg"):
        raise ConfigError(
            "CRMSYNC_LEDGER_URL: not an address of PostgreSQL; "
            "right is postgresql://NAME:PASSWORD@HOST/DATABASE, and without it the ledger is a file of the state folder"
        )
    return parsed.set(drivername="postgresql+psycopg")
