"""What query and ingest jobs of Bulk API 2.0 have in common: states, listing, formats, result files."""

from __future__ import annotations

import csv
import threading
import time
from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

from crmsync.sandbox.answers import Answer, ApiError, Call, not_found
from crmsync.sandbox.ids import JOB_PREFIX, to_18
from crmsync.sandbox.org import Org

DELIMITERS = {"COMMA": ",", "SEMICOLON": ";", "TAB": "\t", "PIPE": "|", "CARET": "^", "BACKQUOTE": "`"}
LINE_ENDINGS = {"LF": "\n", "CRLF": "\r\n"}
ENDED = ("JobComplete", "Failed", "Aborted")
MOST_LISTED = 1_000
WAIT_S = 25
_LOOK_S = 0.02  # how soon a job that stands still sees that it is aborted
_CHUNK = 256 * 1024


@dataclass(frozen=True)
class Format:
    """How the CSV of a job is written."""

    delimiter: str = "COMMA"
    line_ending: str = "LF"

    @property
    def comma(self) -> str:
        """The sign between cells."""
        return DELIMITERS[self.delimiter]

    @property
    def newline(self) -> str:
        """The end of a line."""
        return LINE_ENDINGS[self.line_ending]


def format_of(body: Mapping[str, Any]) -> Format:
    """The format that a job asks for. Errors: ApiError INVALIDJOB."""
    delimiter = body.get("columnDelimiter") or "COMMA"
    ending = body.get("lineEnding") or "LF"
    if (body.get("contentType") or "CSV") != "CSV":
        raise ApiError(400, "INVALIDJOB", "contentType must be CSV")
    if delimiter not in DELIMITERS or ending not in LINE_ENDINGS:
        raise ApiError(400, "INVALIDJOB", f"columnDelimiter {delimiter} or lineEnding {ending} is not supported")
    return Format(str(delimiter), str(ending))


@dataclass
class Job:
    """One job. `done` is set once it has ended by itself, `still` also while a fault makes it stand still in its
    middle; result files lie in `folder`."""

    id: str
    kind: str  # query or ingest
    operation: str
    object: str
    version: str
    created: str
    user_id: str
    format: Format
    folder: Path
    state: str
    processed: int = 0
    failed: int = 0
    error: str | None = None
    stop: bool = False
    done: threading.Event = field(default_factory=threading.Event)
    still: threading.Event = field(default_factory=threading.Event)
    lock: threading.RLock = field(default_factory=threading.RLock)

    def as_json(self) -> dict[str, Any]:
        """What creating, polling and listing tell of every job; polling and listing tell more."""
        return {
            "id": self.id, "operation": self.operation, "object": self.object, "createdById": self.user_id,
            "createdDate": f"{self.created}+0000", "systemModstamp": f"{self.created}+0000", "state": self.state,
            "concurrencyMode": "Parallel", "contentType": "CSV", "apiVersion": float(self.version),
            "lineEnding": self.format.line_ending, "columnDelimiter": self.format.delimiter,
        }  # fmt: skip

    def listed(self) -> dict[str, Any]:
        """What listing tells."""
        return self.as_json()

    @property
    def running(self) -> bool:
        """It has been started and has not ended."""
        return self.state in ("UploadComplete", "InProgress")

    def await_end(self, seconds: float) -> None:
        """Wait until it has ended, so long at most."""
        self.done.wait(seconds)

    def wait(self) -> None:
        """Give a running job time to end, so that a poll of a small job finds it done."""
        if self.running:
            self.still.wait(WAIT_S)

    def end(self, state: str, error: str | None = None) -> None:
        """The job has ended, unless it was aborted meanwhile."""
        with self.lock:
            if self.state not in ENDED:
                self.state, self.error = state, error
        self.done.set()
        self.still.set()

    def stand_still(self, off: threading.Event, seconds: float | None) -> None:
        """Do nothing for a time, or until the fault that asks for it is switched off, or the job is aborted."""
        until = time.monotonic() + (seconds if seconds is not None else float("inf"))
        self.still.set()
        while not self.stop and not off.is_set() and (left := until - time.monotonic()) > 0:
            off.wait(min(left, _LOOK_S))
        self.still.clear()

    def remove_files(self) -> None:
        """Delete the result files."""
        for path in self.folder.glob(f"{self.id}.*"):
            path.unlink(missing_ok=True)


