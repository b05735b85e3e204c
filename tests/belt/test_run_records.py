"""A run that has written leaves a record with the audit's anchor in the CRM, where the field map asks for it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.belt.conftest import Crmsync
from tests.belt.test_deploy import log_in
from tests.belt.test_plan_records import ADMIN, DAYS, config, org
from tests.sandbox.orgs import Client
from tests.sandbox.test_permissions import as_user

__all__ = ["config", "org"]

pytestmark = pytest.mark.xdist_group("deploy-org")

RUN_RECORD = """\
  run_record:
    object: Lauf__c
    key: Laufnummer__c
    fields: {anchor: Anker__c, as_of: Stichtag__c, state: Stand__c, changes: Anzahl__c, movers: Bewegt__c}
"""
RECORDS = "SELECT Laufnummer__c, Anker__c, Stichtag__c, Stand__c, Anzahl__c, Bewegt__c FROM Lauf__c"


def test_the_anchor_in_the_crm_is_one_that_the_audit_holds(
    crmsync: Crmsync, org: Client, config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with (config / "connectors" / "salesforce.yaml").open("a", encoding="utf-8") as stream:
        stream.write(RUN_RECORD)
    given = ("--config", str(config))
    applied = crmsync("deploy", "apply", *given, "--assign", org.org.username)
    assert applied.code == 0, applied.err + applied.out
    admin = as_user(org, ADMIN)
    (user,) = admin.names(f"SELECT Id FROM User WHERE Username = '{ADMIN}'")
    (view,) = admin.names("SELECT Id FROM PermissionSet WHERE Name = 'Crmsync_View'")
    admin.create("PermissionSetAssignment", AssigneeId=user, PermissionSetId=view)
    log_in(org, org.org.username, monkeypatch)
    first = crmsync("run", *given, "--as-of", DAYS[1], "--json")
    assert first.code == 0, first.err + first.out
    assert "run_record_not_written" not in first.err
    assert crmsync("run", *given, "--as-of", DAYS[1], "--json").json["state"] == "unchanged"
    (held,) = admin.rows(RECORDS)
    assert held["Laufnummer__c"] == first.json["run_id"]
    assert (held["Stichtag__c"], held["Stand__c"], held["Bewegt__c"]) == (DAYS[1], "applied", 0)
    assert held["Anzahl__c"] == first.json["outcomes"]["applied"]
    proof = crmsync("audit", "verify", "--runs", "0", "--anchor", held["Anker__c"], "--json")
    assert proof.code == 0, proof.out
    assert crmsync("check", *given).code == 0
