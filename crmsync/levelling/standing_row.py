"""One row of the standings of a category, from the columns that the layers below it have made."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from crmsync.levelling import gap, sql, tiers
from crmsync.levelling.before import BEFORE, first
from crmsync.levelling.belonging import REASSESSED
from crmsync.levelling.benefits import benefits_type
from crmsync.levelling.measures import Measures, with_shown
from crmsync.levelling.movement import Turn
from crmsync.levelling.movement_dates import next_after, reassessed_on
from crmsync.levelling.per_values import PER_VALUE, PerValues
from crmsync.levelling.rules import Rules, next_column
from crmsync.levelling.shown import metrics_struct
from crmsync.levelling.sql import Sql
from crmsync.levelling.state import Remembering, key_or_none, shape_of, struct_of
from crmsync.levelling.words import EVENTS, LASTING, had_column, movement_word
from crmsync.programs.program import Category, Ladder, Movement, Program


@dataclass(frozen=True)
class StandingRow:
    """Builds the columns of a row."""

    program: Program
    category: Category
    order: int
    rules: Rules
    names: Measures
    turn: Turn
    values: PerValues | None = None

    @property
    def ladder(self) -> Ladder:
        return self.rules.ladder

    @property
    def stands(self) -> Sql:
        """Whether there is a standing after today."""
        return sql.col("belongs") if self.rules.is_plain else sql.col("stands")

    def mine(self, value: Sql, otherwise: Sql | None = None) -> Sql:
        """A value of those who have a standing."""
        return sql.case([(self.stands, value)], otherwise)

    def key(self, column: str) -> Sql:
        """Tier key at a position."""
        return self.mine(tiers.key_at(self.ladder, sql.col(column)))

    def common(self, remembering: Remembering) -> dict[str, Sql]:
        """What every assessment tells, light or not."""
        stood = first(self.rules, BEFORE.stood)
        return {
            "partner_id": sql.col("partner_id"),
            "category": self._category(),
            "calculated_tier": self.key("calculated"),
            "earned_tier": self.key("earned"),
            "granted_tier": self.key("granted"),
            "previous_tier": sql.case(
                [(sql.or_(self.stands, stood), tiers.key_at(self.ladder, first(self.rules, BEFORE.granted)))],
                sql.null(sql.TEXT),
            ),
            "movement": movement_word(self.rules, self.stands),
            "tier_since": self.mine(sql.case([(sql.gt(sql.col("granted"), sql.number(0)), self._tier_since())])),
            "granted_rank": self.mine(tiers.rank_at(self.ladder, sql.col("granted"))),
            "category_order": sql.number(self.order),
            **self._waiting(),
            "next_review": self.mine(self._next_review()),
            "state": self.mine(struct_of(shape_of(self.program), remembering.parts())),
        }

    def _category(self) -> Sql:
        key = self.category.key
        return sql.text(key) if self.values is None else self.values.category(key)

    def _tier_since(self) -> Sql:
        """The day since when the granted tier is what it is."""
        today = sql.day(self.rules.as_of)
        same = sql.coalesce(sql.eq(sql.col("granted"), sql.col(BEFORE.granted)), sql.false())
        branches = [(same, sql.coalesce(sql.col(BEFORE.since), today))]
        if self.rules.has_lag:
            came = sql.and_(sql.col("came"), sql.eq(sql.col("granted"), sql.col("start")))
            branches.append((came, sql.col(BEFORE.pending_on)))
        return sql.case(branches, today)

    def _waiting(self) -> dict[str, Sql]:
        never = sql.null(sql.DATE)
        waits = not self.rules.is_plain and (self.rules.has_lag or self.rules.has_approval)
        graces = not self.rules.is_plain and self.rules.has_grace
        return {
            "pending_tier": self.mine(key_or_none(self.ladder, sql.col("pending"))) if waits else sql.null(sql.TEXT),
            "pending_on": self.mine(sql.col("pending_on")) if waits else never,
            "grace_until": self.mine(sql.col("grace")) if graces else never,
        }

    def _next_review(self) -> Sql:
        """The next demotion date of the earned tier, or the end of the grace if that is earlier."""
        day = self.rules.by_position(sql.col("earned"), self._next_date)
        if self.rules.is_plain or not self.rules.has_grace:
            return day
        grace = sql.col("grace")
        earlier = sql.coalesce(sql.lt(grace, day), sql.not_null(grace))
        return sql.case([(earlier, grace)], day)

    def _next_date(self, movement: Movement) -> Sql:
        dates = movement.demote.on
        if dates is None or dates.any_day:
            return sql.null(sql.DATE)
        if dates.anniversary is not None:
            return sql.col(next_column(dates.anniversary))
        found = next_after(dates, self.rules.as_of)
        assert found is not None, "a calendar has a next date"
        return sql.day(found)

    # --- light

    def light(self, remembering: Remembering) -> dict[str, Sql]:
        """A row of a review day: what the next day remembers, and whether this day has moved it."""
        common = self.common(remembering)
        parts = remembering.parts()
        for name in shape_of(self.program).columns:
            common[name] = parts.get(name, sql.null(sql.DATE if name != "declined" else sql.TEXT))
        common |= {name: self._event(name) for name in EVENTS}
        for kind in LASTING:
            if had_column(kind) in self.rules.filled:
                common[had_column(kind)] = sql.coalesce(sql.col(f"before_{had_column(kind)}"), sql.false())
        stood, known = first(self.rules, BEFORE.stood), sql.not_null(first(self.rules, BEFORE.earned))
        common |= {
            "first_stood": stood,
            "first_known": known,
            "first_earned_tier": tiers.key_at(self.ladder, first(self.rules, BEFORE.earned)),
            "first_granted_tier": tiers.key_at(self.ladder, first(self.rules, BEFORE.granted)),
            "gone": sql.not_(self.stands),
            "renamed": sql.col("before_renamed") if "renamed" in self.rules.filled else sql.false(),
            "belongs": sql.col("belongs"),
            "stands": self.stands,
            "acts": self._acts(),
        }
        return common

    def _event(self, name: str) -> Sql:
        """What stopped or ended a demotion on the way; every category tells it, so that their rows fit together."""
        if not self.rules.is_plain:
            return sql.col(name)
        known = sql.col(f"before_{name}") if name in self.rules.filled else sql.false()
        return sql.coalesce(known, sql.false())

    def _acts(self) -> Sql:
        """Whether the day is a review day of this row: a calendar date, or one of the partner's own."""
        if self.rules.reviews_everybody:
            return sql.true()
        today = sql.day(self.rules.as_of)
        ways = [self.rules.date_of(dates) for dates in self.rules.dates() if dates.anniversary is not None]
        if not self.rules.is_plain and self.rules.has_grace:
            ways.append(sql.coalesce(sql.eq(sql.col(BEFORE.grace), today), sql.false()))
        if self.rules.has_lag:
            ways.append(sql.coalesce(sql.eq(sql.col(BEFORE.pending_on), today), sql.false()))
        return sql.and_(sql.col(BEFORE.stood), sql.or_(*ways))

    # --- whole

    def whole(
        self, remembering: Remembering, gaps: Mapping[str, Sql], reasons: Sql, yardstick: Sql, benefits: Sql
    ) -> dict[str, Sql]:
        """A row of the standings table, and a few columns for the headline and the first day of loss."""
        stopped = sql.and_(sql.col("belongs"), self._is_stopped())
        cyclic = sql.col("cyclic")
        return {
            **self.common(remembering),
            "projected_tier": self.key("projected"),
            "pace_tier": self.key("paced"),
            "category_check": self._check(),
            "reassess_on": self._reassess_on(),
            "per_value": self.mine(sql.col(PER_VALUE)) if self.values is not None else sql.null(sql.TEXT),
            "next_tier": self.mine(tiers.key_at(self.ladder, sql.col("next"))),
            "progress": self.mine(gaps["progress"]),
            "gap": self.mine(gaps["gap"], sql.empty_array(gap.ENTRY)),
            "gap_summary": self.mine(gaps["summary"]),
            "main_blocker": self.mine(gaps["blocker"]),
            "risk": self.mine(sql.col("risk")),
            "risk_reasons": self.mine(reasons, sql.empty_array(sql.TEXT)),
            "provisional": sql.and_(self.stands, sql.or_(stopped, cyclic)),
            "provisional_reasons": self._provisional(stopped, cyclic),
            "metrics": metrics_struct(with_shown(self.names, True)),
            "benefits": self.mine(benefits, sql.null(benefits_type(self.program))),
            "yardstick": self.mine(yardstick, sql.null(sql.DOUBLE)),
            "lost_ahead": self._is_lost_ahead(),
            "granted_position": sql.col("granted"),
            "kept_position": sql.col("kept"),
        }

    def outlook(self) -> dict[str, Sql]:
        """Who will have lost the tier at the horizon, and nothing else."""
        return {
            "partner_id": sql.col("partner_id"), "category": self._category(), "lost_ahead": self._is_lost_ahead(),
        }  # fmt: skip

    def _is_lost_ahead(self) -> Sql:
        """Whether the tier will be lost until the horizon, on a day that is still to be found."""
        lost = sql.and_(
            sql.gt(sql.col("granted"), sql.number(1)),
            sql.ge(sql.col("kept"), sql.col("granted")),
            sql.lt(sql.col("projected"), sql.col("granted")),
        )
        return self.mine(lost, sql.false())

    def _is_stopped(self) -> Sql:
        """Whether only values that are not known hold the earned tier."""
        if self.rules.is_plain:
            return sql.gt(sql.col("earned"), sql.col("calculated"))
        above = sql.lt(sql.col("calculated"), sql.col("earned"))
        return sql.coalesce(sql.and_(above, sql.ge(sql.col("possible"), sql.col("earned"))), sql.false())

    def _check(self) -> Sql:
        if self.category.observed is None:
            return sql.null(sql.TEXT)
        declared, observed = sql.coalesce(sql.col("declared"), sql.false()), sql.col("observed")
        return sql.case(
            [
                (sql.is_null(observed), sql.text("unknown")),
                (sql.and_(declared, observed), sql.text("confirmed")),
                (declared, sql.text("over_declared")),
                (observed, sql.text("undeclared")),
            ],
            sql.null(sql.TEXT),
        )

    def _reassess_on(self) -> Sql:
        """When the membership is looked at again."""
        every = self.program.reassess
        if every is None:
            return sql.null(sql.DATE)
        new = reassessed_on(self.rules.as_of, every, self.rules.as_of)
        known = sql.col(REASSESSED) if "member_since" in self.rules.filled else sql.null(sql.DATE)
        again = sql.case([(sql.col(BEFORE.stood), sql.coalesce(known, sql.day(new)))], sql.day(new))
        return sql.case([(sql.col("belongs"), again)], sql.null(sql.DATE))

    def _provisional(self, stopped: Sql, cyclic: Sql) -> Sql:
        undecided = [
            sql.case(
                [(stopped, sql.text("a demotion waits: unknown values could still hold the tier"))], sql.null(sql.TEXT)
            ),
            sql.case(
                [(cyclic, sql.text("parent_id runs in a circle or is deeper than 64 levels"))], sql.null(sql.TEXT)
            ),
        ]
        return sql.without_nulls(sql.array(undecided))
