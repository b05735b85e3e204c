"""A blocked plan is decided on in the CRM, by a user with the permission set of sales operations and by nobody else."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from crmsync.sandbox.process import start_org
from tests.belt.conftest import Crmsync, Ended
from tests.belt.test_deploy import log_in
from tests.belt.test_sinks import ADMIN, PROGRAM
from tests.sandbox.orgs import Client, write_files
from tests.sandbox.test_permissions import as_user

pytestmark = pytest.mark.xdist_group("deploy-org")

SALES_OPS, MANAGER = "salesops@crmsync.example", "manager@crmsync.example"
PARTNERS = 8
TODAY = datetime.now(UTC).date()
DAYS = [(TODAY - timedelta(days=days)).isoformat() for days in (30, 1, 0)]
"""A deal, the first run, the later ones; the org's clock is ours, because a decision grows old by it."""
MAP = """\
tables:
  partners: {object: Account, filter: "Type = 'Partner'", columns: {partner_id: Id, name: Name}}
  opportunities:
    object: Opportunity
    columns: {opportunity_id: Id, amount: Amount, is_won: IsWon, closed_on: CloseDate}
    partners: [{partner_id: Seller__c}]
writes:
  object: Account
  token: Marke__c
  fields: {granted_tier: Stufe__c}
  plan_record:
    object: Plan__c
    key: Kennung__c
    fields: {decision: Entscheidung__c, state: Stand__c, answer: Antwort__c, summary: Kurz__c, guards: Gruende__c,
      who_moves: Wer__c, movers: Anzahl__c}
"""
CONFIG = """\
org: salesforce
program: programs/channel.yaml
tables: {partners: salesforce, opportunities: salesforce}
guards: {demotions: {at_least: 1}, top_tier: {at_least: 9}, canary: {at_least: 1, at_most: 2}}
"""
SCHEMA = """\
objects:
  Opportunity:
    fields: {Seller__c: {label: Seller, type: Lookup, referenceTo: Account, relationshipName: Sold}}
"""
RECORD = (
    "SELECT Id, Kennung__c, Entscheidung__c, Stand__c, Antwort__c, Kurz__c, Gruende__c, Wer__c, Anzahl__c FROM Plan__c"
)
TIERS = "SELECT Name, Stufe__c FROM Account WHERE Type = 'Partner' ORDER BY Name"


def accounts() -> dict[str, str]:
    ids = {f"P{number}": f"0010000000001{number:02d}AAA" for number in range(PARTNERS)}
    rows = "".join(f"{name},{name},Partner\n" for name in ids)
    deals = "".join(f"D-{name},Closed Won,{DAYS[0]},6000,{name}\n" for name in ids)
    return {
        "schema.yaml": SCHEMA,
        "Account.csv": f"Site,Name,Type\n{rows}",
        "Opportunity.csv": f"Name,StageName,CloseDate,Amount,Description\n{deals}",
    }


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
    with start_org(["--data", str(write_files(tmp_path / "org", dict(accounts()))), "--least-privilege"]) as running:
        client = Client(running)
        monkeypatch.setenv("CRMSYNC_SALESFORCE__INSTANCE_URL", client.org.instance_url)
        log_in(client, ADMIN, monkeypatch)
        yield client


