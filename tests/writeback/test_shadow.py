"""Hand-kept tiers beside calculated ones."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from crmsync.errors import ConfigError
from crmsync.writeback.shadow import Cell, Comparison, compare, save_comparison
from tests.writeback.facts import a_program, a_snapshot, missing, standing, standings


@pytest.fixture
def comparison(tmp_path: Path) -> Comparison:
    partners = [
        {"partner_id": "A", "name": "=Alpha()", "region": "EMEA", "current_tier": "Gold Partner"},
        {"partner_id": "B", "name": "Beta", "region": "EMEA", "current_tier": "silver"},
        {"partner_id": "C", "name": "Gamma", "region": "EMEA", "current_tier": None},
        {"partner_id": "D", "name": "Delta", "region": "EMEA", "current_tier": "Titanium"},
        {"partner_id": "E", "name": "Eta", "region": "EMEA", "current_tier": "Registered"},
    ]
    rows = [
        standing("A", "silver", gap=[missing("people", "4", "5")]),
        standing("B", "silver"),
        standing("C", "silver"),
        standing("D", "silver"),
        standing("E", "silver"),
    ]
    return compare(a_program(by_hand=True), a_snapshot(tmp_path / "s", None, partners), standings(rows))


def test_partners_are_counted_per_hand_kept_and_calculated_tier(comparison: Comparison):
    assert comparison.compared == 5
    assert Cell("All", "Gold", "Silver", 1) in comparison.cells
    assert Cell("All", "Silver", "Silver", 1) in comparison.cells
    assert Cell("All", "(empty)", "Silver", 1) in comparison.cells


def test_each_difference_names_the_deciding_criterion(comparison: Comparison):
    found = {d.partner_id: (d.hand_kept, d.calculated, d.direction, d.decided_by) for d in comparison.differences}
    meets = "meets Silver: Revenue 512,000 EUR (needs 80,000 EUR)"
    assert found == {
        "A": ("Gold", "Silver", "down", "misses Gold: Certified people 4 (needs 5)"),
        "C": ("(empty)", "Silver", "other", meets),
        "D": ("Titanium", "Silver", "other", meets),
        "E": ("Registered", "Silver", "up", meets),
    }


def test_the_comparison_is_saved_for_a_spreadsheet_without_formulas(comparison: Comparison, tmp_path: Path):
    save_comparison(comparison, tmp_path / "out" / "shadow.csv")
    with (tmp_path / "out" / "shadow.csv").open(newline="", encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    assert [row["partner_id"] for row in rows] == ["A", "C", "D", "E"]
    assert rows[0]["name"] == "'=Alpha()"
    assert (tmp_path / "out" / "shadow.cells.csv").read_text().splitlines()[
        0
    ] == "category,hand_kept,calculated,partners"


def test_the_printed_lines_say_how_many_agree(comparison: Comparison):
    assert comparison.lines[0] == "5 standings compared, 1 agree, 4 differ"
    assert "Beta" not in "\n".join(comparison.lines)


def test_a_program_without_hand_kept_tiers_cannot_be_compared(tmp_path: Path):
    with pytest.raises(ConfigError, match="starts_from"):
        compare(a_program(), a_snapshot(tmp_path / "s", {"A": {}}), standings([standing("A")]))


def test_a_hand_kept_column_that_was_not_delivered_is_named(tmp_path: Path):
    with pytest.raises(ConfigError, match=r"starts_from names partners\.current_tier, which was not delivered"):
        compare(a_program(by_hand=True), a_snapshot(tmp_path / "s", {"A": {}}), standings([standing("A")]))
