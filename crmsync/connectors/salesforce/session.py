"""The HTTP session under simple-salesforce: timeouts, allowed hosts, no redirects, the current token, call counts.

simple-salesforce has no timeout, writes `https://` before every host and follows any address; all of that is decided
here, so that nothing else has to.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from threading import Lock
from typing import Any
from urllib.parse import urljoin, urlsplit

import requests
from urllib3.exceptions import LocationParseError, NameResolutionError, NewConnectionError
from urllib3.util import parse_url

from crmsync.connectors.retries import Transient
from crmsync.connectors.salesforce.faults import refuse_fault
from crmsync.errors import AccessError, DataError

ALLOWED_HOSTS = ("salesforce.com",)
"""Hosts below one of these may get a token, besides loopback and what the settings add. Not force.com: pages and sites
live there, whose code is that of whoever made them."""

PAGES = (".force.com", ".salesforce-setup.com", ".site.com")
_HOST = re.compile(r"[a-z0-9.-]+|\[[0-9a-f:.]+\]")
_USAGE = re.compile(r"api-usage=([0-9]{1,12})/([0-9]{1,12})\b")


def is_loopback(host: str) -> bool:
    """Whether a host name or address is this machine."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


@dataclass(frozen=True)
class Hosts:
    """Which addresses may be called. `plain`: loopback is spoken to over http, as its instance address says."""

    extra: tuple[str, ...] = ()
    plain: bool = False

    def checked(self, url: str) -> str:
        """The address to call. Errors: AccessError when it is not https or not an allowed host."""
        scheme, host = _scheme_and_host(url)
        if is_loopback(host):
            return "http" + url[len(scheme) :] if self.plain else url
        if scheme != "https":
            raise AccessError(f"{shown(url)}: only https is allowed (http only for loopback)")
        if not self._allowed(host):
            raise AccessError(
                f"{shown(url)}: {host} is not a Salesforce host; the token is not sent there. {_way(host)}"
            )
        return url

    def _allowed(self, host: str) -> bool:
        """Salesforce's own are always below the name; one that the settings name may be that very host."""
        extra = [ending.lstrip("*.").lower() for ending in self.extra]
        return host.endswith(tuple(f".{ending}" for ending in (*ALLOWED_HOSTS, *extra) if ending)) or host in extra


def _way(host: str) -> str:
    if host.endswith(PAGES):
        return "Pages live there; the API is at https://NAME.my.salesforce.com (in Setup: My Domain)"
    return "If it is yours, name it in CRMSYNC_SALESFORCE__ALLOWED_HOSTS"


def _scheme_and_host(url: str) -> tuple[str, str]:
    try:
        parsed = parse_url(url)
    except LocationParseError:
        raise AccessError(f"{shown(url)}: not an address that can be called") from None
    if parsed.auth is not None or "\\" in url or not url.isprintable() or " " in url:
        raise AccessError(f"{shown(url)}: an address with a user name, blank or backslash is not called")
    if parsed.scheme not in ("http", "https") or not parsed.host:
        raise AccessError(f"{shown(url)}: an address must look like https://example.my.salesforce.com")
    host = parsed.host.lower()
    authority = re.split("[/?#]", url.partition("://")[2], maxsplit=1)[0]
    if not _HOST.fullmatch(host) or not authority.isascii():  # others may read such letters in another way
        raise AccessError(f"{shown(url)}: a host name has only letters a to z, digits, points and hyphens")
    return parsed.scheme, host


def shown(url: str) -> str:
    """An address fit for a message: no user, no query, at most 100 signs."""
    head = url.split("?")[0].split("#")[0]
    head = re.sub(r"//[^/]*@", "//", head)
    return "".join(sign if sign.isprintable() else "?" for sign in head)[:100]


def same_host_url(base: str, given: str) -> str:
    """An address that the server handed out, absolute; only of the server's own host.

    Errors: DataError when it points anywhere else.
    """
    absolute = ""
    try:
        absolute = urljoin(base.rstrip("/") + "/", given if given.startswith(("/", "http")) else "/" + given)
        ours, theirs = urlsplit(base), urlsplit(absolute)
        same = (ours.scheme, ours.netloc) == (theirs.scheme, theirs.netloc)
    except ValueError:
        same = False
    if not same or "\\" in given or given.startswith("//") or not given.isprintable():
        raise DataError(f"Salesforce named the next address {shown(given)}, which is not on its own host; not followed")
    return absolute


