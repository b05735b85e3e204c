"""Jobs of the first Bulk API and their batches: what a batch does with its rows or its query."""

from __future__ import annotations

import csv
import io
import json
import logging
import threading
from collections.abc import Mapping
from contextvars import copy_context
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from crmsync.sandbox.allowance import UsedUpError
from crmsync.sandbox.answers import ApiError
from crmsync.sandbox.effects import job_at_work
from crmsync.sandbox.ingest_rows import sf_error
from crmsync.sandbox.jobs import CsvFile, Format
from crmsync.sandbox.org import Org
from crmsync.sandbox.queries import bulk_rows, compiled, records_of
from crmsync.sandbox.rows import Rows, SeveralFoundError
from crmsync.sandbox.schema import Field, SObject
from crmsync.sandbox.values import from_json, from_text

BATCH_PREFIX, RESULT_PREFIX = "751", "752"
MOST_ROWS = 10_000
_ROWS_AT_ONCE = 200
_BATCH_ENDED = ("Completed", "Failed", "NotProcessed")

Given = Mapping[str, Any]


@dataclass
class Batch:
    """One batch: the rows or the query as they came, and what became of them."""

    id: str
    job_id: str
    created: str
    request: bytes
    state: str = "Queued"
    message: str | None = None
    processed: int = 0
    failed: int = 0
    outcomes: list[dict[str, Any]] = field(default_factory=list)  # of each row in its order
    result_id: str = ""
    result: Path | None = None
    done: threading.Event = field(default_factory=threading.Event)

    def as_json(self) -> dict[str, Any]:
        """The batchInfo."""
        took = 10 + self.processed // 20
        return {
            "id": self.id, "jobId": self.job_id, "state": self.state, "stateMessage": self.message,
            "createdDate": f"{self.created}Z", "systemModstamp": f"{self.created}Z",
            "numberRecordsProcessed": self.processed, "numberRecordsFailed": self.failed, "totalProcessingTime": took,
            "apiActiveProcessingTime": took // 2, "apexProcessingTime": 0,
        }  # fmt: skip


@dataclass
class ClassicJob:
    """One job. Its batches are worked on one after the other; `done` is set while none is."""

    id: str
    operation: str
    object: str
    content_type: str  # CSV or JSON
    key: str | None
    version: str
    created: str
    user_id: str
    folder: Path
    kind: str = "classic"
    state: str = "Open"
    stop: bool = False
    batches: list[Batch] = field(default_factory=list)
    turn: threading.Lock = field(default_factory=threading.Lock)

    @property
    def query(self) -> bool:
        """It reads."""
        return self.operation in ("query", "queryAll")

    @property
    def running(self) -> bool:
        """A batch has not ended."""
        return any(batch.state not in _BATCH_ENDED for batch in self.batches)

    def await_end(self, seconds: float) -> None:
        """Wait until its batches have ended, so long at most for each."""
        for batch in self.batches:
            batch.done.wait(seconds)

    def as_json(self) -> dict[str, Any]:
        """The jobInfo."""
        counted = {"Queued": 0, "InProgress": 0, "Completed": 0, "Failed": 0}
        for batch in self.batches:
            counted[batch.state] = counted.get(batch.state, 0) + 1
        return {
            "id": self.id, "operation": self.operation, "object": self.object, "createdById": self.user_id,
            "createdDate": f"{self.created}Z", "systemModstamp": f"{self.created}Z", "state": self.state,
            "externalIdFieldName": self.key, "concurrencyMode": "Parallel", "contentType": self.content_type,
            "numberBatchesQueued": counted["Queued"], "numberBatchesInProgress": counted["InProgress"],
            "numberBatchesCompleted": counted["Completed"], "numberBatchesFailed": counted["Failed"],
            "numberBatchesTotal": len(self.batches),
            "numberRecordsProcessed": sum(batch.processed for batch in self.batches), "numberRetries": 0,
            "apiVersion": float(self.version), "numberRecordsFailed": sum(batch.failed for batch in self.batches),
            "totalProcessingTime": sum(batch.as_json()["totalProcessingTime"] for batch in self.batches),
            "apiActiveProcessingTime": 0, "apexProcessingTime": 0,
        }  # fmt: skip


def start(org: Org, job: ClassicJob, batch: Batch) -> None:
    """Work on a batch once those before it have ended, in a thread of its own that acts as the user of this call."""
    threading.Thread(target=copy_context().run, args=(_run, org, job, batch), name=batch.id, daemon=True).start()


def _run(org: Org, job: ClassicJob, batch: Batch) -> None:
    job_at_work(job.id)
    with job.turn:
        try:
            if job.stop:
                batch.state = "NotProcessed"
                return
            batch.state = "InProgress"
            (_read if job.query else _write)(org, job, batch)
            batch.state = "Completed"
        except ApiError as error:
            batch.message, batch.state = f"InvalidBatch : {error.message}", "Failed"
        except UsedUpError as error:
            batch.message, batch.state = str(error), "Failed"
        except Exception:
            logging.getLogger(__name__).exception("batch %s failed", batch.id)
            batch.message, batch.state = "Unknown : An unexpected error occurred.", "Failed"
        finally:
            batch.done.set()


