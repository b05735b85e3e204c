"""sf-toolkit's pages side by side, and aiosalesforce; both unmodified, each a process of its own."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import requests

from crmsync.sandbox.process import Org
from tests.clients import own_run
from tests.clients.certificates import Certificates
from tests.clients.conftest import PARTNERS, PUBLIC_URL
from tests.clients.foreign import HERE, group, machine, program, run, through
from tests.clients.tunnel import open_tunnel

pytestmark = group("toolkits")
PAGE_ROWS = 7


@pytest.fixture(scope="module")
def org(plain_org: Org) -> Org:
    """The org under its own address."""
    return plain_org


@pytest.mark.usefixtures("ran")
def test_sf_toolkit_reads_pages_side_by_side(org: Org, tmp_path: Path) -> None:
    script = HERE / "scripts" / "sf_toolkit_pages.py"
    fields = ("Id", *own_run.WRITTEN)
    soql = f"SELECT {', '.join(fields)} FROM Account WHERE Partner_Tier__c != null"
    command = [program("toolkits", "python"), script, org.instance_url, org.access_token, soql, *fields]
    faults = f"{org.instance_url}/__sandbox/faults"
    requests.put(faults, json=[{"do": {"page_size": PAGE_ROWS}}], timeout=30).raise_for_status()
    read = json.loads(run(command, machine(tmp_path), tmp_path))
    requests.put(faults, json=[], timeout=30).raise_for_status()
    expected = own_run.rest_values(org)
    assert read["pages"] == -(-len(expected) // PAGE_ROWS)
    assert {row["Id"]: own_run.texts(row) for row in read["records"]} == expected
    assert len(expected) > PARTNERS / 2


def test_what_aiosalesforce_writes_is_run_and_read_again(
    org: Org, ran: Path, certificates: Certificates, tmp_path: Path
) -> None:
    port = urlsplit(org.instance_url).port
    assert port is not None
    with open_tunnel(port, certificates.server) as tunnel:
        environment = machine(tmp_path, through(tunnel, certificates))
        written = aiosalesforce(org, environment, tmp_path, own_run.NEWCOMER)
        assert (written["applied"], len(written["records"])) == (1, 1)
        assert written["records"][0]["Partner_Tier__c"] is None
        own_run.crmsync(org, ran, "run")
        again = aiosalesforce(org, environment, tmp_path, {"Key__c": "NEWCOMER", "Description": "known"})
    assert again["records"][0]["Name"] == own_run.NEWCOMER["Name"]
    assert again["records"][0]["Partner_Tier__c"] == own_run.tier_of(org, "NEWCOMER") is not None


def aiosalesforce(org: Org, environment: dict[str, str], folder: Path, row: dict[str, str]) -> dict[str, Any]:
    """Upsert a row and read the newcomer back."""
    soql = "SELECT Name, Partner_Tier__c FROM Account WHERE Key__c = 'NEWCOMER'"
    script = HERE / "scripts" / "aiosalesforce_rows.py"
    command = [
        program("toolkits", "python"),
        script,
        PUBLIC_URL,
        org.client_id,
        org.client_secret,
        json.dumps(row),
        soql,
    ]
    said: dict[str, Any] = json.loads(run(command, environment, folder))
    return said
