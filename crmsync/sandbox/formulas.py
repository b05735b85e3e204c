"""Formulas as Salesforce writes them, read into a tree: numbers, texts, fields of the record and its parents, calls."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache

MOST_CHARACTERS = 3_900
_MOST_DEPTH = 60
_MOST_LEVELS = 120
_TOKEN = re.compile(
    r"(?P<blank>\s+|/\*.*?\*/)|(?P<number>\d+(?:\.\d+)?|\.\d+)|(?P<text>\"(?:[^\"\\]|\\.)*\"|'(?:[^'\\]|\\.)*')"
    r"|(?P<name>\$?[A-Za-z]\w*(?:\.[A-Za-z]\w*)*)|(?P<sign>&&|\|\||<>|!=|==|<=|>=|[-+*/^&=<>(),!])",
    re.DOTALL | re.ASCII,
)
_COMPARES = {"=": "=", "==": "=", "<>": "!=", "!=": "!=", "<": "<", "<=": "<=", ">": ">", ">=": ">="}


class FormulaError(Exception):
    """A formula that cannot be used; the message says what, where and what would be right."""


@dataclass(frozen=True)
class Number:
    """A number."""

    value: Decimal


@dataclass(frozen=True)
class Text:
    """A text between quotes."""

    value: str


@dataclass(frozen=True)
class Name:
    """A field: of the record itself, or of a parent as in `Account.Owner.Name`."""

    path: tuple[str, ...]

    def __str__(self) -> str:
        return ".".join(self.path)


@dataclass(frozen=True)
class Call:
    """A function call; operators that are functions too (`&&`, `||`, `!`) are calls of AND, OR and NOT."""

    name: str  # in capitals
    arguments: tuple[Formula, ...]


@dataclass(frozen=True)
class Binary:
    """`left sign right`, the sign one of + - * / & = != < <= > >=."""

    sign: str
    left: Formula
    right: Formula


Formula = Number | Text | Name | Call | Binary


@lru_cache(maxsize=1_024)
def parse_formula(text: str) -> Formula:
    """The tree of a formula. Errors: FormulaError naming the column."""
    if len(text) > MOST_CHARACTERS:
        raise FormulaError(f"the formula is {len(text)} characters long; {MOST_CHARACTERS} are allowed")
    reader = _Reader(text)
    found = reader.alternatives(0)
    if reader.token[0] != "end":
        raise reader.wrong("an operator or the end was expected")
    _check_depth(found)
    return found


def _check_depth(formula: Formula) -> None:
    """Errors: FormulaError for chains and nests that are longer than any that is written by hand."""
    waiting: list[tuple[Formula, int]] = [(formula, 1)]
    while waiting:
        part, depth = waiting.pop()
        if depth > _MOST_LEVELS:
            raise FormulaError(
                f"the formula has more than {_MOST_LEVELS} operators in a chain or brackets in each other"
            )
        if isinstance(part, Binary):
            waiting += [(part.left, depth + 1), (part.right, depth + 1)]
        elif isinstance(part, Call):
            waiting += [(argument, depth + 1) for argument in part.arguments]


def names_in(formula: Formula) -> Iterator[Name]:
    """Every field that a formula speaks of."""
    if isinstance(formula, Name):
        yield formula
    elif isinstance(formula, Binary):
        yield from names_in(formula.left)
        yield from names_in(formula.right)
    elif isinstance(formula, Call):
        for argument in formula.arguments:
            yield from names_in(argument)


class _Reader:
    """Reads by recursive descent; `token` is (kind, text, offset) of what comes next."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.tokens = self._tokens()
        self.token = next(self.tokens)

    def _tokens(self) -> Iterator[tuple[str, str, int]]:
        at = 0
        while at < len(self.text):
            match = _TOKEN.match(self.text, at)
            if match is None:
                self.token = ("sign", self.text[at], at)
                raise self.wrong("this sign has no meaning here")
            kind = str(match.lastgroup)
            if kind != "blank":
                yield kind, match[0], at
            at = match.end()
        yield "end", "", len(self.text)

    def wrong(self, why: str) -> FormulaError:
        kind, text, at = self.token
        shown = "the end" if kind == "end" else repr(text)[:60]
        return FormulaError(f"column {at + 1}: {shown}: {why}")

    def took(self, *signs: str) -> str | None:
        """The sign that stood here, if it was one of these."""
        kind, text, _ = self.token
        if kind != "sign" or text not in signs:
            return None
        self.token = next(self.tokens)
        return text

    def alternatives(self, depth: int) -> Formula:
        if depth > _MOST_DEPTH:
            raise self.wrong(f"the formula is nested deeper than {_MOST_DEPTH}")
        parts = [self.conjunctions(depth)]
        while self.took("||"):
            parts.append(self.conjunctions(depth))
        return Call("OR", tuple(parts)) if len(parts) > 1 else parts[0]

    def conjunctions(self, depth: int) -> Formula:
        parts = [self.comparison(depth)]
        while self.took("&&"):
            parts.append(self.comparison(depth))
        return Call("AND", tuple(parts)) if len(parts) > 1 else parts[0]

    def comparison(self, depth: int) -> Formula:
        found = self.sum(depth)
        while sign := self.took(*_COMPARES):
            found = Binary(_COMPARES[sign], found, self.sum(depth))
        return found

    def sum(self, depth: int) -> Formula:
        found = self.product(depth)
        while sign := self.took("+", "-", "&"):
            found = Binary(sign, found, self.product(depth))
        return found

    def product(self, depth: int) -> Formula:
        found = self.signed(depth)
        while sign := self.took("*", "/"):
            found = Binary(sign, found, self.signed(depth))
        if self.token[1] == "^":
            raise self.wrong("the operator ^ is not supported by this org")
        return found

    def signed(self, depth: int) -> Formula:
        sign = self.took("-", "+", "!")
        if sign is None:
            return self.single(depth)
        if depth > _MOST_DEPTH:
            raise self.wrong(f"the formula is nested deeper than {_MOST_DEPTH}")
        inner = self.signed(depth + 1)
        if sign == "!":
            return Call("NOT", (inner,))
        return inner if sign == "+" else Binary("-", Number(Decimal(0)), inner)

    def single(self, depth: int) -> Formula:
        kind, text, _ = self.token
        if kind == "number":
            self.token = next(self.tokens)
            return Number(Decimal(text))
        if kind == "text":
            self.token = next(self.tokens)
            return Text(re.sub(r"\\(.)", _unescaped, text[1:-1], flags=re.DOTALL))
        if kind == "name":
            return self.named(text, depth)
        if self.took("("):
            found = self.alternatives(depth + 1)
            if not self.took(")"):
                raise self.wrong("a closing bracket was expected")
            return found
        raise self.wrong("a value, a field or a function was expected")

    def named(self, text: str, depth: int) -> Formula:
        place = self.token
        self.token = next(self.tokens)
        if not self.took("("):
            if text.upper() in ("TRUE", "FALSE", "NULL"):
                return Call(text.upper(), ())
            return Name(tuple(text.split(".")))
        if "." in text or text.startswith("$"):
            self.token = place
            raise self.wrong("a function's name was expected before the bracket")
        arguments: list[Formula] = []
        if not self.took(")"):
            arguments.append(self.alternatives(depth + 1))
            while self.took(","):
                arguments.append(self.alternatives(depth + 1))
            if not self.took(")"):
                raise self.wrong("a comma or a closing bracket was expected")
        return Call(text.upper(), tuple(arguments))


def _unescaped(match: re.Match[str]) -> str:
    return {"n": "\n", "t": "\t", "r": "\r"}.get(match[1], match[1])
