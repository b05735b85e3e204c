"""YAML 1.2 read strictly: every scalar stays text, every value knows its line, whatever is doubtful is refused.

Built on parser events, never on constructed objects, so that `NO` stays Norway and a file cannot build anything.
Refused with file:line: duplicate keys, anchors and aliases, tags, directives, several documents, tabs, keys without a
value, files over 1 MiB, nesting deeper than 40, bytes that are not UTF-8, an empty file.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from difflib import get_close_matches
from functools import lru_cache
from pathlib import Path
from types import MappingProxyType

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.events import (
    AliasEvent,
    DocumentStartEvent,
    Event,
    MappingEndEvent,
    MappingStartEvent,
    NodeEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
)

from crmsync.errors import ConfigError

MAX_BYTES = 1 << 20
MAX_DEPTH = 40
KEPT = 32  # texts whose nodes are kept
_DIGITS_MAX = 28  # what Decimal and DECIMAL(38, 9) hold exactly

_NUMBER = re.compile(r"-?([0-9]+)(?:\.([0-9]+))?")
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_ODD_BREAK = re.compile("[\x85\u2028\u2029]")
_UNSEEN = re.compile("[\x00-\x09\x0b-\x1f\x7f\ud800-\udfff]")
_YES_NO = MappingProxyType({"yes": True, "true": True, "no": False, "false": False})

_FLOW_HINT = "in {} or [] a value with a comma needs quotes"
_HINTS = (
    ("block scalar", '; a comparison needs quotes, like "> 4"'),
    ("character '>'", '; a comparison needs quotes, like "> 4"; at least 4 is written 4'),
    ("cannot start", "; a value that begins with it needs quotes"),
    ("but got ':'", f"; {_FLOW_HINT}, or a comma is missing before this entry"),
    ("flow", f"; {_FLOW_HINT}"),
    ("mapping values", "; a value with `: ` in it needs quotes"),
)


def nearest(name: str, known: Iterable[str]) -> str:
    """`; did you mean `x`?` for the nearest known name, else the few known names, else nothing."""
    names = sorted(set(known))
    close = get_close_matches(name, names, 1, 0.6) or [one for one in names if one.lower() == name.lower()]
    if close:
        return f"; did you mean `{close[0]}`?"
    if 0 < len(names) <= 12:
        return "; known: " + ", ".join(f"`{one}`" for one in names)
    return ""


def one_line(text: str, most: int = 500) -> str:
    """The text on one line, shortened in the middle: a value may run over many lines of a file."""
    whole = " ".join(text.split("\n"))
    return whole if len(whole) <= most else f"{whole[: most * 3 // 4]} ... {whole[-most // 4 :]}"


@dataclass(frozen=True)
class Node:
    """One value of a file with its place. Scalars are text; `quoted` says whether the admin put quotes around it."""

    file: str
    line: int
    value: str | list[Node] | dict[str, Node]
    quoted: bool = False
    key_lines: Mapping[str, int] = field(default_factory=dict)

    def fail(self, message: str) -> ConfigError:
        """The error to raise about this value: `raise node.fail("…")`."""
        return ConfigError(one_line(message), file=self.file, line=self.line)

    def fail_at_key(self, key: str, message: str) -> ConfigError:
        """The error to raise about a key of this mapping."""
        return ConfigError(one_line(message), file=self.file, line=self.key_lines.get(key, self.line))

    @property
    def is_text(self) -> bool:
        """Whether this is a scalar."""
        return isinstance(self.value, str)

    @property
    def is_mapping(self) -> bool:
        """Whether this has keys."""
        return isinstance(self.value, dict)

    @property
    def is_sequence(self) -> bool:
        """Whether this is a list."""
        return isinstance(self.value, list)

    def text(self) -> str:
        """The scalar's text, as written."""
        if not isinstance(self.value, str):
            raise self.fail(f"a single value is needed here, not {self._shape}")
        return self.value

    def integer(self) -> int:
        """A whole number."""
        text = self.text()
        if not re.fullmatch(r"-?[0-9]{1,18}", text):
            raise self.fail(f"`{text}` is not a whole number")
        return int(text)

    def decimal(self) -> Decimal:
        """A plain decimal number, read exactly; `30%` is 0.3."""
        text = self.text()
        number = decimal_of(text)
        if number is None:
            raise self.fail(f"`{text}` is not a number; write it like 100000, 12.5 or 30%, without separators")
        return number

    def yes_no(self) -> bool:
        """yes, no, true or false, without quotes."""
        text = self.text()
        if self.quoted or text not in _YES_NO:
            raise self.fail(f"`{text}` is not yes or no")
        return _YES_NO[text]

    def date(self) -> date:
        """A calendar date written YYYY-MM-DD."""
        text = self.text()
        found = date_of(text)
        if found is None:
            raise self.fail(f"`{text}` is not a date; write it like 2026-01-31")
        return found

    def sequence(self) -> list[Node]:
        """The items of a list, in file order."""
        if not isinstance(self.value, list):
            raise self.fail(f"a list is needed here, not {self._shape}")
        return self.value

    def mapping(self, required: Collection[str] = (), optional: Collection[str] | None = None) -> dict[str, Node]:
        """The keys and values, in file order. Without arguments any key is accepted.

        Errors: ConfigError for an unknown key (with the nearest known one) and for a required one that is missing.
        """
        if not isinstance(self.value, dict):
            raise self.fail(f"a mapping (`key: value`) is needed here, not {self._shape}")
        if required or optional is not None:
            self._check_keys(self.value, required, (*required, *(optional or ())))
        return self.value

    def _check_keys(self, value: dict[str, Node], required: Collection[str], known: Collection[str]) -> None:
        for key in value:
            if key not in known:
                raise self.fail_at_key(key, f"unknown key `{key}`{nearest(key, known)}")
        for key in required:
            if key not in value:
                raise self.fail(f"`{key}:` is missing here")

    @property
    def _shape(self) -> str:
        if isinstance(self.value, str):
            return f"`{self.value}`"
        return "a list" if isinstance(self.value, list) else "a mapping"


