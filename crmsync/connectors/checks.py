"""Checks across the staged tables: keys once each, known partners, shares, validities. Bad rows are taken out.

Every question is asked of all rows at once, in SQL over the staged Parquet. Only a file that loses rows is rewritten.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import duckdb
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from crmsync.errors import DataError, Rejected, StoreError
from crmsync.snapshots import Origin, RecordOrigin, RejectedPartner, Staging, TableFile, write_table
from crmsync.tables import CANONICAL

Rows = npt.NDArray[np.int64]

REJECTED_LIMIT = 100_000
CURRENT_VALUES = "current_values"
_SMALL = 300_000
_MEMORY = "512MB"
_NOBODY_IS_AN_ERROR = frozenset({"overrides"})
_UNKNOWN = "is not a partner_id of the table partners"


@dataclass(frozen=True)
class ChecksReport:
    """Rows taken out, rows of nobody per table, and the columns proven unique per table."""

    rejected: tuple[Rejected, ...]
    direct: Mapping[str, int]
    unique: Mapping[str, frozenset[str]]


@dataclass(frozen=True)
class _Fault:
    """Why a row is taken out. `twin`: the earlier row it repeats."""

    row: int
    record_id: str
    column: str
    value: str
    reason: str
    twin: int | None = None


def check_rows(staging: Staging) -> ChecksReport:
    """Take bad rows and rows of nobody out of all staged tables, and note which keys are unique.

    Errors: DataError when so many rows of a table are bad that the table as a whole must be wrong.
    """
    rejected: list[Rejected] = []
    direct: dict[str, int] = {}
    unique: dict[str, frozenset[str]] = {}
    with _Questions(staging) as ask:
        for name in sorted(staging.tables, key=lambda table: (table != "partners", table)):
            if name.partition(".")[0] == CURRENT_VALUES:
                continue
            faults, nobody, columns = _TableCheck(ask, staging.tables[name], "partners" in staging.tables).result()
            bad = _as_rejected(staging, name, faults)
            rejected += bad
            if len(nobody):
                direct[name] = len(nobody)
            unique[name] = columns
            staging.tables[name] = replace(staging.tables[name], unique=columns)
            _take_out(staging, name, np.union1d(nobody, [fault.row for fault in faults]).astype(np.int64))
            if name == "partners":
                _note_partners(staging, faults, bad)
    return ChecksReport(tuple(rejected), direct, unique)


class _Questions:
    """A DuckDB session over the staged files, with bounded memory; `with` closes it."""

    def __init__(self, staging: Staging) -> None:
        self._staging = staging
        small = sum(table.rows for table in staging.tables.values()) < _SMALL
        self._session = duckdb.connect(
            config={
                "memory_limit": _MEMORY,
                "temp_directory": str(staging.folder / ".spill"),
                # a second thread costs a small base more memory than it saves time
                "threads": 1 if small else min(4, os.cpu_count() or 1),
            }
        )

    def __enter__(self) -> _Questions:
        return self

    def __exit__(self, *_: object) -> None:
        self._session.close()

    def rows(self, table: str) -> str:
        """The FROM clause of a staged table; its rows carry file_row_number."""
        return f"read_parquet({_quoted_text(self._staging.tables[table].path)}, file_row_number = true)"

    def table(self, query: str, gone: Rows | None = None) -> pa.Table:
        """The answer. `gone` can be asked for as table `gone` with column `row`."""
        if gone is not None:
            self._session.register("gone", pa.table({"row": gone}))
        try:
            return self._session.sql(query).to_arrow_table()
        except duckdb.IOException as error:
            raise StoreError(f"{self._staging.folder}: cannot be read or written: {error}") from error
        except duckdb.Error as error:
            raise DataError(f"{self._staging.final.name}: the staged tables cannot be checked: {error}") from error


class _TableCheck:
    """All checks of one table. A row is reported once, for the first fault found."""

    def __init__(self, ask: _Questions, table: TableFile, with_partners: bool) -> None:
        self.ask = ask
        self.table = table
        self.rows = ask.rows(table.name)
        canonical = CANONICAL.get(table.name)
        self.id_column = canonical.id_column if canonical and canonical.id_column in table.columns else None
        self.of_partner = "partner_id" in table.columns and table.name != "partners"
        self.with_partners = with_partners
        self.faults: dict[int, _Fault] = {}
        self.nobody = np.empty(0, np.int64)

    def result(self) -> tuple[list[_Fault], Rows, frozenset[str]]:
        """Faults in row order, rows of nobody, and unique columns."""
        if self.of_partner:
            self._find_nobody()
        unique = self._check_keys()
        if self.table.name == "opportunities":
            self._check_shares("opportunity_id" in unique)
        if self.of_partner and self.with_partners:
            self._check_partners()
        if {"issued_on", "expires_on"} <= set(self.table.columns):
            self._check_validity()
        return sorted(self.faults.values(), key=lambda fault: fault.row), self.nobody, unique

    def _find_nobody(self) -> None:
        found = self.ask.table(f"SELECT file_row_number AS row FROM {self.rows} WHERE {_blank('partner_id')}")
        if self.table.name in _NOBODY_IS_AN_ERROR:
            for row in found["row"].to_pylist():
                self._add(_Fault(row, "", "partner_id", "", f"is empty; every row of {self.table.name} needs one"))
        else:
            self.nobody = found["row"].to_numpy().astype(np.int64)

    def _add(self, fault: _Fault) -> None:
        self.faults.setdefault(fault.row, fault)

    def _find(self, column: str, condition: str, reason: str, join: str = "") -> None:
        """Report the rows (not yet taken out) that meet a condition, with the value of `column`."""
        gone = np.union1d(self.nobody, list(self.faults)).astype(np.int64)
        still = "AND file_row_number NOT IN (SELECT row FROM gone)" if len(gone) else ""
        query = f"FROM {self.rows} AS t {join} WHERE ({condition}) {still}"
        record = f"coalesce({self.id_column}, '')" if self.id_column else "''"
        value = f"coalesce(CAST({column} AS VARCHAR), '')" if column in self.table.columns else "''"
        found = self.ask.table(
            f"SELECT file_row_number AS row, {record} AS record, {value} AS value, "
            f"count(*) OVER () AS total {query} ORDER BY row LIMIT {REJECTED_LIMIT}",
            gone,
        )
        self._refuse_too_many(found, column, reason)
        for one in found.to_pylist():
            self._add(_Fault(one["row"], one["record"], column, one["value"], reason))

    def _refuse_too_many(self, found: pa.Table, column: str, reason: str) -> None:
        if len(found) == REJECTED_LIMIT:
            one = found.slice(0, 1).to_pylist()[0]
            raise DataError(
                f"{self.table.name}.{column}: {one['total']:,} rows are bad, so the table is not used; "
                f"the first: `{one['value']}` {reason}"
            )

    # --- keys

    def _check_keys(self) -> frozenset[str]:
        """Report repeated keys; returns the columns of which every value is different."""
        canonical = CANONICAL.get(self.table.name)
        key = [column for column in (canonical.key if canonical else ()) if column in self.table.columns]
        if not canonical or not key or canonical.key[0] not in key:
            return frozenset()
        first = key[0]
        self._find(first, _blank(first), f"is empty; every row of {self.table.name} needs one")
        if len(key) == 1:
            self._check_repeats(key)
            return frozenset(key)
        if self._distinct([first]):
            return frozenset({first})
        self._check_repeats(key)
        return frozenset()

    def _distinct(self, columns: Sequence[str]) -> bool:
        """Whether no two rows have equal values. Different hashes prove it; equal ones ask for a closer look."""
        found = self.ask.table(f"SELECT hash({', '.join(columns)}) AS hash FROM {self.rows}")
        hashes = np.sort(found["hash"].to_numpy())
        return not bool((hashes[1:] == hashes[:-1]).any())

    def _check_repeats(self, key: Sequence[str]) -> None:
        if self._distinct(key):
            return
        gone = np.union1d(self.nobody, list(self.faults)).astype(np.int64)
        parts = ", ".join(key)
        found = self.ask.table(
            f"""SELECT file_row_number AS row, CAST({key[0]} AS VARCHAR) AS value, count(*) OVER () AS total,
                   min(file_row_number) OVER (PARTITION BY {parts}) AS twin
                FROM {self.rows} WHERE file_row_number NOT IN (SELECT row FROM gone)
                QUALIFY row > twin ORDER BY row LIMIT {REJECTED_LIMIT}""",
            gone,
        )
        names = key[0] if len(key) == 1 else ", ".join(key[:-1]) + " and " + key[-1]
        reason = f"repeats the {names} of an earlier row"
        self._refuse_too_many(found, key[0], reason)
        for one in found.to_pylist():
            record = one["value"] if self.id_column == key[0] else ""
            self._add(_Fault(one["row"], record or "", key[0], one["value"] or "", reason, one["twin"]))

    # --- shares, partners, validity

    def _check_shares(self, one_row_each: bool) -> None:
        # First, because a row that is left out for another reason still says that the opportunity is shared.
        if not one_row_each:
            self._check_shares_of_several()
        if "share" in self.table.columns:
            self._find("share", "NOT share BETWEEN 0 AND 1", "is not a share; write a number from 0 to 1")

    def _check_shares_of_several(self) -> None:
        share = "share" if "share" in self.table.columns else "NULL"
        gone = "AND file_row_number NOT IN (SELECT row FROM gone)" if len(self.nobody) or self.faults else ""
        several = f"""SELECT opportunity_id FROM {self.rows}
            WHERE NOT ({_blank("partner_id")}) {gone} GROUP BY opportunity_id HAVING count(*) > 1"""
        self._find(
            "share",
            f"{share} IS NULL AND opportunity_id IN ({several})",
            "is empty although the opportunity has several rows; write each partner's share, 0 to 1",
        )

    def _check_partners(self) -> None:
        self._find(
            "partner_id",
            "p.known IS NULL",
            _UNKNOWN,
            f"LEFT JOIN (SELECT partner_id AS known FROM {self.ask.rows('partners')}) AS p ON t.partner_id = p.known",
        )

    def _check_validity(self) -> None:
        self._find("expires_on", "issued_on > expires_on", "lies before issued_on")


def _as_rejected(staging: Staging, table: str, faults: Sequence[_Fault]) -> list[Rejected]:
    if not faults:
        return []
    origin: Origin = staging.origins.get(table, RecordOrigin(table))
    places = origin.places([fault.row for fault in faults], [fault.record_id for fault in faults])
    twins = [fault for fault in faults if fault.twin is not None]
    lines = dict(
        zip((one.row for one in twins), origin.places([t.twin or 0 for t in twins], [""] * len(twins)), strict=True)
    )
    return [
        Rejected(file, line, fault.column, fault.value, _reason(staging, fault, lines.get(fault.row)))
        for fault, (file, line) in zip(faults, places, strict=True)
    ]


def _reason(staging: Staging, fault: _Fault, twin: tuple[str, int | None] | None) -> str:
    partner = staging.rejected_partners.get(fault.value) if fault.reason == _UNKNOWN else None
    return _with_twin(fault.reason, twin) if partner is None else f"is a partner {own_row_rejected(partner)}"


def own_row_rejected(partner: RejectedPartner) -> str:
    """Why a row that names this partner is left out."""
    return f"whose own row was rejected ({partner.place})"


def _note_partners(staging: Staging, faults: Sequence[_Fault], bad: Sequence[Rejected]) -> None:
    """Remember the partners whose rows were taken out, and forget those of which a good row is left."""
    noted = staging.rejected_partners
    for fault, one in zip(faults, bad, strict=True):
        if fault.record_id.strip():
            place = one.file if one.line is None else f"{one.file}:{one.line}"
            noted.setdefault(fault.record_id, RejectedPartner(place))
    if noted:
        there = pq.read_table(staging.tables["partners"].path, columns=["partner_id"])["partner_id"]
        for partner_id in set(there.to_pylist()) & set(noted):
            del noted[partner_id]


def _with_twin(reason: str, twin: tuple[str, int | None] | None) -> str:
    return reason.replace("of an earlier row", f"of line {twin[1]}") if twin and twin[1] is not None else reason


def _take_out(staging: Staging, name: str, gone: Rows) -> None:
    """Rewrite the staged file of a table without the rows `gone` (sorted)."""
    if not len(gone):
        return
    table = staging.tables[name]
    rest = table.path.with_suffix(".rest")
    rows = write_table(rest, _without(table.path, gone), table.columns)
    os.replace(rest, table.path)
    staging.tables[name] = replace(table, rows=rows)
    if name in staging.origins:
        staging.origins[name] = staging.origins[name].without(gone.tolist())


def _without(path: Path, gone: Rows) -> Iterator[pa.RecordBatch]:
    begin = 0
    with pq.ParquetFile(path) as file:
        for batch in file.iter_batches():
            here = gone[np.searchsorted(gone, begin) : np.searchsorted(gone, begin + batch.num_rows)] - begin
            keep = np.ones(batch.num_rows, np.bool_)
            keep[here] = False
            yield batch.filter(pa.array(keep))
            begin += batch.num_rows


def _blank(column: str) -> str:
    """Whether a key is empty or consists of blanks, tabs and the like. Most keys are settled by their first letter."""
    return rf"({column} IS NULL OR (({column} < '!' OR {column} > '~') AND NOT regexp_matches({column}, '[^\s\v\pZ]')))"


def _quoted_text(path: Path) -> str:
    return "'" + str(path).replace("'", "''") + "'"
