"""Doors of the Metadata REST API: `/metadata/deployRequest`."""

from __future__ import annotations

import re
from typing import Any

from crmsync.sandbox.answers import Answer, ApiError, Call
from crmsync.sandbox.deploys import ENDED, OPTIONS, Deploy, cancel, deploy_of, deploy_validated, start_deploy
from crmsync.sandbox.metadata_access import check_metadata
from crmsync.sandbox.org import Org

_NAME = re.compile(rb'content-disposition:[^\r\n]*;\s*name="?([^";\r\n]+)', re.IGNORECASE)


def create(org: Org, call: Call) -> Answer:
    """POST `/metadata/deployRequest`: 201 with the id of the deploy.

    Multipart with zip and options, or JSON with the id of a check that went well.
    """
    check_metadata(org)
    if call.headers.get("content-type", "").lower().startswith("application/json"):
        deploy = deploy_validated(org, str(call.json_object().get("validatedDeployRequestId") or ""))
        return Answer(_shown(deploy) | {"deployResult": deploy.result(False)}, 201)
    parts = _parts(call)
    entity = parts.get("entity_content")
    zip_file = parts.get("file")
    if entity is None or zip_file is None:
        missing = "entity_content" if entity is None else "file"
        raise ApiError(400, "MISSING_ARGUMENT", f"The multipart request has no part named {missing}")
    options = _options(Call(call.method, call.path, body=entity).json_object())
    deploy = start_deploy(org, zip_file, options)
    return Answer(_shown(deploy, options) | {"deployResult": deploy.result(False)}, 201)


def _options(body: dict[str, Any]) -> dict[str, Any]:
    given = body.get("deployOptions")
    if not isinstance(given, dict):
        raise ApiError(400, "MISSING_ARGUMENT", "deployOptions is missing in entity_content")
    for name, value in given.items():
        if name not in OPTIONS:
            raise ApiError(400, "JSON_PARSER_ERROR", f'Unrecognized field "{name[:80]}" of deployOptions')
        if isinstance(OPTIONS[name], bool) and not isinstance(value, bool):
            raise ApiError(400, "JSON_PARSER_ERROR", f"deployOptions.{name} must be true or false, not {value!r:.40}")
    return {name: given.get(name, default) for name, default in OPTIONS.items()}


def _parts(call: Call) -> dict[str, bytes]:
    """The parts of a multipart body by their name. Errors: ApiError."""
    kind = call.headers.get("content-type", "")
    if not kind.lower().startswith("multipart/form-data") or "boundary=" not in kind:
        raise ApiError(415, "UNSUPPORTED_MEDIA_TYPE", "The request must be multipart/form-data with a boundary")
    boundary = kind.partition("boundary=")[2].partition(";")[0].strip().strip('"').encode("latin-1", "replace")
    found: dict[str, bytes] = {}
    for piece in (b"\r\n" + call.body).split(b"\r\n--" + boundary)[1:]:
        head, blank, content = piece.partition(b"\r\n\r\n")
        name = _NAME.search(head)
        if blank and name:
            found[name[1].decode("utf-8", "replace")] = content
    if not found:
        raise ApiError(400, "MULTIPART_ERROR", "The multipart request has no part that can be read")
    return found


def _shown(deploy: Deploy, options: Any = None) -> dict[str, Any]:
    return {"id": deploy.id, "validatedDeployRequestId": deploy.validated, "deployOptions": options}


def status(org: Org, call: Call) -> Answer:
    """GET `/metadata/deployRequest/{deploy}`, with `?includeDetails=true`."""
    deploy = deploy_of(org, call.parts["deploy"])
    deploy.wait()
    details = call.query.get("includedetails", "").lower() == "true"
    return Answer(_shown(deploy) | {"deployResult": deploy.result(details)})


def change(org: Org, call: Call) -> Answer:
    """PATCH `/metadata/deployRequest/{deploy}` with status Canceling; 202 while it is being canceled."""
    deploy = deploy_of(org, call.parts["deploy"])
    given = call.json_object().get("deployResult")
    if not isinstance(given, dict) or given.get("status") != "Canceling":
        raise ApiError(400, "INVALID_INPUT", "deployResult.status must be Canceling: nothing else can be changed")
    if deploy.state in ENDED:
        raise ApiError(400, "INVALID_ID_FIELD", f"Deployment already completed: {deploy.id}")
    cancel(org, deploy)
    return Answer(_shown(deploy) | {"deployResult": deploy.result(False) | {"status": "Canceling"}}, 202)
