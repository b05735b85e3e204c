"""List views of a deployed org: the list, what they describe, and the records they find."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Iterator
from typing import Any

import pytest
import requests

from tests.sandbox.orgs import SCHEMA, Client, csv_text, running, write_files

NS = 'xmlns="http://soap.sforce.com/2006/04/metadata"'
PACKAGE = f"<Package {NS}><types><members>*</members><name>{{0}}</name></types><version>67.0</version></Package>"
ROWS = [
    ("Name", "Tier__c", "Segments__c", "Score__c", "Joined__c", "Flag__c", "BillingCity"),
    ("Alpha", "Gold", "MSP;Reseller", "10", "2026-07-01", "true", "Rome"),
    ("Beta", "Silver", "MSP", "20", "2026-06-15", "false", "Paris, TX"),
    ("Gamma", "", "Referral", "30.5", "2025-01-01", "true", ""),
    ("Delta_50%", "Gold", "", "", "", "false", "rome"),
]
VIEWS: dict[str, tuple[str, list[tuple[str, str, str]], str, list[str]]] = {
    "Gold_Ones": ("", [("Tier__c", "equals", "Gold")], "", ["Alpha", "Delta_50%"]),
    "Any_Tier": ("", [("Tier__c", "equals", "Gold,Silver")], "", ["Alpha", "Beta", "Delta_50%"]),
    "No_Tier": ("", [("Tier__c", "equals", "")], "", ["Gamma"]),
    "Not_Gold": ("", [("Tier__c", "notEqual", "Gold")], "", ["Beta", "Gamma"]),
    "High": ("", [("Score__c", "greaterThan", "10"), ("Score__c", "lessOrEqual", "30.5")], "", ["Beta", "Gamma"]),
    "Msp": ("", [("Segments__c", "includes", "MSP")], "", ["Alpha", "Beta"]),
    "Not_Msp": ("", [("Segments__c", "excludes", "MSP,Referral")], "", ["Delta_50%"]),
    "This_Month": ("", [("Joined__c", "equals", "THIS_MONTH")], "", ["Alpha"]),
    "Lately": ("", [("Joined__c", "greaterOrEqual", "LAST_N_DAYS:30")], "", ["Alpha", "Beta"]),
    "Early": ("", [("Joined__c", "lessThan", "6/16/2026")], "", ["Beta", "Gamma"]),
    "Within": ("", [("Joined__c", "within", "LAST_MONTH")], "", ["Beta"]),
    "Flagged": ("", [("Flag__c", "equals", "1")], "", ["Alpha", "Gamma"]),
    "City": ("", [("ACCOUNT.ADDRESS1_CITY", "equals", '"Paris, TX"')], "", ["Beta"]),
    "Percent": ("", [("ACCOUNT.NAME", "contains", "_50%")], "", ["Delta_50%"]),
    "Starts": ("", [("ACCOUNT.NAME", "startsWith", "al,ga")], "", ["Alpha", "Gamma"]),
    "Without_A_P": ("", [("ACCOUNT.NAME", "notContain", "p")], "", ["Beta", "Delta_50%", "Gamma"]),
    "Logic": ("1 AND (2 OR 3)", [("Flag__c", "equals", "1"), ("Tier__c", "equals", "Gold"),
                                 ("Score__c", "equals", "30.5")], "", ["Alpha", "Gamma"]),
    "My_Own": ("", [], "Mine", []),
    "Everything": ("", [], "", ["Alpha", "Beta", "Delta_50%", "Gamma"]),
}  # fmt: skip
COLUMNS = ("ACCOUNT.NAME", "Tier__c", "Score__c", "Joined__c", "Flag__c", "CORE.USERS.ALIAS", "ACCOUNT.LAST_UPDATE")


def list_view(name: str, logic: str, filters: list[tuple[str, str, str]], scope: str) -> str:
    shown = "".join(f"<columns>{column}</columns>" for column in COLUMNS)
    listed = "".join(
        f"<filters><field>{field}</field><operation>{operation}</operation>"
        + (f"<value>{value}</value>" if value else "") + "</filters>"
        for field, operation, value in filters
    )  # fmt: skip
    logical = f"<booleanFilter>{logic}</booleanFilter>" if logic else ""
    return (f"<listViews><fullName>{name}</fullName>{logical}{shown}<filterScope>{scope or 'Everything'}</filterScope>"
            f"{listed}<label>{name.replace('_', ' ')}</label></listViews>")  # fmt: skip


def deploy(client: Client, files: dict[str, str]) -> dict[str, Any]:
    """The result of a deploy of these files, once it is done."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for name, text in files.items():
            archive.writestr(name, text)
    options = json.dumps({"deployOptions": {"rollbackOnError": True, "singlePackage": True}})
    parts = {
        "entity_content": (None, options, "application/json"),
        "file": ("p.zip", packed.getvalue(), "application/zip"),
    }
    made = client.call("POST", "/metadata/deployRequest", files=parts)
    assert made.status_code == 201, made.text
    for _ in range(3_000):
        answer = client.get(f"/metadata/deployRequest/{made.json()['id']}?includeDetails=true").json()["deployResult"]
        if answer["done"]:
            return dict(answer)
    raise AssertionError("the deploy does not end")


