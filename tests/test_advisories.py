"""`make audit`: what pip-audit says is judged by what it looked up, not by how it ends."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import PROJECT

SKIPPED = {"name": "a", "skip_reason": "not found"}
SAFE = {"name": "b", "version": "1.0", "vulns": []}
BAD = {"name": "c", "version": "2.0", "vulns": [{"id": "PYSEC-1", "fix_versions": ["2.1"]}]}


def judged(tmp_path: Path, says: str, errors: str = "") -> tuple[int, str]:
    program = tmp_path / "pip-audit"
    program.write_text(f"#!{sys.executable}\nimport sys\nprint({says!r})\nprint({errors!r}, file=sys.stderr)\n")
    program.chmod(0o755)
    command = [sys.executable, str(PROJECT / "ops" / "advisories.py"), str(program), "constraints.txt"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("found", "code", "said"),
    [
        ([SAFE, SKIPPED], 0, "1 of 2 packages looked up, 0 known vulnerabilities"),
        ([SAFE, BAD], 1, "c 2.0: PYSEC-1, mended in 2.1"),
        ([SKIPPED], 2, "nothing was checked"),
    ],
)
def test_what_was_looked_up_decides(found: list[object], code: int, said: str, tmp_path: Path) -> None:
    ended, told = judged(tmp_path, json.dumps({"dependencies": found}))
    assert (ended, said in told) == (code, True), told


def test_no_service_is_no_all_clear(tmp_path: Path) -> None:
    ended, told = judged(tmp_path, "", "requests.exceptions.ConnectionError: no route")
    assert (ended, told) == (2, "the advisory service cannot be reached from this machine: nothing was checked\n")
    assert judged(tmp_path, "", "Traceback: broken")[0] == 1
