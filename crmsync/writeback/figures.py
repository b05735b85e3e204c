"""Trend figures of a sealed snapshot: what the guards compare with the last accepted one. Arrow does the counting.

Per table: rows; filled cells per column; rows per kind of record (and how often a yes/no column says yes); sums of
money per month, currency and column, of won rows where the table knows them.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from crmsync.errors import DataError
from crmsync.snapshots import Snapshot, TableFile, main_date_of
from crmsync.tables import CANONICAL, ColumnType
from crmsync.writeback.inputs import is_current

OWNER = "owner_id"
KINDS = frozenset({"record_type", "type", "kind", "role", "level", "region", "status", OWNER})
"""Columns whose values part a table into kinds of records; a right that is lost often hides one kind, or one team's."""

KINDS_MOST, OWNERS_MOST = 100, 500
"""A column with more values than that does not part a table into kinds."""

BATCH = 131_072
YES = "yes"


@dataclass(frozen=True)
class TableFigures:
    """Figures of one table. `filled`: column -> cells with a value; `kinds`: column -> value -> rows; `sums`: column ->
    currency -> month (`2026-10`) -> (rows, sum as exact decimal text)."""

    rows: int = 0
    filled: Mapping[str, int] = field(default_factory=dict)
    kinds: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    sums: Mapping[str, Mapping[str, Mapping[str, tuple[int, str]]]] = field(default_factory=dict)

    def content(self) -> dict[str, Any]:
        """As JSON values, for the ledger."""
        return asdict(self)


def figures_from(content: Mapping[str, Any]) -> TableFigures:
    """Figures as the ledger keeps them; what an older version did not keep is empty."""
    sums = {
        column: {
            currency: {month: (n, total) for month, (n, total) in months.items()} for currency, months in by.items()
        }
        for column, by in content.get("sums", {}).items()
    }
    return TableFigures(content.get("rows", 0), content.get("filled", {}), content.get("kinds", {}), sums)


def _pairs(months: Mapping[str, Sequence[Any]]) -> dict[str, tuple[int, str]]:
    return {month: (rows, total) for month, (rows, total) in months.items()}


def figures_of(snapshot: Snapshot) -> dict[str, TableFigures]:
    """The figures of every table that a program reads. Errors: DataError when a table cannot be read."""
    return {name: table_figures(table) for name, table in sorted(snapshot.tables.items()) if not is_current(name)}


def table_figures(table: TableFile) -> TableFigures:
    """The figures of one table, read once in bounded memory."""
    try:
        file = pq.ParquetFile(table.path, memory_map=True)
        counted = _Counted(table)
        if counted.columns:
            for batch in file.iter_batches(BATCH, columns=counted.columns):
                counted.add(batch)
        filled = _filled(file)
    except (OSError, pa.ArrowException) as error:
        raise DataError(f"{table.path}: cannot be read: {error}") from error
    return TableFigures(table.rows, filled, counted.kinds_found(), counted.sums_found())


def _filled(file: pq.ParquetFile) -> dict[str, int]:
    """Cells with a value per column, from what the file says of its row groups; a list counts by its entries."""
    filled: dict[str, int] = defaultdict(int)
    unsaid: set[str] = set()
    metadata = file.metadata
    for group in range(metadata.num_row_groups):
        row_group = metadata.row_group(group)
        for at in range(row_group.num_columns):
            column = row_group.column(at)
            name = column.path_in_schema.partition(".")[0]
            said = column.statistics
            if said is not None and said.has_null_count:
                filled[name] += column.num_values - said.null_count
            else:
                unsaid.add(name)
    for name in unsaid:
        filled[name] = sum(
            len(batch) - batch.column(0).null_count for batch in file.iter_batches(BATCH, columns=[name])
        )
    return {name: filled.get(name, 0) for name in file.schema_arrow.names}


