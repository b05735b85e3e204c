"""Whether the data of this snapshot are as complete as those of the last accepted one. Pure: figures in, verdicts out.

A loss is counted by rows, by filled cells of what the program reads, by kinds of records and by the amounts of months
that were closed before. Where the source counts its rows itself, the exact count has seen it already; this sees what
the source hides from its own count, such as records of a team that the run user may not read any more.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from itertools import pairwise
from statistics import median

from crmsync.configuration_guards import Trends
from crmsync.writeback.figures import OWNER, Edits, TableFigures
from crmsync.writeback.verdicts import GuardResult, percent

MASS = 100
"""Rows from which a share of them says something; below that only whole kinds or columns count."""
DROPS_NEEDED = 5
"""Earlier drops of a table that are needed to tell what is usual for it."""
USUAL_TIMES = 3
LEAST_SHARE = Decimal("0.005")
"""However steady a table is, less than that is no loss."""
SHARE_FALLS = Decimal("0.1")
"""So many points less of the cells filled block also where no cell was emptied: what is new comes without a value."""
EDITS_LISTED = 5
"""A fall of closed amounts that so many edited records explain is shown, and does not block."""
SHOWN = 6

CHECK = "check the source of that table and what the run user may read there (`crmsync check`), then plan again"
OR_APPROVE = f"{CHECK}; if it is right, approve this plan's digest"


@dataclass(frozen=True)
class Snapshots:
    """What is compared. `before` None: there is no accepted snapshot yet, or it kept no figures.

    `read`: (table, column) that the program reads; `drops`: table -> shares by which it shrank before; `accepted_on`:
    the day of the accepted snapshot; `edits`: (table, column, currency) -> what was edited, where a sum fell.
    """

    now: Mapping[str, TableFigures] = field(default_factory=dict)
    before: Mapping[str, TableFigures] | None = None
    read: Collection[tuple[str, str]] = ()
    drops: Mapping[str, Sequence[Decimal]] = field(default_factory=dict)
    accepted_on: date | None = None
    edits: Mapping[tuple[str, str, str], Edits] = field(default_factory=dict)

    def both(self) -> Iterator[tuple[str, TableFigures, TableFigures]]:
        """(table, before, now) of the tables that had rows; a table that is gone has no rows now."""
        for name, before in sorted((self.before or {}).items()):
            if before.rows:
                yield name, before, self.now.get(name, TableFigures())


def trend_guards(snapshots: Snapshots, trends: Trends) -> Iterator[GuardResult]:
    """Every trend guard, in the order an operator should look at them."""
    yield _tables_there(snapshots)
    yield _columns_there(snapshots)
    yield _rows(snapshots, trends)
    yield _filled(snapshots, trends)
    yield _kinds(snapshots, trends)
    yield _closed_amounts(snapshots, trends)


def _verdict(
    guard: str, found: Sequence[str], good: str, limit: str, snapshots: Snapshots, way_out: str = OR_APPROVE
) -> GuardResult:
    if snapshots.before is None:
        good = "nothing to compare with: no accepted snapshot yet"
    return GuardResult(guard, _shown(found) or good, limit, bool(found), way_out)


def _shown(found: Sequence[str]) -> str:
    more = f"; and {len(found) - SHOWN} more" if len(found) > SHOWN else ""
    return "; ".join(found[:SHOWN]) + more


def _tables_there(snapshots: Snapshots) -> GuardResult:
    found = [f"{name}: 0 rows, {before.rows:,} before" for name, before, now in snapshots.both() if not now.rows]
    limit = "a table that had rows in the last accepted snapshot has some"
    way_out = f"missing input must not blank a field: {CHECK}"
    return _verdict("no_table_emptied", found, "no table lost all its rows", limit, snapshots, way_out)


def _columns_there(snapshots: Snapshots) -> GuardResult:
    found = [
        f"{name}.{column}: {_gone(column, now)}, {cells:,} cells filled before"
        for name, before, now in snapshots.both()
        for column, cells in sorted(before.filled.items())
        if cells >= 1 and now.rows and not now.filled.get(column) and (name, column) in snapshots.read
    ]
    limit = "a column that the program reads and that had values has some"
    way_out = (
        "missing input must not blank a field: map the column again, or let the run user read the field "
        "(`crmsync check` names it), then plan again; if it is right, approve this plan's digest"
    )
    return _verdict("no_column_emptied", found, "no column that is read lost all its values", limit, snapshots, way_out)


def _gone(column: str, now: TableFigures) -> str:
    return "empty in every row" if column in now.filled else "not delivered"


# --- rows


def _rows(snapshots: Snapshots, trends: Trends) -> GuardResult:
    found, limits = [], []
    for name, before, now in snapshots.both():
        limit = row_limit(name, trends, snapshots.drops.get(name, ()))
        lost = before.rows - now.rows
        if limit is not None and loses(lost, before.rows, limit, trends.at_least):
            found.append(f"{name}: {now.rows:,} rows, {before.rows:,} before ({_less(lost, before.rows)})")
            limits.append(f"{name} {percent(limit)}")
    usual = f"less than {percent(trends.rows)} fewer rows, or {trends.at_least - 1} row"
    limit_said = f"less than {', '.join(limits)}" if limits else usual
    return _verdict("rows", found, "no table lost so many rows", limit_said, snapshots)


def row_limit(table: str, trends: Trends, drops: Sequence[Decimal]) -> Decimal | None:
    """From which share on a table has lost too many rows; None: it is not asked.

    The configured share, or three times what is usual for this table where that is less.
    """
    if table in trends.tables:
        return trends.tables[table]
    if len(drops) < DROPS_NEEDED:
        return trends.rows
    return min(trends.rows, max(USUAL_TIMES * median(drops), LEAST_SHARE))


def loses(lost: int, before: int, share: Decimal, at_least: int) -> bool:
    """Whether a loss is one: a share of what was there, and not one or two of few."""
    return lost >= max(at_least, 1) and lost >= before * share


def _less(lost: int, before: int) -> str:
    return f"{percent(Decimal(lost) / before)} less"


# --- cells


def _filled(snapshots: Snapshots, trends: Trends) -> GuardResult:
    found = [
        f"{name}.{column}: {now.filled[column]:,} of {now.rows:,} cells filled, {cells:,} of {before.rows:,} before"
        for name, before, now in snapshots.both()
        for column, cells in sorted(before.filled.items())
        if (name, column) in snapshots.read
        and now.filled.get(column)
        and _emptied(cells, before.rows, now.filled[column], now.rows, trends)
    ]
    limit = f"less than {percent(trends.values)} fewer filled, and the filled share falls by less than 10 points"
    return _verdict("values", found, "no column that is read lost so many values", limit, snapshots)


def _emptied(before: int, rows_before: int, now: int, rows: int, trends: Trends) -> bool:
    """Cells were emptied (the share falls too, so that lost rows are not told twice), or what is new comes empty."""
    share_before, share = Decimal(before) / rows_before, Decimal(now) / rows
    if loses(before - now, before, trends.values, trends.at_least):
        return share < share_before
    return rows >= MASS and share_before - share >= SHARE_FALLS


# --- kinds of records


def _kinds(snapshots: Snapshots, trends: Trends) -> GuardResult:
    found = [
        f"{name} with {column} {value}: {now.kinds.get(column, {}).get(value, 0):,} rows, {rows:,} before"
        for name, before, now in snapshots.both()
        for column, values in sorted(before.kinds.items())
        if now.rows and column in now.kinds
        for value, rows in values.items()
        if _kind_lost(rows, now.kinds[column].get(value, 0), trends.kinds_of(name), trends.at_least)
        and not (column == OWNER and _given_away(rows - now.kinds[column].get(value, 0), before.rows - now.rows))
    ]
    limit = (
        f"less than {percent(trends.kinds)} fewer rows of any kind (type, role, level, region, status, owner; yes/no: "
        "yes)"
    )
    return _verdict("kinds", found, "no kind of record lost so many rows", limit, snapshots)


def _given_away(lost: int, gone: int) -> bool:
    """Whether what an owner has no longer is somebody else's now: the table has not lost half as many."""
    return gone * 2 < lost


