"""docs/notices.md holds every event, variable, setting, state and word."""

from __future__ import annotations

import re
from itertools import takewhile
from pathlib import Path

import pytest

from crmsync.configuration_notices import COLUMNS, DIGESTS, EVENTS, KEYS, WAYS, read_notices
from crmsync.notices.channels import _apprise
from crmsync.notices.outbox import STATES
from crmsync.notices.speech import WORDS
from crmsync.notices.variables import TEAM_ONLY, texts, variables_of
from crmsync.strict_yaml import parse_yaml


@pytest.fixture(scope="module")
def page(project: Path) -> str:
    return (project / "docs" / "notices.md").read_text(encoding="utf-8")


def test_every_event_and_who_hears_of_it_is_in_the_docs(page: str) -> None:
    rows = {
        line.split("|")[1].strip(" `"): line.split("|")[3:7] for line in page.splitlines() if line.startswith("| `")
    }
    for event in TEAM_ONLY:
        if event == "digest":
            continue
        assert [cell.strip() == "x" for cell in rows[event]] == [event in told for told in EVENTS.values()], event


def test_every_variable_is_in_the_docs_beside_its_event(page: str) -> None:
    lines = [line for line in page[page.index("| variable | holds |") :].splitlines() if line.startswith("| `")]
    for event, kind in texts():
        for name in variables_of(event, kind):
            said = [line for line in lines if f"`{name}`" in line]
            assert said, f"{name} of {event}"
            events = " ".join(line.split("|")[3] for line in said)
            assert re.search(rf"\b({event}|all|those of a tier)\b", events), f"{name} of {event}"


def test_every_setting_state_and_word_is_in_the_docs(page: str) -> None:
    named = (
        *KEYS,
        *EVENTS,
        *COLUMNS,
        *DIGESTS,
        *WAYS,
        *STATES,
        *WORDS,
        "per_recipient",
        "per_run",
        "events",
        "by",
        "digest",
    )
    assert [name for name in named if not re.search(rf"`[^`]*\b{name}\b[^`]*`", page)] == []


def test_the_example_and_the_commented_lines_of_the_sample_are_settings(page: str, project: Path) -> None:
    examples = re.findall(r"```yaml\nnotices:\n(.*?)```", page, re.DOTALL)
    sample = (project / "config" / "crmsync.yaml").read_text(encoding="utf-8")
    lines = sample[sample.index("# notices:") :].splitlines()[1:]
    examples.append("\n".join(line[1:] for line in takewhile(lambda line: line.startswith("#   "), lines)))
    for example in examples:
        assert read_notices(parse_yaml(example, "example"), project / "config", "UTC") is not None


def test_every_kind_of_address_in_the_docs_is_known(page: str) -> None:
    kinds = set(re.findall(r"\b([a-z]+)://", page)) - {"https"}
    assert {"mailtos", "slack", "json"} < kinds
    known = _apprise().manager_plugins.NotificationManager().schemas()
    assert kinds <= set(known)
