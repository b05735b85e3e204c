"""Several programs at once: what one gives is a metric of another."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Any

import pytest

from crmsync.errors import ConfigError
from crmsync.levelling.assess import assess, assess_programs
from crmsync.programs.loading import load_programs
from crmsync.programs.program import Program
from crmsync.snapshots import Snapshot
from tests.levelling.facts import facts_of, plain, snapshot_of

ACADEMY = """\
program: academy
metrics: {points: {field: partners.points}, steps: {field: partners.steps}}
categories:
  teaching: {member: points >= 0, ladder: teaching}
  practice: {member: steps >= 0, ladder: practice}
ladders:
  teaching: {tiers: [pupil, {key: master, requires: {points: 10}}]}
  practice: {tiers: [{key: trial, rank: 1}, {key: proven, rank: 5, requires: {steps: 3}}]}
"""
SALES = """\
program: sales
metrics:
  taught: {tier_of: {program: academy, category: teaching}}
  best: {tier_of: {program: academy}}
  sum: {formula: taught + 10 * best}
ladders: {main: {tiers: [low, {key: high, requires: {taught: master}}]}}
"""
PARTNERS: list[dict[str, Any]] = [
    {"partner_id": "A", "points": 12, "steps": 1},
    {"partner_id": "B", "points": 5, "steps": 9},
    {"partner_id": "C", "points": 50},
    {"partner_id": "D"},
]
AS_OF = date(2026, 11, 21)


def world(folder: Path, **files: str) -> tuple[list[Program], Snapshot]:
    """The programs of a folder, and the partners."""
    facts = facts_of({"partners": PARTNERS})
    snapshot, _ = snapshot_of(folder / "snapshot", facts)
    (folder / "programs").mkdir()
    for name, text in files.items():
        (folder / "programs" / f"{name}.yaml").write_text(text, encoding="utf-8")
    return load_programs(folder / "programs", facts.types), snapshot


def test_the_tier_in_another_program_is_a_metric(tmp_path: Path) -> None:
    """The file that reads comes first in the folder, the one that is read is assessed first all the same."""
    programs, snapshot = world(tmp_path, a_sales=SALES, b_academy=ACADEMY)
    found = dict(
        zip(dict.fromkeys(one.key for one in programs), assess_programs(programs, snapshot, AS_OF), strict=True)
    )
    rows = plain(found["sales"].standings)
    told = {partner: (row["calculated_tier"], row["metrics"]["taught"], row["metrics"]["best"])
            for (partner, _), row in rows.items()}  # fmt: skip
    # without a category the tier of the highest rank counts: master is 2nd of rank 2, proven 2nd of rank 5
    assert told == {"A": ("high", "2", "2"), "B": ("low", "1", "2"), "C": ("high", "2", "2"), "D": ("low", "0", "0")}
    assert plain(found["academy"].standings)["B", "practice"]["calculated_tier"] == "proven"


def test_a_program_alone_says_what_it_is_missing(tmp_path: Path) -> None:
    """`assess` knows one program; the other is asked for by name."""
    programs, snapshot = world(tmp_path, sales=SALES, academy=ACADEMY)
    sales = next(one for one in programs if one.key == "sales")
    with pytest.raises(ConfigError, match="metric taught reads the tiers of program academy"):
        assess(sales, snapshot, AS_OF)
