"""Logging in: the OAuth token door (JWT bearer, client credentials, refresh token), user info and identity."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
import time
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from crmsync.sandbox.answers import Answer, ApiError, Call, not_found
from crmsync.sandbox.org import Org
from crmsync.sandbox.passwords import user_with_password

_LOGIN_HOSTS = ("login.salesforce.com", "test.salesforce.com")
_MOST_AHEAD_S = 600


class OAuthError(Exception):
    """A refusal in the shape of the token door."""

    def __init__(self, code: str, description: str) -> None:
        super().__init__(description)
        self.code = code
        self.description = description


def token(org: Org, call: Call) -> Answer:
    """POST `/services/oauth2/token`: an access token, or 400 with error and description."""
    headers = {"Cache-Control": "no-store", "Pragma": "no-cache"}
    form = dict(parse_qsl(call.body.decode("utf-8", "replace"), keep_blank_values=True)) | dict(call.query)
    try:
        grant = _GRANTS.get(form.get("grant_type", ""))
        if grant is None:
            raise OAuthError("unsupported_grant_type", "grant type not supported")
        user_id = grant(org, call, form)
    except OAuthError as error:
        return Answer({"error": error.code, "error_description": error.description}, 400, headers)
    access = org.numbered_token(user_id)
    return Answer(_success(org, access, user_id), headers=headers)


def _success(org: Org, access: str, user_id: str) -> dict[str, Any]:
    identity = f"{org.url}/id/{org.org_id}/{user_id}"
    issued = str(int(time.time() * 1000))
    signed = hmac.new(org.client_secret.encode(), (identity + issued).encode(), hashlib.sha256).digest()
    return {
        "access_token": access, "instance_url": org.url, "id": identity, "token_type": "Bearer", "issued_at": issued,
        "signature": base64.b64encode(signed).decode(), "scope": "api refresh_token openid id",
    }  # fmt: skip


def _jwt_bearer(org: Org, call: Call, form: dict[str, str]) -> str:
    """The user whom a signed assertion names."""
    if org.options.jwt_public_key is None:
        raise OAuthError("invalid_app_access", "no certificate has been uploaded for this app")
    claims = _verified(form.get("assertion", ""), org.options.jwt_public_key)
    if claims.get("iss") != org.client_id:
        raise OAuthError("invalid_client_id", "client identifier invalid")
    _check_audience(org, call, claims.get("aud"))
    _check_expiry(claims.get("exp"))
    row = (
        org.store.reader()
        .execute('SELECT "Id", "IsActive" FROM "User" WHERE "Username" = ? COLLATE NOCASE', [str(claims.get("sub"))])
        .fetchone()
    )
    if row is None:
        raise OAuthError("invalid_grant", "user hasn't approved this consumer")
    if not row[1]:
        raise OAuthError("inactive_user", "user is inactive")
    return str(row[0])


def _verified(assertion: str, key_file: Path) -> dict[str, Any]:
    import jwt

    try:
        # Expiry and audience are checked by us: clients send milliseconds, texts and slashes.
        options = {
            "verify_exp": False,
            "verify_aud": False,
            "verify_iat": False,
            "verify_nbf": False,
            "verify_sub": False,
        }
        claims = jwt.decode(assertion, public_key(key_file), algorithms=["RS256"], options=options)  # type: ignore[arg-type]
    except (jwt.PyJWTError, ValueError, TypeError):
        raise OAuthError("invalid_grant", "invalid assertion") from None
    return dict(claims)


def public_key(path: Path) -> Any:
    """The RSA public key of a PEM certificate or key file. Errors: ValueError."""
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    text = path.read_bytes()
    key = x509.load_pem_x509_certificate(text).public_key() if b"CERTIFICATE" in text else load_pem_public_key(text)
    if not isinstance(key, RSAPublicKey):
        raise ValueError(f"{path}: is no RSA key")
    return key


def _check_audience(org: Org, call: Call, audience: Any) -> None:
    for text in audience if isinstance(audience, list) else [audience]:
        host = urlsplit(str(text)).netloc.lower()
        own = {urlsplit(org.url).netloc, urlsplit(org.base_url).netloc, call.headers.get("host", "")}
        if host and (
            host in _LOGIN_HOSTS or host in {name.lower() for name in own} or host.endswith(".my.salesforce.com")
        ):
            return
    raise OAuthError("invalid_grant", "audience is invalid")


def _check_expiry(expiry: Any) -> None:
    try:
        seconds = float(expiry)
    except (TypeError, ValueError):
        raise OAuthError("invalid_grant", "expiry is missing or no number") from None
    now = time.time()
    if seconds > now * 100:
        seconds /= 1000
    if not now - 5 < seconds < now + _MOST_AHEAD_S:
        raise OAuthError("invalid_grant", "expired authorization code" if seconds <= now else "expiry is too far ahead")


def _client_credentials(org: Org, call: Call, form: dict[str, str]) -> str:
    _check_client(org, call, form)
    return org.user_id


def _refresh(org: Org, call: Call, form: dict[str, str]) -> str:
    del call
    if not hmac.compare_digest(form.get("client_id", "").encode(), org.client_id.encode()):
        raise OAuthError("invalid_client_id", "client identifier invalid")
    secret = form.get("client_secret")
    if secret and not hmac.compare_digest(secret.encode(), org.client_secret.encode()):
        raise OAuthError("invalid_client", "invalid client credentials")
    if not hmac.compare_digest(form.get("refresh_token", "").encode(), org.refresh_token.encode()):
        raise OAuthError("invalid_grant", "expired access/refresh token")
    return org.user_id


def _password(org: Org, call: Call, form: dict[str, str]) -> str:
    _check_client(org, call, form)
    if not org.logins.oauth_password:
        raise OAuthError("invalid_grant", "authentication failure")  # as a real org says that has closed this way
    user_id = user_with_password(org, form.get("username", ""), form.get("password", ""))
    if user_id is None:
        raise OAuthError("invalid_grant", "authentication failure")
    return user_id


def _check_client(org: Org, call: Call, form: dict[str, str]) -> None:
    client_id, secret = form.get("client_id", ""), form.get("client_secret", "")
    kind, _, packed = call.headers.get("authorization", "").partition(" ")
    if kind.lower() == "basic":
        try:
            client_id, _, secret = base64.b64decode(packed, validate=True).decode("utf-8").partition(":")
        except (binascii.Error, UnicodeDecodeError):
            raise OAuthError("invalid_client", "invalid client credentials") from None
    if not hmac.compare_digest(client_id.encode(), org.client_id.encode()):
        raise OAuthError("invalid_client_id", "client identifier invalid")
    if not hmac.compare_digest(secret.encode(), org.client_secret.encode()):
        raise OAuthError("invalid_client", "invalid client credentials")


_GRANTS = {
    "urn:ietf:params:oauth:grant-type:jwt-bearer": _jwt_bearer,
    "client_credentials": _client_credentials,
    "refresh_token": _refresh,
    "password": _password,
}


def check_login(org: Org, call: Call) -> str:
    """The id of the user whose token the call carries. Errors: ApiError INVALID_SESSION_ID."""
    kind, _, given = call.headers.get("authorization", "").partition(" ")
    user_id = org.tokens.get(given.strip()) if kind.lower() in ("bearer", "oauth") else None
    if user_id is None:
        raise ApiError(401, "INVALID_SESSION_ID", "Session expired or invalid")
    return user_id


def revoke(org: Org, call: Call) -> Answer:
    """POST `/services/oauth2/revoke`: the token is no longer valid."""
    form = dict(parse_qsl(call.body.decode("utf-8", "replace"))) | dict(call.query)
    org.tokens.pop(form.get("token", ""), None)
    return Answer("", media_type="text/plain")


def user_info(org: Org, call: Call) -> Answer:
    """`/services/oauth2/userinfo`: the full OpenID set."""
    user = _user(org, call)
    base, photo = org.url, f"{org.url}/profilephoto/005"
    versioned = {name: f"{base}/services/data/v{{version}}/{path}" for name, path in _URLS.items()}
    return Answer({
        "sub": f"{base}/id/{org.org_id}/{user['Id']}", "user_id": user["Id"], "organization_id": org.org_id,
        "preferred_username": user["Username"], "nickname": user["Alias"] or user["Username"], "name": user["Name"],
        "email": user["Email"], "email_verified": True,
        "given_name": user["FirstName"], "family_name": user["LastName"],
        "zoneinfo": user["TimeZoneSidKey"], "photos": {"picture": f"{photo}/F", "thumbnail": f"{photo}/T"},
        "profile": f"{base}/{user['Id']}", "picture": f"{photo}/F", "address": {"country": "US"},
        "urls": {"rest": f"{base}/services/data/v{{version}}/", "custom_domain": base} | versioned,
        "active": bool(user["IsActive"]), "user_type": "STANDARD", "language": user["LanguageLocaleKey"],
        "locale": user["LocaleSidKey"], "utcOffset": 0, "updated_at": f"{user['SystemModstamp'][:19]}Z",
        "is_app_installed": True,
    })  # fmt: skip


_URLS = {"query": "query/", "sobjects": "sobjects/", "search": "search/", "recent": "recent/"}


def identity(org: Org, call: Call) -> Answer:
    """`/id/{org}/{user}`."""
    user = _user(org, call)
    if call.parts["org"][:15] != org.org_id[:15] or call.parts["user"][:15] != user["Id"][:15]:
        raise not_found()
    return Answer({
        "id": f"{org.url}/id/{org.org_id}/{user['Id']}", "user_id": user["Id"], "organization_id": org.org_id,
        "username": user["Username"], "display_name": user["Name"],
        "email": user["Email"], "active": bool(user["IsActive"]),
        "user_type": "STANDARD", "timezone": user["TimeZoneSidKey"], "locale": user["LocaleSidKey"],
        "language": user["LanguageLocaleKey"], "urls": {"rest": f"{org.url}/services/data/v{{version}}/"},
    })  # fmt: skip


def _user(org: Org, call: Call) -> dict[str, Any]:
    given = call.headers.get("authorization", "").partition(" ")[2].strip()
    names = ("Id", "Username", "Name", "FirstName", "LastName", "Email", "Alias", "IsActive", "TimeZoneSidKey",
             "LocaleSidKey", "LanguageLocaleKey", "SystemModstamp")  # fmt: skip
    listed = ", ".join(f'"{name}"' for name in names)
    row = org.store.reader().execute(f'SELECT {listed} FROM "User" WHERE "Id" = ?', [org.tokens[given]]).fetchone()
    return dict(zip(names, row, strict=True))


def greeting(org: Org, access: str) -> str:
    """The one line that a started org prints: where it is and how to get in."""
    return json.dumps({
        "instance_url": org.base_url, "access_token": access, "org_id": org.org_id,
        "username": _username(org), "client_id": org.client_id, "client_secret": org.client_secret,
        "refresh_token": org.refresh_token, "user_id": org.user_id,
        "password": org.password, "security_token": org.security_token,
    })  # fmt: skip


def _username(org: Org) -> str:
    row = org.store.reader().execute('SELECT "Username" FROM "User" WHERE "Id" = ?', [org.user_id]).fetchone()
    return str(row[0])
