"""A command in a child that has loaded everything already."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence

from crmsync.cli import main


def begin(arguments: Sequence[str], prepare: Callable[[], object]) -> int:
    """Process id of a child that runs `crmsync` with these arguments, after `prepare`; what it prints is not kept."""
    pid = os.fork()
    if pid:
        return pid
    code = 1
    try:
        prepare()
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        sys.argv = ["crmsync", *arguments]
        main()
    except SystemExit as ended:
        code = int(ended.code or 0)
    finally:
        os._exit(code)


def end(pid: int) -> int:
    """Exit code of that child, once it has ended; below 0 is the signal that ended it."""
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
