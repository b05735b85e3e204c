"""Logging in with a password, as old clients do: whose password is right, and the side door that opens the ways."""

from __future__ import annotations

import hmac

from crmsync.sandbox.answers import Answer, ApiError, Call
from crmsync.sandbox.org import Org
from crmsync.sandbox.users import user_of


def user_with_password(org: Org, username: str, password: str) -> str | None:
    """The id of the active user whose password this is, with or without the security token behind it."""
    found = user_of(org, username)
    right = any(hmac.compare_digest(password.encode(), known.encode())
                for known in (org.password, org.password + org.security_token))  # fmt: skip
    return found[0] if found is not None and found[1] and right else None


def change_logins(org: Org, call: Call) -> Answer:
    """PUT `/__sandbox/logins` with `oauth_password` and `soap`, each true or false."""
    for name, value in call.json_object().items():
        if name not in ("oauth_password", "soap") or not isinstance(value, bool):
            raise ApiError(400, "INVALID_INPUT", f"{name!r:.40}: {value!r:.40} is not oauth_password or soap with true "
                           "or false")  # fmt: skip
        setattr(org.logins, name, value)
    return Answer({"oauth_password": org.logins.oauth_password, "soap": org.logins.soap})