@pytest.fixture(scope="module")
def org(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    files: dict[str, str | bytes] = {"schema.yaml": SCHEMA, "Account.csv": csv_text(ROWS)}
    views = "".join(list_view(name, logic, filters, scope) for name, (logic, filters, scope, _) in VIEWS.items())
    with running("--data", str(write_files(tmp_path_factory.mktemp("org"), files))) as client:
        result = deploy(client, {
            "package.xml": PACKAGE.format("CustomObject").replace("*", "Account"),
            "objects/Account.object": f"<CustomObject {NS}>{views}</CustomObject>",
        })  # fmt: skip
        assert result["success"], result["details"]["componentFailures"]
        yield client


def view_ids(org: Client) -> dict[str, str]:
    return {view["developerName"]: view["id"] for view in org.get("/sobjects/account/listviews").json()["listviews"]}


@pytest.mark.parametrize("name", VIEWS)
def test_a_view_finds_the_records_of_its_filters(org: Client, name: str) -> None:
    answer = org.get(f"/sobjects/Account/listviews/{view_ids(org)[name]}/results")
    assert answer.status_code == 200, answer.text
    found = [record["columns"][0]["value"] for record in answer.json()["records"]]
    if name == "My_Own":
        mine = org.names(f"SELECT Name FROM Account WHERE OwnerId = '{org.org.user_id}' ORDER BY Name")
        assert found == mine
        return
    assert found == VIEWS[name][3]
    described = org.get(f"/sobjects/Account/listviews/{name}/describe").json()
    assert [row["Name"] for row in org.rows(described["query"])] == found


def test_the_list_and_a_single_view_tell_where_more_is(org: Client) -> None:
    answer = org.get("/sobjects/Account/listviews").json()
    assert (answer["done"], answer["size"], answer["sobjectType"], answer["nextRecordsUrl"]) == (
        True, len(VIEWS), "Account", None,
    )  # fmt: skip
    view = next(entry for entry in answer["listviews"] if entry["developerName"] == "Gold_Ones")
    assert sorted(view) == ["describeUrl", "developerName", "id", "label", "resultsUrl", "soqlCompatible", "url"]
    assert (view["id"][:3], view["label"]) == ("00B", "Gold Ones")
    for key in ("url", "describeUrl", "resultsUrl"):
        assert org.get("/" + view[key]).status_code == 200
    page = org.get("/sobjects/Account/listviews?limit=2").json()
    assert (page["done"], len(page["listviews"])) == (False, 2)
    assert org.get("/" + page["nextRecordsUrl"]).json()["listviews"][0] == answer["listviews"][2]
    assert org.get("/sobjects/Account/listviews/Nope/results").status_code == 404


def test_results_hold_texts_in_the_order_of_the_columns(org: Client) -> None:
    answer = org.get("/sobjects/Account/listviews/Gold_Ones/results").json()
    assert sorted(answer) == ["columns", "developerName", "done", "id", "label", "records", "size"]
    shown = [column["fieldNameOrPath"] for column in answer["columns"]]
    assert shown == ["Name", "Tier__c", "Score__c", "Joined__c", "Flag__c", "Owner.Alias", "LastModifiedDate", "Id",
                     "CreatedDate", "SystemModstamp"]  # fmt: skip
    cells = {cell["fieldNameOrPath"]: cell["value"] for cell in answer["records"][0]["columns"]}
    assert (cells["Score__c"], cells["Joined__c"], cells["Flag__c"]) == ("10", "2026-07-01", "true")
    assert cells["LastModifiedDate"] == "Wed Jul 01 08:00:00 GMT 2026"
    empty = {cell["fieldNameOrPath"]: cell["value"] for cell in answer["records"][1]["columns"]}
    assert (empty["Score__c"], empty["Joined__c"]) == (None, None)
    first = org.get("/sobjects/Account/listviews/Everything/results?limit=3").json()
    rest = org.get("/sobjects/Account/listviews/Everything/results?limit=3&offset=3").json()
    assert [(page["done"], page["size"]) for page in (first, rest)] == [(False, 3), (True, 1)]
    assert org.get("/sobjects/Account/listviews/Everything/results?limit=0").status_code == 400


def test_describe_tells_columns_order_and_conditions(org: Client) -> None:
    answer = org.get("/sobjects/Account/listviews/High/describe").json()
    assert sorted(answer) == ["columns", "id", "orderBy", "query", "relatedEntityId", "scope", "scopeEntityId",
                              "sobjectType", "whereCondition"]  # fmt: skip
    assert sorted(answer["columns"][0]) == [
        "ascendingLabel", "descendingLabel", "fieldNameOrPath", "hidden", "label", "searchable", "selectListItem",
        "sortDirection", "sortIndex", "sortable", "type",
    ]  # fmt: skip
    assert answer["whereCondition"] == {
        "conditions": [{"field": "Score__c", "operator": "greaterThan", "values": ["10"]},
                       {"field": "Score__c", "operator": "lessThanOrEqualTo", "values": ["30.5"]}],
        "conjunction": "and",
    }  # fmt: skip
    assert (answer["scope"], answer["orderBy"][0]["fieldNameOrPath"]) == ("everything", "Name")


def test_a_view_shows_no_column_that_the_user_may_not_see(org: Client) -> None:
    made = requests.put(org.url("//__sandbox/login"), json={"username": "manager@crmsync.example"}, timeout=30).json()
    as_manager = {"Authorization": f"Bearer {made['access_token']}"}
    field = "<fields><fullName>Late__c</fullName><label>Late</label><length>5</length><type>Text</type></fields>"
    view = list_view("With_Late", "", [], "").replace("<columns>Tier__c</columns>", "<columns>Late__c</columns>")
    result = deploy(org, {
        "package.xml": PACKAGE.format("CustomObject").replace("*", "Account"),
        "objects/Account.object": f"<CustomObject {NS}>{field}{view}</CustomObject>",
    })  # fmt: skip
    assert result["success"], result["details"]["componentFailures"]
    answer = org.get("/sobjects/Account/listviews/With_Late/results", headers=as_manager).json()
    assert "Late__c" not in [column["fieldNameOrPath"] for column in answer["columns"]]
    assert answer["size"] == 4
    mine = "/sobjects/Account/listviews/My_Own/results"
    assert (org.get(mine).json()["size"], org.get(mine, headers=as_manager).json()["size"]) == (4, 0)
