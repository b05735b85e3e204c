"""A session with a Spark Connect server: the address checked and reached, and what results depend on set."""

from __future__ import annotations

import ipaddress
import re
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from crmsync.errors import ConfigError, CrmsyncError, DataError, StoreError

REMOTE = "CRMSYNC_SPARK_REMOTE"
TOKEN = "CRMSYNC_SPARK_TOKEN"
SCRATCH = "CRMSYNC_SPARK_SCRATCH"
PORT = 15002  # where a Spark Connect server listens unless told otherwise
ANSWER_S = 10.0  # seconds to wait for a connection
OLDEST = 4  # the first Spark whose decimals become plain text

ANSI = "spark.sql.ansi.enabled"
SETTINGS = {
    "spark.sql.session.timeZone": "UTC",
    ANSI: "true",  # an overflow or a bad cast is an error, never a silent NULL
    "spark.sql.caseSensitive": "false",
    "spark.sql.decimalOperations.allowPrecisionLoss": "true",
    "spark.sql.variable.substitute": "false",  # `${…}` in a text is that text
}
"""What results depend on, whatever the server's own defaults are."""

ITS_LOGGERS = ("SQLQueryContextLogger", "DataFrameQueryContextLogger")

NO_ROOM = ("OutOfMemory", "No space left", "ExecutorLostFailure", "MEMORY_LIMIT", "Resources exhausted")
DETAILS = re.compile(r'details = "(.*)')
GONE = ("StatusCode.UNAVAILABLE", "RETRIES_EXCEEDED", "UNAVAILABLE:", "failed to connect")


@dataclass(frozen=True)
class SparkAddress:
    """Where a Spark Connect server listens. `url` is what its client takes, without a token."""

    host: str
    port: int
    url: str

    @property
    def here(self) -> bool:
        """Whether it is this machine."""
        if self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False


def spark_address(remote: str) -> SparkAddress:
    """The address `sc://host[:port][/;key=value;…]`. Errors: ConfigError, also for one that would travel in clear."""
    wanted = f"write sc://host:{PORT}, with /;use_ssl=true behind it for another machine"
    try:
        parts = urlsplit(remote)
        port = parts.port or PORT
    except ValueError as error:
        raise ConfigError(f"{REMOTE}: {remote} is no address ({error}); {wanted}") from None
    if parts.scheme != "sc" or not parts.hostname or parts.username or parts.query or parts.fragment:
        raise ConfigError(f"{REMOTE}: {remote} is no address of a Spark Connect server; {wanted}")
    options = dict(one.partition("=")[::2] for one in parts.path.lstrip("/").split(";") if one)
    if "token" in options:
        raise ConfigError(f"{REMOTE}: a token does not belong into the address, which is logged; set {TOKEN}")
    address = SparkAddress(parts.hostname, port, remote)
    if not address.here and options.get("use_ssl", "").lower() != "true":
        raise ConfigError(f"{REMOTE}: {remote} would send partner data in clear to another machine; {wanted}")
    return address


def open_session(address: SparkAddress, token: str | None = None) -> Any:
    """A session of its own on the server. Errors: ConfigError when nothing answers, or not as Spark 4 does."""
    try:
        with _not_its_doctests():
            from pyspark.logger import PySparkLogger
            from pyspark.sql.connect.client.core import DefaultChannelBuilder
            from pyspark.sql.connect.client.retries import DefaultPolicy
            from pyspark.sql.connect.session import SparkSession
    except ImportError as error:
        raise ConfigError(
            f"the engine spark needs the extra `spark`, which is not installed ({error}): pip install 'crmsync[spark]'"
        ) from None
    for logger in ITS_LOGGERS:  # they would print the query beside the error that tells of it
        PySparkLogger.getLogger(logger).disabled = True
    if token is not None and address.host != "localhost" and "use_ssl=true" not in address.url.lower():
        raise ConfigError(f"{REMOTE}: with {TOKEN} and without use_ssl=true the host must be written localhost")
    _answers(address)
    url = address.url if token is None else f"{address.url.rstrip(';')}{_joint(address.url)}token={token}"
    # a proxy of the environment is for the world outside
    options = [("grpc.enable_http_proxy", 0)] if address.here else None
    try:
        session = SparkSession(DefaultChannelBuilder(url, options))
        # the default waits for ten minutes
        session.client.set_retry_policies([DefaultPolicy(max_retries=6, initial_backoff=100, max_backoff=5_000)])
        version = str(session.version)
        for name, value in SETTINGS.items():
            session.conf.set(name, value)
    except Exception as error:
        first = _first_line(error)
        raise ConfigError(
            f"{REMOTE}: what answers at {address.host}:{address.port} is no Spark Connect: {first}"
        ) from error
    if int(version.partition(".")[0]) < OLDEST:
        session.stop()
        raise ConfigError(f"{REMOTE}: {address.host} runs Spark {version}; the engine needs Spark {OLDEST} or newer")
    return session


@contextmanager
def _not_its_doctests() -> Iterator[None]:
    """The client takes a program that is not run from a file for its own doctests, and ends it."""
    main = sys.modules["__main__"]
    nameless = not hasattr(main, "__file__")
    if nameless:
        main.__file__ = "<none>"
    try:
        yield
    finally:
        if nameless:
            del main.__file__


def _joint(url: str) -> str:
    return ";" if "/;" in url else "/;"


def _answers(address: SparkAddress) -> None:
    try:
        socket.create_connection((address.host, address.port), ANSWER_S).close()
    except OSError as error:
        raise ConfigError(
            f"no Spark Connect server answers at {address.host}:{address.port} ({error.strerror or error}); "
            f"start one there, name another in {REMOTE}, or leave --engine spark away"
        ) from None


@contextmanager
def told() -> Iterator[None]:
    """What Spark cannot do, told as an error of ours. Errors: DataError, StoreError."""
    try:
        yield
    except (CrmsyncError, KeyboardInterrupt):
        raise
    except Exception as error:
        raise _told(error) from error


def divided_nothing(error: Exception) -> bool:
    """Whether Sail's check of a divisor failed. No divisor that it is given can be zero (`sql_spark`), but a part of a
    join without rows fails the check all the same: for no row at all, every row counts as one with a zero."""
    return _first_line(error).endswith("Division by zero")


@contextmanager
def forgiving(session: Any) -> Iterator[None]:
    """Overflows and bad casts are NULL for as long as the block lasts."""
    session.conf.set(ANSI, "false")
    try:
        yield
    finally:
        session.conf.set(ANSI, "true")


def _told(error: Exception) -> DataError | StoreError:
    text, first = str(error), _first_line(error)
    if isinstance(error, OSError) or any(word in text for word in NO_ROOM):
        return StoreError(f"Spark ran out of memory or disk, or could not read a table: {first}")
    if any(word in text for word in GONE):
        return StoreError(f"the Spark Connect server no longer answers: {first}")
    return DataError(f"Spark could not compute the program on these tables: {first}")


def _first_line(error: Exception) -> str:
    """What an error says, without the stack below it; one of the transport says it in its details."""
    text = str(error)
    details = DETAILS.search(text)
    lines = [line.strip() for line in (details[1] if details else text).splitlines() if line.strip()]
    return lines[0][:500] if lines else type(error).__name__