def decimal_of(text: str) -> Decimal | None:
    """The exact number a text holds (`30%` is 0.3), or None where it is not a plain decimal."""
    found = _NUMBER.fullmatch(text.removesuffix("%"))
    if not found or len(found[1]) + len(found[2] or "") > _DIGITS_MAX:
        return None
    number = Decimal(found[0])
    return number.scaleb(-2) if text.endswith("%") else number


def date_of(text: str) -> date | None:
    """The date a text holds as YYYY-MM-DD, or None."""
    if not _DATE.fullmatch(text):
        return None
    try:
        return date.fromisoformat(text)
    except ValueError:
        return None


def read_text(path: Path, limit: int = MAX_BYTES) -> str:
    """The text of a UTF-8 file (a byte order mark is dropped). Errors: ConfigError."""
    name = str(path)
    try:
        raw = path.read_bytes() if path.stat().st_size <= limit else None
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise ConfigError(f"cannot be read: {reason}", file=name) from error
    if raw is None:
        raise ConfigError(f"is larger than {limit:,} bytes", file=name)
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise ConfigError("is not UTF-8 text; save the file as UTF-8", file=name, line=line) from error


def read_yaml(path: Path) -> Node:
    """The top node of one YAML file. Errors: ConfigError with file and line."""
    return parse_yaml(read_text(path), str(path))


@lru_cache(KEPT)
def parse_yaml(text: str, file: str) -> Node:
    """The top node of a YAML text; `file` is the name for messages. Who asks again gets the same node: none is changed.

    A run reads its program for what it says, for what it needs, for its names; parsing would take longer than all that.
    """
    _refuse_characters(text, file)
    try:
        return _document(YAML(typ="safe", pure=True).parse(text), file)
    except MarkedYAMLError as error:
        raise _syntax_error(error, file) from error
    except (YAMLError, ValueError, OverflowError) as error:
        raise ConfigError(f"is not YAML: {str(error).splitlines()[0]}", file=file) from error


def _refuse_characters(text: str, file: str) -> None:
    for number, line in enumerate(text.split("\n"), 1):
        if "\t" in line:
            raise ConfigError("a tab stands here; indent with spaces", file=file, line=number)
        if _ODD_BREAK.search(line):
            raise ConfigError("an unusual line-break character stands here; remove it", file=file, line=number)
        if _UNSEEN.search(line.removesuffix("\r")):
            raise ConfigError("a control character stands here; remove it", file=file, line=number)


