"""Where each record of a CSV file begins and ends: headings, blocks of whole records, quotes and line numbers.

The file is read in blocks of some megabytes; a block ends at the end of a record. Line numbers are counted as an
editor shows them, line breaks inside quoted cells included; they are worked out only for blocks with something bad.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import BinaryIO

import numpy as np
import numpy.typing as npt

from crmsync.errors import ConfigError

BLOCK_BYTES = 8 << 20
RECORD_LIMIT = 64 << 20
HEADING_LIMIT = 1 << 20
DELIMITERS = (",", ";", "\t")
DELIMITER_NAMES = {",": "comma", ";": "semicolon", "\t": "tab"}

Positions = npt.NDArray[np.int64]

_SAVE_AS = "save it as UTF-8 (in Excel: Save as, `CSV UTF-8`)"
_STRAY = "a quote in the middle of a cell; put the whole cell in quotes and double the quotes inside it"
_NUL = "a NUL character; the file is damaged here"


@dataclass(frozen=True)
class Shape:
    """What the first line of a CSV file says: its headings, how cells are separated, and where the rows begin."""

    path: Path
    headings: tuple[str, ...]
    delimiter: str
    heading_line: int
    body_offset: int
    body_line: int


@dataclass(frozen=True)
class Damage:
    """A stretch of bytes, whole records, that cannot be split into cells."""

    start: int
    end: int
    reason: str


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
        return _line_breaks(self.data)

    @cached_property
    def index(self) -> RecordIndex:
        """Start, end and line of each record."""
        breaks = self.breaks
        between = breaks[~self.quoted(breaks)]
        for damage in self.damage:
            between = between[(between < damage.start) | (between >= damage.end - 1)]
        ends = between + 1
        if not len(ends) or ends[-1] < len(self.data):
            ends = np.append(ends, len(self.data))
        starts = np.concatenate(([0], ends[:-1]))
        lines = self.first_line + np.searchsorted(breaks, starts)
        filled = self._content_lengths(starts, ends) > 0
        return RecordIndex(starts[filled], ends[filled], lines[filled])

    def quoted(self, positions: Positions) -> npt.NDArray[np.bool_]:
        """Which of these positions lie inside quotes."""
        return np.searchsorted(self.quotes, positions) % 2 == 1

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


def read_shape(path: Path, delimiter: str | None = None) -> Shape:
    """The headings of a CSV file. `delimiter` None: found from the first line.

    Errors: ConfigError naming file and line when there are no headings or the encoding is not UTF-8.
    """
    head = _head(path)
    offset = 3 if head.startswith(b"\xef\xbb\xbf") else 0
    offset, line, delimiter = _after_preamble(head, offset, delimiter)
    end = _first_record_end(path, head, offset, line)
    text = _decoded(head[offset:end], str(path), line).rstrip("\r\n")
    if not text.strip():
        raise ConfigError("is empty; the first line must name the columns", file=str(path), line=line)
    delimiter = delimiter or _delimiter(text, str(path), line)
    names = next(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter))
    headings = tuple(name.strip() for name in names)
    return Shape(path, headings, delimiter, line, end, line + len(_line_breaks(head[offset:end])))


def _head(path: Path) -> bytes:
    try:
        with path.open("rb") as stream:
            head = stream.read(HEADING_LIMIT)
    except OSError as error:
        raise ConfigError(f"cannot be read: {error.strerror or error}", file=str(path)) from error
    if head.startswith((b"\xff\xfe", b"\xfe\xff")) or b"\0" in head[:200]:
        raise ConfigError(f"is UTF-16 text, not UTF-8; {_SAVE_AS}", file=str(path), line=1)
    if head[:4] in (b"PK\x03\x04", b"\xd0\xcf\x11\xe0"):
        raise ConfigError(f"is a workbook, not a CSV file; {_SAVE_AS}", file=str(path), line=1)
    return head


def _after_preamble(head: bytes, offset: int, delimiter: str | None) -> tuple[int, int, str | None]:
    """Skip blank lines and Excel's own `sep=;` line, which names the delimiter."""
    line = 1
    while True:
        end = head.find(b"\n", offset)
        content = head[offset : end + 1].strip(b"\r\n")
        if end < 0 or not (content == b"" or (line == 1 and content.lower().startswith(b"sep=") and len(content) == 5)):
            return offset, line, delimiter
        if content:
            delimiter = delimiter or content[4:].decode("latin-1")
        offset, line = end + 1, line + 1


