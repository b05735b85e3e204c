"""The frozen tree of a program: what an admin wrote, checked and typed, without file or clock.

Every reader works on this tree: the compiler to SQL (`levelling`), explain, gap, guide and lint. It is built by
`loading.py` only; its parts stand in `tree/`, one noun each, and are read from here. Lines are those of the file,
counted from 1, so that later findings can point at them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from enum import StrEnum
from pathlib import Path

from crmsync.programs.tree.criteria import (
    NEEDS,
    ByAttribute,
    Comparison,
    Criterion,
    FromSheet,
    Group,
    Junction,
    MoneyValue,
    OtherMetric,
    Points,
    Requirement,
    Scalar,
    ThresholdRow,
    Value,
    criteria_of,
)
from crmsync.programs.tree.formulas import (
    Formula,
    Unit,
)
from crmsync.programs.tree.movement import (
    ANY_DAY,
    DEFAULT_MOVEMENT,
    NO_TIME,
    NOT_SAID,
    Change,
    Effective,
    Freeze,
    Lag,
    Movement,
    ReviewDates,
    layered,
)
from crmsync.programs.tree.sources import (
    Aggregate,
    Bands,
    BestOf,
    Computed,
    Earning,
    FromField,
    FromFormula,
    FromGroups,
    FromHeld,
    FromPart,
    FromParts,
    FromPast,
    FromRank,
    FromRows,
    FromTier,
    GroupCondition,
    Linear,
    Metric,
    PerUnit,
    RollsUp,
    Source,
    WhenMissing,
)
from crmsync.programs.tree.tiers import (
    Benefit,
    Category,
    Commission,
    Family,
    Ladder,
    Migration,
    Per,
    StartsFrom,
    Take,
    Tier,
)
from crmsync.programs.tree.windows import (
    CalendarPeriod,
    Ever,
    FirstMonths,
    Horizon,
    InForce,
    Last,
    LastComplete,
    Period,
    Shift,
    SinceJoining,
    ThisAndBefore,
    Window,
)

__all__ = [
    "ANY_DAY",
    "DEFAULT_MOVEMENT",
    "NEEDS",
    "NOT_SAID",
    "NO_TIME",
    "Aggregate",
    "Bands",
    "Benefit",
    "BestOf",
    "ByAttribute",
    "CalendarPeriod",
    "Category",
    "Change",
    "Commission",
    "Comparison",
    "Computed",
    "Criterion",
    "Earning",
    "Effective",
    "Ever",
    "Family",
    "FirstMonths",
    "Formula",
    "Freeze",
    "FromField",
    "FromFormula",
    "FromGroups",
    "FromHeld",
    "FromPart",
    "FromParts",
    "FromPast",
    "FromRank",
    "FromRows",
    "FromSheet",
    "FromTier",
    "Group",
    "GroupCondition",
    "Headline",
    "Horizon",
    "InForce",
    "Junction",
    "Ladder",
    "Lag",
    "Last",
    "LastComplete",
    "Linear",
    "Metric",
    "Migration",
    "MoneyValue",
    "Movement",
    "OtherMetric",
    "Per",
    "PerUnit",
    "Period",
    "Points",
    "Program",
    "RateRow",
    "Reference",
    "Requirement",
    "ReviewDates",
    "Risk",
    "RollsUp",
    "Scalar",
    "Shift",
    "SinceJoining",
    "Source",
    "StartsFrom",
    "Take",
    "ThisAndBefore",
    "ThresholdRow",
    "Tier",
    "Unit",
    "Value",
    "WhenMissing",
    "Window",
    "criteria_of",
    "layered",
]


_AHEAD = Horizon(90, Period.DAYS)
_BACK = Horizon(6, Period.MONTHS)


@dataclass(frozen=True)
class Risk:
    """How far ahead risk looks, over which past the pace is taken, and what counts as near (a fraction)."""

    horizon: Horizon = _AHEAD
    pace: Horizon = _BACK
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
    rates: str | tuple[RateRow, ...] | None = None  # "crm", "ecb", the rows of the file, or None
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
    movement: Movement = NOT_SAID
    family: Family | None = None  # of every ladder that has none of its own
    fiscal_start: tuple[int, int] = (1, 1)  # month, day
    reassess: Horizon | None = None
    commission: Commission | None = None
    costs: Mapping[str, Formula] = field(default_factory=dict)  # over benefits (table `benefit`) and metrics
    migration: Migration | None = None
    before: Program | None = field(default=None, repr=False)  # the version before this one, where there is one
    means: str = ""

    @property
    def version(self) -> str:
        """Name of this version in the standings."""
        return self.effective_from.isoformat() if self.effective_from else self.digest[:12]

    def ladder_of(self, category: str) -> Ladder:
        """The ladder that a category climbs."""
        return self.ladders[self.categories[category].ladder]

    def movement_of(self, category: str, tier: Tier | None = None) -> Movement:
        """What governs a category (and entering or leaving a tier in it), every key filled in but `qualifies`."""
        found = layered(layered(DEFAULT_MOVEMENT, self.movement), self.categories[category].movement)
        return found if tier is None else layered(found, tier.movement)

    def family_of(self, ladder: Ladder) -> Family | None:
        """How standings of other accounts of the tree reach this ladder."""
        return ladder.family if ladder.family is not None else self.family