class Scene:
    """An org made ready by its admin, its first run behind it, and three of eight partners about to fall."""

    def __init__(self, org: Client, config: Path, crmsync: Crmsync, monkeypatch: pytest.MonkeyPatch) -> None:
        self.org, self.crmsync, self.monkeypatch = org, crmsync, monkeypatch
        self.given = ("--config", str(config))
        self.admin, self.sales_ops = as_user(org, ADMIN), as_user(org, SALES_OPS)
        applied = crmsync("deploy", "apply", *self.given, "--assign", org.org.username)
        assert applied.code == 0, applied.err + applied.out
        self.give(ADMIN, "Crmsync_View")  # what a deploy makes is seen by nobody before
        self.link()
        log_in(org, org.org.username, monkeypatch)
        first = self.run(DAYS[1])
        assert first.code == 0, first.err + first.out
        assert set(self.tiers().values()) == {"Gold"}
        self.lose(3)

    def run(self, as_of: str) -> Ended:
        return self.crmsync("run", *self.given, "--as-of", as_of, "--json")

    def link(self) -> None:
        sellers = {row["Name"]: row["Id"] for row in self.admin.rows("SELECT Id, Name FROM Account")}
        for deal in self.admin.rows("SELECT Id, Name FROM Opportunity"):
            self.patch(self.admin, "Opportunity", deal["Id"], Seller__c=sellers[deal["Name"].removeprefix("D-")])

    def lose(self, deals: int) -> None:
        """People find that some deals were smaller than they said."""
        for deal in self.admin.rows(f"SELECT Id FROM Opportunity WHERE Amount > 1500 ORDER BY Name LIMIT {deals}"):
            self.patch(self.admin, "Opportunity", deal["Id"], Amount=1500)

    def tiers(self) -> dict[str, str]:
        return {row["Name"]: row["Stufe__c"] for row in self.admin.rows(TIERS)}

    def apply(self, digest: str) -> Ended:
        return self.crmsync("apply", digest, *self.given, "--json")

    def record(self, digest: str = "") -> dict[str, Any]:
        """The record of a plan; the only one."""
        (found,) = [row for row in self.admin.rows(RECORD) if row["Kennung__c"] == digest or not digest]
        return found

    def patch(self, who: Client, name: str, record: str, **values: Any) -> int:
        return who.call("PATCH", f"/sobjects/{name}/{record}", json=values).status_code

    def decide(self, who: Client, decision: str, digest: str = "") -> int:
        return self.patch(who, "Plan__c", self.record(digest)["Id"], Entscheidung__c=decision)

    def give(self, username: str, permission_set: str) -> None:
        """Assign a permission set."""
        (user,) = self.admin.names(f"SELECT Id FROM User WHERE Username = '{username}'")
        (held,) = self.admin.names(f"SELECT Id FROM PermissionSet WHERE Name = '{permission_set}'")
        self.admin.create("PermissionSetAssignment", AssigneeId=user, PermissionSetId=held)

    def open_plans_to_managers(self) -> None:
        """A permission set of the customer's own that lets managers edit plan records."""
        own = self.admin.create("PermissionSet", Name="Own_Plans", Label="Own plans")
        self.admin.create(
            "ObjectPermissions", ParentId=own, SobjectType="Plan__c", PermissionsRead=True, PermissionsEdit=True
        )
        field = {"Field": "Plan__c.Entscheidung__c", "PermissionsRead": True, "PermissionsEdit": True}
        self.admin.create("FieldPermissions", ParentId=own, SobjectType="Plan__c", **field)
        self.give(MANAGER, "Own_Plans")


@pytest.fixture
def scene(org: Client, config: Path, crmsync: Crmsync, monkeypatch: pytest.MonkeyPatch) -> Scene:
    return Scene(org, config, crmsync, monkeypatch)


@pytest.mark.timeout(240)
def test_sales_operations_open_a_blocked_plan_in_the_crm_and_nobody_else_does(scene: Scene) -> None:
    digest = check_that_it_is_laid(scene)
    check_that_managers_do_not_decide(scene, digest)
    check_that_it_is_written_as_it_is(scene, digest)
    check_that_a_declined_one_is_not_written(scene)
    check_that_a_late_approval_writes_nothing(scene)
    check_that_a_field_that_was_hidden_since_blanks_nothing(scene)


def check_that_it_is_laid(scene: Scene) -> str:
    blocked = scene.run(DAYS[2])
    assert (blocked.code, blocked.json["state"]) == (8, "blocked")
    assert "a user with Crmsync_Sales_Ops sets the decision of Plan__c" in blocked.json["laid_before"]
    laid = scene.record()
    digest = str(blocked.json["plan"]["digest"])
    assert (laid["Kennung__c"], laid["Entscheidung__c"], laid["Stand__c"]) == (digest, "Waiting", "Waiting")
    assert laid["Kurz__c"] == "3 accounts, 3 changes of tier. Waits because of: demotions"
    assert "STOPS demotions: 3 of 8 partners fall" in laid["Gruende__c"]
    assert "P0 (all): Gold -> Silver." in laid["Wer__c"]
    views = scene.admin.names("SELECT DeveloperName FROM ListView WHERE SobjectType = 'Plan__c'")
    assert "Crmsync_Waiting_Plans" in views
    return digest


