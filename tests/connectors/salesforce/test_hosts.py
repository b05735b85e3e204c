"""Which addresses are called: Salesforce's own over https, loopback, and what the settings add. Nothing else."""

from __future__ import annotations

import socket

import pytest
import requests
import responses
from urllib3 import HTTPSConnectionPool
from urllib3.connection import HTTPSConnection
from urllib3.exceptions import MaxRetryError, NameResolutionError

from crmsync.connectors.retries import Transient
from crmsync.connectors.salesforce.session import GuardedSession, Hosts, is_loopback, same_host_url, shown
from crmsync.errors import AccessError, DataError


@pytest.mark.parametrize(
    "url",
    [
        "https://acme.my.salesforce.com",
        "https://acme--uat.sandbox.my.salesforce.com/services/data",
        "https://login.salesforce.com/services/oauth2/token",
        "https://[::1]:8443/",
        "https://ACME.MY.SALESFORCE.COM/",
    ],
)
def test_salesforce_hosts_are_called(url: str) -> None:
    assert Hosts().checked(url) == url


@pytest.mark.parametrize(
    "url",
    [
        "http://acme.my.salesforce.com",
        "http://169.254.169.254/latest/meta-data",
        "https://169.254.169.254/",
        "https://salesforce.com.evil.example/",
        "https://evilsalesforce.com/",
        "https://evil.example/salesforce.com",
        "https://evil.example?.salesforce.com",
        "https://evil.example#.salesforce.com",
        "https://user:secret@acme.my.salesforce.com/",
        "https://acme.my.salesforce.com@evil.example/",
        "https://evil.example\\@acme.my.salesforce.com/",
        "https://evil.example\\.salesforce.com/",
        "https://evil.example%2f.salesforce.com/",
        "https://evil.example;.salesforce.com/",
        "https://evil.example。salesforce.com/",
        "https://evil.example／.salesforce.com/",
        "https://\u0430cme.my.salesforce.com/",
        "https://acme.my.\u017falesforce.com/",
        "https://[::1%25eth0]/",
        "https://127.1/",
        "https://0x7f000001/",
        "https://salesforce.com/",
        "https://salesforce.com./",
        "https://mallory-developer-edition.force.com/",
        "https://acme.my.salesforce.com\t.evil.example/",
        "https://10.0.0.1/",
        "https://[::ffff:169.254.169.254]/",
        "file:///etc/passwd",
        "ftp://acme.my.salesforce.com/",
        "//acme.my.salesforce.com/",
        "acme.my.salesforce.com",
        "https://",
        "",
        "https://acme.my.salesforce.com:notaport/",
    ],
)
def test_other_addresses_are_refused_without_showing_secrets(url: str) -> None:
    with pytest.raises(AccessError) as caught:
        Hosts().checked(url)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("url", ["https://crm.acme.example/", "https://a.crm.acme.example/"])
@pytest.mark.parametrize("named", ["acme.example", "*.Acme.example", ".acme.example"])
def test_the_settings_may_add_a_host(url: str, named: str) -> None:
    extra = Hosts((named,))
    assert extra.checked(url) == url
    assert extra.checked("https://acme.example/") == "https://acme.example/"
    with pytest.raises(AccessError, match="CRMSYNC_SALESFORCE__ALLOWED_HOSTS"):
        Hosts().checked(url)


@pytest.mark.parametrize("named", ["*", ".", "*.", ""])
def test_an_ending_that_says_nothing_adds_no_host(named: str) -> None:
    for url in ("https://evil.example./", "https://evil.example/"):
        with pytest.raises(AccessError):
            Hosts((named,)).checked(url)


@pytest.mark.parametrize("url", ["https://acme.lightning.force.com/", "https://acme.my.salesforce-setup.com"])
def test_the_address_of_the_pages_is_refused_with_that_of_the_api(url: str) -> None:
    with pytest.raises(AccessError, match=r"the API is at https://NAME\.my\.salesforce\.com"):
        Hosts().checked(url)


@pytest.mark.parametrize("host", ["127.0.0.1", "127.9.9.9", "localhost", "[::1]"])
def test_loopback_may_be_plain_and_is_spoken_to_as_its_address_says(host: str) -> None:
    assert Hosts(plain=True).checked(f"https://{host}:8080/x") == f"http://{host}:8080/x"
    assert Hosts().checked(f"http://{host}:8080/x") == f"http://{host}:8080/x"
    assert Hosts().checked(f"https://{host}:8080/x") == f"https://{host}:8080/x"


