"""Logging in: four ways, one new login when the session ends, and words that say what to set."""

from __future__ import annotations

import base64
import json
import logging
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import jwt
import pytest
import requests
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from crmsync.connectors.retries import Transient
from crmsync.connectors.salesforce.login import JWT_GRANT, Login, log_in
from crmsync.connectors.salesforce.session import GuardedSession, Hosts
from crmsync.errors import AccessError, ConfigError, CrmsyncError
from crmsync.logs import configure_logs, shown
from crmsync.settings import SalesforceSettings
from tests.connectors.salesforce.wire import (
    BASE,
    DATA,
    TOKEN,
    Opened,
    Wire,
    account,
    fault,
    html,
    ok,
    open_connector,
    page,
)

NEW = "00Dxx0000001gPL!canary-second-token"
TOKEN_PATH = "/services/oauth2/token"
APP: dict[str, Any] = {"instance_url": BASE, "client_id": "app", "client_secret": "canary-client-secret"}


@pytest.fixture(scope="module")
def key() -> rsa.RSAPrivateKey:
    """A private key."""
    return rsa.generate_private_key(65537, 2048)


@pytest.fixture
def key_file(key: rsa.RSAPrivateKey, tmp_path: Path) -> Path:
    """The key in a PEM file."""
    form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    path = tmp_path / "key.pem"
    path.write_bytes(key.private_bytes(*form))
    return path


def session() -> GuardedSession:
    """A session of its own."""
    return GuardedSession(Hosts(), (1.0, 1.0))


def login(**settings: Any) -> Login:
    """One login at a fixed time."""
    return log_in(SalesforceSettings.model_validate(settings), session(), lambda: 1_800_000_000.4)


def granted(wire: Wire, **more: str) -> None:
    """The login server agrees."""
    wire.on("POST", TOKEN_PATH, ok({"access_token": NEW, "instance_url": BASE, "token_type": "Bearer", **more}))


def form(wire: Wire) -> dict[str, str]:
    """The fields of the login that was sent."""
    return {name: values[0] for name, values in parse_qs(wire.made("POST", TOKEN_PATH)[0].body).items()}


def test_an_access_token_is_used_without_a_login(wire: Wire) -> None:
    assert login(instance_url=BASE + "/", access_token=TOKEN) == Login(BASE, TOKEN)
    assert wire.calls == []


def test_jwt_bearer_is_signed_for_the_login_host_in_seconds(wire: Wire, key: rsa.RSAPrivateKey, key_file: Path) -> None:
    granted(wire)
    assert login(instance_url=BASE, client_id="app", username="sync@acme", jwt_key_file=key_file).token == NEW
    sent = form(wire)
    assert sent["grant_type"] == JWT_GRANT
    options = {"verify_exp": False, "verify_aud": False}
    claims = jwt.decode(sent["assertion"], key.public_key(), algorithms=["RS256"], options=options)
    assert claims == {"iss": "app", "sub": "sync@acme", "aud": "https://login.salesforce.com", "exp": 1_800_000_180}


@pytest.mark.parametrize(
    ("settings", "audience"),
    [
        ({"instance_url": "https://acme--uat.sandbox.my.salesforce.com"}, "https://test.salesforce.com"),
        ({"instance_url": BASE, "login_url": "https://test.salesforce.com"}, "https://test.salesforce.com"),
        ({"instance_url": "http://127.0.0.1:8080"}, "http://127.0.0.1:8080"),
    ],
)
def test_the_audience_is_the_login_server(wire: Wire, key_file: Path, settings: dict[str, str], audience: str) -> None:
    granted(wire)
    login(client_id="app", username="sync@acme", jwt_key_file=key_file, **settings)
    payload = form(wire)["assertion"].split(".")[1]
    assert json.loads(base64.urlsafe_b64decode(payload + "=="))["aud"] == audience


def test_client_credentials_go_to_the_orgs_own_host(wire: Wire) -> None:
    granted(wire)
    login(**APP)
    assert form(wire) == {
        "grant_type": "client_credentials",
        "client_id": "app",
        "client_secret": "canary-client-secret",
    }


def test_a_refresh_token_is_exchanged(wire: Wire) -> None:
    granted(wire)
    login(instance_url=BASE, client_id="app", refresh_token="canary-refresh")
    assert form(wire) == {"grant_type": "refresh_token", "refresh_token": "canary-refresh", "client_id": "app"}


