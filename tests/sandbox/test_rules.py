"""Rules on records: formulas, roll-ups, validation rules, duplicate rules, values by record type, person accounts."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from crmsync.errors import ConfigError
from crmsync.sandbox.furnishing import open_org
from crmsync.sandbox.org import Options
from crmsync.sandbox.schema_file import SchemaError
from tests.sandbox.orgs import Client, cells, running, write_files
from tests.sandbox.reading import read_tables

RULES = """
features: {person_accounts: true}
objects:
  Account:
    fields:
      Tier__c: {type: Picklist, valueSet: {restricted: true, valueSetDefinition: {value: [
        {fullName: Gold}, {fullName: Silver}, {fullName: Bronze}]}}}
      Score__c: {type: Number, precision: 7, scale: 2}
      Share__c: {type: Percent, precision: 5, scale: 1}
      Joined__c: {type: Date}
      Twice__c: {type: Number, precision: 9, scale: 2, formula: "Score__c * 2"}
      Bonus__c: {type: Percent, precision: 5, scale: 1, formula: "Share__c + 0.05"}
      Level__c: {type: Text, formula: 'CASE(TEXT(Tier__c), "Gold", "top", "Silver", "middle", "none") & "/" & Site'}
      Years__c: {type: Number, precision: 4, scale: 0, formula: "FLOOR((TODAY() - Joined__c) / 365)",
                 formulaTreatBlanksAs: BlankAsBlank}
      Good__c: {type: Checkbox, formula: 'AND(ISPICKVAL(Tier__c, "Gold"), OR(Score__c >= 1.5, NOT(ISBLANK(Site))))'}
      Due__c: {type: Date, formula: "ADDMONTHS(Joined__c, 1) + 1"}
      Boss__c: {type: Text, formula: "UPPER(Owner.Alias) & BLANKVALUE(Parent.Parent.Name, '-')"}
      Part__c: {type: Number, precision: 9, scale: 2, formula: "Parent.Twice__c / 3"}
    validationRules:
      Gold_Needs_Site: {active: true, errorConditionFormula: 'ISPICKVAL(Tier__c, "Gold") && ISBLANK(Site)',
                        errorMessage: 'A gold partner needs a site, "please".', errorDisplayField: Site}
      No_Step_Down: {active: true, errorConditionFormula: 'NOT(ISNEW()) && ISCHANGED(Score__c) && PRIORVALUE(Score__c) > Score__c + 10',
                     errorMessage: The score may not fall by more than 10.}
      Asleep: {active: false, errorConditionFormula: "TRUE", errorMessage: never}
    duplicateRules:
      Same_Name_And_City: {active: true, match: [Name, BillingCity], actionOnUpdate: Allow}
    recordTypes:
      Partner: {label: Partner}
      Small_Partner: {label: Small, picklistValues: {Tier__c: [Silver, Bronze]}}
      Person: {label: Person, isPersonType: true}
  Order__c:
    fields:
      Lines__c: {type: Summary, summaryOperation: count, summaryForeignKey: Line__c.Order__c}
      Total__c: {type: Summary, summaryOperation: sum, summaryForeignKey: Line__c.Order__c,
                 summarizedField: Line__c.Amount__c, summaryFilterItems: [{field: Line__c.Paid__c, operation: equals, value: "true"}]}
      Latest__c: {type: Summary, summaryOperation: max, summaryForeignKey: Line__c.Order__c, summarizedField: Line__c.On__c}
  Line__c:
    fields:
      Order__c: {type: MasterDetail, referenceTo: Order__c, relationshipName: Lines}
      Amount__c: {type: Currency, precision: 12, scale: 2}
      Paid__c: {type: Checkbox, defaultValue: false}
      On__c: {type: Date}
