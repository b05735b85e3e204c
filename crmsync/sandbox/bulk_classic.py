"""Doors of the first Bulk API, `/services/async/{version}/job`: jobs and batches of CSV or JSON.

Its clients name the session in X-SFDC-Session, and get errors in a shape of its own.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from crmsync.sandbox import classic_words as words
from crmsync.sandbox.answers import Answer, ApiError, Call
from crmsync.sandbox.classic_jobs import BATCH_PREFIX, Batch, ClassicJob, start
from crmsync.sandbox.discovery import NEWEST, OLDEST
from crmsync.sandbox.ids import JOB_PREFIX, to_18
from crmsync.sandbox.jobs import WAIT_S
from crmsync.sandbox.org import Org
from crmsync.sandbox.rest import key_field
from crmsync.sandbox.users import act_as

_OPERATIONS = ("insert", "update", "upsert", "delete", "query", "queryAll")
_CHUNK = 256 * 1024
Act = Callable[[Org, Call], Answer]


def door(act: Act) -> Act:
    """The handler with the login and the errors of this API."""

    def handler(org: Org, call: Call) -> Answer:
        try:
            user_id = org.tokens.get(call.headers.get("x-sfdc-session", "").strip())
            if user_id is None:
                raise ApiError(401, "INVALID_SESSION_ID", "Unable to find session id")
            act_as(user_id)
            if not OLDEST <= int(call.parts["async"].partition(".")[0]) <= NEWEST:
                raise ApiError(400, "InvalidVersion", f"Unsupported API version {call.parts['async']}")
            org.allowance.take_request()
            return act(org, call)
        except ApiError as error:
            return words.refused(call, error)

    return handler


def create(org: Org, call: Call) -> Answer:
    """POST `/job`."""
    info = words.read_info(call)
    operation, name = info.get("operation"), info.get("object")
    sobject = org.visible.find(name) if isinstance(name, str) else None
    if operation not in _OPERATIONS:
        raise ApiError(400, "InvalidJob", f"operation {operation!r:.40} is not one of {', '.join(_OPERATIONS)}")
    if sobject is None:
        raise ApiError(400, "INVALIDENTITY", f"Entity '{name}' is not supported by the Bulk API.")
    content = str(info.get("contentType") or "XML")
    if content not in ("CSV", "JSON"):
        raise ApiError(400, "InvalidJob", f"contentType {content} is not offered by this org; take CSV or JSON")
    key = info.get("externalIdFieldName")
    if operation == "upsert":
        key = key_field(sobject, str(key)).name
    job = ClassicJob(
        org.next_id(JOB_PREFIX), str(operation), sobject.name, content, key if operation == "upsert" else None,
        call.parts["async"], org.clock.now(), org.acting_id, org.store.scratch,
    )  # fmt: skip
    with org.lock:
        org.jobs[job.id] = job
    return words.told(words.wants_json(call), "jobInfo", job.as_json(), 201)


def job_info(org: Org, call: Call) -> Answer:
    """GET `/job/{job}`."""
    job = _job(org, call)
    return words.told(_as_json(call, job), "jobInfo", job.as_json())


def change(org: Org, call: Call) -> Answer:
    """POST `/job/{job}`: Closed takes no more batches, Aborted leaves those that wait."""
    job = _job(org, call)
    state = words.read_info(call).get("state")
    if state not in ("Closed", "Aborted"):
        raise ApiError(400, "InvalidJob", f"state may be changed to Closed or Aborted, not {state!r:.40}")
    if job.state != "Open":
        raise ApiError(400, "InvalidJobState", f"{state} already {job.state} Job not allowed")
    job.state, job.stop = str(state), state == "Aborted"
    return words.told(_as_json(call, job), "jobInfo", job.as_json())


def add_batch(org: Org, call: Call) -> Answer:
    """POST `/job/{job}/batch`: rows, or the SOQL of a query; they are worked on at once."""
    job = _job(org, call)
    if job.state != "Open":
        raise ApiError(400, "InvalidJobState", f"the job is {job.state}; batches are added while it is Open")
    if not call.body.strip():
        raise ApiError(400, "InvalidBatch", "the batch is empty")
    batch = Batch(org.next_id(BATCH_PREFIX), job.id, org.clock.now(), call.body)
    with org.lock:
        job.batches.append(batch)
    answer = words.told(_batches_as_json(job), "batchInfo", batch.as_json(), 201)
    start(org, job, batch)
    return answer


def batches(org: Org, call: Call) -> Answer:
    """GET `/job/{job}/batch`."""
    job = _job(org, call)
    job.await_end(WAIT_S)
    return words.told_list(
        _batches_as_json(job), "batchInfoList", "batchInfo", [batch.as_json() for batch in job.batches]
    )


def batch_info(org: Org, call: Call) -> Answer:
    """GET `/job/{job}/batch/{batch}`: it waits a little for a batch that is at work."""
    job, batch = _batch(org, call)
    batch.done.wait(WAIT_S)
    return words.told(_batches_as_json(job), "batchInfo", batch.as_json())


def batch_request(org: Org, call: Call) -> Answer:
    """GET `/job/{job}/batch/{batch}/request`: what was sent."""
    job, batch = _batch(org, call)
    return Answer(batch.request, media_type=words.CSV_TYPE if job.content_type == "CSV" else words.JSON_TYPE)


def batch_result(org: Org, call: Call) -> Answer:
    """GET `/job/{job}/batch/{batch}/result`: what became of each row, in order; of a query the ids of its results."""
    job, batch = _batch(org, call)
    batch.done.wait(WAIT_S)
    if batch.state != "Completed":
        raise ApiError(400, "InvalidBatch", f"the batch is {batch.state}; results are there once it is Completed")
    if job.query:
        return words.told_results(_batches_as_json(job), [batch.result_id])
    if job.content_type == "JSON":
        entries = [{name: value for name, value in one.items() if name != "text"} for one in batch.outcomes]
        return Answer(entries, media_type=words.JSON_TYPE)
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n", quoting=csv.QUOTE_ALL)
    writer.writerow(["Id", "Success", "Created", "Error"])
    writer.writerows(
        [one["id"] or "", *(json.dumps(one[name]) for name in ("success", "created")), one["text"]]
        for one in batch.outcomes
    )
    return Answer(out.getvalue(), media_type=words.CSV_TYPE)


def query_result(org: Org, call: Call) -> Answer:
    """GET `/job/{job}/batch/{batch}/result/{result}`: the rows that a query found."""
    job, batch = _batch(org, call)
    if batch.result is None or call.parts["result"][:15] != batch.result_id[:15]:
        raise ApiError(400, "InvalidBatch", "the batch has no such result")
    media = words.CSV_TYPE if job.content_type == "CSV" else words.JSON_TYPE
    return Answer(media_type=media, chunks=_pieces(batch.result))


def _pieces(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while piece := file.read(_CHUNK):
            yield piece


def _as_json(call: Call, job: ClassicJob) -> bool:
    return words.wants_json(call) or job.content_type == "JSON"


def _batches_as_json(job: ClassicJob) -> bool:
    """What is told of batches goes by the content of the job, whatever the client speaks."""
    return job.content_type == "JSON"


def _job(org: Org, call: Call) -> ClassicJob:
    found: Any = org.jobs.get(to_18(call.parts["job"]) or "")
    if not isinstance(found, ClassicJob):
        raise ApiError(400, "InvalidJob", f"Unable to find object: {call.parts['job'][:20]}")
    return found


def _batch(org: Org, call: Call) -> tuple[ClassicJob, Batch]:
    job = _job(org, call)
    wanted = call.parts["batch"][:15]
    found = next((batch for batch in job.batches if batch.id[:15] == wanted), None)
    if found is None:
        raise ApiError(400, "InvalidBatch", f"Unable to find object: {wanted}")
    return job, found
