"""One token of a gallery program changed: refused with file and line, saying what is wrong or what would be right."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from crmsync.errors import ConfigError
from crmsync.programs.loading import load_program
from crmsync.strict_yaml import read_yaml

TESTS = Path(__file__).parent.parent
GALLERY = TESTS.parent / "config" / "programs" / "gallery"
MISTAKES = [
    {key: node.text() for key, node in item.mapping(("program", "good", "bad", "says")).items()}
    for item in read_yaml(TESTS / "bad_config" / "gallery.yaml").sequence()
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the gallery, where one program after the other is spoilt and put right again."""
    return Path(shutil.copytree(GALLERY, tmp_path_factory.mktemp("gallery") / "gallery"))


@pytest.mark.parametrize("mistake", MISTAKES, ids=lambda mistake: f"{mistake['program']}: {mistake['bad'][:50]}")
def test_the_message_names_file_line_and_mistake(folder: Path, mistake: dict[str, str]) -> None:
    file = folder / f"{mistake['program']}.yaml"
    text = (GALLERY / file.name).read_text(encoding="utf-8")
    lines = text.split("\n")
    place = next(place for place, line in enumerate(lines) if line.strip() == mistake["good"])
    lines[place] = lines[place].replace(mistake["good"], mistake["bad"])
    file.write_text("\n".join(lines), encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        load_program(file)
    file.write_text(text, encoding="utf-8")
    assert str(caught.value).startswith(f"{file}:{place + 1}: ")
    assert mistake["says"] in caught.value.message


def test_there_are_many_of_them() -> None:
    assert len(MISTAKES) >= 75
