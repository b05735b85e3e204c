"""The same programs on Apache Spark itself: executors are processes of their own, and every column equals DuckDB's.

Run by `make clients`, which installs the server into an environment of its own (APACHE_SPARK names it).
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from crmsync.errors import DataError
from crmsync.levelling import sql
from crmsync.levelling.engine import DuckDbEngine
from crmsync.levelling.engine_spark import SparkEngine
from crmsync.strict_yaml import read_yaml
from crmsync.studies import cases as studies
from tests.clients.apache_spark import apache_spark, spark_home
from tests.conftest import PROJECT
from tests.engines import dialect
from tests.engines.equality import assess_on_both, assess_programs_on_both
from tests.engines.hazards import assess_hazards
from tests.levelling import test_cases
from tests.levelling.test_cases import Case, result_of
from tests.levelling.test_cases import cases as text_cases

ENVIRONMENT = os.environ.get("APACHE_SPARK")

pytestmark = [
    pytest.mark.skipif(ENVIRONMENT is None, reason="needs Apache Spark: run `make clients`"),
    pytest.mark.xdist_group("apache_spark"),
    pytest.mark.timeout(600),
]


@pytest.fixture(scope="module")
def remote(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of the server."""
    assert ENVIRONMENT is not None
    with apache_spark(spark_home(PROJECT / ENVIRONMENT), tmp_path_factory.mktemp("spark")) as address:
        yield address


def one_of_some_files() -> Iterator[Any]:
    """The last case of every fourth file that expects no refusal: the order of files and cases is fixed."""
    last = {case.values[0].file: case for case in text_cases() if case.values[0].get("error") is None}
    yield from list(last.values())[::4]


def test_expressions(remote: str) -> None:
    """Each over all its rows at once; test_dialect.py names them one by one."""
    duckdb, spark = DuckDbEngine(), SparkEngine(remote)
    for kind, rows, named in dialect.expressions():
        here, there = (dialect.values(engine, rows, named) for engine in (duckdb, spark))
        assert {name for name in named if here[name] != there[name]} == set(), kind
    assert dialect.totals(spark) == dialect.totals(duckdb)
    duckdb.close()
    spark.close()


def test_what_cannot_be_computed_is_told_once(remote: str, capfd: pytest.CaptureFixture[str]) -> None:
    engine = SparkEngine(remote)
    engine.register("t", pa.table({"a": ["abc"]}))
    with pytest.raises(DataError, match=r"could not compute the program on these tables: .*abc") as told:
        engine.read(sql.select([sql.cast(sql.col("a"), sql.DOUBLE)], sql.table("t")))
    engine.close()
    assert "\n" not in str(told.value)
    assert capfd.readouterr() == ("", "")


def test_hazards(remote: str, tmp_path: Path) -> None:
    """The rows where decimals and nulls bite; test_hazards.py names them one by one."""
    assess_hazards(tmp_path, assess_on_both(remote))


@pytest.mark.parametrize("case", list(one_of_some_files()))
def test_a_case(case: Case, remote: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(test_cases, "assess", assess_on_both(remote))
    result_of(case, tmp_path)


@pytest.mark.parametrize("name", ["two-paths", "line-points"])
def test_a_program_of_the_gallery(name: str, remote: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(studies, "assess_programs", assess_programs_on_both(remote))
    path = PROJECT / "config" / "programs" / "gallery" / f"{name}.yaml"
    first = read_yaml(path).mapping()["cases"].sequence()[0].mapping()["name"].text()
    assert len(studies.run_cases(path, [first])) == 1
