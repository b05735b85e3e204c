"""Several small queries in one call: the composite resource, five at a time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from crmsync.connectors.salesforce.faults import Refused
from crmsync.connectors.salesforce.org import Org

BATCH = 5
"""Queries in one composite call; the API takes no more than five."""


@dataclass(frozen=True)
class Answered:
    """What came of one query. `page`: its first page, None where it was refused; `code`: why."""

    page: dict[str, Any] | None
    code: str = ""

    @property
    def total(self) -> int | None:
        """How many records a `SELECT COUNT()` found."""
        found = (self.page or {}).get("totalSize")
        return found if isinstance(found, int) else None

    @property
    def records(self) -> list[dict[str, Any]]:
        """The records of the page."""
        return [one for one in (self.page or {}).get("records") or () if isinstance(one, dict)]


def ask_together(org: Org, queries: Sequence[str]) -> list[Answered]:
    """The answers in the order of the queries; a refused one has no page. Errors: those of a call."""
    found: list[Answered] = []
    for at in range(0, len(queries), BATCH):
        found += _batch(org, queries[at : at + BATCH])
    return found


def _batch(org: Org, queries: Sequence[str]) -> list[Answered]:
    path = org.data_path("query")
    parts = [
        {"method": "GET", "url": f"{path}?q={quote(query)}", "referenceId": f"q{place}"}
        for place, query in enumerate(queries)
    ]
    answer = org.post("composite", {"allOrNone": False, "compositeRequest": parts})
    given = answer.get("compositeResponse") if isinstance(answer, dict) else None
    parts_given = [part for part in given if isinstance(part, dict)] if isinstance(given, list) else []
    by_reference = {str(part.get("referenceId")): part for part in parts_given}
    return [_answered(by_reference.get(f"q{place}")) for place in range(len(queries))]


def _answered(part: Any) -> Answered:
    body = part.get("body") if isinstance(part, dict) else None
    if isinstance(body, dict) and part.get("httpStatusCode") == 200:
        return Answered(body)
    first = body[0] if isinstance(body, list) and body and isinstance(body[0], dict) else {}
    return Answered(None, str(first.get("errorCode") or "no answer"))


TOGETHER = 25
"""Addresses in one batch call; the API takes no more."""

IN_ORDER = 24
"""Queries in one batch call: three belong together."""


def ask_in_order(org: Org, queries: Sequence[tuple[str, str]]) -> list[Answered]:
    """The answers of (`query` or `queryAll`, SOQL), asked one after the other; one call for many of them.

    A refused one has no page; so have all, where the org does not take batches. Errors: those of a call.
    """
    found: list[Answered] = []
    for at in range(0, len(queries), IN_ORDER):
        asked = queries[at : at + IN_ORDER]
        urls = [f"{org.data_path(door)}?q={quote(query)}" for door, query in asked]
        found += [Answered(body if isinstance(body, dict) else None) for body in get_together(org, urls)]
    return found


def get_together(org: Org, urls: Sequence[str]) -> list[Any]:
    """The JSON bodies of up to 25 addresses; None for each that is not an answer."""
    # addresses in a batch begin at the version
    asked = [{"method": "GET", "url": url.removeprefix("/services/data/")} for url in urls]
    body = {"haltOnError": False, "batchRequests": asked}
    try:
        answer = org.post("composite/batch", body)
    except Refused:
        return [None] * len(urls)
    results = answer.get("results") if isinstance(answer, dict) else None
    if not isinstance(results, list) or len(results) != len(urls):
        return [None] * len(urls)
    return [one.get("result") if isinstance(one, dict) and one.get("statusCode") == 200 else None for one in results]
