"""Windows of `during`, shifts and stretches of time."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


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
