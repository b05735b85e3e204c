"""structlog for every part: one event per line, the run id bound, secrets and control characters kept out.

Logs go to stderr: JSON lines where no terminal is there, short coloured lines where one is.
Record values stay at debug level.
"""

from __future__ import annotations

import json
import logging
import re
import sys
from collections.abc import Iterable, Iterator, MutableMapping
from typing import Any, TextIO
from urllib.parse import quote, quote_plus

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

REDACTED = "[redacted]"
SECRET_KEY = re.compile(
    r"token|secret|password|authorization|assertion|private_key|session_id|cookie|api_key", re.IGNORECASE
)
HARMLESS_KEYS = frozenset({"write_token_field", "token_field"})  # names of CRM fields, not their content
SHORTEST_SECRET = 6  # redacting shorter values would cut ordinary words to pieces

CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")

OF_A_TEXT = frozenset("\n\t\u061c\u200e\u200f")


def configure_logs(level: str = "info", secrets: Iterable[str] = (), stream: TextIO | None = None) -> None:
    """Set up structlog for this process. Values in `secrets` never appear in any event, wherever they stand."""
    out = sys.stderr if stream is None else stream
    _redaction.secrets = ()
    keep_secret(secrets)
    processors: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.ExceptionRenderer(structlog.tracebacks.ExceptionDictTransformer(show_locals=False)),
        _redaction,
    ]
    structlog.configure(
        processors=[*processors, *_renderers(out)],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level.upper()]),
        logger_factory=structlog.PrintLoggerFactory(out),
        cache_logger_on_first_use=False,
    )


def keep_secret(secrets: Iterable[str]) -> None:
    """These values never appear either, beside those that are known already; nor as a form or JSON writes them."""
    written = {each for secret in secrets if len(secret) >= SHORTEST_SECRET for each in _spellings(secret)}
    known = {*_redaction.secrets, *written}
    _redaction.secrets = tuple(sorted(known, key=len, reverse=True))


def _spellings(secret: str) -> Iterator[str]:
    yield from (secret, quote(secret), quote(secret, safe=""), quote_plus(secret), json.dumps(secret)[1:-1])


def bind_run(run_id: str) -> None:
    """Every later event of this process carries `run_id`."""
    structlog.contextvars.bind_contextvars(run_id=run_id)


def printed(text: str) -> str:
    """What a command prints: no secret known to `configure_logs`, nothing that steers a terminal; its lines stay."""
    return CONTROL.sub(lambda found: found[0] if found[0] in OF_A_TEXT else safe_text(found[0]), _redaction.text(text))


def shown(message: str) -> str:
    """A message for people: no secret known to `configure_logs`, control characters escaped, line breaks kept."""
    return "\n".join(safe_text(line) for line in _redaction.text(message).rstrip("\n").split("\n"))


def safe_text(text: str) -> str:
    """The text with control and direction characters written as escapes, so that no record value can forge a line."""
    return CONTROL.sub(lambda match: match.group().encode("unicode_escape").decode("ascii"), text)


def _renderers(out: TextIO) -> list[Processor]:
    if out.isatty():
        return [_escape, structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)]
    return [structlog.processors.JSONRenderer()]


def _escape(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    return {key: safe_text(value) if isinstance(value, str) else value for key, value in event.items()}


class Redaction:
    """Replaces secrets by key (`access_token=…`) and by value (a loaded secret inside any text), at any depth."""

    def __init__(self, secrets: Iterable[str]) -> None:
        self.secrets = tuple(secrets)

    def __call__(
        self, _logger: WrappedLogger, _method: str, event: MutableMapping[str, Any]
    ) -> MutableMapping[str, Any]:
        """The event without secrets."""
        return {key: self._by_key(key, value) for key, value in event.items()}

    def text(self, text: str) -> str:
        """The text without any loaded secret."""
        for secret in self.secrets:
            text = text.replace(secret, REDACTED)
        return text

    def _by_key(self, key: object, value: object) -> object:
        if isinstance(key, str) and SECRET_KEY.search(key) and key not in HARMLESS_KEYS:
            return REDACTED
        return self._by_value(value)

    def _by_value(self, value: object) -> object:
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, dict):
            return {self._by_value(key): self._by_key(key, inner) for key, inner in value.items()}
        if isinstance(value, list | tuple | set | frozenset):
            return [self._by_value(inner) for inner in value]
        if value is None or isinstance(value, bool | int | float):
            return value
        return self.text(str(value))


_redaction = Redaction(())
"""What this process knows to keep out of logs and messages alike."""
