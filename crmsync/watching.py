"""What the guards of a run look at beside the standings: this snapshot next to the last accepted one, review dates."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any

from crmsync.belt import Belt
from crmsync.errors import DataError, Rejected
from crmsync.increments import reviews_between
from crmsync.ledger.accepted import Accepted
from crmsync.ledger.sealed import (
    Sealed,
    SealedTable,
    figures_of_run,
    record_snapshot,
    rows_accepted,
    stats_of_run,
)
from crmsync.offline import rejected_rows, row_of
from crmsync.programs.program import Program
from crmsync.programs.reads import columns_read
from crmsync.snapshots import MANIFEST, Snapshot, main_date_of, open_snapshot
from crmsync.writeback.badges import COLUMNS, CONTACT_BADGES
from crmsync.writeback.fields import FieldMap
from crmsync.writeback.figures import Edits, TableFigures, edits_between, figures_from, figures_of
from crmsync.writeback.guards import Rejections
from crmsync.writeback.guards_trends import Snapshots, drops_of, falls
from crmsync.writeback.inputs import table_rows


def watched(
    belt: Belt, program: Program, snapshot: Snapshot, run_id: str, as_of: date, accepted: Accepted | None
) -> Snapshots:
    """This snapshot beside the last accepted one; its own figures are kept in the ledger for the next run."""
    now = figures_of(snapshot)
    record_snapshot(belt.ledger, _sealed(snapshot, now, run_id, as_of))
    read = frozenset({*columns_read(program), *_not_named(program, snapshot), *_of_badges(belt.fields)})
    if accepted is None:
        return Snapshots(now, read=read)
    drafted_by = accepted.path.stem  # who applies a saved plan is another run
    kept = figures_of_run(belt.ledger, drafted_by)
    before = {name: figures_from(content) for name, content in kept.items() if content} or _rows_only(accepted)
    seen = Snapshots(now, before, read, drops_of(rows_accepted(belt.ledger)), accepted.as_of)
    earlier = _opened(belt.state / "snapshots" / drafted_by)
    trends = belt.configuration.guards.trends
    edits = {fall.place: _edits(earlier, snapshot, fall.place, fall.until) for fall in falls(seen, trends)}
    return Snapshots(now, before, read, seen.drops, accepted.as_of, edits)


def _not_named(program: Program, snapshot: Snapshot) -> Iterator[tuple[str, str]]:
    """Columns that a program reads without naming them: whose a row is, its day, its currency."""
    for table in {table for table, _ in columns_read(program)} | {"partners"}:
        file = snapshot.tables.get(table)
        date = main_date_of(table, file.main_date if file else None, file.columns if file else {})
        yield from ((table, column) for column in ("partner_id", "currency", date) if column)


def _of_badges(fields: FieldMap) -> Iterator[tuple[str, str]]:
    """Columns that the badges of people are made from, whatever the program reads."""
    if fields.sink(CONTACT_BADGES) is not None:
        yield from (("certifications", column) for column in COLUMNS)


def _rows_only(accepted: Accepted) -> dict[str, TableFigures]:
    """Of a run before figures were kept."""
    return {name: TableFigures(rows) for name, rows in accepted.table_rows.items()}


def _opened(folder: Path) -> Snapshot | None:
    try:
        return open_snapshot(folder)
    except DataError:
        return None  # let go of: what was edited cannot be listed then


def _edits(earlier: Snapshot | None, now: Snapshot, place: tuple[str, str, str], until: str) -> Edits:
    table, column, currency = place
    if earlier is None or column not in now.tables[table].columns:
        return Edits()
    return edits_between(earlier.tables[table], now.tables[table], column, currency, until)


def _sealed(snapshot: Snapshot, figures: Mapping[str, TableFigures], run_id: str, as_of: date) -> Sealed:
    manifest: dict[str, Any] = json.loads((snapshot.folder / MANIFEST).read_text(encoding="utf-8"))
    rows, counts = table_rows(snapshot), snapshot.counts
    tables = [
        SealedTable(
            name, rows[name], manifest["tables"][name]["sha256"], counts.get(name, {}).get("before"),
            counts.get(name, {}).get("after"), one.content(),
        )
        for name, one in figures.items()
    ]  # fmt: skip
    kind = "increment" if snapshot.held.get("increments") else "full"
    return Sealed(run_id, snapshot.digest, snapshot.folder, as_of, kind, tables)


def rejections(belt: Belt, now: Sequence[Rejected], accepted: Accepted | None) -> Rejections | None:
    """Rows rejected now and in the run that drafted the accepted standings.

    A row is told by place, column and value, for a line of a file moves; where the list of then is not kept any more,
    there are as many new ones as there are more.
    """
    if accepted is None:
        return None
    drafted_by = accepted.path.stem
    before = int(stats_of_run(belt.ledger, drafted_by).get("rejected") or 0)
    then = rejected_rows(belt.state / "rejected" / drafted_by)
    more = max(0, len(now) - before)
    if before and not then:
        return Rejections(len(now), before, more)
    new = Counter(row_of(one) for one in now) - Counter(then)
    return Rejections(len(now), before, max(new.total(), more))


def review_since(program: Program, accepted: Accepted | None, as_of: date) -> date | None:
    """The newest review date after the last accepted day, up to this one; None where there is none."""
    if accepted is None or accepted.as_of >= as_of:
        return None
    return max(reviews_between(program, accepted.as_of, as_of), default=None)
