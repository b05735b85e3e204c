"""What a fault does to the answer of a call: delays, refusals, pages of a front end, cut connections, broken bodies."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import anyio
import anyio.to_thread
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from crmsync.sandbox.answers import JSON_TYPE, Answer, ApiError, Call
from crmsync.sandbox.changes import change_as_person
from crmsync.sandbox.effects import people_at_work
from crmsync.sandbox.error_table import ERRORS, LOGIN_ERRORS, page
from crmsync.sandbox.faults import CHANGES, Fault, row_error
from crmsync.sandbox.org import Org
from crmsync.sandbox.routes import find_door
from crmsync.sandbox.users import PEOPLE, acting_as, user_of

ADMIN = PEOPLE[0].username
_HTML = "text/html;charset=ISO-8859-1"
Hit = Sequence[tuple[Fault, int]]


async def before(org: Org, call: Call, hit: Hit) -> Answer | None:
    """What happens before the call has any effect; an answer when it shall have none."""
    answer: Answer | None = None
    for fault, _ in hit:
        if not fault.after:
            await _act(org, call, fault.do)
            answer = answer or _instead(call, fault.do)
    return answer


async def after(org: Org, call: Call, hit: Hit, answer: Answer) -> Answer:
    """The answer that the client gets, once the call has had its effect."""
    for fault, _ in hit:
        if fault.after:
            await _act(org, call, fault.do)
            answer = _instead(call, fault.do) or answer
        answer = await _altered(answer, fault)
    return answer


async def _act(org: Org, call: Call, do: Mapping[str, Any]) -> None:
    """Delays, changes that people make meanwhile, sessions that end."""
    if "delay_ms" in do:
        await anyio.sleep(float(do["delay_ms"]) / 1000)
    for kind in CHANGES:
        if kind in do:
            try:
                await anyio.to_thread.run_sync(change_as_person, org, kind, do[kind])
            except ApiError as error:
                # the mistake is the test's, not the client's
                raise ApiError(500, "INVALID_FAULT", f"{kind}: {error.code}: {error.message}") from None
    if "call" in do:
        for given in do["call"] if isinstance(do["call"], list) else [do["call"]]:
            await anyio.to_thread.run_sync(_call_of_people, org, call, given)
    if do.get("expire_token"):
        org.tokens.pop(call.headers.get("authorization", "").partition(" ")[2].strip(), None)


def _call_of_people(org: Org, hit: Call, given: Mapping[str, Any]) -> None:
    """Another call that a person makes meanwhile; `{job}` and the like in its path are parts of the path that was hit.

    Errors: ApiError INVALID_FAULT when the call is refused, because the mistake is the test's.
    """
    path = str(given["path"])
    for name, value in hit.parts.items():
        path = path.replace(f"{{{name}}}", value)
    what = f"call: {given['method']} {path}"
    found = user_of(org, str(given.get("as", ADMIN)))
    if found is None:
        raise ApiError(500, "INVALID_FAULT", f"{what}: the org has no user {given['as']!r:.80}")
    address = urlsplit(path)
    query = {name.lower(): value for name, value in parse_qsl(address.query)}
    body = json.dumps(given["json"], default=float).encode() if "json" in given else b""
    with people_at_work(), acting_as(found[0]):
        try:
            door, parts = find_door(str(given["method"]).upper(), address.path)
            made = Call(door.method, address.path, parts.get("version", ""), parts, query, {}, body)
            door.handler(org, made)
        except ApiError as error:
            raise ApiError(500, "INVALID_FAULT", f"{what}: {error.code}: {error.message}") from None


def _instead(call: Call, do: Mapping[str, Any]) -> Answer | None:
    """An answer in place of the real one."""
    if do.get("cut") and "truncate" not in do:
        return Answer(None, cut=0)
    name, status = do.get("error"), do.get("status")
    known = ERRORS.get(str(name))
    if name in LOGIN_ERRORS and call.path.lower().startswith("/services/oauth2/"):
        text = str(do.get("message") or LOGIN_ERRORS[str(name)])
        return Answer({"error": name, "error_description": text}, int(status or 400))
    if do.get("html") or (known is not None and known.html):
        title = known.code if known else f"{status or 503} Service Unavailable"
        text = known.message if known else "The server is down for maintenance"
        return Answer(page(title, str(do.get("message") or text)), int(status or (known.status if known else 503)),
                      media_type=_HTML)  # fmt: skip
    if "body" in do:
        body = do["body"]
        return Answer(body, int(status or 200), media_type=JSON_TYPE if not isinstance(body, str) else "text/plain")
    if name is not None or "code" in do:
        error = row_error(do)
        return Answer([error.as_json()], error.status)
    return Answer(None, int(status)) if status is not None else None


async def _altered(answer: Answer, fault: Fault) -> Answer:
    """The real answer with its headers, keys or bytes changed."""
    do = fault.do
    if "headers" in do:
        answer.headers |= {str(name): str(value) for name, value in do["headers"].items()}
    if "json" in do and isinstance(answer.body, dict):
        answer.body = answer.body | dict(do["json"])
    if do.get("charset") is False:
        answer.media_type = answer.media_type.partition(";")[0]
    if do.get("gzip_garbage"):
        answer.headers["Content-Encoding"] = "gzip"
        return _with_body(answer, b"\x1f\x8b\x08\x00garbage that is no deflate stream")
    if "trickle" in do:
        answer = _with_body(answer, await anyio.to_thread.run_sync(_content, answer))
        answer.trickle = (int(do["trickle"]["bytes"]), float(do["trickle"]["ms"]) / 1000)
    if "truncate" in do and answer.cut is None:
        content = await anyio.to_thread.run_sync(_content, answer)
        size = max(0, int(do["truncate"]))
        if do.get("cut"):
            answer = _with_body(answer, content)
            answer.cut = min(size, len(content))
        else:
            answer = _with_body(answer, content[:size])
    return answer


def _content(answer: Answer) -> bytes:
    return b"".join(answer.chunks) if answer.chunks is not None else answer.content(False)


def _with_body(answer: Answer, body: bytes) -> Answer:
    # an encoding that is named keeps the body from being packed, so that the bytes are those that were asked for
    headers = {"Content-Encoding": "identity"} | answer.headers
    return Answer(body, answer.status, headers, answer.media_type)


async def trickling(content: bytes, size: int, seconds: float) -> AsyncIterator[bytes]:
    """The bytes, a few at a time."""
    for start in range(0, len(content), size):
        yield content[start : start + size]
        await anyio.sleep(seconds)


class CutResponse(Response):
    """A response that promises its whole body and then cuts the connection after `cut` bytes of it, or at once."""

    def __init__(self, content: bytes, status: int, headers: Mapping[str, str], cut: int) -> None:
        super().__init__(content, status, headers)
        self.cut = cut

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send a part of the answer, or nothing, and close the socket."""
        del scope
        transport = receive.__self__.transport  # type: ignore[attr-defined]
        if self.cut == 0:
            transport.abort()
        else:
            await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
            await send({"type": "http.response.body", "body": bytes(self.body)[: self.cut], "more_body": True})
            transport.close()
        await anyio.sleep(0.01)  # the loop tells the server that the connection is gone
