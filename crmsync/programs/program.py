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
    """`last N units [shift]`: ends with as_of (inclusive), starts the day after the same day N units before.

    In every window `until` is the column of partners whose date ends it instead of as_of (unknown where empty).
    """

    count: int
    period: Period
    shift: Shift | None = None
    until: str | None = None


@dataclass(frozen=True)
class LastComplete:
    """`last N complete months|quarters|years`: whole calendar periods; one that ends on as_of is complete.

    A shift moves by whole periods.
    """

    count: int
    period: Period  # MONTHS, QUARTERS or YEARS
    shift: Shift | None = None
    until: str | None = None


@dataclass(frozen=True)
class ThisAndBefore:
    """`this and the N months|quarters before`: from the first day of the Nth period before up to as_of."""

    count: int
    period: Period  # MONTHS or QUARTERS
    shift: Shift | None = None
    until: str | None = None


@dataclass(frozen=True)
class CalendarPeriod:
    """`this|previous month|quarter|year|fiscal quarter|fiscal year`; `this` is up to as_of, `previous` whole.

    A shift of `previous` moves by whole periods.
    """

    previous: bool
    period: Period  # MONTHS, QUARTERS or YEARS
    fiscal: bool = False
    shift: Shift | None = None
    until: str | None = None


@dataclass(frozen=True)
class SinceJoining:
    """`since joining`: from joined_on up to as_of; unknown where joined_on is empty."""

    shift: Shift | None = None
    until: str | None = None


@dataclass(frozen=True)
class FirstMonths:
    """`first N months`: from joined_on up to the day before the same day N months later."""

    count: int
    shift: Shift | None = None
    until: str | None = None


@dataclass(frozen=True)
class Ever:
    """`ever`: every row up to as_of, rows without a main date too."""

    shift: Shift | None = None
    until: str | None = None


@dataclass(frozen=True)
class InForce:
    """`in force [plus N units]`: rows with issued_on <= D < expires_on (an empty end: for ever) + the tail."""

    shift: Shift | None = None
    tail: Horizon | None = None
    until: str | None = None


@dataclass(frozen=True)
class Horizon:
    """A stretch of days, weeks, months, quarters or years."""

    count: int
    period: Period


Window = Last | LastComplete | ThisAndBefore | CalendarPeriod | SinceJoining | FirstMonths | Ever | InForce


