"""The engine: what it cannot do is told as an error of ours, never as one of its own."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest

from crmsync.errors import DataError
from crmsync.levelling import sql
from crmsync.levelling.engine import DuckDbEngine


def test_a_registered_table_is_read_back() -> None:
    engine = DuckDbEngine()
    engine.register("t", pa.table({"a": [1, 2]}))
    engine.run("doubled", sql.select([sql.named(sql.mul(sql.col("a"), sql.number(2)), "b")], sql.table("t")))
    assert engine.read(sql.select([sql.star()], sql.table("doubled"))).to_pylist() == [{"b": 2}, {"b": 4}]
    assert dict(engine.columns("doubled"))["b"] != ""
    engine.close()


def test_what_cannot_be_computed_is_a_data_error() -> None:
    engine = DuckDbEngine()
    with pytest.raises(DataError, match="could not compute"):
        engine.run("x", sql.select([sql.star()], sql.table("nowhere")))
    with pytest.raises(DataError, match="could not compute"):
        engine.read(sql.select([sql.cast(sql.text("abc"), sql.DOUBLE)], sql.table("nowhere")))
    engine.close()


def test_a_file_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    bad = tmp_path / "t.parquet"
    bad.write_text("no parquet", encoding="utf-8")
    engine = DuckDbEngine()
    with pytest.raises(DataError, match="cannot be read"):
        engine.register("t", bad)
    engine.close()
