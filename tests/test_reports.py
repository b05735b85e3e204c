"""Text that people read: tables that line up, and commands that can be copied."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from crmsync.reports.text import command, json_text, table


def test_numbers_stand_to_the_right_and_words_to_the_left() -> None:
    assert table(("tier", "partners"), [("Gold", 7), ("Registered", 1204)]) == [
        "tier        partners",
        "Gold               7",
        "Registered     1,204",
    ]


def test_a_table_without_rows_is_its_headings() -> None:
    assert table(("tier", "partners"), []) == ["tier  partners"]


def test_a_name_out_of_the_crm_cannot_break_a_table() -> None:
    assert table(("name",), [("Evil\n\x1b[2JCorp",)])[1] == "Evil\\n\\x1b[2JCorp"


def test_json_carries_every_name_and_no_sign_that_steers_a_terminal() -> None:
    name = "Zoë\x1b[2J\x9b2J\x7f\u2028\u202e\ud800"
    told = json_text({"name": name})
    assert told.isprintable()
    assert "Zoë" in told
    assert json.loads(told) == {"name": name}


def test_a_printed_command_carries_state_and_configuration(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.which", lambda _name: None)
    monkeypatch.setattr(sys, "argv", [".venv/bin/crmsync", "run"])
    assert command("apply", "67ee") == ".venv/bin/crmsync apply 67ee"
    monkeypatch.setenv("CRMSYNC_STATE_DIR", "my state")
    said = command("explain", "P 1", config=Path("c"))
    assert said == "CRMSYNC_STATE_DIR='my state' .venv/bin/crmsync explain 'P 1' --config c"
