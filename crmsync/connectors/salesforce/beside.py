"""Records beside the accounts: read by key, made or changed by it, several per call or in a bulk job.

An upsert by an external key may be sent twice: the second one finds the record that the first one made. Source: sObject
collections (at most 200 records per call, each judged on its own), Bulk API 2.0 upsert.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from crmsync.connectors.base import Into, JobState, NotThere, OpenJob, Unwritable, Write, Written
from crmsync.connectors.mapping import SalesforceMapping
from crmsync.connectors.retries import Transient
from crmsync.connectors.salesforce import ingest
from crmsync.connectors.salesforce.bulk_query import bulk_blocks
from crmsync.connectors.salesforce.describe import Describe, Field, FieldPath, SObject
from crmsync.connectors.salesforce.faults import LOCKED, Locked, Refused
from crmsync.connectors.salesforce.org import Org
from crmsync.connectors.salesforce.records import read_records, write_record
from crmsync.connectors.salesforce.rest_query import rest_blocks
from crmsync.connectors.salesforce.rows import ID, long_id
from crmsync.connectors.salesforce.soql import quoted, select
from crmsync.connectors.salesforce.written_fields import WrittenFields, compared, json_members
from crmsync.errors import ConfigError

SEVERAL = 200
KEYS_BY_QUERY = 400  # more of them cost less as one bulk query of the whole object
KEYS_PER_QUERY = 60  # keys in the address line of one query

Values = dict[str, str | None]


class FieldsBeside(WrittenFields):
    """The described fields of an object beside the account."""

    def __init__(self, mapping: SalesforceMapping, describe: Describe, into: Into) -> None:
        super().__init__(mapping, describe)
        self.into = into

    @property
    def sobject(self) -> SObject:
        """The object. Errors: NotThere when it does not exist, is hidden or takes no records."""
        try:
            return self._describe.object(self.into.object)
        except NotThere as error:
            raise NotThere(f"{error}. Nothing was written; `crmsync deploy plan` shows what the org lacks") from None

    def field(self, name: str) -> Field:
        """One field. Errors: NotThere when it does not exist or is hidden, with the way out."""
        try:
            return super().field(name)
        except NotThere as error:
            hint = "Nothing was written to it; `crmsync deploy plan` shows what the org lacks"
            raise NotThere(f"{error}. {hint}") from None

    @property
    def key(self) -> Field | None:
        """The field that names a record. Errors: ConfigError when two records may have the same."""
        if self.into.key is None:
            return None
        field = self.field(self.into.key)
        if not field.unique_key:
            raise ConfigError(
                f"{self.sobject.name}.{field.name} names the records that are written, but it is not a unique external "
                "id; tick External ID and Unique in Setup. Nothing was written",
                file=self._mapping.file,
            )
        return field

    def _present(self) -> SObject:
        return self.sobject

    def _may_write(self, field: Field) -> bool:
        # what names a record, and its master, are given when it is made
        return super()._may_write(field) or field.unique_key or (field.createable and field.type == "reference")

    def _updateable(self, name: str) -> Field:
        """A field of a master record is given once, when the record is made."""
        found = self.field(name)
        return found if found.createable and found.type == "reference" else super()._updateable(name)


class RecordsBeside:
    """The target of one object beside the accounts."""

    several = SEVERAL

    def __init__(self, org: Org, fields: FieldsBeside, bulk_from: int | None) -> None:
        self.org, self.fields, self.bulk_from = org, fields, bulk_from

    def identity(self) -> str:
        """The 18-character id of the org."""
        return self.org.organization["id"]

    def check_writes(self, writes: Sequence[Write]) -> None:
        """Return when every field exists, may be edited and can hold every wanted value. Errors: AccessError."""
        assert self.fields.key is None or self.fields.key.name
        self.fields.check(writes)

    def unwritable(self, fields: Sequence[str]) -> Mapping[str, Unwritable]:
        """Those of the fields that cannot be written now. Errors: AccessError when the object itself is gone."""
        return self.fields.unwritable(fields)

    def read(self, record_ids: Sequence[str], fields: Sequence[str]) -> Mapping[str, Mapping[str, str | None]]:
        """Current canonical values by key or id; a record that does not exist is absent."""
        key = self.fields.key
        if key is None:
            return read_records(self.org, self.fields, record_ids, fields)
        found: dict[str, Values] = {}
        asked = {name: self.fields.field(name) for name in fields}
        same = str if key.case_sensitive else str.casefold  # ABC and abc are one key, unless the field says otherwise
        for block in self._blocks(key, record_ids, fields):
            for row in block:
                found[same(row[key.name] or "")] = {
                    name: compared(field, row[field.name]) for name, field in asked.items()
                }
        return {one: found[same(one)] for one in record_ids if same(one) in found}

    def _blocks(self, key: Field, keys: Sequence[str], names: Sequence[str]) -> Iterator[list[dict[str, str | None]]]:
        sobject = self.fields.sobject
        asked = {ID: self.fields.field(ID), key.name: key}
        asked.update((field.name, field) for field in map(self.fields.field, names))
        paths = [FieldPath(field.name, field, sobject.name, sobject.name) for field in asked.values()]
        if len(keys) > KEYS_BY_QUERY:
            with tempfile.TemporaryDirectory(prefix="crmsync-keys-") as folder:
                for block in bulk_blocks(self.org, select(paths, sobject.name), sobject.name, [*asked], Path(folder)):
                    yield _rows(block)
            return
        for start in range(0, len(keys), KEYS_PER_QUERY):
            listed = ", ".join(quoted(one) for one in keys[start : start + KEYS_PER_QUERY])
            first = self.org.query(select(paths, sobject.name, f"{key.name} IN ({listed})"))
            for block in rest_blocks(self.org, first, sobject.name, [*asked]):
                yield _rows(block)

    def write_one(self, write: Write) -> Written:
        """Write one record."""
        if self.fields.key is None:
            return write_record(self.org, self.fields, write)
        return self.write_several([write])[0]

    def write_several(self, writes: Sequence[Write]) -> list[Written]:
        """What became of each; `unknown` for all where there was no answer."""
        self.fields.check(writes)
        key = self.fields.key
        path = f"composite/sobjects/{self.fields.sobject.name}/{key.name}" if key else "composite/sobjects"
        records = ", ".join(self._record(write, key) for write in writes)
        body = f'{{"allOrNone": false, "records": [{records}]}}'.encode()
        try:
            answer = self.org.send("PATCH", path, body, {"Content-Type": "application/json"})
            return _judged(writes, answer.json(), key is not None)
        except Refused as refusal:
            code = refusal.code or f"HTTP_{refusal.status}"
            return [Written(write.record_id, "failed", code, refusal.words) for write in writes]
        except Locked as fault:
            return [Written(write.record_id, "failed", LOCKED, fault.words) for write in writes]
        except (Transient, ValueError, RecursionError) as fault:
            return [Written(write.record_id, "unknown", "NO_ANSWER", str(fault)) for write in writes]

    def _record(self, write: Write, key: Field | None) -> str:
        kind = json.dumps({"type": self.fields.sobject.name})
        name, value = (key.name, write.record_id) if key else ("id", long_id(write.record_id))
        members = json_members({**write.values}, self.fields)
        return "{" + ", ".join([f'"attributes": {kind}', f"{json.dumps(name)}: {json.dumps(value)}", *members]) + "}"

    # --- a bulk job

    @property
    def _key(self) -> str | None:
        return self.fields.key.name if self.fields.key else None

    def create_job(self) -> str:
        """Open a bulk job and return its id; changes no record."""
        return ingest.create_job(self.org, self.fields.sobject.name, self._key)

    def upload_job(self, job_id: str, writes: Sequence[Write]) -> None:
        """Upload the rows of an open job; changes no record. Errors: AccessError when a value cannot be stored."""
        self.fields.check(writes)
        ingest.upload_job(self.org, self.fields, job_id, writes, self._key)

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
        """Write jobs of this user, of any object, that are open."""
        return ingest.open_jobs(self.org)

    def job_results(self, job_id: str) -> Iterator[Written]:
        """Outcome per record, by key or id. Records that the job lists nowhere are not yielded."""
        return ingest.job_results(self.org, job_id, self._key)


def _rows(block: Mapping[str, Any]) -> list[dict[str, str | None]]:
    columns = {name: array.to_pylist() for name, array in block.items()}
    return [dict(zip(columns, cells, strict=True)) for cells in zip(*columns.values(), strict=True)]


def _judged(writes: Sequence[Write], answer: Any, is_key: bool) -> list[Written]:
    """One outcome per write: the answer has one entry per record in the same order."""
    if not isinstance(answer, list) or len(answer) != len(writes) or not all(isinstance(one, dict) for one in answer):
        return [
            Written(write.record_id, "unknown", "NO_ANSWER", "the answer does not name each record") for write in writes
        ]
    return [_outcome(write, one, is_key) for write, one in zip(writes, answer, strict=True)]


def _outcome(write: Write, one: Mapping[str, Any], is_key: bool) -> Written:
    if one.get("success") is True:
        if not is_key and long_id(str(one.get("id"))) != long_id(write.record_id):
            said = f"the answer tells of {str(one.get('id'))[:40]!r} instead"
            return Written(write.record_id, "unknown", "NO_ANSWER", said)
        return Written(write.record_id, "applied")
    errors = one.get("errors")
    first = next((error for error in errors if isinstance(error, dict)), {}) if isinstance(errors, list) else {}
    return Written(write.record_id, "failed", str(first.get("statusCode") or "FAILED"), str(first.get("message") or ""))
