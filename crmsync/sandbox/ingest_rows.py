"""What an ingest job does with its upload: row by row, each succeeds or fails by itself."""

from __future__ import annotations

import csv
import logging
import re
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextvars import copy_context
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from crmsync.sandbox.allowance import ROWS_PER_BATCH, UsedUpError
from crmsync.sandbox.answers import ApiError
from crmsync.sandbox.effects import job_at_work
from crmsync.sandbox.faults import job_error, twist
from crmsync.sandbox.jobs import CsvFile, Format, Job
from crmsync.sandbox.org import Org
from crmsync.sandbox.rows import Rows, SeveralFoundError
from crmsync.sandbox.schema import Field, SObject
from crmsync.sandbox.values import from_text

MOST_HEADER = 32_000
MOST_CELL = 32_000
MOST_ROW = 400_000
MOST_COLUMNS = 5_000
_ROWS_AT_ONCE = 200
_SPACE_BEFORE_QUOTE = re.compile(r'[ \t]+".*"[ \t]*\Z', re.DOTALL)


class BadBatchError(Exception):
    """The upload as a whole cannot be used: the job fails."""


@dataclass
class IngestJob(Job):
    """An ingest job, its upload and its three result files; `started` once it may change records."""

    key: str | None = None
    started: bool = False
    upload: Path | None = None
    files: dict[str, CsvFile] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """The state and where the upload goes."""
        body: dict[str, Any] = {}
        for name, value in super().as_json().items():
            if name == "concurrencyMode" and self.key:
                body["externalIdFieldName"] = self.key
            if name == "lineEnding":
                body["contentUrl"] = f"services/data/v{self.version}/jobs/ingest/{self.id}/batches"
            body[name] = value
        return body

    def listed(self) -> dict[str, Any]:
        """What listing tells."""
        return self.as_json() | {"jobType": "V2Ingest"}

    def with_figures(self) -> dict[str, Any]:
        """What polling tells."""
        took = 30 + self.processed // 20
        figures: dict[str, Any] = {
            "retries": 0, "totalProcessingTime": took, "apiActiveProcessingTime": took // 2, "apexProcessingTime": 0,
            "numberRecordsProcessed": self.processed, "numberRecordsFailed": self.failed,
        }  # fmt: skip
        return self.listed() | figures | ({"errorMessage": self.error} if self.error else {})


def start(org: Org, job: IngestJob) -> None:
    """Let the job change records, in a thread of its own."""
    job.state, job.started = "UploadComplete", True
    # the thread acts as the user of this call
    threading.Thread(target=copy_context().run, args=(_run, org, job), name=job.id, daemon=True).start()


@dataclass
class _Outcome:
    """The rows of a job by what became of them; cells as they were uploaded."""

    header: list[str]
    done: list[list[str]] = field(default_factory=list)
    failed: list[list[str]] = field(default_factory=list)
    left: list[list[str]] = field(default_factory=list)


def _run(org: Org, job: IngestJob) -> None:
    outcome = _Outcome([])
    job_at_work(job.id)
    try:
        with job.lock:
            if job.state == "UploadComplete":
                job.state = "InProgress"
        _process(org, job, outcome)
        ending, error = "JobComplete", None
    except BadBatchError as bad:
        ending, error = "Failed", str(bad)
    except Exception:
        logging.getLogger(__name__).exception("ingest job %s failed", job.id)
        ending, error = "Failed", "Unknown : An unexpected error occurred."
    _write_results(org, job, outcome)
    job.end(ending, error)
    if job.upload is not None:
        job.upload.unlink(missing_ok=True)


def _process(org: Org, job: IngestJob, outcome: _Outcome) -> None:
    sobject = org.visible.find(job.object)
    if sobject is None or job.upload is None:
        raise BadBatchError("InvalidBatch : no rows were uploaded")
    lines = _lines(job.upload, job.format)
    outcome.header = next(lines, [])
    try:
        _check_header(sobject, job, outcome.header)
    except BadBatchError:
        outcome.left += lines
        raise
    chunk: list[list[str]] = []
    problem: str | None = None
    pauses = _Pauses()
    try:
        for number, cells in enumerate(lines):
            if pauses.due(number):
                _write_chunk(org, job, sobject, chunk, outcome)
                chunk = []
                pauses.take(job, number)
            problem = problem or _stops(org, number)
            if problem is not None:
                outcome.left.append(cells)
                continue
            chunk.append(cells)
            if len(chunk) == _ROWS_AT_ONCE:
                _write_chunk(org, job, sobject, chunk, outcome)
                chunk = []
    except BadBatchError:
        outcome.left += chunk  # a line that cannot be read ends the job before these are written
        raise
    _write_chunk(org, job, sobject, chunk, outcome)
    if pauses.due(None):
        pauses.take(job, None)
    problem = problem or _stops(org, None)
    if problem is not None:
        raise BadBatchError(problem)


