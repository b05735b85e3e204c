"""The lease of the one worker that may write, with a fencing number that grows each time it is taken.

The lock that the system frees at a death (store.py) says who may start; the number says who may still commit: every
writing transaction of a run checks it, so that a worker whose lease was broken cannot commit any more.
"""

from __future__ import annotations

import os
import socket
import time
from dataclasses import dataclass

from sqlalchemy import Connection, select, update

from crmsync.errors import AlreadyRunning, ConfigError
from crmsync.ledger import tables as t
from crmsync.ledger.audit import record_event
from crmsync.ledger.canon import instant
from crmsync.ledger.upsert import changed

NAME = "ledger"
RENEW_S = 10.0


@dataclass(frozen=True)
class Lease:
    """Who writes, since when (ISO text in UTC), under which number. `released_at` None: it still runs, or it died."""

    owner: str
    host: str
    pid: int
    fencing: int
    acquired_at: str
    renewed_at: str
    released_at: str | None


class Holding:
    """A lease that this process has taken."""

    def __init__(self, fencing: int, owner: str) -> None:
        self.fencing = fencing
        self.owner = owner
        self._renewed = time.monotonic()

    def verify(self, connection: Connection) -> None:
        """Refuse to go on in the caller's transaction when the lease was broken or taken. Errors: AlreadyRunning."""
        mine = select(t.lease.c.fencing).where(t.lease.c.name == NAME, t.lease.c.released_at.is_(None))
        held = connection.scalar(mine.with_for_update(read=True))  # whoever breaks it waits for this commit
        if held != self.fencing:
            raise AlreadyRunning(
                f"lease {self.fencing} of this process ({self.owner}) was broken or taken over; nothing more is "
                "written by it. `crmsync unlock` shows who holds the lease now"
            )
        if time.monotonic() - self._renewed >= RENEW_S:
            self._renewed = time.monotonic()
            connection.execute(update(t.lease).where(t.lease.c.name == NAME).values(renewed_at=instant()))


def this_process() -> str:
    """Host and process id, as the lease and the runs name their owner."""
    return f"{socket.gethostname()}:{os.getpid()}"


def current_lease(connection: Connection) -> Lease | None:
    """The newest lease; None before the first."""
    row = connection.execute(select(t.lease).where(t.lease.c.name == NAME)).one_or_none()
    if row is None:
        return None
    return Lease(row.owner, row.host, row.pid, row.fencing, row.acquired_at, row.renewed_at, row.released_at)


def take_lease(connection: Connection) -> Holding:
    """The next lease, for who holds the lock. One that was never given back is taken over, which the audit tells."""
    former = current_lease(connection)
    fencing = former.fencing + 1 if former else 1
    now, owner = instant(), this_process()
    row = {
        "name": NAME, "owner": owner, "host": socket.gethostname(), "pid": os.getpid(), "fencing": fencing,
        "acquired_at": now, "renewed_at": now, "released_at": None,
    }  # fmt: skip
    connection.execute(changed(t.lease, row))
    if former is not None and former.released_at is None:
        told = {"fencing": fencing, "owner": owner, "from_owner": former.owner, "from_fencing": former.fencing}
        record_event(connection, "lease_taken", told)
    return Holding(fencing, owner)


def release_lease(connection: Connection, holding: Holding) -> None:
    """Give the lease back; one that is no longer ours is left alone."""
    mine = (t.lease.c.name == NAME) & (t.lease.c.fencing == holding.fencing) & t.lease.c.released_at.is_(None)
    connection.execute(update(t.lease).where(mine).values(released_at=instant()))


def break_lease(connection: Connection, fencing: int, actor: str) -> Lease:
    """Take the lease of this number away from its owner, who cannot commit any more. Returns the broken one.

    Errors: ConfigError when no such lease is held.
    """
    held = connection.execute(select(t.lease).where(t.lease.c.name == NAME).with_for_update()).one_or_none()
    lease = current_lease(connection)
    if held is None or lease is None or lease.released_at is not None:
        raise ConfigError(f"--id {fencing}: no lease is held; a run may start")
    if lease.fencing != fencing:
        raise ConfigError(f"--id {fencing}: the lease that is held has number {lease.fencing} ({lease.owner})")
    now = instant()
    connection.execute(
        update(t.lease).where(t.lease.c.name == NAME).values(fencing=fencing + 1, released_at=now, renewed_at=now)
    )
    record_event(connection, "lease_broken", {"fencing": fencing, "owner": lease.owner}, actor)
    return lease
