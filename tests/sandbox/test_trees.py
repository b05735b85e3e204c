"""Record trees: parents with their children in one call."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.sandbox.orgs import Client, running


@pytest.fixture(scope="module")
def org() -> Iterator[Client]:
    with running() as client:
        yield client


def record(kind: str, reference: str, **values: Any) -> dict[str, Any]:
    return {"attributes": {"type": kind, "referenceId": reference}, **values}


def plant(org: Client, *records: Any) -> tuple[int, Any]:
    answer = org.call("POST", "/composite/tree/Account/", json={"records": list(records)})
    return answer.status_code, answer.json()


def test_children_are_made_below_their_parents(org: Client) -> None:
    contacts = {"records": [record("Contact", "c1", LastName="Ada"), record("Contact", "c2", LastName="Bob")]}
    status, body = plant(
        org, record("Account", "a1", Name="Tree", Contacts=contacts), record("Account", "a2", Name="X")
    )
    assert (status, body["hasErrors"]) == (201, False)
    assert [entry["referenceId"] for entry in body["results"]] == ["a1", "c1", "c2", "a2"]
    assert org.names("SELECT LastName FROM Contact WHERE Account.Name = 'Tree' ORDER BY LastName") == ["Ada", "Bob"]


def test_one_refusal_undoes_the_whole_tree(org: Client) -> None:
    contacts = {"records": [record("Contact", "c1", FirstName="No last name")]}
    status, body = plant(org, record("Account", "a1", Name="Undone", Contacts=contacts))
    assert (status, body["hasErrors"], body["results"][0]["referenceId"]) == (400, True, "c1")
    assert body["results"][0]["errors"][0]["statusCode"] == "REQUIRED_FIELD_MISSING"
    assert org.query("SELECT COUNT() FROM Account WHERE Name = 'Undone'").json()["totalSize"] == 0


@pytest.mark.parametrize(
    ("records", "code"),
    [
        ([], "INVALID_INPUT"),
        (["x"], "INVALID_INPUT"),
        ([{"Name": "A"}], "INVALID_INPUT"),
        ([record("Contact", "a", LastName="A")], "INVALID_INPUT"),
        ([record("Account", "a", Name="A"), record("Account", "a", Name="B")], "INVALID_INPUT"),
        ([record("Account", "a", Name="A", Nopes={"records": []})], "INVALID_FIELD"),
        ([record("Account", f"a{number}", Name="Many") for number in range(201)], "INVALID_INPUT"),
    ],
)
def test_a_wrong_tree_is_refused(org: Client, records: list[Any], code: str) -> None:
    status, body = plant(org, *records)
    assert (status, body[0]["errorCode"]) == (400, code)
    assert org.query("SELECT COUNT() FROM Account WHERE Name = 'Many'").json()["totalSize"] == 0
