"""A ledger of an older version is brought up to date with its rows, on both databases."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from unittest import mock

import pytest
from alembic import command
from sqlalchemy import text

import crmsync.ledger.store as common
from crmsync.errors import StoreError
from crmsync.ledger.audit import record_event
from crmsync.ledger.chain import verify_chain
from crmsync.ledger.intents import open_intents
from crmsync.ledger.ledger import Ledger, store_of
from crmsync.ledger.status import status
from crmsync.ledger.store import Store, transaction
from tests.databases import PostgresqlServer

OLD_RUN = (
    "INSERT INTO run (run_id, sequence, kind, state, started_at, stats) "
    "VALUES ('r1', 1, 'run', 'done', '2026-01-01T00:00:00.000+00:00', '{}')"
)
OLD_INTENT = (
    "INSERT INTO intent (intent_id, run_id, digest, sequence, record_id, partner_id, wanted, pre_image, token, state, "
    "attempts, created_at, changed_at) VALUES ('i1', 'r1', 'd1', 1, '001', 'P1', '{}', '{}', 't1', 'parked', 1, '', '')"
)


def older(store: Store, version: str) -> None:
    """A ledger as that version made it, with a run and a write."""
    common.migrate(store, version)
    with transaction(store, writes=True) as connection:
        connection.execute(text(OLD_RUN))
        connection.execute(text(OLD_INTENT))


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
@pytest.mark.parametrize("version", ["0001", "0002"])
def test_an_older_ledger_keeps_its_rows(
    kind: str, version: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    url = None
    if kind == "postgresql":
        server: PostgresqlServer = request.getfixturevalue("postgresql")
        url = server.empty()
    store = store_of(tmp_path, url)
    older(store, version)
    store.close()
    with Ledger.open(tmp_path, url=url) as ledger:
        assert [run.run_id for run in status(ledger).runs] == ["r1"]
        assert [one.intent_id for one in open_intents(ledger, "parked")] == ["i1"]
        with ledger.writing() as connection:
            record_event(connection, "run_started", {})
        assert not verify_chain(ledger).faults
    copy = tmp_path / common.COPIES / f"before-upgrade-of-{version}.sqlite"
    assert copy.exists() is (kind == "sqlite")
    if kind == "sqlite":  # whoever has to go back finds what the older version can open
        with closing(sqlite3.connect(copy)) as kept:
            assert kept.execute("SELECT version_num FROM alembic_version").fetchall() == [(version,)]
            assert kept.execute("SELECT run_id FROM run").fetchall() == [("r1",)]


def test_an_upgrade_that_cannot_be_copied_first_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = store_of(tmp_path)
    older(store, "0002")
    store.close()
    (tmp_path / common.COPIES).write_text("in the way")
    for _ in range(2):
        with pytest.raises(StoreError, match=r"before-upgrade-of-0002\.sqlite: the ledger cannot be copied"):
            Ledger.open(tmp_path)
    (tmp_path / common.COPIES).unlink()

    def killed(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(command, "upgrade", half_upgraded := mock.Mock(side_effect=killed))
        with pytest.raises(KeyboardInterrupt):
            Ledger.open(tmp_path)
        assert half_upgraded.called
    with Ledger.open(tmp_path) as ledger:
        assert [run.run_id for run in status(ledger).runs] == ["r1"]