@pytest.mark.parametrize("host", ["128.0.0.1", "localhost.evil.example", "0.0.0.0", "127.0.0.1.evil.example", ""])
def test_what_only_looks_like_loopback_is_not(host: str) -> None:
    assert not is_loopback(host)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("/services/data/v67.0/query/01g-2000", "https://a.my.salesforce.com/services/data/v67.0/query/01g-2000"),
        (
            "services/data/v67.0/jobs/ingest/750/batches",
            "https://a.my.salesforce.com/services/data/v67.0/jobs/ingest/750/batches",
        ),
        ("https://a.my.salesforce.com/services/x", "https://a.my.salesforce.com/services/x"),
    ],
)
def test_addresses_the_server_names_are_on_its_own_host(given: str, expected: str) -> None:
    assert same_host_url("https://a.my.salesforce.com", given) == expected


@pytest.mark.parametrize("given", ["https://b.my.salesforce.com/x", "//evil.example/x", "http://[", "/\\evil.example"])
def test_other_hosts_are_not_followed(given: str) -> None:
    with pytest.raises(DataError):
        same_host_url("https://a.my.salesforce.com", given)


@responses.activate
def test_the_token_goes_to_the_orgs_own_host_only() -> None:
    session = GuardedSession(Hosts(), (1, 1))
    session.token.host, session.token.value = "a.my.salesforce.com", "canary"
    responses.get("https://a.my.salesforce.com/x", json=[])
    responses.get("https://login.salesforce.com/x", json=[])
    assert session.get("https://a.my.salesforce.com/x").request.headers["Authorization"] == "Bearer canary"
    assert "Authorization" not in session.get("https://login.salesforce.com/x").request.headers


@responses.activate
@pytest.mark.parametrize("wanted", ["Basic dXNlcjpjYW5hcnk=", "Bearer canary"])
def test_no_credentials_but_the_token_are_sent(wanted: str) -> None:
    responses.get("https://login.salesforce.com/x", json=[])
    sent = GuardedSession(Hosts(), (1, 1)).get("https://login.salesforce.com/x", headers={"Authorization": wanted})
    assert "Authorization" not in sent.request.headers


@responses.activate
def test_an_allowance_that_is_no_number_is_not_noted() -> None:
    session = GuardedSession(Hosts(), (1, 1))
    responses.get("https://a.my.salesforce.com/x", json=[], headers={"Sforce-Limit-Info": f"api-usage={'9' * 5000}/1"})
    session.get("https://a.my.salesforce.com/x")
    assert session.usage.api_usage is None


@responses.activate
def test_every_call_has_both_timeouts(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = {}
    original = requests.Session.request

    def request(self: requests.Session, *args: object, **kwargs: object) -> requests.Response:
        seen.update(kwargs)
        return original(self, *args, **kwargs)  # type: ignore[arg-type]

    monkeypatch.setattr(requests.Session, "request", request)
    responses.get("https://a.my.salesforce.com/x", json=[])
    GuardedSession(Hosts(), (3, 40)).get("https://a.my.salesforce.com/x")
    assert (seen["timeout"], seen["allow_redirects"]) == ((3, 40), False)


@responses.activate
def test_a_netrc_file_does_not_replace_the_token(monkeypatch: pytest.MonkeyPatch, tmp_path: object) -> None:
    netrc = f"{tmp_path}/netrc"
    with open(netrc, "w") as file:
        file.write("machine a.my.salesforce.com login eve password mallory\n")
    monkeypatch.setenv("NETRC", netrc)
    session = GuardedSession(Hosts(), (1, 1))
    session.token.host, session.token.value = "a.my.salesforce.com", "canary"
    responses.get("https://a.my.salesforce.com/x", json=[])
    assert session.get("https://a.my.salesforce.com/x").request.headers["Authorization"] == "Bearer canary"


def test_loopback_never_goes_through_a_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://proxy.example:3128")
    session = GuardedSession(Hosts(plain=True), (0.2, 0.2))
    assert session.merge_environment_settings("http://127.0.0.1:1/x", {}, None, None, None)["proxies"] == {}
    with pytest.raises(Transient, match=r"127\.0\.0\.1:1/x: the connection failed"):
        session.get("http://127.0.0.1:1/x")


def test_an_address_that_leads_nowhere_is_told_as_such() -> None:
    with pytest.raises(Transient, match="nothing answers there"):
        GuardedSession(Hosts(plain=True), (0.2, 0.2)).get("http://127.0.0.1:1/x")
    cause = NameResolutionError("acme.my.salesforce.com", HTTPSConnection("acme.my.salesforce.com"), socket.gaierror())
    lost = requests.ConnectionError(MaxRetryError(HTTPSConnectionPool("acme.my.salesforce.com"), "/", cause))
    with responses.RequestsMock() as mock:
        mock.get("https://acme.my.salesforce.com/x", body=lost)
        with pytest.raises(Transient, match="no host of this name is known"):
            GuardedSession(Hosts(), (1, 1)).get("https://acme.my.salesforce.com/x")


def test_a_shown_address_holds_no_user_and_no_query() -> None:
    assert shown("https://eve:secret@a.b/c?token=secret#secret") == "https://a.b/c"