class _Pauses:
    """Where a fault makes the job stand still: after so many rows, then after every so many, or after the last one."""

    def __init__(self) -> None:
        given = twist().value("job_waits")
        self.off = twist().off("job_waits")
        self.next: int | None = int(given.get("after", given.get("every", 0))) if given is not None else None
        self.every: int | None = given.get("every") if given is not None else None
        self.seconds = float(given["ms"]) / 1000 if given is not None and "ms" in given else None

    def due(self, number: int | None) -> bool:
        """Before the row of that number, or (None) after the last one where no row was far enough."""
        return self.next is not None and (number is None or number >= self.next)

    def take(self, job: IngestJob, number: int | None) -> None:
        """Stand still, and know when to do so again."""
        self.next = number + self.every if number is not None and self.every else None
        if self.off is not None:
            job.stand_still(self.off, self.seconds)


def _stops(org: Org, number: int | None) -> str | None:
    """Why a job ends before its row of that number, or (None) after its last one: a fault, or no batch left."""
    fails = twist().value("job_fails")
    most = int(fails.get("after", 0)) if isinstance(fails, Mapping) else 0
    if fails is not None and (number is None or number >= most):
        return job_error(fails)
    if number is not None and number % ROWS_PER_BATCH == 0:
        try:
            org.allowance.take_batch()
        except UsedUpError as error:
            return str(error)
    return None


def _lines(path: Path, form: Format) -> Iterator[list[str]]:
    """The rows of an upload. Errors: BadBatchError."""
    csv.field_size_limit(10_000_000)
    try:
        with path.open(encoding="utf-8", newline="") as file:
            head = file.readline(MOST_HEADER + 2)
            if len(head) > MOST_HEADER:
                raise BadBatchError("InvalidBatch : the header row is longer than 32,000 characters")
            if head.endswith("\n") and head.endswith("\r\n") != (form.line_ending == "CRLF"):
                raise BadBatchError(
                    "ClientInputError : LineEnding is invalid on user data. "
                    f"Current LineEnding setting is {form.line_ending}"
                )
            file.seek(0)
            reader = csv.reader(file, delimiter=form.comma, strict=True)
            width = 0
            for cells in reader:
                if not cells:
                    continue
                width = width or len(cells)
                if len(cells) != width:
                    raise BadBatchError(
                        f"InvalidBatch : row at line {reader.line_num} has {len(cells)} cells, the header has {width}"
                    )
                yield cells
    except UnicodeDecodeError:
        raise BadBatchError("InvalidBatch : the rows are not UTF-8 text") from None
    except csv.Error as error:
        raise BadBatchError(f"InvalidBatch : Failed to parse CSV: {error}") from None


def _check_header(sobject: SObject, job: IngestJob, header: Sequence[str]) -> None:
    if not header:
        raise BadBatchError("InvalidBatch : the upload has no header row")
    if len(header) > MOST_COLUMNS:
        raise BadBatchError(f"InvalidBatch : the header has {len(header)} fields, {MOST_COLUMNS} are allowed")
    if len({name.lower() for name in header}) < len(header):
        raise BadBatchError("InvalidBatch : a field name stands twice in the header")
    for name in header:
        first, dot, _ = name.partition(".")
        known = sobject.by_relationship.get(first.lower()) if dot else sobject.field(name)
        if known is None or known.kind == "compound":
            raise BadBatchError(f"InvalidBatch : Field name not found : {name}")
    needed = {"update": "Id", "delete": "Id"}.get(job.operation, job.key)
    if needed and needed.lower() not in (name.lower() for name in header):
        raise BadBatchError(f"InvalidBatch : Field name not found : {needed}")
    if job.operation == "delete" and len(header) > 1:
        raise BadBatchError("InvalidBatch : a delete takes the column Id only")


def _write_chunk(org: Org, job: IngestJob, sobject: SObject, chunk: list[list[str]], outcome: _Outcome) -> None:
    if not chunk:
        return
    if job.stop:
        outcome.left += chunk
        return
    writer = _RowWriter(org, job, sobject, outcome.header, chunk)
    with org.rows() as rows:
        written = [writer.outcome(rows, cells) for cells in chunk]
    for record_id, created, error, cells in written:
        if error is None:
            outcome.done.append([record_id, created, *cells])
        else:
            outcome.failed.append([record_id, error, *cells])
    with job.lock:
        job.processed += len(chunk)
        job.failed = len(outcome.failed)


