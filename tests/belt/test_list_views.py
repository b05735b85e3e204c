"""The list views that a deploy makes, after real runs: each shows exactly the accounts that it is named after."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.belt.conftest import Crmsync
from tests.belt.test_deploy import log_in
from tests.sandbox.orgs import Client, csv_text, running, write_files

pytestmark = pytest.mark.xdist_group("deploy-org")

SCHEMA = """\
objects:
  Account:
    fields:
      Score__c: {label: Score, type: Number, precision: 6, scale: 0}
      Declared__c: {label: Declared, type: Text, length: 40}
"""
PROGRAM = """\
program: p
metrics:
  score: {field: partners.score, label: Score}
categories:
  reseller: {label: Reseller, member: score >= 0, observed: score >= 0, ladder: main}
movement:
  promote: {approval: yes}
  demote: {grace: 90 days}
ladders:
  main:
    tiers:
      - {key: low, label: Low}
      - {key: mid, label: Mid, requires: {score: 10}}
      - {key: high, label: High, requires: {score: 20}}
"""
MAP = """\
tables:
  partners: {object: Account, columns: {partner_id: Id, name: Name, score: Score__c, declared_categories: Declared__c}}
  overrides:
    object: Partner_Override__c
    columns: {partner_id: Account__c, kind: Kind__c, tier: Tier__c, starts_on: Starts_On__c, ends_on: Ends_On__c,
              reason: Reason__c, approved_by: Approved_By__r.Username}
writes:
  object: Account
  token: Token__c
  fields:
    {granted_tier: Tier__c, calculated_tier: Calculated__c, previous_tier: Previous__c, next_tier: Next__c,
     tier_since: Since__c, progress: Progress__c, risk: Risk__c, risk_on: Risk_On__c, grace_until: Grace__c,
     next_review: Review__c, pending_tier: Pending__c, pending_on: Pending_On__c, override_ends_on: Override_Ends__c,
     category_check: Check__c, provisional: Provisional__c, why: Why__c, categories: Categories__c}
"""
CONFIG = """\
org: salesforce
program: programs/p.yaml
tables: {partners: salesforce, overrides: salesforce}
"""
SCORES = {"Steady": 15, "Near": 19, "Rising": 12, "Falling": 12, "Pinned": 12, "Unknown": 12, "Silent": 12}
"""What each partner has at the first run; the second one comes two months later."""
SHOWN = {
    "At_Risk": ["Falling", "Pinned", "Unknown"],  # below its tier already, by an exception or as far as is known
    "In_Grace": ["Falling"],
    "Near_Promotion": ["Near"],
    "Tier_Changed_Lately": ["New", "Pinned"],
    "Overrides_Ending": ["Pinned"],
    "Misclassified": ["Silent"],
    "Awaiting_Approval": ["Rising"],
    "Stale": ["Unknown"],
}


@pytest.fixture
def config(tmp_path: Path) -> Path:
    files: dict[str, str | bytes] = {
        "crmsync.yaml": CONFIG,
        "programs/p.yaml": PROGRAM,
        "connectors/salesforce.yaml": MAP,
    }
    return write_files(tmp_path / "config", files)


@pytest.fixture
def org(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Client]:
    rows = [(name, score, "" if name == "Silent" else "Reseller") for name, score in SCORES.items()]
    accounts = csv_text([("Name", "Score__c", "Declared__c"), *rows])
    data = write_files(tmp_path / "org", {"schema.yaml": SCHEMA, "Account.csv": accounts})
    with running("--data", str(data)) as client:
        monkeypatch.setenv("CRMSYNC_SALESFORCE__INSTANCE_URL", client.org.instance_url)
        log_in(client, client.org.username, monkeypatch)
        yield client


def test_each_view_shows_the_accounts_that_it_is_named_after(org: Client, config: Path, crmsync: Crmsync) -> None:
    given = ("--config", str(config))
    assert crmsync("deploy", "apply", *given, "--assign", org.org.username).code in (0, 3)
    first = crmsync("run", *given, "--as-of", "2026-05-01")
    assert first.code == 0, first.err
    ids = {row["Name"]: row["Id"] for row in org.rows("SELECT Id, Name FROM Account")}
    for name, score in (("Rising", 25), ("Falling", 3), ("Unknown", None)):
        assert org.call("PATCH", f"/sobjects/Account/{ids[name]}", json={"Score__c": score}).status_code == 204
    org.create("Account", Name="New", Score__c=12, Declared__c="Reseller")
    exception = {
        "Account__c": ids["Pinned"], "Kind__c": "pin", "Tier__c": "High", "Starts_On__c": "2026-06-30",
        "Ends_On__c": "2026-07-20", "Reason__c": "strategic", "Approved_By__c": org.org.user_id,
    }  # fmt: skip
    made = org.call(
        "POST", "//__sandbox/changes", json={"create": {"object": "Partner_Override__c", "fields": exception}}
    )
    assert made.status_code == 200, made.text
    second = crmsync("run", *given, "--as-of", "2026-07-01")
    assert second.code in (0, 3), second.err + second.out

    views = {one["developerName"]: one["id"] for one in org.get("/sobjects/Account/listviews").json()["listviews"]}
    shown = {}
    for name in SHOWN:
        answer = org.get(f"/sobjects/Account/listviews/{views[f'Crmsync_{name}']}/results").json()
        cells = [{one["fieldNameOrPath"]: one["value"] for one in row["columns"]} for row in answer["records"]]
        shown[name] = sorted(one["Name"] for one in cells)
    assert shown == SHOWN
