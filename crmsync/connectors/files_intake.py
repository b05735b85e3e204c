"""Which rows of a file go on: cells typed, bad cells reported with line and reason, rows of nobody counted."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import numpy as np
import pyarrow as pa

from crmsync.connectors.files_cells import Flags, Typed, flags
from crmsync.connectors.files_columns import Column, Layout
from crmsync.connectors.files_quotes import Positions
from crmsync.connectors.files_split import RecordFault
from crmsync.errors import DataError, Rejected
from crmsync.snapshots import RejectedPartner
from crmsync.tables import ColumnType

REJECTED_LIMIT = 100_000
WITHOUT_DIRECT = frozenset({"partners", "rates", "overrides"})
"""Tables in which an empty partner_id is an error, or that have none; elsewhere it is nobody's row."""

_SHOWN = 200
_NAMING = (ColumnType.TEXT, ColumnType.NUMBER)
"""What other systems' numbers of a partner are read as."""


class Piece(Protocol):
    """Some rows of a file, one column per heading, and where each of them stands."""

    @property
    def table(self) -> pa.Table:
        """The rows."""
        ...

    @property
    def records(self) -> int:
        """How many records there were, with those left out already."""
        ...

    @property
    def faults(self) -> tuple[RecordFault, ...]:
        """The records that were left out."""
        ...

    def records_of(self, rows: Positions) -> Positions:
        """The places of some rows among the records."""
        ...

    def lines_of_records(self, records: Positions) -> Positions:
        """The line on which each of some records starts."""
        ...


class Typing(Protocol):
    """How the cells of a file get their types."""

    def typed(self, column: Column, cells: Mapping[str, pa.Array]) -> Typed:
        """The typed cells of one column; the others stand beside it."""
        ...

    def why(self, cell: str, kind: ColumnType) -> str:
        """Why a cell could not be typed."""
        ...