class _RowWriter:
    """Writes the rows of one chunk by the job's operation."""

    def __init__(self, org: Org, job: IngestJob, sobject: SObject, header: list[str], chunk: list[list[str]]) -> None:
        self.org, self.job, self.sobject, self.header = org, job, sobject, header
        lowered = [name.lower() for name in header]
        self.id_place = lowered.index("id") if "id" in lowered else None
        self.key: Field | None = sobject.field(job.key) if job.key else None
        self.key_place = lowered.index(job.key.lower()) if job.key else None
        self.twice = self._repeated(chunk)

    def _repeated(self, chunk: list[list[str]]) -> set[str]:
        if self.key is None or self.key_place is None:
            return set()
        seen: set[str] = set()
        twice: set[str] = set()
        for cells in chunk:
            value = self._folded(cells[self.key_place])
            (twice if value in seen else seen).add(value)
        return twice - {""}

    def _folded(self, value: str) -> str:
        return value if self.key is None or self.key.case_sensitive or self.key.kind == "id" else value.casefold()

    def outcome(self, rows: Rows, cells: list[str]) -> tuple[str, str, str | None, list[str]]:
        """(record id, created as text, error or None, cells)."""
        given_id = cells[self.id_place] if self.id_place is not None else ""
        try:
            record_id, created = self._written(rows, cells, given_id)
        except ApiError as error:
            return given_id, "", sf_error(error), cells
        except SeveralFoundError as many:
            found = ApiError(
                300, "DUPLICATE_EXTERNAL_ID", f"external id is on {len(many.ids)} records", [str(self.job.key)]
            )
            return "", "", sf_error(found), cells
        return record_id, "true" if created else "false", None, cells

    def _written(self, rows: Rows, cells: list[str], given_id: str) -> tuple[str, bool]:
        if self.job.operation == "delete":
            return rows.delete(self.sobject, _needed(given_id, "a delete")), False
        values = {
            name: None if cell == "#N/A" else cell for name, cell in zip(self.header, cells, strict=True) if cell != ""
        }
        long = next((name for name, cell in values.items() if cell is not None and len(cell) > MOST_CELL), None)
        if long:
            raise ApiError(400, "STRING_TOO_LONG", f"{long}: a cell may hold {MOST_CELL} characters", [long])
        if sum(map(len, cells)) > MOST_ROW:
            raise ApiError(400, "STRING_TOO_LONG", f"a record may hold {MOST_ROW} characters", [])
        apart = next((name for name, cell in values.items() if cell and _SPACE_BEFORE_QUOTE.match(cell)), None)
        if apart:
            raise ApiError(400, "INVALID_FIELD", f"{apart}: spaces stand outside of the quotes", [apart])
        if self.job.operation == "insert":
            return rows.create(self.sobject, values, from_text), True
        if self.job.operation == "update":
            return rows.update(self.sobject, _needed(given_id, "an update"), values, from_text), False
        return self._upserted(rows, values)

    def _upserted(self, rows: Rows, values: dict[str, str | None]) -> tuple[str, bool]:
        assert self.key is not None
        value = next((cell for name, cell in values.items() if name.lower() == self.key.name.lower()), None)
        rest = {name: cell for name, cell in values.items() if name.lower() not in (self.key.name.lower(), "id")}
        if value is None and self.key.name == "Id":
            return rows.create(self.sobject, rest, from_text), True
        if value is None:
            raise ApiError(400, "MISSING_ARGUMENT", f"{self.key.name} not specified", [])
        if self._folded(value) in self.twice:
            raise ApiError(400, "DUPLICATE_VALUE", f"Duplicate external id specified: {value}", [self.key.name])
        return rows.upsert(self.sobject, self.key, value, rest, from_text)


def _needed(record_id: str, call: str) -> str:
    if not record_id:
        raise ApiError(400, "MISSING_ARGUMENT", f"Id not specified in {call} call", [])
    return record_id


def sf_error(error: ApiError) -> str:
    """The text of `sf__Error`: CODE:message:FIELDS--."""
    code, message = error.code, error.message
    if code == "NOT_FOUND":
        code, message = "INVALID_CROSS_REFERENCE_KEY", "invalid cross reference id"
    fields = ", ".join(error.fields or ())
    rest = [sf_error(each) for each in error.more]
    return ";".join([f"{code}:{message}:{fields + ' ' if fields else ''}--", *rest])


def _write_results(org: Org, job: IngestJob, outcome: _Outcome) -> None:
    """The three result files. Their order is not the upload's, as a real org does not promise it either."""
    shuffle = org.random(f"results {job.id}").shuffle
    for rows in (outcome.done, outcome.failed):
        shuffle(rows)
    parts = (
        ("successful", ["sf__Id", "sf__Created", *outcome.header], outcome.done),
        ("failed", ["sf__Id", "sf__Error", *outcome.header], outcome.failed),
        ("unprocessed", outcome.header, outcome.left),
    )
    for name, header, rows in parts if outcome.header else ():
        file = CsvFile(job.folder / f"{job.id}.{name}", header, job.format)
        file.add(rows)
        file.close()
        job.files[name] = file
