"""A query that takes Salesforce too long (QUERY_TIMEOUT), cut into stretches of the days on which records were made.

The day on which a record was made never moves, so no record changes its stretch while we read.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

from crmsync.connectors.salesforce.faults import Refused, TimedOut
from crmsync.connectors.salesforce.org import Org
from crmsync.connectors.salesforce.parts import Part
from crmsync.connectors.salesforce.soql import both, earliest

STEPS = (1, 8, 64)
"""Into how many stretches a query is cut, one try after the other."""

OLDEST = datetime(2000, 1, 1, tzinfo=UTC)


def stretches(org: Org, part: Part, count: int) -> list[Part]:
    """The query as so many, which together have each of its records once. Errors: TimedOut when it cannot be cut."""
    if count == 1:
        return [part]
    if part.created is None:
        raise TimedOut(
            f"{part.object} (table {part.key}): the query takes Salesforce too long (QUERY_TIMEOUT) and cannot be cut "
            "into stretches, because the object has no CreatedDate to filter by; narrow its filter in the field map"
        )
    path = part.created.path
    first, now = _first(org, part), datetime.now(UTC)
    cuts = [f"{first + (now - first) * place / count:%Y-%m-%dT%H:%M:%SZ}" for place in range(1, count)]
    lower = ["", *(f"{path} >= {cut}" for cut in cuts)]
    upper = [*(f"{path} < {cut}" for cut in cuts), ""]
    return [
        replace(part, condition=both(part.condition, " AND ".join(filter(None, bounds))))
        for bounds in zip(lower, upper, strict=True)
    ]


def _first(org: Org, part: Part) -> datetime:
    """When the first record of the object was made, as far as the org tells in time."""
    assert part.created is not None
    try:
        answer = org.query(earliest(part.created, part.object))
        return datetime.fromisoformat(answer["records"][0]["earliest"])
    except (Refused, TimedOut, KeyError, IndexError, TypeError, ValueError):
        return OLDEST
