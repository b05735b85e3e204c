"""Programs beside the gallery, made of the same constructs in other ways: all their cases come out as they say."""

from __future__ import annotations

from pathlib import Path

import pytest

from crmsync.studies.cases import run_cases

FILES = sorted((Path(__file__).parent / "others").glob("*.yaml"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_all_cases_pass(path: Path) -> None:
    failed = {f"{one.name} (line {one.line})": one.differences for one in run_cases(path) if not one.passed}
    assert failed == {}
