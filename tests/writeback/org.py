"""A small org for the outbox: records with effect counters in a SQLite file that outlives a killed process.

It works off a bulk job in chunks, one per look, can stop in the middle of a job, loses result rows, and answers any
call with a fault before or after its effect, as a script says. The sandbox is the real stand-in; this one can be killed
hundreds of times in seconds.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from crmsync.connectors.base import Into, JobState, Write, Written
from crmsync.errors import Retriable

Fault = str | None
"""None, `before` (no effect, no answer), `after` (effect, but no answer)."""

SCHEMA = """
CREATE TABLE IF NOT EXISTS record (id TEXT PRIMARY KEY, held TEXT NOT NULL, effects INTEGER NOT NULL DEFAULT 0);
CREATE TABLE IF NOT EXISTS job (id INTEGER PRIMARY KEY, state TEXT NOT NULL, upload TEXT, results TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS call (name TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS effect (place INTEGER PRIMARY KEY, id TEXT NOT NULL);
"""


def no_fault(call: str) -> Fault:  # noqa: ARG001
    return None


JOB_CALLS = ("create_job", "upload_job", "start_job")


class Org:
    """A write-back target. `refuses`: record id -> the CRM's own words for refusing it."""

    def __init__(
        self,
        path: Path | None = None,
        *,
        bulk_from: int | None = None,
        chunk: int = 3,
        stops_after: int | None = None,
        fault: Callable[[str], Fault] = no_fault,
        refuses: Mapping[str, str] | None = None,
        hides: frozenset[str] = frozenset(),
        name: str = "org:test",
    ) -> None:
        self.bulk_from = bulk_from
        self.chunk = chunk
        self.stops_after = stops_after  # a job fails after so many rows; the rest stays unprocessed
        self.fault = fault
        self.refuses = dict(refuses or {})
        self.hides = hides  # records that results do not list
        self.name = name
        self.locks: dict[str, int] = {}  # record id -> how often it is locked by another write
        self.edits_of_locks: dict[str, Mapping[str, str | None]] = {}  # record id -> what that other write puts there
        self.store = sqlite3.connect(path or ":memory:", isolation_level=None)
        self.store.execute("PRAGMA synchronous=OFF")
        self.store.executescript(SCHEMA)

    # The test's side

    def put(self, record_id: str, held: Mapping[str, str | None]) -> None:
        """Set a record as a person would."""
        self.store.execute(
            "INSERT INTO record (id, held) VALUES (?, ?) ON CONFLICT (id) DO UPDATE SET held = excluded.held",
            (record_id, json.dumps(dict(held))),
        )

    def held(self, record_id: str) -> dict[str, str | None]:
        """What a record holds."""
        (text,) = self.store.execute("SELECT held FROM record WHERE id = ?", (record_id,)).fetchone()
        return dict(json.loads(text))

    def has(self, record_id: str) -> bool:
        """Whether there is such a record."""
        return self.store.execute("SELECT 1 FROM record WHERE id = ?", (record_id,)).fetchone() is not None

    def delete(self, record_id: str) -> None:
        """Delete a record as a person would."""
        self.store.execute("DELETE FROM record WHERE id = ?", (record_id,))

    def effects(self) -> dict[str, int]:
        """How often each record was really written."""
        return dict(self.store.execute("SELECT id, effects FROM record ORDER BY id"))

    def order(self) -> list[str]:
        """The records as they were written."""
        return [row[0] for row in self.store.execute("SELECT id FROM effect ORDER BY place")]

    def calls(self, name: str) -> int:
        """How often a call was made."""
        return int(self.store.execute("SELECT count(*) FROM call WHERE name = ?", (name,)).fetchone()[0])

    def write_calls(self) -> int:
        """Calls that may change something."""
        return sum(self.calls(name) for name in ("write_one", "write_several", *JOB_CALLS))

    # The worker's side

    def into(self, into: Into) -> Beside:
        return Beside(self, into)

    def identity(self) -> str:
        return self.name

    def read(self, record_ids: Sequence[str], fields: Sequence[str]) -> dict[str, dict[str, str | None]]:
        self.call("read")
        found = {}
        for record_id in record_ids:
            row = self.store.execute("SELECT held FROM record WHERE id = ?", (record_id,)).fetchone()
            if row is not None:
                held = json.loads(row[0])
                found[record_id] = {name: held.get(name) for name in fields}
        return found

    def write_one(self, write: Write) -> Written:
        fault = self.call("write_one", raises_after=False)
        held = self.store.execute("SELECT held FROM record WHERE id = ?", (write.record_id,)).fetchone()
        if held is None:
            return Written(write.record_id, "failed", "ENTITY_IS_DELETED", "entity is deleted")
        now = json.loads(held[0])
        if any(now.get(name) != value for name, value in write.expected.items()):
            return Written(write.record_id, "conflict")
        written = self.effect(write.record_id, write.values)
        return Written(write.record_id, "unknown", message="timeout") if fault == "after" else written

    def create_job(self) -> str:
        fault = self.call("create_job", raises_after=False)
        cursor = self.store.execute("INSERT INTO job (state, results) VALUES ('open', '[]')")
        if fault == "after":
            raise Retriable("create_job: answer lost")
        return str(cursor.lastrowid)

    def upload_job(self, job_id: str, writes: Sequence[Write]) -> None:
        fault = self.call("upload_job", raises_after=False)
        rows = json.dumps([[write.record_id, dict(write.values)] for write in writes])
        done = self.store.execute(
            "UPDATE job SET upload = ? WHERE id = ? AND state = 'open' AND upload IS NULL", (rows, job_id)
        )
        assert done.rowcount == 1, "one upload per open job"
        if fault == "after":
            raise Retriable("upload_job: answer lost")

    def start_job(self, job_id: str) -> None:
        fault = self.call("start_job", raises_after=False)
        done = self.store.execute("UPDATE job SET state = 'running' WHERE id = ? AND state = 'open'", (job_id,))
        assert done.rowcount == 1, "a job is started once"
        if fault == "after":
            raise Retriable("start_job: answer lost")

    def job_state(self, job_id: str) -> JobState:
        self.call("job_state")
        row = self.store.execute("SELECT state, upload, results FROM job WHERE id = ?", (job_id,)).fetchone()
        if row is None:
            return JobState("gone")
        state, upload, results = row[0], json.loads(row[1] or "[]"), json.loads(row[2])
        if state == "running":
            state = self._work(job_id, upload, results)
        return JobState(state, len(results), 0, "job stopped by the platform" if state == "failed" else None)

    def job_results(self, job_id: str) -> Iterator[Written]:
        self.call("job_results")
        (text,) = self.store.execute("SELECT results FROM job WHERE id = ?", (job_id,)).fetchone()
        for record_id, state, code, message in json.loads(text):
            if record_id not in self.hides:
                yield Written(record_id, state, code, message)

    def _work(self, job_id: str, upload: list[list[object]], results: list[list[object]]) -> str:
        self.store.execute("BEGIN IMMEDIATE")
        state = "running"
        for record_id, values in upload[len(results) : len(results) + self.chunk]:
            if self.stops_after is not None and len(results) >= self.stops_after:
                state = "failed"
                break
            written = self.effect(str(record_id), values)  # type: ignore[arg-type]
            results.append([written.record_id, written.state, written.code, written.message])
        if state == "running" and len(results) == len(upload):
            state = "done"
        self.store.execute("UPDATE job SET state = ?, results = ? WHERE id = ?", (state, json.dumps(results), job_id))
        self.store.execute("COMMIT")
        return state

    def effect(self, record_id: str, values: Mapping[str, str | None]) -> Written:
        """Write one record; each write counts."""
        row = self.store.execute("SELECT held FROM record WHERE id = ?", (record_id,)).fetchone()
        if row is None:
            return Written(record_id, "failed", "ENTITY_IS_DELETED", "entity is deleted")
        if self.locks.get(record_id):
            self.locks[record_id] -= 1
            if record_id in self.edits_of_locks:
                self.put(record_id, self.edits_of_locks[record_id])
            return Written(record_id, "failed", "UNABLE_TO_LOCK_ROW", "unable to obtain exclusive access")
        if record_id in self.refuses:
            return Written(record_id, "failed", "FIELD_CUSTOM_VALIDATION_EXCEPTION", self.refuses[record_id])
        held = json.dumps({**json.loads(row[0]), **values})
        self.store.execute("UPDATE record SET held = ?, effects = effects + 1 WHERE id = ?", (held, record_id))
        self.store.execute("INSERT INTO effect (id) VALUES (?)", (record_id,))
        return Written(record_id, "applied")

    def call(self, name: str, *, raises_after: bool = True) -> Fault:
        """Note a call; raises where the script lets it fail."""
        self.store.execute("INSERT INTO call VALUES (?)", (name,))
        fault = self.fault(name)
        if fault == "before" or (fault == "after" and raises_after):
            raise Retriable(f"{name}: no answer")
        return fault


class Beside(Org):
    """The records of another object of the same org: they stand in its store as `Object/key`."""

    several = 5

    def __init__(self, org: Org, into: Into) -> None:
        super().__init__(bulk_from=org.bulk_from, chunk=org.chunk, stops_after=org.stops_after, fault=org.fault)
        self.store, self.refuses, self.name, self.object = org.store, org.refuses, org.name, into.object
        self.locks, self.edits_of_locks = org.locks, org.edits_of_locks
        self.keyed = into.key is not None

    def named(self, key: str) -> str:
        return f"{self.object}/{key}"

    def read(self, record_ids: Sequence[str], fields: Sequence[str]) -> dict[str, dict[str, str | None]]:
        found = super().read([self.named(key) for key in record_ids], fields)
        return {key: found[self.named(key)] for key in record_ids if self.named(key) in found}

    def write_several(self, writes: Sequence[Write]) -> list[Written]:
        fault = self.call("write_several", raises_after=False)
        written = [self.effect(write.record_id, write.values) for write in writes]
        if fault == "after":
            raise Retriable("write_several: answer lost")
        return written

    def effect(self, record_id: str, values: Mapping[str, str | None]) -> Written:
        if self.keyed:
            self.store.execute("INSERT OR IGNORE INTO record (id, held) VALUES (?, '{}')", (self.named(record_id),))
        written = super().effect(self.named(record_id), values)
        return Written(record_id, written.state, written.code, written.message)
