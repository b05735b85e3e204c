"""SOQL text to tokens."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from crmsync.sandbox.soql.refusals import SoqlError, malformed

MAX_LENGTH = 100_000

Sort = Literal["name", "text", "number", "money", "date", "datetime", "sign", "end"]

_TOKEN = re.compile(
    r"(?P<space>\s+)"
    r"|(?P<datetime>\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,9})?(?:Z|[+-]\d\d:?\d\d))"
    r"|(?P<date>\d{4}-\d\d-\d\d)(?![\w-])"
    r"|(?P<money>[A-Za-z]{3}\d+(?:\.\d+)?(?![\w.]))"
    r"|(?P<name>[A-Za-z_]\w*)"
    r"|(?P<number>[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?![\w.]))"
    r"|(?P<sign><=|>=|<>|!=|[=<>(),.:])",
    re.ASCII,
)
_ESCAPES = {"'": "'", '"': '"', "\\": "\\", "n": "\n", "r": "\r", "t": "\t", "b": "\b", "f": "\f",
            "N": "\n", "R": "\r", "T": "\t", "B": "\b", "F": "\f"}  # fmt: skip


@dataclass(frozen=True)
class Token:
    """One token. `text` is the value of a text literal with its escapes resolved, else as written.

    In a text literal `\\%` and `\\_` stay escaped, because only LIKE gives them a meaning.
    """

    sort: Sort
    text: str
    at: int

    @property
    def word(self) -> str:
        """The token in lower case where it is a word, else the empty text."""
        return self.text.lower() if self.sort in ("name", "money") else ""


def tokens(soql: str) -> list[Token]:
    """All tokens, with an `end` token last. Errors: SoqlError for what is no SOQL."""
    if len(soql) > MAX_LENGTH:
        raise SoqlError("MALFORMED_QUERY", f"SOQL statements cannot be longer than {MAX_LENGTH} characters.")
    found: list[Token] = []
    at = 0
    while at < len(soql):
        if soql[at] == "'":
            token, at = _text(soql, at)
            found.append(token)
            continue
        match = _TOKEN.match(soql, at)
        if match is None:
            raise malformed(soql, at, f"unexpected token: '{soql[at]}'")
        sort = match.lastgroup
        if sort != "space":
            found.append(Token(sort, match.group(), at))  # type: ignore[arg-type]  # the group names are the sorts
        at = match.end()
    found.append(Token("end", "<EOF>", len(soql)))
    return found


def _text(soql: str, start: int) -> tuple[Token, int]:
    parts: list[str] = []
    at = start + 1
    while at < len(soql) and soql[at] != "'":
        if soql[at] == "\\":
            part, at = _escape(soql, at)
            parts.append(part)
        else:
            parts.append(soql[at])
            at += 1
    if at >= len(soql):
        raise malformed(soql, start, "unterminated string literal")
    return Token("text", "".join(parts), start), at + 1


def _escape(soql: str, at: int) -> tuple[str, int]:
    sign = soql[at + 1 : at + 2]
    if sign in ("%", "_"):
        return "\\" + sign, at + 2
    if sign in ("u", "U") and re.match(r"[0-9A-Fa-f]{4}", soql[at + 2 : at + 6]):
        return chr(int(soql[at + 2 : at + 6], 16)), at + 6
    if sign in _ESCAPES and sign:
        # Kept doubled for LIKE, where a lone backslash is the sign that escapes.
        return ("\\\\" if sign == "\\" else _ESCAPES[sign]), at + 2
    raise malformed(soql, at, f"Invalid string literal. Illegal character sequence '\\{sign}' in string literal")


def plain_text(text: str) -> str:
    """The value of a text literal outside LIKE: the escapes that only LIKE needs are undone."""
    return re.sub(r"\\([\\%_])", r"\1", text) if "\\" in text else text
