"""What clients did to the org: calls by kind and endpoint, and how often each record was changed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from threading import Lock
from typing import Any


class Effects:
    """Counters behind `/__sandbox/effects`. The sandbox's own doors are not counted."""

    def __init__(self) -> None:
        self._lock = Lock()
        self.reset()

    def reset(self) -> None:
        """Start again at nothing."""
        with self._lock:
            self._calls = {"read": 0, "write": 0}
            self._endpoints: Counter[str] = Counter()
            self._records: dict[str, Counter[str]] = {}

    def record_call(self, endpoint: str, write: bool) -> None:
        """Count one call; a write is a call that could change a record."""
        with self._lock:
            self._calls["write" if write else "read"] += 1
            self._endpoints[endpoint] += 1

    def record_changes(self, changed: Iterable[tuple[str, str]]) -> None:
        """Count one change each of these (object, record id), which are committed."""
        with self._lock:
            for name, record_id in changed:
                self._records.setdefault(name, Counter())[record_id] += 1

    def as_json(self) -> dict[str, Any]:
        """The answer of the door."""
        with self._lock:
            return {
                "calls": dict(self._calls),
                "by_endpoint": dict(sorted(self._endpoints.items())),
                "records": {name: dict(sorted(counts.items())) for name, counts in sorted(self._records.items())},
            }
