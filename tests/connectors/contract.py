"""What every connector does, as suites to inherit from: one for sources of tables, one for targets of write-back.

Write a test class that derives from `SourceContract` or `TargetContract` and say in its fixtures how to reach yours.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from crmsync.connectors.base import Source, Target, Write
from crmsync.connectors.checks import check_rows
from crmsync.errors import ConfigError, CrmsyncError
from crmsync.snapshots import Staging, open_snapshot
from crmsync.tables import ARROW_TYPES, CANONICAL


class SourceContract:
    """A source delivers typed tables into a staging, and says what it read.

    Fixtures to give: `source`; `tables`, the names of at least partners and opportunities, each with rows.
    """

    @pytest.fixture
    def source(self) -> Source:
        """The source under test."""
        raise NotImplementedError

    @pytest.fixture
    def tables(self) -> Sequence[str]:
        """Names of tables that it has, partners among them."""
        raise NotImplementedError

    @pytest.fixture
    def staging(self, tmp_path: Path) -> Staging:
        return Staging(tmp_path / "contract" / "snapshot")

    def test_every_table_asked_for_is_staged(self, source: Source, tables: Sequence[str], staging: Staging) -> None:
        report = source.extract(tables, staging)
        assert set(tables) <= set(staging.tables)
        assert set(tables) <= set(report.rows)

    def test_rows_reported_are_rows_staged(self, source: Source, tables: Sequence[str], staging: Staging) -> None:
        report = source.extract(tables, staging)
        for name in tables:
            staged = pq.read_metadata(staging.tables[name].path).num_rows
            assert staged == staging.tables[name].rows == report.rows[name] > 0

    def test_columns_have_the_types_they_claim(self, source: Source, tables: Sequence[str], staging: Staging) -> None:
        source.extract(tables, staging)
        for name in tables:
            table = staging.tables[name]
            schema = pq.read_schema(table.path)
            assert {field.name: field.type for field in schema} == {
                column: ARROW_TYPES[kind] for column, kind in table.columns.items()
            }

    def test_canonical_columns_have_canonical_types(
        self, source: Source, tables: Sequence[str], staging: Staging
    ) -> None:
        source.extract(tables, staging)
        for name in set(tables) & set(CANONICAL):
            canonical = CANONICAL[name].columns
            staged = staging.tables[name].columns
            assert {column: kind for column, kind in staged.items() if column in canonical} == {
                column: kind for column, kind in canonical.items() if column in staged
            }

    def test_no_cell_holds_empty_text(self, source: Source, tables: Sequence[str], staging: Staging) -> None:
        """An empty cell is null, so that it equals nothing."""
        source.extract(tables, staging)
        for name in tables:
            for column in pq.read_table(staging.tables[name].path).columns:
                assert not pa.types.is_string(column.type) or "" not in column.to_pylist()

    def test_two_extracts_of_unchanged_data_have_one_digest(
        self, source: Source, tables: Sequence[str], tmp_path: Path
    ) -> None:
        digests = []
        for name in ("first", "second"):
            staging = Staging(tmp_path / "contract" / name)
            source.extract(tables, staging)
            check_rows(staging)
            digests.append(staging.seal().digest)
        assert digests[0] == digests[1]

    def test_what_was_extracted_can_be_checked_and_sealed(
        self, source: Source, tables: Sequence[str], staging: Staging
    ) -> None:
        source.extract(tables, staging)
        check_rows(staging)
        assert open_snapshot(staging.seal().folder, verify=True).checked

    def test_a_table_that_it_does_not_have_is_refused_by_name(self, source: Source, staging: Staging) -> None:
        with pytest.raises(ConfigError, match="no_such_table"):
            source.extract(["no_such_table"], staging)

    def test_progress_is_told_and_ends_at_its_total(
        self, source: Source, tables: Sequence[str], staging: Staging
    ) -> None:
        told: list[tuple[str, int, int | None]] = []
        source.extract(tables, staging, lambda what, done, total: told.append((what, done, total)))
        last = {what: (done, total) for what, done, total in told}
        assert told
        assert all(total is None or done == total for done, total in last.values())


class Records(Protocol):
    """Records that a target can write: their ids, and two text fields of theirs that are empty at first."""

    ids: Sequence[str]
    fields: tuple[str, str]


class TargetContract:
    """A target writes what still holds the values that were seen, tells what became of it, and repeats nothing.

    Fixtures to give: `target`; `records` with at least three ids that exist.
    """

    @pytest.fixture
    def target(self) -> Target:
        """The target under test."""
        raise NotImplementedError

    @pytest.fixture
    def records(self) -> Records:
        """Records that may be written."""
        raise NotImplementedError

    def held(self, target: Target, records: Records) -> list[list[str | None]]:
        """What the fields of the records hold now."""
        found = target.read(records.ids, records.fields)
        return [[found[one][name] for name in records.fields] for one in records.ids]

    def write(self, records: Records, place: int, value: str | None, expected: str | None = None) -> Write:
        """A write of the first field of one record."""
        field = records.fields[0]
        return Write(records.ids[place], {field: value}, {field: expected})

    def test_its_identity_is_stable(self, target: Target) -> None:
        assert target.identity()
        assert target.identity() == target.identity()

    def test_a_value_that_was_written_is_read_back(self, target: Target, records: Records) -> None:
        assert target.write_one(self.write(records, 0, "Gold")).state == "applied"
        assert target.read(records.ids[:1], records.fields) == {
            records.ids[0]: {records.fields[0]: "Gold", records.fields[1]: None}
        }

    def test_other_records_and_fields_stay_as_they_were(self, target: Target, records: Records) -> None:
        before = self.held(target, records)
        target.write_one(self.write(records, 1, "Gold"))
        after = self.held(target, records)
        assert after[1] == ["Gold", before[1][1]]
        assert [*after[:1], *after[2:]] == [*before[:1], *before[2:]]

    def test_a_value_that_changed_since_the_plan_is_not_overwritten(self, target: Target, records: Records) -> None:
        target.write_one(self.write(records, 0, "Silver"))
        written = target.write_one(self.write(records, 0, "Gold", expected="Bronze"))
        assert (written.record_id, written.state) == (records.ids[0], "conflict")
        assert self.held(target, records)[0][0] == "Silver"

    def test_a_field_is_cleared(self, target: Target, records: Records) -> None:
        target.write_one(self.write(records, 0, "Gold"))
        assert target.write_one(self.write(records, 0, None, expected="Gold")).state == "applied"
        assert self.held(target, records)[0][0] is None

    @pytest.mark.parametrize("text", ["a, b; c", 'say "hi"', "żółć → 金", "=1+1", " x", "0012", "true", "#N/A?"])
    def test_texts_come_back_as_they_were_written(self, target: Target, records: Records, text: str) -> None:
        target.write_one(self.write(records, 0, text))
        assert (self.held(target, records)[0][0] or "").strip() == text.strip()

    def jobs(self, target: Target) -> None:
        """Skip where the target has no bulk jobs."""
        if target.bulk_from is None:
            pytest.skip("this target writes one by one only")

    def wait(self, target: Target, job: str) -> None:
        """Look at a job until it ends."""
        for _ in range(1000):
            if target.job_state(job).state not in ("open", "running"):
                return
        pytest.fail("the job does not end")

    def test_a_job_changes_nothing_before_it_is_started(self, target: Target, records: Records) -> None:
        self.jobs(target)
        before = self.held(target, records)
        job = target.create_job()
        target.upload_job(job, [self.write(records, 0, "Gold")])
        assert target.job_state(job).state == "open"
        assert self.held(target, records) == before

    def test_a_job_writes_all_its_records_and_lists_each_once(self, target: Target, records: Records) -> None:
        self.jobs(target)
        job = target.create_job()
        target.upload_job(job, [self.write(records, place, "Gold") for place in range(len(records.ids))])
        target.start_job(job)
        self.wait(target, job)
        results = list(target.job_results(job))
        assert sorted(one.record_id for one in results) == sorted(records.ids)
        assert {one.state for one in results} == {"applied"}
        assert {row[0] for row in self.held(target, records)} == {"Gold"}

    def test_a_job_that_never_was_is_gone(self, target: Target) -> None:
        self.jobs(target)
        try:
            state = target.job_state("750000000000000AAA").state
        except CrmsyncError:
            return
        assert state == "gone"
