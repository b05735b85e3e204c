"""Standings computed for some partners after the others are those of all partners at once."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pyarrow as pa
import pyarrow.compute as pc
import pytest

from bench.base import AS_OF, Size, partner_base
from bench.levelling import RATES
from crmsync.levelling import engine
from crmsync.levelling.assess import assess
from crmsync.programs.program import Program
from crmsync.snapshots import Snapshot
from tests.levelling.facts import program_of

PROGRAM = """
program: turns
currency: EUR
rates: rates.csv
metrics:
  revenue: {unit: money, sum: opportunities.amount, where: is_won, during: last 12 months, rolls_up: sum}
  certified: {unit: people, count_distinct: certifications.person_id}
ladders:
  main:
    FAMILY
    tiers:
      - low
      - {key: mid, requires: {any: [{revenue: 60000}, {certified: 2}]}}
      - {key: top, requires: {revenue: 200000}}
categories:
  reseller: {member: "has(declared_categories, 'reseller')", ladder: main}
  msp: {member: "has(declared_categories, 'msp')", ladder: main}
"""
PLAIN, FAMILY = "climb: highest", "family: {tier: floor, from: parent}"


@pytest.fixture(scope="module")
def snapshot(tmp_path_factory: pytest.TempPathFactory) -> Snapshot:
    return partner_base(Size(300, 6_000, 1_500), cache=tmp_path_factory.mktemp("base"))


def assessed(program: Program, snapshot: Snapshot, turn: int, previous: pa.Table | None, light: bool) -> pa.Table:
    """As on a base that is large beside `turn`."""
    settings: Any = {"SMALL_BASE": 0, "PIECE": 16, "TURN": turn}
    with patch.multiple(engine, **settings):
        return assess(program, snapshot, AS_OF, previous, light=light).standings


@pytest.mark.parametrize("light", [True, False])
@pytest.mark.parametrize("rule", [PLAIN, FAMILY])
def test_in_turns_as_at_once(tmp_path: Path, snapshot: Snapshot, rule: str, light: bool) -> None:
    """With standings before, of partners who are no longer there too."""
    program = program_of(
        tmp_path, PROGRAM.replace("FAMILY", rule), files={"rates.csv": RATES.read_text(encoding="utf-8")}
    )
    before = assess(program, snapshot, AS_OF - timedelta(days=200)).standings
    gone = [pc.replace_substring(before.column("partner_id"), "AAA", ending) for ending in ("AAB", "ZZZ")]
    places = [pa.array(range(start, before.num_rows, 40)) for start in (0, 7)]
    renamed = [before.set_column(before.column_names.index("partner_id"), "partner_id", one) for one in gone]
    previous = pa.concat_tables([before, *(one.take(rows) for one, rows in zip(renamed, places, strict=True))])
    whole = assessed(program, snapshot, 1_000, previous, light)
    parts = assessed(program, snapshot, 40, previous, light)
    # of a family all are taken at once
    assert parts.column("partner_id").num_chunks > 5 or rule == FAMILY
    for name in whole.column_names:
        assert parts.column(name).to_pylist() == whole.column(name).to_pylist(), name
    keys = whole.select(["partner_id", "category"])
    assert keys.equals(keys.sort_by([("partner_id", "ascending"), ("category", "ascending")]))
    assert "left" in whole.column("movement").to_pylist()
