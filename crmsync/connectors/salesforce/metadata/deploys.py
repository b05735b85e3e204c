"""Deploying a zip over REST: check it, send it, wait for its end, and say per component what failed.

Source: Metadata API, `POST /metadata/deployRequest` (multipart) and its status resource.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from urllib3.fields import RequestField
from urllib3.filepost import encode_multipart_formdata

from crmsync.connectors.base import Progress, no_progress
from crmsync.connectors.retries import Transient
from crmsync.connectors.salesforce.org import Org
from crmsync.errors import DataError, Retriable

POLL_MAX_S = 30 * 60.0
FIRST_POLL_S, LONGEST_POLL_S = 0.5, 10.0
FAILURES_SHOWN = 20


@dataclass(frozen=True)
class Deployed:
    """A deploy that has ended well. `components`: how many were sent."""

    id: str
    components: int


class DeployFailed(DataError):  # noqa: N818
    """The org refused a deploy as a whole; nothing of it was kept."""


def deploy(org: Org, archive: bytes, *, check_only: bool, progress: Progress = no_progress) -> Deployed:
    """Deploy a zip and wait for its end; all of it or nothing.

    Errors: DeployFailed naming every component; Retriable when nobody knows what became of it; AccessError, Transient.
    """
    deployment = _start(org, archive, check_only)
    result = _ended(org, deployment, "check" if check_only else "deploy", progress)
    if not result.get("success"):
        raise DeployFailed("\n".join(_failures(deployment, result)))
    return Deployed(deployment, int(result.get("numberComponentsTotal") or 0))


def _start(org: Org, archive: bytes, check_only: bool) -> str:
    options = {
        "allowMissingFiles": False, "autoUpdatePackage": False, "checkOnly": check_only, "ignoreWarnings": True,
        "performRetrieve": False, "purgeOnDelete": False, "rollbackOnError": True, "singlePackage": True,
    }  # fmt: skip
    body, content_type = _multipart({"deployOptions": options}, archive)
    try:
        answer = org.send("POST", "metadata/deployRequest", body, {"Content-Type": content_type})
    except Transient as fault:
        if check_only or fault.applied is False:
            raise
        raise Retriable(
            f"{fault}. Nobody knows whether the deploy began: look at `crmsync deploy plan` in a few minutes"
        ) from None
    try:
        deployment = str(answer.json()["id"])
    except (ValueError, KeyError, TypeError):
        deployment = ""
    if not deployment.isalnum():
        raise DataError("Salesforce took the deploy without saying under which id")
    return deployment


def _multipart(options: Mapping[str, Any], archive: bytes) -> tuple[bytes, str]:
    parts = (
        ("entity_content", None, "application/json", json.dumps(options).encode()),
        ("file", "deploy.zip", "application/zip", archive),
    )
    fields = []
    for name, filename, content_type, data in parts:
        part = RequestField(name, data, filename)
        part.make_multipart(content_type=content_type)
        fields.append(part)
    return encode_multipart_formdata(fields)


def _ended(org: Org, deployment: str, what: str, progress: Progress) -> Mapping[str, Any]:
    waited_s, wait_s = 0.0, FIRST_POLL_S
    while waited_s <= POLL_MAX_S:
        result = _result(org, deployment)
        total = int(result.get("numberComponentsTotal") or 0)
        progress(what, int(result.get("numberComponentsDeployed") or 0), total or None)
        if result.get("done"):
            return result
        org.retries.sleep(wait_s)
        waited_s += wait_s
        wait_s = min(wait_s * 1.5, LONGEST_POLL_S)
    raise Retriable(
        f"deploy {deployment} has not ended after {POLL_MAX_S / 60:.0f} minutes; look at it in Setup, Deployment Status"
    )


def _result(org: Org, deployment: str) -> Mapping[str, Any]:
    answer = org.get(f"metadata/deployRequest/{deployment}", {"includeDetails": "true"})
    result = answer.get("deployResult") if isinstance(answer, dict) else None
    if not isinstance(result, dict):
        raise DataError(f"Salesforce does not say how far deploy {deployment} is")
    return result


def _failures(deployment: str, result: Mapping[str, Any]) -> Iterable[str]:
    details = result.get("details") or {}
    failures = details.get("componentFailures") or []
    failures = failures if isinstance(failures, list) else [failures]
    status = result.get("status") or "Failed"
    yield f"Salesforce refused the deploy {deployment} ({status}, {len(failures)} components); nothing was changed"
    if words := result.get("errorMessage"):
        yield f"  {words}"
    for one in failures[:FAILURES_SHOWN]:
        yield f"  {_failure(one)}"
    if len(failures) > FAILURES_SHOWN:
        yield f"  and {len(failures) - FAILURES_SHOWN} more"


def _failure(one: Mapping[str, Any]) -> str:
    line = f":{one['lineNumber']}" if one.get("lineNumber") else ""
    kind = f"{one['componentType']} " if one.get("componentType") else ""
    return f"{one.get('fileName') or 'package.xml'}{line}: {kind}{one.get('fullName') or ''}: {one.get('problem')}"
