"""Faults that a test switches on: which calls they hit, and what they do. Described in docs/sandbox.md."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from difflib import get_close_matches
from fnmatch import fnmatchcase
from threading import Event, Lock
from typing import Any

from crmsync.sandbox.answers import ApiError
from crmsync.sandbox.error_table import ERRORS, JOB_ERRORS, LOGIN_ERRORS
from crmsync.sandbox.fault_shapes import SHAPES, number, texts

INSIDE = frozenset({"hide_rows", "lock", "rows", "page_size", "job_fails", "job_waits"})
"""What a fault does while the call is worked on, whatever its `at` says."""
CHANGES = ("edit", "merge", "delete", "undelete")
_NEEDED = {"edit": ("object", "id", "fields"), "merge": ("object", "master", "losers"), "delete": ("object", "id"),
           "undelete": ("object", "id"), "create": ("object", "fields")}  # fmt: skip
KEYS = frozenset({
    "error", "status", "code", "message", "fields", "body", "html", "delay_ms", "cut", "truncate", "expire_token",
    "gzip_garbage", "charset", "headers", "json", "trickle", "call", *CHANGES, *INSIDE,
})  # fmt: skip


_FAULT_KEYS = frozenset({"method", "path", "nth", "do", "at"})


@dataclass
class Fault:
    """One fault. `seen` counts the calls that matched, `fired` those that it hit; `off` is set once it is replaced."""

    method: str
    path: str
    nth: frozenset[int] | float  # those calls, or a share of them
    do: Mapping[str, Any]
    after: bool
    given: Mapping[str, Any]
    seen: int = 0
    fired: int = 0
    off: Event = field(default_factory=Event)

    def matches(self, method: str, paths: Sequence[str]) -> bool:
        """The call is one of those that the fault counts; globs compare without case."""
        if self.method not in ("*", method.upper()):
            return False
        return any(fnmatchcase(path.lower(), self.path.lower()) for path in paths)

    def hits(self, place: int) -> bool:
        """The call that was seen last is one that it hits; `place` makes faults of one share differ."""
        if isinstance(self.nth, frozenset):
            return self.seen in self.nth
        return share_of(f"{place} {self.seen}") < self.nth

    def as_json(self) -> dict[str, Any]:
        """The fault as it was given, with its counts."""
        return dict(self.given) | {"seen": self.seen, "fired": self.fired}


@dataclass
class Faults:
    """The faults that are switched on."""

    listed: list[Fault] = field(default_factory=list)
    _lock: Lock = field(default_factory=Lock)

    def replace(self, given: Any) -> None:
        """Switch on these faults and no others. Errors: ApiError saying which one is wrong."""
        if isinstance(given, Mapping):
            given = [given]
        if not isinstance(given, list):
            raise _wrong("faults", "a list of {method, path, nth, do, at} is wanted")
        made = [_read(entry, place) for place, entry in enumerate(given)]
        with self._lock:
            gone, self.listed = self.listed, made
        for fault in gone:
            fault.off.set()

    def of_call(self, method: str, paths: Sequence[str]) -> list[tuple[Fault, int]]:
        """The faults that hit this call, each with the number of the call among those that it counts."""
        if not self.listed:
            return []
        with self._lock:
            hit = []
            for place, fault in enumerate(self.listed):
                if fault.matches(method, paths):
                    fault.seen += 1
                    if fault.hits(place):
                        fault.fired += 1
                        hit.append((fault, fault.seen))
            return hit


def _read(entry: Any, place: int) -> Fault:
    where = f"faults[{place}]"
    if not isinstance(entry, Mapping):
        raise _wrong(where, "must be an object")
    _only(entry, _FAULT_KEYS, where)
    do = entry.get("do")
    if not isinstance(do, Mapping) or not do:
        raise _wrong(where, "`do` says what happens, such as {error: UNABLE_TO_LOCK_ROW}")
    _only(do, KEYS, f"{where}.do")
    for key, value in do.items():
        if key in SHAPES and not SHAPES[key][0](value):
            raise _wrong(f"{where}.do.{key}", f"{value!r:.60} is not {SHAPES[key][1]}")
    for kind in CHANGES:
        given = do.get(kind, [])
        for change in given if isinstance(given, list) else [given]:
            check_change(kind, change, f"{where}.do.{kind}")
    _check_errors(do, f"{where}.do")
    at = entry.get("at", "before")
    if at not in ("before", "after"):
        raise _wrong(f"{where}.at", f"{at!r} is not before or after")
    method, path = str(entry.get("method", "*")).upper(), str(entry.get("path", "*"))
    return Fault(method, path, _numbers(entry.get("nth", "every"), where), dict(do), at == "after", dict(entry))


def check_change(kind: str, entry: Any, where: str) -> None:
    """Errors: ApiError INVALID_FAULT unless the entry says what a change of that kind needs."""
    needed = _NEEDED[kind]
    shaped = isinstance(entry, Mapping) and not set(needed) - set(entry) and not set(entry) - {*needed, "as"}
    if not shaped or not isinstance(entry.get("fields", {}), Mapping) or not texts(entry.get("losers", [])):
        raise _wrong(where, f"{entry!r:.80} is not {{{', '.join(needed)}}}, with `as` for another user")


def _numbers(nth: Any, where: str) -> frozenset[int] | float:
    if nth == "every":
        return 1.0
    if not isinstance(nth, int) and number(0, 1)(nth):
        return float(nth)
    listed = nth if isinstance(nth, list) else [nth]
    if not listed or any(isinstance(one, bool) or not isinstance(one, int) or one < 1 for one in listed):
        raise _wrong(
            f"{where}.nth", f"{nth!r} is not a number from 1 on, a list of them, a share such as 0.1, or every"
        )
    return frozenset(listed)


def _check_errors(do: Mapping[str, Any], where: str) -> None:
    known = [*ERRORS, *LOGIN_ERRORS]
    rows = do.get("rows") or {}
    for name in (do.get("error"), rows.get("error")):
        if name is not None and name not in known:
            raise _wrong(f"{where}.error", f"{name!r} is no known error{_nearest(str(name), known)}")
    job = do.get("job_fails")
    name = job.get("error") if isinstance(job, Mapping) else job
    if name is not None and name not in JOB_ERRORS:
        raise _wrong(f"{where}.job_fails", f"{name!r} is not one of {', '.join(JOB_ERRORS)}")


def _only(given: Mapping[str, Any], known: frozenset[str], where: str) -> None:
    for key in given:
        if key not in known:
            raise _wrong(where, f"`{key}` is not known here{_nearest(str(key), sorted(known))}")


def _nearest(word: str, known: Sequence[str]) -> str:
    close = get_close_matches(word, known, 1)
    return f"; did you mean {close[0]}?" if close else f"; known are {', '.join(sorted(known))}"


def _wrong(where: str, message: str) -> ApiError:
    return ApiError(400, "INVALID_FAULT", f"{where}: {message}")


@dataclass(frozen=True)
class Twist:
    """What the faults of the present call do to the work inside it. `salt` makes shares differ from call to call; the
    event is set once the fault is switched off."""

    do: tuple[tuple[Mapping[str, Any], str, Event], ...] = ()

    def value(self, key: str) -> Any:
        """The value of the first fault with that key, or None."""
        return next((do[key] for do, _, _ in self.do if key in do), None)

    def off(self, key: str) -> Event | None:
        """What is set once the first fault with that key is switched off, or None without such a fault."""
        return next((off for do, _, off in self.do if key in do), None)

    def refuse_row(self, record_id: str) -> None:
        """Errors: ApiError when a fault locks or refuses the row."""
        for do, salt, _ in self.do:
            if "lock" in do and _chosen(do["lock"], record_id, salt):
                text = f"unable to obtain exclusive access to this record or 1 records: {record_id}"
                raise ApiError(400, "UNABLE_TO_LOCK_ROW", text, [])
            rows = do.get("rows")
            if rows and _chosen(rows.get("ids", rows.get("share", 1.0)), record_id, salt):
                raise row_error(rows)


def row_error(given: Mapping[str, Any]) -> ApiError:
    """The refusal that a fault describes by name or by its parts."""
    known = ERRORS.get(str(given.get("error")))
    status = int(given.get("status") or (known.status if known else 400))
    code = str(given.get("code") or (known.code if known else "UNKNOWN_EXCEPTION"))
    fields = given.get("fields", known.fields if known else None)
    return ApiError(status, code, str(given.get("message") or (known.message if known else code)), fields)


def job_error(given: Any) -> str:
    """The errorMessage of a job that a fault lets fail."""
    name = given.get("error") if isinstance(given, Mapping) else given
    message = given.get("message") if isinstance(given, Mapping) else None
    return str(message or JOB_ERRORS[str(name)])


def _chosen(ids_or_share: Any, record_id: str, salt: str) -> bool:
    if isinstance(ids_or_share, (list, tuple)):
        return any(str(given)[:15] == record_id[:15] for given in ids_or_share)
    return share_of(f"{salt} {record_id}") < float(ids_or_share)


def share_of(text: str) -> float:
    """A number from 0 up to 1 that depends on the text only."""
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:6], "big") / 2**48


_twist: ContextVar[Twist] = ContextVar("twist", default=Twist())  # noqa: B039 - frozen


def twist() -> Twist:
    """What faults do to the work of the present call; nothing by default."""
    return _twist.get()


@contextmanager
def twisting(hit: Sequence[tuple[Fault, int]]) -> Iterator[None]:
    """The work within is under these faults."""
    inside = tuple(
        (fault.do, f"{place} {number}", fault.off)
        for place, (fault, number) in enumerate(hit)
        if INSIDE & set(fault.do)
    )
    token = _twist.set(Twist(inside))
    try:
        yield
    finally:
        _twist.reset(token)