@pytest.mark.parametrize(
    ("settings", "missing"),
    [
        ({}, "CRMSYNC_SALESFORCE__INSTANCE_URL"),
        ({"access_token": TOKEN}, "CRMSYNC_SALESFORCE__INSTANCE_URL"),
        ({"instance_url": BASE}, "CRMSYNC_SALESFORCE__ACCESS_TOKEN"),
        ({"instance_url": BASE, "client_secret": "x"}, "CRMSYNC_SALESFORCE__CLIENT_ID"),
        ({"instance_url": BASE, "refresh_token": "x"}, "CRMSYNC_SALESFORCE__CLIENT_ID"),
        (
            {"instance_url": BASE, "client_id": "a", "username": "b", "jwt_key_file": "/nowhere/key.pem"},
            "/nowhere/key.pem",
        ),
    ],
)
def test_a_missing_setting_is_named(settings: dict[str, str], missing: str) -> None:
    with pytest.raises(AccessError, match=missing):
        login(**settings)


def test_a_file_that_is_no_key_is_named(tmp_path: Path) -> None:
    path = tmp_path / "key.pem"
    path.write_text("-----BEGIN CERTIFICATE-----\ncanary\n")
    with pytest.raises(AccessError, match=r"key\.pem: not an RSA private key") as caught:
        login(instance_url=BASE, client_id="a", username="b", jwt_key_file=path)
    assert "canary" not in str(caught.value)


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (
            ok({"error": "invalid_grant", "error_description": "user hasn't approved this consumer"}, 400),
            "approved this",
        ),
        (
            ok({"error": "invalid_client", "error_description": "invalid client credentials"}, 401),
            "invalid client cred",
        ),
        (
            ok({"error": "invalid_client_id", "error_description": "client identifier invalid"}, 400),
            "invalid_client_id",
        ),
        (ok({"token_type": "Bearer"}), "without an access token"),
        (ok([1]), "without an access token"),
        (ok({"access_token": None}), "without an access token"),
        (ok({"access_token": {"x": "y"}}), "without an access token"),
        (ok({"access_token": "canary\r\nX-Evil: 1"}), "without an access token"),
        ((200, {"Content-Type": "application/json"}, "[" * 100_000), "without an access token"),
        ((400, {"Content-Type": "application/json"}, "[" * 100_000), "refused the login: 400"),
        (ok({"error": "E" * 9_000, "error_description": "x\x1b[2J"}, 400), "refused the login: E{400}…: x "),
    ],
)
def test_a_refused_login_says_why(wire: Wire, answer: tuple, words: str) -> None:
    wire.on("POST", TOKEN_PATH, answer)
    with pytest.raises(AccessError, match=words) as caught:
        login(**APP)
    assert "canary" not in str(caught.value)


@pytest.mark.parametrize("token", [f"{TOKEN}\n", f'"{TOKEN}"', f"\u201c{TOKEN}\u201d", f"Bearer {TOKEN}", "a\0b"])
def test_a_token_that_no_header_can_carry_is_refused_by_the_name_of_its_setting(wire: Wire, token: str) -> None:
    with pytest.raises(AccessError, match="CRMSYNC_SALESFORCE__ACCESS_TOKEN: the value has a blank") as caught:
        login(instance_url=BASE, access_token=token)
    assert "canary" not in str(caught.value)
    assert wire.calls == []


@pytest.mark.parametrize("asked", ["²", "Fri, 31 Dec 9999 23:59:59 -2359", "-1", "9" * 5000])
def test_whatever_an_org_says_about_waiting_is_a_fault_that_passes(wire: Wire, asked: str) -> None:
    wire.on("POST", TOKEN_PATH, html(503, Retry_After=asked))
    with pytest.raises(Transient):
        login(**APP)


def test_what_an_org_says_again_of_our_secrets_is_not_shown(wire: Wire, tmp_path: Path, key_file: Path) -> None:
    """A token that a login has brought, the proof it was asked for with, and secrets as a form writes them."""
    configure_logs(secrets=["s3cret+/canary=="])
    opened = open_connector(
        tmp_path, settings={"instance_url": BASE, "client_id": "app", "username": "u", "jwt_key_file": str(key_file)}
    )
    granted(wire)
    wire.on("GET", ".*FROM Organization", fault(400, "ODD", f"Bearer {NEW} is odd"))
    with pytest.raises(CrmsyncError) as caught:
        opened.connector.identity()
    assert NEW in str(caught.value)  # the org has said it
    assertion = form(wire)["assertion"]
    told = shown(f"{caught.value} {assertion} client_secret=s3cret%2B%2Fcanary%3D%3D")
    assert "canary" not in told
    assert assertion not in told


