"""Doors of many calls in one: composite graphs, each all or nothing, and batches of calls without references."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from crmsync.sandbox.answers import Answer, ApiError, Call
from crmsync.sandbox.composite import Dispatch, run_requests
from crmsync.sandbox.org import Org

MOST_GRAPHS, MOST_NODES, MOST_DEPTH, MOST_KINDS, MOST_FAILED = 75, 500, 15, 15, 14
MOST_IN_BATCH = 25
_REFERENCE = re.compile(r"@\{(\w+)", re.ASCII)
_HALTED = {"message": "The graph was not processed, because too many graphs before it failed.",
           "errorCode": "PROCESSING_HALTED"}  # fmt: skip


def graph(org: Org, call: Call, dispatch: Dispatch) -> Answer:
    """POST `/composite/graph`: up to 75 graphs of together 500 calls. Errors: ApiError for what breaks a limit."""
    graphs = call.json_object().get("graphs")
    if not isinstance(graphs, list) or not graphs or not all(_is_graph(entry) for entry in graphs):
        raise ApiError(400, "JSON_PARSER_ERROR", "graphs must be a list of {graphId, compositeRequest}")
    ids = [entry["graphId"] for entry in graphs]
    if len(set(ids)) < len(ids):
        raise ApiError(400, "INVALID_INPUT", "a graphId stands twice")
    nodes = sum(len(entry["compositeRequest"]) for entry in graphs)
    if len(graphs) > MOST_GRAPHS or nodes > MOST_NODES:
        raise ApiError(
            400, "LIMIT_EXCEEDED",
            f"a payload may have {MOST_GRAPHS} graphs and {MOST_NODES} nodes, not {len(graphs)} and {nodes}",
        )  # fmt: skip
    for entry in graphs:
        _check_graph(entry)
    shown, failed = [], 0
    for entry in graphs:
        nodes_of = entry["compositeRequest"]
        answers = _halted(entry) if failed >= MOST_FAILED else run_requests(org, nodes_of, True, dispatch)
        good = all(answer["httpStatusCode"] < 400 for answer in answers)
        failed += not good
        shown.append(
            {"graphId": entry["graphId"], "graphResponse": {"compositeResponse": answers}, "isSuccessful": good}
        )
    return Answer({"graphs": shown})


def _is_graph(entry: Any) -> bool:
    if not isinstance(entry, Mapping) or not isinstance(entry.get("graphId"), str):
        return False
    requests = entry.get("compositeRequest")
    return isinstance(requests, list) and bool(requests) and all(isinstance(node, Mapping) for node in requests)


def _check_graph(entry: Mapping[str, Any]) -> None:
    """Errors: ApiError for a graph that is too deep, of too many kinds, or refers to what is not before it."""
    depths: dict[str, int] = {}
    kinds = set()
    for node in entry["compositeRequest"]:
        name = str(node.get("referenceId"))
        if name in depths:
            raise ApiError(400, "INVALID_INPUT", f"graph {entry['graphId']}: the referenceId {name} stands twice")
        wanted = set(_REFERENCE.findall(f"{node.get('url')} {node.get('body')}"))
        if wanted - set(depths):
            missing = sorted(wanted - set(depths))[0]
            text = f"graph {entry['graphId']}: {name} refers to {missing}, which is not before it"
            raise ApiError(400, "INVALID_INPUT", text)
        depths[name] = 1 + max((depths[other] for other in wanted), default=0)
        kinds.add((str(node.get("method")).upper(), _object_of(str(node.get("url")))))
    if max(depths.values()) > MOST_DEPTH or len(kinds) > MOST_KINDS:
        text = f"graph {entry['graphId']}: a graph may be {MOST_DEPTH} deep and have {MOST_KINDS} kinds of nodes"
        raise ApiError(400, "LIMIT_EXCEEDED", text)


def _object_of(url: str) -> str:
    found = re.search(r"/sobjects/(\w+)", url)
    return found[1].lower() if found else url


def _halted(entry: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [
        {"body": [_HALTED], "httpHeaders": {}, "httpStatusCode": 400, "referenceId": node.get("referenceId")}
        for node in entry["compositeRequest"]
    ]


def batch(org: Org, call: Call, dispatch: Dispatch) -> Answer:
    """POST `/composite/batch`: up to 25 calls; with `haltOnError` those after the first failure are not made."""
    body = call.json_object()
    requests = body.get("batchRequests")
    if not isinstance(requests, list) or not all(isinstance(request, Mapping) for request in requests):
        raise ApiError(400, "JSON_PARSER_ERROR", "batchRequests must be a list of objects")
    if not 1 <= len(requests) <= MOST_IN_BATCH:
        raise ApiError(400, "LIMIT_EXCEEDED", f"a batch takes 1 to {MOST_IN_BATCH} requests, not {len(requests)}")
    results: list[dict[str, Any]] = []
    for request in requests:
        if body.get("haltOnError") is True and any(result["statusCode"] >= 400 for result in results):
            error = {"errorCode": "BATCH_PROCESSING_HALTED", "message": "Batch processing halted per request"}
            results.append({"statusCode": 412, "result": [error]})
            continue
        results.append(_batched(org, request, call.version, dispatch))
    return Answer({"hasErrors": any(result["statusCode"] >= 400 for result in results), "results": results})


def _batched(org: Org, request: Mapping[str, Any], version: str, dispatch: Dispatch) -> dict[str, Any]:
    url = str(request.get("url") or "")
    # addresses in a batch begin at the version
    path = url if url.startswith("/services/data/") else f"/services/data/{url.lstrip('/') or f'v{version}'}"
    node = {"method": request.get("method"), "url": path, "body": request.get("richInput"), "referenceId": "r"}
    answers: Sequence[Mapping[str, Any]] = run_requests(org, [node], False, dispatch)
    return {"statusCode": answers[0]["httpStatusCode"], "result": answers[0]["body"]}
