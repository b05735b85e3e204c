"""Deploying: what the CRM needs for write-back is planned, applied, verified and removed like infrastructure."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from crmsync.belt import Files, programs_of, reached_org, read_files
from crmsync.errors import AccessError, ConfigError, Conflict, DataError
from crmsync.exits import DONE, PARKED, PLAN_WAITS, USAGE
from crmsync.ledger.deployments import APPLIED, ASSIGNED, REFUSED, REMOVED, SENT, record_deployment
from crmsync.ledger.ledger import Ledger
from crmsync.offline import only_program
from crmsync.progress import progress_bars
from crmsync.state import open_ledger
from crmsync.writeback.dictionary import dictionary_of

if TYPE_CHECKING:
    from datetime import date

    from crmsync.connectors.base_needs import Dictionary
    from crmsync.connectors.salesforce.metadata.deployer import Deployer
    from crmsync.connectors.salesforce.metadata.deploys import Deployed
    from crmsync.connectors.salesforce.metadata.plan import DeployPlan, Removal, Seen


@dataclass(frozen=True)
class DeployResult:
    """What a deploy found and did. `field_map`: its file, for findings; `applied`: components that were deployed;
    `seen`: what describe shows afterwards; `project`: the folder that was written instead."""

    command: str
    org: str
    login: str
    field_map: str
    plan: DeployPlan
    seen: Seen
    applied: int = 0
    deploy_id: str | None = None
    assigned: tuple[str, bool] | None = None
    project: Path | None = None
    written: int = 0
    config: Path | None = None

    @property
    def exit_code(self) -> int:
        """4: it cannot be deployed; 2: changes wait; 3: something differs that a deploy leaves; else 0."""
        from crmsync.connectors.salesforce.metadata.plan import Weight

        if self.plan.of(Weight.CANNOT):
            return USAGE
        if self.plan.steps and self.project is None:
            return PARKED if self.command == "verify" else PLAN_WAITS
        hidden = self.command == "verify" and self.seen.hidden
        return PARKED if hidden or self.plan.of(Weight.DRIFT) else DONE


@dataclass(frozen=True)
class RemoveResult:
    """What a removal would do, or did. `stored`: records of the objects that go; `refused`: nothing is removed while
    names stand in it that are not ours."""

    org: str
    removal: Removal
    stored: Mapping[str, int]
    removed: int | None = None
    refused: bool = False

    @property
    def exit_code(self) -> int:
        """2: shown and not done; 4: names that are not ours or not there; else 0."""
        if self.removal.unknown or self.removal.not_ours:
            return USAGE if self.removed is None else PARKED
        return PLAN_WAITS if self.removed is None and self.removal.components else DONE


def plan(config: Path | None, to: Path | None = None) -> DeployResult:
    """What the org lacks; with `to`, written there as a project instead."""
    with _deployer(config) as opened:
        return _planned("plan", opened.deployer, opened.files, to)


def apply(config: Path | None, to: Path | None = None, assign: str | None = None) -> DeployResult:
    """Deploy what the org lacks, and describe it again. The user of the embedded org is given its permission set.

    Errors: ConfigError when something cannot be deployed.
    """
    from crmsync.connectors.salesforce.metadata.plan import Weight

    with _deployer(config) as opened:
        deployer, files, ledger = opened.deployer, opened.files, opened.ledger
        before = deployer.plan()
        if to is not None or before.of(Weight.CANNOT):
            return _planned("apply", deployer, files, to)
        names = [f"{step.action} {step.component.said}" for step in before.steps]
        with _recorded(ledger, APPLIED, deployer.identity, before.digest, names) as ended:
            done = deployer.apply(before)
            ended(done)
        person = assign or opened.username
        assigned = (person, deployer.assign(person)) if person else None
        if assigned and assigned[1]:
            record_deployment(ledger, ASSIGNED, deployer.identity, "", ["permission set Crmsync_Run"])
        after = deployer.plan() if done or assigned else before
        return _result(
            "apply", deployer, files, after,
            applied=len(before.steps), deploy_id=done.id if done else None, assigned=assigned,
        )  # fmt: skip


def verify(config: Path | None) -> DeployResult:
    """Whether the org has everything, and whether this login sees it. A login that may not read metadata, like that
    of a run, is told what describe shows it."""
    from crmsync.connectors.salesforce.metadata.plan import DeployPlan, Finding, Weight

    with _deployer(config) as opened:
        try:
            return _planned("verify", opened.deployer, opened.files, None)
        except AccessError as error:
            if "INSUFFICIENT_ACCESS" not in str(error):
                raise
        text = "not compared: this login may not read metadata; only what describe shows it was looked at"
        described = DeployPlan((), (Finding(Weight.TOLD, "definitions", text),))
        return _result("verify", opened.deployer, opened.files, described)


def remove(config: Path | None, names: Sequence[str], every: bool, digest: str | None) -> RemoveResult:
    """Remove what a deploy has made: shown first, done with the digest that was shown.

    Errors: ConfigError without a name; Conflict when the digest is that of something else.
    """
    if bool(names) == every:
        raise ConfigError("deploy remove needs either names (as `deploy verify` shows them) or --all")
    with _deployer(config) as opened:
        deployer = opened.deployer
        removal = deployer.removal(names, every)
        org = deployer.identity
        refused = bool(removal.unknown or removal.not_ours) and not every
        if digest is None or refused or not removal.components:
            return RemoveResult(org, removal, deployer.stored(removal), refused=refused)
        if len(digest) < 8 or not removal.digest.startswith(digest):
            raise Conflict(
                f"`{digest}` is not the digest of this removal (at least 8 of its digits); look at it again without "
                "--digest"
            )
        names_removed = [one.said for one in removal.components]
        with _recorded(opened.ledger, REMOVED, org, removal.digest, names_removed) as ended:
            ended(deployer.remove(removal))
        return RemoveResult(org, removal, {}, len(removal.components))


def _planned(command: str, deployer: Deployer, files: Files, to: Path | None) -> DeployResult:
    from crmsync.connectors.salesforce.metadata.deployer import whole
    from crmsync.connectors.salesforce.metadata.sfdx import write_project

    found = deployer.plan()
    if to is None:
        return _result(command, deployer, files, found)
    written = write_project(to, whole(found), deployer.version)
    return _result(command, deployer, files, found, project=to, written=len(written))


def _result(command: str, deployer: Deployer, files: Files, found: DeployPlan, **more: object) -> DeployResult:
    assert files.mapping is not None, "_deployer refuses a configuration without a field map"
    return DeployResult(
        command, deployer.identity, deployer.org.base_url, files.mapping.file, found, deployer.seen(),
        config=files.settings.config_dir, **more,  # type: ignore[arg-type]
    )  # fmt: skip


@contextlib.contextmanager
def _recorded(
    ledger: Ledger, event: str, org: str, digest: str, names: Sequence[str]
) -> Iterator[Callable[[Deployed | None], None]]:
    """Notes in the audit that something is sent before it is, and what came of it; nothing where nothing is to do."""

    def ended(done: Deployed | None) -> None:
        record_deployment(ledger, event, org, digest, names, done.id if done else None)

    if names:
        record_deployment(ledger, SENT, org, digest, names)
    try:
        yield ended if names else lambda _: None
    except DataError:  # the org, or our own look at the schema, refused all of it
        record_deployment(ledger, REFUSED, org, digest, names)
        raise


@dataclass(frozen=True)
class _Opened:
    """`username`: of the embedded org's one user, else None."""

    deployer: Deployer
    files: Files
    ledger: Ledger
    username: str | None


