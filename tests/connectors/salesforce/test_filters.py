"""A filter is parsed, checked against describe and rendered anew; what is sent is never the admin's text."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from crmsync.connectors.salesforce.describe import Describe
from crmsync.connectors.salesforce.soql import checked_filter, quoted
from crmsync.errors import ConfigError
from tests.connectors.salesforce.wire import Wire, entry, open_connector


@pytest.fixture
def describe(wire: Wire, tmp_path: Path) -> Describe:
    """The described org."""
    wire.describe(
        "Account",
        [
            entry("Id", "id"),
            entry("Name"),
            entry("Type", "picklist"),
            entry("Rating__c", "double"),
            entry("Active__c", "boolean"),
            entry("Since__c", "date"),
            entry("CreatedDate", "datetime"),
            entry("Segments__c", "multipicklist"),
            entry("Notes__c", "textarea"),
            entry("BillingAddress", "address"),
            entry("OwnerId", "reference", referenceTo=["Group", "User"], relationshipName="Owner"),
        ],
    )
    wire.describe("User", [entry("Id", "id"), entry("Username")])
    return open_connector(tmp_path).connector.describe


@pytest.mark.parametrize(
    ("text", "sent"),
    [
        ("Type = 'Partner'", "Type = 'Partner'"),
        ("type='Partner'and name like 'A%'", "Type = 'Partner' AND Name LIKE 'A%'"),
        (
            "(Type = 'A' OR Type = 'B') AND NOT Active__c = false",
            "(Type = 'A' OR Type = 'B') AND (NOT Active__c = false)",
        ),
        ("Type in ('A', 'B')", "Type IN ('A', 'B')"),
        ("Type not in ('A')", "Type NOT IN ('A')"),
        ("Type <> null", "Type != null"),
        ("Rating__c >= -1.50", "Rating__c >= -1.50"),
        ("Since__c = 2026-01-31", "Since__c = 2026-01-31"),
        ("Since__c >= last_n_days:365", "Since__c >= LAST_N_DAYS:365"),
        ("CreatedDate > 2026-01-31T00:00:00Z", "CreatedDate > 2026-01-31T00:00:00Z"),
        ("CreatedDate > 2026-01-31T00:00:00.000+01:00", "CreatedDate > 2026-01-31T00:00:00.000+01:00"),
        ("Segments__c includes ('A;B', 'C')", "Segments__c INCLUDES ('A;B', 'C')"),
        ("owner.username = 'sync@acme.example'", "Owner.Username = 'sync@acme.example'"),
        (r"Name = 'O\'Brien \\ Söhne'", r"Name = 'O\'Brien \\ Söhne'"),
        (r"Name LIKE '100\%\_%'", r"Name LIKE '100\%\_%'"),
        (r"Name = 'a\nb'", r"Name = 'a\nb'"),
        ("  Name = ''  ", "Name = ''"),
    ],
)
def test_a_good_filter_is_rendered_in_the_orgs_spelling(describe: Describe, text: str, sent: str) -> None:
    assert checked_filter(text, describe, "Account", "map.yaml", 7) == sent


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Typ = 'Partner'", r"field Account\.Typ does not exist .*did you mean Type"),
        ("Owner.Nam = 'x'", r"field User\.Nam does not exist"),
        ("Boss.Name = 'x'", "no relationship Boss"),
        ("Type = Partner", "`Partner` is not; put it in single quotes"),
        ('Type = "Partner"', "cannot be read from"),
        ("Type = 'Partner' --", "cannot be read from `--`"),
        ("Type = 'Partner'; DELETE", "cannot be read from `; DELETE`"),
        ("Type = 'Partner' LIMIT 1", "`LIMIT` is not expected here"),
        ("Type = 'A' AND Name = 'B' OR Name = 'C'", "may not be mixed without parentheses"),
        ("Type = 'Partner", "cannot be read from"),
        ("Type = 'Partner\\'", "cannot be read from"),
        ("Type = '\\x'", r"`\\x` is not an escape"),
        ("Type", "a comparison is missing at the end"),
        ("Type =", "a value is missing at the end"),
        ("(Type = 'A'", r"`\)` is missing at the end"),
        ("Type = 'A')", r"`\)` is not expected here"),
        ("", "a field is missing at the end"),
        ("'A' = Type", "`'A'` stands where a field is expected"),
        ("Type == 'A'", "stands where|is not; put it"),
        ("Type IS NULL", "`IS` is not a comparison"),
        ("Type < null", "null goes with = and != only"),
        ("Rating__c = '5'", "is a number"),
        ("Rating__c = 1e5", "is not expected here|is a number"),
        ("Active__c = 'true'", "is a checkbox"),
        ("Active__c > true", "is a checkbox"),
        ("Active__c = 1", "is a checkbox"),
        ("Since__c = '2026-01-31'", "is a date"),
        ("Since__c = 2026-02-31", "is not in the calendar"),
        ("Since__c = 2026-01-31T00:00:00Z", "is a date, `2026-01-31T00:00:00Z` is not"),
        ("Since__c = SOON", "is a date, `SOON` is not"),
        ("CreatedDate = 2026-01-31", "is a datetime, `2026-01-31` is not"),
        ("Segments__c IN ('A')", "does not fit"),
        ("Type INCLUDES ('A')", "does not fit"),
        ("Type IN ()", "put it in single quotes"),
        ("Type IN (SELECT Type FROM Account)", "put it in single quotes"),
        ("Notes__c LIKE 'a%'", "cannot be used in a filter"),
        ("BillingAddress = 'x'", "cannot be used in a filter"),
        ("(" * 30 + "Type = 'A'" + ")" * 30, "too many parentheses"),
        ("Type = :partner", "cannot be read from"),
        ("Id > '001000000000001AAA'", "> does not fit Id"),
    ],
)
def test_a_wrong_filter_is_refused_at_its_line(describe: Describe, text: str, words: str) -> None:
    with pytest.raises(ConfigError, match=words) as caught:
        checked_filter(text, describe, "Account", "map.yaml", 7)
    assert str(caught.value).startswith("map.yaml:7: filter `")


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=80)
@given(text=st.text(alphabet=st.characters(exclude_categories=["Cs", "Cc"])))
def test_any_text_stays_one_literal(describe: Describe, text: str) -> None:
    """Quoting is undone by reading: what the server sees is exactly the text, and never more than one literal."""
    literal = quoted(text)
    sent = checked_filter(f"Name = {literal}", describe, "Account", "map.yaml", 1)
    assert sent == f"Name = {literal}"
    assert literal[1:-1].replace("\\\\", "").replace("\\'", "").count("'") == 0


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=120)
@given(text=st.text(alphabet="'\\ ()=<>!,NameTypORDLIKE%_0123456789-:TZ\n", max_size=40))
def test_nonsense_is_a_message_never_a_crash(describe: Describe, text: str) -> None:
    try:
        sent = checked_filter(text, describe, "Account", "map.yaml", 1)
    except ConfigError:
        return
    assert checked_filter(sent, describe, "Account", "map.yaml", 1) == sent
