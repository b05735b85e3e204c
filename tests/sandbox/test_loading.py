"""Data folders: relationship columns in any row order, and a clear message with exit code 4 for what is wrong."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest

from crmsync.sandbox.furnishing import open_org
from crmsync.sandbox.load_tables import LoadError
from crmsync.sandbox.org import Options
from crmsync.sandbox.queries import first_page
from crmsync.sandbox.schema_file import SchemaError
from tests.sandbox.orgs import SCHEMA, plain, write_files

Files = dict[str, str | bytes]
OPTIONS = Options(today=date(2026, 7, 1), seed=7)


def rows(folder: Path, files: Files, soql: str) -> list[list[object]]:
    org = open_org(OPTIONS, write_files(folder, files))
    try:
        return [list(plain(record).values()) for record in first_page(org, soql, "/root")["records"]]
    finally:
        org.store.close()


def test_the_schema_of_the_issue_is_read(tmp_path: Path) -> None:
    schema = (
        "{objects: {Cert__c: {label: Certificate, fields: {Account__c: {type: Lookup, referenceTo: Account}, "
        "Key__c: {type: Text, length: 40, externalId: true}}}}}"
    )
    files: Files = {"schema.yaml": schema, "Cert__c.csv": "Key__c\nx\n"}
    assert rows(tmp_path, files, "SELECT Key__c, Account__r.Name, Name FROM Cert__c") == [
        ["x", None, "a007Q0000000001QAA"]
    ]


def test_rows_may_refer_to_later_rows_and_files(tmp_path: Path) -> None:
    files: Files = {
        "schema.yaml": SCHEMA,
        "Account.csv": "Name,Key__c,Parent.Key__c\nchild,c,P\nparent,p,\nself,s,s\n",
        "Cert__c.csv": "Account__r.Key__c\nC\n",
        "AAA.csv": "",
    }
    del files["AAA.csv"]
    assert rows(tmp_path, files, "SELECT Name, Parent.Name FROM Account") == [
        ["child", {"Name": "parent"}],
        ["parent", None],
        ["self", {"Name": "self"}],
    ]
    assert rows(tmp_path, files, "SELECT Account__r.Name FROM Cert__c") == [[{"Name": "child"}]]


def test_excel_files_quotes_and_newlines_are_read(tmp_path: Path) -> None:
    files: Files = {"Account.csv": '\ufeffName;Site\r\n"a;\r\n""b""";Öl\r\n'.encode()}
    assert rows(tmp_path, files, "SELECT Name, Site FROM Account") == [['a;\r\n"b"', "Öl"]]


def test_given_ids_owners_and_system_fields_are_kept(tmp_path: Path) -> None:
    files: Files = {
        "User.csv": "Id,Username,LastName,Email,FirstName\n005000000000001,a@x.example,Ade,a@x.example,Ada\n",
        "Account.csv": "Id,Name,OwnerId,CreatedDate\n"
        "001000000000001AAA,A,005000000000001,2020-02-03T04:05:06+01:00\n,B,,\n",
    }
    soql = "SELECT Id, Owner.Name, CreatedDate FROM Account"
    assert rows(tmp_path, files, soql) == [
        ["001000000000001AAA", {"Name": "Ada Ade"}, "2020-02-03T03:05:06.000+0000"],
        ["0017Q0000000002QAA", {"Name": "Integration User"}, "2026-07-01T08:00:00.000+0000"],
    ]


def test_stages_mean_what_the_data_or_their_name_says(tmp_path: Path) -> None:
    files: Files = {
        "Opportunity.csv": "Name,StageName,CloseDate,IsWon,IsClosed\n"
        "a,Order,2026-01-01,true,true\nb,,2026-01-01,true,\n"
    }
    assert rows(tmp_path, files, "SELECT StageName, IsWon, IsClosed FROM Opportunity") == [
        ["Order", True, True],
        ["Closed Won", True, True],
    ]
    named: Files = {
        "Opportunity.csv": "Name,StageName,CloseDate\na,Won,2026-01-01\nb,Engaging,2026-01-01\nc,Lost,2026-01-01\n"
    }
    assert rows(tmp_path, named, "SELECT IsWon, IsClosed FROM Opportunity") == [
        [True, True],
        [False, False],
        [False, True],
    ]


