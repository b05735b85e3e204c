"""What the org allows per day and at once: API calls, bulk batches, query jobs and their results, long calls."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from threading import Lock
from typing import Any

from crmsync.sandbox.answers import ApiError

REQUESTS = "DailyApiRequests"
BATCHES = "DailyBulkApiBatches"
QUERY_JOBS = "DailyBulkV2QueryJobs"
QUERY_MB = "DailyBulkV2QueryFileStorageMB"
CONCURRENT = "ConcurrentRequests"
ROWS_PER_BATCH = 10_000
_MB = 1024 * 1024
_MOST = {REQUESTS: 115_000, BATCHES: 15_000, QUERY_JOBS: 10_000, QUERY_MB: 976_562}
_FIXED = {"DataStorageMB": 10_240, "FileStorageMB": 10_240, "HourlyAsyncReportRuns": 1_200,
          "DailyStreamingApiEvents": 10_000}  # fmt: skip


class UsedUpError(Exception):
    """A job needs more than is left; the text is its errorMessage."""


@dataclass
class Allowance:
    """Counts since the start, which stand for the last 24 hours. File storage is counted in bytes, shown in MB."""

    most: dict[str, int] = field(default_factory=lambda: dict(_MOST))
    used: dict[str, int] = field(default_factory=lambda: dict.fromkeys(_MOST, 0))
    most_at_once: int = 25
    long_after_s: float = 20.0
    _running: dict[int, float] = field(default_factory=dict)
    _lock: Lock = field(default_factory=Lock)

    def take_request(self) -> None:
        """Count one API call. Errors: ApiError REQUEST_LIMIT_EXCEEDED when the day's calls are used up."""
        with self._lock:
            if self.used[REQUESTS] >= self.most[REQUESTS]:
                raise ApiError(403, "REQUEST_LIMIT_EXCEEDED", "TotalRequests Limit exceeded.")
            self.used[REQUESTS] += 1

    def take_query_job(self) -> None:
        """Count one bulk query job. Errors: ApiError LIMIT_EXCEEDED."""
        with self._lock:
            if self.used[QUERY_JOBS] >= self.most[QUERY_JOBS]:
                most = self.most[QUERY_JOBS]
                raise ApiError(
                    400, "LIMIT_EXCEEDED", f"Max bulk v2 query jobs ({most}) per 24 hrs has been reached ({most})"
                )
            self.used[QUERY_JOBS] += 1

    def check_batches(self) -> None:
        """Errors: ApiError EXCEEDEDQUOTA when no batch is left for a new ingest job."""
        if self.used[BATCHES] >= self.most[BATCHES]:
            raise ApiError(
                400, "EXCEEDEDQUOTA", f"ApiBatchItems Limit exceeded: {self.most[BATCHES]} batches per 24 hrs"
            )

    def take_batch(self) -> None:
        """Count one batch of an ingest job. Errors: UsedUpError."""
        with self._lock:
            if self.used[BATCHES] >= self.most[BATCHES]:
                raise UsedUpError(
                    f"ExceededQuota : ApiBatchItems Limit exceeded: {self.most[BATCHES]} batches per 24 hrs"
                )
            self.used[BATCHES] += 1

    def take_file(self, size: int) -> None:
        """Count a query result of `size` bytes. Errors: UsedUpError."""
        with self._lock:
            if self.used[QUERY_MB] + size > self.most[QUERY_MB] * _MB:
                raise UsedUpError(f"ExceededQuota : the query results of 24 hrs exceed {self.most[QUERY_MB]} MB")
            self.used[QUERY_MB] += size

    @contextmanager
    def call(self) -> Iterator[None]:
        """A call is running within. Errors: ApiError REQUEST_LIMIT_EXCEEDED while too many long calls are."""
        now = time.monotonic()
        with self._lock:
            long = sum(1 for began in self._running.values() if now - began >= self.long_after_s)
            if long >= self.most_at_once:
                text = "ConcurrentRequests (Concurrent API Requests) Limit exceeded."
                raise ApiError(403, "REQUEST_LIMIT_EXCEEDED", text)
            number = max(self._running, default=0) + 1
            self._running[number] = now
        try:
            yield
        finally:
            with self._lock:
                self._running.pop(number, None)

    @property
    def running(self) -> int:
        """How many calls are running now."""
        with self._lock:
            return len(self._running)

    def as_json(self) -> dict[str, dict[str, int]]:
        """The answer of `/limits`."""
        with self._lock:
            used = self.used | {QUERY_MB: -(-self.used[QUERY_MB] // _MB)}
            found = {name: {"Max": top, "Remaining": max(0, top - used[name])} for name, top in self.most.items()}
        return found | {name: {"Max": top, "Remaining": top} for name, top in _FIXED.items()}

    def set_limits(self, given: Mapping[str, Any]) -> None:
        """Take {limit: {Max, Used}} and {ConcurrentRequests: {Max, AfterSeconds}}. Errors: ApiError."""
        for name, parts in given.items():
            known = {"Max", "AfterSeconds"} if name == CONCURRENT else {"Max", "Used"}
            if name not in (*self.most, CONCURRENT) or not isinstance(parts, Mapping) or set(parts) - known:
                listed = ", ".join((*self.most, CONCURRENT))
                text = f"{name}: {parts!r:.60}; known are {listed}, each with {' and '.join(sorted(known))}"
                raise ApiError(400, "INVALID_LIMIT", text)
            if any(isinstance(value, bool) or float(value) < 0 for value in parts.values()):
                raise ApiError(400, "INVALID_LIMIT", f"{name}: {parts!r:.60}: numbers from 0 on are wanted")
        with self._lock:
            for name, parts in given.items():
                if name == CONCURRENT:
                    self.most_at_once = int(parts.get("Max", self.most_at_once))
                    self.long_after_s = float(parts.get("AfterSeconds", self.long_after_s))
                    continue
                self.most[name] = int(parts.get("Max", self.most[name]))
                if "Used" in parts:
                    self.used[name] = int(parts["Used"]) * (_MB if name == QUERY_MB else 1)
