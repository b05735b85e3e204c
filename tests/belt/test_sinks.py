"""The sinks that are off by default, from the deploy by an admin to the runs of a user of least rights: levels of a
channel program, badges on contacts, tasks for owners. A second run writes nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from crmsync.sandbox.ids import make_id
from tests.belt.conftest import Crmsync
from tests.belt.test_deploy import fields, log_in
from tests.sandbox.orgs import Client, running, write_files

pytestmark = pytest.mark.xdist_group("deploy-org")

ADMIN = "admin@crmsync.example"
SCHEMA = """\
objects:
  Opportunity:
    fields: {Seller__c: {label: Seller, type: Lookup, referenceTo: Account, relationshipName: Sold}}
  Badge__c:
    label: Badge
    fields:
      Firma__c: {label: Firma, type: Lookup, referenceTo: Account, relationshipName: Badges}
      Person__c: {label: Person, type: Lookup, referenceTo: Contact, relationshipName: Badges}
      Course__c: {label: Course, type: Text, length: 40}
"""
NORTH, SOUTH, ACME = (make_id("001", number) for number in (101, 102, 103))
ADA, WORLD, OTHER = make_id("003", 101), make_id("2CP", 101), make_id("2CP", 102)
DATA = {
    "schema.yaml": SCHEMA,
    "Account.csv": f"Id,Name,Type\n{NORTH},Nordlicht GmbH,Partner\n{SOUTH},Südwind AG,Partner\n{ACME},Acme,Customer\n",
    "Contact.csv": f"Id,LastName,AccountId\n{ADA},Ada,{NORTH}\n,Bob,{NORTH}\n,Cy,{ACME}\n",
    "Opportunity.csv": (
        "Name,StageName,CloseDate,Amount,Seller__c\n"
        f"Old,Closed Won,2025-07-20,6000,{NORTH}\nNew,Closed Won,2026-06-01,1500,{SOUTH}\n"
    ),
    "Badge__c.csv": f"Course__c,Person__c,Firma__c\nCloud,{ADA},{NORTH}\nStorage,{ADA},{NORTH}\n",
    "ChannelProgram.csv": f"Id,Name\n{WORLD},Partner World\n{OTHER},Other\n",
    "ChannelProgramLevel.csv": f"Name,Rank,ProgramId\nSilver,1,{WORLD}\nGold Level,2,{WORLD}\nSilver,1,{OTHER}\n",
    "ChannelProgramMember.csv": f"PartnerId,ProgramId\n{NORTH},{WORLD}\n{SOUTH},{WORLD}\n{SOUTH},{OTHER}\n",
}
PROGRAM = """\
program: channel
currency: EUR
metrics:
  revenue: {unit: money, label: Revenue, sum: opportunities.amount, where: is_won, during: last 12 months}
ladders:
  main:
    tiers:
      - {key: basic, label: Basic}
      - {key: silver, label: Silver, requires: {revenue: 1000}}
      - {key: gold, label: Gold, requires: {revenue: 5000}}
"""
MAP = """\
tables:
  partners: {object: Account, filter: "Type = 'Partner'", columns: {partner_id: Id, name: Name, owner_id: OwnerId}}
  opportunities:
    object: Opportunity
    columns: {opportunity_id: Id, name: Name, amount: Amount, is_won: IsWon, closed_on: CloseDate}
    partners: [{partner_id: Seller__c}]
  certifications:
    object: Badge__c
    columns: {certification_id: Id, partner_id: Firma__c, person_id: Person__c, credential: Course__c}
writes:
  object: Account
  token: Marke__c
  fields: {granted_tier: Stufe__c}
  sinks:
    risk_task: {key: Risiko__c}
    contact_badges: {badges: Zertifikate__c}
    channel_program_member: {program: Partner World, levels: {Gold: Gold Level, Basic: ""}}
