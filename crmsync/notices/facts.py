"""What events are found in: the rows of standings that somebody may have to hear of, changes of tier, certificates."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import date, timedelta

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from sqlalchemy import func, select

from crmsync.ledger import tables as t
from crmsync.ledger.chain import head_of
from crmsync.ledger.conflicts import OPEN
from crmsync.ledger.ledger import Ledger
from crmsync.ledger.upsert import upsert
from crmsync.notices.events import Lapsing, TierMove
from crmsync.programs.program import Program
from crmsync.snapshots import Snapshot
from crmsync.writeback.inputs import standing_rows
from crmsync.writeback.wording import Attributes, Standing, columns_asked

SINCE = "notices_since"
"""The last change of tier before notices were on, in the ledger's meta table: what is older is not told."""

MOVES_KEPT = timedelta(days=30)
AHEAD = ("projected_tier", "pace_tier")
CHUNK = 500
ANCHOR_DIGITS = 16


# --- standings


def rows_that_end(standings: pa.Table, program: str) -> list[Standing]:
    """Standings in grace, at risk on a known day, or with an override."""
    overrides = standings.column("overrides")
    nested = pa.types.is_list(overrides.type) or pa.types.is_large_list(overrides.type)
    some = pc.greater(pc.list_value_length(overrides), 0) if nested else pc.not_equal(overrides, "[]")
    mask = pc.or_(
        pc.or_(pc.is_valid(standings.column("grace_until")), pc.is_valid(standings.column("risk_on"))),
        pc.fill_null(some, False),
    )
    return rows_of(standings.filter(mask), program)


def rows_of_partners(standings: pa.Table, program: str, partners: Iterable[str]) -> list[Standing]:
    """All standings of these partners."""
    wanted = pa.array(sorted(set(partners)), pa.string())
    return rows_of(standings.filter(pc.is_in(standings.column("partner_id"), value_set=wanted)), program)


def rows_of(standings: pa.Table, program: str) -> list[Standing]:
    """These standings as rows, with what they would be later."""
    mine = standings.filter(pc.equal(standings.column("program"), program))
    ahead = mine.select([name for name in AHEAD if name in mine.column_names]).to_pylist()
    return [{**row, **later} for row, later in zip(standing_rows(mine, program), ahead, strict=True)]


def attributes_of(snapshot: Snapshot, program: Program, partners: Iterable[str]) -> dict[str, Attributes]:
    """Of these partners the columns that thresholds of the program ask for, as text."""
    file, wanted = snapshot.tables.get("partners"), sorted(set(partners))
    if file is None or not wanted:
        return {}
    asked = sorted(column for column in columns_asked(program) if column in file.columns)
    of_them = pc.field("partner_id").isin(pa.array(wanted, pa.string()))
    rows = pq.read_table(file.path, columns=["partner_id", *asked], filters=of_them).to_pylist()
    return {
        row["partner_id"]: {column: None if row[column] is None else str(row[column]) for column in asked}
        for row in rows
    }  # fmt: skip


# --- changes of tier


def tier_moves(ledger: Ledger, program: str, as_of: date, run_id: str) -> list[TierMove]:
    """Changes of tier of the last weeks, oldest first, from the run on with which notices began."""
    since = _since(ledger, run_id)
    history = t.tier_history.c
    query = (
        select(t.tier_history)
        .where(history.sequence > since, history.program == program)
        .where(history.as_of >= (as_of - MOVES_KEPT).isoformat())
        .order_by(history.sequence)
    )
    with ledger.reading() as connection:
        return [
            TierMove(
                row.partner_id, row.category, date.fromisoformat(row.as_of), row.from_tier, row.to_tier, row.movement
            )
            for row in connection.execute(query)
        ]


def begin_telling(ledger: Ledger) -> None:
    """Note, before the first run that tells has changed anything, what is older than it. Once; later calls do nothing.

    A run that dies before it tells has begun all the same, so that the next one tells what it changed.
    """
    _since(ledger, "")


