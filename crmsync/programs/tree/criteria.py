"""What a tier asks for: criteria in groups, and the values they compare with."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum


class Comparison(StrEnum):
    """How a criterion compares."""

    GE = ">="
    GT = ">"
    LE = "<="
    LT = "<"
    EQ = "="


NEEDS = {
    Comparison.GE: "",
    Comparison.GT: "more than ",
    Comparison.LE: "at most ",
    Comparison.LT: "less than ",
    Comparison.EQ: "exactly ",
}
"""How a text names a comparison; `at least` goes without saying."""


Scalar = Decimal | bool | str
"""A literal of the program: a number (money in the program's currency, percent as a fraction), yes/no, or text."""


@dataclass(frozen=True)
class MoneyValue:
    """A money threshold in another currency (`400000 EUR`), converted at the rate on the version's effective_from."""

    amount: Decimal
    currency: str


@dataclass(frozen=True)
class ByAttribute:
    """A value that depends on a column of the partner; an empty or unlisted value takes the default."""

    column: str
    cases: Mapping[str, Value]
    default: Value


@dataclass(frozen=True)
class OtherMetric:
    """A criterion's right-hand side that is another metric."""

    key: str


@dataclass(frozen=True)
class ThresholdRow:
    """One row of a threshold sheet: what it asks of partners with these attributes (empty cells are left out)."""

    attributes: Mapping[str, str]  # column of partners -> value
    value: Value
    line: int


@dataclass(frozen=True)
class FromSheet:
    """`from thresholds`: of the rows that fit the partner the one with the most attributes; none, or two such: unknown
    and reported. `rows` are sorted by number of attributes, most first."""

    rows: tuple[ThresholdRow, ...]
    file: str


Value = Scalar | MoneyValue | ByAttribute | OtherMetric | FromSheet

Points = Decimal | OtherMetric | ByAttribute
"""A number in a score: literal, another metric, or a table by an attribute (with leaves of the first two)."""


@dataclass(frozen=True)
class Criterion:
    """`metric comparison value`."""

    metric: str
    comparison: Comparison
    value: Value
    line: int


class Junction(StrEnum):
    """How the parts of a group count."""

    ALL = "all"
    ANY = "any"
    NONE = "none"
    AT_LEAST = "at_least"


@dataclass(frozen=True)
class Group:
    """all, any, none or at_least n of parts. `including`: indices into `parts` that must be met and count."""

    junction: Junction
    parts: tuple[Requirement, ...]
    line: int
    at_least: int = 0
    including: tuple[int, ...] = ()


Requirement = Criterion | Group


def criteria_of(requirement: Requirement | None) -> Iterator[Criterion]:
    """Every criterion of a requirement, wherever it stands, in file order."""
    if isinstance(requirement, Criterion):
        yield requirement
    elif isinstance(requirement, Group):
        for part in requirement.parts:
            yield from criteria_of(part)