# --- metric sources


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

    Exactly one of `ladder`, `category` is set, or `program` with an optional `category` of that program.
    """

    ladder: str | None = None
    category: str | None = None
    program: str | None = None


@dataclass(frozen=True)
class FromHeld:
    """`held_for:` days since the granted tier is `tier` or higher, or `criterion` holds, without a break in the
    assessed days; 0 where it does not hold and on the first day. `tier` makes the metric one per category."""

    tier: str | None = None
    criterion: Criterion | None = None


Source = (
    FromRows | FromField | FromFormula | FromPast | FromGroups | FromPart | FromParts | FromRank | FromTier | FromHeld
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


# --- movement


@dataclass(frozen=True)
class ReviewDates:
    """When something may change: any day, days of the year (month, day), or the yearly return of a partner's date.

    29 February means the 28th where there is no 29th, also for an anniversary.
    """

    any_day: bool = False
    days: tuple[tuple[int, int], ...] = ()
    anniversary: str | None = None  # column of partners


class Lag(StrEnum):
    """When a decided change comes into force."""

    IMMEDIATELY = "immediately"
    NEXT_MONTH = "first of next month"
    AFTER = "after"


@dataclass(frozen=True)
class Effective:
    """`immediately`, `first of next month` (after the decision), or `after 30 days|2 months`."""

    lag: Lag = Lag.IMMEDIATELY
    after: Horizon | None = None


@dataclass(frozen=True)
class Freeze:
    """No demotions for those for whom `where` holds (None: all), both days included; an empty end: no bound."""

    line: int
    where: Formula | None = None
    start: date | None = None
    until: date | None = None
    reason: str = ""


@dataclass(frozen=True)
class Change:
    """What governs promotions or demotions. None: not said here, taken from above (`Program.movement_of`)."""

    on: ReviewDates | None = None
    effective: Effective | None = None
    approval: bool | None = None
    grace: Horizon | None = None  # demotion only; count 0: said to be none
    steps: int | None = None  # demotion only; 0: said to be no limit


@dataclass(frozen=True)
class Movement:
    """`movement:` of the program, a category or a tier. None: not said here."""

    promote: Change = Change()
    demote: Change = Change()
    newcomers: Horizon | None = None  # hold: count 0: said to be none
    after_promotion: Horizon | None = None
    freeze: tuple[Freeze, ...] | None = None
    qualifies: Window | None = None  # any day of this window; None: today
    qualifies_today: bool = False  # said to be today, against a window above


ANY_DAY = ReviewDates(any_day=True)
NO_TIME = Horizon(0, Period.DAYS)
DEFAULT_MOVEMENT = Movement(
    promote=Change(ANY_DAY, Effective(), False, NO_TIME, 0),
    demote=Change(ANY_DAY, Effective(), False, NO_TIME, 0),
    newcomers=NO_TIME,
    after_promotion=NO_TIME,
    freeze=(),
)
"""Any day, at once, no approval, no grace, no limit of steps, no hold."""


def layered(above: Movement, here: Movement) -> Movement:
    """Each key named `here` replaces the one `above`, inside promote and demote too."""
    return Movement(
        _layered_change(above.promote, here.promote),
        _layered_change(above.demote, here.demote),
        here.newcomers if here.newcomers is not None else above.newcomers,
        here.after_promotion if here.after_promotion is not None else above.after_promotion,
        here.freeze if here.freeze is not None else above.freeze,
        here.qualifies if here.qualifies is not None or here.qualifies_today else above.qualifies,
    )


def _layered_change(above: Change, here: Change) -> Change:
    return Change(
        here.on if here.on is not None else above.on,
        here.effective if here.effective is not None else above.effective,
        here.approval if here.approval is not None else above.approval,
        here.grace if here.grace is not None else above.grace,
        here.steps if here.steps is not None else above.steps,
    )


# --- tiers, categories, risk


@dataclass(frozen=True)
class Benefit:
    """What a tier gives. `value` None: `none`, taken away. `by: category` stands as ByAttribute with that column."""

    value: Value | None
    unit: Unit  # PERCENT, MONEY, NUMBER or TEXT
    line: int


@dataclass(frozen=True)
class Family:
    """`family: {tier: floor, from: parent|top, where: …}`: granted is at least the earned tier of that account."""

    line: int
    from_top: bool = False
    where: Formula | None = None  # over partner columns (and `parent.column`, the account above)


class Take(StrEnum):
    """How a ladder with `per:` comes to one tier."""

    BEST = "best"
    ALL = "all"
    AT_LEAST = "at_least"
    EACH = "each"


@dataclass(frozen=True)
class Per:
    """`per: column` with `take`: the ladder is evaluated once per value of its split metrics."""

    column: str
    take: Take = Take.BEST
    at_least: int = 0


@dataclass(frozen=True)
class Tier:
    """One step of a ladder. `requires` None: everybody holds it; `keeps` None: the same as `requires`."""

    key: str
    label: str
    line: int
    requires: Group | None = None
    keeps: Group | None = None
    rank: int | None = None  # position from the bottom where not given
    means: str = ""
    sustained: Horizon | None = None  # to enter: `requires` met that long without a break; to stay: `keeps` alone
    benefits: Mapping[str, Benefit] = field(default_factory=dict)  # as written; what it does not name comes from below
    movement: Movement = Movement()


@dataclass(frozen=True)
class Ladder:
    """Tiers, lowest first."""

    key: str
    line: int
    tiers: tuple[Tier, ...]
    label: str = ""
    climb_steps: bool = False  # climb: steps (stop at the first not met); default highest
    per: Per | None = None
    family: Family | None = None
    means: str = ""


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
    movement: Movement = Movement()


@dataclass(frozen=True)
class Commission:
    """`commission:` the rate of the highest band that metric `of` reaches (unknown: the lowest), at most `max`."""

    of: str
    bands: tuple[tuple[Decimal, Decimal], ...]  # (from, rate), rising
    max: Decimal | ByAttribute | None = None  # by `tier`, `category` or a column of partners
    line: int = 0


@dataclass(frozen=True)
class Migration:
    """Until `keep_until` (inclusive) nobody falls below what the version before would give; old tier key -> new."""

    keep_until: date
    becomes: Mapping[str, str]
    line: int


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
    movement: Movement = Movement()
    family: Family | None = None  # of every ladder that has none of its own
    fiscal_start: tuple[int, int] = (1, 1)  # month, day
    reassess: Horizon | None = None
    commission: Commission | None = None
    costs: Mapping[str, Formula] = field(default_factory=dict)  # over benefits (table `benefit`) and metrics
    migration: Migration | None = None
    before: Program | None = field(default=None, repr=False)  # the version before this one, where there is one
    means: str = ""
    ready_rates: bool = False  # `rates: ecb`: rows were taken from the installed package

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
