"""Which rows of a file go on: cells typed, bad cells reported with line and reason, rows of nobody counted."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from crmsync.connectors.files_cells import Flags, Spelling, Typed, typed_column, why_unreadable
from crmsync.connectors.files_columns import Column, Layout, Traits
from crmsync.connectors.files_records import Positions
from crmsync.connectors.files_split import Cells
from crmsync.errors import DataError, Rejected
from crmsync.tables import ARROW_TYPES, ColumnType

REJECTED_LIMIT = 100_000
WITHOUT_DIRECT = frozenset({"partners", "rates", "overrides"})
"""Tables in which an empty partner_id is an error, or that have none; elsewhere it is nobody's row."""

_SHOWN = 200
_MEASURE = ARROW_TYPES[ColumnType.MEASURE]


class Contradicted(Exception):  # noqa: N818
    """A later cell does not fit the type that the first block suggested; it does not leave the files connector."""


@dataclass
class Intake:
    """One pass over a file and what it met on the way."""

    path: Path
    layout: Layout
    kinds: Mapping[str, ColumnType]
    spelling: Spelling
    rejected: list[Rejected] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    direct: int = 0

    def __post_init__(self) -> None:
        self._left_out: list[Positions] = [np.empty(0, np.int64)]
        self._records = 0
        self._traits = {one.name: Traits(None) for one in self.layout.columns if one.kind is None}

    def good_rows(self, cells: Cells) -> pa.RecordBatch:
        """The typed rows of a block without the bad ones and those of nobody."""
        self._reject_records(cells)
        out = _blank_rows(cells.table)
        texts = {one.name: cells.table.column(one.place).combine_chunks() for one in self.layout.columns}
        typed = {one.name: self._typed(one, texts) for one in self.layout.columns}
        bad = self._report_cells(cells, texts, typed, out)
        bad |= self._report_nameless(cells, out) | self._report_empty_keys(cells, typed, out)
        out |= bad | self._direct_rows(typed, out | bad)
        self._leave_out(cells, out)
        batch = pa.RecordBatch.from_pydict({name: column.values for name, column in typed.items()})
        return batch.filter(pa.array(~out)) if out.any() else batch

    def records_left_out(self) -> Positions:
        """Which records of the file, counted from 0, did not go on."""
        return np.concatenate(self._left_out)

    def _leave_out(self, cells: Cells, out: Flags) -> None:
        faulty = np.array([one.record for one in cells.faults], np.int64)
        if len(faulty) or out.any():
            gone = np.concatenate((faulty, cells.records_of(np.flatnonzero(out))))
            self._left_out.append(np.sort(gone) + self._records)
        self._records += cells.records

    def _typed(self, column: Column, texts: Mapping[str, pa.Array]) -> Typed:
        cells, kind = texts[column.name], self.kinds[column.name]
        if column.kind is None:
            self._check_inferred(column.name, cells, kind)
        typed = typed_column(cells, kind, self.spelling)
        if kind is ColumnType.MEASURE and "currency" in texts:
            return _cents_where_currency(typed, typed_column(cells, ColumnType.MONEY, self.spelling), texts["currency"])
        return typed

    def _check_inferred(self, name: str, cells: pa.Array, kind: ColumnType) -> None:
        traits = self._traits[name]
        if kind is ColumnType.TEXT and traits.filled:
            return
        traits.look(cells)
        if traits.filled and traits.kind(self.spelling.decimals) is not kind:
            raise Contradicted

    def _report_cells(
        self, cells: Cells, texts: Mapping[str, pa.Array], typed: Mapping[str, Typed], out: Flags
    ) -> Flags:
        bad = np.zeros(len(out), np.bool_)
        for column in self.layout.columns:
            wrong = typed[column.name].bad
            if wrong is not None:
                bad |= wrong
                kind = self.kinds[column.name]
                for row, line in _lines(cells, wrong & ~out):
                    cell = texts[column.name][row].as_py()
                    self._reject(line, column.heading, cell, why_unreadable(cell, kind, self.spelling))
        return bad

    def _report_nameless(self, cells: Cells, out: Flags) -> Flags:
        bad = np.zeros(len(out), np.bool_)
        for place in self.layout.nameless:
            column = cells.table.column(place).combine_chunks()
            if column.null_count < len(column):
                filled = _flags(column.is_valid())
                bad |= filled
                for row, line in _lines(cells, filled & ~out):
                    self._reject(line, "", column[row].as_py(), f"a value in column {place + 1}, which has no heading")
        return bad

    def _report_empty_keys(self, cells: Cells, typed: Mapping[str, Typed], out: Flags) -> Flags:
        bad = np.zeros(len(out), np.bool_)
        for column in self.layout.columns:
            values = typed[column.name].values
            if column.name in self.layout.filled and values.null_count:
                known_bad = typed[column.name].bad
                empty = _flags(values.is_null()) if known_bad is None else _flags(values.is_null()) & ~known_bad
                bad |= empty
                for _, line in _lines(cells, empty & ~out):
                    self._reject(line, column.heading, "", f"is empty; every row of {self.layout.table} needs one")
        return bad

    def _direct_rows(self, typed: Mapping[str, Typed], out: Flags) -> Flags:
        partner = typed.get("partner_id")
        if partner is None or self.layout.table in WITHOUT_DIRECT or not partner.values.null_count:
            return np.zeros(len(out), np.bool_)
        direct = _flags(partner.values.is_null()) & ~out
        self.direct += int(direct.sum())
        return direct

    def _reject_records(self, cells: Cells) -> None:
        for fault in cells.faults:
            self._reject(int(cells.block.index.lines[fault.record]), "", fault.value, fault.reason)

    def _reject(self, line: int, column: str, value: str, reason: str) -> None:
        self.rejected.append(Rejected(self.path.name, line, column, value[:_SHOWN], reason))
        if len(self.rejected) >= REJECTED_LIMIT:
            raise DataError(
                f"{self.path}:{line}: {REJECTED_LIMIT:,} bad cells so far, so the file is not used; this one: "
                f"{column} `{value[:_SHOWN]}` {reason}"
            )


def _flags(values: pa.Array) -> Flags:
    flags: Flags = values.to_numpy(zero_copy_only=False)
    return flags


def _lines(cells: Cells, rows: Flags) -> list[tuple[int, int]]:
    places = np.flatnonzero(rows)
    return list(zip(places.tolist(), cells.lines_of(places).tolist(), strict=True)) if len(places) else []


def _blank_rows(table: pa.Table) -> Flags:
    """Rows without a single filled cell, which spreadsheets leave behind."""
    blank = np.ones(table.num_rows, np.bool_)
    for column in sorted(table.columns, key=lambda one: int(one.null_count)):
        if not column.null_count or not blank.any():
            return np.zeros(table.num_rows, np.bool_)
        blank &= _flags(column.is_null())
    return blank


def _cents_where_currency(measure: Typed, money: Typed, currency: pa.Array) -> Typed:
    """A value in a row with a currency is money, rounded to cents straight from its text."""
    is_money = currency.is_valid()
    values = pc.if_else(is_money, money.values.cast(_MEASURE), measure.values)
    if measure.bad is None and money.bad is None:
        return Typed(values)
    none = np.zeros(len(values), np.bool_)
    bad = np.where(
        _flags(is_money), none if money.bad is None else money.bad, none if measure.bad is None else measure.bad
    )
    return Typed(values, bad)
