"""The gap where tiers ask the same metrics: each row is told its own tier's criteria, in the order of the file."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Any

from tests.levelling.facts import assessed

PROGRAM = """\
program: p
currency: EUR
metrics:
  a: {field: partners.a}
  b: {field: partners.b}
  c: {field: partners.c}
ladders:
  main:
    tiers:
      - low
      - {key: middle, requires: {all: [{a: 5}, {b: 3}]}}
      - {key: high, requires: {all: [{b: 6}, {a: 9}, {any: [{a: 20}, {c: 1}]}]}}
      - {key: top, requires: {at_least: 2, of: [{a: 30}, {b: 8}, {c: 4}], including: [{c: 4}]}}
categories: {one: {member: "a >= 0", ladder: main}}
"""
PARTNERS: list[dict[str, Any]] = [
    {"partner_id": "to middle", "a": 4.0, "b": 9.0, "c": 0.0},
    {"partner_id": "to high", "a": 8.0, "b": 4.0, "c": 0.0},
    {"partner_id": "to top", "a": 29.0, "b": 6.0, "c": 3.0},
]


def test_tiers_with_the_same_metrics_keep_their_own_order_and_paths(tmp_path: Path) -> None:
    standings = assessed(tmp_path, PROGRAM, {"partners": PARTNERS}, date(2026, 11, 21)).standings.to_pylist()
    rows = {row["partner_id"]: row for row in standings}
    told = {
        partner: [(one["metric"], one["required"], one["missing"], one["path"]) for one in row["gap"]]
        for partner, row in rows.items()
    }
    assert told == {
        "to middle": [("a", "5", "1", "all/1"), ("b", "3", "0", "all/2")],
        "to high": [("b", "6", "2", "all/1"), ("a", "9", "1", "all/2"), ("a", "20", "12", "all/3/any/1"),
                    ("c", "1", "1", "all/3/any/2")],
        "to top": [("a", "30", "1", "at_least/1"), ("b", "8", "2", "at_least/2"), ("c", "4", "1", "at_least/3")],
    }  # fmt: skip
    # of equal effort the higher share is the shortest path, and what must be included is always on it
    assert {partner: row["gap_summary"] for partner, row in rows.items()} == {
        "to middle": "a: 4 of 5, 1 missing",
        "to high": "b: 4 of 6, 2 missing; a: 8 of 9, 1 missing; a: 8 of 20, 12 missing",
        "to top": "a: 29 of 30, 1 missing; c: 3 of 4, 1 missing",
    }
    assert {partner: row["main_blocker"] for partner, row in rows.items()} == {
        "to middle": "a", "to high": "a", "to top": "c",
    }  # fmt: skip
    assert {partner: str(row["progress"]) for partner, row in rows.items()} == {
        "to middle": "90.0", "to high": "65.1", "to top": "85.8",
    }  # fmt: skip
