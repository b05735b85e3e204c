"""A good program with tokens changed, moved, dropped or cut off: it loads, or a ConfigError names file and line."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crmsync.errors import ConfigError
from crmsync.programs.loading import load_program
from tests.programs.texts import COLUMNS, GOOD

TEXT = GOOD.read_text(encoding="utf-8").replace("../bad_config/programs/", "")
TOKENS = re.findall(r"\n *|[A-Za-z0-9_.]+|[^\w\s]| +", TEXT)
STRANGERS = [
    "",
    "0",
    "-1",
    "1e9",
    "yes",
    "none",
    "null",
    "*",
    "&x",
    "[",
    "{",
    "'",
    '"',
    "\n",
    ":",
    "~",
    "30%",
    "\t",
    "é",
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the references beside the program."""
    folder = tmp_path_factory.mktemp("random")
    for name in ("markets.csv", "zones.csv", "rates.csv"):
        shutil.copy(GOOD.parent.parent / "bad_config" / "programs" / name, folder)
    return folder


def mistake(folder: Path, text: str) -> ConfigError | None:
    """The error that the text gives; anything but a ConfigError fails the test."""
    file = folder / "program.yaml"
    file.write_text(text, encoding="utf-8")
    try:
        load_program(file, COLUMNS)
    except ConfigError as error:
        return error
    return None


def check(folder: Path, text: str) -> None:
    """A ConfigError names its file, and is one line."""
    error = mistake(folder, text)
    assert error is None or (error.file and "\n" not in str(error))


def test_the_text_itself_loads(folder: Path) -> None:
    (folder / "program.yaml").write_text("".join(TOKENS), encoding="utf-8")
    load_program(folder / "program.yaml", COLUMNS)


PLACES = st.integers(0, len(TOKENS) - 1)


@settings(max_examples=250)
@given(st.lists(st.tuples(PLACES, st.one_of(PLACES, st.sampled_from(STRANGERS))), min_size=1, max_size=3))
def test_changed_tokens(folder: Path, changes: list[tuple[int, int | str]]) -> None:
    tokens = list(TOKENS)
    for place, change in changes:
        tokens[place] = TOKENS[change] if isinstance(change, int) else change
    check(folder, "".join(tokens))


@settings(max_examples=120)
@given(st.integers(0, len(TEXT)), st.integers(0, 60))
def test_cut_texts(folder: Path, start: int, length: int) -> None:
    check(folder, TEXT[:start])
    check(folder, TEXT[:start] + TEXT[start + length :])
