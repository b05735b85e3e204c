"""The sandbox org takes the company as it is: every object, column and length."""

from __future__ import annotations

import pytest

from crmsync.sandbox.company.schema import company_schema
from crmsync.sandbox.schema import Field, Schema, SObject
from crmsync.sandbox.schema_file import make_schema
from crmsync.sandbox.standard import Features
from tests.company.conftest import Objects


@pytest.fixture(scope="module")
def org() -> Schema:
    """The objects and fields of an org with dated exchange rates and the company's schema."""
    return make_schema(company_schema(), Features(multi_currency=True, dated_rates=True))


def _object(org: Schema, name: str) -> SObject:
    found = org.find(name)
    assert found is not None, name
    return found


def _field(org: Schema, name: str, column: str) -> Field:
    """The field that a column is loaded into; a relationship must end in an external id of its target."""
    relation, dot, key = column.partition(".")
    sobject = _object(org, name)
    if not dot:
        found = sobject.field(column)
        assert found is not None, f"{name}.{column}"
        return found
    lookup = next(field for field in sobject.fields if field.relationship == relation)
    target = _object(org, lookup.reference_to[0]).field(key)
    assert target is not None
    assert target.external_id
    return target


def test_every_column_is_a_field_of_the_org_and_every_text_fits(org: Schema, company: Objects) -> None:
    for name, records in company.items():
        for column in records[0]:
            field = _field(org, name, column)
            longest = max(len(record[column] or "") for record in records)
            assert not field.length or longest <= field.length, f"{name}.{column}"


def test_no_required_field_is_empty(org: Schema, company: Objects) -> None:
    for name, records in company.items():
        for column in records[0]:
            if "." not in column and not _field(org, name, column).nillable:
                assert all(record[column] for record in records), f"{name}.{column}"
