"""Doors that tell what the org offers: API versions, resources, describe, limits, record counts."""

from __future__ import annotations

from datetime import UTC, datetime
from email.utils import format_datetime, parsedate_to_datetime
from typing import Any

from crmsync.sandbox.allowance import REQUESTS
from crmsync.sandbox.answers import Answer, ApiError, Call, not_found
from crmsync.sandbox.describe import describe_basic, describe_global, describe_object
from crmsync.sandbox.org import Org
from crmsync.sandbox.schema import SObject

OLDEST, FIRST_LISTED, NEWEST = 31, 60, 68
_SEASONS = ("Spring", "Summer", "Winter")


def versions(org: Org, call: Call) -> Answer:
    """`/services/data`: the versions, oldest first; needs no login."""
    del org, call
    listed = [
        {"label": _label(number), "url": f"/services/data/v{number}.0", "version": f"{number}.0"}
        for number in range(FIRST_LISTED, NEWEST + 1)
    ]
    return Answer(listed)


def _label(number: int) -> str:
    season, year = _SEASONS[number % 3], 24 + (number - 60) // 3
    return f"{season} '{year + (1 if season == 'Winter' else 0)}"


def resources(org: Org, call: Call) -> Answer:
    """`/services/data/vX`: name and path of each resource."""
    del org
    names = ("sobjects", "query", "queryAll", "limits", "composite", "jobs", "search", "tooling", "metadata")
    return Answer({name: f"{call.root}/{name}" for name in names} | {"identity": "/services/oauth2/userinfo"})


def composites(org: Org, call: Call) -> Answer:
    """`/composite`: name and path of the calls that hold several."""
    del org
    return Answer({name: f"{call.root}/composite/{name}" for name in ("tree", "batch", "sobjects", "graph")})


def sobject_of(org: Org, call: Call) -> SObject:
    """The object that the path names in any case. Errors: ApiError 404."""
    found = org.visible.find(call.parts["object"])
    if found is None:
        raise not_found()
    return found


def global_describe(org: Org, call: Call) -> Answer:
    """`/sobjects`."""
    return _unless_known(org, call, describe_global(org.visible, call.root))


def object_basics(org: Org, call: Call) -> Answer:
    """`/sobjects/{object}`."""
    return Answer(describe_basic(sobject_of(org, call), [], call.root))


def object_describe(org: Org, call: Call) -> Answer:
    """`/sobjects/{object}/describe`; 304 when nothing changed since If-Modified-Since."""
    sobject = sobject_of(org, call)
    body = describe_object(org.visible, sobject, record_types(org, sobject), call.root)
    return _unless_known(org, call, body)


def record_types(org: Org, sobject: SObject) -> list[dict[str, Any]]:
    """Id, Name, DeveloperName and IsActive of each record type of an object, by name; without the master."""
    rows = org.store.reader().execute(
        'SELECT "Id", "Name", "DeveloperName", "IsActive" FROM "RecordType" '
        'WHERE "SobjectType" = ? COLLATE NOCASE AND "IsDeleted" = 0 ORDER BY "Name"', [sobject.name],
    )  # fmt: skip
    return [dict(zip(("Id", "Name", "DeveloperName", "IsActive"), row, strict=True)) for row in rows]


def _unless_known(org: Org, call: Call, body: dict[str, Any]) -> Answer:
    changed = max(org.changed_schema, org.permissions.changed or org.changed_schema)
    headers = {"Last-Modified": format_datetime(changed, usegmt=True)}
    since = _instant(call.headers.get("if-modified-since", ""))
    if since is not None and changed <= since:
        return Answer(None, 304, headers)
    return Answer(body, headers=headers)


def _instant(text: str) -> datetime | None:
    try:
        found = parsedate_to_datetime(text)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def limits(org: Org, call: Call) -> Answer:
    """`/limits`."""
    del call
    return Answer(org.allowance.as_json())


def record_count(org: Org, call: Call) -> Answer:
    """`/limits/recordCount?sObjects=A,B`."""
    wanted = [name.strip() for name in call.query.get("sobjects", "").split(",") if name.strip()]
    chosen = [found for name in wanted if (found := org.visible.find(name))] if wanted else list(org.visible)
    counted = []
    for sobject in sorted(chosen, key=lambda sobject: sobject.name):
        alive = ' WHERE "IsDeleted" = 0' if sobject.field("IsDeleted") else ""
        count = org.store.reader().execute(f'SELECT count(*) FROM "{sobject.name}"{alive}').fetchone()[0]
        if wanted or count:
            counted.append({"count": count, "name": sobject.name})
    return Answer({"sObjects": counted})


def limit_info(org: Org) -> str:
    """The value of the Sforce-Limit-Info header."""
    return f"api-usage={org.allowance.used[REQUESTS]}/{org.allowance.most[REQUESTS]}"


def check_version(version: str) -> None:
    """Errors: ApiError 410 for retired versions, 404 for those to come."""
    number, _, minor = version.partition(".")
    if minor != "0" or int(number) > NEWEST:
        raise not_found()
    if int(number) < OLDEST:
        raise ApiError(410, "UNSUPPORTED_API_VERSION", f"API version {version} is no longer supported")