@dataclass
class Usage:
    """What the run has cost: calls made, and what the org says about its daily allowance (used, maximum)."""

    calls: int = 0
    writes: int = 0  # of the calls
    api_usage: tuple[int, int] | None = None
    counting: Lock = field(default_factory=Lock, repr=False, compare=False)  # pages are downloaded by several threads

    def count(self, method: str, path: str) -> None:
        """Count one call, answered or not."""
        reads = method == "GET" or (method == "POST" and "/jobs/ingest" not in path) or "/jobs/query" in path
        with self.counting:
            self.calls += 1
            self.writes += 0 if reads else 1

    def note(self, headers: Mapping[str, str]) -> None:
        """Keep what the org says about its allowance."""
        found = _USAGE.search(headers.get("Sforce-Limit-Info", ""))
        if found:
            self.api_usage = int(found[1]), int(found[2])


@dataclass
class Token:
    """The access token and the one address it is for. Its value never shows."""

    host: str = ""
    value: str = field(default="", repr=False)


class GuardedSession(requests.Session):
    """A requests session that calls allowed hosts only and raises our errors for every answer that is no success."""

    def __init__(self, hosts: Hosts, timeout_s: tuple[float, float]) -> None:
        super().__init__()
        self.hosts = hosts
        self.timeout_s = timeout_s
        self.usage = Usage()
        self.token = Token()
        self.headers["User-Agent"] = "crmsync"  # what the org's API usage reports show
        self.auth = _keep_headers  # otherwise a .netrc of the machine would replace our token

    def request(self, method: str | bytes, url: str | bytes, **kwargs: Any) -> requests.Response:  # type: ignore[override]
        """The usable answer. Errors: AccessError for the address; Transient; whatever `refuse_fault` reads from it."""
        address = self.hosts.checked(url if isinstance(url, str) else url.decode())
        kwargs["headers"] = self._headers(address, kwargs.get("headers"))
        kwargs["timeout"] = kwargs.get("timeout") or self.timeout_s
        kwargs["allow_redirects"] = False
        self.usage.count(str(method).upper(), urlsplit(address).path)
        try:
            response = super().request(method, address, **kwargs)
        except requests.RequestException as error:
            raise _cut_off(str(method), address, error) from None
        self.usage.note(response.headers)
        refuse_fault(response)
        return response

    def merge_environment_settings(self, url: Any, proxies: Any, stream: Any, verify: Any, cert: Any) -> Any:
        """Proxies and CA bundle of the environment; loopback never goes through a proxy."""
        loopback = is_loopback(urlsplit(str(url)).hostname or "")
        if loopback and str(url).startswith("http:"):  # nothing of the environment concerns it, and looking is slow
            verify = self.verify if verify is None else verify
            return {"proxies": {}, "stream": self.stream if stream is None else stream, "verify": verify, "cert": cert}
        merged = super().merge_environment_settings(url, proxies, stream, verify, cert)
        if loopback:
            merged["proxies"] = {}
        return merged

    def _headers(self, url: str, given: Mapping[str, str] | None) -> dict[str, str]:
        headers = {name: text for name, text in (given or {}).items() if name not in ("Authorization", "X-PrettyPrint")}
        if self.token.value and urlsplit(url).netloc == self.token.host:
            headers["Authorization"] = f"Bearer {self.token.value}"
        return headers


def _keep_headers(request: requests.PreparedRequest) -> requests.PreparedRequest:
    return request


def _cut_off(method: str, url: str, error: requests.RequestException) -> Transient:
    never_sent = isinstance(error, requests.ConnectTimeout)
    reason = {
        requests.ConnectTimeout: "no connection in time",
        requests.ReadTimeout: "no answer in time",
        requests.exceptions.SSLError: "the TLS certificate was not accepted",
        requests.exceptions.ProxyError: "the proxy refused",
    }.get(type(error)) or _unconnected(error)
    return Transient(f"{method} {shown(url)}: {reason}", applied=False if never_sent else None)


def _unconnected(error: requests.RequestException) -> str:
    """Why no connection came about, where that is known: a mistyped address looks like a fault of the network."""
    cause = getattr(error.args[0], "reason", None) if error.args else None
    if isinstance(cause, NameResolutionError):
        return "the connection failed, no host of this name is known"
    if isinstance(cause, NewConnectionError):
        return "the connection failed, nothing answers there"
    return "the connection failed or was cut"
