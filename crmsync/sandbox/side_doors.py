"""The sandbox's own doors below `/__sandbox/`: no login, not counted. They stand for people at the org's screen."""

from __future__ import annotations

import json

from crmsync.sandbox.answers import Answer, ApiError, Call
from crmsync.sandbox.changes import change_as_person
from crmsync.sandbox.faults import CHANGES
from crmsync.sandbox.org import Org
from crmsync.sandbox.users import user_of


def effects_json(org: Org, call: Call) -> Answer:
    """GET `/__sandbox/effects?object=&id=`; the parameters narrow down the changes, where these are kept.

    `running`: calls that are at work now; one whose client has gone may still have its effect.
    """
    found = org.effects.as_json(call.query.get("object"), call.query.get("id"))
    return Answer({**found, "running": org.allowance.running})


def keep_changes(org: Org, call: Call) -> Answer:
    """PUT `/__sandbox/effects` {changes: true | false | [field, …]}: keep changes one by one. Errors: ApiError."""
    body = call.json_object()
    if set(body) != {"changes"}:
        raise ApiError(400, "INVALID_EFFECTS", f"{', '.join(body) or 'nothing'} is given, {{changes: …}} is wanted")
    org.effects.keep_changes(body["changes"])
    return Answer(org.effects.as_json())


def reset_effects(org: Org, call: Call) -> Answer:
    """DELETE `/__sandbox/effects`."""
    del call
    org.effects.reset()
    return Answer(None, 204)


def set_faults(org: Org, call: Call) -> Answer:
    """PUT `/__sandbox/faults`: the list of faults from now on. Errors: ApiError INVALID_FAULT."""
    org.faults.replace(call.json())
    return faults(org, call)


def faults(org: Org, call: Call) -> Answer:
    """GET `/__sandbox/faults`: the faults with how many calls each has seen and hit."""
    del call
    # numbers came as decimals, which JSON does not know
    return Answer(json.loads(json.dumps([fault.as_json() for fault in org.faults.listed], default=float)))


def no_faults(org: Org, call: Call) -> Answer:
    """DELETE `/__sandbox/faults`."""
    del call
    org.faults.replace([])
    return Answer(None, 204)


def change(org: Org, call: Call) -> Answer:
    """POST `/__sandbox/changes` {edit | merge | delete | undelete | create: …}: the ids of what a person changed."""
    body = call.json_object()
    kinds = [kind for kind in (*CHANGES, "create") if kind in body]
    if not kinds or len(body) > len(kinds):
        raise ApiError(400, "INVALID_FAULT", f"a change is one of {', '.join(CHANGES)}, create, not {', '.join(body)}")
    return Answer({kind: change_as_person(org, kind, body[kind]) for kind in kinds})


def set_limits(org: Org, call: Call) -> Answer:
    """PUT `/__sandbox/limits`: what the org allows, and what of it is used. Errors: ApiError INVALID_LIMIT."""
    org.allowance.set_limits(call.json_object())
    return Answer(org.allowance.as_json())


def set_rules(org: Org, call: Call) -> Answer:
    """PUT `/__sandbox/rules` {validation, duplicates}: switch all rules of a kind on or off. Errors: ApiError."""
    body = call.json_object()
    for name, on in body.items():
        if name not in org.rules_on or not isinstance(on, bool):
            raise ApiError(
                400, "INVALID_FIELD", f"rules: {name}: {on!r:.40}; known are {', '.join(org.rules_on)}: true or false"
            )
    org.rules_on |= body
    return Answer(dict(org.rules_on))


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