@dataclass
class Intake:
    """One pass over a file and what it met on the way. `rejected_partners`: only of the table partners."""

    path: Path
    layout: Layout
    kinds: Mapping[str, ColumnType]
    typing: Typing
    rejected: list[Rejected] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    direct: int = 0
    rejected_partners: dict[str, RejectedPartner] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._left_out: list[Positions] = [np.empty(0, np.int64)]
        self._records = 0

    def good_rows(self, piece: Piece) -> pa.RecordBatch:
        """The typed rows of a piece without the bad ones and those of nobody."""
        self._reject_records(piece)
        out = _blank_rows(piece.table)
        cells = {one.name: piece.table.column(one.place).combine_chunks() for one in self.layout.columns}
        typed = {one.name: self.typing.typed(one, cells) for one in self.layout.columns}
        bad = self._report_cells(piece, cells, typed, out)
        bad |= self._report_nameless(piece, out) | self._report_empty_keys(piece, typed, out)
        self._note_partners(piece, typed, bad & ~out)
        out |= bad | self._direct_rows(typed, out | bad)
        self._leave_out(piece, out)
        batch = pa.RecordBatch.from_pydict({name: column.values for name, column in typed.items()})
        return batch.filter(pa.array(~out)) if out.any() else batch

    def records_left_out(self) -> Positions:
        """Which records of the file, counted from 0, did not go on."""
        return np.concatenate(self._left_out)

    def _leave_out(self, piece: Piece, out: Flags) -> None:
        faulty = np.array([one.record for one in piece.faults], np.int64)
        if len(faulty) or out.any():
            gone = np.concatenate((faulty, piece.records_of(np.flatnonzero(out))))
            self._left_out.append(np.sort(gone) + self._records)
        self._records += piece.records

    def _report_cells(
        self, piece: Piece, cells: Mapping[str, pa.Array], typed: Mapping[str, Typed], out: Flags
    ) -> Flags:
        bad = np.zeros(len(out), np.bool_)
        for column in self.layout.columns:
            wrong = typed[column.name].bad
            if wrong is not None:
                bad |= wrong
                kind = self.kinds[column.name]
                for row, line in _lines(piece, wrong & ~out):
                    cell = str(cells[column.name][row].as_py())
                    self._reject(line, column.heading, cell, self.typing.why(cell, kind))
        return bad

    def _report_nameless(self, piece: Piece, out: Flags) -> Flags:
        bad = np.zeros(len(out), np.bool_)
        for place in self.layout.nameless:
            column = piece.table.column(place).combine_chunks()
            if column.null_count < len(column):
                filled = flags(column.is_valid())
                bad |= filled
                for row, line in _lines(piece, filled & ~out):
                    self._reject(
                        line, "", str(column[row].as_py()), f"a value in column {place + 1}, which has no heading"
                    )
        return bad

    def _report_empty_keys(self, piece: Piece, typed: Mapping[str, Typed], out: Flags) -> Flags:
        bad = np.zeros(len(out), np.bool_)
        for column in self.layout.columns:
            values = typed[column.name].values
            if column.name in self.layout.filled and values.null_count:
                known_bad = typed[column.name].bad
                empty = flags(values.is_null()) if known_bad is None else flags(values.is_null()) & ~known_bad
                bad |= empty
                for _, line in _lines(piece, empty & ~out):
                    self._reject(line, column.heading, "", f"is empty; every row of {self.layout.table} needs one")
        return bad

    def _direct_rows(self, typed: Mapping[str, Typed], out: Flags) -> Flags:
        partner = typed.get("partner_id")
        if partner is None or self.layout.table in WITHOUT_DIRECT or not partner.values.null_count:
            return np.zeros(len(out), np.bool_)
        direct = flags(partner.values.is_null()) & ~out
        self.direct += int(direct.sum())
        return direct

    def _note_partners(self, piece: Piece, typed: Mapping[str, Typed], bad: Flags) -> None:
        """Remember whose rows were rejected: a partner with a bad cell is not one who is gone."""
        if self.layout.table != "partners":
            return
        for row, line in _lines(piece, bad):
            read = {name: column.values[row].as_py() for name, column in typed.items() if self.kinds[name] in _NAMING}
            self._note_partner(read, line)

    def _note_partner(self, read: Mapping[str, object], line: int) -> None:
        if (partner_id := str(read.get("partner_id") or "")).strip():
            self.rejected_partners.setdefault(partner_id, RejectedPartner(f"{self.path.name}:{line}", read))

    def _reject_records(self, piece: Piece) -> None:
        for fault in piece.faults:
            line = int(piece.lines_of_records(np.array([fault.record]))[0])
            self._reject(line, "", fault.value, fault.reason)
            if self.layout.table == "partners":
                place = next(one.place for one in self.layout.columns if one.name == "partner_id")
                self._note_partner({"partner_id": "".join(fault.cells[place : place + 1])}, line)

    def _reject(self, line: int, column: str, value: str, reason: str) -> None:
        self.rejected.append(Rejected(self.path.name, line, column, value[:_SHOWN], reason))
        if len(self.rejected) >= REJECTED_LIMIT:
            raise DataError(
                f"{self.path}:{line}: {REJECTED_LIMIT:,} bad cells so far, so the file is not used; this one: "
                f"{column} `{value[:_SHOWN]}` {reason}"
            )


def _lines(piece: Piece, rows: Flags) -> list[tuple[int, int]]:
    places = np.flatnonzero(rows)
    lines = piece.lines_of_records(piece.records_of(places)) if len(places) else places
    return list(zip(places.tolist(), lines.tolist(), strict=True))


def _blank_rows(table: pa.Table) -> Flags:
    """Rows without a single filled cell, which spreadsheets leave behind."""
    blank = np.ones(table.num_rows, np.bool_)
    for column in sorted(table.columns, key=lambda one: int(one.null_count)):
        if not column.null_count or not blank.any():
            return np.zeros(table.num_rows, np.bool_)
        blank &= flags(column.is_null())
    return blank