def test_a_token_for_another_host_is_not_used(wire: Wire) -> None:
    granted(wire)
    wire.on(
        "POST", TOKEN_PATH, ok({"access_token": NEW, "instance_url": "https://acme.my.salesforce.com.evil.example"})
    )
    with pytest.raises(AccessError, match="not a Salesforce host"):
        login(**APP)


# --- a session that ends


def expired(wire: Wire, *answers: tuple) -> None:
    """A read of one account in which the query answers as given."""
    wire.counts("Account", 1)
    wire.page("Account", *answers, page([account(1)]))


@pytest.mark.parametrize("status", [401, 400, 403])
@pytest.mark.parametrize("code", ["INVALID_SESSION_ID", "InvalidSessionId"])
def test_an_expired_session_is_renewed_once_and_the_call_replayed(
    wire: Wire, tmp_path: Path, status: int, code: str
) -> None:
    opened = open_connector(tmp_path, settings={**APP, "access_token": TOKEN})
    granted(wire)
    expired(wire, fault(status, code, "Session expired or invalid"))
    opened.connector.extract(["partners"], opened.staging)
    assert len(opened.rows("partners")) == 1
    queries = wire.made("GET", r".*SELECT Id,.* FROM Account\b.*")
    assert [call.headers["Authorization"] for call in queries] == [f"Bearer {TOKEN}", f"Bearer {NEW}"]


def test_a_session_that_ends_between_pages_goes_on_with_a_new_one(wire: Wire, tmp_path: Path) -> None:
    opened = open_connector(tmp_path, settings={**APP, "access_token": TOKEN})
    granted(wire)
    wire.counts("Account", 2)
    wire.page("Account", page([account(1)], 2, f"{DATA}/query/01g-1"))
    wire.on("GET", f"{DATA}/query/01g-1", fault(401, "INVALID_SESSION_ID"), page([account(2)], 2))
    opened.connector.extract(["partners"], opened.staging)
    assert len(opened.rows("partners")) == 2


def test_a_bulk_job_survives_the_end_of_a_session(wire: Wire, tmp_path: Path) -> None:
    opened = open_connector(tmp_path, settings={**APP, "access_token": TOKEN})
    granted(wire)
    wire.on("GET", f"{DATA}/jobs/ingest/750", fault(401, "INVALID_SESSION_ID"), ok({"state": "InProgress"}))
    assert opened.connector.job_state("750").state == "running"


def test_a_new_session_that_is_refused_too_stops_the_run(wire: Wire, tmp_path: Path) -> None:
    opened = open_connector(tmp_path, settings={**APP, "access_token": TOKEN})
    granted(wire)
    wire.counts("Account", 1)
    wire.page("Account", fault(401, "INVALID_SESSION_ID"))
    with pytest.raises(AccessError, match="refuses even a new session"):
        opened.connector.extract(["partners"], opened.staging)
    assert len(wire.made("POST", TOKEN_PATH)) == 1


def from_file(tmp_path: Path, name: str, value: str, **more: Any) -> tuple[Path, Opened]:
    """A connector one of whose secrets stands in a file."""
    file = tmp_path / "secret"
    file.write_text(value, encoding="utf-8")
    return file, open_connector(tmp_path, settings={"instance_url": BASE, f"{name}_file": str(file), **more})


def test_an_access_token_that_was_rotated_in_its_file_is_read_again(wire: Wire, tmp_path: Path) -> None:
    file, opened = from_file(tmp_path, "access_token", TOKEN)
    expired(wire, fault(401, "INVALID_SESSION_ID"))
    file.write_text(f"{NEW}\n", encoding="utf-8")
    opened.connector.extract(["partners"], opened.staging)
    queries = wire.made("GET", r".*SELECT Id,.* FROM Account\b.*")
    assert [call.headers["Authorization"] for call in queries] == [f"Bearer {TOKEN}", f"Bearer {NEW}"]
    assert wire.made("POST", TOKEN_PATH) == []


