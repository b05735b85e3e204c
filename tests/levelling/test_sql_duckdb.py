"""The text for DuckDB: what has a short way is written as SQLGlot would write it."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest
from sqlglot import exp

from crmsync.levelling import engine, sql
from crmsync.levelling.sql import Sql
from crmsync.levelling.sql_duckdb import duckdb_text
from tests.conftest import PROJECT
from tests.levelling.facts import assessed

V = sql.col("v")
NODES = {
    "a name with quotes": sql.col('a "b"', "t"),
    "a text with quotes": sql.text("it's"),
    "a text of lines": sql.text("a\nb\\c"),
    "a negative number": sql.number(-3),
    "a negative double": sql.sub(V, sql.double("-0.5")),
    "no text": sql.text(""),
    "a type with digits": sql.cast(V, sql.MONEY),
    "two types of digits": sql.add(sql.cast(V, sql.MONEY), sql.cast(V, sql.EXACT)),
    "a type of parts": sql.cast(sql.struct({"a": V}), "STRUCT<a TEXT>"),
    "a list": sql.empty_array("STRUCT<a TEXT, b DECIMAL(4, 1)>"),
    "a case of a value": exp.Case(this=V, ifs=[exp.If(this=sql.number(1), true=V)]),
    "a case without else": sql.case([(sql.is_null(V), V), (sql.not_null(V), sql.null())]),
    "nested conditions": sql.not_(sql.or_(sql.and_(V, V, V), sql.true(), sql.in_(V, [V]))),
    "functions": sql.coalesce(sql.nullif(sql.abs_(V), V), sql.round_(V, 2), sql.floor(sql.ceil(V))),
    "least of known": sql.least_known(V, V),
    "least": sql.least(V, V),
    "numbers as text": sql.number_text(V),
    "money as text": sql.money_text(V),
    "joined": sql.joined([V, sql.concat(V, V)], "'"),
    "a window": sql.running_sum(V, [V], V),
    "an interval": sql.plus_interval(V, -1, "MONTH"),
    "a filter": sql.count(sql.eq(V, sql.day(date(2026, 1, 31)))),
    "a cast that may fail": exp.Cast(this=V, to=exp.DataType.build("DATE"), format=sql.text("%d")),
}


@pytest.mark.parametrize("node", NODES.values(), ids=NODES)
def test_a_node_is_written_as_sqlglot_writes_it(node: Sql) -> None:
    query = sql.select(
        [sql.named(node, "x")], sql.table("t", "u"), [("left", sql.table("o"), sql.eq(V, V))], sql.true()
    )
    assert duckdb_text(query) == query.sql(dialect="duckdb")


def test_the_statements_of_a_program_are_written_as_sqlglot_writes_them(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    compared = []

    def both(query: Sql) -> str:
        expected = query.sql(dialect="duckdb")
        found = duckdb_text(query)
        assert found == expected
        compared.append(found)
        return found

    monkeypatch.setattr(engine, "duckdb_text", both)
    program = (
        (PROJECT / "bench" / "program" / "channel.yaml").read_text(encoding="utf-8").replace("rates: rates.csv", "")
    )
    assessed(tmp_path, program, {"partners": [{"partner_id": "A"}]}, date(2026, 11, 21))
    assert len(compared) > 10
