"""One tree, two texts: every constructor of SQL gives the same values on both engines."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from crmsync.levelling.engine import DuckDbEngine
from crmsync.levelling.engine_spark import SparkEngine
from tests.engines.dialect import AGGREGATES, ROWS, totals, values

NAMED = [(kind, name) for kind, (_, named) in ROWS.items() for name in named]


@pytest.fixture(scope="module")
def found(remote: str) -> Iterator[dict[str, Any]]:
    """Values by engine and kind of rows; computed once."""
    engines = {"duckdb": DuckDbEngine(), "spark": SparkEngine(remote)}
    yield {
        key: {kind: values(engine, *of) for kind, of in ROWS.items()} | {"totals": totals(engine)}
        for key, engine in engines.items()
    }
    for engine in engines.values():
        engine.close()


@pytest.mark.parametrize(("kind", "name"), NAMED, ids=lambda word: str(word))
def test_an_expression(found: dict[str, Any], kind: str, name: str) -> None:
    rows = ROWS[kind][0].drop_columns(["row"]).to_pylist()
    pairs = zip(rows, found["duckdb"][kind][name], found["spark"][kind][name], strict=True)
    assert [(row, here, there) for row, here, there in pairs if here != there] == []


@pytest.mark.parametrize("name", list(AGGREGATES))
def test_an_aggregate(found: dict[str, Any], name: str) -> None:
    assert found["spark"]["totals"][name] == found["duckdb"]["totals"][name]