def test_a_client_secret_that_was_rotated_in_its_file_is_read_again(wire: Wire, tmp_path: Path) -> None:
    file, opened = from_file(tmp_path, "client_secret", "canary-first", client_id="app", access_token=TOKEN)
    granted(wire)
    expired(wire, fault(401, "INVALID_SESSION_ID"))
    file.write_text("canary-second", encoding="utf-8")
    opened.connector.extract(["partners"], opened.staging)
    (form,) = (parse_qs(str(call.body)) for call in wire.made("POST", TOKEN_PATH))
    assert form["client_secret"] == ["canary-second"]


def test_a_token_file_that_still_holds_the_refused_token_says_so(wire: Wire, tmp_path: Path) -> None:
    _, opened = from_file(tmp_path, "access_token", TOKEN)
    expired(wire, fault(401, "INVALID_SESSION_ID"))
    with pytest.raises(AccessError, match="has expired or is not valid"):
        opened.connector.extract(["partners"], opened.staging)


def test_a_token_file_that_has_gone_is_named(wire: Wire, tmp_path: Path) -> None:
    file, opened = from_file(tmp_path, "access_token", TOKEN)
    expired(wire, fault(401, "INVALID_SESSION_ID"))
    file.unlink()
    with pytest.raises(ConfigError, match="secret: the secret file cannot be read: No such file"):
        opened.connector.extract(["partners"], opened.staging)


def test_an_expired_access_token_without_credentials_says_what_to_set(wire: Wire, opened: Opened) -> None:
    expired(wire, fault(401, "INVALID_SESSION_ID"))
    with pytest.raises(AccessError, match="CRMSYNC_SALESFORCE__ACCESS_TOKEN"):
        opened.connector.extract(["partners"], opened.staging)


# --- versions and secrets


@pytest.mark.parametrize(
    ("offered", "used"), [(["59.0", "62.0"], "v62.0"), (["66.0", "68.0"], "v67.0"), (["9.0", "67.0"], "v67.0")]
)
def test_the_api_version_is_the_configured_or_the_newest_older_one(
    wire: Wire, opened: Opened, offered: list[str], used: str
) -> None:
    wire.on("GET", "/services/data", ok([{"version": version} for version in offered]))
    wire.on(
        "GET",
        f"/services/data/{used}/query/.*",
        ok({"totalSize": 1, "done": True, "records": [{"Id": "00D000000000001AAA"}]}),
    )
    assert opened.connector.identity() == "00D000000000001AAA"


@pytest.mark.parametrize("answer", [ok({"versions": []}), ok([]), ok([{"version": "new"}]), fault(404, "NOT_FOUND")])
def test_something_that_is_no_org_is_named(wire: Wire, opened: Opened, answer: tuple) -> None:
    wire.on("GET", "/services/data", answer)
    with pytest.raises(CrmsyncError, match=r"/services/data|list its API versions"):
        opened.connector.identity()


@pytest.mark.parametrize(
    "answer",
    [
        fault(401, "INVALID_SESSION_ID", "Session expired or invalid"),
        fault(400, "MALFORMED_QUERY", "unexpected token"),
        fault(403, "REQUEST_LIMIT_EXCEEDED", "TotalRequests Limit exceeded."),
        fault(403, "API_DISABLED_FOR_ORG", "no"),
        fault(500, "UNKNOWN_EXCEPTION", "ErrorId"),
        html(503),
        (302, {"Location": "https://evil.example/"}, ""),
        (200, {"Content-Type": "application/json"}, "not json"),
        requests.ConnectionError("reset"),
    ],
)
def test_no_error_and_no_log_line_holds_a_secret(
    wire: Wire, tmp_path: Path, answer: tuple, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    opened = open_connector(tmp_path, settings={**APP, "access_token": TOKEN})
    wire.on("POST", TOKEN_PATH, ok({"error": "invalid_grant", "error_description": "expired"}, 400))
    wire.counts("Account", 1)
    wire.page("Account", answer if isinstance(answer, tuple) else (0, {}, answer))
    with pytest.raises(CrmsyncError) as caught:
        opened.connector.extract(["partners"], opened.staging)
    assert (
        "canary"
        not in f"{caught.value!r}{caught.value.__context__!r}{caplog.text}{opened.connector.org.session.token!r}"
    )
