"""Bulk writes by single steps: open a job, upload its rows, start it, look at it, read its results.

Only starting changes records. The steps are separate so that the ledger knows the job before it can have an effect.
Source: Bulk API 2.0 ingest.
"""

from __future__ import annotations

import contextlib
import csv
import re
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, Any

from crmsync.connectors.base import JobState, OpenJob, Write, Written
from crmsync.connectors.retries import Transient
from crmsync.connectors.salesforce.bulk_query import gone
from crmsync.connectors.salesforce.describe import Field
from crmsync.connectors.salesforce.faults import Refused
from crmsync.connectors.salesforce.org import Org
from crmsync.connectors.salesforce.result_pages import save_body
from crmsync.connectors.salesforce.rows import long_id
from crmsync.connectors.salesforce.written_fields import CELL_MAX, CLEARED, WrittenFields, bulk_cell, sorted_columns
from crmsync.errors import DataError

UPLOAD_MAX_BYTES = 100 * 1000 * 1000
CREATED = 201
SPOOL_BYTES = 8 << 20
RECORD_ID = re.compile(r"[A-Za-z0-9]{18}")
LISTED_PAGES = 20  # of a thousand jobs each
STATES = {
    "Open": "open",
    "UploadComplete": "running",
    "InProgress": "running",
    "JobComplete": "done",
    "Failed": "failed",
    "Aborted": "aborted",
}
ID_COLUMN, SF_ID, SF_ERROR, SF_CREATED = "Id", "sf__Id", "sf__Error", "sf__Created"
SAID = {"applied": (SF_ID, SF_CREATED), "failed": (SF_ID, SF_ERROR), "unprocessed": ()}
NAMED = re.compile(r":(?:\w+(?:, ?\w+)* ?)?--(?=;|$)")
"""Behind its message an `sf__Error` names fields, or none: `:Name --`, `:--`. Single calls say the message alone."""
RESULTS = (("successfulResults", "applied"), ("failedResults", "failed"), ("unprocessedrecords", "unprocessed"))


def create_job(org: Org, sobject: str, key: str | None = None) -> str:
    """The id of a new, empty job: an update, or an upsert by the field `key`. Not repeated: a lost answer leaves an
    empty job behind, and whoever asked must know of it. Errors: Transient."""
    body = {
        "object": sobject,
        "operation": "upsert" if key else "update",
        **({"externalIdFieldName": key} if key else {}),
        "contentType": "CSV",
        "columnDelimiter": "COMMA",
        "lineEnding": "LF",
    }
    job = org.post("jobs/ingest", body, repeat=False)
    if not isinstance(job, dict) or not isinstance(job.get("id"), str) or not job["id"].isalnum():
        raise DataError(f"{sobject}: Salesforce opened a bulk job without a usable id")
    return str(job["id"])


def upload_job(org: Org, fields: WrittenFields, job_id: str, writes: Sequence[Write], key: str | None = None) -> None:
    """Upload the rows, sorted by id or key and by column: the same plan gives the same bytes, and records of one
    account, which would lock each other out, stand together."""
    with tempfile.SpooledTemporaryFile(SPOOL_BYTES) as file:
        size = _write_csv(file, fields, writes, key)
        if size > UPLOAD_MAX_BYTES:
            raise DataError(
                f"{len(writes):,} rows are {size:,} bytes, more than the {UPLOAD_MAX_BYTES:,} of one bulk job"
            )
        _put(org, job_id, file)


def _put(org: Org, job_id: str, file: IO[bytes]) -> None:
    def send(client: Any) -> None:
        file.seek(0)
        headers = {"Content-Type": "text/csv; charset=UTF-8", "Accept": "application/json"}
        answer = org.session.put(f"{client.base_url}jobs/ingest/{job_id}/batches", data=file, headers=headers)
        if answer.status_code != CREATED:
            raise Transient(f"upload to bulk job {job_id}: HTTP {answer.status_code} instead of {CREATED}")

    org.call(
        send, repeat=False
    )  # a job takes one upload only; after a lost answer a new job is safer than a second one


