"""Processes of the product that are forked instead of started: to import it takes longer than most of them live.

`install` lets `subprocess` ask a process that has imported everything for `python -m crmsync …` and the like. What it
forks gets the arguments, the environment, the folder and the pipes of a started process, is a child of this one, and
runs and ends as `python -m` does. Where a fork cannot give what is asked for (another Python setting, a function before
the start), and where the kernel cannot hand a child on (Linux can), it is started as ever. A test of starting itself
asks for `cold`.
"""

from __future__ import annotations

import ctypes
import importlib
import inspect
import json
import os
import runpy
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TextIO

import pytest

IMPORTED: Mapping[str, tuple[str, ...]] = {
    "crmsync": ("crmsync.cli", "crmsync.pipeline", "crmsync.reports", "crmsync.tasks", "alembic.command"),
    "crmsync.sandbox": ("crmsync.sandbox.server", "crmsync.sandbox.company"),
    "tests.writeback.sandbox_apply": (
        "crmsync.connectors.salesforce.connector",
        "crmsync.writeback.apply",
        "alembic.command",
    ),
}
"""What can be forked, and what each has imported before."""
MOST_BYTES = 1 << 20
OF_PYTHON = ("PYTHON", "LC_", "LANG", "LD_")  # what an interpreter reads when it starts
PLAIN = {
    "executable": None, "preexec_fn": None, "pass_fds": (), "startupinfo": None, "shell": False, "gid": None,
    "gids": None, "uid": None, "umask": -1, "start_new_session": False, "process_group": -1,
}  # fmt: skip
PROJECT = Path(__file__).parent.parent
PR_SET_CHILD_SUBREAPER = 36


def of_python(environment: Mapping[str, str]) -> dict[str, str]:
    """The settings that cannot be changed any more when an interpreter has started."""
    return {k: v for k, v in environment.items() if k.startswith(OF_PYTHON) and k != "PYTHONPATH"}


# --- the process of the tests


class Warm:
    """The process that forks, started by the first that asks for it, and ended with this one."""

    def __init__(self) -> None:
        self._door, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.of_python = of_python(os.environ)
        self._process = STARTED(
            [sys.executable, "-m", "tests.warm", str(theirs.fileno())],
            pass_fds=[theirs.fileno()],
            cwd=PROJECT,
            stdin=subprocess.DEVNULL,
        )
        theirs.close()

    def fork(self, request: Mapping[str, Any], streams: list[int]) -> int | None:
        """The process id of a child of ours; None when the process that forks is gone: somebody may have killed it.

        `streams`: its standard input, output and error.
        """
        message = json.dumps(request).encode("utf-8", "surrogateescape")
        adopt(True)
        try:
            socket.send_fds(self._door, [message], streams)
            answer = self._door.recv(64)
        except OSError:
            return None
        finally:
            adopt(False)
        return int(answer) if answer else None

    def end(self) -> None:
        """End the process; what it has forked goes on."""
        self._door.close()
        self._process.wait()


def adopt(willing: bool) -> None:
    """Whether a process whose parent ends becomes our child, as one becomes that of the system's first process."""
    if ctypes.CDLL(None, use_errno=True).prctl(PR_SET_CHILD_SUBREAPER, int(willing), 0, 0, 0):
        raise OSError(ctypes.get_errno(), "prctl")


STARTED = subprocess.Popen
_START = inspect.signature(STARTED._execute_child)  # type: ignore[attr-defined]
_warm: list[Warm] = []


class Forked(STARTED):  # type: ignore[type-arg]
    """`subprocess.Popen` that forks where it can."""

    def _execute_child(self, *given: Any, **named: Any) -> None:
        asked = _START.bind(self, *given, **named).arguments
        environment = dict(os.environ if asked["env"] is None else asked["env"])
        if not forks(asked, environment):
            super()._execute_child(*given, **named)
            return
        _, _, module, *arguments = (os.fsdecode(one) for one in asked["args"])
        ends = [asked[name] for name in ("p2cread", "c2pwrite", "errwrite")]
        request = {
            "module": module,
            "arguments": arguments,
            "environment": environment,
            "folder": os.path.abspath(os.fsdecode(asked["cwd"] or ".")),
        }
        pid = _warm[0].fork(request, [own if end == -1 else end for own, end in enumerate(ends)])
        if pid is None:
            _warm.pop().end()
            super()._execute_child(*given, **named)
            return
        self.pid, self._child_created = pid, True
        pipes = ("p2cread", "p2cwrite", "c2pread", "c2pwrite", "errread", "errwrite")
        self._close_pipe_fds(*(asked[name] for name in pipes))


