"""Write-back to a folder: `writeback.csv` with a row per partner, and a file for each kind of record beside it, each
replaced as a whole or not at all.

Single writes replace the file each time; many go as a job, which replaces it once. A job is a file of its own beside
it until it is started, so that a run that dies has changed nothing or everything.
"""

from __future__ import annotations

import csv
import json
import os
import secrets
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

from crmsync.connectors.base import JobState, Write, Written
from crmsync.connectors.files_headings import read_shape
from crmsync.connectors.files_records import read_blocks
from crmsync.connectors.files_split import split
from crmsync.errors import ConfigError, DataError, StoreError

FILE = "writeback.csv"
BESIDE = {"standings": "writeback_standings.csv", "history": "writeback_history.csv"}
"""What stands beside a partner: the file of each kind of record."""
OURS = frozenset({FILE, *BESIDE.values()})
PARTNER, KEY = "partner_id", "key"
JOBS = ".writeback"
RECORD_ID = "record_id"
_FORGET_JOBS_AFTER_S = 7 * 24 * 3600

Values = dict[str, str | None]


class Writeback:
    """One file of a folder that is written to. A record that was never written holds nothing but its id.

    `name`: the file's, by default that of the partners.
    """

    def __init__(self, folder: Path, name: str = FILE) -> None:
        self._folder = folder
        self._path = folder / name
        self._jobs = folder / JOBS

    def records(self) -> dict[str, Values]:
        """What the file holds, by record id. Errors: ConfigError with the line when somebody damaged it."""
        return self._read()[1]

    def fields(self) -> tuple[str, ...]:
        """The fields that the file has, in its order."""
        return self._read()[0]

    def write(self, writes: Iterable[Write]) -> list[Written]:
        """Write what still holds its expected values; the file is replaced once. Errors: StoreError."""
        fields, records = self._read()
        judged = [_judged(write, records) for write in writes]
        known = dict.fromkeys(fields)
        for changed in (change for _, change in judged if change):
            known.update(dict.fromkeys(changed))
        if any(change for _, change in judged):
            self._replace(tuple(known), records)
        return [written for written, _ in judged]

    # --- jobs

    def create_job(self) -> str:
        """Open a job; jobs that were forgotten a week ago are removed."""
        job_id = secrets.token_hex(8)
        with _storing(self._jobs):
            self._jobs.mkdir(exist_ok=True)
            before = time.time() - _FORGET_JOBS_AFTER_S
            for path in self._jobs.iterdir():
                if path.stat().st_mtime < before:
                    path.unlink(missing_ok=True)
            self._job(job_id, "open").write_text("", encoding="utf-8")
        return job_id

    def upload_job(self, job_id: str, writes: Sequence[Write]) -> None:
        """Keep the writes of an open job."""
        self._require_open(job_id)
        _replace_text(self._job(job_id, "open"), (json.dumps(asdict(write)) for write in writes))

    def start_job(self, job_id: str) -> None:
        """Write the job's records, then keep their outcomes."""
        self._require_open(job_id)
        lines = self._job(job_id, "open").read_text(encoding="utf-8").splitlines()
        written = self.write(Write(**json.loads(line)) for line in lines)
        _replace_text(self._job(job_id, "done"), (json.dumps(asdict(one)) for one in written))
        self._job(job_id, "open").unlink(missing_ok=True)

    def job_state(self, job_id: str) -> JobState:
        """Whether a job is open, done or unknown."""
        if self._job(job_id, "done").is_file():
            results = list(self.job_results(job_id))
            return JobState("done", len(results), sum(1 for one in results if one.state == "failed"))
        return JobState("open" if self._job(job_id, "open").is_file() else "gone")

    def job_results(self, job_id: str) -> Iterator[Written]:
        """Outcome per record of a finished job."""
        path = self._job(job_id, "done")
        for line in path.read_text(encoding="utf-8").splitlines() if path.is_file() else ():
            yield Written(**json.loads(line))

    def _job(self, job_id: str, state: str) -> Path:
        if not job_id.isalnum():
            raise DataError(f"`{job_id}` is not the id of a job of {self._path}")
        return self._jobs / f"{job_id}.{state}"

    def _require_open(self, job_id: str) -> None:
        if not self._job(job_id, "open").is_file():
            raise DataError(f"{self._path}: job {job_id} is not open")

    # --- the file

    def _read(self) -> tuple[tuple[str, ...], dict[str, Values]]:
        if not self._path.exists():
            return (), {}
        shape = read_shape(self._path)
        if RECORD_ID not in shape.headings:
            raise ConfigError(f"has no column {RECORD_ID}", file=str(self._path), line=shape.heading_line)
        records: dict[str, Values] = {}
        for block in read_blocks(shape):
            cells = split(block, shape)
            for fault in cells.faults:
                line = int(block.index.lines[fault.record])
                raise ConfigError(f"cannot be read: {fault.reason}", file=str(self._path), line=line)
            for row in cells.table.rename_columns(list(shape.headings)).to_pylist():
                record_id = row.pop(RECORD_ID)
                if record_id is None or record_id in records:
                    said = (
                        "a row without a record_id" if record_id is None else f"record `{record_id}` stands there twice"
                    )
                    raise ConfigError(said, file=str(self._path))
                records[record_id] = row
        return tuple(name for name in shape.headings if name != RECORD_ID), records

    def _replace(self, fields: Sequence[str], records: Mapping[str, Values]) -> None:
        temporary = self._path.with_name(f".{self._path.name}.{secrets.token_hex(4)}")
        with _storing(self._path, temporary):
            with temporary.open("w", encoding="utf-8", newline="") as stream:
                writer = csv.writer(stream)
                writer.writerow((RECORD_ID, *fields))
                writer.writerows(
                    (record_id, *(records[record_id].get(name) for name in fields)) for record_id in sorted(records)
                )
                stream.flush()
                os.fsync(stream.fileno())
            os.replace(temporary, self._path)
            _keep_name(self._path.parent)  # the ledger takes it for written, so it must outlive a power cut


def _judged(write: Write, records: dict[str, Values]) -> tuple[Written, Values]:
    """What becomes of a write, and the values that it puts into `records` (none where it changes nothing)."""
    held = records.get(write.record_id, {})
    if all(_same(held.get(name), value) for name, value in write.values.items()):
        return Written(write.record_id, "applied"), {}
    differing = sorted(name for name, value in write.expected.items() if not _same(held.get(name), value))
    if differing:
        name = differing[0]
        words = f"{name} is {held.get(name)!r}, but {write.expected[name]!r} was expected"
        return Written(write.record_id, "conflict", "CHANGED_SINCE_PLAN", words), {}
    change = {name: value or None for name, value in write.values.items()}
    records.setdefault(write.record_id, {}).update(change)
    return Written(write.record_id, "applied"), change


def _same(one: str | None, other: str | None) -> bool:
    return (one or None) == (other or None)


def _replace_text(path: Path, lines: Iterable[str]) -> None:
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    with _storing(path, temporary):
        with temporary.open("w", encoding="utf-8") as stream:
            stream.writelines(line + "\n" for line in lines)
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(temporary, path)


def _keep_name(folder: Path) -> None:
    if not hasattr(os, "O_DIRECTORY"):
        return
    descriptor = os.open(folder, os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def _storing(path: Path, temporary: Path | None = None) -> Iterator[None]:
    """Turns what the disk says into a StoreError, and removes what was half written."""
    try:
        yield
    except OSError as error:
        raise StoreError(f"{path}: cannot be written: {error.strerror or error}") from error
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)
