"""Permission sets: the run user gets exactly what the field map reads and writes, people see and edit theirs."""

from __future__ import annotations

from pathlib import Path

from crmsync.connectors.salesforce.metadata.components import (
    FIELD,
    PERMISSION_SET,
    Component,
)
from crmsync.connectors.salesforce.metadata.permissions import RUN, SALES_OPS, VIEW
from crmsync.connectors.salesforce.metadata.plan import DeployPlan, Weight
from crmsync.connectors.salesforce.metadata.retrieved import Present
from tests.connectors.salesforce.deploys import ORG, World, body, world


def granted(plan: DeployPlan, name: str) -> tuple[set[str], set[str]]:
    """(fields that may be read, fields that may be edited) of a permission set."""
    rights = body(plan, PERMISSION_SET, name)["fieldPermissions"]
    assert all(one["readable"] for one in rights)
    return {one["field"] for one in rights}, {one["field"] for one in rights if one["editable"]}


WRITTEN = {
    "Account.Stufe_Berechnet__c", "Account.Stufe__c", "Account.Stufe_Vorher__c", "Account.Weg__c",
    "Account.Segmente__c", "Account.Luecke__c", "Account.Warum__c", "Account.Vorlaeufig__c", "Account.Punkte__c",
    "Account.Seit__c", "Account.Risiko__c", "Account.Naechste__c", "Account.Marke__c", "Account.Portal_Stufe__c",
    "Stand__c.Schluessel__c", "Stand__c.Kategorie__c", "Stand__c.Stufe__c", "Stand__c.Bewegung__c", "Stand__c.Weg__c",
    "Wechsel__c.Schluessel__c", "Wechsel__c.Neu__c", "Wechsel__c.Warum__c",
}  # fmt: skip
READ = {
    "Account.Type", "Account.Region__c", "Account.ParentId", "Account.Status__c", "Opportunity.Seller__c",
    "Opportunity.Split__c", "Badge__c.Firma__c", "Badge__c.Course__c", "Badge__c.On__c", "Course__c.Key__c",
    "Ausnahme__c.Firma__c", "Ausnahme__c.Art__c", "Ausnahme__c.Grund__c", "Ausnahme__c.Freigabe__c",
    "Account.Einspruch__c",
}  # fmt: skip


def test_the_run_user_reads_what_the_field_map_reads_and_edits_exactly_what_it_writes(empty: World) -> None:
    reads, edits = granted(empty.plan(), RUN)
    assert edits == WRITTEN
    assert reads == WRITTEN | READ


def test_the_run_user_may_make_standings_and_changes_and_delete_nothing(empty: World) -> None:
    rights = {one["object"]: one for one in body(empty.plan(), PERMISSION_SET, RUN)["objectPermissions"]}
    assert set(rights) == {"Account", "Opportunity", "Badge__c", "Course__c", "Ausnahme__c", "Stand__c", "Wechsel__c"}
    assert {name for name, one in rights.items() if one["allowCreate"]} == {"Stand__c", "Wechsel__c"}
    assert {name for name, one in rights.items() if one["allowEdit"]} == {"Account", "Stand__c", "Wechsel__c"}
    assert not any(one["allowDelete"] or one["modifyAllRecords"] for one in rights.values())
    assert all(one["viewAllRecords"] for one in rights.values())


def test_sales_operations_edit_exceptions_and_disputes_and_account_managers_disputes_only(empty: World) -> None:
    plan = empty.plan()
    exceptions = {f"Ausnahme__c.{name}" for name in ("Firma__c", "Art__c", "Grund__c", "Freigabe__c")}
    reads, edits = granted(plan, SALES_OPS)
    assert edits == {"Account.Einspruch__c", *exceptions}
    assert reads == WRITTEN | edits
    reads, edits = granted(plan, VIEW)
    assert edits == {"Account.Einspruch__c"}
    assert reads == WRITTEN | edits | exceptions


def test_no_permission_set_names_a_field_that_everybody_sees(empty: World) -> None:
    named = {name for one in (RUN, SALES_OPS, VIEW) for name in granted(empty.plan(), one)[0]}
    assert not named & {"Stand__c.Firma__c", "Wechsel__c.Firma__c", "Account.Id", "Account.Name", "Opportunity.Amount"}
    assert not [name for name in named if name.startswith("User.")]


def test_a_standard_field_of_the_definition_is_what_describe_says(empty: World, full: Present) -> None:
    standard = [
        Component(FIELD, f"Account.{name}", {"fullName": name, "trackHistory": False}) for name in ("Name", "OwnerId")
    ]
    plan = empty.plan(Present([*full, *standard]))
    assert (plan.steps, plan.findings) == ((), empty.plan(full).findings)


def test_who_reads_a_detail_record_reads_its_master(empty: World) -> None:
    detail = {"fullName": "Course__c", "type": "MasterDetail", "referenceTo": "Course__c"}
    upper = {"fullName": "Field__c", "type": "MasterDetail", "referenceTo": "Campaign"}
    present = Present([Component(FIELD, "Badge__c.Course__c", detail), Component(FIELD, "Course__c.Field__c", upper)])
    plan = empty.plan(present)
    rights = {one["object"] for one in body(plan, PERMISSION_SET, RUN)["objectPermissions"]}
    assert {"Course__c", "Campaign"} <= rights
    assert "Badge__c.Course__c" not in granted(plan, RUN)[0]


def test_a_field_that_is_read_and_does_not_exist_is_told_with_the_line_that_asks_for_it(tmp_path: Path) -> None:
    org = {**ORG, "Opportunity": {key: given for key, given in ORG["Opportunity"].items() if key != "Split__c"}}
    plan = world(tmp_path, org=org).plan()
    (found,) = plan.of(Weight.DRIFT)
    assert found.line == 10
    assert "field Opportunity.Split__c does not exist in this org or is hidden from this login" in found.text
