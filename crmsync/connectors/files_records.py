"""Where each record of a CSV file begins and ends: blocks of whole records, and their line numbers.

The file is read in blocks of some megabytes; a block ends at the end of a record. Line numbers are counted as an
editor shows them, line breaks inside quoted cells included; they are worked out only for blocks with something bad.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import BinaryIO

import numpy as np
import numpy.typing as npt

from crmsync.connectors.files_headings import Shape, decoded
from crmsync.connectors.files_quotes import Damage, Positions, QuoteScan, count_breaks, last_break, line_breaks
from crmsync.errors import ConfigError

BLOCK_BYTES = 8 << 20
RECORD_LIMIT = 64 << 20

_NUL = "a NUL character; the file is damaged here"


@dataclass(frozen=True)
class RecordIndex:
    """Where the records of a block start and end (blank lines left out), and on which line each starts."""

    starts: Positions
    ends: Positions
    lines: Positions


@dataclass(frozen=True)
class Block:
    """Whole records of a file, as bytes. `quotes`: positions of the quotes outside `damage`, in pairs."""

    data: bytes
    first_line: int
    offset: int
    quotes: Positions
    damage: tuple[Damage, ...]
    last: bool

    @cached_property
    def breaks(self) -> Positions:
        """Positions of every line break, inside quotes or not."""
        return line_breaks(self.data)

    @cached_property
    def index(self) -> RecordIndex:
        """Start, end and line of each record."""
        breaks = self.breaks
        between = breaks[~self.quoted(breaks)]
        # The last break of a damaged record ends it; those before it are of no meaning.
        ends = between[~_within(self.damage, between, but_last=1)] + 1
        if not len(ends) or ends[-1] < len(self.data):
            ends = np.append(ends, len(self.data))
        starts = np.concatenate(([0], ends[:-1]))
        lines = self.first_line + np.searchsorted(breaks, starts)
        filled = self._content_lengths(starts, ends) > 0
        return RecordIndex(starts[filled], ends[filled], lines[filled])

    def quoted(self, positions: Positions) -> npt.NDArray[np.bool_]:
        """Which of these positions lie inside quotes."""
        return np.asarray(np.searchsorted(self.quotes, positions) % 2 == 1, dtype=np.bool_)

    def text(self, record: int) -> str:
        """One record as it stands in the file, without its line end."""
        piece = self.data[self.index.starts[record] : self.index.ends[record]]
        return piece.decode("utf-8", "backslashreplace").rstrip("\r\n")

    def _content_lengths(self, starts: Positions, ends: Positions) -> Positions:
        raw = np.frombuffer(self.data, np.uint8)
        lengths = ends - starts
        for _ in range(2):  # a line end is one or two characters long
            last = raw[np.maximum(starts + lengths - 1, 0)]
            lengths = lengths - ((lengths > 0) & ((last == 10) | (last == 13)))
        return lengths


def refuse_encoding(block: Block, path: Path) -> None:
    """Raise ConfigError with the line if the block is not UTF-8."""
    decoded(block.data, str(path), block.first_line)


def read_blocks(shape: Shape, size: int = BLOCK_BYTES) -> Iterator[Block]:
    """The rows of a file in blocks of whole records. Errors: ConfigError for a quote that is never closed."""
    try:
        with shape.path.open("rb") as stream:
            stream.seek(shape.body_offset)
            yield from _blocks(stream, shape, size)
    except OSError as error:
        raise ConfigError(f"cannot be read: {error.strerror or error}", file=str(shape.path)) from error


def _blocks(stream: BinaryIO, shape: Shape, size: int) -> Iterator[Block]:
    rest, line, offset = b"", shape.body_line, shape.body_offset
    while True:
        # A record longer than a block is read in growing steps, so that its start is not scanned over and over.
        chunk = stream.read(max(size, len(rest)))
        data = rest + chunk
        if not data:
            return
        block, end = _block(data, line, offset, shape, last=not chunk)
        if end:
            yield block
        elif len(data) > RECORD_LIMIT:
            raise ConfigError(
                f"this record is longer than {RECORD_LIMIT >> 20} MiB; is a quote never closed?",
                file=str(shape.path), line=line,
            )  # fmt: skip
        if not chunk:
            return
        rest = data[end:]
        line += count_breaks(block.data) if end else 0
        offset += end


def _block(data: bytes, line: int, offset: int, shape: Shape, last: bool) -> tuple[Block, int]:
    delimiter = ord(shape.delimiter)
    if b'"' not in data:
        end = len(data) if last else last_break(data)
        quotes, damage = np.empty(0, np.int64), list[Damage]()
    else:
        scan = QuoteScan(data, delimiter, last)
        if last and scan.opened is not None:
            at = line + len(line_breaks(data[: scan.opened]))
            raise ConfigError(
                "a quote is opened here and never closed; was the file cut off?", file=str(shape.path), line=at
            )
        end = len(data) if last else scan.complete()
        quotes, damage = scan.quotes[scan.quotes < end], scan.damage
    block = Block(data[:end], line, offset, quotes, tuple(one for one in damage if one.end <= end), last)
    if b"\0" in block.data:
        block = _with_nul_damage(block)
    return block, end


def _with_nul_damage(block: Block) -> Block:
    """The block with each record that holds a NUL marked as damaged."""
    nuls = np.flatnonzero(np.frombuffer(block.data, np.uint8) == 0)
    index = block.index
    records = np.unique(np.searchsorted(index.starts, nuls, side="right") - 1)
    found = [Damage(int(index.starts[one]), int(index.ends[one]), _NUL) for one in records]
    known = {one.start for one in found}
    damage = sorted(found + [one for one in block.damage if one.start not in known], key=lambda one: one.start)
    quotes = block.quotes[~_within(found, block.quotes)]
    return Block(block.data, block.first_line, block.offset, quotes, tuple(damage), block.last)


def _within(damage: Sequence[Damage], positions: Positions, but_last: int = 0) -> npt.NDArray[np.bool_]:
    """Which positions lie inside damaged stretches, the last `but_last` bytes of each left out."""
    if not damage:
        return np.zeros(len(positions), np.bool_)
    starts = np.array([one.start for one in damage])
    ends = np.array([one.end for one in damage])
    before = np.searchsorted(starts, positions, side="right") - 1
    return (before >= 0) & (positions < ends[np.maximum(before, 0)] - but_last)
