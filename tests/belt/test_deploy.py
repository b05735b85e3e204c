"""`crmsync deploy` from an org that knows nothing of partner tiers to one that a run writes to, and back."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from crmsync.metadata_schema import problems
from tests.belt.conftest import Crmsync
from tests.connectors.salesforce.deploys import MAP, PROGRAM
from tests.sandbox.orgs import Client, running, write_files

pytestmark = pytest.mark.xdist_group("deploy-org")

SCHEMA = """\
objects:
  Account:
    fields:
      Region__c: {label: Region, type: Text, length: 40}
      Status__c: {label: Status, type: Text, length: 40}
  Opportunity:
    fields:
      Seller__c: {label: Seller, type: Lookup, referenceTo: Account, relationshipName: Sold}
      Split__c: {label: Split, type: Number, precision: 5, scale: 2}
  Course__c: {label: Course, fields: {Key__c: {label: Key, type: Text, length: 40}}}
  Badge__c:
    label: Badge
    fields:
      Firma__c: {label: Firma, type: Lookup, referenceTo: Account, relationshipName: Badges}
      Course__c: {label: Course, type: Lookup, referenceTo: Course__c, relationshipName: Badges}
      On__c: {label: On, type: Date}
"""
ACCOUNTS = "Name,Type,Region__c\nNordlicht GmbH,Partner,EMEA\nAcme,Customer,NA\n"
CONFIG = """\
org: salesforce
program: programs/channel.yaml
tables: {partners: salesforce, opportunities: salesforce, certifications: salesforce, overrides: salesforce}
"""


def org_folder(root: Path) -> Path:
    """The records and the schema of that org."""
    return write_files(root / "org", {"schema.yaml": SCHEMA, "Account.csv": ACCOUNTS})


@pytest.fixture
def org(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Client]:
    """An org with words of its own, and the settings that reach it."""
    with running("--data", str(org_folder(tmp_path))) as client:
        monkeypatch.setenv("CRMSYNC_SALESFORCE__INSTANCE_URL", client.org.instance_url)
        monkeypatch.setenv("CRMSYNC_SALESFORCE__ACCESS_TOKEN", client.org.access_token)
        yield client


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """The configuration of a customer with that org."""
    folder = tmp_path / "config"
    program = PROGRAM.replace("activities.value", "opportunities.amount").replace(
        "has(declared_categories, 'Reseller')", "region = 'EMEA'"
    )
    files = {"crmsync.yaml": CONFIG, "programs/channel.yaml": program, "connectors/salesforce.yaml": MAP}
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")
    return folder


def fields(org: Client, name: str) -> dict[str, dict[str, Any]]:
    """What describe shows of an object, by field."""
    answer = org.get(f"/sobjects/{name}/describe")
    return {one["name"]: one for one in answer.json()["fields"]} if answer.status_code == 200 else {}


def log_in(org: Client, username: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the settings log in as another user of the org."""
    answer = org.session.put(f"{org.org.instance_url}/__sandbox/login", json={"username": username}, timeout=30)
    monkeypatch.setenv("CRMSYNC_SALESFORCE__ACCESS_TOKEN", answer.json()["access_token"])


