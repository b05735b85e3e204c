"""Runs a command until its own standard input ends: what a test run starts stops with it, however the run ends.

python guarded.py COMMAND …     (in a session of its own: at the end its whole group is ended)
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading

STOP_S = 15.0


def main(command: list[str]) -> int:
    """The exit code of the command."""
    started = subprocess.Popen(command, stdin=subprocess.DEVNULL)
    threading.Thread(target=_end_with_input, args=(started,), daemon=True).start()
    return started.wait()


def _end_with_input(started: subprocess.Popen[bytes]) -> None:
    sys.stdin.buffer.read()
    started.terminate()
    try:
        started.wait(STOP_S)
    except subprocess.TimeoutExpired:
        os.killpg(0, signal.SIGKILL)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