def test_dated_rates_get_their_end(tmp_path: Path) -> None:
    files: Files = {
        "DatedConversionRate.csv": "IsoCode,StartDate,ConversionRate\nEUR,2026-01-01,0.9\nEUR,2026-02-01,0.91\n"
    }
    assert rows(tmp_path, files, "SELECT StartDate, NextStartDate, ConversionRate FROM DatedConversionRate") == [
        ["2026-01-01", "2026-02-01", 0.9],
        ["2026-02-01", "9999-12-31", 0.91],
    ]
    assert rows(tmp_path, files, "SELECT IsoCode, IsCorporate FROM CurrencyType") == [["EUR", False], ["USD", True]]


BAD_DATA: dict[str, tuple[Files, str]] = {
    "unknown object": (
        {"Acount.csv": "Name\nx\n"},
        "Acount.csv: the org has no object Acount; custom objects stand in schema.yaml; did you mean Account?",
    ),
    "unknown field": ({"Account.csv": "Nme\nx\n"}, "Account.csv:1: Account has no field Nme; did you mean Name?"),
    "unknown relationship": (
        {"Account.csv": "Name,Foo.Key__c\nx,y\n"},
        "Account.csv:1: Account has no relationship Foo",
    ),
    "no key": ({"Account.csv": "Name,Parent.Site\nx,y\n"}, "Account.csv:1: Site is no external id field of Account"),
    "unknown parent": (
        {"schema.yaml": SCHEMA, "Account.csv": 'Name,Parent.Key__c\n"a\nb",nobody\n'},
        "Account.csv:3: Parent.Key__c 'nobody' is on no row of Account",
    ),
    "bad date": (
        {"Opportunity.csv": "Name,StageName,CloseDate\nx,Won,2026-02-30\n"},
        "Opportunity.csv:2: CloseDate '2026-02-30': Close Date: value not of required type: 2026-02-30",
    ),
    "no close date": ({"Opportunity.csv": "Name\nx\n"}, "Opportunity.csv:2: CloseDate is empty, but is required"),
    "bad number": (
        {"Account.csv": "Name,AnnualRevenue\nx,1.000\ny,1.000.000\n"},
        "Account.csv:3: AnnualRevenue '1.000.000'",
    ),
    "required": ({"Account.csv": "Name,Site\n,here\n"}, "Account.csv:2: Name is empty, but is required"),
    "required column": (
        {"Contact.csv": "FirstName\nAda\n"},
        "Contact.csv:1: the column LastName is missing, but is required",
    ),
    "picklist": ({"schema.yaml": SCHEMA, "Account.csv": "Name,Tier__c\nx,gold\n"}, "Account.csv:2: Tier__c 'gold'"),
    "ragged": ({"Account.csv": "Name,Site\nx\n"}, "Account.csv:2: 1 cells, but the header has 2"),
    "open quote": ({"Account.csv": 'Name\n"x\n'}, "Account.csv: is not a CSV file"),
    "not UTF-8": ({"Account.csv": b"Name\n\xff\n"}, "Account.csv: is not UTF-8 text"),
    "empty": ({"Account.csv": ""}, "Account.csv: is empty"),
    "column twice": ({"Account.csv": "Name,name\nx,y\n"}, "Account.csv:1: two columns give Name"),
    "bad id": (
        {"Account.csv": "Id,Name\n003000000000001,x\n"},
        "Account.csv:2: Id 003000000000001 is no id of Account",
    ),
    "id twice": ({"Account.csv": "Id,Name\n001000000000001,x\n001000000000001AAA,y\n"}, "Account.csv: the same Id"),
    "unknown reference": (
        {"Contact.csv": "LastName,AccountId\nx,001000000000001AAA\n"},
        "Contact.csv: data row 1: AccountId 001000000000001AAA is the Id of no Account in the data",
    ),
    "key twice": (
        {"schema.yaml": SCHEMA, "Account.csv": "Name,Key__c\nx,k\ny,K\n"},
        "Account: Key__c is unique, but 'k'",
    ),
    "currency": (
        {
            "CurrencyType.csv": "IsoCode,ConversionRate,IsCorporate\nUSD,1,true\n",
            "Account.csv": "Name,CurrencyIsoCode\nx,XXX\n",
        },
        "CurrencyType.csv: has no row for XXX",
    ),
    "corporate": (
        {"CurrencyType.csv": "IsoCode,ConversionRate\nUSD,1\n"},
        "CurrencyType.csv: IsCorporate must be true",
    ),
}


