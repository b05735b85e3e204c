"""The contract that every connector passes, on the sandbox org."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from crmsync.connectors.mapping import read_mapping
from crmsync.connectors.salesforce.connector import SalesforceConnector
from crmsync.sandbox.process import Org, start_org
from crmsync.settings import SalesforceSettings
from tests.connectors.contract import SourceContract, TargetContract

pytestmark = pytest.mark.xdist_group("salesforce-contract")  # one org for all tests of this file
MAP = """
tables:
  partners:
    object: Account
    filter: "Type = 'Partner'"
    columns: {partner_id: Id, name: Name, parent_id: ParentId, joined_on: Partner_Since__c, owner_id: OwnerId}
  opportunities:
    object: Opportunity
    filter: "Reseller__c != null"
    columns:
      opportunity_id: Id
      partner_id: Reseller__c
      stage: StageName
      is_won: IsWon
      amount: Amount
      closed_on: CloseDate
      created_on: CreatedDate
  certifications:
    object: Partner_Certification__c
    columns: {certification_id: Id, partner_id: Account__c, level: Credential__r.Level__c, issued_on: Issued_On__c}
writes:
  object: Account
  token: Partner_Write_Token__c
  fields: {main_blocker: Tier_Main_Blocker__c, gap_summary: Gap_To_Next_Tier__c}
"""


@dataclass
class Served:
    """A sandbox org and its partners, of which each test takes three that no other test has touched."""

    org: Org
    untouched: Iterator[str]


@dataclass
class Chosen:
    """Three accounts and two empty text fields of theirs."""

    ids: Sequence[str]
    fields: tuple[str, str] = ("Tier_Main_Blocker__c", "Gap_To_Next_Tier__c")


def connector_of(org: Org, folder: Path) -> SalesforceConnector:
    """A connector to the org."""
    path = folder / "salesforce.yaml"
    path.write_text(MAP, encoding="utf-8")
    settings = SalesforceSettings.model_validate({"instance_url": org.instance_url, "access_token": org.access_token})
    return SalesforceConnector(settings, read_mapping(path), folder / "state", "UTC")


@pytest.fixture(scope="module")
def served() -> Iterator[Served]:
    """A small sample company."""
    with start_org(["--sample", "100", "--seed", "7", "--today", "2026-06-30"]) as org:
        yield Served(org, iter(()))


@pytest.fixture
def connector(served: Served, tmp_path: Path) -> SalesforceConnector:
    """The connector under test."""
    return connector_of(served.org, tmp_path)


class TestSource(SourceContract):
    @pytest.fixture
    def source(self, connector: SalesforceConnector) -> SalesforceConnector:
        return connector

    @pytest.fixture
    def tables(self) -> Sequence[str]:
        return ("partners", "opportunities", "certifications")


class TestTarget(TargetContract):
    @pytest.fixture
    def target(self, connector: SalesforceConnector) -> SalesforceConnector:
        return connector

    @pytest.fixture
    def records(self, served: Served, connector: SalesforceConnector) -> Chosen:
        ids = [next(served.untouched, "") for _ in range(3)]
        if not all(ids):
            answer = connector.org.query("SELECT Id FROM Account WHERE Type = 'Partner' ORDER BY Id")
            served.untouched = iter([record["Id"] for record in answer["records"]])
            ids = [next(served.untouched) for _ in range(3)]
        return Chosen(ids)
