"""The engine: what it cannot do is told as an error of ours, never as one of its own."""

from __future__ import annotations

import os
import random
import tempfile
from decimal import ROUND_HALF_UP, Decimal, localcontext
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


def test_money_times_a_rate_is_rounded_as_written_out() -> None:
    draw = random.Random(5)
    pairs = [(Decimal(f"{sign}{cents}e-2"), Decimal("0.5")) for cents in (1, 3, 199_999_999_999) for sign in ("", "-")]
    for _ in range(20_000):
        rate = Decimal(draw.randrange(1, 10 ** draw.randrange(1, 18))).scaleb(-12)
        near_half = (Decimal(draw.randrange(10 ** draw.randrange(1, 13))) + Decimal("0.5")) / 100 / rate
        amount = min(near_half, Decimal(10) ** 16).quantize(Decimal("0.01"))
        pairs.append((amount + Decimal(draw.randrange(-1, 2)) / 100, rate))
    amounts, rates = (pa.array(side) for side in zip(*pairs, strict=True))
    engine = DuckDbEngine()
    engine.register("t", pa.table({"v": amounts.cast(pa.decimal128(19, 2)), "w": rates.cast(pa.decimal128(18, 12))}))
    product = sql.money_times_rate(sql.col("v"), sql.col("w"))
    found = engine.read(sql.select([sql.named(product, "p")], sql.table("t"))).column("p").to_pylist()
    engine.close()
    with localcontext(prec=60):
        expected = [(amount * rate).quantize(Decimal("0.01"), ROUND_HALF_UP) for amount, rate in pairs]
    assert [(*pair, one) for pair, one, right in zip(pairs, found, expected, strict=True) if one != right] == []
