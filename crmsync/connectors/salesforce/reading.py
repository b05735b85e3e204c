"""One table out of the org: counted, read, counted again and typed into Parquet. All agree or nothing is kept."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from crmsync.connectors.base import Progress
from crmsync.connectors.salesforce.bulk_query import bulk_blocks
from crmsync.connectors.salesforce.faults import Refused
from crmsync.connectors.salesforce.org import Org
from crmsync.connectors.salesforce.rest_query import count_rows, rest_blocks
from crmsync.connectors.salesforce.rows import ID, Block, ReadColumn, canonical, distinct, typed_block
from crmsync.connectors.salesforce.table_plan import CreditRead, CurrentField, TablePlan
from crmsync.errors import DataError, Rejected
from crmsync.snapshots import RejectedPartner, Staging, TableFile, main_date_of
from crmsync.tables import ARROW_TYPES, ColumnType

BULK_ABOVE = 2_000  # rows; a bulk job costs more calls than a page or two
GROUP_ROWS = 65_536
PARTNERS, CURRENT_VALUES = "partners", "current_values"
WITHOUT_DIRECT = frozenset({PARTNERS, "overrides"})  # an override of nobody is a mistake, not a direct deal
URI_LENGTH_MAX = 8_000  # of the encoded query; a bulk job takes it in its body
URI_TOO_LONG = 414
AGAIN_CODES = frozenset({"INVALID_QUERY_LOCATOR", "NOT_FOUND", "INVALIDJOBSTATE"})


@dataclass
class TableRead:
    """What became of one table. `read`: rows of the server; `rows`: of the table; `direct`: left out, as of nobody."""

    before: int = 0
    after: int = 0
    read: int = 0
    rows: int = 0
    direct: int = 0
    rejected: list[Rejected] = field(default_factory=list)
    rejected_partners: dict[str, RejectedPartner] = field(default_factory=dict)


def read_table(org: Org, plan: TablePlan, staging: Staging, scratch: Path, progress: Progress) -> TableRead:
    """The table in the staging, and the counts that prove it.

    A difference between rows read and the server's counts is re-read once: people work while we read.
    Errors: DataError naming the object and the counts; then nothing was added to the staging.
    """
    try:
        done = _attempt(org, plan, staging, scratch, progress)
    except _Again:
        done = _attempt(org, plan, staging, scratch, progress, last=True)
    _add(plan, staging, done)
    return done


class _Again(Exception):  # noqa: N818
    """The read does not hold together; read once more."""


def _attempt(
    org: Org, plan: TablePlan, staging: Staging, scratch: Path, progress: Progress, *, last: bool = False
) -> TableRead:
    done = TableRead(before=count_rows(org, plan.count_soql))
    try:
        with _Parquet(plan, staging) as files:
            for block in _blocks(org, plan, done.before, scratch):
                _take(plan, block, done, files)
                progress(plan.table.name, done.read, done.before)
        done.after = count_rows(org, plan.count_soql)
        _check_counts(plan, done)
    except DataError as fault:
        if last or (isinstance(fault, Refused) and fault.code not in AGAIN_CODES):
            raise
        raise _Again from fault
    return done


def _blocks(org: Org, plan: TablePlan, rows: int, scratch: Path) -> Iterator[Mapping[str, pa.Array]]:
    if rows <= BULK_ABOVE and len(quote(plan.soql)) <= URI_LENGTH_MAX:
        try:
            return rest_blocks(org, org.query(plan.soql), plan.object, plan.paths)
        except Refused as refusal:
            if refusal.status != URI_TOO_LONG:
                raise
    return bulk_blocks(org, plan.soql, plan.object, plan.paths, scratch)


def _check_counts(plan: TablePlan, done: TableRead) -> None:
    if not done.before == done.read == done.after:
        raise DataError(
            f"{plan.object} (table {plan.table.name}): {done.read:,} rows were read, but Salesforce counts "
            f"{done.before:,} before and {done.after:,} after; nothing was kept. "
            "Run again when these records are not being changed"
        )


def _take(plan: TablePlan, block: Mapping[str, pa.Array], done: TableRead, files: _Parquet) -> None:
    columns = [*plan.columns, *_credit_columns(plan)]
    typed = typed_block(block, columns, plan.time_zone, plan.object)
    done.read += len(block[ID])
    done.rejected += typed.rejected
    if typed.left_out is not None and plan.table.name == PARTNERS:
        done.rejected_partners |= _rejected_partners(plan, block, typed)
    if plan.current:
        files.current(_current_values(plan, block, typed.kept, typed.rows))
    rows = _credited_rows(plan, typed.rows) if plan.credited else _of_somebody(plan, typed.rows)
    done.direct += typed.rows.num_rows - _records(plan, typed.rows)
    done.rows += rows.num_rows
    files.rows(rows)


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


def _partner_columns(plan: TablePlan) -> list[str]:
    """The columns that say whose a row is; none where rows are of nobody in particular."""
    if plan.credited:
        return [f"partner {number}" for number in range(len(plan.credited))]
    return ["partner_id"] if "partner_id" in plan.output and plan.table.name not in WITHOUT_DIRECT else []


def _records(plan: TablePlan, rows: pa.Table) -> int:
    """How many records name a partner; the others are direct deals, which nobody is levelled by."""
    names = _partner_columns(plan)
    if not names:
        return int(rows.num_rows)
    named = pc.is_valid(pc.coalesce(*(rows.column(name) for name in names)))
    return int(pc.sum(named).as_py() or 0)


def _of_somebody(plan: TablePlan, rows: pa.Table) -> pa.Table:
    for name in _partner_columns(plan):
        rows = rows.filter(pc.is_valid(rows.column(name)))
    return rows


def _credit_columns(plan: TablePlan) -> list[ReadColumn]:
    """Partner and share columns of each credited partner, under names of their own."""
    columns = []
    for number, one in enumerate(plan.credited):
        columns.append(_renamed(one.partner, f"partner {number}"))
        if isinstance(one.share, ReadColumn):
            columns.append(_renamed(one.share, f"share {number}"))
    return columns


def _renamed(column: ReadColumn, name: str) -> ReadColumn:
    return ReadColumn(name, column.path, column.kind, column.source, column.is_id, column.hundredths)


def _credited_rows(plan: TablePlan, rows: pa.Table) -> pa.Table:
    """One row per opportunity and credited partner."""
    parts = []
    for number, one in enumerate(plan.credited):
        filled = pc.is_valid(rows.column(f"partner {number}"))
        parts.append(_with_credit(plan, rows.filter(filled), number, one))
    return pa.concat_tables(parts)


def _with_credit(plan: TablePlan, rows: pa.Table, number: int, one: CreditRead) -> pa.Table:
    arrays = {name: rows.column(name) for name in plan.output if name in rows.column_names}
    arrays["partner_id"] = rows.column(f"partner {number}")
    if plan.with_role:
        arrays["role"] = pa.repeat(pa.scalar(one.role, pa.string()), rows.num_rows)
    if plan.with_share:
        arrays["share"] = _share(rows, number, one)
    return pa.table({name: arrays[name] for name in plan.output})


def _share(rows: pa.Table, number: int, one: CreditRead) -> pa.Array | pa.ChunkedArray:
    if isinstance(one.share, ReadColumn):
        return rows.column(f"share {number}")
    return pa.repeat(pa.scalar(one.share, pa.float64()), rows.num_rows)


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
        self._writers = [_GroupWriter(staging.path(plan.table.name), plan.output)]
        if plan.current:
            self._writers.append(_GroupWriter(staging.path(CURRENT_VALUES), current_columns(plan)))

    def __enter__(self) -> _Parquet:
        return self

    def __exit__(self, *_: object) -> None:
        for writer in self._writers:
            writer.close()

    def rows(self, rows: pa.Table) -> None:
        self._writers[0].write(rows)

    def current(self, rows: pa.Table) -> None:
        self._writers[1].write(rows)


class _GroupWriter:
    """Collects blocks until they make a row group worth writing."""

    def __init__(self, path: Path, columns: Mapping[str, ColumnType]) -> None:
        self._schema = pa.schema([(name, ARROW_TYPES[kind]) for name, kind in columns.items()])
        self._writer = pq.ParquetWriter(path, self._schema, compression="zstd")
        self._waiting: list[pa.Table] = []
        self._rows = 0

    def write(self, rows: pa.Table) -> None:
        self._waiting.append(rows.cast(self._schema))
        self._rows += rows.num_rows
        if self._rows >= GROUP_ROWS:
            self._flush()

    def close(self) -> None:
        self._flush()
        self._writer.close()

    def _flush(self) -> None:
        if self._rows:
            self._writer.write_table(pa.concat_tables(self._waiting), row_group_size=2 * GROUP_ROWS)
        self._waiting, self._rows = [], 0


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
