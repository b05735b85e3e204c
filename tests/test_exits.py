"""However a command ends: the exit code of its kind, one clear message, no traceback, no secret."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
import typer

from crmsync import errors
from crmsync.cli import main
from crmsync.exits import ends_with, guarded
from crmsync.logs import configure_logs

SECRET = "00D5e!canary.of.the.token"


@pytest.fixture(autouse=True)
def _signals() -> Iterator[None]:
    before = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, before)
    configure_logs()


def ending(fault: BaseException | int, monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    app = typer.Typer(rich_markup_mode=None)

    @app.callback()
    def whole() -> None: ...

    @app.command()
    def work(json: bool = False) -> None:  # noqa: ARG001
        if isinstance(fault, BaseException):
            raise fault
        ends_with(fault, "found this")

    monkeypatch.setattr(sys, "argv", ["crmsync", "work", *arguments])
    with pytest.raises(SystemExit) as ended:
        guarded(app)
    assert isinstance(ended.value.code, int)
    return ended.value.code


KINDS = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, errors.CrmsyncError)]


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_of_fault_has_its_code_and_shows_its_message(
    kind: type[errors.CrmsyncError], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert ending(kind("what is wrong"), monkeypatch) == kind.exit_code
    assert capsys.readouterr().err == "crmsync: what is wrong\n"


@pytest.mark.parametrize("code", [0, 2, 3, 8])
def test_what_a_command_found_goes_to_stdout(
    code: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert ending(code, monkeypatch) == code
    assert capsys.readouterr() == ("found this\n", "")


def test_ctrl_c_ends_with_130(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert ending(KeyboardInterrupt(), monkeypatch) == 130
    assert "interrupted" in capsys.readouterr().err


@pytest.mark.parametrize(("number", "code"), [(errno.ENOSPC, 6), (errno.EROFS, 6), (errno.EACCES, 1)])
def test_a_full_disk_is_a_fault_of_the_store(
    number: int, code: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert ending(OSError(number, os.strerror(number), "ledger.sqlite"), monkeypatch) == code
    assert "ledger.sqlite" in capsys.readouterr().err


def test_an_unexpected_fault_is_short_and_says_how_to_report_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert ending(KeyError("surprise"), monkeypatch) == 1
    told = capsys.readouterr().err
    assert told.count("\n") == 1
    assert "unexpected KeyError: 'surprise'" in told
    assert "CRMSYNC_LOG_LEVEL=debug" in told


def test_no_message_shows_a_secret_or_a_control_character(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    configure_logs(secrets=[SECRET])
    ending(ValueError(f"login with {SECRET}\x1b[2J failed"), monkeypatch)
    told = capsys.readouterr().err
    assert SECRET not in told
    assert "\x1b" not in told


def test_what_a_command_found_steers_no_terminal_and_shows_no_secret(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    configure_logs(secrets=[SECRET])
    monkeypatch.setattr(sys, "argv", ["crmsync"])
    with pytest.raises(SystemExit):
        ends_with(0, f"guard kinds: role 'Evil\x1b[2J\x9b1m\u2028\u202e' {SECRET}\n\tas it is")
    assert capsys.readouterr().out == ("guard kinds: role 'Evil\\x1b[2J\\x9b1m\\u2028\\u202e' [redacted]\n\tas it is\n")


@pytest.mark.parametrize(
    ("fault", "kind"), [(errors.AccessError("no right"), "AccessError"), (ZeroDivisionError("x"), "Unexpected")]
)
def test_faults_are_json_with_json(
    fault: BaseException, kind: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    code = ending(fault, monkeypatch, "--json")
    told: dict[str, Any] = json.loads(capsys.readouterr().err)
    assert (told["kind"], told["exit_code"]) == (kind, code)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["nonsense"], "No such command 'nonsense'"),
        ([], "Missing command"),
        (["run", "--no-such-flag"], "No such option: --no-such-flag"),
        (["plan", "--as-of", "2026-13-01"], "--as-of': '2026-13-01' is not a date; write it like 2026-01-31"),
        (["apply"], "Missing argument 'PLAN'"),
        (["assess", "p.yaml", "--tables", "t"], "Missing option '--as-of'"),
        (["explain", "P1"], "explain needs either --run RUN"),
        (["explain", "P1", "--run", "last", "--as-of", "2026-01-01"], "leave out --as-of"),
        (["sandbox", "salesforce", "--port", "70000"], "--port"),
        (
            ["assess", "p.yaml", "--tables", "t", "--as-of", "2026-01-01", "--out", "o.csv", "--engine", "flink"],
            "--engine flink is not known",
        ),
        (["assess", "p.yaml", "--tables", "t", "--as-of", "2026-01-01", "--out", "o.xls"], "o.xls"),
    ],
)
def test_a_wrong_call_ends_with_4(
    arguments: list[str], told: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["crmsync", *arguments])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 4
    printed = capsys.readouterr()
    assert told in printed.err
    assert "Traceback" not in printed.err
    assert printed.out == ""


def test_the_command_ends_with_it_too() -> None:
    command = [sys.executable, "-m", "crmsync", "nonsense"]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (ended.returncode, "Traceback" in ended.stderr) == (4, False)


def test_a_name_that_the_terminal_cannot_show_ends_nothing() -> None:
    program = (
        "import typer; from crmsync.exits import ends_with, guarded\n"
        "app = typer.Typer(); app.command()(lambda: ends_with(3, 'Zoë \\u2192 \\ud800'))\n"
        "guarded(app)"
    )
    command = [sys.executable, "-c", program]
    environment = {**os.environ, "PYTHONIOENCODING": "ascii"}
    ended = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert (ended.returncode, ended.stdout, ended.stderr) == (3, "Zo\\xeb \\u2192 \\ud800\n", "")


def test_a_reader_that_goes_away_is_no_traceback() -> None:
    command = f"{sys.executable} -m crmsync run --help | true"
    ended = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=False)
    assert ended.stderr == ""
