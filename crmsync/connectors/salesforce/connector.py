"""The Salesforce connector: reads mapped tables out of an org and writes computed fields onto its records."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path

from crmsync.connectors.base import (
    ExtractReport,
    Into,
    JobState,
    OpenJob,
    Person,
    Progress,
    Unwritable,
    Write,
    Written,
    no_progress,
)
from crmsync.connectors.mapping import ORG_TIME_ZONE, SalesforceMapping
from crmsync.connectors.retries import Retries
from crmsync.connectors.salesforce import ingest
from crmsync.connectors.salesforce.beside import FieldsBeside, RecordsBeside
from crmsync.connectors.salesforce.describe import Describe
from crmsync.connectors.salesforce.fetching import Fetching
from crmsync.connectors.salesforce.held import Held, opened_held
from crmsync.connectors.salesforce.merged import read_merged
from crmsync.connectors.salesforce.one_currency import one_currency
from crmsync.connectors.salesforce.org import Org
from crmsync.connectors.salesforce.people import read_person
from crmsync.connectors.salesforce.reading import CURRENT_VALUES, PARTNERS, TableRead, make_table
from crmsync.connectors.salesforce.reading_beside import BesidePlan, plans_beside, write_beside
from crmsync.connectors.salesforce.records import read_records, write_record
from crmsync.connectors.salesforce.table_plan import TablePlan, plan_table
from crmsync.connectors.salesforce.written_fields import WrittenFields
from crmsync.errors import ConfigError, Rejected, StoreError
from crmsync.settings import SalesforceSettings
from crmsync.snapshots import Staging

BULK_FROM = 200
"""Below this many writes each account is written by itself, conditionally on what it still holds."""

BESIDE_BULK_FROM = 1_000
"""Below this many, records beside the accounts go in calls of up to 200."""


class SalesforceConnector:
    """Source of tables and target of write-back for one org. Nothing is called before it is used.

    `state`: a folder for temporary files. `time_zone`: where date-times become dates, unless the field map says.
    """

    bulk_from: int | None = BULK_FROM
    beside_bulk_from: int | None = BESIDE_BULK_FROM

    def __init__(
        self,
        settings: SalesforceSettings,
        mapping: SalesforceMapping,
        state: Path,
        time_zone: str = "UTC",
        retries: Retries | None = None,
    ) -> None:
        self.mapping = mapping
        self.org = Org(settings, retries)
        self.describe = Describe(self.org)
        self._state = state
        self._time_zone = time_zone
        self._fields: WrittenFields | None = None

    # --- source

    def extract(self, tables: Sequence[str], staging: Staging, progress: Progress = no_progress) -> ExtractReport:
        """Write one typed Parquet per table into `staging`.

        `current_values` may be asked for beside partners: what the fields we write hold now, from the same query.
        The whole field map is checked against the org before the first row is read.
        Errors: ConfigError with file and line; AccessError; Retriable; Deferred; DataError naming object and counts;
        StoreError when the disk does not take it.
        """
        held = self._held(staging)
        with_current = CURRENT_VALUES in tables
        plans = {name: self._plan(name, with_current) for name in tables if name != CURRENT_VALUES}
        beside, notes = plans_beside(self.mapping, self.describe) if with_current else ([], [])
        try:
            reads = self._read(plans, beside, staging, held, progress)
        except OSError as error:
            raise StoreError(
                f"{error.filename or self._state}: the extract cannot be kept: {error.strerror or error}"
            ) from error
        report = _report(plans, reads)
        return replace(report, notes=(*report.notes, *notes))

    def merged_partners(self) -> Mapping[str, str]:
        """The survivor of each account that was merged away and is still in the recycle bin."""
        return read_merged(self.org, self.describe, self.mapping.tables[PARTNERS].object.text)

    def _read(
        self,
        plans: Mapping[str, TablePlan | None],
        beside: Sequence[BesidePlan],
        staging: Staging,
        held: Held | None,
        progress: Progress,
    ) -> dict[str, TableRead]:
        self._state.mkdir(parents=True, exist_ok=True, mode=0o700)
        there = {name: plan for name, plan in plans.items() if plan is not None}
        parts = [*(part for plan in there.values() for part in plan.parts), *(plan.part for plan in beside)]
        with tempfile.TemporaryDirectory(prefix="extract-", dir=self._state) as folder:
            scratch = Path(folder)
            fetching = Fetching(self.org, staging, scratch, progress, held, staging.overlap_s)
            reads = fetching.read(parts)
            tables = {name: make_table(plan, reads, staging, scratch) for name, plan in there.items()}
            write_beside(beside, reads, staging)
        staging.held = Held(
            self.identity(),
            {key: one.held for key, one in reads.items()},
            tuple(sorted(frozenset[str]().union(*(part.objects for part in parts)))),
            tuple(key for key, one in reads.items() if one.changed is not None),
        ).manifest()
        return tables

    def _held(self, staging: Staging) -> Held | None:
        """Records of an earlier snapshot of this same org that changes can be put into."""
        if staging.since is None:
            return None
        held = opened_held(staging.since.held_folder, staging.since.held)
        if held is None:
            return None
        self.describe.read_together(held.objects)
        return held if held.org == self.identity() else None

    def _plan(self, name: str, with_current: bool) -> TablePlan | None:
        if name not in self.mapping.tables:
            known = ", ".join(self.mapping.tables)
            raise ConfigError(f"table {name} is not mapped; mapped are: {known}", file=self.mapping.file)
        with_current = with_current and name == PARTNERS
        return plan_table(
            self.mapping, name, self.describe, self._zone(), with_current=with_current,
            currency=lambda: self._only_currency,
        )  # fmt: skip

    @cached_property
    def _only_currency(self) -> str | None:
        return one_currency(self.org)

    def _zone(self) -> str:
        if self.mapping.time_zone == ORG_TIME_ZONE:
            return self.org.organization["time_zone"]
        return self.mapping.time_zone or self._time_zone

    # --- target

    @property
    def fields(self) -> WrittenFields:
        """The fields that are written, described anew before the first write."""
        if self._fields is None:
            self._fields = WrittenFields(self.mapping, self.describe)
        return self._fields

    def identity(self) -> str:
        """The 18-character id of the org."""
        return self.org.organization["id"]

    def check_writes(self, writes: Sequence[Write]) -> None:
        """Return when every field exists, may be edited and can hold every wanted value.

        Errors: AccessError naming object.field and record; nothing was written.
        """
        self.fields.check(writes)

    def unwritable(self, fields: Sequence[str]) -> Mapping[str, Unwritable]:
        """Those of the fields that cannot be written now. Errors: AccessError when the object itself is gone."""
        return self.fields.unwritable(fields)

    def read(self, record_ids: Sequence[str], fields: Sequence[str]) -> Mapping[str, Mapping[str, str | None]]:
        """Current canonical values by record id; a record that no longer exists is absent."""
        return read_records(self.org, self.fields, record_ids, fields)

    def write_one(self, write: Write) -> Written:
        """Write one record only if it still holds what the plan saw."""
        self.fields.check([write])
        return write_record(self.org, self.fields, write)

    def into(self, into: Into) -> RecordsBeside:
        """The target of records beside the accounts."""
        return RecordsBeside(self.org, FieldsBeside(self.mapping, self.describe, into), self.beside_bulk_from)

    def person(self, user_id: str) -> Person:
        """One user of the org. Errors: AccessError where this login may not tell."""
        return read_person(self.org, self.describe, user_id)

    def create_job(self) -> str:
        """Open a bulk update job and return its id; changes no record."""
        return ingest.create_job(self.org, self.fields.sobject.name)

    def upload_job(self, job_id: str, writes: Sequence[Write]) -> None:
        """Upload the rows of an open job; changes no record. Errors: AccessError when a value cannot be stored."""
        self.fields.check(writes)
        ingest.upload_job(self.org, self.fields, job_id, writes)

    def start_job(self, job_id: str) -> None:
        """Start the job: the only bulk call with an effect."""
        ingest.start_job(self.org, job_id)

    def job_state(self, job_id: str) -> JobState:
        """Look at the job; faults of this call never abort the job."""
        return ingest.job_state(self.org, job_id)

    def abort_job(self, job_id: str) -> bool:
        """End a job; False when it has been started or is gone, so that its outcome must be looked at."""
        return ingest.abort_job(self.org, job_id)

    def open_jobs(self) -> Sequence[OpenJob]:
        """Write jobs of this user that are open; those of accounts have an empty object."""
        account = self.mapping.writes.object.text.lower() if self.mapping.writes else ""
        found = ingest.open_jobs(self.org)
        return [replace(job, object="") if job.object.lower() == account else job for job in found]

    def job_results(self, job_id: str) -> Iterator[Written]:
        """Outcome per record, by record id. Records that the job lists nowhere are not yielded."""
        return ingest.job_results(self.org, job_id)

    # --- what it cost

    @property
    def calls_used(self) -> int:
        """Calls made by this connector so far, repeated ones included."""
        return self.org.session.usage.calls

    @property
    def writes_used(self) -> int:
        """Those of the calls that write records or run a bulk job that does."""
        return self.org.session.usage.writes

    @property
    def api_usage(self) -> tuple[int, int] | None:
        """What the org says about its daily allowance: used and maximum; None before the first call."""
        return self.org.session.usage.api_usage


def _report(plans: Mapping[str, TablePlan | None], reads: Mapping[str, TableRead]) -> ExtractReport:
    notes = [note for plan in plans.values() if plan is not None for note in plan.notes]
    notes += [
        f"{name}: the org has one currency only, so there are no rates" for name, plan in plans.items() if not plan
    ]
    notes += [
        f"{name}: {done.repeats:,} times a partner was credited on the same record in several ways; each counts once, "
        "by the way that the field map names first"
        for name, done in reads.items()
        if done.repeats
    ]
    rejected: list[Rejected] = [one for done in reads.values() for one in done.rejected]
    return ExtractReport(
        rows={name: done.read for name, done in reads.items()},
        rejected=tuple(rejected),
        direct={name: done.direct for name, done in reads.items() if done.direct},
        counts_before={name: done.before for name, done in reads.items()},
        counts_after={name: done.after for name, done in reads.items()},
        notes=tuple(notes),
    )
