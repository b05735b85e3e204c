"""An org in a process of its own, for tests and for the embedded default of a run."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

_START_S = 120.0
_END_S = 10.0


class OrgStartError(Exception):
    """The process ended, or said nothing, before the org answered; the message holds what it wrote."""

    def __init__(self, message: str, exit_code: int | None) -> None:
        super().__init__(message)
        self.exit_code = exit_code


@dataclass(frozen=True)
class Org:
    """A running org and how to get in."""

    process: subprocess.Popen[str]
    instance_url: str
    access_token: str
    org_id: str
    username: str
    client_id: str = ""
    client_secret: str = field(default="", repr=False)
    refresh_token: str = field(default="", repr=False)
    user_id: str = ""
    password: str = field(default="", repr=False)
    security_token: str = field(default="", repr=False)


@contextmanager
def start_org(arguments: Sequence[str] = (), start_s: float = _START_S) -> Iterator[Org]:
    """Start `crmsync sandbox salesforce` with these arguments; the process ends with the block.

    Errors: OrgStartError with the exit code and what it wrote.
    """
    command = [sys.executable, "-m", "crmsync.sandbox", "salesforce", "--parent", str(os.getpid()), *arguments]
    if "--port" not in arguments:
        command += ["--port", "0"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, encoding="utf-8")
    written: list[str] = []
    # stderr is read all the time, so that a full pipe never stops the org.
    listener = threading.Thread(target=_keep_last, args=(process, written), daemon=True)
    listener.start()
    try:
        yield _started(process, written, listener, start_s)
    finally:
        _end(process, listener)


def _started(process: subprocess.Popen[str], written: list[str], listener: threading.Thread, start_s: float) -> Org:
    assert process.stdout is not None
    timer = threading.Timer(start_s, process.kill)
    timer.start()
    try:
        line = process.stdout.readline()
    finally:
        timer.cancel()
    if not line.startswith("{"):
        process.wait(_END_S)
        listener.join(_END_S)
        text = "".join(written).strip() or line.strip() or f"it said nothing within {start_s:g} s"
        raise OrgStartError(text, process.returncode)
    return Org(process=process, **json.loads(line))


def _keep_last(process: subprocess.Popen[str], written: list[str]) -> None:
    assert process.stderr is not None
    for line in process.stderr:
        written.append(line)
        del written[:-200]


def _end(process: subprocess.Popen[str], listener: threading.Thread) -> None:
    if process.poll() is None:
        process.terminate()
    try:
        process.wait(_END_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    listener.join(_END_S)
    for stream in (process.stdout, process.stderr):
        if stream is not None:
            stream.close()
