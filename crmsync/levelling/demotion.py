"""What stops, puts off and limits a demotion: dates, hold, freeze, grace, steps.

Source: program-language, section 7.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from crmsync.levelling import sql
from crmsync.levelling.before import BEFORE
from crmsync.levelling.conditions import condition_of
from crmsync.levelling.measures import Measures, partner_column
from crmsync.levelling.rules import Rules
from crmsync.levelling.sql import Sql
from crmsync.programs.program import Freeze, Horizon, Movement, Period

_UNIT: Mapping[Period, tuple[str, int]] = {
    Period.DAYS: ("DAY", 1),
    Period.WEEKS: ("DAY", 7),
    Period.MONTHS: ("MONTH", 1),
    Period.QUARTERS: ("MONTH", 3),
    Period.YEARS: ("MONTH", 12),
}


@dataclass(frozen=True)
class Demotion:
    """Expressions about the way down from the tier that a partner starts the day with (column `start`)."""

    rules: Rules
    names: Measures  # of today, for the conditions of freezes
    file: str

    def bottom(self) -> Sql:
        """How far a partner could fall today: no lower than if every undecided criterion were met."""
        lowest = sql.least(sql.col("start"), sql.col("possible"))
        if "keep_from" not in self.rules.filled:
            return lowest
        kept = sql.least(sql.col("start"), sql.col("keep_from"))
        return sql.greatest(lowest, sql.coalesce(kept, sql.number(-1)))

    def due(self) -> Sql:
        """Whether today is a demotion date of the tier. What has come into force today can fall from tomorrow on."""
        came = sql.not_(sql.col("came")) if self.rules.has_lag else sql.true()
        return self.rules.by_position(
            sql.col("start"),
            lambda one: came if one.demote.on is None or one.demote.on.any_day else self.rules.date_of(one.demote.on),
        )

    def fallen(self) -> Sql:
        """Where a fall ends today: at the bottom, but no more than `steps` below."""
        bottom, start = sql.col("bottom"), sql.col("start")
        if not self.rules.has_steps:
            return bottom

        def limited(one: Movement) -> Sql:
            return sql.greatest(bottom, sql.sub(start, sql.number(one.demote.steps))) if one.demote.steps else bottom

        return self.rules.by_position(start, limited)

    # --- hold and freeze

    def frozen(self) -> Sql:
        """Whether a freeze stops demotions today."""
        return self._by_start(
            lambda one: sql.or_(*(self._meant(f) for f in one.freeze or () if self.rules.acts_today(f)))
        )

    def held(self) -> Sql:
        """Whether a hold stops demotions today."""
        today = sql.day(self.rules.as_of)

        def inside(one: Movement) -> Sql:
            return sql.or_(*(sql.and_(sql.le(first, today), sql.le(today, last)) for first, last in self._holds(one)))

        return sql.coalesce(self._by_start(inside), sql.false()) if self.rules.has_hold else sql.false()

    def _by_start(self, value: Callable[[Movement], Sql]) -> Sql:
        return self.rules.by_position(sql.col("start"), value)

    def _meant(self, freeze: Freeze) -> Sql:
        """Whether a freeze speaks of this partner."""
        if freeze.where is None:
            return sql.true()
        return sql.coalesce(condition_of(freeze.where, self.names, self.file), sql.false())

    def _holds(self, movement: Movement) -> Iterator[tuple[Sql, Sql]]:
        """First and last day of each hold; NULL where the partner has none."""
        if movement.newcomers and movement.newcomers.count:
            joined = sql.col(partner_column("joined_on"))
            yield joined, plus(joined, movement.newcomers)
        if movement.after_promotion and movement.after_promotion.count:
            promoted = sql.col(BEFORE.promoted_on)
            yield promoted, plus(promoted, movement.after_promotion)

    # --- grace

    def deadline(self, day: Sql) -> Sql:
        """The end of a grace: moved by overrides, and to the day after a hold or freeze in which it lies."""
        if "grace_to" in self.rules.filled:
            day = sql.greatest(day, sql.coalesce(sql.col("grace_to"), day))
        return self.rules.by_position(sql.col("start"), lambda one: self._moved(day, one))

    def _moved(self, day: Sql, movement: Movement) -> Sql:
        stretches = [*self._holds(movement), *self._frozen_days(movement)]
        for first, last in stretches * (2 if len(stretches) > 1 else 1):  # one may lead into another
            inside = sql.and_(sql.le(first, day), sql.le(day, last))
            day = sql.case([(sql.coalesce(inside, sql.false()), sql.plus_interval(last, 1, "DAY"))], day)
        return day

    def _frozen_days(self, movement: Movement) -> Iterator[tuple[Sql, Sql]]:
        for freeze in sorted(movement.freeze or (), key=lambda one: (one.start is not None, one.start, one.line)):
            if freeze.until is None:
                continue  # until somebody names its end, the grace ends when the freeze does
            first = sql.day(freeze.start) if freeze.start is not None else sql.day(self.rules.as_of.replace(year=1900))
            first = sql.case([(self._meant(freeze), first)], sql.null(sql.DATE))
            yield first, sql.day(freeze.until)

    def new_deadline(self) -> Sql:
        """The end of a grace that starts today; today where there is none."""
        ends = self.rules.by_position(sql.col("start"), lambda one: sql.day(self.rules.grace_end(one)))
        return self.deadline(ends)


def plus(day: Sql, stretch: Horizon) -> Sql:
    """The same day so much later; in a shorter month its last day."""
    unit, times = _UNIT[stretch.period]
    return sql.plus_interval(day, stretch.count * times, unit)
