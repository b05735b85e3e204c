"""The engine beside SQL that was written by hand for one program: the same standings, on a made-up base."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.base import Size, partner_base
from bench.equality import EVERYTHING, TIERS, WHOLE, differing
from bench.levelling import WAYS
from crmsync.levelling.standings import write_standings


@pytest.mark.parametrize(("way", "columns"), [("levels", WHOLE), ("channel-light", TIERS), ("channel", EVERYTHING)])
def test_the_engine_equals_hand_written_sql(tmp_path: Path, way: str, columns: tuple[str, ...]) -> None:
    """Tiers, risk, gaps, reasons and metrics of every partner, over eight currencies, regions, families."""
    snapshot = partner_base(Size(3_000, 60_000, 15_000), cache=tmp_path)
    ours, by_hand = tmp_path / "ours.parquet", tmp_path / "by-hand.parquet"
    write_standings(WAYS[way].prepared(snapshot.folder)(), ours)
    write_standings(WAYS[f"{way}-by-hand"].prepared(snapshot.folder)(), by_hand)
    assert differing(ours, by_hand, columns) == {}
