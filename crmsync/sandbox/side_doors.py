"""The sandbox's own doors below `/__sandbox/`: no login, not counted. They stand for people at the org's screen."""

from __future__ import annotations

from crmsync.sandbox.answers import Answer, ApiError, Call
from crmsync.sandbox.org import Org
from crmsync.sandbox.users import user_of


def effects_json(org: Org, call: Call) -> Answer:
    """GET `/__sandbox/effects`."""
    del call
    return Answer(org.effects.as_json())


def reset_effects(org: Org, call: Call) -> Answer:
    """DELETE `/__sandbox/effects`."""
    del call
    org.effects.reset()
    return Answer(None, 204)


def login(org: Org, call: Call) -> Answer:
    """PUT `/__sandbox/login` {username}: an access token of that user. Errors: ApiError 404, or 400 if inactive."""
    username = call.json_object().get("username")
    found = user_of(org, str(username))
    if found is None:
        raise ApiError(404, "NOT_FOUND", f"the org has no user {username!r:.80}")
    user_id, active = found
    if not active:
        raise ApiError(400, "INACTIVE_USER", f"the user {username!r:.80} is inactive")
    token = org.numbered_token(user_id)
    return Answer({"access_token": token, "user_id": user_id, "instance_url": org.url})
