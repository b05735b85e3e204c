"""Searching by words."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.sandbox.orgs import Client, csv_text, plain, running, write_files

ACCOUNTS = [("Name", "Site", "Phone"), ("Acme Corp", "Berlin", "030 12345"), ("Acmes", "Paris", ""),
            ("Ångström GmbH", "acme street", ""), ("O'Neil (old)", "Berlin", "")]  # fmt: skip
CONTACTS = [("LastName", "Email"), ("Acme", "a@acme.example")]


@pytest.fixture(scope="module")
def org(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    files: dict[str, str | bytes] = {"Account.csv": csv_text(ACCOUNTS), "Contact.csv": csv_text(CONTACTS)}
    with running("--data", str(write_files(tmp_path_factory.mktemp("org"), files))) as client:
        yield client


def found(org: Client, sosl: str) -> list[Any]:
    answer = org.get("/search", params={"q": sosl})
    assert answer.status_code == 200, answer.text
    return [next(iter(plain(record).values())) for record in answer.json()["searchRecords"]]


@pytest.mark.parametrize(
    ("sosl", "names"),
    [
        ("FIND {acme} RETURNING Account(Name)", ["Acme Corp", "Ångström GmbH"]),
        ("FIND {acme*} IN NAME FIELDS RETURNING Account(Name ORDER BY Name DESC)", ["Acmes", "Acme Corp"]),
        ("find {ÅNGSTRÖM} in all fields returning Account(Name)", ["Ångström GmbH"]),
        ('FIND {"Acme Corp" OR Paris} RETURNING Account(Name LIMIT 1)', ["Acme Corp"]),
        ("FIND {Berlin AND O'Neil} RETURNING Account(Name)", ["O'Neil (old)"]),
        ("FIND {berlin} RETURNING Account(Name WHERE Name LIKE 'A%' AND (Site = 'Berlin'))", ["Acme Corp"]),
        ("FIND {12345} IN PHONE FIELDS RETURNING Account(Name)", ["Acme Corp"]),
        ("FIND {acme} IN EMAIL FIELDS RETURNING Account(Name), Contact(LastName)", ["Acme"]),
        ("FIND {acme} RETURNING Contact(LastName), Account(Name) LIMIT 2", ["Acme", "Acme Corp"]),
        ("FIND {nothing}", []),
    ],
)
def test_words_are_found(org: Client, sosl: str, names: list[str]) -> None:
    assert found(org, sosl) == names


def test_without_objects_all_of_them_are_searched(org: Client) -> None:
    answer = org.get("/search", params={"q": "FIND {Acme} IN NAME FIELDS"}).json()["searchRecords"]
    assert [record["attributes"]["type"] for record in answer] == ["Account", "Contact"]


@pytest.mark.parametrize(
    ("sosl", "code"),
    [("acme", "MALFORMED_SEARCH"), ("FIND {}", "MALFORMED_SEARCH"), ("FIND {a} ORDER", "MALFORMED_SEARCH"),
     ("FIND {a} RETURNING Account(Name", "MALFORMED_SEARCH"), ("FIND {a} RETURNING Nope(Id)", "INVALID_TYPE"),
     ("FIND {acme} RETURNING Account(Nope)", "INVALID_FIELD"), ("FIND {a} RETURNING", "MALFORMED_SEARCH")],
)  # fmt: skip
def test_a_wrong_search_is_refused(org: Client, sosl: str, code: str) -> None:
    answer = org.get("/search", params={"q": sosl})
    assert (answer.status_code, answer.json()[0]["errorCode"]) == (400, code)
