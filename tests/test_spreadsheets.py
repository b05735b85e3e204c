"""What a spreadsheet would run is text; what is a number stays one."""

from __future__ import annotations

import re

import pytest

from crmsync.spreadsheets import harmless_cell


@pytest.mark.parametrize(
    "cell", ["=1+1", "@SUM(A1)", "+cmd|' /C calc'!A0", "-2+3+cmd", "\t=1", "\r=1", "＝1", "-a", "+"]
)
def test_a_formula_becomes_text(cell: str) -> None:
    assert harmless_cell(cell) == f"'{cell}"


@pytest.mark.parametrize("cell", ["Firm;=1+1", "Firm\t@SUM(A1)", "Firm\r\n=1", "Firm; +cmd|' /C calc'!A0"])
def test_a_formula_behind_another_separator_becomes_text(cell: str) -> None:
    told = harmless_cell(cell)
    assert not [part for part in re.split(r"[;\t\r\n]\s*", told) if part.startswith(("=", "+", "-", "@"))]
    assert told.replace("'", "") == cell.replace("'", "")


@pytest.mark.parametrize("cell", ["-5", "+3.50", "-1,000.00", "1e-5", "-1E+9", "Firm = 1", "", None, -5, 0.1, "'=1"])
def test_everything_else_stays(cell: object) -> None:
    assert harmless_cell(cell) == cell
