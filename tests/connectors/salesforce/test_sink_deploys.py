"""What the sinks of a field map need of an org: fields, rights, and what a plan says where a feature is not there."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from crmsync.connectors.salesforce.metadata.components import FIELD, PERMISSION_SET
from crmsync.connectors.salesforce.metadata.plan import Weight
from tests.connectors.salesforce.deploys import MAP, ORG, World, deployed, with_field, world

SINKS = """\
  sinks:
    risk_task: {key: Risiko__c}
    contact_badges: {badges: Zertifikate__c}
    channel_program_member: {program: Welt}
"""
STANDARD = ("WhatId", "Subject", "ActivityDate", "Description", "OwnerId")
CHANNEL: Mapping[str, Mapping[str, Mapping[str, Any]]] = {
    "Task": {name: {"permissionable": False} for name in STANDARD},
    "Contact": {"Id": {}, "AccountId": {"permissionable": True}},
    "ChannelProgram": {"Id": {}, "Name": {}},
    "ChannelProgramLevel": {
        "Id": {}, "Name": {},
        "ProgramId": {"permissionable": False, "relationship": "Program", "reference_to": ("ChannelProgram",)},
    },
    "ChannelProgramMember": {
        "Id": {}, "LevelId": {}, "PartnerId": {"permissionable": False},
        "ProgramId": {"permissionable": False, "relationship": "Program", "reference_to": ("ChannelProgram",)},
    },
}  # fmt: skip


@pytest.fixture
def sinks(tmp_path: Path) -> World:
    return world(tmp_path, MAP + SINKS, org={**ORG, **CHANNEL})


def test_a_task_has_its_key_from_activities_and_a_contact_its_badges_as_text(sinks: World) -> None:
    steps = {step.component.name: step.component.body for step in sinks.plan().steps if step.component.kind == FIELD}
    key, badges = steps["Activity.Risiko__c"], steps["Contact.Zertifikate__c"]
    assert (key["type"], key["externalId"], key["unique"], key["length"]) == ("Text", True, True, 255)
    assert (badges["type"], badges["length"]) == ("Text", 255)
    assert not any(name.startswith(("Task.", "Channel")) for name in steps)
    assert sinks.plan(deployed(sinks.plan())).steps == ()


def test_the_run_user_may_write_what_the_sinks_write_and_no_more(sinks: World) -> None:
    found = {
        one.component.name: one.component.body for one in sinks.plan().steps if one.component.kind == PERMISSION_SET
    }
    run = found["Crmsync_Run"]
    rights = {one["object"]: one for one in run["objectPermissions"]}
    fields = {one["field"]: one["editable"] for one in run["fieldPermissions"]}
    assert {one["name"] for one in run["userPermissions"]} == {"ApiEnabled", "ActivitiesAccess", "EditTask"}
    assert "Task" not in rights  # opened by the permissions of a user
    for name, edit in (("Contact", True), ("ChannelProgramMember", True), ("ChannelProgramLevel", False)):
        assert (rights[name]["allowRead"], rights[name]["allowEdit"], rights[name]["allowCreate"]) == (
            True,
            edit,
            False,
        )
    assert fields["Task.Risiko__c"]
    assert fields["Contact.Zertifikate__c"]
    assert fields["ChannelProgramMember.LevelId"]
    assert not fields["Contact.AccountId"]
    view = {one["field"]: one["editable"] for one in found["Crmsync_View"]["fieldPermissions"]}
    assert view["Contact.Zertifikate__c"] is False


def test_without_sinks_nothing_of_them_is_asked_for(empty: World) -> None:
    run = next(one.component.body for one in empty.plan().steps if one.component.name == "Crmsync_Run")
    assert {one["name"] for one in run["userPermissions"]} == {"ApiEnabled"}
    assert "Contact" not in {one["object"] for one in run["objectPermissions"]}


def test_an_org_without_channel_programs_is_told_with_the_line(tmp_path: Path) -> None:
    without = world(tmp_path, MAP + SINKS, org={**ORG, **{name: CHANNEL[name] for name in ("Task", "Contact")}})
    found = [one for one in without.plan().of(Weight.DRIFT) if one.about.startswith("ChannelProgramMember")]
    assert found
    assert all("switch them on in Setup" in one.text for one in found)
    assert {one.line for one in found} == {
        (MAP + SINKS).splitlines().index("    channel_program_member: {program: Welt}") + 1
    }


@pytest.mark.parametrize("kind", ["MultiselectPicklist", "LongTextArea"])
def test_badges_that_people_made_otherwise_are_left(sinks: World, kind: str) -> None:
    present = with_field(deployed(sinks.plan()), "Contact.Zertifikate__c", type=kind, length=4000)
    planned = sinks.plan(present)
    assert planned.steps == ()
    assert planned.of(Weight.CANNOT) == ()
