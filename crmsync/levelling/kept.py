"""Standings handed out some partners after the others: what waits is compressed, and in a file when it is much."""

from __future__ import annotations

import os
import tempfile
import weakref
from collections.abc import Callable, Iterator
from typing import IO

import pyarrow as pa

from crmsync.errors import StoreError

SPOOLED = 32 * 2**20
"""Bytes of compressed rows that may wait in memory; more of them are put into a temporary file."""


LARGE = 16 * 2**20
"""Bytes of rows that are compressed at once; of fewer the last ones wait as they are."""


class Kept:
    """Rows of turn after turn: those of the turns before wait compressed, to a half or less."""

    def __init__(self) -> None:
        self.rows = 0
        self._file: IO[bytes] = tempfile.SpooledTemporaryFile(SPOOLED)  # noqa: SIM115  # closed with this object
        weakref.finalize(self, self._file.close)
        self._begins = [0]
        self._last: pa.Table | None = None

    def add(self, rows: pa.Table) -> None:
        """Keep some rows behind those that are kept. Errors: StoreError when there is no room for them."""
        if self._last is not None and not rows.num_rows:
            return
        if self._last is not None and self._last.num_rows:
            self._pack(self._last)
        self._last = rows
        self.rows += rows.num_rows
        if rows.nbytes > LARGE:
            self._pack(rows)
            self._last = rows.schema.empty_table()
        pa.default_memory_pool().release_unused()  # else what the turn took stays with the process

    def taken(self) -> Iterator[pa.Table]:
        """All that was kept, in its order; one at a time is unpacked, as often as it is asked for."""
        for begin, end in zip(self._begins, self._begins[1:], strict=False):
            self._file.seek(begin)
            yield pa.ipc.open_stream(pa.py_buffer(self._file.read(end - begin))).read_all()
        if self._last is not None and (self._last.num_rows or not self.rows):
            yield self._last

    def _pack(self, rows: pa.Table) -> None:
        options = pa.ipc.IpcWriteOptions(compression="lz4")
        try:
            self._file.seek(0, os.SEEK_END)
            with pa.ipc.new_stream(pa.PythonFile(self._file, mode="w"), rows.schema, options=options) as writer:
                writer.write_table(rows)
            self._begins.append(self._file.tell())
        except OSError as error:
            raise StoreError(
                f"{tempfile.gettempdir()}: has no room for {self.rows} standings that wait ({error.strerror or error})"
            ) from error


class Parts:
    """Standings in order, some partners after the others; they can be taken again and again."""

    def __init__(self, kept: Kept, change: Callable[[pa.Table], pa.Table]) -> None:
        """`change`: what is still to be done to rows that were kept, as many as they are."""
        self._kept, self._change = kept, change

    @property
    def rows(self) -> int:
        """How many standings there are."""
        return self._kept.rows

    def __iter__(self) -> Iterator[pa.Table]:
        """Tables of the same columns; at least one, which may have no rows."""
        return map(self._change, self._kept.taken())

    def then(self, change: Callable[[pa.Table], pa.Table]) -> Parts:
        """The same with something more done to them."""
        first = self._change
        return Parts(self._kept, lambda rows: change(first(rows)))

    def table(self) -> pa.Table:
        """All in one table."""
        return pa.concat_tables(self)
