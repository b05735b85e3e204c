"""The rows where engines part: equal on both, and what was worked out by hand."""

from __future__ import annotations

from typing import Any

import pytest

from tests.engines.equality import assess_on_both
from tests.engines.hazards import HAZARDS, assess_hazards, rows_by_hazard


@pytest.fixture(scope="module")
def rows(remote: str, tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    """Assessed on both engines, and compared there in all columns."""
    return rows_by_hazard(assess_hazards(tmp_path_factory.mktemp("hazards"), assess_on_both(remote)))


@pytest.mark.parametrize("hazard", list(HAZARDS))
def test_a_hazard(rows: dict[str, dict[str, Any]], hazard: str) -> None:
    row, expected = rows[hazard], HAZARDS[hazard].expect
    found = {name: row["calculated_tier"] if name == "tier" else row["metrics"][name] for name in expected}
    assert found == expected
