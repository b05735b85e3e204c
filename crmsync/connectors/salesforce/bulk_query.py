"""Large reads: a Bulk API 2.0 query job, its result pages streamed to disk, then read in blocks of text columns.

Every page proves itself before a row of it counts: complete download, header as asked, last line ended, as many rows
as `Sforce-NumberOfRecords` says.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.csv as pa_csv

from crmsync.connectors.retries import Transient
from crmsync.connectors.salesforce.faults import TIMED_OUT, Refused, TimedOut
from crmsync.connectors.salesforce.org import Org
from crmsync.connectors.salesforce.result_pages import Page, result_pages, whole
from crmsync.errors import CrmsyncError, DataError

BLOCK_BYTES = 2 << 20
HEADER_MAX = 1 << 20
FIRST_LOOK_S = 0.05
LONGEST_LOOK_S = 5.0
JOB_DEADLINE_S = 4 * 3600.0


def bulk_blocks(
    org: Org, soql: str, sobject: str, paths: Sequence[str], folder: Path, operation: str = "query"
) -> Iterator[Mapping[str, pa.Array]]:
    """Blocks of text columns by path. At most a few pages are on disk at a time.

    `operation`: `queryAll` gives deleted records too.
    Errors: DataError when a page or the whole is not what was asked for; Transient; AccessError.
    """
    job_id = _start(org, soql, sobject, operation)
    try:
        expected = _finished(org, job_id, sobject)
        read = 0
        with contextlib.closing(result_pages(org, job_id, sobject, folder, expected)) as pages:
            for page in pages:
                yield from _page_blocks(page, sobject, paths)
                read += page.rows
                page.path.unlink()
        if read != expected:
            raise DataError(f"{sobject}: the result pages hold {read:,} rows, but the job {job_id} says {expected:,}")
    finally:
        _delete(org, job_id)


def _start(org: Org, soql: str, sobject: str, operation: str) -> str:
    """A query job changes nothing, so a lost answer may be asked again."""
    body = {"operation": operation, "query": soql, "contentType": "CSV", "columnDelimiter": "COMMA", "lineEnding": "LF"}
    job = org.post("jobs/query", body)
    if not isinstance(job, dict) or not isinstance(job.get("id"), str) or not job["id"].isalnum():
        raise DataError(f"{sobject}: Salesforce opened a query job without a usable id")
    return str(job["id"])


def _finished(org: Org, job_id: str, sobject: str) -> int:
    """The number of rows the finished job says it has."""
    wait, deadline = FIRST_LOOK_S, time.monotonic() + JOB_DEADLINE_S
    while True:
        job = org.get(f"jobs/query/{job_id}")
        state = job.get("state") if isinstance(job, dict) else None
        if state == "JobComplete":
            return whole(job.get("numberRecordsProcessed"), f"{sobject}: job {job_id} does not say its number of rows")
        if state not in ("UploadComplete", "InProgress"):
            reason = job.get("errorMessage") if isinstance(job, dict) else None
            if state == "Failed" and TIMED_OUT in str(reason):
                raise TimedOut(f"{sobject}: query job {job_id} took Salesforce too long: {reason}", applied=False)
            raise DataError(f"{sobject}: query job {job_id} ended as {state}: {reason or 'no explanation'}")
        if time.monotonic() > deadline:
            raise Transient(f"{sobject}: query job {job_id} has not finished in {JOB_DEADLINE_S / 3600:.0f} hours")
        org.retries.sleep(wait)
        wait = min(wait * 1.6, LONGEST_LOOK_S)


def _page_blocks(page: Page, sobject: str, paths: Sequence[str]) -> Iterator[Mapping[str, pa.Array]]:
    """Blocks of one page, its header and number of rows checked."""
    read = 0
    try:
        for batch in _csv_batches(page.path, sobject, paths):
            read += batch.num_rows
            yield dict(zip(paths, batch.columns, strict=True))
    except pa.ArrowInvalid as error:
        raise DataError(f"{sobject}: a result page is not the CSV that was asked for: {_first_line(error)}") from None
    if read != page.rows:
        raise DataError(
            f"{sobject}: a result page holds {read:,} rows, but says {page.rows:,} (Sforce-NumberOfRecords)"
        )


def _csv_batches(path: Path, sobject: str, paths: Sequence[str]) -> Iterator[pa.RecordBatch]:
    if path.stat().st_size == 0:
        return
    with path.open("rb") as stream:
        header = stream.readline(HEADER_MAX).decode("utf-8", "replace").strip().replace('"', "").split(",")
        has_rows = bool(stream.read(1))
    if [name.lower() for name in header] != [name.lower() for name in paths]:
        wanted = ", ".join(paths)
        raise DataError(f"{sobject}: a result page has the columns {', '.join(header)[:300]}, asked were {wanted}")
    if not has_rows:
        return
    reader = pa_csv.open_csv(
        path,
        read_options=pa_csv.ReadOptions(
            block_size=BLOCK_BYTES, column_names=list(paths), skip_rows=1, use_threads=False
        ),
        parse_options=pa_csv.ParseOptions(newlines_in_values=True),
        convert_options=pa_csv.ConvertOptions(
            column_types=dict.fromkeys(paths, pa.string()),
            strings_can_be_null=True,
            quoted_strings_can_be_null=True,
            null_values=[""],
        ),
    )
    with reader:
        yield from reader


def _delete(org: Org, job_id: str) -> None:
    """Take the results off the server; they expire there by themselves, so a fault here is none of the run's."""
    with contextlib.suppress(CrmsyncError):
        org.send("DELETE", f"jobs/query/{job_id}", None, {})


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0][:300]


def gone(refusal: Refused) -> bool:
    """Whether a job or its results no longer exist."""
    return refusal.status in (404, 410) or refusal.code == "NOT_FOUND"
