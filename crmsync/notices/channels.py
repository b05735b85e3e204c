"""How a notice leaves: mail over SMTP, and every chat or webhook that apprise knows.

Addresses of servers and channels are apprise URLs out of the settings; they hold passwords and are never shown. Mail is
sent by ourselves, with what apprise read out of the URL, because only then it is known how far a mail came.
"""

from __future__ import annotations

import logging
import re
import smtplib
import ssl
import warnings
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from email.errors import MessageError
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import formataddr, formatdate
from enum import StrEnum
from types import TracebackType
from typing import Any, Self

from crmsync.errors import ConfigError
from crmsync.logs import shown
from crmsync.notices.speech import LONGEST_SUBJECT, harmless
from crmsync.settings import NOTICE_SECRETS, NoticeSettings

MAIL = "mail"
ADDRESS = re.compile(r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@[A-Za-z0-9](?:[A-Za-z0-9.-]{0,251}[A-Za-z0-9])?")
"""One plain mail address: no name, no list, no line break, nothing that a header or a URL could be cut with."""


class Ending(StrEnum):
    """How a try to send ended. `not_sent`: surely not, a later run tries again; `unconfirmed`: the other side did not
    say yes; `unknown`: it broke after the text had begun to leave."""

    SENT = "sent"
    NOT_SENT = "not_sent"
    REFUSED = "refused"
    UNCONFIRMED = "unconfirmed"
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class Delivery:
    """What became of one try, with the words of the other side. `down`: there is no sense in another try now."""

    ending: Ending
    message: str | None = None
    down: bool = False


@dataclass(frozen=True)
class Outgoing:
    """What leaves. `key` makes the Message-ID, so that a reader sees one mail where a server took it twice."""

    key: str
    subject: str
    body: str
    html: str | None = None


@dataclass(frozen=True)
class Channel:
    """One place where an audience is told: `name` such as `sales_ops/slack`, and the plug-in of apprise."""

    name: str
    plugin: Any

    @property
    def is_mail(self) -> bool:
        """Whether it is a mail server."""
        return isinstance(self.plugin, _mail_plugin())


@dataclass(frozen=True)
class Channels:
    """Every place of the settings. `mail`: the server for partners and owners."""

    mail: Channel | None
    sales_ops: tuple[Channel, ...] = ()
    operator: tuple[Channel, ...] = ()

    def of(self, audience: str) -> tuple[Channel, ...]:
        """The places where an audience of the team is told."""
        return {"sales_ops": self.sales_ops, "operator": self.operator}.get(audience, ())


def open_channels(settings: NoticeSettings) -> Channels:
    """The channels; nothing is connected yet. Errors: ConfigError naming the variable, never its value."""
    found = {name: _channels(name, getattr(settings, name)) for name in NOTICE_SECRETS}
    mail = found["mail"]
    if len(mail) > 1 or (mail and not mail[0].is_mail):
        raise ConfigError(
            f"environment variable {_variable('mail')}: one mail server is needed here, "
            "such as mailtos://user:password@smtp.example.com?from=partners@example.com"
        )
    return Channels(mail[0] if mail else None, found["sales_ops"], found["operator"])


def _apprise() -> Any:
    """The library, imported when something is to be sent; what it still uses of old Python is its own affair."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        import apprise
        import apprise.plugins.email
    return apprise


def _mail_plugin() -> Any:
    return _apprise().plugins.email.NotifyEmail


def _variable(name: str) -> str:
    return f"CRMSYNC_NOTICES__{name.upper()}"


def _channels(name: str, secret: Any) -> tuple[Channel, ...]:
    if secret is None:
        return ()
    apprise = _apprise()
    # Credentials go where the settings say and nowhere else; nothing of a notice is kept on disk; no pictures of
    # others are shown.
    asset = apprise.AppriseAsset(
        app_id="crmsync",
        app_desc="crmsync",
        app_url="",
        http_redirects=False,
        storage_mode="memory",
        async_mode=False,
        image_url_mask="",
        image_url_logo="",
    )
    found: list[Channel] = []
    seen: dict[str, int] = {}
    for position, url in enumerate(secret.get_secret_value().split(), 1):
        plugin = apprise.Apprise.instantiate(url, asset=asset, suppress_exceptions=True)
        if plugin is None:
            raise ConfigError(
                f"environment variable {_variable(name)}: address {position} is none that apprise knows, or lacks "
                "something; its form is on https://github.com/caronc/apprise/wiki"
            )
        kind = url.partition("://")[0].lower()
        seen[kind] = seen.get(kind, 0) + 1
        number = f"/{seen[kind]}" if seen[kind] > 1 else ""
        found.append(Channel(f"{name}/{kind}{number}", plugin))
    return tuple(found)


# --- chats and webhooks


def send_chat(channel: Channel, outgoing: Outgoing) -> Delivery:
    """Post one text. Declared as plain text, so that apprise escapes it for the channel (`&`, `<`, `>` in Slack)."""
    apprise = _apprise()
    sender = apprise.Apprise(asset=channel.plugin.asset)
    sender.add(channel.plugin)
    subject = harmless(outgoing.subject, LONGEST_SUBJECT)
    text = apprise.NotifyFormat.TEXT
    with apprise.LogCapture(level=logging.WARNING, fmt="%(message)s") as warned:
        told = sender.notify(body=outgoing.body, title=subject, body_format=text, interpret_escapes=False)
        why = harmless(shown(warned.getvalue()))
    if told:
        return Delivery(Ending.SENT)
    said = f"{channel.name} did not take it, or did not say so{': ' if why else ''}{why}"
    return Delivery(Ending.UNCONFIRMED, said, down=True)


# --- mail


class MailSession:
    """One connection to a mail server, for as many mails as there are."""

    def __init__(self, channel: Channel, timeout_s: float) -> None:
        self._server = channel.plugin
        self._timeout_s = timeout_s
        self._smtp: smtplib.SMTP | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._close()

    @property
    def sender(self) -> str:
        """The address that mails come from."""
        return str(self._server.from_addr[1])

    def send(self, to: Sequence[str], outgoing: Outgoing) -> Delivery:
        """Send one mail to all of these that the server takes.

        `refused` and `not_sent` are certain; what breaks after the text began to leave, or is answered by something
        that is no answer, is not.
        """
        try:
            content = message_of(outgoing, self._from(), to, self.sender).as_bytes(policy=SMTP)
        except (ValueError, MessageError) as error:  # a text that no mail can hold: the others go on
            return Delivery(Ending.REFUSED, f"no mail can be made of it: {_said(error)}")
        try:
            smtp = self._connected()
            left_out = self._name_both(smtp, to)
        except _AnswerError as answer:
            self._reset()
            return answer.delivery
        except (OSError, smtplib.SMTPException, ValueError) as error:
            self._close()
            return Delivery(Ending.NOT_SENT, f"the mail server cannot be used: {_said(error)}", down=True)
        try:
            code, answer_text = smtp.data(content)
        except smtplib.SMTPDataError as error:  # before the text left
            self._reset()
            return _answered(error.smtp_code, error.smtp_error)
        except (OSError, smtplib.SMTPException) as error:
            self._close()
            return Delivery(Ending.UNKNOWN, f"the connection broke while the mail left: {_said(error)}")
        if 200 <= code < 300:
            return Delivery(Ending.SENT, left_out)
        if not 400 <= code < 600:
            self._close()
            return Delivery(Ending.UNKNOWN, f"the mail server's answer to the mail is none: {_said_by(answer_text)}")
        self._reset()
        return _answered(code, answer_text)

    def _from(self) -> str:
        name = self._server.from_addr[0]
        return formataddr((harmless(name, 100) if isinstance(name, str) else "", self.sender))

    def _name_both(self, smtp: smtplib.SMTP, to: Sequence[str]) -> str | None:
        """Sender and recipients; returns what was said of those that are left out. Raises when nobody is left."""
        code, said = smtp.mail(self.sender)
        if code != 250:  # it is the sender that is not wanted, not this mail: the next one would fare no better
            raise _AnswerError(Delivery(Ending.NOT_SENT, _answered(code, said).message, down=True))
        refused: list[tuple[str, Delivery]] = []
        for one in to:
            code, said = smtp.rcpt(one)
            if code not in (250, 251, 252):
                refused.append((one, _answered(code, said)))
        if len(refused) == len(to):
            later = [delivery for _, delivery in refused if delivery.ending == Ending.NOT_SENT]
            raise _AnswerError(later[0] if later else refused[0][1])
        return "; ".join(f"not to {one}: {delivery.message}" for one, delivery in refused) or None

    def _connected(self) -> smtplib.SMTP:
        if self._smtp is not None:
            return self._smtp
        server = self._server
        context = ssl.create_default_context()
        if not server.verify_certificate:
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        if server.secure_mode == "ssl":
            smtp: smtplib.SMTP = smtplib.SMTP_SSL(
                server.smtp_host, server.port, timeout=self._timeout_s, context=context
            )
        else:
            smtp = smtplib.SMTP(server.smtp_host, server.port or 0, timeout=self._timeout_s)
        try:
            if server.secure_mode == "starttls":
                smtp.starttls(context=context)
            smtp.ehlo_or_helo_if_needed()
            if server.user and server.password:
                smtp.login(server.user, server.password)
        except BaseException:
            smtp.close()
            raise
        self._smtp = smtp
        return smtp

    def _reset(self) -> None:
        """Forget the mail in hand; the next one begins anew."""
        if self._smtp is not None:
            try:
                self._smtp.rset()
            except (OSError, smtplib.SMTPException):
                self._close()

    def _close(self) -> None:
        if self._smtp is not None:
            with suppress(OSError, smtplib.SMTPException):
                self._smtp.quit()
            self._smtp.close()
            self._smtp = None


class _AnswerError(Exception):
    """The server said no before the text left."""

    def __init__(self, delivery: Delivery) -> None:
        super().__init__(delivery.message)
        self.delivery = delivery


def _answered(code: int, said: bytes | str) -> Delivery:
    told = f"the mail server answered {code} {_said_by(said)}".rstrip()
    return Delivery(Ending.REFUSED if 500 <= code < 600 else Ending.NOT_SENT, told)


def _said_by(server: bytes | str) -> str:
    return harmless(server.decode("utf-8", "replace") if isinstance(server, bytes) else server)


def _said(error: BaseException) -> str:
    return harmless(str(error) or type(error).__name__)


def message_of(outgoing: Outgoing, sender: str, to: Sequence[str], address: str) -> EmailMessage:
    """The mail: plain text, and HTML beside it where there is some."""
    message = EmailMessage()
    message["From"] = sender
    message["To"] = ", ".join(to)
    message["Subject"] = harmless(outgoing.subject, LONGEST_SUBJECT)
    message["Date"] = formatdate(usegmt=True)
    message["Message-ID"] = f"<{outgoing.key}@{address.partition('@')[2] or 'crmsync'}>"
    message["Auto-Submitted"] = "auto-generated"  # RFC 3834: no out-of-office answers, please
    message.set_content(outgoing.body, cte="quoted-printable")
    if outgoing.html is not None:
        message.add_alternative(outgoing.html, subtype="html", cte="quoted-printable")
    return message


def is_address(text: str | None) -> bool:
    """Whether this is one plain mail address."""
    return text is not None and ADDRESS.fullmatch(text) is not None and ".." not in text