def test_an_empty_org_is_made_ready_by_its_admin_and_a_run_user_of_least_rights_writes_to_it(
    tmp_path: Path, config: Path, crmsync: Crmsync, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = ("--config", str(config))
    with running("--data", str(org_folder(tmp_path)), "--least-privilege") as org:
        monkeypatch.setenv("CRMSYNC_SALESFORCE__INSTANCE_URL", org.org.instance_url)
        log_in(org, org.org.username, monkeypatch)
        refused = crmsync("deploy", "plan", *given)
        assert (refused.code, "INSUFFICIENT_ACCESS" in refused.err) == (4, True)

        log_in(org, "admin@crmsync.example", monkeypatch)
        planned = crmsync("deploy", "plan", *given)
        assert planned.code == 2, planned.err
        assert "+ field Account.Stufe__c (Picklist: Gold, Silver, Basic, Service Master)" in planned.out
        assert "+ field Stand__c.Firma__c (MasterDetail)" in planned.out
        applied = crmsync("deploy", "apply", *given, "--assign", org.org.username)
        assert applied.code == 0, applied.err
        assert f"permission set Crmsync_Run: given to {org.org.username}" in applied.out

        log_in(org, org.org.username, monkeypatch)
        verified = crmsync("deploy", "verify", *given)
        assert (verified.code, "this login sees 29 of 29 fields" in verified.out) == (0, True)
        ran = crmsync("run", *given, "--json")
        assert ran.code in (0, 3), ran.err + ran.out
        assert org.rows("SELECT Name, Stufe__c, Segmente__c FROM Account WHERE Stufe__c != null") == [
            {"Name": "Nordlicht GmbH", "Stufe__c": "Basic", "Segmente__c": "Reseller"}
        ]
        assert org.refusal("SELECT Industry FROM Account")[1] == "INVALID_FIELD"  # nothing beyond the field map


def test_a_new_field_is_hidden_until_the_permission_set_is_given(org: Client, config: Path, crmsync: Crmsync) -> None:
    given = ("--config", str(config))
    applied = crmsync("deploy", "apply", *given)
    assert applied.code == 0, applied.err
    assert "hidden by field-level security" in applied.out
    assert "Stufe__c" not in fields(org, "Account")
    assert crmsync("deploy", "verify", *given).code == 3

    assigned = crmsync("deploy", "apply", *given, "--assign", org.org.username)
    assert assigned.code == 0, assigned.err
    described = fields(org, "Account")
    assert [one["value"] for one in described["Stufe__c"]["picklistValues"]] == [
        "Gold", "Silver", "Basic", "Service Master",
    ]  # fmt: skip
    assert described["Stufe__c"]["updateable"]
    assert fields(org, "Stand__c")["Schluessel__c"]["externalId"]
    assert crmsync("deploy", "verify", *given).code == 0


def test_a_second_apply_deploys_nothing(org: Client, config: Path, crmsync: Crmsync) -> None:
    given = ("--config", str(config), "--json")
    first = crmsync("deploy", "apply", *given)
    assert first.code == 0, first.err
    assert first.json["deploy_id"]
    moved = org.get("/sobjects").headers.get("Last-Modified")
    second = crmsync("deploy", "apply", *given)
    assert (second.code, second.json["applied"], second.json["deploy_id"], second.json["steps"]) == (0, 0, None, [])
    assert org.get("/sobjects").headers.get("Last-Modified") == moved
    assert crmsync("deploy", "plan", *given).code == 0


def edit_field(org: Client, name: str, **changes: Any) -> None:
    """Somebody edits a custom field of the account in Setup."""
    soql = f"SELECT Id FROM CustomField WHERE TableEnumOrId = 'Account' AND DeveloperName = '{name}'"
    (record,) = org.get("/tooling/query", params={"q": soql}).json()["records"]
    path = f"/tooling/sobjects/CustomField/{record['Id']}"
    metadata = org.get(path).json()["Metadata"] | changes
    answer = org.call("PATCH", path, json={"FullName": f"Account.{name}__c", "Metadata": metadata})
    assert answer.status_code == 204, answer.text


def test_what_people_edit_in_setup_is_shown_and_left(org: Client, config: Path, crmsync: Crmsync) -> None:
    given = ("--config", str(config))
    assert crmsync("deploy", "apply", *given, "--assign", org.org.username).code == 0
    edit_field(org, "Warum", inlineHelpText="Ask Anna")
    edit_field(org, "Luecke", length=300)
    planned = crmsync("deploy", "plan", *given)
    assert planned.code == 2
    assert "~ field Account.Luecke__c: length 300 -> 4000" in planned.out
    applied = crmsync("deploy", "apply", *given)
    assert applied.code == 3, applied.err
    assert "field Account.Warum__c: its help text was edited: `Ask Anna`" in applied.out
    described = fields(org, "Account")
    assert (described["Luecke__c"]["length"], described["Warum__c"]["inlineHelpText"]) == (4000, "Ask Anna")
    assert [crmsync("deploy", one, *given).code for one in ("plan", "verify")] == [3, 3]


def faults(org: Client, *given: dict[str, Any]) -> None:
    """Switch on these faults of the org and no others."""
    answer = org.session.put(f"{org.org.instance_url}/__sandbox/faults", json=list(given), timeout=30)
    assert answer.status_code == 200, answer.text


DEPLOY, STATUS = "*/metadata/deployRequest", "*/metadata/deployRequest/*"


def test_a_deploy_whose_answer_is_lost_is_not_sent_again_and_is_seen_afterwards(
    org: Client, config: Path, crmsync: Crmsync
) -> None:
    given = ("--config", str(config))
    # the first deployRequest is the check, the second one changes the org
    faults(org, {"method": "POST", "path": DEPLOY, "nth": 2, "do": {"cut": True}, "at": "after"})
    lost = crmsync("deploy", "apply", *given)
    assert lost.code == 1
    assert "Nobody knows whether the deploy began: look at `crmsync deploy plan`" in lost.err
    assert org.get("//__sandbox/faults").json()[0]["seen"] == 2
    assert "nobody knows what became of them" in crmsync("status").out
    assert 0 in (crmsync("deploy", "plan", *given).code for _ in range(20))  # it goes on by itself in the org


def test_a_deploy_is_waited_for_through_faults_that_pass(org: Client, config: Path, crmsync: Crmsync) -> None:
    faults(
        org,
        {"method": "GET", "path": STATUS, "nth": 1, "do": {"status": 503, "html": True}},
        {"method": "POST", "path": "/services/Soap/m/*", "nth": 1, "do": {"cut": True}, "at": "before"},
    )
    assert crmsync("deploy", "apply", "--config", str(config)).code == 0
    assert [one["fired"] for one in org.get("//__sandbox/faults").json()] == [1, 1]


def test_a_record_type_gets_the_tiers_and_a_second_plan_is_empty(
    config: Path, crmsync: Crmsync, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = ("--config", str(config))
    partner = "  Account:\n    recordTypes: {Partner: {label: Partner}}\n"
    data = write_files(tmp_path / "org", {"schema.yaml": SCHEMA.replace("  Account:\n", partner, 1)})
    with running("--data", str(data)) as org:
        monkeypatch.setenv("CRMSYNC_SALESFORCE__INSTANCE_URL", org.org.instance_url)
        monkeypatch.setenv("CRMSYNC_SALESFORCE__ACCESS_TOKEN", org.org.access_token)
        planned = crmsync("deploy", "plan", *given)
        assert "~ record type Account.Partner: " in planned.out
        assert "Stufe__c: Gold, Silver, Basic, Service Master" in planned.out
        assert crmsync("deploy", "apply", *given).code == 0
        assert crmsync("deploy", "plan", *given).code == 0


def test_a_tier_that_is_new_in_the_program_grows_the_picklists(org: Client, config: Path, crmsync: Crmsync) -> None:
    given = ("--config", str(config), "--json")
    assert crmsync("deploy", "apply", *given, "--assign", org.org.username).code == 0
    program = config / "programs/channel.yaml"
    program.write_text(
        program.read_text(encoding="utf-8").replace("label: Gold,", "label: Platinum,"), encoding="utf-8"
    )
    planned = crmsync("deploy", "plan", *given)
    assert planned.code == 2
    grown = {step["name"]: step["what"] for step in planned.json["steps"]}
    assert set(grown) == {"Account.Stufe__c", "Account.Stufe_Berechnet__c", "Stand__c.Stufe__c"}
    assert all(what == ["values Platinum"] for what in grown.values())
    assert crmsync("deploy", "apply", *given).code == 0
    values = {one["value"]: one["active"] for one in fields(org, "Account")["Stufe__c"]["picklistValues"]}
    assert values == dict.fromkeys(("Gold", "Silver", "Basic", "Service Master", "Platinum"), True)


def test_what_a_deploy_made_is_removed_with_the_digest_that_was_shown(
    org: Client, config: Path, crmsync: Crmsync
) -> None:
    given = ("--config", str(config), "--json")
    made = crmsync("deploy", "apply", *given, "--assign", org.org.username)
    assert made.code == 0
    shown = crmsync("deploy", "remove", "--all", *given)
    assert shown.code == 2
    assert fields(org, "Stand__c")
    wrong = crmsync("deploy", "remove", "--all", "--digest", "0" * 12, *given)
    assert wrong.code == 1
    assert "is not the digest of this removal" in wrong.err
    refused = crmsync("deploy", "remove", "Account.Region__c", *given)
    assert refused.code == 4
    assert refused.json["not_ours"] == [{"kind": "CustomField", "name": "Account.Region__c"}]
    gone = crmsync("deploy", "remove", "--all", "--digest", shown.json["digest"][:12], *given)
    assert gone.code == 0, gone.err
    assert gone.json["removed"] == len(shown.json["components"])
    assert fields(org, "Stand__c") == {}
    assert set(fields(org, "Account")) >= {"Region__c", "Status__c"}
    assert not {"Stufe__c", "Marke__c"} & set(fields(org, "Account"))
    assert crmsync("deploy", "plan", *given).code == 2
    told = crmsync("status", "--json").json["deployments"]
    assert [(one["event"], one["components"]) for one in told] == [
        ("deploy_removed", gone.json["removed"]), ("deploy_assigned", 1), ("deploy_applied", made.json["applied"]),
    ]  # fmt: skip
    assert "components removed from 00D" in crmsync("status").out


def test_a_project_is_written_instead_and_fits_the_schema(
    org: Client, config: Path, crmsync: Crmsync, tmp_path: Path
) -> None:
    del org
    target = tmp_path / "project"
    written = crmsync("deploy", "plan", "--config", str(config), "--to", str(target))
    assert written.code == 0, written.err
    project = json.loads((target / "sfdx-project.json").read_text(encoding="utf-8"))
    assert project["sourceApiVersion"] == "67.0"
    files = sorted(target.rglob("*-meta.xml*"))
    kinds = {path.name: path.read_text(encoding="utf-8").split(" xmlns")[0].rpartition("<")[2] for path in files}
    assert [
        (path, problems(kinds[path.name], path.read_bytes()))
        for path in files
        if problems(kinds[path.name], path.read_bytes())
    ] == []
    assert (target / "force-app/main/default/objects/Account/fields/Stufe__c.field-meta.xml").is_file()
    assert not [path for path in files if b"consumerSecret" in path.read_bytes()]
    mine = target / "force-app/main/default/objects/Account/fields/Mine__c.field-meta.xml"
    mine.write_text("mine", encoding="utf-8")
    stale = target / "force-app/main/default/objects/Account/listViews/Crmsync_At_Risk.listView-meta.xml"
    assert stale.is_file()
    text = (config / "connectors/salesforce.yaml").read_text(encoding="utf-8")
    (config / "connectors/salesforce.yaml").write_text(text.replace("risk: Risiko__c, ", ""), encoding="utf-8")
    assert crmsync("deploy", "apply", "--config", str(config), "--to", str(target)).code == 0
    assert (mine.is_file(), stale.is_file()) == (True, False)
    other = tmp_path / "org"
    refused = crmsync("deploy", "plan", "--config", str(config), "--to", str(other))
    assert refused.code == 4
    assert "--to takes an empty folder" in refused.err


def test_a_field_that_cannot_hold_a_date_stops_the_deploy(org: Client, config: Path, crmsync: Crmsync) -> None:
    path = config / "connectors/salesforce.yaml"
    path.write_text(path.read_text(encoding="utf-8").replace("tier_since: Seit__c", "tier_since: Region__c"))
    stopped = crmsync("deploy", "apply", "--config", str(config))
    assert stopped.code == 4
    assert "salesforce.yaml:23: field Account.Region__c: is Text and cannot hold date" in stopped.out
    assert "Stand__c" not in {one["name"] for one in org.get("/sobjects").json()["sobjects"]}


def test_an_unknown_user_is_named(org: Client, config: Path, crmsync: Crmsync) -> None:
    del org
    ended = crmsync("deploy", "apply", "--config", str(config), "--assign", "nobody@example.com")
    assert ended.code == 4
    assert "no user of this org has the username nobody@example.com" in ended.err


def test_a_configuration_of_files_has_nothing_to_deploy_to(folder: Any, crmsync: Crmsync) -> None:
    ended = crmsync("deploy", "plan", "--config", str(folder.config))
    assert ended.code == 4
    assert "has nothing to deploy to" in ended.err


@pytest.mark.parametrize("arguments", [(), ("Account.X__c", "--all")])
def test_a_removal_needs_names_or_all(folder: Any, crmsync: Crmsync, arguments: tuple[str, ...]) -> None:
    ended = crmsync("deploy", "remove", *arguments, "--config", str(folder.config))
    assert ended.code == 4
    assert "needs either names" in ended.err
