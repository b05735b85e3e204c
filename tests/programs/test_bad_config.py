"""One mistake per file: the message names file and line, and says what is wrong or what would be right."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from crmsync.errors import ConfigError
from crmsync.programs.loading import load_program
from tests.programs.texts import COLUMNS

FOLDER = Path(__file__).parent.parent / "bad_config" / "programs"
FILES = sorted(FOLDER.glob("*.yaml"))
EXPECT = re.compile(r"# expect: (?:([\w.-]+):)?(\d+): (.+)")


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_the_message_names_file_line_and_mistake(file: Path) -> None:
    expected = EXPECT.fullmatch(file.read_text(encoding="utf-8").splitlines()[0])
    assert expected, f"{file.name} must start with `# expect: [file:]line: fragment`"
    beside, line, fragment = expected.groups()
    with pytest.raises(ConfigError) as caught:
        load_program(file, COLUMNS)
    where = FOLDER / beside if beside else file
    assert str(caught.value).startswith(f"{where}:{line}: ")
    assert fragment in caught.value.message
    assert "\n" not in str(caught.value)


def test_there_are_many_of_them() -> None:
    assert len(FILES) >= 60
