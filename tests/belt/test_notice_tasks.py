"""Notices as tasks of the CRM: made below the account for its owner, exactly once, by a user of least rights."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import update

from crmsync.ledger import tables as t
from crmsync.ledger.ledger import Ledger
from tests.belt.conftest import Crmsync
from tests.belt.test_deploy import log_in
from tests.belt.test_sinks import DATA, MAP
from tests.belt.test_sinks import config as config
from tests.sandbox.orgs import running, write_files

pytestmark = pytest.mark.xdist_group("deploy-org")

TASKS = "SELECT What.Name, OwnerId, Subject, Description, Risiko__c FROM Task WHERE Subject LIKE '%is now%'"
SINKS = "    risk_task: {key: Risiko__c}\n    notice_task: {key: Risiko__c}\n"
READING = "reading: {full_every: 14 days}\n"
NOTICES = "notices:\n  owner: {by: task, events: [promoted, demoted]}\n"


def held(folder: Path) -> dict[str, Any]:
    """What the newest snapshot says of how it was read."""
    newest = max((folder / "state" / "snapshots").glob("*/snapshot.json"), key=lambda one: one.stat().st_mtime_ns)
    content: dict[str, Any] = json.loads(newest.read_text(encoding="utf-8"))["held"]
    return content


def test_a_demotion_becomes_one_task_however_often_it_is_told(
    config: Path, crmsync: Crmsync, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = ("--config", str(config))
    before, _, _ = MAP.partition("  sinks:")
    (config / "connectors/salesforce.yaml").write_text(f"{before}  sinks:\n{SINKS}", encoding="utf-8")
    crmsync_yaml = (config / "crmsync.yaml").read_text(encoding="utf-8")
    (config / "crmsync.yaml").write_text(f"{crmsync_yaml}{READING}{NOTICES}", encoding="utf-8")
    with running("--data", str(write_files(tmp_path / "org", dict(DATA))), "--least-privilege") as org:
        monkeypatch.setenv("CRMSYNC_SALESFORCE__INSTANCE_URL", org.org.instance_url)
        log_in(org, "admin@crmsync.example", monkeypatch)
        applied = crmsync("deploy", "apply", *given, "--assign", org.org.username)
        assert applied.code == 0, applied.err + applied.out
        log_in(org, org.org.username, monkeypatch)
        assert crmsync("check", *given).code == 0
        assert crmsync("run", *given, "--as-of", "2026-07-08").code == 0
        assert org.rows(TASKS) == []

        later = crmsync("run", *given, "--as-of", "2026-07-21", "--json")  # the old deal has left the window
        assert (later.code, later.json["notices"]["sent"]) == (0, 1), later.err + later.out
        assert held(tmp_path)["whole_on"] == "2026-07-08"
        assert "opportunities" in held(tmp_path)["increments"], "windows move with the calendar though no deal changed"
        (task,) = org.rows(TASKS)
        assert (task["What"]["Name"], task["Subject"]) == ("Nordlicht GmbH", "Nordlicht GmbH is now Basic (was Gold)")
        assert task["Description"].startswith("Nordlicht GmbH (")
        assert task["Risiko__c"].startswith("notice|")

        with Ledger.open(tmp_path / "state") as ledger, ledger.writing() as connection:
            connection.execute(update(t.notice).values(state="sending"))  # as if the process had died there
        sent = crmsync("notices", "send", *given, "--json")
        assert (sent.code, sent.json["open"]) == (0, {}), sent.err
        assert len(org.rows(TASKS)) == 1
