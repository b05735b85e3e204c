"""Docs are tested: what the code has and the docs do not mention fails here."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer.main

from crmsync import errors, exits
from crmsync.cli import app
from crmsync.connectors.files_mapping import _TABLE_KEYS as TABLE_KEYS
from crmsync.connectors.mapping import MANAGED
from crmsync.programs.loading import load_program
from crmsync.programs.metrics import SOURCES
from crmsync.programs.program import RollsUp, Unit, WhenMissing
from crmsync.settings import variable_names
from crmsync.writeback.guards import Tripwires, evaluate_guards


@pytest.fixture(scope="module")
def docs() -> str:
    folder = Path(__file__).parent.parent
    pages = [folder / "README.md", *sorted((folder / "docs").rglob("*.md"))]
    return "\n".join(page.read_text(encoding="utf-8") for page in pages)


def commands(group: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from commands(command, f"{prefix}{name} ")
        else:
            yield f"{prefix}{name}", command


COMMANDS = dict(commands(typer.main.get_command(app)))


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_and_its_flags_are_in_the_docs(docs: str, name: str) -> None:
    lines = [line for line in docs.splitlines() if f"crmsync {name}" in line]
    assert lines, f"`crmsync {name}` is mentioned nowhere"
    for parameter in COMMANDS[name].params:
        if parameter.name == "help":
            continue
        written = [flag for flag in parameter.opts if flag.startswith("--")] or [
            parameter.metavar or parameter.name.upper()
        ]
        assert any(flag in line for line in lines for flag in written), f"{written} of `crmsync {name}`"


def test_every_command_has_a_help_text() -> None:
    assert all(command.help for command in COMMANDS.values())


def test_every_setting_is_in_the_docs(docs: str) -> None:
    assert [name for name in variable_names() if name not in docs] == []


def test_every_exit_code_is_in_the_docs(docs: str) -> None:
    raised = {kind.exit_code for kind in vars(errors).values() if isinstance(kind, type) and hasattr(kind, "exit_code")}
    named = {value for name, value in vars(exits).items() if name.isupper() and isinstance(value, int)}
    assert {code for code in raised | named if not re.search(rf"^\| {int(code)} \|", docs, re.M)} == set()


def test_every_guard_is_in_the_docs(docs: str) -> None:
    guards = evaluate_guards(Tripwires())
    assert [guard.guard for guard in guards if f"`{guard.guard}`" not in docs] == []


def test_every_metric_source_and_word_of_a_metric_is_in_the_docs(docs: str) -> None:
    sources = [f"`{word}: " for word in SOURCES]
    words = [f"`{word.value}`" for kinds in (Unit, RollsUp, WhenMissing) for word in kinds]
    assert [word for word in [*sources, *words] if word not in docs] == []


def test_every_example_of_metrics_in_the_docs_is_a_program(project: Path, tmp_path: Path) -> None:
    page = (project / "docs" / "programs.md").read_text(encoding="utf-8")
    examples = re.findall(r"```yaml\n(metrics:\n.*?)```", page, re.DOTALL)
    assert len(examples) >= 3
    for number, example in enumerate(examples):
        file = tmp_path / f"example{number}.yaml"
        ladder = "ladders:\n  main:\n    tiers: [base, {key: gold, requires: {REQUIRED: 1}}]\n"
        first = re.search(r"^  (\w+):", example, re.MULTILINE)
        assert first is not None
        file.write_text(f"program: p\ncurrency: EUR\n{example}{ladder.replace('REQUIRED', first[1])}", encoding="utf-8")
        load_program(file)


def test_every_written_field_is_in_the_docs(docs: str) -> None:
    assert [name for name in MANAGED if f"`{name}`" not in docs] == []


def test_every_key_of_crmsync_yaml_is_in_the_docs(project: Path) -> None:
    code = (project / "crmsync" / "configuration.py").read_text(encoding="utf-8")
    keys = set(re.findall(r'keys\["(\w+)"\]|"(\w+)" in keys|keys\.get\("(\w+)"\)', code))
    page = (project / "docs" / "configuration.md").read_text(encoding="utf-8")
    assert sorted(key for found in keys for key in found if key and not re.search(rf"\b{key}\b", page)) == []


def test_every_key_of_a_files_mapping_is_in_the_docs(project: Path) -> None:
    page = (project / "docs" / "configuration.md").read_text(encoding="utf-8")
    assert [key for key in TABLE_KEYS if f"`{key}" not in page] == []


def test_every_command_in_the_docs_exists(docs: str) -> None:
    known = {name.split()[0] for name in COMMANDS} | {"--help", "--version"}
    named = set(re.findall(r"^\s{4}crmsync ([a-z-]+)", docs, re.M)) | set(re.findall(r"`crmsync ([a-z-]+)", docs))
    assert named <= known


def test_every_link_between_pages_leads_somewhere(project: Path) -> None:
    for page in [project / "README.md", *(project / "docs").glob("*.md")]:
        for target in re.findall(r"\]\(([^)#:]+)\)", page.read_text(encoding="utf-8")):
            assert (page.parent / target).exists(), f"{page.name} links to {target}"
