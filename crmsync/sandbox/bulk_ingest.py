"""Bulk API 2.0 ingest jobs: nothing changes before UploadComplete; each row then succeeds or fails by itself."""

from __future__ import annotations

import shutil
from email import policy
from email.parser import BytesParser
from typing import Any

from crmsync.sandbox.answers import Answer, ApiError, Call
from crmsync.sandbox.ingest_rows import IngestJob, start
from crmsync.sandbox.jobs import (
    ENDED,
    WAIT_S,
    csv_answer,
    delete_job,
    format_of,
    job_of,
    keep,
    listed,
    new_job_facts,
)
from crmsync.sandbox.org import Org
from crmsync.sandbox.rest import key_field

MOST_BYTES = 150 * 1024 * 1024
_OPERATIONS = ("insert", "update", "upsert", "delete", "hardDelete")
_RESULTS = {"successfulresults": "successful", "failedresults": "failed", "unprocessedrecords": "unprocessed"}


def create(org: Org, call: Call) -> Answer:
    """POST `/jobs/ingest`, as JSON or, with the rows in the same call, as multipart."""
    kind = call.headers.get("content-type", "")
    if kind.lower().startswith("multipart/"):
        job_part, content = _parts(kind, call.body)
        job = _new_job(org, call, Call(call.method, call.path, body=job_part).json_object())
        job.upload = job.folder / f"{job.id}.upload"
        job.upload.write_bytes(content)
        start(org, job)
        return Answer(job.as_json())
    return Answer(_new_job(org, call, call.json_object()).as_json())


def _parts(kind: str, body: bytes) -> tuple[bytes, bytes]:
    message = BytesParser(policy=policy.HTTP).parsebytes(b"Content-Type: " + kind.encode() + b"\r\n\r\n" + body)
    named: dict[str, bytes] = {}
    for part in message.iter_parts() if message.is_multipart() else ():
        name = part.get_param("name", header="content-disposition")
        payload = part.get_payload(decode=True)
        if isinstance(name, str) and isinstance(payload, bytes):
            named[name] = payload
    if "job" not in named or "content" not in named:
        raise ApiError(400, "INVALIDJOB", "a multipart request needs the parts job and content")
    return named["job"], named["content"]


def _new_job(org: Org, call: Call, body: dict[str, Any]) -> IngestJob:
    operation, name = body.get("operation"), body.get("object")
    if operation not in _OPERATIONS:
        raise ApiError(400, "INVALIDJOB", f"operation {operation!r:.40} is not one of {', '.join(_OPERATIONS)}")
    if operation == "hardDelete":
        raise ApiError(400, "FEATURENOTENABLED", "hardDelete needs the permission Bulk API Hard Delete")
    sobject = org.visible.find(name) if isinstance(name, str) else None
    whole = org.schema.find(str(name))
    if sobject is None or whole is None or not whole.createable:
        raise ApiError(400, "INVALIDENTITY", f"Entity '{name}' is not supported by the Bulk API.")
    key = body.get("externalIdFieldName")
    if operation == "upsert":
        if not isinstance(key, str) or not key:
            raise ApiError(400, "INVALIDJOB", "External ID was blank for upsert on this job")
        try:
            key = key_field(sobject, key).name
        except ApiError:
            message = f"Field name provided, {key} does not match an External ID, Salesforce Id, or indexed field"
            raise ApiError(400, "INVALIDJOB", f"{message} for {sobject.name}") from None
    org.allowance.check_batches()
    job = IngestJob(kind="ingest", operation=str(operation), object=sobject.name, format=format_of(body), state="Open",
                    key=key if operation == "upsert" else None, **new_job_facts(org, call))  # fmt: skip
    keep(org, job)
    return job


def upload(org: Org, call: Call) -> Answer:
    """PUT `/jobs/ingest/{job}/batches`: the rows, once per job; changes no record."""
    job: IngestJob = job_of(org, call, "ingest")
    if call.headers.get("content-type", "").partition(";")[0].strip().lower() != "text/csv":
        raise ApiError(400, "INVALIDJOB", "Content-Type must be text/csv")
    with job.lock:
        if job.state != "Open":
            raise ApiError(
                400, "INVALIDJOBSTATE", f"the job is in state {job.state}; rows are uploaded while it is Open"
            )
        if job.upload is not None:
            raise ApiError(
                400, "CLIENTINPUTERROR",
                f"Found multiple contents for job: <{job.id}>, please 'Close' / 'Abort' / 'Delete' the current Job "
                "then create a new Job and make sure you only do 'PUT' once on a given Job.",
            )  # fmt: skip
        if call.upload is None:
            raise ApiError(400, "CLIENTINPUTERROR", "the upload is empty")
        target = job.folder / f"{job.id}.upload"
        shutil.move(call.upload, target)
        job.upload = target
    return Answer(None, 201)


def change(org: Org, call: Call) -> Answer:
    """PATCH `/jobs/ingest/{job}`: UploadComplete starts the job, Aborted ends it."""
    job: IngestJob = job_of(org, call, "ingest")
    state = call.json_object().get("state")
    if state == "Aborted":
        return _abort(job)
    if state != "UploadComplete":
        raise ApiError(400, "INVALIDJOB", "state may be changed to UploadComplete or Aborted only")
    with job.lock:
        if job.state != "Open":
            raise ApiError(400, "INVALIDJOBSTATE", f"Closing already {job.state} Job not allowed")
        start(org, job)
    return Answer(job.as_json() | {"state": "UploadComplete"})


def starts_job(call: Call) -> bool:
    """The PATCH is the one that lets the job change records."""
    return b"UploadComplete" in call.body


def _abort(job: IngestJob) -> Answer:
    with job.lock:
        if job.state not in ("Open", "UploadComplete", "InProgress"):
            raise ApiError(400, "INVALIDJOBSTATE", "Aborting already Completed Job not allowed")
        job.state, job.stop = "Aborted", True
    return Answer(job.as_json())


def poll(org: Org, call: Call) -> Answer:
    """GET `/jobs/ingest/{job}`."""
    job: IngestJob = job_of(org, call, "ingest")
    job.wait()
    return Answer(job.with_figures())


def delete(org: Org, call: Call) -> Answer:
    """DELETE `/jobs/ingest/{job}`."""
    return delete_job(org, job_of(org, call, "ingest"), ("JobComplete", "Aborted", "Failed"))


def jobs(org: Org, call: Call) -> Answer:
    """GET `/jobs/ingest`."""
    return listed(org, call, "ingest")


def results(org: Org, call: Call) -> Answer:
    """GET `successfulResults`, `failedResults` and `unprocessedrecords`, in any case."""
    job: IngestJob = job_of(org, call, "ingest")
    job.wait()
    if job.state not in ENDED:
        raise ApiError(400, "INVALIDJOBSTATE", f"the job is in state {job.state}; it has no results yet")
    if job.started:
        job.done.wait(WAIT_S)  # an aborted job still writes down what became of its rows
    result = job.files.get(_RESULTS[call.parts["results"].lower()])
    if result is None:
        return csv_answer(org, iter(()), {})
    return csv_answer(org, result.pieces(0, result.rows), {"Sforce-NumberOfRecords": str(result.rows)})
