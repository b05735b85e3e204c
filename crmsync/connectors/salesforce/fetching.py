"""One query's records out of the org into the snapshot: whole, counted before and after, or the changes alone.

All counts agree or nothing is kept. Where people work while all is read, what they changed is put into it, until the
server counts as many.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pyarrow as pa
import pyarrow.compute as pc
import structlog

from crmsync.connectors.base import Progress
from crmsync.connectors.salesforce.ahead import ahead
from crmsync.connectors.salesforce.bulk_query import bulk_blocks
from crmsync.connectors.salesforce.faults import Refused, TimedOut
from crmsync.connectors.salesforce.held import Held, HeldPart, Keeper, linked, merged, sha256_of, sound, write_records
from crmsync.connectors.salesforce.org import Org
from crmsync.connectors.salesforce.parts import STAMP, Part
from crmsync.connectors.salesforce.rest_query import count_rows, rest_blocks
from crmsync.connectors.salesforce.rows import ID, long_ids
from crmsync.connectors.salesforce.together import Answered, ask_in_order
from crmsync.connectors.salesforce.windows import STEPS, stretches
from crmsync.errors import AccessError, DataError
from crmsync.snapshots import Staging

BULK_ABOVE = 2_000  # rows; a bulk job costs more calls than a page or two
URI_LENGTH_MAX = 8_000  # of the encoded query; a bulk job takes it in its body
URI_TOO_LONG = 414
AGAIN_CODES = frozenset({"INVALID_QUERY_LOCATOR", "NOT_FOUND", "INVALIDJOBSTATE"})
HIDDEN_CODES = frozenset({"INVALID_FIELD", "INVALID_TYPE"})
NO_BULK_CODES = frozenset({"INVALIDENTITY", "INVALIDENTITYTYPE"})
WORTH_IT = 0.3
"""An increment of more than this share of the records costs as much as reading them all."""
QUERIES_EACH = 3
CATCHES = 5
"""So often is looked for what was changed meanwhile: an answer is a second old, and an org is seldom busy for five."""
_STAMP_LENGTH = len("2026-01-31T08:00:00.000")

log = structlog.get_logger()

Blocks = Iterator[Mapping[str, pa.Array]]


@dataclass(frozen=True)
class PartRead:
    """The records of one query as they are now. `before`, `after`: the server's own counts; `changed`: how many were
    asked for in an increment, None where all were."""

    held: HeldPart
    before: int
    after: int
    changed: int | None = None


class _Differs(DataError):  # noqa: N818
    """Not as many rows were read as the server counts. `read`: what was read."""

    def __init__(self, message: str, read: HeldPart) -> None:
        super().__init__(message)
        self.read = read


@dataclass(frozen=True)
class Fetching:
    """What reading needs. `scratch`: a folder for pages; `held`, `overlap_s`: records to build on, and how far before
    the last ones to look again for changes that were late."""

    org: Org
    staging: Staging
    scratch: Path
    progress: Progress
    held: Held | None = None
    overlap_s: float = 0.0

    def read(self, parts: Sequence[Part]) -> dict[str, PartRead]:
        """The records of every query. Errors: DataError naming the object and the counts."""
        done = self._increments(parts)
        high = max((one.seen or "" for one in self.held.parts.values()), default="") if self.held else ""
        for part in parts:
            if part.key not in done:
                done[part.key] = self._whole(part, high)
            high = max(high, done[part.key].held.seen or "")
        return done

    # --- whole

    def _whole(self, part: Part, high: str) -> PartRead:
        """All records; by more and smaller queries where Salesforce takes too long for one."""
        for count in STEPS[:-1]:
            try:
                return self._twice(part, high, count)
            except TimedOut as fault:
                log.info("read_in_stretches", table=part.key, after=count, why=str(fault))
        return self._twice(part, high, STEPS[-1])

    def _twice(self, part: Part, high: str, count: int) -> PartRead:
        """A difference between rows read and the server's counts is re-read once: people work while we read. What they
        changed in the second read is asked for by itself."""
        parts = stretches(self.org, part, count)
        since = None
        try:
            return self._attempt(part, parts, high)
        except _Differs as fault:
            since = fault.read.seen  # of rows that were read before the second read began
        except DataError as fault:
            if isinstance(fault, Refused) and fault.code in HIDDEN_CODES:
                raise AccessError(
                    f"{part.object} (table {part.key}): {fault.code}: {fault.words}; a field or object that the field "
                    "map names was taken away, or hidden from the integration user, since it was described"
                ) from None
            if isinstance(fault, Refused) and fault.code not in AGAIN_CODES:
                raise
        try:
            return self._attempt(part, parts, high)
        except _Differs as fault:
            caught_up = self._caught_up(part, fault.read, since)
            if caught_up is None:
                raise
            return caught_up

    def _caught_up(self, part: Part, read: HeldPart, since: str | None) -> PartRead | None:
        """The records that were read, with all in them that was changed since; None where that cannot be told, or is
        not as many as the server counts either."""
        if not since or part.deleted is None:
            return None
        held = replace(read, path=read.path.with_suffix(".first"), seen=since)
        os.replace(read.path, held.path)
        try:
            for _ in range(CATCHES):
                answers = ask_in_order(self.org, _three(part, _moment(since, self.overlap_s)))
                found = self._increment(part, held, answers, read.seen or "")
                if found is not None:
                    log.info("caught_up", table=part.key, changed=found.changed)
                    return replace(found, changed=None)  # all of them were read
        finally:
            held.path.unlink(missing_ok=True)
        return None

    def _attempt(self, part: Part, parts: Sequence[Part], high: str) -> PartRead:
        counts = self._counts(parts)
        before = sum(counts)
        watched = _Watched(part, high, before, self.progress)
        keeper = Keeper(self.staging, part.key, part.paths, part.object, part.repeating)
        with contextlib.closing(ahead(lambda: self._all_blocks(parts, counts))) as blocks:
            rows = keeper.keep(watched.blocks(blocks))
        after = sum(self._counts(parts))
        if not before == rows == after:
            raise _Differs(
                f"{part.object} (table {part.key}): {rows:,} rows were read, but Salesforce counts "
                f"{before:,} before and {after:,} after; nothing was kept. "
                "Run again when these records are not being changed",
                HeldPart(part.key, keeper.path, rows, part.digest, watched.high, ""),
            )
        return PartRead(_held(part, keeper.path, rows, watched.high), before, after)

    def _counts(self, parts: Sequence[Part]) -> list[int]:
        """How many records each has, several asked for in one call."""
        asked = [("query", one.count_soql) for one in parts]
        told = ask_in_order(self.org, asked) if len(parts) > 1 else [Answered(None)]
        return [
            count_rows(self.org, one.count_soql) if answer.total is None else answer.total
            for one, answer in zip(parts, told, strict=True)
        ]

    def _all_blocks(self, parts: Sequence[Part], counts: Sequence[int]) -> Blocks:
        for part, rows in zip(parts, counts, strict=True):
            if rows or len(parts) == 1:
                yield from self._blocks(part, rows)

    def _blocks(self, part: Part, rows: int) -> Blocks:
        if rows <= BULK_ABOVE and len(quote(part.soql)) <= URI_LENGTH_MAX:
            try:
                return rest_blocks(self.org, self.org.query(part.soql), part.object, part.read_paths)
            except Refused as refusal:
                if refusal.status != URI_TOO_LONG:
                    raise
        return self._bulk(part)

    def _bulk(self, part: Part) -> Blocks:
        """By a bulk job, or page by page where the object cannot be asked for in bulk."""
        try:
            yield from bulk_blocks(self.org, part.soql, part.object, part.read_paths, self.scratch)
        except Refused as refusal:
            if refusal.code not in NO_BULK_CODES:
                raise
            yield from rest_blocks(self.org, self.org.query(part.soql), part.object, part.read_paths)

    # --- changes

    def _increments(self, parts: Sequence[Part]) -> dict[str, PartRead]:
        """The queries of which only the changes are asked for, all of them in as few calls as can be."""
        can = [(part, self.held.parts[part.key]) for part in parts if self._fits(part)] if self.held else []
        done: dict[str, PartRead] = {}
        queries = [query for part, held in can for query in _three(part, _moment(held.seen or "", self.overlap_s))]
        answers = ask_in_order(self.org, queries) if queries else []
        high = max((held.seen or "" for _, held in can), default="")
        for at, (part, held) in enumerate(can):
            try:
                found = self._increment(part, held, answers[QUERIES_EACH * at : QUERIES_EACH * (at + 1)], high)
            except TimedOut:
                found = None
            if found is None:
                log.info("read_whole", table=part.key, why="changes alone do not lead to what Salesforce counts")
            else:
                done[part.key] = found
        return done

    def _fits(self, part: Part) -> bool:
        held = self.held.parts.get(part.key) if self.held else None
        if held is None or not held.seen or part.whole or held.digest != part.digest or not sound(held):
            why = part.whole or "no earlier read fits"
            log.info("read_whole", table=part.key, why=why)
            return False
        return True

    def _increment(self, part: Part, held: HeldPart, answers: Sequence[Answered], high: str) -> PartRead | None:
        """The held records with the changes in them; None where they are not as many as the server counts."""
        touched, changed, counted = answers
        total = max(touched.total or 0, changed.total or 0)
        if touched.total is None or changed.total is None or counted.total is None:
            return None
        if total > BULK_ABOVE and total > WORTH_IT * held.rows:
            return None
        moment = _moment(held.seen or "", self.overlap_s)
        gone = self._table(part, part.touched_soql(moment), touched, part.touched_paths, "queryAll")
        new = self._table(part, part.changed_soql(moment), changed, part.read_paths, "query")
        path = self.staging.held_path(part.key)
        if gone.num_rows or new.num_rows:
            ids = pa.concat_arrays([*gone.column(ID).chunks, *new.column(ID).chunks]).unique()
            rows = write_records(path, merged(held.path, ids, new, part.paths), part.paths, part.repeating)
        else:
            linked(held, path)
            rows = held.rows
        if rows != counted.total:
            path.unlink()
            return None
        seen = max(high, pc.max(gone.column(STAMP)).as_py() or "")[:_STAMP_LENGTH]
        self.progress(part.key, rows, rows)
        return PartRead(_held(part, path, rows, seen), counted.total, counted.total, changed=gone.num_rows)

    def _table(self, part: Part, soql: str, first: Answered, paths: Sequence[str], operation: str) -> pa.Table:
        if (first.total or 0) > BULK_ABOVE * 2:
            blocks: Blocks = bulk_blocks(self.org, soql, part.object, paths, self.scratch, operation)
        else:
            blocks = rest_blocks(self.org, first.page, part.object, paths)
        schema = pa.schema([(path, pa.string()) for path in paths])
        found = [
            pa.RecordBatch.from_arrays([_normal(block, path) for path in paths], schema=schema) for block in blocks
        ]
        return pa.Table.from_batches(found, schema).sort_by(ID).combine_chunks()


class _Watched:
    """Blocks on their way to the snapshot: how many rows, and the latest stamp among them."""

    def __init__(self, part: Part, high: str, expected: int, progress: Progress) -> None:
        self._part, self._expected, self._progress = part, expected, progress
        self._stamp = part.stamps[0].path if part.stamps else None
        self.high: str | None = high or None
        self._rows = 0

    def blocks(self, blocks: Iterable[Mapping[str, pa.Array]]) -> Blocks:
        for block in blocks:
            if self._stamp is not None:
                latest = pc.max(block[self._stamp]).as_py()
                self.high = max(self.high or "", (latest or "")[:_STAMP_LENGTH]) or None
            self._rows += len(block[ID])
            yield block
            self._progress(self._part.key, self._rows, self._expected)


def _held(part: Part, path: Path, rows: int, seen: str | None) -> HeldPart:
    return HeldPart(part.key, path, rows, part.digest, seen or None, sha256_of(path))


def _three(part: Part, moment: str) -> tuple[tuple[str, str], ...]:
    """What was touched, what of it is in the filter, and how many there are: asked in this order, so that a record
    that changes in between is found by the next read at the latest."""
    return (
        ("queryAll", part.touched_soql(moment)), ("query", part.changed_soql(moment)), ("query", part.count_soql),
    )  # fmt: skip


def _moment(seen: str, overlap_s: float) -> str:
    at = datetime.fromisoformat(seen[:_STAMP_LENGTH]) - timedelta(seconds=overlap_s)
    return at.strftime("%Y-%m-%dT%H:%M:%SZ")


def _normal(block: Mapping[str, Any], path: str) -> pa.Array:
    return long_ids(block[path]) if path == ID else block[path]
