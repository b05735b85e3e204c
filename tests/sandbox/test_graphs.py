"""Composite graphs and batches."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.sandbox.orgs import Client, running

ROOT = "/services/data/v67.0"


@pytest.fixture(scope="module")
def org() -> Iterator[Client]:
    with running() as client:
        yield client


def account(name: str | None, reference: str, **more: Any) -> dict[str, Any]:
    body = ({"Name": name} if name else {}) | more
    return {"method": "POST", "url": f"{ROOT}/sobjects/Account", "referenceId": reference, "body": body}


def run(org: Client, *graphs: list[dict[str, Any]]) -> Any:
    body = {"graphs": [{"graphId": f"g{n}", "compositeRequest": nodes} for n, nodes in enumerate(graphs)]}
    return org.call("POST", "/composite/graph", json=body)


def test_each_graph_is_all_or_nothing_by_itself(org: Client) -> None:
    used = int(org.get("/limits").headers["sforce-limit-info"].partition("=")[2].partition("/")[0])
    answer = run(
        org,
        [account("G1", "a"), account("G2", "b", ParentId="@{a.id}")],
        [account("G3", "a"), account(None, "b", ParentId="@{a.id}")],
    )
    first, second = answer.json()["graphs"]
    assert (first["isSuccessful"], second["isSuccessful"]) == (True, False)
    nodes = second["graphResponse"]["compositeResponse"]
    assert [node["body"][0]["errorCode"] for node in nodes] == ["PROCESSING_HALTED", "REQUIRED_FIELD_MISSING"]
    assert org.rows("SELECT Name, Parent.Name FROM Account WHERE Name LIKE 'G%' ORDER BY Name") == [
        {"Name": "G1", "Parent": None}, {"Name": "G2", "Parent": {"Name": "G1"}},
    ]  # fmt: skip
    # however many calls are inside, it was one
    assert answer.headers["sforce-limit-info"].startswith(f"api-usage={used + 1}/")


def test_after_fourteen_failures_the_rest_is_not_tried(org: Client) -> None:
    graphs = run(org, *[[account(None, "a")] for _ in range(16)], [account("Late", "a")]).json()["graphs"]
    codes = [graph["graphResponse"]["compositeResponse"][0]["body"][0]["errorCode"] for graph in graphs]
    assert codes == ["REQUIRED_FIELD_MISSING"] * 14 + ["PROCESSING_HALTED"] * 3
    assert org.names("SELECT Id FROM Account WHERE Name = 'Late'") == []


CHAIN = [account("c", "n0")] + [account("c", f"n{n}", ParentId=f"@{{n{n - 1}.id}}") for n in range(1, 16)]
BROKEN: list[tuple[list[list[dict[str, Any]]], str]] = [
    ([[account("x", "a")]] * 76, "75 graphs"),
    ([[account("x", f"r{n}") for n in range(501)]], "500 nodes"),
    ([CHAIN], "15 deep"),
    ([[account("x", "a", ParentId="@{b.id}"), account("x", "b")]], "refers to b, which is not before it"),
    ([[account("x", "a"), account("x", "a")]], "referenceId a stands twice"),
    ([[]], "graphs must be a list"),
]


@pytest.mark.parametrize(("graphs", "message"), BROKEN)
def test_a_payload_beyond_the_limits_is_refused_as_a_whole(
    org: Client, graphs: list[list[dict[str, Any]]], message: str
) -> None:
    answer = run(org, *graphs)
    assert answer.status_code == 400
    assert message in answer.json()[0]["message"]
    assert org.names("SELECT Id FROM Account WHERE Name IN ('x', 'c')") == []


def test_a_batch_answers_each_call_and_may_halt(org: Client) -> None:
    version = "v67.0"
    requests = [
        {"method": "POST", "url": f"{version}/sobjects/Account", "richInput": {"Name": "B"}},
        {"method": "GET", "url": f"{version}/sobjects/Nope"},
        {"method": "GET", "url": f"{version}/query?q=SELECT+Name+FROM+Account+WHERE+Name='B'"},
    ]
    answer = org.call("POST", "/composite/batch", json={"batchRequests": requests}).json()
    assert [result["statusCode"] for result in answer["results"]] == [201, 404, 200]
    assert (answer["hasErrors"], answer["results"][2]["result"]["totalSize"]) == (True, 1)
    halted = org.call("POST", "/composite/batch", json={"batchRequests": requests[1:], "haltOnError": True}).json()
    assert halted["results"][1] == {
        "statusCode": 412,
        "result": [{"errorCode": "BATCH_PROCESSING_HALTED", "message": "Batch processing halted per request"}],
    }
    too_many = org.call("POST", "/composite/batch", json={"batchRequests": requests * 9})
    assert (too_many.status_code, too_many.json()[0]["errorCode"]) == (400, "LIMIT_EXCEEDED")
    inner = {"method": "POST", "url": f"{version}/composite", "richInput": {}}
    nested = org.call("POST", "/composite/batch", json={"batchRequests": [inner]}).json()
    assert nested["results"][0]["statusCode"] == 400
