"""How SIGTERM ends this process: the present call is finished and its outcome committed, then it leaves with 143.

`with held():` stands around one call and the commit of its outcome. The first SIGTERM waits for the end of such a
block, outside of one it ends the process at once, as the second one does everywhere. Whatever happens, the process is
gone `PATIENCE_S` after the first one, inside the 30 s that Kubernetes leaves: every point is safe to stop at.
"""

from __future__ import annotations

import _thread
import contextlib
import os
import select
import signal
from collections.abc import Iterator
from types import FrameType

TERMINATED = 128 + signal.SIGTERM
PATIENCE_S = 25.0
GRACE_S = 1.0  # for the second one: what Python itself needs to leave


class _State:
    """What this process knows of its end: how many blocks hold it, and whether it was asked to end."""

    def __init__(self) -> None:
        self.depth = 0
        self.asked = False


_state = _State()


def install() -> None:
    """Let SIGTERM end this process in this way. Call it in the main thread, once."""
    _state.depth, _state.asked = 0, False
    signal.signal(signal.SIGTERM, _terminate)


def asked() -> bool:
    """Whether this process has been told to end."""
    return _state.asked


@contextlib.contextmanager
def held() -> Iterator[None]:
    """Put the first SIGTERM off to the end of this block. Errors: SystemExit(143) there, if one came."""
    _state.depth += 1
    try:
        yield
    except BaseException:
        _state.depth -= 1
        raise
    _state.depth -= 1
    if _state.asked and not _state.depth:
        raise SystemExit(TERMINATED)


def _terminate(_number: int, _frame: FrameType | None) -> None:
    first, _state.asked = not _state.asked, True
    if first:
        _watch()
    if not first or not _state.depth:
        raise SystemExit(TERMINATED)


def _watch() -> None:
    """End the process by force when it does not end by itself: library code may not come back to Python for long."""
    read, write = os.pipe()
    os.set_blocking(write, False)
    signal.set_wakeup_fd(write, warn_on_full_buffer=False)  # told by the kernel, also while Python cannot run
    _thread.start_new_thread(_wait_and_end, (read,))  # no lock of threading.py: the signal may have come inside one


def _wait_and_end(read: int) -> None:
    again, _, _ = select.select([read], [], [], PATIENCE_S)
    if again:
        select.select([], [], [], GRACE_S)
    os._exit(TERMINATED)
