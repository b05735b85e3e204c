"""Standings in order: the same rows as a plain sort gives, in pieces."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from crmsync.levelling import ordering


@pytest.mark.parametrize("rows", [0, 1, 7, 50, 200])
def test_rows_in_batches_come_into_order(rows: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Batches of any length, nested values beside the keys."""
    monkeypatch.setattr(ordering, "PIECE", 16)
    draw = np.random.default_rng(rows)
    partners = draw.permutation(np.repeat(np.arange(rows), 2))
    table = pa.table(
        {
            "partner_id": pa.array([f"{one:04d}" for one in partners], pa.string()),
            "category": pa.array(np.tile(["b", "a"], rows), pa.string()),
            "gap": pa.array(
                [[{"metric": str(one)}] for one in partners], pa.list_(pa.struct([("metric", pa.string())]))
            ),
        }
    )
    expected = table.sort_by([("partner_id", "ascending"), ("category", "ascending")])
    cuts = pa.Table.from_batches(table.to_batches(max_chunksize=11), table.schema)
    found = ordering.in_order(cuts)
    assert found.select(["partner_id", "category"]).equals(expected.select(["partner_id", "category"]))
    assert [one[0]["metric"].zfill(4) for one in found["gap"].to_pylist()] == found["partner_id"].to_pylist()


def test_rows_without_a_value_are_left_out() -> None:
    """Of rows that are in order already too."""
    table = pa.table({"partner_id": ["1", "2", "3"], "category": ["a", "a", "a"], "movement": ["up", None, "down"]})
    assert ordering.in_order(table, filled="movement")["partner_id"].to_pylist() == ["1", "3"]
