"""Removal of what a deploy made, and what is read out of a retrieved zip."""

from __future__ import annotations

import pytest

from crmsync.connectors.salesforce.metadata.components import (
    FIELD,
    OBJECT,
    ORDER,
    Component,
)
from crmsync.connectors.salesforce.metadata.packages import (
    DESTRUCTIVE,
    MANIFEST,
    removal,
    schema_problems,
    zipped,
)
from crmsync.connectors.salesforce.metadata.plan import plan_removal
from crmsync.connectors.salesforce.metadata.retrieved import Present, present_of
from crmsync.errors import DataError


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
