"""Airbyte's source for Salesforce, unmodified: check, discover, and an incremental read that ends with its state."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from crmsync.sandbox.process import Org
from tests.clients import own_run
from tests.clients.conftest import PARTNERS
from tests.clients.foreign import group, program, run

pytestmark = group("airbyte")


@pytest.fixture(scope="module")
def folder(org: Org, ran: Path) -> Path:
    """Where the source's files lie, after a run of crmsync over the org."""
    config = {
        "auth_type": "Client",
        "client_id": org.client_id,
        "client_secret": org.client_secret,
        "refresh_token": org.refresh_token,
        "start_date": (datetime.now(UTC) - timedelta(days=3)).strftime("%Y-%m-%dT00:00:00Z"),
        "streams_criteria": [{"criteria": "exacts", "value": "Account"}],
    }
    (ran / "source.json").write_text(json.dumps(config), encoding="utf-8")
    return ran


def test_the_source_can_log_in(folder: Path, environment: dict[str, str]) -> None:
    (status,) = messages(source(folder, environment, "check"), "CONNECTION_STATUS")
    assert status["connectionStatus"]["status"] == "SUCCEEDED", status


def test_the_source_reads_what_the_run_wrote_and_starts_where_it_ended(
    org: Org, folder: Path, environment: dict[str, str]
) -> None:
    (catalog,) = messages(source(folder, environment, "discover"), "CATALOG")
    streams = {stream["name"]: stream for stream in catalog["catalog"]["streams"]}
    assert set(own_run.WRITTEN) <= set(streams["Account"]["json_schema"]["properties"])
    assert streams["Account"]["default_cursor_field"] == ["SystemModstamp"]
    chosen = {
        "stream": streams["Account"], "sync_mode": "incremental", "destination_sync_mode": "append_dedup",
        "cursor_field": ["SystemModstamp"], "primary_key": [["Id"]],
    }  # fmt: skip
    (folder / "catalog.json").write_text(json.dumps({"streams": [chosen]}), encoding="utf-8")
    said = source(folder, environment, "read", "--catalog", "catalog.json")
    records = [one["record"]["data"] for one in messages(said, "RECORD")]
    tiered = {one["Id"]: own_run.texts(one) for one in records if one.get("Partner_Tier__c")}
    assert tiered == own_run.rest_values(org)
    assert len(tiered) > PARTNERS / 2
    states = [one["state"] for one in messages(said, "STATE")]
    assert [trace["trace"]["stream_status"]["status"] for trace in statuses(said)][-1] == "COMPLETE"
    (folder / "state.json").write_text(json.dumps(states[-1:]), encoding="utf-8")
    again = source(folder, environment, "read", "--catalog", "catalog.json", "--state", "state.json")
    assert [trace["trace"]["stream_status"]["status"] for trace in statuses(again)][-1] == "COMPLETE"
    assert messages(again, "STATE")


def statuses(said: str) -> list[dict[str, Any]]:
    """What the source said about the state of the stream."""
    return [one for one in messages(said, "TRACE") if one["trace"]["type"] == "STREAM_STATUS"]


def messages(said: str, kind: str) -> list[dict[str, Any]]:
    """The messages of one kind."""
    return [one for line in said.split("\n")[:-1] if (one := json.loads(line))["type"] == kind]


def source(folder: Path, environment: dict[str, str], *arguments: str) -> str:
    """What the source printed: a message a line."""
    return run(
        [program("airbyte", "source-salesforce"), arguments[0], "--config", "source.json", *arguments[1:]],
        environment,
        folder,
    )
