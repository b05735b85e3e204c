"""Rows that name a partner by another system's number get the partner's id instead."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from crmsync.connectors.checks import REJECTED_LIMIT, own_row_rejected
from crmsync.errors import ConfigError, DataError, Rejected
from crmsync.snapshots import RecordOrigin, Staging, TableFile, write_table
from crmsync.strict_yaml import nearest
from crmsync.tables import CANONICAL, ColumnType

_AMBIGUOUS = "matches {count} partners by {column}; make it unique"
_UNKNOWN = "matches no partner by {column}"


def match_partners(staging: Staging, table: str, column: str) -> tuple[Rejected, ...]:
    """Replace each partner_id of a staged table, which holds a value of partners.`column`, by the partner's own id.

    Returns the rows that match no partner or several; they are taken out. Empty cells stay empty.
    Errors: ConfigError when partners have no such column; DataError when too many rows match nothing.
    """
    known, ids = _partners_by(staging, table, column)
    staged = staging.tables[table]
    matching = _Matching(known, ids, _id_column(staged))
    matched = staged.path.with_suffix(".matched")
    rows = write_table(matched, matching.batches(staged.path), staged.columns)
    rejected = _rejected(staging, table, matching, column)
    os.replace(matched, staged.path)
    staging.tables[table] = replace(staged, rows=rows)
    if table in staging.origins:
        staging.origins[table] = staging.origins[table].without([row for row, _, _ in matching.out])
    return rejected


def _partners_by(staging: Staging, table: str, column: str) -> tuple[pa.Array, list[list[str]]]:
    """The distinct values of a partner column, and the ids of the partners that have each."""
    partners = staging.tables.get("partners")
    if partners is None or column not in partners.columns:
        names = partners.columns if partners else ()
        raise ConfigError(f"table {table} is matched by partners.{column}, which is not there{nearest(column, names)}")
    kind = partners.columns[column]
    if kind not in (ColumnType.TEXT, ColumnType.NUMBER):
        raise ConfigError(f"table {table} is matched by partners.{column}, which holds {kind.value}, not text")
    found = pq.read_table(partners.path, columns=list(dict.fromkeys([column, "partner_id"])))
    by_value: dict[str, list[str]] = {}
    for value, partner_id in zip(found[column].to_pylist(), found["partner_id"].to_pylist(), strict=True):
        ids = by_value.setdefault(_text(value), [])
        if partner_id is not None and partner_id not in ids:
            ids.append(partner_id)
    by_value.pop("", None)
    return pa.array(by_value, pa.string()), list(by_value.values())


def _id_column(table: TableFile) -> str | None:
    canonical = CANONICAL.get(table.name)
    return canonical.id_column if canonical and canonical.id_column in table.columns else None


def _text(value: object) -> str:
    # A column of plain account numbers is read as numbers; the export that is matched writes them as text.
    return "" if value is None else format(value, ".15g") if isinstance(value, float) else str(value)


class _Matching:
    """One pass over a staged table. `out`: rows taken out, with their value and how many partners it matches."""

    def __init__(self, known: pa.Array, ids: list[list[str]], id_column: str | None) -> None:
        self._known = known
        self._id = id_column
        self._counts = [len(each) for each in ids]
        self._ids = pa.array([each[0] if len(each) == 1 else None for each in ids], pa.string())
        self.out: list[tuple[int, str, int]] = []
        self.record_ids: list[str] = []
        self._begin = 0

    def batches(self, path: os.PathLike[str]) -> Iterator[pa.RecordBatch]:
        """The rows with partner ids, without those that match none or several."""
        with pq.ParquetFile(path) as file:
            for batch in file.iter_batches():
                yield self._matched(batch)

    def _matched(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        place = batch.schema.get_field_index("partner_id")
        values = batch.column(place)
        values = pc.if_else(pc.equal(pc.utf8_trim_whitespace(values), ""), None, values)
        found = pc.index_in(values, value_set=self._known)
        ids = self._ids.take(found)
        keep = pc.or_(ids.is_valid(), values.is_null())
        self._note_out(batch, values, found, np.flatnonzero(~keep.to_numpy(zero_copy_only=False)))
        self._begin += batch.num_rows
        return batch.set_column(place, batch.schema.field(place), ids).filter(keep)

    def _note_out(self, batch: pa.RecordBatch, values: pa.Array, found: pa.Array, rows: npt.NDArray[np.int64]) -> None:
        for row in rows.tolist():
            known = found[row].as_py()
            self.out.append((self._begin + row, values[row].as_py(), 0 if known is None else self._counts[known]))
            self.record_ids.append("" if self._id is None else str(batch.column(self._id)[row].as_py() or ""))
            if len(self.out) >= REJECTED_LIMIT:
                raise DataError(
                    f"{len(self.out):,} rows match no partner, so the table is not used; the last: `{self.out[-1][1]}`"
                )


def _rejected(staging: Staging, table: str, matching: _Matching, column: str) -> tuple[Rejected, ...]:
    if not matching.out:
        return ()
    origin = staging.origins.get(table, RecordOrigin(table))
    places = origin.places([row for row, _, _ in matching.out], matching.record_ids)
    own_row = {_text(one.values.get(column)): own_row_rejected(one) for one in staging.rejected_partners.values()}
    return tuple(
        Rejected(file, line, "partner_id", value, _reason(count, f"partners.{column}", own_row.get(value)))
        for (file, line), (_, value, count) in zip(places, matching.out, strict=True)
    )


def _reason(count: int, column: str, own_row: str | None) -> str:
    if not count and own_row:
        return f"matches by {column} a partner {own_row}"
    return (_AMBIGUOUS if count else _UNKNOWN).format(count=count, column=column)
