"""An org with two accounts on which deploys are only checked."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from tests.sandbox.orgs import Client, running, write_files
from tests.sandbox.packages import deploy, problems

SCHEMA = """
objects:
  Account:
    fields:
      Code__c: {type: Text, length: 40, label: Code}
      Needed__c: {type: Text, length: 40, label: Needed, required: true}
      Score__c: {type: Number, precision: 8, scale: 2, label: Score}
      Tier__c: {type: Picklist, label: Tier, valueSet: {restricted: true, valueSetDefinition: {sorted: false, value: [
        {fullName: Gold, label: Gold, default: false}, {fullName: Silver, label: Silver, default: false}]}}}
      Note__c: {type: LongTextArea, length: 4000, visibleLines: 3, label: Note}
      Key__c: {type: Text, length: 40, externalId: true, unique: true, label: Key}
  Cert__c:
    label: Cert
    pluralLabel: Certs
    fields:
      Account__c: {type: Lookup, label: Account, referenceTo: Account, relationshipName: Certs}
      Number__c: {type: AutoNumber, label: Number, displayFormat: "C-{0000}"}
"""
ACCOUNTS = "Name,Code__c,Needed__c,Score__c,Key__c\nOne,abcdefghij,x,12345.5,k1\nTwo,abcdefghij,x,2,k2\n"


@contextmanager
def checking(folder: Path) -> Iterator[Client]:
    """A client of that org."""
    files = {"schema.yaml": SCHEMA, "Account.csv": ACCOUNTS, "Cert__c.csv": "Name,Account__r.Key__c\nA,k1\n"}
    with running("--data", str(write_files(folder, files))) as client:
        yield client


def refusals(org: Client, files: Mapping[str, str]) -> list[str]:
    return [problem for _, problem in problems(deploy(org, files, checkOnly=True))]
