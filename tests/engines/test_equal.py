"""Every column of the standings is the same on DuckDB and on Spark (here: Sail), whatever the program and the tables.

By default a fixed part of the cases of each file is taken; `SOAK_EXAMPLES` (make soak) takes all, and as many random
programs: with threshold sheets, some with a version before, half of them assessed a second time on other tables.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

import pytest
from hypothesis import assume, given, note, seed, settings

from crmsync.errors import ConfigError, CrmsyncError
from crmsync.programs.loading import load_programs
from crmsync.strict_yaml import read_yaml
from crmsync.studies import cases as studies
from tests.conftest import IN_CI, PROJECT
from tests.engines.equality import assess_on_both, assess_programs_on_both
from tests.levelling import test_cases
from tests.levelling.facts import snapshot_of
from tests.levelling.test_cases import Case, steps_of
from tests.levelling.test_cases import cases as text_cases
from tests.levelling.test_oracle import WITHOUT_SHRINKING
from tests.levelling.worlds import Base, files_of, worlds

SOAK = "SOAK_EXAMPLES" in os.environ
OF_EACH_FILE = 10_000 if SOAK else 2
RANDOM = int(os.environ.get("SOAK_EXAMPLES", "6"))
GALLERY = sorted((PROJECT / "config" / "programs" / "gallery").glob("*.yaml"))


def some(cases: Sequence[Any]) -> Sequence[Any]:
    """Evenly spread ones, the same in every run."""
    step = max(1, -(-len(cases) // OF_EACH_FILE))
    return cases[::step]


def of_each_file() -> Iterator[Any]:
    for _, cases in groupby(text_cases(), key=lambda one: one.values[0].file):
        yield from some([one for one in cases if one.values[0].get("error") is None])


@pytest.mark.parametrize("case", list(of_each_file()))
def test_a_case(case: Case, remote: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The rules as text, and the standings before that some of them make themselves."""
    monkeypatch.setattr(test_cases, "assess", assess_on_both(remote))
    for _ in steps_of(case, tmp_path):
        pass


@pytest.mark.parametrize("path", GALLERY, ids=lambda path: path.stem)
def test_a_program_of_the_gallery(path: Path, remote: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The published programs on the facts of their own cases."""
    monkeypatch.setattr(studies, "assess_programs", assess_programs_on_both(remote))
    names = [case.mapping()["name"].text() for case in read_yaml(path).mapping()["cases"].sequence()]
    chosen = names if SOAK else names[:1]
    found = studies.run_cases(path, chosen)
    assert [one.name for one in found] == chosen


@pytest.mark.timeout(60 + 10 * RANDOM)
@pytest.mark.parametrize("part", range(2))
def test_a_random_program(part: int, remote: str) -> None:
    """Programs and tables that nobody thought of."""

    @settings(max_examples=max(1, RANDOM // 2), phases=WITHOUT_SHRINKING)
    @given(world=worlds())
    def same(world: tuple[str, Base]) -> None:
        text, base = world
        note(text)
        compare(text, base, remote)

    seed(part)(same)() if IN_CI and not SOAK else same()


def compare(text: str, base: Base, remote: str) -> None:
    with tempfile.TemporaryDirectory(prefix="engines-") as scratch:
        folder = Path(scratch)
        for name, content in files_of(text).items():
            (folder / name).write_text(content, encoding="utf-8")
        try:
            program = load_programs(folder, base.facts.types)[-1]
        except ConfigError:
            assume(False)
        assess = assess_on_both(remote)
        try:
            first = assess(program, snapshot_of(folder / "first", base.facts)[0], base.as_of)
            if base.later is not None:
                facts, day = base.later
                assess(program, snapshot_of(folder / "later", facts)[0], day, first.standings)
        except CrmsyncError as refused:  # by both
            note(str(refused))
