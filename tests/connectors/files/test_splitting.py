"""CSV text becomes records and cells: whatever was written is read back, with true line numbers, or refused."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from crmsync.connectors.files_headings import read_shape
from crmsync.connectors.files_records import read_blocks
from crmsync.connectors.files_split import split
from crmsync.errors import CrmsyncError

CELL = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=6) | st.text(
    '",;\t\r\n a', max_size=6
)
Row = tuple[int, list[str | None]]


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("split") / "notes.csv"


def encoded(rows: Sequence[Sequence[str]], delimiter: str, end: str, always: bool) -> str:
    """Rows as CSV, quoted where needed or always."""
    special = re.compile('["\r\n' + delimiter + "]")
    texts = [
        delimiter.join('"' + cell.replace('"', '""') + '"' if always or special.search(cell) else cell for cell in row)
        for row in rows
    ]
    return "".join(text + end for text in texts)


def records(path: Path, size: int, delimiter: str | None = None) -> tuple[list[Row], list[int]]:
    """Line and cells of each record, and the lines of the records that were left out."""
    shape = read_shape(path, delimiter)
    found: list[Row] = []
    faults: list[int] = []
    for block in read_blocks(shape, size):
        cells = split(block, shape)
        places = range(cells.table.num_rows) if cells.kept is None else cells.kept.tolist()
        columns = [column.to_pylist() for column in cells.table.columns]
        found += [(int(block.index.lines[at]), [c[row] for c in columns]) for row, at in enumerate(places)]
        faults += [int(block.index.lines[fault.record]) for fault in cells.faults]
    return found, faults


@given(
    rows=st.integers(2, 4).flatmap(lambda n: st.lists(st.lists(CELL, min_size=n, max_size=n), min_size=1, max_size=8)),
    delimiter=st.sampled_from(",;\t"),
    end=st.sampled_from(["\n", "\r\n"]),
    always=st.booleans(),
    bom=st.booleans(),
    size=st.sampled_from([1, 3, 16, 1 << 20]),
)
@settings(max_examples=250)
def test_what_was_written_is_read_back_with_its_line(
    file: Path, rows: list[list[str]], delimiter: str, end: str, always: bool, bom: bool, size: int
) -> None:
    """Any text, any delimiter, line end, quoting and block size; the line of a record is where an editor shows it."""
    headings = [f"c{place}" for place in range(len(rows[0]))]
    texts = [encoded([row], delimiter, end, always) for row in [headings, *rows]]
    file.write_bytes((b"\xef\xbb\xbf" if bom else b"") + "".join(texts).encode())
    lines = [1 + len(re.findall("\r\n|\n|\r", "".join(texts[:place]))) for place in range(1, len(texts))]
    expected = [(line, [cell or None for cell in row]) for line, row in zip(lines, rows, strict=True)]
    assert records(file, size) == (expected, [])


@given(body=st.text('",;\r\nab', max_size=30), size=st.sampled_from([1, 5, 1 << 20]))
@settings(max_examples=400)
@example(body='a"b,c\n', size=1)
@example(body='"a"b,"c\nd,e\n', size=1)
@example(body='"a\n"",b\r\r"', size=1)
def test_odd_quoting_is_refused_or_read_as_the_standard_reader_does(file: Path, body: str, size: int) -> None:
    """No text gives other cells than Python's csv module finds, and the block size changes nothing."""
    file.write_bytes(b"x,y\n" + body.encode())
    outcome = records_or_error(file, size)
    assert outcome == records_or_error(file, 1 << 20)
    if isinstance(outcome, str):
        assert "never closed" in outcome
        return
    found, faults = outcome
    if not faults:
        standard = [row for row in csv.reader(io.StringIO(body, newline=""), strict=True) if row]
        assert [[cell or "" for cell in row] for _, row in found] == standard


def records_or_error(path: Path, size: int) -> tuple[list[Row], list[int]] | str:
    try:
        return records(path, size)
    except CrmsyncError as error:
        return str(error)


@given(body=st.binary(max_size=60))
def test_any_bytes_end_in_rows_or_a_clear_error(file: Path, body: bytes) -> None:
    file.write_bytes(b"x,y\n" + body)
    outcome = records_or_error(file, 8)
    assert not isinstance(outcome, str) or (outcome.startswith(str(file)) and "\n" not in outcome)


def test_a_record_longer_than_a_block_is_one_record(file: Path) -> None:
    long = "line\n" * 10_000
    file.write_text(f'x,y\n"{long}",1\nb,2\n', newline="")
    assert records(file, 64) == ([(2, [long, "1"]), (10_003, ["b", "2"])], [])


def test_a_row_with_misplaced_quotes_is_left_out_and_the_next_goes_on(file: Path) -> None:
    file.write_text('x,y\n5" pipe,1\nb,2\n"c"d,3\n"e ""f"" g",4\n', newline="")
    assert records(file, 8) == ([(3, ["b", "2"]), (5, ['e "f" g', "4"])], [2, 4])


def test_a_row_with_a_nul_is_left_out(file: Path) -> None:
    file.write_bytes(b'x,y\na,1\nb\0,2\nc,"\n3"\n')
    assert records(file, 8) == ([(2, ["a", "1"]), (4, ["c", "\n3"])], [3])


def test_line_breaks_in_a_row_with_misplaced_quotes_are_counted(file: Path) -> None:
    file.write_text('x,y\n"a\nb"c,1\nd,2\n', newline="")
    assert records(file, 8) == ([(4, ["d", "2"])], [2])


def test_a_single_carriage_return_ends_a_line(file: Path) -> None:
    file.write_bytes(b"x,y\ra,1\rb,2\r")
    assert records(file, 4) == ([(2, ["a", "1"]), (3, ["b", "2"])], [])


def test_blank_lines_are_counted_but_are_no_rows(file: Path) -> None:
    file.write_bytes(b"\n\nx,y\r\n\r\na,1\r\n\r\n\r\nb,2")
    assert records(file, 4) == ([(5, ["a", "1"]), (8, ["b", "2"])], [])
