"""Whom an opportunity is credited to: by its own lookups, by records of other objects, or both, each partner once.

The order of the field map decides: a partner who is named in two ways has the first one's role and share.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from crmsync.connectors.salesforce.held import batches
from crmsync.connectors.salesforce.rows import ReadColumn, typed_block
from crmsync.connectors.salesforce.table_plan import CreditRead, TablePlan
from crmsync.errors import Rejected, StoreError
from crmsync.snapshots import write_table
from crmsync.tables import ColumnType

_MEMORY = "128MB"
_NAMED: Mapping[str, ColumnType] = {
    "opportunity_id": ColumnType.TEXT,
    "partner_id": ColumnType.TEXT,
    "role": ColumnType.TEXT,
    "share": ColumnType.NUMBER,
}
_OF = "SELECT * FROM read_parquet(?) WHERE opportunity_id BETWEEN ? AND ?"


class NamedElsewhere:
    """Partners that records of other objects credit, by opportunity; `with` frees what it needs.

    `held`: the files of held records by query. `rejected`: records that could not be read.
    """

    def __init__(self, plan: TablePlan, held: Mapping[str, Path], scratch: Path) -> None:
        self.rejected: list[Rejected] = []
        self._plan, self._scratch = plan, scratch
        self._session = duckdb.connect(
            config={"memory_limit": _MEMORY, "temp_directory": str(scratch / ".spill"), "threads": 1}
        )
        self._files = {
            number: self._sorted(one, held[one.part.key])
            for number, one in enumerate(plan.credited)
            if one.part is not None
        }

    def __enter__(self) -> NamedElsewhere:
        return self

    def __exit__(self, *_: object) -> None:
        self._session.close()

    def of(self, number: int, ids: pa.Array) -> pa.Table:
        """Partner, role and share by the credit `number` of the field map, for opportunities in the order of their ids.

        Column `row` says which of them.
        """
        path = self._files[number]
        try:
            values = [str(path), ids[0].as_py(), ids[-1].as_py()]
            found: pa.Table = self._session.sql(_OF, params=values).to_arrow_table()
        except duckdb.Error as error:
            raise StoreError(f"{path}: cannot be read: {str(error)[:300]}") from error
        rows = pc.index_in(found.column("opportunity_id"), value_set=ids).cast(pa.int64())
        found = found.set_column(0, "row", rows)
        return found.filter(pc.is_valid(rows))

    def _sorted(self, one: CreditRead, held: Path) -> Path:
        """The credits of one object in the order of the opportunities, so that a few of them are found at once."""
        assert one.part is not None
        typed, path = (self._scratch / f"{one.part.key}.{name}" for name in ("typed", "named"))
        write_table(typed, self._typed(one, held), {**_NAMED, "nth": ColumnType.NUMBER})
        try:
            self._session.read_parquet(str(typed)).order("opportunity_id, nth").write_parquet(str(path))
        except duckdb.Error as error:
            raise StoreError(f"{path}: cannot be put in order: {str(error)[:300]}") from error
        typed.unlink()
        return path

    def _typed(self, one: CreditRead, held: Path) -> Iterator[pa.RecordBatch]:
        assert one.part is not None
        assert one.opportunity is not None
        columns = [one.opportunity, one.partner, *(x for x in (one.role, one.share) if isinstance(x, ReadColumn))]
        nth = 0
        for batch in batches(held):
            texts = dict(zip(batch.schema.names, batch.columns, strict=True))
            typed = typed_block(texts, columns, self._plan.time_zone, one.part.object)
            self.rejected += typed.rejected
            rows = _filled(typed.rows, "opportunity_id", "partner_id")
            role, share = role_of(one, rows, "role"), share_of(one, rows, "share")
            arrays = [rows.column("opportunity_id"), rows.column("partner_id"), role, share]
            numbers = pa.array(np.arange(nth, nth + rows.num_rows), pa.float64())
            yield from pa.table([*arrays, numbers], names=[*_NAMED, "nth"]).to_batches()
            nth += rows.num_rows


def _filled(rows: pa.Table, *names: str) -> pa.Table:
    for name in names:
        rows = rows.filter(pc.is_valid(rows.column(name)))
    return rows


def role_of(one: CreditRead, rows: pa.Table, name: str) -> pa.Array | pa.ChunkedArray:
    """The roles of rows whose role, where it is a field, stands in column `name`."""
    if isinstance(one.role, ReadColumn):
        return rows.column(name)
    return pa.repeat(pa.scalar(one.role, pa.string()), rows.num_rows)


def share_of(one: CreditRead, rows: pa.Table, name: str) -> pa.Array | pa.ChunkedArray:
    """The shares of rows whose share, where it is a field, stands in column `name`."""
    if isinstance(one.share, ReadColumn):
        return rows.column(name)
    return pa.repeat(pa.scalar(one.share, pa.float64()), rows.num_rows)


def credited_rows(
    plan: TablePlan, rows: pa.Table, ids: pa.Array, named: NamedElsewhere | None
) -> tuple[pa.Table, int, int]:
    """One row per opportunity and credited partner; how many repeats were dropped, how many opportunities have none.

    `rows`: typed opportunities with the columns of `credit_columns`; `ids`: their record ids, ascending.
    """
    credits = pa.concat_tables([_by_way(plan, rows, ids, number, named) for number in range(len(plan.credited))])
    credits, repeats = _each_once(credits) if len(plan.credited) > 1 or named else (credits, 0)
    nobody = rows.num_rows - len(credits.column("row").unique())
    taken = rows.take(credits.column("row"))
    arrays = {name: taken.column(name) for name in plan.output if name in taken.column_names}
    arrays |= {name: credits.column(name) for name in ("partner_id", "role", "share")}
    return pa.table({name: arrays[name] for name in plan.output}), repeats, nobody


def _by_way(plan: TablePlan, rows: pa.Table, ids: pa.Array, number: int, named: NamedElsewhere | None) -> pa.Table:
    one = plan.credited[number]
    if one.part is not None:
        assert named is not None
        found = named.of(number, ids) if len(ids) else None
        columns = ("row", "partner_id", "role", "share")
        arrays = [found.column(name) for name in columns] if found is not None else [pa.array([])] * len(columns)
    else:
        partner = rows.column(f"partner {number}")
        filled = pc.is_valid(partner)
        there = rows.filter(filled)
        place = pa.array(np.flatnonzero(filled.to_numpy(zero_copy_only=False)), pa.int64())
        arrays = [
            place,
            there.column(f"partner {number}"),
            role_of(one, there, ""),
            share_of(one, there, f"share {number}"),
        ]
    return pa.table(arrays, names=["row", "partner_id", "role", "share"]).cast(_CREDIT)


_CREDIT = pa.schema([("row", pa.int64()), ("partner_id", pa.string()), ("role", pa.string()), ("share", pa.float64())])


def _each_once(credits: pa.Table) -> tuple[pa.Table, int]:
    """The first credit of each partner on each opportunity: they come in the order of the field map."""
    if not credits.num_rows:
        return credits, 0
    row = credits.column("row").to_numpy()
    partner = credits.column("partner_id").combine_chunks().dictionary_encode()
    key = row * len(partner.dictionary) + partner.indices.to_numpy()
    _, first = np.unique(key, return_index=True)
    first.sort()
    kept = first[np.argsort(row[first], kind="stable")]
    return credits.take(pa.array(kept)), credits.num_rows - len(kept)
