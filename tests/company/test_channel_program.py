"""The shipped program and the company belong together: same labels, same keys, the columns that the map delivers."""

from __future__ import annotations

from pathlib import Path

import pytest

from crmsync.connectors.mapping import read_mapping
from crmsync.programs.loading import load_program
from crmsync.programs.program import FromField, Program
from crmsync.sandbox.company.schema import ALL_TIERS, CATEGORIES, OLD_TIERS
from tests.company.conftest import Objects


@pytest.fixture(scope="module")
def program(project: Path) -> Program:
    """The channel program."""
    return load_program(project / "config/programs/channel.yaml")


def test_every_metric_and_category_says_what_it_means(program: Program) -> None:
    assert all(metric.label and metric.means for metric in program.metrics.values())
    assert all(category.label and category.means for category in program.categories.values())


def test_tier_and_category_labels_are_the_picklist_values(program: Program) -> None:
    labels = {tier.label for ladder in program.ladders.values() for tier in ladder.tiers}
    assert labels == set(ALL_TIERS)
    assert [category.label for category in program.categories.values()] == list(CATEGORIES)


def test_old_hand_kept_tiers_are_mapped_to_tiers_of_the_first_ladder(program: Program) -> None:
    assert program.starts_from is not None
    assert set(program.starts_from.values) == set(OLD_TIERS)
    assert set(program.starts_from.values.values()) <= {tier.key for tier in program.ladders["resale"].tiers}


def test_fields_of_partners_are_delivered_by_the_field_map(program: Program, project: Path) -> None:
    columns = read_mapping(project / "config/connectors/salesforce.yaml").tables["partners"].columns
    fields = {metric.source.column for metric in program.metrics.values() if isinstance(metric.source, FromField)}
    starts = {one.starts_from.column for one in program.categories.values() if one.starts_from}
    assert fields | starts | {"current_tier", "declared_categories"} <= set(columns)


def test_pins_of_the_company_name_tiers_and_categories_of_the_program(program: Program, company: Objects) -> None:
    for pin in company["Partner_Override__c"]:
        tiers = {tier.key for tier in program.ladder_of(pin["Category__c"] or "").tiers}
        assert pin["Tier__c"] in tiers