def _read(org: Org, job: ClassicJob, batch: Batch) -> None:
    plan = compiled(org, batch.request.decode("utf-8", "replace"), job.operation == "queryAll")
    path = job.folder / f"{job.id}.{batch.id}"
    if job.content_type == "CSV":
        file = CsvFile(path, [".".join(column.names) for column in plan.columns], Format())
        connection = org.store.own_reader()
        try:
            file.add(bulk_rows(connection, plan))
        finally:
            connection.close()
        file.close()
        batch.processed = file.rows
    else:
        with path.open("w", encoding="utf-8") as out:
            for record in records_of(org, plan, f"/services/data/v{job.version}"):
                out.write(("," if batch.processed else "[") + json.dumps(record, ensure_ascii=False))
                batch.processed += 1
            out.write("]" if batch.processed else "[]")
    batch.result, batch.result_id = path, org.next_id(RESULT_PREFIX)


def _write(org: Org, job: ClassicJob, batch: Batch) -> None:
    org.allowance.take_batch()
    sobject = org.visible.find(job.object)
    if sobject is None:
        raise ApiError(400, "InvalidBatch", f"Entity '{job.object}' is not there")
    given = csv_rows(batch.request) if job.content_type == "CSV" else json_rows(batch.request)
    if len(given) > MOST_ROWS:
        raise ApiError(400, "InvalidBatch", f"a batch may hold {MOST_ROWS} records, not {len(given)}")
    for start_at in range(0, len(given), _ROWS_AT_ONCE):
        with org.rows() as rows:
            some = [_outcome(rows, job, sobject, row) for row in given[start_at : start_at + _ROWS_AT_ONCE]]
        batch.outcomes += some
        batch.processed += len(some)
        batch.failed += sum(not one["success"] for one in some)


def _outcome(rows: Rows, job: ClassicJob, sobject: SObject, given: Given) -> dict[str, Any]:
    try:
        record_id, created = _written(rows, job, sobject, given)
    except ApiError as error:
        errors = [each.as_status() | {"extendedErrorDetails": None} for each in (error, *error.more)]
        return {"success": False, "created": False, "id": None, "errors": errors, "text": sf_error(error)}
    except SeveralFoundError as many:
        several = ApiError(300, "DUPLICATE_EXTERNAL_ID", f"external id is on {len(many.ids)} records", [str(job.key)])
        return {
            "success": False, "created": False, "id": None, "errors": [several.as_status()], "text": sf_error(several)
        }  # fmt: skip
    return {"success": True, "created": created, "id": record_id, "errors": [], "text": ""}


def _written(rows: Rows, job: ClassicJob, sobject: SObject, given: Given) -> tuple[str, bool]:
    convert = from_text if job.content_type == "CSV" else from_json
    by_name = {name.lower(): value for name, value in given.items()}
    if job.operation == "insert":
        return rows.create(sobject, given, convert), True
    if job.operation == "upsert":
        key: Field | None = sobject.field(job.key or "")
        value = by_name.get((job.key or "").lower())
        rest = {name: inner for name, inner in given.items() if name.lower() not in ((job.key or "").lower(), "id")}
        if key is None or value is None:
            if key is not None and key.name == "Id":
                return rows.create(sobject, rest, convert), True
            raise ApiError(400, "MISSING_ARGUMENT", f"{job.key} not specified", [])
        return rows.upsert(sobject, key, value, rest, convert)
    record_id = by_name.get("id")
    if not isinstance(record_id, str) or not record_id:
        raise ApiError(400, "MISSING_ARGUMENT", f"Id not specified in an {job.operation} call", [])
    if job.operation == "delete":
        return rows.delete(sobject, record_id), False
    return rows.update(sobject, record_id, given, convert), False


def csv_rows(data: bytes) -> list[Given]:
    """The rows of a batch of CSV: an empty cell leaves a field as it is, `#N/A` empties it. Errors: ApiError."""
    csv.field_size_limit(10_000_000)
    try:
        reader = csv.DictReader(io.StringIO(data.decode("utf-8"), newline=""), strict=True)
        rows = [dict(row) for row in reader]
    except (UnicodeDecodeError, csv.Error) as error:
        raise ApiError(400, "InvalidBatch", f"Failed to parse CSV: {error}") from None
    if any(None in row or None in row.values() for row in rows):
        raise ApiError(400, "InvalidBatch", "a row has not as many cells as the header")
    return [
        {name: None if cell == "#N/A" else cell for name, cell in row.items() if cell != ""} for row in rows
    ]  # fmt: skip


def json_rows(data: bytes) -> list[Given]:
    """The rows of a batch of JSON. Errors: ApiError."""
    try:
        rows = json.loads(data)
    except ValueError as error:
        raise ApiError(400, "InvalidBatch", f"Failed to parse JSON: {error}") from None
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise ApiError(400, "InvalidBatch", "a list of objects is wanted")
    return rows
