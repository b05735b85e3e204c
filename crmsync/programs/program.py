"""The frozen tree of a program: what an admin wrote, checked and typed, without file or clock.

Every reader works on this tree: the compiler to SQL (`levelling`), explain, gap, guide and lint. It is built by
`loading.py` only. Lines are those of the file, counted from 1, so that later findings can point at them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from enum import StrEnum
from pathlib import Path

from sqlglot.expressions import Expression


class Unit(StrEnum):
    """Unit of a metric."""

    MONEY = "money"
    NUMBER = "number"
    PEOPLE = "people"
    PERCENT = "percent"
    POINTS = "points"
    DAYS = "days"
    YES_NO = "yes_no"
    TEXT = "text"


@dataclass(frozen=True)
class Formula:
    """A checked SQL scalar expression as the admin wrote it. `tree` is what SQLGlot parsed; never rebuilt from text."""

    text: str
    line: int
    tree: Expression = field(compare=False)
    columns: frozenset[tuple[str, str]] = frozenset()  # (table or reference, column) it reads
    metrics: frozenset[str] = frozenset()  # metric keys it reads


# --- windows


class Period(StrEnum):
    """Length units of a window."""

    DAYS = "days"
    WEEKS = "weeks"
    MONTHS = "months"
    QUARTERS = "quarters"
    YEARS = "years"


@dataclass(frozen=True)
class Shift:
    """`N months|years earlier`: the window of the same day N before."""

    count: int
    period: Period  # MONTHS or YEARS


@dataclass(frozen=True)
class Last:
    """`last N units [shift]`: ends with as_of (inclusive), starts the day after the same day N units before."""

    count: int
    period: Period
    shift: Shift | None = None


@dataclass(frozen=True)
class Ever:
    """`ever`: every row up to as_of, rows without a main date too."""

    shift: Shift | None = None


@dataclass(frozen=True)
class InForce:
    """`in force`: rows with issued_on <= D < expires_on (an empty end: for ever)."""

    shift: Shift | None = None


Window = Last | Ever | InForce


# --- metric sources


class Aggregate(StrEnum):
    """Aggregates over the rows of a table."""

    SUM = "sum"
    COUNT = "count"
    COUNT_DISTINCT = "count_distinct"
    AVERAGE = "average"
    MINIMUM = "minimum"
    MAXIMUM = "maximum"


@dataclass(frozen=True)
class FromRows:
    """sum, count, count_distinct, average, minimum, maximum over one table. `value` is None for count only."""

    aggregate: Aggregate
    table: str
    value: Formula | None


@dataclass(frozen=True)
class FromField:
    """`field: partners.column`. `of_hundred`: the column holds 70 for 70 %."""

    column: str
    of_hundred: bool = False


@dataclass(frozen=True)
class FromFormula:
    """`formula:` over other metrics and partner columns."""

    formula: Formula


@dataclass(frozen=True)
class FromPast:
    """`growth_of:` (relative) or `change_of:` another metric against the same metric shifted."""

    metric: str
    shift: Shift
    relative: bool
    when_base_is_zero: Decimal | None = None  # None: unknown


Source = FromRows | FromField | FromFormula | FromPast


class RollsUp(StrEnum):
    """What a parent gets from its children."""

    OWN = "own"
    SUM = "sum"


class WhenMissing(StrEnum):
    """What an unknown value becomes."""

    UNKNOWN = "unknown"
    ZERO = "zero"
    FAIL = "fail"


@dataclass(frozen=True)
class Metric:
    """One number, yes/no or text per partner."""

    key: str
    line: int
    unit: Unit
    source: Source
    label: str
    means: str = ""
    where: Formula | None = None
    during: Window | None = None  # None: the table's default (in force where it has a validity, else ever)
    dated_by: str | None = None
    rolls_up: RollsUp = RollsUp.OWN
    when_missing: WhenMissing = WhenMissing.UNKNOWN
    kind: str | None = None  # leading | lagging
    lower_is_better: bool = False  # better: lower


# --- criteria


class Comparison(StrEnum):
    """How a criterion compares."""

    GE = ">="
    GT = ">"
    LE = "<="
    LT = "<"
    EQ = "="


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


Value = Scalar | MoneyValue | ByAttribute | OtherMetric


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


# --- tiers, categories, movement, risk


@dataclass(frozen=True)
class Tier:
    """One step of a ladder. `requires` None: everybody holds it; `keeps` None: the same as `requires`."""

    key: str
    label: str
    line: int
    requires: Group | None = None
    keeps: Group | None = None
    rank: int | None = None  # position from the bottom where not given


@dataclass(frozen=True)
class Ladder:
    """Tiers, lowest first."""

    key: str
    line: int
    tiers: tuple[Tier, ...]
    label: str = ""
    climb_steps: bool = False  # climb: steps (stop at the first not met); default highest


@dataclass(frozen=True)
class StartsFrom:
    """Hand-kept tiers that count as earned on the first run. `values`: text in the column -> tier key."""

    column: str
    values: Mapping[str, str]


@dataclass(frozen=True)
class Category:
    """A segment that partners belong to, with a standing of its own. `member` None: everybody (category `all`)."""

    key: str
    label: str
    line: int
    ladder: str
    means: str = ""
    member: Formula | None = None
    observed: Formula | None = None
    starts_from: StartsFrom | None = None


@dataclass(frozen=True)
class Horizon:
    """A stretch of days or months."""

    count: int
    period: Period  # DAYS or MONTHS


@dataclass(frozen=True)
class Risk:
    """How far ahead risk looks, over which past the pace is taken, and what counts as near (a fraction)."""

    horizon: Horizon = Horizon(90, Period.DAYS)
    pace: Horizon = Horizon(6, Period.MONTHS)
    near: Decimal = Decimal("0.10")


@dataclass(frozen=True)
class Reference:
    """A CSV beside the program, looked up by key columns. `key`: reference column -> column of the record
    (`column`, `partners.column` or `otherreference.column`). `rows` are read by the loader as text, in file order."""

    name: str
    file: Path
    line: int
    key: tuple[tuple[str, str], ...]
    columns: Mapping[str, str]  # column -> text | number | date | yes_no
    rows: tuple[Mapping[str, str], ...]
    effective_from: bool = False
    dated_by: str | None = None


@dataclass(frozen=True)
class RateRow:
    """One exchange rate: units of `currency` for 1 of the base currency, from `effective_from` on (None: always)."""

    currency: str
    effective_from: date | None
    rate: Decimal


class Headline(StrEnum):
    """Which standing gives the account its one tier."""

    HIGHEST = "highest"
    LOWEST = "lowest"
    PRIMARY = "primary"
    NONE = "none"


@dataclass(frozen=True)
class Program:
    """A whole program. `version` is the effective_from date as ISO text, or the first 12 digits of `digest`."""

    key: str
    label: str
    file: Path
    digest: str  # sha256 of the file and its references
    metrics: Mapping[str, Metric]  # in file order
    ladders: Mapping[str, Ladder]
    categories: Mapping[str, Category]  # never empty: `all` where the file has none
    currency: str | None = None
    rates: str | tuple[RateRow, ...] | None = None  # "crm", or the rows of the file, or None
    money: frozenset[tuple[str, str]] = frozenset()  # (table, column) named by `money:`
    references: Mapping[str, Reference] = field(default_factory=dict)
    takes_part: Formula | None = None
    declared: str | None = None  # column of partners, default declared_categories when delivered
    headline: Headline = Headline.HIGHEST
    primary: Mapping[str, str] = field(default_factory=dict)  # category -> metric
    starts_from: StartsFrom | None = None
    effort: Mapping[str, Decimal] = field(default_factory=dict)  # metric -> effort per unit of the metric
    risk: Risk = Risk()
    effective_from: date | None = None
    has_categories: bool = False

    @property
    def version(self) -> str:
        """Name of this version in the standings."""
        return self.effective_from.isoformat() if self.effective_from else self.digest[:12]

    def ladder_of(self, category: str) -> Ladder:
        """The ladder that a category climbs."""
        return self.ladders[self.categories[category].ladder]