@pytest.mark.parametrize(("files", "message"), BAD_DATA.values(), ids=list(BAD_DATA))
def test_bad_data_is_refused_by_file_line_and_value(tmp_path: Path, files: Files, message: str) -> None:
    with pytest.raises(LoadError) as refusal:
        open_org(OPTIONS, write_files(tmp_path, files))
    assert str(refusal.value).startswith(message)


BAD_SCHEMAS = {
    "objects: {Account: [1]}": "Account: must be a mapping",
    "object: {}": "`object` is not known here; did you mean objects?",
    "objects: {Cert: {}}": "Cert: is no standard object",
    "objects: {Account: {fields: {Key: {type: Text}}}}": "Account.Key: a custom field's name",
    "objects: {Account: {fields: {K__c: {type: Txt}}}}": "Account.K__c: type Txt is not known; did you mean Text?",
    "objects: {Account: {fields: {K__c: {type: Text, lenght: 5}}}}": "Account.K__c: `lenght` is not known here; did "
    "you mean length?",
    "objects: {Account: {fields: {K__c: {type: Text, length: 900}}}}": "Account.K__c.length: 900 is not a whole number",
    "objects: {Account: {fields: {K__c: {type: Lookup, referenceTo: Acc}}}}": "Account.K__c: referenceTo Acc is no "
    "object; did you mean Account?",
    "objects: {Account: {fields: {K__c: {type: Lookup}}}}": "Account.K__c: referenceTo is missing",
    "objects: {Account: {fields: {K__c: {type: Text}, k__c: {type: Text}}}}": "Account.k__c: the object has this field",
    "objects: {Account: {fields: {K__c: {type: Text, formulas: x}}}}": "Account.K__c: `formulas` is not known here",
}


@pytest.mark.parametrize(("schema", "message"), BAD_SCHEMAS.items())
def test_a_bad_schema_is_refused_by_object_and_property(tmp_path: Path, schema: str, message: str) -> None:
    with pytest.raises(SchemaError) as refusal:
        open_org(OPTIONS, write_files(tmp_path, {"schema.yaml": schema}))
    assert str(refusal.value).startswith(f"schema.yaml:1: {message}")


@pytest.mark.parametrize(
    "text",
    ["a: [", "a: 1\na: 2", "\ta: 1", "- 1", "", "a: !!python/object:os.x {}", "&a [*a]", b"\xff", "x: " + "[" * 5_000],
)
def test_what_is_no_yaml_is_refused_with_the_file(tmp_path: Path, text: str | bytes) -> None:
    folder = write_files(tmp_path, {"schema.yaml": text})
    with pytest.raises(SchemaError) as refusal:
        open_org(OPTIONS, folder)
    assert str(refusal.value).startswith(("schema.yaml", str(folder / "schema.yaml")))


def test_a_failed_load_leaves_no_state_behind(tmp_path: Path) -> None:
    options = Options(today=date(2026, 7, 1), state=tmp_path / "state.sqlite")
    with pytest.raises(LoadError):
        open_org(options, write_files(tmp_path / "data", {"Account.csv": "Nme\nx\n"}))
    assert [path.name for path in tmp_path.iterdir()] == ["data"]


def test_sample_and_data_exclude_each_other(tmp_path: Path) -> None:
    with pytest.raises(LoadError, match="exclude each other"):
        open_org(OPTIONS, tmp_path, 5)
