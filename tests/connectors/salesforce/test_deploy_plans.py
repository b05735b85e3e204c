"""Plans of a deploy: nothing is done twice, only added or widened; what people made stays and is told."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from crmsync.connectors.salesforce.metadata.components import (
    FIELD,
    LIST_VIEW,
    PERMISSION_SET,
    RECORD_TYPE,
    Component,
)
from crmsync.connectors.salesforce.metadata.packages import (
    files_of,
    schema_problems,
)
from crmsync.connectors.salesforce.metadata.permissions import RUN
from crmsync.connectors.salesforce.metadata.plan import Action, Weight, plan_removal
from crmsync.connectors.salesforce.metadata.retrieved import Present
from crmsync.errors import ConfigError
from tests.connectors.salesforce.deploys import MAP, World, deployed, texts, with_field, world


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
