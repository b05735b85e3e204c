"""What only a server can do: be away, refuse a login, be made anew, hold another program's tables."""

from __future__ import annotations

from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import text

from crmsync.errors import ConfigError, StoreError
from crmsync.ledger.ledger import Ledger
from crmsync.ledger.tables import metadata
from tests.databases import PostgresqlServer

SECRET = "s3cret-canary"


def test_migrations_make_exactly_the_tables_of_the_code(postgresql: PostgresqlServer, tmp_path: Path) -> None:
    with Ledger.open(tmp_path, url=postgresql.empty()) as ledger, ledger.reading() as connection:
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []


@pytest.mark.parametrize(
    "url", ["mysql://a/b", "not an address", "sqlite:///x.sqlite", "postgresql+asyncpg://a/b", f"oracle://u:{SECRET}@h"]
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
