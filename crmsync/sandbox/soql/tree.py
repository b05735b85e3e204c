"""What a SOQL statement says, before names are resolved."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal as Choice


@dataclass(frozen=True)
class Path:
    """A field, maybe of a parent: `Account.Owner.Name`."""

    names: tuple[str, ...]
    at: int

    def __str__(self) -> str:
        return ".".join(self.names)


@dataclass(frozen=True)
class Function:
    """A function call; its argument is a path, another call, or nothing in `COUNT()`. FIELDS(ALL) has a word."""

    name: str  # in capitals
    argument: Path | Function | None
    at: int
    word: str = ""


Operand = Path | Function


@dataclass(frozen=True)
class Literal:
    """A value in a condition. `text` is as written, with escapes resolved for texts."""

    sort: Choice["text", "number", "money", "date", "datetime", "flag", "null", "range"]
    text: str
    at: int
    count: int = 0  # n of LAST_N_DAYS:n


@dataclass(frozen=True)
class Compare:
    """`operand sign literal`, the sign one of = != < <= > >= like."""

    operand: Operand
    sign: str
    literal: Literal


@dataclass(frozen=True)
class Within:
    """`operand [NOT] IN (…)`: literals or a sub-select; or INCLUDES and EXCLUDES with literals."""

    operand: Operand
    word: Choice["in", "includes"]
    negated: bool
    values: tuple[Literal, ...]
    select: Select | None = None


@dataclass(frozen=True)
class Not:
    """The opposite of a condition."""

    inner: Condition


@dataclass(frozen=True)
class Both:
    """Conditions joined by one word, `and` or `or`."""

    word: Choice["and", "or"]
    parts: tuple[Condition, ...]


Condition = Compare | Within | Not | Both


@dataclass(frozen=True)
class Item:
    """One entry of the SELECT list."""

    what: Path | Function | Select
    alias: str | None
    at: int


@dataclass(frozen=True)
class Order:
    """One entry of ORDER BY."""

    operand: Operand
    descending: bool
    nulls_last: bool


@dataclass(frozen=True)
class Select:
    """One SELECT statement or sub-select."""

    items: tuple[Item, ...]
    source: str
    source_at: int
    alias: str | None = None
    where: Condition | None = None
    group_by: tuple[Operand, ...] = ()
    having: Condition | None = None
    order_by: tuple[Order, ...] = ()
    limit: int | None = None
    offset: int = 0
    all_rows: bool = False
    at: int = 0
