"""The command line, called in this process."""

from __future__ import annotations

import io
import signal
import sys
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from unittest.mock import patch

from crmsync.cli import app
from crmsync.exits import guarded
from crmsync.logs import configure_logs


@dataclass(frozen=True)
class Ended:
    """How a command ended: exit code, standard output, standard error."""

    code: int
    out: str
    err: str


def ended(*arguments: str) -> Ended:
    """Run `crmsync` with these arguments."""
    before = signal.getsignal(signal.SIGTERM)
    out, err = io.StringIO(), io.StringIO()
    try:
        with patch.object(sys, "argv", ["crmsync", *arguments]), redirect_stdout(out), redirect_stderr(err):
            guarded(app)
    except SystemExit as end:
        return Ended(int(str(end.code)), out.getvalue(), err.getvalue())
    finally:
        signal.signal(signal.SIGTERM, before)
        configure_logs()
    raise AssertionError("unreachable")