def _first_record_end(path: Path, head: bytes, offset: int, line: int) -> int:
    inside = False
    for position in range(offset, len(head)):
        character = head[position]
        if character == 34:
            inside = not inside
        elif not inside and character in (10, 13):
            return position + (2 if head[position : position + 2] == b"\r\n" else 1)
    if inside:
        raise ConfigError("a quote is opened among the headings and never closed", file=str(path), line=line)
    if len(head) == HEADING_LIMIT:
        raise ConfigError("the first line is longer than 1 MiB; it must name the columns", file=str(path), line=line)
    return len(head)


def _delimiter(text: str, file: str, line: int) -> str:
    """The delimiter that occurs most often outside quotes in the first line."""
    bare = "".join(text.split('"')[::2])
    counts = {delimiter: bare.count(delimiter) for delimiter in DELIMITERS}
    most = max(counts.values())
    found = [delimiter for delimiter in DELIMITERS if counts[delimiter] == most]
    if most and len(found) > 1:
        names = " and ".join(DELIMITER_NAMES[one] for one in found)
        raise ConfigError(f"{names} are equally frequent; name the `delimiter:` in files.yaml", file=file, line=line)
    return found[0]


def _decoded(piece: bytes, file: str, line: int) -> str:
    try:
        return piece.decode("utf-8")
    except UnicodeDecodeError as error:
        at = line + len(_line_breaks(piece[: error.start]))
        shown = piece[error.start : error.start + 1].hex().upper()
        guess = piece[error.start : error.start + 1].decode("cp1252", "replace")
        raise ConfigError(
            f"byte {shown} is not UTF-8 text (in Windows-1252 it is `{guess}`); {_SAVE_AS}", file=file, line=at
        ) from error


def refuse_encoding(block: Block, path: Path) -> None:
    """Raise ConfigError with the line if the block is not UTF-8."""
    _decoded(block.data, str(path), block.first_line)


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
        line += _count_breaks(block.data) if end else 0
        offset += end


def _block(data: bytes, line: int, offset: int, shape: Shape, last: bool) -> tuple[Block, int]:
    delimiter = ord(shape.delimiter)
    if b'"' not in data:
        end = len(data) if last else _last_break(data)
        quotes, damage = np.empty(0, np.int64), list[Damage]()
    else:
        scan = _QuoteScan(data, delimiter, last)
        if last and scan.opened is not None:
            at = line + len(_line_breaks(data[: scan.opened]))
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
    quotes = block.quotes
    for one in found:
        quotes = quotes[(quotes < one.start) | (quotes >= one.end)]
    return Block(block.data, block.first_line, block.offset, quotes, tuple(damage), block.last)


def _line_breaks(data: bytes) -> Positions:
    """Positions of the line breaks: LF (also of CR LF), and a CR that stands alone."""
    raw = np.frombuffer(data, np.uint8)
    feeds = np.flatnonzero(raw == 10)
    if data.count(b"\r") == data.count(b"\r\n"):
        return feeds
    returns = np.flatnonzero(raw == 13)
    following = raw[np.minimum(returns + 1, len(raw) - 1)]
    return np.sort(np.concatenate((feeds, returns[following != 10])))


def _count_breaks(data: bytes) -> int:
    returns = data.count(b"\r")
    return data.count(b"\n") + (returns - data.count(b"\r\n") if returns else 0)


def _last_break(data: bytes, before: int | None = None) -> int:
    """Where the last whole line before a position ends. A CR as the very last byte may be half of CR LF."""
    stop = len(data) if before is None else before
    feed = data.rfind(b"\n", 0, stop)
    single = data.rfind(b"\r", feed + 1, stop)
    while single >= 0 and (single + 1 >= len(data) or data[single + 1] == 10):
        single = data.rfind(b"\r", feed + 1, single)
    return max(feed, single) + 1


