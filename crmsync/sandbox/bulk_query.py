"""Bulk API 2.0 query jobs: the result is written to a file once, and pages of it can be fetched again and again."""

from __future__ import annotations

import base64
import binascii
import logging
import threading
from collections.abc import Iterator
from contextvars import copy_context
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from crmsync.sandbox.allowance import UsedUpError
from crmsync.sandbox.answers import Answer, ApiError, Call
from crmsync.sandbox.faults import job_error, twist
from crmsync.sandbox.jobs import CsvFile, Job, csv_answer, delete_job, format_of, job_of, keep, listed, new_job_facts
from crmsync.sandbox.org import Org
from crmsync.sandbox.queries import bulk_rows, compiled
from crmsync.sandbox.soql.compiler import Plan

PAGE_ROWS = 100_000
PAGES_AT_ONCE = 5
_ROWS_AT_ONCE = 2_000


@dataclass
class QueryJob(Job):
    """A query job and its result once there is one."""

    result: CsvFile | None = None
    begun: threading.Event = field(default_factory=threading.Event)

    def listed(self) -> dict[str, Any]:
        """What listing tells."""
        return self.as_json() | {"jobType": "V2Query"}

    def with_figures(self) -> dict[str, Any]:
        """What polling tells."""
        figures: dict[str, Any] = {
            "retries": 0, "totalProcessingTime": 20 + self.processed // 200, "isPkChunkingSupported": True,
            "numberRecordsProcessed": self.processed,
        }  # fmt: skip
        return self.listed() | figures | ({"errorMessage": self.error} if self.error else {})


def create(org: Org, call: Call) -> Answer:
    """POST `/jobs/query`. Errors: ApiError for wrong SOQL and for what Bulk cannot do."""
    body = call.json_object()
    operation, soql = body.get("operation"), body.get("query")
    if operation not in ("query", "queryAll"):
        raise ApiError(400, "INVALIDJOB", f"operation {operation!r:.40} is not query or queryAll")
    if not isinstance(soql, str) or not soql.strip():
        raise ApiError(400, "INVALIDJOB", "query is missing")
    form = format_of(body)
    plan = _allowed(compiled(org, soql, operation == "queryAll"))
    org.allowance.take_query_job()
    job = QueryJob(
        kind="query",
        operation=str(operation),
        object=plan.sobject.name,
        format=form,
        state="UploadComplete",
        **new_job_facts(org, call),
    )
    keep(org, job)
    answer = Answer(job.as_json())
    threading.Thread(target=copy_context().run, args=(_run, org, job, plan), name=job.id, daemon=True).start()
    # The result is that of this moment: the read has begun before the client can go on and write.
    job.begun.wait()
    return answer


def _allowed(plan: Plan) -> Plan:
    if plan.count or plan.aggregate:
        raise ApiError(
            400,
            "API_ERROR",
            "Implementation restriction: aggregate functions and GROUP BY are not supported in Bulk Query",
        )
    if plan.offset:
        raise ApiError(400, "API_ERROR", "Implementation restriction: OFFSET is not supported in Bulk Query")
    if plan.children:
        raise ApiError(
            400, "API_ERROR", "Implementation restriction: AggregateRelationshipQuery is not supported by the Bulk API"
        )
    if any(column.kind == "compound" for column in plan.columns):
        raise ApiError(400, "INVALID_FIELD", "Selecting compound data not supported in Bulk Query")
    return plan


def _run(org: Org, job: QueryJob, plan: Plan) -> None:
    connection = org.store.own_reader()
    try:
        result = CsvFile(job.folder / f"{job.id}.csv", [".".join(column.names) for column in plan.columns], job.format)
        rows = bulk_rows(connection, plan)
        first = list(islice(rows, _ROWS_AT_ONCE))
        job.state = "InProgress"
        job.begun.set()
        result.add(first)
        while not job.stop and (some := list(islice(rows, _ROWS_AT_ONCE))):
            result.add(some)
        result.close()
        org.allowance.take_file(result.size)
        fails = twist().value("job_fails")
        if fails is not None:
            job.end("Failed", job_error(fails))
            return
        job.result, job.processed = result, result.rows
        job.end("JobComplete")
    except ApiError as error:
        job.end("Failed", f"{error.code}: {error.message}")
    except UsedUpError as error:
        job.end("Failed", str(error))
    except Exception:
        logging.getLogger(__name__).exception("bulk query job %s failed", job.id)
        job.end("Failed", "UNKNOWN_EXCEPTION: An unexpected error occurred.")
    finally:
        job.begun.set()
        connection.close()


