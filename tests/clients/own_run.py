"""Runs of crmsync against an org that foreign clients look at, and what the org then holds."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import requests

from crmsync.sandbox.process import Org
from tests.conftest import PROJECT

WRITTEN = ("Partner_Tier__c", "Partner_Segments__c", "Tier_Progress__c", "Tier_Risk__c", "Tier_Explanation__c")
NEWCOMER = {
    "Key__c": "NEWCOMER", "Name": "Bäume & Söhne, 株式会社", "Type": "Partner", "Partner_Status__c": "Active",
    "Partner_Categories__c": "Referral", "Partner_Since__c": "2024-03-01",
}  # fmt: skip
"""An account that a foreign client makes; a run must find a partner in it."""

Values = dict[str, dict[str, str]]
"""Fields by record id, as texts; an empty field is an empty text."""


def configuration(folder: Path) -> Path:
    """The shipped configuration, but for the org, which the environment names."""
    config = folder / "config"
    config.mkdir()
    text = (PROJECT / "config/crmsync.yaml").read_text(encoding="utf-8").replace("org: sandbox", "org: salesforce")
    (config / "crmsync.yaml").write_text(text, encoding="utf-8")
    for name in ("connectors", "programs", "references"):
        (config / name).symlink_to(PROJECT / "config" / name)
    return config


def crmsync(org: Org, folder: Path, *arguments: str | Path, expected: tuple[int, ...] = (0, 3)) -> str:
    """What `crmsync ARGUMENTS` printed; its configuration and state lie in `folder`."""
    config = folder / "config" if (folder / "config").is_dir() else configuration(folder)
    settings = {
        "CRMSYNC_SALESFORCE__INSTANCE_URL": org.instance_url,
        "CRMSYNC_SALESFORCE__ACCESS_TOKEN": org.access_token,
        "CRMSYNC_STATE_DIR": str(folder / "state"),
    }
    command = [sys.executable, "-m", "crmsync", *map(str, arguments), "--config", str(config)]
    ran = subprocess.run(
        command, env=os.environ | settings, capture_output=True, encoding="utf-8", timeout=240, check=False
    )
    assert ran.returncode in expected, ran.stdout + ran.stderr
    return ran.stdout


def rest_values(org: Org, fields: tuple[str, ...] = WRITTEN) -> Values:
    """What plain REST says of the accounts that hold a tier."""
    soql = f"SELECT Id, {', '.join(fields)} FROM Account WHERE Partner_Tier__c != null"
    return {record["Id"]: texts(record, fields) for record in _records(org, soql)}


def tier_of(org: Org, key: str) -> str | None:
    """The tier of the account with this key, by plain REST."""
    (record,) = _records(org, f"SELECT Partner_Tier__c FROM Account WHERE Key__c = '{key}'")
    tier: str | None = record["Partner_Tier__c"]
    return tier


def create(org: Org, sobject: str, values: dict[str, str]) -> None:
    """Make a record by plain REST."""
    url = f"{org.instance_url}/services/data/v66.0/sobjects/{sobject}"
    requests.post(url, json=values, headers=_headers(org), timeout=30).raise_for_status()


def count(org: Org, soql: str) -> int:
    """What `SELECT count()` finds by plain REST."""
    found: int = _answer(org, soql)["totalSize"]
    return found


def texts(record: dict[str, Any], fields: tuple[str, ...] = WRITTEN) -> dict[str, str]:
    """Values of JSON or CSV as one text each: numbers without a needless point, multi-select values in order; what
    is not there is empty."""
    return {name: _text(name, record.get(name)) for name in fields}


def _text(name: str, value: Any) -> str:
    if value is None:
        return ""
    if name == "Tier_Progress__c" and value != "":
        return f"{float(value):g}"
    return ";".join(sorted(str(value).split(";"))) if name == "Partner_Segments__c" else str(value)


def _records(org: Org, soql: str) -> list[dict[str, Any]]:
    records: list[dict[str, Any]] = _answer(org, soql)["records"]
    return records


def _answer(org: Org, soql: str) -> dict[str, Any]:
    url = f"{org.instance_url}/services/data/v66.0/query"
    answer = requests.get(url, params={"q": soql}, headers=_headers(org), timeout=30)
    answer.raise_for_status()
    body: dict[str, Any] = answer.json()
    return body


def _headers(org: Org) -> dict[str, str]:
    return {"Authorization": f"Bearer {org.access_token}"}
