"""What movement asks of one category on one day: the program's words and the calendar, read before any row is.

Source: program-language, section 7.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from functools import cached_property

from crmsync.levelling import movement_dates, sql
from crmsync.levelling.dates import after, before
from crmsync.levelling.sql import Sql
from crmsync.levelling.windows import bounds
from crmsync.programs.dependence import ladder_metrics
from crmsync.programs.program import Formula, Freeze, FromHeld, Ladder, Lag, Movement, Program, ReviewDates

EVENTS = ("was_frozen", "was_held", "was_cured")
"""What happened on a review day and is told with the next standings."""


@dataclass(frozen=True)
class Rules:
    """The movement of one category at as_of. `filled`: columns of what stood before, and of the overrides in force,
    that hold anything; what nobody has is not asked for."""

    program: Program
    category: str
    as_of: date
    filled: frozenset[str] = frozenset()

    @property
    def ladder(self) -> Ladder:
        """The ladder of the category."""
        return self.program.ladder_of(self.category)

    @cached_property
    def base(self) -> Movement:
        """What holds for those without a tier, and where no tier says otherwise."""
        return self.program.movement_of(self.category)

    @cached_property
    def of_tiers(self) -> tuple[Movement, ...]:
        """What governs entering and leaving each tier, lowest first."""
        return tuple(self.program.movement_of(self.category, tier) for tier in self.ladder.tiers)

    @property
    def all(self) -> tuple[Movement, ...]:
        """By position: no tier first."""
        return (self.base, *self.of_tiers)

    @cached_property
    def is_plain(self) -> bool:
        """Whether every change comes at once, on any day: up to the calculated tier, down to it."""
        waits = (self.is_dated, self.has_approval, self.has_lag, self.has_grace, self.has_steps, self.has_hold,
                 self.has_freeze, "keep_from" in self.filled, not self.filled.isdisjoint(EVENTS))  # fmt: skip
        return not any(waits)

    @cached_property
    def is_dated(self) -> bool:
        """Whether some change has a calendar or an anniversary."""
        return any(not change.on.any_day for one in self.all for change in (one.promote, one.demote) if change.on)

    @cached_property
    def has_approval(self) -> bool:
        """Whether some change waits for a person."""
        return any(change.approval for one in self.all for change in (one.promote, one.demote))

    @cached_property
    def has_lag(self) -> bool:
        """Whether some change comes into force later, or still has to."""
        lags = any(
            change.effective is not None and change.effective.lag is not Lag.IMMEDIATELY
            for one in self.all
            for change in (one.promote, one.demote)
        )
        return lags or "pending_tier" in self.filled

    @cached_property
    def has_grace(self) -> bool:
        """Whether a demotion may be put off."""
        graces = any(one.demote.grace is not None and one.demote.grace.count for one in self.all)
        return graces or bool({"grace_until", "grace_to"} & self.filled)

    @cached_property
    def has_steps(self) -> bool:
        """Whether a demotion has a limit."""
        return any(one.demote.steps for one in self.all)

    @cached_property
    def has_hold(self) -> bool:
        """Whether newcomers or the newly promoted cannot fall."""
        return self.holds_newcomers or self.holds_promoted

    @cached_property
    def holds_newcomers(self) -> bool:
        """Whether those who joined lately cannot fall."""
        return any(one.newcomers and one.newcomers.count for one in self.all)

    @cached_property
    def holds_promoted(self) -> bool:
        """Whether those who were promoted lately cannot fall."""
        return any(one.after_promotion and one.after_promotion.count for one in self.all)

    @cached_property
    def has_freeze(self) -> bool:
        """Whether a freeze stops somebody today, or moves the end of a grace."""
        return any(self.acts_today(one) or self.has_grace for movement in self.all for one in movement.freeze or ())

    def acts_today(self, freeze: Freeze) -> bool:
        """Whether as_of lies in the days of a freeze."""
        started = freeze.start is None or freeze.start <= self.as_of
        return started and (freeze.until is None or self.as_of <= freeze.until)

    # --- dates

    def is_date(self, dates: ReviewDates | None) -> bool | None:
        """Whether as_of is a day of these; None where it depends on the partner."""
        if dates is None or dates.any_day:
            return True
        return None if dates.anniversary is not None else movement_dates.falls_on(dates, self.as_of)

    @property
    def reviews_everybody(self) -> bool:
        """Whether as_of is a calendar date of some change."""
        return any(movement_dates.falls_on(dates, self.as_of) for dates in self.dates())

    def dates(self) -> Iterator[ReviewDates]:
        """The dates of all changes."""
        for one in self.all:
            for change in (one.promote, one.demote):
                if change.on is not None:
                    yield change.on

    @cached_property
    def anniversaries(self) -> tuple[str, ...]:
        """The columns of partners whose yearly return is a date."""
        return tuple(dict.fromkeys(dates.anniversary for dates in self.dates() if dates.anniversary is not None))

    # --- what a tier needs besides its numbers

    @cached_property
    def windows(self) -> Mapping[int, date | None]:
        """By position the first day of `any day of …`; None: ever. Tiers that ask for today are left out."""
        found = {}
        for position, one in enumerate(self.of_tiers, 1):
            if one.qualifies is not None:
                found[position] = bounds(one.qualifies, self.as_of, year_starts=self.program.fiscal_start).start
        return found

    @cached_property
    def sustained(self) -> Mapping[int, date]:
        """By position the day since when `requires` must have held."""
        return {
            position: before(self.as_of, tier.sustained.count, tier.sustained.period)
            for position, tier in enumerate(self.ladder.tiers, 1)
            if tier.sustained is not None and tier.sustained.count
        }

    @cached_property
    def held_tiers(self) -> tuple[str, ...]:
        """The metrics that count the days since a tier is held."""
        metrics = self.program.metrics.items()
        return tuple(k for k, one in metrics if isinstance(one.source, FromHeld) and one.source.tier is not None)

    def grace_end(self, movement: Movement) -> date:
        """The last day of a grace that starts at as_of; as_of itself without grace."""
        return after(self.as_of, movement.demote.grace) if movement.demote.grace else self.as_of

    # --- as SQL

    def by_position(self, position: Sql, value: Callable[[Movement], Sql]) -> Sql:
        """A value that the tier at a position says; those without a tier get that of the category."""
        values = [value(one) for one in self.all]
        if all(one == values[0] for one in values):
            return values[0]
        branches = [(sql.eq(position, sql.number(at)), one) for at, one in enumerate(values) if at]
        return sql.case(branches, values[0])

    def date_of(self, dates: ReviewDates | None) -> Sql:
        """Whether as_of is a day of these, as a condition that is never null."""
        known = self.is_date(dates)
        if known is None:
            assert dates is not None
            return sql.coalesce(sql.col(today_column(dates.anniversary or "")), sql.false())
        return sql.true() if known else sql.false()


def today_column(column: str) -> str:
    """Name of the column that says whether a partner's date returns today."""
    return f"today:{column}"


