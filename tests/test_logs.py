"""Logs are JSON lines without secrets and without control characters."""

from __future__ import annotations

import io
import json
from typing import Any

import pytest
import structlog

from crmsync.logs import bind_run, configure_logs, safe_text, shown

SECRET = "00D5e!canary.of.the.token"


@pytest.fixture
def stream() -> io.StringIO:
    return io.StringIO()


@pytest.fixture(autouse=True)
def _fresh() -> Any:
    yield
    structlog.reset_defaults()
    structlog.contextvars.clear_contextvars()
    configure_logs()
    structlog.reset_defaults()


def logged(stream: io.StringIO) -> dict[str, Any]:
    (line,) = stream.getvalue().splitlines()
    event: dict[str, Any] = json.loads(line)
    return event


def test_every_event_carries_the_run_id(stream: io.StringIO) -> None:
    configure_logs(stream=stream)
    bind_run("20261121-1")
    structlog.get_logger().info("plan_drafted", changes=12)
    event = logged(stream)
    assert (event["event"], event["changes"], event["run_id"], event["level"]) == (
        "plan_drafted",
        12,
        "20261121-1",
        "info",
    )


@pytest.mark.parametrize("key", ["access_token", "client_secret", "Authorization", "assertion"])
def test_a_secret_key_is_redacted_at_any_depth(stream: io.StringIO, key: str) -> None:
    configure_logs(stream=stream)
    structlog.get_logger().info("sent", request={"headers": [{key: "anything"}]})
    assert "anything" not in stream.getvalue()


def test_a_loaded_secret_is_redacted_wherever_it_stands(stream: io.StringIO) -> None:
    configure_logs(secrets=[SECRET], stream=stream)
    structlog.get_logger().info(
        "failed", url=f"https://x/?sid={SECRET}", error=ValueError(SECRET), parts=[{"a": (SECRET,)}]
    )
    assert SECRET not in stream.getvalue()


def test_a_traceback_shows_neither_locals_nor_secrets(stream: io.StringIO) -> None:
    configure_logs(secrets=[SECRET], stream=stream)
    local = "a local value"
    try:
        raise ValueError(f"bad {SECRET}")
    except ValueError:
        structlog.get_logger().exception("broke")
    assert SECRET not in stream.getvalue()
    assert local not in json.dumps(logged(stream)["exception"][0]["exc_value"])
    assert '"locals": {' not in stream.getvalue()


def test_one_event_is_one_line_whatever_a_record_holds(stream: io.StringIO) -> None:
    configure_logs(stream=stream)
    structlog.get_logger().info("read", name='Evil\n{"event": "forged"}\x1b[2J\u202e')
    assert logged(stream)["event"] == "read"
    assert "\x1b" not in stream.getvalue()


def test_levels_below_the_chosen_one_are_silent(stream: io.StringIO) -> None:
    configure_logs("warning", stream=stream)
    structlog.get_logger().info("chatter")
    assert stream.getvalue() == ""


def test_messages_for_people_are_redacted_and_keep_their_line_breaks(stream: io.StringIO) -> None:
    configure_logs(secrets=[SECRET], stream=stream)
    assert shown(f"login with {SECRET} failed\nuse\x07another") == "login with [redacted] failed\nuse\\x07another"


@pytest.mark.parametrize("sign", ["\u2028", "\u2029", "\x85", "\x0b", "\x1c", "\r", "\x9b2J", "\u200f", "\ud800"])
def test_no_sign_of_a_record_begins_a_line_or_steers_the_terminal(stream: io.StringIO, sign: str) -> None:
    configure_logs(stream=stream)
    told = shown(f"record Evil{sign}crmsync: all is well")
    assert len(told.splitlines()) == 1
    assert sign not in told
    assert told.encode()


@pytest.mark.parametrize("form", ["s3cret%2B%2F%22canary", "s3cret%2B/%22canary", 's3cret+/\\"canary'])
def test_a_secret_is_known_as_a_form_or_json_writes_it(stream: io.StringIO, form: str) -> None:
    configure_logs(secrets=['s3cret+/"canary'], stream=stream)
    structlog.get_logger().info("refused", answer=f"client_secret={form}&x=1")
    assert "canary" not in stream.getvalue() + shown(form)


def test_control_and_direction_characters_become_escapes() -> None:
    assert safe_text("a\x1b[31mb\r\nc\u202ed") == "a\\x1b[31mb\\r\\nc\\u202ed"
    assert safe_text("Süd & Söhne 株式会社") == "Süd & Söhne 株式会社"
