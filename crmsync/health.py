"""Whether a worker lives, and whether it does what it should: judged from its signs of life and from the ledger."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import structlog
from filelock import FileLock, Timeout

from crmsync.due import Duties
from crmsync.ledger import slots as book
from crmsync.ledger.ledger import Ledger
from crmsync.schedule import slots_between
from crmsync.worker import Pulse

log = structlog.get_logger()

STUCK_S = 180.0  # the loop turns at least once a minute
LONGEST_RUN_S = 12 * 3600.0  # every call has a time limit; what lasts longer hangs
MISSED_SLOTS = 2  # one failed run is tried again; two are somebody's business
GRACE = timedelta(minutes=10)
LOOKED_BACK = timedelta(days=800)
ADDRESS_FILE, ADDRESS_LOCK = "worker.json", "worker.lock"
ANSWER_S = 10.0
ANSWER_BYTES = 64 * 1024


@dataclass(frozen=True)
class Health:
    """`alive`: a worker that is not is to be started anew. `reasons`: why it is not ready, for people."""

    alive: bool
    reasons: tuple[str, ...] = ()

    @property
    def ready(self) -> bool:
        """Whether everything is done that is due."""
        return self.alive and not self.reasons


def is_alive(pulse: Pulse, now: float) -> bool:
    """Whether the loop turns, or a run has not lasted beyond all measure. `now`: monotonic."""
    since = pulse.running_since
    return now - pulse.beat_at < STUCK_S if since is None else now - since < LONGEST_RUN_S


def overdue(ledger: Ledger, duties: Duties, now: datetime) -> list[str]:
    """The schedules of which two slots in a row were not run, each with its last one. A blocked plan waits for a person
    and a run under way may be the one that catches up: neither is overdue."""
    if _runs_now(ledger):
        return []
    return [told for schedule in duties.schedules for told in _overdue(ledger, duties, schedule.name, now)]


def _runs_now(ledger: Ledger) -> bool:
    """Whether a run is under way. The lock itself is tried only where the lease says so: to try it is to take it."""
    lease = ledger.lease()
    return lease is not None and lease.released_at is None and ledger.is_running()


def _overdue(ledger: Ledger, duties: Duties, name: str, now: datetime) -> Iterator[str]:
    schedule = duties.schedule(name)
    last = book.last_run(ledger, name, now)
    since = last.due_at if last else book.began(ledger, name)
    if schedule is None or since is None or since > now:
        return
    since = max(since, now - LOOKED_BACK)
    missed = slots_between(schedule, duties.zone, since, now - GRACE, duties.days(schedule))
    if len(missed) >= MISSED_SLOTS:
        done = f"the last one done is {last.period}" if last else "none was ever done"
        newest = next(iter(book.newest_slots(ledger, name, 1, until=now)), None)
        passed = f"; {newest.told}" if newest and newest.state == "skipped" and newest.told else ""
        yield f"schedule {name}: {len(missed)} slots were not run; {done}{passed}"


@dataclass(frozen=True)
class Address:
    """Where the worker of this state folder answers."""

    host: str
    pid: int
    url: str


@contextlib.contextmanager
def known_address(state_dir: Path, url: str) -> Iterator[None]:
    """Say in the state folder where this process answers, for as long as the block lasts.

    It holds a lock meanwhile, which the kernel frees however the process dies: what a dead one left is not believed,
    also where another process got its number. The second worker of a folder leaves the first one's word alone.
    """
    path, lock = state_dir / ADDRESS_FILE, _lock_of(state_dir)
    try:
        lock.acquire(timeout=1)
    except (Timeout, OSError) as error:
        log.warning("worker_address_not_noted", path=str(path), told=str(error) or type(error).__name__)
        yield
        return
    try:
        path.write_text(json.dumps({"host": socket.gethostname(), "pid": os.getpid(), "url": url}), encoding="utf-8")
        yield
    finally:
        path.unlink(missing_ok=True)
        lock.release()


def _lock_of(state_dir: Path) -> FileLock:
    return FileLock(state_dir / ADDRESS_LOCK, thread_local=False)


def address_of_worker(state_dir: Path) -> Address | None:
    """Where the worker answers; None when there is none on this machine, or it is gone."""
    try:
        found = json.loads((state_dir / ADDRESS_FILE).read_text(encoding="utf-8"))
        address = Address(str(found["host"]), int(found["pid"]), str(found["url"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return address if address.host == socket.gethostname() and _lives(state_dir) else None


def _lives(state_dir: Path) -> bool:
    """Whether the process that noted its address still runs; to ask is to take its lock for a moment."""
    lock = _lock_of(state_dir)
    try:
        lock.acquire(timeout=0)
    except (Timeout, OSError):
        return True
    lock.release()
    return False


def ask(address: Address, path: str) -> tuple[int, str]:
    """Status and text of one of the worker's pages; status 0 when it does not answer."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(f"{address.url}{path}", timeout=ANSWER_S) as answer:
            return answer.status, answer.read(ANSWER_BYTES).decode("utf-8", "replace")
    except urllib.error.HTTPError as refused:
        with refused:
            return refused.code, refused.read(ANSWER_BYTES).decode("utf-8", "replace")
    except (OSError, ValueError) as error:
        return 0, f"process {address.pid} does not answer at {address.url}{path}: {error}"


def health_of_worker(address: Address) -> Health:
    """What a running worker says of itself."""
    status, told = ask(address, "/healthz")
    if status != 200:
        return Health(False, (told.strip() or f"/healthz answers {status}",))
    status, told = ask(address, "/readyz")
    if status == 200:
        return Health(True)
    return Health(True, tuple(line for line in told.splitlines() if line) or (f"/readyz answers {status}",))
