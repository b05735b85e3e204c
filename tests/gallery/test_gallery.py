"""Every program of the gallery loads, and all its cases come out as they say."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from crmsync.programs.loading import load_program
from crmsync.strict_yaml import Node, read_yaml
from crmsync.studies.cases import run_cases
from tests.conftest import PROJECT

FOLDER = PROJECT / "config" / "programs" / "gallery"
FILES = sorted(FOLDER.glob("*.yaml"))
VENDORS = re.compile(
    r"\b(microsoft|azure|aws|amazon|hubspot|salesforce|trailblazer|odoo|atlassian|google|wix|intuit|quickbooks|"
    r"proadvisor|mitel|sap|partneredge|dell|emc)\b",
    re.IGNORECASE,
)


def without_comments(path: Path) -> str:
    """The text of a program file without what follows a `#`."""
    return "\n".join(re.sub(r"(^|\s)#.*", "", line) for line in path.read_text(encoding="utf-8").splitlines())


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_all_cases_pass(path: Path) -> None:
    written = read_yaml(path).mapping()["cases"].sequence()
    results = run_cases(path)
    assert [result.name for result in results] == [case.mapping()["name"].text() for case in written]
    failed = {f"{result.name} (line {result.line})": result.differences for result in results if not result.passed}
    assert failed == {}


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_every_case_says_what_must_come_out(path: Path) -> None:
    for case in read_yaml(path).mapping()["cases"].sequence():
        steps = case.mapping()["on"].sequence() if "on" in case.mapping() else [case]
        assert all(step.mapping()["expect"].mapping() for step in steps), case.mapping()["name"].text()


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_names_are_neutral_and_the_source_stands_in_the_head(path: Path) -> None:
    assert VENDORS.findall(without_comments(path)) == []
    head = path.read_text(encoding="utf-8").split("\nprogram:")[0]
    assert "In the style of" in " ".join(line.lstrip("# ") for line in head.splitlines())
    assert load_program(path).key == path.stem


def test_every_program_is_in_the_docs_with_its_number_of_cases() -> None:
    page = (PROJECT / "docs" / "gallery.md").read_text(encoding="utf-8")
    rows = dict(re.findall(r"^\| \[?`([\w-]+\.yaml)`.*\| (\d+) \|$", page, re.MULTILINE))
    assert rows == {path.name: str(len(_cases(path))) for path in FILES}


def _cases(path: Path) -> list[Node]:
    return read_yaml(path).mapping()["cases"].sequence()
