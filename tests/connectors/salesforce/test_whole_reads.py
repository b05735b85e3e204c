"""Which queries can be read by their changes, and which must be read whole because no stamp tells of a change."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from crmsync.connectors.salesforce.parts import Part
from crmsync.connectors.salesforce.table_plan import plan_table
from crmsync.errors import ConfigError
from tests.connectors.salesforce.wire import ACCOUNT, Wire, entry, ok, open_connector

STAMPED = [entry("SystemModstamp", "datetime"), entry("IsDeleted", "boolean")]
OWNER = entry("OwnerId", "reference", referenceTo=["Group", "User"], relationshipName="Owner")
MADE = entry("CreatedById", "reference", referenceTo=["User"], relationshipName="CreatedBy")
FORMULA = entry("Score__c", "double", calculated=True)
TYPE_ID = entry("RecordTypeId", "reference", referenceTo=["RecordType"], relationshipName="RecordType")
TYPES = [
    {"recordTypeId": "012000000000000AAA", "name": "Master", "developerName": "Master", "master": True},
    {"recordTypeId": "012000000000001AAA", "name": "Partner", "developerName": "Partner_Account", "master": False},
]
NAMED = [entry("Id", "id"), entry("Name"), entry("DeveloperName")]


def planned(wire: Wire, folder: Path, columns: str, where: str = "", *, stamped: bool = True) -> Part:
    """The query of partners with these columns and filter."""
    fields = [*ACCOUNT, OWNER, MADE, FORMULA, TYPE_ID, *(STAMPED if stamped else [])]
    described: dict[str, Any] = {"name": "Account", "label": "Account", "fields": fields, "recordTypeInfos": TYPES}
    wire.on("GET", ".*/sobjects/Account/describe", ok(described))
    wire.describe("User", [*NAMED, *STAMPED])
    wire.describe("RecordType", [*NAMED, *STAMPED])
    wire.describe("Group", NAMED)
    line = f"    filter: {where}\n" if where else ""
    text = f"tables:\n  partners:\n    object: Account\n{line}    columns: {{partner_id: Id{columns}}}\n"
    connector = open_connector(folder, text).connector
    plan = plan_table(connector.mapping, "partners", connector.describe, "UTC", with_current=False)
    assert plan is not None
    return plan.part


@pytest.mark.parametrize(
    ("columns", "where", "why"),
    [
        (", name: Name", "", ""),
        (", made_by: CreatedBy.Name", "", ""),
        (", parent: Parent.Parent.Name", "", ""),
        ("", "\"Type = 'Partner'\"", ""),
        (", score: Score__c", "", "Account.Score__c is a formula or roll-up"),
        (", score: Parent.Score__c", "", "Account.Score__c is a formula or roll-up"),
        ("", '"Score__c > 5"', "Account.Score__c is a formula or roll-up"),
        ("", '"Partner_Since__c >= LAST_N_YEARS:3"', "its filter moves with the calendar"),
        (", owner: Owner.Name", "", "Owner.Name may lead to records of several objects"),
    ],
)
def test_changes_are_asked_for_only_where_a_stamp_tells_of_them(
    wire: Wire, tmp_path: Path, columns: str, where: str, why: str
) -> None:
    assert planned(wire, tmp_path, columns, where).whole.startswith(why)
    assert bool(planned(wire, tmp_path, columns, where).whole) == bool(why)


def test_an_object_without_stamps_is_read_whole(wire: Wire, tmp_path: Path) -> None:
    assert planned(wire, tmp_path, "", stamped=False).whole == "it has no SystemModstamp"


def test_a_lookup_that_is_followed_counts_as_a_change(wire: Wire, tmp_path: Path) -> None:
    part = planned(wire, tmp_path, ", up: Parent.Parent.Name", "\"Type = 'Partner' OR CreatedBy.Name = 'A'\"")
    assert part.changed_soql("2026-01-01T00:00:00Z").partition(" WHERE ")[2] == (
        "(Type = 'Partner' OR CreatedBy.Name = 'A') AND (SystemModstamp >= 2026-01-01T00:00:00Z"
        " OR Parent.SystemModstamp >= 2026-01-01T00:00:00Z OR Parent.Parent.SystemModstamp >= 2026-01-01T00:00:00Z"
        " OR CreatedBy.SystemModstamp >= 2026-01-01T00:00:00Z)"
    )


def test_a_field_of_another_type_is_another_query(wire: Wire, tmp_path: Path) -> None:
    before = planned(wire, tmp_path, ", name: Name").digest
    assert planned(wire, tmp_path, ", name: Name").digest == before
    assert planned(wire, tmp_path, ", name: Type").digest != before
    assert planned(wire, tmp_path, ", name: Name", "\"Type = 'Partner'\"").digest != before


def test_partners_by_record_type(wire: Wire, tmp_path: Path) -> None:
    part = planned(wire, tmp_path, "", "\"RecordType.DeveloperName = 'Partner_Account'\"")
    assert part.condition == "RecordType.DeveloperName = 'Partner_Account'"


@pytest.mark.parametrize("name", ["Partner_Acount", "Master"])
def test_a_record_type_that_does_not_exist_is_told(wire: Wire, tmp_path: Path, name: str) -> None:
    told = f"Account has no record type `{name}`.*Partner_Account"
    with pytest.raises(ConfigError, match=told):
        planned(wire, tmp_path, "", f"\"RecordType.DeveloperName IN ('Partner_Account', '{name}')\"")
