"""Whether two ways gave the same standings: how many rows differ, per column."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import duckdb

from crmsync.levelling.standings import COLUMNS

KEYS = ("partner_id", "category")
EVERYTHING = tuple(column for column in COLUMNS if column not in (*KEYS, "program_version"))
"""All columns; `program_version` is a digest of the program's file."""
WHOLE = (
    "calculated_tier", "next_tier", "projected_tier", "pace_tier", "risk", "risk_on", "progress", "main_blocker", "gap",
    "metrics",
)  # fmt: skip
TIERS = ("calculated_tier", "granted_tier", "headline_tier")


def differing(ours: Path, by_hand: Path, columns: Sequence[str] = WHOLE) -> dict[str, int]:
    """Rows that differ, by column; a row that only one side has counts in `partner_id`.

    Where the hand-written side has no category, a partner has one row.
    """
    connection = duckdb.connect()
    connection.execute("SET enable_progress_bar = false")  # it would stand between the tables
    connection.execute(f"CREATE VIEW ours AS SELECT * FROM read_parquet('{ours}')")
    connection.execute(f"CREATE VIEW by_hand AS SELECT * FROM read_parquet('{by_hand}')")
    there = connection.table("by_hand")
    keys = [key for key in KEYS if key in there.columns]
    few = {"gap"} if "gap" in columns and "path" not in str(there.select("gap").types[0]) else set()
    counts = ", ".join(f"count(*) FILTER ({_pair(column, column in few)}) AS {column}" for column in columns)
    only_one = "count(*) FILTER (ours.partner_id IS NULL OR by_hand.partner_id IS NULL) AS partner_id"
    same = " AND ".join(f"ours.{key} = by_hand.{key}" for key in keys)
    row = connection.execute(f"SELECT {only_one}, {counts} FROM ours FULL JOIN by_hand ON {same}").fetchone()
    assert row is not None
    return {name: found for name, found in zip(("partner_id", *columns), row, strict=True) if found}


def _pair(column: str, few: bool) -> str:
    return f"({_comparable('ours', column, few)}) IS DISTINCT FROM ({_comparable('by_hand', column, few)})"


def _comparable(side: str, column: str, few: bool) -> str:
    """The column in a form that both sides share.

    `few`: by hand there is no more of a gap entry than the five things that say how far it is, and no lever of a ratio
    (what more of one part would do; its path ends in more or less).
    """
    if few:
        own = f"list_filter({side}.gap, lambda e: NOT regexp_matches(e.path, '/(more|less)$'))"
        entries = own if side == "ours" else f"{side}.gap"
        return f"list_transform({entries}, lambda e: [e.metric, e.value, e.required, e.missing, e.met::VARCHAR])"
    if column == "progress":
        return f"{side}.progress::DECIMAL(4, 1)"
    return f"{side}.{column}"