@contextlib.contextmanager
def _deployer(config: Path | None) -> Iterator[_Opened]:
    """The deployer of the configured org; no run may be under way in this state folder meanwhile."""
    from crmsync.connectors.salesforce.metadata.deployer import Deployer

    files = read_files(config)
    if files.mapping is None:
        raise ConfigError(
            "`org: files` has nothing to deploy to; deploy makes fields in a Salesforce org",
            file=str(files.configuration.file),
        )
    with contextlib.ExitStack() as stack:
        ledger = stack.enter_context(open_ledger(files.settings))
        org = stack.enter_context(reached_org(files))
        progress = stack.enter_context(progress_bars())
        dictionary = dictionary_for(files, org.today)
        deployer = Deployer(org.settings, files.mapping, dictionary, progress=progress)
        yield _Opened(deployer, files, ledger, org.username)


def dictionary_for(files: Files, today: date | None) -> Dictionary:
    """Of the version in force and of those to come: what they name is there when their day comes."""
    from datetime import datetime

    day = today or datetime.now(files.configuration.zone).date()
    programs = programs_of(files.configuration)
    now = only_program(files.configuration.program, programs, day)
    later = [
        program
        for program in programs
        if program.key == now.key and program.effective_from is not None and program.effective_from > day
    ]
    return dictionary_of([now, *later])
