"""How the process ends: exit codes, one clear message per fault, and no traceback for bad input."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import signal
import sys
from typing import TYPE_CHECKING, NoReturn

from crmsync import stopping

if TYPE_CHECKING:
    from typer import Typer

DONE = 0
FAILED = 1
PLAN_WAITS = 2
PARKED = 3
USAGE = 4
STORE = 6
BLOCKED = 8
INTERRUPTED = 128 + signal.SIGINT
TERMINATED = stopping.TERMINATED

STORE_FAULTS = frozenset({errno.ENOSPC, errno.EROFS, errno.EDQUOT, errno.EIO})
_HINT = "run it again as `CRMSYNC_LOG_LEVEL=debug crmsync … 2> crmsync.log` and send that file"


def ends_with(exit_code: int, text: str, *, to_stderr: bool = False) -> NoReturn:
    """Print what a command found, which may hold what an org has said, and leave with its exit code."""
    if text:
        from crmsync.logs import printed

        print(printed(text), file=sys.stderr if to_stderr else sys.stdout, flush=True)
    raise SystemExit(exit_code)


def guarded(app: Typer) -> NoReturn:
    """Run the command line; every fault becomes one message on stderr and the exit code of its kind."""
    stopping.install()
    with contextlib.suppress(AttributeError, ValueError):
        # a name that the terminal's encoding lacks is no reason to end a run with an error after it has written
        sys.stdout.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
    try:
        code = _run(app)
        sys.stdout.flush()
    except BrokenPipeError:
        # The reader of our output has gone; a second flush at exit would complain again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 1
    raise SystemExit(code)


def _run(app: Typer) -> int:
    from crmsync.errors import CrmsyncError

    try:
        return _call(app)
    except SystemExit as ended:
        return ended.code if isinstance(ended.code, int) else DONE if ended.code is None else FAILED
    except KeyboardInterrupt:
        _tell("interrupted; what was already written is recorded, run again to go on", "Interrupted", INTERRUPTED)
        return INTERRUPTED
    except BrokenPipeError:
        raise
    except CrmsyncError as error:
        _tell(str(error), type(error).__name__, error.exit_code)
        return error.exit_code
    except OSError as error:
        code = STORE if error.errno in STORE_FAULTS else 1
        _tell(f"{error.strerror or error}: {error.filename or 'no file named'}", "StoreError", code)
        return code
    except Exception as error:  # the one edge of the process: nothing may end in a traceback
        return _unexpected(error)


def _call(app: Typer) -> int:
    """Run typer without its own endings; its code 2 for a wrong flag becomes 4."""
    from typer.exceptions import Abort, TyperException

    try:
        result = app(standalone_mode=False, prog_name="crmsync") or DONE
    except TyperException as error:
        _tell(f"{error.format_message().replace('Value error, ', '')} (see `crmsync --help`)", "UsageError", USAGE)
        return USAGE
    except Abort as error:
        raise KeyboardInterrupt from error
    if result == INTERRUPTED:
        raise KeyboardInterrupt
    return USAGE if result == PLAN_WAITS else int(result)


def _unexpected(error: Exception) -> int:
    import structlog

    structlog.get_logger().debug("run_broke", exc_info=error)
    _tell(f"unexpected {type(error).__name__}: {error}; {_HINT}", "Unexpected", 1)
    return 1


def _tell(message: str, kind: str, exit_code: int) -> None:
    from crmsync.logs import shown

    text = shown(message)
    if "--json" in sys.argv[1:]:
        text = json.dumps({"error": text, "kind": kind, "exit_code": exit_code})
    else:
        text = f"crmsync: {text}"
    print(text, file=sys.stderr, flush=True)
