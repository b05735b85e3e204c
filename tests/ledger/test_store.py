"""Opening, migrating and locking the ledger file."""

from __future__ import annotations

import errno
import os
import signal
import sqlite3
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from unittest import mock

import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from filelock import FileLock

import crmsync.ledger.sqlite_store as store
import crmsync.ledger.store as common
from crmsync.errors import AccessError, AlreadyRunning, CrmsyncError, StoreError
from crmsync.ledger.backups import back_up
from crmsync.ledger.ledger import Ledger
from crmsync.ledger.tables import HEAD, KNOWN, metadata


def test_migrations_make_exactly_the_tables_of_the_code(tmp_path: Path):
    with Ledger.open(tmp_path) as ledger, ledger.reading() as connection:
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []


def test_the_code_knows_every_migration():
    config = Config()
    config.set_main_option("script_location", str(Path(common.__file__).parent / "migrations"))
    config.set_main_option("path_separator", "os")
    scripts = ScriptDirectory.from_config(config)
    assert scripts.get_heads() == [HEAD]
    assert {script.revision for script in scripts.walk_revisions()} == KNOWN


def test_every_table_is_strict_and_what_is_committed_outlives_a_power_cut(tmp_path: Path):
    with Ledger.open(tmp_path) as ledger, ledger.reading() as connection:
        tables = connection.exec_driver_sql("SELECT name, strict FROM pragma_table_list WHERE schema = 'main'").all()
        strict = {name: bool(flag) for name, flag in tables if name in metadata.tables}
        pragmas = ("journal_mode", "synchronous", "foreign_keys", "busy_timeout")
        found = [connection.exec_driver_sql(f"PRAGMA {pragma}").scalar() for pragma in pragmas]
    assert strict == dict.fromkeys(metadata.tables, True)
    assert found == ["wal", 2, 1, 30_000]


