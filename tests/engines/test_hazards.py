"""The rows where engines part: equal on both, and what was worked out by hand."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Any

import pytest

from tests.engines.equality import assess_on_both
from tests.engines.hazards import HAZARDS, assess_hazards, rows_by_hazard
from tests.levelling.facts import facts_of, plain, program_of, snapshot_of

REMEMBERS = """
program: p
movement: {hold: {after_promotion: 30 days}}
metrics: {a: {field: partners.a}, held: {held_for: {tier: high}}}
ladders: {main: {tiers: [low, {key: high, requires: {a: 5}}]}}
"""


@pytest.fixture(scope="module")
def rows(remote: str, tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    """Assessed on both engines, and compared there in all columns."""
    return rows_by_hazard(assess_hazards(tmp_path_factory.mktemp("hazards"), assess_on_both(remote)))


@pytest.mark.parametrize("hazard", list(HAZARDS))
def test_a_hazard(rows: dict[str, dict[str, Any]], hazard: str) -> None:
    row, expected = rows[hazard], HAZARDS[hazard].expect
    found = {name: row["calculated_tier"] if name == "tier" else row["metrics"][name] for name in expected}
    assert found == expected


def test_who_is_gone_leaves_an_empty_state(remote: str, tmp_path: Path) -> None:
    """A struct with a struct in it, empty as a whole."""
    facts = [facts_of({"partners": [{"partner_id": one, "a": 9} for one in ids]}) for ids in ("AB", "A")]
    first, later = (snapshot_of(tmp_path / str(at), one)[0] for at, one in enumerate(facts))
    program = program_of(tmp_path, REMEMBERS, facts[0].types)
    before = assess_on_both(remote)(program, first, date(2026, 11, 1)).standings
    found = plain(assess_on_both(remote)(program, later, date(2026, 11, 2), before).standings)
    assert (found["B", "all"]["movement"], found["B", "all"]["state"]) == ("left", None)
