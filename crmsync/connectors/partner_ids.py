"""Partner ids of files beside a CRM: in the form that the CRM gives them, and of merged partners their survivor's."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Protocol, runtime_checkable

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from crmsync.connectors.salesforce.rows import distinct, long_id
from crmsync.snapshots import Staging, write_table

COLUMN = "partner_id"


@runtime_checkable
class Merging(Protocol):
    """A source whose partners people merge."""

    def merged_partners(self) -> Mapping[str, str]:
        """The survivor of each partner that was merged away."""
        ...


def survivors(merged: Mapping[str, str]) -> dict[str, str]:
    """Who is left of each partner in the end: a survivor may have been merged away later. A circle leaves nobody."""
    found = {}
    for lost in merged:
        seen, now = {lost}, merged[lost]
        while now in merged and now not in seen:
            seen.add(now)
            now = merged[now]
        if now not in seen:
            found[lost] = now
    return found


def use_known_ids(staging: Staging, table: str, merged: Mapping[str, str]) -> int:
    """Write the partner ids of a staged table in their long form, and those of merged partners as their survivor's.

    Returns how many rows were changed; only then the file is written anew.
    """
    staged = staging.tables[table]
    left = survivors(merged)
    changed = sum(_changed(batch.column(0), left) for batch in _batches(staged.path, [COLUMN]))
    if changed:
        path = staged.path.with_suffix(".ids")
        rows = write_table(path, (_with_known(batch, left) for batch in _batches(staged.path)), staged.columns)
        os.replace(path, staged.path)
        staging.tables[table] = replace(staged, rows=rows)
    return changed


def _batches(path: Path, columns: list[str] | None = None) -> Iterator[pa.RecordBatch]:
    with pq.ParquetFile(path) as file:
        yield from file.iter_batches(columns=columns)


def _known(ids: pa.Array, left: Mapping[str, str]) -> pa.Array:
    return distinct(ids, lambda one: None if one is None else left.get(long_id(one), long_id(one)))


def _changed(ids: pa.Array, left: Mapping[str, str]) -> int:
    return int(pc.sum(pc.not_equal(ids, _known(ids, left))).as_py() or 0)


def _with_known(batch: pa.RecordBatch, left: Mapping[str, str]) -> pa.RecordBatch:
    place = batch.schema.get_field_index(COLUMN)
    return batch.set_column(place, batch.schema.field(place), _known(batch.column(place), left))