def new_job_facts(org: Org, call: Call) -> dict[str, Any]:
    """The parts of a job that every new one has; its id is never given again, not even after a restart."""
    job_id = org.next_id(JOB_PREFIX)
    org.store.keep_facts({"numbers": org.numbers})
    return {
        "id": job_id, "version": call.version, "created": org.clock.now(), "user_id": org.acting_id,
        "folder": org.store.scratch,
    }  # fmt: skip


def keep(org: Org, job: Job) -> None:
    """The job is found from now on."""
    with org.lock:
        org.jobs[job.id] = job


def job_of(org: Org, call: Call, kind: str) -> Any:
    """The job that the path names. Errors: ApiError 404."""
    found = org.jobs.get(to_18(call.parts["job"]) or "")
    if found is None or found.kind != kind:
        raise not_found()
    return found


def listed(org: Org, call: Call, kind: str) -> Answer:
    """GET `/jobs/query` and `/jobs/ingest`: the jobs of that kind, newest first."""
    with org.lock:
        jobs = [job for job in org.jobs.values() if job.kind == kind][::-1]
    wanted = call.query.get("jobtype")
    jobs = [job for job in jobs if wanted is None or job.listed()["jobType"].lower() == wanted.lower()]
    start = int(call.query["querylocator"]) if call.query.get("querylocator", "").isdigit() else 0
    end = start + MOST_LISTED
    more = f"{call.root}/jobs/{kind}?queryLocator={end}" if end < len(jobs) else None
    return Answer({"done": more is None, "nextRecordsUrl": more, "records": [job.listed() for job in jobs[start:end]]})


def delete_job(org: Org, job: Job, states: Sequence[str]) -> Answer:
    """Delete an ended job with its results. Errors: ApiError while it is not ended."""
    if job.state not in states:
        raise ApiError(400, "API_ERROR", "Error encountered when deleting the job because the job is not terminated")
    with org.lock:
        org.jobs.pop(job.id, None)
    job.remove_files()
    return Answer(None, 204)


def stop_jobs(org: Org) -> None:
    """Let running jobs end after the rows they are at, because the org is closing."""
    with org.lock:
        running = [job for job in org.jobs.values() if job.running]
    for job in running:
        job.stop = True
    for job in running:
        job.await_end(WAIT_S)


class CsvFile:
    """A CSV file that knows where each of its rows begins. All values are quoted, null is `""`."""

    def __init__(self, path: Path, header: Sequence[str], form: Format) -> None:
        self.path = path
        self.starts = array("Q")
        self._file: BinaryIO = path.open("wb")
        self._writer = csv.writer(self, delimiter=form.comma, lineterminator=form.newline, quoting=csv.QUOTE_ALL)
        self._place = 0
        self._writer.writerow(header)
        self.head = self._place
        self.starts.pop()

    def write(self, text: str) -> int:
        """Called by the csv writer once per row."""
        data = text.encode("utf-8", "replace")
        self.starts.append(self._place)
        self._place += len(data)
        return self._file.write(data)

    def add(self, rows: Iterable[Sequence[Any]]) -> None:
        """Append rows."""
        self._writer.writerows(rows)

    def close(self) -> None:
        """Finish the file."""
        self.starts.append(self._place)
        self._file.close()

    @property
    def size(self) -> int:
        """Bytes of the file."""
        return self._place

    @property
    def rows(self) -> int:
        """Number of rows without the header, of a closed file."""
        return len(self.starts) - 1

    def pieces(self, first: int, count: int) -> Iterator[bytes]:
        """The header and these rows, piece by piece."""
        last = min(first + count, self.rows)
        with self.path.open("rb") as file:
            yield file.read(self.head)
            file.seek(self.starts[first])
            left = self.starts[last] - self.starts[first]
            while left > 0:
                piece = file.read(min(_CHUNK, left))
                left -= len(piece)
                yield piece


def csv_answer(org: Org, pieces: Iterator[bytes], headers: dict[str, str]) -> Answer:
    """An answer with CSV. The type says no charset, as in the field, unless the org was started to say it."""
    media = "text/csv; charset=UTF-8" if org.options.bulk_charset else "text/csv"
    return Answer(headers=headers, media_type=media, chunks=pieces)
