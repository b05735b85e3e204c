"""The ledger of one org: its file, its lock, its owner, and the life of a run.

One ledger serves one org. Whoever writes holds the lock beside the file; readers (`crmsync status`) need none.
"""

from __future__ import annotations

import json
import os
import secrets
import socket
from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from filelock import FileLock, Timeout
from sqlalchemy import Connection, Engine, func, insert, select, update

from crmsync.errors import AccessError, AlreadyRunning, StoreError
from crmsync.ledger import tables as t
from crmsync.ledger.canon import canonical, instant
from crmsync.ledger.store import FILE_NAME, migrate, open_store, schema_version, told_faults, transaction
from crmsync.ledger.upsert import changed, upsert

LOCK_NAME = "ledger.lock"
HOLDER_NAME = "ledger.holder.json"  # the kernel empties nothing of a lock file, so who holds it stands beside it


@dataclass(frozen=True)
class RunFacts:
    """What a run was made of; what is not known yet stays None and is left as it is."""

    as_of: date | None = None
    snapshot_digest: str | None = None
    program_digest: str | None = None
    config_digest: str | None = None
    plan_digest: str | None = None


class Ledger:
    """An open ledger. Make it with `Ledger.open`; it is a context manager."""

    def __init__(self, state_dir: Path, engine: Engine, lock: FileLock | None) -> None:
        self.state_dir = state_dir
        self.path = state_dir / FILE_NAME
        self._engine = engine
        self._lock = lock
        self.slot: tuple[str, str] | None = None  # schedule and period that runs started from now on fill

    @classmethod
    def open(cls, state_dir: Path, *, exclusive: bool = True) -> Ledger:
        """The ledger in `state_dir`, made or migrated where needed.

        `exclusive`: hold the lock until `close` (every command that may write); False for reading and approving.
        Errors: AlreadyRunning when another process holds the lock; StoreError when the file cannot be used.
        """
        path = state_dir / FILE_NAME
        with told_faults(path):
            state_dir.mkdir(parents=True, exist_ok=True)
        lock = _lock(state_dir) if exclusive else None
        try:
            engine = open_store(path)
            _bring_up_to_date(engine, state_dir, lock)
        except BaseException:
            _release(state_dir, lock)
            raise
        return cls(state_dir, engine, lock)

    def close(self) -> None:
        """Close the file and give the lock free; closing twice is harmless."""
        self._engine.dispose()
        _release(self.state_dir, self._lock)
        self._lock = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def reading(self) -> AbstractContextManager[Connection]:
        """One consistent view."""
        return transaction(self._engine, self.path, writes=False)

    def writing(self) -> AbstractContextManager[Connection]:
        """One transaction, committed at the end."""
        return transaction(self._engine, self.path, writes=True)

    # The org

    def org(self) -> str | None:
        """Identity of the org this ledger belongs to; None before the first run."""
        with self.reading() as connection:
            return _meta(connection, "org")

    def bind_org(self, identity: str) -> None:
        """Tie the ledger to the org on the first run. Errors: AccessError when it belongs to another one."""
        with self.writing() as connection:
            known = _meta(connection, "org")
            if known is None:
                connection.execute(insert(t.meta).values(key="org", value=identity))
        if known not in (None, identity):
            raise AccessError(
                f"{self.path}: this ledger belongs to {known}, the CRM that was reached is {identity}; "
                "log in to the former, or give the latter a state folder of its own (CRMSYNC_STATE_DIR)"
            )

    # Runs

    def start_run(self, kind: str, facts: RunFacts = RunFacts()) -> str:
        """Open a run (`kind`: run, plan, apply, shadow) and return its id, such as `20261121-093000-4f1a`.

        Runs that still say `running` were killed, since this one holds the lock: they become `interrupted`.
        """
        run_id = f"{datetime.now(UTC):%Y%m%d-%H%M%S}-{secrets.token_hex(2)}"
        schedule, period = self.slot or (None, None)
        with self.writing() as connection:
            connection.execute(update(t.run).where(t.run.c.state == "running").values(state="interrupted"))
            newest = connection.scalar(select(func.max(t.run.c.sequence))) or 0
            connection.execute(
                insert(t.run).values(
                    run_id=run_id, sequence=newest + 1, kind=kind, state="running", started_at=instant(), stats="{}",
                    slot_schedule=schedule, slot_period=period, **_facts(facts),
                )
            )  # fmt: skip
        return run_id

    def record_facts(self, run_id: str, facts: RunFacts) -> None:
        """Add what became known during the run (digests, as_of)."""
        with self.writing() as connection:
            connection.execute(update(t.run).where(t.run.c.run_id == run_id).values(**_facts(facts)))

    def record_phase(self, run_id: str, phase: str, seconds: float) -> None:
        """Note that a stage of the run has ended, and how long it took."""
        row = {"run_id": run_id, "phase": phase, "seconds": seconds, "ended_at": instant()}
        with self.writing() as connection:
            connection.execute(changed(t.run_phase, row))

    def end_run(self, run_id: str, exit_code: int, state: str = "done", stats: Mapping[str, Any] | None = None) -> None:
        """Close a run. `state`: done, partial, blocked, deferred, failed."""
        ended = {"state": state, "exit_code": exit_code, "ended_at": instant(), "stats": canonical(dict(stats or {}))}
        with self.writing() as connection:
            connection.execute(update(t.run).where(t.run.c.run_id == run_id).values(**ended))

    def record_config(self, digest: str, text: str) -> None:
        """Keep the text of a configuration or program the first time it is used."""
        row = {"digest": digest, "text": text, "first_used_at": instant()}
        with self.writing() as connection:
            connection.execute(upsert(t.config_version).values(row).on_conflict_do_nothing())

    def record_api_usage(
        self, run_id: str, api: str, calls: int, org_used: int | None = None, org_limit: int | None = None
    ) -> None:
        """Note how many calls the run has made so far, and what the org said of its allowance."""
        row = {"run_id": run_id, "api": api, "calls": calls, "org_used": org_used, "org_limit": org_limit}
        with self.writing() as connection:
            connection.execute(changed(t.api_usage, row))


