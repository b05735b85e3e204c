"""What governs promotions and demotions."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from enum import StrEnum

from crmsync.programs.tree.formulas import Formula
from crmsync.programs.tree.windows import Horizon, Period, Window


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


NOT_SAID = Movement()
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
