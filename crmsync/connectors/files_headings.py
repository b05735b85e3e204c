"""The headings of a CSV file: its encoding, how cells are separated, what the columns are called."""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from crmsync.connectors.files_quotes import line_breaks
from crmsync.errors import ConfigError

HEADING_LIMIT = 1 << 20
DELIMITERS = MappingProxyType({",": "comma", ";": "semicolon", "\t": "tab"})

_SAVE_AS = "save it as UTF-8 (in Excel: Save as, `CSV UTF-8`)"


@dataclass(frozen=True)
class Shape:
    """What the first line of a CSV file says: its headings, how cells are separated, and where the rows begin."""

    path: Path
    headings: tuple[str, ...]
    delimiter: str
    heading_line: int
    body_offset: int
    body_line: int


def read_shape(path: Path, delimiter: str | None = None) -> Shape:
    """The headings of a CSV file. `delimiter` None: found from the first line.

    Errors: ConfigError naming file and line when there are no headings or the encoding is not UTF-8.
    """
    head = _head(path)
    offset = 3 if head.startswith(b"\xef\xbb\xbf") else 0
    offset, line, delimiter = _after_preamble(head, offset, delimiter)
    end = _first_record_end(path, head, offset, line)
    text = decoded(head[offset:end], str(path), line).rstrip("\r\n")
    if not text.strip():
        raise ConfigError("is empty; the first line must name the columns", file=str(path), line=line)
    delimiter = delimiter or _delimiter(text, str(path), line)
    names = next(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter))
    headings = tuple(name.strip() for name in names)
    return Shape(path, headings, delimiter, line, end, line + len(line_breaks(head[offset:end])))


def _head(path: Path) -> bytes:
    try:
        with path.open("rb") as stream:
            head = stream.read(HEADING_LIMIT)
    except OSError as error:
        raise ConfigError(f"cannot be read: {error.strerror or error}", file=str(path)) from error
    if head.startswith((b"\xff\xfe", b"\xfe\xff")) or b"\0" in head[:2]:
        raise ConfigError(f"is UTF-16 text, not UTF-8; {_SAVE_AS}", file=str(path), line=1)
    if head[:4] in (b"PK\x03\x04", b"\xd0\xcf\x11\xe0"):
        raise ConfigError(f"is a workbook, not a CSV file; {_SAVE_AS}", file=str(path), line=1)
    return head


def _after_preamble(head: bytes, offset: int, delimiter: str | None) -> tuple[int, int, str | None]:
    """Skip blank lines and Excel's own `sep=;` line, which names the delimiter."""
    line = 1
    while True:
        end = head.find(b"\n", offset)
        content = head[offset : end + 1].strip(b"\r\n")
        if end < 0 or not (content == b"" or (line == 1 and content.lower().startswith(b"sep=") and len(content) == 5)):
            return offset, line, delimiter
        if content:
            delimiter = delimiter or content[4:].decode("latin-1")
        offset, line = end + 1, line + 1


def _first_record_end(path: Path, head: bytes, offset: int, line: int) -> int:
    inside = False
    for position in range(offset, len(head)):
        character = head[position]
        if character == 34:
            inside = not inside
        elif not inside and character in (10, 13):
            return position + (2 if head[position : position + 2] == b"\r\n" else 1)
    if inside:
        raise ConfigError("a quote is opened among the headings and never closed", file=str(path), line=line)
    if len(head) == HEADING_LIMIT:
        raise ConfigError("the first line is longer than 1 MiB; it must name the columns", file=str(path), line=line)
    return len(head)


def _delimiter(text: str, file: str, line: int) -> str:
    """The delimiter that occurs most often outside quotes in the first line."""
    bare = "".join(text.split('"')[::2])
    counts = {delimiter: bare.count(delimiter) for delimiter in DELIMITERS}
    most = max(counts.values())
    found = [delimiter for delimiter in DELIMITERS if counts[delimiter] == most]
    if most and len(found) > 1:
        names = " and ".join(DELIMITERS[one] for one in found)
        raise ConfigError(f"{names} are equally frequent; name the `delimiter:` in files.yaml", file=file, line=line)
    return found[0]


def decoded(piece: bytes, file: str, line: int) -> str:
    try:
        return piece.decode("utf-8")
    except UnicodeDecodeError as error:
        at = line + len(line_breaks(piece[: error.start]))
        shown = piece[error.start : error.start + 1].hex().upper()
        guess = piece[error.start : error.start + 1].decode("cp1252", "replace")
        raise ConfigError(
            f"byte {shown} is not UTF-8 text (in Windows-1252 it is `{guess}`); {_SAVE_AS}", file=file, line=at
        ) from error
