"""One org and what a deploy does with it: read what is there, check, deploy, describe again, remove."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from crmsync.connectors.base import Progress, no_progress
from crmsync.connectors.base_needs import Dictionary
from crmsync.connectors.mapping import SalesforceMapping
from crmsync.connectors.retries import Retries
from crmsync.connectors.salesforce.describe import Describe
from crmsync.connectors.salesforce.metadata.assigning import assign
from crmsync.connectors.salesforce.metadata.catalog import Catalog
from crmsync.connectors.salesforce.metadata.components import (
    DASHBOARD,
    FOLDER,
    OBJECT,
    ORDER,
    PERMISSION_SET,
    REPORT,
    REPORT_TYPE,
    Component,
    is_ours,
)
from crmsync.connectors.salesforce.metadata.deploys import Deployed, deploy
from crmsync.connectors.salesforce.metadata.needs import Needs, needs_of
from crmsync.connectors.salesforce.metadata.packages import files_of, removal, schema_problems, zipped
from crmsync.connectors.salesforce.metadata.permissions import RUN, SALES_OPS, VIEW
from crmsync.connectors.salesforce.metadata.plan import (
    DeployPlan,
    Removal,
    Seen,
    plan_deploy,
    plan_removal,
    seen_fields,
)
from crmsync.connectors.salesforce.metadata.reports import AT_RISK, BY_TIER, MOVEMENTS, TYPE
from crmsync.connectors.salesforce.metadata.retrieved import Present
from crmsync.connectors.salesforce.metadata.soap import retrieve, version_of
from crmsync.connectors.salesforce.org import Org
from crmsync.connectors.salesforce.soql import count
from crmsync.errors import DataError
from crmsync.settings import SalesforceSettings

REPORTS = tuple(f"{FOLDER}/{name}" for name in (BY_TIER, AT_RISK, MOVEMENTS))
DASHBOARDS = (f"{FOLDER}/Partner_Program",)


class Deployer:
    """Brings the metadata of one org to what a field map and a dictionary ask for. Nothing is called before it is used.

    Errors of the calls: AccessError, Transient, Deferred, DataError.
    """

    def __init__(
        self,
        settings: SalesforceSettings,
        mapping: SalesforceMapping,
        dictionary: Dictionary,
        retries: Retries | None = None,
        progress: Progress = no_progress,
    ) -> None:
        self.org = Org(settings, retries)
        self.mapping = mapping
        self.needs: Needs = needs_of(mapping, dictionary)
        self._describe = Describe(self.org)
        self._progress = progress
        self._present: Present | None = None

    @property
    def version(self) -> str:
        """The API version in use."""
        return version_of(self.org)

    @property
    def identity(self) -> str:
        """The 18-character id of the org."""
        return self.org.organization["id"]

    def present(self) -> Present:
        """What the org has of all that a deploy could make, read once."""
        if self._present is None:
            self._progress("retrieve", 0, None)
            self._present = retrieve(self.org, self._members())
        return self._present

    def _members(self) -> Mapping[str, Sequence[str]]:
        read = (table.object.text for table in self.mapping.tables.values())
        written = (one.name for one in self.needs.objects)
        fields = (need.object for need in self.needs.fields)
        objects = {name.lower(): name for name in (*fields, *read, *written, self.needs.account)}
        return {
            OBJECT: sorted(objects.values()),
            PERMISSION_SET: (RUN, SALES_OPS, VIEW),
            REPORT_TYPE: (TYPE,),
            REPORT: (FOLDER, *REPORTS),
            DASHBOARD: (FOLDER, *DASHBOARDS),
        }

    def plan(self) -> DeployPlan:
        """What the org lacks, what grows, and what differs."""
        present = self.present()
        return plan_deploy(self.mapping, self.needs, present, Catalog(self._describe, present, self.needs))

    def apply(self, plan: DeployPlan) -> Deployed | None:
        """Check the plan in the org, then deploy it; None when there is nothing to do. Describes anew afterwards."""
        if not plan.steps:
            return None
        done = self._send(files_of(plan.components, self.version))
        self.forget()
        return done

    def remove(self, found: Removal) -> Deployed | None:
        """Remove components; None when there is nothing to do."""
        if not found.components:
            return None
        done = self._send(removal(found.components, self.version))
        self.forget()
        return done

    def _send(self, files: Mapping[str, bytes]) -> Deployed:
        wrong = list(schema_problems(files))
        if wrong:
            raise DataError(f"the metadata does not fit Salesforce's own schema; nothing was sent: {'; '.join(wrong)}")
        archive = zipped(files)
        deploy(self.org, archive, check_only=True, progress=self._progress)
        return deploy(self.org, archive, check_only=False, progress=self._progress)

    def removal(self, names: Sequence[str], every: bool) -> Removal:
        """What a removal would take away."""
        return plan_removal(self.present(), names, every)

    def stored(self, found: Removal) -> Mapping[str, int]:
        """How many records the objects hold that would go, as far as this login may count them."""
        held = (self._describe.find(one.name) for one in found.components if one.kind == OBJECT)
        return {one.name: int(self.org.query(count(one.name))["totalSize"]) for one in held if one is not None}

    def seen(self) -> Seen:
        """Which of the needed fields describe shows to this login."""
        names = {need.records for need in self.needs.fields}
        described = {name.lower(): self._describe.find(name) for name in names}
        return seen_fields(self.needs, {name: one.fields if one else None for name, one in described.items()})

    def assign(self, username: str) -> bool:
        """Give the permission set of the run user to a user; False when the user had it."""
        given = assign(self.org, self._describe, RUN, username)
        self._describe.forget()
        return given

    def forget(self) -> None:
        """Read everything anew: the org has changed."""
        self._present = None
        self._describe.forget()


def whole(plan: DeployPlan) -> tuple[Component, ...]:
    """Everything that is ours or that grows, as it will be after the deploy: the content of a project."""
    kept = (one for one in plan.kept if is_ours(one.kind, one.name, one.body))
    return tuple(sorted((*plan.components, *kept), key=lambda one: (ORDER.index(one.kind), one.name)))
