"""The org over HTTP on loopback: one ASGI door for every path, then the doors of `routes.py` in worker threads."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import socket
import sys
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, MutableMapping
from datetime import date
from pathlib import Path
from typing import Any

import anyio.to_thread
import uvicorn
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response, StreamingResponse

from crmsync.sandbox import fault_answers
from crmsync.sandbox.answers import JSON_TYPE, MAX_BODY, Answer, ApiError, Call, dump_json, unzipped
from crmsync.sandbox.bulk_ingest import MOST_BYTES
from crmsync.sandbox.discovery import limit_info
from crmsync.sandbox.effects import comes_by
from crmsync.sandbox.fault_answers import CutResponse, trickling
from crmsync.sandbox.faults import twisting
from crmsync.sandbox.furnishing import open_org
from crmsync.sandbox.jobs import stop_jobs
from crmsync.sandbox.load_tables import LoadError
from crmsync.sandbox.oauth import check_login, greeting, public_key
from crmsync.sandbox.org import DAILY_REQUESTS, Options, Org
from crmsync.sandbox.routes import Door, find_door, is_side_door
from crmsync.sandbox.schema_file import SchemaError
from crmsync.sandbox.store import StateError
from crmsync.sandbox.users import act_as
from crmsync.sandbox.validation import allow_duplicates

MOST_URI = 16_384
_TOO_LONG = (
    "<html><head><title>Bad Message 414</title></head>"
    "<body><h1>Bad Message 414</h1><p>reason: URI Too Long</p></body></html>"
)

_log = logging.getLogger(__name__)
Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]


class SandboxError(Exception):
    """The org cannot be started; the message says why."""


class Spelled:
    """Header names spelled as the real org spells them, `Content-Type`: some clients look for just that."""

    def __init__(self, app: Callable[[Scope, Receive, Send], Awaitable[None]]) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""

        async def spelled(message: MutableMapping[str, Any]) -> None:
            if message["type"] == "http.response.start":
                headers = [(name.title(), value) for name, value in message.get("headers", ())]
                message = {**message, "headers": headers}
            await send(message)

        await self._app(scope, receive, spelled)


class OrgApp:
    """The ASGI application of one org."""

    def __init__(self, org: Org) -> None:
        self.org = org

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            return
        request = Request(scope, receive)
        if self.org.options.latency_ms:
            await asyncio.sleep(self.org.options.latency_ms / 1000)
        try:
            response = await self._answer(request)
        except ClientDisconnect:
            return
        await response(scope, receive, send)

    async def _answer(self, request: Request) -> Response:
        raw = request.scope.get("raw_path") or b""
        if len(raw) + len(request.scope["query_string"]) > MOST_URI:
            return Response(_TOO_LONG, 414, media_type="text/html;charset=ISO-8859-1")
        pretty = request.headers.get("x-prettyprint") == "1"
        # clients that keep the slash at the end of the address send two at the start of the path
        path = "/" + raw.partition(b"?")[0].decode("ascii", "replace").lstrip("/")
        side = is_side_door(path)
        counted = path.lower().startswith("/services/data/v")
        try:
            door, parts = find_door(request.method, path)
            side = side or door.page
            with self.org.allowance.call() if counted else contextlib.nullcontext():
                answer = await self._through(door, parts, request, path, side)
        except ApiError as error:
            answer = _refused(error)
        except ClientDisconnect:
            raise
        except Exception:
            _log.exception("%s %s", request.method, path)
            message = "An unexpected error occurred. Please include this ErrorId if you contact support: 0"
            answer = Answer([{"message": message, "errorCode": "UNKNOWN_EXCEPTION"}], 500)
        if not side and path.lower().startswith("/services/data/"):
            answer.headers.setdefault("Sforce-Limit-Info", limit_info(self.org))
        return _response(answer, pretty, request.method == "HEAD")

    async def _through(self, door: Door, parts: dict[str, str], request: Request, path: str, side: bool) -> Answer:
        query = {name.lower(): value for name, value in request.query_params.items()}
        headers = {name.lower(): value for name, value in request.headers.items()}
        call = Call(request.method, path, parts.get("version", ""), parts, query, headers)
        hit = [] if side else self.org.faults.of_call(request.method, (door.path, path))
        try:
            if not hit:
                return await self._handled(door, call, request, side)
            # a client that goes away during a delay has sent its call nevertheless: it still has its effect
            await self._receive(door, call, request)
            return await self._under_faults(door, call, hit)
        finally:
            if call.upload is not None:
                call.upload.unlink(missing_ok=True)

    async def _under_faults(self, door: Door, call: Call, hit: fault_answers.Hit) -> Answer:
        answer = await fault_answers.before(self.org, call, hit)
        if answer is not None:
            self.org.effects.record_call(f"{call.method} {door.path}", door.writes(call))
        else:
            try:
                with twisting(hit):
                    answer = await self._handled(door, call, None, side=False)
            except ApiError as error:
                answer = _refused(error)
        return await fault_answers.after(self.org, call, hit, answer)

    async def _handled(self, door: Door, call: Call, request: Request | None, side: bool) -> Answer:
        """The answer of the door; `request` is None when its body is there already."""
        # a call that comes right after another on one connection must not inherit from it
        act_as(check_login(self.org, call) if door.login else None)
        allow_duplicates(call.headers.get("sforce-duplicate-rule-header", ""))
        comes_by(f"{call.method} {door.path}", call.headers.get("authorization", ""))
        if request is not None:
            await self._receive(door, call, request)
        if not side:
            self._count(door, call)
        return await anyio.to_thread.run_sync(door.handler, self.org, call)

    async def _receive(self, door: Door, call: Call, request: Request) -> None:
        """Take the body of a call: that of an upload as a file."""
        if door.uploads:
            call.upload = await self._uploaded(request)
        else:
            call.body = unzipped(await _body(request), call.headers.get("content-encoding", ""))

    def _count(self, door: Door, call: Call) -> None:
        method = "GET" if call.method == "HEAD" else call.method
        self.org.effects.record_call(f"{method} {door.path}", door.writes(call))
        if call.path.lower().startswith("/services/data/v"):
            self.org.allowance.take_request()

    async def _uploaded(self, request: Request) -> Path | None:
        """The body of an upload as a file, or None when it is empty. Errors: ApiError when it is too large."""
        descriptor, name = tempfile.mkstemp(prefix="upload-", dir=self.org.store.scratch)
        path = Path(name)
        size = 0
        try:
            with os.fdopen(descriptor, "wb") as file:
                async for piece in request.stream():
                    size += len(piece)
                    if size > MOST_BYTES:
                        raise ApiError(413, "EXCEEDED_MAX_SIZE_REQUEST", f"an upload may hold {MOST_BYTES} bytes")
                    file.write(piece)
            if request.headers.get("content-encoding", "").lower() == "gzip":
                path.write_bytes(unzipped(path.read_bytes(), "gzip", MOST_BYTES))
        except BaseException:
            path.unlink(missing_ok=True)
            raise
        if size == 0:
            path.unlink(missing_ok=True)
            return None
        return path


async def _body(request: Request) -> bytes:
    pieces: list[bytes] = []
    size = 0
    async for piece in request.stream():
        size += len(piece)
        if size > MAX_BODY:
            raise ApiError(413, "REQUEST_ENTITY_TOO_LARGE", f"The request body is larger than {MAX_BODY} bytes")
        pieces.append(piece)
    return b"".join(pieces)


def _refused(error: ApiError) -> Answer:
    headers = {"WWW-Authenticate": "Token"} if error.status == 401 else {}
    return Answer(error.listed(), error.status, headers)


def _response(answer: Answer, pretty: bool, head_only: bool) -> Response:
    headers = dict(answer.headers)
    if answer.cut is not None:
        return CutResponse(
            answer.content(pretty), answer.status, headers | {"Content-Type": answer.media_type}, answer.cut
        )
    if answer.trickle is not None:
        content = answer.content(pretty)
        slow = {"Content-Type": answer.media_type, "Content-Length": str(len(content))}
        return StreamingResponse(trickling(content, *answer.trickle), answer.status, headers | slow)
    if answer.chunks is not None and not head_only:
        return StreamingResponse(_streamed(answer.chunks), answer.status, headers | {"Content-Type": answer.media_type})
    if answer.body is None:
        return Response(None, answer.status, headers)
    content = answer.content(pretty)
    media = answer.media_type or JSON_TYPE
    return Response(b"" if head_only else content, answer.status, headers | {"Content-Type": media})


async def _streamed(chunks: Iterator[bytes]) -> AsyncIterator[bytes]:
    while (piece := await anyio.to_thread.run_sync(next, chunks, None)) is not None:
        yield piece


class _Server(uvicorn.Server):
    """A server that says where it is once it answers, and stops when the process that started it is gone."""

    def __init__(self, config: uvicorn.Config, line: str, page: str, parent: int | None) -> None:
        super().__init__(config)
        self.line = line
        self.page = page
        self.parent = parent

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            print(self.line, flush=True)
            print(f"the org for people: {self.page}", file=sys.stderr, flush=True)

    async def on_tick(self, counter: int) -> bool:
        if self.parent is not None and counter % 10 == 0 and not _alive(self.parent):
            return True
        return await super().on_tick(counter)


def _alive(pid: int) -> bool:
    if os.getppid() == pid:
        return True
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return not _is_zombie(pid)


def _is_zombie(pid: int) -> bool:
    with contextlib.suppress(OSError, IndexError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    return False


def serve(
    port: int = 0,
    data: Path | None = None,
    sample: int | None = None,
    seed: int = 1,
    state: Path | None = None,
    today: date | None = None,
    latency_ms: int = 0,
    *,
    jwt_public_key: Path | None = None,
    public_url: str | None = None,
    tls_certificate: Path | None = None,
    tls_key: Path | None = None,
    parent: int | None = None,
    daily_requests: int = DAILY_REQUESTS,
    bulk_charset: bool = False,
    least_privilege: bool = False,
    opportunities: int | None = None,
    certifications: int | None = None,
) -> None:
    """Serve an org on 127.0.0.1 until SIGTERM or SIGINT; the first line on stdout is JSON, once it answers.

    Errors: SandboxError when data, schema, state, key or port cannot be used.
    """
    options = Options(
        today,
        seed,
        state,
        latency_ms,
        public_url.rstrip("/") if public_url else None,
        jwt_public_key,
        daily_requests,
        bulk_charset,
        least_privilege,
    )
    try:
        if jwt_public_key is not None:
            public_key(jwt_public_key)
        listening = _listen(port)
        org = open_org(options, data, sample, opportunities, certifications)
    except (SchemaError, StateError, LoadError) as error:
        raise SandboxError(str(error)) from None
    except (OSError, ValueError) as error:
        raise SandboxError(f"cannot start: {error}") from None
    scheme = "https" if tls_certificate else "http"
    org.base_url = f"{scheme}://127.0.0.1:{listening.getsockname()[1]}"
    token = org.new_token("first")
    try:
        _run(org, listening, greeting(org, token), parent, tls_certificate, tls_key)
    finally:
        listening.close()
        stop_jobs(org)
        if org.tooling is not None:
            org.tooling.store.close()
        org.store.close()


def _listen(port: int) -> socket.socket:
    # The protocol is named, because asyncio switches Nagle's delay off only where it is.
    listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind(("127.0.0.1", port))
    except (OSError, OverflowError) as error:
        listening.close()
        raise SandboxError(f"port {port} cannot be used: {error}") from None
    return listening


def _run(
    org: Org, listening: socket.socket, line: str, parent: int | None, certificate: Path | None, key: Path | None
) -> None:
    app = Spelled(GZipMiddleware(OrgApp(org), minimum_size=1_000, compresslevel=1))
    config = uvicorn.Config(
        app, log_config=None, log_level="warning", access_log=False, lifespan="off", http="h11", ws="none",
        loop="asyncio",
        h11_max_incomplete_event_size=1_048_576, timeout_graceful_shutdown=2, server_header=False,
        # clients wait 5 s between looks at a job: a connection that ends after as long would be lost under their hands
        timeout_keep_alive=75,
        ssl_certfile=certificate, ssl_keyfile=key,
    )  # fmt: skip
    server = _Server(config, line, f"{org.base_url}/", parent)
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(_until_signal(server, listening))


async def _until_signal(server: _Server, listening: socket.socket) -> None:
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, server.handle_exit, number, None)
    with contextlib.suppress(asyncio.CancelledError):
        await server._serve([listening])


def main(arguments: list[str] | None = None) -> int:
    """`python -m crmsync.sandbox`: 0 after a clean end, 4 when the org cannot be started."""
    from crmsync.sandbox.arguments import parsed

    given = parsed(sys.argv[1:] if arguments is None else arguments)
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr, format="%(message)s")
    try:
        serve(**given)
    except SandboxError as error:
        print(f"crmsync sandbox: {error}", file=sys.stderr)
        return 4
    return 0


__all__ = ["OrgApp", "SandboxError", "dump_json", "main", "serve"]