def _facts(facts: RunFacts) -> dict[str, str]:
    known = {name: value for name, value in vars(facts).items() if value is not None}
    return {name: value.isoformat() if isinstance(value, date) else value for name, value in known.items()}


def _meta(connection: Connection, key: str) -> str | None:
    return connection.scalar(select(t.meta.c.value).where(t.meta.c.key == key))


def _bring_up_to_date(engine: Engine, state_dir: Path, lock: FileLock | None) -> None:
    path = state_dir / FILE_NAME
    if schema_version(engine, path) == t.HEAD:
        return
    own = lock or _lock(state_dir)
    try:
        migrate(engine, path)
        _name_ledger(engine, path)
    finally:
        if lock is None:
            _release(state_dir, own)


def _name_ledger(engine: Engine, path: Path) -> None:
    row = {"key": "ledger_id", "value": secrets.token_hex(8)}
    with transaction(engine, path, writes=True) as connection:
        connection.execute(upsert(t.meta).values(row).on_conflict_do_nothing())


def _lock(state_dir: Path) -> FileLock:
    lock = FileLock(state_dir / LOCK_NAME, thread_local=False)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise AlreadyRunning(f"{state_dir}: another run is under way here{_holder(state_dir)}; wait for it") from None
    except OSError as error:
        raise StoreError(f"{lock.lock_file}: the lock cannot be taken ({error}); check the folder's rights") from error
    holder = {"pid": os.getpid(), "host": socket.gethostname(), "since": instant()}
    with told_faults(state_dir / HOLDER_NAME):
        (state_dir / HOLDER_NAME).write_text(canonical(holder), encoding="utf-8")
    return lock


def is_held(state_dir: Path) -> bool:
    """Whether some process holds the lock now."""
    lock = FileLock(state_dir / LOCK_NAME, thread_local=False)
    try:
        lock.acquire(timeout=0)
    except (Timeout, OSError):
        return True
    lock.release()
    return False


def _holder(state_dir: Path) -> str:
    try:
        holder = json.loads((state_dir / HOLDER_NAME).read_text(encoding="utf-8"))
        return f" (process {holder['pid']} on {holder['host']} since {holder['since']})"
    except (OSError, ValueError, KeyError, TypeError):
        return ""


def _release(state_dir: Path, lock: FileLock | None) -> None:
    if lock is not None and lock.is_locked:
        (state_dir / HOLDER_NAME).unlink(missing_ok=True)
        lock.release()