def _kind_lost(before: int, now: int, share: Decimal, at_least: int) -> bool:
    """A large part of many, or all of a few."""
    if before >= MASS:
        return loses(before - now, before, share, at_least)
    return now == 0 and before >= max(at_least, EDITS_LISTED)


# --- closed amounts


def _closed_amounts(snapshots: Snapshots, trends: Trends) -> GuardResult:
    tripped, explained = [], []
    for fall in falls(snapshots, trends):
        edits = snapshots.edits.get(fall.place, Edits())
        said = f"{fall.said}{_edits_said(edits)}"
        if edits.gone == 0 and 0 < len(edits.edited) <= EDITS_LISTED:
            explained.append(said)
        else:
            tripped.append(said)
    limit = f"less than {percent(trends.closed_amounts)} less, unless up to {EDITS_LISTED} edited records explain it"
    good = _shown(explained) or "the sums of closed months did not fall so much"
    return _verdict("closed_amounts", tripped, good, limit, snapshots)


@dataclass(frozen=True)
class Fall:
    """A sum of closed months that is less than before. `place`: table, column, currency; `until`: first open month."""

    place: tuple[str, str, str]
    until: str
    said: str


def falls(snapshots: Snapshots, trends: Trends) -> Iterator[Fall]:
    """The sums of closed months that fell by the configured share or more; of few rows none says anything."""
    if snapshots.accepted_on is None:
        return
    until = f"{snapshots.accepted_on:%Y-%m}"
    for name, before, now in snapshots.both():
        limit = trends.closed_amounts_of(name)
        for column, currencies in sorted(before.sums.items()) if limit is not None else ():
            for currency, months in sorted(currencies.items()):
                rows, held = _closed(months, until)
                _, holds = _closed(now.sums.get(column, {}).get(currency, {}), until)
                if rows >= MASS and held > 0 and now.rows and (held - holds) >= held * (limit or 0):
                    place = (name, column, currency)
                    what = f"{name}.{column}{' in ' + currency if currency else ''} before {until}"
                    part = percent((held - holds) / held)
                    yield Fall(place, until, f"{what}: {holds:,} now, {held:,} before ({part} less)")


def _closed(months: Mapping[str, tuple[int, str]], until: str) -> tuple[int, Decimal]:
    """(rows, sum) of the months before `until`."""
    closed = [found for month, found in months.items() if month < until]
    return sum(rows for rows, _ in closed), sum((Decimal(total) for _, total in closed), Decimal(0))


def _edits_said(edits: Edits) -> str:
    listed = [f"{key} {was} -> {now}" for key, was, now in edits.edited[:EDITS_LISTED]]
    more = f" and {len(edits.edited) - EDITS_LISTED} more" if len(edits.edited) > EDITS_LISTED else ""
    edited = f"; edited: {', '.join(listed)}{more}" if listed else ""
    gone = f"; {edits.gone:,} records are gone, which held {edits.gone_sum}" if edits.gone else ""
    return edited + gone


def drops_of(rows: Sequence[Mapping[str, int]]) -> dict[str, list[Decimal]]:
    """Table -> the shares by which it shrank from one accepted snapshot to the next; `rows`: the oldest first."""
    found: dict[str, list[Decimal]] = {}
    for before, now in pairwise(rows):
        for table, count in before.items():
            lost = count - now.get(table, count)
            if count and lost > 0:
                found.setdefault(table, []).append(Decimal(lost) / count)
    return found
