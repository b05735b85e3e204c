"""Edits by hand from run to run: what the ledger knows of them goes into a draft, what a draft found goes back.

A tier that is adopted joins the overrides of the next snapshot, so that everything computed from it says so.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import date, timedelta
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from crmsync.configuration_conflicts import Conflicts
from crmsync.ledger.conflicts import (
    ConflictRow,
    adopted_conflicts,
    close_written,
    last_written,
    open_conflicts,
    record_conflicts,
    record_told,
    untold_conflicts,
)
from crmsync.ledger.field_states import keep_watched, watched_fields
from crmsync.ledger.ledger import Ledger
from crmsync.snapshots import Staging, TableFile, write_table
from crmsync.tables import ARROW_TYPES, CANONICAL, ColumnType
from crmsync.writeback.hand_edits import HandEdit, KnownEdit, LastWritten, Watch, watched_names
from crmsync.writeback.plan import Plan

OVERRIDES = "overrides"


def watch_of(ledger: Ledger, rules: Conflicts) -> Watch:
    """What a draft needs to tell an edit by hand from a value of ours."""

    def written(records: Collection[str]) -> dict[str, dict[str, LastWritten]]:
        found = last_written(ledger, records)
        return {record: {name: LastWritten(*one) for name, one in fields.items()} for record, fields in found.items()}

    return Watch(rules, written, [_known(row) for row in open_conflicts(ledger)], watched_fields(ledger))


def _known(row: ConflictRow) -> KnownEdit:
    until = None if row.until is None else date.fromisoformat(row.until)
    return KnownEdit(
        row.conflict_id, row.record_id, row.partner_id, row.object, row.field, row.ours, row.found, row.policy,
        row.state == "told", until,
    )  # fmt: skip


def keep_edits(ledger: Ledger, plan: Plan) -> None:
    """Record what a drafted plan found; nothing is written to the CRM for it."""
    rows = [_row(plan, edit) for edit in plan.hand_edits if edit.outcome != "gone"]
    record_conflicts(ledger, rows, [edit.conflict_id for edit in plan.hand_edits if edit.outcome == "gone"])


def settle_edits(ledger: Ledger, plan: Plan, *, told: bool) -> None:
    """After a plan was applied: close what was written again. `told`: people saw the open ones without notices."""
    keep_watched(ledger, watched_names(plan.fields))
    restored = [_row(plan, edit) for edit in plan.hand_edits if edit.outcome == "restored"]
    if restored:
        close_written(ledger, plan.digest, plan.run_id, restored)
    if told and plan.hand_edits:
        record_told(ledger, [row.conflict_id for row in untold_conflicts(ledger)])


def _row(plan: Plan, edit: HandEdit) -> ConflictRow:
    return ConflictRow(
        edit.conflict_id, edit.record_id, edit.partner_id, edit.object, edit.field, edit.ours, edit.found, edit.policy,
        "open", plan.run_id, plan.as_of.isoformat(), edit.until, edit.category, edit.tier,
    )  # fmt: skip


def add_adopted(staging: Staging, ledger: Ledger) -> None:
    """Append a `pin` per adopted edit to the staged overrides, or make that table. The CRM's own rows stay as they are.

    Those that have ended stay in it, without effect, so that the table never looks as if it had lost its rows; of a
    partner who is gone, or was merged into another, none is left.

    Errors: StoreError when the disk is full.
    """
    edits = _of_partners(staging, adopted_conflicts(ledger))
    if not edits:
        return
    table = CANONICAL[OVERRIDES]
    staged = staging.tables.get(OVERRIDES)
    columns = {**(staged.columns if staged else {}), **table.columns}
    path = staging.path(OVERRIDES)
    joined = path.with_suffix(".adopted")
    rows = write_table(joined, _batches(staged, edits, columns), columns)
    os.replace(joined, path)
    if staged is None:
        staging.add(TableFile(OVERRIDES, path, rows, columns, table.main_date))
    else:
        staging.tables[OVERRIDES] = replace(staged, rows=rows, columns=columns)


def _of_partners(staging: Staging, edits: Sequence[ConflictRow]) -> list[ConflictRow]:
    partners = staging.tables.get("partners")
    if not edits or partners is None:
        return list(edits)
    asked = pa.array(sorted({edit.partner_id for edit in edits}), pa.string())
    wanted = pc.field("partner_id").isin(asked)
    there = set(pq.read_table(partners.path, columns=["partner_id"], filters=wanted)["partner_id"].to_pylist())
    return [edit for edit in edits if edit.partner_id in there]


def _batches(
    staged: TableFile | None, edits: Sequence[ConflictRow], columns: Mapping[str, ColumnType]
) -> Iterator[pa.RecordBatch]:
    schema = pa.schema([(name, ARROW_TYPES[kind]) for name, kind in columns.items()])
    if staged is not None:
        for batch in pq.ParquetFile(staged.path).iter_batches():
            yield from _with_columns(batch, schema).to_batches()
    yield from pa.Table.from_pylist([_pin(edit) for edit in edits], schema=schema).to_batches()


def _with_columns(batch: pa.RecordBatch, schema: pa.Schema) -> pa.Table:
    """The rows with every column; one that was not delivered is empty."""
    given = pa.Table.from_batches([batch])
    return pa.Table.from_arrays(
        [
            given[field.name].cast(field.type) if field.name in given.column_names else pa.nulls(len(given), field.type)
            for field in schema
        ],
        schema=schema,
    )


def _pin(edit: ConflictRow) -> dict[str, Any]:
    assert edit.until is not None, "what is adopted has an end"
    starts_on, ends_on = date.fromisoformat(edit.since), date.fromisoformat(edit.until)
    if edit.state == "gone":  # taken back: over before the day on which it was found
        starts_on = ends_on = starts_on - timedelta(days=1)
    return {
        "partner_id": edit.partner_id, "category": edit.category, "kind": "pin", "tier": edit.tier,
        "starts_on": starts_on, "ends_on": ends_on,
        "reason": f"set by hand on the account, adopted as conflict {edit.conflict_id[:12]}",
        "approved_by": "conflicts: adopt",
    }  # fmt: skip
