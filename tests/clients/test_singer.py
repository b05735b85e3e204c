"""The Singer tap of singer-io, unmodified: it discovers the org, and reads what a run of crmsync wrote."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from crmsync.sandbox.process import Org
from tests.clients import own_run
from tests.clients.conftest import PARTNERS
from tests.clients.foreign import group, program, run

pytestmark = group("singer")


@pytest.fixture(scope="module")
def folder(org: Org, ran: Path) -> Path:
    """Where the tap's files lie, after a run of crmsync over the org."""
    config = {
        "client_id": org.client_id,
        "client_secret": org.client_secret,
        "refresh_token": org.refresh_token,
        "start_date": "2000-01-01T00:00:00Z",
        "api_type": "REST",
        "select_fields_by_default": True,
        "lookback_window": 1,
    }
    (ran / "config.json").write_text(json.dumps(config), encoding="utf-8")
    return ran


@pytest.fixture(scope="module")
def catalog(folder: Path, environment: dict[str, str]) -> dict[str, Any]:
    """What the tap found in the org."""
    found: dict[str, Any] = json.loads(tap(folder, environment, "--discover"))
    return found


def test_the_tap_finds_the_objects_and_the_fields_that_crmsync_writes(catalog: dict[str, Any]) -> None:
    streams = {stream["stream"]: stream for stream in catalog["streams"]}
    assert {"Account", "Opportunity", "Contact", "Partner_Standing__c", "Partner_Tier_History__c"} <= set(streams)
    fields = streams["Account"]["schema"]["properties"]
    assert set(own_run.WRITTEN) <= set(fields)
    assert fields["Partner_Tier__c"]["type"] == ["null", "string"]
    assert "number" in fields["Tier_Progress__c"]["type"]


def test_the_tap_reads_what_the_run_wrote_and_starts_where_it_ended(
    org: Org, catalog: dict[str, Any], folder: Path, environment: dict[str, str]
) -> None:
    (account,) = (stream for stream in catalog["streams"] if stream["stream"] == "Account")
    for entry in account["metadata"]:
        if entry["breadcrumb"] == []:
            entry["metadata"] |= {
                "selected": True,
                "replication-method": "INCREMENTAL",
                "replication-key": "SystemModstamp",
            }
    (folder / "catalog.json").write_text(json.dumps({"streams": [account]}), encoding="utf-8")
    records, state = synced(folder, environment)
    tiered = {one["Id"]: own_run.texts(one) for one in records if one.get("Partner_Tier__c")}
    assert tiered == own_run.rest_values(org)
    assert len(tiered) > PARTNERS / 2
    (folder / "state.json").write_text(json.dumps(state), encoding="utf-8")
    again, _ = synced(folder, environment, "--state", "state.json")
    assert len(again) < len(records)  # only what was changed last comes twice


def test_the_tap_reads_the_same_by_the_first_bulk_api(org: Org, folder: Path, environment: dict[str, str]) -> None:
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    (folder / "bulk.json").write_text(json.dumps(config | {"api_type": "BULK"}), encoding="utf-8")
    streams = json.loads(tap(folder, environment, "--discover", config="bulk.json"))["streams"]
    (account,) = (stream for stream in streams if stream["stream"] == "Account")
    for entry in account["metadata"]:
        if entry["breadcrumb"] == []:
            entry["metadata"] |= {"selected": True, "replication-method": "FULL_TABLE"}
    (folder / "catalog.json").write_text(json.dumps({"streams": [account]}), encoding="utf-8")
    records, _ = synced(folder, environment, config="bulk.json")
    tiered = {one["Id"]: own_run.texts(one) for one in records if one.get("Partner_Tier__c")}
    assert tiered == own_run.rest_values(org)


def synced(
    folder: Path, environment: dict[str, str], *more: str, config: str = "config.json"
) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """(records, last state) of a sync."""
    said = tap(folder, environment, "--properties", "catalog.json", *more, config=config)
    messages = [json.loads(line) for line in said.split("\n")[:-1]]
    records = [one["record"] for one in messages if one["type"] == "RECORD"]
    return records, [one["value"] for one in messages if one["type"] == "STATE"][-1]


def tap(folder: Path, environment: dict[str, str], *arguments: str, config: str = "config.json") -> str:
    """What the tap printed."""
    return run([program("singer", "tap-salesforce"), "--config", config, *arguments], environment, folder)
