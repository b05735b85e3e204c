"""What the value of each kind of fault looks like."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any


def number(least: float, most: float = 1e12) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, (int, float, Decimal)) and value is not True and least <= value <= most


def _whole(least: int, most: int = 10**12) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, int) and not isinstance(value, bool) and least <= value <= most


def _flag(value: Any) -> bool:
    return isinstance(value, bool)


def texts(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(entry, str) for entry in value)


def _ids_or_share(value: Any) -> bool:
    return texts(value) or number(0, 1)(value)


def _hides(value: Any) -> bool:
    if isinstance(value, Mapping):
        return set(value) == {"field", "value"}
    return _whole(0)(value) or (not isinstance(value, int) and number(0, 1)(value))


def _refuses(value: Any) -> bool:
    known = {"ids", "share", "error", "message", "fields", "status", "code"}
    return (
        isinstance(value, Mapping) and not set(value) - known and _ids_or_share(value.get("ids", value.get("share", 1)))
    )


def _waits(value: Any) -> bool:
    """Rows before the first stop, rows between later stops, milliseconds of each; without these, until switched off."""
    return (
        isinstance(value, Mapping)
        and not set(value) - {"after", "every", "ms"}
        and _whole(0)(value.get("after", 0))
        and _whole(1)(value.get("every", 1))
        and number(0, 3_600_000)(value.get("ms", 0))
    )


def _trickles(value: Any) -> bool:
    return (
        isinstance(value, Mapping)
        and set(value) == {"bytes", "ms"}
        and _whole(1)(value["bytes"])
        and number(0, 3_600_000)(value["ms"])
    )


def _calls(value: Any) -> bool:
    """One or several of {method, path, json, as}."""
    return all(
        isinstance(call, Mapping)
        and {"method", "path"} <= set(call) <= {"method", "path", "json", "as"}
        and texts([call["method"], call["path"], call.get("as", "")])
        for call in (value if isinstance(value, list) else [value])
    )


def _fails(value: Any) -> bool:
    return isinstance(value, str) or (
        isinstance(value, Mapping)
        and not set(value) - {"error", "message", "after"}
        and _whole(0)(value.get("after", 0))
    )


SHAPES: dict[str, tuple[Callable[[Any], bool], str]] = {
    "delay_ms": (number(0, 3_600_000), "a number of milliseconds"),
    "truncate": (_whole(0), "a number of bytes"),
    "status": (_whole(200, 599), "an HTTP status"),
    "page_size": (_whole(1), "a number of rows from 1 on"),
    "cut": (_flag, "true or false"),
    "html": (_flag, "true or false"),
    "expire_token": (_flag, "true or false"),
    "gzip_garbage": (_flag, "true or false"),
    "charset": (_flag, "true or false"),
    "fields": (texts, "a list of names"),
    "headers": (lambda value: isinstance(value, Mapping), "an object of names and values"),
    "json": (lambda value: isinstance(value, Mapping), "an object of keys and values"),
    "lock": (_ids_or_share, "a list of ids or a share from 0 to 1"),
    "hide_rows": (_hides, "a number of rows, a share from 0.0 to 1.0, or {field, value}"),
    "rows": (_refuses, "an object such as {share: 0.1, error: UNABLE_TO_LOCK_ROW}"),
    "job_waits": (_waits, "an object of {after, every, ms}"),
    "trickle": (_trickles, "an object of {bytes, ms}"),
    "call": (_calls, "{method, path, json, as} or a list of them"),
    "job_fails": (_fails, "an error's name, or {error, after, message}"),
}
