"""What goes in and out of a door of the org: a call, an answer, an error in the shape of the REST API."""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

JSON_TYPE = "application/json;charset=UTF-8"
MAX_BODY = 50 * 1024 * 1024


class ApiError(Exception):
    """A refusal as the REST API words it: HTTP status, error code, message, names of the fields at fault."""

    def __init__(self, status: int, code: str, message: str, fields: Sequence[str] | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.fields = tuple(fields) if fields is not None else None
        self.more: tuple[ApiError, ...] = ()  # refusals beside this one, as several rules give them

    def listed(self) -> list[dict[str, Any]]:
        """The error list of a REST answer."""
        return [error.as_json() for error in (self, *self.more)]

    def as_json(self) -> dict[str, Any]:
        """The entry of the error list of a REST answer."""
        entry: dict[str, Any] = {"message": self.message, "errorCode": self.code}
        return entry if self.fields is None else entry | {"fields": list(self.fields)}

    def as_status(self) -> dict[str, Any]:
        """The entry of the `errors` list of a collection's answer, which says `statusCode`."""
        return {"statusCode": self.code, "message": self.message, "fields": list(self.fields or ())}


def not_found(message: str = "The requested resource does not exist") -> ApiError:
    """The 404 of a resource or record that is not there."""
    return ApiError(404, "NOT_FOUND", message)


@dataclass
class Call:
    """One request: the matched parts of its path, query and header names in lower case, body unzipped."""

    method: str
    path: str
    version: str = ""
    parts: Mapping[str, str] = field(default_factory=dict)
    query: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    upload: Path | None = None  # where the body of an upload was put

    @property
    def root(self) -> str:
        """`/services/data/vX.0` as the client asked for it."""
        return f"/services/data/v{self.version}"

    def json(self) -> Any:
        """The parsed body. Errors: ApiError JSON_PARSER_ERROR."""
        try:
            return json.loads(self.body.decode("utf-8"), parse_constant=_no_constant, parse_float=Decimal)
        except (ValueError, RecursionError) as error:
            where = (
                f" at [line:{error.lineno}, column:{error.colno}]" if isinstance(error, json.JSONDecodeError) else ""
            )
            raise ApiError(400, "JSON_PARSER_ERROR", f"The request body is not valid JSON{where}") from None

    def json_object(self) -> dict[str, Any]:
        """The parsed body, which must be a JSON object."""
        body = self.json()
        if not isinstance(body, dict):
            raise ApiError(400, "JSON_PARSER_ERROR", "The request body must be a JSON object")
        return body


def _no_constant(name: str) -> float:
    raise ValueError(f"{name} is not JSON")


@dataclass
class Answer:
    """One response. `body` is dumped as JSON unless it is text or bytes; `chunks` streams instead of a body."""

    body: Any = None
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    media_type: str = JSON_TYPE
    chunks: Iterator[bytes] | None = None
    trickle: tuple[int, float] | None = None  # bytes at a time, seconds between them
    cut: int | None = None  # the connection ends after so many bytes of the body; 0: before any byte

    def content(self, pretty: bool) -> bytes:
        """The bytes of the body; empty for None."""
        if self.body is None:
            return b""
        if isinstance(self.body, bytes):
            return self.body
        if isinstance(self.body, str):
            return self.body.encode("utf-8")
        return dump_json(self.body, pretty)


def dump_json(value: Any, pretty: bool = False) -> bytes:
    """Compact JSON in UTF-8, or indented by two."""
    if pretty:
        return json.dumps(value, ensure_ascii=False, indent=2).encode("utf-8", "replace")
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")


def unzipped(body: bytes, encoding: str, limit: int = MAX_BODY) -> bytes:
    """The body without its Content-Encoding. Errors: ApiError for bad gzip, or more than `limit` bytes."""
    if encoding.strip().lower() != "gzip":
        return body
    try:
        packed = zlib.decompressobj(wbits=16 + zlib.MAX_WBITS)
        plain = packed.decompress(body, limit)
    except (zlib.error, gzip.BadGzipFile):
        raise ApiError(400, "UNKNOWN_EXCEPTION", "The request body is not valid gzip") from None
    if packed.unconsumed_tail:
        raise ApiError(413, "REQUEST_ENTITY_TOO_LARGE", f"The request body is larger than {limit} bytes")
    return plain
