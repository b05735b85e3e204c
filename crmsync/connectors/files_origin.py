"""Where the rows of a staged table came from, so that a later check can name file and line."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from crmsync.connectors.files_headings import Shape
from crmsync.connectors.files_quotes import Positions
from crmsync.connectors.files_records import read_blocks
from crmsync.snapshots import Origin, Place


def before_removal(rows: Positions, removed: Positions) -> Positions:
    """Places of rows as they were before `removed` (sorted) were taken out."""
    return rows + np.searchsorted(removed - np.arange(len(removed)), rows, side="right")


@dataclass(frozen=True)
class CsvOrigin:
    """Rows of a CSV file; `left_out`: records, counted from 0, that did not become rows."""

    name: str
    shape: Shape
    left_out: Positions

    def places(self, rows: Sequence[int], ids: Sequence[str]) -> list[Place]:  # noqa: ARG002
        """File and line of each row; reads the file again up to the last of them."""
        records = before_removal(np.asarray(rows, np.int64), self.left_out)
        lines = np.zeros(len(records), np.int64)
        before = 0
        for block in read_blocks(self.shape):
            if not len(records) or before > records.max():
                break
            starts = block.index.lines
            here = (records >= before) & (records < before + len(starts))
            lines[here] = starts[records[here] - before]
            before += len(starts)
        return [(self.name, int(line)) for line in lines]

    def without(self, rows: Sequence[int]) -> Origin:
        """The origin of the table after `rows` were taken out."""
        gone = before_removal(np.asarray(rows, np.int64), self.left_out)
        return replace(self, left_out=np.sort(np.concatenate((self.left_out, gone))))


@dataclass(frozen=True)
class RowOrigin:
    """Rows of a Parquet file, named by their number counted from 1; `left_out` as in CsvOrigin."""

    name: str
    left_out: Positions

    def places(self, rows: Sequence[int], ids: Sequence[str]) -> list[Place]:  # noqa: ARG002
        """File and row number of each row."""
        records = before_removal(np.asarray(rows, np.int64), self.left_out)
        return [(self.name, int(record) + 1) for record in records]

    def without(self, rows: Sequence[int]) -> Origin:
        """The origin of the table after `rows` were taken out."""
        gone = before_removal(np.asarray(rows, np.int64), self.left_out)
        return replace(self, left_out=np.sort(np.concatenate((self.left_out, gone))))