"""
CONFIG = """\
org: salesforce
program: programs/channel.yaml
tables: {partners: salesforce, opportunities: salesforce, certifications: salesforce}
"""
LEVELS = "SELECT Partner.Name, Level.Name FROM ChannelProgramMember WHERE Program.Name = '{}' ORDER BY Partner.Name"
TASKS = "SELECT What.Name, Subject, ActivityDate, Description, Status, Risiko__c FROM Task ORDER BY Subject"
BADGES = "SELECT LastName, Zertifikate__c FROM Contact ORDER BY LastName"


@pytest.fixture
def config(tmp_path: Path) -> Path:
    files: dict[str, str | bytes] = {
        "crmsync.yaml": CONFIG,
        "programs/channel.yaml": PROGRAM,
        "connectors/salesforce.yaml": MAP,
    }
    return write_files(tmp_path / "config", files)


@pytest.fixture
def org(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Client]:
    with running("--data", str(write_files(tmp_path / "org", dict(DATA))), "--least-privilege") as client:
        monkeypatch.setenv("CRMSYNC_SALESFORCE__INSTANCE_URL", client.org.instance_url)
        log_in(client, ADMIN, monkeypatch)
        yield client


def levels(org: Client, program: str) -> dict[str, str | None]:
    return {row["Partner"]["Name"]: (row["Level"] or {}).get("Name") for row in org.rows(LEVELS.format(program))}


def effects(org: Client) -> dict[str, Any]:
    found: dict[str, Any] = org.effects()
    return found


def test_levels_badges_and_tasks_are_written_once_by_a_user_of_least_rights(
    org: Client, config: Path, crmsync: Crmsync, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = ("--config", str(config))
    applied = crmsync("deploy", "apply", *given, "--assign", org.org.username)
    assert applied.code == 0, applied.err + applied.out
    assert crmsync("deploy", "plan", *given).code == 0  # what people have on activities is found again

    log_in(org, org.org.username, monkeypatch)
    checked = crmsync("check", *given, "--json")
    assert checked.code == 0, checked.out
    ran = crmsync("run", *given, "--as-of", "2026-07-01", "--json")
    assert ran.code == 0, ran.err + ran.out
    assert levels(org, "Partner World") == {"Nordlicht GmbH": "Gold Level", "Südwind AG": "Silver"}
    assert levels(org, "Other") == {"Südwind AG": None}
    assert org.rows(BADGES) == [
        {"LastName": "Ada", "Zertifikate__c": "Cloud;Storage"},
        {"LastName": "Bob", "Zertifikate__c": None},
        {"LastName": "Cy", "Zertifikate__c": None},
    ]
    (task,) = org.rows(TASKS)
    assert (task["What"]["Name"], task["Subject"], task["Status"]) == (
        "Nordlicht GmbH", "Gold is at risk", "Not Started",
    )  # fmt: skip
    assert task["ActivityDate"] == "2026-07-20"

    org.call("DELETE", "//__sandbox/effects")
    again = crmsync("run", *given, "--as-of", "2026-07-01", "--json")
    assert (again.code, again.json["state"]) == (0, "unchanged"), again.out
    assert effects(org)["calls"]["write"] == 0

    # the old deal has left the window: the tier falls, its level with it, and the task stays as people left it
    later = crmsync("run", *given, "--as-of", "2026-07-21", "--json")
    assert later.code == 0, later.err + later.out
    assert levels(org, "Partner World") == {"Nordlicht GmbH": None, "Südwind AG": "Silver"}
    assert effects(org)["records"].get("Task") is None
    assert crmsync("run", *given, "--as-of", "2026-07-21", "--json").json["state"] == "unchanged"


def test_a_check_names_what_a_channel_program_lacks_and_a_plan_is_not_drafted(
    org: Client, config: Path, crmsync: Crmsync
) -> None:
    given = ("--config", str(config))
    assert crmsync("deploy", "apply", *given, "--assign", ADMIN).code == 0
    file = config / "connectors/salesforce.yaml"
    text = file.read_text(encoding="utf-8")
    file.write_text(text.replace("Gold: Gold Level", "Silver: Silber"), encoding="utf-8")
    checked = crmsync("check", *given)
    assert checked.code == 4
    assert "has no level `Silber` for the tier Silver; its levels are: Silver, Gold Level" in checked.out
    assert "has no level `Gold` for the tier Gold" in checked.out
    refused = crmsync("plan", *given, "--as-of", "2026-07-01")
    assert refused.code == 4
    assert "channel program `Partner World` has no level `Gold` for the tier Gold" in refused.err
    file.write_text(text.replace("program: Partner World", "program: Partner Word"), encoding="utf-8")
    checked = crmsync("check", *given)
    assert (checked.code, "the org has no channel program of this name" in checked.out) == (4, True)

    shown = crmsync("deploy", "remove", "--all", *given, "--json")
    assert {"kind": "CustomField", "name": "Activity.Risiko__c"} in shown.json["components"]
    assert crmsync("deploy", "remove", "--all", "--digest", shown.json["digest"][:12], *given).code == 0
    assert not {"Risiko__c"} & set(fields(org, "Task")) | set(fields(org, "Event"))
