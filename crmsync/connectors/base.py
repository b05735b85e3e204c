"""The protocol that every connector fulfils: a source of tables and a target of write-back.

Vendor clients and vendor dicts stop inside `crmsync/connectors/`; what crosses this line is typed here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol, runtime_checkable

from crmsync.errors import AccessError, Rejected
from crmsync.snapshots import Staging

Progress = Callable[[str, int, int | None], None]
"""Called with (what, done so far, total or None); never raises, never prints by itself."""


def no_progress(what: str, done: int, total: int | None) -> None:
    """Ignore progress."""


@dataclass(frozen=True)
class ExtractReport:
    """What one connector read. `direct` counts rows of nobody (empty partner_id) per table, which are not rejected."""

    rows: Mapping[str, int]
    rejected: tuple[Rejected, ...] = ()
    direct: Mapping[str, int] = field(default_factory=dict)
    counts_before: Mapping[str, int] = field(default_factory=dict)  # the server's own COUNT per table, where it has one
    counts_after: Mapping[str, int] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


class NotThere(AccessError):  # noqa: N818
    """An object or a field that the CRM does not show to this login: it was never made, taken away, or hidden."""


class Source(Protocol):
    """Reads tables out of a CRM or a folder into the staging of one snapshot."""

    def extract(self, tables: Sequence[str], staging: Staging, progress: Progress = no_progress) -> ExtractReport:
        """Write one typed Parquet per table into `staging`.

        Errors: AccessError, ConfigError, Retriable, DataError when the source as a whole cannot be used.
        """
        ...


@dataclass(frozen=True)
class Write:
    """The wanted values of one record.

    Texts are canonical: ISO dates, plain decimals, `true`/`false`, lists `A;B` sorted.
    """

    record_id: str
    values: Mapping[str, str | None]  # CRM field -> text; None clears the field
    expected: Mapping[str, str | None]  # the values seen when the plan was drafted (pre-image)


@dataclass(frozen=True)
class Into:
    """Where records beside the accounts go: an object, and the field that names a record (None: its own id)."""

    object: str
    key: str | None = None


WriteState = Literal["applied", "conflict", "failed", "unknown"]


@dataclass(frozen=True)
class Written:
    """What became of one write. `unknown`: neither success nor failure was seen; settle it by reading back."""

    record_id: str
    state: WriteState
    code: str | None = None  # the CRM's own error code
    message: str | None = None  # the CRM's own words


@dataclass(frozen=True)
class JobState:
    """State of a bulk job: `open` has had no effect yet; `running`, `done`, `failed`, `aborted`, or `gone`."""

    state: Literal["open", "running", "done", "failed", "aborted", "gone"]
    processed: int = 0
    failed: int = 0
    message: str | None = None


class Target(Protocol):
    """Writes computed values onto records, one by one or as a bulk job whose steps are separate calls.

    No call here repeats a write by itself when its outcome is unclear: the outbox decides by reading back.
    """

    bulk_from: int | None
    """From how many writes on the bulk steps are used; None: never."""

    def identity(self) -> str:
        """Stable id of the org or folder that is written to."""
        ...

    def read(self, record_ids: Sequence[str], fields: Sequence[str]) -> Mapping[str, Mapping[str, str | None]]:
        """Current canonical values by record id; a record that no longer exists is absent."""
        ...

    def write_one(self, write: Write) -> Written:
        """Write one record only if it still holds `write.expected` (a difference is `conflict`)."""
        ...

    def create_job(self) -> str:
        """Open a bulk update job and return its id; changes no record."""
        ...

    def upload_job(self, job_id: str, writes: Sequence[Write]) -> None:
        """Upload the rows of an open job; changes no record."""
        ...

    def start_job(self, job_id: str) -> None:
        """Start the job: the only bulk call with an effect."""
        ...

    def job_state(self, job_id: str) -> JobState:
        """Look at the job; faults of this call never abort the job."""
        ...

    def job_results(self, job_id: str) -> Iterator[Written]:
        """Outcome per record, matched by record id. Records that the job lists nowhere are not yielded."""
        ...


@runtime_checkable
class ManyObjects(Protocol):
    """A target that writes other records than accounts, too."""

    def into(self, into: Into) -> Target:
        """The target of that object; its record ids are keys where `into.key` is given, and a missing one is made."""
        ...


@dataclass(frozen=True)
class Person:
    """A user of the CRM. `decides`: has the permission set of sales operations; `ours`: the user we log in as."""

    user_id: str
    name: str
    active: bool
    decides: bool
    ours: bool


@runtime_checkable
class KnowsPeople(Protocol):
    """A target that knows who its users are."""

    def person(self, user_id: str) -> Person:
        """One user. Errors: AccessError when the login may not tell."""
        ...


@runtime_checkable
class WritesSeveral(Protocol):
    """A target that takes several records in one call, each on its own."""

    several: int
    """How many at most."""

    def write_several(self, writes: Sequence[Write]) -> list[Written]:
        """What became of each. Nothing is compared first: the outbox has read them. Errors: Retriable when unknown."""
        ...


@dataclass(frozen=True)
class Unwritable:
    """Why a field cannot be written now. `hidden`: it cannot even be read."""

    reason: str
    hidden: bool


@runtime_checkable
class KnowsFields(Protocol):
    """A target that can look anew at what may be written: fields go, and rights are taken away, while a run writes."""

    def unwritable(self, fields: Sequence[str]) -> Mapping[str, Unwritable]:
        """Those of the fields that cannot be written now. Errors: AccessError when the object itself is gone."""
        ...


@dataclass(frozen=True)
class OpenJob:
    """A bulk job of our own user that was never started. `created_at`: ISO text in UTC."""

    job_id: str
    object: str
    created_at: str


@runtime_checkable
class EndsJobs(Protocol):
    """A target whose jobs can be listed and ended."""

    def open_jobs(self) -> Sequence[OpenJob]:
        """Write jobs of this user that are open."""
        ...

    def abort_job(self, job_id: str) -> bool:
        """End a job; False when it has been started or is gone, so that its outcome must be looked at."""
        ...


@runtime_checkable
class CountsCalls(Protocol):
    """A target that counts API calls."""

    @property
    def calls_used(self) -> int:
        """Calls made by this process so far."""
        ...

    @property
    def api_usage(self) -> tuple[int, int] | None:
        """Calls of the day that the org says were used, by all, and how many there are."""
        ...


@runtime_checkable
class KnowsMerged(Protocol):
    """A target whose records people merge."""

    def merged_partners(self) -> Mapping[str, str]:
        """The survivor of each record that was merged away."""
        ...