def check_that_managers_do_not_decide(scene: Scene, digest: str) -> None:
    """One who may only look is refused by the org; one who may edit it by a right of the customer's, by the run. Nor
    does the user that crmsync logs in as decide, whatever it holds."""
    manager = as_user(scene.org, MANAGER)
    scene.give(MANAGER, "Crmsync_View")
    assert scene.decide(manager, "Approved") in (400, 403, 404)
    scene.open_plans_to_managers()
    assert scene.decide(manager, "Approved") == 204
    refused = scene.run(DAYS[2])
    assert refused.code == 8
    assert f"it does not count: {MANAGER} changed this record last and does not have" in refused.json["decided_in_crm"]
    answered = scene.record()
    assert answered["Entscheidung__c"] == "Waiting"
    assert f"The approval does not count: {MANAGER} changed" in answered["Antwort__c"]

    scene.give(scene.org.org.username, "Crmsync_Sales_Ops")
    assert scene.decide(scene.org, "Approved") == 204
    assert scene.apply(digest).code == 8
    assert "is the user that crmsync logs in as" in scene.record()["Antwort__c"]


def check_that_it_is_written_as_it_is(scene: Scene, digest: str) -> None:
    scene.give(SALES_OPS, "Crmsync_Sales_Ops")
    assert scene.decide(scene.sales_ops, "Approved") == 204
    assert set(scene.tiers().values()) == {"Gold"}
    done = scene.run(DAYS[2])
    assert (done.code, done.json["state"]) == (0, "unchanged"), done.out
    said = f"plan {digest[:12]} was approved in the CRM by {SALES_OPS} and was written first"
    assert done.json["decided_in_crm"] == said
    assert sorted(scene.tiers().values()) == ["Gold"] * 5 + ["Silver"] * 3
    closed = scene.record()
    assert (closed["Stand__c"], closed["Antwort__c"]) == ("Applied", "Written.")


def check_that_a_declined_one_is_not_written(scene: Scene) -> None:
    scene.lose(2)
    blocked = scene.run(DAYS[2])
    digest = blocked.json["plan"]["digest"]
    assert (blocked.code, blocked.json["decided_in_crm"]) == (8, "")
    assert scene.decide(scene.sales_ops, "Declined", digest) == 204
    refused = scene.apply(digest)
    assert (refused.code, "was declined and is not written" in refused.err) == (1, True), refused.err
    assert scene.record(digest)["Stand__c"] == "Declined"
    refused = scene.crmsync("approve", digest[:12], "--by", "Ada")
    assert (refused.code, "no longer waits: it is declined" in refused.err) == (4, True)


def check_that_a_late_approval_writes_nothing(scene: Scene) -> None:
    """A plan is drafted again by hand: the one in the CRM is not the newest any more. What waits then is opened."""
    scene.lose(1)
    late = scene.run(DAYS[2]).json["plan"]["digest"]
    scene.lose(1)
    assert scene.crmsync("plan", *scene.given, "--as-of", DAYS[2]).code == 8
    assert scene.decide(scene.sales_ops, "Approved", late) == 204
    blocked = scene.run(DAYS[2])
    assert blocked.code == 8
    assert scene.record(late)["Stand__c"] == "Superseded"
    assert scene.record(late)["Antwort__c"].startswith("Approved too late.")
    assert sorted(scene.tiers().values()) == ["Gold"] * 5 + ["Silver"] * 3

    digest = blocked.json["plan"]["digest"]
    assert scene.decide(scene.sales_ops, "Approved", digest) == 204
    applied = scene.apply(digest)
    assert (applied.code, applied.json["outcomes"]["applied"]) == (0, 4), applied.err
    assert scene.run(DAYS[2]).json["state"] == "unchanged"
    assert scene.record(digest)["Stand__c"] == "Applied"


def check_that_a_field_that_was_hidden_since_blanks_nothing(scene: Scene) -> None:
    """Somebody takes the right to a field away between two runs: without amounts every partner would fall."""
    tiers = scene.tiers()
    own = "SELECT Id FROM FieldPermissions WHERE Parent.Name = 'Crmsync_Run' AND Field = 'Opportunity.Amount'"
    (right,) = scene.admin.names(own)
    assert scene.admin.call("DELETE", f"/sobjects/FieldPermissions/{right}").status_code == 204
    scene.org.call("DELETE", "//__sandbox/effects")
    refused = scene.crmsync("run", *scene.given, "--as-of", DAYS[2])
    assert (refused.code, "Opportunity.Amount" in refused.err) == (4, True), refused.err
    assert scene.org.effects()["calls"]["write"] == 0
    assert scene.tiers() == tiers
