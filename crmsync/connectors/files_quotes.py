"""Quotes and line breaks in a stretch of CSV: which quotes open and close cells, and which are misplaced."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Positions = npt.NDArray[np.int64]

_STRAY = "a quote in the middle of a cell; put the whole cell in quotes and double the quotes inside it"


@dataclass(frozen=True)
class Damage:
    """A stretch of bytes, whole records, that cannot be split into cells."""

    start: int
    end: int
    reason: str


def line_breaks(data: bytes) -> Positions:
    """Positions of the line breaks: LF (also of CR LF), and a CR that stands alone."""
    raw = np.frombuffer(data, np.uint8)
    feeds = np.flatnonzero(raw == 10)
    if data.count(b"\r") == data.count(b"\r\n"):
        return feeds
    returns = np.flatnonzero(raw == 13)
    following = raw[np.minimum(returns + 1, len(raw) - 1)]
    return np.sort(np.concatenate((feeds, returns[following != 10])))


def count_breaks(data: bytes) -> int:
    returns = data.count(b"\r")
    return data.count(b"\n") + (returns - data.count(b"\r\n") if returns else 0)


def last_break(data: bytes, before: int | None = None) -> int:
    """Where the last whole line before a position ends. A CR as the very last byte may be half of CR LF."""
    stop = len(data) if before is None else before
    feed = data.rfind(b"\n", 0, stop)
    single = data.rfind(b"\r", feed + 1, stop)
    while single >= 0 and (single + 1 >= len(data) or data[single + 1] == 10):
        single = data.rfind(b"\r", feed + 1, single)
    return max(feed, single) + 1


class QuoteScan:
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
            line = last_break(self.data, position)
            if place > begin and self.all[place - 1] >= line:
                place -= 2
                position = int(self.all[place])
            else:
                return line

    def _record_start(self, position: int, place: int) -> int:
        """Start of the record around a position outside quotes; `place`: how many kept quotes stand before it."""
        while True:
            line = last_break(self.data, position)
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
