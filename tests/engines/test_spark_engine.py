"""The Spark engine: the calls of an engine, what it leaves behind, and what it says when it cannot."""

from __future__ import annotations

import socket
import sys
from collections.abc import Iterator
from pathlib import Path
from unittest.mock import patch

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from sqlglot import exp

from crmsync.errors import ConfigError, DataError, StoreError
from crmsync.levelling import sql
from crmsync.levelling.engine import DuckDbEngine, Engine
from crmsync.levelling.engine_spark import SparkEngine
from crmsync.levelling.spark_session import spark_address, told
from crmsync.levelling.sql_spark import RULES
from tests.engines.equality import scratch_folders

ALL = [sql.star()]


@pytest.fixture
def engine(remote: str, tmp_path: Path) -> Iterator[SparkEngine]:
    opened = SparkEngine(remote, tmp_path)
    yield opened
    opened.close()


def test_a_table_is_registered_computed_and_read(engine: SparkEngine) -> None:
    engine.register("t", pa.table({"a": [1, 2]}))
    engine.run("doubled", sql.select([sql.named(sql.mul(sql.col("a"), sql.number(2)), "b")], sql.table("t")))
    engine.define("more", sql.select(ALL, sql.table("doubled"), where=sql.gt(sql.col("b"), sql.number(2))))
    assert engine.read(sql.select(ALL, sql.table("more"))).to_pylist() == [{"b": 4}]


def test_names_that_sql_would_not_take(engine: SparkEngine) -> None:
    names = ["a@now", "x?sum", "k1|all/1|met", "partners.region", "m[EMEA]~reseller", "a b,c;{}()=", "it`s", "select"]
    engine.register("odd table@1", pa.table({name: [number] for number, name in enumerate(names)}))
    engine.run("odd|result", sql.select(ALL, sql.table("odd table@1")))
    found = engine.read(
        sql.select(sql.columns({name: sql.col(name, "odd|result") for name in names}), sql.table("odd|result"))
    )
    assert found.to_pylist() == [{name: number for number, name in enumerate(names)}]


def test_a_table_takes_the_place_of_the_one_that_had_its_name(engine: SparkEngine, tmp_path: Path) -> None:
    engine.register("t", pa.table({"a": [1]}))
    for _ in range(3):  # each computed from the one before
        engine.run("t", sql.select([sql.named(sql.add(sql.col("a"), sql.number(1)), "a")], sql.table("t")))
    assert engine.read(sql.select(ALL, sql.table("t"))).to_pylist() == [{"a": 4}]
    assert len(list(scratch_folders(tmp_path)[0].iterdir())) == 1


def test_what_sail_takes_for_a_division_by_zero_is_computed_again_without_its_check(engine: SparkEngine) -> None:
    """Its check of a divisor fails on a part of a join that has no rows; views are made anew, with and without it."""
    engine.register("t", pa.table({"a": [1.0], "b": [0.0]}))
    unchecked = sql.named(exp.Div(this=sql.col("a"), expression=sql.col("b")), "share")
    with patch.dict(RULES, {exp.Div: lambda _: None}):
        engine.define("shares", sql.select([unchecked], sql.table("t")))
        assert engine.read(sql.select(ALL, sql.table("shares"))).to_pylist() == [{"share": None}]
        engine.run("kept", sql.select(ALL, sql.table("shares")))
    assert engine.read(sql.select(ALL, sql.table("kept"))).to_pylist() == [{"share": None}]
    with pytest.raises(DataError, match="1e39"):  # what overflows is refused as before
        engine.read(sql.select([sql.named(sql.cast(sql.double("1e39"), sql.MONEY), "much")], sql.table("t")))


def test_types_are_those_of_duckdb(engine: SparkEngine) -> None:
    one = {
        "text": sql.text("a"), "day": sql.cast(sql.text("2026-02-28"), sql.DATE), "money": sql.null(sql.MONEY),
        "double": sql.double("0.5"), "yes": sql.true(),
        "count": sql.cast(sql.number(1), sql.BIGINT),
        "words": sql.array([sql.text("a")]), "none": sql.empty_array(sql.TEXT),
        "fields": sql.struct({"a.b": sql.null(sql.TEXT), "c": sql.array([sql.struct({"d": sql.double(1)})])}),
    }  # fmt: skip
    duckdb = DuckDbEngine()
    for each in (duckdb, engine):
        each.register("one", pa.table({"row": [1]}))
        each.run("typed", sql.select(sql.columns(one), sql.table("one")))
    query = sql.select(ALL, sql.table("typed"))
    assert list(engine.read(query).schema) == list(duckdb.read(query).schema)
    assert engine.read(query).to_pylist() == duckdb.read(query).to_pylist()
    duckdb.close()


def test_a_column_of_nothing_but_null_is_kept(engine: SparkEngine) -> None:
    engine.register("t", pa.table({"a": [1]}))
    engine.run("u", sql.select([sql.star(), sql.named(sql.null(), "nothing here")], sql.table("t")))
    assert engine.read(sql.select(ALL, sql.table("u"))).to_pylist() == [{"a": 1, "nothing here": None}]


def test_no_rows_are_a_table_too(engine: SparkEngine) -> None:
    engine.register("t", pa.table({"a": pa.array([], pa.string()), "b": pa.array([], pa.list_(pa.string()))}))
    engine.run("u", sql.select(ALL, sql.table("t")))
    assert engine.read(sql.select(ALL, sql.table("u"))).schema.names == ["a", "b"]
    assert engine.read(sql.select([sql.named(sql.count(), "n")], sql.table("u"))).to_pylist() == [{"n": 0}]


