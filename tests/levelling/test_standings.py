"""The standings file: the same in CSV, JSON lines and Parquet, and what can be read back from it."""

from __future__ import annotations

import csv
import json
from datetime import date
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from crmsync.errors import ConfigError, StoreError
from crmsync.levelling.standings import COLUMNS, JSON_COLUMNS, json_text, read_standings, together, write_standings
from tests.levelling.facts import assessed

PROGRAM = """\
program: p
currency: EUR
metrics:
  m: {unit: money, field: partners.m}
  plan: {unit: yes_no, field: partners.plan}
  x: {average: activities.value}
ladders: {main: {tiers: [low, {key: high, label: "Hoch, 1", requires: {m: 1000}}]}}
"""
READABLE = [name for name in COLUMNS if name not in JSON_COLUMNS - {"overrides"}]


@pytest.fixture(scope="module")
def standings(tmp_path_factory: pytest.TempPathFactory) -> pa.Table:
    tables: Any = {
        "partners": [{"partner_id": "A", "m": 12.5, "plan": True}, {"partner_id": 'B "ü", 1', "m": None, "plan": None}],
        "overrides": [{"partner_id": "A", "kind": "pin", "tier": "high", "reason": "a, b\nc", "approved_by": "Ann",
                       "ends_on": date(2027, 1, 1)}],
    }  # fmt: skip
    return assessed(tmp_path_factory.mktemp("standings"), PROGRAM, tables, date(2026, 11, 21)).standings


@pytest.mark.parametrize("ending", [".csv", ".jsonl", ".parquet"])
def test_what_is_written_is_read_back(standings: pa.Table, tmp_path: Path, ending: str) -> None:
    """Texts, dates and whether an override was in force; no other file is left behind."""
    out = tmp_path / f"standings{ending}"
    write_standings(standings, out)
    found = read_standings(out, READABLE).to_pylist()
    for read, row in zip(found, standings.to_pylist(), strict=True):
        assert read.pop("overridden") == bool(row["overrides"])
        same = {name: row[name] for name in read if name not in ("progress", "provisional", "format")}
        assert {name: read[name] for name in same} == same
    assert [path.name for path in tmp_path.iterdir()] == [out.name]


def test_json_columns_are_nested_values_in_lines_and_text_in_csv(standings: pa.Table, tmp_path: Path) -> None:
    write_standings(standings, tmp_path / "s.csv")
    write_standings(standings, tmp_path / "s.jsonl")
    write_standings(standings, tmp_path / "s.parquet")
    lines = [json.loads(line) for line in (tmp_path / "s.jsonl").read_text(encoding="utf-8").splitlines()]
    with (tmp_path / "s.csv").open(encoding="utf-8", newline="") as stream:
        cells = list(csv.DictReader(stream))
    parquet = pq.read_table(tmp_path / "s.parquet").to_pylist()
    for line, cell, row in zip(lines, cells, parquet, strict=True):
        for name in JSON_COLUMNS:
            assert line[name] == row[name]
            assert (json.loads(cell[name]) if cell[name] else None) == line[name]
        assert list(line) == list(COLUMNS)


def test_null_is_an_empty_cell_and_yes_no_is_true_or_false(standings: pa.Table, tmp_path: Path) -> None:
    write_standings(standings, tmp_path / "s.csv")
    with (tmp_path / "s.csv").open(encoding="utf-8", newline="") as stream:
        first = next(csv.DictReader(stream))
    assert (first["previous_tier"], first["provisional"], first["as_of"]) == ("", "false", "2026-11-21")
    assert json.loads(first["metrics"]) == {"m": "12.50", "plan": True, "x": None}
    assert json.loads(first["gap"])[0]["missing"] == "987.50"


def test_numbers_in_json_are_exact_text(standings: pa.Table) -> None:
    entry = standings.to_pylist()[0]["gap"][0]
    assert json_text(entry) == (
        '{"metric":"m","value":"12.50","required":"1000.00","missing":"987.50","met":false,"path":"all/1",'
        '"exhausted":false}'
    )


def test_only_the_split_values_that_a_partner_has_are_written_as_json(tmp_path: Path) -> None:
    """In Parquet a struct has nulls for the values of others."""
    program = """\
program: p
metrics: {deals: {count: opportunities, split_by: region}, mean: {average: activities.value}}
ladders: {main: {tiers: [low]}}
"""
    tables: Any = {
        "partners": [{"partner_id": "A"}, {"partner_id": "B"}],
        "opportunities": [{"opportunity_id": "1", "partner_id": "A", "region": "EMEA"}],
    }
    found = assessed(tmp_path, program, tables, date(2026, 11, 21)).standings
    write_standings(found, tmp_path / "s.jsonl")
    write_standings(found, tmp_path / "s.csv")
    rows = [json.loads(line)["metrics"] for line in (tmp_path / "s.jsonl").read_text("utf-8").splitlines()]
    assert rows == [{"deals": "1", "deals[EMEA]": "1", "mean": None}, {"deals": "0", "mean": None}]
    with (tmp_path / "s.csv").open(encoding="utf-8", newline="") as stream:
        assert [json.loads(row["metrics"]) for row in csv.DictReader(stream)] == rows


def test_an_ending_that_is_no_format_is_refused(standings: pa.Table, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"ends in \.xlsx; use \.csv, \.jsonl, \.parquet"):
        write_standings(standings, tmp_path / "s.xlsx")


def test_a_folder_that_is_not_there_is_told(standings: pa.Table, tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="cannot be written"):
        write_standings(standings, tmp_path / "gone" / "s.csv")


def test_a_missing_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no such file"):
        read_standings(tmp_path / "s.csv")


@pytest.mark.parametrize(
    ("name", "text"),
    [("s.csv", "a,b\n1,2\n"), ("s.jsonl", "{}\n"), ("s.jsonl", "not json\n"), ("s.parquet", "no parquet")],
)
def test_a_file_that_is_no_standings_is_told(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / name).write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError, match=r"not a standings file|s\.jsonl:1: a row is not JSON"):
        read_standings(tmp_path / name)


def test_of_several_programs_each_row_has_its_own_parts(tmp_path: Path) -> None:
    columns = {name: [None] for name in COLUMNS}
    one = pa.table(columns | {"program": ["a"], "partner_id": ["P"], "category": ["all"], "metrics": [{"x": "1"}]})
    two = pa.table(columns | {"program": ["b"], "partner_id": ["P"], "category": ["all"], "metrics": [{"y": None}]})
    out = tmp_path / "s.jsonl"
    write_standings(together([two, one]), out)
    rows = [json.loads(line) for line in out.read_text("utf-8").splitlines()]
    assert [(row["program"], row["metrics"]) for row in rows] == [("a", {"x": "1"}), ("b", {"y": None})]
