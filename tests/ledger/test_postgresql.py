"""What only a server can do: be away, refuse a login, be made anew, hold another program's tables."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from unittest import mock

import psycopg
import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection, text

from crmsync.errors import AlreadyRunning, ConfigError, StoreError
from crmsync.ledger import chain
from crmsync.ledger.audit import record_event
from crmsync.ledger.ledger import Ledger
from crmsync.ledger.status import status
from crmsync.ledger.tables import metadata
from tests.databases import PostgresqlServer

SECRET = "s3cret-canary"


def test_migrations_make_exactly_the_tables_of_the_code(postgresql: PostgresqlServer, tmp_path: Path) -> None:
    with Ledger.open(tmp_path, url=postgresql.empty()) as ledger, ledger.reading() as connection:
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []


@pytest.mark.parametrize(
    "url",
    [
        "mysql://a/b",
        "not an address",
        "sqlite:///x.sqlite",
        "postgresql+asyncpg://a/b",
        f"oracle://u:{SECRET}@h",
        f"postgresql://u:{SECRET}@[::1/x",
    ],
)
def test_another_kind_of_address_is_refused_without_showing_it(tmp_path: Path, url: str) -> None:
    with pytest.raises(ConfigError, match="CRMSYNC_LEDGER_URL: not an address of PostgreSQL") as refused:
        Ledger.open(tmp_path, url=url)
    assert SECRET not in str(refused.value)


def test_a_server_that_is_away_is_a_store_error_without_the_password(tmp_path: Path) -> None:
    url = f"postgresql://crmsync:{SECRET}@127.0.0.1:1/ledger"
    with pytest.raises(StoreError, match=r"127\.0\.0\.1.*the server is up and reachable") as refused:
        Ledger.open(tmp_path, url=url)
    assert SECRET not in str(refused.value)


def test_a_missing_database_is_named(postgresql: PostgresqlServer, tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"nowhere.*make that database first"):
        Ledger.open(tmp_path, url=postgresql.address("nowhere"))


@pytest.mark.parametrize(
    ("statements", "told"),
    [
        (["CREATE TABLE bookmarks (url text)"], "not a ledger of crmsync"),
        (["CREATE TABLE alembic_version (version_num text)", "INSERT INTO alembic_version VALUES ('ab12')"],
         "not a ledger of crmsync"),
    ],
)  # fmt: skip
def test_another_programs_database_is_refused(
    postgresql: PostgresqlServer, tmp_path: Path, statements: list[str], told: str
) -> None:
    url = postgresql.empty()
    import psycopg

    with psycopg.connect(url) as connection:
        for statement in statements:
            connection.execute(statement)  # type: ignore[call-overload]
    with pytest.raises(StoreError, match=told):
        Ledger.open(tmp_path, url=url)


def test_a_newer_ledger_is_refused(postgresql: PostgresqlServer, tmp_path: Path) -> None:
    url = postgresql.fresh()
    with Ledger.open(tmp_path, url=url) as ledger, ledger.writing() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(StoreError, match="schema 9999, newer than this crmsync knows"):
        Ledger.open(tmp_path, url=url)


def test_a_reader_sees_one_moment_and_cannot_write(postgresql: PostgresqlServer, tmp_path: Path) -> None:
    url = postgresql.emptied()
    with Ledger.open(tmp_path, url=url) as ledger, ledger.reading() as before:
        count = before.scalar(text("SELECT count(*) FROM run"))
        ledger.start_run("run")
        assert before.scalar(text("SELECT count(*) FROM run")) == count
    with Ledger.open(tmp_path, url=url) as ledger, pytest.raises(StoreError), ledger.reading() as connection:
        connection.execute(text("DELETE FROM run"))


def test_the_audit_cannot_be_emptied_at_once_either(postgresql: PostgresqlServer, tmp_path: Path) -> None:
    opened = Ledger.open(tmp_path, url=postgresql.emptied())
    with opened as ledger, pytest.raises(StoreError, match="append-only"), ledger.writing() as connection:
        connection.execute(text("TRUNCATE audit"))


def test_a_server_that_goes_while_the_audit_is_read_is_a_store_error(
    postgresql: PostgresqlServer, tmp_path: Path
) -> None:
    """Its rows come straight from the driver."""
    url = postgresql.emptied()
    with Ledger.open(tmp_path, url=url) as ledger, ledger.writing() as connection:
        for number in range(3):
            record_event(connection, "person_came", {"n": number})

    def cut(connection: Connection) -> Iterator[tuple[object, ...]]:
        rows = real(connection)
        yield next(rows)
        backend = connection.connection.driver_connection.info.backend_pid  # type: ignore[union-attr]
        with psycopg.connect(url) as other:
            other.execute("SELECT pg_terminate_backend(%s, 5000)", [backend])
        connection.connection.driver_connection.execute("SELECT 1")  # type: ignore[union-attr]
        yield from rows

    real = chain._rows
    with Ledger.open(tmp_path, exclusive=False, url=url) as ledger:
        with (
            mock.patch.object(chain, "_rows", cut),
            pytest.raises(StoreError, match=r"the connection is lost.*the server is up"),
        ):
            chain.verify_chain(ledger)
        assert chain.verify_chain(ledger).faults == ()  # the next transaction has a connection of its own


def test_a_worker_whose_connections_were_cut_stops_and_the_next_one_goes_on(
    postgresql: PostgresqlServer, tmp_path: Path
) -> None:
    url = postgresql.emptied()
    with Ledger.open(tmp_path, url=url) as worker:
        run_id = worker.start_run("run")
        with psycopg.connect(url) as admin:
            admin.execute(
                "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity "
                "WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
        with Ledger.open(tmp_path, url=url) as taker:  # the lock went with its session
            assert taker.lease() is not None
            with pytest.raises(AlreadyRunning, match="was broken or taken over"):
                worker.end_run(run_id, 0)
            assert status(taker).runs[0].state == "running"
            taker.start_run("run")
            assert [run.state for run in status(taker).runs] == ["running", "interrupted"]