def _syntax_error(error: MarkedYAMLError, file: str) -> ConfigError:
    mark, opened = error.problem_mark or error.context_mark, error.context_mark
    problem = " ".join(part for part in (error.context, error.problem) if part)
    hint = next((hint for word, hint in _HINTS if word in problem), "")
    column = f" (column {mark.column + 1})" if mark else ""
    start = f" (it starts on line {opened.line + 1})" if mark and opened and opened.line != mark.line else ""
    line = mark.line + 1 if mark else None
    return ConfigError(f"is not valid YAML{column}: {problem}{start}{hint}", file=file, line=line)


def _line(event: Event) -> int:
    return int(event.start_mark.line) + 1


def _document(events: Iterator[Event], file: str) -> Node:
    top: Node | None = None
    for event in events:
        if isinstance(event, DocumentStartEvent):
            if top is not None:
                raise ConfigError("a second document starts here; one per file", file=file, line=_line(event))
            if event.version or event.tags:
                raise ConfigError("a `%` directive is not accepted; remove it", file=file, line=1)
            top = _node(next(events), events, file, 0)
    if top is None or (top.value == "" and not top.quoted):
        raise ConfigError("is empty", file=file, line=1)
    return top


def _node(event: Event, events: Iterator[Event], file: str, depth: int) -> Node:
    line = _line(event)
    _refuse_node(event, file, depth)
    if isinstance(event, MappingStartEvent):
        return _mapping(event, events, file, depth)
    if isinstance(event, SequenceStartEvent):
        return Node(file, line, list(_items(events, file, depth)))
    if not isinstance(event, ScalarEvent):
        raise ConfigError("is not valid YAML here", file=file, line=line)
    text = str(event.value)
    if _UNSEEN.search(text):
        raise ConfigError("an escape in this text gives a control character", file=file, line=line)
    return Node(file, line, text, quoted=bool(event.style))


def _refuse_node(event: Event, file: str, depth: int) -> None:
    line = _line(event)
    if isinstance(event, AliasEvent):
        raise ConfigError(f"an alias `*{event.anchor}` is not accepted; write the value out", file=file, line=line)
    if isinstance(event, NodeEvent) and event.anchor:
        raise ConfigError(f"an anchor `&{event.anchor}` is not accepted; remove it", file=file, line=line)
    tag = getattr(event, "tag", None)
    if tag:
        raise ConfigError(f"a tag `{tag}` is not accepted; remove it or use quotes", file=file, line=line)
    if depth > MAX_DEPTH:
        raise ConfigError(f"is nested deeper than {MAX_DEPTH} levels", file=file, line=line)


def _items(events: Iterator[Event], file: str, depth: int) -> Iterator[Node]:
    for event in events:
        if isinstance(event, SequenceEndEvent):
            return
        item = _node(event, events, file, depth + 1)
        if item.value == "" and not item.quoted:
            raise item.fail("an empty list item")
        yield item


def _mapping(start: MappingStartEvent, events: Iterator[Event], file: str, depth: int) -> Node:
    values: dict[str, Node] = {}
    lines: dict[str, int] = {}
    for event in events:
        if isinstance(event, MappingEndEvent):
            break
        key = _key(event, events, file, depth, start.flow_style is True)
        if key.text() in values:
            raise key.fail(f"duplicate key `{key.text()}` (first on line {lines[key.text()]})")
        value = _node(next(events), events, file, depth + 1)
        if value.value == "" and not value.quoted:
            hint = f"; {_FLOW_HINT}" if start.flow_style else ""
            raise key.fail(f"`{key.text()}:` has no value{hint}")
        values[key.text()] = value
        lines[key.text()] = key.line
    return Node(file, _line(start), values, key_lines=lines)


def _key(event: Event, events: Iterator[Event], file: str, depth: int, in_flow: bool) -> Node:
    key = _node(event, events, file, depth + 1)
    if not key.is_text:
        raise key.fail("a key must be a single word, not a list or mapping" + (f"; {_FLOW_HINT}" if in_flow else ""))
    if key.value == "":
        raise key.fail("a value without a key" + (f"; {_FLOW_HINT}" if in_flow else ""))
    if key.value == "<<":
        raise key.fail("`<<` (merge) is not accepted; write the keys out")
    return key
