"""Logging in: an access token, JWT bearer, refresh token or client credentials, whichever the settings hold.

Source: OAuth 2.0 flows of Salesforce, `POST /services/oauth2/token`. SOAP login is gone from API 65 on and not used.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import jwt
from pydantic import SecretStr

from crmsync.connectors.salesforce.faults import Refused
from crmsync.connectors.salesforce.session import GuardedSession, is_loopback, shown
from crmsync.errors import AccessError
from crmsync.logs import keep_secret
from crmsync.settings import SalesforceSettings

JWT_GRANT = "urn:ietf:params:oauth:grant-type:jwt-bearer"
JWT_LIFE_S = 180
PREFIX = "CRMSYNC_SALESFORCE__"
KEY_BYTES_MAX = 64 * 1024
_TOKEN = re.compile(r"[!#-&(-~]+")  # what a header can carry; no quotes, which an env file would keep as they are


@dataclass(frozen=True)
class Login:
    """An accepted login: where to call, and the token (never shown)."""

    instance_url: str
    token: str = field(repr=False)


def log_in(settings: SalesforceSettings, session: GuardedSession, clock: Callable[[], float] = time.time) -> Login:
    """The first login of a run. Errors: AccessError naming the missing setting or the server's refusal; Transient."""
    if settings.access_token is not None:
        if not settings.instance_url:
            raise AccessError(f"an access token needs its address: set {PREFIX}INSTANCE_URL")
        token = settings.access_token.get_secret_value()
        if not _TOKEN.fullmatch(token):
            raise AccessError(
                f"{PREFIX}ACCESS_TOKEN: the value has a blank, a quote, a line break or a letter that no token has; "
                "give the token alone"
            )
        return Login(settings.instance_url.rstrip("/"), token)
    return renew(settings, session, clock)


def renew(settings: SalesforceSettings, session: GuardedSession, clock: Callable[[], float] = time.time) -> Login:
    """A new token from the lasting credentials. Errors: AccessError when there are none or they are refused."""
    host = _login_host(settings)
    return _exchange(session, settings, host, _grant(settings, host, clock))


def _grant(settings: SalesforceSettings, host: str, clock: Callable[[], float]) -> dict[str, str]:
    if settings.jwt_key_file is not None:
        return {"grant_type": JWT_GRANT, "assertion": _assertion(settings, host, clock)}
    if settings.refresh_token is not None:
        form = {"grant_type": "refresh_token", "refresh_token": settings.refresh_token.get_secret_value()}
        return form | {"client_id": _needed(settings.client_id, "CLIENT_ID")} | _secret(settings.client_secret)
    if settings.client_secret is not None:
        form = {"grant_type": "client_credentials", "client_id": _needed(settings.client_id, "CLIENT_ID")}
        return form | _secret(settings.client_secret)
    if settings.access_token is not None:
        raise AccessError(
            "the Salesforce access token has expired or is not valid, and no lasting credentials are set: give a new "
            f"{PREFIX}ACCESS_TOKEN, or {PREFIX}CLIENT_ID with {PREFIX}JWT_KEY_FILE or {PREFIX}CLIENT_SECRET"
        )
    raise AccessError(
        f"no Salesforce login is set: give {PREFIX}INSTANCE_URL and one of {PREFIX}ACCESS_TOKEN; {PREFIX}CLIENT_ID, "
        f"{PREFIX}USERNAME and {PREFIX}JWT_KEY_FILE; {PREFIX}CLIENT_ID and {PREFIX}CLIENT_SECRET; {PREFIX}REFRESH_TOKEN"
    )


def _secret(secret: SecretStr | None) -> dict[str, str]:
    return {} if secret is None else {"client_secret": secret.get_secret_value()}


def _needed(value: str | None, name: str) -> str:
    if not value:
        raise AccessError(f"this Salesforce login also needs {PREFIX}{name}")
    return value


def _login_host(settings: SalesforceSettings) -> str:
    host = settings.login_url or settings.instance_url
    if not host:
        raise AccessError(f"no Salesforce address is set: give {PREFIX}INSTANCE_URL")
    return host.rstrip("/")


def _assertion(settings: SalesforceSettings, host: str, clock: Callable[[], float]) -> str:
    claims = {
        "iss": _needed(settings.client_id, "CLIENT_ID"),
        "sub": _needed(settings.username, "USERNAME"),
        "aud": _audience(settings, host),
        "exp": int(clock()) + JWT_LIFE_S,
    }
    try:
        assertion = jwt.encode(claims, _key(settings), algorithm="RS256")
    except (ValueError, TypeError, AttributeError, jwt.PyJWTError):  # a public key lacks what signing asks of it
        raise AccessError(f"{settings.jwt_key_file}: not an RSA private key in PEM form without a password") from None
    keep_secret([assertion])
    return assertion


def _audience(settings: SalesforceSettings, host: str) -> str:
    """The login server that the assertion is meant for; Salesforce accepts it under a My Domain address too."""
    name = host.split("://")[-1].split(":")[0].split("/")[0].lower()
    if settings.login_url or is_loopback(name):
        return host
    return "https://test.salesforce.com" if ".sandbox." in name else "https://login.salesforce.com"


def _key(settings: SalesforceSettings) -> bytes:
    path = settings.jwt_key_file
    if path is None:
        raise AccessError(f"this Salesforce login also needs {PREFIX}JWT_KEY_FILE")
    try:
        with path.open("rb") as stream:
            return stream.read(KEY_BYTES_MAX)
    except OSError as error:
        raise AccessError(f"{path}: the key file cannot be read: {error.strerror}") from None


def _exchange(session: GuardedSession, settings: SalesforceSettings, host: str, form: dict[str, str]) -> Login:
    try:
        response = session.post(f"{host}/services/oauth2/token", data=form, headers={"Accept": "application/json"})
    except Refused as refusal:
        raise AccessError(f"{shown(host)} refused the login: {_reason(refusal)}") from None
    try:
        answer = response.json()
        token, instance = answer["access_token"], str(answer.get("instance_url") or settings.instance_url or host)
        given = isinstance(token, str) and _TOKEN.fullmatch(token) is not None
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        given = False
    if not given:
        raise AccessError(f"{shown(host)} answered the login without an access token")
    session.hosts.checked(instance)
    return Login(instance.rstrip("/"), token)


def _reason(refusal: Refused) -> str:
    return f"{refusal.code or refusal.status}: {refusal.words}"
