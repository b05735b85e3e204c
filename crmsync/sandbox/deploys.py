"""Deploys of metadata: a worker thread, its states, and the result as both doors tell it."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from crmsync.sandbox.answers import ApiError, not_found
from crmsync.sandbox.ids import to_18
from crmsync.sandbox.metadata_apply import commit, try_package
from crmsync.sandbox.metadata_draft import CHANGED, CREATED, DELETED, RefusedError
from crmsync.sandbox.metadata_package import MANIFEST, Component, Fault, Package, PackageError, read_package
from crmsync.sandbox.metadata_rows import component_ids
from crmsync.sandbox.org import Org
from crmsync.sandbox.users import acting_as

PREFIX = "0Af"
MOST_KEPT = 200
WAIT_S = 20.0
ENDED = ("Succeeded", "SucceededPartial", "Failed", "Canceled")
OPTIONS = {
    "allowMissingFiles": False, "autoUpdatePackage": False, "checkOnly": False, "ignoreWarnings": False,
    "performRetrieve": False, "purgeOnDelete": False, "rollbackOnError": True, "singlePackage": False,
    "testLevel": None, "runTests": None,
}  # fmt: skip

_log = logging.getLogger(__name__)


@dataclass
class Deploy:
    """One deploy. `done` is set once it has ended; `polls` counts how often it was asked for."""

    id: str
    user_id: str
    user_name: str
    options: Mapping[str, Any]
    created: str
    state: str = "Pending"
    started: str | None = None
    ended: str | None = None
    error: tuple[str, str] | None = None
    canceled_by: tuple[str, str] | None = None
    successes: list[dict[str, Any]] = field(default_factory=list)
    failures: list[dict[str, Any]] = field(default_factory=list)
    deployed: int = 0
    total: int = 0
    validated: str | None = None  # the deploy whose package is deployed after it was only checked
    zip_file: bytes | None = None  # kept of a check that went well
    cancel: bool = False
    polls: int = 0
    done: threading.Event = field(default_factory=threading.Event)

    def wait(self) -> None:
        """Give a deploy time to end from the second look on; the first look tells the state as it is."""
        self.polls += 1
        if self.polls > 1:
            self.done.wait(WAIT_S)

    def result(self, details: bool) -> dict[str, Any]:
        """The DeployResult, with every key that a real one has in JSON."""
        error_code, message = self.error or (None, None)
        found: dict[str, Any] = {
            "id": self.id, "messages": None, "retrieveResult": None, "success": self.state == "Succeeded",
            "checkOnly": self.options["checkOnly"], "ignoreWarnings": self.options["ignoreWarnings"],
            "rollbackOnError": self.options["rollbackOnError"], "status": self.state, "runTestsEnabled": False,
            "numberComponentsDeployed": self.deployed, "numberComponentsTotal": self.total,
            "numberComponentErrors": sum(1 for found in self.failures if found["problemType"] == "Error"),
            "numberTestsCompleted": 0, "numberTestsTotal": 0, "numberTestErrors": 0,
            "createdDate": self.created, "startDate": self.started, "lastModifiedDate": self.ended or self.created,
            "completedDate": self.ended, "errorStatusCode": error_code, "errorMessage": message, "stateDetail": None,
            "createdBy": self.user_id[:15], "createdByName": self.user_name,
            "canceledBy": self.canceled_by[0] if self.canceled_by else None,
            "canceledByName": self.canceled_by[1] if self.canceled_by else None,
            "done": self.state in ENDED, "runTestResult": None,
        }  # fmt: skip
        if details:
            found["details"] = {
                "componentFailures": self.failures, "componentSuccesses": self.successes, "retrieveResult": None,
                "allComponentMessages": [*self.failures, *self.successes],
                "runTestResult": {
                    "successes": [], "failures": [], "totalTime": 0.0, "apexLogId": None, "flowCoverage": [],
                    "numFailures": 0, "codeCoverage": [], "codeCoverageWarnings": [], "flowCoverageWarnings": [],
                    "numTestsRun": 0,
                },
            }  # fmt: skip
        return found


def start_deploy(org: Org, zip_file: bytes, options: Mapping[str, Any], validated: str | None = None) -> Deploy:
    """A deploy that runs in a thread of its own; deploys of one org run one after the other."""
    known = {name: options.get(name, default) for name, default in OPTIONS.items()}
    row = org.store.reader().execute('SELECT "Name" FROM "User" WHERE "Id" = ?', [org.acting_id]).fetchone()
    deploy = Deploy(
        org.next_id(PREFIX), org.acting_id, row[0] if row else "", known, f"{org.clock.now()}+0000", validated=validated
    )
    org.store.keep_facts({"numbers": org.numbers})
    with org.lock:
        org.deploys[deploy.id] = deploy
        while len(org.deploys) > MOST_KEPT:
            org.deploys.pop(next(iter(org.deploys)))
    threading.Thread(target=_run, args=(org, deploy, zip_file), daemon=True).start()
    return deploy


def deploy_validated(org: Org, deploy_id: str) -> Deploy:
    """A deploy of a package that an earlier one only checked. Errors: ApiError."""
    earlier = deploy_of(org, deploy_id)
    if earlier.zip_file is None:
        raise ApiError(400, "INVALID_ID_FIELD", f"{deploy_id} is not the id of a validation that went well")
    deploy = start_deploy(org, earlier.zip_file, {**earlier.options, "checkOnly": False}, earlier.id)
    earlier.zip_file = None
    return deploy


def deploy_of(org: Org, deploy_id: str) -> Deploy:
    """The deploy of that id. Errors: ApiError 404."""
    found = org.deploys.get(to_18(deploy_id) or "")
    if not isinstance(found, Deploy):
        raise not_found()
    return found


def cancel(org: Org, deploy: Deploy) -> None:
    """Ask a deploy to stop; one that has ended stays as it is."""
    if deploy.state not in ENDED:
        row = org.store.reader().execute('SELECT "Name" FROM "User" WHERE "Id" = ?', [org.acting_id]).fetchone()
        deploy.canceled_by = (org.acting_id[:15], row[0] if row else "")
        deploy.cancel = True


def _run(org: Org, deploy: Deploy, zip_file: bytes) -> None:
    try:
        with org.deploying, acting_as(deploy.user_id):
            deploy.started = f"{org.clock.now()}+0000"
            if not deploy.cancel:
                deploy.state = "InProgress"
                _work(org, deploy, read_package(zip_file, bool(deploy.options["allowMissingFiles"])))
                if deploy.options["checkOnly"] and deploy.state == "Succeeded":
                    deploy.zip_file = zip_file
    except PackageError as error:
        _fail(org, deploy, error)
    except Exception:
        _log.exception("deploy %s", deploy.id)
        deploy.error, deploy.state = ("UNKNOWN_EXCEPTION", "An unexpected error occurred."), "Failed"
    finally:
        if deploy.cancel and deploy.state not in ENDED:
            deploy.state = "Canceled"
        deploy.ended = f"{org.clock.now()}+0000"
        deploy.done.set()


def _fail(org: Org, deploy: Deploy, error: PackageError) -> None:
    """A package that cannot be read: one failure of its manifest."""
    fault = Fault(Component("", MANIFEST, MANIFEST), str(error))
    deploy.failures = [_message(org, fault.component, "", None, fault)]
    deploy.total, deploy.state = 1, "Failed"


def _work(org: Org, deploy: Deploy, package: Package) -> None:
    trial = try_package(org, package)
    warned = [fault for fault in trial.faults if fault.warning]
    if deploy.cancel:
        return
    faulty = bool(trial.errors)
    partial = faulty and not deploy.options["rollbackOnError"]
    if not deploy.options["checkOnly"] and trial.taken and (partial or not faulty):
        try:
            commit(org, trial)
        except RefusedError as error:
            trial.faults.append(Fault(Component("", MANIFEST, MANIFEST), str(error)))
            faulty, partial = True, False
    ids = component_ids(org)
    deploy.successes = [_message(org, found, state, ids.get(f"{found.kind}:{found.name}")) for state, found in
                        trial.taken]  # fmt: skip
    deploy.successes += [_message(org, fault.component, "", None, fault) for fault in warned]
    deploy.failures = [_message(org, fault.component, "", None, fault) for fault in trial.errors]
    deploy.successes.append(_message(org, Component("", MANIFEST, MANIFEST), CHANGED, None))
    deploy.total = len(trial.taken) + len({(f.component.kind, f.component.name) for f in trial.errors})
    deploy.deployed = len(trial.taken)
    deploy.state = "Succeeded" if not faulty else "SucceededPartial" if partial and trial.taken else "Failed"


def _message(
    org: Org, component: Component, state: str, component_id: str | None, fault: Fault | None = None
) -> dict[str, Any]:
    """One DeployMessage."""
    return {
        "componentType": component.kind, "fileName": component.file,
        "fullName": component.name, "id": component_id, "problem": fault.problem if fault else None,
        "success": fault is None or fault.warning, "warning": bool(fault and fault.warning),
        "created": state == CREATED, "changed": state in (CREATED, CHANGED), "deleted": state == DELETED,
        "lineNumber": (fault.line or component.line or None) if fault else None,
        "columnNumber": 1 if fault and (fault.line or component.line) else None, "requiresProductionTestRun": False,
        "createdDate": f"{org.clock.now()}+0000", "knownPackagingProblem": False,
        "forPackageManifestFile": component.file == MANIFEST and not component.kind,
        "problemType": None if fault is None else "Warning" if fault.warning else "Error",
    }  # fmt: skip


def faults_text(faults: Iterable[Fault]) -> str:
    """All problems in one text."""
    return "; ".join(dict.fromkeys(fault.problem for fault in faults))
