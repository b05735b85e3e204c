"""The worker's three pages over HTTP, read only: /healthz, /readyz and /metrics; on loopback unless told otherwise."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import structlog

from crmsync.errors import ConfigError, CrmsyncError
from crmsync.metrics import CONTENT_TYPE

log = structlog.get_logger()

PLAIN = "text/plain; charset=utf-8"
READ_S = 10.0  # a client that says nothing is let go
MOST_CLIENTS = 16


@dataclass(frozen=True)
class Answer:
    """One page as it is now."""

    status: int
    body: bytes
    kind: str = PLAIN


Pages = Mapping[str, Callable[[], Answer]]


def said(status: int, *lines: str) -> Answer:
    """A page of a few lines."""
    return Answer(status, ("\n".join(lines) + "\n").encode("utf-8", "replace"))


def metrics_page(text: Callable[[], bytes]) -> Callable[[], Answer]:
    """The page of figures in Prometheus' text format."""
    return lambda: Answer(200, text(), CONTENT_TYPE)


@contextlib.contextmanager
def served(listen: str, pages: Pages) -> Iterator[str]:
    """Serve the pages from threads for as long as the block lasts; gives the address, such as `http://127.0.0.1:9464`.

    `listen`: host and port, port 0 is any free one. Errors: ConfigError when it cannot be listened on.
    """
    server = _server(listen, pages)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.2}, name="pages", daemon=True)
    thread.start()
    try:
        yield server.url
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _server(listen: str, pages: Pages) -> _Server:
    host, _, port = listen.rpartition(":")
    try:
        return _Server(host.strip("[]"), int(port), pages)
    except (OSError, OverflowError) as error:
        told = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise ConfigError(f"CRMSYNC_LISTEN {listen}: cannot be listened on ({told}); give HOST:PORT, or off") from None


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = MOST_CLIENTS

    def __init__(self, host: str, port: int, pages: Pages) -> None:
        self.address_family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self.pages = pages
        self.places = threading.BoundedSemaphore(MOST_CLIENTS)
        super().__init__((host, port), _Handler)
        shown = f"[{host}]" if ":" in host else host
        local = {"0.0.0.0": "127.0.0.1", "[::]": "[::1]"}.get(shown, shown)
        self.url = f"http://{local}:{self.server_address[1]}"

    def server_bind(self) -> None:
        """Bind without the look-up of a host name that http.server makes."""
        self.allow_reuse_address = True
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind(self.server_address)
        self.server_address = self.socket.getsockname()
        self.server_name, self.server_port = str(self.server_address[0]), int(self.server_address[1])

    def process_request(self, request: Any, client_address: Any) -> None:
        """One thread per client, and no more than a few: a flood must not take the worker's memory."""
        if self.places.acquire(blocking=False):
            super().process_request(request, client_address)
        else:
            self.shutdown_request(request)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Answer, then make room for the next one."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self.places.release()

    def handle_error(self, _request: Any, _client_address: Any) -> None:
        """A client that went away is no event."""


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    timeout = READ_S
    server_version = "crmsync"
    sys_version = ""

    def do_GET(self) -> None:
        """One page."""
        self._send(self._answer())

    do_HEAD = do_GET  # noqa: N815

    def _answer(self) -> Answer:
        page = self.server.pages.get(self.path.partition("?")[0])
        if page is None:
            return said(404, f"no such page; there are {', '.join(self.server.pages)}")
        try:
            return page()
        except CrmsyncError as error:
            return said(503, str(error))
        except Exception as error:  # whoever asks learns that it broke, and the worker goes on
            log.error("page_broke", page=self.path, kind=type(error).__name__, told=str(error))
            return said(500, f"{type(error).__name__}")

    def _send(self, answer: Answer) -> None:
        self.send_response(answer.status)
        self.send_header("Content-Type", answer.kind)
        self.send_header("Content-Length", str(len(answer.body)))
        self.send_header("Cache-Control", "no-store")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(answer.body)

    def log_message(self, format: str, *args: Any) -> None:
        """Probes come every few seconds; they are no events."""
