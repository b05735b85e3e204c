"""Tiers, ladders, categories, and what follows from a tier."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from enum import StrEnum

from crmsync.programs.tree.criteria import ByAttribute, Group, Value
from crmsync.programs.tree.formulas import Formula, Unit
from crmsync.programs.tree.movement import NOT_SAID, Movement
from crmsync.programs.tree.windows import Horizon


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
    movement: Movement = NOT_SAID


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

    def benefits(self) -> list[Mapping[str, Benefit]]:
        """What each tier gives, from the lowest up, with what comes from below; what was taken away is left out."""
        found: list[Mapping[str, Benefit]] = []
        below: Mapping[str, Benefit] = {}
        for tier in self.tiers:
            here = {**below, **tier.benefits}
            below = {name: benefit for name, benefit in here.items() if benefit.value is not None}
            found.append(below)
        return found

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
    movement: Movement = NOT_SAID


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