"""  # noqa: E501


@pytest.fixture(scope="module")
def org(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    with running("--data", str(write_files(tmp_path_factory.mktemp("org"), {"schema.yaml": RULES}))) as client:
        yield client


def one(org: Client, record_id: str, *names: str, name: str = "Account") -> list[Any]:
    return list(org.rows(f"SELECT {', '.join(names)} FROM {name} WHERE Id = '{record_id}'")[0].values())


FORMULAS: list[tuple[dict[str, Any], dict[str, Any]]] = [
    ({"Score__c": 1.25}, {"Twice__c": 2.5}),
    ({}, {"Twice__c": 0, "Bonus__c": 5.0, "Level__c": "none/", "Years__c": None, "Good__c": False, "Due__c": None}),
    ({"Share__c": 12.5}, {"Bonus__c": 17.5}),
    ({"Tier__c": "Gold", "Site": "HQ"}, {"Level__c": "top/HQ", "Good__c": True}),
    ({"Tier__c": "Silver", "Score__c": 9}, {"Level__c": "middle/", "Good__c": False}),
    ({"Joined__c": "2024-07-02"}, {"Years__c": 1, "Due__c": "2024-08-03"}),
    ({"Joined__c": "2024-01-31"}, {"Years__c": 2, "Due__c": "2024-03-01"}),
    ({}, {"Boss__c": "INTEGR-"}),
]


@pytest.mark.parametrize(("values", "expected"), FORMULAS)
def test_formulas_are_worked_out_when_they_are_read(
    org: Client, values: dict[str, Any], expected: dict[str, Any]
) -> None:
    made = org.create("Account", Name=f"F {values}", **values)
    assert one(org, made, *expected) == list(expected.values())
    soql = f"SELECT {', '.join(expected)} FROM Account WHERE Id = '{made}'"
    job = org.call("POST", "/jobs/query", json={"operation": "query", "query": soql}).json()
    org.get(f"/jobs/query/{job['id']}")
    (row,) = cells(org.get(f"/jobs/query/{job['id']}/results").content)
    assert len(row) == len(expected)


def test_formulas_can_be_filtered_sorted_summed_and_reach_parents(org: Client) -> None:
    parent = org.create("Account", Name="Top", Score__c=5)
    middle = org.create("Account", Name="Mid", Score__c=50, ParentId=parent)
    leaf = org.create("Account", Name="Leaf", Score__c=500, ParentId=middle)
    ids = f"Id IN ('{parent}', '{middle}', '{leaf}')"
    assert org.names(f"SELECT Name FROM Account WHERE {ids} AND Twice__c > 99 ORDER BY Twice__c DESC") == [
        "Leaf",
        "Mid",
    ]
    assert org.rows(f"SELECT SUM(Twice__c) s FROM Account WHERE {ids}") == [{"s": 1110.0}]
    assert one(org, leaf, "Boss__c", "Part__c", "Parent.Twice__c") == ["INTEGRTop", 33.33, {"Twice__c": 100.0}]
    before = one(org, middle, "SystemModstamp")
    org.call("PATCH", f"/sobjects/Account/{parent}", json={"Score__c": 50})
    assert one(org, middle, "Part__c", "SystemModstamp") == [33.33, *before]  # a formula moves no stamp


def test_formula_fields_are_described_as_calculated_and_never_written(org: Client) -> None:
    fields = {field["name"]: field for field in org.get("/sobjects/Account/describe").json()["fields"]}
    twice = fields["Twice__c"]
    assert (twice["calculated"], twice["calculatedFormula"], twice["createable"], twice["updateable"]) == (
        True, "Score__c * 2", False, False,
    )  # fmt: skip
    assert (twice["formulaTreatNullNumberAsZero"], fields["Years__c"]["formulaTreatNullNumberAsZero"]) == (True, False)
    answer = org.call("POST", "/sobjects/Account", json={"Name": "x", "Twice__c": 1})
    assert answer.json()[0]["errorCode"] == "INVALID_FIELD_FOR_INSERT_UPDATE"


def test_roll_ups_follow_their_details_and_move_the_masters_stamp(org: Client) -> None:
    order = org.create("Order__c", Name="O")
    assert one(org, order, "Lines__c", "Total__c", "Latest__c", name="Order__c") == [0, 0, None]
    stamp = one(org, order, "SystemModstamp", name="Order__c")[0]
    org.create("Line__c", Order__c=order, Amount__c=10.25, Paid__c=True, On__c="2026-02-01")
    gone = org.create("Line__c", Order__c=order, Amount__c=5, Paid__c=False, On__c="2026-03-01")
    assert one(org, order, "Lines__c", "Total__c", "Latest__c", name="Order__c") == [2, 10.25, "2026-03-01"]
    assert one(org, order, "SystemModstamp", name="Order__c")[0] > stamp
    org.call("DELETE", f"/sobjects/Line__c/{gone}")
    assert one(org, order, "Lines__c", "Latest__c", name="Order__c") == [1, "2026-02-01"]


def test_a_validation_rule_speaks_its_own_words_at_every_door(org: Client) -> None:
    bad = {"Name": "V", "Tier__c": "Gold"}
    answer = org.call("POST", "/sobjects/Account", json=bad)
    assert (answer.status_code, answer.json()) == (
        400,
        [{"message": 'A gold partner needs a site, "please".', "errorCode": "FIELD_CUSTOM_VALIDATION_EXCEPTION",
          "fields": ["Site"]}],
    )  # fmt: skip
    assert org.names("SELECT Id FROM Account WHERE Name = 'V'") == []
    made = org.create("Account", Name="V", Site="HQ", Tier__c="Gold", Score__c=100)
    record = {"attributes": {"type": "Account"}, "id": made, "Site": None}
    (entry,) = org.call("PATCH", "/composite/sobjects", json={"records": [record]}).json()
    assert entry["errors"][0]["statusCode"] == "FIELD_CUSTOM_VALIDATION_EXCEPTION"
    ended, rows = org.ingest(f"Id,Site\n{made},#N/A\n", object="Account", operation="update")
    assert ended["numberRecordsFailed"] == 1
    assert rows["failedResults"][0]["sf__Error"] == (
        'FIELD_CUSTOM_VALIDATION_EXCEPTION:A gold partner needs a site, "please".:Site --'
    )
    assert one(org, made, "Site") == ["HQ"]


def test_a_rule_may_ask_what_a_field_was(org: Client) -> None:
    made = org.create("Account", Name="W", Score__c=100)
    path = f"/sobjects/Account/{made}"
    refused = org.call("PATCH", path, json={"Score__c": 50})
    assert refused.json()[0] == {
        "message": "The score may not fall by more than 10.", "errorCode": "FIELD_CUSTOM_VALIDATION_EXCEPTION",
        "fields": [],
    }  # fmt: skip
    assert [org.call("PATCH", path, json={"Score__c": score}).status_code for score in (95, 90, 81)] == [204] * 3
    assert org.effects()["records"]["Account"][made] == 4


def test_every_broken_rule_speaks(org: Client) -> None:
    made = org.create("Account", Name="X", Score__c=100, Site="s", Tier__c="Gold")
    answer = org.call("PATCH", f"/sobjects/Account/{made}", json={"Score__c": 1, "Site": None})
    texts = ['A gold partner needs a site, "please".', "The score may not fall by more than 10."]
    assert [error["message"] for error in answer.json()] == texts
    record = {"attributes": {"type": "Account"}, "id": made, "Score__c": 1, "Site": None}
    (entry,) = org.call("PATCH", "/composite/sobjects", json={"records": [record]}).json()
    assert [error["message"] for error in entry["errors"]] == texts
    _, rows = org.ingest(f"Id,Score__c,Site\n{made},1,#N/A\n", object="Account", operation="update")
    assert rows["failedResults"][0]["sf__Error"].count("FIELD_CUSTOM_VALIDATION_EXCEPTION:") == 2


def test_rules_can_be_switched_off(org: Client) -> None:
    assert org.call("PUT", "//__sandbox/rules", json={"validation": False}).json() == {
        "validation": False, "duplicates": True,
    }  # fmt: skip
    try:
        org.create("Account", Name="Free", Tier__c="Gold")
    finally:
        org.call("PUT", "//__sandbox/rules", json={"validation": True})
    wrong = org.call("PUT", "//__sandbox/rules", json={"duplicate": False})
    assert (wrong.status_code, "duplicates" in wrong.json()[0]["message"]) == (400, True)


def test_duplicates_are_found_without_case_and_may_be_saved_where_the_rule_allows(org: Client) -> None:
    first = org.create("Account", Name="Twin", BillingCity="Rome")
    org.create("Account", Name="Twin")  # an empty city equals none
    org.create("Account", Name="Twin")
    again = {"Name": "TWIN", "BillingCity": "rome"}
    save = {"Sforce-Duplicate-Rule-Header": "allowSave=true"}
    for headers in ({}, save):
        answer = org.call("POST", "/sobjects/Account", json=again, headers=headers)
        assert (answer.status_code, answer.json()[0]["errorCode"], answer.json()[0]["message"]) == (
            400, "DUPLICATES_DETECTED", "Use one of these records?",
        )  # fmt: skip
    other = org.create("Account", Name="Other", BillingCity="Rome")
    path = f"/sobjects/Account/{other}"
    assert org.call("PATCH", path, json={"Name": "Twin"}).status_code == 400
    assert org.call("PATCH", path, json={"Site": "x"}).status_code == 204
    assert org.call("PATCH", path, json={"Name": "Twin"}, headers=save).status_code == 204
    assert first != other


def test_record_types_limit_their_picklists(org: Client) -> None:
    kinds = {row["DeveloperName"]: row["Id"] for row in org.rows("SELECT DeveloperName, Id FROM RecordType")}
    made = org.create("Account", Name="R", Site="s", Tier__c="Silver", RecordTypeId=kinds["Small_Partner"])
    path = f"/sobjects/Account/{made}"
    refused = org.call("PATCH", path, json={"Tier__c": "Gold"})
    assert refused.json() == [{
        "message": "Tier: bad value for restricted picklist field: Gold",
        "errorCode": "INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST", "fields": ["Tier__c"],
    }]  # fmt: skip
    assert org.call("PATCH", path, json={"Tier__c": "Gold", "RecordTypeId": kinds["Partner"]}).status_code == 204
    assert org.call("PATCH", path, json={"RecordTypeId": kinds["Small_Partner"]}).status_code == 400
    described = org.get("/sobjects/Account/describe").json()["recordTypeInfos"]
    assert {entry["developerName"] for entry in described} == {"Partner", "Small_Partner", "Person", "Master"}


def test_layouts_tell_the_values_of_each_record_type(org: Client) -> None:
    answer = org.get("/sobjects/Account/describe/layouts").json()
    mapped = {entry["developerName"]: entry for entry in answer["recordTypeMappings"]}
    assert set(mapped) == {"Partner", "Small_Partner", "Person", "Master"}
    tiers = {
        name: [value["value"] for picklist in entry["picklistsForRecordType"] or []
               if picklist["picklistName"] == "Tier__c" for value in picklist["picklistValues"]]
        for name, entry in mapped.items()
    }  # fmt: skip
    assert (tiers["Small_Partner"], tiers["Partner"]) == (["Silver", "Bronze"], ["Gold", "Silver", "Bronze"])
    one_type = org.get(f"/sobjects/Account/describe/layouts/{mapped['Small_Partner']['recordTypeId']}")
    assert (one_type.status_code, one_type.json()["id"]) == (200, mapped["Small_Partner"]["layoutId"])
    ui = org.get(f"/ui-api/object-info/Account/picklist-values/{mapped['Small_Partner']['recordTypeId']}").json()
    assert [value["value"] for value in ui["picklistFieldValues"]["Tier__c"]["values"]] == ["Silver", "Bronze"]


def test_a_person_account_has_a_contact_that_follows_it(org: Client) -> None:
    made = org.create("Account", FirstName="Ann", LastName="Lee", PersonEmail="ann@example.org")
    row = org.rows(
        f"SELECT Name, IsPersonAccount, PersonContactId, PersonContact.Email FROM Account WHERE Id = '{made}'"
    )
    contact = row[0]["PersonContactId"]
    assert (row[0]["Name"], row[0]["IsPersonAccount"], row[0]["PersonContact"]["Email"]) == (
        "Ann Lee", True, "ann@example.org",
    )  # fmt: skip
    org.call("PATCH", f"/sobjects/Account/{made}", json={"LastName": "Poe"})
    shown = one(org, contact, "Name", "AccountId", "IsPersonAccount", name="Contact")
    assert (one(org, made, "Name"), shown) == (["Ann Poe"], ["Ann Poe", made, True])
    refused = org.call("PATCH", f"/sobjects/Account/{made}", json={"Name": "x"}).json()[0]
    assert (refused["errorCode"], refused["fields"]) == ("INVALID_FIELD_FOR_INSERT_UPDATE", ["Name"])
    company = org.create("Account", Name="Firm")
    assert one(org, company, "IsPersonAccount", "PersonContactId") == [False, None]
    assert org.call("PATCH", f"/sobjects/Account/{company}", json={"LastName": "x"}).status_code == 400


PARTNERS = """
tables:
  partners:
    object: Account
    filter: "Name LIKE 'Read %%' AND (RecordType.DeveloperName = 'Small_Partner' OR IsPersonAccount = true)"
    columns:
      {partner_id: Id, name: Name, kind: RecordType.DeveloperName, tier: Tier__c, score: Twice__c, mail: %s}
