"""The schema is what `schema.yaml` would say, and the shipped field map names only what exists."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from crmsync.connectors.mapping import MANAGED, SalesforceMapping, read_mapping
from crmsync.connectors.mapping_writes import HISTORY, STANDING
from crmsync.sandbox.company import make_company
from crmsync.sandbox.company.schema import ALL_TIERS, company_schema
from tests.company.conftest import TODAY, Objects

OBJECTS: dict[str, dict[str, Any]] = company_schema()["objects"]
FIELDS = [(name, field, spec) for name, one in OBJECTS.items() for field, spec in one["fields"].items()]
NEEDED = {
    "Text": {"length"},
    "LongTextArea": {"length", "visibleLines"},
    "Number": {"precision", "scale"},
    "Checkbox": {"defaultValue"},
    "Date": set(),
    "Picklist": {"valueSet"},
    "MultiselectPicklist": {"valueSet", "visibleLines"},
    "Lookup": {"referenceTo", "relationshipName"},
    "MasterDetail": {"referenceTo", "relationshipName", "relationshipOrder"},
}
STANDARD = {
    "Account": {"Id", "Name", "ParentId", "BillingCountryCode", "OwnerId", "CurrencyIsoCode", "AccountNumber"},
    "Opportunity": {
        "Id", "Name", "StageName", "Type", "IsClosed", "IsWon", "Amount", "CurrencyIsoCode", "AccountId", "CloseDate",
        "CreatedDate",
    },
    "DatedConversionRate": {"IsoCode", "StartDate", "ConversionRate"},
    "User": {"Username"},
    "Contact": {"Name"},
}  # fmt: skip


@pytest.mark.parametrize(("name", "field", "spec"), FIELDS, ids=[f"{name}.{field}" for name, field, _ in FIELDS])
def test_every_field_has_what_its_type_needs(name: str, field: str, spec: dict[str, Any]) -> None:
    assert field.endswith("__c"), name
    assert len(field) <= 43
    assert 0 < len(spec["label"]) <= 40
    assert NEEDED[spec["type"]] <= set(spec)
    if spec["type"] in ("Lookup", "MasterDetail"):
        assert spec["referenceTo"] in {*OBJECTS, "Account", "Contact", "User"}


def test_picklists_that_hold_tiers_know_every_label_of_the_shipped_program(project: Path) -> None:
    text = (project / "config/programs/channel.yaml").read_text(encoding="utf-8")
    assert all(f"label: {label}" in text for label in ALL_TIERS)


def _mapping(project: Path) -> SalesforceMapping:
    return read_mapping(project / "config/connectors/salesforce.yaml")


def _paths(mapping: SalesforceMapping) -> Iterator[tuple[str, str]]:
    for table in mapping.tables.values():
        yield from ((table.object.text, place.text) for place in table.columns.values())
        yield from ((table.object.text, credited.partner.text) for credited in table.partners)


def _exists(name: str, path: str) -> bool:
    first, dot, rest = path.partition(".")
    fields = OBJECTS.get(name, {"fields": {}})["fields"]
    if dot:
        return _exists(fields[first.replace("__r", "__c")]["referenceTo"], rest)
    return first in fields or first in STANDARD.get(name, {"Id"})


def test_the_field_map_names_only_fields_of_the_company(project: Path) -> None:
    missing = [(name, path) for name, path in _paths(_mapping(project)) if path != "Id" and not _exists(name, path)]
    assert missing == []


def test_the_field_map_writes_every_computed_value_into_a_field_of_the_account(project: Path) -> None:
    writes = _mapping(project).writes
    assert writes is not None
    assert set(writes.fields) == set(MANAGED)
    targets = [place.text for place in writes.fields.values()] + [writes.token.text]
    assert all(target in OBJECTS["Account"]["fields"] for target in targets)


def test_the_field_map_names_only_fields_of_the_company_for_what_is_written_beside_the_account(project: Path) -> None:
    writes = _mapping(project).writes
    assert writes is not None
    assert writes.standings is not None
    assert writes.history is not None
    assert set(writes.standings.fields) == set(STANDING)
    assert set(writes.history.fields) == set(HISTORY)
    beside = [*writes.people.values(), *writes.partner_safe.values()]
    assert [place.text for place in beside if place.text not in OBJECTS["Account"]["fields"]] == []
    for child in (writes.standings, writes.history):
        fields = OBJECTS[child.object.text]["fields"]
        assert [place.text for place in child.all_fields if place.text not in fields] == []
        assert fields[child.partner.text]["referenceTo"] == "Account"
        assert fields[child.key.text]["externalId"]


def test_values_of_restricted_picklists_are_among_those_declared(company: Objects) -> None:
    for name, field, spec in FIELDS:
        if not spec.get("valueSet", {}).get("restricted") or field not in company.get(name, [{}])[0]:
            continue
        known = {value["fullName"] for value in spec["valueSet"]["valueSetDefinition"]["value"]}
        used = {value for row in company[name] for value in (row[field] or "").split(";") if value}
        assert used <= known, field


def test_texts_fit_their_fields(company: Objects) -> None:
    for name, field, spec in FIELDS:
        if "length" in spec and field in company.get(name, [{}])[0]:
            assert max((len(row[field] or "") for row in company[name]), default=0) <= spec["length"], field


def test_every_custom_column_is_in_the_schema() -> None:
    for name, rows in make_company(3, 1, TODAY).objects.items():
        custom = [column for column in rows.columns if column.endswith("__c") and "." not in column]
        assert all(column in OBJECTS[name]["fields"] for column in custom), name


def test_account_names_fit_the_standard_field(company: Objects) -> None:
    assert max(len(account["Name"] or "") for account in company["Account"]) <= 255
    assert max(len(deal["Name"] or "") for deal in company["Opportunity"]) <= 120
