"""Small CSV files beside a program: read as text with line numbers, as a spreadsheet saves them."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from crmsync.errors import ConfigError
from crmsync.strict_yaml import Node, date_of, decimal_of, nearest, one_line, read_text

MAX_SHEET_BYTES = 32 << 20


@dataclass(frozen=True)
class Sheet:
    """A CSV file. `rows`: one mapping per line, cells trimmed; `lines`: the line of each row, counted from 1."""

    file: Path
    columns: tuple[str, ...]
    rows: tuple[dict[str, str], ...]
    lines: tuple[int, ...]

    def fail(self, row: int, message: str) -> ConfigError:
        """The error to raise about one row."""
        return ConfigError(one_line(message), file=str(self.file), line=self.lines[row])

    def fail_head(self, message: str) -> ConfigError:
        """The error to raise about the header."""
        return ConfigError(message, file=str(self.file), line=1)


def read_sheet(node: Node, needed: Sequence[str] = ()) -> Sheet:
    """The CSV file that a value names, relative to the program file. Errors: ConfigError."""
    name = node.text()
    file = Path(node.file).parent / name
    if not is_file(file):
        known = [one.name for one in file.parent.glob("*.csv")] if file.parent.is_dir() else []
        raise node.fail(f"`{name}` is no file beside the program (looked for {file}){nearest(name, known)}")
    sheet = _parsed(read_text(file, MAX_SHEET_BYTES), file)
    for column in needed:
        if column not in sheet.columns:
            raise sheet.fail_head(f"column `{column}` is missing{nearest(column, sheet.columns)}")
    return sheet


def is_file(file: Path) -> bool:
    """Whether there is such a file."""
    try:
        return file.is_file()
    except (OSError, ValueError):  # a name that no file can have
        return False


def _parsed(text: str, file: Path) -> Sheet:
    first = text.split("\n", 1)[0]
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=";" if ";" in first and "," not in first else ",")
    head: tuple[str, ...] | None = None
    rows, lines, line = [], [], 1
    try:
        for cells in reader:
            start, line = line, reader.line_num + 1
            if not any(cell.strip() for cell in cells):
                continue
            if head is None:
                head = _head(cells, file, start)
                continue
            if len(cells) != len(head):
                raise ConfigError(f"{len(cells)} cells, but {len(head)} columns", file=str(file), line=start)
            rows.append(dict(zip(head, (cell.strip() for cell in cells), strict=True)))
            lines.append(start)
    except csv.Error as error:
        raise ConfigError(f"is not CSV: {error}", file=str(file), line=line) from error
    if head is None:
        raise ConfigError("is empty; the first line names the columns", file=str(file), line=1)
    return Sheet(file, head, tuple(rows), tuple(lines))


def _head(cells: Sequence[str], file: Path, line: int) -> tuple[str, ...]:
    names = tuple(cell.strip() for cell in cells)
    for index, name in enumerate(names):
        if not name or name in names[:index]:
            problem = f"column `{one_line(name)}` stands twice" if name else f"column {index + 1} has no name"
            raise ConfigError(problem, file=str(file), line=line)
    return names


def kind_of_cells(cells: Sequence[str]) -> str:
    """yes_no, date, number or text, by the filled cells (all empty: text).

    Source: program-language, section 1, columns without a mapping.
    """
    filled = [cell for cell in cells if cell]
    if not filled:
        return "text"
    if all(cell.lower() in ("true", "false") for cell in filled):
        return "yes_no"
    if all(date_of(cell) for cell in filled):
        return "date"
    return "number" if all(_is_plain_number(cell) for cell in filled) else "text"


def _is_plain_number(cell: str) -> bool:
    whole = cell.removeprefix("-").split(".")[0]
    return not cell.endswith("%") and decimal_of(cell) is not None and (len(whole) == 1 or whole[0] != "0")