def forks(asked: Mapping[str, Any], environment: Mapping[str, str]) -> bool:
    """Whether a fork gives just what is asked for."""
    args = asked["args"]
    if not isinstance(args, list) or args[:2] != [sys.executable, "-m"] or args[2] not in IMPORTED:
        return False
    if any(asked.get(name, plain) not in (plain, None) for name, plain in PLAIN.items()):
        return False
    if not _warm:
        _warm.append(Warm())
    return of_python(environment) == _warm[0].of_python


def install() -> None:
    """From now on, in this process."""
    if sys.platform == "linux":
        subprocess.Popen = Forked  # type: ignore[misc]


def uninstall() -> None:
    """Start processes again, and end the one that forks."""
    subprocess.Popen = STARTED  # type: ignore[misc]
    while _warm:
        _warm.pop().end()


@pytest.fixture
def cold(monkeypatch: pytest.MonkeyPatch) -> None:
    """Processes are started from nothing, as those of a user are."""
    monkeypatch.setattr(subprocess, "Popen", STARTED)


# --- the process that forks


def serve(door: socket.socket) -> dict[str, Any]:
    """Fork until nobody asks any more; returns in the children only, with what each was asked for."""
    while True:
        message, streams, *_ = socket.recv_fds(door, MOST_BYTES, 3)
        if not message:
            sys.exit()
        request: dict[str, Any] = json.loads(message.decode("utf-8", "surrogateescape"))
        for name in IMPORTED[request["module"]]:
            importlib.import_module(name)
        if request["module"] == "crmsync.sandbox" and "--sample" in request["arguments"]:
            names_of(request["arguments"])
        if (pid := forked()) is None:
            door.close()
            dress(request, streams)
            return request
        for stream in streams:
            os.close(stream)
        door.send(str(pid).encode())


def names_of(arguments: list[str]) -> None:
    """Draw the names of a sample company, which its module keeps."""
    from crmsync.sandbox.company.markets import names_by_country

    seed = arguments[arguments.index("--seed") + 1] if "--seed" in arguments else ""
    if seed.isdecimal():
        names_by_country(int(seed))


def forked() -> int | None:
    """The process id of a child whose parent has ended, so that who has asked is its parent; None in the child."""
    ready, adopted = os.pipe(), os.pipe()
    between = os.fork()
    if not between:
        if child := os.fork():
            os.write(ready[1], str(child).encode())
            os._exit(0)
        os.close(adopted[1])
        os.read(adopted[0], 1)  # until the one between has ended
        for end in (*ready, adopted[0]):
            os.close(end)
        return None
    os.waitpid(between, 0)
    child = int(os.read(ready[0], 64))
    for end in (*ready, *adopted):
        os.close(end)
    return child


def dress(request: Mapping[str, Any], streams: list[int]) -> None:
    """Make this process what was asked for."""
    for place, stream in enumerate(streams):
        os.dup2(stream, place)
    for stream in streams:
        os.close(stream)
    sys.stdin, sys.stdout, sys.stderr = [opened(place, mode) for place, mode in enumerate("rww")]
    sys.__stdin__, sys.__stdout__, sys.__stderr__ = sys.stdin, sys.stdout, sys.stderr  # type: ignore[misc]
    os.chdir(request["folder"])
    os.environ.clear()
    os.environ.update(request["environment"])
    time.tzset()
    further = [one for one in request["environment"].get("PYTHONPATH", "").split(os.pathsep) if one]
    sys.path[0:1] = [request["folder"], *further]
    sys.argv = [sys.argv[0], *request["arguments"]]


def opened(stream: int, mode: str) -> TextIO:
    """Standard input, output or error, as an interpreter makes them of its streams: nothing of them was read yet."""
    was = (sys.stdin, sys.stdout, sys.stderr)[stream]
    at_once = stream == 2 or os.isatty(stream)
    found = open(stream, mode, encoding=was.encoding, errors=was.errors, closefd=False)  # noqa: SIM115
    if mode == "w":
        found.reconfigure(line_buffering=at_once, write_through="PYTHONUNBUFFERED" in os.environ)
    return found


if __name__ == "__main__":
    asked = serve(socket.socket(fileno=int(sys.argv[1])))
    runpy.run_module(asked["module"], run_name="__main__", alter_sys=True)
