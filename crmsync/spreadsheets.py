"""Cells of files that people open in a spreadsheet."""

from __future__ import annotations

import re
from typing import Any

FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")
HIDDEN_START = re.compile(r"([;\t\r\n]\s*)([=+\-@＝＋－＠])")
"""A spreadsheet that parts cells by another sign than the file, as in Germany, begins a cell there."""

NUMBER = re.compile(r"[+-]?\d[\d.,]*(e[+-]?\d+)?", re.IGNORECASE)


def harmless_cell(cell: Any) -> Any:
    """The cell, with a quote before a text that a spreadsheet would run as a formula; numbers stay numbers."""
    if not isinstance(cell, str) or NUMBER.fullmatch(cell):
        return cell
    parted = cell[:1] + HIDDEN_START.sub(r"\1'\2", cell[1:])
    return f"'{parted}" if cell.startswith(FORMULA_STARTS) else parted
