"""The engine: what it cannot do is told as an error of ours, never as one of its own."""

from __future__ import annotations

import os
import tempfile
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
    engine.close()


def test_what_cannot_be_computed_is_a_data_error() -> None:
    engine = DuckDbEngine()
    engine.run("x", sql.select([sql.star()], sql.table("nowhere")))
    engine.run("y", sql.select([sql.star()], sql.table("x")))
    with pytest.raises(DataError, match=r"could not compute.*nowhere"):
        engine.read(sql.select([sql.star()], sql.table("y")))
    with pytest.raises(DataError, match="could not compute"):
        engine.read(sql.select([sql.cast(sql.text("abc"), sql.DOUBLE)], sql.table("nowhere")))
    engine.close()


def test_a_file_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    bad = tmp_path / "t.parquet"
    bad.write_text("no parquet", encoding="utf-8")
    engine = DuckDbEngine()
    engine.register("t", bad)
    with pytest.raises(DataError, match=r"t\.parquet: cannot be read"):
        engine.read(sql.select([sql.star()], sql.table("t")))
    engine.close()


def test_closing_breaks_off_what_is_under_way() -> None:
    engine = DuckDbEngine()
    numbers = pa.table({"a": range(3000)})
    engine.register("t", numbers)
    many = sql.select([sql.count()], sql.table("t", "x"), [("cross", sql.table("t", n), sql.true()) for n in "yz"])
    engine.run("never", many)
    engine.close()


def test_what_does_not_fit_spills_into_the_temp_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    engine = DuckDbEngine("80MB")
    try:
        engine.register("numbers", pa.table({"a": pa.array(range(1_000_000))}))
        text = sql.concat(*(sql.cast(sql.col("a"), sql.TEXT) for _ in range(16)))
        engine.run("wide", sql.select([sql.col("a"), sql.named(text, "b")], sql.table("numbers")))
        assert engine.read(sql.select([sql.count()], sql.table("wide"))).column(0)[0].as_py() == 1_000_000
        assert list(Path(tempfile.gettempdir()).glob(f"crmsync-spill-{os.getpid()}/*")), "nothing was spilled"
        assert list(tmp_path.iterdir()) == []
    finally:
        engine.close()
