"""Tables that Markdown reads, each printed as soon as it is whole."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

Cell = str | int | float | None
"""A text, a count, a figure with two decimals, or nothing."""


@dataclass(frozen=True)
class Table:
    """Rows under a heading. `note`: what is aimed at, or how to read it."""

    title: str
    head: tuple[str, ...]
    rows: Sequence[Sequence[Cell]]
    note: str = ""

    def print(self) -> None:
        """Print the table; columns of figures are set to the right."""
        shown = [[_shown(cell) for cell in row] for row in self.rows]
        lines = [list(self.head), *shown]
        widths = [max(len(line[at]) for line in lines) for at in range(len(self.head))]
        right = [not any(isinstance(row[at], str) for row in self.rows) for at in range(len(self.head))]
        print(f"\n## {self.title}\n", flush=True)
        if self.note:
            print(f"{self.note}\n")
        rule = ["-" * (width - 1) + (":" if at_right else "-") for width, at_right in zip(widths, right, strict=True)]
        for line in (lines[0], rule, *shown):
            cells = zip(line, widths, right, strict=True)
            print("| " + " | ".join(_set(cell, width, at_right) for cell, width, at_right in cells) + " |")


def _set(cell: str, width: int, right: bool) -> str:
    return cell.rjust(width) if right else cell.ljust(width)


def _shown(cell: Cell) -> str:
    if cell is None:
        return ""
    if isinstance(cell, float):
        return f"{cell:,.2f}"
    return cell if isinstance(cell, str) else f"{cell:,}"
