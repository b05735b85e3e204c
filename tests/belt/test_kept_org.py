"""An embedded org that was kept from before a field stood in the field map: the run says what to do, and it helps."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.belt.conftest import Crmsync

PROGRAM = """\
program: small
currency: EUR
rates: crm
metrics:
  revenue: {unit: money, sum: opportunities.amount, where: is_won, during: last 12 months}
ladders:
  main:
    tiers:
      - {key: registered, label: Registered}
      - {key: silver, label: Silver, requires: {revenue: 90000}}
"""
MAP = "connectors/salesforce.yaml"


@pytest.fixture
def config(embedded: Path) -> Path:
    (embedded / "programs" / "channel.yaml").write_text(PROGRAM, encoding="utf-8")
    file = embedded / "crmsync.yaml"
    file.write_text(file.read_text(encoding="utf-8").replace("sample: 60", "sample: 20"), encoding="utf-8")
    return embedded


def changed(config: Path, old: str, new: str) -> None:
    file = config / MAP
    text = file.read_text(encoding="utf-8")
    assert old in text
    file.write_text(text.replace(old, new, 1), encoding="utf-8")


def test_a_kept_org_gets_the_new_fields_from_a_deploy(crmsync: Crmsync, config: Path) -> None:
    given = ("--config", str(config))
    assert crmsync("plan", *given).code == 2  # makes the org
    changed(config, "token: Partner_Write_Token__c", "token: Partner_Token_Of_Now__c")
    changed(config, "      movement: Movement__c", "      movement: Movement_Of_Now__c")
    refused = crmsync("run", *given)
    assert refused.code == 4
    assert "Partner_Token_Of_Now__c does not exist in this org" in refused.err
    assert "The embedded org was made on" in refused.err
    assert "`crmsync deploy apply` adds those that are written" in refused.err

    applied = crmsync("deploy", "apply", *given, "--json")
    assert applied.code in (0, 3), applied.err
    ran = crmsync("run", *given, "--json")
    assert ran.code in (0, 3), ran.err
    assert ran.json["outcomes"]["applied"] > 10

    changed(config, "      region: Region__c", "      region: Region_Of_Now__c")
    unread = crmsync("run", *given)
    assert unread.code == 4
    assert "salesforce.yaml:" in unread.err
    assert "for those that are read, remove" in unread.err
