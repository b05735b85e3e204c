"""A forked process of the product is what a started one is: a child of ours, where and how it was asked for."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from crmsync.sandbox.process import start_org
from tests import warm

pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="no other kernel hands children on"),
    pytest.mark.timeout(180),  # the whole product is imported
]
VERSION = [sys.executable, "-m", "crmsync", "--version"]


def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "crmsync", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, env=os.environ | environment)


def test_it_is_a_child_of_ours_in_our_folder_and_ends_as_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with start_org() as org:
        place = Path(f"/proc/{org.process.pid}")
        assert (place / "cwd").resolve() == tmp_path
        assert f"PPid:\t{os.getpid()}\n" in (place / "status").read_text()
        assert "tests.warm" in (place / "cmdline").read_text(), "it was started, not forked"
    assert org.process.returncode == 0


def test_it_says_and_returns_what_a_started_one_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    calls = [("--version",), ("nonsense",)]
    forked = [run(*call) for call in calls]
    monkeypatch.setattr(subprocess, "Popen", warm.STARTED)
    started = [run(*call) for call in calls]
    assert [(one.returncode, one.stdout, one.stderr) for one in forked] == [
        (one.returncode, one.stdout, one.stderr) for one in started
    ]
    assert [one.returncode for one in started] == [0, 4]


def test_where_a_fork_cannot_give_what_is_asked_for_it_is_started() -> None:
    assert warm.forks({"args": VERSION}, dict(os.environ))
    assert not warm.forks({"args": VERSION}, os.environ | {"PYTHONHASHSEED": "7"})
    assert not warm.forks({"args": VERSION, "preexec_fn": os.setsid}, dict(os.environ))
    assert not warm.forks({"args": [sys.executable, "-m", "tests.writeback.killing"]}, dict(os.environ))


def test_when_the_process_that_forks_is_gone_it_is_started() -> None:
    run("--version")
    os.kill(warm._warm[0]._process.pid, signal.SIGKILL)
    assert run("--version").returncode == 0
    assert warm._warm == []
