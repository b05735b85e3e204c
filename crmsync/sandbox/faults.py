"""Faults that a test switches on: which calls they hit, and what they do. Described in docs/sandbox.md."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from decimal import Decimal
from difflib import get_close_matches
from fnmatch import fnmatchcase
from threading import Lock
from typing import Any

from crmsync.sandbox.answers import ApiError
from crmsync.sandbox.error_table import ERRORS, JOB_ERRORS, LOGIN_ERRORS

INSIDE = frozenset({"hide_rows", "lock", "rows", "page_size", "job_fails"})
"""What a fault does while the call is worked on, whatever its `at` says."""
CHANGES = ("edit", "merge", "delete", "undelete")
_NEEDED = {"edit": ("object", "id", "fields"), "merge": ("object", "master", "losers"), "delete": ("object", "id"),
           "undelete": ("object", "id"), "create": ("object", "fields")}  # fmt: skip
KEYS = frozenset({
    "error", "status", "code", "message", "fields", "body", "html", "delay_ms", "cut", "truncate", "expire_token",
    "gzip_garbage", "charset", "headers", "json", *CHANGES, *INSIDE,
})  # fmt: skip


def _number(least: float, most: float = 1e12) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, (int, float, Decimal)) and value is not True and least <= value <= most


def _whole(least: int, most: int = 10**12) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, int) and not isinstance(value, bool) and least <= value <= most


def _flag(value: Any) -> bool:
    return isinstance(value, bool)


def _texts(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(entry, str) for entry in value)


def _ids_or_share(value: Any) -> bool:
    return _texts(value) or _number(0, 1)(value)


def _hides(value: Any) -> bool:
    if isinstance(value, Mapping):
        return set(value) == {"field", "value"}
    return _whole(0)(value) or (not isinstance(value, int) and _number(0, 1)(value))


def _refuses(value: Any) -> bool:
    known = {"ids", "share", "error", "message", "fields", "status", "code"}
    return (
        isinstance(value, Mapping) and not set(value) - known and _ids_or_share(value.get("ids", value.get("share", 1)))
    )


def _fails(value: Any) -> bool:
    return isinstance(value, str) or (
        isinstance(value, Mapping)
        and not set(value) - {"error", "message", "after"}
        and _whole(0)(value.get("after", 0))
    )


_SHAPES: dict[str, tuple[Callable[[Any], bool], str]] = {
    "delay_ms": (_number(0, 3_600_000), "a number of milliseconds"),
    "truncate": (_whole(0), "a number of bytes"),
    "status": (_whole(200, 599), "an HTTP status"),
    "page_size": (_whole(1), "a number of rows from 1 on"),
    "cut": (_flag, "true or false"),
    "html": (_flag, "true or false"),
    "expire_token": (_flag, "true or false"),
    "gzip_garbage": (_flag, "true or false"),
    "charset": (_flag, "true or false"),
    "fields": (_texts, "a list of names"),
    "headers": (lambda value: isinstance(value, Mapping), "an object of names and values"),
    "json": (lambda value: isinstance(value, Mapping), "an object of keys and values"),
    "lock": (_ids_or_share, "a list of ids or a share from 0 to 1"),
    "hide_rows": (_hides, "a number of rows, a share from 0.0 to 1.0, or {field, value}"),
    "rows": (_refuses, "an object such as {share: 0.1, error: UNABLE_TO_LOCK_ROW}"),
    "job_fails": (_fails, "an error's name, or {error, after, message}"),
}
_FAULT_KEYS = frozenset({"method", "path", "nth", "do", "at"})


@dataclass
class Fault:
    """One fault. `seen` counts the calls that matched, `fired` those that it hit."""

    method: str
    path: str
    nth: frozenset[int] | None  # None: every call
    do: Mapping[str, Any]
    after: bool
    given: Mapping[str, Any]
    seen: int = 0
    fired: int = 0

    def matches(self, method: str, paths: Sequence[str]) -> bool:
        """The call is one of those that the fault counts; globs compare without case."""
        if self.method not in ("*", method.upper()):
            return False
        return any(fnmatchcase(path.lower(), self.path.lower()) for path in paths)

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
            self.listed = made

    def of_call(self, method: str, paths: Sequence[str]) -> list[tuple[Fault, int]]:
        """The faults that hit this call, each with the number of the call among those that it counts."""
        if not self.listed:
            return []
        with self._lock:
            hit = []
            for fault in self.listed:
                if fault.matches(method, paths):
                    fault.seen += 1
                    if fault.nth is None or fault.seen in fault.nth:
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
        if key in _SHAPES and not _SHAPES[key][0](value):
            raise _wrong(f"{where}.do.{key}", f"{value!r:.60} is not {_SHAPES[key][1]}")
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
    if not shaped or not isinstance(entry.get("fields", {}), Mapping) or not _texts(entry.get("losers", [])):
        raise _wrong(where, f"{entry!r:.80} is not {{{', '.join(needed)}}}, with `as` for another user")


def _numbers(nth: Any, where: str) -> frozenset[int] | None:
    if nth == "every":
        return None
    listed = nth if isinstance(nth, list) else [nth]
    if not listed or any(isinstance(number, bool) or not isinstance(number, int) or number < 1 for number in listed):
        raise _wrong(f"{where}.nth", f"{nth!r} is not a number from 1 on, a list of them, or every")
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
    """What the faults of the present call do to the work inside it. `salt` makes shares differ from call to call."""

    do: tuple[tuple[Mapping[str, Any], str], ...] = ()

    def value(self, key: str) -> Any:
        """The value of the first fault with that key, or None."""
        return next((do[key] for do, _ in self.do if key in do), None)

    def refuse_row(self, record_id: str) -> None:
        """Errors: ApiError when a fault locks or refuses the row."""
        for do, salt in self.do:
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
        (fault.do, f"{place} {number}") for place, (fault, number) in enumerate(hit) if INSIDE & set(fault.do)
    )
    token = _twist.set(Twist(inside))
    try:
        yield
    finally:
        _twist.reset(token)
