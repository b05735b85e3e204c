"""Logging in: JWT bearer with a real RSA key, client credentials both ways, refresh, and what refuses."""

from __future__ import annotations

import base64
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import jwt
import pytest
import requests
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID

from tests.sandbox.orgs import Client, running

KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
OTHER = rsa.generate_private_key(public_exponent=65537, key_size=2048)


def certificate(folder: Path) -> Path:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "app")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(KEY.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .sign(KEY, hashes.SHA256())
    )
    path = folder / "app.crt"
    path.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    return path


@pytest.fixture(scope="module")
def org(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    with running("--jwt-public-key", str(certificate(tmp_path_factory.mktemp("key")))) as client:
        yield client


def token(org: Client, headers: dict[str, str] | None = None, **form: Any) -> tuple[int, dict[str, Any]]:
    answer = requests.post(org.url("//services/oauth2/token"), data=form, headers=headers, timeout=30)
    return answer.status_code, answer.json()


def bearer(
    org: Client, key: rsa.RSAPrivateKey = KEY, algorithm: str = "RS256", **changed: Any
) -> tuple[int, dict[str, Any]]:
    claims = {
        "iss": org.org.client_id,
        "sub": org.org.username,
        "aud": org.org.instance_url,
        "exp": int(time.time()) + 180,
    }
    secret: Any = key if algorithm == "RS256" else "x" * 40
    signed = jwt.encode(
        {name: value for name, value in (claims | changed).items() if value is not None}, secret, algorithm
    )
    return token(org, grant_type="urn:ietf:params:oauth:grant-type:jwt-bearer", assertion=signed)


def test_a_signed_assertion_gives_a_token_that_works(org: Client) -> None:
    status, body = bearer(org)
    assert status == 200
    assert body["access_token"].startswith(org.org.org_id[:15] + "!")
    assert (body["instance_url"], body["token_type"]) == (org.org.instance_url, "Bearer")
    assert body["id"] == f"{org.org.instance_url}/id/{org.org.org_id}/{org.org.user_id}"
    assert body["issued_at"].isdigit()
    assert not {"refresh_token", "expires_in"} & set(body)
    headers = {"Authorization": f"Bearer {body['access_token']}"}
    assert requests.get(org.url("/limits"), headers=headers, timeout=30).status_code == 200
    assert requests.get(body["id"], headers=headers, timeout=30).json()["username"] == org.org.username


@pytest.mark.parametrize(
    "shape",
    [
        # Made when the test runs: a time of the collection would be long past in a whole suite.
        lambda: {"exp": int(time.time() + 200) * 1000},
        lambda: {"exp": str(int(time.time()) + 180)},
        lambda: {"aud": "https://login.salesforce.com"},
        lambda: {"aud": "https://test.salesforce.com/"},
        lambda: {"aud": "https://emu.my.salesforce.com"},
        lambda: {"iat": int(time.time())},
    ],
)
def test_the_shapes_that_real_clients_send_are_taken(org: Client, shape: Callable[[], dict[str, Any]]) -> None:
    assert bearer(org, **shape())[0] == 200


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"key": OTHER}, "invalid_grant"),
    ({"algorithm": "HS256"}, "invalid_grant"),
    ({"iss": "someone"}, "invalid_client_id"),
    ({"sub": "nobody@example.com"}, "invalid_grant"),
    ({"aud": "https://elsewhere.example"}, "invalid_grant"),
    ({"exp": int(time.time()) - 60}, "invalid_grant"),
    ({"exp": int(time.time()) + 99_999}, "invalid_grant"),
    ({"exp": None}, "invalid_grant"),
    ({"exp": "soon"}, "invalid_grant"),
]


@pytest.mark.parametrize(("changed", "error"), REFUSED)
def test_a_wrong_assertion_is_refused(org: Client, changed: dict[str, Any], error: str) -> None:
    status, body = bearer(org, **changed)
    assert (status, body["error"]) == (400, error)
    assert body["error_description"]


