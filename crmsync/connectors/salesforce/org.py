"""One Salesforce org as the rest of this package sees it: logged in, at one API version, with repeated reads."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from typing import Any, TypeVar
from urllib.parse import urlsplit

import requests
from simple_salesforce.api import Salesforce

from crmsync.connectors.retries import Retries, Transient
from crmsync.connectors.salesforce.faults import OnceMore, SessionExpired
from crmsync.connectors.salesforce.login import Login, log_in, renew
from crmsync.connectors.salesforce.rows import long_id
from crmsync.connectors.salesforce.session import GuardedSession, Hosts, same_host_url
from crmsync.errors import AccessError, DataError
from crmsync.logs import keep_secret
from crmsync.settings import SalesforceSettings, secrets_of

Answer = TypeVar("Answer")

ORGANIZATION = "SELECT Id, TimeZoneSidKey FROM Organization"


class Org:
    """The connection to one org. Nothing is called before the first request needs it.

    simple-salesforce is the transport; the token is held and sent by the session, never by that library.
    """

    def __init__(self, settings: SalesforceSettings, retries: Retries | None = None) -> None:
        self.settings = settings
        self.retries = retries or Retries()
        given = settings.instance_url or settings.login_url or ""
        hosts = Hosts(settings.allowed_hosts, plain=given.startswith("http:"))
        self.session = GuardedSession(hosts, (settings.connect_timeout_s, settings.timeout_s))
        self.base_url = ""
        self.version = ""
        self._client: Salesforce | None = None
        self._renewing = threading.Lock()
        self._organization: Mapping[str, str] | None = None

    # --- calls

    def call(self, send: Callable[[Salesforce], Answer], *, repeat: bool = True) -> Answer:
        """The answer of one call, after one new login where the session has expired.

        `repeat=False` (writes) repeats only what the server certainly did not apply. A query that takes too long, and
        a record that is locked, are tried once more. An expired session is refused before anything is done, so the one
        replay after a login is safe for every call.
        Errors: Transient, AccessError, Deferred, Refused.
        """
        self.client()  # outside of the repeats, which it has of its own
        once_more: list[Transient] = []

        def may_repeat(fault: Transient) -> bool:
            if isinstance(fault, OnceMore):
                once_more.append(fault)
            return (repeat or fault.applied is False) and len(once_more) < 2

        return self.retries.call(lambda: self._logged_in(send), may_repeat)

    def get(self, path: str, params: Mapping[str, str] | None = None) -> Any:
        """The JSON answer of `GET` below `/services/data/vX/`; numbers with a point stay text, so they stay exact."""
        return self.call(lambda client: _json(lambda: client.restful(path, params=dict(params or {})), path))

    def post(self, path: str, body: Mapping[str, Any], *, repeat: bool = True) -> Any:
        """The JSON answer of a `POST` that changes no record: it reads, or it opens a job."""
        return self.call(
            lambda client: _json(lambda: client.restful(path, method="POST", json=dict(body)), path), repeat=repeat
        )

    def patch(self, path: str, body: Mapping[str, Any]) -> Any:
        """The JSON answer of a `PATCH`; repeated only where the server certainly did nothing."""
        return self.call(
            lambda client: _json(lambda: client.restful(path, method="PATCH", json=dict(body)), path), repeat=False
        )

    def query(self, soql: str) -> Any:
        """The first page of a query."""
        return self.call(lambda client: _json(lambda: client.query(soql), "query"))

    def query_more(self, given: str) -> Any:
        """The page at an address that the server named."""
        path = self.path_of(given)
        return self.call(lambda client: _json(lambda: client.query_more(path, identifier_is_url=True), "query"))

    def get_at(self, given: str) -> Any:
        """The JSON answer of an address that the server named."""
        headers = {"Accept": "application/json"}
        return self.call(lambda _: _json(lambda: self.session.get(self.url_of(given), headers=headers).json(), given))

    def download(self, given: str, params: Mapping[str, str] | None = None) -> requests.Response:
        """A streamed answer; the caller reads and closes it. One attempt: the caller repeats the whole download."""
        headers = {"Accept": "text/csv"}

        def send(_: Salesforce) -> requests.Response:
            return self.session.get(self.url_of(given), params=dict(params or {}), headers=headers, stream=True)

        return self._logged_in(send)

    def send(self, method: str, path: str, body: Any, headers: Mapping[str, str]) -> requests.Response:
        """One write. Repeated only where the server certainly did nothing."""
        return self.call(
            lambda client: self.session.request(method, client.base_url + path, data=body, headers=dict(headers)),
            repeat=False,
        )

    def url_of(self, given: str) -> str:
        """An address the server named, or a path, as an absolute address on the org's own host."""
        self.client()
        return same_host_url(self.base_url, given)

    def path_of(self, given: str) -> str:
        """The same, without scheme and host."""
        parts = urlsplit(self.url_of(given))
        return parts.path + (f"?{parts.query}" if parts.query else "")

    def data_path(self, path: str) -> str:
        """`/services/data/v67.0/…`"""
        self.client()
        return f"/services/data/v{self.version}/{path}"

    # --- login

    def client(self) -> Salesforce:
        """The transport, logged in."""
        if self._client is None:
            self._use(self.retries.call(lambda: log_in(self.settings, self.session)))
            self.version = self.retries.call(self._choose_version)
            self._client = Salesforce(
                instance=urlsplit(self.base_url).netloc,
                session_id="held by the session",
                session=self.session,
                version=self.version,
                parse_float=str,
                object_pairs_hook=None,
            )
        return self._client

    def _use(self, login: Login) -> None:
        keep_secret([login.token])  # the org may say it again in what it answers
        self.base_url = self.session.hosts.checked(login.instance_url)
        self.session.token.host = urlsplit(self.base_url).netloc
        self.session.token.value = login.token

    def _logged_in(self, send: Callable[[Salesforce], Answer]) -> Answer:
        client = self.client()
        token = self.session.token.value
        try:
            return send(client)
        except SessionExpired:
            with self._renewing:  # several downloads may find out at once; one login serves them all
                if self.session.token.value == token:
                    self._use(self._renewed())
        try:
            return send(client)
        except SessionExpired:
            raise AccessError(
                f"{self.base_url} refuses even a new session (INVALID_SESSION_ID): check that the integration user is "
                "active, may use the API, and logs in to this org"
            ) from None

    def _renewed(self) -> Login:
        """A new login. Secret files are read again: a token or secret in them may have been replaced meanwhile."""
        before, self.settings = self.settings, self.settings.read_again()
        keep_secret(secrets_of(self.settings))
        rotated = self.settings.access_token != before.access_token
        return (log_in if rotated else renew)(self.settings, self.session)

    def _choose_version(self) -> str:
        """The configured API version, or the newest the org offers if that is older."""
        response = self.session.get(f"{self.base_url}/services/data", headers={"Accept": "application/json"})
        offered = _json(response.json, "/services/data")
        try:
            newest = max(float(entry["version"]) for entry in offered)
        except (TypeError, KeyError, ValueError):
            raise DataError(f"{self.base_url} does not list its API versions; is it a Salesforce org?") from None
        return f"{min(newest, float(self.settings.api_version)):.1f}"

    # --- the org itself

    @property
    def organization(self) -> Mapping[str, str]:
        """Id and time zone of the org, read once."""
        if self._organization is None:
            self._organization = self._organization_in(self.query(ORGANIZATION))
        return self._organization

    @property
    def is_known(self) -> bool:
        """Whether id and time zone were read already."""
        return self._organization is not None

    def know(self, answer: Any) -> None:
        """Take id and time zone from the answer to `ORGANIZATION`; None: it was not answered."""
        if answer is not None:
            self._organization = self._organization_in(answer)

    def _organization_in(self, answer: Any) -> Mapping[str, str]:
        try:
            record = answer["records"][0]
            return {"id": long_id(str(record["Id"])), "time_zone": str(record.get("TimeZoneSidKey") or "UTC")}
        except (TypeError, KeyError, IndexError, AttributeError):
            raise DataError(f"{self.base_url} does not tell its organization id") from None


def _json(read: Callable[[], Any], what: str) -> Any:
    try:
        return read()
    except (ValueError, TypeError, RecursionError):
        # The transport measures what it decoded, so `null` or a bare number ends as a TypeError there.
        raise Transient(f"{what}: the answer is not complete JSON") from None
