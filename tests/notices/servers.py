"""Real receivers on loopback: an SMTP server, and a webhook."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope, Session


@dataclass
class Mailbox:
    """What an SMTP server took. `sender`: what MAIL says where it is not OK; `answers`: by recipient, what RCPT says;
    `content`: what DATA says, for the next mails; `taken`: is called with each mail before the server answers."""

    mails: list[EmailMessage] = field(default_factory=list)
    recipients: list[str] = field(default_factory=list)
    answers: dict[str, str] = field(default_factory=dict)
    content: list[str] = field(default_factory=list)
    taken: Callable[[], None] | None = None
    sender: str = ""
    port: int = 0

    @property
    def url(self) -> str:
        """How the settings name this server."""
        return f"mailto://127.0.0.1:{self.port}?from=partners@vendor.example&name=Partner%20Team"

    async def handle_MAIL(  # noqa: N802
        self,
        _server: SMTP,
        _session: Session,
        envelope: Envelope,
        address: str,
        options: list[str],
    ) -> str:
        if self.sender:
            return self.sender
        envelope.mail_from = address
        envelope.mail_options.extend(options)
        return "250 OK"

    async def handle_RCPT(  # noqa: N802
        self,
        _server: SMTP,
        _session: Session,
        envelope: Envelope,
        address: str,
        _options: Any,
    ) -> str:
        if address in self.answers:
            return self.answers[address]
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: SMTP, _session: Session, envelope: Envelope) -> str:  # noqa: N802
        answer = self.content.pop(0) if self.content else "250 OK"
        if answer == "break after":
            self._keep(envelope)
            server.transport.close()  # the mail is taken, the answer never leaves
            return "250 OK"
        if answer.startswith(("2", "what")):
            self._keep(envelope)
        return answer

    def _keep(self, envelope: Envelope) -> None:
        assert isinstance(envelope.content, bytes)
        found = message_from_bytes(envelope.content, policy=policy.default)
        assert isinstance(found, EmailMessage)
        self.mails.append(found)
        self.recipients += envelope.rcpt_tos
        if self.taken is not None:
            self.taken()

    def text(self, at: int = -1) -> str:
        """The plain text of one mail."""
        part = self.mails[at].get_body(("plain",))
        assert part is not None
        return str(part.get_content())


class _Controller(Controller):
    """At any free port: the one that it is told to look at is known when it listens."""

    def _trigger_server(self) -> None:
        assert self.server is not None
        self.port = self.server.sockets[0].getsockname()[1]
        super()._trigger_server()


class Post:
    """Starts and ends an SMTP server for one mailbox."""

    def __init__(self, **given: Any) -> None:
        """`given`: what aiosmtpd's server takes: `tls_context`, `authenticator`, …"""
        self.mailbox = Mailbox()
        self._controller = _Controller(self.mailbox, hostname="127.0.0.1", port=0, ready_timeout=10, **given)

    def __enter__(self) -> Mailbox:
        self._controller.start()
        self.mailbox.port = self._controller.port
        return self.mailbox

    def __exit__(self, *_: object) -> None:
        self._controller.stop()


@dataclass
class Hook:
    """What a webhook was sent. `answers`: status of the next answers; 302 leads to `leads_to`."""

    bodies: list[bytes] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)
    answers: list[int] = field(default_factory=list)
    leads_to: str = ""
    port: int = 0

    def url(self, path: str = "hook") -> str:
        """How the settings name this webhook."""
        return f"json://127.0.0.1:{self.port}/{path}"


class Hooks:
    """Starts and ends a webhook receiver."""

    def __init__(self) -> None:
        self.hook = hook = Hook()

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                hook.bodies.append(self.rfile.read(int(self.headers["Content-Length"])))
                hook.paths.append(self.path)
                status = hook.answers.pop(0) if hook.answers else 200
                self.send_response(status)
                if status == 302:
                    self.send_header("Location", hook.leads_to)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def do_GET(self) -> None:
                hook.paths.append(self.path)  # what a redirect leads to
                self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: Any) -> None: ...

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02})

    def __enter__(self) -> Hook:
        self._thread.start()
        self.hook.port = self._server.server_address[1]
        return self.hook

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