def _since(ledger: Ledger, run_id: str) -> int:
    """The sequence before which nothing is told; set by the first run that tells."""
    history = t.tier_history.c
    with ledger.reading() as connection:
        known = connection.scalar(select(t.meta.c.value).where(t.meta.c.key == SINCE))
        if known is not None:
            return int(known)
        before = connection.scalar(select(func.max(history.sequence)).where(history.run_id != run_id)) or 0
    with ledger.writing() as connection:
        row = {"key": SINCE, "value": str(before)}
        connection.execute(upsert(t.meta).values(row).on_conflict_do_nothing())
    return before


def unwritten_partners(ledger: Ledger, tier_field: str | None = None, account: str | None = None) -> frozenset[str]:
    """Partners whose account holds something else than the ledger wants: they are not told of a tier yet.

    Their write is open or was refused, or somebody edited the tier by hand and it is left alone. `tier_field`: the
    field that holds the granted tier (None, where it is not known: any); who edits another field changes no tier, nor
    does who edits a record beside the account. `account`: the object of accounts (None: any).
    """
    c = t.conflict.c
    open_ = (t.intent.c.sink == "") & t.intent.c.state.not_in(("applied", "superseded"))
    adopted = (c.policy == "adopt") & (c.state == "told")  # the tier set by hand is the one that is granted by now
    edited = c.state.in_(OPEN) & ~adopted
    if tier_field is not None:
        edited &= c.field == tier_field
    if account is not None:
        edited &= c.object == account
    with ledger.reading() as connection:
        of_writes = connection.scalars(select(t.intent.c.partner_id).where(open_).distinct())
        return frozenset((*of_writes, *connection.scalars(select(c.partner_id).where(edited).distinct())))


def written_by(ledger: Ledger, partners: Iterable[str]) -> dict[str, str]:
    """By partner, the last intent that wrote its account."""
    wanted, found = sorted(set(partners)), dict[str, str]()
    with ledger.reading() as connection:
        for start in range(0, len(wanted), CHUNK):
            some = t.intent.c.partner_id.in_(wanted[start : start + CHUNK])
            query = select(t.intent.c.partner_id, t.intent.c.intent_id).where(
                some, t.intent.c.sink == "", t.intent.c.state == "applied"
            )
            found.update({row[0]: row[1] for row in connection.execute(query.order_by(t.intent.c.created_at))})
    return found


# --- certificates


def lapsing_certificates(snapshot: Snapshot, as_of: date, days: int) -> Iterator[Lapsing]:
    """Certificates that end within so many days, and that the same person has no later one of."""
    file = snapshot.tables.get("certifications")
    needed = ("partner_id", "person_id", "credential", "expires_on")
    if file is None or not set(needed) <= set(file.columns):
        return
    until = as_of + timedelta(days=days + 1)
    ends = pc.field("expires_on")
    near = pq.read_table(file.path, columns=["person_id"], filters=(ends >= as_of) & (ends <= until))
    if not near.num_rows:
        return
    # of these persons all that ends later, too: few of many
    theirs = pc.field("person_id").isin(near.column("person_id").cast(pa.string()).combine_chunks().unique())
    table = pq.read_table(file.path, columns=list(needed), filters=theirs & ((ends >= as_of) | ends.is_null()))
    forever = pa.scalar(date.max, pa.date32())
    table = table.set_column(3, "expires_on", pc.fill_null(table.column("expires_on"), forever))
    last = table.group_by(list(needed[:3])).aggregate([("expires_on", "max")])
    near = last.filter(pc.less_equal(last.column("expires_on_max"), pa.scalar(until, pa.date32())))
    back = timedelta(days=0 if file.expires_on_is_last_day else 1)
    for row in near.to_pylist():
        if row["partner_id"] and row["credential"]:
            yield Lapsing(row["partner_id"], row["person_id"] or "", row["credential"], row["expires_on_max"] - back)


def newest_link(ledger: Ledger) -> str:
    """The newest event of the audit chain as `SEQUENCE:HASH` with the first digits of the hash; empty before the first.

    `crmsync audit verify` takes it as an anchor.
    """
    with ledger.reading() as connection:
        head = head_of(connection)
    return "" if head is None else f"{head.sequence}:{head.hash[:ANCHOR_DIGITS]}"


def label_of(program: Program) -> str:
    """How people call the program."""
    return program.label or program.key
