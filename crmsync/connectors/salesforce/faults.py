"""What a Salesforce answer that is not a success means, by what the run does next.

Source: the error table of the REST and Bulk API guides (HTTP status and `errorCode`); edge servers answer with HTML.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from types import MappingProxyType
from urllib.parse import urlsplit

import requests

from crmsync.connectors.retries import Transient
from crmsync.errors import AccessError, CrmsyncError, DataError, Deferred
from crmsync.metadata_schema import MetadataFileError, parsed

TRANSIENT_STATUSES = frozenset({406, 408, 420, 425, 429})  # besides every 5xx; 406 and 420 come from the edge
NOT_APPLIED_STATUSES = frozenset({420, 429})
LOCKED = "UNABLE_TO_LOCK_ROW"
NOT_APPLIED_CODES = frozenset({LOCKED})  # a 503 may come from an edge, after the call was worked on
TRANSIENT_CODES = frozenset({LOCKED, "QUERY_TIMEOUT", "SERVER_UNAVAILABLE", "TXN_SECURITY_METERING_ERROR"})
TIMED_OUT = "QUERY_TIMEOUT"
SOAP_TRANSIENT_CODES = frozenset({"", "UNKNOWN_EXCEPTION", "SERVER_UNAVAILABLE"})
SESSION_CODES = frozenset({"INVALID_SESSION_ID", "InvalidSessionId"})
ACCESS_CODES: Mapping[str, str] = MappingProxyType(
    {
        "API_DISABLED_FOR_ORG": "the API is not enabled for this org or user",
        "API_CURRENTLY_DISABLED": "the API is switched off in this org at the moment",
        "INSUFFICIENT_ACCESS": "the integration user lacks a permission",
        "FUNCTIONALITY_NOT_ENABLED": "this function is not enabled in the org",
        "UNSUPPORTED_API_VERSION": "this API version is not offered; set a newer CRMSYNC_SALESFORCE__API_VERSION",
        "GONE": "this API version is gone; set a newer CRMSYNC_SALESFORCE__API_VERSION",
    }
)
ADVICE: Mapping[str, str] = MappingProxyType(
    {
        "TXN_SECURITY_METERING_ERROR": "; give the integration user the permission Exempt from Transaction Security",
    }
)
MESSAGE_LENGTH = 400


class SessionExpired(AccessError):  # noqa: N818
    """The access token is no longer accepted; nothing was done."""


class OnceMore(Transient):
    """A fault that passes, but of which waiting in place is of little use: the call is repeated once."""


class TimedOut(OnceMore):
    """A query that took Salesforce too long: it is then cut into smaller ones."""


class Locked(OnceMore):
    """Another write held the record at that moment, and nothing was done. `words`: Salesforce's own."""

    def __init__(self, message: str, words: str) -> None:
        super().__init__(message, applied=False)
        self.words = words


class Refused(DataError):  # noqa: N818
    """Salesforce understood the call and said no; repeating it gives the same answer."""

    def __init__(self, what: str, status: int, code: str, message: str, fields: tuple[str, ...] = ()) -> None:
        named = f" (fields: {', '.join(fields)})" if fields else ""
        super().__init__(f"Salesforce refused {what}: {code or f'HTTP {status}'}: {message}{named}")
        self.status = status
        self.code = code
        self.words = message
        self.fields = fields


@dataclass(frozen=True)
class _Body:
    code: str = ""
    message: str = ""
    fields: tuple[str, ...] = ()
    soap: bool = False  # a SOAP fault has the status 500, whatever it says


def refuse_fault(response: requests.Response) -> None:
    """Return when the answer is usable; else raise what its status and error code mean.

    Errors: Transient, SessionExpired, AccessError, Deferred (allowance used up), Refused.
    """
    status = response.status_code
    if status < 300 and not _is_html(response):
        return
    if status == 304:
        return
    raise _fault(response, status)