def next_column(column: str) -> str:
    """Name of the column with the next day on which a partner's date returns."""
    return f"next:{column}"


def movements_of(program: Program) -> Iterator[Movement]:
    """The movement of every category and tier."""
    for key in program.categories:
        yield program.movement_of(key)
        yield from (program.movement_of(key, tier) for tier in program.ladder_of(key).tiers)


def anniversary_columns(program: Program) -> tuple[str, ...]:
    """The columns of partners whose yearly return is a date of some change."""
    found: dict[str, None] = {}
    for movement in movements_of(program):
        for dates in (movement.promote.on, movement.demote.on):
            if dates is not None and dates.anniversary is not None:
                found[dates.anniversary] = None
    return tuple(found)


def movement_formulas(program: Program) -> list[Formula]:
    """The conditions of freezes and of family floors."""
    freezes = [one.where for movement in movements_of(program) for one in movement.freeze or ()]
    families = [program.family_of(ladder) for ladder in program.ladders.values()]
    wheres = [*freezes, *(family.where for family in families if family is not None)]
    return [one for one in dict.fromkeys(wheres) if one is not None]


def movement_columns(program: Program) -> set[str]:
    """Columns of partners that movement reads."""
    found = {column for one in movement_formulas(program) for table, column in one.columns if table in PARTNERS}
    for movement in movements_of(program):
        if movement.newcomers and movement.newcomers.count:
            found.add("joined_on")
    return found | set(anniversary_columns(program))


def measured_today(program: Program, light: bool) -> set[str]:
    """The metrics that are computed as of today; `light`: only what standings and movement depend on."""
    return deciding_metrics(program) | metrics_of_movement(program) if light else set(program.metrics)


def deciding_metrics(program: Program) -> set[str]:
    """The metrics that tiers depend on."""
    return {key for ladder in program.ladders.values() for key in ladder_metrics(ladder)}


def metrics_of_movement(program: Program) -> set[str]:
    """Metrics that membership, freezes, the headline and the memory of standings read, beside those of criteria."""
    categories = [formula for one in program.categories.values() for formula in (one.member, one.observed)]
    formulas = [*categories, program.takes_part, *movement_formulas(program)]
    found = {key for formula in formulas if formula is not None for key in formula.metrics}
    held = {key for key, metric in program.metrics.items() if isinstance(metric.source, FromHeld)}
    return found | held | set(program.primary.values())


PARTNERS: Sequence[str] = ("partners", "parent")
"""Tables of a condition whose columns are those of an account: the one asked about and the one above."""
