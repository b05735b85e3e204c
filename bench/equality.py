"""Whether two ways gave the same standings: how many rows differ, per column."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import duckdb

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
    connection.execute(f"CREATE VIEW ours AS SELECT * FROM read_parquet('{ours}')")
    connection.execute(f"CREATE VIEW by_hand AS SELECT * FROM read_parquet('{by_hand}')")
    keys = ["partner_id"]
    keys += ["category"] if "category" in connection.table("by_hand").columns else []
    counts = ", ".join(f"count(*) FILTER ({_pair(column)}) AS {column}" for column in columns)
    only_one = "count(*) FILTER (ours.partner_id IS NULL OR by_hand.partner_id IS NULL) AS partner_id"
    same = " AND ".join(f"ours.{key} = by_hand.{key}" for key in keys)
    row = connection.execute(f"SELECT {only_one}, {counts} FROM ours FULL JOIN by_hand ON {same}").fetchone()
    assert row is not None
    return {name: found for name, found in zip(("partner_id", *columns), row, strict=True) if found}


def _pair(column: str) -> str:
    return f"({_comparable('ours', column)}) IS DISTINCT FROM ({_comparable('by_hand', column)})"


def _comparable(side: str, column: str) -> str:
    """The column in a form that both sides share: of a gap entry the five things that say how far it is.

    Levers of ratios (what more of one part would do) are ours alone; their path ends in more or less.
    """
    if column == "gap":
        own = f"list_filter({side}.gap, lambda e: NOT regexp_matches(e.path, '/(more|less)$'))"
        entries = own if side == "ours" else f"{side}.gap"
        return f"list_transform({entries}, lambda e: [e.metric, e.value, e.required, e.missing, e.met::VARCHAR])"
    if column == "progress":
        return f"{side}.progress::DECIMAL(4, 1)"
    return f"{side}.{column}"
