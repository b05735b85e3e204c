"""Whether two ways gave the same standings: how many partners differ, per column."""

from __future__ import annotations

from pathlib import Path

import duckdb

COLUMNS = (
    "calculated_tier", "next_tier", "projected_tier", "pace_tier", "risk", "risk_on", "progress", "main_blocker", "gap",
    "metrics",
)  # fmt: skip


def differing(ours: Path, by_hand: Path) -> dict[str, int]:
    """Partners whose standing differs, by column; a partner that only one side has counts in `partner_id`."""
    connection = duckdb.connect()
    connection.execute(f"CREATE VIEW ours AS SELECT * FROM read_parquet('{ours}')")
    connection.execute(f"CREATE VIEW by_hand AS SELECT * FROM read_parquet('{by_hand}')")
    counts = ", ".join(f"count(*) FILTER ({_pair(column)}) AS {column}" for column in COLUMNS)
    only_one = "count(*) FILTER (ours.partner_id IS NULL OR by_hand.partner_id IS NULL) AS partner_id"
    row = connection.execute(
        f"SELECT {only_one}, {counts} FROM ours FULL JOIN by_hand ON ours.partner_id = by_hand.partner_id"
    ).fetchone()
    assert row is not None
    return {name: found for name, found in zip(("partner_id", *COLUMNS), row, strict=True) if found}


def _pair(column: str) -> str:
    return f"({_comparable('ours', column)}) IS DISTINCT FROM ({_comparable('by_hand', column)})"


def _comparable(side: str, column: str) -> str:
    """The column in a form that both sides share: of a gap entry the five things that say how far it is."""
    if column == "gap":
        return f"list_transform({side}.gap, lambda e: [e.metric, e.value, e.required, e.missing, e.met::VARCHAR])"
    if column == "progress":
        return f"{side}.progress::DECIMAL(4, 1)"
    return f"{side}.{column}"
