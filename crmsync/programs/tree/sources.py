"""Metrics and where their values come from."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum

from crmsync.programs.tree.criteria import Criterion, Points
from crmsync.programs.tree.formulas import Formula, Unit
from crmsync.programs.tree.windows import Shift, Window


class Aggregate(StrEnum):
    """Aggregates over the rows of a table."""

    SUM = "sum"
    COUNT = "count"
    COUNT_DISTINCT = "count_distinct"
    AVERAGE = "average"
    MINIMUM = "minimum"
    MAXIMUM = "maximum"
    MEDIAN = "median"
    FIRST = "first"
    LAST = "last"


@dataclass(frozen=True)
class FromRows:
    """An aggregate over the rows of one table. `value` is None for count only."""

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


@dataclass(frozen=True)
class GroupCondition:
    """One condition of `groups.having`: an aggregate over the rows of a table that has the column, per group."""

    source: FromRows
    at_most: bool  # False: at_least
    limit: Decimal
    line: int
    where: Formula | None = None
    during: Window | None = None
    dated_by: str | None = None
    money: bool = False  # whether the value is money in the program's currency


@dataclass(frozen=True)
class FromGroups:
    """`groups:` how many values of column `of` meet every condition; `share`: the fraction of those that meet the first
    condition (0 of 0 is unknown)."""

    of: str
    having: tuple[GroupCondition, ...]
    share: bool = False


@dataclass(frozen=True)
class Linear:
    """`worth` with `full_at`: in proportion up to full_at, then flat; a yes/no has worth alone (full_at None)."""

    worth: Points
    full_at: Points | None = None


@dataclass(frozen=True)
class PerUnit:
    """`each`: points for every `per` of the metric; `whole_units`: fractions of `per` do not count."""

    points: Points
    per: Points
    whole_units: bool = False


@dataclass(frozen=True)
class Bands:
    """`bands:` the points of the highest band reached, below the lowest 0. (from, points), rising."""

    steps: tuple[tuple[Decimal, Points], ...]


@dataclass(frozen=True)
class BestOf:
    """`best:` the better of parts of the same score or of metrics (keys as in `program.metrics`)."""

    metrics: tuple[str, ...]


Earning = Linear | PerUnit | Bands | BestOf
"""How a part of a score earns its points."""


@dataclass(frozen=True)
class FromPart:
    """One part of a score: a metric of its own, `score.part`. `of` is None for BestOf."""

    score: str
    of: str | None
    earning: Earning
    max: Points | None = None
    needs: Formula | None = None
    allow_negative: bool = False


@dataclass(frozen=True)
class FromParts:
    """A group of a score (`score.group`) or the score itself: the sum of metrics (`score.part`, `score.group`), capped.

    The score itself adds its groups and the parts outside groups; parts that only feed a `best:` of another part of the
    same score are not added again.
    """

    score: str
    parts: tuple[str, ...]
    max: Points | None = None


@dataclass(frozen=True)
class FromRank:
    """`rank_of` / `percentile_of` a metric within a population: those who take part, with a known value, for whom
    `where` holds and whose columns `within` are equal; with `within_category` the members of the row's category."""

    metric: str
    percentile: bool
    within: tuple[str, ...] = ()  # columns of partners
    within_category: bool = False
    where: Formula | None = None  # over metrics and partner columns


@dataclass(frozen=True)
class FromTier:
    """`tier_of:` position of a calculated tier (lowest 1, no tier 0) on a ladder, in a category, or in another program.

    Exactly one of `ladder`, `category` is set, or `program` with an optional `category` of that program. `names`: what
    the positions are called, from the lowest; None where ladders or versions differ.
    """

    ladder: str | None = None
    category: str | None = None
    program: str | None = None
    names: tuple[str | None, ...] = ()


@dataclass(frozen=True)
class FromHeld:
    """`held_for:` days since the granted tier is `tier` or higher, or `criterion` holds, without a break in the
    assessed days; 0 where it does not hold and on the first day. `tier` makes the metric one per category."""

    tier: str | None = None
    criterion: Criterion | None = None


@dataclass(frozen=True)
class Computed:
    """A source that is computed from other metrics of the same account, seen from the same spot.

    A further one is a class below this one, its reader in `programs.metrics.SOURCES` and its value in
    `levelling.computed`: dependence, explain, guide, gap and schema ask no more than what stands here.
    """

    metrics: tuple[str, ...]

    @property
    def words(self) -> str:
        """How it is made, in the words of the file."""
        return f"of {', '.join(self.metrics)}"


@dataclass(frozen=True)
class MeanOf(Computed):
    """`mean_of: [metrics]`: the mean of those that are known; unknown where fewer than `known` are."""

    known: int = 1

    @property
    def words(self) -> str:
        return f"mean of {', '.join(self.metrics)}, where {self.known} of them are known"


Source = (
    FromRows
    | FromField
    | FromFormula
    | FromPast
    | FromGroups
    | FromPart
    | FromParts
    | FromRank
    | FromTier
    | FromHeld
    | Computed
)


class RollsUp(StrEnum):
    """What a parent gets from its children."""

    OWN = "own"
    SUM = "sum"
    FAMILY = "family"
    BEST = "best"
    FAMILY_BEST = "family best"
    INHERIT = "inherit"


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
    rolls_up_where: Formula | None = None  # columns of `partners` (asked account) and `parent` (the one that receives)
    split_by: str | None = None  # a column of the metric's table, or `partners.column`
