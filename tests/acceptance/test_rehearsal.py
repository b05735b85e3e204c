"""Setting up from nothing, as docs/setup.md tells it: every command works, and prints what the page quotes."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import pytest

from crmsync.sandbox.process import start_org
from tests.acceptance.other_words import TODAY, write_org
from tests.acceptance.rehearsal import EDITS, Rehearsal, Step, rehearse
from tests.studies.command import ended

pytestmark = [pytest.mark.xdist_group("rehearsal"), pytest.mark.timeout(240)]  # nine commands on one org
ELIDED = "…"


def run_here(arguments: Sequence[str], folder: Path, settings: Mapping[str, str]) -> tuple[int, str, str]:
    """In this process, which is quicker than nine."""
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith("CRMSYNC_")]:
            patch.delenv(name)
        for name, value in settings.items():
            patch.setenv(name, value)
        patch.chdir(folder)
        done = ended(*arguments)
    return done.code, done.out, done.err


@pytest.fixture(scope="module")
def rehearsed(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Step]:
    """Every step of one rehearsal."""
    data = write_org(tmp_path_factory.mktemp("org"))
    folder = tmp_path_factory.mktemp("admin")
    with start_org(["--data", str(data), "--today", TODAY.isoformat(), "--least-privilege"]) as org:
        return rehearse(Rehearsal(folder, org, run_here))


def test_an_org_with_words_of_its_own_is_levelled_and_a_second_run_writes_nothing(
    rehearsed: Mapping[str, Step],
) -> None:
    assert "9 accounts written" in rehearsed["run"].out
    assert "nothing to write" in rehearsed["run again"].out
    assert ", 0 writes" in rehearsed["run again"].out


def test_the_junction_and_both_currencies_were_found(rehearsed: Mapping[str, Step]) -> None:
    assert "EUR, USD; the first is the corporate one" in rehearsed["check at last"].out
    assert "1 lines are marked" not in rehearsed["discover"].out
    assert re.search(r"opportunities +Opportunity +60", rehearsed["discover"].out)


def quoted(page: Path) -> Iterator[tuple[str, list[str]]]:
    """(command, its quoted output) of every console block of a page."""
    for block in re.findall(r"```console\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL):
        for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            command, *lines = part.splitlines()
            yield command, [line for line in lines if line.strip()]


def normal(line: str) -> str:
    """A line without the numbers, which differ from run to run, and without the width of columns."""
    return re.sub(r" +", " ", re.sub(r"[0-9a-f]{4}\b|\d[\d,.]*", "0", line)).strip()


def test_the_page_quotes_what_the_commands_print(rehearsed: Mapping[str, Step], project: Path) -> None:
    by_command: dict[str, list[list[str]]] = {}
    for step in rehearsed.values():
        by_command.setdefault(normal(step.command), []).append([normal(line) for line in step.out.splitlines()])
    blocks = list(quoted(project / "docs" / "setup.md"))
    assert len(blocks) >= 8
    for command, lines in blocks:
        assert normal(command) in by_command, f"`{command}` is not part of the rehearsal"
        wanted = [normal(line) for line in lines if line.strip() != ELIDED]
        assert any(_in_order(wanted, out) for out in by_command[normal(command)]), (command, wanted)


def _in_order(wanted: Sequence[str], out: Sequence[str]) -> bool:
    """Whether all lines stand in the output, in this order."""
    rest = iter(out)
    return all(any(line == one for one in rest) for line in wanted)


def test_the_page_says_what_is_edited_by_hand(project: Path) -> None:
    page = (project / "docs" / "setup.md").read_text(encoding="utf-8")
    for _, old, new in EDITS:
        for text in (old.strip(), new.strip()):
            assert text in page, text
