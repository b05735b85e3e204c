"""One table of the snapshot, typed into Parquet from the records that were read for it."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from crmsync.connectors.salesforce.ahead import ahead
from crmsync.connectors.salesforce.crediting import NamedElsewhere, credited_rows
from crmsync.connectors.salesforce.fetching import PartRead
from crmsync.connectors.salesforce.held import batches
from crmsync.connectors.salesforce.rows import ID, REPEATING, Block, ReadColumn, canonical, distinct, typed_block
from crmsync.connectors.salesforce.table_plan import CurrentField, TablePlan
from crmsync.errors import Rejected
from crmsync.snapshots import RejectedPartner, Staging, TableFile, main_date_of
from crmsync.tables import ARROW_TYPES, ColumnType

GROUP_ROWS = 32_768
PARTNERS, CURRENT_VALUES = "partners", "current_values"
WITHOUT_DIRECT = frozenset({PARTNERS, "overrides"})  # an override of nobody is a mistake, not a direct deal


@dataclass
class TableRead:
    """What became of one table. `read`: rows of the server; `rows`: of the table; `direct`: left out, as of nobody;
    `repeats`: partners that were credited in several ways; `changed`: records of an increment, None where all were."""

    before: int = 0
    after: int = 0
    read: int = 0
    rows: int = 0
    direct: int = 0
    repeats: int = 0
    changed: int | None = None
    rejected: list[Rejected] = field(default_factory=list)
    rejected_partners: dict[str, RejectedPartner] = field(default_factory=dict)


def make_table(plan: TablePlan, reads: Mapping[str, PartRead], staging: Staging, scratch: Path) -> TableRead:
    """The table in the staging, typed from the records that were read for it."""
    records = reads[plan.part.key]
    done = TableRead(records.before, records.after, records.held.rows, changed=records.changed)
    repeating = plan.part.repeating
    files = {part.key: reads[part.key].held.path for part in plan.parts}
    with contextlib.ExitStack() as stack:
        named = stack.enter_context(NamedElsewhere(plan, files, scratch)) if len(files) > 1 else None
        out = stack.enter_context(_Parquet(plan, staging))
        done.rejected += named.rejected if named else []
        blocks = (
            dict(zip(batch.schema.names, batch.columns, strict=True))
            for batch in batches(records.held.path, None, repeating)
        )
        typed = ahead(lambda: (_taken(plan, block, done, named) for block in blocks), 1)
        for rows, current in stack.enter_context(contextlib.closing(typed)):
            out.rows(rows)
            if current is not None:
                out.current(current)
    _add(plan, staging, done)
    return done


def _taken(
    plan: TablePlan, block: Mapping[str, pa.Array], done: TableRead, named: NamedElsewhere | None
) -> tuple[pa.Table, pa.Table | None]:
    """The rows of a block for the table, and for the current values where those are asked for."""
    columns = [*plan.columns, *_credit_columns(plan)]
    typed = _completed(typed_block(block, columns, plan.time_zone, plan.object), plan.constant)
    done.rejected += typed.rejected
    if typed.left_out is not None and plan.table.name == PARTNERS:
        done.rejected_partners |= _rejected_partners(plan, block, typed)
    current = _current_values(plan, block, typed.kept, typed.rows) if plan.current else None
    if plan.credited:
        ids = block[ID] if typed.kept is None else block[ID].filter(typed.kept)
        rows, repeats, nobody = credited_rows(plan, typed.rows, ids, named)
        done.repeats += repeats
    else:
        rows = _of_somebody(plan, typed.rows)
        nobody = typed.rows.num_rows - rows.num_rows
    done.direct += nobody
    done.rows += rows.num_rows
    pa.default_memory_pool().release_unused()  # what this thread has done with
    return rows, current


def _completed(typed: Block, constant: Mapping[str, str]) -> Block:
    """The rows with the columns that hold the same in each of them."""
    rows = typed.rows
    for name, text in constant.items():
        rows = rows.append_column(name, pa.repeat(pa.scalar(text, pa.string()), rows.num_rows))
    return replace(typed, rows=rows) if constant else typed


def _rejected_partners(plan: TablePlan, block: Mapping[str, pa.Array], typed: Block) -> dict[str, RejectedPartner]:
    """Whose rows were left out, with the texts and numbers that other systems may know them by."""
    assert typed.left_out is not None
    assert typed.kept is not None
    naming = [one.name for one in plan.columns if one.kind in (ColumnType.TEXT, ColumnType.NUMBER)]
    records = block[ID].filter(pc.invert(typed.kept)).to_pylist()
    return {
        row["partner_id"]: RejectedPartner(f"{plan.object} {record}", row)
        for record, row in zip(records, typed.left_out.select(naming).to_pylist(), strict=True)
        if row.get("partner_id")
    }


# --- credited partners


def _of_somebody(plan: TablePlan, rows: pa.Table) -> pa.Table:
    """The rows that name a partner; the others are direct deals, which nobody is levelled by."""
    if "partner_id" not in plan.output or plan.table.name in WITHOUT_DIRECT:
        return rows
    return rows.filter(pc.is_valid(rows.column("partner_id")))


def _credit_columns(plan: TablePlan) -> list[ReadColumn]:
    """Partner and share columns of each credited partner, under names of their own."""
    columns = []
    for number, one in enumerate(plan.credited):
        if one.part is not None:
            continue
        columns.append(_renamed(one.partner, f"partner {number}"))
        if isinstance(one.share, ReadColumn):
            columns.append(_renamed(one.share, f"share {number}"))
    return columns


def _renamed(column: ReadColumn, name: str) -> ReadColumn:
    return ReadColumn(name, column.path, column.kind, column.source, column.is_id, column.hundredths)


# --- what write-back finds there now


def _current_values(plan: TablePlan, block: Mapping[str, pa.Array], kept: pa.Array | None, rows: pa.Table) -> pa.Table:
    """The managed fields' present values in canonical text, one row per partner."""
    ids = block[ID] if kept is None else block[ID].filter(kept)
    arrays = {"record_id": ids, "partner_id": rows.column("partner_id")}
    for one in plan.current:
        text = pa.nulls(len(block[ID]), pa.string()) if one.source is None else _canonical(block[one.name], one)
        arrays[one.name] = text if kept is None else text.filter(kept)
    return pa.table(arrays)