class _QuoteScan:
    """Finds the quotes that open and close cells, and the records whose quotes are misplaced.

    A quote opens a cell right after a delimiter or line break, and closes it right before one; a doubled quote stands
    for one. Whether each quote may open or close is looked up for all at once; only misplaced ones are walked.
    """

    def __init__(self, data: bytes, delimiter: int, last: bool) -> None:
        self.data = data
        self.delimiter = delimiter
        self.last = last
        self.damage: list[Damage] = []
        self.opened: int | None = None
        raw = np.frombuffer(data, np.uint8)
        self.all = np.flatnonzero(raw == 34)
        self.quotes = self.all
        self._scan(*self._misplaced(raw))

    def complete(self) -> int:
        """Where the last record that is whole ends."""
        if self.opened is not None:
            return self._record_start(self.opened, int(np.searchsorted(self.quotes, self.opened)))
        return self._record_start(len(self.data), len(self.quotes))

    def _misplaced(self, raw: npt.NDArray[np.uint8]) -> tuple[Positions, Positions]:
        """Quotes in the wrong place, if those at even places open cells, and if those at odd places do."""
        edge = np.zeros(256, np.bool_)
        edge[[self.delimiter, 10, 13, 34]] = True
        opens, closes = np.ones(len(self.all), np.bool_), np.ones(len(self.all), np.bool_)
        opens[:] = edge[raw[np.maximum(self.all - 1, 0)]] | (self.all == 0)
        closes[:] = edge[raw[np.minimum(self.all + 1, len(raw) - 1)]] | (self.all == len(raw) - 1)
        even = np.arange(len(self.all)) % 2 == 0
        return np.flatnonzero(np.where(even, ~opens, ~closes)), np.flatnonzero(np.where(even, ~closes, ~opens))

    def _scan(self, even: Positions, odd: Positions) -> None:
        begin, kept = 0, np.ones(len(self.all), np.bool_)
        while True:
            wrong = odd if begin % 2 else even
            place = int(np.searchsorted(wrong, begin))
            if place == len(wrong):
                break
            found = int(wrong[place])
            inside = (found - begin) % 2 == 1
            start = self._start_from(begin, found - 1 if inside else found)
            end = self._resync(int(self.all[found]))
            if end is None:  # the record goes on in the next block
                kept[np.searchsorted(self.all, start) :] = False
                self.opened = start
                self.quotes = self.all[kept]
                return
            begin_next = int(np.searchsorted(self.all, end))
            kept[np.searchsorted(self.all, start) : begin_next] = False
            self.damage.append(Damage(start, end, _STRAY))
            begin = begin_next
        self.quotes = self.all[kept]
        if (len(self.all) - begin) % 2:
            self.opened = self._opening()

    def _start_from(self, begin: int, quote: int) -> int:
        """Start of the record that holds a quote outside of quotes."""
        position = int(self.all[quote])
        place = quote
        while True:
            line = _last_break(self.data, position)
            if place > begin and self.all[place - 1] >= line:
                place -= 2
                position = int(self.all[place])
            else:
                return line

    def _record_start(self, position: int, place: int) -> int:
        """Start of the record around a position outside quotes; `place`: how many kept quotes stand before it."""
        while True:
            line = _last_break(self.data, position)
            if place > 0 and self.quotes[place - 1] >= line:
                place -= 2
                position = int(self.quotes[place])
            else:
                return line

    def _opening(self) -> int:
        """The quote that opened the cell which is still open: doubled quotes before it belong to the cell."""
        place = len(self.quotes) - 1
        while place >= 2 and self.quotes[place - 1] == self.quotes[place] - 1:
            place -= 2
        return int(self.quotes[place])

    def _resync(self, position: int) -> int | None:
        """End of the record that goes on, outside quotes, after a misplaced quote; None: not in this block."""
        data, inside = self.data, False
        position += 1
        while True:
            quote = data.find(b'"', position)
            if inside:
                if quote < 0:
                    return None
                doubled = data[quote + 1 : quote + 2] == b'"'
                inside, position = doubled, quote + 1 + doubled
                continue
            line = _next_break_end(data, position)
            if line is not None and (quote < 0 or quote >= line):
                return line
            if quote < 0:
                return len(data) if self.last else None
            inside, position = data[quote - 1] in (self.delimiter, 10, 13), quote + 1


def _next_break_end(data: bytes, position: int) -> int | None:
    """Where the next line break at or after a position ends; None if there is none, or only half of CR LF."""
    feed = data.find(b"\n", position)
    single = data.find(b"\r", position, feed if feed >= 0 else len(data))
    if single >= 0 and single + 1 < len(data) and data[single + 1] != 10:
        return single + 1
    return feed + 1 if feed >= 0 else None