@pytest.mark.parametrize("text", ["", "a.b.c", "x" * 5_000, "eyJhbGciOiJub25lIn0.e30."])
def test_what_is_no_assertion_is_refused(org: Client, text: str) -> None:
    status, body = token(org, grant_type="urn:ietf:params:oauth:grant-type:jwt-bearer", assertion=text)
    assert (status, body["error"]) == (400, "invalid_grant")


def test_client_credentials_come_in_the_body_or_as_basic(org: Client) -> None:
    client_id, secret = org.org.client_id, org.org.client_secret
    assert token(org, grant_type="client_credentials", client_id=client_id, client_secret=secret)[0] == 200
    basic = base64.b64encode(f"{client_id}:{secret}".encode()).decode()
    assert token(org, {"Authorization": f"Basic {basic}"}, grant_type="client_credentials")[0] == 200
    assert token(org, grant_type="client_credentials", client_id=client_id, client_secret="x")[1] == {
        "error": "invalid_client",
        "error_description": "invalid client credentials",
    }
    assert token(org, grant_type="client_credentials", client_id="x")[1]["error"] == "invalid_client_id"
    assert token(org, {"Authorization": "Basic ???"}, grant_type="client_credentials")[0] == 400


def test_a_refresh_token_gives_a_new_access_token(org: Client) -> None:
    form = {"grant_type": "refresh_token", "client_id": org.org.client_id, "client_secret": org.org.client_secret}
    first, second = (token(org, **form, refresh_token=org.org.refresh_token)[1]["access_token"] for _ in range(2))
    assert first != second
    assert token(org, **form, refresh_token="old")[1]["error_description"] == "expired access/refresh token"


def test_the_password_grant_is_closed_until_an_admin_opens_it(org: Client) -> None:
    form = {"client_id": org.org.client_id, "client_secret": org.org.client_secret, "username": org.org.username,
            "password": org.org.password}  # fmt: skip
    closed = (400, {"error": "invalid_grant", "error_description": "authentication failure"})
    assert token(org, grant_type="password", **form) == closed
    assert org.call("PUT", "//__sandbox/logins", json={"oauth_password": True}).status_code == 200
    try:
        assert token(org, grant_type="password", **form)[0] == 200
        assert token(org, grant_type="password", **form | {"password": "no"}) == closed
    finally:
        org.call("PUT", "//__sandbox/logins", json={"oauth_password": False})


@pytest.mark.parametrize("grant", ["", "authorization_code"])
def test_other_grants_are_not_supported(org: Client, grant: str) -> None:
    assert token(org, grant_type=grant) == (
        400,
        {"error": "unsupported_grant_type", "error_description": "grant type not supported"},
    )


def test_user_info_has_the_full_openid_set(org: Client) -> None:
    body = org.get("//services/oauth2/userinfo").json()
    wanted = {
        "user_id",
        "organization_id",
        "preferred_username",
        "name",
        "email",
        "email_verified",
        "given_name",
        "family_name",
        "zoneinfo",
        "photos",
        "profile",
        "picture",
        "address",
        "active",
        "user_type",
        "language",
        "locale",
        "utcOffset",
        "updated_at",
        "sub",
        "nickname",
        "urls",
    }
    assert wanted <= set(body)
    assert (body["organization_id"], body["preferred_username"]) == (org.org.org_id, org.org.username)


def test_a_revoked_token_no_longer_works(org: Client) -> None:
    access = bearer(org)[1]["access_token"]
    assert requests.post(org.url("//services/oauth2/revoke"), data={"token": access}, timeout=30).status_code == 200
    answer = requests.get(org.url("/limits"), headers={"Authorization": f"Bearer {access}"}, timeout=30)
    assert answer.status_code == 401


def test_a_refused_token_is_told_with_the_scheme_that_is_wanted(org: Client) -> None:
    answer = org.get("/limits", headers={"Authorization": "Bearer old"})
    assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "Token")
