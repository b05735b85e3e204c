"""Queries, built from described fields only, and the one place that reads an admin's filter.

A filter is parsed, its names are looked up in describe and its literals are checked against the field's type; what is
sent is rendered anew from that. Nothing from the field map is ever pasted into a query.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import NoReturn

from crmsync.connectors.salesforce.describe import COMPOUND, NUMBERS, Describe, Field, FieldPath, nearest
from crmsync.errors import AccessError, ConfigError

DEPTH_MAX = 20
LITERALS_MAX = 1000

_TOKEN = re.compile(
    r"""\s*(?:
      (?P<text>'(?:[^'\\]|\\.)*')
    | (?P<moment>\d{4}-\d{2}-\d{2}(?:T\d{2}:\d{2}:\d{2}(?:\.\d{1,3})?(?:Z|[+-]\d{2}:\d{2}))?)
    | (?P<number>[+-]?\d+(?:\.\d+)?)
    | (?P<name>[A-Za-z]\w*(?:\.[A-Za-z]\w*)*(?::\d+)?)
    | (?P<sign><=|>=|!=|<>|=|<|>|\(|\)|,)
    )""",
    re.VERBOSE | re.ASCII | re.DOTALL,
)
_DATE_WORD = re.compile(
    r"(?:YESTERDAY|TODAY|TOMORROW|(?:LAST|THIS|NEXT)_(?:WEEK|MONTH|QUARTER|YEAR|FISCAL_QUARTER|FISCAL_YEAR)"
    r"|(?:LAST|NEXT)_90_DAYS|(?:LAST|NEXT)_N_(?:DAYS|WEEKS|MONTHS|QUARTERS|YEARS|FISCAL_QUARTERS|FISCAL_YEARS):\d{1,4}"
    r"|N_(?:DAYS|WEEKS|MONTHS|QUARTERS|YEARS|FISCAL_QUARTERS|FISCAL_YEARS)_AGO:\d{1,4})"
)
_ESCAPES = {"'": "'", "\\": "\\", '"': '"', "n": "\n", "r": "\r", "t": "\t", "b": "\b", "f": "\f", "_": "_", "%": "%"}
_KEPT = "\0"  # stands for the backslash of an escaped LIKE wildcard, which quoting must not double
_ORDER = frozenset({"<", "<=", ">", ">="})
_YES_NO_ORDER = frozenset({"=", "!="})


def select(paths: Sequence[FieldPath], sobject: str, condition: str = "") -> str:
    """The query for described fields of one object."""
    columns = ", ".join(dict.fromkeys(path.path for path in paths))
    return f"SELECT {columns} FROM {sobject}{_where(condition)}"


def count(sobject: str, condition: str = "") -> str:
    """The query that counts the same rows."""
    return f"SELECT COUNT() FROM {sobject}{_where(condition)}"


def earliest(path: FieldPath, sobject: str) -> str:
    """The query for the least value of a described date-time, as `earliest`."""
    return f"SELECT MIN({path.path}) earliest FROM {sobject}"


def count_by(sobject: str, field: Field) -> str:
    """The query that counts the rows of an object by the value of a described field, as `n`."""
    return f"SELECT {field.name}, COUNT(Id) n FROM {sobject} GROUP BY {field.name}"


def count_filled(sobject: str, fields: Sequence[Field], condition: str = "") -> str:
    """The query that counts rows as `n`, and those that have a value in each described field as `c0`, `c1`, …"""
    columns = ", ".join(["COUNT(Id) n", *(f"COUNT({field.name}) c{place}" for place, field in enumerate(fields))])
    return f"SELECT {columns} FROM {sobject}{_where(condition)}"


def either(paths: Sequence[FieldPath], operator: str, moment: str) -> str:
    """A condition that one of several described date-times compares so with a moment."""
    compared = " OR ".join(f"{path.path} {operator} {moment}" for path in paths)
    return f"({compared})" if len(paths) > 1 else compared


def both(first: str, second: str) -> str:
    """Two conditions that must both hold; either may be empty."""
    return f"({first}) AND {second}" if first and second else first or second


def filled(field: Field) -> str:
    """The condition that a described field has a value."""
    return f"{field.name} != null"


def _where(condition: str) -> str:
    return f" WHERE {condition}" if condition else ""


def quoted(text: str) -> str:
    """A text as a SOQL literal."""
    escaped = text.replace("\\", "\\\\").replace("'", "\\'")
    escaped = escaped.replace("\n", "\\n").replace("\r", "\\r").replace("\t", "\\t")
    return f"'{escaped}'"


@dataclass(frozen=True)
class _Token:
    kind: str
    text: str


class FilterError(ConfigError):
    """A filter of the field map that cannot be used; the message says which part."""


@dataclass(frozen=True)
class Condition:
    """A filter as we render it. `paths`: the fields it asks; `moves`: whether it asks a date word such as TODAY, so
    that records come and go without being changed."""

    text: str
    paths: tuple[FieldPath, ...] = ()
    moves: bool = False


def checked_filter(text: str, describe: Describe, sobject: str, file: str, line: int) -> str:
    """The condition as we render it. Errors: ConfigError with file and line."""
    return condition_of(text, describe, sobject, file, line).text


def condition_of(text: str, describe: Describe, sobject: str, file: str, line: int) -> Condition:
    """The condition of a filter, with what it asks. Errors: ConfigError with file and line."""
    try:
        reading = _Filter(text, describe, sobject)
        rendered = reading.condition()
        return Condition(rendered, tuple(reading.paths), reading.moves)
    except FilterError as error:
        raise ConfigError(f"filter `{text}`: {error.message}", file=file, line=line) from None
    except AccessError as error:
        raise ConfigError(f"filter `{text}`: {error}", file=file, line=line) from None


class _Filter:
    """Recursive descent over one condition; every method returns rendered SOQL."""

    def __init__(self, text: str, describe: Describe, sobject: str) -> None:
        self._describe = describe
        self._object = sobject
        self._tokens = list(_tokens(text))
        self._at = 0
        self.paths: list[FieldPath] = []
        self.moves = any(token.kind == "name" and _DATE_WORD.fullmatch(token.text.upper()) for token in self._tokens)

    def condition(self) -> str:
        rendered = self._junction(0)
        if self._at < len(self._tokens):
            _refuse(f"`{self._tokens[self._at].text}` is not expected here")
        return rendered

    def _junction(self, depth: int) -> str:
        if depth > DEPTH_MAX:
            _refuse("too many parentheses")
        parts = [self._part(depth)]
        word = ""
        while self._word() in ("AND", "OR"):
            if word and self._word() != word:
                _refuse("AND and OR may not be mixed without parentheses")
            word = self._word()
            self._at += 1
            parts.append(self._part(depth))
        return f" {word} ".join(parts)

    def _part(self, depth: int) -> str:
        if self._word() == "NOT":
            self._at += 1
            return f"(NOT {self._part(depth + 1)})"
        if self._peek() == "(":
            self._at += 1
            inner = self._junction(depth + 1)
            self._expect(")")
            return f"({inner})"
        return self._comparison()

    def _comparison(self) -> str:
        token = self._next("a field")
        if token.kind != "name" or ":" in token.text:
            _refuse(f"`{token.text}` stands where a field is expected")
        path = self._describe.resolve(self._object, token.text)
        if path.field.type in COMPOUND or not path.field.filterable:
            _refuse(f"{path.owner}.{path.field.name} ({path.field.type}) cannot be used in a filter")
        self.paths.append(path)
        operator = self._operator()
        first = self._at
        several = operator in ("IN", "NOT IN", "INCLUDES", "EXCLUDES")
        said = self._literals(path, operator) if several else self._literal(path.field, operator)
        if operator in ("=", "!=", "IN", "NOT IN"):
            self._check_record_type(path, self._tokens[first : self._at])
        return f"{path.path} {operator} {said}"

    def _check_record_type(self, path: FieldPath, tokens: Sequence[_Token]) -> None:
        """A record type by its developer name must be one: a wrong name would just find nothing."""
        if path.path.lower() != "recordtype.developername":
            return
        known = [one.developer_name for one in self._describe.object(self._object).record_types if not one.master]
        for token in tokens:
            name = _unescaped(token.text[1:-1], keep_wildcards=False) if token.kind == "text" else None
            if name is not None and name.lower() not in (one.lower() for one in known):
                hint = nearest(name, known) or f"; there are: {', '.join(known) or 'none'}"
                _refuse(f"{self._object} has no record type `{name}`{hint}")

    def _operator(self) -> str:
        token = self._next("a comparison")
        word = token.text.upper()
        if word == "NOT" and self._word() == "IN":
            self._at += 1
            return "NOT IN"
        if token.kind == "sign" and word not in ("(", ")", ","):
            return "!=" if word == "<>" else word
        if word in ("LIKE", "IN", "INCLUDES", "EXCLUDES"):
            return word
        return _refuse(f"`{token.text}` is not a comparison; known: = != < <= > >= LIKE IN, NOT IN, INCLUDES, EXCLUDES")

    def _literals(self, path: FieldPath, operator: str) -> str:
        if (operator in ("INCLUDES", "EXCLUDES")) != (path.field.type == "multipicklist"):
            _refuse(f"{operator} does not fit {path.owner}.{path.field.name} ({path.field.type})")
        self._expect("(")
        values = [self._literal(path.field, "=")]
        while self._peek() == ",":
            self._at += 1
            values.append(self._literal(path.field, "="))
        self._expect(")")
        if len(values) > LITERALS_MAX:
            _refuse(f"more than {LITERALS_MAX} values in a list")
        return f"({', '.join(values)})"

    def _literal(self, field: Field, operator: str) -> str:
        token = self._next("a value")
        if token.text.upper() == "NULL" and token.kind == "name":
            if operator not in ("=", "!="):
                _refuse(f"null goes with = and != only, not with {operator}")
            return "null"
        return _typed(field, operator, token)

    def _next(self, what: str) -> _Token:
        if self._at >= len(self._tokens):
            _refuse(f"{what} is missing at the end")
        self._at += 1
        return self._tokens[self._at - 1]

    def _expect(self, sign: str) -> None:
        token = self._next(f"`{sign}`")
        if token.text != sign:
            _refuse(f"`{sign}` is expected, not `{token.text}`")

    def _peek(self) -> str:
        return self._tokens[self._at].text if self._at < len(self._tokens) else ""

    def _word(self) -> str:
        in_range = self._at < len(self._tokens) and self._tokens[self._at].kind == "name"
        return self._tokens[self._at].text.upper() if in_range else ""


def _tokens(text: str) -> Iterator[_Token]:
    at, end = 0, len(text.rstrip())
    while at < end:
        found = _TOKEN.match(text, at, end)
        if found is None or found.lastgroup is None:
            _refuse(f"cannot be read from `{text[at : at + 20].strip()}` on")
        yield _Token(found.lastgroup, found[found.lastgroup])
        at = found.end()


def _typed(field: Field, operator: str, token: _Token) -> str:
    """The literal, rendered for the type of its field."""
    if field.type == "boolean":
        if token.text.lower() not in ("true", "false") or token.kind != "name" or operator not in _YES_NO_ORDER:
            _refuse(f"{field.name} is a checkbox: write `= true` or `= false`")
        return token.text.lower()
    if field.type in NUMBERS:
        if token.kind != "number" or operator == "LIKE":
            _refuse(f"{field.name} is a number ({field.type}), `{token.text}` is not; write it without quotes")
        return token.text
    if field.type in ("date", "datetime"):
        return _moment(field, operator, token)
    if token.kind != "text":
        _refuse(f"{field.name} is text ({field.type}), `{token.text}` is not; put it in single quotes")
    if operator in _ORDER and field.type in ("multipicklist", "id", "reference"):
        _refuse(f"{operator} does not fit {field.name} ({field.type})")
    return quoted(_unescaped(token.text[1:-1], keep_wildcards=operator == "LIKE")).replace(_KEPT, "\\")


def _moment(field: Field, operator: str, token: _Token) -> str:
    if operator == "LIKE":
        _refuse(f"LIKE does not fit {field.name} ({field.type})")
    word = token.text.upper()
    if token.kind == "name" and _DATE_WORD.fullmatch(word):
        return word
    if token.kind != "moment" or ("T" in token.text) != (field.type == "datetime"):
        wanted = "2026-01-31" if field.type == "date" else "2026-01-31T00:00:00Z"
        _refuse(f"{field.name} is a {field.type}, `{token.text}` is not; write {wanted} or a date word like TODAY")
    try:
        if field.type == "date":
            return date.fromisoformat(token.text).isoformat()
        datetime.fromisoformat(token.text)
    except ValueError:
        _refuse(f"`{token.text}` is not in the calendar")
    return token.text


def _unescaped(text: str, *, keep_wildcards: bool) -> str:
    def plain(found: re.Match[str]) -> str:
        sign = found[1]
        if sign not in _ESCAPES:
            _refuse(f"`\\{sign}` is not an escape that SOQL knows")
        return _KEPT + sign if keep_wildcards and sign in "_%" else _ESCAPES[sign]

    return re.sub(r"\\(.)", plain, text, flags=re.DOTALL)


def _refuse(message: str) -> NoReturn:
    raise FilterError(message)
