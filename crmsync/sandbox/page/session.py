"""Who looks at the page: the user chosen in a cookie, the token of its forms, and the hosts that may be asked for."""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from crmsync.sandbox.answers import ApiError, Call
from crmsync.sandbox.ids import to_18
from crmsync.sandbox.org import Org
from crmsync.sandbox.users import INTEGRATION, MANAGER, PEOPLE

_LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})
_KEY = re.compile(r"[A-Za-z0-9_-]{43}\Z", re.ASCII)
USERS = {person.id: f"{person.first} {person.last}, {person.title}" for person in PEOPLE} | {
    INTEGRATION: "Integration User"
}
"""The users that the page may be looked at as: id and what they are called there."""


@dataclass(frozen=True)
class Session:
    """One browser: the user it looks as, and its own random key."""

    user_id: str
    key: str

    def token(self, org: Org) -> str:
        """What every form of this browser must bring back."""
        return hmac.new(org.secret("page forms").encode(), self.key.encode(), hashlib.sha256).hexdigest()

    def cookie(self, org: Org) -> str:
        """The Set-Cookie header. Cookies of one host are shared by all its ports, so the name says which."""
        secure = "; Secure" if org.url.startswith("https:") else ""
        return f"{_cookie_name(org)}={self.user_id}.{self.key}; Path=/; HttpOnly; SameSite=Strict{secure}"


def session_of(org: Org, call: Call) -> Session:
    """The session of the cookie; a new one of the account manager where there is none."""
    for part in call.headers.get("cookie", "").split(";"):
        name, _, value = part.strip().partition("=")
        user_id, _, key = value.partition(".")
        if name == _cookie_name(org) and user_id in USERS and _KEY.match(key):
            return Session(user_id, key)
    return Session(MANAGER, secrets.token_urlsafe(32))


def _cookie_name(org: Org) -> str:
    return f"crmsync_page_{urlsplit(org.base_url).port or 0}"


def check_host(org: Org, call: Call) -> None:
    """Errors: ApiError 421 when the page is asked for by a name that is not this machine's (DNS rebinding)."""
    host = call.headers.get("host", "")
    allowed = _LOOPBACK | ({str(urlsplit(org.options.public_url).hostname)} if org.options.public_url else set())
    try:
        name = urlsplit(f"//{host}").hostname
    except ValueError:
        name = None
    if name not in allowed:
        text = f"this page is served for 127.0.0.1 and localhost, not for the host {host!r:.80}"
        raise ApiError(421, "MISDIRECTED_REQUEST", text)


def check_form(org: Org, call: Call, session: Session, given: Mapping[str, list[str]]) -> None:
    """Errors: ApiError 403 when a form does not come from a page that was given to this browser."""
    origin = call.headers.get("origin")
    if origin is not None and urlsplit(origin).netloc != call.headers.get("host"):
        raise ApiError(403, "FORM_OF_ANOTHER_SITE", f"the form was sent by {origin!r:.80}, not by this page")
    token = (given.get("csrf") or [""])[-1]
    if not hmac.compare_digest(token.encode(), session.token(org).encode()):
        text = "the form's token is not this browser's: open the page again and send the form from there"
        raise ApiError(403, "FORM_OUT_OF_DATE", text)


def whole_id(text: str) -> str:
    """The 18-character id. Errors: ApiError 404."""
    found = to_18(text)
    if found is None:
        raise ApiError(404, "NOT_FOUND", f"{text!r:.40} is no record id")
    return found