class _Counted:
    """Kinds and sums of one table as its batches come."""

    def __init__(self, table: TableFile) -> None:
        kinds = [name for name, kind in table.columns.items() if name in KINDS and kind is ColumnType.TEXT]
        self.yes_no = [name for name, kind in table.columns.items() if kind is ColumnType.YES_NO]
        self.kinds: dict[str, dict[str, int] | None] = {name: defaultdict(int) for name in (*kinds, *self.yes_no)}
        self.date = main_date_of(table.name, table.main_date, table.columns)
        dated = self.date in table.columns
        self.money = [name for name, kind in table.columns.items() if kind is ColumnType.MONEY and dated]
        self.currency = "currency" if self.money and "currency" in table.columns else None
        self.won = "is_won" if self.money and "is_won" in table.columns else None
        self.sums: dict[tuple[str, str, str], list[Any]] = defaultdict(lambda: [0, Decimal(0)])
        beside = (self.date, self.currency) if self.money else ()
        self.columns = list(dict.fromkeys([*self.kinds, *self.money, *(one for one in beside if one)]))

    def add(self, batch: pa.RecordBatch) -> None:
        """One batch of rows."""
        for name, counted in self.kinds.items():
            if counted is not None:
                self._kinds(name, counted, batch.column(name))
        if self.money:
            self._sums(pa.Table.from_batches([batch]))

    def _kinds(self, name: str, counted: dict[str, int], column: pa.Array) -> None:
        if name in self.yes_no:
            counted[YES] += pc.sum(column).as_py() or 0
            return
        for one in pc.value_counts(column).to_pylist():
            if one["values"] is not None:
                counted[one["values"]] += one["counts"]
        if len(counted) > (OWNERS_MOST if name == OWNER else KINDS_MOST):
            self.kinds[name] = None

    def _sums(self, rows: pa.Table) -> None:
        assert self.date is not None
        if self.won:
            rows = rows.filter(pc.fill_null(rows[self.won], False))
        rows = rows.append_column("month", pc.strftime(rows[self.date], format="%Y-%m"))
        by = ["month", *([self.currency] if self.currency else [])]
        asked = [(name, how) for name in self.money for how in ("count", "sum")]
        for one in rows.group_by(by).aggregate(asked).to_pylist():
            for name in self.money:
                if one["month"] is not None and one[f"{name}_count"]:
                    found = self.sums[name, (one[self.currency] or "") if self.currency else "", one["month"]]
                    found[0] += one[f"{name}_count"]
                    found[1] += one[f"{name}_sum"]

    def kinds_found(self) -> dict[str, dict[str, int]]:
        """Column -> value -> rows."""
        return {
            name: dict(sorted(counted.items())) for name, counted in sorted(self.kinds.items()) if counted is not None
        }

    def sums_found(self) -> dict[str, dict[str, dict[str, tuple[int, str]]]]:
        """Column -> currency -> month -> (rows, sum)."""
        found: dict[str, dict[str, dict[str, tuple[int, str]]]] = {}
        for (name, currency, month), (rows, total) in sorted(self.sums.items()):
            found.setdefault(name, {}).setdefault(currency, {})[month] = (rows, str(total))
        return found


# --- records that were edited or went


@dataclass(frozen=True)
class Edits:
    """Why a sum fell: records that hold less than before (id, before, now), the largest first, and how many rows are
    gone and how much they held."""

    edited: Sequence[tuple[str, str, str]] = ()
    gone: int = 0
    gone_sum: str = "0"


def edits_between(before: TableFile, now: TableFile, column: str, currency: str, until: str) -> Edits:
    """The records of closed months whose amount fell from one snapshot to the next, by the key of the table.

    `until`: the first month (`2026-11`) that was not closed yet. Errors: DataError when a table cannot be read.
    """
    key = list(CANONICAL[before.name].key) if before.name in CANONICAL else []
    key = [name for name in key if name in before.columns and name in now.columns]
    if not key:
        return Edits()
    then, today = (_amounts(one, key, column, currency, until) for one in (before, now))
    joined = then.join(today, keys=key, join_type="left outer", right_suffix="_now")
    if joined.num_rows == 0:
        return Edits()
    held, holds = joined[column], joined[f"{column}_now"]
    fell = joined.filter(pc.fill_null(pc.less(holds, held), False))
    gone = joined.filter(pc.is_null(holds))
    there = _present(now, key)
    still = gone.join(there, keys=key, join_type="left semi")  # still a record, but not of these months or not won
    lost = gone.join(there, keys=key, join_type="left anti")
    edited = [*_listed(fell, key, column), *_listed(still, key, column)]
    edited.sort(key=lambda one: Decimal(one[2]) - Decimal(one[1]))
    return Edits(tuple(edited), lost.num_rows, str(pc.sum(lost[column]).as_py() or 0))


def _amounts(table: TableFile, key: Sequence[str], column: str, currency: str, until: str) -> pa.Table:
    """Key and amount of the won rows of closed months in one currency."""
    date = main_date_of(table.name, table.main_date, table.columns)
    assert date is not None
    beside = [name for name in ("is_won", "currency") if name in table.columns]
    rows = pq.read_table(table.path, columns=list(dict.fromkeys([*key, column, date, *beside])))
    kept = pc.less(pc.strftime(rows[date], format="%Y-%m"), until)
    if "is_won" in beside:
        kept = pc.and_kleene(kept, rows["is_won"])
    if "currency" in beside:
        kept = pc.and_kleene(kept, pc.equal(pc.fill_null(rows["currency"], ""), currency))
    return rows.filter(pc.fill_null(kept, False)).select([*key, column])


def _present(table: TableFile, key: Sequence[str]) -> pa.Table:
    return pq.read_table(table.path, columns=list(key))


def _listed(rows: pa.Table, key: Sequence[str], column: str) -> Iterator[tuple[str, str, str]]:
    for row in rows.to_pylist():
        yield str(row[key[0]]), str(row[column]), str(row.get(f"{column}_now") or 0)