def test_an_up_to_date_ledger_opens_fast_and_without_alembic(tmp_path: Path):
    Ledger.open(tmp_path).close()
    code = (
        "import sys, time; from pathlib import Path; from crmsync.ledger.ledger import Ledger; s = time.perf_counter();"
        "Ledger.open(Path(sys.argv[1])).close(); print(time.perf_counter() - s, 'alembic' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=True)
    seconds, imported = done.stdout.split()
    assert imported == "False"
    assert float(seconds) < 0.5  # 0.003 s where nothing else runs; the aim is 0.05


def test_a_newer_ledger_is_refused_and_left_as_it_is(tmp_path: Path):
    Ledger.open(tmp_path).close()
    with sqlite3.connect(tmp_path / store.FILE_NAME) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(StoreError, match="schema 9999, newer than this crmsync knows"):
        Ledger.open(tmp_path)


@pytest.mark.parametrize("content", [b"not a database" * 100, b"SQLite format 3\x00" + b"\xff" * 4096])
def test_a_file_that_is_no_database_is_refused_with_path_and_way_out(tmp_path: Path, content: bytes):
    (tmp_path / store.FILE_NAME).write_bytes(content)
    with pytest.raises(StoreError, match=r"ledger\.sqlite: the ledger cannot be used .*move (the file|it) away"):
        Ledger.open(tmp_path)


def test_another_programs_database_is_refused(tmp_path: Path):
    with sqlite3.connect(tmp_path / store.FILE_NAME) as connection:
        connection.execute("CREATE TABLE bookmarks (url TEXT)")
    with pytest.raises(StoreError, match="not a ledger of crmsync"):
        Ledger.open(tmp_path)


def test_a_damaged_page_is_found_when_the_ledger_is_opened(tmp_path: Path):
    with Ledger.open(tmp_path) as ledger:
        for number in range(200):
            ledger.record_config(f"digest-{number}", "x" * 500)
    path = tmp_path / store.FILE_NAME
    content = bytearray(path.read_bytes())
    content[-3 * 4096 : -4096] = b"\xaa" * 2 * 4096
    path.write_bytes(bytes(content))
    with pytest.raises(StoreError, match=r"ledger\.sqlite"):
        Ledger.open(tmp_path)


def test_a_full_disk_is_a_store_error_that_says_so(tmp_path: Path):
    with Ledger.open(tmp_path) as ledger:
        with ledger.reading() as connection:
            connection.exec_driver_sql("PRAGMA max_page_count = 1")
        with pytest.raises(StoreError, match="the disk is full"):
            ledger.record_config("digest", "x" * 1_000_000)


@pytest.mark.parametrize("code", [sqlite3.SQLITE_IOERR | (19 << 8), sqlite3.SQLITE_CANTOPEN])
def test_a_fault_of_a_disk_without_room_is_told_as_a_full_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    """SQLite calls it an I/O error when its shared memory cannot grow."""
    error = sqlite3.OperationalError("disk I/O error")
    error.sqlite_errorcode = code

    def told() -> str:
        with pytest.raises(StoreError) as fault, store.SqliteStore(tmp_path).told_faults():
            raise error
        return str(fault.value)

    assert "the disk is full" not in told()
    monkeypatch.setattr(store, "_room", lambda _: 4096)
    assert "the disk is full: nothing after this point was sent" in told()


def test_a_start_is_not_refused_because_somebody_asks_whether_a_run_is_under_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    looking = FileLock(tmp_path / store.LOCK_NAME)
    looking.acquire()
    monkeypatch.setattr("filelock._api.time.sleep", lambda _: looking.release())  # it looks again: by then we are gone
    Ledger.open(tmp_path).close()
    assert not looking.is_locked


def test_a_copy_that_cannot_be_finished_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with Ledger.open(tmp_path) as ledger:
        copies = tmp_path / common.COPIES
        copies.mkdir()
        (copies / ".ledger-killed.partial").write_text("of a process that was killed")

        def no_room(_: int) -> None:
            raise OSError(errno.ENOSPC, "No space left on device")

        monkeypatch.setattr(os, "fsync", no_room)
        assert back_up(ledger, "run-1") is None
        assert list(copies.iterdir()) == []
        monkeypatch.undo()
        assert back_up(ledger, "run-1") == copies / "ledger-run-1.sqlite"


def test_a_run_never_takes_the_id_of_another(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    digits = iter(["aaaa", "aaaa", "aaaa", "bbbb"])
    monkeypatch.setattr("crmsync.ledger.ledger.secrets.token_hex", lambda _: next(digits))
    with Ledger.open(tmp_path) as ledger, mock.patch("crmsync.ledger.ledger.datetime") as clock:
        clock.now.return_value = datetime(2026, 11, 22, 9, 30, tzinfo=UTC)
        ids = [ledger.start_run("run") for _ in range(2)]
    assert ids == ["20261122-093000-aaaa", "20261122-093000-bbbb"]


def test_an_unusable_folder_is_a_store_error(tmp_path: Path):
    (tmp_path / "state").write_text("a file")
    with pytest.raises(StoreError, match="CRMSYNC_STATE_DIR"):
        Ledger.open(tmp_path / "state")


def test_a_second_start_is_refused_at_once_and_told_who_holds_the_lock(tmp_path: Path):
    with Ledger.open(tmp_path), pytest.raises(AlreadyRunning, match=f"process {os.getpid()} on") as refused:
        Ledger.open(tmp_path)
    assert refused.value.exit_code == 7


def test_status_may_read_while_a_run_holds_the_lock(tmp_path: Path):
    with Ledger.open(tmp_path) as running:
        running.bind_org("org:a")
        with Ledger.open(tmp_path, exclusive=False) as reader:
            assert reader.org() == "org:a"


def test_the_lock_is_free_after_a_kill(tmp_path: Path):
    code = "import sys, time; from pathlib import Path; from crmsync.ledger.ledger import Ledger;"
    code += "held = Ledger.open(Path(sys.argv[1])); print('held', flush=True); time.sleep(60)"
    with subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(AlreadyRunning):
            Ledger.open(tmp_path)
        holder.send_signal(signal.SIGKILL)
        holder.wait()
    started = time.perf_counter()
    Ledger.open(tmp_path).close()
    assert time.perf_counter() - started < 2


def test_a_failed_opening_gives_the_lock_free(tmp_path: Path):
    (tmp_path / store.FILE_NAME).write_bytes(b"nonsense" * 1000)
    for _ in range(2):
        with pytest.raises(StoreError):
            Ledger.open(tmp_path)


def test_a_ledger_serves_one_org(tmp_path: Path):
    with Ledger.open(tmp_path) as ledger:
        ledger.bind_org("00D000000000001EAA")
        ledger.bind_org("00D000000000001EAA")
        with pytest.raises(AccessError, match="belongs to 00D000000000001EAA, the CRM that was reached is 00D9"):
            ledger.bind_org("00D900000000009EAA")
        assert ledger.org() == "00D000000000001EAA"


def test_too_old_an_sqlite_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(sqlite3, "sqlite_version_info", (3, 36, 0))
    with pytest.raises(StoreError, match=r"3\.37 or newer"):
        Ledger.open(tmp_path)


def test_an_error_inside_a_transaction_leaves_nothing_behind(tmp_path: Path):
    class StoppedError(CrmsyncError):
        pass

    def half(ledger: Ledger) -> None:
        with ledger.writing() as connection:
            connection.exec_driver_sql("INSERT INTO meta VALUES ('half', 'done')")
            raise StoppedError

    with Ledger.open(tmp_path) as ledger:
        with pytest.raises(StoppedError):
            half(ledger)
        with ledger.reading() as connection:
            assert connection.exec_driver_sql("SELECT count(*) FROM meta WHERE key = 'half'").scalar() == 0


RACER = (
    "import sys, time; from pathlib import Path; from crmsync.errors import AlreadyRunning;"
    "from crmsync.ledger.ledger import Ledger\n"
    "print('ready', flush=True); sys.stdin.readline()\n"
    "try:\n"
    "    held = Ledger.open(Path(sys.argv[1]), url=sys.argv[2] or None)\n"
    "    print('held', flush=True); sys.stdin.readline()\n"
    "except AlreadyRunning: print('refused', flush=True)"
)


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_of_many_starts_at_once_exactly_one_runs(kind: str, tmp_path: Path, request: pytest.FixtureRequest):
    """In an empty place too, where the ledger has yet to be made."""
    url = request.getfixturevalue("postgresql").empty() if kind == "postgresql" else ""
    call = [sys.executable, "-c", RACER, str(tmp_path), url]
    racers = [subprocess.Popen(call, stdin=-1, stdout=-1, text=True) for _ in range(5)]
    try:
        assert [said(racer) for racer in racers] == ["ready"] * 5
        for racer in racers:
            tell(racer)
        assert sorted(said(racer) for racer in racers) == ["held", *["refused"] * 4]
    finally:
        for racer in racers:
            racer.communicate("\n")


def said(racer: subprocess.Popen[str]) -> str:
    assert racer.stdout is not None
    return racer.stdout.readline().strip()


def tell(racer: subprocess.Popen[str]) -> None:
    assert racer.stdin is not None
    racer.stdin.write("go\n")
    racer.stdin.flush()