def _canonical(text: pa.Array, one: CurrentField) -> pa.Array:
    return distinct(text, lambda cell: canonical(cell, one.source or "string"))


def current_columns(plan: TablePlan) -> dict[str, ColumnType]:
    """The columns of `current_values`."""
    return dict.fromkeys(("record_id", "partner_id", *(one.name for one in plan.current)), ColumnType.TEXT)


# --- files


class _Parquet:
    """The Parquet file of a table, and that of the current values beside partners; written in groups of rows."""

    def __init__(self, plan: TablePlan, staging: Staging) -> None:
        self._writers = [_GroupWriter(staging.path(plan.table.name), plan.output, _repeating(plan))]
        if plan.current:
            again = [one.name for one in plan.current if one.source in REPEATING]
            self._writers.append(_GroupWriter(staging.path(CURRENT_VALUES), current_columns(plan), again))

    def __enter__(self) -> _Parquet:
        return self

    def __exit__(self, *_: object) -> None:
        for writer in self._writers:
            writer.close()

    def rows(self, rows: pa.Table) -> None:
        self._writers[0].write(rows)

    def current(self, rows: pa.Table) -> None:
        self._writers[1].write(rows)


def _repeating(plan: TablePlan) -> list[str]:
    """The leaves of the columns that hold the same values again and again; others cost more as a dictionary."""
    columns = [one for one in plan.columns if one.source in REPEATING]
    leaves = [f"{one.name}.list.element" if one.kind is ColumnType.LIST else one.name for one in columns]
    leaves += plan.constant
    return [*leaves, "partner_id", "role", "share"] if plan.credited else leaves


class _GroupWriter:
    """Writes row groups of one size, so that the same rows give the same bytes however they came."""

    def __init__(self, path: Path, columns: Mapping[str, ColumnType], repeating: Sequence[str]) -> None:
        self._schema = pa.schema([(name, ARROW_TYPES[kind]) for name, kind in columns.items()])
        self._writer = pq.ParquetWriter(path, self._schema, compression="zstd", use_dictionary=list(repeating))
        self._waiting: list[pa.Table] = []
        self._rows = 0

    def write(self, rows: pa.Table) -> None:
        self._waiting.append(rows.cast(self._schema))
        self._rows += rows.num_rows
        if self._rows >= GROUP_ROWS:
            self._flush(self._rows - self._rows % GROUP_ROWS)

    def close(self) -> None:
        self._flush(self._rows)
        self._writer.close()

    def _flush(self, count: int) -> None:
        if not count:
            return
        waiting = pa.concat_tables(self._waiting)
        self._writer.write_table(waiting.slice(0, count).combine_chunks(), row_group_size=GROUP_ROWS)
        self._waiting, self._rows = [waiting.slice(count)], self._rows - count
        pa.default_memory_pool().release_unused()


def _add(plan: TablePlan, staging: Staging, done: TableRead) -> None:
    table = plan.table
    staging.rejected_partners.update(done.rejected_partners)
    staging.add(
        TableFile(
            name=table.name,
            path=staging.path(table.name),
            rows=done.rows,
            columns=dict(plan.output),
            main_date=main_date_of(table.name, table.main_date, plan.output),
            expires_on_is_last_day=table.expires_on_is_last_day,
        )
    )
    if plan.current:
        staging.add(TableFile(CURRENT_VALUES, staging.path(CURRENT_VALUES), done.rows, current_columns(plan)))
