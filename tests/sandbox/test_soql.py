"""SOQL against a small org: what is accepted gives exactly these rows, what is wrong is refused by code and text."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.sandbox.orgs import SCHEMA, Client, running, write_files

ACCOUNTS = """\
Key__c,Name,Parent.Key__c,Type,Tier__c,Segments__c,Score__c,Joined__c,Seen__c,AnnualRevenue,CurrencyIsoCode,Flag__c
a,Alpha,,Partner,Gold,MSP;Reseller,1.50,2026-06-30,2026-06-30T23:30:00Z,100,USD,true
b,beta,a,Partner,Silver,Reseller,0.10,2026-07-01,2026-07-01T00:00:00Z,200,EUR,false
c,Gamma,b,Customer,,,0.20,2025-07-01,,,EUR,false
d,Äther %_ O'Neil,c,Customer,Gold,Referral;MSP,,,2026-07-01T12:00:00Z,400,USD,true
e,É,d,,Gold,,3.00,2026-04-01,,500,USD,false
f,Zeta,e,,,,,2024-02-29,,,USD,false
"""
CURRENCIES = "IsoCode,ConversionRate,IsCorporate\nUSD,1,true\nEUR,0.5,false\n"
DEALS = """Name,Account.Key__c,StageName,CloseDate,Amount,CurrencyIsoCode
one,a,Closed Won,2026-06-01,10.10,USD
two,a,Closed Won,2026-06-02,20.20,USD
three,b,Closed Lost,2026-01-15,0.30,USD
four,,Prospecting,2025-12-31,,USD
"""
CERTS = "Key__c,Account__r.Key__c\nK1,a\nk1x,b\nK2,a\n"


@pytest.fixture(scope="module")
def org(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    files: dict[str, str | bytes] = {
        "schema.yaml": SCHEMA,
        "Account.csv": ACCOUNTS,
        "CurrencyType.csv": CURRENCIES,
        "Opportunity.csv": DEALS,
        "Cert__c.csv": CERTS,
    }
    with running("--data", str(write_files(tmp_path_factory.mktemp("org"), files))) as client:
        yield client


KEYS = {
    "Name = 'ALPHA'": "a",
    "Name = 'äther %_ o\\'neil'": "d",
    "Name != 'Alpha' AND Key__c != 'b'": "cdef",
    "Tier__c != 'Gold'": "bcf",
    "NOT Tier__c = 'Gold'": "bcf",
    "Tier__c = null": "cf",
    "Tier__c != NULL": "abde",
    "Tier__c = ''": "cf",
    "Tier__c IN ('gold', null)": "acdef",
    "Tier__c NOT IN ('Gold')": "bcf",
    "Name LIKE 'a%'": "a",
    "Name LIKE '%\\%\\_%'": "d",
    "Name LIKE 'ÉE%' OR Name LIKE 'é'": "e",
    "NOT (Name LIKE '%a' OR Name = 'É')": "d",
    "Segments__c INCLUDES ('MSP')": "ad",
    "Segments__c INCLUDES ('MSP;Reseller', 'Referral')": "ad",
    "Segments__c EXCLUDES ('MSP')": "bcef",
    "Segments__c = 'Reseller;MSP'": "a",
    "Score__c > 0.1": "ace",
    "Score__c = 0.1": "b",
    "Score__c >= 0.105": "ace",
    "Score__c < 1": "bc",
    "Flag__c = true": "ad",
    "Flag__c != TRUE": "bcef",
    "Joined__c = TODAY": "b",
    "Joined__c = YESTERDAY": "a",
    "Joined__c = LAST_N_DAYS:1": "ab",
    "Joined__c = THIS_YEAR": "abe",
    "Joined__c = LAST_QUARTER": "ae",
    "Joined__c < THIS_QUARTER": "acef",
    "Joined__c > LAST_QUARTER": "b",
    "Joined__c = N_DAYS_AGO:365": "c",
    "Joined__c != THIS_YEAR": "cdf",
    "Joined__c = 2024-02-29": "f",
    "Seen__c = TODAY": "bd",
    "Seen__c >= 2026-07-01T01:00:00+01:00": "bd",
    "Seen__c < 2026-07-01T00:00:00.000Z": "a",
    "Parent.Parent.Name = 'alpha'": "c",
    "Parent.Parent.Parent.Parent.Parent.Name = 'Alpha'": "f",
    "Id IN (SELECT AccountId FROM Opportunity WHERE IsWon = true)": "a",
    "Id NOT IN (SELECT AccountId FROM Opportunity)": "cdef",
    "Id IN (SELECT Account__c FROM Cert__c WHERE Key__c = 'k1')": "",
    "Id IN (SELECT Account__c FROM Cert__c WHERE Key__c = 'K1')": "a",
    "AnnualRevenue > USD300": "bde",
    "CALENDAR_YEAR(Joined__c) = 2026 AND CALENDAR_QUARTER(Joined__c) = 2": "ae",
    "(Name = 'Alpha' OR Name = 'Beta') AND Flag__c = true": "a",
    "Account.Name = 'Alpha'": "a",
}


@pytest.mark.parametrize(("where", "keys"), KEYS.items())
def test_conditions_find_exactly_their_rows(org: Client, where: str, keys: str) -> None:
    found = org.names(f"SELECT Key__c FROM Account WHERE {where} ORDER BY Key__c")
    assert "".join(found) == keys


LISTS = {
    "SELECT Key__c FROM Account ORDER BY Score__c": ["d", "f", "b", "c", "a", "e"],
    "SELECT Key__c FROM Account ORDER BY Score__c DESC": ["d", "f", "e", "a", "c", "b"],
    "SELECT Key__c FROM Account ORDER BY Score__c DESC NULLS LAST, Key__c DESC": ["e", "a", "c", "b", "f", "d"],
    "SELECT Key__c FROM Account ORDER BY Key__c LIMIT 2 OFFSET 3": ["d", "e"],
    "select key__C from ACCOUNT a where a.name = 'alpha'": ["a"],
    "SELECT a.Key__c FROM Account AS a WITH SECURITY_ENFORCED ORDER BY a.Key__c LIMIT 1 FOR UPDATE": ["a"],
    "SELECT COUNT(Id) FROM Account": [6],
    "SELECT COUNT(AnnualRevenue) FROM Account": [4],
    "SELECT COUNT_DISTINCT(Tier__c) FROM Account": [2],
    "SELECT SUM(Amount) FROM Opportunity": [30.6],
    "SELECT AVG(Amount) FROM Opportunity WHERE IsWon = true": [15.15],
    "SELECT MAX(Joined__c) FROM Account": ["2026-07-01"],
    "SELECT MIN(Name) FROM Account": ["Alpha"],
    "SELECT Type, COUNT(Id) n FROM Account GROUP BY Type HAVING COUNT(Id) > 1 ORDER BY Type NULLS LAST": [
        "Customer",
        "Partner",
        None,
    ],
    "SELECT CALENDAR_YEAR(CloseDate) y, SUM(Amount) FROM Opportunity GROUP BY CALENDAR_YEAR(CloseDate)": [2025, 2026],
    "SELECT Account.Name FROM Opportunity WHERE Account.Name = null": [None],
    "SELECT convertCurrency(AnnualRevenue) FROM Account WHERE Key__c = 'b'": [400.0],
    "SELECT SUM(convertCurrency(AnnualRevenue)) FROM Account": [1400.0],
    "SELECT AVG(convertCurrency(AnnualRevenue)) FROM Account": [350.0],
    "SELECT FORMAT(AnnualRevenue) FROM Account WHERE Key__c = 'b'": ["EUR 200"],
    "SELECT FORMAT(AnnualRevenue) shown FROM Account WHERE Key__c = 'b'": ["EUR 200"],
    "SELECT toLabel(Tier__c) FROM Account WHERE Key__c = 'a'": ["Gold"],
    "SELECT Seen__c FROM Account WHERE Key__c = 'a'": ["2026-06-30T23:30:00.000+0000"],
    "SELECT Score__c FROM Account WHERE Key__c = 'b'": [0.1],
    "SELECT FiscalYear FROM Opportunity WHERE Name = 'four'": [2025],
}


@pytest.mark.parametrize(("soql", "values"), LISTS.items())
def test_queries_give_exactly_these_values(org: Client, soql: str, values: list[object]) -> None:
    assert org.names(soql) == values


def test_count_alone_answers_with_total_size_and_no_records(org: Client) -> None:
    assert org.query("SELECT COUNT() FROM Account WHERE Tier__c = 'Gold'").json() == {
        "totalSize": 3,
        "done": True,
        "records": [],
    }


def test_aggregates_are_named_by_alias_or_expr_number(org: Client) -> None:
    record = org.query("SELECT COUNT(Id), SUM(Amount) total, MAX(Amount) FROM Opportunity").json()["records"][0]
    assert record == {"attributes": {"type": "AggregateResult"}, "expr0": 4, "total": 30.6, "expr1": 20.2}


def test_parents_are_nested_with_their_own_attributes_or_null(org: Client) -> None:
    first, second = org.query("SELECT Parent.Name, Parent.Owner.Name FROM Account ORDER BY Key__c LIMIT 2").json()[
        "records"
    ]
    assert first["Parent"] is None
    assert second["Parent"]["Name"] == "Alpha"
    assert second["Parent"]["attributes"]["url"].startswith("/services/data/v67.0/sobjects/Account/001")
    assert second["Parent"]["Owner"]["attributes"]["type"] == "User"


def test_children_are_nested_lists_or_null(org: Client) -> None:
    rows = org.rows(
        "SELECT Key__c, (SELECT Name FROM Opportunities ORDER BY Name DESC LIMIT 1), (SELECT Key__c FROM Certs__r) "
        "FROM Account WHERE Key__c IN ('a', 'c') ORDER BY Key__c"
    )
    assert rows[0]["Opportunities"] == {"totalSize": 1, "done": True, "records": [{"Name": "two"}]}
    assert [child["Key__c"] for child in rows[0]["Certs__r"]["records"]] == ["K1", "K2"]
    assert rows[1]["Opportunities"] is None


def test_fields_function_gives_every_field(org: Client) -> None:
    row = org.rows("SELECT FIELDS(ALL) FROM Account WHERE Key__c = 'a' LIMIT 1")[0]
    assert row["Tier__c"] == "Gold"
    assert row["BillingAddress"] is None
    assert set(org.rows("SELECT FIELDS(CUSTOM) FROM Cert__c LIMIT 1")[0]) == {"Account__c", "Key__c"}


REFUSED = {
    "SELECT Id FROM Account WHERE Name = 'a' AND Type = 'b' OR Type = 'c'": ("MALFORMED_QUERY", "AND and OR"),
    "SELECT * FROM Account": ("MALFORMED_QUERY", "unexpected token: '*'"),
    "SELECT Id FROM Account WHERE": ("MALFORMED_QUERY", "unexpected token: <EOF>"),
    "SELECT FROM Account": ("MALFORMED_QUERY", "unexpected token: 'FROM'"),
    "SELECT Id Account": ("MALFORMED_QUERY", "FROM"),
    "SELECT Id FROM Account LIMIT -1": ("MALFORMED_QUERY", "LIMIT"),
    "SELECT Id FROM Account WHERE Name = 'x": ("MALFORMED_QUERY", "unterminated"),
    "SELECT Id FROM Account WHERE Name = 'x\\q'": ("MALFORMED_QUERY", "Illegal character sequence"),
    "SELECT Id FROM Account; DROP TABLE Account": ("MALFORMED_QUERY", "';'"),
    "SELECT Id FROM Account WHERE Name = :x": ("MALFORMED_QUERY", "bind"),
    "SELECT TYPEOF What WHEN Account THEN Id END FROM Task": ("MALFORMED_QUERY", "TYPEOF"),
    "SELECT Id, Id FROM Account": ("MALFORMED_QUERY", "duplicate field selected: Id"),
    "SELECT Name, COUNT(Id) FROM Account": ("MALFORMED_QUERY", "grouped or aggregated: Name"),
    "SELECT Name n FROM Account": ("MALFORMED_QUERY", "aliasing"),
    "SELECT COUNT(), Id FROM Account": ("MALFORMED_QUERY", "COUNT()"),
    "SELECT SUM(Name) FROM Account": ("MALFORMED_QUERY", "does not support aggregate operator SUM"),
    "SELECT Id FROM Account WHERE COUNT(Id) > 1": ("MALFORMED_QUERY", "Aggregate"),
    "SELECT FIELDS(ALL) FROM Account": ("MALFORMED_QUERY", "LIMIT of at most 200"),
    "SELECT FIELDS(ALL) FROM Account LIMIT 201": ("MALFORMED_QUERY", "LIMIT of at most 200"),
    "SELECT A.B.C.D.E.F.G FROM Account": ("MALFORMED_QUERY", "at most 5"),
    "SELECT Id FROM Account WHERE Id IN (SELECT Name FROM Contact)": ("MALFORMED_QUERY", "id or reference"),
    "SELECT Id FROM Account WHERE Joined__c = 2026-02-30": ("MALFORMED_QUERY", "Invalid date"),
    "SELECT Id FROM Account WHERE Joined__c = LAST_N_DAYS": ("MALFORMED_QUERY", "expecting ':'"),
    "SELECT Nope FROM Account": ("INVALID_FIELD", "No such column 'Nope' on entity 'Account'"),
    "SELECT Id FROM Account WHERE Parent.Nope = 1": ("INVALID_FIELD", "No such column 'Nope' on entity 'Account'"),
    "SELECT Foo.Name FROM Account": ("INVALID_FIELD", "Didn't understand relationship 'Foo'"),
    "SELECT Id FROM Account WHERE Score__c = '1'": (
        "INVALID_FIELD",
        "must be of type double and should not be enclosed",
    ),
    "SELECT Id FROM Account WHERE Name = 1": ("INVALID_FIELD", "must be of type string and should be enclosed"),
    "SELECT Id FROM Account WHERE Flag__c = 'true'": ("INVALID_FIELD", "must be of type boolean"),
    "SELECT Id FROM Account WHERE Joined__c = 2026-01-01T00:00:00Z": ("INVALID_FIELD", "must be of type date "),
    "SELECT Id FROM Account WHERE Seen__c = 2026-01-01": ("INVALID_FIELD", "must be of type dateTime"),
    "SELECT Id FROM Account WHERE Note__c = 'x'": ("INVALID_FIELD", "can not be filtered"),
    "SELECT Id FROM Account ORDER BY Note__c": ("INVALID_FIELD", "can not be sorted"),
    "SELECT COUNT(Id) FROM Account GROUP BY Score__c": ("INVALID_FIELD", "can not be grouped"),
    "SELECT Id FROM Account WHERE Id = 'abc'": ("INVALID_QUERY_FILTER_OPERATOR", "invalid ID field: abc"),
    "SELECT Id FROM Account WHERE Score__c LIKE '1%'": ("INVALID_QUERY_FILTER_OPERATOR", "invalid operator"),
    "SELECT Id FROM Account WHERE Name INCLUDES ('a')": ("INVALID_QUERY_FILTER_OPERATOR", "invalid operator"),
    "SELECT Id FROM Nope": ("INVALID_TYPE", "sObject type 'Nope' is not supported."),
    "SELECT Id FROM ScratchOrgInfo limit 1": ("INVALID_TYPE", "sObject type 'ScratchOrgInfo' is not supported."),
    "SELECT Id, (SELECT Id FROM Nopes) FROM Account": ("INVALID_TYPE", "Didn't understand relationship 'Nopes'"),
    "SELECT Id FROM Account OFFSET 2001": ("NUMBER_OUTSIDE_VALID_RANGE", "2000"),
}


@pytest.mark.parametrize(("soql", "expected"), REFUSED.items())
def test_wrong_soql_is_refused_by_code_and_text(org: Client, soql: str, expected: tuple[str, str]) -> None:
    status, code, message = org.refusal(soql)
    assert (status, code) == (400, expected[0])
    assert expected[1] in message


def test_a_refusal_points_at_row_and_column(org: Client) -> None:
    _, _, message = org.refusal("SELECT Id,\n  Nope FROM Account")
    assert message.startswith("\n  Nope FROM Account\n  ^\nERROR at Row:2:Column:3\n")


def test_deep_nesting_is_refused_not_crashed(org: Client) -> None:
    assert org.refusal(f"SELECT Id FROM Account WHERE {'(' * 500}Name = 'a'{')' * 500}")[:2] == (400, "MALFORMED_QUERY")


def test_long_or_chains_and_lists_run(org: Client) -> None:
    chain = " OR ".join(f"Score__c = {number}" for number in range(600))
    assert org.names(f"SELECT Key__c FROM Account WHERE {chain}") == ["e"]


WORDS = st.sampled_from(
    [
        "SELECT",
        "FROM",
        "WHERE",
        "Account",
        "Id",
        "Name",
        "Parent.Name",
        "COUNT()",
        "COUNT(Id)",
        "(",
        ")",
        ",",
        "=",
        "!=",
        "<",
        "LIKE",
        "IN",
        "NOT",
        "AND",
        "OR",
        "'a'",
        "'%'",
        "1",
        "1.5",
        "null",
        "true",
        "TODAY",
        "LAST_N_DAYS:3",
        "GROUP",
        "BY",
        "HAVING",
        "ORDER",
        "ASC",
        "NULLS",
        "FIRST",
        "LIMIT",
        "5",
        "OFFSET",
        "2026-01-01",
        "2026-01-01T00:00:00Z",
        "Opportunities",
        "FIELDS(ALL)",
        "convertCurrency(AnnualRevenue)",
        "FORMAT(Joined__c)",
        "Segments__c",
        "INCLUDES",
        "Score__c",
        ".",
        ":",
        "\\",
        "'",
        "USD5",
        "Nope__r.X",
    ]
)


@settings(max_examples=150)
@given(
    st.one_of(
        st.text(max_size=60),
        st.lists(WORDS, max_size=14).map(lambda words: "SELECT Id FROM Account " + " ".join(words)),
        st.lists(WORDS, max_size=14).map(" ".join),
        st.text(max_size=30).map(lambda text: f"SELECT Id FROM Account WHERE Name = '{text}'"),
    )
)
def test_no_text_ever_crashes_the_org(org: Client, soql: str) -> None:
    answer = org.query(soql.encode("utf-8", "replace").decode())
    assert answer.status_code in (200, 400), answer.text
    if answer.status_code == 400:
        assert answer.json()[0]["errorCode"].isupper()


@settings(max_examples=60)
@given(st.text(max_size=40).filter(lambda text: "\x00" not in text))
def test_any_text_survives_a_write_and_is_found_again(org: Client, text: str) -> None:
    text = text.encode("utf-8", "replace").decode().strip()
    record_id = org.create("Account", Name="x" + text + "x")
    escaped = ("x" + text + "x").replace("\\", "\\\\").replace("'", "\\'")
    found = org.call(
        "GET", "/query", params={"q": f"SELECT Name FROM Account WHERE Name = '{escaped}' AND Id = '{record_id}'"}
    )
    assert [record["Name"] for record in found.json()["records"]] == ["x" + text + "x"]
    org.call("DELETE", f"/sobjects/Account/{record_id}")
