"""What clients did to the org: calls by kind and endpoint, how often each record was changed, and by whom."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, replace
from threading import Lock
from typing import Any, NamedTuple

from crmsync.sandbox.answers import ApiError

Wanted = bool | frozenset[str]
"""Whether changes are kept one by one: not, with all values, or with the values of these fields (in lower case)."""


class Change(NamedTuple):
    """One change of a record. `values` are the stored values that were written."""

    object: str
    id: str
    kind: str = "changed"  # created, changed, deleted, merged, undeleted
    values: Mapping[str, Any] | None = None


@dataclass(frozen=True)
class Via:
    """How a change came in: the door of the call, the end of its access token, the job that wrote it."""

    call: str | None = None
    login: str | None = None
    job: str | None = None
    by_people: bool = False


_via: ContextVar[Via] = ContextVar("via", default=Via())  # noqa: B039 - frozen


def comes_by(call: str, authorization: str) -> None:
    """The rest of this call came through that door, with this Authorization header."""
    _via.set(Via(call, authorization.strip()[-12:] or None, by_people=_via.get().by_people))


def job_at_work(job_id: str) -> None:
    """The rest of this thread is the work of a job."""
    _via.set(replace(_via.get(), job=job_id))


@contextmanager
def people_at_work() -> Iterator[None]:
    """What happens within is the work of people, not of clients: it is no effect."""
    token = _via.set(Via(by_people=True))
    try:
        yield
    finally:
        _via.reset(token)


class Effects:
    """Counters behind `/__sandbox/effects`. The sandbox's own doors are not counted."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._wanted: Wanted = False
        self.reset()

    def reset(self) -> None:
        """Start again at nothing; what is kept of changes stays as it was asked for."""
        with self._lock:
            self._calls = {"read": 0, "write": 0}
            self._endpoints: Counter[str] = Counter()
            self._records: dict[str, Counter[str]] = {}
            self._changes: list[dict[str, Any]] = []

    def keep_changes(self, wanted: Any) -> None:
        """Keep changes one by one from now on, or (false) no longer. Errors: ApiError INVALID_EFFECTS."""
        if isinstance(wanted, list) and all(isinstance(name, str) for name in wanted):
            wanted = frozenset(name.lower() for name in wanted)
        elif not isinstance(wanted, bool):
            raise ApiError(
                400, "INVALID_EFFECTS", f"changes: {wanted!r:.60} is not true, false or a list of names of fields"
            )
        with self._lock:
            self._wanted, self._changes = wanted, []

    def record_call(self, endpoint: str, write: bool) -> None:
        """Count one call; a write is a call that could change a record. Calls of people are not counted."""
        if _via.get().by_people:
            return
        with self._lock:
            self._calls["write" if write else "read"] += 1
            self._endpoints[endpoint] += 1

    def record_changes(self, changes: Sequence[Change], stamp: str, user_id: str) -> None:
        """Count these changes, which are committed and were made by that user, unless people made them."""
        via = _via.get()
        if via.by_people:
            return
        with self._lock:
            for change in changes:
                self._records.setdefault(change.object, Counter())[change.id] += 1
            if self._wanted is not False:
                self._changes += [self._kept(change, stamp, user_id, via) for change in changes]

    def _kept(self, change: Change, stamp: str, user_id: str, via: Via) -> dict[str, Any]:
        values = change.values or {}
        if isinstance(self._wanted, frozenset):
            values = {name: value for name, value in values.items() if name.lower() in self._wanted}
        return {
            "at": stamp, "object": change.object, "id": change.id, "kind": change.kind, "user": user_id,
            "login": via.login, "call": via.call, "job": via.job, "values": dict(values),
        }  # fmt: skip

    def as_json(self, wanted_object: str | None = None, wanted_id: str | None = None) -> dict[str, Any]:
        """The answer of the door; with the changes in their order while they are kept, of one object or record."""
        with self._lock:
            body: dict[str, Any] = {
                "calls": dict(self._calls),
                "by_endpoint": dict(sorted(self._endpoints.items())),
                "records": {name: dict(sorted(counts.items())) for name, counts in sorted(self._records.items())},
            }
            if self._wanted is False:
                return body
            return body | {"changes": list(_only(self._changes, wanted_object, wanted_id))}


def _only(
    changes: Iterable[dict[str, Any]], wanted_object: str | None, wanted_id: str | None
) -> Iterator[dict[str, Any]]:
    for change in changes:
        of_object = wanted_object is None or change["object"].lower() == wanted_object.lower()
        if of_object and (wanted_id is None or change["id"][:15] == wanted_id[:15]):
            yield change