"""


def test_people_and_companies_are_read_as_partners(org: Client, tmp_path: Path) -> None:
    types = {row["DeveloperName"]: row["Id"] for row in org.rows("SELECT Id, DeveloperName FROM RecordType")}
    org.create("Account", Name="Read Firm", RecordTypeId=types["Small_Partner"], Tier__c="Bronze", Score__c=2)
    org.create("Account", Name="Read Large", RecordTypeId=types["Partner"], Tier__c="Gold", Site="HQ")
    person = {"FirstName": "Read", "LastName": "Lee", "PersonEmail": "lee@example.org", "RecordTypeId": types["Person"]}
    org.create("Account", Tier__c="Silver", **person)
    rows = read_tables(org, PARTNERS % "PersonEmail", tmp_path)["partners"]
    assert sorted([row[name] for name in ("name", "kind", "tier", "score", "mail")] for row in rows) == [
        ["Read Firm", "Small_Partner", "Bronze", 4.0, None],
        ["Read Lee", "Person", "Silver", 0.0, "lee@example.org"],
    ]


def test_an_address_of_a_person_is_read_by_its_parts(org: Client, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"PersonMailingAddress is a compound field \(address\); map its parts"):
        read_tables(org, PARTNERS % "PersonMailingAddress", tmp_path)


def test_person_accounts_are_loaded_with_their_contacts(tmp_path: Path) -> None:
    files: dict[str, str | bytes] = {
        "schema.yaml": "features: {person_accounts: true}",
        "Account.csv": "Name,FirstName,LastName\nAnn Lee,Ann,Lee\nFirm,,\n",
    }
    with running("--data", str(write_files(tmp_path, files))) as client:
        assert client.rows("SELECT Name, IsPersonAccount, PersonContact.LastName FROM Account ORDER BY Name") == [
            {"Name": "Ann Lee", "IsPersonAccount": True, "PersonContact": {"LastName": "Lee"}},
            {"Name": "Firm", "IsPersonAccount": False, "PersonContact": None},
        ]


ACCOUNT = "objects:\n  Account:\n    fields:\n"
BAD = {
    ACCOUNT + "      A__c: {type: Text}\n      B__c:\n        type: Text\n        lenght: 5\n":
        "schema.yaml:7: Account.B__c: `lenght` is not known here; did you mean length?",
    ACCOUNT + "      A__c: {type: Number, formula: 'REGEX(Name, 1)'}\n":
        "schema.yaml:4: Account.A__c: formula: the function REGEX is not supported by this org",
    ACCOUNT + "      A__c: {type: Number, formula: 'Score__c + 1'}\n":
        "schema.yaml:4: Account.A__c: formula: Account has no field Score__c",
    ACCOUNT + "      A__c: {type: Number, formula: 'Name'}\n":
        "schema.yaml:4: Account.A__c: formula: the formula is of type text, the field of type number",
    ACCOUNT + "      A__c: {type: Number, formula: '1 + '}\n":
        "schema.yaml:4: Account.A__c: formula: column 5: the end: a value, a field or a function was expected",
    ACCOUNT + "      A__c: {type: Text, formula: 'Type'}\n":
        "schema.yaml:4: Account.A__c: formula: the formula is of type picklist, the field of type text; wrap the "
        "picklist in TEXT",
    ACCOUNT + "      A__c: {type: Number, formula: 'A__c'}\n":
        "schema.yaml:4: Account.A__c: formula: Account.A__c refers to itself, or to formulas nested too deep",
    ACCOUNT + "      A__c: {type: Picklist, formula: 'Name'}\n":
        "schema.yaml:4: Account.A__c: a formula has the type Text, Number",
    ACCOUNT + "      A__c: {type: Text, formula: '$User.Name'}\n":
        "schema.yaml:4: Account.A__c: formula: the global variable $User.Name is not supported by this org",
    ACCOUNT + "      A__c: {type: Number, formula: 'IF(1, 2, 3)'}\n":
        "schema.yaml:4: Account.A__c: formula: IF: value 1 must be of type flag, not number",
    ACCOUNT + "      A__c: {type: Number, formula: '2 ^ 3'}\n":
        "schema.yaml:4: Account.A__c: formula: column 3: '^': the operator ^ is not supported by this org",
    "objects:\n  Account:\n    validationRules:\n      R: {errorMessage: x, errorConditionFormula: Name}\n":
        "schema.yaml:4: Account.validationRules.R: errorConditionFormula: the formula is of type text; a condition is "
        "true or false",
    ACCOUNT + "      A__c: {type: Number, formula: '" + "1 + " * 200 + "1'}\n":
        "schema.yaml:4: Account.A__c: formula: the formula has more than 120 operators in a chain",
    ACCOUNT + "      A__c: {type: Number, formula: '" + "(" * 90 + "1" + ")" * 90 + "'}\n":
        "schema.yaml:4: Account.A__c: formula: column 62: '(': the formula is nested deeper than 60",
    "objects:\n  Account:\n    validationRules:\n      R: {errorMessage: x}\n":
        "schema.yaml:4: Account.validationRules.R: errorConditionFormula is missing",
    "objects:\n  Account:\n    duplicateRules:\n      R:\n        match: [Nam]\n":
        "schema.yaml:5: Account.duplicateRules.R.match: Account has no stored field Nam",
    "objects:\n  Account:\n    recordTypes:\n      R: {picklistValues: {Site: [x]}}\n":
        "schema.yaml:4: Account.recordTypes.R.picklistValues: Account has no picklist Site",
    "features: {person_account: true}\n":
        "schema.yaml:1: features: `person_account` is not known here; did you mean person_accounts?",
}  # fmt: skip


@pytest.mark.parametrize(("text", "message"), BAD.items())
def test_a_wrong_schema_is_refused_by_line(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(SchemaError) as refusal:
        open_org(Options(), write_files(tmp_path, {"schema.yaml": text}))
    assert str(refusal.value).startswith(message)