def _write_csv(file: IO[bytes], fields: WrittenFields, writes: Sequence[Write], key: str | None) -> int:
    columns = [(name, fields.field(name)) for name in sorted_columns(writes)]
    file.write(_line([key or ID_COLUMN, *(field.name for _, field in columns)]))
    sobject = fields.sobject.name
    seen: set[str] = set()
    named = (lambda one: one) if key else long_id
    case_matters = key is None or fields.field(key).case_sensitive
    for write in sorted(writes, key=lambda one: named(one.record_id)):
        record_id = named(write.record_id)
        known_as = record_id if case_matters else record_id.casefold()
        if known_as in seen:
            raise DataError(f"{sobject} {record_id} stands twice in one bulk job")
        seen.add(known_as)
        file.write(_line([record_id, *[_cell(write, name, field, sobject) for name, field in columns]]))
    return file.tell()


def _cell(write: Write, name: str, field: Field, sobject: str) -> str:
    if name not in write.values:
        return ""
    text = write.values[name]
    cell = bulk_cell(text, field)
    if text == CLEARED:
        raise DataError(f"{sobject} {write.record_id}: {name} is the text {CLEARED}, which bulk jobs take for empty")
    if len(cell) > CELL_MAX:
        raise DataError(
            f"{sobject} {write.record_id}: {name} has {len(cell):,} characters, bulk jobs take {CELL_MAX:,}"
        )
    return cell


def _line(cells: Sequence[str]) -> bytes:
    return (",".join('"' + cell.replace('"', '""') + '"' if cell else "" for cell in cells) + "\n").encode()


def start_job(org: Org, job_id: str) -> None:
    """Start the job. After a lost answer the job itself is asked: still open means that the start was never seen.

    Errors: Transient when the job cannot be seen any more; Refused when it may not start.
    """
    for _ in range(org.retries.attempts):
        try:
            org.patch(f"jobs/ingest/{job_id}", {"state": "UploadComplete"})
            return
        except (Transient, Refused) as fault:
            if job_state(org, job_id).state != "open":
                return
            if isinstance(fault, Refused):
                raise
            org.retries.sleep(1.0)
    raise Transient(f"bulk job {job_id} stays open: it could not be started")


def job_state(org: Org, job_id: str) -> JobState:
    """What the job says about itself; `gone` when Salesforce no longer knows it."""
    try:
        job = org.get(f"jobs/ingest/{job_id}")
    except Refused as refusal:
        if gone(refusal):
            return JobState("gone", message=refusal.words)
        raise
    state = STATES.get(str(job.get("state"))) if isinstance(job, dict) else None
    if state is None:
        raise DataError(f"bulk job {job_id} is in a state that is not known: {str(job)[:200]}")
    return JobState(
        state,  # type: ignore[arg-type]
        _count(job.get("numberRecordsProcessed")),
        _count(job.get("numberRecordsFailed")),
        None if job.get("errorMessage") is None else str(job["errorMessage"]),
    )


def _count(value: Any) -> int:
    """A number of rows; what is none is not told, and the results are then compared with what was sent alone."""
    return int(value) if isinstance(value, int | str) and str(value).isdecimal() else 0


def open_jobs(org: Org) -> list[OpenJob]:
    """Ingest jobs of the user we are that are open. Errors: those of a call."""
    me, found = user_id(org), list[OpenJob]()
    page = org.get("jobs/ingest", {"jobType": "V2Ingest"})
    for _ in range(LISTED_PAGES):
        if not isinstance(page, dict) or not isinstance(page.get("records"), list):
            raise DataError("Salesforce listed its bulk jobs in a form that is not known")
        for job in page["records"]:
            if isinstance(job, dict) and job.get("state") == "Open" and _is_ours(job, me):
                found.append(OpenJob(str(job.get("id")), str(job.get("object")), str(job.get("createdDate"))))
        if not page.get("nextRecordsUrl"):
            break
        page = org.query_more(str(page["nextRecordsUrl"]))
    return found


