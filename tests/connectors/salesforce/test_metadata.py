"""What a deploy makes: every file fits Salesforce's own schema, and a plan only adds or widens."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from crmsync.connectors.base_needs import Said, Shape
from crmsync.connectors.mapping import read_mapping
from crmsync.connectors.salesforce.metadata.components import (
    FIELD,
    LIST_VIEW,
    OBJECT,
    ORDER,
    PERMISSION_SET,
    RECORD_TYPE,
    TAG,
    Component,
    xml_of,
)
from crmsync.connectors.salesforce.metadata.fields import FieldNeed, field_body
from crmsync.connectors.salesforce.metadata.packages import (
    DESTRUCTIVE,
    MANIFEST,
    files_of,
    removal,
    schema_problems,
    zipped,
)
from crmsync.connectors.salesforce.metadata.permissions import RUN, SALES_OPS, VIEW
from crmsync.connectors.salesforce.metadata.plan import Action, DeployPlan, Weight, plan_removal
from crmsync.connectors.salesforce.metadata.retrieved import Present, present_of
from crmsync.connectors.salesforce.metadata.views import VIEWS
from crmsync.errors import ConfigError, DataError
from crmsync.metadata_schema import problems
from tests.connectors.salesforce.deploys import MAP, ORG, World, deployed, with_field, world


@pytest.fixture
def empty(tmp_path: Path) -> World:
    return world(tmp_path)


@pytest.fixture
def full(empty: World) -> Present:
    """The org after a first deploy."""
    return deployed(empty.plan())


def body(plan: DeployPlan, kind: str, name: str) -> dict[str, Any]:
    found = [one for one in plan.components if (one.kind, one.name) == (kind, name)]
    assert len(found) == 1, [one.name for one in plan.components if one.kind == kind]
    return dict(found[0].body)


def texts(plan: DeployPlan, weight: Weight) -> list[str]:
    return [f"{one.about}: {one.text}" for one in plan.of(weight)]


# --- files


def test_every_file_of_a_deploy_fits_the_schema_of_the_metadata_api(empty: World) -> None:
    files = files_of(empty.plan().components, "67.0")
    assert list(schema_problems(files)) == []
    assert {path.partition("/")[0] for path in files} == {
        "package.xml", "objects", "permissionsets", "reportTypes", "reports", "dashboards",
    }  # fmt: skip


def test_every_component_fits_the_schema_as_a_file_of_its_own(empty: World) -> None:
    plan = empty.plan()
    assert {one.kind for one in plan.components} == set(ORDER) - {RECORD_TYPE}
    assert [
        (one.name, problems(one.kind, xml_of(one))) for one in plan.components if problems(one.kind, xml_of(one))
    ] == []


def test_a_mistake_in_a_file_is_named_with_its_line(empty: World) -> None:
    files = files_of(empty.plan().components, "67.0")
    broken = {
        **files,
        "objects/Stand__c.object": files["objects/Stand__c.object"].replace(b">MasterDetail<", b">MasterDeatil<"),
    }
    (problem,) = schema_problems(broken)
    line = broken["objects/Stand__c.object"].split(b">MasterDeatil<")[0].count(b"\n") + 1
    assert problem.startswith(f"objects/Stand__c.object:{line}: ")


def test_the_same_plan_gives_the_same_bytes(empty: World) -> None:
    first, second = (zipped(files_of(empty.plan().components, "67.0")) for _ in range(2))
    assert first == second
    assert empty.plan().digest == empty.plan().digest


def test_a_picklist_of_tiers_holds_the_labels_of_all_ladders_and_takes_no_other(empty: World) -> None:
    field = next(one for one in empty.plan().components if one.name == "Account.Stufe__c")
    assert (
        xml_of(field).decode().partition("\n")[2]
        == """\