def poll(org: Org, call: Call) -> Answer:
    """GET `/jobs/query/{job}`."""
    job: QueryJob = job_of(org, call, "query")
    job.wait()
    return Answer(job.with_figures())


def change(org: Org, call: Call) -> Answer:
    """PATCH `/jobs/query/{job}`: abort a job that has not ended."""
    job: QueryJob = job_of(org, call, "query")
    if call.json_object().get("state") != "Aborted":
        raise ApiError(400, "INVALIDJOB", "state may be changed to Aborted only")
    with job.lock:
        if job.state not in ("UploadComplete", "InProgress"):
            raise ApiError(400, "INVALIDJOBSTATE", "Aborting already Completed Job not allowed")
        job.state, job.stop = "Aborted", True
    return Answer(job.as_json())


def delete(org: Org, call: Call) -> Answer:
    """DELETE `/jobs/query/{job}`."""
    return delete_job(org, job_of(org, call, "query"), ("JobComplete", "Aborted", "Failed"))


def jobs(org: Org, call: Call) -> Answer:
    """GET `/jobs/query`."""
    return listed(org, call, "query")


def _finished(org: Org, call: Call) -> tuple[QueryJob, CsvFile]:
    job: QueryJob = job_of(org, call, "query")
    job.wait()
    if call.version != job.version:
        raise ApiError(
            409, "INVALIDVERSION", f"the job was made with API version {job.version}; ask for its results with that"
        )
    if job.result is None or job.state != "JobComplete":
        raise ApiError(400, "INVALIDJOBSTATE", f"the job is in state {job.state}; results are there at JobComplete")
    return job, job.result


def results(org: Org, call: Call) -> Answer:
    """GET `/jobs/query/{job}/results?locator=&maxRecords=`: one page, with its header row."""
    _, result = _finished(org, call)
    start, size = _place(call.query.get("locator"), result.rows)
    asked = call.query.get("maxrecords")
    if asked is not None:
        if not asked.isdigit() or not int(asked[:9]) > 0:
            raise ApiError(400, "INVALID_PARAMETER", f"maxRecords {asked[:40]} is no number above 0")
        size = int(asked[:9])
    size = twist().value("page_size") or size
    end = min(start + size, result.rows)
    headers = {
        "Sforce-NumberOfRecords": str(end - start),
        "Sforce-Locator": _locator(end, size) if end < result.rows else "null",
    }
    return csv_answer(org, _pieces(result, start, size), headers)


def _pieces(result: CsvFile, start: int, size: int) -> Iterator[bytes]:
    return result.pieces(start, size)


def result_pages(org: Org, call: Call) -> Answer:
    """GET `/jobs/query/{job}/resultPages`: up to five addresses of pages, for parallel download."""
    job, result = _finished(org, call)
    start, size = _place(call.query.get("locator"), result.rows)
    size = twist().value("page_size") or size
    starts = range(start, max(result.rows, 1), size)
    base = f"{call.root}/jobs/query/{job.id}"
    urls = [{"resultUrl": f"{base}/results?locator={_locator(place, size)}"} for place in starts[:PAGES_AT_ONCE]]
    body: dict[str, Any] = {"resultPages": urls, "done": len(starts) <= PAGES_AT_ONCE}
    if not body["done"]:
        body["nextRecordsUrl"] = f"{base}/resultpages?locator={_locator(starts[PAGES_AT_ONCE], size)}"
    return Answer(body)


def _locator(place: int, size: int) -> str:
    return base64.urlsafe_b64encode(f"{place}:{size}".encode()).decode().rstrip("=")


def _place(locator: str | None, rows: int) -> tuple[int, int]:
    """(first row, rows per page) of a locator. Errors: ApiError INVALID_QUERY_LOCATOR."""
    if not locator:
        return 0, PAGE_ROWS
    try:
        text = base64.urlsafe_b64decode(locator + "=" * (-len(locator) % 4)).decode("ascii")
        place, size = (int(part) for part in text.split(":"))
    except (binascii.Error, ValueError):
        raise ApiError(400, "INVALID_QUERY_LOCATOR", f"invalid locator {locator[:40]}") from None
    if not 0 <= place <= rows or size <= 0:
        raise ApiError(400, "INVALID_QUERY_LOCATOR", f"invalid locator {locator[:40]}")
    return place, size