def test_what_is_dropped_or_closed_leaves_nothing_behind(remote: str, tmp_path: Path) -> None:
    engine = SparkEngine(remote, tmp_path)
    engine.register("t", pa.table({"a": [1]}))
    engine.run("u", sql.select(ALL, sql.table("t")))
    engine.drop(["t", "u", "never there"])
    assert list(scratch_folders(tmp_path)[0].iterdir()) == []
    with pytest.raises(DataError, match="could not compute"):
        engine.read(sql.select(ALL, sql.table("u")))
    engine.close()
    assert scratch_folders(tmp_path) == []


def test_a_file_of_the_snapshot_stays_where_it_is(remote: str, tmp_path: Path) -> None:
    file = tmp_path / "t.parquet"
    pq.write_table(pa.table({"a": [1]}), file)
    engine = SparkEngine(remote)
    engine.register("t", file)
    assert engine.read(sql.select(ALL, sql.table("t"))).to_pylist() == [{"a": 1}]
    engine.drop(["t"])
    engine.close()
    assert file.exists()


def test_engines_do_not_see_each_others_tables(remote: str, engine: SparkEngine) -> None:
    engine.register("t", pa.table({"a": [1]}))
    other = SparkEngine(remote)
    with pytest.raises(DataError, match="could not compute"):
        other.read(sql.select(ALL, sql.table("t")))
    other.close()


@pytest.mark.parametrize("kind", ["duckdb", "spark"])
def test_what_cannot_be_computed_is_a_data_error(kind: str, remote: str) -> None:
    engine: Engine = DuckDbEngine() if kind == "duckdb" else SparkEngine(remote)
    engine.register("t", pa.table({"a": ["abc"]}))
    for query in (
        sql.select(ALL, sql.table("nowhere")),
        sql.select([sql.cast(sql.col("a"), sql.DOUBLE)], sql.table("t")),
        sql.select([sql.col("b")], sql.table("t")),
    ):
        with pytest.raises(DataError, match="could not compute the program on these tables"):
            engine.read(query)
    engine.close()


@pytest.mark.parametrize("kind", ["duckdb", "spark"])
def test_a_file_that_cannot_be_read_is_told(kind: str, remote: str, tmp_path: Path) -> None:
    bad = tmp_path / "t.parquet"
    bad.write_text("no parquet", encoding="utf-8")
    engine: Engine = DuckDbEngine() if kind == "duckdb" else SparkEngine(remote)
    with pytest.raises(DataError, match=r"t\.parquet: cannot be read"):
        _read_file(engine, bad)
    engine.close()


def _read_file(engine: Engine, file: Path) -> pa.Table:
    engine.register("t", file)
    return engine.read(sql.select(ALL, sql.table("t")))


def test_no_room_and_no_server_are_faults_of_the_store() -> None:
    for message in (
        "java.lang.OutOfMemoryError: Java heap space",
        "[RETRIES_EXCEEDED] gave up",
        "No space left on device",
    ):
        with pytest.raises(StoreError), told():
            raise RuntimeError(message)


# --- the address


@pytest.mark.parametrize(
    ("remote", "message"),
    [
        ("127.0.0.1:15002", "no address of a Spark Connect server; write sc://host:15002"),
        ("http://127.0.0.1", "no address of a Spark Connect server"),
        ("sc://127.0.0.1:port", "is no address"),
        ("sc://spark.example:15002", "in clear to another machine"),
        ("sc://spark.example/;use_ssl=false", "in clear to another machine"),
        ("sc://localhost/;token=abc", "a token does not belong into the address"),
    ],
)
def test_an_address_that_will_not_do(remote: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message) as refused:
        SparkEngine(remote)
    assert "CRMSYNC_SPARK_REMOTE" in str(refused.value)


@pytest.mark.parametrize(
    ("remote", "port", "here"),
    [
        ("sc://localhost", 15002, True),
        ("sc://127.0.0.1:7077", 7077, True),
        ("sc://[::1]:7077/;user_id=a", 7077, True),
        ("sc://spark.example/;use_ssl=true", 15002, False),
    ],
)
def test_an_address(remote: str, port: int, here: bool) -> None:
    address = spark_address(remote)
    assert (address.port, address.here) == (port, here)


def test_another_machine_needs_a_folder_that_both_see(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="CRMSYNC_SPARK_SCRATCH must name a folder that both see"):
        SparkEngine("sc://spark.example/;use_ssl=true")
    with pytest.raises(ConfigError, match=r"CRMSYNC_SPARK_SCRATCH: the folder .*nowhere does not exist"):
        SparkEngine("sc://spark.example/;use_ssl=true", tmp_path / "nowhere")


def test_a_token_goes_to_this_machine_by_its_name_alone(remote: str) -> None:
    with pytest.raises(ConfigError, match="the host must be written localhost"):
        SparkEngine(remote, token="secret")
    SparkEngine(remote.replace("127.0.0.1", "localhost"), token="secret").close()


def test_what_the_transport_says_is_told() -> None:
    with pytest.raises(DataError, match=r"these tables: task 7 panicked"), told():
        raise RuntimeError(
            '<Rendezvous of RPC that terminated with:\n\tstatus = INTERNAL\n\tdetails = "task 7 panicked\nat'
        )


def test_no_server_is_said_at_once() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with pytest.raises(
        ConfigError, match=rf"no Spark Connect server answers at 127\.0\.0\.1:{port} \(Connection refused\)"
    ):
        SparkEngine(f"sc://127.0.0.1:{port}")


def test_the_extra_that_is_not_installed_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyspark.sql.connect.client.core", None)
    with pytest.raises(ConfigError, match=r"extra `spark`, which is not installed .*pip install 'crmsync\[spark\]'"):
        SparkEngine("sc://localhost")
