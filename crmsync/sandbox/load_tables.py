"""What is loaded into an org: CSV files of a folder, or the rows of a sample company."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any


class LoadError(Exception):
    """Data that cannot be loaded; the message names file, line, column and value."""


@dataclass(frozen=True)
class Table:
    """The rows of one object, each with the line it ends on. `file` is for messages."""

    name: str
    file: str
    columns: Sequence[str]
    rows: Iterator[tuple[int, Sequence[Any]]]


def folder_tables(folder: Path) -> list[Table]:
    """The CSV files of a folder, ordered by name. Errors: LoadError."""
    if not folder.is_dir():
        raise LoadError(f"{folder}: is no folder")
    csv.field_size_limit(10_000_000)
    return [_csv_table(path) for path in sorted(folder.glob("*.csv"))]


def company_tables(objects: Mapping[str, tuple[Sequence[str], Iterable[Sequence[Any]]]]) -> list[Table]:
    """The tables of a sample company."""
    return [Table(name, name, columns, enumerate(rows, 2)) for name, (columns, rows) in objects.items()]


def _csv_table(path: Path) -> Table:
    reader = _lines(path)
    try:
        _, columns = next(reader)
    except StopIteration:
        raise LoadError(f"{path.name}: is empty; the first line holds API field names") from None
    return Table(path.stem, path.name, [column.strip() for column in columns], reader)


def _lines(path: Path) -> Iterator[tuple[int, list[str]]]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            head = file.readline()
            file.seek(0)
            reader = csv.reader(file, delimiter=";" if ";" in head and "," not in head else ",", strict=True)
            width = None
            for cells in reader:
                if not cells:
                    continue
                width = width or len(cells)
                if len(cells) != width:
                    raise LoadError(f"{path.name}:{reader.line_num}: {len(cells)} cells, but the header has {width}")
                yield reader.line_num, cells
    except UnicodeDecodeError as error:
        raise LoadError(f"{path.name}: is not UTF-8 text: {error.reason} at byte {error.start}") from None
    except csv.Error as error:
        raise LoadError(f"{path.name}: is not a CSV file: {error}") from None
    except OSError as error:
        raise LoadError(f"{path.name}: cannot be read: {error.strerror}") from None


def nearest(word: str, known: Iterable[str]) -> str:
    """`; did you mean X?`, or nothing when no known name is close."""
    close = get_close_matches(word, list(known), 1)
    return f"; did you mean {close[0]}?" if close else ""
