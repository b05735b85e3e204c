"""The ledger of one org: where it is kept, its lease, its owner, and the life of a run.

One ledger serves one org. Whoever writes holds the lock and the lease; readers (`crmsync status`) need neither.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from sqlalchemy import Connection, func, insert, select, update

from crmsync.errors import AccessError, AlreadyRunning, StoreError
from crmsync.ledger import tables as t
from crmsync.ledger.audit import record_event
from crmsync.ledger.canon import canonical, instant
from crmsync.ledger.lease import Holding, Lease, current_lease, release_lease, take_lease, this_process
from crmsync.ledger.postgresql_store import PostgresqlStore
from crmsync.ledger.sqlite_store import SqliteStore
from crmsync.ledger.store import COPIES, Store, migrate, transaction
from crmsync.ledger.upsert import changed, upsert


def store_of(state_dir: Path, url: str | None = None) -> Store:
    """The place of the ledger: PostgreSQL where an address is given, else a file in the state folder."""
    return PostgresqlStore(url) if url else SqliteStore(state_dir)


@dataclass(frozen=True)
class RunFacts:
    """What a run was made of; what is not known yet stays None and is left as it is."""

    as_of: date | None = None
    snapshot_digest: str | None = None
    program_digest: str | None = None
    config_digest: str | None = None
    plan_digest: str | None = None
    files_digest: str | None = None


class Ledger:
    """An open ledger. Make it with `Ledger.open`; it is a context manager. `place`: how messages name it."""

    def __init__(self, state_dir: Path, store: Store, holding: Holding | None) -> None:
        self.state_dir = state_dir
        self.store = store
        self.place = store.place
        self._holding = holding
        self.slot: tuple[str, str] | None = None  # schedule and period that runs started from now on fill

    @classmethod
    def open(cls, state_dir: Path, *, exclusive: bool = True, url: str | None = None) -> Ledger:
        """The ledger of `state_dir` (or at `url`, see `store_of`), made or migrated where needed.

        `exclusive`: hold the lock and the lease until `close` (every command that runs); False for reading and
        approving. Errors: AlreadyRunning when another process holds the lock; StoreError when it cannot be used.
        """
        store = store_of(state_dir, url)
        try:
            if exclusive and not store.try_lock():
                raise AlreadyRunning(f"{store.place}: another run is under way here{_holder(store)}; wait for it")
            _bring_up_to_date(store, state_dir, exclusive=exclusive)
            if not exclusive:
                return cls(state_dir, store, None)
            with transaction(store, writes=True) as connection:
                holding = take_lease(connection)
        except BaseException:
            store.close()
            raise
        return cls(state_dir, store, holding)

    def close(self) -> None:
        """Give lease and lock free; closing twice is harmless."""
        if self._holding is not None:
            holding, self._holding = self._holding, None
            with suppress(StoreError), transaction(self.store, writes=True) as connection:
                release_lease(connection, holding)
        self.store.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def reading(self) -> AbstractContextManager[Connection]:
        """One consistent view."""
        return transaction(self.store, writes=False)

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """One transaction, committed at the end. Errors: AlreadyRunning when this process has lost its lease."""
        with transaction(self.store, writes=True) as connection:
            if self._holding is not None:
                self._holding.verify(connection)
            yield connection

    def lease(self) -> Lease | None:
        """Who holds the lease, or held it last; None before the first run."""
        with self.reading() as connection:
            return current_lease(connection)

    def is_running(self) -> bool:
        """Whether some process holds the lock now, this one included."""
        return self.store.is_locked()

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
                f"{self.place}: this ledger belongs to {known}, the CRM that was reached is {identity}; "
                "log in to the former, or give the latter a state folder of its own (CRMSYNC_STATE_DIR)"
            )

    # Runs

    def start_run(self, kind: str, facts: RunFacts = RunFacts()) -> str:
        """Open a run (`kind`: run, plan, apply, shadow) and return its id, such as `20261121-093000-4f1a`.

        Runs that still say `running` were killed, since this one holds the lock: they become `interrupted`.
        """
        schedule, period = self.slot or (None, None)
        with self.writing() as connection:
            connection.execute(update(t.run).where(t.run.c.state == "running").values(state="interrupted"))
            newest = connection.scalar(select(func.max(t.run.c.sequence))) or 0
            run_id = _new_id(connection)
            connection.execute(
                insert(t.run).values(
                    run_id=run_id, sequence=newest + 1, kind=kind, state="running", started_at=instant(), stats="{}",
                    slot_schedule=schedule, slot_period=period, owner=this_process(),
                    fencing=self._holding.fencing if self._holding else None, **_facts(facts),
                )
            )  # fmt: skip
            record_event(connection, "run_started", {"run_id": run_id, "kind": kind, "owner": this_process()})
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
            told = {"run_id": run_id, "state": state, "exit_code": exit_code, "stats": dict(stats or {})}
            record_event(connection, "run_ended", {**told, "made_of": made_of(connection, run_id)})

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


def _new_id(connection: Connection) -> str:
    """Second and four digits; of many runs within a second, others of the same kind."""
    while True:
        run_id = f"{datetime.now(UTC):%Y%m%d-%H%M%S}-{secrets.token_hex(2)}"
        if connection.scalar(select(t.run.c.sequence).where(t.run.c.run_id == run_id)) is None:
            return run_id


def _facts(facts: RunFacts) -> dict[str, str]:
    known = {name: value for name, value in vars(facts).items() if value is not None}
    return {name: value.isoformat() if isinstance(value, date) else value for name, value in known.items()}


MADE_OF = ("as_of", "snapshot_digest", "program_digest", "files_digest", "config_digest", "plan_digest")


def made_of(connection: Connection, run_id: str) -> dict[str, str | None]:
    """The digests of what a run was made of, as they stand in its row."""
    columns = [t.run.c[name] for name in MADE_OF]
    row = connection.execute(select(*columns).where(t.run.c.run_id == run_id)).one_or_none()
    return {} if row is None else dict(zip(MADE_OF, row, strict=True))


def _meta(connection: Connection, key: str) -> str | None:
    return connection.scalar(select(t.meta.c.value).where(t.meta.c.key == key))


def _bring_up_to_date(store: Store, state_dir: Path, *, exclusive: bool) -> None:
    """Make or migrate the ledger where needed; of an older one a whole copy is kept first, for good."""
    if store.version() == t.HEAD:
        return
    if not exclusive and not store.try_lock():
        raise AlreadyRunning(f"{store.place}: another run is bringing the ledger up to date; wait for it")
    try:
        if (older := store.version()) not in (None, t.HEAD):
            store.backup(state_dir / COPIES, f"before-upgrade-of-{older}")
        migrate(store)
        row = {"key": "ledger_id", "value": secrets.token_hex(8)}
        with transaction(store, writes=True) as connection:
            connection.execute(upsert(t.meta).values(row).on_conflict_do_nothing())
    finally:
        if not exclusive:
            store.unlock()


def _holder(store: Store) -> str:
    """Who holds the lock, for a message; empty while the ledger is being made."""
    with suppress(StoreError):
        if store.version() == t.HEAD:
            with transaction(store, writes=False) as connection:
                lease = current_lease(connection)
            if lease is not None:
                return f" (process {lease.pid} on {lease.host} since {lease.acquired_at}, lease {lease.fencing})"
    return ""
