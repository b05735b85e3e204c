"""What a spreadsheet would run is text; what is a number stays one."""

from __future__ import annotations

import pytest

from crmsync.spreadsheets import harmless_cell


@pytest.mark.parametrize(
    "cell", ["=1+1", "@SUM(A1)", "+cmd|' /C calc'!A0", "-2+3+cmd", "\t=1", "\r=1", "＝1", "-a", "+"]
)
def test_a_formula_becomes_text(cell: str) -> None:
    assert harmless_cell(cell) == f"'{cell}"


@pytest.mark.parametrize("cell", ["-5", "+3.50", "-1,000.00", "1e-5", "-1E+9", "Firm = 1", "", None, -5, 0.1, "'=1"])
def test_everything_else_stays(cell: object) -> None:
    assert harmless_cell(cell) == cell
