"""Who is logged in where: the org, its kind, the user, the clock. What the org does not tell is not guessed."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Any

from crmsync.connectors.salesforce.checks.findings import Finding, look, told
from crmsync.connectors.salesforce.describe import Describe
from crmsync.connectors.salesforce.faults import Refused
from crmsync.connectors.salesforce.org import Org
from crmsync.connectors.salesforce.rows import long_id
from crmsync.errors import AccessError
from crmsync.settings import SalesforceSettings

SKEW_S = 60
"""Seconds by which clocks may differ; an assertion of a JWT login lives three minutes."""
_FIELDS = (
    "Id", "Name", "IsSandbox", "OrganizationType", "InstanceName", "TimeZoneSidKey", "TrialExpirationDate",
    "NamespacePrefix", "DefaultCurrencyIsoCode",
)  # fmt: skip


@dataclass(frozen=True)
class Identity:
    """One org and the login. `kind`: in words; `user`: empty where the login may not tell; `skew_s`: our clock less
    the org's, None where it sends no time; `allowance`: API calls of a day, and those left."""

    org: str
    name: str
    kind: str
    address: str
    version: str
    login: str
    user: str = ""
    time_zone: str = ""
    skew_s: float | None = None
    allowance: tuple[int, int] | None = None


def identify(org: Org, describe: Describe) -> Identity:
    """Read it. Errors: AccessError when the login fails; Deferred; Transient."""
    record = _organization(org, describe)
    skew, allowance = _limits(org)
    return Identity(
        org=long_id(str(record["Id"])),
        name=str(record.get("Name") or ""),
        kind=kind_of(record),
        address=org.base_url,
        version=org.version,
        login=login_kind(org.settings),
        user=_user(org),
        time_zone=str(record.get("TimeZoneSidKey") or ""),
        skew_s=skew,
        allowance=allowance,
    )


def _organization(org: Org, describe: Describe) -> dict[str, Any]:
    found = describe.find("Organization")
    names = [one.name for name in _FIELDS if found is not None and (one := found.field(name)) is not None]
    answer = org.query(f"SELECT {', '.join(names or ['Id'])} FROM Organization")
    records = answer.get("records") if isinstance(answer, dict) else None
    if not records or not isinstance(records[0], dict) or not records[0].get("Id"):
        raise AccessError(f"{org.base_url} does not tell its organization id to this login")
    return dict(records[0])


def kind_of(record: dict[str, Any]) -> str:
    """`production`, `sandbox`, `developer`, …: only what the org says of itself."""
    edition = str(record.get("OrganizationType") or "")
    sandbox = record.get("IsSandbox")
    if sandbox is None:
        return f"unknown kind ({edition or 'edition not told'}): Organization.IsSandbox is hidden from this login"
    if sandbox:
        return f"sandbox ({edition})" if edition else "sandbox"
    if edition == "Developer Edition":
        return "developer (Developer Edition)"
    if record.get("TrialExpirationDate"):
        return f"trial until {str(record['TrialExpirationDate'])[:10]} ({edition})"
    return f"production ({edition})" if edition else "production"


def login_kind(settings: SalesforceSettings) -> str:
    """Which login the settings ask for, in words."""
    if settings.access_token is not None:
        return "access token"
    if settings.jwt_key_file is not None:
        return "JWT bearer"
    return "refresh token" if settings.refresh_token is not None else "client credentials"


def _user(org: Org) -> str:
    """The user name, where this login may ask for it (it needs the scope openid)."""
    try:
        answer = _userinfo(org)
    except (Refused, AccessError):
        return ""
    return str(answer.get("preferred_username") or "") if isinstance(answer, dict) else ""


def _userinfo(org: Org) -> Any:
    return org.call(lambda _: org.session.get(f"{org.base_url}/services/oauth2/userinfo")).json()


def _limits(org: Org) -> tuple[float | None, tuple[int, int] | None]:
    """(our clock less theirs, allowance) of one call."""
    response = org.call(lambda client: org.session.get(f"{client.base_url}limits"))
    return _skew(response.headers.get("Date"), time.time()), _allowance(response.json())


def _skew(header: str | None, now: float) -> float | None:
    try:
        return now - parsedate_to_datetime(header or "").timestamp()
    except (ValueError, TypeError):
        return None


def _allowance(answer: Any) -> tuple[int, int] | None:
    daily = answer.get("DailyApiRequests") if isinstance(answer, dict) else None
    if not isinstance(daily, dict) or not isinstance(daily.get("Max"), int):
        return None
    return daily["Max"], int(daily.get("Remaining") or 0)


def clock_findings(identity: Identity, settings: SalesforceSettings) -> Iterator[Finding]:
    """A clock that is off makes JWT logins fail and moves the day."""
    if identity.skew_s is None:
        yield told("clock", "the org's answers carry no time, so the clocks were not compared")
    elif abs(identity.skew_s) > SKEW_S:
        side = "ahead of" if identity.skew_s > 0 else "behind"
        more = "; a JWT assertion lives 3 minutes and may be refused" if settings.jwt_key_file else ""
        what = f"this machine's clock is {abs(identity.skew_s):.0f} s {side} the org's{more}"
        yield look("clock", what, "set this machine's clock by NTP")


def zone_findings(identity: Identity, run_zone: str, map_zone: str | None, file: str) -> Iterator[Finding]:
    """Two time zones: whose day is today, and in which date-times become dates."""
    dates = identity.time_zone if map_zone == "org" else map_zone or run_zone
    if dates and dates != run_zone:
        what = f"today is a day in {run_zone}, and date-times of the org become days in {dates}"
        way = f"write `time_zone: {dates}` in crmsync.yaml, unless it is meant"
        yield look("time zone", what, way, file)
