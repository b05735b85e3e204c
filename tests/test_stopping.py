"""SIGTERM: the present call is finished first, a second one ends at once, and nothing can hold it up for long."""

from __future__ import annotations

import signal
import subprocess
import sys
import time

import pytest

BEGIN = "import time, sys, signal, os\nfrom crmsync import stopping\nstopping.install()\nprint('ready', flush=True)\n"
SLEEP = "def pause(s):\n    end = time.monotonic() + s\n    while time.monotonic() < end: time.sleep(0.02)\n"


def stopped(body: str, *, signals: int = 1, patience: float = 25.0) -> tuple[int, list[str], float]:
    """Exit code, lines and seconds of a process that runs `body` and gets so many SIGTERM, 0.3 s apart."""
    code = f"{BEGIN}{SLEEP}stopping.PATIENCE_S = {patience}\n{body}"
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        started = time.monotonic()
        for _ in range(signals):
            time.sleep(0.3)
            process.send_signal(signal.SIGTERM)
        lines = process.stdout.read().split()
        return process.wait(20), lines, time.monotonic() - started


def test_outside_of_a_call_the_process_ends_at_once():
    assert stopped("pause(15)\nprint('late')")[:2] == (143, [])


def test_inside_of_a_call_it_ends_when_the_call_is_committed():
    body = "with stopping.held():\n    pause(1)\n    print('committed', flush=True)\nprint('late')\n"
    assert stopped(body)[:2] == (143, ["committed"])


def test_the_outermost_call_counts_and_a_function_can_be_one():
    body = (
        "@stopping.held()\ndef call():\n    with stopping.held():\n        pause(0.8)\n    print('inner', flush=True)\n"
        "call()\nprint('late')\n"
    )
    assert stopped(body)[:2] == (143, ["inner"])


def test_a_second_one_does_not_wait():
    code, lines, seconds = stopped("with stopping.held():\n    pause(15)\n    print('committed')\n", signals=2)
    assert (code, lines) == (143, [])
    assert seconds < 10


def test_a_fault_inside_is_told_first_and_the_next_call_ends_the_process():
    body = (
        "try:\n    with stopping.held():\n        pause(0.8)\n        raise ValueError('refused')\n"
        "except ValueError as error: print(error, flush=True)\n"
        "with stopping.held(): print('next', flush=True)\nprint('late')\n"
    )
    assert stopped(body)[:2] == (143, ["refused", "next"])


ENDLESS = "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT max(x) FROM n"


@pytest.mark.parametrize(("signals", "patience"), [(1, 1.0), (2, 25.0)])
def test_library_code_that_does_not_come_back_is_left(signals: int, patience: float):
    """While C code runs, Python's own handler cannot: the watching thread ends the process."""
    body = (
        f"import sqlite3\nwith stopping.held():\n    pause(0.5)\n    sqlite3.connect(':memory:').execute('{ENDLESS}')\n"
    )
    code, _, seconds = stopped(body + "print('late')\n", signals=signals, patience=patience)
    assert code == 143
    assert seconds < 10


@pytest.mark.parametrize(("heeds", "code"), [(True, -signal.SIGINT), (False, 0)])
def test_ctrl_c_while_the_commands_are_loaded_ends_without_a_traceback(heeds: bool, code: int):
    """What a process in the background was told to pass over, it passes over."""
    body = (
        "import os, signal, sys\n"
        f"signal.signal(signal.SIGINT, signal.{'default_int_handler' if heeds else 'SIG_IGN'})\n"
        "class Interrupting:\n"
        "    def find_spec(self, name, *_):\n"
        "        if name == 'crmsync.cli': os.kill(os.getpid(), signal.SIGINT)\n"
        "sys.meta_path.insert(0, Interrupting())\n"
        "sys.argv = ['crmsync', '--version']\n"
        "from crmsync.__main__ import main\n"
        "main()\n"
    )
    ended = subprocess.run([sys.executable, "-c", body], capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stderr) == (code, "")
