"""The engine beside SQL that was written by hand for one program: the same standings, on a made-up base."""

from __future__ import annotations

from pathlib import Path

import pyarrow.parquet as pq

from bench.base import Size, partner_base
from bench.equality import differing
from bench.levelling import WAYS


def test_the_engine_equals_hand_written_sql(tmp_path: Path) -> None:
    """Tiers, projected tiers, progress, gaps and metrics of every partner, over eight currencies, regions, families."""
    snapshot = partner_base(Size(3_000, 60_000, 15_000), cache=tmp_path)
    for way, prepared in WAYS.items():
        pq.write_table(prepared(snapshot.folder)(), tmp_path / f"{way}.parquet")
    assert differing(tmp_path / "ours.parquet", tmp_path / "by-hand.parquet") == {}
