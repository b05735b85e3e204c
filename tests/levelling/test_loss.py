"""The day of loss is the same whether it is followed row by row or looked for one day after the other."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, note, settings

from crmsync.errors import CrmsyncError
from crmsync.levelling import loss
from crmsync.levelling.assess import assess
from crmsync.programs.loading import load_program
from tests.levelling.facts import plain, snapshot_of
from tests.levelling.test_cases import Case, cases, result_of
from tests.levelling.worlds import Base, bases, files_of, programs

EXAMPLES = int(os.environ.get("SOAK_EXAMPLES", "4"))


def with_losses() -> list[Any]:
    files = ("loss.yaml", "risk.yaml")
    return [one for one in cases() if one.values[0].file in files and one.values[0].get("error") is None]


@pytest.mark.parametrize("case", with_losses())
def test_a_case(case: Case, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The text cases come to the same days when nothing may be followed."""
    expected = days(result_of(case, tmp_path).standings)
    monkeypatch.setattr(loss, "_can_follow", lambda *_: False)
    assert days(result_of(case, tmp_path).standings) == expected


@pytest.mark.timeout(60 + 6 * EXAMPLES)
@settings(max_examples=EXAMPLES)
@given(text=programs(), base=bases())
def test_a_random_program(text: str, base: Base) -> None:
    """Programs and tables that nobody thought of."""
    note(text)
    with tempfile.TemporaryDirectory(prefix="loss-") as scratch, pytest.MonkeyPatch.context() as patched:
        folder = Path(scratch)
        for name, content in files_of(text).items():
            (folder / name).write_text(content, encoding="utf-8")
        try:
            program = load_program(folder / "program.yaml", base.facts.types)
            snapshot, _ = snapshot_of(folder / "snapshot", base.facts)
            expected = days(assess(program, snapshot, base.as_of).standings)
        except CrmsyncError as refused:
            note(str(refused))
            return
        patched.setattr(loss, "_can_follow", lambda *_: False)
        assert days(assess(program, snapshot, base.as_of).standings) == expected


def days(standings: Any) -> dict[tuple[str, str], Any]:
    """The day of loss of each standing."""
    return {key: row["risk_on"] for key, row in plain(standings).items()}
