"""The result pages of a finished bulk query job, on disk in the order of the rows, a few of them ahead of the reader.

Many pages come several at a time from the addresses that `resultPages` names; where an org has no such list, and for a
single page, one after the other by their locators. Source: Bulk API 2.0, "Get Parallel Results for a Query Job".
"""

from __future__ import annotations

import contextlib
import itertools
import threading
import time
from collections import deque
from collections.abc import Generator, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import requests

from crmsync.connectors.retries import Transient
from crmsync.connectors.salesforce.faults import Refused
from crmsync.connectors.salesforce.org import Org
from crmsync.errors import DataError

PAGE_ROWS = 100_000  # asked for in one page
PAGES_MAX = 100_000
AT_ONCE = 3  # downloads
AHEAD = 4  # pages on disk or under way that nobody has read yet
CHUNK_BYTES = 1 << 18
PAGE_TIMEOUTS = 20  # a page may take this many read timeouts in all: a trickle of bytes is a fault too
PARALLEL_SINCE = 58.0  # the API version that brought `resultPages`


@dataclass(frozen=True)
class Page:
    """One downloaded page of results."""

    path: Path
    rows: int
    locator: str | None


@dataclass(frozen=True)
class Job:
    """A finished query job: whose results, and where its pages are put. `stopped`: nobody wants them any more."""

    org: Org
    id: str
    sobject: str
    folder: Path
    stopped: threading.Event

    @property
    def results(self) -> str:
        """The path of the results, at the API version that made the job: another one is answered with 409."""
        return self.org.data_path(f"jobs/query/{self.id}/results")

    def page(self, number: int, params: Mapping[str, str]) -> Page:
        """One page on disk; a page that was cut is downloaded again from its start."""
        path = self.folder / f"{self.id}-{number}.csv"
        return self.org.retries.call(lambda: self._download(path, params))

    def _download(self, path: Path, params: Mapping[str, str]) -> Page:
        if self.stopped.is_set():
            raise _given_up(path)
        with contextlib.closing(self.org.download(self.results, params)) as answer:
            said = answer.headers.get("Sforce-NumberOfRecords")
            rows = whole(said, f"{self.sobject}: a page without Sforce-NumberOfRecords")
            locator = answer.headers.get("Sforce-Locator") or "null"
            last = save_body(answer, path, self.org.session.timeout_s[1] * PAGE_TIMEOUTS, self.stopped)
        if rows and last != b"\n":
            raise Transient(f"{self.sobject}: a result page is cut off (its last line does not end)")
        return Page(path, rows, None if locator == "null" else locator)


def result_pages(org: Org, job_id: str, sobject: str, folder: Path, rows: int) -> Generator[Page, None, None]:
    """The pages of a job of so many rows, in order; the reader deletes their files.

    Errors: DataError when the pages do not come to an end; Refused; Transient.
    """
    job = Job(org, job_id, sobject, folder, threading.Event())
    if rows > PAGE_ROWS and float(org.version) >= PARALLEL_SINCE:
        with contextlib.closing(_named(job)) as named:
            try:
                first = next(named, None)
            except Refused:
                first = None  # an org without the list, or without the job: its results will say
            if first is not None:
                yield from _several_at_once(job, itertools.chain([first], named))
                return
    yield from _one_by_one(job)


def _one_by_one(job: Job) -> Iterator[Page]:
    locator: str | None = None
    seen: set[str] = set()
    for number in range(PAGES_MAX):
        page = job.page(number, {"maxRecords": str(PAGE_ROWS)} | ({"locator": locator} if locator else {}))
        yield page
        locator = page.locator
        if locator is None:
            return
        if locator in seen:
            raise DataError(f"{job.sobject}: job {job.id} names the page {locator[:40]} twice; the pages do not end")
        seen.add(locator)
    raise DataError(f"{job.sobject}: more than {PAGES_MAX:,} result pages")


def _several_at_once(job: Job, named: Iterator[dict[str, str]]) -> Iterator[Page]:
    under_way: deque[Future[Page]] = deque()
    with ThreadPoolExecutor(AT_ONCE, thread_name_prefix="crmsync-page") as pool:
        try:
            for number, params in enumerate(named):
                under_way.append(pool.submit(job.page, number, params))
                if len(under_way) >= AHEAD:
                    yield under_way.popleft().result()
            while under_way:
                yield under_way.popleft().result()
        finally:
            job.stopped.set()
            pool.shutdown(cancel_futures=True)


def _named(job: Job) -> Generator[dict[str, str], None, None]:
    """What to ask the results for, page by page, as the server lists it, five at a time."""
    given = job.org.data_path(f"jobs/query/{job.id}/resultPages")
    seen: set[str] = set()
    for _ in range(PAGES_MAX):
        answer = job.org.get_at(given)
        pages = answer.get("resultPages") if isinstance(answer, dict) else None
        if not isinstance(pages, list):
            raise DataError(f"{job.sobject}: job {job.id} does not list its result pages")
        for one in pages:
            params = _params(job, one)
            if params["locator"] in seen:
                raise DataError(f"{job.sobject}: job {job.id} names the page {params['locator'][:40]} twice")
            seen.add(params["locator"])
            yield params
        following = answer.get("nextRecordsUrl") or answer.get("nextRecordUrl")  # the guide has both spellings
        if answer.get("done", following is None) or not isinstance(following, str):
            return
        given = following
    raise DataError(f"{job.sobject}: more than {PAGES_MAX:,} lists of result pages")


def _params(job: Job, one: Any) -> dict[str, str]:
    """The locator of a listed page. The address is the job's own, so that it keeps to host and API version."""
    url = one.get("resultUrl") if isinstance(one, dict) else None
    if not isinstance(url, str):
        raise DataError(f"{job.sobject}: job {job.id} lists a result page without an address (resultUrl)")
    parts = urlsplit(job.org.url_of(url))
    params = dict(parse_qsl(parts.query))
    if not parts.path.lower().endswith(f"/jobs/query/{job.id}/results".lower()) or not params.get("locator"):
        raise DataError(f"{job.sobject}: job {job.id} lists {url[:100]}, which is no page of its results")
    return params


def save_body(
    answer: requests.Response, path: Path, deadline_s: float, stopped: threading.Event | None = None
) -> bytes:
    """Stream a body to disk and return its last byte. Errors: Transient when the connection is cut or too slow."""
    last, deadline = b"", time.monotonic() + deadline_s
    try:
        with path.open("wb") as file:
            for chunk in answer.iter_content(CHUNK_BYTES):
                file.write(chunk)
                last = chunk[-1:]
                if time.monotonic() > deadline:
                    raise Transient(f"{path.name}: the download took longer than {deadline_s:.0f} seconds")
                if stopped is not None and stopped.is_set():
                    raise _given_up(path)
    except requests.RequestException as error:
        raise Transient(f"{path.name}: the download was cut ({type(error).__name__})") from None
    return last


def _given_up(path: Path) -> DataError:
    return DataError(f"{path.name}: the download was given up, because the read has ended")


def whole(value: Any, complaint: str) -> int:
    """A whole number in a header or a body. Errors: DataError with the complaint."""
    try:
        return int(value)
    except (TypeError, ValueError):
        raise DataError(complaint) from None