def _fault(response: requests.Response, status: int) -> CrmsyncError:
    what = described(response)
    body = _body(response)
    if status < 300:
        return Transient(f"{what} answered with a web page instead of data; the org may be in maintenance")
    if status < 400:
        return AccessError(f"{what} answered with a redirect to {_host(response)}; redirects are never followed")
    if body.code in SESSION_CODES or (status == 401 and not body.code):
        return SessionExpired(f"{what}: the Salesforce session has expired or is not valid")
    if body.code == "REQUEST_LIMIT_EXCEEDED":
        return _limit(what, body)
    if body.code in ACCESS_CODES or status in (401, 410):
        reason = ACCESS_CODES.get(body.code, "the login was not accepted" if status == 401 else "no longer offered")
        return AccessError(f"{what}: {body.code or f'HTTP {status}'}: {reason} ({body.message})")
    passes = status in TRANSIENT_STATUSES or (status >= 500 and (not body.soap or body.code in SOAP_TRANSIENT_CODES))
    if body.code in TRANSIENT_CODES or passes:
        applied = False if status in NOT_APPLIED_STATUSES or body.code in NOT_APPLIED_CODES else None
        message = f"{what}: {body.code or f'HTTP {status}'}: {body.message}{ADVICE.get(body.code, '')}"
        if body.code == LOCKED:
            return Locked(message, body.message)
        kind = TimedOut if body.code == TIMED_OUT else Transient
        return kind(message, retry_after_s=_retry_after_s(response), applied=applied)
    return Refused(what, status, body.code, body.message, body.fields)


def _limit(what: str, body: _Body) -> CrmsyncError:
    # One error code stands for two limits; the first word of the message is the name of the limit.
    if body.message.startswith("Concurrent"):
        return Transient(f"{what}: {body.message}", applied=False)
    return Deferred(f"{what}: the org's API allowance is used up ({body.message}); run again when it has been renewed")


def described(response: requests.Response) -> str:
    """`GET /services/data/v67.0/query` without the query, which may be long or hold data."""
    request = response.request
    return f"{request.method} {urlsplit(request.url or '').path}"


def _body(response: requests.Response) -> _Body:
    if _is_html(response):
        return _Body(message=f"a web page of {len(response.content):,} bytes")
    if "xml" in response.headers.get("Content-Type", "").lower():
        return _soap_fault(response.content)
    try:
        content = json.loads(response.content or b"null")
    except (ValueError, RecursionError):
        return _Body(message=_clean(response.content[:MESSAGE_LENGTH].decode("utf-8", "replace")))
    first = content[0] if isinstance(content, list) and content else content
    if not isinstance(first, dict):
        return _Body(message="no explanation")
    fields = first.get("fields")
    return _Body(
        _clean(str(first.get("errorCode") or first.get("statusCode") or first.get("error") or "")),
        _clean(str(first.get("message") or first.get("error_description") or "no explanation")),
        tuple(_clean(str(name)) for name in fields[:50]) if isinstance(fields, list) else (),
    )


def _soap_fault(content: bytes) -> _Body:
    """`sf:INVALID_SESSION_ID` and its words; the namespace of the code is Salesforce's own."""
    try:
        root = parsed(content)
    except MetadataFileError:
        return _Body(message="an answer that is no complete XML", soap=True)
    code = root.findtext(".//{*}faultcode") or ""
    return _Body(
        _clean(code.rpartition(":")[2]), _clean(root.findtext(".//{*}faultstring") or "no explanation"), soap=True
    )


def _clean(text: str) -> str:
    shown = "".join(sign if sign.isprintable() else " " for sign in text)
    return shown if len(shown) <= MESSAGE_LENGTH else shown[:MESSAGE_LENGTH] + "…"


def _is_html(response: requests.Response) -> bool:
    return "html" in response.headers.get("Content-Type", "").lower()


def _host(response: requests.Response) -> str:
    try:
        return urlsplit(response.headers.get("Location", "")).hostname or "another path"
    except ValueError:
        return "an unreadable address"


def _retry_after_s(response: requests.Response) -> float | None:
    text = response.headers.get("Retry-After", "").strip()
    if text.isascii() and text.isdigit():
        return float(text)
    try:
        moment = parsedate_to_datetime(text)
    except (TypeError, ValueError):
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return max(0.0, (moment - datetime.now(UTC)).total_seconds())
