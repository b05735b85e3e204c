"""The schema of a running org changes with its tables, and a restart knows it."""

from __future__ import annotations

from collections.abc import Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest

from crmsync.sandbox.furnishing import open_org
from crmsync.sandbox.org import Options, Org
from crmsync.sandbox.queries import first_page
from crmsync.sandbox.schema_file import SchemaError

SCHEMA: dict[str, Any] = {
    "objects": {
        "Account": {"fields": {"Score__c": {"type": "Number", "precision": 8, "scale": 2}, "Old__c": {"type": "Text"}}},
        "First__c": {},
        "Second__c": {"fields": {"Key__c": {"type": "Text", "externalId": True, "unique": True}}},
    }
}


def change_schema(org: Org, definition: dict[str, Any]) -> None:
    """The org with the objects and fields of this definition from now on, as a deploy changes it."""
    org.show_schema(*org.reshape(definition))


@pytest.fixture
def org(tmp_path: Path) -> Iterator[Org]:
    org = open_org(Options(state=tmp_path / "org.sqlite"))
    change_schema(org, SCHEMA)
    yield org
    org.store.close()


def create(org: Org, name: str, **values: Any) -> str:
    sobject = org.schema.find(name)
    assert sobject is not None
    with org.rows() as rows:
        return rows.create(sobject, values)


def read(org: Org, soql: str) -> list[dict[str, Any]]:
    return [
        {name: value for name, value in record.items() if name != "attributes"}
        for record in first_page(org, soql, "/services/data/v67.0")["records"]
    ]


def test_new_objects_and_fields_take_rows_at_once(org: Org) -> None:
    create(org, "Second__c", Key__c="a")
    assert read(org, "SELECT Key__c FROM Second__c") == [{"Key__c": "a"}]


def test_removed_fields_go_with_their_values_and_prefixes_stay(org: Org) -> None:
    made = create(org, "Second__c", Key__c="a")
    create(org, "Account", Name="Acme", Old__c="gone")
    changed = deepcopy(SCHEMA)
    del changed["objects"]["First__c"]
    del changed["objects"]["Account"]["fields"]["Old__c"]
    change_schema(org, changed)
    assert org.schema.find("First__c") is None
    assert org.schema.of_id(made) is org.schema.find("Second__c")
    change_schema(org, SCHEMA)
    assert read(org, "SELECT Old__c FROM Account") == [{"Old__c": None}]


@pytest.mark.parametrize(("scale", "shown"), [(4, 12.35), (1, 12.4)])
def test_numbers_keep_their_value_when_their_places_change(org: Org, scale: int, shown: float) -> None:
    create(org, "Account", Name="Acme", Score__c="12.35")
    changed = deepcopy(SCHEMA)
    changed["objects"]["Account"]["fields"]["Score__c"]["scale"] = scale
    change_schema(org, changed)
    assert read(org, "SELECT Score__c FROM Account") == [{"Score__c": shown}]


def test_a_wrong_definition_changes_nothing(org: Org) -> None:
    before = org.schema
    with pytest.raises(SchemaError, match="referenceTo Nowhere__c is no object"):
        change_schema(org, {"objects": {"X__c": {"fields": {"Y__c": {"type": "Lookup", "referenceTo": "Nowhere__c"}}}}})
    assert org.schema is before


def test_a_restart_knows_the_changed_schema(org: Org) -> None:
    create(org, "Second__c", Key__c="a")
    prefix = org.schema.find("Second__c").prefix  # type: ignore[union-attr]
    changed = deepcopy(SCHEMA)
    del changed["objects"]["First__c"]
    change_schema(org, changed)
    again = open_org(org.options)
    try:
        assert again.schema.find("Second__c").prefix == prefix  # type: ignore[union-attr]
        assert read(again, "SELECT Key__c FROM Second__c") == [{"Key__c": "a"}]
    finally:
        again.store.close()