<CustomField xmlns="http://soap.sforce.com/2006/04/metadata">
    <fullName>Stufe__c</fullName>
    <description>The tier that the partner has; benefits follow it. [crmsync]</description>
    <externalId>false</externalId>
    <inlineHelpText>The tier that the partner has; benefits follow it.</inlineHelpText>
    <label>Stufe</label>
    <required>false</required>
    <type>Picklist</type>
    <valueSet>
        <restricted>true</restricted>
        <valueSetDefinition>
            <sorted>false</sorted>
            <value>
                <fullName>Gold</fullName>
                <default>false</default>
                <label>Gold</label>
            </value>
            <value>
                <fullName>Silver</fullName>
                <default>false</default>
                <label>Silver</label>
            </value>
            <value>
                <fullName>Basic</fullName>
                <default>false</default>
                <label>Basic</label>
            </value>
            <value>
                <fullName>Service Master</fullName>
                <default>false</default>
                <label>Service Master</label>
            </value>
        </valueSetDefinition>
    </valueSet>
</CustomField>
"""
    )


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("Account.Weg__c", {"type": "Percent", "precision": 3, "scale": 0}),
        ("Account.Punkte__c", {"type": "Number", "precision": 16, "scale": 2}),
        ("Account.Seit__c", {"type": "Date"}),
        ("Account.Warum__c", {"type": "LongTextArea", "length": 32000, "visibleLines": 5}),
        ("Account.Luecke__c", {"type": "LongTextArea", "length": 4000, "visibleLines": 5}),
        ("Account.Vorlaeufig__c", {"type": "Checkbox", "defaultValue": "false"}),
        ("Account.Stufe_Vorher__c", {"type": "Text", "length": 80, "unique": False}),
        ("Account.Marke__c", {"type": "Text", "length": 64}),
        ("Account.Segmente__c", {"type": "MultiselectPicklist", "visibleLines": 4}),
        ("Stand__c.Schluessel__c",
         {"type": "Text", "length": 255, "externalId": True, "unique": True, "caseSensitive": True}),
        ("Stand__c.Firma__c",
         {"type": "MasterDetail", "referenceTo": "Account", "relationshipName": "Stands", "relationshipOrder": 0}),
        ("Ausnahme__c.Firma__c", {"type": "Lookup", "referenceTo": "Account", "deleteConstraint": "SetNull"}),
        ("Ausnahme__c.Freigabe__c", {"type": "Lookup", "referenceTo": "User"}),
    ],
)  # fmt: skip
def test_each_shape_becomes_a_field_of_its_type(empty: World, name: str, wanted: dict[str, Any]) -> None:
    found = body(empty.plan(), FIELD, name)
    assert {key: found.get(key) for key in wanted} == wanted
    assert found["description"].endswith(TAG)
    assert 0 < len(found["inlineHelpText"]) <= 510
    assert 0 < len(found["label"]) <= 40


def test_an_amount_becomes_a_currency_field() -> None:
    said = Said(Shape.MONEY, "Money.", whole=16, decimals=2)
    component = Component(FIELD, "Account.Sum__c", field_body(FieldNeed("Account", "Sum__c", said, 1)))
    assert problems(FIELD, xml_of(component)) == []
    assert (component.body["type"], component.body["precision"], component.body["scale"]) == ("Currency", 18, 2)


def test_a_child_object_belongs_to_the_account_and_numbers_its_records(empty: World) -> None:
    found = body(empty.plan(), OBJECT, "Stand__c")
    assert found["sharingModel"] == "ControlledByParent"
    assert found["nameField"] == {"displayFormat": "S-{000000}", "label": "Stand Number", "type": "AutoNumber"}
    assert len({found[name] for name in ("enableBulkApi", "enableSharing", "enableStreamingApi")}) == 1


def test_every_list_view_asks_for_fields_of_the_field_map_only(project: Path, tmp_path: Path) -> None:
    shipped = read_mapping(project / "config/connectors/salesforce.yaml")
    text = (project / "config/connectors/salesforce.yaml").read_text(encoding="utf-8")
    program = (project / "config/programs/channel.yaml").read_text(encoding="utf-8")
    plan = world(tmp_path, text, program, {}).plan()
    views = [one for one in plan.components if one.kind == LIST_VIEW]
    assert len(views) == len(VIEWS) == 8
    assert shipped.writes is not None
    written = {place.text for place in shipped.writes.fields.values()}
    asked = {test["field"] for view in views for test in view.body["filters"]}
    assert asked <= written
    assert {column for view in views for column in view.body["columns"]} - written == {
        "ACCOUNT.NAME",
        "CORE.USERS.ALIAS",
    }


def test_a_view_without_its_field_is_left_out_and_told(empty: World) -> None:
    plan = empty.plan()
    assert "Account.Crmsync_In_Grace" not in {one.name for one in plan.components}
    assert "list view Partners: in grace: left out: `writes: fields:` does not map `grace_until`" in texts(
        plan, Weight.TOLD
    )


# --- rights


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


# --- plans


def test_a_plan_after_its_own_deploy_is_empty(empty: World, full: Present) -> None:
    plan = empty.plan(full)
    assert plan.steps == ()
    assert plan.of(Weight.CANNOT) == plan.of(Weight.DRIFT) == ()
    assert {one.key for one in plan.kept} == {one.key for one in empty.plan().components}


def test_names_are_compared_without_regard_to_case(empty: World, full: Present) -> None:
    lowered = Present([Component(one.kind, one.name.lower(), one.body) for one in full if one.kind == FIELD])
    others = [one for one in full if one.kind != FIELD]
    assert empty.plan(Present([*lowered, *others])).steps == ()


def test_a_new_tier_grows_the_picklists_and_keeps_what_people_added(full: Present, tmp_path: Path) -> None:
    field = full.find(FIELD, "Account.Stufe__c")
    assert field is not None
    values = field.body["valueSet"]["valueSetDefinition"]["value"]
    own = [{"fullName": "Legend", "default": False, "label": "Legend"}]
    old = [{"fullName": "Bronze", "default": False, "label": "Bronze", "isActive": False}]
    present = with_field(full, "Account.Stufe__c", valueSet={
        "restricted": True, "valueSetDefinition": {"sorted": False, "value": [*own, *values, *old]},
    })  # fmt: skip
    program = (tmp_path / "channel.yaml").read_text(encoding="utf-8").replace("label: Gold,", "label: Platinum,")
    plan = world(tmp_path, program=program).plan(present)
    step = next(step for step in plan.steps if step.component.name == "Account.Stufe__c")
    assert (step.action, step.what) == (Action.WIDEN, ("values Platinum",))
    names = [one["fullName"] for one in step.component.body["valueSet"]["valueSetDefinition"]["value"]]
    assert names == ["Legend", "Gold", "Silver", "Basic", "Service Master", "Bronze", "Platinum"]
    assert step.component.body["valueSet"]["valueSetDefinition"]["value"][5]["isActive"] is False
    told = [text for text in texts(plan, Weight.TOLD) if "Account.Stufe__c" in text]
    assert told == ["field Account.Stufe__c: values that the program does not know stay active: Legend, Gold"]
    assert deployed(plan, present).find(FIELD, "Account.Stufe__c") == step.component
    assert world(tmp_path, program=program).plan(deployed(plan, present)).steps == ()


@pytest.mark.parametrize(
    ("name", "changes", "what", "becomes"),
    [
        ("Account.Marke__c", {"length": 20}, "length 20 -> 64", {"length": 64}),
        ("Account.Stufe_Vorher__c", {"length": 5}, "length 5 -> 14", {"length": 14}),
        ("Account.Warum__c", {"length": 4000}, "length 4000 -> 32000", {"length": 32000}),
        ("Account.Punkte__c", {"precision": 8, "scale": 0}, "digits 8.0 -> 14.2", {"precision": 16, "scale": 2}),
        ("Account.Weg__c", {"precision": 4, "scale": 2}, "digits 2.2 -> 3.2", {"precision": 5, "scale": 2}),
    ],
)  # fmt: skip
def test_what_is_too_small_is_widened(
    empty: World, full: Present, name: str, changes: dict[str, Any], what: str, becomes: dict[str, Any]
) -> None:
    plan = empty.plan(with_field(full, name, **changes))
    (step,) = plan.steps
    assert (step.action, step.component.name, step.what) == (Action.WIDEN, name, (what,))
    assert {key: step.component.body[key] for key in becomes} == becomes
    assert list(schema_problems(files_of(plan.components, "67.0"))) == []


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("Account.Marke__c", {"length": 255}),
        ("Account.Stufe_Vorher__c", {"length": 20}),
        ("Account.Warum__c", {"length": 131072}),
        ("Account.Punkte__c", {"precision": 18, "scale": 4}),
        ("Account.Seit__c", {"label": "Stufe seit", "trackHistory": True}),
    ],
)
def test_what_is_larger_or_renamed_stays(empty: World, full: Present, name: str, changes: dict[str, Any]) -> None:
    plan = empty.plan(with_field(full, name, **changes))
    assert (plan.steps, plan.of(Weight.DRIFT)) == ((), ())


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("Account.Weg__c", {"type": "Number"}),
        ("Account.Weg__c", {"type": "Currency", "precision": 18, "scale": 2}),
        ("Account.Stufe__c", {"type": "Text", "length": 80, "valueSet": None}),
        ("Account.Stufe__c", {"type": "LongTextArea", "length": 4000, "valueSet": None}),
        ("Account.Stufe_Vorher__c", {"type": "TextArea", "length": None}),
        ("Account.Segmente__c", {"type": "Text", "length": 255, "valueSet": None}),
        ("Stand__c.Firma__c", {"type": "Lookup"}),
    ],
)
def test_another_type_that_can_hold_the_value_is_left_and_told(
    empty: World, full: Present, name: str, changes: dict[str, Any]
) -> None:
    plan = empty.plan(with_field(full, name, **changes))
    assert [one.name for one in plan.components if one.kind == FIELD] == []
    assert plan.of(Weight.CANNOT) == ()
    assert f"field {name}: is {changes['type']}, which can hold it; left as it is" in texts(plan, Weight.TOLD)


@pytest.mark.parametrize(
    ("name", "changes", "words"),
    [
        ("Account.Seit__c", {"type": "DateTime"}, "is DateTime and cannot hold date"),
        ("Account.Seit__c", {"formula": "TODAY()"}, r"is a formula \(Date\) and cannot hold date"),
        ("Account.Stufe__c", {"type": "Checkbox"}, r"is Checkbox and cannot hold choice; .* line 21 .* to Picklist"),
        ("Account.Warum__c", {"type": "Html"}, "is Html and cannot hold long text"),
        ("Account.Punkte__c", {"precision": 18, "scale": 6}, "has 12 digits before and 6 behind the point"),
        ("Account.Stufe_Vorher__c", {"type": "Summary"}, "is Summary and cannot hold text"),
        ("Stand__c.Schluessel__c", {"unique": False}, "is no unique external id"),
        ("Stand__c.Schluessel__c", {"caseSensitive": False}, "treats ABC and abc as the same"),
    ],
)
def test_what_cannot_hold_the_value_stops_the_deploy_with_the_way_out(
    empty: World, full: Present, name: str, changes: dict[str, Any], words: str
) -> None:
    plan = empty.plan(with_field(full, name, **changes))
    (finding,) = plan.of(Weight.CANNOT)
    assert finding.about == f"field {name}"
    assert re.search(words, finding.text)
    assert name not in {one.name for one in plan.components}


def test_a_value_that_differs_in_case_only_cannot_be_added(empty: World, full: Present) -> None:
    values = [{"fullName": name, "default": False, "label": name} for name in ("gold", "Silver", "Basic")]
    changed = {"restricted": True, "valueSetDefinition": {"sorted": False, "value": values}}
    plan = empty.plan(with_field(full, "Account.Stufe__c", valueSet=changed))
    assert "field Account.Stufe__c: has the value `gold`, the program says `Gold`; write both alike" in texts(
        plan, Weight.CANNOT
    )


def test_an_inactive_value_and_an_edited_help_text_are_drift_that_stays(empty: World, full: Present) -> None:
    field = full.find(FIELD, "Account.Stufe__c")
    assert field is not None
    values = [dict(one) for one in field.body["valueSet"]["valueSetDefinition"]["value"]]
    values[0]["isActive"] = False
    changed = {"restricted": True, "valueSetDefinition": {"sorted": False, "value": values}}
    present = with_field(full, "Account.Stufe__c", valueSet=changed, inlineHelpText="Ask Anna")
    plan = empty.plan(present)
    assert plan.steps == ()
    assert texts(plan, Weight.DRIFT) == [
        "field Account.Stufe__c: its help text was edited: `Ask Anna`",
        "field Account.Stufe__c: value `Gold` is inactive; activate it in Setup, or rename it in the program",
    ]


def record_type(*values: str, active: bool = True, picklist: str = "Stufe__c") -> Component:
    listed = [{"fullName": value, "default": False} for value in values]
    entries = [{"picklist": picklist, "values": listed}] if listed else []
    named = {"fullName": "Partner", "active": active, "label": "Partner", "businessProcess": "Sales"}
    return Component(RECORD_TYPE, "Account.Partner", {**named, "picklistValues": entries})


def test_a_record_type_gets_the_values_that_its_records_will_hold(empty: World, full: Present) -> None:
    plan = empty.plan(Present([*full, record_type("Gold", "Legend")]))
    (step,) = plan.steps
    assert step.component.kind == RECORD_TYPE
    assert step.what[0].startswith("Stufe_Berechnet__c: Gold, Silver")
    assert "Stufe__c: Silver, Basic, Service Master" in step.what
    assert "Segmente__c: Reseller, Service & Support" in step.what
    entries = {one["picklist"]: [value["fullName"] for value in one["values"]]
               for one in step.component.body["picklistValues"]}  # fmt: skip
    assert entries["Stufe__c"] == ["Gold", "Legend", "Silver", "Basic", "Service Master"]
    assert entries["Segmente__c"] == ["Reseller", "Service %26 Support"]
    assert step.component.body["businessProcess"] == "Sales"
    assert list(schema_problems(files_of(plan.components, "67.0"))) == []
    assert empty.plan(deployed(plan, Present([*full, record_type("Gold")]))).steps == ()


def test_a_record_type_without_the_picklist_gets_all_of_its_active_values(empty: World, full: Present) -> None:
    field = full.find(FIELD, "Account.Stufe__c")
    assert field is not None
    values = [*field.body["valueSet"]["valueSetDefinition"]["value"], {"fullName": "Legend", "default": False}]
    changed = {"restricted": True, "valueSetDefinition": {"sorted": False, "value": values}}
    present = with_field(full, "Account.Stufe__c", valueSet=changed)
    (step,) = empty.plan(Present([*present, record_type()])).steps
    assert "Stufe__c: Gold, Silver, Basic, Service Master, Legend" in step.what


def test_a_record_type_that_is_not_in_use_is_left(empty: World, full: Present) -> None:
    assert empty.plan(Present([*full, record_type("Gold", active=False)])).steps == ()


def test_a_record_type_is_never_removed(full: Present) -> None:
    present = Present([*full, record_type("Gold")])
    assert "Account.Partner" not in {one.name for one in plan_removal(present, (), every=True).components}
    assert plan_removal(present, ("Account.Partner",), every=False).not_ours[0].kind == RECORD_TYPE


def test_a_global_value_set_is_never_changed(empty: World, full: Present) -> None:
    changed = {"restricted": True, "valueSetName": "Tiers"}
    plan = empty.plan(with_field(full, "Account.Stufe__c", valueSet=changed))
    assert plan.steps == ()
    (text,) = texts(plan, Weight.DRIFT)
    assert (
        "global value set Tiers, which deploy never changes; it must have: Gold, Silver, Basic, Service Master" in text
    )


def test_what_people_granted_stays_granted_and_is_told(empty: World, full: Present) -> None:
    held = full.find(PERMISSION_SET, RUN)
    assert held is not None
    fields = [
        *(one for one in held.body["fieldPermissions"] if one["field"] != "Account.Stufe__c"),
        {"editable": True, "field": "Opportunity.Secret__c", "readable": True},
    ]
    changed = Component(PERMISSION_SET, RUN, {**held.body, "fieldPermissions": fields})
    plan = empty.plan(Present([changed if one.key == held.key else one for one in full]))
    (step,) = plan.steps
    assert step.what == ("Account.Stufe__c (readable, editable)",)
    sent = {one["field"]: one["editable"] for one in step.component.body["fieldPermissions"]}
    assert sent["Opportunity.Secret__c"] is True
    assert sent["Account.Stufe__c"] is True
    assert texts(plan, Weight.DRIFT) == [
        f"permission set {RUN}: grants more than is needed: Opportunity.Secret__c (readable, editable)"
    ]


def test_filters_of_a_list_view_that_people_edited_are_left(empty: World, full: Present) -> None:
    view = full.find(LIST_VIEW, "Account.Crmsync_At_Risk")
    assert view is not None
    edited = Component(LIST_VIEW, view.name, {**view.body, "filters": [], "columns": ["ACCOUNT.NAME"]})
    plan = empty.plan(Present([edited if one.key == view.key else one for one in full]))
    assert plan.steps == ()
    assert texts(plan, Weight.DRIFT) == [
        "list view Account.Crmsync_At_Risk: its filters were edited; it is left as it is"
    ]


def test_a_field_with_two_uses_is_refused(tmp_path: Path) -> None:
    text = MAP.replace("reason: Grund__c", "reason: Art__c")
    with pytest.raises(ConfigError, match=r"salesforce\.yaml:16: Ausnahme__c\.Art__c is named twice"):
        _ = world(tmp_path, text).needs


# --- removal


def test_everything_that_is_ours_is_removed_from_the_leaves_to_the_objects(full: Present) -> None:
    removed = plan_removal(full, (), every=True).components
    kinds = [one.kind for one in removed]
    assert kinds == sorted(kinds, key=lambda kind: -ORDER.index(kind))
    assert {one.name for one in removed if one.kind == OBJECT} == {"Stand__c", "Wechsel__c", "Ausnahme__c"}
    assert not [one for one in removed if one.kind == FIELD and one.parent != "Account"]  # they go with their object
    files = removal(removed, "67.0")
    assert list(files) == [MANIFEST, DESTRUCTIVE]
    assert list(schema_problems(files)) == []


def test_what_people_made_is_refused(full: Present) -> None:
    own = Component(FIELD, "Account.Ours__c", {"fullName": "Ours__c", "type": "Text", "description": "by hand"})
    inside = Component(FIELD, "Stand__c.Note__c", {"fullName": "Note__c", "type": "Text"})
    present = Present([*full, own, inside])
    found = plan_removal(present, ("account.ours__c", "Account.Stufe__c", "Account.Gone__c"), every=False)
    assert [one.name for one in found.components] == ["Account.Stufe__c"]
    assert [one.name for one in found.not_ours] == ["Account.Ours__c"]
    assert found.unknown == ("Account.Gone__c",)
    every = plan_removal(present, (), every=True)
    assert [one.name for one in every.not_ours] == ["Stand__c"]
    assert not [one for one in every.components if "Ours__c" in one.name or one.name.startswith("Stand__c")]


def test_the_digest_of_a_removal_names_what_is_removed(full: Present) -> None:
    one = plan_removal(full, ("Account.Stufe__c",), every=False)
    other = plan_removal(full, ("Account.Weg__c",), every=False)
    assert one.digest == plan_removal(full, ("account.stufe__c",), every=False).digest
    assert one.digest != other.digest


# --- what was retrieved


def test_files_of_other_kinds_and_layouts_of_a_zip_are_passed_over() -> None:
    files = {"package.xml": b"<Package/>", "layouts/Account-Layout.layout": b"<Layout/>", "objects/Note.txt": b"x"}
    assert list(present_of(zipped(files))) == []


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"no zip", "a zip that cannot be read"),
        (zipped({"objects/Account.object": b"<CustomObject"}), "Account.object: line 1: is no XML"),
        (zipped({"objects/A.object": b'<!DOCTYPE x [<!ENTITY a "b">]><x>&a;</x>'}), "a DOCTYPE is not allowed"),
    ],
)
def test_a_zip_that_cannot_be_read_is_an_error(content: bytes, words: str) -> None:
    with pytest.raises(DataError, match=words):
        present_of(content)