def user_id(org: Org) -> str:
    """The id of the user that we log in as. Errors: DataError when the org does not tell."""
    answer = org.call(lambda _: org.session.get(f"{org.base_url}/services/oauth2/userinfo"))
    try:
        user_id = long_id(str(answer.json()["user_id"]))
    except (ValueError, TypeError, KeyError, RecursionError):
        user_id = ""
    if not RECORD_ID.fullmatch(user_id):
        raise DataError(f"{org.base_url} does not tell who is logged in (no user_id in its userinfo)")
    return user_id


def _is_ours(job: dict[str, Any], own_id: str) -> bool:
    """Made by our user in the way we make jobs."""
    made = (job.get("operation") in ("update", "upsert"), job.get("contentType") == "CSV")
    return all(made) and long_id(str(job.get("createdById") or "")) == own_id


def abort_job(org: Org, job_id: str) -> bool:
    """End a job that was not started; False when it was, or is gone. Errors: Transient when it cannot be told."""
    for _ in range(org.retries.attempts):
        try:
            org.patch(f"jobs/ingest/{job_id}", {"state": "Aborted"})
            return True
        except (Transient, Refused):
            found = job_state(org, job_id).state
            if found == "aborted":
                return True
            if found != "open":
                return False
            org.retries.sleep(1.0)
    raise Transient(f"bulk job {job_id} stays open: it could not be ended")


def job_results(org: Org, job_id: str, key: str | None = None) -> Iterator[Written]:
    """Outcome per record by its Id, or by the field `key`.

    A list that is cut or gone just ends: what it does not name stays unknown.
    """
    with tempfile.TemporaryDirectory(prefix="crmsync-results-") as folder:
        for resource, outcome in RESULTS:
            path = Path(folder) / f"{resource}.csv"
            if _fetch(org, f"jobs/ingest/{job_id}/{resource}/", path):
                yield from _outcomes(path, outcome, key)


def _fetch(org: Org, resource: str, path: Path) -> bool:
    """Whether the list is on disk, whole or as far as it could be had."""

    def download() -> None:
        with contextlib.closing(org.download(org.data_path(resource))) as answer:
            last = save_body(answer, path, org.session.timeout_s[1] * 20)
        if path.stat().st_size and last != b"\n":
            raise Transient(f"{path.name} is cut off (its last line does not end)")

    try:
        org.retries.call(download)
    except (Transient, Refused):
        return path.exists()
    return True


def _outcomes(path: Path, outcome: str, key: str | None) -> Iterator[Written]:
    with path.open(encoding="utf-8", errors="replace", newline="") as file:
        rows = csv.reader(_whole_lines(file), strict=True)
        with contextlib.suppress(csv.Error):
            header = next(rows, [])
            if not {key or ID_COLUMN, *SAID[outcome]} <= set(header) or not all(header):
                return
            at = {name: place for place, name in enumerate(header)}
            named = [at[name] for name in ((key,) if key else (SF_ID, ID_COLUMN)) if name in at]
            for row in rows:
                if len(row) == len(header):
                    record_id = next((row[place] for place in named if row[place]), "")
                    said = row[at[SF_ERROR]] if outcome == "failed" else ""
                    written = _written(record_id if key else long_id(record_id), outcome, said, is_key=bool(key))
                    if written is not None:
                        yield written


def _whole_lines(file: IO[str]) -> Iterator[str]:
    """Lines that end; the torn last one of a cut file is not a row. NUL is dropped: no reader takes it."""
    return (line.replace("\0", "") for line in file if line.endswith(("\n", "\r")))


def _written(record_id: str, outcome: str, said: str, *, is_key: bool) -> Written | None:
    if not record_id or not (is_key or RECORD_ID.fullmatch(record_id)):
        return None
    if outcome == "applied":
        return Written(record_id, "applied")
    if outcome == "unprocessed":
        return Written(
            record_id, "failed", "UNPROCESSED", "Salesforce ended the job before this record; it is unchanged"
        )
    code, _, message = said.partition(":")
    return Written(record_id, "failed", code.strip() or "FAILED", NAMED.sub("", message).strip() or None)
