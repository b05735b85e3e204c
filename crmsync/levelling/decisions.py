"""Decisions that people make about a change: which waiting tiers are approved or declined.

An override counts for a decision when it is dated no earlier than it. Source: program-language, sections 7 and 8.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from crmsync.levelling import sql
from crmsync.levelling.before import BEFORE
from crmsync.levelling.rules import Rules
from crmsync.levelling.sql import Sql
from crmsync.programs.program import ReviewDates


def approve_column(position: int) -> str:
    """Name of the column with the newest day of an `approve` for a tier."""
    return f"approve:{position}"


def decline_column(position: int) -> str:
    """Name of the column with the newest day of a `decline` for a tier."""
    return f"decline:{position}"


@dataclass(frozen=True)
class Decisions:
    """Approvals seen from the tier that a partner starts the day with (column `start`)."""

    rules: Rules

    @property
    def size(self) -> int:
        """Number of tiers."""
        return len(self.rules.ladder.tiers)

    def waiting(self) -> Sql:
        """The tier that has been waiting for a person; NULL where none does."""
        if not self.rules.has_approval:
            return sql.null(sql.INT)
        undated = sql.and_(sql.not_null(sql.col(BEFORE.pending)), sql.is_null(sql.col(BEFORE.pending_on)))
        return sql.case([(undated, sql.col(BEFORE.pending))], sql.null(sql.INT))

    # --- up

    def approved_to(self) -> Sql:
        """The highest tier that nothing on the way up still has to be approved for."""
        if not any(one.promote.approval for one in self.rules.of_tiers):
            return sql.number(self.size)
        start = sql.col("start")
        branches = [
            (sql.and_(sql.lt(start, sql.number(at)), sql.not_(self._approved(at))), sql.number(at - 1))
            for at, one in enumerate(self.rules.of_tiers, 1)
            if one.promote.approval
        ]
        return sql.case(branches, sql.number(self.size))

    def _since(self, position: int) -> Sql:
        """The day of the decision for a tier above: the day it began to wait, else today."""
        waits = sql.coalesce(sql.ge(sql.col("waiting"), sql.number(position)), sql.false())
        today = sql.day(self.rules.as_of)
        return sql.case([(waits, sql.coalesce(sql.col(BEFORE.decided_on), today))], today)

    def _approved(self, position: int) -> Sql:
        """An approval of a tier covers those below it on the way."""
        ways = [sql.ge(day, self._since(position)) for day in self._days(approve_column, position)]
        return sql.coalesce(sql.or_(*ways), sql.false()) if ways else sql.false()

    def _days(self, name: Callable[[int], str], lowest: int) -> Iterator[Sql]:
        """The newest days of overrides for tiers from `lowest` up."""
        for at in range(lowest, self.size + 1):
            column = name(at)
            if column in self.rules.filled:
                yield sql.col(column)

    def declined_to(self) -> Sql:
        """The highest tier below the first that was declined."""
        if not any(one.promote.approval for one in self.rules.of_tiers):
            return sql.number(self.size)
        start, before = sql.col("start"), sql.col(BEFORE.declined)
        branches = []
        for at, one in enumerate(self.rules.of_tiers, 1):
            if not one.promote.approval:
                continue
            still = sql.coalesce(sql.eq(before, sql.number(at)), sql.false())
            given = sql.ge(sql.col("calculated"), sql.number(at))
            held = sql.and_(still, given, sql.not_(self._asks_again(one.promote.on)))
            declined = sql.or_(held, self._declined_now(at))
            branches.append((sql.and_(sql.lt(start, sql.number(at)), declined), sql.number(at - 1)))
        return sql.case(branches, sql.number(self.size))

    def _asks_again(self, dates: ReviewDates | None) -> Sql:
        """Whether a new date makes a new decision; on any day only new numbers do."""
        return sql.false() if dates is None or dates.any_day else self.rules.date_of(dates)

    def _declined_now(self, position: int) -> Sql:
        if decline_column(position) not in self.rules.filled:
            return sql.false()
        day = sql.col(decline_column(position))
        later = [sql.gt(other, day) for other in self._days(approve_column, position)]
        now = sql.coalesce(sql.ge(day, self._since(position)), sql.false())
        return sql.and_(now, sql.not_(sql.coalesce(sql.or_(*later), sql.false()))) if later else now

    # --- down

    def dropped_to(self) -> Sql:
        """Where a partner who falls (columns `falls`, `fallen`) comes to: there, or no further than approved."""
        start, fallen = sql.col("start"), sql.col("fallen")
        straight = sql.case([(sql.col("falls"), fallen)], start)
        needing = [at for at, one in enumerate(self.rules.all) if one.demote.approval]
        if not needing:
            return straight
        needs = self.rules.by_position(start, lambda one: sql.true() if one.demote.approval else sql.false())
        free = sql.and_(sql.col("falls"), sql.not_(needs))
        return sql.case([(free, fallen), *self._approved_drops()], start)

    def _approved_drops(self) -> Iterator[tuple[Sql, Sql]]:
        falls, fallen, waiting = sql.col("falls"), sql.col("fallen"), sql.col("waiting")
        for at in range(self.size):
            if approve_column(at) not in self.rules.filled:
                continue
            day, decided_on = sql.col(approve_column(at)), sql.col(BEFORE.decided_on)
            same = sql.coalesce(sql.eq(waiting, fallen), sql.false())
            since = sql.case([(same, decided_on)], sql.day(self.rules.as_of))
            now = sql.and_(self._names(fallen, at), sql.ge(day, since))
            yield sql.and_(falls, sql.coalesce(now, sql.false())), fallen
            # what was decided first may be approved though the numbers have sunk further since
            before = sql.and_(self._names(waiting, at), sql.ge(waiting, fallen), sql.ge(day, decided_on))
            yield sql.and_(falls, sql.coalesce(before, sql.false())), waiting

    def _names(self, position: Sql, at: int) -> Sql:
        """Whether an override for the tier `at` means that position: `none` also means out of the category."""
        return sql.le(position, sql.number(0)) if at == 0 else sql.eq(position, sql.number(at))

    def drop_declined(self) -> Sql:
        """Whether the fall that waits, or is decided today, was declined (and no new date asks again)."""
        if not any(one.demote.approval for one in self.rules.all):
            return sql.false()
        start, fallen = sql.col("start"), sql.col("fallen")
        before = sql.col(BEFORE.declined)
        asked_again = self.rules.by_position(
            start,
            lambda one: self._asks_again(one.demote.on),
        )
        ways = [sql.and_(sql.coalesce(sql.lt(before, start), sql.false()), sql.not_(asked_again))]
        since = sql.case(
            [(sql.coalesce(sql.lt(sql.col("waiting"), start), sql.false()), sql.col(BEFORE.decided_on))],
            sql.day(self.rules.as_of),
        )
        for at in range(self.size):
            if decline_column(at) in self.rules.filled:
                now = sql.and_(self._names(fallen, at), sql.ge(sql.col(decline_column(at)), since))
                ways.append(sql.coalesce(now, sql.false()))
        return sql.or_(*ways)
