"""What a deploy makes: every file fits Salesforce's own schema, every shape becomes a field of its type."""

from __future__ import annotations

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
    RECORD_TYPE,
    TAG,
    Component,
    xml_of,
)
from crmsync.connectors.salesforce.metadata.fields import FieldNeed, field_body
from crmsync.connectors.salesforce.metadata.packages import (
    files_of,
    schema_problems,
    zipped,
)
from crmsync.connectors.salesforce.metadata.plan import Weight
from crmsync.connectors.salesforce.metadata.views import VIEWS
from crmsync.metadata_schema import problems
from tests.connectors.salesforce.deploys import World, body, texts, world


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
    every = [one for one in plan.components if one.kind == LIST_VIEW]
    views = [one for one in every if one.parent == "Account"]
    assert len(views) == len(VIEWS) == 8
    assert [one.name for one in every if one not in views] == ["Partner_Tier_Plan__c.Crmsync_Waiting_Plans"]
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
